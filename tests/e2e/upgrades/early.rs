//! Bytes that are there before the 101: of the client behind its request, and of a plane that does not wait.

use devapp::frame::{BINARY as BINARY_FRAME, TEXT as TEXT_FRAME, encode};
use devplane::plane::{Body, ProxyRequest};
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::site::{Site, aim, put_service};
use crate::socket::{BINARY, TEXT};

/// Opcode and payload.
type Frame<'a> = (u8, &'a [u8]);

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn with_head_data(request: ProxyRequest, key: &str, value: Value) -> ProxyRequest {
    let mut request = request;
    request.extra.insert(key.into(), value);
    request
}

#[test]
fn b50_data_before_the_101_is_not_lost() {
    let site = Site::start();
    for round in 0..20 {
        let mut socket = site.open(site.websocket("/echo"));
        // Both leave before the agent can have dialled.
        for number in 0..50 {
            socket.send(if number % 2 == 0 { TEXT } else { BINARY }, format!("{round} {number}"));
        }
        socket.accepted();
        for number in 0..50 {
            let expected = (if number % 2 == 0 { TEXT } else { BINARY }, format!("{round} {number}").into_bytes());
            assert_eq!(socket.frame(), expected);
        }
        socket.close();
    }
    site.finish();
}

#[test]
fn must12_head_data_is_not_lost_in_any_form() {
    let site = Site::start();
    let frames = [encode(true, TEXT_FRAME, b"first", MASK), encode(true, BINARY_FRAME, b"second", MASK)].concat();
    let base64 = |bytes: &[u8]| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        Value::from(STANDARD.encode(bytes))
    };
    let both = [(TEXT, &b"first"[..]), (BINARY, b"second")];
    let cases: [(&str, Value, &[Frame<'_>]); 7] = [
        ("head_data", base64(&frames), &both),
        ("headData", base64(&frames), &both),
        ("head_data", json!(frames), &both),
        ("headData", json!(frames), &both),
        ("head_data", base64(b"\x01with an opcode"), &[(TEXT, b"with an opcode")]),
        ("head_data", json!("plain, as it is!"), &[(TEXT, b"plain, as it is!")]),
        ("head_data", json!([0, 255, 254]), &[(BINARY, &[0, 255, 254])]),
    ];
    for (key, value, expected) in cases {
        for buffered in [false, true] {
            let request = with_head_data(site.websocket("/echo"), key, value.clone());
            let mut socket = site.open(if buffered { request.buffered() } else { request });
            socket.send(TEXT, "behind it");
            socket.accepted();
            for (opcode, data) in expected {
                assert_eq!(socket.frame(), (*opcode, data.to_vec()), "{key} {value}");
            }
            assert_eq!(socket.frame(), (TEXT, b"behind it".to_vec()), "{key} {value}");
            socket.close();
        }
    }
    site.finish();
}

#[test]
fn b04_a_websocket_with_a_body_to_follow_stalls_nobody() {
    let site = Site::start();
    let request = ProxyRequest { body: Body::Chunked, ..site.websocket("/echo") };
    let mut socket = site.open(request);
    for _ in 0..100 {
        site.rig.bed.plane.body_chunk(socket.exchange(), vec![7; 32 * 1024]).unwrap();
    }
    socket.accepted();
    socket.round_trip("no body in the way");
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    socket.close();
    site.finish();
}

#[test]
fn b30_a_close_before_the_101_closes_the_connection() {
    let site = Site::start();
    let backend = Backend::start();
    let port = backend.addr().port();
    put_service(&site.rig, "slow", json!({"clusterIP": "127.0.0.1", "ports": [{"port": port}]}));
    let mut other = site.echo();
    for cancel in [false, true] {
        let socket = site.open(aim(ProxyRequest::websocket("/"), "slow", port));
        let mut peer = backend.accept();
        if cancel {
            site.rig.bed.plane.cancel(socket.exchange()).unwrap();
        } else {
            socket.close();
        }
        assert!(peer.ends(), "cancel: {cancel}");
    }
    other.round_trip("still here");
    other.close();
    site.finish();
}

#[test]
fn must12_data_that_comes_with_the_101_is_not_lost() {
    let site = Site::start();
    let backend = Backend::start();
    let port = backend.addr().port();
    put_service(&site.rig, "eager", json!({"clusterIP": "127.0.0.1", "ports": [{"port": port}]}));
    let mut socket = site.open(aim(ProxyRequest::websocket("/"), "eager", port));
    let mut peer = backend.accept();
    let frames = [encode(true, TEXT_FRAME, b"at once", None), encode(true, BINARY_FRAME, &[7; 5000], None)].concat();
    peer.upgrade_with(None, &frames);
    socket.accepted();
    assert_eq!(socket.frame(), (TEXT, b"at once".to_vec()));
    assert_eq!(socket.frame(), (BINARY, vec![7; 5000]));
    socket.close();
    assert_eq!(peer.close(), 1000_u16.to_be_bytes());
    site.finish();
}
