//! The traffic generator, held against an independent reading of what it wrote.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use phantomnet::address::Address;
use phantomnet::capture::{Batch, FrameSource, Received};
use phantomnet::synth::{Attack, GeneratedFrames, Generator, Labelled, Plan, write_dataset};
use phantomnet::time::Timestamp;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const PACKETS: u64 = 40_000;

fn everything(packets: u64, seed: u64) -> Plan {
    Plan::new(packets, seed).with_attacks(&Attack::ALL)
}

fn generate(plan: &Plan) -> Vec<Labelled> {
    Generator::new(plan).unwrap().collect()
}

/// What a test needs of one packet, read without the generator's help.
#[derive(Clone, Copy, Debug)]
struct Seen {
    from: (Address, u16),
    to: (Address, u16),
    flags: u8,
    payload: usize,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn tcp(packet: &Labelled) -> Option<Seen> {
    let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { return None };
    Some(Seen {
        from: (packet.source.unwrap(), tcp.source_port()),
        to: (packet.destination.unwrap(), tcp.destination_port()),
        flags: tcp.slice()[13],
        payload: tcp.payload().len(),
    })
}

/// RFC 1071, word by word, with the carry brought round each time.
fn ones_complement_sum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let mut sum: u16 = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (next, carry) = sum.overflowing_add(word);
        sum = next + u16::from(carry);
    }
    sum
}

/// Every checksum and length of the frame, read by offsets alone.
fn check_frame(frame: &[u8]) {
    assert!((60..=1_514).contains(&frame.len()), "{} bytes", frame.len());
    let (addresses, protocol, transport): (&[u8], u8, &[u8]) = match frame[12..14] {
        [0x08, 0x06] => return assert_eq!(frame.len(), 60, "ARP is padded"),
        [0x08, 0x00] => {
            let ip = &frame[14..];
            assert_eq!(ip[0], 0x45);
            assert_eq!(ones_complement_sum(&[&ip[..20]]), 0xffff, "IPv4 header checksum");
            let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
            assert!(
                total == ip.len() || frame.len() == 60 && total < ip.len(),
                "IPv4 total length"
            );
            (&ip[12..20], ip[9], &ip[20..total])
        }
        [0x86, 0xdd] => {
            let ip = &frame[14..];
            let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
            assert!(40 + length == ip.len() || frame.len() == 60, "IPv6 payload length");
            (&ip[8..40], ip[6], &ip[40..40 + length])
        }
        _ => panic!("an EtherType that nobody sends: {:02x?}", &frame[12..14]),
    };
    let length = u16::try_from(transport.len()).unwrap().to_be_bytes();
    let pseudo = [addresses, &[0, protocol], &length].concat();
    let covered: &[&[u8]] = if protocol == 1 { &[transport] } else { &[&pseudo, transport] };
    assert_eq!(ones_complement_sum(covered), 0xffff, "checksum of protocol {protocol}");
    if protocol == 17 {
        assert_ne!([transport[6], transport[7]], [0, 0], "a UDP checksum of 0 would mean none");
        assert_eq!(transport[4..6], length, "UDP length");
    }
}

fn digest_of(plan: &Plan) -> String {
    let directory = tempfile::tempdir().unwrap();
    write_dataset(directory.path(), plan).unwrap();
    let mut hash = Sha256::new();
    for name in ["traffic.pcap", "labels.csv", "sources.csv"] {
        hash.update(std::fs::read(directory.path().join(name)).unwrap());
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    let plan = everything(5_000, 1);
    let digest = digest_of(&plan);
    assert_eq!(digest, digest_of(&plan));
    assert_eq!(
        digest, PINNED,
        "a change of the generator changes every dataset: say so in the changelog"
    );
    assert_ne!(digest, digest_of(&everything(5_000, 2)));
}

/// SHA-256 over the three files of that plan, one behind the other.
const PINNED: &str = "f25aadeb734046d89e0097038cbad84d55b48f020250fe5cb4fe0599e70b3d1b";

#[test]
fn every_frame_is_whole_and_its_checksums_are_right() {
    for packet in generate(&everything(PACKETS, 3)) {
        check_frame(&packet.frame);
        let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
        let addresses = match sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header();
                Some((Address::v4(header.source()), Address::v4(header.destination())))
            }
            Some(NetSlice::Ipv6(ip)) => {
                let header = ip.header();
                Some((Address::v6(header.source()), Address::v6(header.destination())))
            }
            _ => None,
        };
        assert_eq!(addresses, packet.source.zip(packet.destination));
    }
}

