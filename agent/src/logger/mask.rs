//! Takes secrets out of text that came from outside.
//!
//! This is the second line of defence: values known to be secret have their own type. Here the shapes in which secrets
//! travel are found, and only the secret itself is replaced. Where a shape is ambiguous too much is hidden, not too
//! little.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::logger::known;
use crate::secret::MASK;

/// A name that ends like this has a secret for its value, in JSON, YAML, queries, `key=value` and headers.
const SECRET_NAMES: [&str; 17] = [
    "token",
    "password",
    "passwd",
    "client-key-data",
    "client_key_data",
    "client_secret",
    "client-secret",
    "private_key",
    "private-key",
    "api_key",
    "api-key",
    "apikey",
    "access_key",
    "access-key",
    "secret_key",
    "secret-key",
    "passphrase",
];
/// Headers whose whole value is secret.
const SECRET_HEADERS: [&str; 2] = ["authorization", "cookie"];
/// The prefix of the WebSocket subprotocol in which browsers hand a bearer token to a kube-apiserver.
const SUBPROTOCOL: &str = "bearer.authorization.k8s.io";

/// The text with its secrets replaced: those that are known, and what has the shape of one. Borrows if there are none.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    known::hide(mask_shapes(text))
}

fn mask_shapes(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut masked = String::new();
    let mut copied = 0;
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let found = match byte {
            b'=' => after_equals(bytes, index),
            b':' => after_colon(bytes, index),
            b' ' => after_bearer(bytes, index),
            b'.' => after_subprotocol(bytes, index),
            b'e' => web_token(bytes, index),
            b'-' => private_key(text, index),
            _ => None,
        };
        // The ends of a secret are next to ASCII characters, so the slices below always exist.
        let found = found.filter(|(start, end)| start < end && *start >= copied);
        match found.and_then(|(start, end)| Some((text.get(copied..start)?, text.get(start..end)?, end))) {
            Some((before, secret, end)) if secret != MASK => {
                masked.push_str(before);
                masked.push_str(MASK);
                copied = end;
                index = end;
            }
            Some((_, _, end)) => index = end,
            None => index += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(masked)
}

/// True if a field of this name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    ends_with_any(name.as_bytes(), &SECRET_NAMES) || ends_with_any(name.as_bytes(), &SECRET_HEADERS)
}

type Range = Option<(usize, usize)>;

/// `token=…`, `?access_token=…&`, `password = "…"`.
fn after_equals(bytes: &[u8], at: usize) -> Range {
    let name = trim_name(bytes.get(..at)?);
    if ends_with_any(name, &SECRET_NAMES) || ends_with_any(name, &SECRET_HEADERS) {
        return Some(value(bytes, at + 1).range());
    }
    None
}

/// `"token": "…"`, `password: …`, `Authorization: Bearer …`, `scheme://user:password@host`.
fn after_colon(bytes: &[u8], at: usize) -> Range {
    if bytes.get(at..at + 3) == Some(b"://") {
        return user_information(bytes, at + 3);
    }
    let before = bytes.get(..at)?;
    let name = trim_name(before);
    if ends_with_any(name, &SECRET_HEADERS) {
        return Some(header_value(bytes, at + 1));
    }
    if !ends_with_any(name, &SECRET_NAMES) {
        return None;
    }
    let value = value(bytes, at + 1);
    let secret = bytes.get(value.start..value.end)?;
    let marked = value.shape != Shape::Run || matches!(before.last(), Some(b'"' | b'\''));
    // "invalid token: expired" is a message, "token: 9f86d081884c7d65" is a secret.
    let looks_secret =
        secret.len() >= 16 || (secret.len() >= 6 && secret.iter().any(u8::is_ascii_digit)) || !ends_with_any(name, &["token"]);
    let literal = matches!(secret, b"null" | b"true" | b"false");
    ((marked || looks_secret) && !literal).then(|| value.range())
}

/// `Bearer …`, wherever it stands.
fn after_bearer(bytes: &[u8], at: usize) -> Range {
    if !ends_with_any(bytes.get(..at)?, &["bearer"]) {
        return None;
    }
    let (start, end) = value(bytes, at + 1).range();
    // Prose speaks of "bearer tokens".
    let prose = ["token", "tokens"].iter().any(|word| bytes.get(start..end).is_some_and(|run| run == word.as_bytes()));
    (!prose).then_some((start, end))
}

fn after_subprotocol(bytes: &[u8], at: usize) -> Range {
    if !ends_with_any(bytes.get(..at)?, &[SUBPROTOCOL]) {
        return None;
    }
    Some((at + 1, run(bytes, at + 1)))
}

