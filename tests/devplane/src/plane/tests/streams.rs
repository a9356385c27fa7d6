//! Proxied WebSockets.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::*;
use crate::plane::{ExchangeId, ProxyRequest, WebSocketRequest};

fn closed(code: Option<u16>) -> Part {
    Part::Closed { code, reason: String::new() }
}

fn data_of(id: &str, data: &str, kind: u64) -> Value {
    json!({"stream_id": id, "request_id": id, "data": data, "message_type": kind})
}

fn close_of(id: &str, code: u64) -> Value {
    json!({"stream_id": id, "request_id": id, "code": code})
}

#[test]
fn each_entry_has_its_own_fields() {
    let (mut bench, connection) = Bench::online();
    let id = bench.plane.open_websocket(bench.now, &WebSocketRequest::default()).unwrap();
    let id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_websocket_data", Some(&id), data_of(&id, "AWhp", 1));
    bench.say(connection, "proxy_websocket_close", Some(&id), close_of(&id, 1000));
    let unknown = |message: &str, field: &str| Breach::FieldUnknown { message: message.into(), field: field.into() };
    bench.assert_breaches(&[
        unknown("proxy_websocket_data", "message_type"),
        unknown("proxy_websocket_data", "request_id"),
        unknown("proxy_websocket_close", "request_id"),
    ]);
    let (_, id) = upgraded(&mut bench, connection);
    bench.say(connection, "proxy_websocket_data", Some(&id), json!({"stream_id": id, "data": "AWhp"}));
    bench.say(connection, "proxy_websocket_close", Some(&id), json!({"stream_id": id}));
    let missing = |message: &str, field: &str| Breach::FieldMissing { message: message.into(), field: field.into() };
    bench.assert_breaches(&[
        missing("proxy_websocket_data", "request_id"),
        missing("proxy_websocket_data", "message_type"),
        missing("proxy_websocket_close", "request_id"),
        missing("proxy_websocket_close", "code"),
    ]);
}

#[test]
fn a_kubernetes_stream() {
    let (mut bench, connection) = Bench::online();
    let request = WebSocketRequest { path: "/api/v1/x/exec".into(), ..WebSocketRequest::default() };
    let id = bench.plane.open_websocket(bench.now, &request).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.plane.websocket_data(id, 1, b"ls\n");
    bench.drain();
    assert_eq!(bench.last()["payload"]["data"], "AWxzCg==");
    let data = json!({"stream_id": wire_id, "data": "AW91dA=="});
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), data);
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), json!({"stream_id": wire_id}));
    assert_eq!(bench.parts, [Part::Frame { opcode: 1, data: b"out".to_vec() }, closed(None)]);
    assert_eq!(bench.types(), ["ws_start", "ws_data"]);
    bench.assert_breaches(&[]);
}

#[test]
fn a_stream_that_fails_may_be_closed_once_more() {
    let (mut bench, connection) = Bench::online();
    let request = WebSocketRequest { long_names: true, ..WebSocketRequest::default() };
    let id = bench.plane.open_websocket(bench.now, &request).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_error", Some(&wire_id), json!({"error": "403", "request_id": wire_id}));
    let close = json!({"stream_id": wire_id});
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), close.clone());
    bench.assert_breaches(&[]);
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), close);
    bench.assert_breaches(&[Breach::AfterEnd { message: "proxy_websocket_close".into(), id: wire_id }]);
    assert_eq!(bench.parts, [Part::Error("403".into())]);
    assert_eq!(bench.types(), ["proxy_websocket_start"]);
}

#[test]
fn a_closed_stream_is_echoed_at_most_once() {
    let (mut bench, connection) = Bench::online();
    let id = bench.plane.open_websocket(bench.now, &WebSocketRequest::default()).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.plane.websocket_close(id);
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), json!({"stream_id": wire_id}));
    assert!(bench.parts.is_empty());
    assert_eq!(bench.types(), ["ws_start", "ws_close"]);
    bench.assert_breaches(&[]);
}

