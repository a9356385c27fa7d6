//! What a request is taken for.

use super::*;

#[test]
fn the_verb_and_the_namespace_are_the_api_servers() {
    let policy = Policy::default();
    for (method, target, verb, namespace) in [
        ("GET", "/api/v1/pods", "list", ""),
        ("GET", "api/v1/pods/", "list", ""),
        ("HEAD", "/api/v1/pods", "list", ""),
        ("GET", "/api/v1/namespaces/a/pods", "list", "a"),
        ("GET", "/api/v1/namespaces/a/pods/", "list", "a"),
        ("GET", "/api/v1/namespaces/a/pods/x", "get", "a"),
        ("HEAD", "/api/v1/namespaces/a/pods/x", "get", "a"),
        ("GET", "/api/v1/namespaces/a/pods/x/log", "get", "a"),
        ("GET", "/api/v1/namespaces/a/pods/x/status", "get", "a"),
        ("POST", "/api/v1/namespaces/a/pods", "create", "a"),
        ("PUT", "/api/v1/namespaces/a/pods/x", "update", "a"),
        ("PATCH", "/api/v1/namespaces/a/pods/x", "patch", "a"),
        ("PATCH", "/api/v1/namespaces/a/pods/x/ephemeralcontainers", "patch", "a"),
        ("DELETE", "/api/v1/namespaces/a/pods/x", "delete", "a"),
        ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection", "a"),
        ("DELETE", "/api/v1/namespaces/a/pods/", "deletecollection", "a"),
        ("POST", "/api/v1/namespaces/a/pods/x/eviction", "create", "a"),
        ("POST", "/api/v1/namespaces/a/pods/x/binding", "create", "a"),
        ("POST", "/api/v1/namespaces/a/serviceaccounts/x/token", "create", "a"),
        ("OPTIONS", "/api/v1/namespaces/a/pods/x", "other", "a"),
        // Namespaces are resources too.
        ("GET", "/api/v1/namespaces", "list", ""),
        ("GET", "/api/v1/namespaces/a", "get", "a"),
        ("GET", "/api/v1/namespaces/a/", "get", "a"),
        ("DELETE", "/api/v1/namespaces/a", "delete", "a"),
        ("PUT", "/api/v1/namespaces/a/finalize", "update", "a"),
        ("PATCH", "/api/v1/namespaces/a/status", "patch", "a"),
        ("DELETE", "/api/v1/namespaces", "deletecollection", ""),
        // Groups, and APIs of others behind the API server.
        ("GET", "/apis/apps/v1/deployments", "list", ""),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/x/scale", "patch", "a"),
        ("GET", "/apis/metrics.k8s.io/v1beta1/nodes/x", "get", ""),
        ("GET", "/apis/g.example/v1/namespaces/a/things", "list", "a"),
        // What is no resource.
        ("GET", "/api", "get", ""),
        ("GET", "/api/v1", "get", ""),
        ("GET", "/apis/apps", "get", ""),
        ("GET", "/apis/apps/v1/", "get", ""),
        ("GET", "/version", "get", ""),
        ("GET", "/healthz/etcd/watch/more", "get", ""),
        ("GET", "/openapi/v3/apis/apps/v1", "get", ""),
        ("POST", "/apis/apps/v1", "create", ""),
        // Ways into a container and behind the API, whatever the method.
        ("GET", "/api/v1/namespaces/a/pods/x/exec?command=ls", "exec", "a"),
        ("POST", "/api/v1/namespaces/a/pods/x/exec/", "exec", "a"),
        ("GET", "/api/v1/namespaces/a/pods/x/attach", "attach", "a"),
        ("POST", "/api/v1/namespaces/a/pods/x/portforward", "port-forward", "a"),
        ("GET", "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/x/portforward/22", "port-forward", "a"),
        ("GET", "/api/v1/namespaces/a/pods/exec", "get", "a"),
        ("GET", "/api/v1/namespaces/a/services/http:x:80/proxy", "proxy", "a"),
        ("DELETE", "/api/v1/namespaces/a/services/x/proxy/deep/path", "proxy", "a"),
        ("GET", "/api/v1/namespaces/a/pods/x:80/proxy/", "proxy", "a"),
        ("GET", "/api/v1/nodes/x/proxy/stats/summary", "proxy", ""),
        ("GET", "/api/v1/proxy/namespaces/a/services/x/path", "proxy", "a"),
        ("POST", "/api/v1/proxy/nodes/x/path", "proxy", ""),
        ("GET", "/api/v1/proxy", "proxy", ""),
        // The old way to watch.
        ("GET", "/api/v1/watch/pods", "watch", ""),
        ("GET", "/api/v1/watch/namespaces/a/pods", "watch", "a"),
        ("GET", "/api/v1/watch/namespaces/a/pods/x", "watch", "a"),
        ("GET", "/apis/apps/v1/watch/namespaces/a/deployments", "watch", "a"),
        ("GET", "/api/v1/watch", "watch", ""),
        ("GET", "/api/v1/watch/namespaces/a/pods/x/exec", "exec", "a"),
    ] {
        let explanation = policy.explain_kubernetes(&call(method, target));
        assert_eq!((explanation.verb.name(), explanation.namespace), (verb, namespace), "{method} {target}");
        assert_eq!(explanation.verdict, Ok("default"), "{method} {target}");
    }
}

