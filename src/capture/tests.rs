//! Captures made here from the text of the formats, read back whole, cut at every byte, damaged and mixed.

use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::file::CaptureFile;
use super::stream::Window;
use super::*;
use crate::time::NANOS_PER_SECOND;

// ---- what is put in ---------------------------------------------------------------------------------------------

/// A frame as a capture states it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stated {
    nanos: i64,
    wire_length: u32,
    link: LinkType,
    bytes: Vec<u8>,
}

fn stated(nanos: i64, bytes: &[u8]) -> Stated {
    let wire_length = u32::try_from(bytes.len()).unwrap();
    Stated { nanos, wire_length, link: LinkType::Ethernet, bytes: bytes.to_vec() }
}

/// Whole microseconds, so that every format can state them; lengths of every remainder by four.
fn frames() -> Vec<Stated> {
    let mut frames = vec![
        stated(1_000_001_000, b"one"),
        stated(1_000_002_000, b"four"),
        stated(1_000_002_000, b""),
        stated(5_000_000_000_000_000, b"later"),
        stated(2_000_000_000, &[0x5a; 70]),
    ];
    frames[4].wire_length = 1514;
    frames
}

/// Numbers in one of the two byte orders.
#[derive(Clone, Copy, Debug)]
struct Order {
    is_big: bool,
}

const LITTLE: Order = Order { is_big: false };
const BIG: Order = Order { is_big: true };

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        if self.is_big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        if self.is_big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u32s(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| self.u32(*number)).collect()
    }
}

/// A pcap file's header: magic, version 2.4, and a link type.
fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    let version = [order.u16(2), order.u16(4)].concat();
    [order.u32s(&[magic]), version, order.u32s(&[0, 0, 65_535, link])].concat()
}

/// A record with `spare` bytes more of header than the format has.
fn pcap_record(order: Order, units_per_second: u32, spare: usize, frame: &Stated) -> Vec<u8> {
    let nanos_per_unit = NANOS_PER_SECOND / i64::from(units_per_second);
    let seconds = u32::try_from(frame.nanos / NANOS_PER_SECOND).unwrap();
    let units = u32::try_from(frame.nanos % NANOS_PER_SECOND / nanos_per_unit).unwrap();
    let captured = u32::try_from(frame.bytes.len()).unwrap();
    let mut record = order.u32s(&[seconds, units, captured, frame.wire_length]);
    record.resize(16 + spare, 0xee);
    [record, frame.bytes.clone()].concat()
}

fn pcap(order: Order, magic: u32, units_per_second: u32, spare: usize) -> Vec<u8> {
    let mut file = pcap_header(order, magic, 1);
    for frame in frames() {
        file.extend(pcap_record(order, units_per_second, spare, &frame));
    }
    file
}

fn plain_pcap() -> Vec<u8> {
    pcap(LITTLE, 0xa1b2_c3d4, 1_000_000, 0)
}

/// A pcapng file under construction.
struct Blocks {
    order: Order,
    bytes: Vec<u8>,
}

impl Blocks {
    fn new(order: Order) -> Self {
        let mut file = Self { order, bytes: Vec::new() };
        file.section(order);
        file
    }

    fn block(&mut self, kind: u32, mut body: Vec<u8>) -> &mut Self {
        body.resize(body.len().next_multiple_of(4), 0xee);
        let length = u32::try_from(body.len() + 12).unwrap();
        self.bytes.extend(self.order.u32s(&[kind, length]));
        self.bytes.extend(body);
        self.bytes.extend(self.order.u32(length));
        self
    }

    fn section(&mut self, order: Order) -> &mut Self {
        self.order = order;
        let version = [order.u16(1), order.u16(0)].concat();
        let unknown_length = vec![0xff; 8];
        self.block(0x0a0d_0d0a, [order.u32s(&[0x1a2b_3c4d]), version, unknown_length].concat())
    }