#[test]
fn an_upgraded_request() {
    let (mut bench, connection) = Bench::online();
    let id = bench.plane.open(bench.now, ProxyRequest::get("/ws").header("Upgrade", "websocket")).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_response_header", Some(&wire_id), json!({"status": 101, "headers": null}));
    bench.say(connection, "proxy_response_end", Some(&wire_id), json!({}));
    let data = json!({"stream_id": wire_id, "request_id": wire_id, "data": "AWhp", "message_type": 1});
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), data);
    bench.assert_breaches(&[]);
    assert_eq!(bench.parts.len(), 2);
    bench.say(connection, "backpressure", Some(&wire_id), json!({"reason": "channel_full", "request_id": wire_id}));
    bench.assert_breaches(&[]);
    bench.say(connection, "proxy_response_end", Some(&wire_id), json!({}));
    bench.assert_breaches(&[Breach::AfterEnd { message: "proxy_response_end".into(), id: wire_id.clone() }]);
    let data = json!({"stream_id": "z", "request_id": wire_id, "data": "B2hp", "message_type": 7});
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), data);
    bench.assert_breaches(&[field_value("proxy_websocket_data", "stream_id", "z"), Breach::FrameWrong { id: wire_id.clone() }]);
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), close_of(&wire_id, 1000));
    assert_eq!(bench.parts.last(), Some(&closed(Some(1000))));
    bench.assert_breaches(&[]);
}

#[test]
fn stream_messages_for_a_plain_request_and_backpressure_for_nothing() {
    let (mut bench, connection) = Bench::online();
    let id = bench.plane.open(bench.now, ProxyRequest::get("/x")).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), data_of(&wire_id, "AQ==", 1));
    bench.assert_breaches(&[Breach::AnswerForm { message: "proxy_websocket_data".into(), id: wire_id }]);
    bench.say(connection, "backpressure", Some("n"), json!({"reason": "channel_full", "request_id": "m"}));
    bench.assert_breaches(&[
        field_value("backpressure", "request_id", "m"),
        Breach::ExchangeUnknown { message: "backpressure".into(), id: "n".into() },
    ]);
}

/// An upgraded `proxy_request`: connection, exchange and its id on the wire.
fn upgraded(bench: &mut Bench, connection: ConnectionId) -> (ExchangeId, String) {
    let id = bench.plane.open(bench.now, ProxyRequest::websocket("/ws")).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_response_header", Some(&wire_id), json!({"status": 101, "headers": null}));
    bench.say(connection, "proxy_response_end", Some(&wire_id), json!({}));
    bench.parts.clear();
    (id, wire_id)
}

#[test]
fn an_end_with_code_and_reason_is_the_last() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = upgraded(&mut bench, connection);
    bench.say(connection, "backpressure", Some(&id), json!({"reason": "channel_full", "request_id": id}));
    let mut close = close_of(&id, 1013);
    close["reason"] = "full".into();
    bench.say(connection, "proxy_websocket_close", Some(&id), close.clone());
    let end = Part::Closed { code: Some(1013), reason: "full".into() };
    assert_eq!(bench.parts, [Part::Backpressure("channel_full".into()), end]);
    bench.assert_breaches(&[]);
    bench.say(connection, "proxy_websocket_data", Some(&id), data_of(&id, "AWhp", 1));
    bench.say(connection, "proxy_websocket_close", Some(&id), close);
    let after = |message: &str| Breach::AfterEnd { message: message.into(), id: id.clone() };
    bench.assert_breaches(&[after("proxy_websocket_data"), after("proxy_websocket_close")]);
    bench.say(connection, "proxy_websocket_close", Some("nothing"), json!({"stream_id": "nothing"}));
    let unknown = Breach::ExchangeUnknown { message: "proxy_websocket_close".into(), id: "nothing".into() };
    bench.assert_breaches(&[unknown]);
    let (_, id) = upgraded(&mut bench, connection);
    bench.say(connection, "proxy_websocket_close", Some(&id), close_of(&id, 70_000));
    bench.assert_breaches(&[field_value("proxy_websocket_close", "code", "70000")]);
    assert_eq!(bench.parts.last(), Some(&closed(None)));
}

