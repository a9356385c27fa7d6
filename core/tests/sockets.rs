//! Upgraded connections through the table of exchanges: the plane's messages in JSON on one side, a backend's bytes on the other.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "sockets/bounds.rs"]
mod bounds;
#[path = "sockets/rig.rs"]
mod rig;
#[path = "sockets/settings.rs"]
mod settings;

use pipeops_agent_core::streams::{Input, Output, Target, UpstreamError};
use rig::{EXEC, Rig, server_frame, start, upgrade};
use serde_json::json;

#[test]
fn b14_b50_a_faithful_upgrade_goes_up_as_the_user_and_is_answered_after_the_backend() {
    let mut rig = Rig::new();
    rig.plane(&upgrade("r", EXEC, json!({"Sec-WebSocket-Protocol": "v5.channel.k8s.io, v4.channel.k8s.io"})));
    let open = rig.opened();
    assert!(open.upgrade && open.method == "GET" && open.target == Target::KubernetesApi);
    let value = |name: &str| open.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.as_str());
    assert_eq!(value("authorization"), Some("Bearer user"));
    assert_eq!(value("sec-websocket-protocol"), Some("v5.channel.k8s.io, v4.channel.k8s.io"));
    assert_eq!((value("upgrade"), value("connection")), (Some("websocket"), Some("Upgrade")));
    assert!(rig.sent().is_empty(), "nothing is answered before the backend has");

    rig.upgraded(open.key, "v5.channel.k8s.io");
    let sent = rig.sent();
    assert_eq!((sent[0]["type"].as_str(), sent[0]["payload"]["status"].as_u64()), (Some("proxy_response_header"), Some(101)));
    assert_eq!(sent[0]["payload"]["headers"]["Upgrade"], json!(["websocket"]));
    assert_eq!(sent[0]["payload"]["headers"]["Sec-Websocket-Protocol"], json!(["v5.channel.k8s.io"]));
    assert_eq!(sent[1]["type"], "proxy_response_end");
    assert_eq!(sent.len(), 2);
}

#[test]
fn b48_a_faithful_upgrade_changes_nothing_either_way() {
    let mut rig = Rig::new();
    let key = rig.open_exec("r", "v4.channel.k8s.io");
    for message in [&b"\x01out"[..], b"\x02err", b"\x03{}", b"\xff\x01", b""] {
        rig.data(key, &server_frame(0x82, message));
        let sent = rig.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(
            (sent[0]["type"].as_str(), sent[0]["payload"]["message_type"].as_u64()),
            (Some("proxy_websocket_data"), Some(2))
        );
        assert_eq!(rig::bytes_of(&sent[0]), [&[2], message].concat());
    }
    rig.plane(&rig::ws_data("r", b"\x02\x00ls\n"));
    rig.plane(&rig::ws_data("r", b"\x01text"));
    assert_eq!(rig.fed(), [(2, b"\x00ls\n".to_vec()), (1, b"text".to_vec())]);
}

#[test]
fn must11_the_entry_without_an_answer_is_translated_on_exec() {
    let mut rig = Rig::new();
    rig.plane(&start("s", EXEC, "v4.channel.k8s.io"));
    let open = rig.opened();
    rig.upgraded(open.key, "v4.channel.k8s.io");
    assert!(rig.sent().is_empty(), "there is no word for success");
    rig.data(open.key, &[server_frame(0x82, b"\x01"), server_frame(0x82, b"\x01out"), server_frame(0x82, b"\x04x")].concat());
    let frames: Vec<_> = rig.sent().iter().map(rig::bytes_of).collect();
    assert_eq!(frames, [b"\x01".to_vec(), b"\x01out".to_vec(), b"\x02\x04x".to_vec()]);
    rig.plane(&rig::ws_data("s", b"\x01ls\n"));
    rig.plane(&rig::ws_data("s", b"\x02\x04{}"));
    assert_eq!(rig.fed(), [(2, b"\x00ls\n".to_vec()), (2, b"\x04{}".to_vec())]);

    rig.data(open.key, &server_frame(0x88, b"\x03\xe8"));
    let sent = rig.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0]["type"].as_str(), &sent[0]["payload"]),
        (Some("proxy_websocket_close"), &json!({"stream_id":"s","code":1000}))
    );
}

