//! Backends that do not read: their own stream ends with a reason, and nobody else notices.

use std::time::{Duration, Instant};

use devplane::plane::{Part, ProxyRequest};
use serde_json::json;

use crate::backend::Backend;
use crate::site::{Site, aim, put_service};
use crate::socket::{BINARY, CLOSE, PING, Socket};

/// More than all buffers on the way hold together.
const FLOOD: usize = 64 << 20;
const PIECE: usize = 64 << 10;

/// Sends until the agent has had enough of it.
fn flood(socket: &Socket<'_>, mut between: impl FnMut()) {
    for _ in 0..FLOOD / PIECE {
        let sent = socket.rig.bed.plane.send_frame(socket.exchange(), BINARY, vec![7; PIECE]);
        if sent.is_err() {
            return;
        }
        between();
    }
    panic!("the agent takes everything; its log:\n{}", socket.rig.agent.text());
}

#[test]
fn b47_a_backend_that_does_not_read_ends_its_own_stream_with_a_reason() {
    let site = Site::start();
    let mut other = site.echo();
    let mut socket = site.connect(site.websocket("/ws/stall"));
    let mut slowest = Duration::ZERO;
    flood(&socket, || {
        let started = Instant::now();
        other.round_trip("meanwhile");
        slowest = slowest.max(started.elapsed());
    });
    assert_eq!(socket.part(), Part::Backpressure("channel_full".into()));
    let (code, reason) = socket.closed();
    assert_eq!(code, Some(1013));
    assert!(reason.starts_with("backpressure: "), "{reason}");
    println!("slowest round trip of another stream: {slowest:?}; agent's peak RSS {} KiB", site.rig.peak_kib());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    other.close();
    site.finish();
}

/// The backend reads nothing, before and after the handshake.
#[test]
fn b04_the_connection_to_a_backend_that_does_not_read_is_closed() {
    let site = Site::start();
    let backend = Backend::start();
    let port = backend.addr().port();
    put_service(&site.rig, "stalled", json!({"clusterIP": "127.0.0.1", "ports": [{"port": port}]}));
    for upgraded in [true, false] {
        let mut socket = site.open(aim(ProxyRequest::websocket("/"), "stalled", port));
        let mut peer = backend.accept();
        if upgraded {
            peer.upgrade(None);
            socket.accepted();
        }
        flood(&socket, || {});
        assert_eq!(socket.part(), Part::Backpressure("channel_full".into()));
        let last = socket.part();
        let (Part::Closed { reason, .. } | Part::Abort(reason)) = &last else { panic!("{last:?}") };
        assert_eq!(matches!(last, Part::Closed { code: Some(1013), .. }), upgraded, "{last:?}");
        assert!(reason.starts_with("backpressure: "), "{last:?}");
        assert!(peer.ends(), "upgraded: {upgraded}");
    }
    assert_eq!(site.rig.ask(site.get("/headers")).status, 200);
    site.finish();
}

/// More than half a minute, which is what kernels were once told to wait for.
#[test]
fn b04_a_backend_that_pauses_goes_on_where_it_stopped() {
    let site = Site::start();
    let backend = Backend::narrow();
    let port = backend.addr().port();
    put_service(&site.rig, "pausing", json!({"clusterIP": "127.0.0.1", "ports": [{"port": port}]}));
    let mut socket = site.open(aim(ProxyRequest::websocket("/"), "pausing", port));
    let mut peer = backend.accept();
    peer.upgrade(None);
    socket.accepted();
    for number in 0..200_u8 {
        socket.send(BINARY, vec![number; 2000]);
    }
    assert!(socket.nothing_within(Duration::from_secs(40)), "it was not waited for");
    socket.close();
    // The agent's own pings come in between.
    let frames: Vec<_> = std::iter::repeat_with(|| peer.frame()).filter(|(opcode, _)| *opcode != PING).take(201).collect();
    for (number, frame) in (0..200_u8).zip(&frames) {
        assert_eq!(*frame, (BINARY, vec![number; 2000]));
    }
    assert_eq!(frames[200], (CLOSE, 1000_u16.to_be_bytes().to_vec()));
    site.finish();
}
