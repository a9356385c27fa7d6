//! The control plane's logic without sockets, clock or chance: controller, gateway, and a fault policy.
//!
//! The owner feeds in what happens (`accept`, `receive`, `closed`, `timeout`, `open`, …), each with the time in
//! milliseconds, then takes every waiting output with `poll_output`, then sleeps until `poll_timeout`. A simulation
//! and the real server drive the same object.
//!
//! The plane is a strict judge. It understands what an agent sends even when it is wrong, where that is possible, and
//! notes each breach as a [`Violation`].

mod actions;
mod binary;
mod clusters;
mod config;
mod envelope;
mod exchange;
mod expectations;
mod faults;
mod fields;
mod inflate;
mod io;
mod liveness;
mod outbox;
mod proxy;
mod records;
mod request;
mod rest;
mod rules;
mod session;
mod socket;
mod streams;
mod timestamp;
mod upgrade;
mod violation;

use std::collections::{BTreeMap, BTreeSet};

pub use clusters::{AgentState, Cluster};
pub use config::PlaneConfig;
pub use faults::{Faults, HeartbeatReply, Refusal, RegisterReply};
pub use io::{CONTROLLER_PATH, ConnectionId, ExchangeId, Incoming, Output, Part, Role, Upgrade, Verdict, percent_decode};
pub use proxy::NoAgent;
pub use records::{DisconnectRecord, Log, MessageRecord, Records, UpgradeRecord};
pub use request::{Body, ProxyRequest, Spelling, WebSocketRequest};
pub use rest::{RestAnswer, RestRecord, RestRequest};
pub use timestamp::{is_rfc3339, rfc3339};
pub use violation::{Breach, Violation};

use clusters::Clusters;
use outbox::{Later, Outbox};
use proxy::Exchanges;

/// How long the plane waits for the other side to end a connection it has closed.
const CLOSE_GRACE: u64 = 5_000;

/// Controller, gateway and fault policy.
#[derive(Clone, Debug)]
pub struct Plane {
    pub config: PlaneConfig,
    pub faults: Faults,
    records: Records,
    violations: Log<Violation>,
    now: u64,
    random: fastrand::Rng,
    connections: BTreeMap<ConnectionId, Connection>,
    next_connection: u64,
    clusters: Clusters,
    exchanges: Exchanges,
    outbox: Outbox,
    ticks: Ticks,
    /// Counts the types of unknown messages sent, pings and so on.
    serial: u64,
}

/// When something periodic was last done.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    json_ping: u64,
    unknown: u64,
    ping: u64,
}

#[derive(Clone, Debug)]
struct Connection {
    role: Role,
    /// The `cluster_id` of a connection that carries requests or has registered.
    cluster_id: Option<String>,
    /// The agent's id, from its registration.
    agent_id: Option<String>,
    received: u64,
    register_ids: BTreeSet<String>,
    /// JSON pings without an answer.
    pings: BTreeSet<String>,
    /// Unknown types sent, and whether a fallback came for each.
    unknown: BTreeMap<String, bool>,
    hello_sent: bool,
    mux: bool,
    /// Delayed outputs wait until then; later ones must not overtake them.
    delayed_until: u64,
    /// The agent has sent a close frame with this code.
    closed_by_agent: Option<u16>,
    closed_by_plane: bool,
}

impl Plane {
    /// Time starts wherever the first call says; `seed` decides ids.
    #[must_use]
    pub fn new(config: PlaneConfig, seed: u64) -> Self {
        Self {
            config,
            faults: Faults::default(),
            records: Records::new(),
            violations: Log::with_limit(1000),
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            connections: BTreeMap::new(),
            next_connection: 0,
            clusters: Clusters::default(),
            exchanges: Exchanges::default(),
            outbox: Outbox::default(),
            ticks: Ticks::default(),
            serial: 0,
        }
    }

    /// Something arrived on a connection. Ignored if the plane has forgotten it.
    pub fn receive(&mut self, now: u64, connection: ConnectionId, incoming: Incoming) {
        self.now = now;
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if state.closed_by_agent.is_some() {
            self.note(Some(connection), Breach::AfterClose);
            return;
        }
        match incoming {
            Incoming::Ping => self.records.pings.push((now, connection)),
            Incoming::Pong => self.records.pongs.push((now, connection)),
            Incoming::Close { code, reason } => self.closed_by_agent(connection, code, reason),
            Incoming::Text(text) => {
                state.received += 1;
                self.records.messages += 1;
                self.text(connection, &text);
                self.count(connection);
            }
            Incoming::Binary(bytes) => {
                state.received += 1;
                let mux = state.mux;
                self.records.messages += 1;
                if mux {
                    self.outbox.push(Output::Mux { connection, bytes });
                } else {
                    self.binary(connection, &bytes);
                }
                self.count(connection);
            }
        }
    }

