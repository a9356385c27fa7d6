//! The parts of a request as the API reads them: path segments, query, headers. Decides nothing.

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method};

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    headers: HeaderMap,
}

impl Head {
    pub(crate) fn new(parts: Parts) -> Head {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        Head { method: parts.method, path: parts.uri.path().to_owned(), query, headers: parts.headers }
    }

    fn text(&self, name: HeaderName) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.text(AUTHORIZATION).split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// Without parameters, in lower case.
    pub(crate) fn content_type(&self) -> String {
        let full = self.text(CONTENT_TYPE);
        full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// All of it, also when it came in several lines.
    pub(crate) fn accept(&self) -> String {
        let lines: Vec<&str> = self.headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        lines.join(",")
    }

    pub(crate) fn first(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The members of a list, whichever lines they came in.
    pub(crate) fn members(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        let lines = self.headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim).filter(|member| !member.is_empty())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(&name.replace('+', " ")), decode(&value.replace('+', " "))))
                .collect(),
        )
    }

    /// `None` also when it is there but empty, which means the same to the API.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Every value of a name that may come more than once.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// Percent-decoding; what cannot be decoded stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match pair.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let query = Query::parse("labelSelector=app%3Dweb%2Ctier+in+%28a%29&watch=1&limit=500&empty=&bare");
        assert_eq!(query.get("labelSelector"), Some("app=web,tier in (a)"));
        assert!(query.flag("watch"));
        assert_eq!(query.number("limit"), Some(500));
        assert_eq!(query.get("empty"), None);
        assert_eq!(query.get("bare"), None);
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz%41"), "%zzA");
    }
}
