//! The decoder against real captures, and against another decoder.

use std::net::IpAddr;
use std::path::Path;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use phantomnet::address::Address;
use phantomnet::capture::{Batch, Frame, FrameSource, LinkType, Reader, Received};
use phantomnet::decode::{NotDecoded, Packet, Reason, decode};

use crate::capture::corpus;

/// Shows every frame of every capture of the corpus.
fn for_every_frame(mut look: impl FnMut(&Path, &Frame<'_>)) {
    let mut batch = Batch::new();
    for specimen in corpus() {
        let Ok(mut reader) = Reader::open(&[&specimen.path]) else { continue };
        while reader.receive(&mut batch) == Received::Frames {
            batch.frames().for_each(|frame| look(&specimen.path, &frame));
        }
    }
}

#[test]
fn every_frame_of_the_corpus_ends_in_one_counter() {
    let (mut taken, mut decoded, mut not_ip) = (0_u64, 0_u64, 0_u64);
    let mut undecodable = [0_u64; Reason::ALL.len()];
    for_every_frame(|_, frame| {
        taken += 1;
        match decode(frame) {
            Ok(_) => decoded += 1,
            Err(NotDecoded::NotIp) => not_ip += 1,
            Err(NotDecoded::Undecodable(reason)) => undecodable[reason.index()] += 1,
        }
    });
    assert_eq!(taken, decoded + not_ip + undecodable.iter().sum::<u64>());
    // Most of the corpus is ordinary traffic: a decoder that refuses it is broken, whatever its tables say.
    assert!(decoded * 100 >= taken * 95, "{decoded} of {taken}: {undecodable:?}");
}

/// What the other decoder says of a frame.
struct Theirs {
    source: Address,
    destination: Address,
    /// Both ports, and the bytes behind the transport header.
    transport: Option<(u16, u16, usize)>,
    /// It leaves out the transport header of a fragment, and of a segment whose header is cut.
    is_excused: bool,
}

fn theirs(frame: &Frame<'_>) -> Option<Theirs> {
    let sliced = match frame.link {
        LinkType::Ethernet => LaxSlicedPacket::from_ethernet(frame.bytes).ok()?,
        LinkType::RawIp | LinkType::Ipv4 | LinkType::Ipv6 => {
            LaxSlicedPacket::from_ip(frame.bytes).ok()?
        }
        _ => return None,
    };
    let (source, destination, is_fragment): (IpAddr, IpAddr, bool) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.is_payload_fragmented(),
        ),
        Some(LaxNetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.is_payload_fragmented(),
        ),
        Some(LaxNetSlice::Arp(_)) | None => return None,
    };
    let transport = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            Some((tcp.source_port(), tcp.destination_port(), tcp.payload().len()))
        }
        Some(TransportSlice::Udp(udp)) => {
            Some((udp.source_port(), udp.destination_port(), udp.payload().len()))
        }
        _ => None,
    };
    Some(Theirs {
        source: source.into(),
        destination: destination.into(),
        transport,
        is_excused: is_fragment || sliced.stop_err.is_some(),
    })
}

fn ours(packet: &Packet<'_>) -> Option<(u16, u16, usize)> {
    packet.transport.ports().map(|(from, to)| (from, to, packet.payload.len()))
}

#[test]
fn another_decoder_reads_the_same_out_of_every_frame() {
    let mut compared = 0;
    for_every_frame(|path, frame| {
        let Some(theirs) = theirs(frame) else { return };
        let name = || format!("{} frame {}", path.display(), frame.sequence);
        match decode(frame) {
            // The other one enters no tunnels.
            Ok(packet) if packet.tunnels > 0 => {}
            Ok(packet) => {
                compared += 1;
                let addresses = (packet.source, packet.destination);
                assert_eq!(addresses, (theirs.source, theirs.destination), "{}", name());
                let both = (ours(&packet), theirs.transport);
                assert!(both.0 == both.1 || theirs.is_excused, "{}: {both:?}", name());
                assert!(both.1.is_none() || both.0.is_some(), "{}: {both:?}", name());
            }
            // The other one does not mind lengths and versions that contradict each other.
            Err(NotDecoded::Undecodable(
                Reason::BadTotalLength | Reason::BadIpVersion | Reason::TruncatedNetwork,
            )) => {}
            Err(refusal) => panic!("{}: {refusal:?}", name()),
        }
    });
    println!("{compared} frames compared");
}
