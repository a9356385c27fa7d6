//! Writing JSON straight into the outgoing buffer.

use alloc::vec::Vec;

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(position) = rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f) {
        let (plain, special) = rest.split_at(position);
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = special.split_first() else {
            break;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX.get(usize::from(byte >> 4)).copied().unwrap_or(b'0'));
                out.push(HEX.get(usize::from(byte & 15)).copied().unwrap_or(b'0'));
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a whole number.
pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut rest = number;
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(digit) = digits.get_mut(at) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or_default());
}

/// Writes the members of an object: the comma and the key, then the caller writes the value.
pub(crate) struct Members<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Members<'a> {
    /// Opens an object.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Begins a member.
    pub(crate) fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        push_string(key, self.out);
        self.out.push(b':');
        self.out
    }

    /// A string member.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        push_string(value, self.key(key));
    }

    /// A string member that is left out when it is not known.
    pub(crate) fn known_text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A number member.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        push_number(value, self.key(key));
    }

    /// A number member that is left out when it is not known.
    pub(crate) fn known_number(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    /// A boolean member.
    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Closes the object.
    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use miniserde::json;

    #[test]
    fn strings_are_read_back_as_they_were() {
        for text in ["", "plain", "a\"b\\c\nd\re\tf\u{0}\u{1f}\u{7f}g", "äöü €", "\u{2028}"] {
            let mut out = Vec::new();
            push_string(text, &mut out);
            let read: String = json::from_str(core::str::from_utf8(&out).unwrap()).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 7, 10, 4096, u64::MAX] {
            let mut out = Vec::new();
            push_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), alloc::format!("{number}"));
        }
    }
}
