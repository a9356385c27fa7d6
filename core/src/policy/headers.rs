//! Which headers pass.

use alloc::vec::Vec;

use crate::message::Header;
use crate::policy::{Policy, Refusal};

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

/// The most headers of a request, and the most bytes of its head. Servers take no more, and looking at each costs time.
const MOST_HEADERS: usize = 256;
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// Whether the head of a request is one that a server could take.
#[must_use]
pub fn is_of_usual_size(path: &str, query: &str, headers: &[Header]) -> bool {
    let bytes = || headers.iter().map(|header| header.name.len() + header.value.len()).sum::<usize>();
    headers.len() <= MOST_HEADERS && path.len() + query.len() + bytes() <= MOST_HEAD_BYTES
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

/// The headers of a request to a service: all but those of this hop, those that the agent writes itself, and those of the WebSocket
/// handshake, which is the agent's own. `Authorization`, `Cookie` and `Origin` are the service's business and pass. At most one
/// `Host` is among them: the first that was sent, else the first host of `X-Forwarded-Host`. With `https` the one
/// `X-Forwarded-Proto` says so.
///
/// # Errors
/// [`Refusal::Header`] for a name, value or host that is not valid HTTP.
pub fn service_headers(headers: &[Header], https: bool) -> Result<Vec<Header>, Refusal> {
    const WRITTEN_HERE: [&str; 3] = ["host", "content-length", "expect"];
    let mut kept = Vec::with_capacity(headers.len() + 2);
    if let Some(host) = host(headers) {
        if host.bytes().any(|byte| !byte.is_ascii_alphanumeric() && !b".-_:[]%".contains(&byte)) {
            return Err(Refusal::Header);
        }
        kept.push(Header { name: "Host".into(), value: host.into() });
    }
    for header in headers {
        if !valid_name(&header.name) || !valid_value(&header.value) {
            return Err(Refusal::Header);
        }
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if WRITTEN_HERE.into_iter().any(is)
            || (https && is("x-forwarded-proto"))
            || starts_with_ignore_case(&header.name, "sec-websocket-")
            || is_hop_by_hop(&header.name, headers)
        {
            continue;
        }
        kept.push(header.clone());
    }
    if https {
        kept.push(Header { name: "X-Forwarded-Proto".into(), value: "https".into() });
    }
    Ok(kept)
}

/// The host that the client asked for.
fn host(headers: &[Header]) -> Option<&str> {
    let values = |name: &'static str| headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let direct = values("host").map(|header| header.value.trim());
    let forwarded = values("x-forwarded-host").filter_map(|header| header.value.split(',').next()).map(str::trim);
    direct.chain(forwarded).find(|host| !host.is_empty())
}

pub(super) fn valid_name(name: &str) -> bool {
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
    fn b36_impersonation_is_refused_unless_the_operator_wants_it() {
        let sent = vec![header("Authorization", "Bearer t"), header("impersonate-user", "bob")];
        assert_eq!(Policy::default().kubernetes_headers(&sent), Err(Refusal::Impersonation));
        let open = Policy { allow_impersonation: true, ..Policy::default() };
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
            assert_eq!(Policy::default().kubernetes_headers(core::slice::from_ref(&sent)), Err(Refusal::Header));
            assert_eq!(service_headers(&[sent], false), Err(Refusal::Header));
        }
    }

    fn kept(sent: &[Header], https: bool) -> Vec<(alloc::string::String, alloc::string::String)> {
        service_headers(sent, https).unwrap().into_iter().map(|header| (header.name, header.value)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(alloc::string::String, alloc::string::String)> {
        expected.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn a_service_gets_its_cookies_and_nothing_of_this_hop() {
        let sent = [
            header("Authorization", "Basic eDp5"),
            header("Cookie", "a=b"),
            header("Origin", "https://a.example"),
            header("Connection", "keep-alive, X-Hop"),
            header("x-hop", "1"),
            header("Upgrade", "websocket"),
            header("Sec-WebSocket-Key", "k"),
            header("sec-websocket-protocol", "p"),
            header("Transfer-Encoding", "chunked"),
            header("content-length", "7"),
            header("Expect", "100-continue"),
            header("X-Forwarded-Proto", "http"),
        ];
        let passing = [("Authorization", "Basic eDp5"), ("Cookie", "a=b"), ("Origin", "https://a.example")];
        let with = |proto: &'static str| pairs(&[&passing[..], &[("X-Forwarded-Proto", proto)]].concat());
        assert_eq!(kept(&sent, false), with("http"));
        assert_eq!(kept(&sent, true), with("https"));
    }

    #[test]
    fn a_service_gets_one_host() {
        let forwarded = header("X-Forwarded-Host", " b.example , c.example");
        let shown = ("X-Forwarded-Host", " b.example , c.example");
        assert_eq!(
            kept(&[header("host", "a.example:8080"), header("Host", "z"), forwarded.clone()], false),
            pairs(&[("Host", "a.example:8080"), shown])
        );
        assert_eq!(kept(core::slice::from_ref(&forwarded), false), pairs(&[("Host", "b.example"), shown]));
        assert_eq!(kept(&[header("Host", " ")], false), pairs(&[]));
        for host in ["a b", "a/b", "a@b", "a,b", "a?b", "\u{e4}"] {
            assert_eq!(service_headers(&[header("Host", host)], false), Err(Refusal::Header), "{host}");
        }
    }
}
