//! Connections that the backend ends: the plane is told once, and how.

use std::time::Instant;

use crate::site::Site;
use crate::socket::{BINARY, TEXT};

#[test]
fn b11_a_close_of_the_backend_reaches_the_plane_once_with_code_and_reason() {
    let site = Site::start();
    for (query, expected) in [
        ("code=4001&reason=bye", (4001, "bye")),
        ("code=1000", (1000, "")),
        ("code=1011&reason=broken", (1011, "broken")),
        ("code=1005", (1005, "")),
    ] {
        let mut socket = site.connect(site.websocket("/ws/close").query(query));
        let started = Instant::now();
        socket.send(TEXT, "go");
        let (code, reason) = socket.closed();
        println!("{query}: {:?}", started.elapsed());
        assert_eq!((code, reason.as_str()), (Some(expected.0), expected.1), "{query}");
        // The close is given back, as the protocol wants it. A code that was none stays none.
        site.seen("its close given back", "/ws/close", |seen| seen.close.as_ref().is_some_and(|(code, _)| *code == expected.0));
    }
    site.rig.settle();
    site.until_connections(0);
    // A second close would be a breach.
    site.finish();
}

#[test]
fn b11_a_backend_that_drops_is_1006_once() {
    let site = Site::start();
    for after in [0, 3] {
        let mut socket = site.connect(site.websocket("/ws/drop").query(format!("after={after}")));
        for _ in 0..after {
            socket.send(BINARY, "x");
        }
        assert_eq!(socket.closed().0, Some(1006), "after {after}");
    }
    site.rig.settle();
    site.until_connections(0);
    site.finish();
}

#[test]
fn b11_what_the_backend_said_before_its_end_is_not_lost() {
    let site = Site::start();
    let mut socket = site.connect(site.websocket("/ws/frames").query("count=300&size=10000"));
    for number in 0..300_u64 {
        assert_eq!(socket.frame().1[..8], number.to_le_bytes());
    }
    assert_eq!(socket.closed(), (Some(1000), String::new()));
    site.finish();
}

#[test]
fn b11_the_end_of_one_is_not_the_end_of_another() {
    let site = Site::start();
    let mut other = site.echo();
    let mut socket = site.connect(site.websocket("/ws/drop"));
    assert_eq!(socket.closed().0, Some(1006));
    other.round_trip("still here");
    other.close();
    site.finish();
}

#[test]
fn b27_data_for_a_stream_that_ended_or_never_was_harms_nobody() {
    let mut site = Site::start();
    let mut other = site.echo();
    let named = |id: &str, kind: &str| {
        format!(r#"{{"type":"{kind}","request_id":"{id}","payload":{{"stream_id":"{id}","request_id":"{id}","data":"AWhp"}}}}"#)
    };
    let kinds = ["ws_data", "proxy_websocket_data", "proxy_stream_data", "ws_close", "proxy_websocket_close"];
    for kind in kinds {
        let text = named("never-was", kind);
        site.rig.bed.plane.send_text(other.exchange(), move |_| text).unwrap();
    }
    for round in 0..20 {
        let mut socket = site.connect(site.websocket("/ws/close").query("code=4000"));
        let id = socket.wire_id();
        socket.send(TEXT, "go");
        // Some of these come while it ends, the others after it has ended.
        for kind in kinds {
            let text = named(&id, if round < 10 { "ws_data" } else { kind });
            site.rig.bed.plane.send_text(other.exchange(), move |_| text).unwrap();
        }
        if round < 10 {
            assert_eq!(socket.closed(), (Some(4000), String::new()));
            let text = named(&id, "proxy_stream_data");
            site.rig.bed.plane.send_text(other.exchange(), move |_| text).unwrap();
        }
        other.round_trip("still here");
    }
    other.close();
    assert!(site.rig.agent.is_alive());
    site.finish();
}
