//! What the plane may ask for.
//!
//! Owns the rules for paths, queries and headers of requests to the Kubernetes API, and the name of the rule that refuses
//! one. A request is refused, never rewritten into something that was not asked for. Does not own enforcement.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::message::Header;

/// Why a request is refused. `Display` gives the text that the plane sees; [`Refusal::rule`] is the stable name for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The path is empty.
    EmptyPath,
    /// The path holds a character that has no place in a decoded path.
    PathCharacter,
    /// The path has a `.` or `..` segment or an empty one.
    PathSegment,
    /// The path is not below one of the API server's roots.
    PathRoot,
    /// The query holds a control character.
    QueryCharacter,
    /// A header name or value is not valid HTTP.
    Header,
    /// The request wants to act as somebody else, which the configuration does not allow.
    Impersonation,
    /// The request names no method that HTTP knows.
    Method,
}

impl Refusal {
    /// The stable name of the rule.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::EmptyPath => "path-empty",
            Self::PathCharacter => "path-character",
            Self::PathSegment => "path-segment",
            Self::PathRoot => "path-root",
            Self::QueryCharacter => "query-character",
            Self::Header => "header",
            Self::Impersonation => "impersonation",
            Self::Method => "method",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::EmptyPath => "the path is empty",
            Self::PathCharacter => "the path holds a character that is not allowed there",
            Self::PathSegment => "the path holds an empty, '.' or '..' segment",
            Self::PathRoot => "the path is not below a root of the Kubernetes API",
            Self::QueryCharacter => "the query holds a control character",
            Self::Header => "a header is not valid HTTP",
            Self::Impersonation => "impersonation is not allowed by the agent's configuration",
            Self::Method => "the method is not valid HTTP",
        })
    }
}

/// The settings of the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Let `Impersonate-*` headers pass. The API server still checks that the plane's credential may impersonate.
    pub allow_impersonation: bool,
}

const ROOTS: [&str; 7] = ["api", "apis", "version", "healthz", "readyz", "livez", "openapi"];

/// Whether `path` is one that a plane which names no target can only mean for the Kubernetes API.
#[must_use]
pub fn is_kubernetes_path(path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    let root = path.split('/').next().unwrap_or_default();
    ROOTS.contains(&root)
}

/// Checks a decoded path for the Kubernetes API and gives it back in the spelling for the request line: percent-encoded,
/// with a leading slash. A trailing slash is kept.
///
/// # Errors
/// The rule that refuses the path.
pub fn kubernetes_path(path: &str) -> Result<String, Refusal> {
    if path.is_empty() || path == "/" {
        return Err(Refusal::EmptyPath);
    }
    // A percent sign would be decoded a second time by somebody on the way; a backslash is a slash to some.
    if path.chars().any(|c| c.is_control() || matches!(c, '%' | '\\' | '?' | '#')) {
        return Err(Refusal::PathCharacter);
    }
    let relative = path.strip_prefix('/').unwrap_or(path);
    let mut segments = relative.split('/').peekable();
    while let Some(segment) = segments.next() {
        let trailing = segment.is_empty() && segments.peek().is_none();
        if (segment.is_empty() && !trailing) || segment == "." || segment == ".." {
            return Err(Refusal::PathSegment);
        }
    }
    if !is_kubernetes_path(path) {
        return Err(Refusal::PathRoot);
    }
    let mut encoded = String::with_capacity(path.len() + 1);
    encoded.push('/');
    percent_encode(relative, &mut encoded);
    Ok(encoded)
}

/// Checks a raw query and gives it back with the bytes escaped that may not stand in a request line.
///
/// # Errors
/// [`Refusal::QueryCharacter`] for control characters.
pub fn query(query: &str) -> Result<String, Refusal> {
    let query = query.strip_prefix('?').unwrap_or(query);
    if query.chars().any(char::is_control) {
        return Err(Refusal::QueryCharacter);
    }
    let mut escaped = String::with_capacity(query.len());
    for byte in query.bytes() {
        // What is already escaped stays as it is: the query comes raw.
        if byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'"' | b'`' | b'\\' | b'^') {
            escaped.push(char::from(byte));
        } else {
            push_escape(byte, &mut escaped);
        }
    }
    Ok(escaped)
}

