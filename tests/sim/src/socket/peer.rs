//! The backend's end of one upgraded connection.

use std::collections::VecDeque;

use bytes::Bytes;
use pipeops_agent_core::message::Header;
use pipeops_agent_core::streams::{Input, Key, Open, UpstreamError};

use super::frames::{ClientFrames, close_payload, push_frame, read_close};
use super::ledger::{Ledger, Word};
use super::script::{Entry, Last, Role, Script};
use crate::backend::byte_at;

/// What the agent's own pings carry.
const KEEP_ALIVE: &[u8] = b"pipeops-agent";
/// So many words come as fast as they can from a backend that never stops.
const FLOOD: usize = 40;
/// What a refusal says.
const REFUSAL: &[u8] = b"no upgrade here";

/// What is to happen next, each after so many milliseconds.
#[derive(Debug, Default)]
pub struct Acts {
    /// Something for a reader.
    pub piece: Option<u64>,
    /// The first of what was fed is taken.
    pub take: Option<u64>,
    /// The connection ends, after the agent has finished it.
    pub part: Option<u64>,
}

#[derive(Debug)]
pub enum Fed {
    Bytes(Bytes),
    End,
    Finish,
}

#[derive(Debug)]
pub struct Peer {
    pub number: usize,
    script: Script,
    random: fastrand::Rng,
    status: u16,
    permitted: usize,
    out: VecDeque<u8>,
    fed: VecDeque<Fed>,
    /// When the last of what was fed will have been taken.
    busy_until: u64,
    frames: ClientFrames,
    left: usize,
    position: usize,
    pings: usize,
    pongs: usize,
    half_closed: bool,
    finished: bool,
    said_close: Option<(u16, String)>,
    heard_close: bool,
}

impl Peer {
    #[must_use]
    pub fn new(number: usize, script: Script, seed: u64) -> Self {
        let left = match script.role {
            Role::Source(words) => words,
            Role::Endless => usize::MAX,
            Role::Echo | Role::Stalled | Role::Refuse | Role::Silent => 0,
        };
        Self {
            number,
            script,
            random: fastrand::Rng::with_seed(seed),
            status: 0,
            permitted: 0,
            out: VecDeque::new(),
            fed: VecDeque::new(),
            busy_until: 0,
            frames: ClientFrames::default(),
            left,
            position: 0,
            pings: 0,
            pongs: 0,
            half_closed: false,
            finished: false,
            said_close: None,
            heard_close: false,
        }
    }

    #[must_use]
    pub fn head(&self, open: &Open, random: &mut fastrand::Rng) -> Option<(u64, Input)> {
        let key = open.key;
        let asked = |name: &str| open.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let token = asked("upgrade").map(|header| header.value.clone()).unwrap_or_default();
        assert_eq!(token == "websocket", !self.script.raw, "the token goes on: {token}");
        let after = random.u64(0..=self.script.head_after);
        let header = |name: &str, value: String| Header { name: name.into(), value };
        match self.script.role {
            Role::Silent => None,
            Role::Refuse => {
                Some((after, Input::Head { key, status: 403, headers: vec![header("content-type", "text/plain".into())] }))
            }
            Role::Echo | Role::Source(_) | Role::Endless | Role::Stalled => {
                let mut headers = vec![header("connection", "Upgrade".into()), header("upgrade", token)];
                if let Some(offered) = asked("sec-websocket-protocol") {
                    let first = offered.value.split(',').next().unwrap_or_default().trim();
                    headers.push(header("sec-websocket-protocol", first.into()));
                }
                Some((after, Input::Head { key, status: 101, headers }))
            }
        }
    }

    pub fn headed(&mut self, status: u16) -> Acts {
        self.status = status;
        if status == 403 {
            self.out.extend(REFUSAL);
        }
        self.readable()
    }

    pub fn read(&mut self, limit: usize) -> Acts {
        assert_eq!(self.permitted, 0, "one permission at a time");
        assert!(!self.finished, "nobody reads what was finished");
        self.permitted = limit;
        self.readable()
    }

    pub fn feed(&mut self, fed: Fed, now: u64) -> Acts {
        assert_eq!(self.status, 101, "nothing before the answer");
        assert!(!self.finished && !self.half_closed, "nothing after the end");
        self.half_closed |= matches!(fed, Fed::End);
        assert!(self.script.raw || !self.half_closed, "a WebSocket has no half end");
        self.fed.push_back(fed);
        if self.script.role == Role::Stalled {
            return Acts::default();
        }
        self.busy_until = self.busy_until.max(now) + self.random.u64(0..=self.script.consume);
        Acts { take: Some(self.busy_until - now), ..Acts::default() }
    }

