//! Proxied WebSockets.

use serde_json::json;

use super::*;
use crate::plane::{ProxyRequest, WebSocketRequest};

fn closed(code: Option<u16>) -> Part {
    Part::Closed { code, reason: String::new() }
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
    let data = json!({"stream_id": "z", "data": "B2hp"});
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), data);
    bench.assert_breaches(&[field_value("proxy_websocket_data", "stream_id", "z"), Breach::FrameWrong { id: wire_id.clone() }]);
    bench.say(connection, "proxy_websocket_close", Some(&wire_id), json!({"stream_id": wire_id}));
    assert_eq!(bench.parts.last(), Some(&closed(None)));
}

#[test]
fn stream_messages_for_a_plain_request_and_backpressure_for_nothing() {
    let (mut bench, connection) = Bench::online();
    let id = bench.plane.open(bench.now, ProxyRequest::get("/x")).unwrap();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    bench.say(connection, "proxy_websocket_data", Some(&wire_id), json!({"stream_id": wire_id, "data": "AQ=="}));
    bench.assert_breaches(&[Breach::AnswerForm { message: "proxy_websocket_data".into(), id: wire_id }]);
    bench.say(connection, "backpressure", Some("n"), json!({"reason": "channel_full", "request_id": "m"}));
    bench.assert_breaches(&[
        field_value("backpressure", "request_id", "m"),
        Breach::ExchangeUnknown { message: "backpressure".into(), id: "n".into() },
    ]);
}
