//! The parts of the fault policy that the transport has to carry out.

use std::time::Duration;

use devplane::Options;
use devplane::plane::Refusal;
use tungstenite::Message;

use super::agent::{Agent, controller_url, dial};
use super::{LIMIT, assert_clean, start};

#[test]
fn refused_upgrades() {
    let plane = start(Options::default());
    plane.set_faults(|faults| faults.refuse_controller = Some(Refusal::with_status(429).retry_after("3").times(1))).unwrap();
    assert_eq!(dial(&plane, &controller_url(&plane)).err(), Some(429));
    Agent::online(&plane);
    assert_clean(&plane);
}

#[test]
fn pings_are_answered_but_not_in_a_black_hole() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    agent.message(Message::Ping("1".into()));
    assert_eq!(agent.read().unwrap(), Message::Pong("1".into()));
    plane.set_faults(|faults| faults.black_hole = true).unwrap();
    agent.message(Message::Ping("2".into()));
    agent.heartbeat();
    let seen = plane.wait_until(|plane| plane.records().heartbeats.len() == 2, LIMIT);
    assert!(seen.unwrap());
    plane.set_faults(|faults| faults.black_hole = false).unwrap();
    // What was not answered then is not answered later.
    agent.message(Message::Ping("3".into()));
    assert_eq!(agent.read().unwrap(), Message::Pong("3".into()));
    assert_clean(&plane);
}

#[test]
fn a_stalled_plane_reads_later() {
    let plane = start(Options::default());
    let mut agent = Agent::online(&plane);
    plane.stall_agents(true).unwrap();
    // Reading stops with the next wake-up, so one message may still get through.
    agent.heartbeat();
    agent.heartbeat();
    let all = |plane: &devplane::plane::Plane| plane.records().heartbeats.len() == 3;
    assert!(!plane.wait_until(all, Duration::from_millis(50)).unwrap());
    plane.stall_agents(false).unwrap();
    assert!(plane.wait_until(all, LIMIT).unwrap());
    assert_clean(&plane);
}

#[test]
fn a_dropped_connection_and_a_pause_after_accepting() {
    let plane = start(Options::default());
    plane.set_faults(|faults| faults.drop_after_accept = Some(1)).unwrap();
    let mut socket = dial(&plane, &controller_url(&plane)).unwrap();
    assert!(socket.read().is_err());
    plane
        .set_faults(|faults| {
            faults.drop_after_accept = None;
            faults.slow_reader = Some(20);
        })
        .unwrap();
    Agent::online(&plane);
    assert_clean(&plane);
}
