//! The table of exchanges: requests of the plane that the agent carries to a target and back.
//!
//! Owns admission, the choice of the target, order, deadlines, cancellation, the bytes in transit and their bound, and that each
//! exchange ends exactly once. Does not own sockets: the shell opens what [`Output::Open`] says and reports what happens there.
//!
//! Flow control. Every byte in here is taken from the [`Budget`]. The shell reads one piece (at most [`Limits::piece`] bytes)
//! from a backend for each [`Output::Read`], and there is one only while the exchange has less than [`Limits::window`] waiting
//! and the budget can reserve a piece. Bytes of a request body are taken when they arrive and given back when the backend has
//! taken them; when there is no room for them the exchange ends, because the protocol cannot slow the plane down.

mod exchange;
mod io;
mod request;
mod schedule;
mod transmit;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use bytes::Bytes;
use core::time::Duration;

use self::exchange::{Answer, Ending, Exchange, Upload};
pub use self::io::{Body, Event, Input, Key, Open, Output, Target, UpstreamError};
use self::schedule::Schedule;
use crate::budget::Budget;
use crate::message::{FromPlane, Header, Outbound};
use crate::policy::Policy;
use crate::time::Instant;
use crate::wire::RESPONSE_BLOCK;

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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ceiling: 8 * 1024 * 1024,
            exchanges: 256,
            piece: 16 * 1024,
            window: 128 * 1024,
            head: Duration::from_secs(60),
            buffered: Duration::from_secs(120),
            binary_body: Duration::from_secs(30),
        }
    }
}

/// The most answers waiting for exchanges that were refused before they began. Past it the table stops taking requests from the
/// socket's queue in that turn, so that a flood of bad requests costs no more memory than this.
const MAX_NOTICES: usize = 1024;

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
    schedule: Schedule,
    /// Exchanges that may read but for the budget, oldest first.
    starved: VecDeque<Key>,
    outputs: VecDeque<Output>,
    notices: VecDeque<Outbound>,
    /// A buffered answer of which some frames are out: nothing else may be sent until it is complete.
    writing: Option<transmit::Writing>,
    awaiting_binary: Option<Key>,
    draining: bool,
    drained: bool,
}

