//! Writing WebSocket frames of a client (RFC 6455, section 5) straight into the outgoing buffer.
//!
//! tungstenite reads and does the handshake; writing is done here because the payload of a bulk message is made in place and
//! would otherwise be copied twice more on the hottest path.

use pipeops_agent_core::wire::Piece;

use pipeops_agent_core::websocket::{CLOSE, CONTINUATION, PING, TEXT, push_frame};

/// Appends one frame of a text message.
pub(super) fn push_text(piece: Piece, payload: &[u8], out: &mut Vec<u8>) {
    push(if piece.first { TEXT } else { CONTINUATION }, piece.last, payload, out);
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
    push_frame(opcode, last, [&[], payload], fastrand::u32(..).to_ne_bytes(), out);
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
