//! Upgrades, registration, heartbeats, pings.

use serde_json::json;

use super::*;
use crate::plane::{AgentState, Role};

#[test]
fn registration_and_switch_to_the_gateway() {
    let mut bench = Bench::new(PlaneConfig { gateway_url: Some(GATEWAY.into()), distinct_uuid: true, ..PlaneConfig::default() });
    let first = bench.connect();
    bench.register(first, "r1");
    let answer = bench.last().clone();
    assert_eq!((answer["type"].as_str(), answer["request_id"].as_str()), (Some("register_success"), Some("r1")));
    assert_eq!(answer["payload"]["gateway_ws_url"], GATEWAY);
    let (id, uuid) = (answer["payload"]["cluster_id"].clone(), answer["payload"]["cluster_uuid"].clone());
    assert_ne!(id, uuid);
    assert_eq!(bench.plane.online(), 0);
    assert_eq!(bench.plane.clusters().next().unwrap().state, AgentState::Registered);

    bench.plane.receive(bench.now, first, Incoming::Close { code: 1000, reason: String::new() });
    bench.drain();
    assert_eq!(bench.other, [Output::Close { connection: first, code: 1000, reason: String::new() }]);
    bench.plane.closed(bench.now, first);
    let second = bench.accepted(&gateway(uuid.as_str().unwrap()));
    assert_eq!(bench.plane.online(), 1);
    bench.heartbeat(second);
    assert_eq!(bench.last()["type"], "heartbeat_ack");
    bench.assert_breaches(&[]);
    let records = bench.plane.records();
    assert_eq!((records.registers.len(), records.heartbeats.len(), records.upgrades.len()), (1, 1, 2));
    assert_eq!(records.disconnects.last().unwrap().code, Some(1000));
    assert_eq!(records.upgrades.last().unwrap().role, Role::Gateway);
    bench.plane.closed(bench.now, second);
    assert_eq!(bench.plane.online(), 0);
}

#[test]
fn controller_mode_is_online_at_once() {
    let (mut bench, connection) = Bench::online();
    assert_eq!(bench.plane.online(), 1);
    bench.heartbeat(connection);
    bench.assert_breaches(&[]);
    // After a reconnect a heartbeat alone takes the cluster up again.
    bench.plane.closed(bench.now, connection);
    let again = bench.connect();
    bench.heartbeat(again);
    assert_eq!(bench.plane.online(), 1);
    bench.assert_breaches(&[]);
}

#[test]
fn tokens_are_checked() {
    let mut bench = Bench::new(PlaneConfig { tokens: vec!["right".into()], ..PlaneConfig::default() });
    for headers in [
        vec![],
        vec![("authorization".to_owned(), "Bearer secret".to_owned())],
        vec![("authorization".to_owned(), "right".to_owned())],
        vec![("a".to_owned(), "Bearer right".to_owned())],
    ] {
        let verdict = bench.plane.accept(0, &Upgrade { headers, ..controller() });
        assert_eq!(verdict, Verdict::Refuse { status: 401, headers: vec![] });
    }
    let headers = vec![("authorization".to_owned(), "Bearer right".to_owned())];
    bench.accepted(&Upgrade { headers, ..controller() });
    assert_eq!(bench.plane.records().upgrades.iter().map(|it| it.status).collect::<Vec<_>>(), [401, 401, 401, 401, 101]);
}

#[test]
fn breaches_of_the_upgrade() {
    let mut bench = Bench::with_gateway();
    let mut upgrade = gateway("x");
    upgrade.query = "cluster_uuid=x&supports_yamux=1&token=secret".into();
    upgrade.headers.push(("Sec-WebSocket-Protocol".into(), "p".into()));
    upgrade.headers.push(("Sec-WebSocket-Extensions".into(), "e".into()));
    bench.accepted(&upgrade);
    bench.assert_breaches(&[
        Breach::QueryParameterMissing("agent_version"),
        Breach::QueryParameterMissing("supports_binary"),
        Breach::QueryParameterMissing("supports_response_streaming"),
        Breach::QueryParameterMissing("supports_streaming"),
        Breach::QueryParameterMissing("supports_websocket"),
        Breach::QueryParameterWrong { name: "supports_yamux", value: "1".into() },
        Breach::TokenInQuery,
        Breach::SubProtocolAsked("p".into()),
        Breach::ExtensionsAsked("e".into()),
    ]);
}

#[test]
fn a_gateway_without_a_known_cluster() {
    let mut bench = Bench::with_gateway();
    bench.plane.config.adopt_unknown_clusters = false;
    assert_eq!(bench.plane.accept(0, &gateway("x")), Verdict::Refuse { status: 403, headers: vec![] });
    assert_eq!(bench.plane.accept(0, &gateway("")), Verdict::Refuse { status: 400, headers: vec![] });
}

#[test]
fn a_second_connection_of_a_cluster_replaces_the_first() {
    let mut bench = Bench::with_gateway();
    let first = bench.accepted(&gateway("x"));
    let second = bench.accepted(&gateway("x"));
    assert_eq!(bench.other, [Output::Drop { connection: first }]);
    assert_eq!(bench.plane.cluster("x").unwrap().connection, Some(second));
    assert_eq!(bench.plane.records().overlaps.len(), 1);
}

