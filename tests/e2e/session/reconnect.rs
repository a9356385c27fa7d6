//! Connections that are lost, and the way back.

use devplane::plane::Role;

use super::harness::{Bed, LIMIT, Setup};
use super::{LOST, RECONNECTING, STATE_CHANGED, bed, connection, finish, millis, seconds, text, tick};

#[test]
fn f25_the_states_are_exactly_those_of_the_connection() {
    let bed = bed();
    let mut agent = bed.agent().online();
    agent.wait_msgs(STATE_CHANGED, 2, LIMIT);
    agent.until(&bed, "a heartbeat", |plane| !plane.records().heartbeats.is_empty());
    bed.plane.drop_agents().unwrap();
    agent.wait_msgs(STATE_CHANGED, 4, LIMIT);
    agent.until(&bed, "a heartbeat after the return", |plane| plane.records().heartbeats.total() >= 2);
    agent.terminate();
    assert!(agent.wait_exit(seconds(10)).success());
    let lines = agent.logs_with_msg(STATE_CHANGED);
    let changes: Vec<_> = lines.iter().map(|line| (text(line, "old_state"), text(line, "new_state"))).collect();
    let expected = [
        ("disconnected", "connecting"),
        ("connecting", "connected"),
        ("connected", "reconnecting"),
        ("reconnecting", "connected"),
        ("connected", "disconnected"),
    ];
    assert_eq!(changes, expected);
    assert!(lines.iter().all(|line| line["level"] == "info"));
    bed.assert_clean();
}

#[test]
fn f38_a_dropped_socket_is_told_with_its_code() {
    for tls in [true, false] {
        let bed = Bed::new(Setup { tls, ..Setup::default() });
        let agent = bed.agent().online();
        // Bytes that nobody has read would turn the end into a reset.
        agent.until(&bed, "a heartbeat", |plane| !plane.records().heartbeats.is_empty());
        bed.plane.drop_agents().unwrap();
        let line = agent.wait_msg(LOST, LIMIT);
        assert_eq!(line["level"], "warning");
        assert_eq!(text(&line, "error"), "websocket: close 1006 (abnormal closure): unexpected EOF");
        agent.online(&bed);
        finish(agent, &bed);
    }
}

#[test]
fn f38_a_reset_socket_is_told_with_its_code_too() {
    let bed = bed();
    let agent = bed.agent().set("logging.level", "trace").online();
    bed.set_faults(|faults| faults.stop_reading = true);
    // What is sent now stays unread, and the drop resets the connection.
    bed.with_plane(|plane| {
        let connection = plane.connections().last().unwrap().0;
        plane.send_json_ping(connection);
    });
    agent.wait_log(|line| line["direction"] == "out" && line.to_string().contains("pong"), LIMIT);
    bed.plane.drop_agents().unwrap();
    let line = agent.wait_msg(LOST, LIMIT);
    assert!(text(&line, "error").starts_with("websocket: close 1006 (abnormal closure): "), "{line}");
    bed.set_faults(|faults| faults.stop_reading = false);
    agent.online(&bed);
    finish(agent, &bed);
}

#[test]
fn f38_a_closed_socket_is_told_with_its_code() {
    for (code, words) in [(1012, "websocket: close 1012 (service restart)"), (1001, "websocket: close 1001 (going away)")] {
        let bed = bed();
        let agent = bed.agent().online();
        bed.plane.close_agents(code).unwrap();
        let line = agent.wait_msg(LOST, LIMIT);
        assert!(text(&line, "error").starts_with(words), "{line}");
        agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().registers.total() == 2);
        finish(agent, &bed);
    }
}

#[test]
fn f39_the_wait_before_a_new_dial_is_told_in_human_durations() {
    let bed = bed();
    let agent = bed.agent().online();
    bed.plane.drop_agents().unwrap();
    let line = agent.wait_msg(RECONNECTING, LIMIT);
    assert_eq!(line["level"], "info");
    assert_eq!(text(&line, "base_delay"), "500ms");
    assert_eq!(text(&line, "next_delay"), "1s");
    let jitter = millis(text(&line, "jitter"));
    assert!(jitter.abs() <= 125.0, "{line}");
    assert_eq!(millis(text(&line, "total_delay")), 500.0 + jitter);
    agent.online(&bed);
    finish(agent, &bed);
}

#[test]
fn f41_a_blip_is_healed_at_once() {
    let bed = bed();
    let agent = bed.agent().online();
    tick(&agent, &bed);
    let dropped = bed.with_plane(|plane| {
        plane.drop_agents();
        plane.now()
    });
    agent.until(&bed, "the return", |plane| plane.online() > 0 && plane.records().upgrades.total() == 4);
    let took = bed.records().upgrades.last().unwrap().at - dropped;
    assert!(took <= 2000, "{took} ms");
    finish(agent, &bed);
}

#[test]
fn f42_b06_every_return_registers_first_and_leaves_no_socket_behind() {
    let bed = bed();
    let agent = bed.agent().online();
    for round in 2..=6_u64 {
        // What the agent would wait grows with each loss; the rounds are kept short by a stable plane only.
        bed.with_plane(|plane| plane.drop_agents());
        agent.until_within(&bed, "the return", seconds(40), move |plane| {
            plane.online() > 0 && plane.records().upgrades.total() == 2 * round
        });
    }
    agent.until(&bed, "one socket", |plane| plane.connections().count() == 1);
    assert_eq!(bed.open_sockets(), 1);
    let records = bed.records();
    assert!(records.overlaps.is_empty());
    assert_eq!(records.registers.total(), 6);
    let upgrades: Vec<_> = records.upgrades.iter().collect();
    for (pair, register) in upgrades.chunks(2).zip(records.registers.iter()) {
        let [controller, gateway] = pair else { panic!("an odd number of upgrades") };
        assert_eq!((controller.role, gateway.role), (Role::Controller, Role::Gateway));
        assert_eq!(controller.connection, Some(register.connection));
        assert!(controller.at <= register.at && register.at <= gateway.at);
    }
    finish(agent, &bed);
}

#[test]
fn b54_no_wait_is_skipped_after_a_return_on_demand() {
    let bed = bed();
    let agent = bed.agent().online();
    let lost =
        |number: u64| move |plane: &devplane::plane::Plane| plane.online() > 0 && plane.records().upgrades.total() == number;
    let mut told = Vec::new();
    tick(&agent, &bed);
    told.push(bed.with_plane(|plane| {
        let connection = connection(plane);
        plane.send_error(connection, None, "cluster not registered");
        plane.now()
    }));
    agent.until(&bed, "the first return", lost(4));
    tick(&agent, &bed);
    told.push(bed.with_plane(|plane| {
        plane.drop_agents();
        plane.now()
    }));
    agent.until(&bed, "the second return", lost(6));
    let records = bed.records();
    let dials: Vec<_> = records.upgrades.iter().filter(|it| it.role == Role::Controller).skip(1).map(|it| it.at).collect();
    for (dial, told) in dials.iter().zip(&told) {
        assert!(dial - told >= 375, "{dials:?} {told:?}");
    }
    finish(agent, &bed);
}
