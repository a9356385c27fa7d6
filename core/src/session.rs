//! The session: connect → register → (gateway) → online → backoff.
//!
//! Owns when to dial, register, ping, beat, give up and try again. Does not own bytes, payload fields or sockets.
//!
//! ```text
//!            ┌──────────────────────────────── backoff ran out ───────────────────────────────┐
//!            ▼                                                                                │
//!       Connecting ──connected──► Registering ──registered, no gateway──────────► Online      │
//!       (controller)                  │                                             │         │
//!            │                        └─registered, gateway─► Connecting ─connected─┘         │
//!            │                                                (gateway)             │         │
//!            └── failed, refused, silent, timed out, "not registered" (any phase) ──┴──► BackingOff
//!
//!       Shutdown: Online ─► Draining ─► Closing ─► Stopped;  any other phase ─► Closing or Stopped
//! ```

mod heartbeat;
mod io;
mod online;
mod registering;

use alloc::collections::VecDeque;
use alloc::string::String;
use core::time::Duration;

use self::heartbeat::{Pulse, Step};
pub use self::io::{Attempt, Beat, CloseCode, Endpoint, Event, Failure, Input, Output, Stage, State};
use crate::backoff::{self, Backoff};
use crate::message::Registration;
use crate::time::{Instant, earliest};

/// The session's timers. All of them are at most a few minutes, so nothing ever waits for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For TCP, TLS and the upgrade together.
    pub dial: Duration,
    /// For the answer to `register`, and how much each `register_in_progress` adds.
    pub registration: Duration,
    /// For the registration in all, however often the plane asks for more time.
    pub registration_limit: Duration,
    /// How long `register` waits for the facts about the cluster.
    pub facts: Duration,
    /// Between pings.
    pub ping: Duration,
    /// The liveness bound: silence for so long ends the connection.
    pub liveness: Duration,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// How long online makes a connection a stable one.
    pub stable: Duration,
    /// For the exchanges in flight at shutdown.
    pub drain: Duration,
    /// For the closing handshake at shutdown.
    pub closing: Duration,
    /// The dial ladder.
    pub backoff: backoff::Policy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(30),
            registration: Duration::from_secs(30),
            registration_limit: Duration::from_secs(120),
            facts: Duration::from_secs(2),
            ping: Duration::from_secs(10),
            liveness: Duration::from_secs(60),
            heartbeat: Duration::from_secs(30),
            stable: Duration::from_secs(60),
            drain: Duration::from_secs(2),
            closing: Duration::from_secs(1),
            backoff: backoff::Policy::default(),
        }
    }
}

/// Where the session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Connecting {
        endpoint: Endpoint,
        deadline: Instant,
    },
    /// `sent` is false while the facts are awaited.
    Registering {
        sent: bool,
        send_by: Instant,
        deadline: Instant,
        limit: Instant,
    },
    Online(Online),
    BackingOff {
        until: Instant,
    },
    Draining {
        deadline: Instant,
    },
    Closing {
        deadline: Instant,
    },
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Online {
    since: Instant,
    stable: bool,
    next_ping: Instant,
    heard: Instant,
    pulse: Pulse,
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    config: Config,
    backoff: Backoff,
    phase: Phase,
    attempt: Attempt,
    state: State,
    now: Instant,
    outputs: VecDeque<Output>,
    /// The cluster that the plane knows us as.
    cluster: Option<String>,
    /// The plane does not know the cluster any more: ask for a new one, but forget the old one only when that worked.
    fresh: bool,
    facts_ready: bool,
    /// Whether this plane was ever seen to acknowledge heartbeats.
    acknowledges: bool,
    /// Whether the connection before was up, so that the next one is a return.
    was_online: bool,
    heard: Option<Instant>,
}

