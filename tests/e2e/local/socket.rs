//! The Unix socket in the folder of the state.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use crate::door::get_at;
use crate::harness::{Bed, LIMIT, Setup};

const OPENED: &str = "Status socket opened";

fn bed() -> Bed {
    Bed::new(Setup { listening: false, kube: false, ..Setup::default() })
}

#[test]
fn it_is_private_serves_without_a_port_and_goes_away() {
    let bed = bed();
    let agent = bed.agent().start();
    let line = agent.wait_msg(OPENED, LIMIT);
    let path = bed.state_dir().join("agent.sock");
    assert_eq!(line["socket"], path.display().to_string());
    let metadata = std::fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    for (target, status) in
        [("/healthz", 200), ("/readyz", 503), ("/metrics", 200), ("/status", 200), ("/version", 200), ("/api", 404)]
    {
        assert_eq!(get_at(&path, target).status, status, "{target}");
    }
    agent.stop();
    assert!(!path.exists());
}

#[test]
fn what_a_killed_run_left_is_replaced() {
    let bed = bed();
    let mut agent = bed.agent().start();
    agent.wait_msg(OPENED, LIMIT);
    let path = bed.state_dir().join("agent.sock");
    agent.signal("KILL");
    agent.wait_exit(LIMIT);
    assert!(path.exists());
    let agent = bed.agent().start();
    agent.wait_msg(OPENED, LIMIT);
    assert_eq!(get_at(&path, "/healthz").status, 200);
    agent.stop();
    assert!(!path.exists());
}

#[test]
fn a_second_agent_leaves_it_to_the_first() {
    let bed = bed();
    let first = bed.agent().set("agent.id", "first").start();
    first.wait_msg(OPENED, LIMIT);
    let second = bed.agent().set("agent.id", "second").start();
    let line = second.wait_log(|line| line["msg"].as_str().is_some_and(|msg| msg.starts_with("Status socket cannot")), LIMIT);
    assert_eq!(line["level"], "warning");
    assert!(line["error"].as_str().unwrap().starts_with("another agent answers at "), "{line}");
    second.stop();
    let path = bed.state_dir().join("agent.sock");
    assert_eq!(get_at(&path, "/status").json()["agent_id"], "first");
    first.stop();
}

#[test]
fn a_folder_that_cannot_be_written_is_no_trouble() {
    let bed = Bed::new(Setup::default());
    let agent = bed.agent().set("agent.state_dir", "/proc/pipeops-agent").online();
    let line = agent.wait_log(|line| line["msg"].as_str().is_some_and(|msg| msg.starts_with("Status socket cannot")), LIMIT);
    assert_eq!(line["level"], "debug");
    agent.stop();
    bed.assert_clean();
}
