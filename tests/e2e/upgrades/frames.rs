//! Frames both ways: all types, in order, of every size.

use devapp::pattern;
use devplane::plane::ProxyRequest;
use serde_json::json;

use crate::backend::Backend;
use crate::rig::assert_bytes;
use crate::site::{Site, aim, put_service};
use crate::socket::{BINARY, PING, PONG, TEXT};

#[test]
fn must11_every_type_of_frame_goes_both_ways_in_order() {
    let site = Site::start();
    let mut socket = site.echo();
    socket.send(TEXT, "text");
    socket.send(BINARY, [0, 255, 1, 2, 8, 9, 10]);
    socket.send(PING, "are you there");
    socket.send(TEXT, "");
    socket.send(BINARY, "");
    socket.send(PONG, "unasked");
    socket.send(TEXT, "g\u{fc}n\u{e4}yd\u{131}n \u{1f600}");
    assert_eq!(socket.frame(), (TEXT, b"text".to_vec()));
    assert_eq!(socket.frame(), (BINARY, vec![0, 255, 1, 2, 8, 9, 10]));
    assert_eq!(socket.frame(), (PONG, b"are you there".to_vec()));
    assert_eq!(socket.frame(), (TEXT, vec![]));
    assert_eq!(socket.frame(), (BINARY, vec![]));
    assert_eq!(socket.frame(), (TEXT, "g\u{fc}n\u{e4}yd\u{131}n \u{1f600}".into()));
    let seen = site.app.last("/echo").unwrap();
    assert_eq!((seen.pongs, seen.messages), (vec![b"unasked".to_vec()], 5));
    socket.close();
    site.finish();
}

#[test]
fn b09_2000_frames_each_way_keep_their_order() {
    let site = Site::start();
    let mut socket = site.echo();
    for number in 0..2000_u32 {
        let size = usize::try_from(number % 7).unwrap() * 300;
        let mut frame = number.to_le_bytes().to_vec();
        frame.resize(4 + size, b'x');
        socket.send(if number % 2 == 0 { TEXT } else { BINARY }, if number % 2 == 0 { text(number) } else { frame });
    }
    for number in 0..2000_u32 {
        let (opcode, data) = socket.frame();
        if number % 2 == 0 {
            assert_eq!((opcode, data), (TEXT, text(number)));
        } else {
            assert_eq!((opcode, &data[..4]), (BINARY, &number.to_le_bytes()[..]));
        }
    }
    socket.close();
    // As fast as the backend can, while nothing is asked of it.
    let mut socket = site.connect(site.websocket("/ws/frames").query("count=2000&size=100"));
    let mut expected = vec![0; 100];
    pattern(0, &mut expected);
    for number in 0..2000_u64 {
        let (opcode, data) = socket.frame();
        assert_eq!((opcode, &data[..8], &data[8..]), (BINARY, &number.to_le_bytes()[..], &expected[..]));
    }
    assert_eq!(socket.closed(), (Some(1000), String::new()));
    site.finish();
}

fn text(number: u32) -> Vec<u8> {
    format!("number {number}").into_bytes()
}

#[test]
fn must11_large_frames_stay_whole() {
    let site = Site::start();
    let mut socket = site.echo();
    for size in [125, 126, 65_535, 65_536, 256 << 10, 1 << 20] {
        let mut bytes = vec![0; size];
        pattern(0, &mut bytes);
        socket.send(BINARY, &bytes);
        let (opcode, data) = socket.frame();
        assert_eq!(opcode, BINARY);
        assert_bytes(&data, &bytes);
    }
    socket.close();
    site.finish();
}

#[test]
fn must11_fragments_are_joined_and_a_ping_between_them_comes_first() {
    let site = Site::start();
    let mut socket = site.connect(site.websocket("/ws/fragments"));
    assert_eq!(socket.frame(), (PING, b"between".to_vec()));
    assert_eq!(socket.frame(), (TEXT, b"one two three".to_vec()));
    site.seen("the agent's pong", "/ws/fragments", |seen| seen.pongs == [b"between".to_vec()]);
    socket.round_trip("and on it goes");
    socket.close();
    site.finish();
}

#[test]
fn b23_pings_of_the_backend_are_answered_and_passed_on() {
    let site = Site::start();
    let mut socket = site.connect(site.websocket("/ws/pong").query("count=20&payload=beat"));
    let beats: Vec<Vec<u8>> = (0..20).map(|number| format!("beat-{number}").into_bytes()).collect();
    for beat in &beats {
        assert_eq!(socket.frame(), (PING, beat.clone()));
    }
    site.seen("all pongs, each once", "/ws/pong", |seen| seen.pongs == beats);
    socket.round_trip("still here");
    assert_eq!(site.app.last("/ws/pong").unwrap().pongs.len(), 20);
    socket.close();
    site.finish();
}

/// The agent's own pings are between it and the backend.
#[test]
fn keep_alive_pings_to_services_are_not_shown_to_the_plane() {
    let site = Site::with(|launch| launch.set("services.websocket_ping", 1));
    let mut socket = site.echo();
    let mut length = 0;
    for _ in 0..3 {
        length = site.seen("another ping", "/echo", |seen| seen.body_bytes > length).body_bytes;
    }
    // The backend's pongs come before the echo, and must not be passed on.
    socket.round_trip("the first that the plane hears");
    assert_eq!(site.app.last("/echo").unwrap().messages, 1);
    socket.close();
    site.finish();
}

#[test]
fn b30_a_backend_that_does_not_answer_pings_is_given_up() {
    let site = Site::with(|launch| launch.set("services.websocket_ping", 1).set("services.websocket_silence", 3));
    let backend = Backend::start();
    let port = backend.addr().port();
    put_service(&site.rig, "silent", json!({"clusterIP": "127.0.0.1", "ports": [{"port": port}]}));
    let mut other = site.echo();
    let mut socket = site.open(aim(ProxyRequest::websocket("/"), "silent", port));
    let mut peer = backend.accept();
    peer.upgrade(None);
    socket.accepted();
    assert_eq!(peer.frame().0, PING);
    let (code, reason) = socket.closed();
    assert_eq!(code, Some(1006));
    assert!(reason.starts_with("broken: "), "{reason}");
    assert!(peer.ends());
    // One that does answer is not.
    other.round_trip("still here");
    other.close();
    site.finish();
}
