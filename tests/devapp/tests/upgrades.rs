//! WebSockets with a client that is not ours, and the upgrades that are nobody's.

// The exemption for tests covers test functions only, not what they share; and not every file uses all of that.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use devapp::{DevApp, mismatch};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use support::{ask, connect, get, read_head, seen, start};

type Client = WebSocket<TcpStream>;

fn open_with(app: &DevApp, target: &str, fields: &[(&'static str, &str)]) -> Result<(Client, Response), Error> {
    let mut request = format!("ws://app.example{target}").into_client_request().unwrap();
    for (name, value) in fields {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    tungstenite::client(request, connect(app)).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("the handshake takes too long"),
    })
}

fn open(app: &DevApp, target: &str) -> Client {
    open_with(app, target, &[]).unwrap().0
}

fn close_frame(client: &mut Client) -> Option<(u16, String)> {
    loop {
        match client.read().unwrap() {
            Message::Close(frame) => return frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
            Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

#[test]
fn everything_comes_back() {
    let app = start();
    let mut client = open(&app, "/echo");
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 256).unwrap()).collect();
    for message in [Message::text("töxt"), Message::binary(bytes), Message::text("")] {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    client.send(Message::Ping("p".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("p".into()));
    client.close(Some(CloseFrame { code: CloseCode::from(4321), reason: "enough".into() })).unwrap();
    assert_eq!(close_frame(&mut client), Some((4321, "enough".into())));
    let record = seen(&app, "/echo", |seen| seen.ended);
    assert_eq!((record.status, record.messages, record.close), (Some(101), 3, Some((4321, "enough".into()))));
}

#[test]
fn the_clients_first_protocol_that_there_is_gets_taken() {
    let app = start();
    let fields = [("Sec-WebSocket-Protocol", "x, b, a"), ("Origin", "https://o.example"), ("Cookie", "c=1")];
    let (_, response) = open_with(&app, "/echo?protocols=a,b", &fields).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "b");
    let record = seen(&app, "/echo", |_| true);
    assert_eq!(record.protocol.as_deref(), Some("b"));
    let told = ["host", "origin", "cookie"].map(|name| record.header(name));
    assert_eq!(told, [Some("app.example"), Some("https://o.example"), Some("c=1")]);
    assert!(open_with(&app, "/echo?protocols=c", &fields).is_err(), "tungstenite insists on one of its own");
}

#[test]
fn it_closes_with_what_it_is_told() {
    let app = start();
    let mut client = open(&app, "/ws/close?code=4001&reason=bye");
    client.send(Message::text("x")).unwrap();
    assert_eq!(close_frame(&mut client), Some((4001, "bye".into())));
}

#[test]
fn many_frames_come_in_order() {
    let app = start();
    let mut client = open(&app, "/ws/frames?count=2000&size=100");
    for number in 0..2000_u64 {
        let Message::Binary(bytes) = client.read().unwrap() else { panic!("not binary") };
        assert_eq!((&bytes[..8], mismatch(0, &bytes[8..]), bytes.len()), (&number.to_le_bytes()[..], None, 108));
    }
    assert_eq!(close_frame(&mut client), Some((1000, String::new())));
}

#[test]
fn a_message_comes_in_pieces_with_a_ping_inside() {
    let app = start();
    let mut client = open(&app, "/ws/fragments");
    assert_eq!(client.read().unwrap(), Message::Ping("between".into()));
    assert_eq!(client.read().unwrap(), Message::text("one two three"));
    client.send(Message::text("still here")).unwrap();
    assert_eq!(client.read().unwrap(), Message::text("still here"));
    assert_eq!(seen(&app, "/ws/fragments", |seen| !seen.pongs.is_empty()).pongs, [b"between"]);
}

#[test]
fn it_drops_without_a_word() {
    let app = start();
    let mut client = open(&app, "/ws/drop?after=1");
    client.send(Message::text("x")).unwrap();
    assert!(matches!(client.read(), Err(Error::Protocol(_) | Error::Io(_))));
    let mut client = open(&app, "/ws/drop");
    assert!(matches!(client.read(), Err(Error::Protocol(_) | Error::Io(_))));
}

#[test]
fn it_stalls() {
    let app = start();
    let mut client = open(&app, "/ws/stall");
    client.send(Message::text("x")).unwrap();
    let record = seen(&app, "/ws/stall", |seen| seen.status == Some(101));
    assert_eq!((record.messages, record.ended), (0, false));
}

#[test]
fn pongs_are_recorded() {
    let app = start();
    let mut client = open(&app, "/ws/pong?count=2&payload=hey");
    assert_eq!(client.read().unwrap(), Message::Ping("hey-0".into()));
    assert_eq!(client.read().unwrap(), Message::Ping("hey-1".into()));
    client.flush().unwrap();
    let record = seen(&app, "/ws/pong", |seen| seen.pongs.len() == 2);
    assert_eq!(record.pongs, [b"hey-0", b"hey-1"]);
}

#[test]
fn a_refusal_has_a_body() {
    let app = start();
    let Err(Error::Http(response)) = open_with(&app, "/ws/refuse?status=401", &[]) else { panic!("not refused") };
    assert_eq!(response.status(), 401);
    assert!(response.body().as_ref().is_some_and(|body| body.starts_with(b"{\"error\"")));
    assert_eq!(get(&app, "/echo").status, 426);
    let fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n";
    assert_eq!(ask(&app, "GET /echo", fields, b"").status, 400);
}

#[test]
fn a_client_without_masks_is_closed() {
    let app = start();
    let mut client = open(&app, "/echo");
    client.get_mut().write_all(&devapp::frame::encode(true, 1, b"x", None)).unwrap();
    assert_eq!(close_frame(&mut client).map(|(code, _)| code), Some(1002));
}

fn raw(app: &DevApp, target: &str, token: &str, more: &[u8]) -> TcpStream {
    let mut stream = connect(app);
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {token}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), more].concat()).unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains(&format!("\r\nUpgrade: {token}\r\n")), "{head}");
    stream
}

#[test]
fn raw_bytes_come_back_and_the_end_is_answered() {
    let app = start();
    let mut stream = raw(&app, "/any", "raw-echo", b"with the head");
    stream.write_all(b" and after").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = String::new();
    stream.read_to_string(&mut back).unwrap();
    assert_eq!(back, "with the head and afterBYE");
    assert_eq!(seen(&app, "/any", |seen| seen.ended).body_bytes, 23);
}

#[test]
fn raw_bytes_are_counted_out() {
    let app = start();
    let mut stream = raw(&app, "/any?bytes=300000", "raw-count", b"");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!((bytes.len(), mismatch(0, &bytes)), (300_000, None));
    stream.write_all(b"x").unwrap();
    drop(stream);
    assert_eq!(seen(&app, "/any", |seen| seen.ended).body_bytes, 1);
}

#[test]
fn an_unknown_protocol_is_ignored() {
    let app = start();
    assert_eq!(ask(&app, "GET /status?code=201", "Connection: Upgrade\r\nUpgrade: h2c\r\n", b"").status, 201);
}
