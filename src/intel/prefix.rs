//! A network written as an address and a prefix length.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::address::Address;

/// Where the IPv4 addresses stand inside an IPv6 address: behind the 96 bits of `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// An IPv4 or IPv6 network; a single address is one of full length.
///
/// Holding one tells you: the length fits the family, and no bit is set behind it. A prefix inside `::ffff:0:0/96` is the
/// IPv4 prefix it maps, as with [`Address`]; an IPv6 prefix never contains an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    network: Address,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that begins at `network`; refused when it would not be a network.
    pub fn new(network: Address, length: u8) -> Result<Self, PrefixError> {
        let max = if network.is_v4() { 32 } else { 128 };
        if length > max {
            return Err(PrefixError::TooLong { max });
        }
        let candidate = Self { network, length };
        let masked = Address::v6((network.as_u128() & candidate.mask()).to_be_bytes());
        if masked != network {
            return Err(PrefixError::HostBits { network: masked.to_ip(), length });
        }
        Ok(candidate)
    }

    /// One address.
    #[must_use]
    pub fn host(address: Address) -> Self {
        Self { network: address, length: if address.is_v4() { 32 } else { 128 } }
    }

    /// The first address.
    #[must_use]
    pub const fn first(self) -> Address {
        self.network
    }

    /// The last address.
    #[must_use]
    pub fn last(self) -> Address {
        Address::v6((self.network.as_u128() | !self.mask()).to_be_bytes())
    }

    /// Bits of the prefix: at most 32 for IPv4, 128 for IPv6.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Whether it is an IPv4 network.
    #[must_use]
    pub fn is_v4(self) -> bool {
        self.network.is_v4()
    }

    /// Whether `address` lies inside.
    #[must_use]
    pub fn contains(self, address: Address) -> bool {
        self.is_v4() == address.is_v4() && address.as_u128() & self.mask() == self.network.as_u128()
    }

    /// Whether the two share an address: of two prefixes that do, one contains the other.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// The bits that are fixed, of the sixteen-byte form.
    fn mask(self) -> u128 {
        let fixed = if self.is_v4() { MAPPED_BITS + self.length } else { self.length };
        u128::MAX.checked_shl(u32::from(128 - fixed)).unwrap_or(0)
    }
}

/// Why a text is not a prefix. The sender of the text is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// What stands before the `/` is no address.
    #[error("not an IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::/32")]
    NotAnAddress,
    /// What stands behind the `/` is no number.
    #[error("the prefix length is not a number, such as 192.0.2.0/24")]
    NotALength,
    /// More bits than the family has.
    #[error("the prefix length is more than {max}")]
    TooLong {
        /// The longest that can be.
        max: u8,
    },
    /// An address inside a network, where the network itself was expected.
    #[error("bits are set behind the prefix; the network is {network}/{length}")]
    HostBits {
        /// What the prefix would be with those bits cleared.
        network: IpAddr,
        /// The length as written.
        length: u8,
    },
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. No zone, no port, no white space, no leading zeros.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Err(PrefixError::NotAnAddress);
        };
        let network = Address::from(ip);
        let Some(length) = length else {
            return Ok(Self::host(network));
        };
        let plain = (1..=3).contains(&length.len()) && length.bytes().all(|b| b.is_ascii_digit());
        let Some(length) = length.parse::<u8>().ok().filter(|_| plain) else {
            return Err(PrefixError::NotALength);
        };
        if ip.is_ipv6() && network.is_v4() {
            return Self::mapped(network, length);
        }
        Self::new(network, length)
    }
}

impl Prefix {
    /// The IPv4 prefix that `::ffff:a.b.c.d/length` maps.
    fn mapped(network: Address, length: u8) -> Result<Self, PrefixError> {
        if length > 128 {
            return Err(PrefixError::TooLong { max: 128 });
        }
        match length.checked_sub(MAPPED_BITS) {
            Some(length) => Self::new(network, length),
            // Wider than the whole IPv4 space, with the bits of `ffff` behind the prefix.
            None => Err(PrefixError::NotAnAddress),
        }
    }
}

