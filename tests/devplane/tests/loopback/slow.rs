//! Who does not read, or does not say that he has: pacing, given-up clients, clients that are not read.

use std::io::{BufReader, ErrorKind, Write};
use std::thread;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devplane::plane::ProxyRequest;
use devplane::{DevPlaneHandle, Options};
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest;

use super::agent::{Agent, frame_of};
use super::client::{Duplex, connect, read_head, send};
use super::{LIMIT, assert_clean, start};

const PIECE: usize = 32 * 1024;
/// Far more than the plane and the sockets' buffers take.
const PIECES: usize = 700;

fn impatient() -> Options {
    Options { client_patience: Duration::from_millis(50), ..Options::default() }
}

fn given_up(plane: &DevPlaneHandle) -> u64 {
    plane.with_plane(|plane| plane.records().given_up.total()).unwrap()
}

/// Sends the same message many times.
fn flood(agent: &mut Agent, kind: &str, id: &str, payload: Value) {
    let envelope = json!({"type": kind, "request_id": id, "payload": payload, "timestamp": "2026-11-23T00:21:49Z"});
    let message = Message::text(envelope.to_string());
    for _ in 0..PIECES {
        agent.message(message.clone());
    }
}

/// The connection is over before anything is read from it.
fn assert_cut(mut client: BufReader<Box<dyn Duplex>>) {
    let error = loop {
        if let Err(error) = client.get_mut().write_all(&[0; 1024]).and_then(|()| client.get_mut().flush()) {
            break error;
        }
    };
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
}

#[test]
fn a_websocket_runs_ahead_of_its_pongs_by_a_window_only() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let stream = connect(plane.kube_url(), plane.ca_pem()).unwrap();
    let url = plane.kube_url().replacen("http", "ws", 1);
    let client = thread::spawn(move || {
        let (mut client, _) = tungstenite::client(url.into_client_request().unwrap(), stream).unwrap();
        for _ in 0..128 {
            client.send(Message::binary(vec![1; PIECE])).unwrap();
        }
        client.send(Message::text("end")).unwrap();
        client
    });
    let (id, _) = agent.request();
    agent.switch(&id, json!({"Upgrade": ["websocket"], "Connection": ["Upgrade"]}));
    let (mut received, mut pings) = (0, Vec::new());
    while received <= 1 << 20 {
        match agent.data() {
            (2, payload) => received += payload.len(),
            (9, ping) => pings.push(ping),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings.len(), 4);
    // Whatever else the plane has to say, no more data are among it.
    for _ in 0..50 {
        let answer = plane.request(ProxyRequest::get("/fence")).unwrap();
        let (fence, _) = agent.request();
        agent.head(&fence, 204, json!(null));
        agent.end(&fence);
        assert_eq!(answer.collect_within(LIMIT).unwrap().status, 204);
    }
    for ping in pings {
        agent.frame(&id, 10, &ping);
    }
    agent.frame(&id, 10, b"not of the plane");
    let mut unanswered = 0;
    loop {
        match agent.data() {
            (2, payload) => {
                received += payload.len();
                unanswered += payload.len();
                assert!(unanswered <= (1 << 20) + (256 << 10) + PIECE);
            }
            (9, ping) => {
                unanswered = 0;
                agent.frame(&id, 10, &ping);
            }
            other => break assert_eq!(other, (1, b"end".to_vec())),
        }
    }
    assert_eq!(received, 128 * PIECE);
    // Of the pongs, one was for the client.
    agent.frame(&id, 1, b"bye");
    let mut client = client.join().unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("not of the plane".into()));
    assert_eq!(client.read().unwrap(), Message::text("bye"));
    assert_clean(&plane);
}

#[test]
fn upgraded_clients_that_do_not_read_are_given_up() {
    for protocol in ["SPDY/3.1", "websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: a"] {
        let plane = start(impatient());
        let mut agent = Agent::online(&plane);
        let head = format!("GET /a HTTP/1.1\nHost: kube\nConnection: Upgrade\nUpgrade: {protocol}");
        let client = send(plane.kube_url(), plane.ca_pem(), &head, b"");
        let (id, _) = agent.request();
        agent.switch(&id, json!({"Upgrade": ["x"], "Connection": ["Upgrade"]}));
        let answer = read_head(client);
        assert_eq!(answer.status, 101);
        let data = STANDARD.encode([&[2_u8][..], &[0; PIECE]].concat());
        flood(
            &mut agent,
            "proxy_websocket_data",
            &id,
            json!({"stream_id": id, "request_id": id, "data": data, "message_type": 2}),
        );
        assert_eq!(agent.expect("ws_close")["request_id"], id.as_str());
        assert_eq!(given_up(&plane), 1);
        assert_cut(answer.into_stream());
        assert_clean(&plane);
    }
}

#[test]
fn clients_that_do_not_read_an_answer_are_given_up() {
    let plane = start(impatient());
    let mut agent = Agent::online(&plane);
    let client = send(plane.kube_url(), plane.ca_pem(), "GET /a HTTP/1.1\nHost: kube", b"");
    let (id, _) = agent.request();
    agent.head(&id, 200, json!(null));
    let answer = read_head(client);
    let data = STANDARD.encode([0; PIECE]);
    flood(&mut agent, "proxy_response_chunk", &id, json!({"data": data, "encoding": "base64", "size": PIECE}));
    assert_eq!(agent.expect("proxy_cancel")["request_id"], id.as_str());
    assert_eq!(given_up(&plane), 1);
    assert_cut(answer.into_stream());
    assert_clean(&plane);
}

#[test]
fn clients_are_not_read_on_purpose() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    plane.set_faults(|faults| faults.stop_reading_clients = true).unwrap();
    let head = "GET /a HTTP/1.1\nHost: kube\nConnection: Upgrade\nUpgrade: x";
    let client = send(plane.kube_url(), plane.ca_pem(), head, b"");
    let (id, _) = agent.request();
    agent.switch(&id, json!({}));
    let mut client = read_head(client).into_stream();
    client.get_mut().write_all(b"early").unwrap();
    client.get_mut().flush().unwrap();
    let answer = plane.request(ProxyRequest::get("/fence")).unwrap();
    // Nothing of the client came before the fence.
    let fence = agent.envelope();
    assert_eq!(fence["type"], "proxy_request");
    drop(answer);
    agent.expect("proxy_cancel");
    plane
        .set_faults(|faults| {
            faults.stop_reading_clients = false;
            faults.client_pause = 1;
        })
        .unwrap();
    assert_eq!(frame_of(&agent.envelope()), (2, b"early".to_vec()));
    assert_clean(&plane);
}
