//! Sessions of the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "harness.rs"]
mod harness;
#[path = "session/heartbeat.rs"]
mod heartbeat;
#[path = "session/messages.rs"]
mod messages;
#[path = "session/outage.rs"]
mod outage;
#[path = "session/reconnect.rs"]
mod reconnect;
#[path = "session/refusal.rs"]
mod refusal;
#[path = "session/registration.rs"]
mod registration;
#[path = "session/shutdown.rs"]
mod shutdown;
#[path = "session/start.rs"]
mod start;
#[path = "session/state.rs"]
mod state;

use std::time::Duration;

use devplane::plane::{ConnectionId, Plane};
use serde_json::Value;

use harness::{Agent, Bed, Setup};

const REGISTERED: &str = "Agent registered successfully via WebSocket";
const STATE_CHANGED: &str = "Connection state changed";
const LOST: &str = "WebSocket connection closed unexpectedly";
const RECONNECTING: &str = "Attempting to reconnect to WebSocket";

/// A bed without anything special.
fn bed() -> Bed {
    Bed::new(Setup::default())
}

/// Ends the agent in good order; nothing that it did broke a rule.
#[track_caller]
fn finish(agent: Agent, bed: &Bed) {
    agent.stop();
    bed.assert_clean();
}

/// Waits until the state holds the cluster of the last registration.
#[track_caller]
fn saved(agent: &Agent, bed: &Bed) -> String {
    let registered = agent.logs_with_msg(REGISTERED);
    let cluster_id = text(registered.last().unwrap(), "cluster_id").to_owned();
    let file = bed.state_file();
    agent.wait_log(
        |line| line["msg"] == "State saved" && std::fs::read_to_string(&file).is_ok_and(|text| text.contains(&cluster_id)),
        harness::LIMIT,
    );
    cluster_id
}

/// Makes the plane's time the present one: it moves with what happens there.
#[track_caller]
fn tick(agent: &Agent, bed: &Bed) {
    let pongs = |plane: &Plane| plane.records().others.iter().filter(|it| it.kind == "pong").count();
    let before = bed.with_plane(move |plane| {
        let connection = plane.connections().last().expect("no connection").0;
        plane.send_json_ping(connection);
        pongs(plane)
    });
    agent.until(bed, "a pong", move |plane| pongs(plane) > before);
}

/// The only connection of the plane.
fn connection(plane: &Plane) -> ConnectionId {
    let mut all = plane.connections();
    let first = all.next().expect("no connection");
    assert!(all.next().is_none(), "more than one connection");
    first.0
}

fn text<'line>(line: &'line Value, field: &str) -> &'line str {
    line[field].as_str().unwrap_or_else(|| panic!("no text {field} in {line}"))
}

/// A human duration such as `892ms`, `1.5s` or `-20ms`, in milliseconds.
fn millis(human: &str) -> f64 {
    let (number, factor) = match human.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (human.strip_suffix('s').unwrap_or_else(|| panic!("no duration: {human}")), 1000.0),
    };
    number.parse::<f64>().unwrap() * factor
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
