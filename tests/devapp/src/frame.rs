//! Frames of the WebSocket protocol (RFC 6455) as bytes. No I/O; what frames make up is not known here.

use std::error::Error;
use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The most that a control frame carries.
pub const CONTROL_LIMIT: usize = 125;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    pub opcode: u8,
    /// Without the mask.
    pub payload: Bytes,
}

/// Why the other side's bytes are no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A reserved bit or an unknown opcode.
    Reserved,
    /// Masked where it must not be, or the other way round.
    Mask,
    /// A control frame that is too long or in pieces.
    Control,
    /// A continuation of nothing, or a message inside another.
    Sequence,
    /// A close frame with a code that may not be sent, or with one byte.
    CloseCode,
    TooLarge,
    NotText,
}

impl FrameError {
    /// What to close the connection with.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            FrameError::Reserved | FrameError::Mask | FrameError::Control | FrameError::Sequence | FrameError::CloseCode => 1002,
            FrameError::TooLarge => 1009,
            FrameError::NotText => 1007,
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FrameError::Reserved => "a reserved bit or an unknown opcode",
            FrameError::Mask => "a mask where there must be none, or none where there must be one",
            FrameError::Control => "a control frame is too long or in pieces",
            FrameError::Sequence => "a continuation of nothing, or a message inside another",
            FrameError::CloseCode => "not a code to close with",
            FrameError::TooLarge => "too large",
            FrameError::NotText => "a text that is not UTF-8",
        })
    }
}

impl Error for FrameError {}

/// From bytes to frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
    masked: bool,
}

impl Decoder {
    /// For what a client sends, which is masked. No payload may be longer than `limit`.
    #[must_use]
    pub fn from_client(limit: usize) -> Decoder {
        Decoder { buffer: BytesMut::new(), limit, masked: true }
    }

    /// For what a server sends.
    #[must_use]
    pub fn from_server(limit: usize) -> Decoder {
        Decoder { masked: false, ..Decoder::from_client(limit) }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// If the bytes are no frame; then nothing that follows means anything.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let &[first, second, ref rest @ ..] = &self.buffer[..] else {
            return Ok(None);
        };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 || !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
            return Err(FrameError::Reserved);
        }
        if (second & 0x80 != 0) != self.masked {
            return Err(FrameError::Mask);
        }
        let short = usize::from(second & 0x7f);
        if opcode >= CLOSE && (!fin || short > CONTROL_LIMIT) {
            return Err(FrameError::Control);
        }
        let (length, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (usize::from(u16::from_be_bytes(*bytes)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((bytes, rest)) => (usize::try_from(u64::from_be_bytes(*bytes)).unwrap_or(usize::MAX), rest),
                None => return Ok(None),
            },
            short => (short, rest),
        };
        if length > self.limit {
            return Err(FrameError::TooLarge);
        }
        let (mask, rest) = match (self.masked, rest.split_first_chunk::<4>()) {
            (true, Some((mask, rest))) => (*mask, rest),
            (true, None) => return Ok(None),
            (false, _) => ([0; 4], rest),
        };
        if rest.len() < length {
            return Ok(None);
        }
        let head = self.buffer.len() - rest.len();
        self.buffer.advance(head);
        let mut payload = self.buffer.split_to(length);
        if self.masked {
            apply(mask, &mut payload);
        }
        Ok(Some(Frame { fin, opcode, payload: payload.freeze() }))
    }
}

/// A frame as bytes; a client gives a mask.
#[must_use]
pub fn encode(fin: bool, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len().saturating_add(14));
    out.push(if fin { 0x80 } else { 0 } | (opcode & 0x0f));
    let masked = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.push(masked | length),
        (_, Ok(length)) => {
            out.push(masked | 126);
            out.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(masked | 127);
            out.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    if let Some(mask) = mask {
        out.extend_from_slice(&mask);
    }
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(mask), Some(payload)) = (mask, out.get_mut(start..)) {
        apply(mask, payload);
    }
    out
}

/// A close frame; a reason that is too long is cut.
#[must_use]
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    for letter in reason.chars() {
        if payload.len() + letter.len_utf8() > CONTROL_LIMIT {
            break;
        }
        payload.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    encode(true, CLOSE, &payload, mask)
}

fn apply(mask: [u8; 4], payload: &mut [u8]) {
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_masked_or_not() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|n: u32| u8::try_from(n % 251).unwrap()).collect();
            for mask in [None, Some([1, 2, 3, 4])] {
                let bytes = encode(true, BINARY, &payload, mask);
                let mut decoder = if mask.is_some() { Decoder::from_client(65_536) } else { Decoder::from_server(65_536) };
                let (all_but_last, last) = bytes.split_at(bytes.len() - 1);
                decoder.push(all_but_last);
                assert_eq!(decoder.next_frame(), Ok(None));
                decoder.push(last);
                let frame = decoder.next_frame().unwrap().unwrap();
                assert_eq!((frame.fin, frame.opcode, &frame.payload[..]), (true, BINARY, &payload[..]));
                assert_eq!(decoder.next_frame(), Ok(None));
            }
        }
    }

    #[test]
    fn what_is_not_a_frame_is_refused_at_its_head() {
        let refused = |bytes: &[u8]| {
            let mut decoder = Decoder::from_client(1000);
            decoder.push(bytes);
            decoder.next_frame()
        };
        assert_eq!(refused(&[0xc1, 0x80]), Err(FrameError::Reserved));
        assert_eq!(refused(&[0x83, 0x80]), Err(FrameError::Reserved));
        assert_eq!(refused(&[0x81, 0x01]), Err(FrameError::Mask));
        assert_eq!(refused(&[0x89, 0xfe]), Err(FrameError::Control));
        assert_eq!(refused(&[0x09, 0x80]), Err(FrameError::Control));
        assert_eq!(refused(&[0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]), Err(FrameError::TooLarge));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let bytes = encode_close(4001, &"é".repeat(100), None);
        assert_eq!(bytes.len(), 2 + 2 + 122);
    }
}
