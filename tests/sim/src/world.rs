//! One agent, the reference plane and a faulty network, in virtual time.
//!
//! The world owns the clock and the order of events. It moves the tunnel exactly as the shell does: one input, drain the outputs,
//! fill the socket, sleep until the earliest deadline; and checks the contract after every step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use devplane::plane::{
    Breach, ConnectionId, ExchangeId, Incoming, Output as PlaneOutput, Part, Plane, PlaneConfig, Role, Upgrade, Verdict,
};
use pipeops_agent_core::message::{Facts, Identity};
use pipeops_agent_core::policy::Policy;
use pipeops_agent_core::session::{self, Attempt, Beat, CloseCode, Endpoint, Failure, State};
use pipeops_agent_core::streams::{self, Key, Limits};
use pipeops_agent_core::time::Instant;
use pipeops_agent_core::tunnel::{Config, Event, Input, Output, Tunnel};
use pipeops_agent_core::wire::Base64;

use crate::backend::{Backends, Kind, byte_at};

/// The plane's gateway, as it names it.
pub const GATEWAY: &str = "wss://gateway.sim/ws";
/// The wall clock at virtual time 0.
const EPOCH: u64 = 1_767_225_600_000;
/// Frames that the socket takes before the network has moved them.
const SOCKET_FRAMES: usize = 4;

/// The state of the network between the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// One way, milliseconds, least and most. The order on a connection is kept.
    pub latency: (u64, u64),
    /// Packets vanish without a trace while set.
    pub black_hole: bool,
    /// Dials fail at once while set.
    pub down: bool,
    /// Milliseconds that each frame of the agent occupies the line.
    pub per_frame: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self { latency: (1, 5), black_hole: false, down: false, per_frame: 0 }
    }
}

enum Happening {
    Dial { attempt: Attempt, endpoint: Endpoint },
    DialAnswer { attempt: Attempt, result: Result<ConnectionId, Failure> },
    ToPlane { connection: ConnectionId, incoming: Incoming },
    PlaneSees { connection: ConnectionId },
    ToAgent { connection: ConnectionId, frame: Frame },
    Sent { connection: ConnectionId, beat: Option<Beat> },
    Upstream(streams::Input),
    Piece(Key),
    Facts,
}

/// What arrives at the agent.
enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong,
    Close(u16),
    Gone,
}

struct Scheduled {
    at: u64,
    order: u64,
    happening: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// The agent's socket.
struct Link {
    attempt: Attempt,
    connection: ConnectionId,
    /// Frames handed over and not yet moved by the network.
    pending: usize,
    /// When the line is free again.
    line_free: u64,
    /// When the last frame of the agent arrives: order is kept.
    last_out: u64,
    message: Vec<u8>,
}

/// How far an exchange of the plane has come.
#[derive(Debug)]
pub struct Watched {
    pub kind: Kind,
    pub received: usize,
    pub head: bool,
    pub ended: Option<Part>,
    pub cancelled: bool,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub steps: u64,
    pub dials: u64,
    pub completed: u64,
    pub failed: u64,
    pub lost: u64,
}

/// The world.
pub struct World {
    pub now: u64,
    pub tunnel: Tunnel,
    pub plane: Plane,
    pub network: Network,
    pub random: fastrand::Rng,
    pub watched: BTreeMap<ExchangeId, Watched>,
    pub counts: Counts,
    pub states: Vec<(u64, State)>,
    pub delays: Vec<(u64, pipeops_agent_core::backoff::Delay)>,
    pub dials: Vec<u64>,
    pub heartbeat_failures: Vec<(u64, u32)>,
    pub registered: Vec<(u64, bool)>,
    pub stopped: Option<u64>,
    pub close_codes: Vec<u16>,
    /// A hash over everything that happened, to compare two runs.
    pub trace: u64,
    /// The plane has sent requests twice.
    duplicates: bool,
    /// The plane has forgotten clusters.
    pub forgot: bool,
    /// The network has swallowed something of the connection that is up.
    lossy: bool,
    /// Upgrades that `check` has looked at, and the gateways among them.
    looked: (u64, u64),
    ceiling: usize,
    queue: BinaryHeap<Reverse<Scheduled>>,
    order: u64,
    link: Option<Link>,
    to_agent_free: BTreeMap<ConnectionId, u64>,
    backends: Backends,
    heads: BTreeMap<Key, bool>,
    payload: Vec<u8>,
}

/// The agent's own settings in a simulation.
#[must_use]
pub fn agent_config(limits: Limits, cluster_id: Option<String>) -> Config {
    Config {
        session: session::Config::default(),
        limits,
        policy: Policy::default(),
        identity: Identity {
            agent_id: "agent-0011223344556677".into(),
            cluster_name: "sim".into(),
            agent_version: "0.0.0".into(),
            labels: Vec::new(),
            agent_port: 8080,
        },
        cluster_id,
        started_nanos: EPOCH * 1_000_000,
        base64: Base64::PORTABLE,
    }
}

impl World {
    #[must_use]
    pub fn new(seed: u64, plane: PlaneConfig, limits: Limits) -> Self {
        let piece = limits.piece;
        let ceiling = limits.ceiling;
        let mut world = Self {
            now: 0,
            tunnel: Tunnel::new(agent_config(limits, None), seed, Instant::ZERO),
            plane: Plane::new(PlaneConfig { epoch: EPOCH, ..plane }, seed),
            network: Network::default(),
            random: fastrand::Rng::with_seed(seed),
            watched: BTreeMap::new(),
            counts: Counts::default(),
            states: Vec::new(),
            delays: Vec::new(),
            dials: Vec::new(),
            heartbeat_failures: Vec::new(),
            registered: Vec::new(),
            stopped: None,
            close_codes: Vec::new(),
            trace: seed,
            duplicates: false,
            forgot: false,
            lossy: false,
            looked: (0, 0),
            ceiling,
            queue: BinaryHeap::new(),
            order: 0,
            link: None,
            to_agent_free: BTreeMap::new(),
            backends: Backends::new(piece),
            heads: BTreeMap::new(),
            payload: Vec::new(),
        };
        world.schedule(3, Happening::Facts);
        world.settle();
        world
    }