#[test]
fn breaches_of_a_registration() {
    let mut bench = Bench::new(PlaneConfig::default());
    let connection = bench.connect();
    let mut payload = registration();
    payload["metadata"]["registration_mode"] = "resume".into();
    payload["labels"] = json!({"a": 1});
    payload["server_specs"]["cores"] = 1.into();
    payload.as_object_mut().unwrap().remove("name");
    bench.say(connection, "register", Some("r1"), payload);
    let message = || "register".to_owned();
    bench.assert_breaches(&[
        Breach::FieldMissing { message: message(), field: "name".into() },
        Breach::FieldType { message: message(), field: "labels".into(), expected: "object of strings" },
        Breach::FieldUnknown { message: "register.server_specs".into(), field: "cores".into() },
        field_value("register.metadata", "registration_mode", "resume"),
    ]);
    bench.register(connection, "r1");
    bench.assert_breaches(&[Breach::RequestIdUsedTwice { id: "r1".into() }]);
    bench.say(connection, "register", None, registration());
    bench.assert_breaches(&[Breach::RequestIdMissing { message: message() }]);
}

#[test]
fn registering_on_the_gateway() {
    let mut bench = Bench::with_gateway();
    let connection = bench.accepted(&gateway("x"));
    bench.register(connection, "r1");
    bench.assert_breaches(&[Breach::WrongSocket { message: "register".into(), role: Role::Gateway }]);
    assert!(bench.sent.is_empty());
}

#[test]
fn breaches_of_a_heartbeat() {
    let mut bench = Bench::new(PlaneConfig::default());
    let connection = bench.connect();
    bench.say(connection, "heartbeat", None, beat("x"));
    bench.assert_breaches(&[Breach::HeartbeatBeforeRegister]);
    bench.register(connection, "r1");
    let mut payload = beat("x");
    payload["agent_id"] = "y".into();
    payload["status"] = "fine".into();
    payload["worker_join"] = json!({});
    bench.say(connection, "heartbeat", Some("h"), payload);
    bench.assert_breaches(&[
        Breach::RequestIdUnexpected { message: "heartbeat".into() },
        field_value("heartbeat", "status", "fine"),
        Breach::FieldMissing { message: "heartbeat.worker_join".into(), field: "provider".into() },
        field_value("heartbeat", "cluster_id", "x"),
        field_value("heartbeat", "agent_id", "y"),
    ]);
}

#[test]
fn a_heartbeat_on_the_controller_when_there_is_a_gateway() {
    let mut bench = Bench::with_gateway();
    let connection = bench.connect();
    bench.register(connection, "r1");
    bench.heartbeat(connection);
    bench.assert_breaches(&[Breach::WrongSocket { message: "heartbeat".into(), role: Role::Controller }]);
}

#[test]
fn json_pings_and_pongs() {
    let (mut bench, connection) = Bench::online();
    bench.plane.send_json_ping(connection);
    bench.drain();
    let id = bench.last()["request_id"].as_str().unwrap().to_owned();
    let payload = json!({"timestamp": "2026-11-23T00:21:49Z"});
    bench.say(connection, "pong", Some(&id), payload.clone());
    bench.assert_breaches(&[]);
    bench.say(connection, "pong", Some(&id), payload);
    bench.assert_breaches(&[Breach::Unasked { message: "pong".into() }]);
    bench.say(connection, "pong", None, json!({}));
    bench.assert_breaches(&[
        Breach::RequestIdMissing { message: "pong".into() },
        Breach::FieldMissing { message: "pong".into(), field: "timestamp".into() },
    ]);
}

#[test]
fn one_fallback_for_each_unknown_type() {
    let (mut bench, connection) = Bench::online();
    let payload = json!({
        "agent_version": "a", "unknown_type": "future_message_v2", "supported_types": ["ping"],
        "fallback_mode": "legacy_proxy", "protocol_version": "1.0", "timestamp": "2026-11-23T00:21:49Z",
        "original_request_id": "u",
    });
    bench.say(connection, "protocol_fallback", None, payload.clone());
    bench.assert_breaches(&[Breach::Unasked { message: "protocol_fallback".into() }]);
    bench.plane.send_unknown(connection);
    bench.say(connection, "protocol_fallback", None, payload.clone());
    bench.assert_breaches(&[]);
    bench.say(connection, "protocol_fallback", None, payload);
    bench.assert_breaches(&[Breach::FallbackRepeated { unknown_type: "future_message_v2".into() }]);
}

#[test]
fn yamux_after_hello_and_acknowledgement() {
    let hello = json!({"use_yamux": true});
    let mut bench = Bench::with_gateway();
    bench.plane.config.gateway_hello = Some(hello.clone());
    let connection = bench.accepted(&gateway("x"));
    assert_eq!(bench.last()["payload"], hello);
    bench.say(connection, "gateway_hello_ack", None, hello.clone());
    bench.plane.receive(bench.now, connection, Incoming::Binary(vec![0, 1]));
    bench.drain();
    assert_eq!(bench.other, [Output::Mux { connection, bytes: vec![0, 1] }]);
    bench.assert_breaches(&[]);
    bench.say(connection, "gateway_hello_ack", None, hello);
    bench.assert_breaches(&[Breach::Unasked { message: "gateway_hello_ack".into() }]);
}

#[test]
fn unknown_types_text_garbage_and_words_after_close() {
    let (mut bench, connection) = Bench::online();
    bench.say(connection, "status", Some("x"), json!({}));
    bench.say(connection, "tcp_tunnel_data", Some("x"), json!({}));
    bench.assert_breaches(&[Breach::TypeUnknown("status".into()), Breach::Unasked { message: "tcp_tunnel_data".into() }]);
    bench.plane.receive(bench.now, connection, Incoming::Text("{".into()));
    assert!(matches!(bench.plane.violations().last().unwrap().breach, Breach::NotJson(_)));
    bench.plane.clear_violations();
    bench.plane.receive(bench.now, connection, Incoming::Close { code: 1000, reason: String::new() });
    bench.heartbeat(connection);
    bench.assert_breaches(&[Breach::AfterClose]);
}
