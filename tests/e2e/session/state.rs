//! What survives a restart, and what happens when nothing can.

use std::os::unix::fs::PermissionsExt as _;

use super::harness::LIMIT;
use super::{bed, finish, saved, text};

#[test]
fn b64_the_state_is_private() {
    let bed = bed();
    let agent = bed.agent().online();
    let cluster_id = saved(&agent, &bed);
    finish(agent, &bed);
    let file = bed.state_file();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(text(&state, "cluster_id"), cluster_id);
    assert_eq!(state["agent_id"], bed.records().registers.last().unwrap().payload["agent_id"]);
    assert!(!state.to_string().contains(bed.plane.token()));
    let others: Vec<_> = std::fs::read_dir(bed.state_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(others, ["state.json"]);
}

#[test]
fn b64_a_folder_that_cannot_be_written_delays_nothing() {
    let bed = bed();
    let begun = std::time::Instant::now();
    let agent = bed.agent().set("agent.state_dir", "/proc/pipeops-agent").online();
    let took = begun.elapsed();
    assert!(took.as_millis() < 3000, "{took:?}");
    let line = agent.wait_msg("State cannot be saved, trying on", LIMIT);
    assert_eq!(line["level"], "warning");
    finish(agent, &bed);
}

#[test]
fn b64_a_broken_state_is_told_and_replaced() {
    let bed = bed();
    std::fs::create_dir_all(bed.state_dir()).unwrap();
    std::fs::write(bed.state_file(), "{\"cluster_id\": ").unwrap();
    let agent = bed.agent().online();
    let line = agent.wait_msg("State cannot be read, starting without it", LIMIT);
    assert_eq!(line["level"], "warning");
    assert_eq!(saved(&agent, &bed), bed.cluster_id());
    finish(agent, &bed);
}

#[test]
fn b18_the_state_is_saved_before_the_end() {
    let bed = bed();
    let agent = bed.agent().online();
    finish(agent, &bed);
    let text = std::fs::read_to_string(bed.state_file()).unwrap();
    assert!(text.contains(&bed.cluster_id()), "{text}");
}
