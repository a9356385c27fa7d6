//! Upgrades through the front doors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use devplane::{AppRoute, DevPlaneHandle, Options, Service};
use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::agent::Agent;
use super::client::{Duplex, connect, read_head, send};
use super::{LIMIT, assert_clean, start};

type Client = WebSocket<Box<dyn Duplex>>;

/// Opens a WebSocket through a front door, with the agent's help.
fn websocket(plane: &DevPlaneHandle, agent: &mut Agent, url: &str, host: &str) -> (Client, String) {
    let stream = connect(url, plane.ca_pem()).unwrap();
    let mut request = url.replacen("http", "ws", 1).into_client_request().unwrap();
    request.headers_mut().insert("Host", host.parse().unwrap());
    request.headers_mut().insert("Sec-WebSocket-Protocol", "a, b".parse().unwrap());
    request.headers_mut().insert("Authorization", "Bearer user".parse().unwrap());
    let client = std::thread::spawn(move || tungstenite::client(request, stream).unwrap());
    let (id, payload) = agent.request();
    assert_eq!((&payload["is_websocket"], &payload["supports_response_streaming"]), (&json!(true), &json!(true)));
    let headers = &payload["headers"];
    assert_eq!((&headers["Upgrade"], &headers["Connection"]), (&json!(["websocket"]), &json!(["Upgrade"])));
    assert_eq!((&headers["Sec-Websocket-Version"], &headers["Sec-Websocket-Protocol"]), (&json!(["13"]), &json!(["a, b"])));
    assert!(headers["Sec-Websocket-Key"].is_array());
    assert_eq!(headers["Authorization"], json!(["Bearer user"]));
    let headers = json!({
        "Upgrade": ["websocket"], "Connection": ["Upgrade"], "Sec-Websocket-Accept": ["of the agent"],
        "Sec-Websocket-Extensions": ["permessage-deflate"], "Sec-Websocket-Protocol": ["b"], "X-A": ["1"],
    });
    agent.switch(&id, headers);
    let (client, response) = client.join().unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "b");
    assert_eq!(response.headers()["x-a"], "1");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    (client, id)
}

fn kube(plane: &DevPlaneHandle, agent: &mut Agent) -> (Client, String) {
    websocket(plane, agent, plane.kube_url(), "kube")
}

fn raw(plane: &DevPlaneHandle) -> std::io::BufReader<Box<dyn Duplex>> {
    let head = "POST /api/v1/x/exec?stdin=1 HTTP/1.1\nHost: kube\nConnection: Upgrade\nUpgrade: SPDY/3.1\n\
                X-Stream-Protocol-Version: v4.channel.k8s.io\nContent-Length: 0";
    send(plane.kube_url(), plane.ca_pem(), head, b"")
}

#[test]
fn messages_pings_and_pongs_pass_both_ways() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let (mut client, id) = kube(&plane, &mut agent);
    let large = vec![7; 100_000];
    for (message, opcode, payload) in [
        (Message::text("hi"), 1, b"hi".as_slice()),
        (Message::binary(large.clone()), 2, &large),
        (Message::Ping("p".into()), 9, b"p"),
        (Message::Pong("q".into()), 10, b"q"),
    ] {
        client.send(message).unwrap();
        assert_eq!(agent.data(), (opcode, payload.to_vec()));
    }
    agent.frame(&id, 1, b"ho");
    assert_eq!(client.read().unwrap(), Message::text("ho"));
    agent.frame(&id, 2, &large);
    assert_eq!(client.read().unwrap(), Message::binary(large));
    // The backend's answer to the client's ping, then a ping of its own, which the client answers.
    agent.frame(&id, 10, b"p");
    assert_eq!(client.read().unwrap(), Message::Pong("p".into()));
    agent.frame(&id, 9, b"r");
    assert_eq!(client.read().unwrap(), Message::Ping("r".into()));
    client.flush().unwrap();
    assert_eq!(agent.data(), (10, b"r".to_vec()));
    assert_clean(&plane);
}

