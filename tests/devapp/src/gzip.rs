//! A gzip member without compression: enough to see whether something on the way meddles with encodings.

/// The most that a stored block holds.
const BLOCK: usize = 65_535;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    // Deflate, no flags, no time, no extra flags, unknown system.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let blocks = bytes.chunks(BLOCK).count().max(1);
    for number in 0..blocks {
        let start = number * BLOCK;
        let block = bytes.get(start..bytes.len().min(start + BLOCK)).unwrap_or_default();
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(number + 1 == blocks));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(bytes).to_le_bytes());
    let length = u32::try_from(bytes.len() % (1 << 32)).unwrap_or_default();
    out.extend_from_slice(&length.to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_texts_take_several_blocks() {
        let bytes = vec![7; BLOCK + 1];
        let packed = gzip(&bytes);
        assert_eq!(packed.len(), 10 + 5 + BLOCK + 5 + 1 + 8);
        assert_eq!(gzip(b"").len(), 10 + 5 + 8);
    }
}
