//! Services that fail, and agents that are full: always an answer, never an address.

use devplane::AnswerStream;
use devplane::plane::{Part, ProxyRequest};
use serde_json::json;

use crate::backend::{Backend, Peer};
use crate::rig::{MARK, PATIENCE, Rig, parts};
use crate::site::{Site, aim, put_service};

#[track_caller]
fn clean(text: &str, port: u16) {
    assert!(!text.contains("127.0.0.1") && !text.contains(&port.to_string()) && !text.contains(".svc"), "{text}");
}

fn with_backend() -> (Rig, Backend) {
    let rig = Rig::with(|launch| launch.set("policy.allow_addresses", json!(["127.0.0.0/8"])));
    let backend = Backend::start();
    put_service(&rig, "hand", json!({"clusterIP": "127.0.0.1", "ports": [{"port": backend.addr().port()}]}));
    (rig, backend)
}

fn hand(backend: &Backend) -> ProxyRequest {
    aim(ProxyRequest::get("/"), "hand", backend.addr().port()).header(MARK, "1")
}

#[test]
fn b44_a_service_that_does_not_listen() {
    let (rig, backend) = with_backend();
    let (request, port) = (hand(&backend), backend.addr().port());
    drop(backend);
    for request in [request.clone(), request.buffered()] {
        let all = rig.parts(request);
        let [Part::Abort(text) | Part::Error(text)] = all.as_slice() else { panic!("{all:?}") };
        assert!(text.starts_with("unreachable: "), "{text}");
        clean(text, port);
    }
    rig.finish();
}

#[test]
fn b44_a_service_that_nobody_knows() {
    let rig = Rig::start();
    let all = rig.parts(aim(ProxyRequest::get("/"), "nobody", 80));
    let [Part::Abort(text)] = all.as_slice() else { panic!("{all:?}") };
    assert!(text.starts_with("unreachable: "), "{text}");
    clean(text, 80);
    rig.finish();
}

#[test]
fn b44_a_service_that_breaks_off() {
    let (rig, backend) = with_backend();
    let port = backend.addr().port();
    // Before its answer, twice: requests that may be repeated are.
    for buffered in [false, true] {
        let request = if buffered { hand(&backend).buffered() } else { hand(&backend) };
        let stream = rig.open(request);
        drop(backend.accept());
        let all = parts(stream);
        let [Part::Abort(text) | Part::Error(text)] = all.as_slice() else { panic!("{all:?}") };
        assert!(text.starts_with("broken: "), "{text}");
        clean(text, port);
    }
    // In the middle of it.
    for buffered in [false, true] {
        let request = if buffered { hand(&backend).buffered() } else { hand(&backend) };
        let stream = rig.open(request);
        backend.accept().write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it");
        let all = parts(stream);
        let Some(Part::Abort(text) | Part::Error(text)) = all.last() else { panic!("{all:?}") };
        assert!(text.starts_with("broken: "), "{text}");
        clean(text, port);
        assert_eq!(all.contains(&Part::Chunk(b"half of it".to_vec())), !buffered);
    }
    // What is no HTTP at all.
    let stream = rig.open(hand(&backend));
    backend.accept().write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n");
    let all = parts(stream);
    let [Part::Abort(text)] = all.as_slice() else { panic!("{all:?}") };
    clean(text, port);
    rig.finish();
}

/// The plane is told that the backend is broken, and the backend's connection is ended.
#[track_caller]
fn is_no_answer(stream: AnswerStream, mut peer: Peer) {
    let all = parts(stream);
    let [Part::Abort(text)] = all.as_slice() else { panic!("{all:?}") };
    assert!(text.starts_with("broken: "), "{text}");
    assert!(peer.ends());
}

#[test]
fn must8_a_101_that_nobody_asked_for_is_no_answer() {
    let (rig, backend) = with_backend();
    let stream = rig.open(hand(&backend));
    let mut peer = backend.accept();
    peer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    is_no_answer(stream, peer);
    rig.finish();
}

#[test]
fn must12_a_101_with_a_wrong_accept_is_no_answer() {
    let (rig, backend) = with_backend();
    let stream = rig.open(aim(ProxyRequest::websocket("/"), "hand", backend.addr().port()));
    let mut peer = backend.accept();
    peer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
    );
    is_no_answer(stream, peer);
    rig.finish();
}

#[test]
fn b12_more_than_allowed_at_once_is_refused_with_an_answer() {
    let site = Site::with(|launch| launch.set("limits.max_exchanges", 8));
    let stalled = || site.rig.open(site.get("/slow").query("ms=3600000"));
    let mut running: Vec<_> = (0..4).map(|_| stalled()).collect();
    let mut sockets: Vec<_> = (0..4).map(|_| site.echo()).collect();
    let came = site.app.wait_within(PATIENCE, |app| app.requests().len() == 8);
    assert!(came, "{:?}", site.app.requests().len());
    for request in [site.get("/headers"), site.websocket("/echo")] {
        let streamed = parts(site.rig.open(request.clone()));
        let [Part::Abort(text)] = streamed.as_slice() else { panic!("{streamed:?}") };
        assert!(text.starts_with("overloaded: "), "{text}");
        let buffered = parts(site.rig.open(request.buffered()));
        let [Part::Error(text)] = buffered.as_slice() else { panic!("{buffered:?}") };
        assert!(text.starts_with("overloaded: "), "{text}");
    }
    for socket in &mut sockets {
        socket.round_trip("still here");
    }
    // One less is room for one more.
    drop(running.pop());
    site.until_connections(7);
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    for socket in sockets {
        socket.close();
    }
    drop(running);
    site.finish();
}
