//! The command `status`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use devplane::plane::Refusal;
use serde_json::Value;

use crate::door::{get_at, listening};
use crate::harness::{Bed, LIMIT, Setup};

const RECONNECTING: &str = "Attempting to reconnect to WebSocket";
const OPENED: &str = "Status socket opened";

fn run(config: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeops-agent"));
    command.env_clear().arg("status").arg("--config").arg(config).args(more);
    command.output().unwrap()
}

fn status(bed: &Bed, more: &[&str]) -> Output {
    run(&bed.folder().join("agent.yaml"), more)
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// Short lines that start with a name or with nothing.
#[track_caller]
fn assert_readable(page: &str) {
    assert!(page.lines().all(|line| line.chars().count() <= 160 && !line.contains('\t')), "{page}");
}

#[test]
fn online_it_prints_a_page_or_the_json() {
    let bed = Bed::new(Setup::default());
    let agent = bed.agent().online();
    agent.wait_msg("Heartbeat sent successfully", LIMIT);
    let output = status(&bed, &[]);
    let page = out(&output);
    println!("{page}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_readable(page);
    for part in ["Ready       yes\n", "Connection  connected for ", "(gateway)\n", &bed.cluster_id(), "Heartbeat   "] {
        assert!(page.contains(part), "{part:?} in\n{page}");
    }
    assert!(!page.contains("What to do"), "{page}");
    let output = status(&bed, &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_str(out(&output)).unwrap();
    assert_eq!((&json["ready"], &json["state"]), (&true.into(), &"connected".into()));
    assert!(!page.contains(bed.plane.token()) && !out(&output).contains(bed.plane.token()));
    agent.stop();
}

#[test]
fn while_it_cannot_connect_it_says_why_and_what_to_do() {
    let bed = Bed::new(Setup { listening: false, ..Setup::default() });
    let agent = bed.agent().start();
    agent.wait_msgs(RECONNECTING, 2, LIMIT);
    let output = status(&bed, &[]);
    let page = out(&output);
    println!("{page}");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_readable(page);
    for part in ["(not registered yet)", "Connection  connecting for ", "failed in a row", "Last error  ", "firewall", "doctor"] {
        assert!(page.contains(part), "{part:?} in\n{page}");
    }
    let json: Value = serde_json::from_str(out(&status(&bed, &["--json"]))).unwrap();
    assert_eq!(json["ready"], false);
    agent.stop();
}

#[test]
fn a_token_that_is_refused_is_named_and_not_shown() {
    let bed = Bed::new(Setup::default());
    bed.set_faults(|faults| faults.refuse_controller = Some(Refusal::with_status(401)));
    let agent = bed.agent().start();
    agent.wait_msg(RECONNECTING, LIMIT);
    let output = status(&bed, &[]);
    let page = out(&output);
    println!("{page}");
    assert_eq!(output.status.code(), Some(1));
    assert!(page.contains("check PIPEOPS_TOKEN") && page.contains("status 401"), "{page}");
    assert!(!page.contains(bed.plane.token()), "{page}");
    agent.stop();
}

#[test]
fn where_no_agent_is_it_says_where_it_asked() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    // Somebody else's program has the port.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let answers = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut asked = [0; 1024];
        assert_ne!(std::io::Read::read(&mut stream, &mut asked).unwrap(), 0);
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n{\"hello\":\"world\"}").unwrap();
    });
    let config = bed.folder().join("other.yaml");
    let state = bed.state_dir();
    std::fs::write(&config, format!("agent: {{port: {}, state_dir: {}, prot: 1}}\n", address.port(), state.display())).unwrap();
    let output = run(&config, &[]);
    answers.join().unwrap();
    let page = std::str::from_utf8(&output.stderr).unwrap();
    println!("{page}");
    assert_eq!((output.status.code(), out(&output)), (Some(3), ""));
    assert_readable(page);
    for part in [
        "No agent answers here.\n",
        "agent.sock: No such file",
        &format!("{address}: the answer is not an agent's"),
        "unknown key agent.prot",
        "What to do",
    ] {
        assert!(page.contains(part), "{part:?} in\n{page}");
    }
    std::fs::write(&config, format!("agent: {{port: 0, state_dir: {}}}\n", state.display())).unwrap();
    let output = run(&config, &["--json"]);
    assert_eq!((output.status.code(), out(&output)), (Some(3), ""));
}

#[test]
fn without_the_socket_the_port_is_asked_and_no_token_is_needed() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    let (agent, address) = listening(|| bed.agent().set("agent.listen_address", "0.0.0.0"));
    let config = bed.folder().join("other.yaml");
    let text = format!("agent: {{port: {}, listen_address: 0.0.0.0, state_dir: /nowhere}}\n", address.port());
    std::fs::write(&config, text).unwrap();
    let output = run(&config, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(out(&output).contains("Ready       no: "), "{output:?}");
    agent.stop();
}

#[test]
fn an_agent_that_is_stopped_is_not_waited_for() {
    let bed = Bed::new(Setup { listening: false, kube: false, ..Setup::default() });
    let (agent, _) = listening(|| bed.agent());
    agent.wait_msg(OPENED, LIMIT);
    agent.signal("STOP");
    let started = Instant::now();
    let output = status(&bed, &[]);
    let took = started.elapsed();
    agent.signal("CONT");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no answer in time"), "{output:?}");
    assert!((Duration::from_secs(2)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert_eq!(get_at(&bed.state_dir().join("agent.sock"), "/healthz").status, 200);
    agent.stop();
}
