//! The real kubectl into pods, through the plane's front door.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use devapp::{pattern, sha256};

use crate::harness::{ADMIN_TOKEN, AGENT_TOKEN};
use crate::kubectl::{Following, kubectl, ok};
use crate::rig::{Rig, VIEWER_TOKEN, assert_bytes};

/// Runs it with this on its standard input.
fn run(mut command: Command, input: Vec<u8>) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // kubectl may end before it has read everything.
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = feeder.join();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn f04_kubectl_exec_has_its_inputs_outputs_and_exit_code() {
    let rig = Rig::start();
    let Some(cat) = kubectl(&rig, &["exec", "-i", "web-0", "--", "cat"]) else {
        return;
    };
    let exec = |arguments: &[&str]| kubectl(&rig, &[&["exec", "web-0", "--"], arguments].concat()).unwrap().output().unwrap();
    let started = Instant::now();
    assert_eq!(ok(&rig, &exec(&["echo", "hello", "there"])), "hello there\n");
    println!("kubectl exec: {:?}", started.elapsed());
    let said = run(cat, b"one\ntwo\n".to_vec());
    assert_eq!(ok(&rig, &said), "one\ntwo\n");
    let failed = exec(&["exit", "7"]);
    assert_eq!(failed.status.code(), Some(7), "{}", text(&failed.stderr));
    let both = exec(&["both"]);
    assert_eq!((text(&both.stdout).as_str(), text(&both.stderr).as_str()), ("out\n", "err\n"));
    // kubectl's own credential and sub-protocol, and never the agent's.
    let seen = rig.kube().requests().into_iter().filter(|seen| seen.path.ends_with("/exec")).collect::<Vec<_>>();
    assert_eq!(seen.len(), 4);
    for seen in seen {
        assert_eq!(seen.user.as_deref(), Some("demo-user"));
        assert_eq!(seen.protocol.as_deref(), Some("v5.channel.k8s.io"));
        assert!(!seen.headers.iter().any(|(_, value)| value.contains(AGENT_TOKEN)), "the agent's own token");
    }
    rig.finish();
}

#[test]
fn f04_kubectl_exec_moves_megabytes_both_ways() {
    let rig = Rig::start();
    let Some(mut bytes) = kubectl(&rig, &["exec", "web-0", "--", "bytes", "3000000"]) else {
        return;
    };
    let mut expected = vec![0; 3_000_000];
    pattern(0, &mut expected);
    let started = Instant::now();
    let output = bytes.output().unwrap();
    println!("3 MB out of a pod: {:?}", started.elapsed());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_bytes(&output.stdout, &expected);
    let started = Instant::now();
    let sum = run(kubectl(&rig, &["exec", "-i", "web-0", "--", "sha256sum"]).unwrap(), expected.clone());
    println!("3 MB into a pod: {:?}", started.elapsed());
    assert_eq!(ok(&rig, &sum), format!("{}  -\n", sha256(&expected)));
    rig.finish();
}

#[test]
fn f04_kubectl_attach_follows_the_pods_own_process() {
    let rig = Rig::start();
    let Some(attach) = kubectl(&rig, &["attach", "-i", "web-0"]) else {
        return;
    };
    let said = ok(&rig, &run(attach, b"one\ntwo\n".to_vec()));
    assert!(said.ends_with("one\ntwo\n"), "{said}");
    rig.finish();
}

#[test]
fn b50_kubectl_hears_why_it_is_refused() {
    let rig = Rig::start();
    let Some(mut command) = kubectl(&rig, &["exec", "web-9", "--", "echo"]) else {
        return;
    };
    let refused = command.output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains(r#"pods "web-9" not found"#), "{}", text(&refused.stderr));
    let mut command = kubectl(&rig, &["exec", "web-0", "--", "echo"]).unwrap();
    // The same, as somebody who may read only.
    let config = rig.bed.folder().join("front-config");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, written.replace(ADMIN_TOKEN, VIEWER_TOKEN)).unwrap();
    let refused = command.output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).to_lowercase().contains("forbidden"), "{}", text(&refused.stderr));
    rig.finish();
}

#[test]
fn b05_a_kubectl_that_is_killed_ends_its_program() {
    let rig = Rig::start();
    let Some(sleep) = kubectl(&rig, &["exec", "web-0", "--", "sleep"]) else {
        return;
    };
    let sleep = Following::start(sleep);
    rig.until("a program runs", |kube| {
        kube.requests().iter().any(|seen| seen.path.ends_with("/exec") && seen.status == Some(101))
    });
    drop(sleep);
    println!("a program's end after kubectl's: {:?}", rig.idle_after(Instant::now()));
    rig.finish();
}
