//! What lies below IP on one link: Ethernet II, 802.3 with SNAP, VLAN tags, Linux cooked and BSD loopback headers.

use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice};

use super::ip::{Network, Version};
use super::{NotDecoded, Reason, VLAN_TAGS_MAX, mpls, pppoe};
use crate::capture::LinkType;

/// A link header that has been walked.
pub(super) struct Link<'frame> {
    /// The outermost VLAN id.
    pub(super) vlan: Option<u16>,
    /// What lies behind it.
    pub(super) carried: Carried<'frame>,
}

/// What a link carries.
pub(super) enum Carried<'frame> {
    /// Bytes that are said to begin with an IP header.
    Ip(Network<'frame>),
    /// Bytes that look like another Ethernet frame: a pseudo-wire (RFC 4448).
    Ethernet(&'frame [u8]),
}

/// Walks the headers of one link.
#[inline(always)] // see `Network::read`
pub(super) fn read(link: LinkType, bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    match link {
        LinkType::Ethernet => ethernet(bytes),
        LinkType::RawIp => Network::by_version(bytes).map(Link::untagged).map_err(Into::into),
        LinkType::Ipv4 => Ok(Link::untagged(Network::new(Version::V4, bytes))),
        LinkType::Ipv6 => Ok(Link::untagged(Network::new(Version::V6, bytes))),
        LinkType::LinuxSll => linux_cooked(bytes),
        LinkType::LinuxSll2 => linux_cooked_2(bytes),
        LinkType::Null => null(bytes),
        LinkType::Loop => open_bsd_loopback(bytes),
        LinkType::Unsupported => Err(Reason::UnsupportedLinkType.into()),
    }
}

/// Walks an Ethernet header (IEEE 802.3), also one inside a tunnel.
#[inline(always)] // see `Network::read`: most frames are IP without a tag
pub(super) fn ethernet(bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    let header = Ethernet2HeaderSlice::from_slice(bytes).map_err(|_cut| Reason::TruncatedLink)?;
    let behind = bytes.get(header.slice().len()..).unwrap_or_default();
    match header.ether_type().0 {
        ether::IPV4 => Ok(Link::untagged(Network::new(Version::V4, behind))),
        ether::IPV6 => Ok(Link::untagged(Network::new(Version::V6, behind))),
        other => behind_ether_type(other, behind),
    }
}

/// Walks what an EtherType announces: tags, labels, a PPPoE session; down to IP.
pub(super) fn behind_ether_type(
    mut ether_type: u16,
    mut bytes: &[u8],
) -> Result<Link<'_>, NotDecoded> {
    let mut vlan = None;
    let mut tags = 0;
    while is_vlan_tag(ether_type) {
        if tags == VLAN_TAGS_MAX {
            return Err(Reason::TooManyVlanTags.into());
        }
        let tag = SingleVlanHeaderSlice::from_slice(bytes).map_err(|_cut| Reason::TruncatedLink)?;
        bytes = bytes.get(tag.slice().len()..).unwrap_or_default();
        ether_type = tag.ether_type().0;
        vlan = vlan.or(Some(tag.vlan_identifier().value()));
        tags += 1;
    }
    let carried = if ether_type <= ether::LENGTH_MAX {
        logical_link_control(bytes)?
    } else {
        carried(ether_type, bytes)?
    };
    Ok(Link { vlan, carried })
}

impl<'frame> Link<'frame> {
    const fn untagged(network: Network<'frame>) -> Self {
        Self { vlan: None, carried: Carried::Ip(network) }
    }
}

fn carried(ether_type: u16, bytes: &[u8]) -> Result<Carried<'_>, NotDecoded> {
    match ether_type {
        ether::IPV4 => Ok(Carried::Ip(Network::new(Version::V4, bytes))),
        ether::IPV6 => Ok(Carried::Ip(Network::new(Version::V6, bytes))),
        ether::MPLS | ether::MPLS_UPSTREAM => mpls::read(bytes),
        ether::PPPOE_SESSION => pppoe::read(bytes).map(Carried::Ip),
        _ => Err(NotDecoded::NotIp),
    }
}

