//! What the monitoring stack needs: all of it is looked at by one command.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use serde_json::json;

use super::diagnosis::{bed, examine, patient};
use super::harness::{Bed, Launch};

const CHECKS: [&str; 4] = ["storage_class", "helm", "monitoring_crds", "monitoring_namespace"];

/// Without whatever programs this machine has.
fn alone(bed: &Bed) -> Launch<'_> {
    patient(bed).env("PATH", bed.folder())
}

fn put_group(bed: &Bed, group: &str) {
    let body = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("{group}/v1"), "resources": []});
    assert!(bed.kube().api().put_blob(&format!("/apis/{group}/v1"), "application/json", Bytes::from(body.to_string())));
}

fn put_class(bed: &Bed, name: &str, is_default: bool) {
    let annotations = json!({"storageclass.kubernetes.io/is-default-class": is_default.to_string()});
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations}, "provisioner": "example.com/none"});
    bed.kube().api().put(class).unwrap();
}

#[test]
fn f46_what_monitoring_lacks_is_listed_and_is_no_failure() {
    let bed = bed();
    let diagnosis = examine(alone(&bed));
    diagnosis.only_warnings(&[]);
    for id in CHECKS {
        let line = diagnosis.line(id);
        assert!(line.result == "info" && line.seen.ends_with("only monitoring needs it") && !line.cure.is_empty(), "{line:?}");
    }
    assert_eq!(diagnosis.line("monitoring_namespace").cure, "kubectl create namespace pipeops-monitoring");
    assert!(diagnosis.line("helm").cure.contains("--disable-helm-controller"));
    assert!(diagnosis.line("storage_class").cure.contains("--disable=local-storage"));
    assert!(diagnosis.line("monitoring_crds").cure.contains("helm install kube-prometheus-stack"));
}

#[test]
fn f46_where_monitoring_is_to_be_installed_it_is_a_warning() {
    let bed = bed();
    let diagnosis = examine(alone(&bed).set("agent.auto_install_components", true));
    diagnosis.only_warnings(&CHECKS);
}

#[test]
fn f46_what_is_there_is_found() {
    let bed = bed();
    put_class(&bed, "local-path", true);
    put_group(&bed, "helm.cattle.io");
    put_group(&bed, "monitoring.coreos.com");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "pipeops-monitoring"}});
    bed.kube().api().put(namespace).unwrap();
    let diagnosis = examine(alone(&bed).set("agent.auto_install_components", true));
    diagnosis.only_warnings(&[]);
    for id in CHECKS {
        assert_eq!(diagnosis.line(id).result, "pass", "{id}");
    }
    assert_eq!(diagnosis.line("storage_class").seen, "local-path, the default");
}

#[test]
fn f46_a_storage_class_that_is_not_the_default_one() {
    let bed = bed();
    put_class(&bed, "fast", false);
    put_class(&bed, "slow", false);
    let diagnosis = examine(alone(&bed));
    let line = diagnosis.line("storage_class");
    assert!(line.result == "info" && line.seen.starts_with("fast, slow: none of them is the default"), "{line:?}");
    assert_eq!(line.cure, "kubectl annotate storageclass fast storageclass.kubernetes.io/is-default-class=true");
}

#[test]
fn f46_the_helm_program_will_do() {
    let bed = bed();
    let program = bed.folder().join("helm");
    std::fs::write(&program, "#!/bin/false\n").unwrap();
    // A file that nobody can run is no program.
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(examine(alone(&bed)).line("helm").result, "info");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let diagnosis = examine(alone(&bed));
    let line = diagnosis.line("helm");
    assert_eq!((line.result.as_str(), line.seen.as_str()), ("pass", &*program.display().to_string()));
}
