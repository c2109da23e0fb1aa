//! Frames made by hand, one layer at a time, from the RFCs; then laws that hold for any bytes.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::capture::LinkType;

// ---- layers, each wrapped around what it carries ----------------------------------------------------------------

const OUTER: [u8; 4] = [192, 0, 2, 1];
const INNER: [u8; 4] = [10, 0, 0, 1];
const PEER: [u8; 4] = [198, 51, 100, 9];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ethernet(ether_type: u16, carried: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ether_type.to_be_bytes(), carried])
}

fn tag(id: u16, ether_type: u16, carried: &[u8]) -> Vec<u8> {
    // Priority 5, so that its bits are seen to be cut off.
    join(&[&(0xa000 | id).to_be_bytes(), &ether_type.to_be_bytes(), carried])
}

fn label(bottom: bool, carried: &[u8]) -> Vec<u8> {
    join(&[&[0x00, 0x01, 0x40 | u8::from(bottom), 64], carried])
}

fn ppp_session(protocol: u16, carried: &[u8]) -> Vec<u8> {
    let length = u16::try_from(carried.len() + 2).unwrap();
    join(&[&[0x11, 0, 0, 7], &length.to_be_bytes(), &protocol.to_be_bytes(), carried])
}

fn ipv4_from(source: [u8; 4], protocol: u8, carried: &[u8]) -> Vec<u8> {
    let length = u16::try_from(carried.len() + 20).unwrap();
    let [high, low] = length.to_be_bytes();
    let fixed = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0];
    join(&[&fixed, &source, &PEER, carried])
}

fn ipv4(protocol: u8, carried: &[u8]) -> Vec<u8> {
    ipv4_from(OUTER, protocol, carried)
}

fn ipv6(next_header: u8, carried: &[u8]) -> Vec<u8> {
    let length = u16::try_from(carried.len()).unwrap();
    let fixed = join(&[&[0x60, 0, 0, 0], &length.to_be_bytes(), &[next_header, 61]]);
    join(&[&fixed, &address("2001:db8::1").octets(), &address("2001:db8::2").octets(), carried])
}

fn udp(source_port: u16, destination_port: u16, carried: &[u8]) -> Vec<u8> {
    let length = u16::try_from(carried.len() + 8).unwrap();
    let ports = [source_port.to_be_bytes(), destination_port.to_be_bytes()].concat();
    join(&[&ports, &length.to_be_bytes(), &[0, 0], carried])
}

fn tcp(flags: u8, options: &[u8], carried: &[u8]) -> Vec<u8> {
    let offset = u8::try_from((20 + options.len()) / 4).unwrap() << 4;
    let fixed = [0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, offset, flags, 1, 0, 0, 0, 0, 0];
    join(&[&fixed, options, carried])
}

/// The innermost packet of most tables: what `is_inner` looks for.
fn inner() -> Vec<u8> {
    ipv4_from(INNER, 17, &udp(1111, 53, b"inner"))
}

fn inner_v6() -> Vec<u8> {
    ipv6(17, &udp(1111, 53, b"inner"))
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        sequence: 7,
        time: Timestamp::from_secs(9),
        wire_length: u32::try_from(bytes.len()).unwrap(),
        link,
        bytes,
    }
}

fn decoded(link: LinkType, bytes: &[u8]) -> Result<Packet<'_>, NotDecoded> {
    decode(&frame(link, bytes))
}

fn packet(bytes: &[u8]) -> Packet<'_> {
    decoded(LinkType::Ethernet, bytes).unwrap()
}

fn refusal(bytes: &[u8]) -> NotDecoded {
    decoded(LinkType::Ethernet, bytes).unwrap_err()
}

const fn because(reason: Reason) -> NotDecoded {
    NotDecoded::Undecodable(reason)
}

// ---- one layer after the other ----------------------------------------------------------------------------------

