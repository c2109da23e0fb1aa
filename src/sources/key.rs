//! Who counts as one source, and the hash that places it.

use siphasher::sip::SipHasher13;

use crate::address::Address;

/// What tells one source from another: an IPv4 address, or a network of IPv6 addresses, and the tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey {
    /// The address, cut to its network if it is IPv6.
    pub network: Address,
    /// The VLAN id where tenants are told apart, else 0.
    pub tenant: u16,
}

/// Cuts keys from packets, and hashes them.
#[derive(Clone, Copy, Debug)]
pub struct Keyer {
    /// The key of the hash: random in `run`, so that nobody outside can aim at a set; configured in `replay`.
    pub key: [u64; 2],
    /// Leading bits of an IPv6 address that make a source; 64 by default, for a host owns its whole /64.
    pub v6_prefix: u8,
    /// Whether the VLAN id is part of the key.
    pub by_tenant: bool,
}

impl Keyer {
    /// The key of packets from `source` in VLAN `vlan`, and its hash: SipHash-1-3 over address and tenant, an IPv4 address by its four bytes.
    ///
    /// The hash decides shard, set and tag, and by the shard which worker owns the source.
    #[must_use]
    pub fn key_of(&self, source: Address, vlan: u16) -> (SourceKey, u64) {
        let network = source.v6_network(self.v6_prefix);
        let tenant = if self.by_tenant { vlan } else { 0 };
        let [key0, key1] = self.key;
        let hasher = SipHasher13::new_with_keys(key0, key1);
        let [high, low] = tenant.to_be_bytes();
        let hash = match network.v4_octets() {
            // The length is part of the hash, so no key of this kind looks like one of the other.
            Some([a, b, c, d]) => hasher.hash(&[a, b, c, d, high, low]),
            None => {
                let mut bytes = [0; 18];
                let (address, rest) = bytes.split_at_mut(16);
                address.copy_from_slice(&network.octets());
                rest.copy_from_slice(&[high, low]);
                hasher.hash(&bytes)
            }
        };
        (SourceKey { network, tenant }, hash)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const KEYER: Keyer = Keyer { key: [1, 2], v6_prefix: 64, by_tenant: true };

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_v6_host_is_its_network_and_a_v4_host_itself() {
        let of = |text| KEYER.key_of(address(text), 0);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn a_tenant_counts_only_where_it_is_asked_for() {
        let source = address("192.0.2.1");
        assert_ne!(KEYER.key_of(source, 1), KEYER.key_of(source, 2));
        let keyer = Keyer { by_tenant: false, ..KEYER };
        assert_eq!(keyer.key_of(source, 1), keyer.key_of(source, 2));
    }

    #[test]
    fn the_hash_is_that_of_the_key_in_network_order() {
        let hash_of = |text| KEYER.key_of(address(text), 0x0102).1;
        let sip = |bytes: &[u8]| SipHasher13::new_with_keys(1, 2).hash(bytes);
        assert_eq!(hash_of("192.0.2.1"), sip(&[192, 0, 2, 1, 1, 2]));
        let network = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(hash_of("2001:db8:0:7::9"), sip(&network));
    }
}