/// Percent-encodes everything but unreserved characters, sub-delimiters, `:`, `@` and `/` (RFC 3986, `pchar`).
fn percent_encode(path: &str, out: &mut String) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_escape(byte, out);
        }
    }
}

fn push_escape(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
    }
}

/// Headers that describe one hop and end at it (RFC 9110, section 7.6.1, and the older spellings in use).
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether `name` ends at this hop, either by itself or because `Connection` names it.
#[must_use]
pub fn is_hop_by_hop(name: &str, headers: &[Header]) -> bool {
    HOP_BY_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
        || headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("connection"))
            .flat_map(|header| header.value.split(','))
            .any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// Whether the headers ask for another protocol on the same connection. `Upgrade` alone is enough: there are gateways that drop
/// `Connection` on the way. An offer of HTTP/2 in clear text is one that every server may ignore, and so do we.
#[must_use]
pub fn asks_for_upgrade(headers: &[Header]) -> bool {
    let upgrades = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("upgrade"));
    upgrades
        .flat_map(|header| header.value.split(','))
        .any(|token| !token.trim().is_empty() && !token.trim().eq_ignore_ascii_case("h2c"))
}

/// What came of the headers of a request to the Kubernetes API.
#[derive(Debug, PartialEq, Eq)]
pub enum Authorized {
    /// The headers to send, with exactly one `Authorization` among them.
    Headers(Vec<Header>),
    /// There is no single `Authorization`: the request must not be sent, and nobody else's credential put in its place.
    Unauthorized,
}

impl Policy {
    /// The headers of a request to the Kubernetes API: the plane's `Authorization` exactly once, no header of this hop, none
    /// that only the API server's own front proxy may set.
    ///
    /// # Errors
    /// The rule that refuses the request.
    pub fn kubernetes_headers(&self, headers: &[Header]) -> Result<Authorized, Refusal> {
        let mut authorizations = 0u32;
        let mut kept = Vec::with_capacity(headers.len());
        for header in headers {
            if !valid_name(&header.name) || !valid_value(&header.value) {
                return Err(Refusal::Header);
            }
            if starts_with_ignore_case(&header.name, "impersonate-") && !self.allow_impersonation {
                return Err(Refusal::Impersonation);
            }
            // A Connection header that names Authorization must not turn the request into an anonymous one.
            if header.name.eq_ignore_ascii_case("authorization") {
                authorizations += 1;
                kept.push(header.clone());
                continue;
            }
            let computed = ["host", "content-length", "expect"].iter().any(|name| header.name.eq_ignore_ascii_case(name));
            if computed
                || starts_with_ignore_case(&header.name, "x-remote-")
                || starts_with_ignore_case(&header.name, "sec-websocket-")
                || is_hop_by_hop(&header.name, headers)
            {
                continue;
            }
            kept.push(header.clone());
        }
        let single = authorizations == 1
            && kept.iter().any(|h| h.name.eq_ignore_ascii_case("authorization") && !h.value.trim().is_empty());
        Ok(if single { Authorized::Headers(kept) } else { Authorized::Unauthorized })
    }
}

/// Whether `method` is a token that may stand in a request line. `CONNECT` and `TRACE` have no meaning here.
///
/// # Errors
/// [`Refusal::Method`].
pub fn method(method: &str) -> Result<String, Refusal> {
    let upper = method.to_ascii_uppercase();
    if upper.is_empty() || upper.len() > 32 || !valid_name(&upper) || upper == "CONNECT" || upper == "TRACE" {
        return Err(Refusal::Method);
    }
    Ok(upper)
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn valid_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f))
}