#[test]
fn b48_port_forward_and_base64_pass_as_they_are() {
    for (path, protocol) in
        [("/api/v1/namespaces/a/pods/b/portforward", "v4.channel.k8s.io"), (EXEC, "base64.channel.k8s.io"), (EXEC, "")]
    {
        let mut rig = Rig::new();
        rig.plane(&start("s", path, protocol));
        let key = rig.opened().key;
        rig.upgraded(key, protocol);
        rig.data(key, &server_frame(0x82, b"\x01out"));
        assert_eq!(rig::bytes_of(&rig.sent()[0]), b"\x02\x01out", "{path} {protocol}");
        rig.plane(&rig::ws_data("s", b"\x01in"));
        assert_eq!(rig.fed(), [(1, b"in".to_vec())]);
    }
}

#[test]
fn b30_what_comes_before_the_backend_waits_and_a_close_ends_the_dial() {
    let mut rig = Rig::new();
    rig.plane(&start("s", EXEC, "v4.channel.k8s.io"));
    let key = rig.opened().key;
    rig.plane(&rig::ws_data("s", b"\x01one"));
    rig.plane(&rig::ws_data("s", b"\x01two"));
    assert!(rig.fed().is_empty());
    rig.upgraded(key, "v4.channel.k8s.io");
    assert_eq!(rig.fed(), [(2, b"\x00one".to_vec()), (2, b"\x00two".to_vec())]);

    rig.plane(&start("t", EXEC, ""));
    let key = rig.opened().key;
    rig.plane(&json!({"type":"ws_close","payload":{"stream_id":"t"}}));
    assert!(rig.outputs().contains(&Output::Abort { key }));
    let sent = rig.sent();
    assert_eq!((sent.len(), sent[0]["type"].as_str()), (1, Some("proxy_websocket_close")));
    rig.plane(&start("u", EXEC, ""));
    rig.plane(&start("u", EXEC, ""));
    assert_eq!(rig.outputs().iter().filter(|output| matches!(output, Output::Open(_))).count(), 1, "the second one is dropped");
}

#[test]
fn a_stream_that_cannot_begin_says_why_and_that_it_is_over() {
    let mut rig = Rig::new();
    rig.plane(&start("s", EXEC, ""));
    let key = rig.opened().key;
    rig.backend(Input::Head { key, status: 403, headers: Vec::new() });
    for (id, request) in [
        ("n", json!({"type":"ws_start","request_id":"n","payload":{"stream_id":"n","path":EXEC}})),
        ("p", start("p", "/api/../x", "")),
        ("m", start("m", "/apifoo", "")),
    ] {
        rig.plane(&request);
        assert!(rig.outputs().iter().all(|output| !matches!(output, Output::Open(_))), "{id}");
    }
    let sent = rig.sent();
    let words: Vec<_> = sent.iter().map(|m| (m["request_id"].as_str().unwrap(), m["type"].as_str().unwrap())).collect();
    for id in ["s", "n", "p", "m"] {
        let of: Vec<_> = words.iter().filter(|(of, _)| *of == id).map(|(_, kind)| *kind).collect();
        assert_eq!(of, ["proxy_error", "proxy_websocket_close"], "{id}");
    }
    let error = |id: &str| sent.iter().find(|m| m["request_id"] == id).unwrap()["payload"]["error"].as_str().unwrap().to_owned();
    assert!(error("s").contains("status: 403") && error("n").contains("status: 401"), "{} {}", error("s"), error("n"));
    assert!(error("p").contains("rule path-segment") && error("m").contains("rule path-root"));
    assert_eq!(rig.used(), 0);
}