#[test]
fn every_field_of_a_plain_packet_is_read() {
    let bytes = ethernet(0x0800, &ipv4(6, &tcp(0x12, &[1, 1, 1, 1], b"hello")));
    let packet = packet(&bytes);
    assert_eq!(packet.sequence, 7);
    assert_eq!(packet.time, Timestamp::from_secs(9));
    assert_eq!(packet.source, Address::v4(OUTER));
    assert_eq!(packet.destination, Address::v4(PEER));
    assert_eq!((packet.protocol, packet.ttl), (6, 64));
    assert_eq!((packet.length, packet.wire_length), (49, 63));
    assert_eq!((packet.vlan, packet.tunnels), (None, 0));
    let ports_and_flags = Transport::Tcp { source_port: 40_000, destination_port: 80, flags: 0x12 };
    assert_eq!(packet.transport, ports_and_flags);
    assert_eq!(packet.payload, b"hello");
}

#[test]
fn every_link_below_ip_leads_to_the_same_packet() {
    let (v4, v6) = (inner(), inner_v6());
    let snap = |organisation: [u8; 3]| join(&[&[0xaa, 0xaa, 3], &organisation, &[8, 0], &v4]);
    let cooked = |protocol: u16, carried: &[u8]| {
        join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &protocol.to_be_bytes(), carried])
    };
    let cooked_2 = |protocol: u16, carried: &[u8]| {
        join(&[&protocol.to_be_bytes(), &[0; 2], &[0, 0, 0, 3, 0, 1, 0, 6], &[0; 8], carried])
    };
    let loopback = |family: [u8; 4], carried: &[u8]| join(&[&family, carried]);
    let table: Vec<(&str, LinkType, Vec<u8>)> = vec![
        ("Ethernet, IPv4", LinkType::Ethernet, ethernet(0x0800, &v4)),
        ("Ethernet, IPv6", LinkType::Ethernet, ethernet(0x86dd, &v6)),
        ("802.3 with SNAP", LinkType::Ethernet, ethernet(60, &snap([0, 0, 0]))),
        (
            "802.3 with the bridge tunnel's SNAP",
            LinkType::Ethernet,
            ethernet(60, &snap([0, 0, 0xf8])),
        ),
        ("VLAN", LinkType::Ethernet, ethernet(0x8100, &tag(5, 0x0800, &v4))),
        (
            "VLAN, 802.3 with SNAP",
            LinkType::Ethernet,
            ethernet(0x8100, &tag(5, 60, &snap([0, 0, 0]))),
        ),
        ("one MPLS label", LinkType::Ethernet, ethernet(0x8847, &label(true, &v4))),
        (
            "two MPLS labels, IPv6",
            LinkType::Ethernet,
            ethernet(0x8848, &label(false, &label(true, &v6))),
        ),
        ("VLAN, MPLS", LinkType::Ethernet, ethernet(0x8100, &tag(5, 0x8847, &label(true, &v4)))),
        ("PPPoE, IPv4", LinkType::Ethernet, ethernet(0x8864, &ppp_session(0x21, &v4))),
        ("PPPoE, IPv6", LinkType::Ethernet, ethernet(0x8864, &ppp_session(0x57, &v6))),
        ("raw, IPv4", LinkType::RawIp, v4.clone()),
        ("raw, IPv6", LinkType::RawIp, v6.clone()),
        ("IPv4 alone", LinkType::Ipv4, v4.clone()),
        ("IPv6 alone", LinkType::Ipv6, v6.clone()),
        ("cooked 1", LinkType::LinuxSll, cooked(0x0800, &v4)),
        ("cooked 1, VLAN", LinkType::LinuxSll, cooked(0x8100, &tag(5, 0x86dd, &v6))),
        ("cooked 1, 802.2", LinkType::LinuxSll, cooked(4, &snap([0, 0, 0]))),
        ("cooked 2", LinkType::LinuxSll2, cooked_2(0x86dd, &v6)),
        ("loopback, little endian", LinkType::Null, loopback([2, 0, 0, 0], &v4)),
        ("loopback, big endian", LinkType::Null, loopback([0, 0, 0, 2], &v4)),
        ("loopback, Darwin's IPv6", LinkType::Null, loopback([30, 0, 0, 0], &v6)),
        ("loopback, Linux' IPv6", LinkType::Null, loopback([0, 0, 0, 10], &v6)),
        ("OpenBSD loopback", LinkType::Loop, loopback([0, 0, 0, 24], &v6)),
    ];
    for (name, link, bytes) in table {
        let packet = decoded(link, &bytes).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        assert_eq!(packet.payload, b"inner", "{name}");
        assert_eq!(packet.transport.ports(), Some((1111, 53)), "{name}");
        assert_eq!(packet.tunnels, 0, "{name}");
        let (length, source) = if packet.source.is_v4() {
            (33, Address::v4(INNER))
        } else {
            (53, address("2001:db8::1"))
        };
        assert_eq!((packet.length, packet.source), (length, source), "{name}");
    }
}

