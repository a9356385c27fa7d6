//! The binary answer: an answer's id, status, headers and body in one binary message.

use serde_json::Value;

use super::exchange::read_headers;

/// A binary answer, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BinaryAnswer {
    pub(super) id: String,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, Vec<String>)>,
    pub(super) body: Vec<u8>,
}

/// Reads a binary answer, or says what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<BinaryAnswer, &'static str> {
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or("too short for an id's length")?;
    let length = usize::from(u16::from_be_bytes(*length));
    let (id, rest) = rest.split_at_checked(length).ok_or("shorter than its id")?;
    let id = std::str::from_utf8(id).map_err(|_| "id is not UTF-8")?;
    let (status, rest) = rest.split_first_chunk::<4>().ok_or("too short for a status")?;
    let status = u16::try_from(u32::from_be_bytes(*status)).map_err(|_| "status too large")?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or("too short for the headers' length")?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| "headers too long")?;
    let (headers, body) = rest.split_at_checked(length).ok_or("shorter than its headers")?;
    let headers: Value = serde_json::from_slice(headers).map_err(|_| "headers are not JSON")?;
    if !headers.is_object() && !headers.is_null() {
        return Err("headers are neither an object nor null");
    }
    Ok(BinaryAnswer { id: id.to_owned(), status, headers: read_headers(Some(&headers)), body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &[u8] = b"\x00\x02r1\x00\x00\x00\xc8\x00\x00\x00\x04nullBODY";

    #[test]
    fn an_answer() {
        let answer = read(EXAMPLE).unwrap();
        assert_eq!((answer.id.as_str(), answer.status), ("r1", 200));
        assert!(answer.headers.is_empty());
        assert_eq!(answer.body, b"BODY");
    }

    #[test]
    fn every_cut_is_noticed() {
        for length in 0..EXAMPLE.len() - 4 {
            assert!(read(&EXAMPLE[..length]).is_err(), "{length}");
        }
        assert!(read(b"\x00\x01r\x00\x00\x00\xc8\x00\x00\x00\x02[]").is_err());
    }
}
