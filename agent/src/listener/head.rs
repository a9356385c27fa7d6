//! The head of a request, as far as it matters here.

/// The longest head that is read.
pub(super) const MOST_BYTES: usize = 8 * 1024;

/// Method, path and the host that the client believes to talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) method: &'a str,
    /// Without the query.
    pub(super) path: &'a str,
    pub(super) host: Option<&'a str>,
}

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    Complete(Head<'a>),
    /// More must come.
    Partial,
    /// No HTTP/1.
    Malformed,
}

/// Reads the head at the beginning of `bytes`. `seen` of them were looked at before and hold no end.
pub(super) fn parse(bytes: &[u8], seen: usize) -> Parsed<'_> {
    if bytes.first().is_some_and(|first| !first.is_ascii_uppercase()) {
        return Parsed::Malformed;
    }
    // The end may have begun in what was seen.
    let from = seen.saturating_sub(3);
    let fresh = bytes.get(from..).unwrap_or_default();
    let ends = |end: &[u8]| fresh.windows(end.len()).position(|window| window == end).map(|at| from + at);
    let Some(end) = ends(b"\n\r\n").or_else(|| ends(b"\n\n")) else { return Parsed::Partial };
    let text = bytes.get(..end).and_then(|head| core::str::from_utf8(head).ok());
    text.and_then(read).map_or(Parsed::Malformed, Parsed::Complete)
}

fn read(text: &str) -> Option<Head<'_>> {
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !matches!(version, "HTTP/1.0" | "HTTP/1.1") || target.is_empty() {
        return None;
    }
    let mut host = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        // One that says two things is believed neither.
        if name.eq_ignore_ascii_case("host") && host.replace(value.trim()).is_some() {
            return None;
        }
    }
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Some(Head { method, path, host })
}

/// Whether a host names this machine by an address or as `localhost`. A browser that was led here by somebody else's name does not.
pub(super) fn is_own_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = |method, path, host| Parsed::Complete(Head { method, path, host });
        for (text, parsed) in [
            ("GET /healthz HTTP/1.1\r\nHost: a:1\r\n\r\n", head("GET", "/healthz", Some("a:1"))),
            ("HEAD /metrics?x=/y HTTP/1.0\n\n", head("HEAD", "/metrics", None)),
            ("GET / HTTP/1.1\r\nHost: a\r\n", Parsed::Partial),
            ("", Parsed::Partial),
            ("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", Parsed::Malformed),
            ("GET / HTTP/2.0\r\n\r\n", Parsed::Malformed),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Parsed::Malformed),
            ("GET  / HTTP/1.1\r\n\r\n", Parsed::Malformed),
            ("GET /\r\n\r\n", Parsed::Malformed),
            ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Parsed::Malformed),
            ("\u{16}\u{3}\u{1}", Parsed::Malformed),
            ("get / HTTP/1.1", Parsed::Malformed),
        ] {
            assert_eq!(parse(text.as_bytes(), 0), parsed, "{text:?}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n", 0), Parsed::Malformed);
    }

    #[test]
    fn an_end_in_two_parts_is_found() {
        let bytes = b"GET / HTTP/1.1\r\n\r\n";
        for seen in 0..bytes.len() {
            assert_eq!(parse(&bytes[..seen], 0), Parsed::Partial);
            assert!(matches!(parse(bytes, seen), Parsed::Complete(_)), "{seen}");
        }
    }

    #[test]
    fn b41_only_addresses_and_localhost_are_this_machine() {
        for host in ["127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "localhost:1", "LOCALHOST", "10.0.0.1:80"] {
            assert!(is_own_host(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "", "localhost.evil.example", "[evil]:1", "127.0.0.1.evil.example"] {
            assert!(!is_own_host(host), "{host}");
        }
    }
}