impl fmt::Display for Prefix {
    /// A single address is written without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::host(self.network) {
            return self.network.fmt(f);
        }
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        for text in
            ["192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "2001:db8::1", "::/0"]
        {
            assert_eq!(prefix(text).to_string(), text);
        }
    }

    #[test]
    fn a_mapped_prefix_is_the_ipv4_prefix_it_maps() {
        assert_eq!(prefix("::ffff:192.0.2.0/120"), prefix("192.0.2.0/24"));
        assert_eq!(prefix("::ffff:192.0.2.7"), prefix("192.0.2.7"));
        assert_eq!("::ffff:0.0.0.0/90".parse::<Prefix>(), Err(PrefixError::NotAnAddress));
    }

    #[test]
    fn what_is_not_a_prefix_is_refused_with_the_reason() {
        let cases = [
            ("", PrefixError::NotAnAddress),
            ("192.0.2", PrefixError::NotAnAddress),
            ("192.0.2.07", PrefixError::NotAnAddress),
            ("\"192.0.2.7\"", PrefixError::NotAnAddress),
            ("192.0.2.7:443", PrefixError::NotAnAddress),
            ("fe80::1%eth0", PrefixError::NotAnAddress),
            ("192.0.2.7/", PrefixError::NotALength),
            ("192.0.2.7/+8", PrefixError::NotALength),
            ("192.0.2.7/0032", PrefixError::NotALength),
            ("192.0.2.7/33", PrefixError::TooLong { max: 32 }),
            ("2001:db8::/129", PrefixError::TooLong { max: 128 }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Prefix>(), Err(error), "{text}");
        }
        let error = "192.0.2.7/24".parse::<Prefix>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "bits are set behind the prefix; the network is 192.0.2.0/24"
        );
    }

    #[test]
    fn families_never_contain_each_other() {
        assert!(!prefix("::/0").contains(prefix("192.0.2.7").first()));
        assert!(!prefix("0.0.0.0/0").contains(prefix("2001:db8::1").first()));
        assert!(!prefix("::/0").overlaps(prefix("0.0.0.0/0")));
    }

    fn any_net() -> impl Strategy<Value = IpNet> {
        let v4 = (any::<u32>(), 0..=32u8)
            .prop_map(|(bits, length)| IpNet::new(std::net::Ipv4Addr::from(bits).into(), length));
        let v6 = (any::<u128>(), 0..=128u8).prop_map(|(bits, length)| {
            // Kept out of ::/8, where the mapped IPv4 addresses are.
            IpNet::new(std::net::Ipv6Addr::from(bits | 1 << 127).into(), length)
        });
        prop_oneof![v4, v6].prop_map(|net| net.unwrap().trunc())
    }

    proptest! {
        #[test]
        fn it_agrees_with_ipnet(net in any_net(), other in any_net(), bits in any::<u128>()) {
            // A prefix of length 0 in IPv6 covers the mapped addresses for ipnet's eyes only.
            prop_assume!(net.prefix_len() > 0 && other.prefix_len() > 0);
            let ours: Prefix = net.to_string().parse().unwrap();
            let theirs: Prefix = other.to_string().parse().unwrap();
            prop_assert_eq!(ours.first().to_ip(), net.network());
            prop_assert_eq!(ours.last().to_ip(), net.broadcast());
            prop_assert_eq!(ours.overlaps(theirs), net.contains(&other) || other.contains(&net));
            let inside = Address::v6((ours.first().as_u128() | (bits & !ours.mask())).to_be_bytes());
            prop_assert!(ours.contains(inside));
            prop_assert_eq!(theirs.contains(inside), other.contains(&inside.to_ip()));
        }
    }
}