#[test]
fn the_outermost_vlan_is_the_packets() {
    let service = tag(100, 0x8100, &tag(5, 0x0800, &inner()));
    assert_eq!(packet(&ethernet(0x88a8, &service)).vlan, Some(100));
    assert_eq!(packet(&ethernet(0x9100, &service)).vlan, Some(100));
    assert_eq!(packet(&ethernet(0x8100, &tag(0, 0x0800, &inner()))).vlan, Some(0));
}

#[test]
fn every_tunnel_is_entered() {
    let v4 = inner();
    let bridged = ethernet(0x0800, &v4);
    let gre = |flags: u16, kind: u16, optional: usize, carried: &[u8]| {
        let head = [flags.to_be_bytes(), kind.to_be_bytes()].concat();
        ipv4(47, &join(&[&head, &vec![0; optional], carried]))
    };
    let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 9, 0], &bridged]);
    let geneve = |kind: u16, carried: &[u8]| {
        join(&[&[2, 0], &kind.to_be_bytes(), &[0, 0, 9, 0], &[0; 8], carried])
    };
    let erspan_3 = |frame_type: u8, last: u8, carried: &[u8]| {
        join(&[&[0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, frame_type, last], carried])
    };
    let with_subheader = erspan_3(0, 1, &join(&[&[0; 8], &bridged]));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("4 in 4", ipv4(4, &v4)),
        ("6 in 4", ipv4(41, &inner_v6())),
        ("4 in 6", ipv6(4, &v4)),
        ("6 in 6", ipv6(41, &inner_v6())),
        ("GRE", gre(0, 0x0800, 0, &v4)),
        ("GRE with check sum", gre(0x8000, 0x0800, 4, &v4)),
        ("GRE with key", gre(0x2000, 0x86dd, 4, &inner_v6())),
        ("GRE with all three", gre(0xb000, 0x0800, 12, &v4)),
        ("GRE, MPLS", gre(0, 0x8847, 0, &label(true, &v4))),
        ("GRE, bridging", gre(0, 0x6558, 0, &bridged)),
        ("GRE, bridging, VLAN", gre(0, 0x6558, 0, &ethernet(0x8100, &tag(3, 0x0800, &v4)))),
        ("GRE over IPv6", ipv6(47, &join(&[&[0, 0, 8, 0], &v4]))),
        ("ERSPAN I", gre(0, 0x88be, 0, &bridged)),
        ("ERSPAN II", gre(0x1000, 0x88be, 4, &join(&[&[0x10, 1, 0, 0, 0, 0, 0, 0], &bridged]))),
        ("ERSPAN III", gre(0x1000, 0x22eb, 4, &erspan_3(0, 0, &bridged))),
        ("ERSPAN III with subheader", gre(0x1000, 0x22eb, 4, &with_subheader)),
        ("ERSPAN III, IP", gre(0x1000, 0x22eb, 4, &erspan_3(2 << 2, 0, &v4))),
        ("VXLAN", ipv4(17, &udp(50_000, 4789, &vxlan))),
        ("VXLAN over IPv6", ipv6(17, &udp(50_000, 4789, &vxlan))),
        ("Geneve, bridging", ipv4(17, &udp(50_000, 6081, &geneve(0x6558, &bridged)))),
        ("Geneve, IPv4", ipv4(17, &udp(50_000, 6081, &geneve(0x0800, &v4)))),
    ];
    for (name, network) in table {
        let packet = decoded(LinkType::RawIp, &network).unwrap();
        assert_eq!(packet.tunnels, 1, "{name}");
        assert_eq!(packet.payload, b"inner", "{name}");
        let source =
            if packet.source.is_v4() { Address::v4(INNER) } else { address("2001:db8::1") };
        assert_eq!(packet.source, source, "{name}");
        assert_eq!(packet.vlan, None, "{name}");
    }
}

