//! A changed configuration, taken over while the tunnel is up.
//!
//! Owns when to read it again (SIGHUP, or another file in its place), what of it can change now, and what is said about the rest.
//! A configuration with a mistake in it changes nothing.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use log::{info, warn};
use pipeops_agent_core::streams::Settings;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;

use crate::arguments::Arguments;
use crate::config::{Config, Disk, ProcessEnvironment, Setting, TokenSource};
use crate::services::Services;
use crate::{FEATURES, logger, messages, report};

/// How often the file is looked at. One `stat` costs a few microseconds.
const LOOK: Duration = Duration::from_secs(5);
/// How long a changed file must stay as it is before it is read: somebody may be writing it.
const SETTLE: Duration = Duration::from_millis(500);
/// The most mistakes of a wrong configuration that its log record names.
const MISTAKES: usize = 5;

/// What the driver takes over.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) streams: Box<Settings>,
    /// For the next registration.
    pub(crate) labels: Vec<(String, String)>,
    /// For the next dial.
    pub(crate) token: TokenSource,
}

/// Watches for as long as the driver listens.
pub(crate) struct Reloader {
    pub(crate) arguments: Arguments,
    /// What the agent runs with.
    pub(crate) running: Config,
    pub(crate) hangups: Signal,
    pub(crate) services: Option<Arc<Services>>,
    pub(crate) changes: mpsc::Sender<Change>,
}

impl Reloader {
    pub(crate) async fn run(mut self) {
        let mut seen = self.running.file.as_deref().and_then(Stamp::of);
        loop {
            let reason = tokio::select! {
                _ = self.hangups.recv() => "SIGHUP",
                () = changed(self.running.file.as_deref(), seen) => "file",
                () = self.changes.closed() => return,
            };
            // Before it is read: what changes after this is seen as another change.
            seen = self.running.file.as_deref().and_then(Stamp::of);
            let arguments = self.arguments.clone();
            let load = move || Config::load(&arguments, &ProcessEnvironment, &Disk, FEATURES);
            // Files may be on a disk that takes its time.
            let Ok(loaded) = tokio::task::spawn_blocking(load).await else { continue };
            match loaded {
                Err(error) => {
                    let named: Vec<String> = error.problems.iter().take(MISTAKES).map(ToString::to_string).collect();
                    warn!(
                        reason = reason, problems = error.problems.len(), error = named.join("; "),
                        hint = "pipeops-agent config check names every mistake";
                        "{}", messages::NOT_RELOADED
                    );
                }
                Ok((config, warnings)) => {
                    report::warnings(&warnings);
                    if self.take_over(config, reason).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Puts what can change now in place of what was. Fails when the driver has ended.
    async fn take_over(&mut self, config: Config, reason: &str) -> Result<(), mpsc::error::SendError<Change>> {
        let (now, later) = differences(&self.running, &config);
        info!(reason = reason, changed = now.join(", "); "{}", messages::RELOADED);
        if !later.is_empty() {
            warn!(settings = later.join(", "); "{}", messages::RESTART_NEEDED);
        }
        if now.is_empty() {
            return Ok(());
        }
        logger::set_level(config.logging.level);
        if let Some(services) = self.services.as_ref().filter(|_| config.policy != self.running.policy) {
            services.set_policy(config.policy.clone());
        }
        let change = Change {
            streams: Box::new(Settings {
                policy: config.policy.clone(),
                ceiling: config.limits.buffer_bytes,
                exchanges: config.limits.max_exchanges,
            }),
            labels: config.agent.label_pairs(),
            token: config.pipeops.token.clone(),
        };
        self.running.adopt(config, changes_now);
        self.changes.send(change).await
    }
}

/// The settings that differ: those that can change now, and those that need a restart.
fn differences(running: &Config, config: &Config) -> (Vec<&'static str>, Vec<&'static str>) {
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for (old, new) in running.effective().iter().zip(config.effective()) {
        if old.fingerprint != new.fingerprint {
            let list = if changes_now(new.key.setting) { &mut now } else { &mut later };
            list.push(new.key.path);
        }
    }
    (now, later)
}

/// Whether a setting can change while the tunnel is up.
fn changes_now(setting: Setting) -> bool {
    let named = matches!(
        setting,
        Setting::LogLevel | Setting::Labels | Setting::Token | Setting::TokenFile | Setting::BufferBytes | Setting::MaxExchanges
    );
    named || setting.key().path.starts_with("policy.")
}

/// Waits until the file is another one than `seen`, and has settled. For ever where there is none to look at.
async fn changed(path: Option<&Path>, seen: Option<Stamp>) {
    let Some(path) = path else { return core::future::pending().await };
    loop {
        tokio::time::sleep(LOOK).await;
        let mut newest = Stamp::of(path);
        // A file that is gone for a moment is about to be replaced; one that is gone for good changes nothing.
        if newest.is_none() || newest == seen {
            continue;
        }
        loop {
            tokio::time::sleep(SETTLE).await;
            let again = Stamp::of(path);
            if again == newest {
                break;
            }
            newest = again;
        }
        if newest.is_some() {
            return;
        }
    }
}

/// What tells one state of a file from another. Links are followed: Kubernetes swaps a link when it renews a ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}
