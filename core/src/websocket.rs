//! WebSocket frames (RFC 6455, section 5), without a socket.
//!
//! Owns the reading of a server's frames out of bytes as they come, and the writing of a client's, to backends and to the plane. What waits in the
//! reader is bytes as they came, counted; a message is made of them only when its turn to go on has come. Nothing is changed on the
//! way: text is not checked, and control frames are messages like others.

mod reader;

use alloc::string::String;
use alloc::vec::Vec;

pub(crate) use self::reader::{Message, Payload, Reader, Violation};

/// The opcode of the rest of a message.
pub const CONTINUATION: u8 = 0;
/// The opcode of text.
pub const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
/// The opcode of the end.
pub const CLOSE: u8 = 8;
/// The opcode of a ping.
pub const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The most bytes of a control frame's payload.
pub(crate) const MAX_CONTROL: usize = 125;

/// The close code that stands for an end without a close frame. Never sent in a frame.
pub(crate) const ABNORMAL: u16 = 1006;
/// The close code that stands for a close frame without one. Never sent in a frame.
pub(crate) const NO_CODE: u16 = 1005;

/// What a frame costs beyond its payload at most.
const HEADER: usize = 14;

/// A whole message of a client in one frame. The payload is `prefix` and `payload` together.
pub(crate) fn frame(opcode: u8, prefix: &[u8], payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    push_frame(opcode, true, [prefix, payload], key, &mut out);
    out
}

/// Appends a frame of a client, masked with `key`. `last` is false while more of the message follows. The payload is the two
/// parts together.
pub fn push_frame(opcode: u8, last: bool, payload: [&[u8]; 2], key: [u8; 4], out: &mut Vec<u8>) {
    const MASKED: u8 = 0x80;
    let [prefix, payload] = payload;
    let length = prefix.len() + payload.len();
    out.reserve(length + HEADER);
    out.push(if last { 0x80 | opcode } else { opcode });
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(prefix);
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

/// The payload of a close frame. Codes that may not be sent become an empty payload; the reason is cut to what fits.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    if !may_be_sent(code) {
        return Vec::new();
    }
    let mut end = reason.len().min(MAX_CONTROL - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::from(code.to_be_bytes());
    payload.extend_from_slice(reason.get(..end).unwrap_or_default().as_bytes());
    payload
}

/// Whether a close frame may carry `code` (RFC 6455, section 7.4.2).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Code and reason of a close frame's payload.
pub(crate) fn read_close(payload: &[u8]) -> (u16, String) {
    match payload {
        [first, second, reason @ ..] => (u16::from_be_bytes([*first, *second]), String::from_utf8_lossy(reason).into_owned()),
        [_] | [] => (NO_CODE, String::new()),
    }
}

/// Whether `bytes` are one or more whole frames of a client and nothing else.
pub(crate) fn are_client_frames(mut bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return false;
    }
    while let [first, second, rest @ ..] = bytes {
        let known = matches!(first & 0x0f, 0..=2 | CLOSE..=PONG);
        if first & 0x70 != 0 || !known || second & 0x80 == 0 {
            return false;
        }
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                let length = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                (usize::try_from(length).unwrap_or(usize::MAX), rest)
            }
            (126 | 127, _) => return false,
            (short, rest) => (usize::from(short), rest),
        };
        match length.checked_add(4).and_then(|length| rest.get(length..)) {
            Some(after) => bytes = after,
            None => return false,
        }
    }
    bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn client_frames_are_told_from_anything_else() {
        let hello = frame(TEXT, &[], b"hello", [1, 2, 3, 4]);
        let mut two = hello.clone();
        two.extend(frame(BINARY, &[], &vec![7; 70_000], [9, 9, 9, 9]));
        assert!(are_client_frames(&hello) && are_client_frames(&two));
        for bad in [&b""[..], b"hello", b"\x01hi", &hello[..5], &hello[..hello.len() - 1], b"\x81\x05hello", b"\x81"] {
            assert!(!are_client_frames(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_frame_is_masked_and_begins_with_its_prefix() {
        let key = [1, 2, 3, 4];
        let mut bytes = frame(BINARY, &[0], b"ls\n", key);
        assert_eq!(bytes[..6], [0x82, 0x84, 1, 2, 3, 4]);
        mask(key, &mut bytes[6..]);
        assert_eq!(bytes[6..], *b"\0ls\n");
    }

    #[test]
    fn close_frames_carry_only_what_they_may() {
        assert_eq!(close_payload(4001, "bye"), b"\x0f\xa1bye");
        assert_eq!(close_payload(ABNORMAL, "bye"), b"");
        assert_eq!(close_payload(NO_CODE, ""), b"");
        let long = "ä".repeat(100);
        assert_eq!(close_payload(1000, &long).len(), 2 + 122, "cut between characters");
        assert_eq!(read_close(b"\x0f\xa1bye"), (4001, "bye".into()));
        assert_eq!(read_close(b"\x0f"), (NO_CODE, "".into()));
    }
}
