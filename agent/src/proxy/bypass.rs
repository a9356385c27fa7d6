//! The entries of `NO_PROXY`.

use std::net::IpAddr;

use pipeops_agent_core::policy::{Cidr, CidrError};

/// One entry: what is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bypass {
    hosts: Hosts,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// A lower-case name, and everything below it.
    Domain(String),
    /// Everything below a lower-case name, not the name itself.
    Below(String),
    Block(Cidr),
}

/// A text that is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnEntry;

impl Bypass {
    /// Reads one entry without blanks around it.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAnEntry> {
        let (host, port) = split(text)?;
        let host = host.to_ascii_lowercase();
        let hosts = if host == "*" {
            Hosts::All
        } else if let Some(block) = block(&host)? {
            Hosts::Block(block)
        } else if let Some(name) = host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            Hosts::Below(domain(name)?)
        } else {
            Hosts::Domain(domain(&host)?)
        };
        Ok(Self { hosts, port })
    }

    /// Whether the entry is about `host`, a lower-case name or an address without brackets.
    pub(crate) fn covers(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|only| only != port) {
            return false;
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(name) => host == name || is_below(host, name),
            Hosts::Below(name) => is_below(host, name),
            // A name is not resolved: whoever lists addresses means addresses.
            Hosts::Block(block) => host.parse::<IpAddr>().is_ok_and(|address| block.contains(address.to_canonical())),
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')) && host.parse::<IpAddr>().is_err()
}

/// Splits a port off. A colon inside brackets, or one of several without, belongs to an address.
fn split(text: &str) -> Result<(&str, Option<u16>), NotAnEntry> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']').ok_or(NotAnEntry)?;
        // Brackets are for IPv6 only; a block may have its prefix inside or behind them.
        if !inner.contains(':') {
            return Err(NotAnEntry);
        }
        return match rest.strip_prefix(':') {
            Some(digits) => Ok((inner, Some(port(digits)?))),
            None if rest.is_empty() => Ok((inner, None)),
            None => Err(NotAnEntry),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Ok((host, Some(port(digits)?))),
        Some(_) | None => Ok((text, None)),
    }
}

fn port(digits: &str) -> Result<u16, NotAnEntry> {
    let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    number.filter(|port| *port != 0).ok_or(NotAnEntry)
}

/// An address or a block of them; bits behind the prefix are taken as what was meant.
fn block(text: &str) -> Result<Option<Cidr>, NotAnEntry> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Cidr::parse(&address.to_canonical().to_string()).ok());
    }
    match Cidr::parse(text) {
        Ok(block) | Err(CidrError::HostBits(block)) => Ok(Some(block)),
        Err(CidrError::Address) if !text.contains('/') => Ok(None),
        Err(CidrError::Address | CidrError::Prefix | CidrError::Mapped) => Err(NotAnEntry),
    }
}

fn domain(text: &str) -> Result<String, NotAnEntry> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label_is_valid =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let valid = name.len() <= 253 && name.split('.').all(label_is_valid);
    if valid { Ok(name.to_owned()) } else { Err(NotAnEntry) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b55_what_an_entry_covers() {
        for (entry, host, port, expected) in [
            ("*", "plane.example", 443, true),
            ("*", "10.1.2.3", 80, true),
            ("*:8443", "plane.example", 8443, true),
            ("*:8443", "plane.example", 443, false),
            // A name stands for itself and what is below it.
            ("plane.example", "plane.example", 443, true),
            ("PLANE.Example", "plane.example", 443, true),
            ("plane.example.", "plane.example", 443, true),
            ("plane.example", "plane.example.", 443, true),
            ("plane.example", "api.plane.example", 443, true),
            ("plane.example", "a.b.plane.example", 443, true),
            ("plane.example", "notplane.example", 443, false),
            ("plane.example", "example", 443, false),
            ("plane.example", "plane.example.org", 443, false),
            ("localhost", "localhost", 80, true),
            ("localhost", "api.localhost", 80, true),
            // With a dot or a star before it, for what is below it only.
            (".plane.example", "api.plane.example", 443, true),
            (".plane.example", "plane.example", 443, false),
            ("*.plane.example", "api.plane.example", 443, true),
            ("*.plane.example", "plane.example", 443, false),
            (".example", "plane.example", 443, true),
            // Ports.
            ("plane.example:443", "plane.example", 443, true),
            ("plane.example:443", "plane.example", 8443, false),
            (".example:8443", "plane.example", 8443, true),
            (".example:8443", "plane.example", 443, false),
            // Addresses.
            ("10.1.2.3", "10.1.2.3", 443, true),
            ("10.1.2.3", "10.1.2.30", 443, false),
            ("10.1.2.3:443", "10.1.2.3", 443, true),
            ("10.1.2.3:443", "10.1.2.3", 80, false),
            ("2001:db8::1", "2001:db8::1", 443, true),
            ("2001:DB8:0::1", "2001:db8::1", 443, true),
            ("[2001:db8::1]", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "2001:db8::1", 443, true),
            ("[2001:db8::1]:443", "2001:db8::1", 80, false),
            ("::ffff:10.1.2.3", "10.1.2.3", 443, true),
            // The end of an address is no domain.
            ("3", "10.1.2.3", 443, false),
            (".2.3", "10.1.2.3", 443, false),
            // Blocks.
            ("10.0.0.0/8", "10.255.0.1", 443, true),
            ("10.0.0.0/8", "11.0.0.1", 443, false),
            ("10.1.2.3/8", "10.255.0.1", 443, true),
            ("0.0.0.0/0", "192.0.2.1", 443, true),
            ("0.0.0.0/0", "2001:db8::1", 443, false),
            ("10.0.0.0/8:8443", "10.1.1.1", 8443, true),
            ("10.0.0.0/8:8443", "10.1.1.1", 443, false),
            ("fd00::/8", "fd12::1", 443, true),
            ("[fd00::/8]:443", "fd12::1", 443, true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", 443, true),
            // A name is not resolved.
            ("127.0.0.0/8", "localhost", 443, false),
            ("0.0.0.0/0", "plane.example", 443, false),
        ] {
            assert_eq!(Bypass::parse(entry).unwrap().covers(host, port), expected, "{entry} {host}:{port}");
        }
    }

    #[test]
    fn b55_nonsense_is_no_entry() {
        for text in [
            "",
            ".",
            "*.",
            "**",
            "a*b",
            "*plane.example",
            "http://plane.example",
            "a b",
            "a..b",
            "plane.example:",
            "plane.example:0",
            "plane.example:99999",
            "plane.example:x",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "10.0/8",
            "[plane.example]",
            "[::1",
            "[::1]x",
            "fd00::/200",
            "plane.example/8",
            "user@plane.example",
            "pl\u{e4}ne.example",
        ] {
            assert_eq!(Bypass::parse(text), Err(NotAnEntry), "{text}");
        }
    }
}
