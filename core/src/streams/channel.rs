//! Upgraded connections: how they begin, the plane's frames on their way to the backend, pings, and the ends.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

use super::exchange::{Answer, Ending, answer_headers};
use super::socket::{Announce, Socket, Source, Upgrading};
use super::upgrade::{Protocol, is_channel_family};
use super::{Event, Key, Outcome, Output, Streams, UpstreamError};
use crate::budget::Way;
use crate::message::{Entry, Header, Outbound, SocketAddress};
use crate::websocket::{self, BINARY, CLOSE, MAX_CONTROL, PING, PONG, Reader, TEXT};
use crate::wire::OPCODES;

/// What the agent's own pings carry, so that their answers are known and kept from the plane.
pub(super) const KEEP_ALIVE: &[u8] = b"pipeops-agent";

/// The first read of an upgraded connection is for so much: most say little at a time.
const FIRST_READ: usize = 4 * 1024;

impl Streams {
    /// The backend has changed the protocol.
    pub(super) fn on_upgraded(&mut self, key: Key, upgrading: Upgrading, headers: Vec<Header>) {
        let Upgrading { protocol, may_translate, to_service, early, head_data } = upgrading;
        let named = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let chosen = named("sec-websocket-protocol").map_or("", |header| header.value.trim());
        let translate = may_translate && is_channel_family(chosen);
        let token = named("upgrade").map_or("", |header| header.value.trim());
        let (source, token) = match &protocol {
            Protocol::WebSocket => (Source::WebSocket(Reader::new(self.limits.message, translate)), "websocket"),
            Protocol::Other(asked) => {
                let token = if token.is_empty() { asked.as_str() } else { token };
                (Source::Raw { chunks: VecDeque::new(), waiting: 0 }, token)
            }
        };
        let mut told = answer_headers(headers.clone());
        // Extensions are not offered, so none is agreed on, whatever the backend says.
        told.retain(|header| !header.name.eq_ignore_ascii_case("sec-websocket-extensions"));
        told.push(Header { name: "Connection".into(), value: "Upgrade".into() });
        told.push(Header { name: "Upgrade".into(), value: token.into() });
        let now = self.now;
        let (ping, most) = (now + self.limits.ping, self.limits.piece);
        let Some(exchange) = self.exchanges.get_mut(&key) else { return };
        let announce = match (exchange.entry, exchange.is_streamed()) {
            (Entry::Start, _) => Announce::Nothing,
            (Entry::Request, true) => Announce::Streamed((101, told)),
            (Entry::Request, false) => Announce::Buffered((101, told)),
        };
        let mut socket = Socket::new(announce, source, translate, now);
        socket.to_service = to_service;
        // What stands between here and a service may end the connection when it is quiet.
        if to_service {
            socket.next_ping = Some(ping);
            self.pings.insert((ping, key));
        }
        exchange.answer = Answer::Upgraded(alloc::boxed::Box::new(socket));
        exchange.next_read = FIRST_READ.min(most);
        let class = exchange.class();
        self.schedule.ready(key, class);
        // What came before the answer, which is all that was taken so far, goes on in its order.
        let waited = core::mem::take(&mut exchange.uploading);
        self.budget.give(Way::Request, waited);
        if !head_data.is_empty() {
            self.send_head_data(key, head_data);
        }
        for (opcode, data) in early {
            self.send_frame(key, opcode, &data);
        }
        self.allow_read(key);
    }

    /// Whether the plane can be given an answer that is no upgrade.
    pub(super) fn has_answer(&self, key: Key) -> bool {
        self.exchanges.get(&key).is_some_and(|exchange| exchange.entry == Entry::Request)
    }

    pub(super) fn on_socket_data(&mut self, to: &SocketAddress, data: Option<Bytes>, message_type: Option<u8>) {
        let Some(key) = self.socket(to) else { return };
        let Some(exchange) = self.exchanges.get_mut(&key) else { return };
        if exchange.ending.is_some() {
            return;
        }
        let Some(data) = data else {
            return self.fail(key, UpstreamError::BadRequest("the frame is not base64"));
        };
        let (opcode, data) = match opcode(exchange.entry, data, message_type) {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => return self.fail(key, error),
        };
        let Some(upgrading) = &mut exchange.upgrading else {
            return self.send_frame(key, opcode, &data);
        };
        let length = data.len();
        upgrading.early.push_back((opcode, data));
        if !self.take_for_backend(key, length) {
            self.overflow(key);
        }
    }

