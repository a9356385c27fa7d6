//! Long outages of the real binary, with waits that are shorter than by default.

use devplane::plane::Refusal;

use crate::harness::{Agent, Bed, LIMIT, Setup};
use crate::{CONNECT_FAILED, RECONNECTED, RECONNECTING, STATE_CHANGED, text};

/// An agent at the usual level that dials again after a tenth of a second.
fn impatient(bed: &Bed) -> Agent {
    bed.agent()
        .unset("logging.level")
        .set("timeouts.websocket_reconnect", "100ms")
        .set("timeouts.websocket_reconnect_max", "100ms")
        .online()
}

#[test]
fn f36_f39_an_outage_is_told_in_full_at_first_and_its_end_in_one_line() {
    let bed = Bed::new(Setup::default());
    let agent = impatient(&bed);
    bed.with_plane(|plane| {
        plane.faults.refuse_controller = Some(Refusal::with_status(503));
        plane.drop_agents();
    });
    agent.until(&bed, "sixty dials", |plane| plane.records().upgrades.total() >= 62);
    // Another kind of failure is told at once.
    bed.set_faults(|faults| faults.refuse_controller = Some(Refusal::with_status(401)));
    let line = agent.wait_log(|line| line["error"].to_string().contains("status 401"), LIMIT);
    assert_eq!((text(&line, "msg"), text(&line, "level")), (CONNECT_FAILED, "warning"));
    bed.set_faults(|faults| faults.refuse_controller = None);
    let line = agent.wait_msg(RECONNECTED, LIMIT);
    assert_eq!(line["level"], "info");
    assert!(line["attempts"].as_u64().unwrap() >= 60, "{line}");
    assert!(line["held_back"].as_u64().unwrap() >= 40, "{line}");
    // The loss and fifteen dials, and one for the change.
    assert_eq!(agent.logs_with_msg(RECONNECTING).len(), 17, "{}", agent.text());
    assert_eq!(agent.logs_with_msg(CONNECT_FAILED).len(), 16, "{}", agent.text());
    // Up, lost, up again: dials are no changes.
    assert_eq!(agent.logs_with_msg(STATE_CHANGED).len(), 4, "{}", agent.text());
    let size = agent.text().len();
    println!("start, an outage of 60 dials and its end: {size} B");
    assert!(size < 14_000, "{}", agent.text());
    agent.stop();
}

#[test]
fn f25_f38_flapping_tells_every_change_of_state_and_not_all_the_rest() {
    let bed = Bed::new(Setup::default());
    let agent = impatient(&bed);
    for round in 2..=20_u64 {
        bed.plane.drop_agents().unwrap();
        agent.until(&bed, "the return", move |plane| plane.online() > 0 && plane.records().registers.total() == round);
    }
    agent.wait_msgs(STATE_CHANGED, 40, LIMIT);
    assert_eq!(agent.logs_with_msg(STATE_CHANGED).len(), 40);
    assert_eq!(agent.logs_with_msg(crate::LOST).len(), 16, "{}", agent.text());
    assert_eq!(agent.logs_with_msg(RECONNECTING).len(), 16);
    assert_eq!(agent.logs_with_msg(crate::REGISTERED).len(), 8);
    assert_eq!(agent.logs_with_msg(RECONNECTED).len(), 8);
    agent.stop();
}

#[test]
fn f45_a_kubernetes_api_that_is_away_is_told_once_and_so_is_its_return() {
    let bed = Bed::new(Setup { kube: false, ..Setup::default() });
    // Nobody listens there for the time being.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "a", "user": {"token": "a-token-of-the-agent-1"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    let file = bed.folder().join("kubeconfig");
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    let agent = bed.agent().unset("logging.level").set("kubernetes.kubeconfig", file.display().to_string()).online();
    let away = "The Kubernetes API gives no answer that can be used, trying on";
    assert_eq!(agent.wait_msg(away, LIMIT)["level"], "warning");
    let body = r#"{"gitVersion":"v1.33.1"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    crate::backend::serve_with(std::net::TcpListener::bind(address).unwrap(), answer.into_bytes());
    assert_eq!(agent.wait_msg("The Kubernetes API answers again", LIMIT)["level"], "info");
    assert_eq!(agent.logs_with_msg(away).len(), 1);
    agent.stop();
}

#[test]
fn b64_a_state_that_cannot_be_saved_is_told_once() {
    let bed = Bed::new(Setup::default());
    let agent = bed.agent().set("agent.state_dir", "/proc/pipeops-agent").online();
    agent.wait_log(|line| line["msg"] == "State still cannot be saved", LIMIT);
    assert_eq!(agent.logs_with_msg("State cannot be saved, trying on").len(), 1);
    agent.stop();
}
