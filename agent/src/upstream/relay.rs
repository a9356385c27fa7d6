//! A connection that has changed its protocol: bytes both ways, as the machines order.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use pipeops_agent_core::streams::{Input, Key, UpstreamError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Reports;
use super::orders::Orders;
use crate::link::socket::Socket;

/// The most bytes of one read.
const READ: usize = 16 * 1024;
/// Reads of what nobody wants, before others get their turn.
const DISCARDS: usize = 16;

/// Where bytes land first. One for all connections, because most of them are idle and each would need one of its own.
#[derive(Debug)]
pub(super) struct Landing(Mutex<Box<[u8]>>);

impl Default for Landing {
    fn default() -> Self {
        Self(Mutex::new(vec![0; READ].into_boxed_slice()))
    }
}

/// Moves the bytes of one connection.
pub(super) struct Relay {
    key: Key,
    socket: Socket,
    /// What was read of the new protocol together with the last of the old one.
    early: Bytes,
    orders: Arc<Orders>,
    landing: Arc<Landing>,
    reports: Reports,
    /// The piece that is being written, and how much of it has gone.
    piece: Bytes,
    written: usize,
    writing: Writing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Open,
    /// Written bytes may still be in a buffer of the socket.
    Unflushed,
    /// Everything is written; the socket is being told that no more will come.
    Ending,
    /// Nothing more can or shall be written.
    Done,
}

impl Relay {
    pub(super) fn new(
        key: Key,
        (socket, early): (Socket, Bytes),
        orders: Arc<Orders>,
        landing: Arc<Landing>,
        reports: Reports,
    ) -> Self {
        let writing = Writing::Open;
        Self { key, socket, early, orders, landing, reports, piece: Bytes::new(), written: 0, writing }
    }

    /// Runs until the backend has nothing more to say.
    pub(super) async fn run(mut self) -> Result<(), UpstreamError> {
        core::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        if let Poll::Ready(Err(_)) = self.poll_write(context) {
            // What the backend said before it stopped listening is still to be read, and its end with it.
            self.writing = Writing::Done;
            let _ = self.poll_write(context);
        }
        self.poll_read(context)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.piece.is_empty() && self.writing != Writing::Done {
                let rest = self.piece.get(self.written..).unwrap_or_default();
                let count = ready!(Pin::new(&mut self.socket).poll_write(context, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += count;
                self.writing = Writing::Unflushed;
                if self.written < self.piece.len() {
                    continue;
                }
            }
            self.tell_consumed();
            if self.writing == Writing::Ending {
                ready!(Pin::new(&mut self.socket).poll_shutdown(context))?;
                self.writing = Writing::Done;
            }
            match self.orders.poll_piece(context) {
                Poll::Ready(Some(piece)) => self.piece = piece,
                Poll::Ready(None) if self.writing == Writing::Done => return Poll::Ready(Ok(())),
                Poll::Ready(None) => self.writing = Writing::Ending,
                Poll::Pending => {
                    if self.writing == Writing::Unflushed {
                        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
                        self.writing = Writing::Open;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn tell_consumed(&mut self) {
        let piece = core::mem::take(&mut self.piece);
        self.written = 0;
        if !piece.is_empty() {
            let _ = self.reports.send(Input::Consumed { key: self.key, bytes: piece.len() });
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        for _ in 0..DISCARDS {
            let finishing = self.orders.is_finishing();
            let limit = if finishing { READ } else { ready!(self.orders.poll_permitted(context)) };
            let data = if self.early.is_empty() {
                let landing = self.landing.clone();
                let mut landing = landing.0.lock().unwrap_or_else(PoisonError::into_inner);
                let room = limit.min(landing.len());
                let mut buffer = ReadBuf::new(landing.get_mut(..room).unwrap_or_default());
                match ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer)) {
                    Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                    Ok(()) => Bytes::copy_from_slice(buffer.filled()),
                    // A TLS peer that ends without saying so; what that means is for the machines to decide.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(())),
                    Err(_) => return Poll::Ready(Err(UpstreamError::Broken("the backend broke off"))),
                }
            } else {
                self.early.split_to(limit.min(self.early.len()))
            };
            if !finishing {
                self.orders.used();
                let _ = self.reports.send(Input::Data { key: self.key, data });
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