impl Streams {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits, policy: Policy) -> Self {
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
            schedule: Schedule::default(),
            starved: VecDeque::new(),
            outputs: VecDeque::new(),
            notices: VecDeque::new(),
            writing: None,
            awaiting_binary: None,
            draining: false,
            drained: false,
        }
    }

    /// Takes one input at `now`. See the contract in the crate's documentation.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Timeout => self.on_timeout(),
            Input::WallClock(millis) => self.wall_millis = millis,
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
            Input::Failed { key, error } => self.fail(key, error),
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
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The budget, for reports.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Exchanges in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty()
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
        }
    }

    /// Answers a request that never became an exchange.
    fn refuse(&mut self, id: Arc<str>, streamed: bool, error: &UpstreamError) {
        self.outputs.push_back(Output::Event(Event::Refused { id: id.clone(), error: error.clone() }));
        if self.notices.len() < MAX_NOTICES {
            let error = alloc::format!("{error}");
            self.notices.push_back(if streamed { Outbound::ResponseAbort { id, error } } else { Outbound::Error { id, error } });
        }
    }

    fn on_head(&mut self, key: Key, status: u16, headers: alloc::vec::Vec<Header>) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() || exchange.head_seen {
            return;
        }
        exchange.head_seen = true;
        // A backend that answers has read what was sent as a whole.
        if exchange.upload == Upload::Closed {
            let uploading = core::mem::take(&mut exchange.uploading);
            self.budget.give(uploading);
        }
        let headers = exchange::answer_headers(headers);
        match &mut exchange.answer {
            Answer::Streamed { head, .. } => *head = Some((status, headers)),
            Answer::Buffered { head, .. } => *head = Some((status, headers)),
        }
        // From here on a streamed answer may take as long as it likes, unless the plane set a limit.
        if exchange.deadline_is_default && exchange.is_streamed() {
            self.deadlines.remove(&(exchange.deadline, key));
            exchange.deadline_is_default = false;
        }
        if exchange.is_streamed() {
            self.schedule.ready(key, exchange.class());
        }
        self.allow_read(key);
    }

    fn on_data(&mut self, key: Key, data: Bytes) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        // The permission is used up, and with it what was reserved for the piece.
        if exchange.reading {
            exchange.reading = false;
            self.budget.give(self.limits.piece);
        }
        if exchange.ending.is_some() {
            return;
        }
        if data.is_empty() {
            return self.allow_read(key);
        }
        if !self.budget.take(data.len()) {
            return self.fail(key, UpstreamError::Overloaded("the agent's buffers are full"));
        }
        exchange.held += data.len();
        match &mut exchange.answer {
            Answer::Streamed { chunks, queued, .. } => {
                *queued += data.len();
                chunks.push_back(data);
                self.schedule.ready(key, exchange.class());
            }
            Answer::Buffered { blocks, .. } => exchange::collect(blocks, &data),
        }
        self.allow_read(key);
    }

    fn on_end(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() {
            return;
        }
        if !exchange.head_seen {
            return self.fail(key, UpstreamError::Broken("the backend ended without an answer"));
        }
        self.settle(key, Ending::Complete);
    }

    /// The exchange is over as far as the backend is concerned: what is left is to send what is waiting.
    fn settle(&mut self, key: Key, ending: Ending) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if exchange.ending.is_some() {
            return;
        }
        exchange.ending = Some(ending);
        if exchange.reading {
            exchange.reading = false;
            self.budget.give(self.limits.piece);
        }
        exchange.upload = Upload::Closed;
        self.deadlines.remove(&(exchange.deadline, key));
        let class = exchange.class();
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
        self.outputs.push_back(Output::Abort { key });
        self.outputs.push_back(Output::Event(Event::Failed { id: exchange.id.clone(), error: error.clone() }));
        // A buffered answer that failed is never sent: its bytes are free at once.
        if let Answer::Buffered { blocks, .. } = &mut exchange.answer {
            blocks.clear();
            let held = core::mem::take(&mut exchange.held);
            self.budget.give(held);
        }
        self.settle(key, Ending::Failed(alloc::format!("{error}")));
    }

    fn on_cancel(&mut self, id: &str) {
        let Some(&key) = self.ids.get(id) else { return };
        self.outputs.push_back(Output::Abort { key });
        self.outputs.push_back(Output::Event(Event::Cancelled { id: id.into() }));
        self.forget(key);
    }

    /// Takes an exchange out of the table and gives everything back that it held.
    fn forget(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.remove(&key) else {
            return;
        };
        self.ids.remove(&exchange.id);
        self.deadlines.remove(&(exchange.deadline, key));
        if self.awaiting_binary == Some(key) {
            self.awaiting_binary = None;
        }
        let reserved = if exchange.reading { self.limits.piece } else { 0 };
        self.budget.give(exchange.held + exchange.uploading + reserved);
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
    }

    fn on_detached(&mut self) {
        if let Some(writing) = self.writing.take() {
            self.budget.give(writing.held);
        }
        self.notices.clear();
        while let Some((&key, _)) = self.exchanges.first_key_value() {
            self.outputs.push_back(Output::Abort { key });
            self.forget(key);
        }
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

    /// Lets the shell read one more piece where that is due and possible.
    fn allow_read(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get_mut(&key) else {
            return;
        };
        if !exchange.wants_piece(self.limits.window) {
            return;
        }
        if self.budget.take(self.limits.piece) {
            exchange.reading = true;
            exchange.starved = false;
            self.outputs.push_back(Output::Read { key });
        } else if matches!(exchange.answer, Answer::Buffered { .. }) && exchange.held > 0 {
            // Two buffered answers could each hold half of the budget and wait for the other for ever.
            self.fail(key, UpstreamError::Overloaded("the answer does not fit into the agent's buffers: ask for a streamed one"));
        } else if !exchange.starved {
            exchange.starved = true;
            self.starved.push_back(key);
        }
    }

    /// Gives freed budget to those who wait for it, oldest first.
    fn feed_starved(&mut self) {
        while let Some(&key) = self.starved.front() {
            if self.budget.used() + self.limits.piece > self.budget.ceiling() {
                break;
            }
            self.starved.pop_front();
            if let Some(exchange) = self.exchanges.get_mut(&key) {
                exchange.starved = false;
                self.allow_read(key);
            }
        }
    }

    fn tell_drained(&mut self) {
        if self.draining && !self.drained && self.exchanges.is_empty() && self.notices.is_empty() && self.writing.is_none() {
            self.drained = true;
            self.outputs.push_back(Output::Drained);
        }
    }

    fn key(&mut self) -> Key {
        self.next_key = self.next_key.saturating_add(1);
        Key(self.next_key)
    }
}

/// A Kubernetes `Status` object, as the API server itself would answer.
fn status_object(status: u16, reason: &str, message: &str) -> alloc::vec::Vec<u8> {
    let mut out = alloc::vec::Vec::with_capacity(200);
    out.extend_from_slice(b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":");
    crate::wire::push_json_string(message, &mut out);
    out.extend_from_slice(b",\"reason\":");
    crate::wire::push_json_string(reason, &mut out);
    out.extend_from_slice(alloc::format!(",\"code\":{status}}}\n").as_bytes());
    out
}

const _: () = assert!(RESPONSE_BLOCK.is_multiple_of(3), "blocks of base64 must join up");