    /// Runs until `until`, checking everything on the way.
    pub fn run_until(&mut self, until: u64) {
        while let Some(next) = self.next_time().filter(|next| *next <= until) {
            assert!(next >= self.now, "time goes forward");
            self.now = next;
            self.step();
        }
        self.now = until;
    }

    /// Runs until `condition` holds; false when it does not by `until`.
    pub fn run_while(&mut self, until: u64, condition: impl Fn(&Self) -> bool) -> bool {
        while condition(self) {
            match self.next_time().filter(|next| *next <= until) {
                None => return false,
                Some(next) => {
                    self.now = next;
                    self.step();
                }
            }
        }
        true
    }

    #[must_use]
    pub fn is_online(&self) -> bool {
        self.tunnel.session().state() == State::Connected && self.plane.online() > 0
    }

    /// A change of the plane's faults or of the network may concern what is under way.
    pub fn disturb(&mut self, change: impl FnOnce(&mut Self)) {
        change(self);
        self.duplicates |= self.plane.faults.duplicate_requests;
        // TCP loses nothing silently: a connection that lost bytes in the dark does not go on in the light.
        if self.lossy && !self.network.black_hole {
            self.lossy = false;
            self.cut();
        }
        self.settle();
    }

    /// The plane asks for something. False when no agent is there.
    pub fn request(&mut self, kind: Kind, streamed: bool, body: devplane::plane::Body) -> Option<ExchangeId> {
        let mut request = devplane::plane::ProxyRequest::get(kind.path()).header("Authorization", "Bearer user");
        request.streaming_answer = streamed;
        if body != devplane::plane::Body::None {
            request.method = "POST".into();
        }
        request.body = body;
        let id = self.plane.open(self.now, request).ok()?;
        self.watched.insert(id, Watched { kind, received: 0, head: false, ended: None, cancelled: false });
        self.settle();
        Some(id)
    }

    pub fn cancel(&mut self, id: ExchangeId) {
        if let Some(watched) = self.watched.get_mut(&id) {
            watched.cancelled = true;
        }
        self.plane.cancel(id);
        self.settle();
    }

    /// The network ends the connection without a word to anybody but the two ends.
    pub fn cut(&mut self) {
        if let Some(link) = &self.link {
            let connection = link.connection;
            self.schedule(1, Happening::ToAgent { connection, frame: Frame::Gone });
            self.schedule(1, Happening::PlaneSees { connection });
        }
    }