impl Session {
    /// A session that dials at once. `cluster` is the cluster id of an earlier run.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant, cluster: Option<String>) -> Self {
        let backoff = Backoff::new(config.backoff.clone(), seed);
        let mut session = Self {
            config,
            backoff,
            phase: Phase::BackingOff { until: now },
            attempt: Attempt::default(),
            state: State::Disconnected,
            now,
            outputs: VecDeque::new(),
            cluster,
            fresh: false,
            facts_ready: false,
            acknowledges: false,
            was_online: false,
            heard: None,
        };
        session.dial(Endpoint::Controller);
        session
    }

    /// Takes one input at `now`. See the contract in the crate's documentation.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Timeout => self.on_timeout(),
            Input::FactsReady => self.facts_ready = true,
            Input::Shutdown => self.on_shutdown(),
            Input::Drained => {
                if matches!(self.phase, Phase::Draining { .. }) {
                    self.close_for_good();
                }
            }
            Input::Connected(attempt) => self.current(attempt, Self::on_connected),
            Input::Heard(attempt) => self.current(attempt, Self::on_heard),
            Input::Acknowledged(attempt) => self.current(attempt, Self::on_acknowledged),
            Input::Written(attempt, beat) => self.current(attempt, |session| session.on_written(beat)),
            Input::Failed(attempt, failure) => self.current(attempt, |session| session.on_failed(failure)),
            Input::Registered(attempt, registration) => {
                self.current(attempt, |session| session.on_registered(*registration));
            }
            Input::RegisterInProgress(attempt) => self.current(attempt, Self::on_register_in_progress),
            Input::Refused(attempt, about_register, text) => {
                self.current(attempt, |session| session.on_refused(about_register, text));
            }
        }
        self.send_register_if_due();
    }

    /// The next thing to do; `None` when there is nothing more.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due; `None` only when stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Connecting { deadline, .. } | Phase::Draining { deadline } | Phase::Closing { deadline } => Some(*deadline),
            Phase::Registering { sent, send_by, deadline, .. } => Some(if *sent { *deadline } else { *send_by }),
            Phase::BackingOff { until } => Some(*until),
            Phase::Online(online) => {
                let stable = (!online.stable).then(|| online.since + self.config.stable);
                let liveness = Some(online.heard + self.config.liveness);
                earliest(earliest(stable, liveness), earliest(Some(online.next_ping), Some(online.pulse.deadline())))
            }
            Phase::Stopped => None,
        }
    }

    /// The state that is logged and reported.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Where it stands.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Connecting { endpoint, .. } => Stage::Dialling { registered: matches!(endpoint, Endpoint::Gateway { .. }) },
            Phase::Registering { .. } => Stage::Registering,
            Phase::Online(_) => Stage::Online,
            Phase::BackingOff { until } => Stage::BackingOff { until: *until },
            Phase::Draining { .. } | Phase::Closing { .. } | Phase::Stopped => Stage::Ending,
        }
    }

    /// When the plane was heard for the last time, on any connection.
    #[must_use]
    pub const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// The attempt that is under way or up.
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The cluster that the plane knows.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The cluster to ask for at registration.
    #[must_use]
    pub fn cluster_to_resume(&self) -> Option<&str> {
        if self.fresh { None } else { self.cluster.as_deref() }
    }

    /// Registered, online, and the plane was heard within the liveness bound.
    #[must_use]
    pub fn is_ready(&self, now: Instant) -> bool {
        matches!(&self.phase, Phase::Online(online) if now.since(online.heard) < self.config.liveness)
    }

    /// Whether the session is over.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    fn current(&mut self, attempt: Attempt, react: impl FnOnce(&mut Self)) {
        if attempt == self.attempt {
            react(self);
        } else {
            self.outputs.push_back(Output::Event(Event::Stale(attempt)));
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn enter_state(&mut self, state: State) {
        if self.state != state {
            let from = core::mem::replace(&mut self.state, state);
            self.event(Event::StateChanged { from, to: state });
        }
    }

    fn dial(&mut self, endpoint: Endpoint) {
        self.attempt = self.attempt.next();
        let trying = if self.was_online { State::Reconnecting } else { State::Connecting };
        self.enter_state(trying);
        self.phase = Phase::Connecting { endpoint: endpoint.clone(), deadline: self.now + self.config.dial };
        self.outputs.push_back(Output::Dial(self.attempt, endpoint));
    }

    fn on_connected(&mut self) {
        self.heard = Some(self.now);
        let Phase::Connecting { endpoint, .. } = &self.phase else {
            return;
        };
        match endpoint {
            Endpoint::Controller => {
                let now = self.now;
                self.phase = Phase::Registering {
                    sent: false,
                    send_by: now + self.config.facts,
                    deadline: now + self.config.registration,
                    limit: now + self.config.registration_limit,
                };
            }
            Endpoint::Gateway { .. } => self.go_online(),
        }
    }

    fn on_refused(&mut self, about_register: bool, text: String) {
        let unknown_cluster = says_not_registered(&text);
        let now = self.now;
        match &mut self.phase {
            Phase::Registering { sent: true, .. } => {
                // The id is forgotten only when a fresh registration has given another one.
                if unknown_cluster && self.cluster.is_some() {
                    self.fresh = true;
                }
                self.lose(Failure::RegistrationRefused(text));
            }
            Phase::Online(_) if unknown_cluster => self.lose(Failure::NotRegistered(text)),
            Phase::Online(online) if !about_register => {
                let step = online.pulse.on_refused(now, text.clone());
                if step == Step::Nothing {
                    self.event(Event::Refused(text));
                } else {
                    self.take_step(step);
                }
            }
            Phase::Online(_)
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::BackingOff { .. }
            | Phase::Draining { .. }
            | Phase::Closing { .. }
            | Phase::Stopped => self.event(Event::Refused(text)),
        }
    }

    fn on_failed(&mut self, failure: Failure) {
        match self.phase {
            Phase::Connecting { .. } | Phase::Registering { .. } | Phase::Online(_) => self.lose(failure),
            Phase::Draining { .. } | Phase::Closing { .. } => self.stop(),
            Phase::BackingOff { .. } | Phase::Stopped => {}
        }
    }

    /// Ends the current attempt and waits before the next.
    fn lose(&mut self, failure: Failure) {
        let orderly = match failure {
            Failure::NotRegistered(_) | Failure::RegistrationRefused(_) | Failure::HeartbeatsFailed => CloseCode::Normal,
            Failure::Refused { .. }
            | Failure::Transport { .. }
            | Failure::Closed { .. }
            | Failure::TimedOut(_)
            | Failure::Silent => CloseCode::Abandon,
        };
        self.outputs.push_back(Output::Close(self.attempt, orderly));
        if let Phase::Online(online) = &self.phase
            && online.stable
        {
            self.backoff.lost_stable(self.now);
        }
        let hint = match &failure {
            Failure::Refused { retry_after, .. } => *retry_after,
            Failure::Transport { .. }
            | Failure::Closed { .. }
            | Failure::TimedOut(_)
            | Failure::RegistrationRefused(_)
            | Failure::NotRegistered(_)
            | Failure::Silent
            | Failure::HeartbeatsFailed => None,
        };
        let online = matches!(self.phase, Phase::Online(_));
        self.event(if online { Event::Lost(failure) } else { Event::ConnectFailed(failure) });
        let delay = self.backoff.next(self.now, hint);
        // Answers to the attempt that just ended are stale from here on.
        self.attempt = self.attempt.next();
        self.phase = Phase::BackingOff { until: self.now + delay.total };
        if self.was_online {
            self.enter_state(State::Reconnecting);
        }
        self.event(Event::BackingOff(delay));
    }

    fn on_timeout(&mut self) {
        let now = self.now;
        match &mut self.phase {
            Phase::Connecting { deadline, endpoint } if now >= *deadline => {
                let stage = match endpoint {
                    Endpoint::Controller => "dialling the controller",
                    Endpoint::Gateway { .. } => "dialling the gateway",
                };
                self.lose(Failure::TimedOut(stage));
            }
            Phase::Registering { sent: true, deadline, .. } if now >= *deadline => {
                self.lose(Failure::TimedOut("waiting for the answer to register"));
            }
            Phase::BackingOff { until } if now >= *until => self.dial(Endpoint::Controller),
            Phase::Draining { deadline } if now >= *deadline => self.close_for_good(),
            Phase::Closing { deadline } if now >= *deadline => self.stop(),
            Phase::Online(_) => self.on_online_timeout(),
            Phase::Connecting { .. }
            | Phase::Registering { .. }
            | Phase::BackingOff { .. }
            | Phase::Draining { .. }
            | Phase::Closing { .. }
            | Phase::Stopped => {}
        }
    }

    fn on_shutdown(&mut self) {
        match self.phase {
            Phase::Online(_) => {
                self.phase = Phase::Draining { deadline: self.now + self.config.drain };
                self.outputs.push_back(Output::Drain);
            }
            Phase::Connecting { .. } | Phase::Registering { .. } => self.close_for_good(),
            Phase::BackingOff { .. } => self.stop(),
            // A second request does not wait.
            Phase::Draining { .. } | Phase::Closing { .. } => self.stop(),
            Phase::Stopped => {}
        }
    }

    fn close_for_good(&mut self) {
        self.outputs.push_back(Output::Close(self.attempt, CloseCode::GoingAway));
        self.phase = Phase::Closing { deadline: self.now + self.config.closing };
    }

    fn stop(&mut self) {
        self.enter_state(State::Disconnected);
        self.phase = Phase::Stopped;
        self.outputs.push_back(Output::Stopped);
    }
}

/// Whether a plane's error text means that it does not know the cluster. The words are the protocol's own, case aside.
fn says_not_registered(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.contains("not registered") || lower.contains("cluster not found")
}