    /// A connection has ended, for whatever reason.
    pub fn closed(&mut self, now: u64, connection: ConnectionId) {
        self.now = now;
        let Some(state) = self.connections.remove(&connection) else {
            return;
        };
        self.outbox.forget(connection);
        self.records.disconnects.push(DisconnectRecord {
            at: now,
            connection,
            role: state.role,
            code: state.closed_by_agent,
            by_plane: state.closed_by_plane,
        });
        if let Some(cluster) = state.cluster_id.as_deref().and_then(|id| self.clusters.get_mut(id))
            && cluster.connection == Some(connection)
        {
            cluster.connection = None;
            cluster.state = AgentState::Offline;
        }
        self.abandon_exchanges(connection);
    }

    /// Does what is due.
    pub fn timeout(&mut self, now: u64) {
        self.now = now;
        while let Some(later) = self.outbox.pop_due(now) {
            match later {
                Later::Output(output) => self.outbox.push(output),
                Later::Drop(connection) => self.drop_connection(connection),
                Later::Progress(progress) => self.continue_registration(progress),
            }
        }
        let Ticks { json_ping, unknown, ping } = self.ticks;
        let due = |last: u64, every: Option<u64>| every.is_some_and(|every| last.saturating_add(every.max(1)) <= now);
        if due(json_ping, self.faults.json_ping_every) {
            self.ticks.json_ping = now;
            self.for_each_agent(Self::send_json_ping);
        }
        if due(unknown, self.faults.unknown_message_every) {
            self.ticks.unknown = now;
            self.for_each_agent(Self::send_unknown);
        }
        if due(ping, self.config.ping_every) {
            self.ticks.ping = now;
            self.for_each_agent(|plane, connection| plane.post(connection, Output::Ping { connection }));
        }
    }

    /// The next thing to do. Take all of them after every call that changed something.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When `timeout` has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let Ticks { json_ping, unknown, ping } = self.ticks;
        let next = |last: u64, every: Option<u64>| every.map(|every| last.saturating_add(every.max(1)));
        let ticks = [
            next(json_ping, self.faults.json_ping_every),
            next(unknown, self.faults.unknown_message_every),
            next(ping, self.config.ping_every),
        ];
        let ticks = ticks.into_iter().flatten().min().filter(|_| !self.connections.is_empty());
        [ticks, self.outbox.next_due()].into_iter().flatten().min()
    }

    /// Whether the transport answers this agent's WebSocket pings.
    #[must_use]
    pub fn answers_pings(&self) -> bool {
        !self.faults.black_hole
    }

    /// An agent broke the WebSocket protocol itself; the transport ends the connection.
    pub fn framing_error(&mut self, now: u64, connection: ConnectionId, problem: String) {
        self.now = now;
        self.note(Some(connection), Breach::FramingWrong(problem));
    }

    /// Forgets all clusters, as a plane restored from nothing. Open connections stay.
    pub fn forget_clusters(&mut self) {
        self.clusters.clear();
    }

    /// Open connections, oldest first.
    pub fn connections(&self) -> impl Iterator<Item = (ConnectionId, Role)> {
        self.connections.iter().map(|(id, state)| (*id, state.role))
    }

    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter()
    }

    #[must_use]
    pub fn cluster(&self, cluster_id: &str) -> Option<&Cluster> {
        self.clusters.get(cluster_id)
    }

    /// Agents that are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.clusters.iter().filter(|cluster| cluster.state == AgentState::Online).count()
    }

    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Rules broken so far.
    #[must_use]
    pub fn violations(&self) -> &Log<Violation> {
        &self.violations
    }

    /// Empties the list of violations, once a test has looked at those it expected.
    pub fn clear_violations(&mut self) {
        self.violations.clear();
    }

    /// The time of the last call.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    fn closed_by_agent(&mut self, connection: ConnectionId, code: u16, reason: String) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.closed_by_agent = Some(code);
        if !state.closed_by_plane {
            self.post(connection, Output::Close { connection, code, reason });
        }
    }

    /// Ends the connection if it has had its number of messages.
    fn count(&mut self, connection: ConnectionId) {
        let received = self.connections.get(&connection).map_or(0, |state| state.received);
        if self.faults.drop_after_messages.is_some_and(|limit| received >= limit) {
            self.drop_connection(connection);
        }
    }

    fn for_each_agent(&mut self, mut act: impl FnMut(&mut Self, ConnectionId)) {
        let all: Vec<_> = self.connections.keys().copied().collect();
        for connection in all {
            act(self, connection);
        }
    }

    /// Hands an output for a connection on, unless the fault policy swallows or delays it.
    fn post(&mut self, connection: ConnectionId, output: Output) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if self.faults.black_hole {
            return;
        }
        let at = self.now.saturating_add(self.faults.delay).max(state.delayed_until);
        if at > self.now {
            state.delayed_until = at;
            self.outbox.push_at(at, Later::Output(output));
        } else {
            self.outbox.push(output);
        }
    }

    fn note(&mut self, connection: Option<ConnectionId>, breach: Breach) {
        let violation = Violation { at: self.now, connection, breach };
        self.violations.push(violation.clone());
        self.outbox.push(Output::Noted(violation));
    }

    fn note_all(&mut self, connection: ConnectionId, breaches: Vec<Breach>) {
        for breach in breaches {
            self.note(Some(connection), breach);
        }
    }
}

#[cfg(test)]
mod tests;