    fn option(&self, code: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        let mut option = [&self.order.u16(code), &self.order.u16(length), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(&mut self, link: u16, snap_length: u32, options: &[u8]) -> &mut Self {
        let order = self.order;
        let head = [order.u16(link), order.u16(0)].concat();
        self.block(1, [&head, &order.u32(snap_length)[..], options].concat())
    }

    fn packet(&mut self, kind: u32, interface: [u8; 4], units: u64, frame: &Stated) -> &mut Self {
        let captured = u32::try_from(frame.bytes.len()).unwrap();
        let [high, low] =
            [units >> 32, units & 0xffff_ffff].map(|half| u32::try_from(half).unwrap());
        let numbers = self.order.u32s(&[high, low, captured, frame.wire_length]);
        let mut body = [&interface[..], &numbers, &frame.bytes].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        // Options of a packet are to be passed over: a comment, the end.
        body.extend([self.option(1, b"a comment"), self.option(0, b"")].concat());
        self.block(kind, body)
    }

    fn enhanced(&mut self, interface: u32, units: u64, frame: &Stated) -> &mut Self {
        self.packet(6, self.order.u32(interface), units, frame)
    }

    fn simple(&mut self, wire_length: u32, bytes: &[u8]) -> &mut Self {
        self.block(3, [&self.order.u32(wire_length), bytes].concat())
    }
}

fn pcapng(order: Order) -> Vec<u8> {
    let mut file = Blocks::new(order);
    file.interface(1, 0, &[]);
    for frame in frames() {
        file.enhanced(0, u64::try_from(frame.nanos / 1000).unwrap(), &frame);
        file.block(5, vec![0; 12]); // statistics: passed over
    }
    file.bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

// ---- what comes out ---------------------------------------------------------------------------------------------

fn open(bytes: &[u8]) -> Result<CaptureFile, OpenError> {
    let window = Window::unpacking(Cursor::new(bytes.to_vec())).unwrap();
    CaptureFile::read("some.pcap".to_owned(), window.expect("not empty"))
}

fn merged(files: Vec<CaptureFile>) -> (Vec<Stated>, Vec<Fault>) {
    let mut reader = Reader::merging(files, Progress::none_yet());
    let mut batch = Batch::new();
    let mut got = Vec::new();
    while reader.receive(&mut batch) == Received::Frames {
        for frame in batch.frames() {
            got.push(Stated {
                nanos: frame.time.as_nanos(),
                wire_length: frame.wire_length,
                link: frame.link,
                bytes: frame.bytes.to_vec(),
            });
            assert_eq!(frame.sequence, got.len() as u64);
        }
    }
    assert_eq!(reader.receive(&mut batch), Received::End);
    assert!(batch.is_empty());
    (got, reader.faults())
}

fn read(bytes: &[u8]) -> (Vec<Stated>, Vec<Fault>) {
    merged(vec![open(bytes).unwrap()])
}

/// What stopped the reading of a file, and where.
fn stop(bytes: &[u8]) -> (usize, u64, StopReason) {
    let (got, faults) = read(bytes);
    match <[Fault; 1]>::try_from(faults) {
        Ok([Fault::Stopped { offset, frames, reason, .. }]) => {
            assert_eq!(frames, got.len() as u64);
            (got.len(), offset, reason)
        }
        other => panic!("one reason to stop was expected: {other:?}"),
    }
}

// ---- the formats ------------------------------------------------------------------------------------------------

/// Every way to write `frames()`, with the place of each record.
fn variants() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("pcap, microseconds", plain_pcap()),
        ("pcap, microseconds, big endian", pcap(BIG, 0xa1b2_c3d4, 1_000_000, 0)),
        ("pcap, nanoseconds", pcap(LITTLE, 0xa1b2_3c4d, 1_000_000_000, 0)),
        ("pcap, nanoseconds, big endian", pcap(BIG, 0xa1b2_3c4d, 1_000_000_000, 0)),
        ("pcap, modified", pcap(LITTLE, 0xa1b2_cd34, 1_000_000, 8)),
        ("pcapng", pcapng(LITTLE)),
        ("pcapng, big endian", pcapng(BIG)),
    ]
}

#[test]
fn every_format_plain_and_packed_gives_the_same_frames() {
    for (name, plain) in variants() {
        for (how, bytes) in
            [("plain", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd(&plain))]
        {
            assert_eq!(read(&bytes), (frames(), vec![]), "{name}, {how}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_gives_every_whole_frame_and_says_that_it_is_torn() {
    for (name, whole) in variants() {
        let mut borders = 0;
        for length in 1..whole.len() {
            let Ok(file) = open(&whole[..length]) else {
                assert!(length < 32, "{name}: no opening at {length}");
                continue;
            };
            let (got, faults) = merged(vec![file]);
            assert_eq!(got, frames()[..got.len()], "{name}, {length}");
            match faults.as_slice() {
                [] => borders += 1,
                [Fault::Stopped { reason: StopReason::Torn, offset, compressed: false, .. }] => {
                    // All that stands before the tear was read: the torn record begins before it, and is not whole.
                    assert!(*offset < length as u64, "{name}, {length}");
                    assert_eq!(
                        read(&whole[..usize::try_from(*offset).unwrap()]),
                        (got, vec![]),
                        "{name}"
                    );
                }
                other => panic!("{name}, {length}: {other:?}"),
            }
        }
        // Only between two records is a shorter file as good as a whole one.
        let blocks =
            if name.starts_with("pcapng") { 1 + 2 * frames().len() } else { frames().len() };
        assert_eq!(borders, blocks, "{name}");
    }
}

#[test]
fn a_packed_file_cut_anywhere_gives_what_stands_before_the_tear() {
    // Several blocks of each packing, of bytes that do not pack.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let all: Vec<Stated> = (0..300)
        .map(|nth| stated(nth * 1000, &(0..1500).map(|_| noise()).collect::<Vec<u8>>()))
        .collect();
    let mut plain = pcap_header(LITTLE, 0xa1b2_c3d4, 1);
    for frame in &all {
        plain.extend(pcap_record(LITTLE, 1_000_000, 0, frame));
    }
    for (name, packed) in [("gzip", gzip(&plain)), ("zstd", zstd(&plain))] {
        let mut most = 0;
        for length in (1_000..packed.len()).step_by(7_001).chain([packed.len() - 1]) {
            let Ok(file) = open(&packed[..length]) else { continue };
            let (got, faults) = merged(vec![file]);
            assert_eq!(got, all[..got.len()], "{name}, {length}");
            assert!(got.len() >= most, "{name}, {length}: less from more");
            most = got.len();
            // A block of zstd has up to 128 KiB, which can be unpacked as a whole only.
            assert!(got.len() * 1516 + 140_000 > length, "{name}, {length}: {}", got.len());
            assert!(
                matches!(
                    faults.as_slice(),
                    [Fault::Stopped { reason: StopReason::Torn, compressed: true, .. }]
                ),
                "{name}, {length}: {faults:?}"
            );
        }
        assert!(most > 200, "{name}");
    }
}

#[test]
fn frames_of_several_zstd_frames_and_gzip_members_follow_one_another() {
    let plain = plain_pcap();
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
    let (a, rest) = plain.split_at(50);
    let (b, c) = rest.split_at(1);
    let frames_of_zstd =
        [&skipped, &zstd(a)[..], &skipped, &zstd(b), &zstd(b""), &zstd(c), &skipped].concat();
    assert_eq!(read(&frames_of_zstd), (frames(), vec![]));
    assert_eq!(read(&[gzip(a), gzip(b), gzip(c)].concat()), (frames(), vec![]));
    let torn = [&zstd(&plain)[..], &skipped[..10]].concat();
    assert_eq!(read(&torn).0, frames());
    assert_eq!(stop(&torn).2, StopReason::Torn);
}

#[test]
fn a_wrong_checksum_is_a_fault_behind_the_last_frame() {
    for mut packed in [gzip(&plain_pcap()), zstd(&plain_pcap())] {
        let is_gzip = packed[0] == 0x1f;
        let place = packed.len() - if is_gzip { 8 } else { 4 };
        packed[place] ^= 1;
        let (count, _, reason) = stop(&packed);
        assert_eq!(count, frames().len());
        assert!(matches!(reason, StopReason::Unreadable(_)), "{reason}");
    }
}

#[test]
fn a_source_that_gives_one_byte_at_a_time_gives_the_same() {
    struct Drip(Cursor<Vec<u8>>);
    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let one = into.len().min(1);
            self.0.read(&mut into[..one])
        }
    }
    for (name, plain) in variants() {
        for bytes in [plain.clone(), gzip(&plain), zstd(&plain)] {
            let window = Window::unpacking(Drip(Cursor::new(bytes))).unwrap().unwrap();
            let file = CaptureFile::read("drip".to_owned(), window).unwrap();
            assert_eq!(merged(vec![file]), (frames(), vec![]), "{name}");
        }
    }
}

// ---- pcapng -----------------------------------------------------------------------------------------------------

#[test]
fn every_interface_has_its_own_link_type_and_clock() {
    for order in [LITTLE, BIG] {
        let mut file = Blocks::new(order);
        let offset = |file: &Blocks, seconds: i64| {
            let bytes = if order.is_big { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
            file.option(14, &bytes)
        };
        let nanos = [file.option(2, b"eth0"), file.option(9, &[9]), file.option(0, b"")].concat();
        let halves = [file.option(9, &[0x81]), offset(&file, -3)].concat();
        let shifted = offset(&file, 100);
        file.interface(1, 0, &[])
            .interface(101, 0, &nanos)
            .interface(113, 0, &halves)
            .interface(0, 0, &shifted);
        for (interface, units) in [(3, 1), (0, 5_000_000), (1, 5_000_000_001), (2, 17)] {
            file.enhanced(interface, units, &stated(0, b"x"));
        }
        let got: Vec<_> = read(&file.bytes).0.iter().map(|got| (got.link, got.nanos)).collect();
        assert_eq!(
            got,
            [
                (LinkType::Null, 100_000_001_000),
                (LinkType::Ethernet, 5_000_000_000),
                (LinkType::RawIp, 5_000_000_001),
                (LinkType::LinuxSll, 5_500_000_000),
            ]
        );
    }
}

#[test]
fn a_section_forgets_the_interfaces_and_the_byte_order_of_the_one_before() {
    let mut file = Blocks::new(LITTLE);
    file.interface(1, 0, &[]).enhanced(0, 1, &stated(0, b"x"));
    file.section(BIG).interface(228, 0, &[]).enhanced(0, 2, &stated(0, b"y"));
    file.section(LITTLE).interface(229, 0, &[]).enhanced(0, 3, &stated(0, b"z"));
    let before = file.bytes.len() as u64;
    file.enhanced(1, 4, &stated(0, b"of no interface"));
    let (got, _) = read(&file.bytes);
    let links: Vec<_> = got.iter().map(|got| (got.link, got.nanos)).collect();
    assert_eq!(links, [(LinkType::Ethernet, 1000), (LinkType::Ipv4, 2000), (LinkType::Ipv6, 3000)]);
    assert_eq!(stop(&file.bytes), (3, before, StopReason::UnknownInterface(1)));
}

#[test]
fn obsolete_packet_blocks_are_read() {
    for order in [LITTLE, BIG] {
        let mut file = Blocks::new(order);
        file.interface(1, 0, &[]).interface(101, 0, &[]);
        let interface_and_drops = [order.u16(1), order.u16(0xffff)].concat();
        file.packet(2, interface_and_drops.try_into().unwrap(), 7, &stated(0, b"old"));
        let (got, faults) = read(&file.bytes);
        assert_eq!(got, [Stated { link: LinkType::RawIp, ..stated(7_000, b"old") }]);
        assert_eq!(faults, []);
    }
}

#[test]
fn a_simple_packet_is_cut_at_the_snap_length_and_takes_the_time_before() {
    let mut file = Blocks::new(LITTLE);
    file.interface(1, 6, &[])
        .simple(4, b"four")
        .enhanced(0, 9, &stated(0, b"x"))
        .simple(100, b"sixsix");
    let (got, faults) = read(&file.bytes);
    let expected = [
        stated(0, b"four"),
        stated(9_000, b"x"),
        Stated { wire_length: 100, ..stated(9_000, b"sixsix") },
    ];
    assert_eq!((got.as_slice(), faults), (expected.as_slice(), vec![]));
}

#[test]
fn blocks_of_other_kinds_are_passed_over_at_any_length() {
    let mut file = Blocks::new(LITTLE);
    file.block(0x0bad, vec![7; 3 << 20]).interface(1, 0, &[]).block(10, vec![7; 1 << 20]);
    file.enhanced(0, 1, &stated(0, b"x"));
    assert_eq!(read(&file.bytes), (vec![stated(1_000, b"x")], vec![]));
    let torn = &file.bytes[..(3 << 20)];
    assert_eq!(stop(torn).2, StopReason::Torn);
}

// ---- damage -----------------------------------------------------------------------------------------------------

#[test]
fn a_damaged_record_stops_the_file_where_it_begins() {
    let good = pcap_record(LITTLE, 1_000_000, 0, &frames()[0]);
    let overlong = LITTLE.u32s(&[1, 1, 262_145, 262_145]);
    let mut overlong_and_there = overlong.clone();
    overlong_and_there.resize(300_000, 0);
    for record in [overlong, overlong_and_there] {
        let file = [pcap_header(LITTLE, 0xa1b2_c3d4, 1), good.clone(), record].concat();
        let (count, offset, reason) = stop(&file);
        assert_eq!((count, offset), (1, 24 + 19));
        assert_eq!(reason, StopReason::FrameTooLong(262_145));
    }
}

#[test]
fn a_damaged_block_stops_the_file_where_it_begins() {
    let begun = || {
        let mut file = Blocks::new(LITTLE);
        file.interface(1, 0, &[]).enhanced(0, 1, &stated(0, b"x"));
        file
    };
    let raw = |numbers: &[u32]| {
        let mut file = begun();
        file.bytes.extend(LITTLE.u32s(numbers));
        file.bytes
    };
    let block =
        |kind: u32, numbers: &[u32]| begun().block(kind, LITTLE.u32s(numbers)).bytes.clone();
    let mut other_version = begun();
    other_version.block(0x0a0d_0d0a, LITTLE.u32s(&[0x1a2b_3c4d, 2, u32::MAX, u32::MAX]));
    let table = [
        ("too short to be a block", raw(&[6, 8, 0, 0]), StopReason::BlockLength(8)),
        ("not in whole words", raw(&[6, 13, 0, 0]), StopReason::BlockLength(13)),
        ("too long to be read", raw(&[6, 0x8000_0000, 0]), StopReason::BlockLength(0x8000_0000)),
        ("two lengths", raw(&[6, 16, 0, 20]), StopReason::BlockLengthsDiffer(16, 20)),
        ("two lengths, passed over", raw(&[99, 16, 0, 20]), StopReason::BlockLengthsDiffer(16, 20)),
        ("no room for a packet", block(6, &[0, 0]), StopReason::BadBlock("a packet block")),
        (
            "beyond its block",
            block(6, &[0, 0, 0, 9, 9, 0, 0]),
            StopReason::BadBlock("a packet longer than its block"),
        ),
        ("overlong", block(6, &[0, 0, 0, 300_000, 0]), StopReason::FrameTooLong(300_000)),
        (
            "simple, beyond its block",
            block(3, &[9, 0, 0]),
            StopReason::BadBlock("a packet longer than its block"),
        ),
        ("no interface at all", block(1, &[1]), StopReason::BadBlock("an interface description")),
        ("no byte order", block(0x0a0d_0d0a, &[0, 0]), StopReason::BadBlock("a section header")),
        ("another version", other_version.bytes, StopReason::UnknownVersion(2, 0)),
    ];
    let before = begun().bytes.len() as u64;
    for (name, bytes, reason) in table {
        assert_eq!(stop(&bytes), (1, before, reason), "{name}");
    }
}

#[test]
fn a_torn_file_does_not_hold_up_the_others() {
    let whole = plain_pcap();
    let torn = open(&whole[..whole.len() - 1]).unwrap();
    let (got, faults) = merged(vec![torn, open(&whole).unwrap()]);
    assert_eq!(got.len(), 2 * frames().len() - 1);
    assert_eq!(faults.len(), 1);
}

// ---- merging ----------------------------------------------------------------------------------------------------

#[test]
fn files_are_merged_by_time_and_no_file_is_reordered() {
    let file = |times: &[i64], name: u8| {
        let mut bytes = pcap_header(LITTLE, 0xa1b2_3c4d, 1);
        for nanos in times {
            bytes.extend(pcap_record(LITTLE, 1_000_000_000, 0, &stated(*nanos, &[name])));
        }
        open(&bytes).unwrap()
    };
    // The second file runs backwards once: what follows waits for what stands before it.
    let files = vec![
        file(&[1, 4, 9], b'a'),
        file(&[2, 8, 3, 9], b'b'),
        file(&[], b'c'),
        file(&[1, 9], b'd'),
    ];
    let got: Vec<_> =
        merged(files).0.iter().map(|got| (got.nanos, char::from(got.bytes[0]))).collect();
    assert_eq!(
        got,
        [(1, 'a'), (1, 'd'), (2, 'b'), (4, 'a'), (8, 'b'), (3, 'b'), (9, 'a'), (9, 'b'), (9, 'd')]
    );
}

#[test]
fn batches_hold_a_turn_each_and_are_numbered() {
    let mut bytes = pcap_header(LITTLE, 0xa1b2_c3d4, 1);
    let count = 2 * TURN_FRAMES_MAX + 1;
    for _ in 0..count {
        bytes.extend(pcap_record(LITTLE, 1_000_000, 0, &stated(1000, b"x")));
    }
    let mut reader = Reader::merging(vec![open(&bytes).unwrap()], Progress::none_yet());
    let mut batch = Batch::new();
    for (turn, frames, first) in [(0, TURN_FRAMES_MAX, 1), (1, TURN_FRAMES_MAX, 257), (2, 1, 513)] {
        assert_eq!(reader.receive(&mut batch), Received::Frames);
        assert_eq!((batch.turn(), batch.len()), (turn, frames));
        assert_eq!(batch.frames().next().unwrap().sequence, first);
    }
    assert_eq!(reader.receive(&mut batch), Received::End);
    assert_eq!(reader.frames(), count as u64);
}

#[test]
fn the_longest_frames_pass_a_few_at_a_time() {
    let longest = vec![7; FRAME_BYTES_MAX];
    let mut bytes = pcap_header(LITTLE, 0xa1b2_c3d4, 1);
    let mut blocks = Blocks::new(LITTLE);
    blocks.interface(1, 0, &[]);
    for _ in 0..9 {
        bytes.extend(pcap_record(LITTLE, 1_000_000, 0, &stated(0, &longest)));
        blocks.enhanced(0, 0, &stated(0, &longest));
    }
    for bytes in [bytes, blocks.bytes] {
        let (got, faults) = read(&bytes);
        assert_eq!((got.len(), faults), (9, vec![]));
        assert!(got.iter().all(|got| got.bytes == longest));
    }
}

#[test]
fn files_of_old_versions_give_the_wire_length_first() {
    // Version 2.3 was written in both orders; there the smaller length is the captured one.
    for (minor, is_swapped) in [(2, true), (3, true), (3, false)] {
        for order in [LITTLE, BIG] {
            let mut file = pcap_header(order, 0xa1b2_c3d4, 1);
            file[6..8].copy_from_slice(&order.u16(minor));
            for frame in frames() {
                let mut record = pcap_record(order, 1_000_000, 0, &frame);
                if is_swapped {
                    record[8..16].rotate_left(4);
                }
                file.extend(record);
            }
            let (got, faults) = read(&file);
            assert_eq!(faults, vec![]);
            assert_eq!(got, read(&plain_pcap()).0, "version 2.{minor}, swapped: {is_swapped}");
        }
    }
}

// ---- what the operator is told ----------------------------------------------------------------------------------

#[test]
fn frames_of_an_undecoded_link_type_are_given_and_told() {
    let mut file = Blocks::new(LITTLE);
    file.interface(105, 0, &[]).interface(1, 0, &[]).interface(4242, 0, &[]);
    for interface in [0, 1, 0, 2] {
        file.enhanced(interface, 1, &stated(0, b"x"));
    }
    let (got, faults) = read(&file.bytes);
    let undecoded = got.iter().filter(|got| got.link == LinkType::Unsupported).count();
    assert_eq!((got.len(), undecoded), (4, 3));
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let decoded = "NULL, ETHERNET, RAW, LOOP, LINUX_SLL, LINUX_SLL2, IPV4 and IPV6";
    assert_eq!(
        told,
        [
            format!(
                "some.pcap: link type 105 (IEEE802_11, wireless) is not decoded, and 2 of its frames count as undecodable; decoded are {decoded}"
            ),
            format!(
                "some.pcap: link type 4242 is not decoded, and 1 of its frames count as undecodable; decoded are {decoded}"
            ),
        ]
    );
}

#[test]
fn the_upper_half_of_a_pcap_link_type_is_about_the_check_sequence() {
    let record = pcap_record(LITTLE, 1_000_000, 0, &frames()[0]);
    let file = [pcap_header(LITTLE, 0xa1b2_c3d4, 0x2400_0001), record].concat();
    assert_eq!(read(&file), (vec![frames()[0].clone()], vec![]));
}

#[test]
fn a_fault_is_one_line_with_file_place_and_reason() {
    let whole = plain_pcap();
    let tell = |bytes: &[u8]| read(bytes).1[0].to_string();
    assert_eq!(
        tell(&whole[..whole.len() - 1]),
        "some.pcap: byte 100: the file ends inside a record; frames read before it: 4"
    );
    let packed = gzip(&whole[..whole.len() - 1]);
    assert_eq!(
        tell(&packed),
        "some.pcap: byte 100 of the unpacked stream: the file ends inside a record; frames read before it: 4"
    );
}

#[test]
fn what_cannot_be_opened_is_said_before_the_first_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let told = |paths: &[std::path::PathBuf]| {
        let error = Reader::open(paths).unwrap_err().to_string();
        error.replace(&format!("{}/", folder.path().display()), "")
    };
    let good = path("good.pcap", &plain_pcap());
    let formats = "; pcap and pcapng are read, plain or packed with gzip or zstd";
    for (name, bytes, expected) in [
        (
            "empty",
            &b""[..],
            "is empty; a capture begins with a header even when it holds no frame".to_owned(),
        ),
        ("zip", b"PK\x03\x04....", format!("not a capture but a zip archive{formats}")),
        (
            "text",
            b"hello",
            format!("not a capture but a file that begins with the bytes 68 65 6c 6c{formats}"),
        ),
        ("short", b"h", format!("not a capture but a file that begins with the bytes 68{formats}")),
        (
            "cut",
            &plain_pcap()[..23],
            "the header of the capture cannot be used: the file ends inside a record".to_owned(),
        ),
        (
            "cutng",
            &pcapng(LITTLE)[..20],
            "the header of the capture cannot be used: the file ends inside a record".to_owned(),
        ),
        (
            "twice",
            &gzip(&gzip(&plain_pcap())),
            format!("not a capture but data packed with gzip twice{formats}"),
        ),
    ] {
        let bad = path(name, bytes);
        assert_eq!(told(&[good.clone(), bad]), format!("{name}: {expected}"));
    }
    assert!(
        told(&[folder.path().join("missing")])
            .starts_with("missing: cannot be opened: No such file")
    );
    assert!(told(&[folder.path().to_path_buf()]).contains("cannot be opened: Is a directory"));
    let twice = ["-".into(), good, "-".into()];
    assert_eq!(told(&twice), "-: standard input can be named only once among the captures");
}

#[test]
fn progress_counts_the_bytes_of_the_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("a"), folder.path().join("b")];
    let packed = gzip(&plain_pcap());
    std::fs::write(&paths[0], plain_pcap()).unwrap();
    std::fs::write(&paths[1], &packed).unwrap();
    let mut reader = Reader::open(&paths).unwrap();
    let progress = reader.progress();
    let total = (plain_pcap().len() + packed.len()) as u64;
    assert_eq!(progress.bytes_total(), Some(total));
    let mut batch = Batch::new();
    while reader.receive(&mut batch) == Received::Frames {}
    assert_eq!(progress.bytes_read(), total);
    assert_eq!(reader.faults(), []);
}

