//! The pulse of a connection.

use devplane::plane::HeartbeatReply;

use super::{bed, connection, finish, seconds, text};

#[test]
fn f19_f20_heartbeats_keep_their_pace_and_show_at_debug() {
    let bed = bed();
    let agent = bed.agent().set("agent.heartbeat_interval_connected", 5).online();
    agent.until(&bed, "three heartbeats", |plane| plane.records().heartbeats.total() >= 3);
    let records = bed.records();
    let times: Vec<_> = records.heartbeats.iter().map(|it| it.at).collect();
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((4500..=6000).contains(&pause), "{times:?}");
    }
    for heartbeat in records.heartbeats.iter() {
        assert_eq!(heartbeat.request_id, None);
        assert_eq!(heartbeat.payload["status"], "healthy");
        assert_eq!(heartbeat.payload["tunnel_status"], "connected");
    }
    let lines = agent.wait_msgs("Heartbeat sent successfully", 3, seconds(5));
    assert!(lines.iter().all(|line| line["level"] == "debug"));
    finish(agent, &bed);
}

#[test]
fn f20_heartbeats_are_silent_at_info() {
    let bed = bed();
    let agent = bed.agent().set("logging.level", "info").set("agent.heartbeat_interval_connected", 5).online();
    agent.until(&bed, "two heartbeats", |plane| plane.records().heartbeats.total() >= 2);
    bed.with_plane(|plane| {
        let connection = connection(plane);
        plane.send_json_ping(connection);
    });
    // The pong comes after the acknowledgement was taken.
    agent.until(&bed, "a pong", |plane| plane.records().others.iter().any(|it| it.kind == "pong"));
    assert!(!agent.text().to_lowercase().contains("heartbeat"), "{}", agent.text());
    finish(agent, &bed);
}

#[test]
fn f21_f22_a_failed_heartbeat_is_told_and_tried_again_after_five_seconds() {
    let bed = bed();
    bed.set_faults(|faults| faults.heartbeat = HeartbeatReply::Error("database is away".into()));
    let agent = bed.agent().online();
    let line = agent.wait_msg("Heartbeat failed, retrying with backoff...", seconds(10));
    bed.set_faults(|faults| faults.heartbeat = HeartbeatReply::Normal);
    assert_eq!(line["level"], "warning");
    assert!(text(&line, "error").contains("database is away"), "{line}");
    assert_eq!(line["backoff"], "5s");
    agent.until(&bed, "a second heartbeat", |plane| plane.records().heartbeats.total() >= 2);
    let records = bed.records();
    let times: Vec<_> = records.heartbeats.iter().map(|it| it.at).collect();
    let pause = times[1] - times[0];
    assert!((4800..=6000).contains(&pause), "{times:?}");
    agent.wait_msg("Heartbeat sent successfully", seconds(5));
    // Neither is the connection torn down nor the warning repeated.
    assert_eq!(records.upgrades.total(), 2);
    assert_eq!(agent.logs_with_msg("Heartbeat failed, retrying with backoff...").len(), 1);
    finish(agent, &bed);
}

#[test]
fn must4_pings_keep_their_pace() {
    let bed = bed();
    let agent = bed.agent().set("timeouts.websocket_ping", "1s").online();
    agent.until(&bed, "four pings", |plane| plane.records().pings.total() >= 4);
    let records = bed.records();
    let times: Vec<_> = records.pings.iter().map(|it| it.0).collect();
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!((800..=1500).contains(&pause), "{times:?}");
    }
    finish(agent, &bed);
}

#[test]
fn must4_the_first_ping_comes_within_ten_seconds_by_default() {
    let bed = bed();
    let agent = bed.agent().online();
    agent.until(&bed, "a ping", |plane| !plane.records().pings.is_empty());
    let records = bed.records();
    let online = records.upgrades.last().unwrap().at;
    let pause = records.pings.last().unwrap().0 - online;
    assert!(pause <= 10_500, "{pause} ms");
    finish(agent, &bed);
}
