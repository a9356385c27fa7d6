//! WebSocket frames as a server reads and writes them.

/// Takes a client's frames out of the bytes, and is strict about them.
#[derive(Debug, Default)]
pub struct ClientFrames {
    bytes: Vec<u8>,
}

impl ClientFrames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame: its opcode and its payload without the mask.
    pub fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, rest @ ..] = self.bytes.as_slice() else { return None };
        assert_eq!(first & 0xf0, 0x80, "the agent sends whole frames without extensions");
        assert_eq!(second & 0x80, 0x80, "a client masks");
        let opcode = first & 0x0f;
        let (length, header) = match (second & 0x7f, rest) {
            (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, 10),
            (126 | 127, _) => return None,
            (short, _) => (usize::from(short), 2),
        };
        assert!(matches!(opcode, 1 | 2) || (matches!(opcode, 8..=10) && length <= 125), "opcode {opcode}, {length} bytes");
        let key: [u8; 4] = self.bytes.get(header..header + 4)?.try_into().ok()?;
        let end = header + 4 + length;
        let payload = self.bytes.get(header + 4..end)?.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        self.bytes.drain(..end);
        Some((opcode, payload))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Appends one frame of a server.
pub fn push_frame(last: bool, opcode: u8, payload: &[u8], out: &mut impl Extend<u8>) {
    out.extend([if last { 0x80 | opcode } else { opcode }]);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short), _) if short < 126 => out.extend([short]),
        (_, Ok(medium)) => out.extend([126].into_iter().chain(medium.to_be_bytes())),
        _ => out.extend([127].into_iter().chain((payload.len() as u64).to_be_bytes())),
    }
    out.extend(payload.iter().copied());
}

/// The payload of a close frame.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    code.to_be_bytes().into_iter().chain(reason.bytes()).collect()
}

/// Code and reason of a close frame's payload; 1005 where there is none.
#[must_use]
pub fn read_close(payload: &[u8]) -> (u16, String) {
    match payload {
        [a, b, reason @ ..] => (u16::from_be_bytes([*a, *b]), String::from_utf8_lossy(reason).into_owned()),
        [_] | [] => (1005, String::new()),
    }
}
