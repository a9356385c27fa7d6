//! A small gzip decoder for the `gzip` encoding of buffered answers. It checks length and CRC-32.

/// Decodes one gzip member. `None` if it is damaged or the result would exceed `limit` bytes.
#[must_use]
pub(super) fn gunzip(data: &[u8], limit: usize) -> Option<Vec<u8>> {
    let flags = *data.get(3)?;
    if data.get(..3)? != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return None;
    }
    let mut at = 10;
    if flags & 4 != 0 {
        at += 2 + usize::from(u16::from_le_bytes([*data.get(at)?, *data.get(at + 1)?]));
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            at += data.get(at..)?.iter().position(|&byte| byte == 0)? + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    let mut bits = Bits { data: data.get(at..)?, at: 0, held: 0, count: 0 };
    let decoded = inflate(&mut bits, limit)?;
    let trailer = bits.data.get(bits.at..)?;
    let checksum = u32::from_le_bytes(trailer.get(..4)?.try_into().ok()?);
    let length = u32::from_le_bytes(trailer.get(4..8)?.try_into().ok()?);
    let right = trailer.len() == 8 && checksum == crc32(&decoded) && length == u32::try_from(decoded.len()).ok()?;
    right.then_some(decoded)
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// At most 16 bits, lowest first.
    fn take(&mut self, wanted: u32) -> Option<u32> {
        while self.count < wanted {
            self.held |= u32::from(*self.data.get(self.at)?) << self.count;
            self.at += 1;
            self.count += 8;
        }
        let value = self.held & ((1 << wanted) - 1);
        self.held >>= wanted;
        self.count -= wanted;
        Some(value)
    }

    fn skip_to_byte(&mut self) {
        self.held = 0;
        self.count = 0;
    }
}

/// A canonical Huffman code: how many codes of each length, and the symbols in code order.
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for &length in lengths {
            *counts.get_mut(usize::from(length))? += 1;
        }
        counts[0] = 0;
        let mut left = 1_i32;
        for &count in &counts[1..] {
            left = left * 2 - i32::from(count);
            if left < 0 {
                return None;
            }
        }
        let mut offsets = [0_usize; 16];
        for length in 1..15 {
            offsets[length + 1] = offsets[length] + usize::from(counts[length]);
        }
        let mut symbols = vec![0; lengths.len()];
        for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length != 0) {
            let offset = &mut offsets[usize::from(length)];
            *symbols.get_mut(*offset)? = u16::try_from(symbol).ok()?;
            *offset += 1;
        }
        Some(Self { counts, symbols })
    }

    fn next(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let (mut code, mut first, mut index) = (0_u32, 0_u32, 0_u32);
        for &count in &self.counts[1..] {
            code |= bits.take(1)?;
            let count = u32::from(count);
            if code < first + count {
                return self.symbols.get(usize::try_from(index + code - first).ok()?).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn inflate(bits: &mut Bits<'_>, limit: usize) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(bits, &mut decoded, limit)?,
            1 => {
                let mut lengths = [8_u8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                compressed(bits, &mut decoded, limit, &Code::new(&lengths)?, &Code::new(&[5; 30])?)?;
            }
            2 => {
                let (literals, distances) = read_codes(bits)?;
                compressed(bits, &mut decoded, limit, &literals, &distances)?;
            }
            _ => return None,
        }
        if last {
            return Some(decoded);
        }
    }
}

fn stored(bits: &mut Bits<'_>, decoded: &mut Vec<u8>, limit: usize) -> Option<()> {
    bits.skip_to_byte();
    let header = bits.data.get(bits.at..bits.at + 4)?;
    let length = u16::from_le_bytes([header[0], header[1]]);
    if u16::from_le_bytes([header[2], header[3]]) != !length {
        return None;
    }
    let from = bits.at + 4;
    let to = from + usize::from(length);
    decoded.extend_from_slice(bits.data.get(from..to)?);
    bits.at = to;
    (decoded.len() <= limit).then_some(())
}

fn read_codes(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let literals = usize::try_from(bits.take(5)?).ok()? + 257;
    let distances = usize::try_from(bits.take(5)?).ok()? + 1;
    let given = usize::try_from(bits.take(4)?).ok()? + 4;
    if literals > 286 || distances > 30 {
        return None;
    }
    let mut lengths = [0_u8; 19];
    for &position in ORDER.iter().take(given) {
        lengths[position] = u8::try_from(bits.take(3)?).ok()?;
    }
    let code = Code::new(&lengths)?;
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, repeat) = match code.next(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (u8::try_from(length).ok()?, 1),
        };
        lengths.extend(std::iter::repeat_n(value, usize::try_from(repeat).ok()?));
    }
    if lengths.len() != literals + distances {
        return None;
    }
    Some((Code::new(&lengths[..literals])?, Code::new(&lengths[literals..])?))
}

