//! Request bodies in every spelling of the protocol.

use devplane::plane::{Body, ProxyRequest};
use serde_json::json;

use crate::rig::{ECHO, PATIENCE, Rig, json, pattern, request};

fn fnv1a64(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

fn echo(body: Body) -> ProxyRequest {
    ProxyRequest { body, ..request("POST", ECHO) }
}

#[track_caller]
fn assert_echo(answer: &devplane::Answer, body: &[u8], what: &str) {
    assert_eq!((answer.status, &answer.error), (200, &None), "{what}");
    let expected = json!({"length": body.len(), "fnv1a64": fnv1a64(body)});
    assert_eq!(json(answer), expected, "{what}");
}

#[test]
fn must8_whole_bodies() {
    let rig = Rig::start();
    for length in [0, 1, 2, 3, 255, 40_000, 1 << 20] {
        let bytes = pattern(length);
        let what = format!("{length} bytes");
        assert_echo(&rig.ask(echo(Body::Base64(bytes.clone()))), &bytes, &what);
        assert_echo(&rig.ask(echo(Body::Binary(bytes.clone()))), &bytes, &what);
        let buffered = echo(Body::Binary(bytes.clone())).buffered();
        assert_echo(&rig.ask(buffered), &bytes, &what);
    }
    for text in ["x", "{\"a\": \"ä\\n\"}", "\u{2028}<&>\0\u{10ffff}"] {
        let answer = rig.ask(echo(Body::Raw(text.into())));
        assert_echo(&answer, text.as_bytes(), text);
    }
    for value in [
        json!({}),
        json!([1, -2, "three", null, true]),
        json!({"kind": "ConfigMap", "data": {"k": "v\"\\\n ä"}, "list": [{"a": 1}, []]}),
    ] {
        let text = value.to_string();
        let answer = rig.ask(echo(Body::Json(value)));
        assert_echo(&answer, text.as_bytes(), &text);
    }
    let seen = rig.proxied();
    assert!(seen.iter().all(|seen| {
        let length = seen.header("content-length");
        length.is_some() || seen.body.is_empty()
    }));
    rig.finish();
}

#[test]
fn must8_chunked_bodies() {
    let rig = Rig::start();
    for (use_streaming, data) in [(false, false), (false, true), (true, false), (true, true)] {
        for (pieces, size) in [(0, 0), (1, 1), (3, 10_000), (40, 32 * 1024)] {
            let bytes = pattern(pieces * size);
            let mut request = echo(Body::Chunked);
            request.spelling.use_streaming = use_streaming;
            request.spelling.data = data;
            let answer = rig.open(request);
            let exchange = answer.exchange();
            for piece in bytes.chunks(size.max(1)) {
                rig.bed.plane.body_chunk(exchange, piece.into()).unwrap();
            }
            rig.bed.plane.body_end(exchange).unwrap();
            let answer = answer.collect_within(PATIENCE).unwrap();
            let what = format!("{use_streaming} {data} {pieces} of {size}");
            assert_echo(&answer, &bytes, &what);
        }
    }
    rig.finish();
}

#[test]
fn must8_a_body_in_chunks_takes_precedence() {
    let rig = Rig::start();
    let mut request = echo(Body::Chunked);
    request.extra.insert("body".into(), "not this one".into());
    let answer = rig.open(request);
    let exchange = answer.exchange();
    rig.bed.plane.body_chunk(exchange, b"but this one".to_vec()).unwrap();
    rig.bed.plane.body_end(exchange).unwrap();
    let answer = answer.collect_within(PATIENCE).unwrap();
    assert_echo(&answer, b"but this one", "chunks");
    rig.finish();
}
