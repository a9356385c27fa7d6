//! What goes out next.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::channel::KEEP_ALIVE;
use super::exchange::{Answer, Ending, Head};
use super::socket::{Announce, Source};
use super::{Key, Streams, UpstreamError};
use crate::budget::Way;
use crate::message::{Entry, Outbound};
use crate::websocket::{BINARY, CLOSE, Message, PING, PONG, Payload, Violation};
use crate::wire::{Base64, MAX_CHUNK, MessageWriter, Piece, encode};

/// A large message on its way out in several frames.
#[derive(Debug)]
pub(super) struct Writing {
    writer: MessageWriter,
    /// Bytes of the message that are still taken from the budget.
    pub(super) held: usize,
}

enum Next {
    Message(Outbound),
    Large(Writing),
}

impl Streams {
    /// Appends the next frame's payload to `out` and says where it stands in its message; `None` when nothing is waiting. To be
    /// called when the socket has room, and not more often: what is in here is bounded, what is in the socket's buffer is not.
    pub fn poll_transmit(&mut self, stamp: &str, base64: Base64, out: &mut Vec<u8>) -> Option<Piece> {
        let piece = self.next_piece(stamp, base64, out);
        self.feed_starved();
        self.tell_drained();
        piece
    }

    /// Whether [`Streams::poll_transmit`] has something.
    #[must_use]
    pub fn has_transmit(&self) -> bool {
        self.writing.is_some() || !self.notices.is_empty() || !self.schedule.is_empty()
    }

    /// Whether a message is under way that must not be interrupted by another one.
    #[must_use]
    pub const fn is_mid_message(&self) -> bool {
        self.writing.is_some()
    }

    fn next_piece(&mut self, stamp: &str, base64: Base64, out: &mut Vec<u8>) -> Option<Piece> {
        if let Some(writing) = self.writing.take() {
            return Some(self.write_on(writing, stamp, base64, out));
        }
        loop {
            if let Some(notice) = self.notices.pop() {
                encode(&notice, stamp, base64, out);
                return Some(Piece::WHOLE);
            }
            let key = self.schedule.next()?;
            match self.next_of(key) {
                Some(Next::Message(message)) => {
                    encode(&message, stamp, base64, out);
                    return Some(Piece::WHOLE);
                }
                Some(Next::Large(writing)) => return Some(self.write_on(writing, stamp, base64, out)),
                None => {}
            }
        }
    }

    /// Writes one frame, and keeps the rest for the next.
    fn write_on(&mut self, mut writing: Writing, stamp: &str, base64: Base64, out: &mut Vec<u8>) -> Piece {
        let (piece, taken) = writing.writer.write(stamp, base64, out);
        let taken = if piece.last { writing.held } else { taken.min(writing.held) };
        writing.held -= taken;
        self.budget.give(Way::Answer, taken);
        if !piece.last {
            self.writing = Some(writing);
        }
        piece
    }

    /// The next message of one exchange, which is put back in line when it has more.
    fn next_of(&mut self, key: Key) -> Option<Next> {
        let exchange = self.exchanges.get_mut(&key)?;
        let id = exchange.id.clone();
        match &mut exchange.answer {
            Answer::Streamed { head, chunks, sent } => {
                if let Some((status, headers)) = head.take() {
                    let class = exchange.class();
                    self.schedule.ready(key, class);
                    return Some(Next::Message(Outbound::ResponseHead { id, status, headers }));
                }
                if let Some((data, freed)) = Self::take_chunk(chunks, MAX_CHUNK) {
                    *sent = sent.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
                    let more = !chunks.is_empty() || exchange.ending.is_some();
                    exchange.held -= freed;
                    self.budget.give(Way::Answer, freed);
                    if more {
                        let class = exchange.class();
                        self.schedule.ready(key, class);
                    }
                    self.allow_read(key);
                    return Some(Next::Message(Outbound::ResponseChunk { id, data }));
                }
                let ending = exchange.ending.take()?;
                self.forget(key);
                Some(Next::Message(match ending {
                    Ending::Complete | Ending::Closed(..) => Outbound::ResponseEnd { id },
                    Ending::Failed(error, _) => Outbound::ResponseAbort { id, error },
                }))
            }
            Answer::Buffered { head, blocks } => {
                let ending = exchange.ending.take()?;
                let answer = head.take().zip(Some(core::mem::take(blocks)));
                let (entry, held) = (exchange.entry, core::mem::take(&mut exchange.held));
                self.forget(key);
                Some(match (entry, ending) {
                    (Entry::Start, Ending::Failed(error, code)) => {
                        // The very next message, and not counted: it takes the place of the one that goes out now.
                        let reason = error.clone();
                        self.notices.push_next(Outbound::SocketClose { id: id.clone(), entry, code, reason });
                        Next::Message(Outbound::StartError { id, error })
                    }
                    (_, ending) => buffered(id, ending, answer, held),
                })
            }
            Answer::Upgraded(_) => self.next_of_socket(key, id),
        }
    }

