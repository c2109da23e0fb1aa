//! Frames byte by byte, from the inside out. Lengths are right; checksums are 0, for decoding does not look at them.

use phantomnet::capture::{Batch, LinkType};
use phantomnet::time::Timestamp;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
const ETHERTYPE_MPLS: u16 = 0x8847;

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_GRE: u8 = 47;

const VXLAN_PORT: u16 = 4789;

pub(crate) const ETHERNET_BYTES: usize = 14;
pub(crate) const IPV4_BYTES: usize = 20;
pub(crate) const TCP_BYTES: usize = 20;
pub(crate) const UDP_BYTES: usize = 8;

/// TCP flags (RFC 9293, section 3.1).
pub(crate) const SYN: u8 = 2;
pub(crate) const PUSH_ACK: u8 = 24;

/// From whom to whom, and from which port to which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) source: [u8; 4],
    pub(crate) destination: [u8; 4],
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

const FLOW: Flow = Flow {
    source: [10, 1, 2, 3],
    destination: [198, 51, 100, 7],
    source_port: 40_000,
    destination_port: 443,
};

/// One frame of each kind that is told apart by the path that decoding takes, with its name.
pub(crate) fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let payload = [0x5a; 64];
    let inside = ipv4(PROTOCOL_UDP, FLOW, &udp(FLOW, &payload));
    let inside_v6 = ipv6(PROTOCOL_TCP, &tcp(FLOW, PUSH_ACK, &payload));
    let tagged = tag(7, ETHERTYPE_IPV4, &inside);
    let carried = udp_frame(FLOW, &payload);
    let vxlan = Flow { destination_port: VXLAN_PORT, ..FLOW };
    vec![
        ("udp", carried.clone()),
        ("tcp", tcp_frame(FLOW, PUSH_ACK, &payload)),
        ("tcp over ipv6", ethernet(ETHERTYPE_IPV6, &inside_v6)),
        ("vlan", ethernet(ETHERTYPE_VLAN, &tagged)),
        ("qinq", ethernet(ETHERTYPE_SERVICE_VLAN, &tag(9, ETHERTYPE_VLAN, &tagged))),
        ("mpls", ethernet(ETHERTYPE_MPLS, &labelled(&inside))),
        ("gre", ethernet(ETHERTYPE_IPV4, &ipv4(PROTOCOL_GRE, FLOW, &gre(&inside)))),
        ("vxlan", udp_frame(vxlan, &[&[8, 0, 0, 0, 0, 0, 42, 0], carried.as_slice()].concat())),
        ("arp", ethernet(0x0806, &[0; 46])),
    ]
}

pub(crate) fn udp_frame(flow: Flow, payload: &[u8]) -> Vec<u8> {
    ethernet(ETHERTYPE_IPV4, &ipv4(PROTOCOL_UDP, flow, &udp(flow, payload)))
}

pub(crate) fn tcp_frame(flow: Flow, flags: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(ETHERTYPE_IPV4, &ipv4(PROTOCOL_TCP, flow, &tcp(flow, flags, payload)))
}

/// A turn of these frames, all at one moment.
pub(crate) fn batch_of<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> Batch {
    let mut batch = Batch::new();
    for frame in frames {
        push(&mut batch, Timestamp::from_secs(1_790_000_000), frame);
    }
    batch
}

/// Adds a frame for which there must be room.
pub(crate) fn push(batch: &mut Batch, time: Timestamp, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("a short frame");
    assert!(batch.push(time, length, LinkType::Ethernet, frame), "a turn holds it");
}

fn ethernet(ethertype: u16, inside: &[u8]) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    [&macs[..], &ethertype.to_be_bytes(), inside].concat()
}

/// What stands behind the type of a tag: VLAN id, type, inside.
fn tag(vlan: u16, ethertype: u16, inside: &[u8]) -> Vec<u8> {
    [&vlan.to_be_bytes(), &ethertype.to_be_bytes(), inside].concat()
}

/// Two labels, the second at the bottom of the stack (RFC 3032).
fn labelled(inside: &[u8]) -> Vec<u8> {
    [&[0, 1, 0, 64, 0, 2, 1, 64], inside].concat()
}

fn gre(inside: &[u8]) -> Vec<u8> {
    [&[0, 0], &ETHERTYPE_IPV4.to_be_bytes(), inside].concat()
}

fn ipv4(protocol: u8, flow: Flow, inside: &[u8]) -> Vec<u8> {
    let [high, low] = length(IPV4_BYTES + inside.len());
    let head = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    [&head, &flow.source[..], &flow.destination, inside].concat()
}

fn ipv6(protocol: u8, inside: &[u8]) -> Vec<u8> {
    let [high, low] = length(inside.len());
    let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let destination = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2];
    [&[0x60, 0, 0, 0, high, low, protocol, 64], &source[..], &destination, inside].concat()
}

fn udp(flow: Flow, payload: &[u8]) -> Vec<u8> {
    [&ports(flow)[..], &length(UDP_BYTES + payload.len()), &[0, 0], payload].concat()
}

fn tcp(flow: Flow, flags: u8, payload: &[u8]) -> Vec<u8> {
    let behind_ports = [0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0x20, 0, 0, 0, 0, 0];
    [&ports(flow)[..], &behind_ports, payload].concat()
}

fn ports(flow: Flow) -> [u8; 4] {
    let ([a, b], [c, d]) = (flow.source_port.to_be_bytes(), flow.destination_port.to_be_bytes());
    [a, b, c, d]
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("a short frame").to_be_bytes()
}
