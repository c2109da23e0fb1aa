//! IP addresses in one shape, so that a table, a ring or a record needs no enum.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An IPv4 or IPv6 address as sixteen bytes in network order; IPv4 in its mapped form (RFC 4291, section 2.5.5.2).
///
/// A mapped IPv6 address seen on the wire (`::ffff:a.b.c.d`) is therefore the same value as the IPv4 address it names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Address([u8; 16]);

const MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

impl Address {
    /// An IPv4 address from its four bytes.
    #[must_use]
    pub const fn v4(b: [u8; 4]) -> Self {
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]])
    }

    /// An IPv6 address from its sixteen bytes.
    #[must_use]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, network order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// The address as one number, most significant byte first.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// Whether this is an IPv4 address (or an IPv6 address that maps one).
    #[must_use]
    pub fn is_v4(self) -> bool {
        self.0.starts_with(&MAPPED)
    }

    /// The four bytes of an IPv4 address.
    #[must_use]
    pub fn v4_octets(self) -> Option<[u8; 4]> {
        let [.., a, b, c, d] = self.0;
        self.is_v4().then_some([a, b, c, d])
    }

    /// The network of `length` leading bits of an IPv6 address; an IPv4 address is returned whole.
    #[must_use]
    pub fn v6_network(self, length: u8) -> Self {
        if self.is_v4() || length >= 128 {
            return self;
        }
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
        Self((self.as_u128() & mask).to_be_bytes())
    }

    /// The standard library's form.
    #[must_use]
    pub fn to_ip(self) -> IpAddr {
        match self.v4_octets() {
            Some(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
            None => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.7", "2001:db8::7", "::", "0.0.0.0"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).to_ip(), ip, "{text}");
        }
    }

    #[test]
    fn only_ipv6_is_cut_to_its_network() {
        let v6 = Address::from("2001:db8:1:2:3:4:5:6".parse::<IpAddr>().unwrap());
        assert_eq!(v6.v6_network(64).to_string(), "2001:db8:1:2::");
        assert_eq!(v6.v6_network(0).to_string(), "::");
        let v4 = Address::v4([192, 0, 2, 7]);
        assert_eq!(v4.v6_network(64), v4);
    }
}
