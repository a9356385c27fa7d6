//! One exchange: what it holds and where it stands.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

use super::Open;
use super::schedule::Class;
use crate::message::Header;
use crate::policy::is_hop_by_hop;
use crate::time::Instant;
use crate::wire::RESPONSE_BLOCK;

/// An answer that has sent more than this is bulk.
const BULK_AFTER: u64 = 128 * 1024;

/// Status and headers that wait to be sent.
pub(super) type Head = (u16, Vec<Header>);

#[derive(Debug)]
pub(super) enum Answer {
    /// Goes out in parts as it comes.
    Streamed { head: Option<Head>, chunks: VecDeque<Bytes>, queued: usize, sent: u64, head_sent: bool },
    /// Is collected and goes out as one message.
    Buffered { head: Option<Head>, blocks: VecDeque<Vec<u8>> },
}

/// How an exchange ended on the backend's side.
#[derive(Debug)]
pub(super) enum Ending {
    Complete,
    Failed(String),
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
    pub(super) answer: Answer,
    pub(super) head_seen: bool,
    pub(super) upload: Upload,
    /// The shell has a permission to read that it has not used, for which a piece is reserved.
    pub(super) reading: bool,
    /// In line for budget.
    pub(super) starved: bool,
    /// Answer bytes taken from the budget.
    pub(super) held: usize,
    /// Request bytes taken from the budget.
    pub(super) uploading: usize,
    pub(super) deadline: Instant,
    /// The deadline is ours and ends with the answer's head, rather than the plane's, which is for everything.
    pub(super) deadline_is_default: bool,
    pub(super) ending: Option<Ending>,
    /// What to open once the announced binary body is there, and the deadline that counts from then on.
    pub(super) awaiting: Option<Box<Open>>,
    pub(super) after_binary: (Instant, bool),
}

impl Exchange {
    pub(super) const fn is_streamed(&self) -> bool {
        matches!(self.answer, Answer::Streamed { .. })
    }

    pub(super) const fn class(&self) -> Class {
        match self.answer {
            Answer::Streamed { sent, .. } if sent > BULK_AFTER => Class::Bulk,
            Answer::Streamed { .. } | Answer::Buffered { .. } => Class::Answer,
        }
    }

    /// Whether another piece of the answer may be read, as far as this exchange goes.
    pub(super) const fn wants_piece(&self, window: usize) -> bool {
        if self.reading || self.ending.is_some() || !self.head_seen {
            return false;
        }
        match self.answer {
            Answer::Streamed { queued, .. } => queued < window,
            Answer::Buffered { .. } => true,
        }
    }
}

/// Appends `data` to blocks of [`RESPONSE_BLOCK`] bytes. The bytes are copied: a slice would keep alive the whole buffer that it
/// was cut from.
pub(super) fn collect(blocks: &mut VecDeque<Vec<u8>>, data: &[u8]) {
    let mut rest = data;
    while !rest.is_empty() {
        if blocks.back().is_none_or(|block| block.len() == RESPONSE_BLOCK) {
            // The first block grows as needed, because most answers are small; the others are filled.
            blocks.push_back(if blocks.is_empty() { Vec::new() } else { Vec::with_capacity(RESPONSE_BLOCK) });
        }
        let Some(block) = blocks.back_mut() else {
            return;
        };
        let (now, later) = rest.split_at(rest.len().min(RESPONSE_BLOCK - block.len()));
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
