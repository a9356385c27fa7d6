//! WebSocket framing over memory: bytes in, messages out, and the other way round.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use crate::plane::Incoming;

/// Largest message an agent may send.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Why there will be no further message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Both close frames have been exchanged.
    Closed,
    /// The agent broke the framing rules.
    Broken(String),
}

/// The server's side of one WebSocket.
pub(super) struct Codec {
    socket: WebSocket<Memory>,
}

impl Codec {
    pub(super) fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT));
        Self { socket: WebSocket::from_raw_socket(Memory::default(), Role::Server, Some(config)) }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.socket.get_mut().feed(bytes);
    }

    /// The next whole message. Answers to pings and closes are put into the output as they come.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, End> {
        loop {
            return match self.socket.read() {
                Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text.as_str().to_owned()))),
                Ok(Message::Binary(bytes)) => Ok(Some(Incoming::Binary(bytes.into()))),
                Ok(Message::Ping(_)) => Ok(Some(Incoming::Ping)),
                Ok(Message::Pong(_)) => Ok(Some(Incoming::Pong)),
                Ok(Message::Close(frame)) => {
                    let (code, reason) =
                        frame.map_or((1005, String::new()), |it| (it.code.into(), it.reason.as_str().to_owned()));
                    Ok(Some(Incoming::Close { code, reason }))
                }
                Ok(Message::Frame(_)) => continue,
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => Err(End::Closed),
                Err(error) => Err(End::Broken(error.to_string())),
            };
        }
    }

    pub(super) fn text(&mut self, text: String) {
        self.send(Message::text(text));
    }

    pub(super) fn binary(&mut self, bytes: Vec<u8>) {
        self.send(Message::binary(bytes));
    }

    pub(super) fn ping(&mut self) {
        self.send(Message::Ping(bytes::Bytes::new()));
    }

    pub(super) fn close(&mut self, code: u16, reason: String) {
        let frame = (code != 1005).then(|| CloseFrame { code: code.into(), reason: reason.into() });
        // Fails only if the socket is closing already.
        let _ = self.socket.close(frame);
        let _ = self.socket.flush();
    }

    /// Bytes for the wire.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.socket.get_mut().output)
    }

    fn send(&mut self, message: Message) {
        // Memory takes everything; what fails comes too late, after a close frame.
        let _ = self.socket.send(message);
    }
}

#[derive(Default)]
struct Memory {
    input: Vec<u8>,
    /// How much of `input` has been read.
    read: usize,
    output: Vec<u8>,
}

impl Memory {
    fn feed(&mut self, bytes: &[u8]) {
        self.input.drain(..self.read);
        self.read = 0;
        self.input.extend_from_slice(bytes);
    }
}

impl Read for Memory {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let rest = self.input.get(self.read..).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = rest.len().min(target.len());
        if let (Some(target), Some(source)) = (target.get_mut(..length), rest.get(..length)) {
            target.copy_from_slice(source);
        }
        self.read += length;
        Ok(length)
    }
}

impl Write for Memory {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with mask 0.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn messages_byte_by_byte_and_fragmented() {
        let mut codec = Codec::new();
        let mut bytes = frame(0x81, b"a");
        bytes.extend(frame(0x01, b"b"));
        bytes.extend(frame(0x89, b"p"));
        bytes.extend(frame(0x80, b"c"));
        bytes.extend(frame(0x82, b"d"));
        let mut messages = Vec::new();
        for byte in bytes {
            codec.feed(&[byte]);
            while let Some(message) = codec.next().unwrap() {
                messages.push(message);
            }
        }
        let expected = [Incoming::Text("a".into()), Incoming::Ping, Incoming::Text("bc".into()), Incoming::Binary(b"d".to_vec())];
        assert_eq!(messages, expected);
        assert_eq!(codec.take_output(), [0x8a, 1, b'p']);
    }

    #[test]
    fn closes_are_answered() {
        let mut codec = Codec::new();
        codec.feed(&frame(0x88, &[3, 0xe8]));
        assert_eq!(codec.next(), Ok(Some(Incoming::Close { code: 1000, reason: String::new() })));
        assert_eq!(codec.next(), Err(End::Closed));
        assert_eq!(codec.take_output(), [0x88, 2, 3, 0xe8]);
    }

    #[test]
    fn unmasked_frames_are_an_error() {
        let mut codec = Codec::new();
        codec.feed(&[0x81, 1, b'a']);
        assert!(matches!(codec.next(), Err(End::Broken(_))));
    }

    #[test]
    fn sending() {
        let mut codec = Codec::new();
        codec.text("hi".into());
        codec.ping();
        codec.close(1001, "bye".into());
        codec.text("late".into());
        assert_eq!(codec.take_output(), b"\x81\x02hi\x89\x00\x88\x05\x03\xe9bye");
    }
}
