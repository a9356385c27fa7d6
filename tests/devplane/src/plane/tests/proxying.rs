//! Requests and the forms of their answers.

use serde_json::json;

use super::*;
use crate::plane::{Body, ExchangeId, NoAgent, ProxyRequest, Spelling};

fn opened(bench: &mut Bench, request: ProxyRequest) -> (ExchangeId, String) {
    let id = bench.plane.open(bench.now, request).unwrap();
    bench.drain();
    let wire_id = bench.plane.wire_id_of(id).unwrap().to_owned();
    (id, wire_id)
}

fn head(status: u16) -> Part {
    Part::Head { status, headers: vec![("A".into(), vec!["b".into()])] }
}

#[test]
fn a_streaming_answer() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api").header("Authorization", "Bearer user"));
    let request = bench.last().clone();
    assert_eq!(request["type"], "proxy_request");
    assert_eq!(request["payload"]["headers"]["Authorization"], json!(["Bearer user"]));
    assert_eq!(request["payload"]["supports_response_streaming"], true);
    bench.say(connection, "proxy_response_header", Some(&id), json!({"status": 200, "headers": {"A": ["b"]}}));
    let chunk = json!({"data": "aGVsbG8=", "encoding": "base64", "size": 5});
    bench.say(connection, "proxy_response_chunk", Some(&id), chunk);
    bench.say(connection, "proxy_response_end", Some(&id), json!({}));
    assert_eq!(bench.parts, [head(200), Part::Chunk(b"hello".to_vec()), Part::End]);
    bench.assert_breaches(&[]);
    assert_eq!(bench.plane.exchanges_running(), 0);
    bench.say(connection, "proxy_response_end", Some(&id), json!({}));
    bench.assert_breaches(&[Breach::AfterEnd { message: "proxy_response_end".into(), id }]);
}

#[test]
fn buffered_answers() {
    let gzip = "H4sIAAAAAAACA8tIzcnJV8hAJ7kAAIhZCxgAAAA=";
    let cases = [
        (json!({"status": 200, "headers": {"A": ["b"]}}), None),
        (json!({"status": 200, "headers": {"A": ["b"]}, "body": "aGk=", "encoding": "base64"}), Some(b"hi".to_vec())),
        (
            json!({"status": 200, "headers": {"A": ["b"]}, "body": gzip, "encoding": "gzip"}),
            Some(b"hello hello hello hello\n".to_vec()),
        ),
    ];
    for (payload, body) in cases {
        let (mut bench, connection) = Bench::online();
        let (_, id) = opened(&mut bench, ProxyRequest::get("/api").buffered());
        bench.say(connection, "proxy_response", Some(&id), payload);
        let mut expected = vec![head(200)];
        expected.extend(body.map(Part::Chunk));
        expected.push(Part::End);
        assert_eq!(bench.parts, expected);
        bench.assert_breaches(&[]);
    }
}

#[test]
fn a_binary_answer() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api").buffered());
    let mut bytes = vec![0, u8::try_from(id.len()).unwrap()];
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(b"\x00\x00\x00\xc8\x00\x00\x00\x04nullBODY");
    bench.plane.receive(bench.now, connection, Incoming::Binary(bytes));
    bench.drain();
    let parts = [Part::Head { status: 200, headers: vec![] }, Part::Chunk(b"BODY".to_vec()), Part::End];
    assert_eq!(bench.parts, parts);
    bench.assert_breaches(&[]);
    bench.plane.receive(bench.now, connection, Incoming::Binary(vec![0]));
    bench.assert_breaches(&[Breach::BinaryWrong("too short for an id's length")]);
}

#[test]
fn errors_and_aborts() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api").buffered());
    bench.say(connection, "proxy_error", Some(&id), json!({"error": "unreachable", "request_id": id}));
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api"));
    bench.say(connection, "proxy_response_abort", Some(&id), json!({"error": "gone"}));
    assert_eq!(bench.parts, [Part::Error("unreachable".into()), Part::Abort("gone".into())]);
    bench.assert_breaches(&[]);
    assert_eq!(bench.plane.records().others.len(), 2);
}

#[test]
fn wrong_forms_and_orders() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api"));
    let form = |message: &str, id: &str| Breach::AnswerForm { message: message.into(), id: id.into() };
    bench.say(connection, "proxy_response_end", Some(&id), json!({}));
    bench.assert_breaches(&[Breach::BeforeHead { message: "proxy_response_end".into(), id: id.clone() }]);
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api"));
    let head = json!({"status": 700, "headers": null});
    bench.say(connection, "proxy_response_header", Some(&id), head.clone());
    bench.assert_breaches(&[Breach::StatusWrong { id: id.clone(), status: 700 }]);
    bench.say(connection, "proxy_response_header", Some(&id), head.clone());
    bench.assert_breaches(&[Breach::HeadTwice { id: id.clone() }]);
    bench.say(connection, "proxy_error", Some(&id), json!({"error": "x", "request_id": "other"}));
    bench.assert_breaches(&[field_value("proxy_error", "request_id", "other"), form("proxy_error", &id)]);
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api").buffered());
    bench.say(connection, "proxy_response_abort", Some(&id), json!({"error": ""}));
    bench.assert_breaches(&[field_value("proxy_response_abort", "error", ""), form("proxy_response_abort", &id)]);
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api"));
    bench.say(connection, "proxy_response", Some(&id), json!({"status": 200, "headers": {}, "body": "aGk="}));
    let missing = Breach::FieldMissing { message: "proxy_response".into(), field: "encoding".into() };
    bench.assert_breaches(&[form("proxy_response", &id), missing]);
}

