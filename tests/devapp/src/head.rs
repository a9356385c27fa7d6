//! The head of a request: the request line, the fields in their order, the query. Decides nothing.

use std::io;

use crate::wire::Wire;

const HEAD_LIMIT: usize = 64 * 1024;
const MAX_FIELDS: usize = 200;

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Query,
    /// Of HTTP/1.
    pub(crate) minor: u8,
    /// As they came, with the spelling they came in.
    pub(crate) fields: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) enum HeadError {
    /// The client left, before the head or in it.
    Gone,
    TooLarge,
    Malformed,
}

impl From<io::Error> for HeadError {
    fn from(_: io::Error) -> HeadError {
        HeadError::Gone
    }
}

impl Head {
    pub(crate) async fn read(wire: &mut Wire) -> Result<Head, HeadError> {
        loop {
            if let Some((head, length)) = parse(wire.ahead())? {
                wire.used(length);
                return Ok(head);
            }
            if wire.ahead().len() >= HEAD_LIMIT {
                return Err(HeadError::TooLarge);
            }
            if !wire.fill().await? {
                return Err(HeadError::Gone);
            }
        }
    }

    pub(crate) fn first(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    pub(crate) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The members of a list, whichever lines they came in.
    pub(crate) fn members(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|member| !member.is_empty())
    }

    pub(crate) fn has_member(&self, name: &'static str, member: &str) -> bool {
        self.members(name).any(|m| m.eq_ignore_ascii_case(member))
    }

    /// The protocol that the client wants to change to.
    pub(crate) fn upgrade(&self) -> Option<&str> {
        let asked = self.minor == 1 && self.has_member("connection", "upgrade");
        if asked { self.members("upgrade").next() } else { None }
    }

    pub(crate) fn keeps_alive(&self) -> bool {
        if self.minor == 0 { self.has_member("connection", "keep-alive") } else { !self.has_member("connection", "close") }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Malformed),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(HeadError::Malformed);
    };
    let (path, query) = split(target);
    let head = Head {
        method: method.to_owned(),
        path: path.to_owned(),
        query: Query::parse(query),
        minor,
        fields: request
            .headers
            .iter()
            .map(|field| (field.name.to_owned(), String::from_utf8_lossy(field.value).into_owned()))
            .collect(),
    };
    Ok(Some((head, length)))
}

/// Path and query; the origin of the absolute form is left out.
fn split(target: &str) -> (&str, &str) {
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/"),
        _ => target,
    };
    rest.split_once('?').unwrap_or((rest, ""))
}

#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) text: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Query { text: text.to_owned(), pairs: pairs.map(|(name, value)| (decode(name), decode(value))).collect() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | ""))
    }
}

/// Percent-decoding with `+` for a space; what cannot be decoded stays as it is.
fn decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn fields_keep_their_order_and_spelling() {
        let head = parsed("GET /a?b=c%20d&e HTTP/1.1\r\nX-B: 1\r\nx-A: 2\r\nX-B: 3\r\n\r\n");
        let names: Vec<&str> = head.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["X-B", "x-A", "X-B"]);
        assert_eq!((head.path.as_str(), head.query.get("b"), head.query.flag("e")), ("/a", Some("c d"), true));
        assert_eq!(head.members("x-b").collect::<Vec<_>>(), ["1", "3"]);
    }

    #[test]
    fn an_upgrade_needs_both_fields() {
        assert_eq!(parsed("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n").upgrade(), None);
        let both = "GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: keep-alive, Upgrade\r\n\r\n";
        assert_eq!(parsed(both).upgrade(), Some("x"));
    }

    #[test]
    fn rubbish_is_refused_and_a_beginning_waits() {
        assert!(matches!(parse(b"\x16\x03\x01\x00"), Err(HeadError::Malformed)));
        assert!(matches!(parse(b"GET / HTTP/1.1\r\nA"), Ok(None)));
    }

    #[test]
    fn the_absolute_form_is_cut_to_its_path() {
        assert_eq!(split("http://a.example:1/p?q=http://x"), ("/p", "q=http://x"));
        assert_eq!(split("http://a.example"), ("/", ""));
        assert_eq!(split("/p?u=http://x"), ("/p", "u=http://x"));
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("100%+%zz%41"), "100% %zzA");
    }
}