    /// The upgraded connection, or the one that is to be, that a message means.
    fn socket(&self, to: &SocketAddress) -> Option<Key> {
        let find = |name: &String| self.ids.get(name.as_str()).copied();
        let entry = |key: &Key| self.exchanges.get(key).filter(|exchange| exchange.is_socket()).map(|exchange| exchange.entry);
        let stream = find(&to.stream).filter(|key| entry(key) == Some(Entry::Start));
        stream.or_else(|| [&to.request, &to.stream, &to.envelope].into_iter().filter_map(find).find(|key| entry(key).is_some()))
    }

    /// Passes a frame of the plane on.
    fn send_frame(&mut self, key: Key, opcode: u8, data: &[u8]) {
        let closing_until = self.now + self.limits.closing;
        let Some(exchange) = self.exchanges.get_mut(&key) else { return };
        let Answer::Upgraded(socket) = &mut exchange.answer else { return };
        if exchange.ending.is_some() || socket.closing || socket.ended {
            return;
        }
        if socket.is_raw() {
            match opcode {
                TEXT | BINARY => self.feed(key, Bytes::copy_from_slice(data)),
                CLOSE => {
                    socket.closing = true;
                    self.outputs.push_back(Output::FeedEnd { key });
                }
                PING if data.len() <= MAX_CONTROL => {
                    socket.progress.ask(Bytes::copy_from_slice(data));
                    self.tell_progress(key, 0);
                }
                _ => {}
            }
            return;
        }
        if opcode >= CLOSE && data.len() > MAX_CONTROL {
            return self.fail(key, UpstreamError::BadRequest("a control frame of more than 125 bytes"));
        }
        // The Kubernetes API closes its connection once all is written, and what reaches it after that costs the client what the
        // kernel has not passed on: of a large answer on a slow way, the end. So it is not asked what is known.
        let known = opcode == PING && !socket.to_service && exchange.uploading == 0 && socket.is_behind(self.now);
        if known && exchange.entry == Entry::Request {
            socket.answer_ping(Bytes::copy_from_slice(data));
            return self.schedule.ready(key, socket.class());
        }
        let (opcode, prefix): (u8, &[u8]) = if socket.translate && opcode == TEXT { (BINARY, &[0]) } else { (opcode, &[]) };
        if opcode == CLOSE {
            socket.closing = true;
            // Nobody waits for ever for the answer to a goodbye.
            let limited = self.deadlines.remove(&(exchange.deadline, key));
            exchange.deadline = if limited { exchange.deadline.min(closing_until) } else { closing_until };
            self.deadlines.insert((exchange.deadline, key));
        }
        self.feed_frame(key, opcode, prefix, data);
    }

    /// The backend has taken so many bytes more: answers the pings of the plane that lie behind them. Bytes have no pings of their own,
    /// so on a connection that is no WebSocket this is how a plane learns how far its backend is.
    pub(super) fn tell_progress(&mut self, key: Key, bytes: usize) {
        let Some(exchange) = self.exchanges.get_mut(&key) else { return };
        let Answer::Upgraded(socket) = &mut exchange.answer else { return };
        if !socket.is_raw() {
            return;
        }
        socket.progress.taken(bytes);
        while let Some(data) = socket.progress.next_answer() {
            socket.answer_ping(data);
            self.schedule.ready(key, socket.class());
        }
    }

    /// What the client sent behind its upgrade request: frames where it is frames, otherwise what it most likely means.
    fn send_head_data(&mut self, key: Key, data: Bytes) {
        let raw = matches!(self.exchanges.get(&key).map(|e| &e.answer), Some(Answer::Upgraded(socket)) if socket.is_raw());
        if raw || websocket::are_client_frames(&data) {
            return self.feed(key, data);
        }
        match data.first() {
            Some(opcode) if OPCODES.contains(opcode) => self.send_frame(key, *opcode, data.get(1..).unwrap_or_default()),
            _ => self.send_frame(key, if core::str::from_utf8(&data).is_ok() { TEXT } else { BINARY }, &data),
        }
    }

