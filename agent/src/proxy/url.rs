//! The address of a proxy.

use core::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::config::{ApiUrl, UrlError};
use crate::connect::authority;
use crate::secret::{MASK, Secret};

/// The longest user information in bytes, so that the request for a tunnel stays a small one.
const MAXIMUM_USER_INFORMATION: usize = 1024;

/// A proxy. What `Debug` and `Display` give is without user name and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyUrl {
    /// The proxy itself is spoken to over TLS.
    pub(crate) secure: bool,
    /// Lower-case name or IP address; IPv6 without brackets.
    pub(crate) host: String,
    /// As written, else 443 or 80.
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<Secret>,
}

/// Why a text is no proxy's address. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyUrlError {
    Scheme,
    UserInformation,
    Path,
    Url(UrlError),
}

impl fmt::Display for ProxyUrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => formatter.write_str("proxies are supported with http:// and https:// only, not with SOCKS or others"),
            Self::UserInformation => formatter.write_str(
                "the user name or password cannot be used: write characters other than letters and digits as %XX, and no colon in the name",
            ),
            Self::Path => formatter.write_str("the address of a proxy ends with its port: leave out the path"),
            Self::Url(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for ProxyUrlError {}

impl ProxyUrl {
    /// Reads `http://[user[:password]@]host[:port]`, the same with `https`, or without any scheme, which means `http`.
    pub(crate) fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(ProxyUrlError::Scheme);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (server, path) = rest.split_at(end);
        let (user_information, address) = match server.rsplit_once('@') {
            Some((user_information, address)) => (Some(user_information), address),
            // A slash in a password that is not encoded would make the host end there.
            None if rest.contains('@') => return Err(ProxyUrlError::UserInformation),
            None => (None, server),
        };
        if !matches!(path, "" | "/") {
            return Err(if path.contains('@') { ProxyUrlError::UserInformation } else { ProxyUrlError::Path });
        }
        let url = ApiUrl::parse(&format!("{scheme}://{address}")).map_err(ProxyUrlError::Url)?;
        let authorization = user_information.filter(|text| !text.is_empty()).map(basic).transpose()?;
        Ok(Self { secure: url.secure, host: url.host, port: url.port, authorization })
    }

    /// Host and port, for messages.
    pub(crate) fn place(&self) -> String {
        // Always with the port: with none, people would look for 8080 or 3128.
        let host = authority(&self.host, 0, false);
        format!("{}:{}", host.strip_suffix(":0").unwrap_or(&host), self.port)
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let (user, at) = if self.authorization.is_some() { (MASK, "@") } else { ("", "") };
        write!(formatter, "{scheme}://{user}{at}{}", self.place())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The credentials of RFC 7617.
fn basic(user_information: &str) -> Result<Secret, ProxyUrlError> {
    let (user, password) = user_information.split_once(':').unwrap_or((user_information, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.contains(&b':') || user.len() + password.len() > MAXIMUM_USER_INFORMATION {
        return Err(ProxyUrlError::UserInformation);
    }
    let credentials = [user.as_slice(), b":", password.as_slice()].concat();
    Ok(Secret::new(format!("Basic {}", BASE64_STANDARD.encode(credentials))))
}

/// Percent-decoded.
fn decoded(text: &str) -> Result<Vec<u8>, ProxyUrlError> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit(), digit());
            let value = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
            value.ok_or(ProxyUrlError::UserInformation)?
        } else {
            byte
        };
        if byte.is_ascii_control() {
            return Err(ProxyUrlError::UserInformation);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f47_what_people_write_for_a_proxy() {
        let basic = |text: &str| Some(format!("Basic {}", BASE64_STANDARD.encode(text)));
        for (text, shown, authorization) in [
            ("http://proxy.example:3128", "http://proxy.example:3128", None),
            ("http://proxy.example:3128/", "http://proxy.example:3128", None),
            ("HTTP://Proxy.Example", "http://proxy.example:80", None),
            ("https://proxy.example", "https://proxy.example:443", None),
            ("proxy.example:8080", "http://proxy.example:8080", None),
            ("10.1.2.3", "http://10.1.2.3:80", None),
            ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", None),
            ("http://[2001:db8::1]", "http://[2001:db8::1]:80", None),
            ("http://anna:canary@proxy.example:3128", "http://***@proxy.example:3128", basic("anna:canary")),
            ("anna:canary@proxy.example:3128", "http://***@proxy.example:3128", basic("anna:canary")),
            ("http://anna@proxy.example", "http://***@proxy.example:80", basic("anna:")),
            ("http://:canary@proxy.example", "http://***@proxy.example:80", basic(":canary")),
            ("http://@proxy.example", "http://proxy.example:80", None),
            ("https://a%40b:c%3Aan%2Fary%25@proxy.example", "https://***@proxy.example:443", basic("a@b:c:an/ary%")),
            ("http://anna:can@ary@proxy.example", "http://***@proxy.example:80", basic("anna:can@ary")),
            ("http://anna:can:ary@proxy.example", "http://***@proxy.example:80", basic("anna:can:ary")),
        ] {
            let url = ProxyUrl::parse(text).unwrap();
            assert_eq!((url.to_string().as_str(), format!("{url:?}").as_str()), (shown, shown), "{text}");
            assert_eq!(url.authorization.map(|secret| secret.expose().to_owned()), authorization, "{text}");
        }
    }

    #[test]
    fn f47_what_is_no_proxy_is_said_without_repeating_it() {
        for (text, error) in [
            ("socks5://canary.example:1080", ProxyUrlError::Scheme),
            ("ftp://canary.example", ProxyUrlError::Scheme),
            ("wss://canary.example", ProxyUrlError::Scheme),
            ("http://anna:ca/nary@proxy.example", ProxyUrlError::UserInformation),
            ("http://anna:ca%zznary@proxy.example", ProxyUrlError::UserInformation),
            ("http://anna:canary%@proxy.example", ProxyUrlError::UserInformation),
            ("http://anna%3Ax:canary@proxy.example", ProxyUrlError::UserInformation),
            ("http://anna:canary%0D%0A@proxy.example", ProxyUrlError::UserInformation),
            ("http://proxy.example/canary", ProxyUrlError::Path),
            ("http://proxy.example?canary", ProxyUrlError::Path),
            ("http://", ProxyUrlError::Url(UrlError::NoHost)),
            ("http://anna:canary@", ProxyUrlError::Url(UrlError::NoHost)),
            ("http://proxy.example:0", ProxyUrlError::Url(UrlError::Port)),
            ("http://pro xy", ProxyUrlError::Url(UrlError::Host)),
            ("http://a:b:c", ProxyUrlError::Url(UrlError::Host)),
        ] {
            let found = ProxyUrl::parse(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("canary"), "{text}");
        }
        let long = format!("http://{}:x@proxy.example", "a".repeat(2000));
        assert_eq!(ProxyUrl::parse(&long), Err(ProxyUrlError::UserInformation));
    }
}
