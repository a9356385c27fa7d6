//! Which addresses a service may stand for.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::{Policy, Refusal};

/// A block of addresses, `10.0.0.0/8` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidrError {
    /// The part before the slash is no IP address.
    Address,
    /// The part behind the slash is no number from 0 to 32, for IPv6 to 128.
    Prefix,
    /// There are bits behind the prefix. Holds the block that was probably meant.
    HostBits(Cidr),
    /// An IPv4 address in the clothes of IPv6. Such addresses are judged as IPv4.
    Mapped,
}

impl fmt::Display for CidrError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => formatter.write_str("is not a block of addresses such as 10.0.0.0/8 or fd00::/8"),
            Self::Prefix => formatter.write_str("has no prefix length of 0 to 32, for IPv6 0 to 128"),
            Self::HostBits(cidr) => write!(formatter, "has bits behind its prefix: did you mean {cidr}?"),
            Self::Mapped => formatter.write_str("holds an IPv4 address: write it as IPv4"),
        }
    }
}

impl core::error::Error for CidrError {}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.network, self.prefix)
    }
}

impl Cidr {
    /// Reads a block. An address alone is a block of one.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let network: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        if network.to_canonical() != network {
            return Err(CidrError::Mapped);
        }
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            // `parse` takes a plus sign, which nobody means.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| CidrError::Prefix)?,
            Some(_) => return Err(CidrError::Prefix),
        };
        if prefix > longest {
            return Err(CidrError::Prefix);
        }
        let meant = Self { network: masked(network, prefix), prefix };
        if meant.network == network { Ok(meant) } else { Err(CidrError::HostBits(meant)) }
    }

    /// Whether the address is in the block. IPv4 and IPv6 are different worlds here.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.prefix) == self.network
    }
}

/// The address with all bits behind the prefix cleared.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// Metadata services that no other rule covers: Alibaba, Oracle, Azure's platform; Amazon, Google and Scaleway over IPv6. All others,
/// 169.254.169.254 and 169.254.170.2 among them, are link-local.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Whether no pod and no service can have the address, or a metadata service has it.
fn is_special_v4(address: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is this machine, 240.0.0.0/4 is reserved and holds the broadcast address.
    let first = address.octets()[0];
    first == 0
        || first >= 240
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || METADATA_V4.contains(&address)
}

fn is_special_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        // fe80::/10, and fec0::/10, which once was the same for a site.
        || first & 0xff80 == 0xfe80
        || METADATA_V6.contains(&address)
}

/// The IPv4 addresses that somebody on the way may make of an IPv6 one.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    let last = v4(segments[6], segments[7]);
    match segments {
        // Unspecified and loopback are IPv6's own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [last, None],
        // NAT64 (RFC 6052, RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => [last, None],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [v4(high, low), None],
        // Teredo (RFC 4380): server and client, the latter inverted.
        [0x2001, 0, high, low, ..] => [v4(high, low), v4(!segments[6], !segments[7])],
        // ISATAP (RFC 5214).
        [.., 0 | 0x200, 0x5efe, _, _] => [last, None],
        _ => [None, None],
    }
}

/// Whether the address is of a kind that networks of clusters use (RFC 1918, RFC 6598, RFC 4193).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64),
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

impl Policy {
    /// Whether a service may stand for `address`. Whether it is a node's is for the caller to know. What
    /// [`Policy::allow_addresses`] contains is allowed, whatever it is. An IPv6 address that hides an IPv4 one is refused if the
    /// hidden one would be.
    ///
    /// # Errors
    /// [`Refusal::Address`] for addresses of this machine, of nodes, link-local ones, groups, and metadata services.
    pub fn address(&self, address: IpAddr, is_node: bool) -> Result<(), Refusal> {
        let address = address.to_canonical();
        if let IpAddr::V6(v6) = address {
            let hidden = embedded(v6).into_iter().flatten();
            // A wide block of IPv6 is not meant to open what hides in it.
            if hidden.into_iter().any(|v4| is_special_v4(v4) && !self.allows(v4.into())) {
                return Err(Refusal::Address);
            }
        }
        let special = match address {
            IpAddr::V4(v4) => is_special_v4(v4),
            IpAddr::V6(v6) => is_special_v6(v6),
        };
        if (special || is_node) && !self.allows(address) { Err(Refusal::Address) } else { Ok(()) }
    }