    /// Where things stand, for a failure's message.
    #[must_use]
    pub fn story(&self) -> String {
        let upgrades: Vec<_> = self.plane.records().upgrades.iter().rev().take(6).map(|u| (u.at, u.role, u.status)).collect();
        let ends: Vec<_> = self.plane.records().disconnects.iter().rev().take(6).map(|d| (d.at, d.code, d.by_plane)).collect();
        let delays: Vec<_> = self.delays.iter().rev().take(4).collect();
        format!(
            "clusters {:?}, registers {:?}, now {}, state {:?}, plane online {}, link {}, upgrades {upgrades:?}, ends {ends:?}, delays {delays:?}, states {:?}, exchanges {:?}",
            self.plane.clusters().map(|c| (&c.cluster_id, &c.cluster_uuid)).collect::<Vec<_>>(),
            self.plane
                .records()
                .registers
                .iter()
                .rev()
                .take(3)
                .map(|r| (r.at, r.payload.get("cluster_id").cloned()))
                .collect::<Vec<_>>(),
            self.now,
            self.tunnel.session().state(),
            self.plane.online(),
            self.link.is_some(),
            self.states.iter().rev().take(4).collect::<Vec<_>>(),
            self.watched.values().last(),
        )
    }

    #[must_use]
    pub fn backends_open(&self) -> usize {
        self.backends.open_count()
    }

    pub fn shut_down(&mut self) {
        self.tell(Input::Shutdown);
        self.settle();
    }

    fn next_time(&self) -> Option<u64> {
        let queue = self.queue.peek().map(|Reverse(scheduled)| scheduled.at);
        let tunnel = self.tunnel.poll_timeout().map(Instant::as_millis);
        [queue, tunnel, self.plane.poll_timeout()].into_iter().flatten().map(|at| at.max(self.now)).min()
    }

    fn step(&mut self) {
        self.counts.steps += 1;
        let due = self.queue.peek().is_some_and(|Reverse(scheduled)| scheduled.at <= self.now);
        if due {
            if let Some(Reverse(scheduled)) = self.queue.pop() {
                self.happen(scheduled.happening);
            }
        } else if self.tunnel.poll_timeout().is_some_and(|at| at.as_millis() <= self.now) {
            self.tell(Input::Timeout);
            self.drain();
            let next = self.tunnel.poll_timeout();
            assert!(next.is_none_or(|next| next.as_millis() > self.now), "contract 4: a deadline that stays due: {next:?}");
        } else {
            self.plane.timeout(self.now);
        }
        self.settle();
    }

