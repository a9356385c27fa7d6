//! Messages of a WebSocket out of frames. No I/O, and no answers: pongs and close frames are the caller's to send.

use bytes::Bytes;

use crate::frame::{BINARY, CLOSE, CONTINUATION, Decoder, Frame, FrameError, PING, PONG, TEXT};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// `None` without a code.
    Close(Option<(u16, String)>),
}

/// From bytes to messages.
#[derive(Debug)]
pub struct Messages {
    decoder: Decoder,
    /// The opcode and the beginning of a message that comes in pieces.
    begun: Option<(u8, Vec<u8>)>,
    limit: usize,
}

impl Messages {
    /// For what a client sends. No message may be longer than `limit`.
    #[must_use]
    pub fn from_client(limit: usize) -> Messages {
        Messages { decoder: Decoder::from_client(limit), begun: None, limit }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// If the bytes are no messages; then nothing that follows means anything.
    pub fn next_message(&mut self) -> Result<Option<Message>, FrameError> {
        while let Some(frame) = self.decoder.next_frame()? {
            if let Some(message) = self.frame(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn frame(&mut self, frame: Frame) -> Result<Option<Message>, FrameError> {
        match frame.opcode {
            PING => return Ok(Some(Message::Ping(frame.payload))),
            PONG => return Ok(Some(Message::Pong(frame.payload))),
            CLOSE => return close(&frame.payload).map(Message::Close).map(Some),
            _ => {}
        }
        let (opcode, payload) = match (self.begun.take(), frame.opcode) {
            (Some((opcode, mut begun)), CONTINUATION) => {
                if begun.len().saturating_add(frame.payload.len()) > self.limit {
                    return Err(FrameError::TooLarge);
                }
                begun.extend_from_slice(&frame.payload);
                if !frame.fin {
                    self.begun = Some((opcode, begun));
                    return Ok(None);
                }
                (opcode, Bytes::from(begun))
            }
            (None, TEXT | BINARY) => {
                if !frame.fin {
                    self.begun = Some((frame.opcode, frame.payload.to_vec()));
                    return Ok(None);
                }
                (frame.opcode, frame.payload)
            }
            (Some(_) | None, _) => return Err(FrameError::Sequence),
        };
        if opcode == BINARY {
            return Ok(Some(Message::Binary(payload)));
        }
        String::from_utf8(payload.into()).map(|text| Some(Message::Text(text))).map_err(|_| FrameError::NotText)
    }
}

fn close(payload: &[u8]) -> Result<Option<(u16, String)>, FrameError> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(FrameError::CloseCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FrameError::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| FrameError::NotText)?;
    Ok(Some((code, reason.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::encode;

    const MASK: Option<[u8; 4]> = Some([9, 8, 7, 6]);

    fn all(frames: &[Vec<u8>]) -> Result<Vec<Message>, FrameError> {
        let mut messages = Messages::from_client(100);
        messages.push(&frames.concat());
        let mut out = Vec::new();
        while let Some(message) = messages.next_message()? {
            out.push(message);
        }
        Ok(out)
    }

    #[test]
    fn a_ping_may_come_between_the_pieces() {
        let frames =
            [encode(false, TEXT, b"a\xc3", MASK), encode(true, PING, b"p", MASK), encode(true, CONTINUATION, b"\xa9", MASK)];
        let expected = vec![Message::Ping(Bytes::from_static(b"p")), Message::Text("aé".into())];
        assert_eq!(all(&frames), Ok(expected));
    }

    #[test]
    fn pieces_out_of_order_are_refused() {
        assert_eq!(all(&[encode(true, CONTINUATION, b"", MASK)]), Err(FrameError::Sequence));
        assert_eq!(all(&[encode(false, TEXT, b"", MASK), encode(true, TEXT, b"", MASK)]), Err(FrameError::Sequence));
        assert_eq!(all(&[encode(true, TEXT, b"\xff", MASK)]), Err(FrameError::NotText));
    }

    #[test]
    fn the_limit_holds_for_all_pieces_together() {
        let piece = [7; 60];
        assert_eq!(
            all(&[encode(false, BINARY, &piece, MASK), encode(true, CONTINUATION, &piece, MASK)]),
            Err(FrameError::TooLarge)
        );
    }

    #[test]
    fn close_frames_are_checked() {
        assert_eq!(all(&[encode(true, CLOSE, b"", MASK)]), Ok(vec![Message::Close(None)]));
        assert_eq!(all(&[encode(true, CLOSE, b"\x0f\xa1by", MASK)]), Ok(vec![Message::Close(Some((4001, "by".into())))]));
        assert_eq!(all(&[encode(true, CLOSE, b"\x03", MASK)]), Err(FrameError::CloseCode));
        assert_eq!(all(&[encode(true, CLOSE, b"\x03\xed", MASK)]), Err(FrameError::CloseCode));
    }
}