    /// The same for an address of which nobody but a name server says that it is in the cluster: it must be a private one, too.
    ///
    /// # Errors
    /// [`Refusal::Address`] as above, [`Refusal::AddressOutside`] for an address that is not private and not in
    /// [`Policy::allow_addresses`].
    pub fn outside(&self, address: IpAddr) -> Result<(), Refusal> {
        self.address(address, false)?;
        let address = address.to_canonical();
        if is_private(address) || self.allows(address) { Ok(()) } else { Err(Refusal::AddressOutside) }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow_addresses.iter().any(|block| block.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    fn allowing(blocks: &[&str]) -> Policy {
        let allow_addresses: Vec<Cidr> = blocks.iter().map(|block| Cidr::parse(block).unwrap()).collect();
        Policy { allow_addresses, ..Policy::default() }
    }

    #[test]
    fn blocks() {
        for (text, shown) in [("10.0.0.0/8", "10.0.0.0/8"), ("1.2.3.4", "1.2.3.4/32"), ("::/0", "::/0"), ("FD00::/8", "fd00::/8")]
        {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for (text, message) in [
            ("", "is not a block of addresses such as 10.0.0.0/8 or fd00::/8"),
            ("10.0/8", "is not a block of addresses such as 10.0.0.0/8 or fd00::/8"),
            ("10.0.0.0/33", "has no prefix length of 0 to 32, for IPv6 0 to 128"),
            ("10.0.0.0/+8", "has no prefix length of 0 to 32, for IPv6 0 to 128"),
            ("10.0.0.0/", "has no prefix length of 0 to 32, for IPv6 0 to 128"),
            ("fd00::/129", "has no prefix length of 0 to 32, for IPv6 0 to 128"),
            ("10.1.2.3/8", "has bits behind its prefix: did you mean 10.0.0.0/8?"),
            ("::ffff:10.0.0.0/104", "holds an IPv4 address: write it as IPv4"),
        ] {
            assert_eq!(Cidr::parse(text).unwrap_err().to_string(), message, "{text}");
        }
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "1.2.3.4", false),
            ("fd00::/7", "fd00::1", false),
            ("fc00::/7", "fdff::1", true),
            ("1.2.3.4", "1.2.3.5", false),
        ] {
            let contains = Cidr::parse(block).is_ok_and(|block| block.contains(address.parse().unwrap()));
            assert_eq!(contains, expected, "{block} {address}");
        }
    }

    #[test]
    fn what_no_pod_can_be_is_refused_in_every_disguise() {
        let policy = Policy::default();
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.1.2.3",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "::169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::127.0.0.1",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            "::ffff:100.100.100.200",
            "2001:0:7f00:1::",
            "2001:0:101:101:0:0:80ff:fffe",
            "fd00::5efe:127.0.0.1",
            "fd00::200:5efe:169.254.169.254",
        ] {
            let parsed = address.parse().unwrap();
            assert_eq!(policy.address(parsed, false), Err(Refusal::Address), "{address}");
            assert_eq!(policy.outside(parsed), Err(Refusal::Address), "{address}");
            // Whole IPv6 allows no IPv4 address that hides in it.
            let open = allowing(&["::/0"]).address(parsed, false);
            let hides =
                parsed.is_ipv4() || parsed.to_canonical().is_ipv4() || address.contains('.') || address.starts_with("200");
            assert_eq!(open.is_err(), hides, "{address}");
            assert_eq!(allowing(&["::/0", "0.0.0.0/0"]).address(parsed, true), Ok(()), "{address}");
        }
    }

    #[test]
    fn addresses_of_pods_and_services_pass_unless_they_are_a_nodes() {
        let policy = Policy::default();
        for address in ["10.42.0.7", "172.31.255.1", "192.168.1.1", "100.64.0.1", "100.127.255.255", "fd12::7", "::ffff:10.0.0.1"]
        {
            let parsed = address.parse().unwrap();
            assert_eq!(policy.address(parsed, false), Ok(()), "{address}");
            assert_eq!(policy.outside(parsed), Ok(()), "{address}");
            assert_eq!(policy.address(parsed, true), Err(Refusal::Address), "{address}");
        }
        assert_eq!(allowing(&["10.0.0.0/8"]).address("10.1.1.1".parse().unwrap(), true), Ok(()));
        assert_eq!(allowing(&["10.0.0.0/8"]).address("::ffff:10.1.1.1".parse().unwrap(), true), Ok(()));
    }

    #[test]
    fn a_public_address_needs_somebody_to_vouch_for_it() {
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.169.0.1", "2606:4700::1", "64:ff9b::a00:1", "2002:a00:1::1"]
        {
            let parsed = address.parse().unwrap();
            assert_eq!(Policy::default().address(parsed, false), Ok(()), "{address}");
            assert_eq!(Policy::default().outside(parsed), Err(Refusal::AddressOutside), "{address}");
            assert_eq!(allowing(&["0.0.0.0/0", "::/0"]).outside(parsed), Ok(()), "{address}");
        }
    }
}
