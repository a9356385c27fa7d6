//! The wire, byte for byte, in both directions. `UPDATE_GOLDEN=1 cargo test -p pipeops-agent-core` rewrites the files of what the
//! agent sends; what the plane sends is written by hand.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use pipeops_agent_core::message::{
    Entry, Facts, FromPlane, Header, Heartbeat, Identity, Inbound, Outbound, ProxyRequest, Register, RequestBody, ServiceFields,
    ServiceToken, SocketAddress, TimeLimit,
};
use pipeops_agent_core::wire::{BLOCK, Base64, DecodeError, MessageWriter, Piece, SUPPORTED_TYPES, decode, encode};

const STAMP: &str = "2026-11-23T00:21:49.411Z";

fn golden(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{actual}\n")).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(actual, expected.trim_end(), "{name}");
}

fn sent(message: &Outbound) -> String {
    let mut out = Vec::new();
    encode(message, STAMP, Base64::PORTABLE, &mut out);
    String::from_utf8(out).unwrap()
}

fn identity() -> Identity {
    Identity {
        agent_id: "agent-3f2a9c0d11e45b67".into(),
        cluster_name: "my \"cluster\"".into(),
        agent_version: "0.1.0".into(),
        labels: vec![("environment".into(), "production".into()), ("hostname".into(), "not this one".into())],
        agent_port: 8080,
    }
}

#[test]
fn must2_register_with_everything_known() {
    let facts = Facts {
        kubernetes_version: Some("v1.34.4+k3s1".into()),
        hostname: Some("edge-1".into()),
        server_ip: Some("192.0.2.7".into()),
        region: Some("agent-managed".into()),
        cloud_provider: Some("bare-metal".into()),
        cpu_cores: Some(4),
        memory_gb: Some(7),
        operating_system: Some("Debian GNU/Linux 12".into()),
        service_token: Some(ServiceToken("eyJ".into())),
        ..Facts::default()
    };
    let register =
        Register { request_id: "req_1_agent-3f".into(), identity: identity(), facts, cluster_id: Some("550e8400".into()) };
    assert!(!format!("{register:?}").contains("eyJ"), "a token is never printed");
    golden("register", &sent(&Outbound::Register(Box::new(register))));
}

#[test]
fn b58_register_invents_nothing() {
    let register = Register { request_id: "req_1_agent-3f".into(), identity: identity(), ..Register::default() };
    golden("register-unknown", &sent(&Outbound::Register(Box::new(register))));
}

#[test]
fn must5_heartbeat() {
    let facts = Facts { kubernetes_version: Some("v1.34.4".into()), nodes: Some(1), pods: Some(23), ..Facts::default() };
    let heartbeat = Heartbeat { cluster_id: "550e".into(), agent_id: "agent-3f".into(), agent_version: "0.1.0".into(), facts };
    golden("heartbeat", &sent(&Outbound::Heartbeat(Box::new(heartbeat))));
    golden("heartbeat-unknown", &sent(&Outbound::Heartbeat(Box::default())));
}

#[test]
fn control_messages() {
    golden("pong", &sent(&Outbound::Pong { request_id: Some("ping-123".into()) }));
    let fallback = Outbound::ProtocolFallback {
        kind: "future_v2".into(),
        request_id: Some("req-456".into()),
        agent_version: "0.1.0".into(),
    };
    golden("protocol_fallback", &sent(&fallback));
}

#[test]
fn answers() {
    let headers = vec![
        Header { name: "content-type".into(), value: "text/plain".into() },
        Header { name: "x-two".into(), value: "1".into() },
        Header { name: "X-Two".into(), value: "<2>\u{7f}".into() },
    ];
    golden(
        "proxy_response",
        &sent(&Outbound::Response { id: "7c0f".into(), status: 200, headers: headers.clone(), body: b"{\"ok\":true}".to_vec() }),
    );
    golden(
        "proxy_response-empty",
        &sent(&Outbound::Response { id: "7c0f".into(), status: 204, headers: Vec::new(), body: Vec::new() }),
    );
    golden("proxy_response_header", &sent(&Outbound::ResponseHead { id: "7c0f".into(), status: 200, headers }));
    golden("proxy_response_chunk", &sent(&Outbound::ResponseChunk { id: "7c0f".into(), data: Bytes::from_static(b"hello") }));
    golden("proxy_response_end", &sent(&Outbound::ResponseEnd { id: "7c0f".into() }));
    golden("proxy_response_abort", &sent(&Outbound::ResponseAbort { id: "7c0f".into(), error: "deadline: too long".into() }));
    golden("proxy_error", &sent(&Outbound::Error { id: "7c0f".into(), error: "bad_request: \"no\"\n".into() }));
}