    pub(super) fn feed_frame(&mut self, key: Key, opcode: u8, prefix: &[u8], data: &[u8]) {
        let frame = self.frame(opcode, prefix, data);
        self.feed(key, frame);
    }

    /// A frame for a backend, with a mask of its own.
    fn frame(&mut self, opcode: u8, prefix: &[u8], data: &[u8]) -> Bytes {
        let [a, b, c, d, ..] = self.random.draw().to_ne_bytes();
        websocket::frame(opcode, prefix, data, [a, b, c, d]).into()
    }

    fn feed(&mut self, key: Key, data: Bytes) {
        let length = data.len();
        if length == 0 {
            return;
        }
        if !self.pass_to_backend(key, data) {
            return self.overflow(key);
        }
        if let Some(Answer::Upgraded(socket)) = self.exchanges.get_mut(&key).map(|exchange| &mut exchange.answer) {
            socket.progress.fed(length);
        }
    }

    /// The backend does not take what the plane sends: the plane is told, and the connection ended.
    fn overflow(&mut self, key: Key) {
        let Some(exchange) = self.exchanges.get(&key).filter(|exchange| exchange.ending.is_none()) else { return };
        self.notices.push(Outbound::Backpressure { id: exchange.id.clone() });
        self.fail(key, UpstreamError::Backpressure);
    }

    pub(super) fn on_socket_close(&mut self, to: &SocketAddress, code: Option<u16>, reason: &str) {
        let Some(key) = self.socket(to) else { return };
        let Some(exchange) = self.exchanges.get(&key) else { return };
        let (id, entry) = (exchange.id.clone(), exchange.entry);
        self.outputs.push_back(Output::Event(Event::Cancelled { id: id.clone() }));
        self.mark(key, Outcome::Cancelled);
        let code = code.unwrap_or(1000);
        if self.part(key, code, reason, false) {
            self.linger(key);
        } else {
            self.outputs.push_back(Output::Abort { key });
            self.forget(key);
        }
        // This entry's streams always end with a word of the agent's; the others only when it was the backend that ended.
        if entry == Entry::Start {
            self.notices.push(Outbound::SocketClose { id, entry, code: 1000, reason: String::new() });
        }
    }

    /// Lets the backend know that nothing more will come, and has the shell end the connection by itself. False where there is no
    /// connection, or no room for that.
    ///
    /// To the Kubernetes API nothing is said of its own accord, as its client has gone without a word: after a close frame it lets a
    /// command run on, at the bare end of the connection it ends it.
    fn part(&mut self, key: Key, code: u16, reason: &str, is_answer: bool) -> bool {
        let Some(exchange) = self.exchanges.get_mut(&key) else { return false };
        let Answer::Upgraded(socket) = &mut exchange.answer else { return false };
        if exchange.finishing {
            return true;
        }
        if exchange.ending.is_some() || socket.ended {
            return false;
        }
        let say = !core::mem::replace(&mut socket.closing, true) && !socket.is_raw() && (is_answer || socket.to_service);
        if say {
            let frame = self.frame(CLOSE, &[], &websocket::close_payload(code, reason));
            if !self.pass_to_backend(key, frame) {
                return false;
            }
        }
        if let Some(exchange) = self.exchanges.get_mut(&key) {
            exchange.finishing = true;
        }
        self.outputs.push_back(Output::Finish { key });
        true
    }

    /// As [`Self::part`], for a connection that the agent ends of its own.
    pub(super) fn say_goodbye(&mut self, key: Key) -> bool {
        self.part(key, 1001, "", false)
    }

