//! The front doors.

use std::thread;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use devplane::{AppRoute, Options, Service};
use serde_json::json;

use super::agent::Agent;
use super::client::{read_head, request, send};
use super::{LIMIT, assert_clean, start};

#[test]
fn a_get_streams_back_as_it_comes() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let head = "GET /api/v1/x%20y?watch=1 HTTP/1.1\nHost: kube\nAuthorization: Bearer user\nAccept: a\nAccept: b";
    let client = send(plane.kube_url(), plane.ca_pem(), head, b"");
    let (id, payload) = agent.request();
    assert_eq!(payload["method"], "GET");
    assert_eq!((&payload["path"], &payload["query"]), (&json!("/api/v1/x y"), &json!("watch=1")));
    assert_eq!(payload["headers"], json!({"Authorization": ["Bearer user"], "Accept": ["a", "b"]}));
    agent.head(&id, 200, json!({"Content-Type": ["application/json"], "X-A": ["1", "2"]}));
    let mut answer = read_head(client);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    // Each piece arrives before the next is sent.
    for piece in [b"one".as_slice(), b"two"] {
        agent.chunk(&id, piece);
        assert_eq!(answer.chunk().unwrap(), piece);
    }
    agent.end(&id);
    assert_eq!(answer.chunk().unwrap(), b"");
    assert_clean(&plane);
}

#[test]
fn a_client_that_goes_away_cancels() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    // Before the head, and in the middle of the body.
    let client = send(plane.kube_url(), plane.ca_pem(), "GET /a HTTP/1.1\nHost: kube", b"");
    let (id, _) = agent.request();
    drop(client);
    assert_eq!(agent.expect("proxy_cancel")["request_id"], id.as_str());
    let client = send(plane.kube_url(), plane.ca_pem(), "GET /b HTTP/1.1\nHost: kube", b"");
    let (id, _) = agent.request();
    agent.head(&id, 200, json!(null));
    agent.chunk(&id, b"x");
    let mut answer = read_head(client);
    assert_eq!(answer.chunk().unwrap(), b"x");
    drop(answer);
    assert_eq!(agent.expect("proxy_cancel")["request_id"], id.as_str());
    assert!(plane.wait_until(|plane| plane.exchanges_running() == 0, LIMIT).unwrap());
    assert_clean(&plane);
}

#[test]
fn bodies() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let head = "POST /a HTTP/1.1\nHost: kube\nContent-Length: 5";
    let client = send(plane.kube_url(), plane.ca_pem(), head, b"hello");
    let (id, payload) = agent.request();
    assert_eq!((&payload["body"], &payload["body_encoding"]), (&json!("aGVsbG8="), &json!("base64")));
    assert_eq!(payload["headers"], json!({}));
    agent.head(&id, 201, json!(null));
    agent.end(&id);
    let answer = read_head(client);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body().unwrap(), b"");

    let large: Vec<u8> = (0..300_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    let (url, ca, sent) = (plane.kube_url().to_owned(), plane.ca_pem().to_owned(), large.clone());
    let client = thread::spawn(move || {
        request(&url, &ca, &format!("PUT /b HTTP/1.1\nHost: kube\nContent-Length: {}", sent.len()), &sent).status
    });
    let (id, payload) = agent.request();
    assert_eq!(payload["streaming"], true);
    let mut received = Vec::new();
    while received.len() < large.len() {
        let chunk = agent.expect("proxy_request_chunk");
        received.extend(STANDARD.decode(chunk["payload"]["chunk"].as_str().unwrap()).unwrap());
    }
    agent.expect("proxy_request_stream_end");
    assert_eq!(received, large);
    agent.head(&id, 200, json!(null));
    agent.end(&id);
    assert_eq!(client.join().unwrap(), 200);
    assert_clean(&plane);
}

#[test]
fn failures_have_their_statuses() {
    let plane = start(Options::default());
    let get = "GET /a HTTP/1.1\nHost: kube";
    let answer = request(plane.kube_url(), plane.ca_pem(), get, b"");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    let mut agent = Agent::online(&plane);
    let client = send(plane.kube_url(), plane.ca_pem(), get, b"");
    let (id, _) = agent.request();
    agent.send("proxy_response_abort", Some(&id), json!({"error": "unreachable"}));
    let answer = read_head(client);
    assert_eq!(answer.status, 502);
    let status = answer.json();
    assert_eq!((&status["kind"], &status["message"]), (&json!("Status"), &json!("unreachable")));
    // After the head there is only one way left to say it.
    let client = send(plane.kube_url(), plane.ca_pem(), get, b"");
    let (id, _) = agent.request();
    agent.head(&id, 200, json!(null));
    agent.chunk(&id, b"x");
    agent.send("proxy_response_abort", Some(&id), json!({"error": "broken off"}));
    assert_eq!(read_head(client).body(), None);
    assert_clean(&plane);
}

#[test]
fn a_lost_agent_cuts_the_answer() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let client = send(plane.kube_url(), plane.ca_pem(), "GET /a HTTP/1.1\nHost: kube", b"");
    let (id, _) = agent.request();
    agent.head(&id, 200, json!(null));
    let answer = read_head(client);
    drop(agent);
    assert_eq!(answer.body(), None);
}

#[test]
fn applications_are_found_by_their_host() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    let service = Service { namespace: "shop".into(), name: "web".into(), port: 8080 };
    plane.set_app("Shop.test", Some(AppRoute { service: Some(service), ..AppRoute::default() }));
    plane.set_app("bare.test", Some(AppRoute { scheme: Some("http".into()), ..AppRoute::default() }));
    let client = send(plane.apps_url(), "", "GET / HTTP/1.1\nHost: shop.test:80", b"");
    let (id, payload) = agent.request();
    assert_eq!((&payload["namespace"], &payload["service_port"]), (&json!("shop"), &json!(8080)));
    assert_eq!(payload["headers"]["Host"], json!(["shop.test:80"]));
    agent.head(&id, 200, json!({"Content-Length": ["2"]}));
    agent.chunk(&id, b"ok");
    agent.end(&id);
    assert_eq!(read_head(client).body().unwrap(), b"ok");
    let _waiting = send(plane.apps_url(), "", "GET / HTTP/1.1\nHost: bare.test", b"");
    let (_, payload) = agent.request();
    assert_eq!((payload.get("service_name"), &payload["scheme"]), (None, &json!("http")));
    assert_eq!(request(plane.apps_url(), "", "GET / HTTP/1.1\nHost: other.test", b"").status, 404);
}

#[test]
fn a_client_that_has_all_it_was_promised_does_not_cancel() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    for method in ["GET", "HEAD"] {
        let head = format!("{method} /a HTTP/1.1\nHost: kube");
        let client = send(plane.kube_url(), plane.ca_pem(), &head, b"");
        let (id, _) = agent.request();
        agent.head(&id, 200, json!({"Content-Length": ["2"]}));
        if method == "GET" {
            agent.chunk(&id, b"ok");
        }
        let answer = read_head(client);
        assert_eq!(answer.header("content-length"), Some("2"));
        if method == "GET" {
            assert_eq!(answer.body().unwrap(), b"ok");
        }
        agent.end(&id);
    }
    let ended = |plane: &devplane::plane::Plane| plane.records().exchanges_ended == 2;
    assert!(plane.wait_until(ended, LIMIT).unwrap());
    // A cancellation would have come before this.
    let _waiting = send(plane.kube_url(), plane.ca_pem(), "GET /b HTTP/1.1\nHost: kube", b"");
    agent.request();
    assert_clean(&plane);
}