#[test]
fn ethernet_behind_labels_is_entered_when_it_proves_to_carry_ip() {
    let wire = |carried: &[u8]| ethernet(0x8847, &label(true, &join(&[&[0; 4], carried])));
    let bytes = wire(&ethernet(0x0800, &inner()));
    assert_eq!((packet(&bytes).source, packet(&bytes).tunnels), (Address::v4(INNER), 1));
    assert_eq!(refusal(&wire(&ethernet(0x0806, &[0; 28]))), NotDecoded::NotIp);
    assert_eq!(refusal(&wire(&ethernet(0x0800, &[0; 28]))), NotDecoded::NotIp);
    assert_eq!(refusal(&wire(&[0; 3])), NotDecoded::NotIp);
}

#[test]
fn what_lies_behind_the_second_tunnel_stays_payload() {
    let third = ipv4(4, &inner());
    let bytes = ipv4(4, &ipv4(4, &third));
    let packet = decoded(LinkType::RawIp, &bytes).unwrap();
    assert_eq!(usize::from(packet.tunnels), TUNNELS_MAX);
    assert_eq!((packet.protocol, packet.transport), (4, Transport::Other));
    assert_eq!(packet.payload, inner());
}

#[test]
fn a_tunnel_whose_inside_is_no_ip_is_the_packet_itself() {
    let arp = ethernet(0x0806, &[0; 28]);
    let vxlan = |flags: u8, carried: &[u8]| join(&[&[flags, 0, 0, 0, 0, 0, 9, 0], carried]);
    let bridged = ethernet(0x0800, &inner());
    let table = vec![
        ("a port and nothing more", ipv4(17, &udp(9, 4789, b"not a tunnel")), Some((9, 4789))),
        ("ARP in VXLAN", ipv4(17, &udp(9, 4789, &vxlan(8, &arp))), Some((9, 4789))),
        ("VXLAN without identifier", ipv4(17, &udp(9, 4789, &vxlan(0, &bridged))), Some((9, 4789))),
        ("VXLAN from the port", ipv4(17, &udp(4789, 9, &vxlan(8, &bridged))), Some((4789, 9))),
        ("Geneve of another version", ipv4(17, &udp(9, 6081, &[0x40; 60])), Some((9, 6081))),
        ("4 in 4 with nothing inside", ipv4(4, &[]), None),
        ("4 in 4 with IPv6 inside", ipv4(4, &inner_v6()), None),
        ("GRE, version 1", ipv4(47, &join(&[&[0x20, 1, 0x88, 0x0b, 0, 0, 0, 0], &inner()])), None),
        ("GRE with routing", ipv4(47, &join(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], &inner()])), None),
    ];
    for (name, network, ports) in table {
        let packet = decoded(LinkType::RawIp, &network).unwrap();
        assert_eq!(packet.tunnels, 0, "{name}");
        assert_eq!(packet.source, Address::v4(OUTER), "{name}");
        assert_eq!(packet.transport.ports(), ports, "{name}");
        assert_eq!(
            packet.payload.len(),
            network.len() - 20 - if ports.is_some() { 8 } else { 0 },
            "{name}"
        );
    }
}

// ---- IPv6 extension headers and fragments -----------------------------------------------------------------------

/// An extension header of eight bytes.
fn extension(next_header: u8, carried: &[u8]) -> Vec<u8> {
    join(&[&[next_header, 0, 1, 4, 0, 0, 0, 0], carried])
}

