//! What was said on an upgraded connection and how much of it has arrived, in each direction: the judge of "exactly a prefix".

use std::collections::BTreeSet;

use super::script::{Entry, Script};
use crate::backend::byte_at;

const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame, or for raw bytes nothing: those are only counted. The payload is the pattern from `start` on, behind `prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub opcode: u8,
    /// The first byte: a channel, or who sent a control frame.
    pub prefix: Option<u8>,
    pub start: usize,
    pub length: usize,
}

impl Word {
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        self.prefix.into_iter().chain((self.start..self.start + self.length).map(byte_at)).collect()
    }

    fn is(&self, opcode: u8, payload: &[u8]) -> bool {
        let body = match (self.prefix, payload) {
            (None, body) => body,
            (Some(prefix), [first, body @ ..]) if prefix == *first => body,
            (Some(_), _) => return false,
        };
        opcode == self.opcode
            && body.len() == self.length
            && body.iter().enumerate().all(|(n, byte)| *byte == byte_at(self.start + n))
    }
}

/// One direction.
#[derive(Debug, Default)]
pub struct Way {
    pub said: Vec<Word>,
    pub heard: usize,
    /// Pings that were answered on the way and do not arrive.
    answered: BTreeSet<usize>,
    /// Pings that did not arrive, whose answers are on their way to the sender.
    owed: Vec<Word>,
    /// Bytes, which is all that counts where they are raw.
    pub bytes_said: usize,
    pub bytes_heard: usize,
    /// Code and reason of the sender's own close; raw: its end.
    pub closed: Option<(u16, String)>,
    /// Code and reason as they have arrived.
    pub close_heard: Option<(u16, String)>,
}

impl Way {
    pub fn say(&mut self, word: Word) {
        self.bytes_said += word.length;
        self.said.push(word);
    }

    /// The pattern goes on for so many bytes.
    pub fn say_raw(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.bytes_said;
        self.bytes_said += length;
        start..self.bytes_said
    }

    /// Whether this answers a ping that has not arrived; then it never will.
    pub fn answers(&mut self, opcode: u8, payload: &[u8]) -> bool {
        if let Some(at) = self.owed.iter().position(|word| opcode == PONG && word.is(PING, payload)) {
            self.owed.remove(at);
            return true;
        }
        let waiting =
            self.said.iter().enumerate().skip(self.heard).find(|(at, word)| {
                opcode == PONG && word.opcode == PING && word.is(PING, payload) && !self.answered.contains(at)
            });
        let Some((at, _)) = waiting else { return false };
        self.answered.insert(at);
        self.skip_answered();
        true
    }

    fn skip_answered(&mut self) {
        while self.answered.remove(&self.heard) {
            self.bytes_heard += self.said.get(self.heard).map_or(0, |word| word.length);
            self.heard += 1;
        }
    }

    /// Passes over pings in front of this: they were answered on the way.
    pub fn pass_pings(&mut self, opcode: u8, payload: &[u8]) {
        while let Some(word) = self.said.get(self.heard).filter(|word| word.opcode == PING && !word.is(opcode, payload)) {
            self.owed.push(word.clone());
            self.bytes_heard += word.length;
            self.heard += 1;
            self.skip_answered();
        }
    }

    /// Whether this is what comes next.
    #[must_use]
    pub fn is_next(&self, opcode: u8, payload: &[u8]) -> bool {
        self.said.get(self.heard).is_some_and(|word| word.is(opcode, payload))
    }

    pub fn hear(&mut self, opcode: u8, payload: &[u8]) {
        let word = self.said.get(self.heard);
        let head = payload.get(..payload.len().min(12)).unwrap_or_default();
        assert!(
            word.is_some_and(|word| word.is(opcode, payload)),
            "a gap, a repeat or a change: word {} is {word:?}, and opcode {opcode} with {} bytes came: {head:?}",
            self.heard,
            payload.len()
        );
        self.heard += 1;
        self.bytes_heard += word.map_or(0, |word| word.length);
        self.skip_answered();
    }

    pub fn hear_raw(&mut self, bytes: &[u8]) {
        assert!(self.bytes_heard + bytes.len() <= self.bytes_said, "more bytes than were said");
        for (offset, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, byte_at(self.bytes_heard + offset), "a gap or a repeat in raw bytes");
        }
        self.bytes_heard += bytes.len();
    }

    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.heard == self.said.len() && self.bytes_heard == self.bytes_said
    }
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct Ledger {
    pub script: Script,
    /// From the plane to the backend.
    pub up: Way,
    /// From the backend to the plane.
    pub down: Way,
    pub opened: bool,
    pub upgraded: bool,
    /// The backend has ended without a close frame, with everything handed over before.
    pub dropped: bool,
    /// A second one of the same request, which the plane does not know apart: nothing is judged.
    pub unjudged: bool,
}

impl Ledger {
    #[must_use]
    pub fn new(script: Script) -> Self {
        Self { script, up: Way::default(), down: Way::default(), opened: false, upgraded: false, dropped: false, unjudged: false }
    }

    /// Something of the plane has reached the backend.
    pub fn backend_hears(&mut self, opcode: u8, payload: &[u8]) {
        if !self.unjudged {
            if self.has_known_pings() {
                self.up.pass_pings(opcode, payload);
            }
            self.up.hear(opcode, payload);
        }
    }

    /// Something of the backend has reached the plane. Pings for the Kubernetes API are answered by the agent while it is known to be
    /// alive.
    pub fn plane_hears(&mut self, opcode: u8, payload: &[u8]) {
        let by_the_agent = self.has_known_pings() && !self.down.is_next(opcode, payload) && self.up.answers(opcode, payload);
        if !by_the_agent {
            self.down.hear(opcode, payload);
        }
    }

    /// The plane's own end has reached the backend: nothing before it will come any more.
    pub fn backend_hears_the_end(&mut self) {
        if self.has_known_pings() {
            self.up.pass_pings(0, &[]);
        }
    }

    /// Whether the agent may answer pings of the plane itself.
    fn has_known_pings(&self) -> bool {
        matches!(self.script.entry, Entry::Api | Entry::ApiBuffered)
    }

    /// A data frame of the backend, as the plane is to see it: a channel that carries bytes becomes text.
    pub fn backend_says(&mut self, word: Word) {
        let translated = self.script.entry == Entry::Exec && word.opcode == 2 && word.prefix.is_some_and(|channel| channel <= 3);
        self.down.say(if translated { Word { opcode: 1, prefix: None, ..word } } else { word });
    }

    /// A control frame of the backend: the entry without an answer has no word for these.
    pub fn backend_controls(&mut self, word: Word) {
        if self.script.entry != Entry::Exec {
            self.down.say(word);
        }
    }

    /// A frame of the plane, as the backend is to see it.
    pub fn plane_says(&mut self, word: Word) {
        let translated = self.script.entry == Entry::Exec && word.opcode == 1;
        self.up.say(if translated { Word { opcode: 2, prefix: Some(0), ..word } } else { word });
    }
}
