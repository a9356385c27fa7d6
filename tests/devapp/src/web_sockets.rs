//! WebSockets: the handshake, and what each path does after it. Which bytes are messages is decided in `messages.rs`.
//!
//! | Path | What happens |
//! |---|---|
//! | `/echo` | everything comes back; pings are answered; a close comes back with its code and reason |
//! | `/ws/close?code=N&reason=TEXT` | closes after the first message |
//! | `/ws/frames?count=N&size=BYTES` | so many binary messages at once, each its number (8 bytes, little-endian) and the pattern; then 1000 |
//! | `/ws/fragments` | the text `one two three` in three frames, a ping before the last; then as `/echo` |
//! | `/ws/drop?after=N` | ends the connection without a close frame, after so many messages (0) |
//! | `/ws/stall` | reads nothing, sends nothing, and so does not notice when the client leaves |
//! | `/ws/pong?count=N&payload=TEXT` | so many pings (3) `TEXT-0`, `TEXT-1`, …; the pongs are in the record; then as `/echo` |
//! | `/ws/refuse?status=N` | that status, with a body, instead of 101 |
//!
//! On all of them, `?protocols=a,b` are the sub-protocols there are: the first of the client's that is one of them is taken.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::frame::{self, BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode, encode_close};
use crate::head::Head;
use crate::messages::{Message, Messages};
use crate::pattern::pattern;
use crate::recorder::Seen;
use crate::reply::{Answer, Length};
use crate::routes::Request;
use crate::wire::{Duplex, Wire};

const LIMIT: usize = 64 * 1024 * 1024;
const MAX_PONGS: usize = 1024;
/// What RFC 6455 adds to the key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebSocket {
    Echo,
    Close,
    Frames,
    Fragments,
    Drop,
    Stall,
    Pong,
    Refuse,
}

impl WebSocket {
    pub(crate) fn of(path: &str) -> Option<WebSocket> {
        match path {
            "/echo" => Some(WebSocket::Echo),
            "/ws/close" => Some(WebSocket::Close),
            "/ws/frames" => Some(WebSocket::Frames),
            "/ws/fragments" => Some(WebSocket::Fragments),
            "/ws/drop" => Some(WebSocket::Drop),
            "/ws/stall" => Some(WebSocket::Stall),
            "/ws/pong" => Some(WebSocket::Pong),
            "/ws/refuse" => Some(WebSocket::Refuse),
            _ => None,
        }
    }

    pub(crate) async fn run(self, request: &Request<'_>, mut wire: Wire) -> io::Result<()> {
        let (head, query) = (&request.head, &request.head.query);
        if self == WebSocket::Refuse {
            let status = u16::try_from(query.number("status", 403)).ok().filter(|code| (200..600).contains(code));
            let body = br#"{"error":"no WebSocket for you"}"#;
            return refuse(request, wire, status.unwrap_or(403), &[("Content-Type", "application/json")], body).await;
        }
        let (Some(accept), "GET") = (head.first("sec-websocket-key").and_then(accept_key), head.method.as_str()) else {
            return refuse(request, wire, 400, &[], b"not a handshake\n").await;
        };
        if head.first("sec-websocket-version") != Some("13") {
            return refuse(request, wire, 426, &[("Sec-WebSocket-Version", "13")], b"not this version\n").await;
        }
        let protocol = protocol(head);
        let mut fields = vec![("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept.as_str())];
        fields.extend(protocol.map(|protocol| ("Sec-WebSocket-Protocol", protocol)));
        request.recorder.update(request.id, |seen| {
            seen.status = Some(101);
            seen.protocol = protocol.map(str::to_owned);
        });
        Answer::begin(&mut wire, head, 101, &fields, Length::Never).await?;
        let mut socket = Socket::new(wire, request);
        match self {
            WebSocket::Stall => return std::future::pending().await,
            WebSocket::Drop => {
                for _ in 0..query.number("after", 0) {
                    if socket.message().await?.is_none() {
                        break;
                    }
                }
                return Ok(());
            }
            WebSocket::Close => {
                if socket.message().await?.is_some() {
                    let code = u16::try_from(query.number("code", 1000)).unwrap_or(1000);
                    socket.close(code, query.get("reason").unwrap_or_default()).await?;
                }
            }
            WebSocket::Frames => {
                socket.send_numbered(query.number("count", 1), query.number("size", 0)).await?;
                socket.close(1000, "").await?;
            }
            WebSocket::Fragments => {
                let pieces = [
                    encode(false, TEXT, b"one ", None),
                    encode(false, CONTINUATION, b"two ", None),
                    encode(true, PING, b"between", None),
                    encode(true, CONTINUATION, b"three", None),
                ];
                socket.write(&pieces.concat()).await?;
            }
            WebSocket::Pong => {
                let payload = query.get("payload").unwrap_or("ping");
                for number in 0..query.number("count", 3) {
                    let mut text = format!("{payload}-{number}").into_bytes();
                    text.truncate(frame::CONTROL_LIMIT);
                    socket.write(&encode(true, PING, &text, None)).await?;
                }
            }
            WebSocket::Echo | WebSocket::Refuse => {}
        }
        while let Some((opcode, payload)) = socket.message().await? {
            socket.write(&encode(true, opcode, &payload, None)).await?;
        }
        socket.stream.shutdown().await
    }
}

async fn refuse(request: &Request<'_>, mut wire: Wire, status: u16, fields: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    request.status(status);
    let mut fields = fields.to_vec();
    fields.push(("Connection", "close"));
    Answer::whole(&mut wire, &request.head, status, &fields, body).await?;
    wire.close().await;
    Ok(())
}

/// The `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, if that is one.
#[must_use]
pub fn accept_key(key: &str) -> Option<String> {
    let valid = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    valid.then(|| STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes())))
}

