//! Connections that the plane ends, in each of its ways.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::site::Site;
use crate::socket::{BINARY, CLOSE, Socket, TEXT, late_closes};

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

#[test]
fn b11_the_planes_close_frame_reaches_the_backend_and_its_answer_the_plane() {
    let site = Site::start();
    for (payload, seen, told) in [
        (close_frame(4321, "enough"), (4321, "enough"), (4321, "enough")),
        (close_frame(1000, ""), (1000, ""), (1000, "")),
        (vec![], (1005, ""), (1005, "")),
    ] {
        let mut socket = site.echo();
        socket.round_trip("before");
        socket.send(CLOSE, &payload);
        let (code, reason) = socket.closed();
        assert_eq!((code, reason.as_str()), (Some(told.0), told.1));
        let at_backend = site.seen("the close", "/echo", |seen| seen.close.is_some());
        assert_eq!(at_backend.close, Some((seen.0, seen.1.to_owned())));
    }
    site.until_connections(0);
    site.finish();
}

#[test]
fn b11_ws_close_gives_the_backend_1000_and_the_plane_nothing() {
    let site = Site::start();
    let spellings: [(&str, Value); 5] = [
        ("ws_close", json!({})),
        ("proxy_websocket_close", json!({})),
        ("ws_close", json!({"stream_id": null})),
        ("ws_close", json!({"request_id": null})),
        ("proxy_websocket_close", json!({"stream_id": null, "request_id": null})),
    ];
    for (kind, change) in spellings {
        let mut socket = site.echo();
        socket.round_trip(kind);
        let change: Map<String, Value> = serde_json::from_value(change).unwrap();
        let started = Instant::now();
        site.rig.bed.plane.close_stream_as(socket.exchange(), kind, change).unwrap();
        let seen = site.seen("a close", "/echo", |seen| seen.close.is_some());
        println!("{kind}: {:?}", started.elapsed());
        assert_eq!(seen.close, Some((1000, String::new())));
        site.until_connections(0);
    }
    site.rig.settle();
    assert_eq!(late_closes(&site.rig), 0);
    site.finish();
}

#[test]
fn b11_ws_close_may_say_how() {
    let site = Site::start();
    let mut socket = site.echo();
    socket.round_trip("before");
    let change: Map<String, Value> = serde_json::from_value(json!({"code": 4002, "reason": "moved"})).unwrap();
    site.rig.bed.plane.close_stream_as(socket.exchange(), "ws_close", change).unwrap();
    let seen = site.seen("a close", "/echo", |seen| seen.close.is_some());
    assert_eq!(seen.close, Some((4002, "moved".into())));
    site.finish();
}

#[test]
fn b05_a_cancel_ends_the_connection_and_says_nothing() {
    let site = Site::start();
    let mut other = site.echo();
    let mut socket = site.echo();
    socket.round_trip("before");
    let started = Instant::now();
    site.rig.bed.plane.cancel(socket.exchange()).unwrap();
    site.until_connections(1);
    println!("from cancel to closed: {:?}", started.elapsed());
    other.round_trip("still here");
    other.close();
    site.until_connections(0);
    site.rig.settle();
    assert_eq!(late_closes(&site.rig), 0);
    site.finish();
}

#[test]
fn b11_what_was_sent_before_the_close_arrives_before_it() {
    let site = Site::start();
    let socket = site.echo();
    for number in 0..200 {
        socket.send(BINARY, format!("{number}").repeat(1000));
    }
    let Socket { stream, .. } = socket;
    site.rig.bed.plane.close_stream(stream.exchange()).unwrap();
    let seen = site.seen("everything and the close", "/echo", |seen| seen.close.is_some());
    assert_eq!((seen.messages, seen.close), (200, Some((1000, String::new()))));
    site.finish();
}

#[test]
fn b08_all_connections_end_with_the_planes_socket() {
    let site = Site::start();
    let mut sockets: Vec<_> = (0..10).map(|_| site.echo()).collect();
    for socket in &mut sockets {
        socket.send(TEXT, "hello");
        assert_eq!(socket.frame(), (TEXT, b"hello".to_vec()));
    }
    site.rig.bed.plane.drop_agents().unwrap();
    site.until_connections(0);
    drop(sockets);
    site.rig.bed.assert_online();
    site.finish();
}
