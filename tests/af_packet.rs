//! Packet sockets on a wire where nothing is but what was sent: every frame is seen once, as it was, or counted as dropped.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use phantomnet::capture::af_packet::{
    self, AfPacketError, AfPacketParams, AfPacketSource, Fanout, Health, InterfaceState,
    SocketCounters,
};
use phantomnet::capture::{Batch, FrameSource, LinkType, Received};
use phantomnet::synth::{Attack, Generator, Plan};
use rustix::thread::CapabilitySet;

use crate::netns::{self, Wire, number_of, numbered_frames};

/// A frame as a source gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    sequence: u64,
    nanos: i64,
    wire_length: u32,
    bytes: Vec<u8>,
}

/// Long enough for every block to be handed over, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(10);

/// Rings of 4 MiB that are handed over every millisecond.
fn params(wire: &Wire) -> AfPacketParams {
    let on = AfPacketParams::on(wire.sensor().index());
    AfPacketParams { blocks: 16, block_bytes: 1 << 18, retire_millis: 1, ..on }
}

fn open(wire: &Wire, params: &AfPacketParams, workers: usize) -> Vec<AfPacketSource> {
    wire.sensor().enter(|| af_packet::open(params, workers)).expect("the wire is there")
}

/// What comes, until nothing is left in the ring.
fn receive(source: &mut AfPacketSource, seen: &mut Vec<Seen>) {
    let mut batch = Batch::new();
    let begun = Instant::now();
    loop {
        match source.receive(&mut batch) {
            Received::Frames => seen.extend(batch.frames().map(|frame| {
                assert_eq!(frame.link, LinkType::Ethernet);
                Seen {
                    sequence: frame.sequence,
                    nanos: frame.time.as_nanos(),
                    wire_length: frame.wire_length,
                    bytes: frame.bytes.to_vec(),
                }
            })),
            Received::Nothing if at_rest(source) => return,
            Received::Nothing => thread::sleep(Duration::from_millis(1)),
            Received::End => return,
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", source.counters());
    }
}

fn at_rest(source: &mut AfPacketSource) -> bool {
    let counters = source.counters().expect("the kernel tells");
    assert_eq!(counters.unreadable, 0);
    counters.in_ring == 0
}

fn bytes(seen: &[Seen]) -> Vec<Vec<u8>> {
    seen.iter().map(|seen| seen.bytes.clone()).collect()
}

/// Generated traffic with every attack in it.
fn traffic(packets: u64) -> Vec<Vec<u8>> {
    let plan = Plan::new(packets, 5).with_attacks(&Attack::ALL);
    let generator = Generator::new(&plan).expect("the plan is a good one");
    generator.map(|packet| packet.frame).collect()
}

/// The two ends of a conversation, in the same order for both directions.
fn flow(frame: &[u8]) -> Option<[(Vec<u8>, u16); 2]> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (source, target) = match packet.net? {
        NetSlice::Ipv4(ip) if !ip.header().more_fragments() => {
            (ip.header().source().to_vec(), ip.header().destination().to_vec())
        }
        NetSlice::Ipv6(ip) => (ip.header().source().to_vec(), ip.header().destination().to_vec()),
        _ => return None,
    };
    let (source_port, target_port) = match packet.transport? {
        TransportSlice::Tcp(tcp) => (tcp.source_port(), tcp.destination_port()),
        TransportSlice::Udp(udp) => (udp.source_port(), udp.destination_port()),
        _ => return None,
    };
    let mut ends = [(source, source_port), (target, target_port)];
    ends.sort();
    Some(ends)
}

/// Whether `part` is what is left of `whole` when some are left out.
fn is_in_order_of(part: &[Vec<u8>], whole: &[Vec<u8>]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|frame| rest.any(|other| other == frame))
}

fn sorted(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.sort_unstable();
    frames
}

/// Nanoseconds since 1970, by the machine's clock.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(now.as_nanos()).expect("it is earlier than 2262")
}

