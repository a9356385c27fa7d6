//! Clients that know nothing of the tunnel: a browser's requests through the plane's front door.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use devapp::frame::{CLOSE, Decoder, PING, PONG, TEXT, encode, encode_close};
use devapp::{GREETING, accept_key};
use devplane::{AppRoute, Service};

use crate::rig::PATIENCE;
use crate::site::{NAMESPACE, SERVICE, Site};

const HOST: &str = "shop.example.com";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn connect(site: &Site) -> TcpStream {
    let service = Service { namespace: NAMESPACE.into(), name: SERVICE.into(), port: site.app.addr().port() };
    site.rig.bed.plane.set_app(HOST, Some(AppRoute { service: Some(service), ..AppRoute::default() }));
    let stream = TcpStream::connect(site.rig.bed.plane.apps_url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the connection ends in the head");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn f04_a_page_through_the_front_door() {
    let site = Site::start();
    let mut stream = connect(&site);
    write!(stream, "GET /gzip HTTP/1.1\r\nHost: {HOST}\r\nCookie: a=b\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(GREETING), "{answer}");
    let seen = site.app.last("/gzip").unwrap();
    assert_eq!((seen.header("host"), seen.header("cookie")), (Some(HOST), Some("a=b")));
    site.finish();
}

#[test]
fn f04_a_websocket_through_the_front_door() {
    let site = Site::start();
    let mut stream = connect(&site);
    // The first frame comes with the request, as from a client in a hurry.
    let mut request = format!(
        "GET /echo?protocols=chat HTTP/1.1\r\nHost: {HOST}\r\nOrigin: http://{HOST}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    .into_bytes();
    request.extend(encode(true, TEXT, b"in a hurry", MASK));
    stream.write_all(&request).unwrap();
    let head = read_head(&mut stream).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains(&format!("sec-websocket-accept: {}", accept_key(KEY).unwrap().to_ascii_lowercase())), "{head}");
    assert!(head.contains("sec-websocket-protocol: chat") && !head.contains("permessage-deflate"), "{head}");
    let mut decoder = Decoder::from_server(1 << 20);
    let mut next = |stream: &mut TcpStream| loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return (frame.opcode, frame.payload.to_vec());
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the connection ends where a frame should come");
        decoder.push(&buffer[..count]);
    };
    assert_eq!(next(&mut stream), (TEXT, b"in a hurry".to_vec()));
    for number in 0..100 {
        stream.write_all(&encode(true, TEXT, format!("number {number}").as_bytes(), MASK)).unwrap();
    }
    for number in 0..100 {
        assert_eq!(next(&mut stream), (TEXT, format!("number {number}").into_bytes()));
    }
    stream.write_all(&encode(true, PING, b"there?", MASK)).unwrap();
    assert_eq!(next(&mut stream), (PONG, b"there?".to_vec()));
    stream.write_all(&encode_close(4321, "enough", MASK)).unwrap();
    let (opcode, payload) = next(&mut stream);
    assert_eq!((opcode, &payload[..2]), (CLOSE, &4321_u16.to_be_bytes()[..]));
    let seen = site.seen("the close", "/echo", |seen| seen.close.is_some());
    assert_eq!(seen.close, Some((4321, "enough".into())));
    site.until_connections(0);
    site.finish();
}

#[test]
fn b11_a_browser_hears_how_the_application_closed() {
    let site = Site::start();
    let mut stream = connect(&site);
    write!(
        stream,
        "GET /ws/close?code=4001&reason=bye HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .unwrap();
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 101 "));
    stream.write_all(&encode(true, TEXT, b"go", MASK)).unwrap();
    let mut decoder = Decoder::from_server(1 << 20);
    let close = loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            break frame;
        }
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "no close frame");
        decoder.push(&buffer[..count]);
    };
    assert_eq!((close.opcode, &close.payload[..]), (CLOSE, &b"\x0f\xa1bye"[..]));
    site.finish();
}