#[test]
fn extension_headers_are_walked_to_the_transport_header() {
    let mut carried = udp(1111, 53, b"inner");
    let mut next = 17;
    for kind in [140, 139, 135, 60, 43, 60, 0] {
        carried = extension(next, &carried);
        next = kind;
    }
    let bytes = ipv6(next, &carried);
    let packet = decoded(LinkType::Ipv6, &bytes).unwrap();
    assert_eq!(packet.protocol, 17);
    assert_eq!(packet.payload, b"inner");
    // An authentication header counts its length in units of four bytes, less two; here with a check value of twelve.
    let authenticated = join(&[&[17, 4], &[0; 22], &udp(1111, 53, b"inner")]);
    for bytes in [ipv6(51, &authenticated), ipv4(51, &authenticated)] {
        assert_eq!(decoded(LinkType::RawIp, &bytes).unwrap().payload, b"inner");
    }
}

#[test]
fn eight_extension_headers_are_walked_and_nine_refused() {
    let chain = |headers: usize| {
        let carried = (0..headers).fold(udp(1, 2, b""), |carried, nth| {
            extension(if nth == 0 { 17 } else { 60 }, &carried)
        });
        ipv6(60, &carried)
    };
    assert_eq!(decoded(LinkType::Ipv6, &chain(EXTENSION_HEADERS_MAX)).unwrap().protocol, 17);
    assert_eq!(
        decoded(LinkType::Ipv6, &chain(EXTENSION_HEADERS_MAX + 1)).unwrap_err(),
        because(Reason::TooManyExtensionHeaders)
    );
}

#[test]
fn encrypted_and_missing_payload_end_the_chain() {
    for protocol in [50, 59] {
        let bytes = ipv6(60, &extension(protocol, &[7; 24]));
        let packet = decoded(LinkType::Ipv6, &bytes).unwrap();
        assert_eq!((packet.protocol, packet.transport), (protocol, Transport::Other));
        assert_eq!(packet.payload, [7; 24]);
    }
}

