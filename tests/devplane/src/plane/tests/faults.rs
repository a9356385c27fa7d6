//! The fault policy.

use super::*;
use crate::plane::{HeartbeatReply, ProxyRequest, Refusal, RegisterReply};

fn registered_with(reply: RegisterReply) -> (Bench, ConnectionId) {
    let mut bench = Bench::new(PlaneConfig::default());
    bench.plane.faults.register = reply;
    let connection = bench.connect();
    bench.register(connection, "r1");
    (bench, connection)
}

#[test]
fn refusals_and_hanging() {
    let mut bench = Bench::with_gateway();
    bench.plane.faults.refuse_controller = Some(Refusal::with_status(429).times(1).retry_after("7"));
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    assert_eq!(bench.plane.accept(0, &controller()), Verdict::Refuse { status: 429, headers });
    bench.connect();
    bench.plane.faults.refuse_gateway = Some(Refusal::with_status(503));
    bench.plane.faults.hang_controller = true;
    assert_eq!(bench.plane.accept(0, &controller()), Verdict::Hang);
    for _ in 0..3 {
        assert_eq!(bench.plane.accept(0, &gateway("x")), Verdict::Refuse { status: 503, headers: vec![] });
    }
}

#[test]
fn answers_to_registrations() {
    assert!(registered_with(RegisterReply::Silent).0.sent.is_empty());
    let (bench, _) = registered_with(RegisterReply::Error("no".into()));
    assert_eq!((bench.last()["type"].as_str(), bench.last()["request_id"].as_str()), (Some("error"), Some("r1")));
    let (bench, _) = registered_with(RegisterReply::WithoutClusterId);
    assert!(bench.last()["payload"].get("cluster_id").is_none());
    assert_eq!(bench.plane.online(), 0);
    assert_eq!(registered_with(RegisterReply::Twice).0.types(), ["register_success", "register_success"]);
    let (bench, _) = registered_with(RegisterReply::StaleFirst);
    assert_ne!(bench.sent[0].1["request_id"], "r1");
    assert_eq!(bench.sent[1].1["request_id"], "r1");
    assert!(registered_with(RegisterReply::WrongTypes).0.last()["payload"]["cluster_id"].is_number());
}

#[test]
fn cluster_not_found_unless_fresh() {
    let (mut bench, connection) = registered_with(RegisterReply::Success);
    bench.plane.faults.register = RegisterReply::NotFoundUnlessFresh;
    let mut payload = registration();
    let former = bench.cluster_id();
    payload["cluster_id"] = former.as_str().into();
    payload["metadata"]["registration_mode"] = "resume".into();
    bench.say(connection, "register", Some("r2"), payload);
    assert_eq!(bench.last()["payload"]["error"], "cluster not found");
    bench.register(connection, "r3");
    assert_ne!(bench.last()["payload"]["cluster_id"], former.as_str());
    bench.assert_breaches(&[]);
}

#[test]
fn registration_in_progress() {
    let (mut bench, _) = registered_with(RegisterReply::InProgress { every: 100, success_after: 250 });
    assert_eq!(bench.types(), ["register_in_progress"]);
    bench.wait(249);
    assert_eq!(bench.types(), ["register_in_progress", "register_in_progress"]);
    bench.wait(1);
    assert_eq!(bench.types(), ["register_success"]);
    assert_eq!(bench.plane.online(), 1);
}

#[test]
fn answers_to_heartbeats() {
    let (mut bench, connection) = Bench::online();
    let replies = [
        (HeartbeatReply::Normal, Some("heartbeat_ack")),
        (HeartbeatReply::Silent, None),
        (HeartbeatReply::Error("x".into()), Some("error")),
        (HeartbeatReply::NotRegistered, Some("error")),
    ];
    for (reply, kind) in replies {
        bench.plane.faults.heartbeat = reply;
        bench.heartbeat(connection);
        assert_eq!(bench.types(), kind.into_iter().collect::<Vec<_>>());
    }
    bench.plane.faults.heartbeat = HeartbeatReply::Normal;
    bench.plane.config.acknowledge_heartbeats = false;
    bench.heartbeat(connection);
    assert!(bench.sent.is_empty());
}

