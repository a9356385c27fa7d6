//! The table of exchanges: requests of the plane that the agent carries to a target and back.
//!
//! Owns admission, the choice of the target, order, deadlines, cancellation, the bytes in transit and their bound, and that each
//! exchange ends exactly once. Does not own sockets: the shell opens what [`Output::Open`] says and reports what happens there.
//!
//! Flow control. Every byte in here is taken from the [`Budget`], with [`exchange::OVERHEAD`] for each piece. The shell reads one
//! piece (at most the bytes that it says, which are reserved) from a backend for each [`Output::Read`], and there is one only while
//! the exchange has less than [`Limits::window`] waiting. Bytes from the plane are taken when they arrive and given back when the
//! backend has taken them. An exchange may hold as many of them as are still free for everybody else, so a hundred backends that do
//! not read leave something for the hundred-and-first; what does not fit ends its exchange, because the protocol cannot slow the
//! plane down.

mod admission;
mod channel;
mod counters;
mod exchange;
mod flow;
mod io;
mod linger;
mod notices;
mod request;
mod schedule;
mod socket;
mod start;
mod transmit;
mod upgrade;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

pub use self::counters::{Counters, Outcome, Place, Shape};
use self::exchange::{Answer, Ending, Exchange, Upload};
pub(crate) use self::exchange::{OVERHEAD, collect};
pub use self::io::{Body, Event, Input, Key, Open, Output, Settings, Target, UpstreamError};
use self::linger::Lingering;
use self::notices::Notices;
use self::schedule::Schedule;
use crate::budget::{Budget, Way};
use crate::message::{FromPlane, Outbound};
use crate::policy::Policy;
use crate::random::Random;
use crate::time::{Instant, earliest};
use crate::wire::{BLOCK, Base64};

/// The bounds of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The ceiling for all bytes in transit.
    pub ceiling: usize,
    /// Exchanges at once.
    pub exchanges: usize,
    /// The most bytes that one read of the shell gives.
    pub piece: usize,
    /// The most answer bytes that one exchange has waiting.
    pub window: usize,
    /// For the head of an answer, where the plane sets no limit.
    pub head: Duration,
    /// For a whole buffered answer, where the plane sets no limit.
    pub buffered: Duration,
    /// For the binary message that carries a body.
    pub binary_body: Duration,
    /// The most bytes of one WebSocket message of a backend.
    pub message: usize,
    /// How long a WebSocket to a service may be quiet before it is pinged.
    pub ping: Duration,
    /// How long a WebSocket to a service may be quiet, pings and all, before it is given up.
    pub silence: Duration,
    /// For a backend's answer to a close frame.
    pub closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ceiling: 8 * 1024 * 1024,
            exchanges: 1024,
            piece: 16 * 1024,
            window: 128 * 1024,
            head: Duration::from_secs(60),
            buffered: Duration::from_secs(120),
            binary_body: Duration::from_secs(30),
            message: 4 * 1024 * 1024,
            ping: Duration::from_secs(30),
            silence: Duration::from_secs(90),
            closing: Duration::from_secs(10),
        }
    }
}

/// The machine.
#[derive(Debug)]
pub struct Streams {
    limits: Limits,
    policy: Policy,
    budget: Budget,
    exchanges: BTreeMap<Key, Exchange>,
    ids: BTreeMap<Arc<str>, Key>,
    next_key: u64,
    now: Instant,
    wall_millis: u64,
    deadlines: BTreeSet<(Instant, Key)>,
    /// When WebSockets are to be pinged.
    pings: BTreeSet<(Instant, Key)>,
    /// Connections that nobody waits for any more and that end in good order.
    lingering: Lingering,
    random: Random,
    base64: Base64,
    schedule: Schedule,
    /// Exchanges that may read but for the budget, oldest first.
    starved: VecDeque<Key>,
    outputs: VecDeque<Output>,
    notices: Notices,
    /// A buffered answer of which some frames are out: nothing else may be sent until it is complete.
    writing: Option<transmit::Writing>,
    awaiting_binary: Option<Key>,
    draining: bool,
    drained: bool,
    counters: Counters,
}

