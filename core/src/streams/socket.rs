//! An upgraded connection: what waits on its way to the plane, and how urgent it is.

use alloc::collections::VecDeque;
use alloc::string::String;
use bytes::Bytes;
use core::time::Duration;

use super::exchange::{BULK_AFTER, Head, OVERHEAD};
use super::schedule::Class;
use super::upgrade::Protocol;
use crate::time::Instant;
use crate::websocket::Reader;

/// A connection that has been quiet for so long is interactive again, whatever it has sent before.
const QUIET: Duration = Duration::from_millis(50);

/// A connection over which much has just come is taken to have more in the kernel.
const RECENT: Duration = Duration::from_secs(2);

/// An upgrade that the backend has not answered.
#[derive(Debug)]
pub(super) struct Upgrading {
    pub(super) protocol: Protocol,
    /// The path is one whose channels are translated, should such a sub-protocol be chosen.
    pub(super) may_translate: bool,
    /// A WebSocket to a service.
    pub(super) to_service: bool,
    /// Frames that came before the answer, with their opcodes; counted in the exchange's `uploading`.
    pub(super) early: VecDeque<(u8, Bytes)>,
    /// What the client sent right behind its request.
    pub(super) head_data: Bytes,
}

/// A connection that speaks another protocol.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) announce: Announce,
    pub(super) source: Source,
    /// Text from the plane goes to the first channel.
    pub(super) translate: bool,
    /// The other end is a service that speaks WebSocket.
    pub(super) to_service: bool,
    /// The backend has nothing more to say.
    pub(super) ended: bool,
    /// The plane's side has said its last word.
    pub(super) closing: bool,
    /// When the backend was last heard.
    pub(super) heard: Instant,
    pub(super) next_ping: Option<Instant>,
    /// For what is no WebSocket.
    pub(super) progress: Progress,
    /// What the agent itself answers to pings of the plane.
    pub(super) pongs: VecDeque<Bytes>,
    /// When the backend was last asked for more.
    pub(super) asked: Instant,
    burst: u64,
    last_sent: Instant,
}

/// The most questions of one connection that wait for their answer; the newest takes the place of the one before it.
const QUESTIONS: usize = 64;

/// How far a backend is with the bytes for it, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct Progress {
    fed: u64,
    taken: u64,
    /// What had been fed when each question came, and what is to be answered.
    questions: VecDeque<(u64, Bytes)>,
}

impl Progress {
    pub(super) fn fed(&mut self, bytes: usize) {
        self.fed = self.fed.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn taken(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn ask(&mut self, question: Bytes) {
        if self.questions.len() >= QUESTIONS {
            self.questions.pop_back();
        }
        self.questions.push_back((self.fed, question));
    }

    /// The answer to the oldest question, once everything before it is taken.
    pub(super) fn next_answer(&mut self) -> Option<Bytes> {
        let (at, _) = self.questions.front()?;
        if *at > self.taken { None } else { self.questions.pop_front().map(|(_, answer)| answer) }
    }
}

/// What the plane is still to be told about the beginning.
#[derive(Debug)]
pub(super) enum Announce {
    /// The answer of the backend, as a streamed one.
    Streamed(Head),
    /// That this was all of the answer.
    StreamedEnd,
    /// The answer of the backend, in one message.
    Buffered(Head),
    Nothing,
}

#[derive(Debug)]
pub(super) enum Source {
    WebSocket(Reader),
    /// Bytes as they come.
    Raw {
        chunks: VecDeque<Bytes>,
        waiting: usize,
    },
}

impl Socket {
    pub(super) fn new(announce: Announce, source: Source, translate: bool, now: Instant) -> Self {
        Self {
            announce,
            source,
            translate,
            to_service: false,
            ended: false,
            closing: false,
            heard: now,
            next_ping: None,
            progress: Progress::default(),
            pongs: VecDeque::new(),
            asked: now,
            burst: 0,
            last_sent: now,
        }
    }

    pub(super) fn push(&mut self, data: Bytes, now: Instant) {
        self.heard = now;
        // Quiet is a backend that has nothing to say when it is asked, not one that waits for its turn on a busy socket.
        if self.held() == 0 && now.since(self.asked.max(self.last_sent)) > QUIET {
            self.burst = 0;
        }
        match &mut self.source {
            Source::WebSocket(reader) => reader.push(data),
            Source::Raw { chunks, waiting } => {
                *waiting += data.len();
                chunks.push_back(data);
            }
        }
    }

    /// Puts an answer to a ping in line; where there are too many, the newest takes the place of the one before it.
    pub(super) fn answer_ping(&mut self, data: Bytes) {
        if self.pongs.len() >= QUESTIONS {
            self.pongs.pop_back();
        }
        self.pongs.push_back(data);
    }

    /// What waits, as the budget counts it.
    pub(super) fn held(&self) -> usize {
        match &self.source {
            Source::WebSocket(reader) => reader.held(),
            Source::Raw { chunks, waiting } => waiting + chunks.len() * OVERHEAD,
        }
    }

    pub(super) fn wants_piece(&self, window: usize) -> bool {
        let waiting = match &self.source {
            Source::WebSocket(reader) => reader.unread(),
            Source::Raw { .. } => self.held(),
        };
        !self.ended && waiting < window
    }

    pub(super) const fn is_assembling(&self) -> bool {
        match &self.source {
            Source::WebSocket(reader) => reader.is_assembling(),
            Source::Raw { .. } => false,
        }
    }

    pub(super) const fn is_raw(&self) -> bool {
        matches!(self.source, Source::Raw { .. })
    }

    /// Whether the backend is known to be alive, because what it has said is still on its way through here.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        self.held() > 0 || (self.burst > BULK_AFTER && now.since(self.last_sent) < RECENT)
    }

    /// Notes that so many bytes went to the plane.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        // The words around the bytes count as well: a flood of empty frames is bulk too.
        self.burst = self.burst.saturating_add(u64::try_from(bytes + OVERHEAD).unwrap_or(u64::MAX));
        self.last_sent = now;
    }

    pub(super) const fn class(&self) -> Class {
        if self.burst > BULK_AFTER { Class::Bulk } else { Class::Interactive }
    }

    /// What the end of the connection means when nobody has said how it ended.
    pub(super) fn silent_end(&self) -> (u16, String) {
        // Bytes end as TCP does; a WebSocket that ends without a close frame is broken.
        if self.is_raw() { (1000, String::new()) } else { (crate::websocket::ABNORMAL, String::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_turn_stays_bulk_and_who_has_nothing_to_say_does_not() {
        let at = Instant::from_millis;
        let source = Source::Raw { chunks: VecDeque::new(), waiting: 0 };
        let mut socket = Socket::new(Announce::Nothing, source, false, at(0));
        socket.push(Bytes::from_static(b"much"), at(0));
        socket.sent(200_000, at(0));
        assert_eq!(socket.class(), Class::Bulk);
        socket.push(Bytes::from_static(b"more behind what waits"), at(1_000));
        assert_eq!(socket.class(), Class::Bulk);
        socket.source = Source::Raw { chunks: VecDeque::new(), waiting: 0 };
        // Nothing waits, but nobody had asked.
        socket.asked = at(1_990);
        socket.push(Bytes::from_static(b"at once"), at(2_000));
        assert_eq!(socket.class(), Class::Bulk);
        socket.source = Source::Raw { chunks: VecDeque::new(), waiting: 0 };
        socket.push(Bytes::from_static(b"a key"), at(2_100));
        assert_eq!(socket.class(), Class::Interactive);
    }
}