#[test]
fn only_the_first_fragment_has_ports() {
    let v6 = |offset: u16| {
        let field = (offset << 3 | 1).to_be_bytes();
        ipv6(44, &join(&[&[17, 0], &field, &[0, 0, 0, 1], &udp(1111, 53, b"inner")]))
    };
    let v4 = |offset: u16| {
        let mut bytes = inner();
        bytes[6..8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
        bytes
    };
    for (first, later) in [(v6(0), v6(1)), (v4(0), v4(1))] {
        let packet = decoded(LinkType::RawIp, &first).unwrap();
        assert_eq!((packet.transport.ports(), packet.payload), (Some((1111, 53)), &b"inner"[..]));
        let packet = decoded(LinkType::RawIp, &later).unwrap();
        assert_eq!((packet.protocol, packet.transport), (17, Transport::LaterFragment));
        assert_eq!(packet.payload, udp(1111, 53, b"inner"));
    }
}

#[test]
fn a_later_fragment_of_a_tunnel_is_not_entered() {
    let mut bytes = ipv4(4, &inner());
    bytes[7] = 1;
    let packet = decoded(LinkType::Ipv4, &bytes).unwrap();
    assert_eq!((packet.tunnels, packet.transport), (0, Transport::LaterFragment));
}

// ---- lengths ----------------------------------------------------------------------------------------------------

#[test]
fn padding_is_not_payload() {
    let mut padded = ethernet(0x0800, &inner());
    padded.resize(60, 0xee);
    assert_eq!(packet(&padded).payload, b"inner");
    let mut padded = ethernet(0x86dd, &inner_v6());
    padded.resize(90, 0xee);
    assert_eq!(packet(&padded).payload, b"inner");
}

#[test]
fn bytes_behind_the_udp_length_are_not_payload_and_a_wrong_length_is_not_believed() {
    let with_length = |length: u16| {
        let mut bytes = inner();
        bytes[24..26].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    for (length, payload) in [(11, "inn"), (8, ""), (0, "inner"), (7, "inner"), (999, "inner")] {
        let bytes = with_length(length);
        let packet = decoded(LinkType::Ipv4, &bytes).unwrap();
        assert_eq!(packet.payload, payload.as_bytes(), "{length}");
    }
}

#[test]
fn a_length_of_nought_means_what_was_captured() {
    let mut v4 = inner();
    v4[2..4].fill(0);
    let packet = decoded(LinkType::Ipv4, &v4).unwrap();
    assert_eq!((packet.length, packet.payload), (33, &b"inner"[..]));
    let mut v6 = inner_v6();
    v6[4..6].fill(0);
    let packet = decoded(LinkType::Ipv6, &v6).unwrap();
    assert_eq!((packet.length, packet.payload), (53, &b"inner"[..]));
}

#[test]
fn a_cut_payload_keeps_the_stated_length() {
    let bytes = ipv4(17, &udp(1111, 53, &[b'x'; 1000]));
    let packet = decoded(LinkType::Ipv4, &bytes[..68]).unwrap();
    assert_eq!((packet.length, packet.payload), (1028, &[b'x'; 40][..]));
}

#[test]
fn a_transport_header_is_read_when_its_fields_were_captured() {
    let segment = ipv4(6, &tcp(2, &[1; 12], b"data"));
    let transport = |length: usize| decoded(LinkType::Ipv4, &segment[..length]).unwrap();
    assert_eq!(transport(33).transport, Transport::Other);
    assert_eq!(transport(33).protocol, 6);
    assert_eq!(transport(34).transport.ports(), Some((40_000, 80)));
    assert_eq!(transport(34).payload, b"");
    assert_eq!(transport(54).payload, b"da");
    let datagram = ipv4(17, &udp(5, 6, b"data"));
    assert_eq!(decoded(LinkType::Ipv4, &datagram[..27]).unwrap().transport, Transport::Other);
    assert_eq!(decoded(LinkType::Ipv4, &datagram[..28]).unwrap().transport.ports(), Some((5, 6)));
}

#[test]
fn a_segment_that_lies_about_its_header_carries_nothing() {
    let mut segment = ipv4(6, &tcp(2, &[], b"data"));
    for offset in [0, 4, 15] {
        segment[32] = offset << 4;
        let packet = decoded(LinkType::Ipv4, &segment).unwrap();
        assert_eq!((packet.transport.ports(), packet.payload), (Some((40_000, 80)), &b""[..]));
    }
}

#[test]
fn icmp_has_a_type_and_a_code() {
    let echo = [8, 0, 0, 0, 0, 1, 0, 2, b'p', b'i', b'n', b'g'];
    let bytes = ipv4(1, &echo);
    let packet = decoded(LinkType::Ipv4, &bytes).unwrap();
    assert_eq!(
        (packet.transport, packet.payload),
        (Transport::Icmp { kind: 8, code: 0 }, &b"ping"[..])
    );
    let bytes = ipv6(58, &[135, 3, 0, 0]);
    let packet = decoded(LinkType::Ipv6, &bytes).unwrap();
    assert_eq!(
        (packet.transport, packet.payload),
        (Transport::Icmp { kind: 135, code: 3 }, &b""[..])
    );
}

// ---- what is not decoded ----------------------------------------------------------------------------------------

#[test]
fn what_is_not_ip_is_told_from_what_is_broken() {
    let not_ip: Vec<(&str, LinkType, Vec<u8>)> = vec![
        ("ARP", LinkType::Ethernet, ethernet(0x0806, &[0; 28])),
        ("LLDP", LinkType::Ethernet, ethernet(0x88cc, &[0; 28])),
        ("EAPOL", LinkType::Ethernet, ethernet(0x888e, &[])),
        ("spanning tree", LinkType::Ethernet, ethernet(38, &[0x42, 0x42, 3, 0, 0])),
        ("SNAP of Cisco", LinkType::Ethernet, ethernet(38, &[0xaa, 0xaa, 3, 0, 0, 12, 0x20, 0])),
        ("between length and type", LinkType::Ethernet, ethernet(1501, &[0x45; 40])),
        ("tagged ARP", LinkType::Ethernet, ethernet(0x8100, &tag(5, 0x0806, &[0; 28]))),
        ("PPPoE discovery", LinkType::Ethernet, ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0])),
        ("PPP control", LinkType::Ethernet, ethernet(0x8864, &ppp_session(0xc021, &[1]))),
        ("MPLS over something", LinkType::Ethernet, ethernet(0x8847, &label(true, &[0x10]))),
        ("cooked netlink", LinkType::LinuxSll, vec![0; 16]),
        ("AppleTalk on loopback", LinkType::Null, vec![16, 0, 0, 0, 1]),
        ("OpenBSD loopback, wrong order", LinkType::Loop, vec![2, 0, 0, 0, 0x45]),
    ];
    for (name, link, bytes) in not_ip {
        assert_eq!(decoded(link, &bytes).unwrap_err(), NotDecoded::NotIp, "{name}");
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let three_tags = tag(1, 0x8100, &tag(2, 0x8100, &tag(3, 0x0800, &inner())));
    let labels = |count: usize| {
        let stack = (1..count).fold(label(true, &inner()), |below, _| label(false, &below));
        ethernet(0x8847, &stack)
    };
    let ip_with = |place: usize, value: u8| {
        let mut bytes = ethernet(0x0800, &inner());
        bytes[14 + place] = value;
        bytes
    };
    let mut bad_session = ethernet(0x8864, &ppp_session(0x21, &inner()));
    bad_session[14] = 0x21;
    let overlong_extension = ethernet(0x86dd, &ipv6(0, &[17, 9, 0, 0, 0, 0, 0, 0]));
    let table: Vec<(&str, Vec<u8>, Reason)> = vec![
        ("no frame at all", vec![], Reason::TruncatedLink),
        ("half an Ethernet header", vec![0; 13], Reason::TruncatedLink),
        ("half a tag", ethernet(0x8100, &[0; 3]), Reason::TruncatedLink),
        ("half a SNAP header", ethernet(9, &[0xaa, 0xaa, 3, 0, 0]), Reason::TruncatedLink),
        ("half a label", ethernet(0x8847, &[0; 3]), Reason::TruncatedLink),
        ("nothing below the labels", ethernet(0x8847, &label(true, &[])), Reason::TruncatedLink),
        ("half a PPPoE header", ethernet(0x8864, &[0x11, 0]), Reason::TruncatedLink),
        ("three tags", ethernet(0x88a8, &three_tags), Reason::TooManyVlanTags),
        ("five labels", labels(5), Reason::TooManyMplsLabels),
        ("PPPoE of version 2", bad_session, Reason::BadPppoeHeader),
        ("no IP header", ethernet(0x0800, &[]), Reason::TruncatedNetwork),
        ("half an IPv4 header", ethernet(0x0800, &inner()[..19]), Reason::TruncatedNetwork),
        ("half an IPv6 header", ethernet(0x86dd, &inner_v6()[..39]), Reason::TruncatedNetwork),
        (
            "options beyond the capture",
            ethernet(0x0800, &[&[0x4f], &inner()[1..]].concat()),
            Reason::TruncatedNetwork,
        ),
        ("IPv6 announced as IPv4", ethernet(0x0800, &inner_v6()), Reason::BadIpVersion),
        (
            "IPv4 announced as IPv6",
            ethernet(0x86dd, &join(&[&inner(), &[0; 9]])),
            Reason::BadIpVersion,
        ),
        ("version 0", ip_with(0, 0x05), Reason::BadIpVersion),
        ("four words of header", ip_with(0, 0x44), Reason::BadHeaderLength),
        ("shorter than its header", ip_with(3, 19), Reason::BadTotalLength),
        ("an extension beyond the packet", overlong_extension.clone(), Reason::BadExtensionHeader),
        (
            "an extension beyond the capture",
            overlong_extension[..58].to_vec(),
            Reason::TruncatedNetwork,
        ),
    ];
    for (name, bytes, reason) in table {
        assert_eq!(refusal(&bytes), because(reason), "{name}");
    }
    assert_eq!(packet(&labels(MPLS_LABELS_MAX)).payload, b"inner");
    for (link, bytes, reason) in [
        (LinkType::Unsupported, inner(), Reason::UnsupportedLinkType),
        (LinkType::RawIp, vec![], Reason::TruncatedNetwork),
        (LinkType::RawIp, vec![0x50; 40], Reason::BadIpVersion),
        (LinkType::Null, vec![2, 0, 0], Reason::TruncatedLink),
        (LinkType::LinuxSll, vec![0; 15], Reason::TruncatedLink),
        (LinkType::LinuxSll2, vec![0; 19], Reason::TruncatedLink),
    ] {
        assert_eq!(decoded(link, &bytes).unwrap_err(), because(reason), "{link:?}");
    }
}

// ---- laws -------------------------------------------------------------------------------------------------------

const LINKS: [LinkType; 9] = [
    LinkType::Null,
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::Loop,
    LinkType::LinuxSll,
    LinkType::Ipv4,
    LinkType::Ipv6,
    LinkType::LinuxSll2,
    LinkType::Unsupported,
];

/// One frame of every layer and tunnel, the deeper ones inside one another.
fn specimens() -> Vec<Vec<u8>> {
    let bridged = ethernet(0x8100, &tag(8, 0x86dd, &inner_v6()));
    let vxlan = ipv4(17, &udp(9, 4789, &join(&[&[8, 0, 0, 0, 0, 0, 9, 0], &bridged])));
    let erspan = join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1], &[0x10; 8], &bridged]);
    vec![
        ethernet(0x0800, &ipv4(6, &tcp(2, &[1; 20], b"payload"))),
        ethernet(0x88a8, &tag(1, 0x8100, &tag(2, 0x0800, &vxlan))),
        ethernet(0x0800, &ipv4(47, &erspan)),
        ethernet(0x86dd, &ipv6(0, &extension(43, &extension(4, &ipv4(41, &inner_v6()))))),
        ethernet(0x8864, &ppp_session(0x21, &ipv4(4, &inner()))),
        ethernet(0x8847, &label(false, &label(true, &ipv4(1, &[8, 0, 0, 0, 1, 2, 3, 4, 5])))),
        ethernet(0x8847, &label(true, &join(&[&[0; 4], &ethernet(0x0800, &vxlan)]))),
    ]
}