#[test]
fn a_close_has_its_code_and_reason_both_ways() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let (mut client, id) = kube(&plane, &mut agent);
    client.close(Some(CloseFrame { code: CloseCode::Library(4001), reason: "done".into() })).unwrap();
    assert_eq!(agent.data(), (8, b"\x0f\xa1done".to_vec()));
    agent.closed(&id, 4001, "done");
    assert!(matches!(client.read(), Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 4001));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));

    let (mut client, id) = kube(&plane, &mut agent);
    agent.closed(&id, 1013, &"\u{e9}".repeat(100));
    let Ok(Message::Close(Some(frame))) = client.read() else { panic!("no close frame") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1013, "\u{e9}".repeat(61).as_str()));

    let (mut client, id) = kube(&plane, &mut agent);
    agent.closed(&id, 1005, "");
    assert_eq!(client.read().unwrap(), Message::Close(None));
    let (mut client, id) = kube(&plane, &mut agent);
    agent.closed(&id, 1006, "lost");
    assert!(matches!(client.read(), Err(Error::Protocol(_) | Error::Io(_))));

    // A backend's close frame as such, too; then there is only one.
    let (mut client, id) = kube(&plane, &mut agent);
    agent.frame(&id, 8, b"\x03\xe8");
    agent.closed(&id, 1000, "");
    assert!(matches!(client.read(), Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Normal));
    assert!(plane.wait_until(|plane| plane.exchanges_running() == 0, LIMIT).unwrap());
    assert_clean(&plane);
}

#[test]
fn clients_that_vanish_or_break_the_rules_close_the_stream() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let (client, id) = kube(&plane, &mut agent);
    drop(client);
    assert_eq!(agent.expect("ws_close")["payload"], json!({"stream_id": id, "request_id": id}));
    let (mut client, id) = kube(&plane, &mut agent);
    // A masked frame with an opcode that does not exist.
    client.get_mut().write_all(&[0x8b, 0x80, 0, 0, 0, 0]).unwrap();
    client.get_mut().flush().unwrap();
    assert!(matches!(client.read(), Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Protocol));
    assert_eq!(agent.expect("ws_close")["request_id"], id.as_str());
    // An agent's error after the 101.
    let (mut client, id) = kube(&plane, &mut agent);
    agent.send("proxy_response_abort", Some(&id), json!({"error": "broken off"}));
    assert!(matches!(client.read(), Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Error));
    assert_clean(&plane);
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let url = plane.kube_url().replacen("http", "ws", 1);
    let mut stream = connect(plane.kube_url(), plane.ca_pem()).unwrap();
    // The connection is kept: a client that leaves with the head alone has the request cancelled, and rightly so.
    let client = std::thread::spawn(move || match tungstenite::client(url.into_client_request().unwrap(), &mut stream) {
        Err(HandshakeError::Failure(Error::Http(response))) => (response, stream),
        Ok(_) | Err(_) => panic!("no answer"),
    });
    let (id, _) = agent.request();
    let body = br#"{"kind":"Status","code":403}"#;
    agent.head(&id, 403, json!({"Content-Type": ["application/json"], "Content-Length": [body.len().to_string()]}));
    agent.chunk(&id, body);
    agent.end(&id);
    let (response, _kept) = client.join().unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["content-type"].as_bytes()),
        (403, b"application/json".as_slice())
    );

    let client = raw(&plane);
    let (id, _) = agent.request();
    agent.head(&id, 403, json!({"Content-Length": [body.len().to_string()]}));
    agent.chunk(&id, body);
    agent.end(&id);
    let answer = read_head(client);
    assert_eq!((answer.status, answer.body().unwrap()), (403, body.to_vec()));
    let client = raw(&plane);
    let (id, _) = agent.request();
    agent.send("proxy_response_abort", Some(&id), json!({"error": "unreachable"}));
    assert_eq!(read_head(client).status, 502);
    // Nothing was asked of the agent for what is no handshake, and 101 is no answer to a plain request.
    let head = "GET /a HTTP/1.1\nHost: kube\nConnection: Upgrade\nUpgrade: websocket";
    assert_eq!(read_head(send(plane.kube_url(), plane.ca_pem(), head, b"")).status, 400);
    assert_clean(&plane);
    let client = send(plane.kube_url(), plane.ca_pem(), "GET /a HTTP/1.1\nHost: kube\nUpgrade: x", b"");
    let (id, payload) = agent.request();
    assert_eq!(payload["headers"], json!({}));
    agent.switch(&id, json!({}));
    assert_eq!(read_head(client).status, 502);
    assert_eq!(plane.violations().unwrap().len(), 1);
}

