//! What goes out next.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::exchange::{Answer, Ending};
use super::{Key, Streams};
use crate::message::Outbound;
use crate::wire::{Base64, MAX_CHUNK, Piece, ResponseWriter, encode};

/// A buffered answer on its way out in several frames.
#[derive(Debug)]
pub(super) struct Writing {
    writer: ResponseWriter,
    /// Bytes of the answer that are still taken from the budget.
    pub(super) held: usize,
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
        if let Some(mut writing) = self.writing.take() {
            return Some(self.write_on(&mut writing, stamp, base64, out).unwrap_or_else(|piece| {
                self.writing = Some(writing);
                piece
            }));
        }
        if let Some(notice) = self.notices.pop_front() {
            encode(&notice, stamp, base64, out);
            return Some(Piece::WHOLE);
        }
        while let Some(key) = self.schedule.next() {
            match self.next_of(key) {
                Some(Next::Message(message)) => {
                    encode(&message, stamp, base64, out);
                    return Some(Piece::WHOLE);
                }
                Some(Next::Buffered(mut writing)) => {
                    return Some(self.write_on(&mut writing, stamp, base64, out).unwrap_or_else(|piece| {
                        self.writing = Some(writing);
                        piece
                    }));
                }
                None => {}
            }
        }
        None
    }

    /// Writes one frame. `Ok` when the message is complete, `Err` when there is more of it.
    fn write_on(&mut self, writing: &mut Writing, stamp: &str, base64: Base64, out: &mut Vec<u8>) -> Result<Piece, Piece> {
        let (piece, taken) = writing.writer.write(stamp, base64, out);
        let taken = taken.min(writing.held);
        writing.held -= taken;
        self.budget.give(taken);
        if piece.last {
            self.budget.give(core::mem::take(&mut writing.held));
            Ok(piece)
        } else {
            Err(piece)
        }
    }

    /// The next message of one exchange, which is put back in line when it has more.
    fn next_of(&mut self, key: Key) -> Option<Next> {
        let exchange = self.exchanges.get_mut(&key)?;
        let id = exchange.id.clone();
        match &mut exchange.answer {
            Answer::Streamed { head, chunks, queued, sent, head_sent } => {
                if let Some((status, headers)) = head.take() {
                    *head_sent = true;
                    let class = exchange.class();
                    self.schedule.ready(key, class);
                    return Some(Next::Message(Outbound::ResponseHead { id, status, headers }));
                }
                if let Some(mut data) = chunks.pop_front() {
                    let chunk = data.split_to(data.len().min(MAX_CHUNK));
                    if !data.is_empty() {
                        chunks.push_front(data);
                    }
                    *queued -= chunk.len();
                    *sent = sent.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                    exchange.held -= chunk.len();
                    self.budget.give(chunk.len());
                    let more = !chunks.is_empty() || exchange.ending.is_some();
                    let class = exchange.class();
                    if more {
                        self.schedule.ready(key, class);
                    }
                    self.allow_read(key);
                    return Some(Next::Message(Outbound::ResponseChunk { id, data: chunk }));
                }
                let ending = exchange.ending.take()?;
                self.forget(key);
                Some(Next::Message(match ending {
                    Ending::Complete => Outbound::ResponseEnd { id },
                    Ending::Failed(error) => Outbound::ResponseAbort { id, error },
                }))
            }
            Answer::Buffered { head, blocks } => {
                let ending = exchange.ending.take()?;
                let answer = head.take().zip(Some(core::mem::take(blocks)));
                let held = core::mem::take(&mut exchange.held);
                self.forget(key);
                Some(buffered(id, ending, answer, held))
            }
        }
    }
}

enum Next {
    Message(Outbound),
    Buffered(Writing),
}

fn buffered(
    id: Arc<str>,
    ending: Ending,
    answer: Option<(super::exchange::Head, alloc::collections::VecDeque<Vec<u8>>)>,
    held: usize,
) -> Next {
    let error: String = match (ending, answer) {
        (Ending::Complete, Some(((status, headers), blocks))) => {
            return Next::Buffered(Writing { writer: ResponseWriter::new(id, status, headers, blocks), held });
        }
        (Ending::Complete, None) => "broken: the backend ended without an answer".into(),
        (Ending::Failed(error), _) => error,
    };
    Next::Message(Outbound::Error { id, error })
}