    fn schedule(&mut self, after: u64, happening: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Scheduled { at: self.now + after, order: self.order, happening }));
    }

    fn tell(&mut self, input: Input<'_>) {
        self.tunnel.handle(Instant::from_millis(self.now), input);
    }

    fn mix(&mut self, value: u64) {
        self.trace = (self.trace ^ value ^ self.now.rotate_left(17)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn latency(&mut self) -> u64 {
        let (least, most) = self.network.latency;
        self.random.u64(least..=most)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Facts => {
                let facts = Facts {
                    kubernetes_version: Some("v1.34.4".into()),
                    hostname: Some("sim".into()),
                    server_ip: Some("192.0.2.1".into()),
                    region: Some("agent-managed".into()),
                    cloud_provider: Some("bare-metal".into()),
                    ..Facts::default()
                };
                self.tell(Input::Facts { facts: Box::new(facts), complete: true });
            }
            Happening::Dial { attempt, endpoint } => self.arrive(attempt, &endpoint),
            Happening::DialAnswer { attempt, result } => self.answer_dial(attempt, result),
            Happening::ToPlane { connection, incoming } => {
                let pings = incoming == Incoming::Ping;
                self.plane.receive(self.now, connection, incoming);
                if pings && self.plane.answers_pings() {
                    self.send_down(connection, Frame::Pong);
                }
            }
            Happening::PlaneSees { connection } => self.plane.closed(self.now, connection),
            Happening::ToAgent { connection, frame } => self.frame(connection, frame),
            Happening::Sent { connection, beat } => {
                if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                    link.pending -= 1;
                    let attempt = link.attempt;
                    if let Some(beat) = beat {
                        self.tell(Input::Written(attempt, beat));
                    }
                }
            }
            Happening::Upstream(input) => {
                if let streams::Input::Head { key, .. } = &input {
                    let key = *key;
                    self.heads.insert(key, true);
                    if self.backends.has_permission(key) {
                        self.schedule(0, Happening::Piece(key));
                    }
                }
                self.tell(Input::Upstream(input));
            }
            Happening::Piece(key) => {
                if let Some(input) = self.backends.next_piece(key, &mut self.random) {
                    self.tell(Input::Upstream(input));
                }
            }
        }
    }

    fn arrive(&mut self, attempt: Attempt, endpoint: &Endpoint) {
        let (path, query) = match endpoint {
            Endpoint::Controller => ("/api/v1/clusters/agent/ws".to_owned(), String::new()),
            Endpoint::Gateway { url, cluster_uuid } => {
                assert_eq!(url, GATEWAY, "the gateway that the plane named");
                let query = format!(
                    "agent_version=0.0.0&cluster_uuid={cluster_uuid}&supports_binary=true&supports_response_streaming=true&supports_streaming=true&supports_websocket=true&supports_yamux=true"
                );
                ("/ws".to_owned(), query)
            }
        };
        let upgrade = Upgrade { path, query, headers: vec![("Authorization".into(), "Bearer t".into())] };
        let result = match self.plane.accept(self.now, &upgrade) {
            Verdict::Hang => return,
            Verdict::Accept(connection) => Ok(connection),
            Verdict::Refuse { status, headers } => {
                let after = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let retry_after = after.and_then(|(_, value)| value.parse().ok()).map(std::time::Duration::from_secs);
                Err(Failure::Refused { status, retry_after })
            }
        };
        let latency = self.latency();
        // What the plane says next must not arrive before the upgrade's own answer.
        if let Ok(connection) = &result {
            self.to_agent_free.insert(*connection, self.now + latency);
        }
        self.schedule(latency, Happening::DialAnswer { attempt, result });
    }

    fn answer_dial(&mut self, attempt: Attempt, result: Result<ConnectionId, Failure>) {
        if attempt != self.tunnel.session().attempt() {
            // The shell drops a connection that nobody waits for; the plane sees its end.
            if let Ok(connection) = result {
                self.schedule(1, Happening::PlaneSees { connection });
            }
            return;
        }
        match result {
            Err(failure) => self.tell(Input::Failed(attempt, failure)),
            Ok(connection) => {
                assert!(self.link.is_none(), "b06: a second socket while the first is open");
                self.lossy = false;
                self.link =
                    Some(Link { attempt, connection, pending: 0, line_free: self.now, last_out: self.now, message: Vec::new() });
                self.tell(Input::Connected(attempt));
            }
        }
    }

    fn frame(&mut self, connection: ConnectionId, frame: Frame) {
        let Some(link) = self.link.as_ref().filter(|link| link.connection == connection) else {
            return;
        };
        let attempt = link.attempt;
        let wall_millis = EPOCH + self.now;
        match frame {
            Frame::Text(text) => self.tell(Input::Text { attempt, wall_millis, text: text.as_bytes() }),
            Frame::Binary(bytes) => self.tell(Input::Binary { attempt, wall_millis, data: Bytes::from(bytes) }),
            Frame::Pong => self.tell(Input::Heard(attempt)),
            Frame::Ping => {
                self.tell(Input::Heard(attempt));
                self.send_up(Incoming::Pong);
            }
            Frame::Close(code) => {
                self.unlink();
                self.tell(Input::Failed(attempt, Failure::Closed { code, reason: String::new() }));
            }
            Frame::Gone => {
                self.unlink();
                self.tell(Input::Failed(attempt, Failure::Closed { code: 1006, reason: String::new() }));
            }
        }
    }

    fn unlink(&mut self) {
        if let Some(link) = self.link.take() {
            let latency = self.latency();
            let after = link.last_out.saturating_sub(self.now).max(latency);
            self.schedule(after, Happening::PlaneSees { connection: link.connection });
        }
    }

    fn send_down(&mut self, connection: ConnectionId, frame: Frame) {
        if self.network.black_hole {
            self.lossy = true;
            return;
        }
        let latency = self.latency();
        let free = self.to_agent_free.entry(connection).or_default();
        let at = (self.now + latency).max(*free);
        *free = at;
        let after = at - self.now;
        self.schedule(after, Happening::ToAgent { connection, frame });
    }

    fn send_up(&mut self, incoming: Incoming) {
        let latency = self.latency();
        let black_hole = self.network.black_hole;
        let now = self.now;
        let Some(link) = &mut self.link else { return };
        link.last_out = (now + latency).max(link.last_out).max(link.line_free);
        let (connection, after) = (link.connection, link.last_out - now);
        if black_hole {
            self.lossy = true;
        } else {
            self.schedule(after, Happening::ToPlane { connection, incoming });
        }
    }

    /// Drains both sides until nothing moves.
    fn settle(&mut self) {
        loop {
            let moved_agent = self.drain();
            let moved_socket = self.fill();
            let moved_plane = self.drain_plane();
            if !(moved_agent || moved_socket || moved_plane) {
                break;
            }
        }
        self.check();
    }

    fn drain(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.tunnel.poll_output() {
            moved = true;
            match output {
                Output::Dial(attempt, endpoint) => {
                    self.counts.dials += 1;
                    self.dials.push(self.now);
                    self.mix(attempt.number());
                    if self.network.down {
                        let result = Err(Failure::Transport { text: "no route".into() });
                        self.schedule(2, Happening::DialAnswer { attempt, result });
                    } else if !self.network.black_hole {
                        let latency = self.latency();
                        self.schedule(latency, Happening::Dial { attempt, endpoint });
                    }
                }
                Output::Ping(_) => self.send_up(Incoming::Ping),
                Output::Close(attempt, code) => self.close(attempt, code),
                Output::Open(open) => {
                    for (after, input) in self.backends.open(&open, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Feed(key, data) => {
                    for (after, input) in self.backends.feed(key, &data, &mut self.random) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::FeedEnd(key) => {
                    for (after, input) in self.backends.feed_end(key) {
                        self.schedule(after, Happening::Upstream(input));
                    }
                }
                Output::Read(key) => {
                    self.backends.read(key);
                    if self.heads.contains_key(&key) {
                        let after = self.backends.pause(key, &mut self.random);
                        self.schedule(after, Happening::Piece(key));
                    }
                }
                Output::Abort(key) => {
                    self.backends.abort(key);
                    self.heads.remove(&key);
                }
                Output::Persist(_) => {}
                Output::Stopped => self.stopped = Some(self.now),
                Output::Event(event) => self.note(event),
            }
        }
        moved
    }

    fn close(&mut self, attempt: Attempt, code: CloseCode) {
        let Some(link) = self.link.as_ref().filter(|link| link.attempt == attempt) else {
            return;
        };
        let going_away = code == CloseCode::GoingAway;
        let attempt = link.attempt;
        match code {
            CloseCode::Abandon => {}
            CloseCode::Normal | CloseCode::GoingAway => {
                let code = if going_away { 1001 } else { 1000 };
                self.close_codes.push(code);
                self.send_up(Incoming::Close { code, reason: String::new() });
            }
        }
        self.unlink();
        if going_away && attempt == self.tunnel.session().attempt() {
            let after = self.random.u64(0..1200);
            self.schedule(
                after,
                Happening::DialAnswer { attempt, result: Err(Failure::Closed { code: 1001, reason: String::new() }) },
            );
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Session(session::Event::StateChanged { from, to }) => {
                assert_ne!(from, to, "f25: only real changes");
                assert_eq!(self.states.last().map_or(State::Disconnected, |(_, state)| *state), from);
                self.states.push((self.now, to));
                self.mix(to as u64);
            }
            Event::Session(session::Event::BackingOff(delay)) => {
                let total = delay.total.as_millis();
                assert!((375..=75_000).contains(&total), "contract 9: {delay:?}");
                self.delays.push((self.now, delay));
                self.mix(delay.jitter_millis.unsigned_abs());
            }
            Event::Session(session::Event::HeartbeatFailed { retry, .. }) => self.heartbeat_failures.push((self.now, retry)),
            Event::Session(session::Event::Registered { known, .. }) => self.registered.push((self.now, known)),
            Event::Session(session::Event::Lost(_)) => self.counts.lost += 1,
            Event::Session(_) | Event::Streams(_) | Event::Unreadable(_) | Event::UnknownType { .. } | Event::YamuxDeclined => {}
        }
    }

    /// Fills the socket as far as it takes more.
    fn fill(&mut self) -> bool {
        let mut moved = false;
        loop {
            let Some(link) = &mut self.link else {
                return moved;
            };
            if link.pending >= SOCKET_FRAMES || !self.tunnel.has_transmit() {
                return moved;
            }
            let stamp = devplane::plane::rfc3339(EPOCH + self.now);
            self.payload.clear();
            let Some(transmit) = self.tunnel.poll_transmit(Instant::from_millis(self.now), &stamp, &mut self.payload) else {
                return moved;
            };
            moved = true;
            assert_eq!(transmit.piece.first, link.message.is_empty(), "frames of two messages do not mix");
            link.message.extend_from_slice(&self.payload);
            link.pending += 1;
            link.line_free = link.line_free.max(self.now) + self.network.per_frame;
            let after = link.line_free - self.now;
            let connection = link.connection;
            let whole = transmit.piece.last.then(|| std::mem::take(&mut link.message));
            if !self.network.black_hole {
                self.schedule(after, Happening::Sent { connection, beat: transmit.beat });
            }
            if let Some(message) = whole {
                let text = String::from_utf8(message).unwrap_or_default();
                assert!(!text.is_empty(), "a message is UTF-8");
                self.send_up(Incoming::Text(text));
            }
            self.drain();
        }
    }

    fn drain_plane(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.plane.poll_output() {
            moved = true;
            match output {
                PlaneOutput::Send { connection, text } => self.send_down(connection, Frame::Text(text)),
                PlaneOutput::SendBinary { connection, bytes } | PlaneOutput::Mux { connection, bytes } => {
                    self.send_down(connection, Frame::Binary(bytes));
                }
                PlaneOutput::Ping { connection } => self.send_down(connection, Frame::Ping),
                PlaneOutput::Close { connection, code, .. } => {
                    self.send_down(connection, Frame::Close(code));
                    self.schedule(50, Happening::PlaneSees { connection });
                }
                PlaneOutput::Drop { connection } => self.send_down(connection, Frame::Gone),
                PlaneOutput::PauseReading { .. } | PlaneOutput::Noted(_) => {}
                PlaneOutput::Answer { exchange, part } => self.part(exchange, part),
            }
        }
        moved
    }

    fn part(&mut self, exchange: ExchangeId, part: Part) {
        let Some(watched) = self.watched.get_mut(&exchange) else {
            return;
        };
        assert!(watched.ended.is_none(), "contract 13: something after the end of an exchange: {part:?}");
        match part {
            Part::Head { status, .. } => {
                assert!(!watched.head && status == 200, "one head: {status}");
                watched.head = true;
            }
            Part::Chunk(bytes) => {
                if watched.kind != Kind::Count {
                    for (offset, byte) in bytes.iter().enumerate() {
                        assert_eq!(*byte, byte_at(watched.received + offset), "a gap or a repeat in an answer");
                    }
                }
                watched.received += bytes.len();
            }
            Part::End => {
                if let Kind::Blob(size) = watched.kind {
                    assert_eq!(watched.received, size, "an answer that says it is complete is complete");
                }
                assert!(
                    !matches!(watched.kind, Kind::Cut(_) | Kind::Refused | Kind::Hang | Kind::Endless),
                    "an end that cannot be"
                );
                self.counts.completed += 1;
                watched.ended = Some(Part::End);
            }
            part @ (Part::Abort(_) | Part::Error(_)) => {
                self.counts.failed += 1;
                watched.ended = Some(part);
            }
            Part::Frame { .. } | Part::Closed => unreachable!("no WebSocket was asked for"),
        }
    }

    /// What must hold at any time.
    fn check(&mut self) {
        let streams = self.tunnel.streams();
        assert!(streams.budget().used() <= self.ceiling, "contract 14: over the ceiling");
        if streams.is_empty() && !streams.is_mid_message() {
            assert_eq!(streams.budget().used(), 0, "contract 14: bytes held for nobody");
        }
        assert_eq!(self.tunnel.poll_timeout().is_none(), self.stopped.is_some(), "contract 5: a wedge");
        // A plane that sends a request again after it was answered gets a second answer, which is its own doing.
        // One that forgets its clusters between a registration and the gateway makes up another id for the same agent.
        let excused = |breach: &Breach| {
            (self.duplicates && matches!(breach, Breach::AfterEnd { .. }))
                || (self.forgot
                    && matches!(breach, Breach::FieldValue { message, field, .. } if message == "heartbeat" && field == "cluster_id"))
        };
        if let Some(violation) = self.plane.violations().iter().find(|violation| !excused(&violation.breach)) {
            panic!("the plane saw a breach of the protocol: {violation}; {}", self.story());
        }
        let records = self.plane.records();
        let (seen, mut gateways) = self.looked;
        let fresh = records.upgrades.total() - seen;
        if fresh > 0 {
            let last = records.upgrades.iter().rev().take(usize::try_from(fresh).unwrap_or(usize::MAX));
            gateways += last.filter(|upgrade| upgrade.role == Role::Gateway && upgrade.status == 101).count() as u64;
            self.looked = (records.upgrades.total(), gateways);
            assert!(gateways <= records.registers.total(), "f42: a gateway without a registration before it");
        }
    }
}
