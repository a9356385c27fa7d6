//! What the server says about itself: versions, groups, resources. Derived from the table of resources alone.

use serde_json::{Value, json};

use crate::resources::{Access, RESOURCES, Resource, groups};

pub(crate) fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

pub(crate) fn group_list() -> Value {
    let groups: Vec<Value> = groups().into_iter().map(group_body).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

pub(crate) fn group(name: &str) -> Value {
    let mut group = group_body(name);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn group_body(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

pub(crate) fn resource_list(group: &str) -> Value {
    let mut resources = Vec::new();
    let mut version = "v1".to_owned();
    for resource in RESOURCES.iter().filter(|r| r.group == group) {
        version = resource.api_version();
        resources.push(entry(resource));
        if resource.status && resource.access == Access::Full {
            resources.push(sub(resource, "status", &["get", "patch", "update"]));
        }
        if resource.is("", "pods") {
            resources.push(sub(resource, "log", &["get"]));
            for (name, kind) in
                [("attach", "PodAttachOptions"), ("exec", "PodExecOptions"), ("portforward", "PodPortForwardOptions")]
            {
                let mut entry = sub(resource, name, &["create", "get"]);
                entry["kind"] = kind.into();
                resources.push(entry);
            }
        }
    }
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

fn entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs(),
    });
    if !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    if resource.in_all {
        entry["categories"] = json!(["all"]);
    }
    entry
}

fn sub(resource: &Resource, name: &str, verbs: &[&str]) -> Value {
    json!({
        "name": format!("{}/{name}", resource.plural),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs,
    })
}

/// `/version`; the numbers are read out of the version's text.
pub(crate) fn version(git_version: &str) -> Value {
    let mut numbers = git_version.trim_start_matches('v').split(['.', '+', '-']);
    json!({
        "major": numbers.next().unwrap_or("1"),
        "minor": numbers.next().unwrap_or("0"),
        "gitVersion": git_version,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// The processor by the name that Kubernetes uses.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_taken_apart() {
        let version = version("v1.34.4+devkube");
        assert_eq!((version["major"].as_str(), version["minor"].as_str()), (Some("1"), Some("34")));
    }

    #[test]
    fn subresources_follow_their_resource() {
        let list = resource_list("");
        let names: Vec<&str> = list["resources"].as_array().unwrap().iter().filter_map(|r| r["name"].as_str()).collect();
        assert!(names.contains(&"pods/log") && names.contains(&"nodes/status"));
        assert_eq!(list["groupVersion"], "v1");
        assert_eq!(resource_list("apps")["groupVersion"], "apps/v1");
    }
}
