//! Bounds: what one party may hold, and what becomes of it when others need the room.

use pipeops_agent_core::streams::{Input, Key, Output, UpstreamError};
use serde_json::json;

use crate::rig::{self, EXEC, Rig, server_frame, start, upgrade};

#[test]
fn b47_a_backend_that_does_not_read_is_ended_with_a_reason_and_costs_no_other() {
    let mut rig = Rig::new();
    let stalled: Vec<_> = (0..20).map(|n| rig.open_exec(&format!("stalled{n}"), "")).collect();
    let healthy = rig.open_exec("healthy", "");
    let frame = vec![2u8; 64 * 1024];
    let mut ended = 0;
    for _ in 0..400 {
        if ended == 20 {
            break;
        }
        for n in 0..stalled.len() {
            rig.plane(&rig::ws_data(&format!("stalled{n}"), &frame));
        }
        rig.plane(&rig::ws_data("healthy", b"\x01key"));
        for (key, bytes) in rig.take_fed() {
            if key == healthy {
                rig.backend(Input::Consumed { key, bytes: bytes.len() });
            }
        }
        ended += rig.outputs().iter().filter(|output| matches!(output, Output::Abort { .. })).count();
    }
    assert_eq!(ended, 20);
    let sent = rig.sent();
    for n in 0..20 {
        let id = format!("stalled{n}");
        let of: Vec<_> = sent.iter().filter(|m| m["request_id"] == id.as_str()).collect();
        assert_eq!((of.len(), of[0]["type"].as_str(), of[1]["payload"]["code"].as_u64()), (2, Some("backpressure"), Some(1013)));
        assert!(of[1]["payload"]["reason"].as_str().unwrap().starts_with("backpressure: "));
    }
    assert!(sent.iter().all(|m| m["request_id"] != "healthy"), "the healthy one goes on");
}

