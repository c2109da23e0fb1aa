//! Tunnels: IP in IP (RFC 2003, RFC 4213, RFC 2473), GRE (RFC 2784, RFC 2890), ERSPAN, VXLAN (RFC 7348), Geneve (RFC 8926).
//!
//! A tunnel is entered only when what is inside proves to be IP. A port number proves nothing, and neither does a protocol
//! number in front of a cut payload; then the outer packet is the packet.

use etherparse::UdpHeaderSlice;

use super::ip::{Datagram, Network, Version};
use super::link::{self, Carried, ether};
use super::transport::{protocol, udp_payload};

/// The datagram inside `outer`, when there is one.
pub(super) fn enter<'frame>(outer: &Datagram<'frame>) -> Option<Datagram<'frame>> {
    if outer.is_later_fragment {
        return None;
    }
    let inner = match outer.protocol {
        protocol::IPV4 => Network::new(Version::V4, outer.payload),
        protocol::IPV6 => Network::new(Version::V6, outer.payload),
        protocol::GRE => gre(outer.payload)?,
        protocol::UDP => over_udp(outer.payload)?,
        _ => return None,
    };
    inner.read().ok()
}

/// GRE, version 0. Source routing (RFC 1701) and version 1 (PPTP) are not entered.
fn gre(bytes: &[u8]) -> Option<Network<'_>> {
    const CHECKSUM: u8 = 0x80;
    const ROUTING: u8 = 0x40;
    const KEY: u8 = 0x20;
    const SEQUENCE: u8 = 0x10;
    const VERSION: u8 = 0x07;
    let (&[flags, version, high, low], _) = bytes.split_first_chunk()?;
    if flags & ROUTING != 0 || version & VERSION != 0 {
        return None;
    }
    let optional_fields = (flags & (CHECKSUM | KEY | SEQUENCE)).count_ones() as usize;
    let inner = bytes.get(4 + 4 * optional_fields..)?;
    match u16::from_be_bytes([high, low]) {
        ether::TRANSPARENT_BRIDGING => ethernet(inner),
        // The sequence number is what tells type II from type I, which has no header of its own.
        ether::ERSPAN_2 if flags & SEQUENCE == 0 => ethernet(inner),
        ether::ERSPAN_2 => erspan_2(inner),
        ether::ERSPAN_3 => erspan_3(inner),
        ether_type => ip_behind(link::behind_ether_type(ether_type, inner).ok()?),
    }
}

/// ERSPAN type II (draft-foschiano-erspan-03, section 4.2).
fn erspan_2(bytes: &[u8]) -> Option<Network<'_>> {
    let (&[version, ..], frame) = bytes.split_first_chunk::<8>()?;
    if version >> 4 != 1 {
        return None;
    }
    ethernet(frame)
}

/// ERSPAN type III (draft-foschiano-erspan-03, section 4.3), with its optional subheader.
fn erspan_3(bytes: &[u8]) -> Option<Network<'_>> {
    const HAS_SUBHEADER: u8 = 1;
    const FRAME_TYPE: u8 = 0x7c;
    const ETHERNET: u8 = 0;
    const IP: u8 = 2 << 2;
    let (&header, mut frame) = bytes.split_first_chunk::<12>()?;
    let [version, _, _, _, _, _, _, _, _, _, frame_type, last] = header;
    if version >> 4 != 2 {
        return None;
    }
    if last & HAS_SUBHEADER != 0 {
        frame = frame.get(8..)?;
    }
    match frame_type & FRAME_TYPE {
        ETHERNET => ethernet(frame),
        IP => Network::by_version(frame).ok(),
        _ => None,
    }
}

fn over_udp(bytes: &[u8]) -> Option<Network<'_>> {
    const VXLAN: u16 = 4789;
    const GENEVE: u16 = 6081;
    let header = UdpHeaderSlice::from_slice(bytes).ok()?;
    match header.destination_port() {
        VXLAN => vxlan(udp_payload(&header, bytes)),
        GENEVE => geneve(udp_payload(&header, bytes)),
        _ => None,
    }
}

fn vxlan(bytes: &[u8]) -> Option<Network<'_>> {
    const HAS_NETWORK_IDENTIFIER: u8 = 0x08;
    let (&[flags, ..], frame) = bytes.split_first_chunk::<8>()?;
    if flags & HAS_NETWORK_IDENTIFIER == 0 {
        return None;
    }
    ethernet(frame)
}

fn geneve(bytes: &[u8]) -> Option<Network<'_>> {
    const VERSION: u8 = 0xc0;
    const OPTIONS_WORDS: u8 = 0x3f;
    let (&[first, _, high, low, ..], behind) = bytes.split_first_chunk::<8>()?;
    if first & VERSION != 0 {
        return None;
    }
    let inner = behind.get(4 * usize::from(first & OPTIONS_WORDS)..)?;
    match u16::from_be_bytes([high, low]) {
        ether::TRANSPARENT_BRIDGING => ethernet(inner),
        ether_type => ip_behind(link::behind_ether_type(ether_type, inner).ok()?),
    }
}

fn ethernet(frame: &[u8]) -> Option<Network<'_>> {
    ip_behind(link::ethernet(frame).ok()?)
}

/// A pseudo-wire inside a tunnel is not entered: it is a guess, and a guess inside a guess proves nothing.
fn ip_behind(link: link::Link<'_>) -> Option<Network<'_>> {
    match link.carried {
        Carried::Ip(network) => Some(network),
        Carried::Ethernet(_) => None,
    }
}
