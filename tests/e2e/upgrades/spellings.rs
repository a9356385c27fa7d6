//! Every way in which a plane may name a stream and its data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devplane::plane::ProxyRequest;
use serde_json::{Value, json};

use crate::site::Site;
use crate::socket::{BINARY, TEXT};

const KINDS: [&str; 3] = ["ws_data", "proxy_websocket_data", "proxy_stream_data"];

#[test]
fn b07_every_alias_and_every_place_of_the_id() {
    let mut site = Site::start();
    let mut socket = site.echo();
    for kind in KINDS {
        for change in [
            json!({}),
            json!({"stream_id": null}),
            json!({"request_id": null}),
            json!({"stream_id": null, "request_id": null}),
            json!({"message_type": null}),
            json!({"stream_id": null, "request_id": null, "message_type": null}),
            json!({"stream_id": "another"}),
        ] {
            let text = format!("{kind} {change}");
            socket.send_as(kind, TEXT, text.as_bytes(), change);
            assert_eq!(socket.frame(), (TEXT, text.into_bytes()));
        }
    }
    socket.close();
    assert!(site.rig.agent.is_alive());
    site.finish();
}

#[test]
fn b07_the_envelope_alone_need_not_name_it() {
    let site = Site::start();
    let mut socket = site.echo();
    for fields in [json!({"request_id": "ID"}), json!({"stream_id": "ID"}), json!({"request_id": "ID", "stream_id": "another"})] {
        for envelope in [None, Some("another")] {
            let fields = fields.clone();
            let send = move |id: &str| {
                let mut payload = fields.clone();
                for value in payload.as_object_mut().unwrap().values_mut() {
                    if value == "ID" {
                        *value = id.into();
                    }
                }
                payload["data"] = STANDARD.encode(b"\x01hello").into();
                let mut message = json!({"type": "ws_data", "payload": payload});
                if let Some(envelope) = envelope {
                    message["request_id"] = envelope.into();
                }
                message.to_string()
            };
            site.rig.bed.plane.send_text(socket.exchange(), send).unwrap();
            assert_eq!(socket.frame(), (TEXT, b"hello".to_vec()));
        }
    }
    socket.close();
    site.finish();
}

#[test]
fn b24_raw_data_beside_a_message_type_is_taken_as_it_is() {
    let site = Site::start();
    let mut socket = site.echo();
    let raw = |bytes: &[u8], kind: Value| json!({"data": STANDARD.encode(bytes), "message_type": kind});
    for (bytes, kind, expected) in [
        (&b"hello"[..], 1, (TEXT, &b"hello"[..])),
        (b"\nline", 1, (TEXT, b"\nline")),
        (b"\ttab", 1, (TEXT, b"\ttab")),
        (b"\x08", 1, (TEXT, b"\x08")),
        (b"\x01\x02", 2, (BINARY, b"\x01\x02")),
        (b"", 1, (TEXT, b"")),
        // Framed as the protocol wants it, with the type beside it.
        (b"\x01hello", 1, (TEXT, b"hello")),
        (b"\x02\x01", 2, (BINARY, b"\x01")),
    ] {
        socket.send_as("ws_data", TEXT, b"", raw(bytes, kind.into()));
        let (opcode, data) = socket.frame();
        assert_eq!((opcode, data.as_slice()), expected, "{bytes:?} {kind}");
    }
    socket.close();
    site.finish();
}

#[test]
fn b49_data_that_cannot_be_read_ends_its_stream_and_no_other() {
    let mut site = Site::start();
    let mut other = site.echo();
    for change in [
        json!({"data": "no base64!", "message_type": 1}),
        json!({"data": STANDARD.encode(b"hello"), "message_type": null}),
        json!({"data": STANDARD.encode(b"\x07x"), "message_type": null}),
    ] {
        let mut socket = site.echo();
        socket.send_as("ws_data", TEXT, b"", change.clone());
        let (code, reason) = socket.closed();
        assert_eq!(code, Some(1002), "{change}");
        assert!(reason.starts_with("bad_request: "), "{reason}");
        other.round_trip("still here");
    }
    other.close();
    assert!(site.rig.agent.is_alive());
    site.finish();
}

#[test]
fn b07_stream_data_for_a_plain_request_is_dropped() {
    let mut site = Site::start();
    let request = site.aim(ProxyRequest::get("/slow").query("ms=300"));
    let socket = site.open(request);
    for kind in KINDS {
        socket.send_as(kind, TEXT, b"for nobody", json!({}));
    }
    let answer = socket.stream.collect_within(crate::rig::PATIENCE).unwrap();
    assert_eq!((answer.status, answer.body.as_slice(), answer.error), (200, &b"after 300 ms\n"[..], None));
    assert!(site.rig.agent.is_alive());
    site.finish();
}