#[test]
fn a_watch_is_seen_however_it_is_written() {
    for (query, verb, also_list) in [
        ("watch=true", "watch", false),
        ("watch=1", "watch", false),
        ("watch=t", "watch", false),
        ("watch=f", "watch", false),
        ("watch=", "watch", false),
        ("watch", "watch", false),
        ("watch=TRUE", "watch", false),
        ("watch=%74rue", "watch", false),
        ("%77atch=true", "watch", false),
        ("w%61tch=1&limit=x", "watch", false),
        ("watch=+false", "watch", false),
        ("a=b&watch=yes", "watch", false),
        ("watch=true&watch=true", "watch", false),
        ("watch=false", "list", false),
        ("watch=False", "list", false),
        ("watch=%30", "list", false),
        ("watch=0&watch=0", "list", false),
        ("Watch=true", "list", false),
        ("watch%3Dtrue", "list", false),
        ("watches=true", "list", false),
        ("", "list", false),
        ("fieldSelector=watch%3D1", "list", false),
        // Not everybody reads these in the same way.
        ("watch=false&watch=true", "watch", true),
        ("watch=true&watch=false", "watch", true),
        ("watch=%zz", "watch", true),
        ("watch=true%", "watch", true),
        ("a=b;watch=true", "watch", true),
        ("watch=false;x&watch=0", "watch", true),
    ] {
        let target = alloc::format!("/api/v1/pods?{query}");
        let can = |verb: &str| Policy { verbs: verbs(&[verb]), ..Policy::default() }.kubernetes(&call("GET", &target)).is_ok();
        assert_eq!(Policy::default().explain_kubernetes(&call("GET", &target)).verb.name(), verb, "{query}");
        assert_eq!((can("list"), can("watch")), (verb == "list", verb == "watch" && !also_list), "{query}");
        let both = Policy { verbs: verbs(&["list", "watch"]), ..Policy::default() };
        assert_eq!(both.kubernetes(&call("GET", &target)), Ok(()), "{query}");
    }
    // One object is got, whatever the query says.
    assert_eq!(Policy::default().explain_kubernetes(&call("GET", "/api/v1/nodes/x?watch=1")).verb, Verb::Get);
}

#[test]
fn what_cannot_be_read_is_refused() {
    for (path, refusal) in [
        ("", Refusal::EmptyPath),
        ("/", Refusal::EmptyPath),
        ("//", Refusal::PathSegment),
        ("/api//v1/pods", Refusal::PathSegment),
        ("/api/v1/pods//", Refusal::PathSegment),
        ("/api/v1/../v1", Refusal::PathSegment),
        ("/api/./v1", Refusal::PathSegment),
    ] {
        let refused = Policy::default().kubernetes(&call("GET", path));
        assert!(refused.is_err_and(|found| found == refusal || found == Refusal::EmptyPath), "{path}");
        assert!(kubernetes_path(path).is_err(), "{path}");
    }
}