/// A signed web token: three base64url parts, the first of which begins with `{"` encoded.
fn web_token(bytes: &[u8], at: usize) -> Range {
    if bytes.get(at..at + 3) != Some(b"eyJ") {
        return None;
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let length = bytes.get(at..)?.iter().take_while(|byte| is_part(byte)).count();
    let end = at + length;
    let dots = bytes.get(at..end)?.iter().filter(|byte| **byte == b'.').count();
    (length >= 20 && dots >= 2).then_some((at, end))
}

/// The body of a PEM private key, with its frame.
fn private_key(text: &str, at: usize) -> Range {
    let rest = text.get(at..)?;
    if !rest.starts_with("-----BEGIN ") {
        return None;
    }
    let heading_end = rest.get(11..)?.find("-----")? + 16;
    if !rest.get(..heading_end)?.contains("PRIVATE KEY") {
        return None;
    }
    let end = rest.get(heading_end..)?.find("PRIVATE KEY-----").map_or(rest.len(), |found| heading_end + found + 16);
    Some((at, at + end))
}

/// Everything before the last `@` of an authority.
fn user_information(bytes: &[u8], start: usize) -> Range {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"/?#\"'<>\\".contains(byte);
    let authority = bytes.get(start..)?;
    let authority = authority.get(..authority.iter().position(is_end).unwrap_or(authority.len()))?;
    authority.iter().rposition(|byte| *byte == b'@').map(|at| (start, start + at))
}

/// The value of a secret header: inside its quotes or brackets, else up to the end of its line.
fn header_value(bytes: &[u8], from: usize) -> (usize, usize) {
    let value = value(bytes, from);
    if value.shape != Shape::Run {
        return value.range();
    }
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n' | b'"' | b'\'' | b'\\' | b',');
    let rest = bytes.get(value.start..).unwrap_or_default();
    (value.start, value.start + rest.iter().position(is_end).unwrap_or(rest.len()))
}

/// How a value is marked off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Quoted,
    /// A list in brackets, as the values of one header are written in JSON.
    List,
    /// A run of characters without a delimiter.
    Run,
}

struct Found {
    start: usize,
    end: usize,
    shape: Shape,
}

impl Found {
    fn range(&self) -> (usize, usize) {
        (self.start, self.end)
    }
}

/// The value that begins at or after `from`, without its quotes or brackets.
fn value(bytes: &[u8], from: usize) -> Found {
    let at = |index: usize| bytes.get(index).copied();
    let mut start = from;
    while matches!(at(start), Some(b' ' | b'\t')) {
        start += 1;
    }
    if at(start) == Some(b'[') {
        let rest = bytes.get(start + 1..).unwrap_or_default();
        let quoted = matches!(rest.first(), Some(b'"' | b'\'' | b'\\'));
        // A bracket inside a quoted item does not end the list.
        let ends = |index: usize| index == 0 || !quoted || matches!(rest.get(index - 1), Some(b'"' | b'\''));
        let end = (0..rest.len()).find(|index| rest.get(*index) == Some(&b']') && ends(*index)).unwrap_or(rest.len());
        return Found { start: start + 1, end: start + 1 + end, shape: Shape::List };
    }
    let mut quote = start;
    while at(quote) == Some(b'\\') {
        quote += 1;
    }
    let Some(mark @ (b'"' | b'\'')) = at(quote) else {
        return Found { start, end: run(bytes, start), shape: Shape::Run };
    };
    let escapes = quote - start;
    start = quote + 1;
    let mut end = start;
    while let Some(byte) = at(end) {
        if byte == mark {
            let before = bytes.get(start..end).unwrap_or_default();
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            // The closing mark is escaped as often as the opening one; one more escape makes it part of the value.
            if backslashes == escapes || (escapes == 0 && backslashes % 2 == 0) {
                return Found { start, end: end - backslashes.min(escapes), shape: Shape::Quoted };
            }
        }
        end += 1;
    }
    Found { start, end, shape: Shape::Quoted }
}

/// The end of a run of characters that can belong to a token.
fn run(bytes: &[u8], start: usize) -> usize {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"&\"',;)]}<>\\{[".contains(byte);
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(is_end).unwrap_or(rest.len())
}

/// A name without the white space, quotes and backslashes behind it.
fn trim_name(bytes: &[u8]) -> &[u8] {
    let is_name = |byte: &u8| !matches!(byte, b' ' | b'"' | b'\'' | b'\\');
    bytes.get(..bytes.iter().rposition(is_name).map_or(0, |last| last + 1)).unwrap_or_default()
}

fn ends_with_any(bytes: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| {
        let start = bytes.len().checked_sub(word.len());
        start.and_then(|start| bytes.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
    })
}