#[test]
fn drops_and_closes() {
    let mut bench = Bench::new(PlaneConfig::default());
    bench.plane.faults.drop_after_accept = Some(50);
    let connection = bench.connect();
    bench.wait(49);
    assert!(bench.other.is_empty());
    bench.wait(1);
    assert_eq!(bench.other, [Output::Drop { connection }]);
    bench.plane.faults = crate::plane::Faults { drop_after_messages: Some(2), ..Default::default() };
    let connection = bench.connect();
    bench.register(connection, "a");
    bench.register(connection, "b");
    assert_eq!(bench.other[1..], [Output::Drop { connection }]);
    bench.plane.faults = crate::plane::Faults { close_after_accept: Some(1013), ..Default::default() };
    let connection = bench.connect();
    assert!(matches!(bench.other[2], Output::Close { code: 1013, .. }));
    // An agent that does not hang up is dropped in the end.
    bench.wait(10_000);
    assert_eq!(bench.other[3..], [Output::Drop { connection }]);
    bench.plane.faults = crate::plane::Faults { close_after_register: Some(1000), ..Default::default() };
    let connection = bench.connect();
    bench.register(connection, "c");
    assert!(matches!(bench.other[4], Output::Close { code: 1000, .. }));
    assert!(bench.plane.records().disconnects.iter().all(|record| record.by_plane));
}

#[test]
fn a_black_hole_answers_nothing() {
    let (mut bench, connection) = Bench::online();
    bench.plane.faults.black_hole = true;
    assert!(!bench.plane.answers_pings());
    bench.heartbeat(connection);
    bench.register(connection, "r2");
    bench.plane.close_agents(1000, "");
    bench.drain();
    assert!(bench.sent.is_empty() && bench.other.is_empty());
    assert_eq!(bench.plane.records().heartbeats.len(), 1);
}

#[test]
fn delays_keep_the_order() {
    let (mut bench, connection) = Bench::online();
    bench.plane.faults.delay = 100;
    bench.heartbeat(connection);
    bench.plane.faults.delay = 0;
    bench.plane.send_json_ping(connection);
    bench.drain();
    assert!(bench.sent.is_empty());
    bench.wait(100);
    assert_eq!(bench.types(), ["heartbeat_ack", "ping"]);
    bench.plane.send_json_ping(connection);
    bench.drain();
    assert_eq!(bench.types(), ["ping"]);
}

#[test]
fn requests_twice() {
    let (mut bench, _) = Bench::online();
    bench.plane.faults.duplicate_requests = true;
    bench.plane.open(bench.now, ProxyRequest::get("/x")).unwrap();
    bench.drain();
    assert_eq!(bench.sent[0], bench.sent[1]);
}

#[test]
fn periodic_messages() {
    let (mut bench, connection) = Bench::online();
    bench.plane.faults.json_ping_every = Some(1000);
    bench.plane.faults.unknown_message_every = Some(1500);
    bench.plane.config.ping_every = Some(3000);
    bench.plane.timeout(bench.now);
    bench.drain();
    bench.sent.clear();
    bench.other.clear();
    bench.wait(3000);
    let mut types = bench.types();
    types.sort();
    assert_eq!(types, ["future_message_v2", "future_message_v2", "ping", "ping", "ping"]);
    assert_eq!(bench.other, [Output::Ping { connection }]);
    bench.plane.closed(bench.now, connection);
    assert_eq!(bench.plane.poll_timeout(), None);
}

#[test]
fn a_slow_reader() {
    let mut bench = Bench::new(PlaneConfig::default());
    bench.plane.faults.slow_reader = Some(700);
    let connection = bench.connect();
    assert_eq!(bench.other, [Output::PauseReading { connection, milliseconds: 700 }]);
}
