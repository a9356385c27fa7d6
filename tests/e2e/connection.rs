//! The connection of the real binary to the plane: through proxies, and over TLS that fails in every way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "connection/authority.rs"]
mod authority;
#[path = "harness.rs"]
mod harness;
#[path = "connection/proxies.rs"]
mod proxies;
#[path = "connection/proxy.rs"]
mod proxy;
#[path = "connection/server.rs"]
mod server;
#[path = "connection/tls.rs"]
mod tls;

use serde_json::Value;

use harness::{Agent, Bed, LIMIT, Setup};

/// A bed without a Kubernetes API.
fn bed(tls: bool, gateway: bool) -> Bed {
    Bed::new(Setup { tls, gateway, kube: false, ..Setup::default() })
}

/// The first failed dial: its error and its hint.
#[track_caller]
fn failure(agent: &Agent) -> (String, String) {
    let line = agent.wait_log(|line| line["hint"].is_string() && line["error"].is_string(), LIMIT);
    let text = |name: &str| line[name].as_str().map(str::to_owned).unwrap();
    assert!(text("error").starts_with("failed to connect via WebSocket: "), "{line}");
    (text("error"), text("hint"))
}

/// Host and port of a URL.
fn place(url: &str) -> String {
    let rest = url.split("://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

fn path(path: &std::path::Path) -> Value {
    path.display().to_string().into()
}
