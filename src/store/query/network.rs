//! Addresses and prefixes as the ranges that an index serves.

use std::net::IpAddr;

use super::Network;
use crate::address::Address;

/// The lowest and the highest of the mapped addresses: IPv4 among the sixteen bytes.
const MAPPED: (Address, Address) = (Address::v4([0; 4]), Address::v4([u8::MAX; 4]));

impl Network {
    /// One address alone.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// Whether `address` lies in it. IPv4 addresses lie in IPv4 networks alone; an IPv6 network of mapped addresses
    /// (`::ffff:192.0.2.0/120`) is the IPv4 network that it maps.
    #[must_use]
    pub fn contains(self, address: Address) -> bool {
        let (lowest, highest) = self.range();
        (lowest..=highest).contains(&address)
            && address.is_v4() == (lowest.is_v4() && highest.is_v4())
    }

    /// Its lowest and highest address. Host bits are taken for 0, a length beyond the family's for the whole address.
    pub(in crate::store) fn range(self) -> (Address, Address) {
        let prefix = match self.address {
            IpAddr::V4(_) => self.length.min(32) + 96,
            IpAddr::V6(_) => self.length.min(128),
        };
        let hosts = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
        let address = Address::from(self.address).as_u128();
        (
            Address::v6((address & !hosts).to_be_bytes()),
            Address::v6((address | hosts).to_be_bytes()),
        )
    }

    /// Its ends as addresses of its family: the highest of `::/80` is mapped, but not meant as IPv4.
    pub(in crate::store) fn ends(self) -> (IpAddr, IpAddr) {
        let (lowest, highest) = self.range();
        if lowest.is_v4() && highest.is_v4() {
            return (lowest.to_ip(), highest.to_ip());
        }
        (IpAddr::from(lowest.octets()), IpAddr::from(highest.octets()))
    }

    /// The only address in it, if there is but one.
    pub(in crate::store) fn single(self) -> Option<IpAddr> {
        let (lowest, highest) = self.ends();
        (lowest == highest).then_some(lowest)
    }

    /// Whether its sixteen bytes hold the mapped ones although it is of IPv6: they are not meant.
    pub(in crate::store) fn spans_mapped(self) -> bool {
        let (lowest, highest) = self.range();
        !(lowest.is_v4() && highest.is_v4()) && lowest <= MAPPED.0 && highest >= MAPPED.1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        let (address, length) = text.split_once('/').unwrap();
        Network { address: address.parse().unwrap(), length: length.parse().unwrap() }
    }

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn families_do_not_mix() {
        assert!(network("0.0.0.0/0").contains(address("255.255.255.255")));
        assert!(!network("0.0.0.0/0").contains(address("2001:db8::1")));
        assert!(network("::/0").contains(address("2001:db8::1")));
        assert!(!network("::/0").contains(address("192.0.2.1")));
        assert!(!network("::/80").contains(address("192.0.2.1")));
        assert!(network("::ffff:192.0.2.0/120").contains(address("192.0.2.1")));
        assert!(network("::ffff:0.0.0.0/96").contains(address("192.0.2.1")));
    }

    #[test]
    fn what_is_no_prefix_is_read_as_one() {
        assert_eq!(network("192.0.2.77/24").range(), network("192.0.2.0/24").range());
        assert_eq!(network("192.0.2.77/255").single(), Some("192.0.2.77".parse().unwrap()));
        assert_eq!(network("2001:db8::1/200").single(), Some("2001:db8::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn it_contains_what_another_implementation_says(
            base in any::<u32>(), other in any::<u32>(), length in 0_u8..=32,
            base6 in any::<u128>(), flip in 0_u32..128, length6 in 0_u8..=128,
        ) {
            let of_v4 = |bits: u32| IpAddr::from(bits.to_be_bytes());
            let peer = ipnet::IpNet::new(of_v4(base), length).unwrap();
            for candidate in [other, base ^ (1 << (flip % 32)), base] {
                prop_assert_eq!(
                    Network { address: of_v4(base), length }.contains(of_v4(candidate).into()),
                    peer.contains(&of_v4(candidate))
                );
            }
            let of_v6 = |bits: u128| IpAddr::from(bits.to_be_bytes());
            let near = base6 ^ (1 << flip);
            prop_assume!(!Address::from(of_v6(base6)).is_v4() && !Address::from(of_v6(near)).is_v4());
            let peer = ipnet::IpNet::new(of_v6(base6), length6).unwrap();
            prop_assert_eq!(
                Network { address: of_v6(base6), length: length6 }.contains(of_v6(near).into()),
                peer.contains(&of_v6(near))
            );
        }
    }
}
