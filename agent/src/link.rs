//! The socket to the plane: WebSocket frames over a byte stream.
//!
//! Owns the buffers of the connection and when they are filled and emptied. Does not own what is in the messages, and never waits
//! for anything but the network.

pub(crate) mod ahead;
mod frame;
mod pipe;
pub(crate) mod socket;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pipeops_agent_core::session::{Attempt, Beat, Failure};
use pipeops_agent_core::wire::Piece;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::{ClientHandshake, Request, Response};
use tungstenite::protocol::{WebSocket, WebSocketConfig};
use tungstenite::{Error, Message};

use self::pipe::Pipe;
use self::socket::Socket;
use crate::logger::traffic;

/// The largest message that is taken from the plane, and the largest frame.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// More is written into the outgoing buffer only while less than this waits in it.
const HIGH_WATER: usize = 64 * 1024;
/// With so much waiting to be written, nothing is read: answers to pings come on top of what is made here.
const MOST_WAITING: usize = 1024 * 1024;
/// One read from the network.
const READ: usize = 16 * 1024;
/// A buffer that had to grow beyond this is given back when it is empty.
const KEEP: usize = 128 * 1024;

/// A connection to the plane that has been upgraded.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) attempt: Attempt,
    socket: Socket,
    websocket: WebSocket<Pipe>,
    /// Where the network's bytes land first. Zeroed once: clearing memory for each look at the socket costs more than the copy.
    landing: Box<[u8]>,
    /// Bytes of the outgoing buffer that the network has.
    written: usize,
    /// All bytes that the network ever got.
    total: u64,
    /// All bytes that ever came from it, behind the upgrade.
    received: u64,
    /// The socket holds bytes that it was not yet asked to flush.
    unflushed: bool,
    /// Heartbeats in the outgoing buffer, and where they end.
    beats: VecDeque<(u64, Beat)>,
}

/// What came of a turn.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Bytes arrived: call [`Link::next_message`].
    Arrived,
    /// The outgoing buffer has room again, or a heartbeat has left.
    Room,
    /// The connection is over.
    Ended(Failure),
}