/// What holds of every answer about `bytes`.
fn check(link: LinkType, bytes: &[u8]) {
    let Ok(packet) = decoded(link, bytes) else { return };
    let whole = bytes.as_ptr_range();
    let part = packet.payload.as_ptr_range();
    assert!(
        packet.payload.is_empty() || (whole.start <= part.start && part.end <= whole.end),
        "the payload lies outside the frame"
    );
    assert!(packet.payload.len() <= packet.length as usize, "more payload than datagram");
    assert!(usize::from(packet.tunnels) <= TUNNELS_MAX);
}

#[test]
fn cutting_a_frame_never_makes_up_an_address() {
    for whole in specimens() {
        let mut headers: Vec<(Address, Address)> = Vec::new();
        for length in 0..=whole.len() {
            check(LinkType::Ethernet, &whole[..length]);
            if let Ok(packet) = decoded(LinkType::Ethernet, &whole[..length]) {
                headers.push((packet.source, packet.destination));
            }
        }
        headers.dedup();
        // The answer only ever goes from the outer packet to the next inner one, each at most once.
        let tunnels = usize::from(packet(&whole).tunnels);
        assert!(headers.len() <= tunnels + 1, "{headers:?} with {tunnels} tunnels");
        assert_eq!(headers.last(), Some(&(packet(&whole).source, packet(&whole).destination)));
    }
}

proptest! {
    #[test]
    fn any_bytes_on_any_link_are_one_of_three(
        frames in vec((vec(any::<u8>(), 0..200), 0..LINKS.len()), 1..40)
    ) {
        let (mut packets, mut not_ip) = (0, 0);
        let mut undecodable = [0; Reason::ALL.len()];
        for (bytes, link) in &frames {
            check(LINKS[*link], bytes);
            match decoded(LINKS[*link], bytes) {
                Ok(_) => packets += 1,
                Err(NotDecoded::NotIp) => not_ip += 1,
                Err(NotDecoded::Undecodable(reason)) => undecodable[reason.index()] += 1,
            }
        }
        prop_assert_eq!(frames.len(), packets + not_ip + undecodable.iter().sum::<usize>());
    }

    /// Random bytes rarely get past the EtherType, so real frames are damaged instead.
    #[test]
    fn a_damaged_frame_never_panics(
        specimen in 0_usize..7,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = specimens().swap_remove(specimen);
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        check(LinkType::Ethernet, &bytes);
        check(LinkType::Ethernet, &bytes[..length.index(bytes.len())]);
    }
}
