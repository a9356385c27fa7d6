//! Streams into pods with the real kubectl. Skipped, and saying so, where there is no kubectl.

// The exemption for tests covers test functions only, not what they share; and not every file uses all of that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, dead_code, unreachable_pub)]

mod support;

use devapp::{pattern, sha256};
use support::Bench;

#[tokio::test]
async fn commands_run_and_their_codes_come_back() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    assert_eq!(bench.admin(&["exec", "web-0", "--", "echo", "a", "b c"]).await.ok(), "a b c\n");
    let both = bench.admin(&["exec", "web-0", "-c", "web", "--", "both"]).await;
    assert_eq!((both.success, both.out.as_str(), both.err.as_str()), (true, "out\n", "err\n"));
    assert_eq!(bench.admin(&["exec", "web-0", "--", "lines", "3"]).await.ok(), "line 1\nline 2\nline 3\n");
    for command in [&["exit", "7"][..], &["sh", "-c", "exit 7"]] {
        let ended = bench.admin(&[&["exec", "web-0", "--"], command].concat()).await;
        assert_eq!((ended.code, ended.err.trim()), (Some(7), "command terminated with exit code 7"));
    }
    let unknown = bench.admin(&["exec", "web-0", "--", "rm"]).await.refused();
    assert!(unknown.contains("executable file not found"), "{unknown}");
    let seen = bench.kube.requests().into_iter().find(|seen| seen.path.ends_with("/pods/web-0/exec")).unwrap();
    assert_eq!(seen.protocol.as_deref(), Some("v5.channel.k8s.io"));
    assert_eq!((seen.user.as_deref(), seen.status), (Some("root"), Some(101)));
    bench.until(|kube| kube.live_requests() == 0).await;
}

#[tokio::test]
async fn stdin_arrives_whole() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let mut bytes = vec![0; 8 * 1024 * 1024];
    pattern(0, &mut bytes);
    let sum = format!("{}  -\n", sha256(&bytes));
    assert_eq!(bench.run_with("admin", &["exec", "-i", "web-0", "--", "sha256sum"], bytes).await.ok(), sum);
    let back = bench.run_with("admin", &["exec", "-i", "web-0", "--", "cat"], b"there and back".to_vec()).await.ok();
    assert_eq!(back, "there and back");
    // Nothing is read of it, and still it ends properly.
    let ended = bench.run_with("admin", &["exec", "-i", "web-0", "--", "exit", "3"], vec![b'x'; 1024 * 1024]).await;
    assert_eq!(ended.code, Some(3));
}

#[tokio::test]
async fn stdout_arrives_whole() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let said = bench.admin(&["exec", "web-0", "--", "sh", "-c", "lines 20000"]).await.ok();
    assert_eq!((said.lines().count(), said.lines().last()), (20_000, Some("line 20000")));
}

#[tokio::test]
async fn attaches_to_what_runs() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let said = bench.run_with("admin", &["attach", "-i", "web-0"], b"one\ntwo\n".to_vec()).await;
    assert!(said.success && said.out.ends_with("one\ntwo\n"), "{}{}", said.out, said.err);
    let seen = bench.kube.requests().into_iter().find(|seen| seen.path.ends_with("/pods/web-0/attach")).unwrap();
    assert_eq!(seen.protocol.as_deref(), Some("v5.channel.k8s.io"));
}

#[tokio::test]
async fn what_is_refused_is_refused_in_words() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let refused = bench.run("viewer", &["exec", "web-0", "--", "echo"]).await.refused();
    assert!(refused.contains(r#"pods "web-0" is forbidden: User "alice""#), "{refused}");
    let refused = bench.admin(&["exec", "web-9", "--", "echo"]).await.refused();
    assert!(refused.contains(r#"pods "web-9" not found"#), "{refused}");
    let refused = bench.admin(&["exec", "web-0", "-c", "other", "--", "echo"]).await.refused();
    assert!(
        refused.contains("container other is not valid for pod web-0") || refused.contains("container not found"),
        "{refused}"
    );
    let refused = bench.admin(&["port-forward", "web-0", ":80"]).await.refused();
    assert!(refused.contains("SPDY/3.1"), "{refused}");
    assert_eq!(bench.run("viewer", &["auth", "can-i", "create", "pods/exec"]).await.out, "no\n");
    assert_eq!(bench.admin(&["auth", "can-i", "create", "pods", "--subresource=exec"]).await.ok(), "yes\n");
}

#[tokio::test]
async fn services_and_endpoint_slices() {
    let Some(bench) = Bench::start().await else {
        return;
    };
    let manifest = r#"
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  clusterIP: 10.43.7.7
  ports: [{name: web, port: 80, targetPort: http, appProtocol: kubernetes.io/ws}]
---
apiVersion: v1
kind: Service
metadata: {name: away}
spec: {type: ExternalName, externalName: away.example}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
ports: [{name: web, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.42.0.9], conditions: {ready: true}}]
"#;
    std::fs::write(bench.home.path().join("manifest.yaml"), manifest).unwrap();
    bench.admin(&["apply", "-f", "manifest.yaml"]).await.ok();
    let field = async |path: &str, what: &str| bench.admin(&["get", what, "-o", &format!("jsonpath={{{path}}}")]).await.ok();
    assert_eq!(field(".spec.clusterIP", "service/shop").await, "10.43.7.7");
    assert_eq!(field(".spec.ports[0].appProtocol", "service/shop").await, "kubernetes.io/ws");
    assert_eq!(field(".spec.ports[0].targetPort", "service/shop").await, "http");
    assert_eq!(field(".spec.externalName", "service/away").await, "away.example");
    assert_eq!(field(".spec.clusterIP", "service/away").await, "");
    assert_eq!(field(".endpoints[0].addresses[0]", "endpointslice/shop-1").await, "10.42.0.9");
    let table = bench.admin(&["get", "endpointslices", "-l", "kubernetes.io/service-name=shop"]).await.ok();
    let row: Vec<&str> = table.lines().nth(1).unwrap_or_default().split_whitespace().take(4).collect();
    assert_eq!(row, ["shop-1", "IPv4", "8080", "10.42.0.9"]);
    assert!(field(".items[0].status.addresses", "nodes").await.contains("InternalIP"));
}
