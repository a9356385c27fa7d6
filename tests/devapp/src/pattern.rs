//! The bytes that transfers consist of: each place has its own, so that gaps, repeats and swaps are found.

const WORD: u64 = 8;

/// Fills `out` with the bytes of the pattern that begin at `offset`.
pub fn pattern(offset: u64, out: &mut [u8]) {
    let mut offset = offset;
    let mut rest = out;
    while !rest.is_empty() {
        let word = word(offset / WORD);
        // Below eight, by the modulus.
        let within = usize::try_from(offset % WORD).unwrap_or_default();
        let bytes = word.get(within..).unwrap_or_default();
        let count = bytes.len().min(rest.len());
        let (now, later) = rest.split_at_mut(count);
        now.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        rest = later;
        offset = offset.wrapping_add(u64::try_from(count).unwrap_or_default());
    }
}

/// Where `bytes`, which should begin at `offset` of the pattern, first differ from it: an offset in the pattern.
#[must_use]
pub fn mismatch(offset: u64, bytes: &[u8]) -> Option<u64> {
    let mut expected = vec![0; bytes.len()];
    pattern(offset, &mut expected);
    let place = expected.iter().zip(bytes).position(|(a, b)| a != b)?;
    Some(offset.wrapping_add(u64::try_from(place).unwrap_or_default()))
}

/// A bijection of the word's number (the finaliser of splitmix64), so no two words of eight bytes are the same.
fn word(number: u64) -> [u8; 8] {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_up_the_whole() {
        let mut whole = vec![0; 1000];
        pattern(0, &mut whole);
        let mut joined = Vec::new();
        for size in [0, 1, 7, 8, 9, 64, 911] {
            let mut piece = vec![0; size];
            pattern(u64::try_from(joined.len()).unwrap(), &mut piece);
            joined.extend_from_slice(&piece);
        }
        assert_eq!(joined, whole);
    }

    #[test]
    fn a_gap_is_found_where_it_is() {
        let mut bytes = vec![0; 300];
        pattern(5, &mut bytes);
        assert_eq!(mismatch(5, &bytes), None);
        bytes.drain(100..108);
        assert!(mismatch(5, &bytes).is_some_and(|place| (105..115).contains(&place)));
    }

    #[test]
    fn the_end_of_the_numbers_is_no_trouble() {
        pattern(u64::MAX - 3, &mut [0; 32]);
    }
}