    pub fn finish(&mut self, now: u64) -> Acts {
        assert!(!self.finished, "finished once");
        self.half_closed = false;
        let acts = self.feed(Fed::Finish, now);
        (self.finished, self.permitted) = (true, 0);
        acts
    }

    pub fn take(&mut self, key: Key, ledger: &mut Ledger) -> (Option<Input>, Acts) {
        match self.fed.pop_front() {
            None => (None, Acts::default()),
            Some(Fed::Finish) => {
                assert!(self.frames.is_empty(), "the agent ends in the middle of a frame");
                let part = self.script.lets_go().then_some(self.random.u64(0..50));
                (None, Acts { part, ..Acts::default() })
            }
            Some(Fed::End) => {
                // Only what is still in `fed` may contradict; raw ends are a matter of order.
                if self.script.role == Role::Echo || (self.script.role == Role::Endless && self.script.polite) {
                    self.left = 0;
                    self.script.last = Last::Close;
                    self.script.role = Role::Source(0);
                }
                (None, self.readable())
            }
            Some(Fed::Bytes(bytes)) => {
                self.hear(&bytes, ledger);
                (Some(Input::Consumed { key, bytes: bytes.len() }), self.readable())
            }
        }
    }

    /// One piece, the end, or nothing for now.
    pub fn piece(&mut self, key: Key, ledger: &mut Ledger) -> Option<Input> {
        if self.permitted == 0 || self.finished {
            return None;
        }
        if self.out.is_empty() && self.status == 101 && !self.heard_close && self.said_close.is_none() {
            self.speak(ledger);
        }
        if self.out.is_empty() {
            return self.end(key, ledger);
        }
        let limit = std::mem::take(&mut self.permitted).min(self.out.len());
        let count = if self.random.u8(0..4) == 0 { self.random.usize(1..=limit) } else { limit };
        Some(Input::Data { key, data: self.out.drain(..count).collect::<Vec<u8>>().into() })
    }

    fn end(&mut self, key: Key, ledger: &mut Ledger) -> Option<Input> {
        if self.status == 403 {
            return Some(Input::End { key });
        }
        if !self.script.raw && (self.said_close.is_some() || self.heard_close) {
            return (self.heard_close && self.said_close.is_some() && self.script.polite).then_some(Input::End { key });
        }
        let source = matches!(self.script.role, Role::Source(_)) && self.left == 0;
        match self.script.last {
            Last::Break if source => Some(Input::Failed { key, error: UpstreamError::Broken("reset") }),
            Last::Close | Last::Drop if source => {
                ledger.dropped = true;
                Some(Input::End { key })
            }
            Last::Close | Last::Drop | Last::Break | Last::Stay => None,
        }
    }

    fn readable(&mut self) -> Acts {
        let idle = self.out.is_empty() && self.status == 101 && self.said_close.is_none() && !self.heard_close;
        if self.permitted == 0 || self.finished || self.status == 0 {
            return Acts::default();
        }
        // A flood at first, and then for ever a little.
        let endless = idle && self.script.role == Role::Endless && usize::MAX - self.left > FLOOD;
        let pause = if endless { 300..4_000 } else { 0..5 };
        Acts { piece: Some(self.random.u64(pause)), ..Acts::default() }
    }

    /// The next word of its own, or the close that ends them.
    fn speak(&mut self, ledger: &mut Ledger) {
        if self.left > 0 {
            self.left -= 1;
            let length = if self.random.bool() { self.random.usize(0..=self.script.largest) } else { self.random.usize(0..200) };
            if self.script.raw {
                let length = length.max(1);
                return self.out.extend(ledger.down.say_raw(length).map(byte_at));
            }
            let exec = self.script.entry == Entry::Exec;
            let (opcode, prefix) = if exec { (2, Some(self.random.u8(0..6))) } else { (self.random.u8(1..3), None) };
            let word = Word { opcode, prefix, start: self.position, length };
            self.position += length;
            self.write(word, ledger);
        } else if matches!(self.script.role, Role::Source(_)) && self.script.last == Last::Close && !self.script.raw {
            let close = (4_000 + (self.number % 900) as u16, format!("backend {}", self.number));
            self.write_close(close, ledger);
        }
    }

