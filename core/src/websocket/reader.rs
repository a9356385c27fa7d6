//! Reading a server's frames.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

use super::{BINARY, CLOSE, HEADER, MAX_CONTROL, PONG, TEXT};
use crate::streams::{OVERHEAD, collect};

/// A message or a control frame.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) opcode: u8,
    pub(crate) payload: Payload,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Payload {
    /// In one piece.
    Whole(Bytes),
    /// In blocks, with the opcode as the first byte of the first one, and so many bytes taken together.
    Blocks(VecDeque<Vec<u8>>, usize),
}

/// What a server may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Not WebSocket.
    Protocol,
    /// A message of more bytes than are taken.
    TooLarge,
}

/// Takes the messages out of the bytes.
#[derive(Debug)]
pub(crate) struct Reader {
    raw: VecDeque<Bytes>,
    /// Bytes in `raw`.
    waiting: usize,
    assembly: Option<Assembly>,
    /// The most bytes of a message.
    limit: usize,
    /// Binary messages of the channels 0 to 3 become text without the channel.
    translate: bool,
}

/// A message of which the end has not come.
#[derive(Debug)]
struct Assembly {
    opcode: u8,
    blocks: VecDeque<Vec<u8>>,
    length: usize,
    /// Of the frame that is being read.
    remaining: usize,
    last: bool,
}

struct Head {
    last: bool,
    opcode: u8,
    payload: usize,
    length: usize,
}

