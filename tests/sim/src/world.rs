//! One agent, the reference plane and a faulty network, in virtual time.
//!
//! The world owns the clock and the order of events. It moves the tunnel exactly as the shell does: one input, drain the outputs,
//! fill the socket, sleep until the earliest deadline; and checks the contract after every step.

mod check;
mod counts;
mod network;
mod outputs;
mod queue;
mod streams;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use devplane::plane::{
    Breach, ConnectionId, ExchangeId, Incoming, Output as PlaneOutput, Part, Plane, PlaneConfig, Role, Upgrade, Verdict,
};
use pipeops_agent_core::message::{Facts, Identity};
use pipeops_agent_core::policy::Policy;
use pipeops_agent_core::session::{self, Attempt, Beat, CloseCode, Endpoint, Failure, State};
use pipeops_agent_core::streams::{Input as Upstream, Key, Limits, Settings};
use pipeops_agent_core::time::Instant;
use pipeops_agent_core::tunnel::{Config, Event, Input, Output, Tunnel};
use pipeops_agent_core::wire::Base64;

pub use self::counts::Counts;
use self::queue::{Frame, Happening, Scheduled};
pub use self::streams::Stream;
use crate::backend::{Backends, Kind, byte_at};
use crate::socket::Sockets;

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

/// The world.
pub struct World {
    pub now: u64,
    pub tunnel: Tunnel,
    pub plane: Plane,
    pub network: Network,
    pub random: fastrand::Rng,
    pub watched: BTreeMap<ExchangeId, Watched>,
    pub streams: BTreeMap<ExchangeId, Stream>,
    pub sockets: Sockets,
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
    /// The operator's ceiling, and the highest there ever was.
    ceiling: usize,
    highest: usize,
    /// Bytes in use when last looked at, each way: over a ceiling that came down, they only get fewer.
    held: [usize; 2],
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
            streams: BTreeMap::new(),
            sockets: Sockets::default(),
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
            highest: ceiling,
            held: [0; 2],
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

    /// The operator moves the ceiling and the number of exchanges under way.
    pub fn change_settings(&mut self, ceiling: usize, exchanges: usize) {
        self.ceiling = ceiling;
        self.highest = self.highest.max(ceiling);
        let streams = Box::new(Settings { policy: Policy::default(), ceiling, exchanges });
        self.tell(Input::Settings { streams, labels: vec![("site".into(), "other".into())] });
        self.settle();
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

    #[must_use]
    pub fn backends_open(&self) -> usize {
        self.backends.open_count() + self.sockets.open_count()
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
                if let Upstream::Head { key, status, .. } = &input {
                    let (key, status) = (*key, *status);
                    self.heads.insert(key, true);
                    let acts = self.sockets.headed(key, status);
                    self.act(key, &acts);
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
            Happening::PeerPiece(key) => {
                if let Some(input) = self.sockets.piece(key) {
                    self.tell(Input::Upstream(input));
                }
            }
            Happening::PeerTake(key) => {
                let (report, acts) = self.sockets.take(key);
                self.act(key, &acts);
                if let Some(input) = report {
                    self.tell(Input::Upstream(input));
                }
            }
            Happening::PeerPart(key) => {
                if self.sockets.part(key) {
                    self.tell(Input::Upstream(Upstream::End { key }));
                }
            }
            Happening::Talk(id) => self.talk(id),
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
}