    /// The backend has closed: its words are given back to it, as the protocol wants (RFC 6455, section 5.5.1), and to the plane.
    pub(super) fn on_backend_close(&mut self, key: Key, payload: &[u8]) {
        let (code, reason) = websocket::read_close(payload);
        if !self.part(key, code, &reason, true) {
            self.outputs.push_back(Output::Abort { key });
        }
        self.settle(key, Ending::Closed(code, reason));
    }

    /// Answers a ping.
    pub(super) fn send_pong(&mut self, key: Key, payload: &[u8]) {
        let closing = matches!(self.exchanges.get(&key).map(|e| &e.answer), Some(Answer::Upgraded(socket)) if socket.closing);
        if !closing {
            self.feed_frame(key, PONG, &[], payload);
        }
    }

    /// Pings connections that have been quiet, and gives up those that stay quiet.
    pub(super) fn send_pings(&mut self) {
        while let Some(&(at, key)) = self.pings.first() {
            if at > self.now {
                return;
            }
            self.pings.pop_first();
            let (now, limits) = (self.now, &self.limits);
            let Some(exchange) = self.exchanges.get_mut(&key) else { continue };
            let reading = exchange.reserved > 0;
            let Answer::Upgraded(socket) = &mut exchange.answer else { continue };
            // A backend that nobody reads may say what it likes: it is not quiet, and neither is one that has just begun to be read.
            let since = socket.heard.max(socket.asked);
            let quiet = if reading { now.since(since) } else { core::time::Duration::ZERO };
            if quiet >= limits.silence {
                socket.next_ping = None;
                self.fail(key, UpstreamError::Broken("the backend does not answer pings any more"));
                continue;
            }
            let due = quiet >= limits.ping;
            let next = if due || !reading { now + limits.ping } else { since + limits.ping };
            socket.next_ping = Some(next);
            self.pings.insert((next, key));
            if due && !socket.closing {
                self.feed_frame(key, PING, &[], KEEP_ALIVE);
            }
        }
    }

    pub(super) fn stop_pings(&mut self, key: Key) {
        if let Some(Answer::Upgraded(socket)) = self.exchanges.get_mut(&key).map(|exchange| &mut exchange.answer)
            && let Some(at) = socket.next_ping.take()
        {
            self.pings.remove(&(at, key));
        }
    }
}

/// What a message of the plane holds: an opcode and the bytes behind it. `Ok(None)` for nothing at all.
///
/// The protocol says that the opcode always stands before the bytes; there are planes that put it beside them only. Where one
/// stands beside them, the bytes are taken to begin with it only if it is the same.
fn opcode(entry: Entry, data: Bytes, message_type: Option<u8>) -> Result<Option<(u8, Bytes)>, UpstreamError> {
    let first = data.first().copied();
    match (first, message_type) {
        (first, Some(kind)) if entry == Entry::Request && first != Some(kind) => Ok(Some((kind, data))),
        (Some(first), _) if OPCODES.contains(&first) => Ok(Some((first, data.slice(1..)))),
        (None, _) => Ok(None),
        (Some(_), _) => Err(UpstreamError::BadRequest("the frame does not begin with an opcode")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b24_the_type_beside_the_bytes_is_trusted() {
        let read = |entry, data: &'static [u8], kind| opcode(entry, Bytes::from_static(data), kind);
        let frame = |opcode, data: &'static [u8]| Ok(Some((opcode, Bytes::from_static(data))));
        assert_eq!(read(Entry::Request, b"\x01hi", Some(1)), frame(1, b"hi"));
        assert_eq!(read(Entry::Request, b"\nhi", Some(1)), frame(1, b"\nhi"), "a line feed is no pong");
        assert_eq!(read(Entry::Request, b"", Some(1)), frame(1, b""));
        assert_eq!(read(Entry::Request, b"\x01hi", None), frame(1, b"hi"));
        assert_eq!(read(Entry::Start, b"\x01hi", Some(2)), frame(1, b"hi"));
        assert_eq!(read(Entry::Start, b"", Some(1)), Ok(None));
        assert!(read(Entry::Request, b"hi", None).is_err());
        assert!(read(Entry::Start, b"\nhi", Some(1)).is_ok_and(|frame| frame.is_some_and(|(opcode, _)| opcode == 10)));
    }
}