#[test]
fn frames_that_are_none() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = upgraded(&mut bench, connection);
    let long = STANDARD.encode([&[9_u8][..], &[0; 126]].concat());
    for (data, kind) in [("AWhp", 2), ("?", 1), ("", 1), ("B2hp", 7), (long.as_str(), 9)] {
        bench.say(connection, "proxy_websocket_data", Some(&id), data_of(&id, data, kind));
    }
    let message = || "proxy_websocket_data".to_owned();
    bench.assert_breaches(&[
        Breach::MessageTypeWrong { id: id.clone(), opcode: 1, announced: 2 },
        Breach::Base64Wrong { message: message(), id: id.clone() },
        field_value("proxy_websocket_data", "data", ""),
        Breach::FrameWrong { id: id.clone() },
        Breach::FrameWrong { id: id.clone() },
        Breach::ControlFrameTooLarge { id, length: 126 },
    ]);
    assert_eq!(bench.parts, [Part::Frame { opcode: 1, data: b"hi".to_vec() }]);
}

#[test]
fn nothing_comes_before_the_101_and_no_101_unasked() {
    let (mut bench, connection) = Bench::online();
    for request in [ProxyRequest::upgrade("/x", "SPDY/3.1"), ProxyRequest { is_websocket: true, ..ProxyRequest::get("/x") }] {
        let id = bench.plane.open(bench.now, request).unwrap();
        let id = bench.plane.wire_id_of(id).unwrap().to_owned();
        let early = |message: &str| Breach::BeforeHead { message: message.into(), id: id.clone() };
        bench.say(connection, "proxy_websocket_data", Some(&id), data_of(&id, "AQ==", 1));
        bench.say(connection, "proxy_websocket_close", Some(&id), close_of(&id, 1000));
        bench.assert_breaches(&[early("proxy_websocket_data"), early("proxy_websocket_close")]);
    }
    let id = bench.plane.open(bench.now, ProxyRequest::get("/x").buffered()).unwrap();
    let id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_response", Some(&id), json!({"status": 101, "headers": {}}));
    bench.assert_breaches(&[Breach::StatusWrong { id, status: 101 }]);
}

#[test]
fn spellings_of_frames_and_ends() {
    let (mut bench, connection) = Bench::online();
    let (id, wire_id) = upgraded(&mut bench, connection);
    bench.sent.clear();
    let change = json!({"message_type": null, "request_id": 7, "more": true});
    bench.plane.websocket_data_as(id, "proxy_stream_data", 2, b"hi", change.as_object().unwrap());
    bench.plane.websocket_close_as(id, "proxy_websocket_close", change.as_object().unwrap());
    bench.drain();
    let payload = json!({"stream_id": wire_id, "request_id": 7, "data": "Amhp", "more": true});
    assert_eq!((&bench.sent[0].1["type"], &bench.sent[0].1["payload"]), (&json!("proxy_stream_data"), &payload));
    assert_eq!(bench.last()["payload"], json!({"stream_id": wire_id, "request_id": 7, "more": true}));
    assert!(!bench.plane.is_running(id));
    // Whether this is an echo or has crossed the plane's own cannot be told.
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), close_of(&wire_id, 1000));
    assert_eq!(bench.plane.records().late_closes.len(), 1);
    bench.assert_breaches(&[]);
    assert!(bench.parts.is_empty());
}

#[test]
fn nobody_waits_any_more() {
    let (mut bench, connection) = Bench::online();
    let (stream, wire_id) = upgraded(&mut bench, connection);
    let kubernetes = bench.plane.open_websocket(bench.now, &WebSocketRequest::default()).unwrap();
    let plain = bench.plane.open(bench.now, ProxyRequest::get("/x")).unwrap();
    bench.drain();
    bench.types();
    bench.plane.give_up(bench.now, stream);
    bench.plane.give_up(bench.now, stream);
    bench.plane.abandon(kubernetes);
    bench.plane.abandon(plain);
    bench.drain();
    assert_eq!(bench.types(), ["ws_close", "ws_close", "proxy_cancel"]);
    let given_up: Vec<_> = bench.plane.records().given_up.iter().cloned().collect();
    assert_eq!(given_up, [(bench.now, wire_id)]);
}
