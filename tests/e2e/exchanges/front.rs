//! The real kubectl, and a plain HTTPS client, through the plane's front door.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;

use crate::harness::ADMIN_TOKEN;
use crate::kubectl::{Following, kubectl, ok};
use crate::rig::{CONFIG_MAPS, PATIENCE, Rig, config_map};

#[test]
fn f04_kubectl_get_apply_delete() {
    let rig = Rig::start();
    let Some(mut get) = kubectl(&rig, &["get", "pods"]) else {
        return;
    };
    let started = Instant::now();
    let pods = ok(&rig, &get.output().unwrap());
    println!("kubectl get pods: {:?}", started.elapsed());
    assert!(pods.contains("web-0") && pods.contains("logger-0"), "{pods}");

    let manifest = rig.bed.folder().join("manifest.json");
    std::fs::write(&manifest, config_map("applied").to_string()).unwrap();
    let run = |arguments: &[&str]| ok(&rig, &kubectl(&rig, arguments).unwrap().output().unwrap());
    let file = manifest.to_str().unwrap();
    assert!(run(&["apply", "-f", file]).contains("created"));
    assert!(run(&["apply", "-f", file]).contains("unchanged"));
    let mut changed = config_map("applied");
    changed["data"]["key"] = "changed".into();
    std::fs::write(&manifest, changed.to_string()).unwrap();
    assert!(run(&["apply", "-f", file]).contains("configured"));
    let data = run(&["get", "configmap", "applied", "-o", "jsonpath={.data.key}"]);
    assert_eq!(data, "changed");
    assert!(run(&["delete", "-f", file]).contains("deleted"));
    assert_eq!(rig.kube().get("configmaps", "default", "applied"), None);
    let gone = kubectl(&rig, &["get", "configmap", "applied"]).unwrap();
    let gone = { gone }.output().unwrap();
    assert!(String::from_utf8_lossy(&gone.stderr).contains("NotFound"));
    rig.finish();
}

#[test]
fn f04_kubectl_get_watch() {
    let rig = Rig::start();
    let Some(watch) = kubectl(&rig, &["get", "configmaps", "-w", "-o", "name"]) else {
        return;
    };
    let watch = Following::start(watch);
    rig.until("kubectl watches", |kube| {
        kube.requests().iter().any(|seen| seen.path == CONFIG_MAPS && seen.query.contains("watch=true"))
    });
    for name in ["one", "two", "three"] {
        rig.kube().put(config_map(name)).unwrap();
        watch.line_with(&format!("configmap/{name}"));
    }
    drop(watch);
    println!("watch closed after kubectl's end: {:?}", rig.idle_after(Instant::now()));
    rig.finish();
}

#[test]
fn f04_kubectl_logs_follow() {
    let rig = Rig::start();
    let Some(logs) = kubectl(&rig, &["logs", "-f", "web-0"]) else {
        return;
    };
    let logs = Following::start(logs);
    logs.line_with("listening on :80");
    for number in 0..20 {
        let line = format!("request {number}");
        rig.kube().push_log("default", "web-0", &line);
        assert_eq!(logs.line_with("request"), line);
    }
    drop(logs);
    rig.until("nobody follows", |kube| kube.log_followers("default", "web-0") == 0);
    rig.finish();
}

/// Sends one request and reads until the server closes.
fn https(rig: &Rig, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    let address = rig.bed.plane.kube_url().trim_start_matches("https://").to_owned();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(rig.bed.plane.ca_pem().as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = address.split(':').next().unwrap().to_owned();
    let name = ServerName::try_from(host).unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(&address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    // Some servers end without TLS's own farewell; what came before is complete by its length.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8(answer).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

#[test]
fn f04_a_plain_https_client() {
    let rig = Rig::start();
    let (status, text) = https(&rig, "GET", "/api/v1/namespaces/default/pods", None);
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("\"web-0\""), "{text}");
    let object = config_map("front");
    assert_eq!(https(&rig, "POST", CONFIG_MAPS, Some(&object)).0, 201);
    assert_eq!(https(&rig, "POST", CONFIG_MAPS, Some(&object)).0, 409);
    let one = format!("{CONFIG_MAPS}/front");
    assert_eq!(https(&rig, "DELETE", &one, None).0, 200);
    assert_eq!(https(&rig, "GET", &one, None).0, 404);
    rig.finish();
}
