//! Messages of a plane that is strange, newer, or hostile.

use std::collections::BTreeSet;

use super::harness::LIMIT;
use super::{LOST, bed, connection, finish, text};

#[test]
fn must6_a_ping_is_answered_with_its_id() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.with_plane(|plane| {
        let connection = connection(plane);
        plane.send(connection, "ping", Some("ping-\u{e9}\"\\1"), serde_json::json!({}));
    });
    agent.until(&bed, "a pong", |plane| plane.records().others.iter().any(|it| it.kind == "pong"));
    let records = bed.records();
    let pong = records.others.iter().find(|it| it.kind == "pong").unwrap();
    assert_eq!(pong.request_id.as_deref(), Some("ping-\u{e9}\"\\1"));
    agent.stop();
    // This ping did not come from the plane's own counter.
    bed.assert_clean_but(|breach| matches!(breach, devplane::plane::Breach::Unasked { message } if message == "pong"));
}

#[test]
fn must6_the_pings_of_the_plane_are_answered() {
    let bed = bed();
    bed.set_faults(|faults| faults.json_ping_every = Some(200));
    bed.with_plane(|plane| plane.config.ping_every = Some(200));
    let agent = bed.agent().online();
    agent.until(&bed, "pongs of both kinds", |plane| {
        let records = plane.records();
        let json = records.others.iter().filter(|it| it.kind == "pong").count();
        json >= 3 && records.pongs.total() >= 3
    });
    finish(agent, &bed);
}

#[test]
fn b62_an_unknown_type_gets_one_honest_fallback() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.with_plane(|plane| {
        let connection = connection(plane);
        for _ in 0..3 {
            plane.send_unknown(connection);
        }
        plane.send_json_ping(connection);
    });
    agent.until(&bed, "a pong", |plane| plane.records().others.iter().any(|it| it.kind == "pong"));
    let records = bed.records();
    let fallbacks: Vec<_> = records.others.iter().filter(|it| it.kind == "protocol_fallback").collect();
    assert_eq!(fallbacks.len(), 1);
    let payload = &fallbacks[0].payload;
    assert_eq!(fallbacks[0].request_id, None);
    assert_eq!(payload["agent_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(payload["unknown_type"], "future_message_v2");
    let types: BTreeSet<_> = payload["supported_types"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    for needed in [
        "error",
        "gateway_hello",
        "heartbeat_ack",
        "ping",
        "pong",
        "proxy_cancel",
        "proxy_request",
        "proxy_request_chunk",
        "proxy_request_stream_end",
        "register_in_progress",
        "register_success",
    ] {
        assert!(types.contains(needed), "{needed} in {types:?}");
    }
    let lines = agent.wait_msgs("Unknown message type received from control plane", 3, LIMIT);
    let levels: Vec<_> = lines.iter().map(|line| text(line, "level")).collect();
    assert_eq!(levels, ["warning", "debug", "debug"]);
    finish(agent, &bed);
}

#[test]
fn b12_a_message_that_is_far_too_long_ends_the_connection_only() {
    let bed = bed();
    let mut agent = bed.agent().online();
    bed.with_plane(|plane| {
        let connection = connection(plane);
        let filler = "x".repeat(20 * 1024 * 1024);
        plane.send_raw(connection, format!(r#"{{"type":"heartbeat_ack","payload":{{"filler":"{filler}"}}}}"#));
    });
    let line = agent.wait_msg(LOST, LIMIT);
    assert!(text(&line, "error").contains("more than"), "{line}");
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().registers.total() == 2);
    assert!(agent.is_alive());
    finish(agent, &bed);
}

#[test]
fn b12_messages_that_are_tedious_or_nonsense_are_survived() {
    let bed = bed();
    let mut agent = bed.agent().online();
    bed.with_plane(|plane| {
        let connection = connection(plane);
        let values = vec!["0"; 200_000].join(",");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [
            format!(r#"{{"type":"heartbeat_ack","payload":[{values}]}}"#),
            format!(r#"{{"type":"heartbeat_ack","payload":{{"x":[{values}]}}}}"#),
            format!(r#"{{"type":"heartbeat_ack","payload":{deep}}}"#),
            String::new(),
            "null".into(),
            "[]".into(),
            "{".into(),
            r#"{"type":7}"#.into(),
            r#"{"type":"register_success"}"#.into(),
            r#"{"type":"proxy_request"}"#.into(),
            r#"{"type":"proxy_cancel","request_id":"never"}"#.into(),
            r#"{"type":"gateway_hello","payload":null}"#.into(),
        ] {
            plane.send_raw(connection, text);
        }
        plane.send_raw_binary(connection, vec![0xff; 100]);
        plane.send_json_ping(connection);
    });
    agent.until(&bed, "a pong", |plane| plane.records().others.iter().any(|it| it.kind == "pong"));
    assert!(agent.is_alive());
    assert_eq!(bed.records().upgrades.total(), 2, "{}", agent.text());
    agent.stop();
}
