//! The real kubectl against the server, over TLS. Skipped, and saying so, where there is no kubectl.

// The exemption for tests covers test functions only, not what they share; and not every file uses all of that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, dead_code, unreachable_pub)]

mod support;

use serde_json::{Value, json};
use support::Bench;

const MANIFEST: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {one: "1", two: "2"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "api:1"}]}
"#;

fn columns(table: &str, row: &str) -> Vec<String> {
    let line = table.lines().find(|line| line.starts_with(row)).unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn reads() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    assert!(bench.admin(&["version"]).await.ok().contains("Server Version: v1.34.4+devkube"));
    let pods = bench.admin(&["get", "pods"]).await.ok();
    assert_eq!(columns(&pods, "NAME"), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(columns(&pods, "web-0")[..4], ["web-0", "1/1", "Running", "0"]);
    let wide = bench.admin(&["get", "pods", "-o", "wide"]).await.ok();
    assert_eq!(columns(&wide, "web-0")[5..7], ["10.42.0.2", "devkube-1"]);
    let nodes = bench.admin(&["get", "nodes"]).await.ok();
    assert_eq!(columns(&nodes, "devkube-1")[..3], ["devkube-1", "Ready", "control-plane"]);
    let paged = bench.admin(&["get", "pods", "-A", "--chunk-size=1", "-o", "name"]).await.ok();
    assert_eq!(paged, "pod/logger-0\npod/web-0\n");
    let chosen = bench.admin(&["get", "pods", "-l", "app in (web)", "-o", "name"]).await.ok();
    assert_eq!(chosen, "pod/web-0\n");
    let described = bench.admin(&["describe", "pod", "web-0"]).await.ok();
    assert!(described.contains("devkube-1/192.0.2.10") && described.contains("Events:"), "{described}");
    assert!(bench.admin(&["describe", "node", "devkube-1"]).await.ok().contains("Non-terminated Pods"));
    let resources = bench.admin(&["api-resources"]).await.ok();
    assert_eq!(columns(&resources, "deployments"), ["deployments", "deploy", "apps/v1", "true", "Deployment"]);
    assert!(bench.admin(&["get", "all,cm,secrets,ns,ing,ev,leases", "-A"]).await.ok().contains("deployment.apps/web"));
    assert!(bench.admin(&["get", "pod", "nope"]).await.refused().contains(r#"(NotFound): pods "nope" not found"#));
}

#[tokio::test]
async fn writes() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let config = |name: &str| bench.kube.get("configmaps", "default", name).unwrap_or(Value::Null)["data"].clone();

    bench.admin(&["create", "configmap", "made", "--from-literal=a=b"]).await.ok();
    assert_eq!(config("made"), json!({"a": "b"}));
    assert!(bench.admin(&["create", "configmap", "made"]).await.refused().contains("already exists"));
    bench.admin(&["create", "namespace", "other"]).await.ok();
    bench.admin(&["create", "secret", "generic", "s", "-n", "other", "--from-literal=k=v"]).await.ok();
    assert_eq!(bench.kube.get("secrets", "other", "s").unwrap()["data"], json!({"k": "dg=="}));
    bench.admin(&["create", "deployment", "d", "--image=x:1", "--replicas=3", "--port=80"]).await.ok();
    assert_eq!(bench.kube.get("deployments.apps", "default", "d").unwrap()["spec"]["replicas"], 3);
    bench.admin(&["create", "service", "nodeport", "n", "--tcp=80:web"]).await.ok();
    let port = bench.kube.get("services", "default", "n").unwrap()["spec"]["ports"][0].clone();
    assert_eq!((&port["targetPort"], port["nodePort"].is_u64()), (&json!("web"), true));
    bench.admin(&["create", "ingress", "i", "--rule=a.example/p=s:80"]).await.ok();
    assert_eq!(bench.kube.get("ingresses", "default", "i").unwrap()["spec"]["rules"][0]["host"], "a.example");

    bench.admin(&["patch", "configmap", "made", "-p", r#"{"data":{"a":null,"c":"d"}}"#]).await.ok();
    bench.admin(&["patch", "configmap", "made", "--type=merge", "-p", r#"{"data":{"e":"f"}}"#]).await.ok();
    let add = r#"[{"op":"add","path":"/data/g","value":"h"}]"#;
    bench.admin(&["patch", "configmap", "made", "--type=json", "-p", add]).await.ok();
    assert_eq!(config("made"), json!({"c": "d", "e": "f", "g": "h"}));
    bench.admin(&["label", "pod", "web-0", "tier=front"]).await.ok();
    assert_eq!(bench.kube.get("pods", "default", "web-0").unwrap()["metadata"]["labels"]["tier"], "front");

    bench.admin(&["delete", "configmap", "made"]).await.ok();
    assert_eq!(config("made"), Value::Null);
    bench.admin(&["delete", "pod", "web-0"]).await.ok();
    bench.admin(&["delete", "namespace", "other"]).await.ok();
    assert_eq!(bench.kube.get("secrets", "other", "s"), None);
}

#[tokio::test]
async fn applies() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let config = || bench.kube.get("configmaps", "default", "settings").unwrap()["data"].clone();
    let image = || {
        let deployment = bench.kube.get("deployments", "default", "api").unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    std::fs::write(bench.home.path().join("manifest.yaml"), MANIFEST).unwrap();
    let rewrite = |from: &str, to: &str| {
        let path = bench.home.path().join("manifest.yaml");
        let text = std::fs::read_to_string(&path).unwrap().replace(from, to);
        std::fs::write(path, text).unwrap();
    };
    assert!(bench.admin(&["apply", "-f", "manifest.yaml", "--dry-run=server"]).await.ok().contains("created"));
    assert_eq!(bench.kube.get("configmaps", "default", "settings"), None);
    let first = bench.admin(&["apply", "-f", "manifest.yaml"]).await.ok();
    assert_eq!(first, "configmap/settings created\ndeployment.apps/api created\n");
    let again = bench.admin(&["apply", "-f", "manifest.yaml"]).await.ok();
    assert_eq!(again, "configmap/settings unchanged\ndeployment.apps/api unchanged\n");
    rewrite(r#"two: "2""#, r#"three: "3""#);
    rewrite("api:1", "api:2");
    bench.admin(&["apply", "-f", "manifest.yaml"]).await.ok();
    assert_eq!((config(), image()), (json!({"one": "1", "three": "3"}), json!("api:2")));

    bench.admin(&["delete", "-f", "manifest.yaml"]).await.ok();
    bench.admin(&["apply", "--server-side", "-f", "manifest.yaml"]).await.ok();
    rewrite(r#", three: "3""#, "");
    rewrite("api:2", "api:3");
    bench.admin(&["apply", "--server-side", "-f", "manifest.yaml"]).await.ok();
    assert_eq!((config(), image()), (json!({"one": "1"}), json!("api:3")));
    bench.admin(&["diff", "--server-side", "-f", "manifest.yaml"]).await.ok();
}

#[tokio::test]
async fn watches() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let mut watch = bench.follow(&["get", "pods", "-w"]);
    watch.line_with("web-0").await;
    bench.until(|kube| kube.requests().iter().any(|seen| seen.query.contains("watch=true"))).await;
    let mut pod = bench.kube.get("pods", "default", "web-0").unwrap();
    pod["status"]["containerStatuses"][0]["restartCount"] = 7.into();
    bench.kube.put(pod).unwrap();
    let line = watch.line_with("web-0").await;
    assert_eq!(columns(&line, "web-0")[3], "7");
    bench.kube.delete("pods", "default", "logger-0");
    watch.line_with("logger-0").await;
    drop(watch);
    // The table of kubectl is gone, and with it the request.
    bench.until(|kube| kube.live_requests() == 0).await;
}

#[tokio::test]
async fn logs() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    assert_eq!(bench.admin(&["logs", "web-0"]).await.ok(), "listening on :80\n");
    let mut log = bench.follow(&["logs", "-f", "logger-0"]);
    assert!(log.line_with("line 3 ").await.ends_with('Z'));
    drop(log);
    bench.until(|kube| kube.live_requests() == 0 && kube.log_followers("default", "logger-0") == 0).await;

    let mut log = bench.follow(&["logs", "-f", "web-0", "--tail=0"]);
    bench.until(|kube| kube.log_followers("default", "web-0") == 1).await;
    bench.kube.push_log("default", "web-0", "pushed");
    assert_eq!(log.line_with("").await, "pushed");
}

#[tokio::test]
async fn rights() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    assert_eq!(bench.admin(&["auth", "can-i", "create", "pods"]).await.ok(), "yes\n");
    assert_eq!(bench.run("viewer", &["auth", "can-i", "list", "pods"]).await.ok(), "yes\n");
    let no = bench.run("viewer", &["auth", "can-i", "create", "pods"]).await;
    assert_eq!((no.success, no.out.as_str()), (false, "no\n"));
    assert!(bench.run("viewer", &["auth", "can-i", "--list"]).await.ok().contains("pods/log"));
    assert!(bench.run("viewer", &["auth", "whoami"]).await.ok().contains("alice"));
    bench.run("viewer", &["get", "pods"]).await.ok();
    let refused = bench.run("viewer", &["get", "secrets"]).await.refused();
    assert!(refused.contains(r#"(Forbidden): secrets is forbidden: User "alice" cannot list"#), "{refused}");
    let refused = bench.run("viewer", &["delete", "pod", "web-0"]).await.refused();
    assert!(refused.contains(r#"cannot delete resource "pods" in API group "" in the namespace "default""#), "{refused}");
    let unknown = bench.run("admin", &["get", "pods", "--token=wrong"]).await.refused();
    assert!(unknown.contains("Unauthorized"), "{unknown}");
}