#[test]
fn any_other_protocol_is_bytes() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let client = raw(&plane);
    let (id, payload) = agent.request();
    assert_eq!((&payload["method"], &payload["query"]), (&json!("POST"), &json!("stdin=1")));
    let version = json!(["v4.channel.k8s.io"]);
    let expected = json!({"Connection": ["Upgrade"], "Upgrade": ["SPDY/3.1"], "X-Stream-Protocol-Version": version});
    assert_eq!(payload["headers"], expected);
    assert_eq!(payload.get("is_websocket"), None);
    agent.switch(&id, expected);
    let answer = read_head(client);
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("SPDY/3.1")));
    assert_eq!(answer.header("x-stream-protocol-version"), Some("v4.channel.k8s.io"));
    let mut client = answer.into_stream();
    let sent: Vec<u8> = (0..100_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    client.get_mut().write_all(&sent).unwrap();
    client.get_mut().flush().unwrap();
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let (opcode, piece) = agent.data();
        assert!(opcode == 2 && piece.len() <= 32_768);
        agent.frame(&id, 2, &piece);
        received.extend(piece);
    }
    assert_eq!(received, sent);
    let mut echoed = vec![0; sent.len()];
    client.read_exact(&mut echoed).unwrap();
    assert_eq!(echoed, sent);
    agent.frame(&id, 2, b"last");
    agent.closed(&id, 1000, "");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"last");
    assert_clean(&plane);
}

#[test]
fn half_closed_both_ways() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    plane.set_app("app.test", Some(AppRoute::default()));
    for agent_ends_first in [false, true] {
        let mut client = TcpStream::connect(plane.apps_url().strip_prefix("http://").unwrap()).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        // The first bytes come with the request.
        client.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\nearly").unwrap();
        let (id, payload) = agent.request();
        assert_eq!((&payload["scheme"], &payload["headers"]["Upgrade"]), (&json!("http"), &json!(["any"])));
        assert_eq!(payload["head_data"], "ZWFybHk=");
        agent.switch(&id, json!({"Connection": ["Upgrade"], "Upgrade": ["any"]}));
        client.write_all(b"then").unwrap();
        assert_eq!(agent.data(), (2, b"then".to_vec()));
        let mut received = Vec::new();
        if agent_ends_first {
            agent.frame(&id, 2, b"more");
            agent.frame(&id, 8, b"");
            client.read_to_end(&mut received).unwrap();
            client.write_all(b"late").unwrap();
            assert_eq!(agent.data(), (2, b"late".to_vec()));
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(agent.data(), (8, Vec::new()));
            agent.closed(&id, 1000, "");
        } else {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(agent.data(), (8, Vec::new()));
            agent.frame(&id, 2, b"more");
            agent.closed(&id, 1000, "");
            client.read_to_end(&mut received).unwrap();
        }
        assert!(received.starts_with(b"HTTP/1.1 101 ") && received.ends_with(b"\r\n\r\nmore"));
    }
    assert_clean(&plane);
}

#[test]
fn applications_have_websockets_too() {
    let service = Service { namespace: "shop".into(), name: "web".into(), port: 80 };
    let route = AppRoute { service: Some(service), ..AppRoute::default() };
    let apps = vec![("shop.test".to_owned(), route)];
    let plane = start(Options { apps_tls: true, apps, ..Options::default() });
    let mut agent = Agent::online(&plane);
    assert!(plane.apps_url().starts_with("https://"));
    let (mut client, id) = websocket(&plane, &mut agent, plane.apps_url(), "shop.test");
    client.send(Message::text("hi")).unwrap();
    assert_eq!(agent.data(), (1, b"hi".to_vec()));
    agent.frame(&id, 1, b"ho");
    assert_eq!(client.read().unwrap(), Message::text("ho"));
    let client = send(plane.apps_url(), plane.ca_pem(), "GET /events HTTP/1.1\nHost: shop.test", b"");
    let (id, payload) = agent.request();
    assert_eq!((&payload["scheme"], &payload["service_name"]), (&json!("https"), &json!("web")));
    agent.head(&id, 200, json!({"Content-Type": ["text/event-stream"]}));
    let mut answer = read_head(client);
    for event in [b"data: 1\n\n", b"data: 2\n\n"] {
        agent.chunk(&id, event);
        assert_eq!(answer.chunk().unwrap(), event);
    }
    assert_clean(&plane);
}