    /// The next message of an upgraded connection.
    fn next_of_socket(&mut self, key: Key, id: Arc<str>) -> Option<Next> {
        loop {
            let exchange = self.exchanges.get_mut(&key)?;
            let Answer::Upgraded(socket) = &mut exchange.answer else { return None };
            let entry = exchange.entry;
            if matches!(exchange.ending, Some(Ending::Closed(..))) {
                return self.end_of_socket(key, id, entry);
            }
            match core::mem::replace(&mut socket.announce, Announce::Nothing) {
                Announce::Streamed((status, headers)) => {
                    socket.announce = Announce::StreamedEnd;
                    self.schedule.ready(key, super::schedule::Class::Interactive);
                    return Some(Next::Message(Outbound::ResponseHead { id, status, headers }));
                }
                announce @ (Announce::StreamedEnd | Announce::Buffered(_)) => {
                    let class = exchange.class();
                    self.schedule.ready(key, class);
                    return Some(Next::Message(match announce {
                        Announce::Buffered((status, headers)) => Outbound::Response { id, status, headers, body: Vec::new() },
                        Announce::Streamed(_) | Announce::StreamedEnd | Announce::Nothing => Outbound::ResponseEnd { id },
                    }));
                }
                Announce::Nothing => {}
            }
            if let Some(data) = socket.pongs.pop_front() {
                let class = exchange.class();
                self.schedule.ready(key, class);
                return Some(Next::Message(Outbound::SocketData { id, entry, opcode: PONG, data }));
            }
            let next = match &mut socket.source {
                Source::WebSocket(reader) => reader.next(),
                Source::Raw { chunks, waiting } => Ok(Self::take_chunk(chunks, MAX_CHUNK - 1).map(|(data, _)| {
                    *waiting -= data.len();
                    Message { opcode: BINARY, payload: Payload::Whole(data) }
                })),
            };
            let held = socket.held();
            let mut freed = exchange.held.saturating_sub(held);
            exchange.held = held;
            let message = match next {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.budget.give(Way::Answer, freed);
                    return self.end_of_socket(key, id, entry);
                }
                Err(violation) => {
                    self.budget.give(Way::Answer, freed);
                    self.fail(
                        key,
                        match violation {
                            Violation::Protocol => UpstreamError::Broken("the backend does not speak WebSocket as it should"),
                            Violation::TooLarge => UpstreamError::TooLarge,
                        },
                    );
                    return self.end_of_socket(key, id, entry);
                }
            };
            // A large message is held until it is written.
            let large = match &message.payload {
                Payload::Blocks(_, length) => *length,
                Payload::Whole(_) => 0,
            };
            let large = large.min(freed);
            freed -= large;
            self.budget.give(Way::Answer, freed);
            if let Some(next) = self.pass_on(key, &id, entry, message, large) {
                if let Some(exchange) = self.exchanges.get(&key) {
                    self.schedule.ready(key, exchange.class());
                }
                self.allow_read(key);
                return Some(next);
            }
            // An answer to a ping that found no room ends the exchange, and why comes before the end.
            if !self.notices.is_empty() {
                if let Some(exchange) = self.exchanges.get(&key) {
                    self.schedule.ready(key, exchange.class());
                }
                return None;
            }
        }
    }

    /// The message that the plane gets for one of the backend, if any.
    fn pass_on(&mut self, key: Key, id: &Arc<str>, entry: Entry, message: Message, held: usize) -> Option<Next> {
        let (now, opcode) = (self.now, message.opcode);
        let data = match message.payload {
            Payload::Whole(data) => data,
            Payload::Blocks(blocks, length) => {
                self.note_sent(key, length, now);
                let writer = MessageWriter::socket(id.clone(), entry, opcode, blocks);
                return Some(Next::Large(Writing { writer, held }));
            }
        };
        match opcode {
            CLOSE => {
                self.on_backend_close(key, &data);
                return None;
            }
            // Answered here as well: a plane that does not pass pings on would have the backend believe that all is over.
            PING => self.send_pong(key, &data),
            PONG if *data == *KEEP_ALIVE => return None,
            _ => {}
        }
        // The entry without an answer has no word for these either.
        if entry == Entry::Start && matches!(opcode, PING | PONG) {
            return None;
        }
        self.note_sent(key, data.len(), now);
        Some(Next::Message(Outbound::SocketData { id: id.clone(), entry, opcode, data }))
    }

    fn note_sent(&mut self, key: Key, bytes: usize, now: crate::time::Instant) {
        if let Some(Answer::Upgraded(socket)) = self.exchanges.get_mut(&key).map(|exchange| &mut exchange.answer) {
            socket.sent(bytes, now);
        }
    }

    /// Nothing is waiting: the end, where it has come.
    fn end_of_socket(&mut self, key: Key, id: Arc<str>, entry: Entry) -> Option<Next> {
        let exchange = self.exchanges.get_mut(&key)?;
        let silent = match &exchange.answer {
            Answer::Upgraded(socket) if socket.ended => Some(socket.silent_end()),
            Answer::Upgraded(_) | Answer::Streamed { .. } | Answer::Buffered { .. } => None,
        };
        let (code, reason) = match (exchange.ending.take(), silent) {
            (Some(Ending::Closed(code, reason)), _) => (code, reason),
            (Some(Ending::Failed(error, code)), _) => (code, error),
            (Some(Ending::Complete), _) => (1000, String::new()),
            (None, Some(end)) => end,
            (None, None) => {
                self.allow_read(key);
                return None;
            }
        };
        if exchange.finishing {
            self.linger(key);
        } else {
            self.forget(key);
        }
        Some(Next::Message(Outbound::SocketClose { id, entry, code, reason }))
    }
}

fn buffered(id: Arc<str>, ending: Ending, answer: Option<(Head, alloc::collections::VecDeque<Vec<u8>>)>, held: usize) -> Next {
    let error: String = match (ending, answer) {
        (Ending::Complete, Some(((status, headers), blocks))) => {
            return Next::Large(Writing { writer: MessageWriter::response(id, status, headers, blocks), held });
        }
        (Ending::Complete | Ending::Closed(..), _) => "broken: the backend ended without an answer".into(),
        (Ending::Failed(error, _), _) => error,
    };
    Next::Message(Outbound::Error { id, error })
}
