//! One exchange: what it holds and where it stands.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

use super::Open;
use super::counters::{Outcome, Traffic};
use super::schedule::Class;
use super::socket::{Socket, Upgrading};
use crate::message::{Entry, Header};
use crate::policy::is_hop_by_hop;
use crate::time::Instant;
use crate::wire::BLOCK;

/// An answer that has sent more than this is bulk.
pub(super) const BULK_AFTER: u64 = 128 * 1024;

/// What a piece costs beside its bytes: its place in a queue and the memory around it. Without it, a peer that sends single bytes
/// could have a hundred times the ceiling held for it.
pub(crate) const OVERHEAD: usize = 128;

/// The least that a read is for.
pub(super) const LEAST_READ: usize = 1024;

/// What the budget is asked for `length` bytes in one piece.
pub(super) const fn cost(length: usize) -> usize {
    length.saturating_add(OVERHEAD)
}

/// Status and headers that wait to be sent.
pub(super) type Head = (u16, Vec<Header>);

#[derive(Debug)]
pub(super) enum Answer {
    /// Goes out in parts as it comes.
    Streamed { head: Option<Head>, chunks: VecDeque<Bytes>, sent: u64 },
    /// Is collected and goes out as one message.
    Buffered { head: Option<Head>, blocks: VecDeque<Vec<u8>> },
    /// The connection speaks another protocol now, both ways.
    Upgraded(Box<Socket>),
}

/// How an exchange ended on the backend's side.
#[derive(Debug)]
pub(super) enum Ending {
    Complete,
    /// The text for the plane, and the close code where the exchange was upgraded.
    Failed(String, u16),
    /// An upgraded connection was closed, with this code and reason.
    Closed(u16, String),
}

/// The state of a request body that comes in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    /// More may come.
    Open,
    /// Nothing more is expected or wanted.
    Closed,
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) id: Arc<str>,
    /// By which message it began.
    pub(super) entry: Entry,
    pub(super) answer: Answer,
    pub(super) head_seen: bool,
    pub(super) upload: Upload,
    /// What is taken from the budget for a permission to read that the shell has not used; 0 when it has none.
    pub(super) reserved: usize,
    /// The most bytes that the next permission is for.
    pub(super) next_read: usize,
    /// In line for budget.
    pub(super) starved: bool,
    /// Taken from the budget for answer bytes.
    pub(super) held: usize,
    /// Taken from the budget for request bytes.
    pub(super) uploading: usize,
    /// Taken from the budget for the id and the request's head, until the backend has answered.
    pub(super) heading: usize,
    pub(super) deadline: Instant,
    /// The deadline is ours and ends with the answer's head, rather than the plane's, which is for everything.
    pub(super) deadline_is_default: bool,
    pub(super) ending: Option<Ending>,
    /// What it is counted as; `None` where no backend is asked.
    pub(super) traffic: Option<Traffic>,
    pub(super) outcome: Option<Outcome>,
    /// What to open once the announced binary body is there, and the deadline that counts from then on.
    pub(super) awaiting: Option<Box<Open>>,
    pub(super) after_binary: (Instant, bool),
    /// The upgrade that was asked for, until the backend has answered.
    pub(super) upgrading: Option<Box<Upgrading>>,
    /// The shell was told to finish the connection by itself.
    pub(super) finishing: bool,
}

impl Exchange {
    pub(super) const fn is_streamed(&self) -> bool {
        matches!(self.answer, Answer::Streamed { .. })
    }

    /// Whether the plane may send frames to it.
    pub(super) const fn is_socket(&self) -> bool {
        self.upgrading.is_some() || matches!(self.answer, Answer::Upgraded(_))
    }

    pub(super) fn class(&self) -> Class {
        match &self.answer {
            Answer::Streamed { sent, .. } if *sent > BULK_AFTER => Class::Bulk,
            Answer::Streamed { .. } | Answer::Buffered { .. } => Class::Answer,
            Answer::Upgraded(socket) => socket.class(),
        }
    }

    /// Whether another piece of the answer may be read, as far as this exchange goes.
    pub(super) fn wants_piece(&self, window: usize) -> bool {
        if self.reserved > 0 || self.ending.is_some() || !self.head_seen {
            return false;
        }
        match &self.answer {
            Answer::Streamed { .. } => self.held < window,
            Answer::Buffered { .. } => true,
            Answer::Upgraded(socket) => socket.wants_piece(window),
        }
    }

    /// Whether it holds bytes that are of no use without more: such an exchange may wait for budget only while something is on its
    /// way out, because two of them could wait for each other for ever.
    pub(super) fn is_incomplete(&self) -> bool {
        match &self.answer {
            Answer::Streamed { .. } => false,
            Answer::Buffered { .. } => self.held > 0,
            Answer::Upgraded(socket) => socket.is_assembling(),
        }
    }

    /// Gives it an answer of the agent's own, in JSON, which is counted already.
    pub(super) fn put_own_answer(&mut self, status: u16, body: Vec<u8>) {
        self.head_seen = true;
        let answer = (status, Vec::from([Header { name: "Content-Type".into(), value: "application/json".into() }]));
        match &mut self.answer {
            Answer::Streamed { head, chunks, .. } => {
                *head = Some(answer);
                chunks.push_back(body.into());
            }
            Answer::Buffered { head, blocks } => {
                *head = Some(answer);
                blocks.push_back(body);
            }
            Answer::Upgraded(_) => {}
        }
    }

    /// Learns from what a read gave how much the next one is likely to give, so that an idle exchange reserves little.
    pub(super) fn size_next_read(&mut self, given: usize, most: usize) {
        let guess = given.saturating_mul(2).checked_next_power_of_two().unwrap_or(most);
        self.next_read = guess.clamp(LEAST_READ.min(most), most);
    }
}

/// Appends `data` to blocks of [`BLOCK`] bytes. The bytes are copied: a slice would keep alive the whole buffer that it was cut from.
pub(crate) fn collect(blocks: &mut VecDeque<Vec<u8>>, data: &[u8]) {
    let mut rest = data;
    while !rest.is_empty() {
        if blocks.back().is_none_or(|block| block.len() == BLOCK) {
            // The first block grows as needed, because most answers are small; the others are filled.
            blocks.push_back(if blocks.is_empty() { Vec::new() } else { Vec::with_capacity(BLOCK) });
        }
        let Some(block) = blocks.back_mut() else {
            return;
        };
        let (now, later) = rest.split_at(rest.len().min(BLOCK - block.len()));
        block.extend_from_slice(now);
        rest = later;
    }
}

/// The headers of an answer without those of the hop that it came over.
pub(super) fn answer_headers(headers: Vec<Header>) -> Vec<Header> {
    if !headers.iter().any(|header| is_hop_by_hop(&header.name, &headers)) {
        return headers;
    }
    headers.iter().filter(|header| !is_hop_by_hop(&header.name, &headers)).cloned().collect()
}
