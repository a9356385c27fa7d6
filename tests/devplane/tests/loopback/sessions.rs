//! Registration and requests over the handle, with and without TLS and gateway.

use std::io::Write as _;
use std::thread;

use devplane::plane::{Body, Part, ProxyRequest, Role};
use devplane::{DevPlane, Options, RequestError};
use serde_json::json;
use tungstenite::Message;

use super::agent::{Agent, controller_url, dial};
use super::client::request;
use super::{LIMIT, assert_clean, start};

#[test]
fn all_combinations_of_tls_and_gateway() {
    for (tls, gateway) in [(true, true), (true, false), (false, true), (false, false)] {
        let plane = start(Options { tls, gateway, ..Options::default() });
        let mut agent = Agent::online(&plane);
        let answer = plane.request(ProxyRequest::get("/x")).unwrap();
        let (id, _) = agent.request();
        agent.head(&id, 204, json!(null));
        agent.end(&id);
        let answer = answer.collect_within(LIMIT).unwrap();
        assert_eq!((answer.status, answer.error), (204, None));
        let roles = plane.with_plane(|plane| plane.records().upgrades.iter().map(|it| it.role).collect::<Vec<_>>());
        let expected = if gateway { &[Role::Controller, Role::Gateway][..] } else { &[Role::Controller] };
        assert_eq!(roles.unwrap(), expected);
        agent.close();
        assert!(plane.wait_until(|plane| plane.online() == 0, LIMIT).unwrap());
        assert_clean(&plane);
    }
}

#[test]
fn requests_of_the_handle() {
    let plane = start(Options::default());
    assert_eq!(plane.request(ProxyRequest::get("/x")).err(), Some(RequestError::NoAgent));
    let mut agent = Agent::online(&plane);
    let upload = ProxyRequest { method: "PUT".into(), body: Body::Chunked, ..ProxyRequest::get("/x") };
    let mut answer = plane.request(upload).unwrap();
    let (id, _) = agent.request();
    plane.body_chunk(answer.exchange(), b"hi".to_vec()).unwrap();
    plane.body_end(answer.exchange()).unwrap();
    assert_eq!(agent.expect("proxy_request_chunk")["payload"]["chunk"], "aGk=");
    agent.expect("proxy_request_stream_end");
    agent.head(&id, 200, json!(null));
    assert_eq!(answer.next_within(LIMIT), Some(Part::Head { status: 200, headers: vec![] }));
    answer.cancel();
    assert_eq!(agent.expect("proxy_cancel")["request_id"], id.as_str());
    let answer = plane.request_raw("mine", r#"{"type":"proxy_request","request_id":"mine","payload":null}"#).unwrap();
    assert_eq!(agent.expect("proxy_request")["payload"], json!(null));
    agent.send("proxy_error", Some("mine"), json!({"error": "no payload"}));
    assert_eq!(answer.collect_within(LIMIT).unwrap().error.as_deref(), Some("no payload"));
    assert_clean(&plane);
}

#[test]
fn a_slow_taker_gets_everything() {
    const PIECES: usize = 1000;
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let mut answer = plane.request(ProxyRequest::get("/large")).unwrap();
    let writer = thread::spawn(move || {
        let (id, _) = agent.request();
        agent.head(&id, 200, json!(null));
        for number in 0..PIECES {
            agent.chunk(&id, &[u8::try_from(number % 256).unwrap(); 32_768]);
        }
        agent.end(&id);
        agent
    });
    // Nothing is taken until the plane has stopped reading the agent: the handle still answers meanwhile.
    assert!(matches!(answer.next_within(LIMIT), Some(Part::Head { .. })));
    plane.with_plane(|_| ()).unwrap();
    for number in 0..PIECES {
        let Some(Part::Chunk(piece)) = answer.next_within(LIMIT) else { panic!("piece {number} is missing") };
        assert_eq!(piece, [u8::try_from(number % 256).unwrap(); 32_768]);
    }
    assert_eq!(answer.next_within(LIMIT), Some(Part::End));
    assert_eq!(answer.next_within(LIMIT), None);
    writer.join().unwrap();
    assert_clean(&plane);
}

#[test]
fn rest_endpoints() {
    let plane = start(Options::default());
    let head = |token: &str| {
        format!(
            "POST /api/v1/gateway/routes/unregister HTTP/1.1\nHost: api\nAuthorization: Bearer {token}\n\
             Content-Type: application/json\nContent-Length: 21"
        )
    };
    let body = br#"{"hostname":"a.test"}"#;
    assert_eq!(request(plane.api_url(), plane.ca_pem(), &head(plane.token()), body).status, 200);
    assert_eq!(request(plane.api_url(), plane.ca_pem(), &head("other"), body).status, 401);
    let statuses = plane.with_plane(|plane| plane.records().rest.iter().map(|it| it.status).collect::<Vec<_>>());
    assert_eq!(statuses.unwrap(), [200, 401]);
    let get = "GET /api/v1/public/ip-intel/1.2.3.4 HTTP/1.1\nHost: api";
    assert_eq!(request(plane.api_url(), plane.ca_pem(), get, b"").status, 404);
    assert_clean(&plane);
}

#[test]
fn strangers_are_refused() {
    let plane = start(Options::default());
    plane.with_plane(|plane| plane.config.tokens = vec!["another".into()]).unwrap();
    assert_eq!(dial(&plane, &controller_url(&plane)).err(), Some(401));
}

#[test]
fn on_the_callers_own_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plane = DevPlane::start(Options::default()).await.unwrap();
        assert_eq!(plane.request(ProxyRequest::get("/x")).await.err(), Some(RequestError::NoAgent));
        let waited = plane.wait_online(std::time::Duration::from_millis(1)).await;
        assert_eq!(waited, Ok(false));
        assert_eq!(plane.violations().await, Ok(vec![]));
        plane.shutdown().await;
    });
}

#[test]
fn broken_framing_is_noted() {
    let plane = start(Options { tls: false, gateway: false, ..Options::default() });
    let mut agent = Agent::online(&plane);
    agent.message(Message::Text(tungstenite::Utf8Bytes::from_static("{")));
    assert!(plane.wait_until(|plane| plane.violations().total() == 1, LIMIT).unwrap());
    let mut stream = super::client::connect(plane.api_url(), "").unwrap();
    let upgrade = format!(
        "GET /api/v1/clusters/agent/ws HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        plane.token()
    );
    stream.write_all(upgrade.as_bytes()).unwrap();
    // A frame without a mask.
    stream.write_all(&[0x81, 1, b'a']).unwrap();
    assert!(plane.wait_until(|plane| plane.violations().total() == 2, LIMIT).unwrap());
    let last = plane.violations().unwrap().pop().unwrap();
    assert!(matches!(last.breach, devplane::plane::Breach::FramingWrong(_)));
}
