//! The rules for requests to the Kubernetes API, request by request.

mod reading;

use alloc::vec;

use super::*;

fn call<'a>(method: &'a str, target: &'a str) -> KubernetesCall<'a> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    KubernetesCall { method, path, query, upgrade: false }
}

fn upgraded<'a>(method: &'a str, target: &'a str) -> KubernetesCall<'a> {
    KubernetesCall { upgrade: true, ..call(method, target) }
}

fn names(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn paths(texts: &[&str]) -> Vec<PathPattern> {
    texts.iter().map(|text| PathPattern::parse(text).unwrap()).collect()
}

fn services(texts: &[&str]) -> Vec<ServicePattern> {
    texts.iter().map(|text| ServicePattern::parse(text).unwrap()).collect()
}

fn verbs(names: &[&str]) -> Option<Verbs> {
    Some(names.iter().map(|name| Verb::parse(name).unwrap()).collect())
}

#[test]
fn read_only() {
    let policy = Policy { read_only: true, ..Policy::default() };
    for (method, target) in [
        ("GET", "/api/v1/namespaces/a/pods/x"),
        ("HEAD", "/api/v1/pods"),
        ("GET", "/api/v1/pods?watch=1"),
        ("GET", "/api/v1/watch/pods"),
        ("GET", "/api/v1/namespaces/a/pods/x/log?follow=true"),
        ("GET", "/version"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews/"),
        ("POST", "/apis/authentication.k8s.io/v1beta1/selfsubjectreviews"),
    ] {
        assert_eq!(policy.explain_kubernetes(&call(method, target)).verdict, Ok("read-only"), "{method} {target}");
    }
    for (method, target) in [
        ("POST", "/api/v1/namespaces/a/pods"),
        ("PUT", "/api/v1/namespaces/a/pods/x"),
        ("PATCH", "/api/v1/namespaces/a/pods/x"),
        ("DELETE", "/api/v1/namespaces/a/pods/x"),
        ("DELETE", "/api/v1/namespaces/a/pods"),
        ("DELETE", "/api/v1/watch/namespaces/a/pods/x"),
        ("OPTIONS", "/api/v1/namespaces/a/pods/x"),
        ("FROB", "/api/v1/namespaces/a/pods/x"),
        ("get", "/api/v1/namespaces/a/pods/x"),
        ("GET", "/api/v1/namespaces/a/pods/x/exec"),
        ("GET", "/api/v1/namespaces/a/pods/x/attach"),
        ("GET", "/api/v1/namespaces/a/pods/x/portforward"),
        ("GET", "/api/v1/namespaces/a/services/x/proxy/"),
        ("GET", "/api/v1/proxy/nodes/x"),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/x/token"),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
        ("POST", "/apis/x.example/v1/selfsubjectaccessreviews"),
        ("PUT", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("POST", "/apis/authorization.k8s.io/v1/namespaces/a/selfsubjectaccessreviews"),
        ("POST", "/version"),
    ] {
        assert_eq!(policy.kubernetes(&call(method, target)), Err(Refusal::ReadOnly), "{method} {target}");
    }
    // A pipe is no reading, unless it is a log or a watch.
    for (target, expected) in [
        ("/api/v1/namespaces/a/pods/x/log", Ok(())),
        ("/api/v1/pods?watch=1", Ok(())),
        ("/api/v1/watch/pods", Ok(())),
        ("/api/v1/pods", Err(Refusal::ReadOnly)),
        ("/version", Err(Refusal::ReadOnly)),
        ("/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/x/console", Err(Refusal::ReadOnly)),
        ("/apis/x.example/v1/namespaces/a/pods/x/log", Err(Refusal::ReadOnly)),
    ] {
        assert_eq!(policy.kubernetes(&upgraded("GET", target)), expected, "{target}");
    }
}

#[test]
fn verbs_are_those_that_are_named() {
    let policy = Policy { verbs: verbs(&["get", "list", "proxy"]), ..Policy::default() };
    for (call, verb, verdict) in [
        (call("GET", "/api/v1/pods"), "list", Ok("verbs")),
        (call("GET", "/api/v1/nodes/x"), "get", Ok("verbs")),
        (call("GET", "/api/v1/pods?watch=true"), "watch", Err(Refusal::Verbs)),
        (call("POST", "/api/v1/namespaces/a/pods/x/exec"), "exec", Err(Refusal::Verbs)),
        (call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), "create", Ok("verbs")),
        (call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"), "create", Err(Refusal::Verbs)),
        (call("OPTIONS", "/api/v1/pods"), "other", Err(Refusal::Verbs)),
        // A node's proxy is no way around the ban on exec.
        (call("GET", "/api/v1/nodes/x/proxy/stats"), "proxy", Ok("verbs")),
        (call("POST", "/api/v1/nodes/x/proxy/run/a/pod/c"), "exec", Err(Refusal::Verbs)),
        (call("POST", "/api/v1/proxy/nodes/x/exec/a/pod/c"), "exec", Err(Refusal::Verbs)),
        (call("GET", "/api/v1/nodes/x/proxy/attach/a"), "attach", Err(Refusal::Verbs)),
        (call("GET", "/api/v1/nodes/x/proxy/portForward/a"), "port-forward", Err(Refusal::Verbs)),
        (call("GET", "/api/v1/namespaces/a/services/x/proxy/exec/a"), "proxy", Ok("verbs")),
        // Neither is an upgrade where Kubernetes sees a get.
        (upgraded("GET", "/apis/g.example/v1/namespaces/a/things/x/console"), "exec", Err(Refusal::Verbs)),
        (upgraded("GET", "/api/v1/namespaces/a/services/x/proxy/socket"), "proxy", Ok("verbs")),
    ] {
        let explanation = policy.explain_kubernetes(&call);
        assert_eq!((explanation.verb.name(), explanation.verdict), (verb, verdict), "{call:?}");
    }
    let exec = Policy { verbs: verbs(&["exec"]), ..Policy::default() };
    assert_eq!(exec.kubernetes(&upgraded("GET", "/api/v1/namespaces/a/pods/x/exec")), Ok(()));
    let console = upgraded("GET", "/apis/g.example/v1/namespaces/a/things/x/console");
    assert_eq!(exec.explain_kubernetes(&console).verb, Verb::Get, "both verbs are needed");
}

#[test]
fn allowed_namespaces() {
    let policy = Policy { namespaces: Some(names(&["team-*", "shared"])), ..Policy::default() };
    for (method, target, verdict) in [
        ("GET", "/api/v1/namespaces/team-a/pods", Ok("namespaces")),
        ("DELETE", "/api/v1/namespaces/shared", Ok("namespaces")),
        ("GET", "/api/v1/watch/namespaces/shared/pods", Ok("namespaces")),
        ("GET", "/api/v1/namespaces/other/pods", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/namespaces/shared2", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/namespaces/Shared/pods", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/watch/namespaces/other/pods", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/proxy/namespaces/other/pods/x", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/pods", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/nodes/x", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/namespaces", Err(Refusal::Namespaces)),
        ("POST", "/api/v1/namespaces", Err(Refusal::Namespaces)),
        ("GET", "/api/v1/nodes/x/proxy/pods", Err(Refusal::Namespaces)),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", Err(Refusal::Namespaces)),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Ok("default")),
        ("GET", "/api", Ok("default")),
        ("GET", "/apis/apps/v1", Ok("default")),
        ("GET", "/openapi/v3", Ok("default")),
        ("POST", "/apis/apps/v1", Err(Refusal::Namespaces)),
    ] {
        assert_eq!(policy.explain_kubernetes(&call(method, target)).verdict, verdict, "{method} {target}");
    }
    let everything = Policy { namespaces: Some(names(&["*"])), ..Policy::default() };
    assert_eq!(everything.kubernetes(&call("GET", "/api/v1/pods")), Err(Refusal::Namespaces));
}

#[test]
fn denied_namespaces_are_not_reached_through_all_of_them() {
    let policy = Policy { deny_namespaces: names(&["kube-*"]), ..Policy::default() };
    for (method, target, verdict) in [
        ("GET", "/api/v1/namespaces/a/pods", Ok("default")),
        ("GET", "/api/v1/namespaces/kube-system/pods", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/namespaces/kube-system", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/watch/namespaces/kube-system/secrets", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/secrets", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/watch/secrets", Err(Refusal::DenyNamespaces)),
        ("GET", "/apis/unknown.example/v1/things", Err(Refusal::DenyNamespaces)),
        ("GET", "/apis/unknown.example/v1/things/x", Ok("default")),
        ("GET", "/api/v1/nodes", Ok("default")),
        ("GET", "/api/v1/namespaces", Ok("default")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", Ok("default")),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/roles", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/nodes/x/proxy/pods", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/nodes/x/proxy/exec/a/b/c", Err(Refusal::DenyNamespaces)),
        ("GET", "/api/v1/proxy/nodes/x/pods", Err(Refusal::DenyNamespaces)),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", Ok("default")),
        ("GET", "/version", Ok("default")),
    ] {
        assert_eq!(policy.explain_kubernetes(&call(method, target)).verdict, verdict, "{method} {target}");
    }
    let both = Policy { namespaces: Some(names(&["*"])), ..policy };
    assert_eq!(both.kubernetes(&call("GET", "/api/v1/namespaces/kube-system")), Err(Refusal::DenyNamespaces));
}

#[test]
fn paths_are_matched_by_segment_and_the_old_spellings_do_not_help() {
    let policy = Policy {
        paths: Some(paths(&["/api/v1/namespaces/*/pods", "/apis/apps/v1/**"])),
        deny_paths: paths(&["/api/v1/namespaces/*/pods/*/exec", "/apis/apps/v1/watch", "/openapi"]),
        ..Policy::default()
    };
    for (target, verdict) in [
        ("/api/v1/namespaces/a/pods/x/log", Ok("paths")),
        ("/api/v1/watch/namespaces/a/pods", Ok("paths")),
        ("/api/v1/namespaces/a/pods/x/exec", Err(Refusal::DenyPaths)),
        ("/api/v1/namespaces/a/podsx", Err(Refusal::Paths)),
        ("/api/v1/namespaces/a/secrets", Err(Refusal::Paths)),
        ("/api/v1/pods", Err(Refusal::Paths)),
        ("/apis/apps/v1/deployments", Ok("paths")),
        ("/apis/apps/v1/watch/deployments", Err(Refusal::DenyPaths)),
        ("/api/v1", Ok("default")),
        ("/openapi/v3", Err(Refusal::DenyPaths)),
    ] {
        assert_eq!(policy.explain_kubernetes(&call("GET", target)).verdict, verdict, "{target}");
    }
    let denying = Policy { deny_paths: paths(&["/api/v1/secrets", "/api/v1/namespaces/*/secrets"]), ..Policy::default() };
    for target in ["/api/v1/secrets/", "/api/v1/watch/secrets", "/api/v1/watch/namespaces/a/secrets/x", "api/v1/secrets"] {
        assert_eq!(denying.kubernetes(&call("GET", target)), Err(Refusal::DenyPaths), "{target}");
    }
}

#[test]
fn the_api_servers_proxy_is_no_way_around_the_rules_for_services() {
    let proxy = |policy: &Policy, target: &str| policy.kubernetes(&call("GET", target));
    let policy = Policy { deny_services: services(&["a/x:80", "a/secret"]), ..Policy::default() };
    for (target, verdict) in [
        ("/api/v1/namespaces/a/services/x:81/proxy/", Ok(())),
        ("/api/v1/namespaces/a/services/y/proxy", Ok(())),
        ("/api/v1/namespaces/a/services/x:80/proxy", Err(Refusal::DenyServices)),
        ("/api/v1/namespaces/a/services/https:x:80/proxy/deep", Err(Refusal::DenyServices)),
        // A port by name, or none, may be the one that is denied.
        ("/api/v1/namespaces/a/services/x/proxy", Err(Refusal::DenyServices)),
        ("/api/v1/namespaces/a/services/x:http/proxy", Err(Refusal::DenyServices)),
        ("/api/v1/namespaces/a/services/:secret:/proxy", Err(Refusal::DenyServices)),
        ("/api/v1/proxy/namespaces/a/services/secret:1/path", Err(Refusal::DenyServices)),
        ("/api/v1/namespaces/default/services/https:kubernetes:443/proxy/api", Err(Refusal::ServiceKubernetes)),
        ("/api/v1/namespaces/a/services/secret", Ok(())),
    ] {
        assert_eq!(proxy(&policy, target), verdict, "{target}");
    }
    let allowing = Policy { allow_services: Some(services(&["a/x:80", "a/y"])), ..Policy::default() };
    for (target, verdict) in [
        ("/api/v1/namespaces/a/services/x:80/proxy", Ok(())),
        ("/api/v1/namespaces/a/services/x:http/proxy", Err(Refusal::AllowServices)),
        ("/api/v1/namespaces/a/services/x/proxy", Err(Refusal::AllowServices)),
        ("/api/v1/namespaces/a/services/y:http/proxy", Ok(())),
        ("/api/v1/namespaces/a/pods/z/proxy", Ok(())),
    ] {
        assert_eq!(proxy(&allowing, target), verdict, "{target}");
    }
    let off = Policy { services: false, ..Policy::default() };
    assert_eq!(proxy(&off, "/api/v1/namespaces/a/services/x:80/proxy"), Err(Refusal::Services));
    assert_eq!(proxy(&off, "/api/v1/namespaces/a/services/x"), Ok(()));
}

#[test]
fn nothing_panics_on_odd_requests() {
    let every = Policy {
        read_only: false,
        verbs: verbs(&["get", "list", "watch", "proxy"]),
        namespaces: Some(names(&["*"])),
        deny_namespaces: names(&["x"]),
        paths: Some(paths(&["/**"])),
        deny_paths: paths(&["/api/v1/x"]),
        services: true,
        allow_services: Some(services(&["*/*"])),
        deny_services: services(&["x/x"]),
        allow_impersonation: false,
        allow_addresses: vec![],
    };
    let words =
        ["api", "apis", "v1", "watch", "proxy", "namespaces", "a", "services", "::", "nodes", "exec", "\u{e4}", "", "status"];
    for first in words {
        for second in words {
            for third in words {
                for fourth in words {
                    let path = ["api", "v1", first, second, third, fourth].join("/");
                    for query in ["", "watch=%", "%%%", "=&;&=;watch", "%e4%"] {
                        let call = KubernetesCall { method: "GET", path: &path, query, upgrade: query.is_empty() };
                        let _ = every.kubernetes(&call);
                    }
                }
            }
        }
    }
}