impl Streams {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits, policy: Policy, seed: u64, base64: Base64) -> Self {
        Self {
            budget: Budget::new(limits.ceiling),
            limits,
            policy,
            exchanges: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_key: 0,
            now: Instant::ZERO,
            wall_millis: 0,
            deadlines: BTreeSet::new(),
            pings: BTreeSet::new(),
            lingering: Lingering::default(),
            random: Random::new(seed),
            base64,
            schedule: Schedule::default(),
            starved: VecDeque::new(),
            outputs: VecDeque::new(),
            notices: Notices::default(),
            writing: None,
            awaiting_binary: None,
            draining: false,
            drained: false,
            counters: Counters::default(),
        }
    }

    /// Takes one input at `now`. See the contract in the crate's documentation.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Timeout => self.on_timeout(),
            Input::WallClock(millis) => self.wall_millis = millis,
            Input::Settings(settings) => {
                let Settings { policy, ceiling, exchanges } = *settings;
                self.policy = policy;
                self.budget.set_ceiling(ceiling);
                self.limits = Limits { ceiling, exchanges, ..self.limits };
            }
            Input::FromPlane(message) => self.on_plane(message),
            Input::BinaryBody(body) => self.on_binary_body(body),
            Input::NoBinaryBody => {
                if let Some(key) = self.awaiting_binary.take() {
                    self.fail(key, UpstreamError::BadRequest("the announced binary body did not follow"));
                }
            }
            Input::Head { key, status, headers } => self.on_head(key, status, headers),
            Input::Data { key, data } => self.on_data(key, data),
            Input::End { key } => self.on_end(key),
            Input::Failed { key, error } => self.on_failed(key, error),
            Input::Consumed { key, bytes } => self.on_consumed(key, bytes),
            Input::Drain => self.draining = true,
            Input::AbortAll(error) => self.abort_all(error),
            Input::Detached => self.on_detached(),
        }
        self.feed_starved();
        self.tell_drained();
    }

    /// The next thing to do; `None` when there is nothing more.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.first().map(|(deadline, _)| *deadline);
        let ping = self.pings.first().map(|(at, _)| *at);
        earliest(earliest(deadline, ping), self.lingering.next_deadline())
    }

    /// The budget, for reports.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What became of the exchanges.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Exchanges in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.lingering.is_empty()
    }

    /// Whether a binary message that names `id` is the body that is awaited.
    #[must_use]
    pub fn awaits_binary_for(&self, id: Option<&str>) -> bool {
        let awaited = self.awaiting_binary.and_then(|key| self.exchanges.get(&key));
        awaited.is_some_and(|exchange| id == Some(&*exchange.id))
    }

    /// Whether `id` is an exchange under way.
    #[must_use]
    pub fn knows(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.ids.contains_key(id))
    }

    fn on_plane(&mut self, message: FromPlane) {
        match message {
            FromPlane::Request(request) => self.on_request(*request),
            FromPlane::BodyChunk { id, data } => self.on_body_chunk(&id, data),
            FromPlane::BodyEnd { id } => self.on_body_end(&id),
            FromPlane::Cancel { id } => self.on_cancel(&id),
            FromPlane::Malformed { id, reason, streamed } => match self.ids.get(id.as_str()) {
                Some(&key) => self.fail(key, UpstreamError::BadRequest(reason)),
                None => self.refuse(id.into(), streamed, &UpstreamError::BadRequest(reason)),
            },
            FromPlane::Start(request) => self.on_start(*request),
            FromPlane::SocketData { to, data, message_type } => self.on_socket_data(&to, data, message_type),
            FromPlane::SocketClose { to, code, reason } => self.on_socket_close(&to, code, &reason),
        }
    }

    /// Answers a request that never became an exchange.
    fn refuse(&mut self, id: Arc<str>, streamed: bool, error: &UpstreamError) {
        self.counters.refuse(error);
        self.outputs.push_back(Output::Event(Event::Refused { id: id.clone(), error: error.clone() }));
        let error = alloc::format!("{error}");
        self.notices.push(if streamed { Outbound::ResponseAbort { id, error } } else { Outbound::Error { id, error } });
    }

    /// The exchange is over as far as the backend is concerned: what is left is to send what is waiting.
    fn settle(&mut self, key: Key, ending: Ending) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() {
            return;
        }
        exchange.outcome.get_or_insert(match ending {
            Ending::Complete | Ending::Closed(..) => Outcome::Answered,
            Ending::Failed(..) => Outcome::Failed,
        });
        exchange.ending = Some(ending);
        let reserved = core::mem::take(&mut exchange.reserved);
        exchange.upload = Upload::Closed;
        self.budget.give(Way::Answer, reserved);
        self.deadlines.remove(&(exchange.deadline, key));
        let class = exchange.class();
        self.stop_pings(key);
        self.schedule.ready(key, class);
    }

    /// Ends an exchange with an error that the plane is told, and drops the backend.
    fn fail(&mut self, key: Key, error: UpstreamError) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() {
            return;
        }
        let id = exchange.id.clone();
        // A buffered answer that failed is never sent: its bytes are free at once.
        if let Answer::Buffered { blocks, .. } = &mut exchange.answer {
            blocks.clear();
            let held = core::mem::take(&mut exchange.held);
            self.budget.give(Way::Answer, held);
        }
        // A backend that did nothing wrong hears why it is left.
        if !(matches!(error, UpstreamError::Deadline | UpstreamError::ShuttingDown) && self.say_goodbye(key)) {
            self.outputs.push_back(Output::Abort { key });
        }
        self.counters.fail(&error);
        let text = alloc::format!("{error}");
        let code = error.close_code();
        self.outputs.push_back(Output::Event(Event::Failed { id, error }));
        self.settle(key, Ending::Failed(text, code));
    }

    fn on_cancel(&mut self, id: &str) {
        let Some(&key) = self.ids.get(id) else { return };
        self.outputs.push_back(Output::Abort { key });
        self.outputs.push_back(Output::Event(Event::Cancelled { id: id.into() }));
        self.mark(key, Outcome::Cancelled);
        self.forget(key);
    }

    /// Notes how an exchange ended, whatever it looked like before.
    fn mark(&mut self, key: Key, outcome: Outcome) {
        if let Some(exchange) = self.exchanges.get_mut(&key) {
            exchange.outcome = Some(outcome);
        }
    }

    /// Takes an exchange out of the table and gives everything back that it held.
    fn forget(&mut self, key: Key) {
        if let Some(exchange) = self.remove(key) {
            self.budget.give(Way::Request, exchange.uploading);
        }
    }

    /// Takes an exchange out of the table; what its backend still has to take stays taken.
    fn remove(&mut self, key: Key) -> Option<Exchange> {
        self.stop_pings(key);
        let exchange = self.exchanges.remove(&key)?;
        if let Some(traffic) = exchange.traffic {
            // The one that has no end of its own was ended by the backend, without a word.
            self.counters.end(traffic, exchange.outcome.unwrap_or(Outcome::Answered));
        }
        self.ids.remove(&exchange.id);
        self.deadlines.remove(&(exchange.deadline, key));
        if self.awaiting_binary == Some(key) {
            self.awaiting_binary = None;
        }
        self.budget.give(Way::Answer, exchange.held + exchange.reserved);
        self.budget.give(Way::Request, exchange.heading);
        Some(exchange)
    }

    fn on_timeout(&mut self) {
        while let Some(&(deadline, key)) = self.deadlines.first() {
            if deadline > self.now {
                break;
            }
            self.deadlines.pop_first();
            let awaiting_body = self.awaiting_binary == Some(key);
            if awaiting_body {
                self.awaiting_binary = None;
            }
            self.fail(
                key,
                if awaiting_body {
                    UpstreamError::BadRequest("the announced binary body did not follow")
                } else {
                    UpstreamError::Deadline
                },
            );
        }
        self.send_pings();
        self.end_lingering();
    }

    fn on_detached(&mut self) {
        if let Some(writing) = self.writing.take() {
            self.budget.give(Way::Answer, writing.held);
        }
        self.notices.clear();
        while let Some((&key, _)) = self.exchanges.first_key_value() {
            self.outputs.push_back(Output::Abort { key });
            self.mark(key, Outcome::Lost);
            self.forget(key);
        }
        self.abort_lingering();
        self.schedule.clear();
        self.starved.clear();
        debug_assert_eq!(self.budget.used(), 0, "nothing is left, so nothing may be held");
    }

    fn abort_all(&mut self, error: UpstreamError) {
        let keys: alloc::vec::Vec<Key> = self.exchanges.keys().copied().collect();
        for key in keys {
            self.fail(key, error.clone());
        }
    }

    fn tell_drained(&mut self) {
        if self.draining && !self.drained && self.is_empty() && self.notices.is_empty() && self.writing.is_none() {
            self.drained = true;
            self.outputs.push_back(Output::Drained);
        }
    }

    fn key(&mut self) -> Key {
        self.next_key = self.next_key.saturating_add(1);
        Key(self.next_key)
    }
}

const _: () = assert!(BLOCK.is_multiple_of(3), "blocks of base64 must join up");
