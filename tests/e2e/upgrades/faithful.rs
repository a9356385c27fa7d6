//! Streams to the Kubernetes API by `proxy_request`: nothing is translated, and nobody is asked as somebody else.

use std::time::Duration;

use devapp::frame::encode_close;
use devplane::plane::ProxyRequest;

use crate::api::{Api, EXEC, USER_TOKEN, bearer};
use crate::harness::AGENT_TOKEN;
use crate::rig::json;
use crate::socket::{BINARY, Headers, TEXT, late_closes};

const V5: &str = "v5.channel.k8s.io";

fn exec() -> ProxyRequest {
    let request = ProxyRequest::websocket(EXEC).query("command=sh&stdin=true&stdout=true");
    request.header("Authorization", bearer()).header("Sec-WebSocket-Protocol", format!("{V5}, v4.channel.k8s.io"))
}

fn protocol(headers: &Headers) -> Option<&str> {
    let named = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"));
    named.and_then(|(_, values)| values.first()).map(String::as_str)
}

#[test]
fn b50_the_101_comes_after_the_backends_and_not_before() {
    let api = Api::start();
    for request in [exec(), exec().buffered()] {
        let mut socket = api.open(request);
        let mut peer = api.server.accept();
        api.rig.settle();
        assert!(socket.nothing_within(Duration::ZERO), "an answer before the backend's");
        peer.upgrade(Some(V5));
        assert_eq!(protocol(&socket.accepted()), Some(V5));
        socket.close();
        peer.ended_without_a_word();
    }
    api.finish();
}

#[test]
fn b14_the_users_authorization_and_sub_protocols_go_up_unchanged() {
    let api = Api::start();
    for name in ["Authorization", "authorization"] {
        let mut request = exec();
        request.headers.retain(|(name, _)| name != "Authorization");
        let mut socket = api.open(request.header(name, bearer()).header("Cookie", "a=b"));
        let mut peer = api.server.accept();
        assert_eq!(peer.values("authorization"), [bearer().as_str()]);
        assert_eq!(peer.values("sec-websocket-protocol"), [format!("{V5}, v4.channel.k8s.io").as_str()]);
        assert_eq!(peer.values("cookie"), ["a=b"]);
        assert!(!peer.headers.iter().any(|(_, value)| value.contains(AGENT_TOKEN)), "the agent's own token");
        assert_eq!(peer.line, format!("GET {EXEC}?command=sh&stdin=true&stdout=true HTTP/1.1"));
        peer.upgrade(Some(V5));
        socket.accepted();
        socket.close();
    }
    assert!(!api.rig.agent.text().contains(USER_TOKEN));
    api.finish();
}

#[test]
fn b14_without_authorization_the_answer_is_401() {
    let api = Api::start();
    let bare = ProxyRequest::websocket(EXEC).query("command=sh&stdin=true");
    for request in [bare.clone(), bare.buffered()] {
        let answer = api.rig.ask(request);
        assert_eq!((answer.status, &answer.error), (401, &None), "{answer:?}");
        assert_eq!(json(&answer)["reason"], "Unauthorized");
    }
    api.rig.settle();
    api.finish();
}

#[test]
fn b48_channels_pass_unchanged() {
    let api = Api::start();
    let mut socket = api.open(exec());
    let mut peer = api.server.accept();
    peer.upgrade(Some(V5));
    socket.accepted();
    for (opcode, data) in [
        (BINARY, &b"\x00ls\n"[..]),
        (BINARY, b"\x01out"),
        (BINARY, b"\x02err"),
        (BINARY, b"\x03{\"status\":\"Success\"}"),
        (BINARY, b"\x04{\"Width\":80,\"Height\":24}"),
        (BINARY, b"\xff\x00"),
        (BINARY, b""),
        (TEXT, b"text"),
    ] {
        socket.send(opcode, data);
        assert_eq!(peer.frame(), (opcode, data.to_vec()));
        peer.send(opcode, data);
        assert_eq!(socket.frame(), (opcode, data.to_vec()));
    }
    peer.write(&encode_close(1000, "process ended", None));
    assert_eq!(socket.closed(), (Some(1000), "process ended".into()));
    assert!(peer.ends());
    api.finish();
}

#[test]
fn b50_a_refusal_of_the_api_server_is_the_answer() {
    let api = Api::start();
    for request in [exec(), exec().buffered()] {
        let socket = api.open(request);
        api.server.accept().refuse("403 Forbidden", "pods \"web-0\" is forbidden");
        let answer = socket.stream.collect_within(crate::rig::PATIENCE).unwrap();
        assert_eq!((answer.status, &answer.error), (403, &None));
        assert_eq!(answer.body, b"pods \"web-0\" is forbidden");
    }
    api.finish();
}

#[test]
fn b11_ws_close_says_nothing_back() {
    let api = Api::start();
    let mut socket = api.open(exec());
    let mut peer = api.server.accept();
    peer.upgrade(Some(V5));
    socket.accepted();
    socket.close();
    peer.ended_without_a_word();
    peer.write(&encode_close(1000, "", None));
    drop(peer);
    api.rig.settle();
    assert_eq!(late_closes(&api.rig), 0);
    api.finish();
}

/// What classic kubectl asks for: bytes that are none of the agent's business.
#[test]
fn spdy_passes_as_bytes() {
    let api = Api::start();
    let request = ProxyRequest::upgrade(EXEC, "SPDY/3.1").query("command=sh&stdin=true").header("Authorization", bearer());
    let request = request.header("X-Stream-Protocol-Version", "v4.channel.k8s.io");
    let mut socket = api.open(ProxyRequest { method: "POST".into(), ..request });
    let mut peer = api.server.accept();
    assert!(peer.line.starts_with("POST "), "{}", peer.line);
    assert_eq!((peer.values("upgrade"), peer.values("connection")), (vec!["SPDY/3.1"], vec!["Upgrade"]));
    assert_eq!(peer.values("x-stream-protocol-version"), ["v4.channel.k8s.io"]);
    peer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n\x80\x03first");
    let headers = socket.accepted();
    let token = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("upgrade"));
    assert_eq!(token.map(|(_, values)| values.as_slice()), Some(&["SPDY/3.1".to_owned()][..]));
    assert_eq!(socket.read(7), b"\x80\x03first");
    drop(peer);
    socket.closed();
    api.finish();
}