fn starts_with_ignore_case(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn b43_paths_are_matched_by_segment_and_refused_not_rewritten() {
        for (path, expected) in [
            ("/api", "/api"),
            ("api/v1/pods", "/api/v1/pods"),
            ("/apis/apps/v1/namespaces/x/deployments/", "/apis/apps/v1/namespaces/x/deployments/"),
            ("/version", "/version"),
            ("/healthz/etcd", "/healthz/etcd"),
            ("/openapi/v3", "/openapi/v3"),
            (
                "/api/v1/namespaces/a/services/http:web:80/proxy/a b/ä",
                "/api/v1/namespaces/a/services/http:web:80/proxy/a%20b/%C3%A4",
            ),
            ("/api/v1/namespaces/a/configmaps/x..y", "/api/v1/namespaces/a/configmaps/x..y"),
        ] {
            assert_eq!(kubernetes_path(path).as_deref(), Ok(expected), "{path}");
        }
        for (path, refusal) in [
            ("", Refusal::EmptyPath),
            ("/", Refusal::EmptyPath),
            ("/apifoo", Refusal::PathRoot),
            ("/versionx", Refusal::PathRoot),
            ("/metrics", Refusal::PathRoot),
            ("/logs/x", Refusal::PathRoot),
            ("/api/../metrics", Refusal::PathSegment),
            ("/api/v1/./pods", Refusal::PathSegment),
            ("/api//v1", Refusal::PathSegment),
            ("//api/v1", Refusal::PathSegment),
            ("/api/v1/pods%2f..", Refusal::PathCharacter),
            ("/api\\v1", Refusal::PathCharacter),
            ("/api/v1\r\nX: y", Refusal::PathCharacter),
            ("/api?x=1", Refusal::PathCharacter),
            ("/api#x", Refusal::PathCharacter),
            ("/api/\u{85}", Refusal::PathCharacter),
        ] {
            assert_eq!(kubernetes_path(path), Err(refusal), "{path:?}");
        }
    }

    #[test]
    fn queries_stay_as_they_are_but_for_what_breaks_a_request_line() {
        assert_eq!(query("?a=b&c=%2F").as_deref(), Ok("a=b&c=%2F"));
        assert_eq!(query("fieldSelector=a b#c").as_deref(), Ok("fieldSelector=a%20b%23c"));
        assert_eq!(query("a=\0"), Err(Refusal::QueryCharacter));
        assert_eq!(query("a=b\r\nX: y"), Err(Refusal::QueryCharacter));
    }

    #[test]
    fn b36_headers_of_this_hop_and_of_the_front_proxy_do_not_pass() {
        let policy = Policy::default();
        let sent = vec![
            header("authorization", "Bearer t"),
            header("Accept", "application/json"),
            header("Connection", "close, X-Secret"),
            header("X-Secret", "1"),
            header("Keep-Alive", "5"),
            header("TE", "trailers"),
            header("Transfer-Encoding", "chunked"),
            header("Content-Length", "7"),
            header("Host", "elsewhere"),
            header("X-Remote-User", "admin"),
            header("Upgrade", "h2c"),
        ];
        let Ok(Authorized::Headers(kept)) = policy.kubernetes_headers(&sent) else { panic!("refused") };
        let names: Vec<&str> = kept.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["authorization", "Accept"]);
    }

    #[test]
    fn an_upgrade_is_anything_but_http2_in_clear_text() {
        for (value, expected) in [("websocket", true), ("SPDY/3.1", true), ("h2c", false), ("h2c, websocket", true), ("", false)]
        {
            assert_eq!(asks_for_upgrade(&[header("Upgrade", value)]), expected, "{value}");
        }
        assert!(!asks_for_upgrade(&[header("Connection", "Upgrade")]));
    }

    #[test]
    fn b36_impersonation_is_refused_unless_the_operator_wants_it() {
        let sent = vec![header("Authorization", "Bearer t"), header("impersonate-user", "bob")];
        assert_eq!(Policy::default().kubernetes_headers(&sent), Err(Refusal::Impersonation));
        let open = Policy { allow_impersonation: true };
        assert_eq!(open.kubernetes_headers(&sent), Ok(Authorized::Headers(sent)));
    }

    #[test]
    fn b14_without_exactly_one_authorization_nothing_is_sent() {
        let policy = Policy::default();
        for sent in [
            vec![],
            vec![header("Authorization", " ")],
            vec![header("Authorization", "Bearer a"), header("authorization", "Bearer b")],
        ] {
            assert_eq!(policy.kubernetes_headers(&sent), Ok(Authorized::Unauthorized), "{sent:?}");
        }
    }

    #[test]
    fn headers_that_are_not_http_are_refused() {
        for sent in [header("A B", "x"), header("", "x"), header("X", "a\r\nY: b"), header("X", "\0")] {
            assert_eq!(Policy::default().kubernetes_headers(&[sent]), Err(Refusal::Header));
        }
        assert_eq!(method("get").as_deref(), Ok("GET"));
        assert_eq!(method("GET /x"), Err(Refusal::Method));
        assert_eq!(method("connect"), Err(Refusal::Method));
    }
}
