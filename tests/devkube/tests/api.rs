//! The server by hand: what kubectl does not show, and what only the owner's handle can do.

// The exemption for tests covers test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use bytes::Bytes;
use devkube::{Behaviour, DevKube, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

async fn start(options: Options) -> DevKube {
    DevKube::start(options).await.unwrap()
}

/// One connection with what has been read of it.
struct Wire {
    stream: TcpStream,
    text: String,
}

impl Wire {
    async fn ask(kube: &DevKube, method: &str, path: &str, content_type: &str, body: &str) -> Wire {
        let stream = TcpStream::connect(kube.addr()).await.unwrap();
        let mut wire = Wire { stream, text: String::new() };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: kube\r\nconnection: close\r\nauthorization: Bearer devkube-admin-token\r\n\
             content-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        wire.stream.write_all(request.as_bytes()).await.unwrap();
        wire
    }

    async fn get(kube: &DevKube, path: &str) -> Wire {
        Wire::ask(kube, "GET", path, "", "").await
    }

    /// Reads once more; `false` at the end or when the connection broke.
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("nothing more comes") {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.text.push_str(&String::from_utf8_lossy(&buffer[..n]));
                true
            }
        }
    }

    async fn until(&mut self, part: &str) {
        while !self.text.contains(part) {
            assert!(self.more().await, "ended without {part:?}: {}", self.text);
        }
    }

    async fn whole(mut self) -> Answer {
        while self.more().await {}
        let (head, body) = self.text.split_once("\r\n\r\n").unwrap_or((&self.text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

async fn get(kube: &DevKube, path: &str) -> Answer {
    Wire::get(kube, path).await.whole().await
}

async fn send(kube: &DevKube, method: &str, path: &str, body: &Value) -> Answer {
    Wire::ask(kube, method, path, "application/json", &body.to_string()).await.whole().await
}

async fn until(kube: &DevKube, condition: impl FnMut(&DevKube) -> bool) {
    timeout(PATIENCE, kube.wait_for(condition)).await.expect("it never comes to that");
}

fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"v": value}})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn an_update_of_an_old_version_conflicts() {
    let kube = start(Options::default()).await;
    let created = send(&kube, "POST", MAPS, &config_map("a", "1")).await;
    assert_eq!(created.status, 201);
    let mut object = created.json();
    object["data"]["v"] = "2".into();
    let path = format!("{MAPS}/a");
    assert_eq!(send(&kube, "PUT", &path, &object).await.status, 200);
    let stale = send(&kube, "PUT", &path, &object).await;
    assert_eq!((stale.status, stale.json()["reason"].as_str()), (409, Some("Conflict")));
    let gone = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(send(&kube, "DELETE", &path, &gone).await.status, 409);
    assert_eq!(send(&kube, "DELETE", &path, &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_plain_write_does_not_touch_the_status() {
    let kube = start(Options::default()).await;
    let path = "/api/v1/namespaces/default/pods/web-0";
    let patch = r#"{"metadata":{"labels":{"x":"y"}},"status":{"phase":"Failed"}}"#;
    let kind = "application/merge-patch+json";
    Wire::ask(&kube, "PATCH", path, kind, patch).await.whole().await;
    let pod = kube.get("pods", "default", "web-0").unwrap();
    assert_eq!((&pod["status"]["phase"], &pod["metadata"]["labels"]["x"]), (&json!("Running"), &json!("y")));
    Wire::ask(&kube, "PATCH", &format!("{path}/status"), kind, patch).await.whole().await;
    assert_eq!(kube.get("pods", "default", "web-0").unwrap()["status"]["phase"], "Failed");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let kube = start(Options::default()).await;
    let mut object = config_map("held", "1");
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    kube.put(object).unwrap();
    let path = format!("{MAPS}/held");
    let waiting = send(&kube, "DELETE", &path, &json!({})).await.json();
    assert!(waiting["metadata"]["deletionTimestamp"].is_string());
    let release = r#"{"metadata":{"finalizers":null}}"#;
    Wire::ask(&kube, "PATCH", &path, "application/merge-patch+json", release).await.whole().await;
    assert_eq!(kube.get("configmaps", "default", "held"), None);
}

#[tokio::test]
async fn pages_show_one_moment_and_expire() {
    let kube = start(Options::default()).await;
    for name in ["a", "b", "c"] {
        kube.put(config_map(name, "1")).unwrap();
    }
    let first = get(&kube, &format!("{MAPS}?limit=1")).await.json();
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    let token = first["metadata"]["continue"].as_str().unwrap();
    kube.delete("configmaps", "default", "b");
    kube.put(config_map("d", "1")).unwrap();
    let rest = get(&kube, &format!("{MAPS}?limit=9&continue={token}")).await.json();
    let names: Vec<&str> = rest["items"].as_array().unwrap().iter().filter_map(|i| i["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    kube.force_gone();
    let expired = get(&kube, &format!("{MAPS}?limit=9&continue={token}")).await;
    assert_eq!((expired.status, expired.json()["reason"].as_str()), (410, Some("Expired")));
}

#[tokio::test]
async fn a_watch_resumes_is_cut_and_is_told_when_it_is_too_late() {
    let kube = start(Options { bookmark_interval: Duration::from_millis(5), ..Options::default() }).await;
    let version = kube.version();
    kube.put(config_map("a", "1")).unwrap();
    let path = format!("{MAPS}?watch=true&allowWatchBookmarks=true&resourceVersion={version}");
    let mut watch = Wire::get(&kube, &path).await;
    watch.until(r#""ADDED""#).await;
    watch.until(r#""BOOKMARK""#).await;
    kube.force_gone();
    kube.put(config_map("a", "2")).unwrap();
    watch.until(r#""MODIFIED""#).await;
    assert_eq!(kube.live_requests(), 1);
    kube.cut_watches();
    let cut = watch.whole().await;
    assert!(!cut.body.ends_with("0\r\n\r\n"), "a cut watch does not end properly");
    until(&kube, |kube| kube.live_requests() == 0).await;
    let late = get(&kube, &path).await;
    assert_eq!(late.status, 200);
    assert!(late.body.contains(r#""ERROR""#) && late.body.contains("too old resource version"), "{}", late.body);
    assert!(late.body.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn initial_events_end_with_a_mark() {
    let kube = start(Options::default()).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1";
    let answer = get(&kube, &format!("/api/v1/pods?{query}")).await;
    let (added, mark) = (answer.body.matches(r#""ADDED""#).count(), answer.body.contains("initial-events-end"));
    assert_eq!((added, mark), (2, true));
    assert_eq!(get(&kube, "/api/v1/pods?watch=1&sendInitialEvents=true").await.status, 422);
}

#[tokio::test]
async fn hanging_requests_are_seen_and_counted_until_the_client_goes() {
    let kube = start(Options::default()).await;
    kube.set_behaviour("/api/v1/nodes", Behaviour::Hang);
    let wire = Wire::ask(&kube, "POST", "/api/v1/nodes?a=b", "text/plain", "hello").await;
    until(&kube, |kube| kube.requests().iter().any(|seen| seen.body == "hello")).await;
    let seen = kube.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.query.as_str()), ("POST", "/api/v1/nodes", "a=b"));
    assert_eq!((seen.user.as_deref(), seen.status), (Some("devkube-admin"), None));
    assert_eq!(seen.header("Authorization"), Some("Bearer devkube-admin-token"));
    assert_eq!(kube.live_requests(), 1);
    drop(wire);
    until(&kube, |kube| kube.live_requests() == 0).await;
    kube.clear_requests();
    assert!(kube.requests().is_empty());
}

#[tokio::test]
async fn bodies_break_off_on_order() {
    let kube = start(Options::default()).await;
    let path = "/api/v1/big";
    let size = 3_000_000;
    assert!(kube.put_blob(path, "text/plain", Bytes::from(vec![b'x'; size])));
    assert!(!kube.put_blob("/elsewhere", "text/plain", Bytes::new()));
    let whole = get(&kube, path).await;
    assert!(whole.head.contains(&format!("content-length: {size}")));
    assert_eq!(whole.body.len(), size);
    kube.set_behaviour(path, Behaviour::CutBody);
    let cut = get(&kube, path).await;
    assert!(cut.head.contains(&format!("content-length: {size}")));
    assert_eq!(cut.body.len(), size / 2);
    kube.set_behaviour(path, Behaviour::HangBody);
    let mut wire = Wire::get(&kube, path).await;
    let body = |wire: &Wire| wire.text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    while body(&wire) < size / 2 {
        assert!(wire.more().await);
    }
    assert_eq!((body(&wire), kube.live_requests()), (size / 2, 1));
    drop(wire);
    until(&kube, |kube| kube.live_requests() == 0).await;
    let slow = Behaviour::SlowBody { chunk: size / 4, interval: Duration::from_millis(1) };
    kube.set_behaviour(path, slow);
    assert_eq!(get(&kube, path).await.body.len(), size);
    kube.set_behaviour(path, Behaviour::Status(503));
    assert_eq!(get(&kube, path).await.json()["reason"], "ServiceUnavailable");
    kube.set_behaviour(path, Behaviour::Delay(Duration::from_millis(1)));
    assert_eq!(get(&kube, path).await.status, 200);
}

#[tokio::test]
async fn streams_break_off_too() {
    let kube = start(Options::default()).await;
    kube.set_behaviour("/api/v1/pods", Behaviour::CutBody);
    let cut = get(&kube, "/api/v1/pods?watch=1").await;
    assert_eq!(cut.status, 200);
    assert!(!cut.body.is_empty() && !cut.body.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn bodies_come_back() {
    let kube = start(Options::default()).await;
    let echoed = Wire::ask(&kube, "POST", "/api/v1/devkube/echo", "text/plain", "foobar").await.whole().await;
    assert_eq!(echoed.json(), json!({"length": 6, "fnv1a64": "85944171f73967e8"}));
    // The first part is on its way back before the second has been sent.
    let mut stream = TcpStream::connect(kube.addr()).await.unwrap();
    let head = "POST /api/v1/devkube/mirror HTTP/1.1\r\nhost: kube\r\nauthorization: bearer devkube-viewer-token\r\n\
                content-length: 10\r\nconnection: close\r\n\r\nfirst";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut wire = Wire { stream, text: String::new() };
    wire.until("first").await;
    wire.stream.write_all(b"after").await.unwrap();
    wire.until("after").await;
    assert_eq!(wire.whole().await.status, 200);
    assert_eq!(kube.requests().pop().unwrap().body, "firstafter");
}

#[tokio::test]
async fn strangers_see_little() {
    let kube = start(Options::default()).await;
    for (path, status) in [("/healthz", 200), ("/version", 200), ("/api", 401), ("/api/v1/pods", 401), ("/nope", 401)] {
        let mut stream = TcpStream::connect(kube.addr()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: kube\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = Wire { stream, text: String::new() }.whole().await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(kube.requests().len(), 5);
    assert!(kube.requests().iter().all(|seen| seen.user.is_none()));
}

#[tokio::test]
async fn shutting_down_closes_everything() {
    let kube = start(Options::default()).await;
    let mut watch = Wire::get(&kube, "/api/v1/pods?watch=1").await;
    watch.until("web-0").await;
    kube.shutdown().await;
    while watch.more().await {}
    assert_eq!(kube.live_requests(), 0);
    assert!(TcpStream::connect(kube.addr()).await.is_err());
    assert_eq!(kube.requests().len(), 1);
}

#[tokio::test]
async fn the_audit_hears_every_answer() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let audit: devkube::Audit = std::sync::Arc::new(move |seen| {
        let _ = sender.send((seen.path.clone(), seen.status));
    });
    let kube = start(Options { audit: Some(audit), ..Options::default() }).await;
    get(&kube, "/api/v1/pods/x").await;
    assert_eq!(receiver.recv().await, Some(("/api/v1/pods/x".to_owned(), Some(404))));
}