#[test]
fn a_large_answer_in_frames_is_the_same_message() {
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        let body: Vec<u8> = (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let headers = vec![Header { name: "content-type".into(), value: "x".into() }];
        let whole = sent(&Outbound::Response { id: "r".into(), status: 200, headers: headers.clone(), body: body.clone() });
        let blocks = body.chunks(BLOCK).map(<[u8]>::to_vec).collect();
        let mut writer = MessageWriter::response("r".into(), 200, headers, blocks);
        let (mut frames, mut out, mut taken) = (Vec::new(), Vec::new(), 0);
        loop {
            let (piece, bytes) = writer.write(STAMP, Base64::PORTABLE, &mut out);
            frames.push(piece);
            taken += bytes;
            if piece.last {
                break;
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), whole, "{size}");
        assert_eq!(taken, size);
        assert_eq!(frames.len(), size.div_ceil(BLOCK).max(1));
        assert!(frames.iter().enumerate().all(|(index, piece)| piece.first == (index == 0)));
        assert!(size > BLOCK || frames == [Piece::WHOLE]);
    }
}

fn read(text: &str) -> Inbound {
    decode(text.as_bytes(), Base64::PORTABLE).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn request(text: &str) -> ProxyRequest {
    match read(text) {
        Inbound::Exchange(FromPlane::Request(request)) => *request,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn b62_every_type_that_is_announced_is_understood() {
    for kind in SUPPORTED_TYPES {
        let message = format!(r#"{{"type":"{kind}","request_id":"r","payload":{{}}}}"#);
        assert!(!matches!(read(&message), Inbound::Unknown { .. }), "{kind}");
    }
}

#[test]
fn must8_a_request_with_all_its_fields() {
    let read = request(&fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/in-proxy_request.json")).unwrap());
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
    let expected = ProxyRequest {
        id: "7c0f".into(),
        method: "POST".into(),
        path: "/api/v1/namespaces/default/pods/web-0/log".into(),
        query: "follow=true&tailLines=100".into(),
        headers: vec![header("Accept", "a"), header("Accept", "b"), header("Authorization", "Bearer x")],
        body: RequestBody::Whole(Bytes::from_static(b"hello")),
        streamed_answer: true,
        service: ServiceFields { namespace: "pipeops-system".into(), name: "traefik".into(), port: 80 },
        time_limit: TimeLimit::At(1_795_393_380_500),
        upgrade: false,
        protocol: String::new(),
        head_data: Bytes::new(),
        client_secure: true,
    };
    assert_eq!(read, expected);
}

#[test]
fn must10_every_spelling_of_the_messages_of_upgraded_connections() {
    let to = |stream: &str, request: &str, envelope: &str| SocketAddress {
        stream: stream.into(),
        request: request.into(),
        envelope: envelope.into(),
    };
    for kind in ["ws_data", "proxy_websocket_data", "proxy_stream_data"] {
        for (payload, data, message_type) in [
            (r#""stream_id":"s","data":"AWhp","message_type":1"#, Some("\x01hi"), Some(1)),
            (r#""stream_id":"s","data":"AWhp","message_type":3"#, Some("\x01hi"), None),
            (r#""stream_id":"s","data":"%%""#, None, None),
            (r#""stream_id":"s","data":7"#, None, None),
            (r#""stream_id":"s""#, Some(""), None),
        ] {
            let message = read(&format!(r#"{{"type":"{kind}","request_id":"e","payload":{{{payload}}}}}"#));
            let data = data.map(|text| Bytes::from_static(text.as_bytes()));
            assert_eq!(
                message,
                Inbound::Exchange(FromPlane::SocketData { to: to("s", "", "e"), data, message_type }),
                "{payload}"
            );
        }
    }
    for kind in ["ws_close", "proxy_websocket_close"] {
        let message = read(&format!(r#"{{"type":"{kind}","payload":{{"request_id":"r","code":4001,"reason":"bye"}}}}"#));
        let close = FromPlane::SocketClose { to: to("", "r", ""), code: Some(4001), reason: "bye".into() };
        assert_eq!(message, Inbound::Exchange(close));
    }
    for kind in ["ws_start", "proxy_websocket_start"] {
        let message = read(&format!(
            r#"{{"type":"{kind}","request_id":"e","payload":{{"stream_id":"s","path":"/api/v1/x/exec","query":"tty=true",
            "headers":{{"Authorization":"Bearer t"}},"protocol":"v4.channel.k8s.io"}}}}"#
        ));
        let Inbound::Exchange(FromPlane::Start(start)) = message else { panic!("{message:?}") };
        assert_eq!((start.id.as_str(), start.path.as_str(), start.query.as_str()), ("s", "/api/v1/x/exec", "tty=true"));
        assert_eq!((start.protocol.as_str(), start.headers.len()), ("v4.channel.k8s.io", 1));
        let missing = read(&format!(r#"{{"type":"{kind}","request_id":"e","payload":{{"path":"/api"}}}}"#));
        assert!(matches!(missing, Inbound::Exchange(FromPlane::Malformed { id, .. }) if id == "e"));
    }
}

#[test]
fn must8_head_data_in_every_form() {
    for (head_data, expected) in [
        (r#""head_data":"aGk=""#, &b"hi"[..]),
        (r#""headData":"h\u00e9llo!""#, "h\u{e9}llo!".as_bytes()),
        (r#""head_data":[104,105]"#, b"hi"),
        (r#""head_data":[104,256]"#, b""),
        (r#""head_data":null"#, b""),
    ] {
        let read = request(&format!(r#"{{"type":"proxy_request","request_id":"r","payload":{{{head_data}}}}}"#));
        assert_eq!(read.head_data, expected, "{head_data}");
    }
}

#[test]
fn must11_frames_of_upgraded_connections() {
    let id: std::sync::Arc<str> = "r1".into();
    let data = |entry, data| Outbound::SocketData { id: id.clone(), entry, opcode: 1, data: Bytes::from_static(data) };
    golden("proxy_websocket_data", &sent(&data(Entry::Request, b"hi")));
    golden("proxy_websocket_data-start", &sent(&data(Entry::Start, b"out")));
    let close = |entry, code, reason: &str| Outbound::SocketClose { id: id.clone(), entry, code, reason: reason.into() };
    golden("proxy_websocket_close", &sent(&close(Entry::Request, 4001, "bye")));
    golden("proxy_websocket_close-start", &sent(&close(Entry::Start, 1000, "")));
    golden("backpressure", &sent(&Outbound::Backpressure { id: id.clone() }));
    golden("proxy_error-start", &sent(&Outbound::StartError { id: id.clone(), error: "denied: no".into() }));
    // Opcode and bytes are one piece of base64, whatever their length.
    for length in 0..10 {
        let bytes: Vec<u8> = (0..length).collect();
        let message = Outbound::SocketData { id: id.clone(), entry: Entry::Request, opcode: 2, data: bytes.clone().into() };
        let sent = sent(&message);
        let text = sent.split("\"data\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let mut expected = vec![2];
        expected.extend(bytes);
        assert_eq!((Base64::PORTABLE.decode)(text.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn must8_every_spelling_of_a_body() {
    let body = |fields: &str| {
        request(&format!(r#"{{"type":"proxy_request","request_id":"r","payload":{{"path":"/api",{fields}}}}}"#)).body
    };
    let whole = |bytes: &'static [u8]| RequestBody::Whole(Bytes::from_static(bytes));
    for (fields, expected) in [
        (r#""body":"aGk=","body_encoding":"base64""#, whole(b"hi")),
        (r#""body":"aGk","body_encoding":"BASE64""#, whole(b"hi")),
        (r#""body":"aGk=""#, whole(b"aGk=")),
        (r#""body":{"b":1,"a":[true,null]}"#, whole(br#"{"a":[true,null],"b":1}"#)),
        (r#""body":[1,2]"#, whole(b"[1,2]")),
        (r#""body":7"#, RequestBody::None),
        (r#""body":"""#, RequestBody::None),
        (r#""body":null"#, RequestBody::None),
        (r#""body_binary":true"#, RequestBody::NextBinary),
        (r#""streaming":true,"body":"x""#, RequestBody::Chunked),
        (r#""use_streaming":true"#, RequestBody::Chunked),
        (r#""use_streaming":"true""#, RequestBody::None),
    ] {
        assert_eq!(body(fields), expected, "{fields}");
    }
}

#[test]
fn time_limits_in_every_spelling() {
    let limit =
        |fields: &str| request(&format!(r#"{{"type":"proxy_request","request_id":"r","payload":{{{fields}}}}}"#)).time_limit;
    let after = |millis| TimeLimit::After(std::time::Duration::from_millis(millis));
    for (fields, expected) in [
        (r#""timeout":60000"#, after(60_000)),
        (r#""timeout":1500.9"#, after(1_500)),
        (r#""timeout":"30s""#, after(30_000)),
        (r#""timeout":0"#, TimeLimit::None),
        (r#""timeout":-5"#, TimeLimit::None),
        (r#""timeout":"soon""#, TimeLimit::None),
        (r#""deadline":"soon","timeout":5"#, after(5)),
        (r#""deadline":"1970-01-01T00:00:01Z","timeout":5"#, TimeLimit::At(1000)),
    ] {
        assert_eq!(limit(fields), expected, "{fields}");
    }
}

#[test]
fn lenient_in() {
    for text in [
        r#"{"TYPE":"ping","Request_ID":"p","payload":null,"timestamp":7,"more":[{}]}"#,
        r#"{"type":"ping","request_id":"p","timestamp":""}"#,
        r#" {"type":"ping","request_id":"p","payload":[]} "#,
    ] {
        assert_eq!(read(text), Inbound::Ping { request_id: Some("p".into()) }, "{text}");
    }
    let chunk = |data: &str| read(&format!(r#"{{"type":"proxy_request_chunk","request_id":"r","payload":{{{data}}}}}"#));
    for data in [r#""data":"aGk=","chunk":"!""#, r#""chunk":"aGk=""#] {
        assert_eq!(chunk(data), Inbound::Exchange(FromPlane::BodyChunk { id: "r".into(), data: Bytes::from_static(b"hi") }));
    }
}

#[test]
fn b49_what_has_an_id_and_makes_no_sense_is_to_be_answered() {
    for payload in ["null", "[]", "\"x\"", r#"{"body":"%%","body_encoding":"base64","supports_response_streaming":true}"#] {
        let message = read(&format!(r#"{{"type":"proxy_request","request_id":"r","payload":{payload}}}"#));
        let Inbound::Exchange(FromPlane::Malformed { id, streamed, .. }) = message else { panic!("{payload}: {message:?}") };
        assert_eq!((id.as_str(), streamed), ("r", payload.starts_with('{')));
    }
}

#[test]
fn b49_a_request_that_cannot_be_read_as_a_whole_is_answered_where_its_id_can_be() {
    let many = format!(
        r#"{{"type":"proxy_request","request_id":"r","payload":{{"supports_response_streaming": true,"body":[{}0]}}}}"#,
        "0,".repeat(70_000)
    );
    for (text, expected) in
        [(many.as_str(), ("r", true)), (r#"{"type" : "proxy_request","request_id":"x","payload":{"a""#, ("x", false))]
    {
        let Inbound::Exchange(FromPlane::Malformed { id, streamed, .. }) = read(text) else { panic!("{text:.80}") };
        assert_eq!((id.as_str(), streamed), expected);
    }
    for kind in ["proxy_request", "proxy_cancel", "proxy_request_chunk"] {
        let text = format!(r#"{{"type":"{kind}","payload":{{}}}}"#);
        assert_eq!(decode(text.as_bytes(), Base64::PORTABLE), Err(DecodeError::NoId));
    }
}

#[test]
fn b12_hostile_messages_are_turned_away() {
    let many = format!(r#"{{"type":"ping","payload":{{"a":[{}0]}}}}"#, "0,".repeat(70_000));
    assert_eq!(decode(many.as_bytes(), Base64::PORTABLE), Err(DecodeError::TooManyValues));
    let in_a_string = format!(r#"{{"type":"ping","payload":{{"a":"{}\\\""}}}}"#, "[,{".repeat(70_000));
    assert!(decode(in_a_string.as_bytes(), Base64::PORTABLE).is_ok());
    let deep = format!(r#"{{"type":"ping","payload":{}1{}}}"#, "[".repeat(60_000), "]".repeat(60_000));
    assert!(decode(deep.as_bytes(), Base64::PORTABLE).is_ok());
    let id = "x".repeat(70_000);
    assert_eq!(
        decode(format!(r#"{{"type":"ping","request_id":"{id}"}}"#).as_bytes(), Base64::PORTABLE),
        Err(DecodeError::LongId)
    );
    for (bytes, error) in [
        (&b"\xff"[..], DecodeError::Encoding),
        (b"[]", DecodeError::Syntax),
        (b"{}", DecodeError::NoType),
        (b"", DecodeError::Syntax),
    ] {
        assert_eq!(decode(bytes, Base64::PORTABLE), Err(error));
    }
}
