//! Writing a large message in pieces, each the payload of one frame.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::encode::{close, open, push_response_start, response_end};
use super::{Base64, socket};
use crate::message::{Entry, Header};

/// Bytes of a body that go into one piece: a multiple of three, so that the base64 of the pieces joins up.
pub const BLOCK: usize = 48 * 1024;

/// Where a piece stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Nothing of the message came before.
    pub first: bool,
    /// Nothing of the message comes after.
    pub last: bool,
}

impl Piece {
    /// A message in one piece.
    pub const WHOLE: Self = Self { first: true, last: true };
}

/// Writes a message with a large body in pieces of at most [`BLOCK`] body bytes. So the body is in memory once, as the bytes that
/// came from the backend, and never a second time as text.
#[derive(Debug)]
pub struct MessageWriter {
    /// Blocks of exactly [`BLOCK`] bytes, but for the last one.
    blocks: VecDeque<Vec<u8>>,
    /// Taken by the first piece.
    start: Option<Start>,
    end: &'static [u8],
}

#[derive(Debug)]
enum Start {
    Response { id: Arc<str>, status: u16, headers: Vec<Header> },
    Socket { id: Arc<str>, entry: Entry, opcode: u8 },
}

impl MessageWriter {
    /// A writer for an answer whose body is `blocks`: all but the last exactly [`BLOCK`] bytes long.
    #[must_use]
    pub fn response(id: Arc<str>, status: u16, headers: Vec<Header>, blocks: VecDeque<Vec<u8>>) -> Self {
        let with_body = blocks.iter().any(|block| !block.is_empty());
        let end = response_end(with_body);
        Self { blocks, start: Some(Start::Response { id, status, headers }), end }
    }

    /// A writer for a frame of an upgraded connection: `blocks` as above, and the first byte in them is `opcode`.
    #[must_use]
    pub fn socket(id: Arc<str>, entry: Entry, opcode: u8, blocks: VecDeque<Vec<u8>>) -> Self {
        Self { blocks, start: Some(Start::Socket { id, entry, opcode }), end: b"\"}" }
    }

    /// Appends the next piece to `out`. Returns where it stands and how many bytes of the body it took.
    pub fn write(&mut self, stamp: &str, base64: Base64, out: &mut Vec<u8>) -> (Piece, usize) {
        let start = self.start.take();
        let first = start.is_some();
        match start {
            Some(Start::Response { id, status, headers }) => {
                open("proxy_response", Some(&id), out);
                push_response_start(status, &headers, self.blocks.iter().any(|block| !block.is_empty()), out);
            }
            Some(Start::Socket { id, entry, opcode }) => {
                open("proxy_websocket_data", Some(&id), out);
                socket::push_data_start(&id, entry, opcode, out);
            }
            None => {}
        }
        let block = self.blocks.pop_front().unwrap_or_default();
        base64.push(&block, out);
        let last = self.blocks.is_empty();
        if last {
            out.extend_from_slice(self.end);
            close(stamp, out);
        }
        (Piece { first, last }, block.len())
    }
}