#[test]
fn time_never_goes_backwards() {
    let plan = everything(PACKETS, 4);
    let mut last = plan.start;
    for packet in generate(&plan) {
        assert!(packet.time >= last, "{} after {last}", packet.time);
        last = packet.time;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_plan_gives_as_many_packets_as_it_asks_for(
        packets in 1_u64..4_000,
        seed: u64,
        chosen in proptest::sample::subsequence(Attack::ALL.to_vec(), 0..=12),
        clients in 4_u32..60,
        hour in 0_i64..168,
    ) {
        let mut plan = Plan::new(packets, seed).with_attacks(&chosen);
        plan.clients = clients;
        plan.start = plan.start.plus_nanos(hour * 3_600_000_000_000);
        let generated = generate(&plan);
        prop_assert_eq!(generated.len() as u64, packets);
        prop_assert!(generated.is_sorted_by_key(|packet| packet.time));
        prop_assert!(generated.iter().all(|p| p.label.is_none_or(|label| chosen.contains(&label))));
        conversations_are_complete(&generated);
    }
}

/// From whom to whom: addresses and ports.
type Way = ((Address, u16), (Address, u16));

/// Both directions of one TCP connection under one name.
fn connection(seen: &Seen) -> Way {
    (seen.from.min(seen.to), seen.from.max(seen.to))
}

/// SYN, SYN-ACK and ACK before any data, and FIN or RST at the end. Scans and floods of SYNs aside.
fn conversations_are_complete(packets: &[Labelled]) -> usize {
    let mut open: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
    for seen in packets.iter().filter_map(tcp) {
        open.entry(connection(&seen)).or_default().push(seen);
    }
    let mut complete = 0;
    for (name, segments) in open {
        // A connection may come twice (ports are used again after a while): cut where a SYN stands alone.
        let mut rest: &[Seen] = &segments;
        while let Some((first, others)) = rest.split_first() {
            assert_eq!(first.flags, SYN, "{name:?} begins without SYN");
            let length = others.iter().position(|s| s.flags == SYN).unwrap_or(others.len());
            let (this, next) = others.split_at(length);
            rest = next;
            let has_data = this.iter().any(|s| s.payload > 0);
            let is_answered = this.first().is_some_and(|s| s.flags == SYN | ACK);
            if !(has_data || is_answered && this.len() > 2) {
                continue;
            }
            assert_eq!(this[0].flags, SYN | ACK, "{name:?}");
            assert_eq!((this[1].flags, this[1].payload), (ACK, 0), "{name:?}");
            assert_eq!(this[1].from, first.from, "{name:?}");
            assert!(this.iter().any(|s| s.flags & (FIN | RST) != 0), "{name:?} is never closed");
            let last = this.last().unwrap();
            assert!(last.payload == 0 && last.flags & SYN == 0, "{name:?} ends with {last:?}");
            complete += 1;
        }
    }
    complete
}

#[test]
fn tcp_conversations_begin_with_syn_and_end_with_fin_or_rst() {
    assert!(conversations_are_complete(&generate(&everything(PACKETS, 5))) > 300);
}

#[test]
fn what_a_side_sends_has_no_gap_and_is_acknowledged_once_sent() {
    let mut next: BTreeMap<Way, u32> = BTreeMap::new();
    let mut repeated = 0;
    for packet in generate(&Plan::new(PACKETS, 6)) {
        let Some(seen) = tcp(&packet) else { continue };
        let sliced = SlicedPacket::from_ethernet(&packet.frame).unwrap();
        let Some(TransportSlice::Tcp(header)) = sliced.transport else { unreachable!() };
        let (sequence, way) = (header.sequence_number(), (seen.from, seen.to));
        if seen.flags & SYN != 0 {
            next.insert(way, sequence.wrapping_add(1));
            continue;
        }
        let expected = next.get_mut(&way).expect("SYN comes first");
        if sequence != *expected {
            assert!(sequence.wrapping_sub(*expected) > 1 << 31, "a gap in {way:?}");
            repeated += 1;
            continue;
        }
        let takes = u32::try_from(seen.payload).unwrap() + u32::from(seen.flags & FIN);
        *expected = expected.wrapping_add(takes);
        if seen.flags & RST == 0 {
            let theirs = next.get(&(seen.to, seen.from)).copied().unwrap_or_default();
            let ahead = header.acknowledgment_number().wrapping_sub(theirs);
            assert!(ahead == 0 || ahead > 1 << 31, "{way:?} acknowledges what was never sent");
        }
    }
    assert!((1..600).contains(&repeated), "{repeated} segments were sent again");
}

#[test]
fn each_attack_sends_packets_under_its_name_and_nobody_else_does() {
    let packets = generate(&everything(PACKETS, 7));
    for attack in Attack::ALL {
        let own: Vec<_> = packets.iter().filter(|p| p.label == Some(attack)).collect();
        let attackers: BTreeSet<_> = own.iter().map(|p| p.attacker().unwrap()).collect();
        assert!(own.len() >= 12, "{attack}: {} packets", own.len());
        let most = if matches!(attack, Attack::SynFlood | Attack::UdpFlood) { 12 } else { 2 };
        assert!((1..=most).contains(&attackers.len()), "{attack}: {attackers:?}");
    }
    let attacking = packets.iter().filter(|p| p.label.is_some()).count() as f64;
    let share = attacking / packets.len() as f64;
    assert!((0.05..0.17).contains(&share), "attacks take {share}");
}

#[test]
fn a_plan_without_attacks_labels_nothing() {
    assert!(generate(&Plan::new(10_000, 8)).iter().all(|packet| packet.label.is_none()));
}

#[test]
fn the_mix_looks_like_an_office() {
    let packets = generate(&Plan::new(100_000, 9));
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for packet in &packets {
        let frame = &packet.frame;
        let kind = match (&frame[12..14], frame[23], frame[20]) {
            ([0x08, 0x06], ..) => "arp",
            ([0x08, 0x00], 6, _) => "tcp",
            ([0x08, 0x00], 17, _) => "udp",
            ([0x08, 0x00], 1, _) => "icmp",
            ([0x86, 0xdd], _, 58) => "icmpv6",
            ([0x86, 0xdd], ..) => "ipv6",
            _ => "other",
        };
        *counts.entry(kind).or_default() += 1;
    }
    let share = |kind: &str| f64::from(counts.get(kind).copied().unwrap_or(0)) / 100_000.0;
    assert!((0.4..0.9).contains(&share("tcp")), "{counts:?}");
    assert!((0.02..0.5).contains(&share("udp")), "{counts:?}");
    assert!((0.02..0.3).contains(&share("ipv6")), "{counts:?}");
    for rare in ["arp", "icmp", "icmpv6"] {
        assert!((0.0001..0.05).contains(&share(rare)), "{rare}: {counts:?}");
    }
    let bytes: usize = packets.iter().map(|packet| packet.frame.len()).sum();
    let mean = bytes as f64 / 100_000.0;
    assert!((400.0..1_100.0).contains(&mean), "a packet has {mean} bytes on average");
    let sources: BTreeSet<_> = packets.iter().filter_map(|p| p.source).collect();
    assert!((100..1_000).contains(&sources.len()), "{} sources", sources.len());
}

#[test]
fn the_office_sleeps_at_night_while_its_servers_are_copied() {
    let seconds_and_backup = |hour: i64| {
        let mut plan = Plan::new(30_000, 13);
        plan.start = plan.start.plus_nanos((hour - 9) * 3_600_000_000_000);
        let packets = generate(&plan);
        let backup = packets.iter().filter_map(tcp).filter(|s| s.from.1 == 873 || s.to.1 == 873);
        (packets.last().unwrap().time.secs_since(plan.start), backup.count())
    };
    let (day, by_day) = seconds_and_backup(10);
    let (evening, _) = seconds_and_backup(21);
    let (_, by_night) = seconds_and_backup(26);
    assert!(evening > 2.0 * day, "30,000 packets take {day} s by day, {evening} s in the evening");
    assert!(by_night > 5 * by_day.max(500), "backup: {by_day} packets by day, {by_night} by night");
}

#[test]
fn benign_pages_hold_the_words_that_careless_rules_take_for_sql() {
    let text: Vec<u8> =
        generate(&Plan::new(20_000, 10)).into_iter().flat_map(|p| p.frame).collect();
    let text = String::from_utf8_lossy(&text);
    for word in ["select", "update", "union", " -- ", "drop", "delete"] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn frames_come_in_batches_as_the_generator_makes_them() {
    let plan = everything(3_000, 11);
    let mut expected = generate(&plan).into_iter();
    let mut source = GeneratedFrames::new(&plan).unwrap();
    let mut batch = Batch::new();
    let mut number = 0;
    while source.receive(&mut batch) == Received::Frames {
        for frame in batch.frames() {
            number += 1;
            let packet = expected.next().unwrap();
            assert_eq!((frame.sequence, frame.time), (number, packet.time));
            assert_eq!(frame.bytes, packet.frame);
        }
    }
    assert_eq!(number, 3_000);
    assert_eq!(source.receive(&mut batch), Received::End);
}

#[test]
fn a_dataset_has_a_label_for_every_packet_and_an_entry_for_every_attacker() {
    let directory = tempfile::tempdir().unwrap();
    let plan = everything(20_000, 12);
    let summary = write_dataset(directory.path(), &plan).unwrap();
    let packets = generate(&plan);
    let capture = std::fs::metadata(directory.path().join("traffic.pcap")).unwrap().len();
    let frames: usize = packets.iter().map(|packet| 16 + packet.frame.len()).sum();
    assert_eq!(capture, 24 + frames as u64);
    let labels = std::fs::read_to_string(directory.path().join("labels.csv")).unwrap();
    let rows: Vec<Vec<&str>> = labels.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len(), packets.len());
    let mut attacking: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (nth, (row, packet)) in rows.iter().zip(&packets).enumerate() {
        assert_eq!(row[0], (nth + 1).to_string());
        assert_eq!(row[1], packet.time.as_nanos().to_string());
        assert_eq!(row[2], packet.source.map(|a| a.to_string()).unwrap_or_default());
        assert_eq!(row[4], packet.label.map_or("normal", Attack::name));
        if row[4] != "normal" {
            *attacking.entry((row[2].to_owned(), row[4].to_owned())).or_default() += 1;
        }
    }
    let sources = std::fs::read_to_string(directory.path().join("sources.csv")).unwrap();
    let listed: BTreeMap<(String, String), u64> = sources
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect::<Vec<_>>())
        .map(|row| ((row[0].to_owned(), row[1].to_owned()), row[4].parse().unwrap()))
        .collect();
    assert_eq!(listed, attacking);
    assert_eq!(summary.packets, 20_000);
    assert_eq!(summary.attacks.values().sum::<u64>(), attacking.values().sum::<u64>());
}

