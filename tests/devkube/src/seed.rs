//! What is there at the start. Written through the owner's own `put`, so it obeys the same rules.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::discovery::architecture;
use crate::shared::Shared;
use crate::time::{stamp, stamp_micros};
use crate::write::put;

const NODE: &str = "devkube-1";

pub(crate) fn fill(shared: &Shared, now: SystemTime) {
    // A cluster that looks a little used: ages other than zero.
    let born = now.checked_sub(Duration::from_secs(3600)).unwrap_or(now);
    let (born, version) = (stamp(born), shared.options.git_version.as_str());
    let mut objects = vec![
        named("Namespace", "", "default"),
        named("Namespace", "", "kube-system"),
        named("ServiceAccount", "default", "default"),
        named("ServiceAccount", "kube-system", "default"),
        node(version, &born),
        kubernetes_service(),
        deployment(&born),
        pod("web-0", "web", "nginx:1.27-alpine", 2, &born),
        pod("logger-0", "logger", "busybox:1.37", 3, &born),
        lease(now),
    ];
    for object in &mut objects {
        object["metadata"]["creationTimestamp"] = born.as_str().into();
    }
    for object in objects {
        // Only a full store refuses these, and it is empty.
        let _ = put(shared, object);
    }
    let mut logs = shared.logs();
    logs.push("default", "web-0", "listening on :80", now);
    logs.write_line(now);
}

fn named(kind: &str, namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"namespace": namespace, "name": name}})
}

fn condition(kind: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": since, "lastHeartbeatTime": since})
}

fn node(version: &str, born: &str) -> Value {
    let resources = json!({"cpu": "2", "memory": "2039844Ki", "ephemeral-storage": "30429196Ki", "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": architecture(),
                "node-role.kubernetes.io/control-plane": "true",
            },
        },
        "spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"], "providerID": format!("devkube://{NODE}")},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": "192.0.2.10"},
                {"type": "Hostname", "address": NODE},
            ],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", born),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", born),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", born),
                condition("Ready", "True", "KubeletReady", born),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": architecture(),
                "bootID": "7d1f0c1e-3c46-4d7b-9a52-5d3f7a0e0001",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.0",
                "kubeProxyVersion": version,
                "kubeletVersion": version,
                "machineID": "7d1f0c1e3c464d7b9a525d3f7a0e0001",
                "operatingSystem": "linux",
                "osImage": "devkube",
                "systemUUID": "7d1f0c1e-3c46-4d7b-9a52-5d3f7a0e0002",
            },
        },
    })
}

fn kubernetes_service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.43.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    })
}

fn deployment(born: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "labels": {"app": "web"},
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1.27-alpine", "ports": [{"containerPort": 80}]}]},
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "readyReplicas": 1,
            "availableReplicas": 1,
            "conditions": [
                condition("Available", "True", "MinimumReplicasAvailable", born),
                condition("Progressing", "True", "NewReplicaSetAvailable", born),
            ],
        },
    })
}

fn pod(name: &str, app: &str, image: &str, host: u8, born: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {"nodeName": NODE, "containers": [{"name": app, "image": image}]},
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.10",
            "podIP": format!("10.42.0.{host}"),
            "podIPs": [{"ip": format!("10.42.0.{host}")}],
            "qosClass": "BestEffort",
            "startTime": born,
            "conditions": [
                condition("Initialized", "True", "", born),
                condition("Ready", "True", "", born),
                condition("ContainersReady", "True", "", born),
                condition("PodScheduled", "True", "", born),
            ],
            "containerStatuses": [{
                "name": app,
                "image": image,
                "imageID": format!("docker.io/library/{image}"),
                "containerID": format!("containerd://{name}"),
                "ready": true,
                "started": true,
                "restartCount": 0,
                "state": {"running": {"startedAt": born}},
                "lastState": {},
            }],
        },
    })
}

fn lease(now: SystemTime) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NODE, "namespace": "kube-system"},
        "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": stamp_micros(now)},
    })
}
