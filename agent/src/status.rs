//! How the agent is: what the driver notes as it goes on, and the picture of a moment that it gives to those who ask.
//!
//! Owns the numbers and words for probes, metrics and the `status` command. Does not own how they are asked for. Nothing here is a
//! secret, and no name of a number comes from outside.

mod journal;
pub(crate) mod json;
pub(crate) mod metrics;
mod process;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pipeops_agent_core::session::{Session, Stage, State};
use pipeops_agent_core::streams::{Counters, Streams};
use pipeops_agent_core::time::Instant;
use tokio::sync::oneshot;

pub(crate) use self::journal::Journal;

/// Whoever wants to know how the agent is.
pub(crate) type Asker = oneshot::Sender<Box<Snapshot>>;

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) agent_id: String,
    pub(crate) cluster_name: String,
    /// Host and port of the control plane that is configured.
    pub(crate) plane: String,
    pub(crate) config_file: Option<PathBuf>,
    /// The wall clock when the agent started.
    pub(crate) started: SystemTime,
    /// Silence for longer means that the control plane is gone.
    pub(crate) liveness: Duration,
}

/// What waits in the driver, and what went through it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    /// Bytes of WebSocket frames that the network took.
    pub(crate) to_plane: u64,
    /// Bytes of WebSocket frames that arrived.
    pub(crate) from_plane: u64,
    /// Bytes that wait for the socket to the plane.
    pub(crate) outgoing: usize,
    /// Reports of exchanges that wait for the driver.
    pub(crate) events: usize,
}

/// The agent at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    now: Instant,
    state: State,
    stage: Stage,
    ready: bool,
    heard: Option<Instant>,
    cluster_id: String,
    counters: Counters,
    exchanges: usize,
    budget_used: usize,
    budget_peak: usize,
    budget_ceiling: usize,
    flow: Flow,
    journal: Journal,
}

impl Snapshot {
    pub(crate) fn new(now: Instant, session: &Session, streams: &Streams, flow: Flow, journal: &Journal) -> Self {
        let budget = streams.budget();
        Self {
            now,
            state: session.state(),
            stage: session.stage(),
            ready: session.is_ready(now),
            heard: session.heard(),
            cluster_id: journal::bounded(session.cluster().unwrap_or_default()),
            counters: *streams.counters(),
            exchanges: streams.len(),
            budget_used: budget.used(),
            budget_peak: budget.peak(),
            budget_ceiling: budget.ceiling(),
            flow,
            journal: journal.clone(),
        }
    }

    /// Registered, and the control plane was heard within the liveness bound.
    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether the control plane has registered this cluster, on this connection or on the one that led to it.
    const fn is_registered(&self) -> bool {
        matches!(self.stage, Stage::Online | Stage::Dialling { registered: true })
    }

    /// Why the agent is not ready, or `None` when it is.
    pub(crate) fn reason(&self, about: &About) -> Option<String> {
        if self.ready {
            return None;
        }
        let text = match self.stage {
            Stage::Dialling { registered: false } => "connecting to the control plane",
            Stage::Dialling { registered: true } => "registered, connecting to the gateway",
            Stage::Registering => "waiting for the control plane to register the cluster",
            Stage::BackingOff { .. } => "not connected to the control plane",
            Stage::Online => {
                return Some(format!("nothing heard from the control plane for {} s", about.liveness.as_secs()));
            }
            Stage::Ending => return Some("the agent is shutting down".into()),
        };
        Some(match &self.journal.trouble {
            Some(trouble) => format!("{text}; last error: {}", trouble.text),
            None => text.into(),
        })
    }

    fn since(&self, instant: Instant) -> Duration {
        self.now.since(instant)
    }

    /// How long the process has run: the clock begins with it.
    fn uptime(&self) -> Duration {
        self.since(Instant::ZERO)
    }

    /// Where the connection goes: host and port, and whether that is a gateway.
    fn endpoint<'a>(&'a self, about: &'a About) -> (&'a str, &'static str) {
        match self.journal.gateway.as_deref().filter(|_| self.is_registered()) {
            Some(gateway) => (gateway, "gateway"),
            None => (&about.plane, "controller"),
        }
    }
}

/// Where questions are sent.
#[derive(Clone, Debug)]
pub(crate) struct Questions(tokio::sync::mpsc::Sender<Asker>);

/// How long an answer may take. A driver that does not come around in that time is stuck.
const PATIENCE: Duration = Duration::from_secs(1);

impl Questions {
    /// The two ends of the way to the driver.
    pub(crate) fn channel() -> (Self, tokio::sync::mpsc::Receiver<Asker>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(32);
        (Self(sender), receiver)
    }

    /// The agent as it is now; `None` when the driver does not answer in time.
    pub(crate) async fn ask(&self) -> Option<Box<Snapshot>> {
        let (asker, answer) = oneshot::channel();
        let ask = async {
            self.0.send(asker).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(PATIENCE, ask).await.ok().flatten()
    }
}

#[cfg(test)]
pub(crate) mod fake {
    use pipeops_agent_core::policy::Policy;
    use pipeops_agent_core::session::Config;
    use pipeops_agent_core::streams::Limits;
    use pipeops_agent_core::wire::Base64;

    use super::*;

    /// An agent that has not done anything yet.
    pub(crate) fn about() -> About {
        About {
            agent_id: "agent-1".into(),
            cluster_name: "shop".into(),
            plane: "plane.example".into(),
            config_file: Some("/etc/pipeops/config.yaml".into()),
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
            liveness: Duration::from_secs(60),
        }
    }

    /// The moment of a session after `play`, with what the journal learned from it.
    pub(crate) fn snapshot(play: impl FnOnce(&mut Session, &mut Journal)) -> Snapshot {
        let mut session = Session::new(Config::default(), 1, Instant::ZERO, None);
        let streams = Streams::new(Limits::default(), Policy::default(), 1, Base64::PORTABLE);
        let mut journal = Journal::default();
        play(&mut session, &mut journal);
        Snapshot::new(Instant::from_millis(90_500), &session, &streams, Flow::default(), &journal)
    }
}