#[test]
fn each_frame_is_seen_once_as_it_was_sent_by_1_2_and_4_sockets() {
    if !netns::available() {
        return;
    }
    let sent = traffic(20_000);
    for workers in [1, 2, 4] {
        let wire = Wire::new(workers);
        let mut sources = open(&wire, &params(&wire), workers);
        let mut sender = wire.sender();
        let mut seen = vec![Vec::new(); workers];
        let began = now();
        for some in sent.chunks(500) {
            sender.send(some);
            for (source, seen) in sources.iter_mut().zip(&mut seen) {
                receive(source, seen);
            }
        }
        let ended = now();
        let together: Vec<Vec<u8>> = seen.iter().flat_map(|seen| bytes(seen)).collect();
        assert_eq!(together.len(), sent.len(), "{workers} sockets");
        assert!(sorted(together) == sorted(sent.clone()), "{workers} sockets");
        let mut socket_of = BTreeMap::new();
        for (socket, seen) in seen.iter().enumerate() {
            assert!(is_in_order_of(&bytes(seen), &sent), "socket {socket} of {workers}");
            for (seen, nth) in seen.iter().zip(1..) {
                assert_eq!((seen.sequence, seen.wire_length as usize), (nth, seen.bytes.len()));
                assert!((began..=ended).contains(&seen.nanos), "{began} {} {ended}", seen.nanos);
                if let Some(flow) = flow(&seen.bytes) {
                    assert_eq!(
                        *socket_of.entry(flow.clone()).or_insert(socket),
                        socket,
                        "{flow:?}"
                    );
                }
            }
            assert!(seen.is_sorted_by_key(|seen| seen.nanos));
            let counters = sources[socket].counters().expect("the kernel tells");
            let all = seen.len() as u64;
            let restamped = counters.restamped;
            let expected = SocketCounters {
                delivered: all,
                taken: all,
                restamped,
                ..SocketCounters::default()
            };
            assert_eq!(counters, expected);
            assert!(all > sent.len() as u64 / 20, "socket {socket} of {workers} saw {all}");
        }
        assert!(socket_of.len() > 500, "{} flows", socket_of.len());
    }
}

#[test]
fn each_socket_of_a_group_by_queue_sees_its_queue() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(4);
    let mut sources = open(&wire, &AfPacketParams { fanout: Fanout::Queue, ..params(&wire) }, 4);
    let mut sender = wire.sender();
    for queue in [1, 3, 0, 2, 1] {
        let sent = numbered_frames(500, 250);
        sender.send_on(queue, &sent);
        for (socket, source) in sources.iter_mut().enumerate() {
            let mut seen = Vec::new();
            receive(source, &mut seen);
            let expected: &[Vec<u8>] = if socket == queue { &sent } else { &[] };
            assert!(bytes(&seen) == expected, "{} of queue {queue} at {socket}", seen.len());
        }
    }
}

#[test]
fn what_finds_no_room_in_the_ring_is_counted_to_the_frame() {
    if !netns::available() {
        return;
    }
    for workers in [1, 2] {
        let wire = Wire::new(1);
        let small = AfPacketParams { blocks: 2, block_bytes: 4_096, ..params(&wire) };
        let mut sources = open(&wire, &small, workers);
        let mut sender = wire.sender();
        let (mut sent, mut taken, mut dropped) = (0, 0, 0);
        for round in 1..=20_u64 {
            // More than fits, and now and then less.
            let frames = if round.is_multiple_of(5) { 10 } else { 300 };
            let flows = traffic(frames);
            sender.send(&flows);
            sent += flows.len() as u64;
            // Nothing is read yet: what is in the ring stays there while the rest is dropped.
            let before = sources.iter_mut().map(|source| source.counters().expect("it tells"));
            let before: Vec<SocketCounters> = before.collect();
            assert!(before.iter().all(|counters| counters.unexplained() == 0), "{before:?}");
            assert_eq!(before.iter().map(|counters| counters.delivered).sum::<u64>(), sent);
            for (source, before) in sources.iter_mut().zip(&before) {
                let mut seen = Vec::new();
                receive(source, &mut seen);
                assert_eq!(seen.len() as u64, before.in_ring);
                assert!(is_in_order_of(&bytes(&seen), &flows));
            }
            let after = sources.iter_mut().map(|source| source.counters().expect("it tells"));
            let after: Vec<SocketCounters> = after.collect();
            assert!(after.iter().all(|counters| counters.unexplained() == 0), "{after:?}");
            taken = after.iter().map(|counters| counters.taken).sum();
            dropped = after.iter().map(|counters| counters.dropped).sum();
            assert_eq!(sent, taken + dropped, "{after:?}");
            assert!(after.iter().all(|counters| (counters.freezes > 0) == (counters.dropped > 0)));
        }
        assert!(dropped > 1_000 && taken > 200, "{sent} = {taken} + {dropped}");
    }
}

#[test]
fn a_tag_comes_back_as_it_was_on_the_wire() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut sources = open(&wire, &params(&wire), 1);
    let with = |tags: &[&[u8]]| {
        let mut frame = traffic(1)[0].clone();
        frame.splice(12..12, tags.concat());
        frame
    };
    let sent = [
        with(&[]),
        with(&[b"\x81\x00\x60\x2a"]),
        with(&[b"\x81\x00\x00\x00"]),
        with(&[b"\x88\xa8\x0f\xfe"]),
        with(&[b"\x88\xa8\x00\x64", b"\x81\x00\x00\xc8"]),
        with(&[b"\x81\x00\x00\x01", b"\x81\x00\x00\x02", b"\x81\x00\x00\x03"]),
    ];
    wire.sender().send(&sent);
    let mut seen = Vec::new();
    receive(&mut sources[0], &mut seen);
    assert_eq!(bytes(&seen), sent);
    assert!(seen.iter().all(|seen| seen.wire_length as usize == seen.bytes.len()));
}

