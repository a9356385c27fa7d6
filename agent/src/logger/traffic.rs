//! What goes over the wires, as TRACE shows it.
//!
//! Bodies are shown as their sizes: they may hold anything, encoded in any way and cut anywhere, so no search for secrets is safe in
//! them. Of headers and parameters only those are shown that are known to be harmless. Call these only when TRACE is on.

use std::fmt::Write as _;

use crate::secret::MASK;

/// A message is shown up to here.
const LONGEST: usize = 8 * 1024;
/// A longer text is shown as its size.
const LONGEST_TEXT: usize = 512;
/// What is nested deeper than this is not shown.
const DEEPEST: usize = 32;

/// A member whose name holds one of these has a secret for its value.
const SECRET_WORDS: [&str; 13] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "credential",
    "auth",
    "cookie",
    "private",
    "apikey",
    "api_key",
    "api-key",
    "key-data",
    "access_key",
];
/// Members that hold bodies, whole or in parts.
const BODIES: [&str; 6] = ["body", "data", "chunk", "head_data", "headdata", "content"];
/// Members that hold an address or a part of one.
const ADDRESSES: [&str; 5] = ["path", "query", "uri", "url", "gateway_ws_url"];
/// The headers that are shown.
const HEADERS: [&str; 19] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "host",
    "retry-after",
    "sec-websocket-version",
    "server",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "x-request-id",
    "x-stream-protocol-version",
];
/// The parameters that are shown: those of the Kubernetes API, and those of the upgrade to the gateway.
const PARAMETERS: [&str; 23] = [
    "agent_version",
    "allowWatchBookmarks",
    "cluster_uuid",
    "container",
    "dryRun",
    "fieldManager",
    "fieldSelector",
    "follow",
    "labelSelector",
    "limit",
    "pretty",
    "previous",
    "resourceVersion",
    "resourceVersionMatch",
    "sinceSeconds",
    "stderr",
    "stdin",
    "stdout",
    "tailLines",
    "timeoutSeconds",
    "timestamps",
    "tty",
    "watch",
];

/// A message of the protocol.
pub(crate) fn message(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    let mut levels: Vec<Level> = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        if shown.len() > LONGEST || levels.len() > DEEPEST {
            let _ = write!(shown, "\u{2026} <{} bytes in all>", text.len());
            break;
        }
        rest = after;
        match byte {
            b'{' | b'[' => {
                let value = levels.last().map_or(Treatment::Show, |level| level.value);
                levels.push(Level { object: byte == b'{', key_next: byte == b'{', own: value, value });
                shown.push(char::from(byte));
            }
            b'}' | b']' => {
                levels.pop();
                shown.push(char::from(byte));
            }
            b',' => {
                if let Some(level) = levels.last_mut() {
                    level.key_next = level.object;
                }
                shown.push(',');
            }
            b':' => shown.push(':'),
            b'"' => {
                let (inner, after) = string(after);
                rest = after;
                match levels.last_mut() {
                    Some(level) if level.key_next => {
                        level.key_next = false;
                        level.value = level.own.of_member(inner);
                        // A name is no place for a secret, but whoever sends messages chooses it.
                        let name = if inner.len() > 64 { "\u{2026}".into() } else { String::from_utf8_lossy(inner) };
                        let _ = write!(shown, "\"{name}\"");
                    }
                    level => push_value(&mut shown, inner, level.map_or(Treatment::Show, |level| level.value)),
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
                let word = text.get(text.len() - after.len() - 1..text.len() - after.len() + length).unwrap_or_default();
                rest = after.get(length..).unwrap_or_default();
                let shows = levels.last().is_none_or(|level| matches!(level.value, Treatment::Show | Treatment::Address));
                let number = word.len() <= 40 && word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
                if matches!(word, b"true" | b"false" | b"null") || (shows && number) {
                    shown.push_str(&String::from_utf8_lossy(word));
                } else {
                    shown.push_str(MASK);
                }
            }
        }
    }
    shown
}

/// Headers as `name: value`, one after the other.
pub(crate) fn headers<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut shown = String::new();
    for (name, value) in headers {
        if shown.len() > LONGEST {
            shown.push('\u{2026}');
            break;
        }
        if !shown.is_empty() {
            shown.push_str("; ");
        }
        let _ = write!(shown, "{name}: ");
        if is_harmless_header(name.as_bytes(), value) {
            shown.push_str(&String::from_utf8_lossy(value));
        } else {
            shown.push_str(MASK);
        }
    }
    shown
}

