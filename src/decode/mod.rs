//! From a frame to a [`Packet`]: headers walked once, every offset proven, nothing trusted.

mod extension;
mod ip;
mod link;
mod mpls;
mod outcome;
mod pppoe;
mod transport;
mod tunnel;

#[cfg(test)]
mod tests;

use self::ip::Datagram;
use self::link::Carried;
pub use self::outcome::{NotDecoded, Reason};
use crate::address::Address;
use crate::capture::Frame;
use crate::time::Timestamp;

/// VLAN tags walked before a frame is refused (IEEE 802.1Q, 802.1ad).
pub const VLAN_TAGS_MAX: usize = 2;
/// MPLS labels walked before a frame is refused (RFC 3032).
pub const MPLS_LABELS_MAX: usize = 4;
/// Tunnels entered; what lies deeper stays payload.
pub const TUNNELS_MAX: usize = 2;
/// IPv6 extension headers walked before a packet is refused (RFC 8200, section 4).
pub const EXTENSION_HEADERS_MAX: usize = 8;

/// What stands behind the network header, as far as its header was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// The flag bits as on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
        flags: u8,
    },
    /// UDP (RFC 768).
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// ICMP (RFC 792) or ICMPv6 (RFC 4443).
    Icmp {
        /// Message type.
        kind: u8,
        /// Message code.
        code: u8,
    },
    /// A fragment that is not the first: it has no transport header.
    LaterFragment,
    /// Another protocol, or a transport header that the capture cut off.
    Other,
}

impl Transport {
    /// Source and destination port, when there are any.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match *self {
            Self::Tcp { source_port, destination_port, .. }
            | Self::Udp { source_port, destination_port } => Some((source_port, destination_port)),
            Self::Icmp { .. } | Self::LaterFragment | Self::Other => None,
        }
    }
}

/// A frame whose headers have been walked, down to the innermost IP packet.
///
/// Holding one tells you: the innermost IP header is whole and the lengths in it do not contradict each other. It does not
/// tell you: that a checksum is right, that an address is the sender's own, or that the payload is whole.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'frame> {
    /// The number of the frame it came in.
    pub sequence: u64,
    /// When the frame passed.
    pub time: Timestamp,
    /// Sender as stated in the innermost IP header.
    pub source: Address,
    /// Receiver as stated in the innermost IP header.
    pub destination: Address,
    /// IANA protocol number behind the innermost IP header and its extension headers.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Length of the innermost IP datagram in bytes: IPv4 total length, IPv6 40 + payload length; where the header says
    /// 0, the bytes captured from that header on.
    pub length: u32,
    /// Bytes of the whole frame on the wire.
    pub wire_length: u32,
    /// The outermost VLAN id, when the frame is tagged.
    pub vlan: Option<u16>,
    /// How many tunnels were entered to reach this packet.
    pub tunnels: u8,
    /// Sender and receiver of each tunnel that was entered, from the outermost on: who carries this packet.
    pub carriers: [Option<(Address, Address)>; TUNNELS_MAX],
    /// What stands behind the network header.
    pub transport: Transport,
    /// The captured bytes behind the transport header (behind the network header for [`Transport::Other`] and
    /// [`Transport::LaterFragment`]), never more than the IP header's length allows.
    pub payload: &'frame [u8],
}

/// Walks a frame down to its innermost IP packet.
///
/// At most [`TUNNELS_MAX`] tunnels are entered; what lies deeper stays payload. A tunnel whose inside does not prove to be
/// IP is not entered, so the answer may be the packet of the tunnel itself, also for a frame that the capture cut.
///
/// Never allocates, never panics, and its loops are bounded by the constants above.
///
/// # Errors
///
/// [`NotDecoded`] says which counter the frame belongs to.
pub fn decode<'frame>(frame: &Frame<'frame>) -> Result<Packet<'frame>, NotDecoded> {
    let link = link::read(frame.link, frame.bytes)?;
    let mut tunnels: u8 = 0;
    let mut datagram = match link.carried {
        Carried::Ip(network) => network.read()?,
        Carried::Ethernet(inner) => {
            tunnels += 1;
            pseudo_wire(inner).ok_or(NotDecoded::NotIp)?
        }
    };
    let mut carriers = [None; TUNNELS_MAX];
    while usize::from(tunnels) < TUNNELS_MAX
        && let Some(inner) = tunnel::enter(&datagram)
    {
        tunnels += 1;
        if let Some(carrier) = carriers.iter_mut().find(|carrier| carrier.is_none()) {
            *carrier = Some((datagram.source, datagram.destination));
        }
        datagram = inner;
    }
    let (transport, payload) = transport::read(&datagram);
    Ok(Packet {
        sequence: frame.sequence,
        time: frame.time,
        source: datagram.source,
        destination: datagram.destination,
        protocol: datagram.protocol,
        ttl: datagram.ttl,
        length: datagram.length,
        wire_length: frame.wire_length,
        vlan: link.vlan,
        tunnels,
        carriers,
        transport,
        payload,
    })
}

/// Ethernet behind labels is a guess that only an IP packet inside can prove: with anything else the frame is not IP.
fn pseudo_wire(frame: &[u8]) -> Option<Datagram<'_>> {
    match link::ethernet(frame).ok()?.carried {
        Carried::Ip(network) => network.read().ok(),
        Carried::Ethernet(_) => None,
    }
}