fn protocol(head: &Head) -> Option<&str> {
    let there_are = head.query.get("protocols").unwrap_or_default();
    head.members("sec-websocket-protocol").find(|offered| there_are.split(',').any(|one| one == *offered))
}

struct Socket<'a> {
    stream: Box<dyn Duplex>,
    messages: Messages,
    request: &'a Request<'a>,
    /// Our close frame is on its way; nothing may follow it.
    closed: bool,
}

impl<'a> Socket<'a> {
    fn new(wire: Wire, request: &'a Request<'a>) -> Socket<'a> {
        let (stream, ahead) = wire.into_parts();
        let mut messages = Messages::from_client(LIMIT);
        messages.push(&ahead);
        Socket { stream, messages, request, closed: false }
    }

    fn record(&self, update: impl FnOnce(&mut Seen)) {
        self.request.recorder.update(self.request.id, update);
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.closed {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    async fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        // 1005 stands for a frame without a code.
        let bytes = if code == 1005 { encode(true, CLOSE, b"", None) } else { encode_close(code, reason, None) };
        self.write(&bytes).await?;
        self.closed = true;
        Ok(())
    }

    /// The next message with its opcode; `None` once the client has closed, which has been answered then.
    async fn message(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        loop {
            let message = match self.messages.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => {
                    let mut bytes = BytesMut::with_capacity(64 * 1024);
                    let count = self.stream.read_buf(&mut bytes).await?;
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.record(|seen| seen.body_bytes += u64::try_from(count).unwrap_or_default());
                    self.messages.push(&bytes);
                    continue;
                }
                Err(error) => {
                    self.close(error.close_code(), &error.to_string()).await?;
                    return Ok(None);
                }
            };
            let data = match message {
                Message::Text(text) => (TEXT, text.into_bytes()),
                Message::Binary(bytes) => (BINARY, bytes.to_vec()),
                Message::Ping(payload) => {
                    self.write(&encode(true, PONG, &payload, None)).await?;
                    continue;
                }
                Message::Pong(payload) => {
                    self.record(|seen| {
                        if seen.pongs.len() < MAX_PONGS {
                            seen.pongs.push(payload.to_vec());
                        }
                    });
                    continue;
                }
                Message::Close(close) => {
                    let (code, reason) = close.unwrap_or((1005, String::new()));
                    self.record(|seen| seen.close = Some((code, reason.clone())));
                    self.close(code, &reason).await?;
                    return Ok(None);
                }
            };
            self.record(|seen| seen.messages += 1);
            return Ok(Some(data));
        }
    }

    async fn send_numbered(&mut self, count: u64, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).unwrap_or(LIMIT).min(LIMIT);
        let mut payload = vec![0; 8 + size];
        if let Some(rest) = payload.get_mut(8..) {
            pattern(0, rest);
        }
        for number in 0..count {
            if let Some(place) = payload.first_chunk_mut() {
                *place = number.to_le_bytes();
            }
            self.write(&encode(true, BINARY, &payload, None)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_accepted_as_the_rfc_says() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ==").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accept_key("short"), None);
    }
}