#[test]
fn a_frame_is_cut_where_it_was_asked_and_says_how_long_it_was() {
    if !netns::available() {
        return;
    }
    let wire = Wire::with_mtu(1, 9_000);
    let mut long = numbered_frames(3, 1);
    long[0].resize(60, 0);
    long[1].resize(14 + 9_000, 0xab);
    long[2].splice(12..12, *b"\x81\x00\x00\x01");
    long[2].resize(18 + 5_000, 0xcd);
    // What is asked for; and where blocks are short, what is left of one behind the headers of the block and the frame.
    let cases = [(64, 1 << 18, [60, 64, 68]), (262_140, 4_096, [60, 3_966, 3_970])];
    for (snap_bytes, block_bytes, expected) in cases {
        let cut = AfPacketParams { snap_bytes, block_bytes, ..params(&wire) };
        let mut sources = open(&wire, &cut, 1);
        wire.sender().send(&long);
        let mut seen = Vec::new();
        receive(&mut sources[0], &mut seen);
        assert_eq!(seen.iter().map(|seen| seen.bytes.len()).collect::<Vec<_>>(), expected);
        for (seen, sent) in seen.iter().zip(&long) {
            assert_eq!(seen.wire_length as usize, sent.len());
            assert!(sent.starts_with(&seen.bytes));
        }
    }
}

#[test]
fn what_the_sensor_sends_itself_is_not_seen() {
    if !netns::available() {
        return;
    }
    for workers in [1, 2] {
        let wire = Wire::new(1);
        let mut sources = open(&wire, &params(&wire), workers);
        wire.sensor().sender().send(&numbered_frames(100, 10));
        assert_eq!(wire.sensor().counters().sent, 100);
        for source in &mut sources {
            assert_eq!(source.counters().expect("it tells"), SocketCounters::default());
        }
    }
}

#[test]
fn sockets_that_open_while_frames_come_see_none_twice_and_count_none_twice() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let frames = numbered_frames(60_000, 251);
    let opened = AtomicBool::new(false);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut sender = wire.sender();
            let mut some = frames.chunks(10);
            while !opened.load(Ordering::Relaxed) {
                sender.send(some.next().expect("opening takes less time"));
                // A fast machine would have sent all of them before the sockets are open.
                thread::sleep(Duration::from_micros(100));
            }
            let after = some.next().expect("there are more");
            sender.send(after);
            some.by_ref().take(200).for_each(|frames| sender.send(frames));
            number_of(&after[0])..number_of(&some.next().expect("there are more")[0])
        });
        while wire.sensor().counters().received < 100 {
            thread::yield_now();
        }
        let mut sources = open(&wire, &params(&wire), 4);
        opened.store(true, Ordering::Relaxed);
        let sent_after = sending.join().expect("the sender lives");
        let (mut seen, mut delivered) = (Vec::new(), 0);
        for source in &mut sources {
            receive(source, &mut seen);
            let counters = source.counters().expect("it tells");
            assert_eq!((counters.unexplained(), counters.dropped), (0, 0));
            delivered += counters.delivered;
        }
        let numbers: BTreeSet<u32> = seen.iter().map(|seen| number_of(&seen.bytes)).collect();
        assert_eq!(numbers.len(), seen.len(), "a frame was seen twice");
        assert_eq!(seen.len() as u64, delivered);
        let after: BTreeSet<u32> = numbers.range(sent_after.clone()).copied().collect();
        assert_eq!(after, sent_after.collect(), "a frame was missed when all were open");
    });
}

