//! The program itself.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::client::request;

const PROGRAM: &str = env!("CARGO_BIN_EXE_devplane");

#[test]
fn serving_until_a_signal() {
    let mut child = Command::new(PROGRAM).args(["serve", "--mini-kube", "--token", "t"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let facts: Value = serde_json::from_str(&line).unwrap();
    let text = |name: &str| facts[name].as_str().unwrap().to_owned();
    assert_eq!(text("token"), "t");
    assert!(text("api_url").starts_with("https://127.0.0.1:") && text("apps_url").starts_with("http://"));
    let ca = std::fs::read_to_string(text("ca_file")).unwrap();
    assert_eq!(request(&text("kube_url"), &ca, "GET / HTTP/1.1\nHost: kube", b"").status, 503);

    let config: Value = serde_json::from_str(&std::fs::read_to_string(text("kubeconfig")).unwrap()).unwrap();
    let cluster = &config["clusters"][0]["cluster"];
    let kube_ca = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        cluster["certificate-authority-data"].as_str().unwrap(),
    );
    let kube_ca = String::from_utf8(kube_ca.unwrap()).unwrap();
    let get = |token: &str| {
        let head = format!("GET /api/v1/namespaces HTTP/1.1\nHost: kube\nAuthorization: Bearer {token}");
        request(cluster["server"].as_str().unwrap(), &kube_ca, &head, b"").status
    };
    assert_eq!(get(&text("kube_token")), 200);
    assert_eq!(get(config["users"][0]["user"]["token"].as_str().unwrap()), 200);

    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_and_mistakes() {
    let help = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("--app HOST="));
    let mistake = Command::new(PROGRAM).args(["serve", "--nothing"]).output().unwrap();
    assert_eq!(mistake.status.code(), Some(64));
    assert!(mistake.stdout.is_empty());
}
