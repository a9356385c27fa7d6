//! Requests that make no sense are answered, each under its own id, and harm nobody else.

use devplane::AnswerStream;
use devplane::plane::Part;
use serde_json::{Value, json};

use crate::harness::ADMIN_TOKEN;
use crate::rig::{ECHO, MARK, Rig, get, parts};

fn envelope(id: &str, payload: Value) -> String {
    json!({
        "type": "proxy_request", "request_id": id, "payload": payload, "timestamp": "2026-01-01T00:00:00Z",
    })
    .to_string()
}

fn payload(streamed: bool) -> Value {
    json!({
        "method": "POST", "path": ECHO, "supports_response_streaming": streamed,
        "headers": {"Authorization": [format!("Bearer {ADMIN_TOKEN}")], MARK: "1"},
    })
}

fn with(mut payload: Value, key: &str, value: impl Into<Value>) -> Value {
    payload[key] = value.into();
    payload
}

/// The one message that answers it.
#[track_caller]
fn refusal(stream: AnswerStream, streamed: bool) -> String {
    let mut all = parts(stream);
    assert_eq!(all.len(), 1, "{all:?}");
    match (all.remove(0), streamed) {
        (Part::Error(text), false) | (Part::Abort(text), true) => text,
        other => panic!("{other:?}"),
    }
}

fn binary(id: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(id.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn send_binary(rig: &Rig, bytes: Vec<u8>) {
    rig.bed.with_plane(move |plane| {
        let last = plane.connections().last();
        plane.send_raw_binary(last.unwrap().0, bytes);
    });
}

#[test]
fn b49_payloads_that_are_none() {
    let rig = Rig::start();
    let missing = json!({"type": "proxy_request", "request_id": "missing"}).to_string();
    for (id, text) in [
        ("missing", missing),
        ("null", envelope("null", Value::Null)),
        ("array", envelope("array", json!([payload(true)]))),
        ("string", envelope("string", "payload".into())),
        ("number", envelope("number", 7.into())),
    ] {
        let stream = rig.bed.plane.request_raw(id, &text).unwrap();
        let text = refusal(stream, false);
        assert!(text.starts_with("bad_request: "), "{id}: {text}");
    }
    assert_eq!(rig.ask(get("/version")).status, 200);
    rig.finish();
}

#[test]
fn b49_bodies_that_are_not_base64() {
    let rig = Rig::start();
    for (number, body) in ["?", "YQ==YQ==", "YQ=\u{e4}", "Y"].into_iter().enumerate() {
        for streamed in [false, true] {
            let id = format!("base64-{number}-{streamed}");
            let payload = with(with(payload(streamed), "body", body), "body_encoding", "base64");
            let text = envelope(&id, payload);
            let stream = rig.bed.plane.request_raw(&id, &text).unwrap();
            let text = refusal(stream, streamed);
            assert!(text.starts_with("bad_request: "), "{body:?}: {text}");
        }
    }
    rig.settle();
    assert!(rig.proxied().is_empty());
    rig.finish();
}

#[test]
fn b49_a_text_message_in_place_of_the_binary_body() {
    let rig = Rig::start();
    for streamed in [false, true] {
        let id = format!("text-{streamed}");
        let text = envelope(&id, with(payload(streamed), "body_binary", true));
        let stream = rig.bed.plane.request_raw(&id, &text).unwrap();
        // A ping in between is answered as ever, and so is another request.
        rig.settle();
        assert_eq!(rig.ask(get("/version")).status, 200);
        let text = refusal(stream, streamed);
        assert!(text.starts_with("bad_request: "), "{text}");
        // The body comes too late: it is nobody's, and does no harm.
        send_binary(&rig, binary(&id, b"late"));
        rig.settle();
    }
    assert_eq!(rig.proxied().len(), 2);
    rig.finish();
}

#[test]
fn b49_binary_bodies_that_are_wrong() {
    let rig = Rig::start();
    for streamed in [false, true] {
        for (what, bytes) in
            [("another", binary("somebody-else", b"body")), ("short", vec![0]), ("empty", vec![]), ("cut", vec![0, 200, b'x'])]
        {
            let id = format!("{what}-{streamed}");
            let text = envelope(&id, with(payload(streamed), "body_binary", true));
            let stream = rig.bed.plane.request_raw(&id, &text).unwrap();
            send_binary(&rig, bytes);
            let text = refusal(stream, streamed);
            assert!(text.starts_with("bad_request: "), "{id}: {text}");
            rig.settle();
        }
    }
    assert!(rig.proxied().is_empty());
    // And one that is right.
    let text = envelope("right", with(payload(true), "body_binary", true));
    let stream = rig.bed.plane.request_raw("right", &text).unwrap();
    send_binary(&rig, binary("right", b"body"));
    let all = parts(stream);
    assert!(matches!(all[0], Part::Head { status: 200, .. }), "{all:?}");
    assert_eq!(&rig.proxied()[0].body[..], b"body");
    rig.finish();
}

#[test]
fn b49_other_nonsense_harms_nobody() {
    let rig = Rig::start();
    let mut watch = rig.open(get("/api/v1/namespaces/default/configmaps").query("watch=true"));
    assert_eq!(crate::rig::head(&mut watch), 200);
    rig.bed.with_plane(|plane| {
        let connection = plane.connections().last().unwrap().0;
        for text in [
            "",
            "{",
            "[]",
            "7",
            "{\"type\": 7}",
            "{\"type\": \"proxy_cancel\", \"request_id\": \"nobody\", \"payload\": {}}",
            "{\"type\": \"proxy_request_chunk\", \"request_id\": \"nobody\", \"payload\": {\"data\": \"YQ==\"}}",
            "{\"type\": \"proxy_request_stream_end\", \"request_id\": \"nobody\"}",
        ] {
            plane.send_raw(connection, text);
        }
    });
    rig.settle();
    rig.kube().put(crate::rig::config_map("after")).unwrap();
    crate::rig::read_until(&mut watch, "\"after\"");
    assert_eq!(rig.ask(get("/version")).status, 200);
    drop(watch);
    rig.finish();
}

#[test]
fn b49_a_session_message_in_place_of_the_binary_body() {
    let rig = Rig::start();
    let text = envelope("p", with(payload(true), "body_binary", true));
    let stream = rig.bed.plane.request_raw("p", &text).unwrap();
    // A ping and its pong, and nothing else.
    rig.settle();
    let started = std::time::Instant::now();
    assert!(refusal(stream, true).starts_with("bad_request: "));
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "it is not waited out");
    rig.finish();
}

#[test]
fn b49_a_request_of_too_many_values_is_answered() {
    let rig = Rig::start();
    let text = envelope("many", with(payload(true), "body", (0..70_000).collect::<Vec<u32>>()));
    let stream = rig.bed.plane.request_raw("many", &text).unwrap();
    assert!(refusal(stream, true).starts_with("bad_request: "));
    rig.finish();
}
