//! Writing WebSocket frames of a client (RFC 6455, section 5) straight into the outgoing buffer.
//!
//! tungstenite reads and does the handshake; writing is done here because the payload of a bulk message is made in place and
//! would otherwise be copied twice more on the hottest path.

use pipeops_agent_core::wire::Piece;

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Appends one frame of a text message.
pub(super) fn push_text(piece: Piece, payload: &[u8], out: &mut Vec<u8>) {
    let opcode = if piece.first { TEXT } else { 0 };
    push(opcode, piece.last, payload, out);
}

/// Appends a ping without payload.
pub(super) fn push_ping(out: &mut Vec<u8>) {
    push(PING, true, &[], out);
}

/// Appends a close frame without a reason.
pub(super) fn push_close(code: u16, out: &mut Vec<u8>) {
    push(CLOSE, true, &code.to_be_bytes(), out);
}

fn push(opcode: u8, last: bool, payload: &[u8], out: &mut Vec<u8>) {
    const MASKED: u8 = 0x80;
    out.reserve(payload.len() + 14);
    out.push(if last { 0x80 | opcode } else { opcode });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => out.push(MASKED | length),
        (_, Ok(length)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    let key = fastrand::u32(..).to_ne_bytes();
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(key, out.get_mut(start..).unwrap_or_default());
}

/// Eight bytes at a time; a multiple of the key's four, so the tail begins with the key's first byte.
fn mask(key: [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;
    use tungstenite::Message;
    use tungstenite::protocol::{Role, WebSocket};

    /// tungstenite as the server is the judge.
    fn read(bytes: Vec<u8>) -> Message {
        let mut server = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Server, None);
        server.read().unwrap()
    }

    #[test]
    fn frames_of_every_length_are_read_back() {
        for length in [0, 1, 3, 125, 126, 127, 65_535, 65_536, 100_001] {
            let payload = "x".repeat(length);
            let mut out = Vec::new();
            push_text(Piece::WHOLE, payload.as_bytes(), &mut out);
            assert_eq!(read(out).into_text().unwrap().as_str(), payload);
        }
    }

    #[test]
    fn pieces_become_one_message_with_a_ping_between_them() {
        let mut out = Vec::new();
        push_text(Piece { first: true, last: false }, b"one ", &mut out);
        push_ping(&mut out);
        push_text(Piece { first: false, last: false }, b"two ", &mut out);
        push_text(Piece { first: false, last: true }, b"three", &mut out);
        let mut server = WebSocket::from_raw_socket(Cursor::new(out), Role::Server, None);
        assert!(server.read().unwrap().is_ping());
        assert_eq!(server.read().unwrap().into_text().unwrap().as_str(), "one two three");
    }

    #[test]
    fn close_carries_its_code() {
        let mut out = Vec::new();
        push_close(1001, &mut out);
        let Message::Close(Some(frame)) = read(out) else { panic!("no close frame") };
        assert_eq!(u16::from(frame.code), 1001);
    }
}
