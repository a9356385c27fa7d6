//! Streams by `ws_start`: how they end, and what the plane is told, once.

use devapp::frame::encode_close;
use devplane::plane::Part;
use serde_json::json;

use crate::api::{Api, EXEC, V4, bearer, exec};
use crate::socket::{BINARY, CLOSE, Socket, TEXT, exchange_messages};

/// How many messages about exchanges come of `act`.
fn told_by(api: &Api, act: impl FnOnce()) -> u64 {
    api.rig.settle();
    let before = exchange_messages(&api.rig);
    act();
    api.rig.settle();
    // What is told late is told before the next answer.
    api.rig.settle();
    exchange_messages(&api.rig) - before
}

#[test]
fn must10_a_close_is_echoed_exactly_once() {
    let api = Api::start();
    for kind in ["ws_close", "proxy_websocket_close"] {
        let (socket, mut peer) = api.exec();
        socket.send(TEXT, "ls\n");
        peer.frame();
        let told = told_by(&api, || {
            let change = Default::default();
            api.rig.bed.plane.close_stream_as(socket.exchange(), kind, change).unwrap();
            peer.ended_without_a_word();
            // The server's own goodbye is no news.
            peer.write(&encode_close(1000, "", None));
            drop(peer);
        });
        assert_eq!(told, 1, "{kind}");
    }
    api.finish();
}

#[test]
fn must10_an_end_of_the_server_is_told_exactly_once() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    let id = socket.wire_id();
    peer.send(BINARY, b"\x01last words");
    peer.write(&encode_close(1000, "done", None));
    assert_eq!(socket.frame(), (TEXT, b"last words".to_vec()));
    socket.closed();
    assert_eq!(peer.close()[..2], 1000_u16.to_be_bytes());
    // A close that has crossed the server's is not echoed: it has been said.
    let text = json!({"type": "ws_close", "request_id": id, "payload": {"stream_id": id}}).to_string();
    let told = told_by(&api, || {
        api.rig.bed.with_plane(move |plane| {
            let connection = plane.connections().last().unwrap().0;
            plane.send_raw(connection, text);
        });
    });
    assert_eq!(told, 0);
    let (mut socket, peer) = api.exec();
    drop(peer);
    socket.closed();
    api.finish();
}

#[test]
fn must10_the_planes_close_frame_goes_to_the_server() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    socket.send(CLOSE, [&1001_u16.to_be_bytes()[..], b"gone"].concat());
    assert_eq!(peer.close(), [&1001_u16.to_be_bytes()[..], b"gone"].concat());
    peer.write(&encode_close(1001, "gone", None));
    socket.closed();
    assert!(peer.ends());
    api.finish();
}

#[test]
fn b50_a_refused_stream_is_an_error_and_then_one_close() {
    let api = Api::start();
    for status in ["403 Forbidden", "404 Not Found", "500 Internal Server Error"] {
        let mut socket = api.begin(exec());
        let mut peer = api.server.accept();
        let told = told_by(&api, || {
            peer.refuse(status, "pods is forbidden");
            let Part::Error(text) = socket.part() else { panic!("no error") };
            assert!(text.contains(&format!("(status: {})", &status[..3])), "{text}");
            assert!(!text.contains(&api.server.addr().to_string()), "{text}");
        });
        // The error itself is counted among the complaints.
        assert_eq!(told, 1, "{status}");
    }
    api.finish();
}

#[test]
fn b44_a_server_that_is_gone_is_an_error_without_its_address() {
    let Api { rig, server } = Api::start();
    let address = server.addr();
    drop(server);
    let mut socket = Socket::new(&rig, rig.bed.plane.websocket(exec()).unwrap());
    let Part::Error(text) = socket.part() else { panic!("no error") };
    assert!(text.starts_with("unreachable: "), "{text}");
    assert!(!text.contains(&address.ip().to_string()) && !text.contains(&address.port().to_string()), "{text}");
    rig.settle();
    rig.finish();
}

#[test]
fn b30_a_close_during_the_dial_closes_the_connection() {
    let api = Api::start();
    let socket = api.begin(exec());
    let mut peer = api.server.accept();
    let told = told_by(&api, || {
        socket.close();
        assert!(peer.ends());
    });
    assert_eq!(told, 1);
    api.finish();
}

#[test]
fn b30_a_stream_id_in_use_is_not_taken_over() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    let again = move |id: &str| {
        let headers = json!({"Authorization": [bearer()]});
        let payload = json!({"stream_id": id, "path": EXEC, "query": "command=other", "headers": headers});
        json!({"type": "ws_start", "request_id": id, "payload": payload}).to_string()
    };
    api.rig.bed.plane.send_text(socket.exchange(), again).unwrap();
    api.rig.settle();
    socket.send(TEXT, "ls\n");
    assert_eq!(peer.frame(), (BINARY, b"\0ls\n".to_vec()));
    peer.send(BINARY, b"\x01files");
    assert_eq!(socket.frame(), (TEXT, b"files".to_vec()));
    socket.close();
    peer.ended_without_a_word();
    // Nobody else was asked.
    api.finish();
}

#[test]
fn b50_data_before_the_stream_is_there_waits() {
    let api = Api::start();
    let mut socket = api.begin(exec());
    let mut peer = api.server.accept();
    for number in 0..150 {
        socket.send(TEXT, format!("line {number}"));
    }
    peer.upgrade_with(Some(V4), &[]);
    for number in 0..150 {
        assert_eq!(peer.frame(), (BINARY, format!("\0line {number}").into_bytes()));
    }
    peer.send(BINARY, b"\x01thanks");
    assert_eq!(socket.frame(), (TEXT, b"thanks".to_vec()));
    socket.close();
    api.finish();
}

#[test]
fn b47_a_server_that_does_not_read_ends_the_stream_with_a_reason() {
    let api = Api::start();
    let (mut socket, mut peer) = api.exec();
    let (mut other, mut other_peer) = api.exec();
    let mut taken = 0;
    while api.rig.bed.plane.send_frame(socket.exchange(), TEXT, vec![b'x'; 64 << 10]).is_ok() {
        taken += 1;
        assert!(taken < 1024, "the agent takes everything");
    }
    assert_eq!(socket.part(), Part::Backpressure("channel_full".into()));
    let mut last = socket.part();
    if let Part::Error(text) = &last {
        assert!(text.starts_with("backpressure: "), "{text}");
        last = Part::Closed { code: Some(1013), reason: text.clone() };
    }
    assert!(matches!(&last, Part::Closed { reason, .. } if reason.starts_with("backpressure: ")), "{last:?}");
    assert!(peer.ends());
    other_peer.send(BINARY, b"\x01still here");
    assert_eq!(other.frame(), (TEXT, b"still here".to_vec()));
    other.close();
    api.finish();
}
