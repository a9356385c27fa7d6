//! A plane that is not there, or does not answer.

use super::harness::{Bed, LIMIT, Setup};
use super::{LOST, RECONNECTING, REGISTERED, bed, finish, millis, seconds, text, tick};

#[test]
fn f36_b02_a_plane_that_is_away_at_the_start_is_waited_for() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let mut agent = bed.agent().start();
    let line = agent.wait_log(|line| line["level"] == "warning", LIMIT);
    assert!(text(&line, "error").starts_with("failed to connect via WebSocket"), "{line}");
    agent.wait_msgs(RECONNECTING, 3, LIMIT);
    assert!(agent.is_alive());
    assert!(agent.logs_with_msg(REGISTERED).is_empty());
    bed.plane.listen_again().unwrap();
    agent.online(&bed);
    finish(agent, &bed);
}

#[test]
fn f40_the_waits_grow_while_dials_are_refused() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let agent = bed.agent().start();
    let lines = agent.wait_msgs(RECONNECTING, 4, LIMIT);
    let waits: Vec<_> = lines.iter().map(|line| text(line, "base_delay")).collect();
    assert_eq!(waits, ["500ms", "1s", "2s", "4s"]);
    for line in &lines {
        let (base, total) = (millis(text(line, "base_delay")), millis(text(line, "total_delay")));
        assert!((total - base).abs() <= base / 4.0, "{line}");
    }
    agent.stop();
}

#[test]
fn b65_silence_ends_the_connection_after_the_configured_time() {
    let bed = bed();
    let agent = bed.agent().set("timeouts.websocket_read", "15s").set("timeouts.websocket_ping", "5s").online();
    agent.until(&bed, "a heartbeat", |plane| !plane.records().heartbeats.is_empty());
    tick(&agent, &bed);
    let begun = bed.with_plane(|plane| {
        plane.faults.black_hole = true;
        plane.now()
    });
    let line = agent.wait_msg(LOST, seconds(25));
    assert!(text(&line, "error").contains("liveness"), "{line}");
    let ended = bed.with_plane(|plane| {
        plane.faults.black_hole = false;
        plane.now()
    });
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().upgrades.total() >= 4);
    let took = ended - begun;
    assert!((13_000..=18_000).contains(&took), "{took} ms");
    finish(agent, &bed);
}

#[test]
fn b65_an_upgrade_without_an_answer_is_given_up_in_time() {
    let bed = bed();
    bed.set_faults(|faults| faults.hang_controller = true);
    let agent = bed.agent().set("timeouts.websocket_handshake", "1s").start();
    let line = agent.wait_log(|line| line["error"].as_str().is_some_and(|it| it.contains("timed out")), seconds(10));
    assert_eq!(line["level"], "warning");
    bed.set_faults(|faults| faults.hang_controller = false);
    agent.online(&bed);
    finish(agent, &bed);
}
