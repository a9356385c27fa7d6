//! The numbers: that they count, and that nothing from outside becomes a series.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use devplane::plane::ProxyRequest;
use serde_json::json;

use crate::door::{listening, series};
use crate::harness::{ADMIN_TOKEN, Bed, Setup};
use crate::rig::{CONFIG_MAPS, ECHO, MARK, Rig, bare, blob, get, head, request};

fn rig() -> (Rig, SocketAddr) {
    let bed = Bed::new(Setup::default());
    let (agent, address) = listening(|| bed.agent());
    agent.online(&bed);
    (Rig { bed, agent }, address)
}

fn ended(kind: &str, outcome: &str) -> String {
    format!("pipeops_agent_exchanges_total{{target=\"kubernetes\",kind=\"{kind}\",outcome=\"{outcome}\"}}")
}

fn error(class: &str) -> String {
    format!("pipeops_agent_exchange_errors_total{{error=\"{class}\"}}")
}

const OPEN_STREAMS: &str = "pipeops_agent_exchanges_open{target=\"kubernetes\",kind=\"stream\"}";

#[test]
fn exchanges_are_counted_by_what_became_of_them() {
    let (rig, address) = rig();
    let before = series(address);
    assert_eq!(before[&ended("stream", "answered")], 0.0);
    for _ in 0..3 {
        assert_eq!(rig.ask(get("/version")).status, 200);
    }
    for _ in 0..2 {
        assert_eq!(rig.ask(get("/version").buffered()).status, 200);
    }
    // Without a credential nothing is asked.
    assert_eq!(rig.ask(bare("GET", "/version")).status, 401);
    assert_eq!(rig.ask(get("/metrics")).status, 403);
    // A watch that is open, and then left.
    let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut watch), 200);
    assert_eq!(series(address)[OPEN_STREAMS], 1.0);
    drop(watch);
    rig.until("the watch is over", |kube| kube.live_requests() == 0);
    rig.settle();
    let bytes = blob(&rig, 300_000);
    assert_eq!(rig.ask(get(crate::rig::BLOB)).body.len(), bytes.len());
    let after = series(address);
    assert_eq!((after[&ended("stream", "answered")], after[&ended("request", "answered")]), (4.0, 2.0));
    assert_eq!((after[&ended("stream", "cancelled")], after[OPEN_STREAMS]), (1.0, 0.0));
    assert_eq!((after[&error("unauthorized")], after[&error("denied")]), (1.0, 1.0));
    assert_eq!(after["pipeops_agent_requests_refused_total"], 2.0);
    let moved = |name: &str| after[name] - before[name];
    assert!(moved("pipeops_agent_tunnel_bytes_total{direction=\"to_plane\"}") > 400_000.0, "{after:?}");
    assert!(moved("pipeops_agent_tunnel_bytes_total{direction=\"from_plane\"}") > 500.0, "{after:?}");
    assert_eq!((after["pipeops_agent_budget_used_bytes"], after["pipeops_agent_exchange_table_size"]), (0.0, 0.0));
    assert!(after["pipeops_agent_budget_peak_bytes"] > 0.0);
    // What is under way when the connection is lost is lost with it.
    let mut watch = rig.open(get(CONFIG_MAPS).query("watch=true"));
    assert_eq!(head(&mut watch), 200);
    let upgrades = rig.bed.records().upgrades.total();
    rig.bed.with_plane(|plane| plane.drop_agents());
    rig.agent.until(&rig.bed, "the return", move |plane| plane.online() > 0 && plane.records().upgrades.total() == upgrades + 2);
    let after = series(address);
    assert_eq!((after[&ended("stream", "lost")], after[OPEN_STREAMS]), (1.0, 0.0));
    assert_eq!(after["pipeops_agent_websocket_reconnections_total"], 1.0);
    assert_eq!(after["pipeops_agent_reconnects_total{reason=\"closed\"}"], 1.0);
    let bytes = "pipeops_agent_tunnel_bytes_total{direction=\"to_plane\"}";
    assert!(after[bytes] > 400_000.0, "counters never go back: {}", after[bytes]);
    rig.finish();
}

#[test]
fn b41_nothing_from_outside_becomes_a_series() {
    let (rig, address) = rig();
    let names = || series(address).into_keys().collect::<BTreeSet<_>>();
    let before = names();
    for number in 0..40 {
        let evil = format!("evil-{number}\"}} 1\n# HELP x");
        let path = format!("/api/v1/namespaces/evil-{number}/pods");
        rig.ask(get(&path));
        rig.ask(request(&format!("EVIL{number}"), "/api"));
        rig.ask(get(&evil));
        let mut service = ProxyRequest::get("/").header(MARK, "1").header("Host", format!("evil-{number}.example"));
        service.namespace = Some(format!("evil-{number}"));
        (service.service_name, service.service_port) = (Some("evil".into()), Some(8080));
        rig.ask(service);
        let text = json!({"type": evil, "request_id": evil, "payload": {"type": evil}}).to_string();
        drop(rig.bed.plane.request_raw(&format!("unknown-{number}"), &text));
        let text = json!({
            "type": "proxy_request", "request_id": format!("bad-{number}"),
            "payload": {
                "method": "POST", "path": ECHO, "body": "?", "body_encoding": "base64",
                "headers": {"Authorization": [format!("Bearer {ADMIN_TOKEN}")], MARK: "1"},
            },
        });
        drop(rig.bed.plane.request_raw(&format!("bad-{number}"), &text.to_string()));
    }
    rig.settle();
    let after = series(address);
    assert!(after[&error("bad_request")] >= 40.0 && after[&error("denied")] >= 40.0, "{after:?}");
    let after: BTreeSet<_> = after.into_keys().collect();
    assert_eq!(before, after);
    assert!(!after.iter().any(|name| name.contains("evil") || name.contains("default")), "{after:?}");
    rig.agent.stop();
}
