//! How a WebSocket to a service begins: what the backend is asked, and what the plane is answered.

use devplane::plane::{Part, ProxyRequest};
use serde_json::json;

use crate::rig::json;
use crate::site::Site;
use crate::socket::Headers;

fn value<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, values) = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    assert_eq!(values.len(), 1, "{name}");
    values.first().map(String::as_str)
}

fn dressed(request: ProxyRequest) -> ProxyRequest {
    request
        .header("Host", "shop.example.com")
        .header("Origin", "https://shop.example.com")
        .header("Cookie", "session=1; theme=dark")
        .header("Authorization", "Basic eDp5")
        .header("X-Forwarded-For", "203.0.113.9")
        .header("Sec-WebSocket-Protocol", "soap, chat")
        .query("protocols=chat,other&a=%20b")
}

#[test]
fn must12_an_upgrade_is_answered_with_101_in_both_forms() {
    let site = Site::start();
    for request in [site.websocket("/echo"), site.websocket("/echo").buffered()] {
        let streamed = request.streaming_answer;
        let mut socket = site.open(dressed(request));
        let headers = socket.accepted();
        assert_eq!(value(&headers, "upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"), "{headers:?}");
        assert_eq!(value(&headers, "connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
        assert_eq!(value(&headers, "sec-websocket-protocol"), Some("chat"));
        assert_eq!(value(&headers, "sec-websocket-extensions"), None);
        socket.round_trip(if streamed { "streamed" } else { "buffered" });
        socket.close();
    }
    site.finish();
}

#[test]
fn must12_host_origin_cookie_and_sub_protocols_reach_the_backend() {
    let site = Site::start();
    let mut socket = site.connect(dressed(site.websocket("/echo")));
    socket.round_trip("hello");
    let seen = site.app.last("/echo").unwrap();
    for (name, expected) in [
        ("host", "shop.example.com"),
        ("origin", "https://shop.example.com"),
        ("cookie", "session=1; theme=dark"),
        ("authorization", "Basic eDp5"),
        ("x-forwarded-for", "203.0.113.9"),
        ("sec-websocket-protocol", "soap, chat"),
        ("sec-websocket-version", "13"),
    ] {
        let values: Vec<_> = seen.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        assert_eq!(values[0].1, expected, "{name}");
    }
    assert_eq!(seen.header("sec-websocket-extensions"), None);
    assert_eq!(seen.query, "protocols=chat,other&a=%20b");
    assert_eq!(seen.protocol.as_deref(), Some("chat"));
    assert_eq!(seen.method, "GET");
    socket.close();
    site.finish();
}

#[test]
fn must12_a_refused_upgrade_is_the_answer() {
    let site = Site::start();
    for request in [site.websocket("/ws/refuse"), site.websocket("/ws/refuse").buffered()] {
        let answer = site.rig.ask(request);
        assert_eq!((answer.status, &answer.error), (403, &None), "{answer:?}");
        assert_eq!(json(&answer), json!({"error": "no WebSocket for you"}));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    let answer = site.rig.ask(site.websocket("/headers"));
    assert_eq!((answer.status, answer.error), (200, None), "a backend may ignore an upgrade");
    site.finish();
}

#[test]
fn b66_the_protocol_field_alone_makes_no_websocket() {
    let site = Site::start();
    let with_protocol = |request: ProxyRequest| {
        let mut request = request;
        request.extra.insert("protocol".into(), "chat".into());
        request
    };
    for request in [site.get("/echo"), site.get("/echo").buffered()] {
        let answer = site.rig.ask(with_protocol(request));
        // What the application says to a plain request for a WebSocket's path.
        assert_eq!((answer.status, &answer.error), (426, &None), "{answer:?}");
    }
    let seen = site.app.last("/echo").unwrap();
    assert_eq!((seen.header("upgrade"), seen.header("sec-websocket-protocol")), (None, None), "{seen:?}");
    let mut socket = site.open(with_protocol(site.websocket("/echo")).query("protocols=chat"));
    assert_eq!(value(&socket.accepted(), "sec-websocket-protocol"), Some("chat"));
    socket.close();
    site.finish();
}

#[test]
fn b67_no_spelling_of_a_header_matters() {
    let site = Site::start();
    for (upgrade, key, host, protocol) in [
        ("upgrade", "sec-websocket-key", "host", "sec-websocket-protocol"),
        ("UPGRADE", "SEC-WEBSOCKET-KEY", "HOST", "SEC-WEBSOCKET-PROTOCOL"),
        ("Upgrade", "Sec-WebSocket-Key", "hOsT", "Sec-Websocket-Protocol"),
    ] {
        let request = site
            .get("/echo")
            .query("protocols=chat")
            .header(upgrade, "WebSocket")
            .header(key, "dGhlIHNhbXBsZSBub25jZQ==")
            .header(host, "any.example")
            .header(protocol, "chat");
        let mut socket = site.connect(request);
        socket.round_trip(upgrade);
        let seen = site.app.last("/echo").unwrap();
        assert_eq!((seen.header("host"), seen.protocol.as_deref()), (Some("any.example"), Some("chat")), "{seen:?}");
        socket.close();
    }
    // Each of the signs that there are does by itself.
    for sign in ["is_websocket", "isWebSocket"] {
        let mut request = site.get("/echo");
        request.extra.insert(sign.into(), true.into());
        let mut socket = site.connect(request);
        socket.round_trip(sign);
        socket.close();
    }
    site.finish();
}

#[test]
fn b25_the_clients_scheme_does_not_make_tls_to_a_plain_port() {
    let site = Site::start();
    let request = ProxyRequest { scheme: Some("https".into()), ..site.websocket("/echo") };
    let mut socket = site.connect(request);
    socket.round_trip("in clear text");
    let seen = site.app.last("/echo").unwrap();
    assert_eq!((seen.tls, seen.header("x-forwarded-proto")), (false, Some("https")));
    socket.close();
    site.finish();
}

#[test]
fn b44_a_backend_that_does_not_listen_is_told_without_its_address() {
    let site = Site::start();
    let port = site.app.addr().port();
    let Site { rig, app } = site;
    drop(app);
    let request = |buffered: bool| {
        let request = crate::site::aim(ProxyRequest::websocket("/echo"), crate::site::SERVICE, port);
        if buffered { request.buffered() } else { request }
    };
    for buffered in [false, true] {
        let parts = rig.parts(request(buffered));
        let [Part::Abort(text) | Part::Error(text)] = parts.as_slice() else {
            panic!("{parts:?}");
        };
        assert!(text.starts_with("unreachable: "), "{text}");
        assert!(!text.contains("127.0.0.1") && !text.contains(&port.to_string()), "{text}");
    }
    rig.finish();
}