#[test]
fn b47_why_comes_before_the_end_where_it_is_an_answer_to_a_ping_that_finds_no_room() {
    let mut rig = Rig::with_ceiling(64 * 1024);
    rig.plane(&start("s", EXEC, "v4.channel.k8s.io"));
    let key = rig.opened().key;
    rig.upgraded(key, "v4.channel.k8s.io");
    rig.plane(&rig::ws_data("s", &[&[2][..], &[7; 24_400]].concat()));
    rig.data(key, &server_frame(0x89, &[0; 100]));
    let sent = rig.sent();
    let kinds: Vec<_> = sent.iter().map(|message| message["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["backpressure", "proxy_websocket_close"]);
}

#[test]
fn half_a_message_waits_for_room_while_something_is_on_its_way_out() {
    let mut rig = Rig::with_ceiling(64 * 1024);
    let (full, half) = (rig.open_exec("full", ""), rig.open_exec("half", ""));
    let frame = |payload: usize, here: usize| {
        let [.., high, low] = payload.to_be_bytes();
        [&[0x82, 126, high, low][..], &vec![7; here - 4]].concat()
    };
    let permitted =
        |reads: Vec<(Key, usize)>, of: Key| reads.into_iter().find(|(key, _)| *key == of).map_or(0, |(_, limit)| limit);
    let reads = rig.reads();
    let first = permitted(reads.clone(), half);
    let mut given = permitted(reads, full);
    while given > 0 {
        rig.data(full, &frame(given - 4, given));
        given = permitted(rig.reads(), full);
    }
    rig.data(half, &frame(6_000, first));
    let mut missing = 6_004 - first;
    let sent = rig.sent();
    assert!(sent.iter().all(|message| message["type"] == "proxy_websocket_data" && message["request_id"] == "full"), "{sent:?}");
    while missing > 0 {
        let limit = permitted(rig.reads(), half);
        assert!(limit > 0, "its turn does not come");
        rig.data(half, &vec![7; limit.min(missing)]);
        missing -= limit.min(missing);
    }
    assert_eq!(rig::bytes_of(&rig.sent()[0]).len(), 6_001);
}

#[test]
fn b51_a_body_whose_request_is_over_is_held_nowhere() {
    let begin = |rig: &mut Rig| {
        rig.plane(
            &json!({"type":"proxy_request","request_id":"u","payload":{"method":"POST","path":"/api/v1/x","streaming":true,
            "headers":{"Authorization":"Bearer user"},"supports_response_streaming":true}}),
        );
        let key = rig.opened().key;
        rig.plane(&json!({"type":"proxy_request_chunk","request_id":"u","payload":{"data":rig::base64(&[7; 10_000])}}));
        assert!(rig.used() > 10_000 && rig.take_fed().len() == 1);
        key
    };
    let ends: [fn(&mut Rig, Key); 3] = [
        |rig, _| rig.plane(&json!({"type":"proxy_cancel","request_id":"u","payload":{}})),
        |rig, key| rig.backend(Input::Failed { key, error: UpstreamError::Broken("gone") }),
        |rig, _| rig.backend(Input::Detached),
    ];
    for end in ends {
        let mut rig = Rig::new();
        let key = begin(&mut rig);
        end(&mut rig, key);
        let _ = rig.sent();
        assert_eq!(rig.used(), 0);
        // What still comes for it is nobody's.
        rig.plane(&json!({"type":"proxy_request_chunk","request_id":"u","payload":{"data":rig::base64(b"late")}}));
        rig.backend(Input::Consumed { key, bytes: 10_000 });
        assert!(rig.take_fed().is_empty() && rig.used() == 0);
        begin(&mut rig);
    }
}

#[test]
fn b12_half_messages_and_silent_answers_do_not_hold_the_room_of_all_others() {
    let mut rig = Rig::new();
    let mut hogs = Vec::new();
    for (id, length) in [("one", 3_900_000usize), ("two", 3_000_000)] {
        rig.plane(&upgrade(id, EXEC, json!({})));
        let key = rig.opened().key;
        rig.upgraded(key, "");
        let _ = rig.sent();
        // A message of four megabytes begins, and its end never comes.
        let mut next = [&[0x82, 127][..], &4_000_000u64.to_be_bytes()].concat();
        let mut given = 0;
        while given < length {
            let limit = rig.reads().into_iter().find(|(of, _)| *of == key).map_or(0, |(_, limit)| limit);
            assert!(limit > 0, "{id} may not go on after {given} bytes");
            next.resize(limit, 7);
            rig.data(key, &next);
            given += next.len();
            next.clear();
            let _ = rig.sent();
        }
        hogs.push(key);
    }
    let (mut served, mut ended) = (0, Vec::new());
    for n in 0..500 {
        rig.plane(&json!({"type":"proxy_request","request_id":format!("r{n}"),"payload":{"path":"/api/v1/pods",
            "headers":{"Authorization":"Bearer user"},"supports_response_streaming":true}}));
        let mut outputs = rig.outputs();
        let key = outputs.iter().find_map(|output| if let Output::Open(open) = output { Some(open.key) } else { None }).unwrap();
        rig.backend(Input::Head { key, status: 200, headers: Vec::new() });
        let _ = rig.sent();
        outputs.extend(rig.outputs());
        served += usize::from(outputs.iter().any(|output| matches!(output, Output::Read { key: of, .. } if *of == key)));
        ended.extend(outputs.into_iter().filter_map(|output| if let Output::Abort { key } = output { Some(key) } else { None }));
    }
    assert_eq!(served, 500, "everybody may read, though none of the answers ever says a word");
    assert!(!ended.is_empty() && ended.iter().all(|key| hogs.contains(key)), "{ended:?}");
}

#[test]
fn b12_a_head_that_no_server_takes_is_refused() {
    let mut rig = Rig::new();
    let headers: serde_json::Map<_, _> = (0..30_000).map(|n| (format!("x{n}"), json!("1"))).collect();
    rig.plane(&json!({"type":"proxy_request","request_id":"r","payload":{"path":"/api/v1/pods","headers":headers}}));
    rig.plane(&json!({"type":"ws_start","request_id":"s","payload":{"stream_id":"s","path":EXEC,"query":"x".repeat(70_000),
        "headers":{"Authorization":"Bearer user"}}}));
    assert!(rig.outputs().is_empty());
    let sent = rig.sent();
    assert_eq!(sent.len(), 3);
    assert!(
        sent.iter().take(2).all(|message| message["payload"]["error"].as_str().unwrap().starts_with("bad_request: ")),
        "{sent:?}"
    );
}
