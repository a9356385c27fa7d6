//! The one binary message of the JSON protocol: the body that a `proxy_request` with `body_binary` announces.

/// Splits the message into the request id and the body: two bytes length (big endian), the id, the rest.
#[must_use]
pub fn split_body(message: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = message.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes([*length.first()?, *length.get(1)?]));
    let (id, body) = rest.split_at_checked(length)?;
    Some((core::str::from_utf8(id).ok()?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_refuses_what_is_short() {
        assert_eq!(split_body(b"\0\x02r1BODY"), Some(("r1", &b"BODY"[..])));
        assert_eq!(split_body(b"\0\x02r1"), Some(("r1", &b""[..])));
        for bad in [&b""[..], b"\0", b"\0\x05r1", b"\0\x01\xff"] {
            assert_eq!(split_body(bad), None);
        }
    }
}