    fn write_close(&mut self, close: (u16, String), ledger: &mut Ledger) {
        let payload = if close.0 == 1005 { Vec::new() } else { close_payload(close.0, &close.1) };
        push_frame(true, 8, &payload, &mut self.out);
        ledger.down.closed = Some(close.clone());
        self.said_close = Some(close);
    }

    /// One word in frames as they fall, with control frames of its own between them.
    fn write(&mut self, word: Word, ledger: &mut Ledger) {
        let payload = word.payload();
        let mut rest = payload.as_slice();
        let mut opcode = word.opcode;
        loop {
            let cut = self.random.u8(0..4) == 0;
            let count = if cut { self.random.usize(0..=rest.len()) } else { rest.len() };
            let (now, later) = rest.split_at(count);
            let last = !cut;
            // A first frame without its channel is nobody's: servers write the channel with the first bytes.
            let (now, later) = if opcode != 0 && now.is_empty() && !later.is_empty() { later.split_at(1) } else { (now, later) };
            push_frame(last, opcode, now, &mut self.out);
            if last {
                break;
            }
            if self.script.controls && self.random.bool() {
                self.write_ping(ledger);
            }
            (opcode, rest) = (0, later);
        }
        ledger.backend_says(word);
        if self.script.controls && self.random.u8(0..4) == 0 {
            self.write_ping(ledger);
        }
    }

    fn write_ping(&mut self, ledger: &mut Ledger) {
        let word = Word { opcode: 9, prefix: Some(b'B'), start: self.pings, length: self.random.usize(0..125) };
        self.pings += 1;
        push_frame(true, 9, &word.payload(), &mut self.out);
        ledger.backend_controls(word);
    }

    fn hear(&mut self, bytes: &[u8], ledger: &mut Ledger) {
        if self.script.raw {
            if !ledger.unjudged {
                ledger.up.hear_raw(bytes);
            }
            if self.script.role == Role::Echo {
                self.out.extend(ledger.down.say_raw(bytes.len()).map(byte_at));
            }
            return;
        }
        self.frames.push(bytes);
        while let Some((opcode, payload)) = self.frames.take() {
            assert!(!self.heard_close, "opcode {opcode} after a close frame");
            self.frame(opcode, payload, ledger);
        }
    }

    fn frame(&mut self, opcode: u8, payload: Vec<u8>, ledger: &mut Ledger) {
        match opcode {
            8 => self.hear_close(read_close(&payload), ledger),
            10 if payload.first() == Some(&b'B') => {
                self.pongs += 1;
                assert!(self.pongs <= self.pings, "an answer to no ping");
            }
            9 if payload == KEEP_ALIVE => {
                if self.said_close.is_none() {
                    push_frame(true, 10, &payload, &mut self.out);
                }
            }
            _ => {
                ledger.backend_hears(opcode, &payload);
                if self.said_close.is_some() {
                    return;
                }
                let start = ledger.up.heard.checked_sub(1).and_then(|at| ledger.up.said.get(at)).map_or(0, |word| word.start);
                if opcode == 9 {
                    push_frame(true, 10, &payload, &mut self.out);
                    ledger.backend_controls(Word { opcode: 10, prefix: Some(b'Q'), start, length: payload.len() - 1 });
                } else if opcode <= 2 && self.script.role == Role::Echo {
                    let exec = self.script.entry == Entry::Exec;
                    let prefix = exec.then(|| payload.first().copied().map_or(1, |channel| channel.max(1)));
                    let length = payload.len() - usize::from(exec);
                    self.write(Word { opcode, prefix, start, length }, ledger);
                }
            }
        }
    }

    fn hear_close(&mut self, close: (u16, String), ledger: &mut Ledger) {
        self.heard_close = true;
        ledger.up.close_heard = Some(close.clone());
        if !ledger.unjudged && ledger.up.closed.as_ref() == Some(&close) {
            ledger.backend_hears_the_end();
            assert!(ledger.up.is_complete(), "a close overtakes: {ledger:?}");
        } else {
            let echo = self.said_close.as_ref() == Some(&close);
            assert!(
                echo || ledger.unjudged || matches!(close.0, 1000 | 1001 | 1005),
                "whose close is {close:?}? {:?}",
                ledger.up.closed
            );
        }
        if self.said_close.is_none() && self.script.polite {
            self.write_close(close, ledger);
        }
    }
}