impl Reader {
    pub(crate) const fn new(limit: usize, translate: bool) -> Self {
        Self { raw: VecDeque::new(), waiting: 0, assembly: None, limit, translate }
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.waiting += data.len();
            self.raw.push_back(data);
        }
    }

    /// What is in here, as the budget counts it.
    pub(crate) fn held(&self) -> usize {
        self.unread() + self.assembly.as_ref().map_or(0, |assembly| assembly.length)
    }

    /// What nobody has looked at, as the budget counts it.
    pub(crate) fn unread(&self) -> usize {
        self.waiting + self.raw.len() * OVERHEAD
    }

    /// Whether a message has begun whose end is not here.
    pub(crate) const fn is_assembling(&self) -> bool {
        self.assembly.is_some()
    }

    /// The next message that is complete.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Violation> {
        loop {
            if let Some(message) = self.assemble() {
                return Ok(Some(message));
            }
            if self.assembly.as_ref().is_some_and(|assembly| assembly.remaining > 0) {
                return Ok(None);
            }
            let Some(head) = self.head()? else { return Ok(None) };
            if head.opcode >= CLOSE {
                if self.waiting < head.length + head.payload {
                    return Ok(None);
                }
                self.skip(head.length);
                return Ok(Some(Message { opcode: head.opcode, payload: Payload::Whole(self.take(head.payload)) }));
            }
            if let Some(message) = self.begin(&head)? {
                return Ok(Some(message));
            }
        }
    }

    /// Begins or goes on with a data message. `Some` when it is complete in one piece, or its first byte has not come.
    fn begin(&mut self, head: &Head) -> Result<Option<Message>, Violation> {
        let so_far = self.assembly.as_ref().map_or(0, |assembly| assembly.length);
        if (head.opcode == 0) != self.assembly.is_some() {
            return Err(Violation::Protocol);
        }
        if so_far.checked_add(head.payload).is_none_or(|length| length > self.limit) {
            return Err(Violation::TooLarge);
        }
        let (mut opcode, mut payload) = (head.opcode, head.payload);
        self.skip(head.length);
        if self.translate && opcode == BINARY && payload > 0 {
            // `head` saw to it that the first byte is here.
            if self.raw.front().and_then(|piece| piece.first()).is_some_and(|channel| *channel <= 3) {
                self.skip(1);
                (opcode, payload) = (TEXT, payload - 1);
            }
        }
        if let Some(assembly) = &mut self.assembly {
            (assembly.remaining, assembly.last) = (payload, head.last);
            return Ok(None);
        }
        if head.last && self.raw.front().map_or(0, Bytes::len) >= payload {
            return Ok(Some(Message { opcode, payload: Payload::Whole(self.take(payload)) }));
        }
        let mut blocks = VecDeque::new();
        collect(&mut blocks, &[opcode]);
        self.assembly = Some(Assembly { opcode, blocks, length: 1, remaining: payload, last: head.last });
        Ok(None)
    }

    /// Moves what is here of a frame's payload to its message; gives the message when that completes it.
    fn assemble(&mut self) -> Option<Message> {
        let mut assembly = self.assembly.take()?;
        while assembly.remaining > 0 {
            let Some(piece) = self.raw.front_mut() else { break };
            let part = piece.split_to(piece.len().min(assembly.remaining));
            collect(&mut assembly.blocks, &part);
            assembly.remaining -= part.len();
            assembly.length += part.len();
            self.waiting -= part.len();
            if piece.is_empty() {
                self.raw.pop_front();
            }
        }
        if assembly.remaining == 0 && assembly.last {
            return Some(Message { opcode: assembly.opcode, payload: Payload::Blocks(assembly.blocks, assembly.length) });
        }
        self.assembly = Some(assembly);
        None
    }

    /// The header of the next frame; `None` when it is not here as a whole, or not the first byte that it says follows.
    fn head(&self) -> Result<Option<Head>, Violation> {
        let mut bytes = [0u8; HEADER];
        let mut seen = 0;
        for (to, from) in bytes.iter_mut().zip(self.raw.iter().flatten()) {
            *to = *from;
            seen += 1;
        }
        let [first, second, rest @ ..] = bytes;
        if seen < 2 {
            return Ok(None);
        }
        let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let control = (CLOSE..=PONG).contains(&opcode);
        let known = control || opcode <= BINARY;
        // Extensions are never offered and a server never masks (RFC 6455, sections 5.1 and 5.2).
        if first & 0x70 != 0 || second & 0x80 != 0 || !known {
            return Err(Violation::Protocol);
        }
        let [a, b, c, d, e, f, g, h, ..] = rest;
        let (length, payload) = match second {
            126 => (4, usize::from(u16::from_be_bytes([a, b]))),
            127 => (10, usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h])).unwrap_or(usize::MAX)),
            short => (2, usize::from(short)),
        };
        if seen < length {
            return Ok(None);
        }
        if control && (!last || payload > MAX_CONTROL) {
            return Err(Violation::Protocol);
        }
        if self.translate && opcode == BINARY && payload > 0 && seen == length {
            return Ok(None);
        }
        Ok(Some(Head { last, opcode, payload, length }))
    }

    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0 {
            let Some(piece) = self.raw.front_mut() else { return };
            let part = piece.split_to(piece.len().min(bytes)).len();
            bytes -= part;
            self.waiting -= part;
            if piece.is_empty() {
                self.raw.pop_front();
            }
        }
    }

    /// The next `length` bytes, which are here.
    fn take(&mut self, length: usize) -> Bytes {
        if let Some(piece) = self.raw.front_mut()
            && piece.len() >= length
        {
            let part = piece.split_to(length);
            self.waiting -= length;
            if piece.is_empty() {
                self.raw.pop_front();
            }
            return part;
        }
        let mut whole = Vec::with_capacity(length.min(self.waiting));
        while whole.len() < length {
            let Some(piece) = self.raw.front_mut() else { break };
            let part = piece.split_to(piece.len().min(length - whole.len()));
            whole.extend_from_slice(&part);
            self.waiting -= part.len();
            if piece.is_empty() {
                self.raw.pop_front();
            }
        }
        whole.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::wire::BLOCK;
    use alloc::vec;

    fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            short @ 0..126 => out.push(short as u8),
            medium @ 126..65_536 => {
                out.push(126);
                out.extend_from_slice(&(medium as u16).to_be_bytes());
            }
            long => {
                out.push(127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    fn flat(message: Message) -> (u8, Vec<u8>) {
        match message.payload {
            Payload::Whole(bytes) => (message.opcode, bytes.to_vec()),
            Payload::Blocks(blocks, length) => {
                let count = blocks.len();
                assert!(blocks.iter().take(count - 1).all(|block| block.len() == BLOCK));
                let all: Vec<u8> = blocks.into_iter().flatten().collect();
                assert_eq!((all.len(), all[0]), (length, message.opcode));
                (message.opcode, all[1..].to_vec())
            }
        }
    }

    fn read_in_pieces(reader: &mut Reader, bytes: &[u8], random: &mut Random, largest: u64) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = (random.up_to(largest - 1) as usize + 1).min(rest.len());
            reader.push(Bytes::copy_from_slice(&rest[..count]));
            rest = &rest[count..];
            while let Some(message) = reader.next().unwrap() {
                messages.push(flat(message));
            }
        }
        messages
    }

    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let big: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let mut bytes = server_frame(0x81, b"hello");
        bytes.extend(server_frame(0x02, b"one "));
        bytes.extend(server_frame(0x89, b"ping"));
        bytes.extend(server_frame(0x00, b"two "));
        bytes.extend(server_frame(0x80, b"three"));
        bytes.extend(server_frame(0x82, &big));
        bytes.extend(server_frame(0x82, &[]));
        bytes.extend(server_frame(0x88, b"\x03\xe8done"));
        let expected = vec![
            (1, b"hello".to_vec()),
            (9, b"ping".to_vec()),
            (2, b"one two three".to_vec()),
            (2, big),
            (2, vec![]),
            (8, b"\x03\xe8done".to_vec()),
        ];
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let largest = [1, 2, 7, 100, 16_384][seed as usize % 5];
            let mut reader = Reader::new(1 << 20, false);
            assert_eq!(read_in_pieces(&mut reader, &bytes, &mut random, largest), expected, "seed {seed}");
            assert_eq!(reader.held(), 0);
        }
    }

    #[test]
    fn b48_channels_become_text_and_nothing_else_does() {
        let mut bytes = server_frame(0x82, b"\x01out");
        bytes.extend(server_frame(0x82, b"\x01"));
        bytes.extend(server_frame(0x82, b"\x03{}"));
        bytes.extend(server_frame(0x82, b"\x04{}"));
        bytes.extend(server_frame(0x82, b"\xff\x01"));
        bytes.extend(server_frame(0x82, b""));
        bytes.extend(server_frame(0x81, b"\x01text"));
        let expected: Vec<(u8, Vec<u8>)> = vec![
            (1, b"out".to_vec()),
            (1, vec![]),
            (1, b"{}".to_vec()),
            (2, b"\x04{}".to_vec()),
            (2, b"\xff\x01".to_vec()),
            (2, vec![]),
            (1, b"\x01text".to_vec()),
        ];
        for largest in [1, 3, 1000] {
            let mut reader = Reader::new(1 << 20, true);
            assert_eq!(read_in_pieces(&mut reader, &bytes, &mut Random::new(1), largest), expected);
        }
    }

    #[test]
    fn what_a_server_may_not_send_is_found() {
        let mut endless = server_frame(0x01, &[0; 600]);
        endless.extend(server_frame(0x00, &[0; 600]));
        for (bytes, violation) in [
            (server_frame(0xc1, b"compressed"), Violation::Protocol),
            (vec![0x81, 0x80, 0, 0, 0, 0], Violation::Protocol),
            (server_frame(0x83, b""), Violation::Protocol),
            (server_frame(0x80, b"continues nothing"), Violation::Protocol),
            (server_frame(0x09, b"ping in two"), Violation::Protocol),
            (server_frame(0x89, &[0; 126]), Violation::Protocol),
            (server_frame(0x82, &[0; 1001]), Violation::TooLarge),
            (endless, Violation::TooLarge),
            (vec![0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255], Violation::TooLarge),
        ] {
            let mut reader = Reader::new(1000, false);
            reader.push(bytes.clone().into());
            let result = loop {
                match reader.next() {
                    Ok(Some(_)) => {}
                    other => break other,
                }
            };
            assert_eq!(result, Err(violation), "{bytes:?}");
        }
        let mut reader = Reader::new(1000, false);
        reader.push(server_frame(0x01, b"one").into());
        reader.push(server_frame(0x81, b"two without the end of one").into());
        assert_eq!(reader.next(), Err(Violation::Protocol));
    }
}