#[test]
fn wrong_bodies() {
    let (mut bench, connection) = Bench::online();
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api"));
    bench.say(connection, "proxy_response_header", Some(&id), json!({"status": 200, "headers": null}));
    let chunk = |data: &str, size: u64| json!({"data": data, "encoding": "base64", "size": size});
    bench.say(connection, "proxy_response_chunk", Some(&id), chunk("aGk=", 3));
    bench.say(connection, "proxy_response_chunk", Some(&id), chunk("", 0));
    bench.say(connection, "proxy_response_chunk", Some(&id), chunk("aGk", 2));
    bench.say(connection, "proxy_response_chunk", Some(&id), chunk(&"AAAA".repeat(10_923), 32_769));
    bench.assert_breaches(&[
        Breach::SizeWrong { id: id.clone(), size: 3, decoded: 2 },
        Breach::ChunkEmpty { id: id.clone() },
        Breach::Base64Wrong { message: "proxy_response_chunk".into(), id: id.clone() },
        Breach::ChunkTooLarge { id, decoded: 32_769 },
    ]);
    let (_, id) = opened(&mut bench, ProxyRequest::get("/api").buffered());
    let payload = json!({"status": 200, "headers": null, "body": "aGk=", "encoding": "gzip"});
    bench.say(connection, "proxy_response", Some(&id), payload);
    bench.assert_breaches(&[Breach::GzipWrong { id }]);
    assert!(matches!(bench.parts.last(), Some(Part::Abort(_))));
}

#[test]
fn unknown_ids_and_other_connections() {
    let mut bench = Bench::with_gateway();
    let first = bench.accepted(&gateway("x"));
    let second = bench.accepted(&gateway("y"));
    let (_, id) = opened(&mut bench, ProxyRequest { cluster: Some("x".into()), ..ProxyRequest::get("/api") });
    let end = || "proxy_response_end".to_owned();
    bench.say(second, "proxy_response_end", Some(&id), json!({}));
    bench.say(first, "proxy_response_end", Some("nothing"), json!({}));
    bench.assert_breaches(&[
        Breach::ExchangeElsewhere { message: end(), id },
        Breach::ExchangeUnknown { message: end(), id: "nothing".into() },
    ]);
}

#[test]
fn a_chunked_body_in_both_spellings() {
    for data in [false, true] {
        let (mut bench, _) = Bench::online();
        let spelling = Spelling { data, ..Spelling::default() };
        let (id, _) = opened(&mut bench, ProxyRequest { body: Body::Chunked, spelling, ..ProxyRequest::get("/x") });
        bench.plane.body_chunk(id, b"hi");
        bench.drain();
        assert_eq!(bench.last()["payload"][if data { "data" } else { "chunk" }], "aGk=");
        bench.plane.body_end(id);
        bench.drain();
        assert_eq!(bench.types(), ["proxy_request", "proxy_request_chunk", "proxy_request_stream_end"]);
    }
}

#[test]
fn a_binary_body_follows_its_request() {
    let (mut bench, _) = Bench::online();
    let request = ProxyRequest { body: Body::Binary(b"B".to_vec()), request_id: Some("r".into()), ..ProxyRequest::get("/x") };
    opened(&mut bench, request);
    assert_eq!(bench.last()["payload"]["body_binary"], true);
    assert_eq!(bench.binary, [b"\x00\x01rB".to_vec()]);
}

#[test]
fn a_cancelled_exchange_may_end_or_not() {
    let (mut bench, connection) = Bench::online();
    let (id, wire_id) = opened(&mut bench, ProxyRequest::get("/api"));
    bench.plane.cancel(id);
    bench.plane.cancel(id);
    bench.drain();
    assert_eq!(bench.types(), ["proxy_request", "proxy_cancel"]);
    assert_eq!(bench.plane.exchanges_running(), 0);
    bench.say(connection, "proxy_response_header", Some(&wire_id), json!({"status": 200, "headers": null}));
    bench.say(connection, "proxy_response_abort", Some(&wire_id), json!({"error": "cancelled"}));
    assert!(bench.parts.is_empty());
    bench.assert_breaches(&[]);
    bench.say(connection, "proxy_response_abort", Some(&wire_id), json!({"error": "cancelled"}));
    bench.assert_breaches(&[Breach::AfterEnd { message: "proxy_response_abort".into(), id: wire_id }]);
}

#[test]
fn a_lost_connection_ends_its_exchanges() {
    let (mut bench, connection) = Bench::online();
    opened(&mut bench, ProxyRequest::get("/api"));
    bench.plane.closed(bench.now, connection);
    bench.drain();
    assert!(matches!(bench.parts[..], [Part::Abort(_)]));
    assert_eq!(bench.plane.open(bench.now, ProxyRequest::get("/api")), Err(NoAgent));
}

#[test]
fn a_hand_made_request_takes_any_answer() {
    let (mut bench, connection) = Bench::online();
    bench.plane.open_raw(bench.now, "raw", "{broken").unwrap();
    while bench.plane.poll_output().is_some() {}
    bench.say(connection, "proxy_error", Some("raw"), json!({"error": "cannot be read"}));
    assert_eq!(bench.parts, [Part::Error("cannot be read".into())]);
    bench.assert_breaches(&[]);
}
