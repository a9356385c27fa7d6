//! Addresses of servers, parsed strictly.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::connect::authority;

/// The address of the control plane or of a kube-apiserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiUrl {
    /// True for `https` and `wss`.
    pub(crate) secure: bool,
    /// Lower-case name or IP address; IPv6 without brackets.
    pub(crate) host: String,
    /// As written, else 443 or 80.
    pub(crate) port: u16,
    /// Empty, or a path that begins with a slash and does not end with one.
    pub(crate) base_path: String,
    /// Without the question mark.
    pub(crate) query: Option<String>,
}

/// Why a text is not the address of a server. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlError {
    NoScheme,
    Scheme,
    UserInformation,
    NoHost,
    Host,
    Port,
    Path,
    Fragment,
}

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoScheme => "a URL needs a scheme: begin it with https://",
            Self::Scheme => "the URL's scheme must be https, http, wss or ws",
            Self::UserInformation => "a URL must not hold a user name or password",
            Self::NoHost => "the URL has no host",
            Self::Host => "the URL's host is not a valid name or IP address",
            Self::Port => "the URL's port must be a number from 1 to 65535",
            Self::Path => "the URL holds a character that must be percent-encoded",
            Self::Fragment => "a URL must not hold a fragment (#)",
        })
    }
}

impl core::error::Error for UrlError {}

impl ApiUrl {
    /// Reads an `https`, `http`, `wss` or `ws` URL after RFC 3986. User information and fragments are refused.
    pub(crate) fn parse(text: &str) -> Result<ApiUrl, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInformation);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        if !path_is_valid(path, false) || !query.is_none_or(|query| path_is_valid(query, true)) {
            return Err(UrlError::Path);
        }
        let (host, port) = split_port(authority)?;
        Ok(ApiUrl {
            secure,
            host: parse_host(host)?,
            port: match port {
                Some(port) => parse_port(port)?,
                None if secure => 443,
                None => 80,
            },
            base_path: path.trim_end_matches('/').to_owned(),
            query: query.filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }

    /// What a `Host` header holds.
    pub(crate) fn authority(&self) -> String {
        authority(&self.host, self.port, self.secure)
    }

    /// True if the traffic stays on this machine: `localhost`, `*.localhost` (RFC 6761), 127.0.0.0/8, `::1`.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_loopback(),
            Ok(IpAddr::V6(address)) => {
                address.is_loopback() || address.to_ipv4_mapped().is_some_and(|mapped| mapped.is_loopback())
            }
            Err(_) => self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

/// The URL with an `https` or `http` scheme.
impl fmt::Display for ApiUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.base_path)?;
        match &self.query {
            Some(query) => write!(formatter, "?{query}"),
            None => Ok(()),
        }
    }
}

/// Splits `host:port`; a colon inside brackets belongs to the host.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), UrlError> {
    if authority.starts_with('[') {
        let end = authority.find(']').ok_or(UrlError::Host)?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(UrlError::Host),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(UrlError::Host),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((authority, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, UrlError> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Port);
    }
    text.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)
}

/// An IPv6 address in brackets, an IPv4 address, or a name of letters, digits, hyphens and underscores.
fn parse_host(text: &str) -> Result<String, UrlError> {
    if text.is_empty() {
        return Err(UrlError::NoHost);
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| UrlError::Host)?;
        return Ok(address.to_string());
    }
    let host = text.to_ascii_lowercase();
    let name = host.strip_suffix('.').unwrap_or(&host);
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label_is_valid) {
        return Err(UrlError::Host);
    }
    // A name whose last label is a number would be read as an IPv4 address by some and as a name by others.
    let numeric = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(UrlError::Host);
    }
    Ok(host)
}

fn path_is_valid(text: &str, query: bool) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(index, byte)| match byte {
        b'%' => {
            let hex = |offset: usize| bytes.get(index + offset).is_some_and(u8::is_ascii_hexdigit);
            hex(1) && hex(2)
        }
        b'?' => query,
        byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(byte),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("https://api.pipeops.io", true, "api.pipeops.io", 443, "", None, "https://api.pipeops.io"),
            ("http://localhost:8081/", false, "localhost", 8081, "", None, "http://localhost:8081"),
            ("WSS://API.Example.com/base/v1/", true, "api.example.com", 443, "/base/v1", None, "https://api.example.com/base/v1"),
            ("ws://10.0.0.1:80?a=b", false, "10.0.0.1", 80, "", Some("a=b"), "http://10.0.0.1?a=b"),
            ("https://[2001:DB8::1]:6443/x", true, "2001:db8::1", 6443, "/x", None, "https://[2001:db8::1]:6443/x"),
            ("https://[::1]?", true, "::1", 443, "", None, "https://[::1]"),
            (
                "https://a_b.c-d.svc.:8443/%20/x?q=1&r=a/b?c",
                true,
                "a_b.c-d.svc.",
                8443,
                "/%20/x",
                Some("q=1&r=a/b?c"),
                "https://a_b.c-d.svc.:8443/%20/x?q=1&r=a/b?c",
            ),
        ];
        for (text, secure, host, port, base_path, query, shown) in cases {
            let url = ApiUrl::parse(text).unwrap();
            let expected =
                ApiUrl { secure, host: host.to_owned(), port, base_path: base_path.to_owned(), query: query.map(str::to_owned) };
            assert_eq!(url, expected, "{text}");
            assert_eq!(url.to_string(), shown);
        }
    }

    #[test]
    fn refuses_the_rest() {
        let cases = [
            ("", UrlError::NoScheme),
            ("api.pipeops.io", UrlError::NoScheme),
            ("//api.pipeops.io", UrlError::NoScheme),
            ("ftp://a", UrlError::Scheme),
            ("://a", UrlError::Scheme),
            (" https://a", UrlError::Scheme),
            ("https://", UrlError::NoHost),
            ("https:///path", UrlError::NoHost),
            ("https://:443", UrlError::NoHost),
            ("https://user:canary@a", UrlError::UserInformation),
            ("https://a#b", UrlError::Fragment),
            ("https://a/b?c#d", UrlError::Fragment),
            ("https://a:0", UrlError::Port),
            ("https://a:65536", UrlError::Port),
            ("https://a:", UrlError::Port),
            ("https://a:+80", UrlError::Port),
            ("https://a:8x", UrlError::Port),
            ("https://a b", UrlError::Host),
            ("https://a..b", UrlError::Host),
            ("https://-a", UrlError::Host),
            ("https://1.2.3", UrlError::Host),
            ("https://1.2.3.256", UrlError::Host),
            ("https://::1", UrlError::Host),
            ("https://[::1", UrlError::Host),
            ("https://[::1]x", UrlError::Host),
            ("https://[fe80::1%25eth0]", UrlError::Host),
            ("https://b\u{fc}cher.example", UrlError::Host),
            ("https://a/b c", UrlError::Path),
            ("https://a/%2", UrlError::Path),
            ("https://a/\r\nHost: b", UrlError::Path),
            ("https://a/?\"", UrlError::Path),
        ];
        for (text, error) in cases {
            assert_eq!(ApiUrl::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn knows_what_stays_on_this_machine() {
        let cases = [
            ("localhost", true),
            ("api.localhost", true),
            ("127.1.2.3", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.example.com", false),
            ("10.0.0.1", false),
            ("[::]", false),
            ("0.0.0.0", false),
        ];
        for (host, loopback) in cases {
            assert_eq!(ApiUrl::parse(&format!("http://{host}")).unwrap().is_loopback(), loopback, "{host}");
        }
    }
}
