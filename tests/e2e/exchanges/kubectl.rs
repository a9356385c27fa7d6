//! The real kubectl, which knows the plane's front door and nothing else.

#![allow(dead_code, reason = "shared by targets that need different parts of it")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::json;

use crate::harness::ADMIN_TOKEN;
use crate::rig::{PATIENCE, Rig};

/// A command that knows the front door and nothing else; `None`, and a line that says so, where there is no kubectl.
pub(crate) fn kubectl(rig: &Rig, arguments: &[&str]) -> Option<Command> {
    let known = Command::new("kubectl").args(["version", "--client"]).output();
    if known.is_err() {
        println!("SKIPPED kubectl: not found");
        return None;
    }
    let home = rig.bed.folder();
    std::fs::write(home.join("front-ca.pem"), rig.bed.plane.ca_pem()).unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {
            "server": rig.bed.plane.kube_url(), "certificate-authority": "front-ca.pem",
        }}],
        "users": [{"name": "u", "user": {"token": ADMIN_TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    });
    std::fs::write(home.join("front-config"), config.to_string()).unwrap();
    let mut command = Command::new("kubectl");
    command
        .args(arguments)
        .current_dir(home)
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("KUBECONFIG", home.join("front-config"));
    Some(command)
}

/// What a run that must succeed said.
#[track_caller]
pub(crate) fn ok(rig: &Rig, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}\nthe agent's log:\n{}", text(&output.stdout), text(&output.stderr), rig.agent.text());
    text(&output.stdout)
}

/// A kubectl that runs until this is dropped.
pub(crate) struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    #[track_caller]
    pub(crate) fn line_with(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("no line with {part:?}: {error}"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
