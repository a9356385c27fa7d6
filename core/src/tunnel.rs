//! The tunnel: the machines together, and which of them gets what.
//!
//! Owns the way of a message from the socket to a machine and back, the lane of control messages, the facts and the identity that
//! go into them. Does not own sockets; and decides nothing that one of the machines can decide.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

use crate::message::{Facts, FromPlane, Heartbeat, Identity, Inbound, Outbound, Register, Registration};
use crate::policy::Policy;
use crate::session::{self, Attempt, Beat, CloseCode, Endpoint, Failure, Session, State};
use crate::streams::{self, Key, Limits, Open, Streams, UpstreamError};
use crate::time::{Instant, earliest};
use crate::wire::{Base64, DecodeError, Piece, decode, encode, split_binary_body};

/// The most control messages that wait for the socket. A plane that asks faster than the socket takes the answers loses some.
const MAX_CONTROL: usize = 64;
/// The most unknown types that are remembered.
const MAX_UNKNOWN: usize = 64;
/// How long before the end of the drain the exchanges that are still there are aborted, so that the plane hears of it.
const ABORT_LEAD: Duration = Duration::from_millis(500);

/// What the tunnel is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// The session's timers.
    pub session: session::Config,
    /// The bounds of the exchanges.
    pub limits: Limits,
    /// What the plane may do.
    pub policy: Policy,
    /// Who the agent is.
    pub identity: Identity,
    /// The cluster id of an earlier run.
    pub cluster_id: Option<String>,
    /// The wall clock at the start, nanoseconds since 1970: makes request ids unique across runs.
    pub started_nanos: u64,
    /// How to write and read base64.
    pub base64: Base64,
}

/// What the tunnel is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// The deadline of `poll_timeout` has passed, or may have.
    Timeout,
    /// What is known of the cluster. `complete` when it will not get better before a registration.
    Facts {
        /// The facts.
        facts: Box<Facts>,
        /// Whether a registration may go out with them.
        complete: bool,
    },
    /// The operator changed what may change while the tunnel is up.
    Settings {
        /// For the exchanges.
        streams: Box<streams::Settings>,
        /// The labels of the next registration.
        labels: Vec<(String, String)>,
    },
    /// End.
    Shutdown,
    /// The upgrade succeeded.
    Connected(Attempt),
    /// The dial failed or the socket ended.
    Failed(Attempt, Failure),
    /// A ping or pong frame arrived.
    Heard(Attempt),
    /// A text message arrived.
    Text {
        /// On which socket.
        attempt: Attempt,
        /// The wall clock, milliseconds since 1970.
        wall_millis: u64,
        /// The message.
        text: &'a [u8],
    },
    /// A binary message arrived.
    Binary {
        /// On which socket.
        attempt: Attempt,
        /// The wall clock, milliseconds since 1970.
        wall_millis: u64,
        /// The message.
        data: Bytes,
    },
    /// The heartbeat of a [`Transmit`] has left for the network.
    Written(Attempt, Beat),
    /// Something happened at a backend.
    Upstream(streams::Input),
}

/// What the tunnel wants done.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Dial.
    Dial(Attempt, Endpoint),
    /// Send a ping frame.
    Ping(Attempt),
    /// End the attempt's socket or dial.
    Close(Attempt, CloseCode),
    /// Carry a request to its target.
    Open(Box<Open>),
    /// Pass on bytes of a request body.
    Feed(Key, Bytes),
    /// A request body is complete.
    FeedEnd(Key),
    /// Read one piece of an answer, of at most so many bytes.
    Read(Key, usize),
    /// Pass on what was fed, and end the connection in good order.
    Finish(Key),
    /// Drop a backend.
    Abort(Key),
    /// Keep what the plane gave.
    Persist(Registration),
    /// The tunnel is over.
    Stopped,
    /// Something to tell people.
    Event(Event),
}