fn compressed(bits: &mut Bits<'_>, decoded: &mut Vec<u8>, limit: usize, literals: &Code, distances: &Code) -> Option<()> {
    loop {
        match literals.next(bits)? {
            literal @ 0..=255 => decoded.push(u8::try_from(literal).ok()?),
            256 => return Some(()),
            symbol => {
                let (base, extra) = length_base(u32::from(symbol) - 257)?;
                let length = base + bits.take(extra)?;
                let (base, extra) = distance_base(u32::from(distances.next(bits)?))?;
                let distance = usize::try_from(base + bits.take(extra)?).ok()?;
                let from = decoded.len().checked_sub(distance)?;
                for offset in 0..usize::try_from(length).ok()? {
                    decoded.push(*decoded.get(from + offset)?);
                }
            }
        }
        if decoded.len() > limit {
            return None;
        }
    }
}

/// Base and extra bits of length symbol 257 + `index`.
fn length_base(index: u32) -> Option<(u32, u32)> {
    match index {
        0..8 => Some((index + 3, 0)),
        8..28 => {
            let extra = index / 4 - 1;
            Some((((4 + index % 4) << extra) + 3, extra))
        }
        28 => Some((258, 0)),
        _ => None,
    }
}

fn distance_base(index: u32) -> Option<(u32, u32)> {
    match index {
        0..4 => Some((index + 1, 0)),
        4..30 => {
            let extra = index / 2 - 1;
            Some((((2 + index % 2) << extra) + 1, extra))
        }
        _ => None,
    }
}

fn crc32(data: &[u8]) -> u32 {
    let mut value = !0_u32;
    for &byte in data {
        value ^= u32::from(byte);
        for _ in 0..8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
        }
    }
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    use base64::{Engine as _, engine::general_purpose::STANDARD};

    /// `hello hello hello hello` and a line feed: one block with the fixed codes.
    const FIXED: &str = "H4sIAAAAAAACA8tIzcnJV8hAJ7kAAIhZCxgAAAA=";
    /// 1302 bytes of JSON: one block with its own codes.
    const DYNAMIC: &str = "H4sIAAAAAAACA3WUS04DQQxE79LrLPxrT3euQ7JgkyCQYBFxd0DRIIJfb0slt99UeW7t0o5yaB/t2F6up/Z5uP0oelfezq/vz0/nXY3im3flcj39mjSLy3q1eVYtYFwGrjIUXhYAMa1aBK09q3HCkkY01hPXtFGnujGSJzDFzvQgxiKfURPqNtHbt5pTElqCcbOKtcHjY7Ho3Kn+6wlpiVFcMphLtSe0gMjUJqemTmWI4Ny0U8eSgtPE3m6LkusIKiWdjslO+PfuVBe1NKmDzQU+tIUo9R1uzRKtm8TiNoQjtAn/ECdAV2fA7xvj2e4JkB7jIcIvAtp/dxYFAAA=";

    #[test]
    fn blocks_with_codes() {
        let decode = |text| gunzip(&STANDARD.decode(text).unwrap(), 2000);
        assert_eq!(decode(FIXED).unwrap(), b"hello hello hello hello\n");
        let decoded = decode(DYNAMIC).unwrap();
        assert_eq!(decoded.len(), 1302);
        assert!(decoded.starts_with(b"{\"n\":0,"));
    }

    #[test]
    fn damaged_data_is_refused() {
        let mut data = STANDARD.decode(FIXED).unwrap();
        assert_eq!(gunzip(&data, 23), None);
        let checksum = data.len() - 8;
        data[checksum] ^= 1;
        assert_eq!(gunzip(&data, 1000), None);
        assert_eq!(gunzip(&[], 1000), None);
        assert_eq!(gunzip(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 7], 1000), None);
    }

    #[test]
    fn stored_blocks() {
        let mut data = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 0, 0xfd, 0xff, b'h', b'i'];
        data.extend_from_slice(&crc32(b"hi").to_le_bytes());
        data.extend_from_slice(&2_u32.to_le_bytes());
        assert_eq!(gunzip(&data, 1000).as_deref(), Some(b"hi".as_slice()));
        assert_eq!(gunzip(&data, 1), None);
    }

    #[test]
    fn checksum_of_a_known_text() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
