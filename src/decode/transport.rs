//! TCP, UDP and ICMP: the few fields that are used, and where the payload begins.

use etherparse::{UdpHeaderSlice, ip_number};

use super::Transport;
use super::ip::Datagram;

/// Reads the transport header and cuts it off the payload.
///
/// A header counts as there when every field of its [`Transport`] was captured: of TCP the first fourteen bytes (up to
/// the flags), of UDP all eight, of ICMP the first four. With less it is [`Transport::Other`]: a frame cut by a snap
/// length keeps its ports where it can, and a port is never read from half a header.
pub(super) fn read<'frame>(datagram: &Datagram<'frame>) -> (Transport, &'frame [u8]) {
    if datagram.is_later_fragment {
        return (Transport::LaterFragment, datagram.payload);
    }
    let read = match datagram.protocol {
        protocol::TCP => tcp(datagram.payload),
        protocol::UDP => udp(datagram.payload),
        protocol::ICMP | protocol::ICMPV6 => icmp(datagram.payload),
        _ => None,
    };
    read.unwrap_or((Transport::Other, datagram.payload))
}

/// Not through `TcpHeaderSlice`: it wants the whole header with its options, which a short snap length cuts off.
fn tcp(segment: &[u8]) -> Option<(Transport, &[u8])> {
    const HEADER_LENGTH_MIN: usize = 20;
    let header: &[u8; 14] = segment.first_chunk()?;
    let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, data_offset, flags] = *header;
    let length = usize::from(data_offset >> 4) * 4;
    // A receiver drops a segment whose header is said to be shorter than a header, so it carries nothing.
    let payload = if length < HEADER_LENGTH_MIN { None } else { segment.get(length..) };
    let transport = Transport::Tcp {
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        flags,
    };
    Some((transport, payload.unwrap_or_default()))
}

fn udp(datagram: &[u8]) -> Option<(Transport, &[u8])> {
    let header = UdpHeaderSlice::from_slice(datagram).ok()?;
    let transport = Transport::Udp {
        source_port: header.source_port(),
        destination_port: header.destination_port(),
    };
    Some((transport, udp_payload(&header, datagram)))
}

/// What a receiver would be given: bytes beyond the UDP length are not part of the message. A length that cannot be true
/// (shorter than the header, longer than the packet) is not believed.
pub(super) fn udp_payload<'frame>(
    header: &UdpHeaderSlice<'_>,
    datagram: &'frame [u8],
) -> &'frame [u8] {
    let header_length = header.slice().len();
    datagram
        .get(header_length..usize::from(header.length()))
        .or_else(|| datagram.get(header_length..))
        .unwrap_or_default()
}

/// Type, code and check sum, then four bytes whose meaning depends on the type. All eight count as header, as in
/// RFC 792, for ICMPv6 too: both echo messages then carry their data as payload.
fn icmp(message: &[u8]) -> Option<(Transport, &[u8])> {
    let [kind, code, _, _] = *message.first_chunk()?;
    Some((Transport::Icmp { kind, code }, message.get(8..).unwrap_or_default()))
}

/// IANA protocol numbers.
pub(super) mod protocol {
    use super::ip_number;

    pub(in super::super) const ICMP: u8 = ip_number::ICMP.0;
    pub(in super::super) const IPV4: u8 = ip_number::IPV4.0;
    pub(in super::super) const TCP: u8 = ip_number::TCP.0;
    pub(in super::super) const UDP: u8 = ip_number::UDP.0;
    pub(in super::super) const IPV6: u8 = ip_number::IPV6.0;
    pub(in super::super) const GRE: u8 = ip_number::GRE.0;
    pub(in super::super) const ICMPV6: u8 = ip_number::IPV6_ICMP.0;
}