const fn is_vlan_tag(ether_type: u16) -> bool {
    matches!(ether_type, ether::VLAN | ether::PROVIDER_BRIDGE | ether::VLAN_DOUBLE)
}

/// IEEE 802.2: IP stands behind a SNAP header whose organisation is none (RFC 1042) or the bridge tunnel's (802.1H).
fn logical_link_control(bytes: &[u8]) -> Result<Carried<'_>, NotDecoded> {
    const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];
    let service: &[u8; 3] = bytes.first_chunk().ok_or(Reason::TruncatedLink)?;
    if *service != SNAP {
        return Err(NotDecoded::NotIp);
    }
    let (header, behind) = bytes.split_first_chunk::<8>().ok_or(Reason::TruncatedLink)?;
    match *header {
        [_, _, _, 0, 0, 0 | 0xf8, high, low] => carried(u16::from_be_bytes([high, low]), behind),
        _ => Err(NotDecoded::NotIp),
    }
}

/// Linux cooked capture, version 1: the protocol is the last field of sixteen bytes.
fn linux_cooked(bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    let (header, behind) = bytes.split_first_chunk::<16>().ok_or(Reason::TruncatedLink)?;
    let [.., high, low] = *header;
    behind_cooked_protocol(u16::from_be_bytes([high, low]), behind)
}

/// Linux cooked capture, version 2: the protocol is the first field of twenty bytes.
fn linux_cooked_2(bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    let (header, behind) = bytes.split_first_chunk::<20>().ok_or(Reason::TruncatedLink)?;
    let [high, low, ..] = *header;
    behind_cooked_protocol(u16::from_be_bytes([high, low]), behind)
}

/// Below the smallest EtherType a cooked header holds Linux's own numbers, of which only 802.2 can carry IP.
fn behind_cooked_protocol(protocol: u16, bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    const LINUX_802_2: u16 = 4;
    match protocol {
        LINUX_802_2 => Ok(Link { vlan: None, carried: logical_link_control(bytes)? }),
        0..=ether::LENGTH_MAX => Err(NotDecoded::NotIp),
        ether_type => behind_ether_type(ether_type, bytes),
    }
}

/// BSD loopback: the family in the byte order of a host that the file does not name. Families are small numbers, so the
/// order in which the number is small is the right one.
fn null(bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    let (family, behind) = bytes.split_first_chunk::<4>().ok_or(Reason::TruncatedLink)?;
    let family = u32::from_le_bytes(*family);
    behind_family(family.min(family.swap_bytes()), behind)
}

fn open_bsd_loopback(bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    let (family, behind) = bytes.split_first_chunk::<4>().ok_or(Reason::TruncatedLink)?;
    behind_family(u32::from_be_bytes(*family), behind)
}

fn behind_family(family: u32, bytes: &[u8]) -> Result<Link<'_>, NotDecoded> {
    const INET: u32 = 2;
    // The number of AF_INET6 depends on the system: Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
    const INET6: [u32; 4] = [10, 24, 28, 30];
    match family {
        INET => Ok(Link::untagged(Network::new(Version::V4, bytes))),
        family if INET6.contains(&family) => Ok(Link::untagged(Network::new(Version::V6, bytes))),
        _ => Err(NotDecoded::NotIp),
    }
}

/// EtherTypes (IEEE 802 numbers).
pub(super) mod ether {
    use etherparse::ether_type;

    /// Up to here the field is a length and an 802.2 header follows.
    pub(in super::super) const LENGTH_MAX: u16 = 1500;
    pub(in super::super) const IPV4: u16 = ether_type::IPV4.0;
    pub(in super::super) const IPV6: u16 = ether_type::IPV6.0;
    pub(in super::super) const VLAN: u16 = ether_type::VLAN_TAGGED_FRAME.0;
    pub(in super::super) const PROVIDER_BRIDGE: u16 = ether_type::PROVIDER_BRIDGING.0;
    pub(in super::super) const VLAN_DOUBLE: u16 = ether_type::VLAN_DOUBLE_TAGGED_FRAME.0;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    pub(in super::super) const TRANSPARENT_BRIDGING: u16 = 0x6558;
    pub(in super::super) const ERSPAN_2: u16 = 0x88be;
    pub(in super::super) const ERSPAN_3: u16 = 0x22eb;
}
