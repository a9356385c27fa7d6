//! Where the agent listens, and what it does when it cannot.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::door::{FAILED, STARTED, get, listening};
use crate::harness::{Bed, LIMIT, Setup};

#[test]
fn a_port_that_is_taken_is_named_waited_for_and_does_not_hold_the_tunnel_back() {
    let bed = Bed::new(Setup::default());
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let agent = bed.agent().set("agent.port", address.port()).online();
    let line = agent.wait_msg(FAILED, LIMIT);
    assert_eq!((&line["level"], &line["address"]), (&"warning".into(), &address.to_string().into()), "{line}");
    assert!(line["hint"].as_str().unwrap().contains("agent.port"), "{line}");
    agent.wait_msg("Heartbeat sent successfully", LIMIT);
    drop(other);
    agent.wait_msg(STARTED, Duration::from_secs(45));
    assert_eq!(get(address, "/readyz").status, 200);
    let warnings = agent.logs_with_msg(FAILED).into_iter().filter(|line| line["level"] == "warning").count();
    assert_eq!(warnings, 1);
    agent.stop();
    bed.assert_clean();
}

#[test]
fn an_address_that_is_not_this_machines_is_named_too() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    let agent = bed.agent().set("agent.port", 8080).set("agent.listen_address", "192.0.2.1").start();
    let line = agent.wait_msg(FAILED, LIMIT);
    assert_eq!(line["address"], "192.0.2.1:8080");
    assert!(line["hint"].as_str().unwrap().contains("agent.listen_address"), "{line}");
    agent.stop();
}

#[test]
fn the_address_comes_from_the_environment_too() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    for name in ["AGENT_LISTEN_ADDRESS", "PIPEOPS_LISTEN_ADDRESS"] {
        let (agent, address) = listening(|| bed.agent().env(name, "0.0.0.0"));
        assert!(address.ip().is_unspecified(), "{address}");
        assert_eq!(get(SocketAddr::from(([127, 0, 0, 1], address.port())), "/healthz").status, 200);
        agent.stop();
    }
}
