//! What a driver says of its card, through the families `ethtool` and `netdev` (`linux/ethtool_netlink.h`, `linux/netdev.h`).

use std::collections::BTreeSet;
use std::io;

use super::generic::{Family, attribute, attributes, nest, number, value};

/// What a driver does to frames beside handing them over: its features, by the names that `ethtool --show-features` gives in full
/// (`rx-gro`, `rx-vlan-hw-parse`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Those that are on.
    pub active: BTreeSet<String>,
    /// Those that can't be switched.
    pub fixed: BTreeSet<String>,
}

/// The ring of receive descriptors of each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveRing {
    /// How many there are.
    pub used: u32,
    /// How many there can be.
    pub most: u32,
}

/// What XDP can do on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// The driver runs programs itself (`NETDEV_XDP_ACT_BASIC`).
    pub native: bool,
    /// It hands frames to programs' targets, sockets among them (`NETDEV_XDP_ACT_REDIRECT`).
    pub redirect: bool,
    /// It writes frames into a socket's memory (`NETDEV_XDP_ACT_XSK_ZEROCOPY`).
    pub zero_copy: bool,
}

/// Commands of the family `ethtool`, `ETHTOOL_MSG_*_GET`.
const FEATURES_GET: u8 = 11;
const RINGS_GET: u8 = 15;
const PAUSE_GET: u8 = 21;

/// The first attribute of each of its questions: which interface (`ETHTOOL_A_HEADER_DEV_INDEX`).
const HEADER: u16 = 1;
const INDEX: u16 = 1;

/// Asks the family `ethtool` about the interface of this number.
fn ethtool(command: u8, index: u32) -> io::Result<Vec<u8>> {
    let interface = attribute(INDEX, &index.to_ne_bytes());
    Family::named("ethtool")?.ask(command, &nest(HEADER, &interface))
}

fn unsaid() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}

/// The features of the interface of this number.
///
/// # Errors
///
/// When kernel or driver do not say.
pub fn features(index: u32) -> io::Result<Features> {
    /// `ETHTOOL_A_FEATURES_ACTIVE`, `ETHTOOL_A_FEATURES_NOCHANGE`, and those that the user can't change (`ETHTOOL_A_FEATURES_HW` names
    /// those that he can).
    const CHANGEABLE: u16 = 2;
    const ACTIVE: u16 = 4;
    let answer = ethtool(FEATURES_GET, index)?;
    let active = names(value(&answer, ACTIVE).ok_or_else(unsaid)?);
    let changeable = names(value(&answer, CHANGEABLE).ok_or_else(unsaid)?);
    let fixed = active.difference(&changeable).cloned().collect();
    Ok(Features { active, fixed })
}

/// The names of the bits that are set in a bit set that names them.
fn names(set: &[u8]) -> BTreeSet<String> {
    /// `ETHTOOL_A_BITSET_BITS`, `ETHTOOL_A_BITSET_BIT_NAME`, `ETHTOOL_A_BITSET_BIT_VALUE`, and `ETHTOOL_A_BITSET_NOMASK`: with it, what is
    /// listed is set.
    const NO_MASK: u16 = 1;
    const BITS: u16 = 3;
    const NAME: u16 = 2;
    const IS_SET: u16 = 3;
    let is_list = value(set, NO_MASK).is_some();
    let bits = value(set, BITS).unwrap_or_default();
    let set = attributes(bits).filter(|(_, bit)| is_list || value(bit, IS_SET).is_some());
    set.filter_map(|(_, bit)| value(bit, NAME)).map(text).collect()
}

/// Text that ends in a zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// The receive ring of the interface of this number.
///
/// # Errors
///
/// When kernel or driver do not say.
pub fn receive_ring(index: u32) -> io::Result<ReceiveRing> {
    const MOST: u16 = 2;
    const USED: u16 = 6;
    let answer = ethtool(RINGS_GET, index)?;
    let said = number(&answer, USED).zip(number(&answer, MOST));
    said.map(|(used, most)| ReceiveRing { used, most }).ok_or_else(unsaid)
}

/// Whether the card asks the other end to wait when it is full.
///
/// # Errors
///
/// When kernel or driver do not say.
pub fn sends_pause_frames(index: u32) -> io::Result<bool> {
    const SENDS: u16 = 4;
    let answer = ethtool(PAUSE_GET, index)?;
    value(&answer, SENDS).and_then(<[u8]>::first).map(|sends| *sends != 0).ok_or_else(unsaid)
}

/// What XDP can do on the interface of this number; told since Linux 6.3.
///
/// # Errors
///
/// When the kernel does not say.
pub fn xdp_features(index: u32) -> io::Result<XdpFeatures> {
    const DEVICE_GET: u8 = 1;
    const DEVICE: u16 = 1;
    const FEATURES: u16 = 3;
    let answer =
        Family::named("netdev")?.ask(DEVICE_GET, &attribute(DEVICE, &index.to_ne_bytes()))?;
    let bits = value(&answer, FEATURES).and_then(|bits| bits.first_chunk()).ok_or_else(unsaid)?;
    let bits = u64::from_ne_bytes(*bits);
    let has = |bit: u32| bits >> bit & 1 == 1;
    Ok(XdpFeatures { native: has(0), redirect: has(1), zero_copy: has(3) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(name: &str, is_set: bool) -> Vec<u8> {
        let mut bit = attribute(2, format!("{name}\0").as_bytes());
        if is_set {
            bit.extend(attribute(3, &[]));
        }
        nest(1, &bit)
    }

    #[test]
    fn a_list_of_bits_names_those_that_are_set() {
        let bits = [bit("rx-gro", true), bit("rx-lro", false)].concat();
        let masked = nest(3, &bits);
        assert_eq!(names(&masked), BTreeSet::from(["rx-gro".to_owned()]));
        let list = [attribute(1, &[]), nest(3, &bits)].concat();
        assert_eq!(names(&list).len(), 2, "without a mask everything listed is set");
        assert_eq!(names(b"\xff\xff\xff"), BTreeSet::new());
    }

    #[test]
    fn the_loopback_tells_its_features() {
        let loopback = super::super::Interface::find("lo").unwrap();
        let features = features(loopback.index).unwrap();
        assert!(!features.active.is_empty());
        assert!(
            features.fixed.contains("netns-local") || features.fixed.contains("loopback"),
            "{features:?}"
        );
    }
}