#[test]
fn an_unknown_attack_is_refused_with_the_names_that_are_known() {
    let error = "port_scam".parse::<Attack>().unwrap_err().to_string();
    assert!(error.contains("port_scam") && error.contains("port_scan, host_sweep"), "{error}");
    for attack in Attack::ALL {
        assert_eq!(attack.name().parse::<Attack>().unwrap(), attack);
    }
}

#[test]
fn a_plan_out_of_range_is_refused_with_the_range() {
    let mut plan = Plan::new(10, 1);
    for packets in [0, 1_000_000_001, u64::MAX] {
        let error = Generator::new(&Plan::new(packets, 1)).unwrap_err().to_string();
        assert_eq!(error, format!("packets = {packets}: must be 1 to 1000000000"));
    }
    assert!(Generator::new(&Plan::new(1_000_000_000, 1)).is_ok());
    plan.clients = 1;
    assert_eq!(Generator::new(&plan).unwrap_err().to_string(), "clients = 1: must be 4 to 2000");
    plan.clients = 10;
    plan.attack_share = f64::NAN;
    assert!(Generator::new(&plan).is_err());
}

#[test]
fn a_plan_that_a_capture_file_cannot_date_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(10, 1);
    plan.start = Timestamp::from_secs(-10_000);
    let error = write_dataset(directory.path(), &plan).unwrap_err().to_string();
    assert!(error.contains("from 1970 to 2106"), "{error}");
}

