//! One run of the binary, and what it writes.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use devplane::plane::AgentState;
use serde_json::{Map, Value};

use super::{Bed, LIMIT};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pipeops-agent");

/// A run that has not begun: settings, arguments, environment.
pub struct Launch<'bed> {
    bed: &'bed Bed,
    config: Map<String, Value>,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl<'bed> Launch<'bed> {
    pub(super) fn new(bed: &'bed Bed) -> Self {
        Self { bed, config: Map::new(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// Sets a key of the configuration file, sections joined by dots.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        let (sections, name) = key.rsplit_once('.').unwrap();
        let mut map = &mut self.config;
        for section in sections.split('.') {
            let next = map.entry(section).or_insert_with(|| Value::Object(Map::new()));
            map = next.as_object_mut().unwrap();
        }
        map.insert(name.into(), value.into());
        self
    }

    /// Leaves a key out of the configuration file.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        let (sections, name) = key.rsplit_once('.').unwrap();
        let mut map = Some(&mut self.config);
        for section in sections.split('.') {
            map = map.and_then(|map| map.get_mut(section)?.as_object_mut());
        }
        if let Some(map) = map {
            map.remove(name);
        }
        self
    }

    /// Adds an argument after the command and `--config FILE`.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Writes the configuration file and runs the binary.
    #[must_use]
    pub fn start(self) -> Agent {
        Agent::spawn(self.command("run"))
    }

    /// Writes the configuration file, runs another command of the binary, and waits until it has ended.
    #[must_use]
    pub fn output(self, command: &str) -> std::process::Output {
        self.command(command).stdin(Stdio::null()).output().unwrap()
    }

    fn command(self, word: &str) -> Command {
        let path = self.bed.folder().join("agent.yaml");
        // JSON is YAML.
        std::fs::write(&path, format!("{:#}\n", Value::Object(self.config))).unwrap();
        // It holds the token: with any other mode the agent would have a warning to say.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg(word)
            .arg("--config")
            .arg(path)
            .args(self.arguments)
            .envs(self.environment);
        command
    }

    /// The same, until the plane counts this run as online. A connection of a run before does not count.
    #[must_use]
    #[track_caller]
    pub fn online(self) -> Agent {
        let bed = self.bed;
        let newest = bed.with_plane(|plane| {
            let upgrades = plane.records().upgrades.iter();
            upgrades.filter_map(|it| it.connection).max()
        });
        let agent = self.start();
        agent.until(bed, "online", move |plane| {
            let mut clusters = plane.clusters();
            clusters.any(|it| it.state == AgentState::Online && it.connection > newest)
        });
        agent
    }
}

/// A running agent, which is killed when this is dropped.
pub struct Agent {
    child: Child,
    output: Arc<Output>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Runs the binary for a bed with arguments and variables added.
    #[must_use]
    pub fn start(bed: &Bed, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut launch = bed.agent();
        for argument in arguments {
            launch = launch.arg(*argument);
        }
        for (name, value) in environment {
            launch = launch.env(*name, *value);
        }
        launch.start()
    }

    /// Runs the binary with these arguments and nothing else.
    #[must_use]
    pub fn bare(arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let output = Arc::new(Output::default());
        let copy = Arc::clone(&output);
        let reader = std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                copy.lock().lines.push(line);
                copy.changed.notify_all();
            }
            copy.lock().ended = true;
            copy.changed.notify_all();
        });
        Self { child, output, reader: Some(reader) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything written so far, as it is.
    pub fn text(&self) -> String {
        self.output.lock().lines.join("\n")
    }

    /// The records written so far. Lines that are no JSON objects are left out.
    pub fn logs(&self) -> Vec<Value> {
        self.output.lock().lines.iter().filter_map(|it| record(it)).collect()
    }

    pub fn logs_with_msg(&self, msg: &str) -> Vec<Value> {
        let mut logs = self.logs();
        logs.retain(|line| line["msg"] == msg);
        logs
    }

    /// The first record, of the past too, that the condition takes.
    #[track_caller]
    pub fn wait_log(&self, mut condition: impl FnMut(&Value) -> bool, limit: Duration) -> Value {
        self.try_wait_log(&mut condition, limit)
            .unwrap_or_else(|| panic!("no such record within {limit:?}; the agent's log:\n{}", self.text()))
    }

    /// The same with this message.
    #[track_caller]
    pub fn wait_msg(&self, msg: &str, limit: Duration) -> Value {
        self.try_wait_log(&mut |line| line["msg"] == msg, limit)
            .unwrap_or_else(|| panic!("no \"{msg}\" within {limit:?}; the agent's log:\n{}", self.text()))
    }

    /// Waits until there are `count` records with this message, and gives all that there are.
    #[track_caller]
    pub fn wait_msgs(&self, msg: &str, count: usize, limit: Duration) -> Vec<Value> {
        let mut seen = 0;
        let found = self.try_wait_log(
            &mut |line| {
                seen += usize::from(line["msg"] == msg);
                seen >= count
            },
            limit,
        );
        assert!(found.is_some(), "not {count} times \"{msg}\" within {limit:?}; the agent's log:\n{}", self.text());
        self.logs_with_msg(msg)
    }

    fn try_wait_log(&self, condition: &mut dyn FnMut(&Value) -> bool, limit: Duration) -> Option<Value> {
        let until = Instant::now() + limit;
        let mut next = 0;
        let mut output = self.output.lock();
        loop {
            while let Some(line) = output.lines.get(next) {
                next += 1;
                if let Some(record) = record(line).filter(|it| condition(it)) {
                    return Some(record);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || output.ended {
                return None;
            }
            output = self.output.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the plane counts the agent as online.
    #[track_caller]
    pub fn online(&self, bed: &Bed) {
        self.until(bed, "online", |plane| plane.online() > 0);
    }

    /// Waits for something at the plane; `what` is for the panic.
    #[track_caller]
    pub fn until(&self, bed: &Bed, what: &str, condition: impl FnMut(&devplane::plane::Plane) -> bool + Send + 'static) {
        self.until_within(bed, what, LIMIT, condition);
    }

    #[track_caller]
    pub fn until_within(
        &self,
        bed: &Bed,
        what: &str,
        limit: Duration,
        condition: impl FnMut(&devplane::plane::Plane) -> bool + Send + 'static,
    ) {
        assert!(bed.wait_until(condition, limit), "not within {limit:?}: {what}; the agent's log:\n{}", self.text());
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success(), "the agent cannot be signalled: it has ended");
    }

    /// Waits for the end. Everything the agent wrote can be read when this returns.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let until = Instant::now() + limit;
        // Its end closes standard error; it starts no programs that could hold that open.
        let mut output = self.output.lock();
        while !output.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(output);
                panic!("the agent does not end within {limit:?}; its log:\n{}", self.text());
            }
            output = self.output.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(output);
        self.child.wait().unwrap()
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn stop(mut self) {
        self.terminate();
        let status = self.wait_exit(Duration::from_secs(10));
        assert!(status.success(), "{status}; the agent's log:\n{}", self.text());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn record(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok().filter(Value::is_object)
}