/// What people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From the session.
    Session(session::Event),
    /// From the exchanges.
    Streams(streams::Event),
    /// A message could not be read.
    Unreadable(DecodeError),
    /// A type that is not known; `first` once for each.
    UnknownType {
        /// The type.
        kind: String,
        /// Whether it was not seen before.
        first: bool,
    },
    /// The gateway offers yamux, which this version does not speak; the JSON protocol goes on.
    YamuxDeclined,
}

/// One frame for the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where the frame stands in its message.
    pub piece: Piece,
    /// The heartbeat that it is: tell [`Input::Written`] when it has left.
    pub beat: Option<Beat>,
}

/// The machine.
#[derive(Debug)]
pub struct Tunnel {
    session: Session,
    streams: Streams,
    identity: Identity,
    facts: Facts,
    base64: Base64,
    started_nanos: u64,
    control: VecDeque<(Outbound, Option<Beat>)>,
    outputs: VecDeque<Output>,
    register_id: Option<String>,
    unknown: BTreeSet<String>,
    drain: Duration,
    abort_at: Option<Instant>,
}

impl Tunnel {
    /// A tunnel that dials at once.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let drain = config.session.drain;
        let mut tunnel = Self {
            session: Session::new(config.session, seed, now, config.cluster_id),
            streams: Streams::new(config.limits, config.policy, seed.wrapping_add(1), config.base64),
            identity: config.identity,
            facts: Facts::default(),
            base64: config.base64,
            started_nanos: config.started_nanos,
            control: VecDeque::new(),
            outputs: VecDeque::new(),
            register_id: None,
            unknown: BTreeSet::new(),
            drain,
            abort_at: None,
        };
        tunnel.settle(now);
        tunnel
    }

    /// Takes one input at `now`. See the contract in the crate's documentation.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Timeout => {
                if self.abort_at.is_some_and(|at| now >= at) {
                    self.abort_at = None;
                    self.streams.handle(now, streams::Input::AbortAll(UpstreamError::ShuttingDown));
                }
                self.session.handle(now, session::Input::Timeout);
                self.streams.handle(now, streams::Input::Timeout);
            }
            Input::Facts { facts, complete } => {
                self.facts = *facts;
                if complete {
                    self.session.handle(now, session::Input::FactsReady);
                }
            }
            Input::Settings { streams, labels } => {
                self.identity.labels = labels;
                self.streams.handle(now, streams::Input::Settings(streams));
            }
            Input::Shutdown => self.session.handle(now, session::Input::Shutdown),
            Input::Connected(attempt) => self.session.handle(now, session::Input::Connected(attempt)),
            Input::Failed(attempt, failure) => self.session.handle(now, session::Input::Failed(attempt, failure)),
            Input::Heard(attempt) => self.session.handle(now, session::Input::Heard(attempt)),
            Input::Written(attempt, beat) => self.session.handle(now, session::Input::Written(attempt, beat)),
            Input::Upstream(input) => self.streams.handle(now, input),
            Input::Text { attempt, wall_millis, text } => {
                if self.hear(now, attempt) {
                    self.on_envelope(now, wall_millis, text);
                }
            }
            Input::Binary { attempt, wall_millis, data } => {
                if self.hear(now, attempt) {
                    self.on_binary(now, wall_millis, data);
                }
            }
        }
        self.settle(now);
    }

    /// The next thing to do; `None` when there is nothing more.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due; `None` only when stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.session.is_stopped() {
            return None;
        }
        earliest(earliest(self.session.poll_timeout(), self.streams.poll_timeout()), self.abort_at)
    }

    /// Appends the payload of the next frame to `out`. To be called when the socket of the current attempt has room. `stamp` is
    /// the wall clock as RFC 3339.
    pub fn poll_transmit(&mut self, now: Instant, stamp: &str, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.next_transmit(stamp, out);
        self.settle(now);
        transmit
    }

    /// Whether [`Tunnel::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        !self.control.is_empty() || self.streams.has_transmit()
    }

    /// The session, for reports.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The exchanges, for reports.
    #[must_use]
    pub const fn streams(&self) -> &Streams {
        &self.streams
    }

    fn next_transmit(&mut self, stamp: &str, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.streams.is_mid_message()
            && let Some((message, beat)) = self.control.pop_front()
        {
            encode(&message, stamp, self.base64, out);
            return Some(Transmit { piece: Piece::WHOLE, beat });
        }
        let piece = self.streams.poll_transmit(stamp, self.base64, out)?;
        Some(Transmit { piece, beat: None })
    }

    /// Notes a sign of life. False when it comes from a socket that is over.
    fn hear(&mut self, now: Instant, attempt: Attempt) -> bool {
        self.session.handle(now, session::Input::Heard(attempt));
        attempt == self.session.attempt()
    }

    fn on_binary(&mut self, now: Instant, wall_millis: u64, data: Bytes) {
        if self.streams.awaits_binary_for(split_binary_body(&data).map(|(id, _)| id)) {
            self.streams.handle(now, streams::Input::WallClock(wall_millis));
            self.streams.handle(now, streams::Input::BinaryBody(data));
        } else {
            // There are planes that send their JSON in binary messages.
            self.on_envelope(now, wall_millis, &data);
        }
    }

    fn on_envelope(&mut self, now: Instant, wall_millis: u64, text: &[u8]) {
        let attempt = self.session.attempt();
        // A binary body must be the very next message. Whatever came instead is dealt with as what it is.
        self.streams.handle(now, streams::Input::NoBinaryBody);
        match decode(text, self.base64) {
            Err(error) => self.event(Event::Unreadable(error)),
            Ok(Inbound::Registered { request_id, registration }) => {
                if self.register_id.as_ref() == Some(&request_id) {
                    self.session.handle(now, session::Input::Registered(attempt, Box::new(registration)));
                }
            }
            Ok(Inbound::RegisterInProgress { request_id }) => {
                // Some planes leave the id out here; there is only one registration that it can mean.
                if request_id.is_empty() || self.register_id.as_ref() == Some(&request_id) {
                    self.session.handle(now, session::Input::RegisterInProgress(attempt));
                }
            }
            Ok(Inbound::Refused { request_id, text }) => {
                let about_register = request_id.is_some() && request_id == self.register_id;
                if request_id.is_none() || about_register || !self.streams.knows(request_id.as_deref()) {
                    self.session.handle(now, session::Input::Refused(attempt, about_register, text));
                }
            }
            Ok(Inbound::HeartbeatAcknowledged) => self.session.handle(now, session::Input::Acknowledged(attempt)),
            Ok(Inbound::GatewayHello { use_yamux }) => {
                if use_yamux {
                    self.event(Event::YamuxDeclined);
                }
            }
            Ok(Inbound::Ping { request_id }) => {
                // Some room is kept for what matters more than an answer to a flood.
                if self.control.len() < MAX_CONTROL / 2 {
                    self.push_control(Outbound::Pong { request_id }, None);
                }
            }
            Ok(Inbound::Pong) => {}
            Ok(Inbound::Exchange(message)) => self.on_exchange(now, wall_millis, message),
            Ok(Inbound::Unknown { kind, request_id }) => self.on_unknown(kind, request_id),
        }
    }

    fn on_exchange(&mut self, now: Instant, wall_millis: u64, message: FromPlane) {
        // Before it is online the agent serves nobody.
        if self.session.state() == State::Connected {
            self.streams.handle(now, streams::Input::WallClock(wall_millis));
            self.streams.handle(now, streams::Input::FromPlane(message));
        }
    }

    fn on_unknown(&mut self, kind: String, request_id: Option<String>) {
        let kind: String = kind.chars().filter(|c| !c.is_control()).take(128).collect();
        let first = !self.unknown.contains(&kind) && self.unknown.len() < MAX_UNKNOWN;
        self.event(Event::UnknownType { kind: kind.clone(), first });
        if first {
            self.unknown.insert(kind.clone());
            let request_id = request_id.map(|id| id.chars().filter(|c| !c.is_control()).collect());
            let agent_version = self.identity.agent_version.clone();
            self.push_control(Outbound::ProtocolFallback { kind, request_id, agent_version }, None);
        }
    }

    fn push_control(&mut self, message: Outbound, beat: Option<Beat>) {
        if self.control.len() < MAX_CONTROL {
            self.control.push_back((message, beat));
        }
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Moves what the machines put out to where it goes, until nothing moves any more.
    fn settle(&mut self, now: Instant) {
        loop {
            if let Some(output) = self.session.poll_output() {
                self.on_session(now, output);
            } else if let Some(output) = self.streams.poll_output() {
                self.on_streams(now, output);
            } else {
                return;
            }
        }
    }

    fn on_session(&mut self, now: Instant, output: session::Output) {
        match output {
            session::Output::Dial(attempt, endpoint) => {
                self.control.clear();
                self.outputs.push_back(Output::Dial(attempt, endpoint));
            }
            session::Output::Register(attempt) => self.register(now, attempt),
            session::Output::Heartbeat(_, beat) => {
                let heartbeat = Heartbeat {
                    cluster_id: self.session.cluster().unwrap_or_default().into(),
                    agent_id: self.identity.agent_id.clone(),
                    agent_version: self.identity.agent_version.clone(),
                    facts: self.facts.clone(),
                };
                // A retry takes the place of a beat that never left.
                self.control.retain(|(_, beat)| beat.is_none());
                self.push_control(Outbound::Heartbeat(Box::new(heartbeat)), Some(beat));
            }
            session::Output::Ping(attempt) => self.outputs.push_back(Output::Ping(attempt)),
            session::Output::Close(attempt, code) => {
                self.control.clear();
                self.register_id = None;
                self.streams.handle(now, streams::Input::Detached);
                self.outputs.push_back(Output::Close(attempt, code));
            }
            session::Output::Drain => {
                self.abort_at = Some(now + self.drain.saturating_sub(ABORT_LEAD));
                self.streams.handle(now, streams::Input::Drain);
            }
            session::Output::Stopped => {
                self.abort_at = None;
                self.streams.handle(now, streams::Input::Detached);
                self.outputs.push_back(Output::Stopped);
            }
            session::Output::Event(event) => {
                if let session::Event::Registered { registration, .. } = &event {
                    self.outputs.push_back(Output::Persist(registration.clone()));
                }
                self.event(Event::Session(event));
            }
        }
    }

    fn register(&mut self, now: Instant, attempt: Attempt) {
        let nanos = self.started_nanos.saturating_add(now.as_millis().saturating_mul(1_000_000)).saturating_add(attempt.number());
        let request_id = alloc::format!("req_{nanos}_{}", self.identity.agent_id);
        self.register_id = Some(request_id.clone());
        let register = Register {
            request_id,
            identity: self.identity.clone(),
            facts: self.facts.clone(),
            cluster_id: self.session.cluster_to_resume().map(String::from),
        };
        self.push_control(Outbound::Register(Box::new(register)), None);
    }

    fn on_streams(&mut self, now: Instant, output: streams::Output) {
        let output = match output {
            streams::Output::Open(open) => Output::Open(open),
            streams::Output::Feed { key, data } => Output::Feed(key, data),
            streams::Output::FeedEnd { key } => Output::FeedEnd(key),
            streams::Output::Read { key, limit } => Output::Read(key, limit),
            streams::Output::Finish { key } => Output::Finish(key),
            streams::Output::Abort { key } => Output::Abort(key),
            streams::Output::Event(event) => Output::Event(Event::Streams(event)),
            streams::Output::Drained => return self.session.handle(now, session::Input::Drained),
        };
        self.outputs.push_back(output);
    }
}