#[test]
fn a_dataset_that_cannot_be_written_names_the_file_and_leaves_the_one_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let files = || {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let read = |path: &std::path::Path| (path.to_owned(), std::fs::read(path).unwrap());
        entries.map(|entry| read(&entry.unwrap().path())).collect::<BTreeMap<_, _>>()
    };
    write_dataset(directory.path(), &everything(2_000, 3)).unwrap();
    let before = files();
    assert_eq!(before.len(), 3, "nothing is left beside the dataset");
    for name in ["traffic.pcap", "labels.csv", "sources.csv"] {
        let part = directory.path().join(format!("{name}.part"));
        std::os::unix::fs::symlink("/dev/full", &part).unwrap();
        let error = write_dataset(directory.path(), &everything(2_000, 4)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("No space left"), "{error}");
        assert!(files() == before, "{name}: the dataset before is no longer whole");
    }
}

#[test]
fn while_a_dataset_is_written_nothing_stands_under_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let part = directory.path().join("labels.csv.part");
    assert!(std::process::Command::new("mkfifo").arg(&part).status().unwrap().success());
    let writing = {
        let directory = directory.path().to_owned();
        std::thread::spawn(move || write_dataset(&directory, &everything(5_000, 3)))
    };
    // The writer fills the pipe and waits for us, with most of the capture written.
    let mut labels = std::fs::File::open(&part).unwrap();
    let mut first = [0; 100_000];
    std::io::Read::read_exact(&mut labels, &mut first).unwrap();
    for name in ["traffic.pcap", "labels.csv", "sources.csv"] {
        assert!(!directory.path().join(name).exists(), "{name} is not whole yet");
    }
    assert!(directory.path().join("traffic.pcap.part").exists());
    std::io::copy(&mut labels, &mut std::io::sink()).unwrap();
    assert_eq!(writing.join().unwrap().unwrap().packets, 5_000);
    assert!(directory.path().join("traffic.pcap").is_file());
}