impl Link {
    /// Upgrades `socket`, and gives the head of the answer as well.
    ///
    /// # Errors
    /// What the server answered instead, or why there was no answer.
    pub(crate) async fn upgrade(
        attempt: Attempt,
        mut socket: Socket,
        request: Request,
    ) -> Result<(Self, Response), UpgradeError> {
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(4 * 1024)
            .max_write_buffer_size(1024 * 1024)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let shown = |headers: &tungstenite::http::HeaderMap| {
            traffic::headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
        };
        log::trace!(
            direction = "out", path = traffic::address(&request.uri().to_string()), headers = shown(request.headers());
            "Upgrade request to the control plane"
        );
        let mut landing = vec![0; READ].into_boxed_slice();
        let mut middle = ClientHandshake::start(Pipe::default(), request, Some(config)).map_err(UpgradeError::Handshake)?;
        let (websocket, response) = loop {
            middle = match middle.handshake() {
                Ok((websocket, answer)) => {
                    log::trace!(direction = "in", status = 101, headers = shown(answer.headers()); "Upgrade answer of the control plane");
                    break (websocket, answer);
                }
                Err(HandshakeError::Failure(error)) => {
                    if let Error::Http(answer) = &error {
                        let status = answer.status().as_u16();
                        log::trace!(direction = "in", status = status, headers = shown(answer.headers()); "Upgrade answer of the control plane");
                    }
                    return Err(UpgradeError::Handshake(error));
                }
                Err(HandshakeError::Interrupted(middle)) => middle,
            };
            let pipe = middle.get_mut().get_mut();
            if !pipe.output.is_empty() {
                if let Err(error) = write_out(&mut socket, &pipe.output).await {
                    // A server that refuses a certificate says so and closes: its words are worth more than the broken pipe.
                    let read = core::future::poll_fn(|context| read_into(&mut socket, context, &mut landing, &mut pipe.input));
                    return Err(UpgradeError::Io(read.await.err().filter(crate::tls::is_tls).unwrap_or(error)));
                }
                pipe.output.clear();
            }
            pipe.compact();
            let read = core::future::poll_fn(|context| read_into(&mut socket, context, &mut landing, &mut pipe.input)).await;
            if read.map_err(UpgradeError::Io)? == 0 {
                return Err(UpgradeError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        };
        let beats = VecDeque::new();
        let link = Self { attempt, socket, websocket, landing, written: 0, total: 0, received: 0, unflushed: false, beats };
        Ok((link, response))
    }

    /// The address that this end has.
    pub(crate) fn local_address(&self) -> Option<std::net::IpAddr> {
        self.socket.local_address()
    }

    /// Whether there is room for another frame.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting() < HIGH_WATER
    }

    /// Bytes that the network has got, and bytes that came from it.
    pub(crate) const fn moved(&self) -> (u64, u64) {
        (self.total, self.received)
    }

    /// Bytes that wait for the network.
    pub(crate) fn waiting(&self) -> usize {
        self.websocket.get_ref().output.len() - self.written
    }

    /// Puts one frame of a text message into the outgoing buffer. `beat` is told by [`Link::beat_left`] when it has left.
    pub(crate) fn push_text(&mut self, piece: Piece, payload: &[u8], beat: Option<Beat>) {
        frame::push_text(piece, payload, &mut self.websocket.get_mut().output);
        if let Some(beat) = beat {
            let end = self.total.saturating_add(u64::try_from(self.waiting()).unwrap_or(u64::MAX));
            self.beats.push_back((end, beat));
        }
    }

    /// Puts a ping frame into the outgoing buffer.
    pub(crate) fn push_ping(&mut self) {
        frame::push_ping(&mut self.websocket.get_mut().output);
    }

    /// The next heartbeat that has left for the network.
    pub(crate) fn beat_left(&mut self) -> Option<Beat> {
        let (end, beat) = *self.beats.front()?;
        if end > self.total {
            return None;
        }
        self.beats.pop_front();
        Some(beat)
    }

    /// The next message that is complete; `None` when more must arrive first.
    ///
    /// # Errors
    /// Why the connection is over.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, Failure> {
        match self.websocket.read() {
            Ok(Message::Close(frame)) => {
                let (code, reason) = frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                Err(Failure::Closed { code, reason })
            }
            Ok(message) => Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.websocket.get_mut().compact();
                // Answers to pings are queued by the read and written by the flush.
                match self.websocket.flush() {
                    Ok(()) => Ok(None),
                    Err(error) => Err(protocol_failure(&error)),
                }
            }
            Err(error) => Err(protocol_failure(&error)),
        }
    }

    /// Moves bytes until something happens. Nothing is lost when it is dropped half-way.
    pub(crate) async fn turn(&mut self) -> Turn {
        core::future::poll_fn(|context| self.poll_turn(context)).await
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        let full = !self.has_room();
        match self.poll_write_out(context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Turn::Ended(transport_failure(&error))),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        if (full && self.has_room()) || self.beats.front().is_some_and(|(end, _)| *end <= self.total) {
            return Poll::Ready(Turn::Room);
        }
        if self.waiting() > MOST_WAITING {
            // A server that asks and does not listen: every ping of its would leave an answer here.
            return Poll::Pending;
        }
        match ready!(read_into(&mut self.socket, context, &mut self.landing, &mut self.websocket.get_mut().input)) {
            Ok(0) => Poll::Ready(Turn::Ended(Failure::Closed { code: 1006, reason: String::new() })),
            Ok(count) => {
                self.received = self.received.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                Poll::Ready(Turn::Arrived)
            }
            Err(error) => Poll::Ready(Turn::Ended(transport_failure(&error))),
        }
    }

    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut self.websocket.get_mut().output;
        while let Some(bytes) = output.get(self.written..).filter(|bytes| !bytes.is_empty()) {
            let count = ready!(Pin::new(&mut self.socket).poll_write(context, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.total = self.total.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            self.unflushed = true;
        }
        output.clear();
        if output.capacity() > KEEP {
            output.shrink_to(READ);
        }
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection: writes what waits and a close frame, then listens until the server has closed as well. Bounded by the
    /// caller.
    pub(crate) async fn close(mut self, code: u16) {
        frame::push_close(code, &mut self.websocket.get_mut().output);
        if core::future::poll_fn(|context| self.poll_write_out(context)).await.is_err() {
            return;
        }
        loop {
            let pipe = self.websocket.get_mut();
            let read =
                core::future::poll_fn(|context| read_into(&mut self.socket, context, &mut self.landing, &mut pipe.input)).await;
            if !matches!(read, Ok(1..)) {
                break;
            }
            // What still arrives is not wanted, only the end of it.
            while let Ok(Some(_)) = self.next_message() {}
            if !self.websocket.can_read() || self.next_message().is_err() {
                break;
            }
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut self.socket).await;
    }
}

async fn write_out(socket: &mut Socket, bytes: &[u8]) -> io::Result<()> {
    tokio::io::AsyncWriteExt::write_all(socket, bytes).await?;
    tokio::io::AsyncWriteExt::flush(socket).await
}

/// One read, appended to `input`.
fn read_into(socket: &mut Socket, context: &mut Context<'_>, landing: &mut [u8], input: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(landing);
    ready!(Pin::new(socket).poll_read(context, &mut buffer))?;
    input.extend_from_slice(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Why an upgrade failed.
#[derive(Debug)]
pub(crate) enum UpgradeError {
    Io(io::Error),
    Handshake(Error),
}

/// The failure of a connection whose transport broke. An end without a close frame is what people know as 1006.
fn transport_failure(error: &io::Error) -> Failure {
    let reason = if error.kind() == io::ErrorKind::UnexpectedEof { String::new() } else { error.to_string() };
    Failure::Closed { code: 1006, reason }
}

fn protocol_failure(error: &Error) -> Failure {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Failure::Closed { code: 1006, reason: String::new() },
        Error::Capacity(_) => broken(format!("the control plane sent a message of more than {MAX_MESSAGE} bytes")),
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::WriteBufferFull(_)
        | Error::Utf8(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => broken(format!("the control plane broke the WebSocket protocol: {error}")),
    }
}

/// A connection that was up: the operator can do nothing about it.
const fn broken(text: String) -> Failure {
    Failure::Transport { text, hint: None }
}
