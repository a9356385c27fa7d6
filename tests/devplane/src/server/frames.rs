//! WebSocket frames of a front door's client: whole messages out of bytes, and frames into bytes.
//!
//! Nothing is answered here; pings, pongs and closes are messages like any other.

/// Largest message a client may send.
const MESSAGE_LIMIT: usize = 8 << 20;
/// Longest payload of a close, ping or pong.
const CONTROL_LIMIT: usize = 125;

pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The client broke the rules; the close code says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

/// Takes a client's bytes and gives its messages: opcode and payload.
#[derive(Default)]
pub(super) struct ClientFrames {
    bytes: Vec<u8>,
    /// How much of `bytes` has been taken.
    taken: usize,
    /// A message whose last frame has not come.
    message: Option<(u8, Vec<u8>)>,
}

impl ClientFrames {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, Broken> {
        while let Some((first, payload)) = self.frame()? {
            let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
            match (opcode, self.message.take()) {
                (8..=10, message) => {
                    self.message = message;
                    if opcode == CLOSE && payload.len() == 1 {
                        return Err(protocol("half a close code"));
                    }
                    return Ok(Some((opcode, payload)));
                }
                (0, Some((opcode, mut message))) => {
                    if message.len() + payload.len() > MESSAGE_LIMIT {
                        return Err(TOO_LARGE);
                    }
                    message.extend_from_slice(&payload);
                    if last {
                        return Ok(Some((opcode, message)));
                    }
                    self.message = Some((opcode, message));
                }
                (1 | 2, None) if last => return Ok(Some((opcode, payload))),
                (1 | 2, None) => self.message = Some((opcode, payload)),
                (0, None) => return Err(protocol("a continuation of nothing")),
                (1 | 2, Some(_)) => return Err(protocol("a message within a message")),
                (_, _) => return Err(protocol("unknown opcode")),
            }
        }
        Ok(None)
    }

    /// The next frame: its first byte and its payload.
    fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>, Broken> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((&[first, second], rest)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(protocol("reserved bits"));
        }
        if second & 0x80 == 0 {
            return Err(protocol("no mask"));
        }
        let short = usize::from(second & 0x7f);
        let control = first & 0x08 != 0;
        if control && (short > CONTROL_LIMIT || first & 0x80 == 0) {
            return Err(protocol("a control frame in pieces or too large"));
        }
        let (length, rest, prefix) = match short {
            126 => match rest.split_first_chunk::<2>() {
                Some((length, rest)) => (usize::from(u16::from_be_bytes(*length)), rest, 4),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk::<8>() {
                Some((length, rest)) => (usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX), rest, 10),
                None => return Ok(None),
            },
            _ => (short, rest, 2),
        };
        if length > MESSAGE_LIMIT {
            return Err(TOO_LARGE);
        }
        let Some((mask, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        self.taken += prefix + mask.len() + length;
        Ok(Some((first, payload)))
    }
}

const TOO_LARGE: Broken = Broken { code: 1009, reason: "message too large" };

fn protocol(reason: &'static str) -> Broken {
    Broken { code: 1002, reason }
}

/// Appends a whole frame of a server.
pub(super) fn push_frame(output: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    output.push(0x80 | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => output.push(length),
        (_, Ok(length)) => {
            output.push(126);
            output.extend_from_slice(&length.to_be_bytes());
        }
        (_, Err(_)) => {
            output.push(127);
            output.extend_from_slice(&u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    output.extend_from_slice(payload);
}

/// Appends a close frame; without a code for 1005. False if this code cannot be sent at all.
pub(super) fn push_close(output: &mut Vec<u8>, code: u16, reason: &str) -> bool {
    match code {
        1006 | 1015 => return false,
        1005 => push_frame(output, CLOSE, &[]),
        _ => {
            let mut payload = code.to_be_bytes().to_vec();
            let mut end = reason.len().min(CONTROL_LIMIT - payload.len());
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            payload.extend_from_slice(reason.get(..end).unwrap_or_default().as_bytes());
            push_frame(output, CLOSE, &payload);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut bytes = Vec::new();
        push_frame(&mut bytes, 0, payload);
        bytes[0] = first;
        bytes[1] |= 0x80;
        let at = bytes.len() - payload.len();
        bytes.splice(at..at, mask);
        bytes.iter_mut().skip(at + 4).zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        bytes
    }

    #[test]
    fn messages_of_all_sizes_byte_by_byte() {
        let large = vec![7; 70_000];
        let mut input = masked(0x81, b"a");
        input.extend(masked(0x02, &[5; 200]));
        input.extend(masked(0x89, b"ping"));
        input.extend(masked(0x80, b"c"));
        input.extend(masked(0x82, &large));
        input.extend(masked(0x88, &[3, 0xe8]));
        let mut frames = ClientFrames::default();
        let mut messages = Vec::new();
        for byte in input {
            frames.feed(&[byte]);
            while let Some(message) = frames.next().unwrap() {
                messages.push(message);
            }
        }
        let mut joined = vec![5; 200];
        joined.push(b'c');
        let expected = [(1, b"a".to_vec()), (9, b"ping".to_vec()), (2, joined), (2, large), (8, vec![3, 0xe8])];
        assert_eq!(messages, expected);
    }

    #[test]
    fn what_breaks_the_rules() {
        let huge = [0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0];
        let cases: [(&[u8], u16); 10] = [
            (&[0x81, 1, b'a'], 1002),
            (&[0xc1, 0x80], 1002),
            (&masked(0x83, b""), 1002),
            (&masked(0x8b, b""), 1002),
            (&masked(0x80, b""), 1002),
            (&masked(0x09, b""), 1002),
            (&[0x89, 0xfe], 1002),
            (&masked(0x88, b"x"), 1002),
            (&[masked(0x01, b"a"), masked(0x81, b"b")].concat(), 1002),
            (&huge, 1009),
        ];
        for (bytes, code) in cases {
            let mut frames = ClientFrames::default();
            frames.feed(bytes);
            assert_eq!(frames.next().map_err(|broken| broken.code), Err(code), "{bytes:?}");
        }
        let mut frames = ClientFrames::default();
        frames.feed(&masked(0x01, &vec![0; MESSAGE_LIMIT]));
        frames.feed(&masked(0x80, b"1"));
        assert_eq!(frames.next(), Err(TOO_LARGE));
    }

    #[test]
    fn closes() {
        let close = |code, reason: &str| {
            let mut output = Vec::new();
            push_close(&mut output, code, reason).then_some(output)
        };
        assert_eq!(close(1000, "bye").unwrap(), b"\x88\x05\x03\xe8bye");
        assert_eq!(close(1005, "bye").unwrap(), b"\x88\x00");
        assert_eq!(close(1006, ""), None);
        assert_eq!(close(1011, &"\u{e9}".repeat(100)).unwrap()[1], 124);
    }
}