#[test]
fn a_source_that_was_stopped_gives_what_it_has_and_ends() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut sources = open(&wire, &params(&wire), 1);
    let mut sender = wire.sender();
    let frames = numbered_frames(1_100, 10);
    sender.send(&frames[..1_000]);
    let [source] = sources.as_mut_slice() else { panic!("one was asked for") };
    source.stop().expect("the kernel agrees");
    sender.send(&frames[1_000..]);
    let mut seen = Vec::new();
    let mut batch = Batch::new();
    let begun = Instant::now();
    loop {
        match source.receive(&mut batch) {
            Received::Frames => seen.extend(batch.frames().map(|frame| number_of(frame.bytes))),
            Received::Nothing => thread::yield_now(),
            Received::End => break,
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    let counters = source.counters().expect("it tells");
    assert_eq!((counters.delivered, counters.taken, counters.unexplained()), (1_000, 1_000, 0));
}

#[test]
fn an_interface_that_goes_down_is_noticed_and_comes_back_by_itself() {
    if !netns::available() {
        return;
    }
    for workers in [1, 2] {
        let wire = Wire::new(1);
        let mut sources = open(&wire, &params(&wire), workers);
        let all = |state, interrupted, sources: &[AfPacketSource]| {
            let expected = Health { interface: state, interrupted };
            // The state of a link follows a moment later.
            let begun = Instant::now();
            for source in sources {
                let mut health = source.health().expect("it tells");
                while health.interface != state && begun.elapsed() < PATIENCE {
                    thread::sleep(Duration::from_millis(5));
                    let later = source.health().expect("it tells");
                    health.interface = later.interface;
                    health.interrupted |= later.interrupted;
                }
                assert_eq!(health, expected, "{workers} sockets");
            }
        };
        all(InterfaceState::Running, false, &sources);
        wire.sensor().set("down");
        all(InterfaceState::Down, true, &sources);
        wire.sensor().set("up");
        all(InterfaceState::Running, false, &sources);
        // It is told also when nobody asked in between.
        wire.sensor().set("down");
        wire.sensor().set("up");
        all(InterfaceState::Running, true, &sources);
        wire.sender_side().set("down");
        all(InterfaceState::NoLink, false, &sources);
        wire.sender_side().set("up");
        all(InterfaceState::Running, false, &sources);

        let sent = numbered_frames(100, 10);
        wire.sender().send(&sent);
        let mut seen = Vec::new();
        for source in &mut sources {
            receive(source, &mut seen);
        }
        assert!(sorted(bytes(&seen)) == sorted(sent), "{} came", seen.len());

        wire.sensor().delete();
        all(InterfaceState::Gone, true, &sources);
        all(InterfaceState::Gone, false, &sources);
        let mut batch = Batch::new();
        for source in &mut sources {
            assert_eq!(source.receive(&mut batch), Received::Nothing);
            assert_eq!(source.counters().expect("it tells").unexplained(), 0);
        }
    }
}

#[test]
fn the_card_is_promiscuous_for_as_long_as_there_are_sources() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let quiet = AfPacketParams { promiscuous: false, ..params(&wire) };
    let sources = open(&wire, &quiet, 2);
    assert_eq!(wire.sensor().promiscuity(), 0);
    drop(sources);
    let sources = open(&wire, &params(&wire), 2);
    assert_eq!(wire.sensor().promiscuity(), 2);
    drop(sources);
    // A process that another test is just starting holds every socket of this one for a moment.
    let begun = Instant::now();
    while wire.sensor().promiscuity() > 0 {
        assert!(begun.elapsed() < PATIENCE, "a closed socket still wants all frames");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_captures_of_one_interface_do_not_share_their_frames() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut one = open(&wire, &params(&wire), 2);
    let mut other = open(&wire, &params(&wire), 2);
    let sent = traffic(300);
    wire.sender().send(&sent);
    for sources in [&mut one, &mut other] {
        let mut seen = Vec::new();
        for source in sources {
            receive(source, &mut seen);
        }
        assert!(sorted(bytes(&seen)) == sorted(sent.clone()), "{} came", seen.len());
    }
}

#[test]
fn what_can_not_be_opened_is_refused_with_what_to_do() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let good = params(&wire);
    let refused = |params: AfPacketParams| {
        wire.sensor().enter(|| af_packet::open(&params, 2)).expect_err("it can't be opened")
    };
    let error = refused(AfPacketParams { interface: 4_000, ..good });
    assert!(matches!(error, AfPacketError::NoInterface { interface: 4_000 }), "{error}");
    for interface in [0, u32::MAX] {
        let error = refused(AfPacketParams { interface, ..good });
        assert!(matches!(error, AfPacketError::NoInterface { .. }), "{error}");
    }
    wire.sensor().set("down");
    let error = refused(good);
    assert!(matches!(error, AfPacketError::Down { .. }), "{error}");
    assert!(error.to_string().contains("ip link set"), "{error}");
    let error = wire.sensor().enter(|| {
        let mut sets = rustix::thread::capabilities(None).expect("they can be read");
        sets.effective.remove(CapabilitySet::NET_RAW);
        rustix::thread::set_capabilities(None, sets).expect("less is always allowed");
        af_packet::open(&good, 1).expect_err("the right is missing")
    });
    assert!(matches!(error, AfPacketError::NotPermitted), "{error}");
    assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
}