/// A path with its query.
pub(crate) fn address(text: &str) -> String {
    let mut shown = String::new();
    push_address(&mut shown, text, false);
    shown
}

/// How a value is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Show,
    /// The mask in its place.
    Hide,
    /// Its size in its place.
    Measure,
    /// The values of its parameters are hidden but for the harmless ones.
    Address,
    /// Its members are headers.
    Headers,
    /// The value of a header of which only this much is known: its name is harmless.
    Subprotocol,
}

impl Treatment {
    /// How the value of a member `name` is shown, inside of a value that is shown like this.
    fn of_member(self, name: &[u8]) -> Self {
        match self {
            Self::Hide | Self::Measure | Self::Subprotocol => self,
            Self::Headers if name.eq_ignore_ascii_case(b"sec-websocket-protocol") => Self::Subprotocol,
            Self::Headers => {
                if is_one_of(name, &HEADERS) {
                    Self::Show
                } else {
                    Self::Hide
                }
            }
            Self::Show | Self::Address => {
                // A name that is spelled with escapes is spelled so for a reason.
                if name.contains(&b'\\') || SECRET_WORDS.iter().any(|word| contains(name, word)) {
                    Self::Hide
                } else if is_one_of(name, &["headers", "header"]) {
                    Self::Headers
                } else if is_one_of(name, &BODIES) {
                    Self::Measure
                } else if is_one_of(name, &ADDRESSES) {
                    Self::Address
                } else {
                    Self::Show
                }
            }
        }
    }
}

struct Level {
    object: bool,
    key_next: bool,
    /// How this object or list is shown, and how the value at hand is.
    own: Treatment,
    value: Treatment,
}

/// What is inside the quotes, and what follows them.
fn string(text: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'"' if !escaped => return (text.get(..index).unwrap_or_default(), text.get(index + 1..).unwrap_or_default()),
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (text, &[])
}

fn push_value(shown: &mut String, inner: &[u8], treatment: Treatment) {
    let text = String::from_utf8_lossy(inner.get(..inner.len().min(LONGEST_TEXT)).unwrap_or_default());
    let hidden = match treatment {
        Treatment::Hide | Treatment::Headers => true,
        Treatment::Subprotocol => !is_harmless_header(b"sec-websocket-protocol", inner),
        Treatment::Show | Treatment::Measure | Treatment::Address => false,
    };
    shown.push('"');
    if hidden {
        shown.push_str(MASK);
    } else if treatment == Treatment::Measure || inner.len() > LONGEST_TEXT {
        let _ = write!(shown, "<{} bytes>", inner.len());
    } else if treatment == Treatment::Address {
        push_address(shown, &text, true);
    } else {
        shown.push_str(&text);
    }
    shown.push('"');
}

/// `may_be_query`: without a slash at its beginning it is a query alone.
fn push_address(shown: &mut String, text: &str, may_be_query: bool) {
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None if may_be_query && !text.starts_with('/') && text.contains('=') => ("", Some(text)),
        None => (text, None),
    };
    shown.push_str(path);
    let Some(query) = query else { return };
    if text.contains('?') {
        shown.push('?');
    }
    // JSON may spell the ampersand as an escape.
    let escaped = query.contains('\\');
    for (index, pair) in query.split('&').enumerate() {
        if index > 0 {
            shown.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) if !escaped && (PARAMETERS.contains(&name) || name.starts_with("supports_")) => shown.push_str(pair),
            Some((name, _)) if !escaped => {
                shown.push_str(name);
                shown.push('=');
                shown.push_str(MASK);
            }
            Some(_) | None => shown.push_str(MASK),
        }
    }
}

fn is_harmless_header(name: &[u8], value: &[u8]) -> bool {
    if name.eq_ignore_ascii_case(b"sec-websocket-protocol") {
        let items = value.split(|byte| *byte == b',');
        return items.map(<[u8]>::trim_ascii).all(|item| item.ends_with(b".k8s.io") && !contains(item, "bearer"));
    }
    is_one_of(name, &HEADERS)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn contains(name: &[u8], word: &str) -> bool {
    name.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests;
