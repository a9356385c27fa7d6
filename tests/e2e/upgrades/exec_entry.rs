//! Streams by `ws_start`: who may begin one, and what the API server is asked.

use devplane::plane::{Part, WebSocketRequest};
use serde_json::json;

use crate::api::{Api, EXEC, USER_TOKEN, V4, bearer, exec, start};
use crate::harness::AGENT_TOKEN;
use crate::socket::TEXT;

fn with_headers(headers: &[(&str, &str)]) -> WebSocketRequest {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    WebSocketRequest { headers, ..exec() }
}

/// The error, and that nobody was asked.
#[track_caller]
fn refused(api: &Api, request: WebSocketRequest) -> String {
    let mut socket = api.begin(request);
    let Part::Error(text) = socket.part() else { panic!("no error") };
    api.rig.settle();
    assert!(api.server.is_untouched(), "the API server was asked");
    text
}

#[test]
fn b14_without_a_single_authorization_nothing_is_asked() {
    let api = Api::start();
    let bearer = bearer();
    for headers in [
        &[][..],
        &[("Authorization", "")],
        &[("Authorization", bearer.as_str()), ("authorization", bearer.as_str())],
        &[("Authorization", bearer.as_str()), ("AUTHORIZATION", "Bearer other")],
    ] {
        let text = refused(&api, with_headers(headers));
        assert!(text.starts_with("unauthorized: ") && text.contains("(status: 401)"), "{text}");
        assert!(!text.contains(USER_TOKEN));
    }
    api.finish();
}

#[test]
fn b14_the_planes_credential_passes_once_and_the_agents_never() {
    let api = Api::start();
    let bearer = bearer();
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        let headers = [(name, bearer.as_str()), ("Cookie", "a=b"), ("Origin", "https://console.example"), ("X-Kept", "1")];
        let (socket, peer) = api.stream(with_headers(&headers), Some(V4));
        assert_eq!(peer.values("authorization"), [bearer.as_str()], "{name}");
        assert_eq!((peer.values("cookie"), peer.values("x-kept")), (vec!["a=b"], vec!["1"]));
        assert_eq!(peer.values("origin"), ["https://console.example"]);
        let own = peer.headers.iter().any(|(_, value)| value.contains(AGENT_TOKEN));
        assert!(!own, "the agent's own token: {:?}", peer.headers);
        socket.close();
    }
    assert!(!api.rig.agent.text().contains(USER_TOKEN));
    api.finish();
}

#[test]
fn b36_headers_of_the_hop_do_not_pass_and_the_handshake_is_the_agents() {
    let api = Api::start();
    let bearer = bearer();
    let request = with_headers(&[
        ("Authorization", &bearer),
        ("Connection", "close, X-Secret"),
        ("X-Secret", "1"),
        ("Host", "elsewhere.example"),
        ("Upgrade", "SPDY/3.1"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("Sec-WebSocket-Version", "8"),
        ("X-Remote-User", "admin"),
    ]);
    let (socket, peer) = api.stream(request, Some(V4));
    for name in ["x-secret", "proxy-authorization", "sec-websocket-extensions", "x-remote-user"] {
        assert_eq!(peer.values(name), [""; 0], "{name}");
    }
    let address = api.server.addr().to_string();
    for (name, value) in
        [("host", address.as_str()), ("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", "13")]
    {
        assert_eq!(peer.values(name), [value], "{name}");
    }
    assert_eq!(peer.values("sec-websocket-key").len(), 1);
    assert_eq!(peer.line, format!("GET {EXEC}?command=sh&stdin=true&stdout=true HTTP/1.1"));
    socket.close();
    api.finish();
}

#[test]
fn must10_sub_protocols_are_offered_in_order() {
    let api = Api::start();
    let bearer = bearer();
    let authorized = ("Authorization", bearer.as_str());
    let defaults = "v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io";
    for (protocol, header, path, expected) in [
        (None, None, EXEC.to_owned(), Some(defaults)),
        (None, None, EXEC.replace("exec", "attach"), Some(defaults)),
        (None, None, EXEC.replace("exec", "portforward"), Some(defaults)),
        (None, None, "/api/v1/namespaces/default/pods".to_owned(), None),
        (Some("v5.channel.k8s.io,v4.channel.k8s.io"), None, EXEC.to_owned(), Some("v5.channel.k8s.io, v4.channel.k8s.io")),
        (None, Some("a, b"), EXEC.to_owned(), Some("a, b")),
        (Some("c"), Some("a,c"), EXEC.to_owned(), Some("c, a")),
    ] {
        let mut headers = vec![authorized];
        headers.extend(header.map(|value| ("sec-websocket-protocol", value)));
        let request = WebSocketRequest { path, protocol: protocol.map(Into::into), ..with_headers(&headers) };
        let (socket, peer) = api.stream(request, None);
        assert_eq!(peer.values("sec-websocket-protocol"), Vec::from_iter(expected), "{protocol:?} {header:?}");
        socket.close();
    }
    api.finish();
}

#[test]
fn b43_paths_are_refused_by_name_of_the_rule() {
    let api = Api::start();
    for (path, rule) in [
        ("/apifoo", "path-root"),
        ("/versionx", "path-root"),
        ("/metrics", "path-root"),
        ("/api/v1/../../metrics", "path-segment"),
        ("/api/v1/namespaces/default/pods/../../../exec", "path-segment"),
        ("/api//v1/pods", "path-segment"),
        ("/api/v1/%2e%2e/x", "path-character"),
        ("/api/v1/x\r\nX-Injected: 1", "path-character"),
        ("", "path-empty"),
    ] {
        let text = refused(&api, start(path));
        assert!(text.starts_with("denied: ") && text.contains(&format!("(rule {rule})")), "{path:?}: {text}");
    }
    let text = refused(&api, WebSocketRequest { query: "a=b\r\nX-Injected: 1".into(), ..exec() });
    assert!(text.contains("(rule query-character)"), "{text}");
    let bearer = bearer();
    let text = refused(&api, with_headers(&[("Authorization", &bearer), ("Impersonate-User", "root")]));
    assert!(text.contains("(rule impersonation)"), "{text}");
    api.finish();
}

#[test]
fn must10_a_missing_stream_id_is_told_to_the_envelopes() {
    let api = Api::start();
    for kind in ["ws_start", "proxy_websocket_start"] {
        let payload = json!({"path": EXEC, "headers": {"Authorization": [bearer()]}});
        let message = json!({"type": kind, "request_id": format!("of-{kind}"), "payload": payload}).to_string();
        let answer = api.rig.bed.plane.request_raw(&format!("of-{kind}"), &message).unwrap();
        let parts = crate::rig::parts(answer);
        let [Part::Error(text)] = parts.as_slice() else { panic!("{parts:?}") };
        assert!(text.contains("stream_id"), "{text}");
    }
    api.finish();
}

#[test]
fn must10_the_long_names_are_the_same() {
    let api = Api::start();
    let (mut socket, mut peer) = api.stream(WebSocketRequest { long_names: true, ..exec() }, Some(V4));
    socket.send(TEXT, "ls\n");
    assert_eq!(peer.frame().1, b"\0ls\n");
    peer.send(2, b"\x01files");
    assert_eq!(socket.frame(), (TEXT, b"files".to_vec()));
    socket.close();
    peer.ended_without_a_word();
    api.finish();
}
