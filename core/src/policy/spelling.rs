//! How a path, a query and a method are written in a request line, and which of them are refused.

use alloc::string::String;

use crate::policy::Refusal;
use crate::policy::headers::valid_name;

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

/// Checks a decoded path for a service and gives it back in the spelling for the request line. An empty path is the root. Double
/// slashes stay: to a service they may mean something. A percent sign stands for itself, since the path is decoded text.
///
/// # Errors
/// The rule that refuses the path.
pub fn service_path(path: &str) -> Result<String, Refusal> {
    if path.is_empty() {
        return Ok("/".into());
    }
    if path.chars().any(char::is_control) {
        return Err(Refusal::PathCharacter);
    }
    if !path.starts_with('/') {
        return Err(Refusal::PathRelative);
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Refusal::PathSegment);
    }
    let mut encoded = String::with_capacity(path.len());
    percent_encode(path, &mut encoded);
    Ok(encoded)
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn paths_of_services_are_encoded_once_and_never_climb() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("/a//b/", "/a//b/"),
            ("/a%2Fb", "/a%252Fb"),
            ("/%2e%2e/x", "/%252e%252e/x"),
            ("/a?b#c\\d e\u{e4}", "/a%3Fb%23c%5Cd%20e%C3%A4"),
            ("/..a/b../...", "/..a/b../..."),
            ("/@host:80/a", "/@host:80/a"),
        ] {
            assert_eq!(service_path(path).as_deref(), Ok(expected), "{path:?}");
        }
        for (path, refusal) in [
            ("a", Refusal::PathRelative),
            ("http://x/", Refusal::PathRelative),
            ("..", Refusal::PathRelative),
            ("/..", Refusal::PathSegment),
            ("/a/../b", Refusal::PathSegment),
            ("/./", Refusal::PathSegment),
            ("/a\r\nX: y", Refusal::PathCharacter),
            ("/\0", Refusal::PathCharacter),
            ("/\u{7f}", Refusal::PathCharacter),
            ("/\u{85}", Refusal::PathCharacter),
        ] {
            assert_eq!(service_path(path), Err(refusal), "{path:?}");
        }
    }

    #[test]
    fn a_method_is_a_token_without_connect_and_trace() {
        assert_eq!(method("get").as_deref(), Ok("GET"));
        assert_eq!(method("GET /x"), Err(Refusal::Method));
        assert_eq!(method("connect"), Err(Refusal::Method));
        assert_eq!(method("Trace"), Err(Refusal::Method));
        assert_eq!(method(""), Err(Refusal::Method));
    }
}