#[test]
fn a_refused_upgrade_is_an_answer_like_others() {
    let mut rig = Rig::new();
    rig.plane(&upgrade("r", EXEC, json!({})));
    let key = rig.opened().key;
    rig.backend(Input::Head { key, status: 403, headers: Vec::new() });
    assert!(rig.outputs().iter().any(|output| matches!(output, Output::Read { .. })));
    rig.data(key, b"no");
    rig.backend(Input::End { key });
    let _ = rig.outputs();
    let kinds: Vec<_> = rig.sent().iter().map(|m| m["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["proxy_response_header", "proxy_response_chunk", "proxy_response_end"]);
    rig.plane(&rig::ws_data("r", b"\x01late"));
    assert!(rig.outputs().is_empty() && rig.sent().is_empty());
}

#[test]
fn b11_the_plane_is_told_once_how_the_backend_ended() {
    let ends: [(&[u8], bool, u16, &str); 4] =
        [(b"\x0f\xa1bye", false, 4001, "bye"), (b"", false, 1005, ""), (b"", true, 1006, ""), (b"\x03\xe9", true, 1001, "")];
    for (close, drops, code, reason) in ends {
        let mut rig = Rig::new();
        let key = rig.open_exec("r", "");
        rig.data(key, &server_frame(0x81, b"last"));
        if !(drops && close.is_empty()) {
            rig.data(key, &server_frame(0x88, close));
        }
        if drops {
            rig.backend(Input::End { key });
        }
        let sent = rig.sent();
        assert_eq!(rig::bytes_of(&sent[0]), b"\x01last");
        assert_eq!((sent.len(), sent[1]["payload"]["code"].as_u64()), (2, Some(u64::from(code))));
        assert_eq!(sent[1]["payload"]["reason"].as_str().unwrap_or_default(), reason);
        rig.backend(Input::End { key });
        rig.backend(Input::Failed { key, error: UpstreamError::Broken("late") });
        assert!(rig.sent().is_empty() && rig.used() == 0);
    }
}

#[test]
fn close_frames_and_ws_close_reach_the_backend_in_order() {
    let mut rig = Rig::new();
    let key = rig.open_exec("r", "");
    rig.plane(&rig::ws_data("r", b"\x01last"));
    rig.plane(&rig::ws_data("r", b"\x08\x0f\xa1bye"));
    rig.plane(&rig::ws_data("r", b"\x01too late"));
    assert_eq!(rig.fed(), [(1, b"last".to_vec()), (8, b"\x0f\xa1bye".to_vec())]);
    rig.data(key, &server_frame(0x88, b"\x0f\xa1bye"));
    assert_eq!(rig.sent()[0]["payload"]["code"], 4001);
    assert!(rig.outputs().contains(&Output::Finish { key }));

    let key = rig.open_service("q");
    rig.plane(&rig::ws_data("q", b"\x01last"));
    rig.plane(&json!({"type":"ws_close","request_id":"q","payload":{}}));
    assert_eq!(rig.fed(), [(1, b"last".to_vec()), (8, b"\x03\xe8".to_vec())]);
    assert!(rig.outputs().contains(&Output::Finish { key }));
    assert!(rig.sent().is_empty(), "the plane knows that it closed");
    rig.later(11_000);
    rig.backend(Input::Timeout);
    assert!(rig.outputs().contains(&Output::Abort { key }), "a backend that does not close is not waited for");
    assert_eq!(rig.used(), 0);

    // After a close frame the Kubernetes API would let the command run on.
    let key = rig.open_exec("e", "");
    rig.plane(&rig::ws_data("e", b"\x01last"));
    rig.plane(&json!({"type":"ws_close","request_id":"e","payload":{}}));
    assert_eq!(rig.fed(), [(1, b"last".to_vec())]);
    assert!(rig.outputs().contains(&Output::Finish { key }));
}

#[test]
fn pings_are_answered_and_passed_on_and_the_agents_own_stay_here() {
    let mut rig = Rig::new();
    let key = rig.open_exec("r", "");
    rig.data(key, &[server_frame(0x89, b"you?"), server_frame(0x8a, b"me!"), server_frame(0x8a, b"pipeops-agent")].concat());
    let frames: Vec<_> = rig.sent().iter().map(rig::bytes_of).collect();
    assert_eq!(frames, [b"\x09you?".to_vec(), b"\x0ame!".to_vec()]);
    assert_eq!(rig.fed(), [(10, b"you?".to_vec())]);
    rig.plane(&rig::ws_data("r", b"\x09there?"));
    assert_eq!(rig.fed(), [(9, b"there?".to_vec())]);
}

#[test]
fn head_data_is_not_lost() {
    for (head_data, fed) in [
        (rig::client_frame(0x81, b"hi"), vec![(1, b"hi".to_vec())]),
        (b"\x02hi".to_vec(), vec![(2, b"hi".to_vec())]),
        (b"hi".to_vec(), vec![(1, b"hi".to_vec())]),
        (b"hi\xff".to_vec(), vec![(2, b"hi\xff".to_vec())]),
    ] {
        let mut rig = Rig::new();
        let mut request = upgrade("r", EXEC, json!({}));
        request["payload"]["head_data"] = rig::base64(&head_data).into();
        rig.plane(&request);
        let key = rig.opened().key;
        rig.plane(&rig::ws_data("r", b"\x01next"));
        rig.upgraded(key, "");
        let mut expected = fed;
        expected.push((1, b"next".to_vec()));
        assert_eq!(rig.fed(), expected);
    }
}

#[test]
fn other_tokens_are_bytes_both_ways_with_a_half_close() {
    let mut rig = Rig::new();
    let mut request = upgrade("r", EXEC, json!({"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "v4.channel.k8s.io"}));
    request["payload"]["method"] = "POST".into();
    rig.plane(&request);
    let open = rig.opened();
    assert_eq!(open.method, "POST");
    assert!(open.headers.iter().any(|h| h.name == "Upgrade" && h.value == "SPDY/3.1"));
    assert!(open.headers.iter().any(|h| h.name == "X-Stream-Protocol-Version"));
    assert!(!open.headers.iter().any(|h| h.name.starts_with("Sec-WebSocket")));
    rig.switched(open.key, "SPDY/3.1");
    let sent = rig.sent();
    assert_eq!(sent[0]["payload"]["headers"]["Upgrade"], json!(["SPDY/3.1"]));
    rig.data(open.key, b"\x80\x03raw");
    assert_eq!(rig::bytes_of(&rig.sent()[0]), b"\x02\x80\x03raw");
    rig.plane(&rig::ws_data("r", b"\x02\x80\x03up"));
    rig.plane(&rig::ws_data("r", b"\x08"));
    assert_eq!(rig.take_fed(), [(open.key, b"\x80\x03up".to_vec())]);
    assert!(rig.outputs().contains(&Output::FeedEnd { key: open.key }));
    rig.data(open.key, b"last");
    rig.backend(Input::End { key: open.key });
    let sent = rig.sent();
    assert_eq!((rig::bytes_of(&sent[0]), sent[1]["payload"]["code"].as_u64()), (b"\x02last".to_vec(), Some(1000)));
}

#[test]
fn a_plane_can_ask_how_far_a_backend_is_with_plain_bytes() {
    let mut rig = Rig::new();
    rig.plane(&upgrade("r", EXEC, json!({"Upgrade": "SPDY/3.1"})));
    let key = rig.opened().key;
    rig.switched(key, "SPDY/3.1");
    let _ = rig.sent();
    rig.plane(&rig::ws_data("r", b"\x09none"));
    assert_eq!(rig::bytes_of(&rig.sent()[0]), b"\x0anone");
    rig.plane(&rig::ws_data("r", b"\x02one"));
    rig.plane(&rig::ws_data("r", b"\x09first"));
    rig.plane(&rig::ws_data("r", b"\x02two"));
    rig.plane(&rig::ws_data("r", b"\x09second"));
    assert!(rig.sent().is_empty(), "the backend has not taken anything");
    rig.backend(Input::Consumed { key, bytes: 3 });
    let sent = rig.sent();
    assert_eq!((sent.len(), rig::bytes_of(&sent[0])), (1, b"\x0afirst".to_vec()));
    rig.backend(Input::Consumed { key, bytes: 3 });
    assert_eq!(rig::bytes_of(&rig.sent()[0]), b"\x0asecond");
    assert_eq!(rig.take_fed().len(), 2, "pings are not for the backend");
}

#[test]
fn a_quiet_service_is_pinged_and_a_silent_one_given_up() {
    let mut rig = Rig::new();
    let key = rig.open_service("r");
    for _ in 0..2 {
        rig.later(30_000);
        rig.backend(Input::Timeout);
        assert_eq!(rig.fed(), [(9, b"pipeops-agent".to_vec())]);
    }
    rig.data(key, &server_frame(0x8a, b"pipeops-agent"));
    assert!(rig.sent().is_empty());
    for _ in 0..4 {
        rig.later(30_000);
        rig.backend(Input::Timeout);
    }
    let sent = rig.sent();
    assert_eq!((sent.len(), sent[0]["payload"]["code"].as_u64()), (1, Some(1006)));
}

#[test]
fn a_ping_to_the_kubernetes_api_is_answered_here_while_its_bytes_are_on_their_way() {
    let mut rig = Rig::new();
    let key = rig.open_exec("r", "v5.channel.k8s.io");
    rig.plane(&rig::ws_data("r", b"\x09quiet"));
    assert_eq!(rig.fed(), [(9, b"quiet".to_vec())], "nothing is known of a backend that says nothing");
    rig.backend(Input::Consumed { key, bytes: 11 });
    rig.data(key, &server_frame(0x82, b"\x01out"));
    rig.plane(&rig::ws_data("r", b"\x09behind"));
    assert!(rig.fed().is_empty());
    let sent: Vec<_> = rig.sent().iter().map(|message| rig::bytes_of(message).to_vec()).collect();
    assert_eq!(sent, [b"\x0abehind".to_vec(), b"\x02\x01out".to_vec()]);
}