// ---- writing ----------------------------------------------------------------------------------------------------

#[test]
fn what_is_written_is_read_back() {
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for frame in frames() {
        let time = Timestamp::from_nanos(frame.nanos + 1);
        writer.write(time, frame.wire_length, &frame.bytes).unwrap();
    }
    let expected: Vec<_> =
        frames().into_iter().map(|frame| Stated { nanos: frame.nanos + 1, ..frame }).collect();
    assert_eq!(read(&writer.finish().unwrap()), (expected, vec![]));
}

#[test]
fn what_the_format_cannot_state_is_refused_and_leaves_no_trace() {
    assert!(CaptureWriter::new(Vec::new(), LinkType::Unsupported).is_err());
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::RawIp).unwrap();
    let overlong = vec![0; FRAME_BYTES_MAX + 1];
    assert!(writer.write(Timestamp::EPOCH, 0, &overlong).is_err());
    assert!(writer.write(Timestamp::from_nanos(-1), 0, b"x").is_err());
    assert!(writer.write(Timestamp::from_secs(1 << 32), 0, b"x").is_err());
    assert_eq!(writer.finish().unwrap().len(), 24);
}

// ---- laws -------------------------------------------------------------------------------------------------------

/// Reads whatever it is to the end.
fn survive(bytes: &[u8]) {
    if let Ok(file) = open(bytes) {
        merged(vec![file]);
    }
}

proptest! {
    #[test]
    fn any_bytes_behind_any_magic_are_read_to_the_end_or_refused(
        variant in 0_usize..7,
        kept in 4_usize..60,
        bytes in vec(any::<u8>(), 0..300),
    ) {
        let (_, whole) = variants().swap_remove(variant);
        survive(&[&whole[..kept], &bytes].concat());
    }

    #[test]
    fn a_damaged_file_never_panics(
        variant in 0_usize..7,
        packing in 0..3,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (_, mut bytes) = variants().swap_remove(variant);
        bytes = match packing { 0 => bytes, 1 => gzip(&bytes), _ => zstd(&bytes) };
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        survive(&bytes);
    }
}
