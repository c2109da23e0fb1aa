//! Frames byte by byte, with right lengths and checksums (RFC 791, 8200, 9293, 768, 792, 4443, 826).

use crate::address::Address;

pub(super) type Mac = [u8; 6];

pub(super) const BROADCAST: Mac = [0xff; 6];
/// The shortest frame that Ethernet carries, without its check sequence (IEEE 802.3, 3.2.8); shorter ones are padded.
const FRAME_BYTES_MIN: usize = 60;
const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const DO_NOT_FRAGMENT: [u8; 2] = [0x40, 0];

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// From whom to whom one packet goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    pub(super) from_mac: Mac,
    pub(super) to_mac: Mac,
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) ttl: u8,
    pub(super) ident: u16,
}

/// A TCP header without its checksum.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpHeader {
    pub(super) from_port: u16,
    pub(super) to_port: u16,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    /// The largest segment this side takes; stated with SYN alone, together with SACK permitted and a window scale of 7.
    pub(super) segment_bytes_max: u16,
}

impl TcpHeader {
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let opens = self.flags & SYN != 0;
        to.extend_from_slice(&self.from_port.to_be_bytes());
        to.extend_from_slice(&self.to_port.to_be_bytes());
        to.extend_from_slice(&self.sequence.to_be_bytes());
        to.extend_from_slice(&self.acknowledged.to_be_bytes());
        to.extend_from_slice(&[if opens { 0x80 } else { 0x50 }, self.flags]);
        to.extend_from_slice(&self.window.to_be_bytes());
        to.extend_from_slice(&[0; 4]);
        if opens {
            let [high, low] = self.segment_bytes_max.to_be_bytes();
            to.extend_from_slice(&[2, 4, high, low, 4, 2, 1, 3, 3, 7, 1, 1]);
        }
    }
}

/// What stands behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Icmpv6,
}

impl Protocol {
    const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmpv6 => 58,
        }
    }

    /// Where the checksum lies in the transport header.
    const fn checksum_at(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
            Self::Icmp | Self::Icmpv6 => 2,
        }
    }
}

/// Writes one IP packet in an Ethernet frame. `transport` appends the transport header, its checksum (and UDP length) 0,
/// and the payload.
pub(super) fn ip(
    frame: &mut Vec<u8>,
    hop: &Hop,
    protocol: Protocol,
    transport: impl FnOnce(&mut Vec<u8>),
) {
    frame.clear();
    frame.extend_from_slice(&hop.to_mac);
    frame.extend_from_slice(&hop.from_mac);
    let header_bytes = match (hop.from.v4_octets(), hop.to.v4_octets()) {
        (Some(from), Some(to)) => {
            frame.extend_from_slice(&[0x08, 0x00, 0x45, 0, 0, 0]);
            frame.extend_from_slice(&hop.ident.to_be_bytes());
            frame.extend_from_slice(&DO_NOT_FRAGMENT);
            frame.extend_from_slice(&[hop.ttl, protocol.number(), 0, 0]);
            frame.extend_from_slice(&from);
            frame.extend_from_slice(&to);
            IPV4_BYTES
        }
        _ => {
            frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 0]);
            frame.extend_from_slice(&[protocol.number(), hop.ttl]);
            frame.extend_from_slice(&hop.from.octets());
            frame.extend_from_slice(&hop.to.octets());
            IPV6_BYTES
        }
    };
    let transport_at = ETHERNET_BYTES + header_bytes;
    transport(frame);
    let length = sixteen(frame.len() - transport_at);
    if header_bytes == IPV4_BYTES {
        let datagram_bytes = sixteen(frame.len() - ETHERNET_BYTES);
        patch(frame, ETHERNET_BYTES + 2, datagram_bytes);
        let sum = checksum(0, frame.get(ETHERNET_BYTES..transport_at).unwrap_or_default());
        patch(frame, ETHERNET_BYTES + 10, sum);
    } else {
        patch(frame, ETHERNET_BYTES + 4, length);
    }
    if protocol == Protocol::Udp {
        patch(frame, transport_at + 4, length);
    }
    let start = if protocol == Protocol::Icmp { 0 } else { pseudo_header(hop, protocol, length) };
    let sum = checksum(start, frame.get(transport_at..).unwrap_or_default());
    // RFC 768: a computed zero is sent as all ones, because zero means that there is no checksum.
    let sum = if protocol == Protocol::Udp && sum == 0 { 0xffff } else { sum };
    patch(frame, transport_at + protocol.checksum_at(), sum);
    pad(frame);
}

/// What an ARP message says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arp {
    pub(super) is_reply: bool,
    pub(super) sender_mac: Mac,
    pub(super) sender: [u8; 4],
    pub(super) target_mac: Mac,
    pub(super) target: [u8; 4],
}

/// Writes one ARP message in an Ethernet frame.
pub(super) fn arp(frame: &mut Vec<u8>, message: &Arp) {
    frame.clear();
    frame.extend_from_slice(if message.is_reply { &message.target_mac } else { &BROADCAST });
    frame.extend_from_slice(&message.sender_mac);
    frame.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1 + u8::from(message.is_reply)]);
    frame.extend_from_slice(&message.sender_mac);
    frame.extend_from_slice(&message.sender);
    frame.extend_from_slice(if message.is_reply { &message.target_mac } else { &[0; 6] });
    frame.extend_from_slice(&message.target);
    pad(frame);
}

/// The sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). The leading bytes of a mapped IPv4 address would add
/// 0xffff, which is zero in this arithmetic, so one form serves both families.
fn pseudo_header(hop: &Hop, protocol: Protocol, length: u16) -> u64 {
    let addresses = [hop.from.octets(), hop.to.octets()];
    let sum: u64 = addresses.iter().map(|address| words(address)).sum();
    sum + u64::from(protocol.number()) + u64::from(length)
}

/// The sum of the 16-bit words in network order; an odd last byte counts as if a zero followed (RFC 1071).
fn words(bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum + rest.first().map_or(0, |&last| u64::from(last) << 8)
}

fn checksum(start: u64, bytes: &[u8]) -> u16 {
    let mut sum = start + words(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

fn patch(frame: &mut [u8], at: usize, value: u16) {
    if let Some(place) = frame.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

fn sixteen(length: usize) -> u16 {
    u16::try_from(length).expect("no packet here is longer than an Ethernet frame")
}

fn pad(frame: &mut Vec<u8>) {
    if frame.len() < FRAME_BYTES_MIN {
        frame.resize(FRAME_BYTES_MIN, 0);
    }
}
