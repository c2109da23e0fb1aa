use std::collections::BTreeMap;

use proptest::prelude::*;

use super::measure::Measure;
use super::{Directions, Heard, judge};
use crate::capture::interface::Interface;
use crate::capture::{Batch, LinkType};
use crate::doctor::port::PortFacts;
use crate::doctor::{Finding, Intended, Severity};
use crate::time::Timestamp;

const ONE: [u8; 4] = [192, 0, 2, 1];
const OTHER: [u8; 4] = [192, 0, 2, 2];

/// A TCP segment that acknowledges, on its way from one host to another; `number` makes it another one.
fn segment(from: ([u8; 4], u16), to: ([u8; 4], u16), number: u32) -> Vec<u8> {
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, number, 1_000)
        .ack(7);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[0xab; 100]).unwrap();
    frame
}

/// `packets` of each of `connections`, both ways or one way.
fn connections(connections: u16, packets: u32, both_ways: bool) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for port in 0..connections {
        for number in 0..packets {
            let (client, server) = ((ONE, 10_000 + port), (OTHER, 443));
            frames.push(segment(client, server, number));
            if both_ways {
                frames.push(segment(server, client, number));
            }
        }
    }
    frames
}

/// What is heard when frames come a millisecond apart; `wire_length` is 0 for a frame that is whole.
fn heard_of(frames: impl IntoIterator<Item = (Vec<u8>, u32)>) -> Heard {
    let mut measure = Measure::new(1_500);
    let mut batch = Batch::new();
    for (nth, (frame, wire_length)) in (0..).zip(frames) {
        let length = u32::try_from(frame.len()).unwrap();
        let wire_length = if wire_length == 0 { length } else { wire_length };
        batch.begin(0, 1);
        let time = Timestamp::from_nanos(nth * 1_000_000);
        assert!(batch.push(time, wire_length, LinkType::Ethernet, &frame));
        for frame in batch.frames() {
            measure.take(&frame);
        }
    }
    Heard { by_queue: Some(vec![1]), lost_by_card: Some(BTreeMap::new()), ..measure.heard(5.0) }
}

fn whole(frames: Vec<Vec<u8>>) -> Heard {
    heard_of(frames.into_iter().map(|frame| (frame, 0)))
}

/// Those that are not good, on a port that says nothing of itself.
fn wrong(heard: &Heard, intended: &Intended) -> Vec<Finding> {
    let interface = Interface {
        name: "no-such-port".to_owned(),
        index: u32::MAX,
        mtu: 1_500,
        is_on: true,
        is_up: true,
        is_promiscuous: true,
        queues: 1,
        xdp_programs: Vec::new(),
    };
    let findings = judge(heard, &PortFacts::gather(&interface), intended).into_iter();
    findings.filter(|finding| finding.severity != Severity::Ok).collect()
}

#[track_caller]
fn one(heard: &Heard) -> (Severity, &'static str, String) {
    let wrong = wrong(heard, &Intended::default());
    let [finding] = wrong.as_slice() else { panic!("{wrong:#?}") };
    (finding.severity, finding.check, finding.what.clone())
}

#[test]
fn nothing_is_said_against_a_good_tap() {
    let heard = whole(connections(20, 5, true));
    assert_eq!(wrong(&heard, &Intended::default()), Vec::new());
    assert_eq!((heard.frames, heard.ip, heard.repeated, heard.truncated), (200, 200, 0, 0));
    assert_eq!(heard.tcp, Directions { connections: 20, one_way: 0, not_followed: 0 });
}

#[test]
fn one_way_traffic_is_told_from_both_ways() {
    let (severity, check, what) = one(&whole(connections(20, 5, false)));
    assert_eq!((severity, check), (Severity::Warning, "one-way"));
    assert!(what.contains("in 20 of 20 TCP connections (100 %)"), "{what}");
    let mut some = connections(20, 5, true);
    some.extend(connections(25, 5, false).split_off(20 * 5));
    assert_eq!(one(&whole(some)).0, Severity::Advice);
    // The answer may come late.
    let mut late = connections(20, 5, false);
    late.extend((0..20).map(|port| segment((OTHER, 443), (ONE, 10_000 + port), 9)));
    assert_eq!(whole(late).tcp.one_way, 0);
}

#[test]
fn a_scan_without_answers_is_no_one_way_mirror() {
    let mut frames = connections(20, 5, true);
    for port in 0..500 {
        for attempt in 0..4 {
            let mut frame = segment((ONE, 50_000), (OTHER, port), attempt);
            frame[14 + 20 + 13] = 2; // SYN alone
            frames.push(frame);
        }
    }
    assert_eq!(wrong(&whole(frames), &Intended::default()), Vec::new());
}

#[test]
fn the_same_packet_within_a_tenth_of_a_second_is_a_duplicate() {
    let twice = |frames: Vec<Vec<u8>>| frames.into_iter().flat_map(|frame| [frame.clone(), frame]);
    let heard = whole(twice(connections(20, 5, true)).collect());
    assert_eq!(heard.repeated, 200);
    let (severity, check, what) = one(&heard);
    assert_eq!((severity, check), (Severity::Warning, "duplicates"));
    assert!(what.contains("200 of 400 IP packets (50.0 %)"), "{what}");
    // In another VLAN and between other stations it is the same packet.
    let mut copy = segment((ONE, 1), (OTHER, 2), 3);
    let original = copy.clone();
    copy.splice(..12, [2; 12]);
    copy.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(whole(vec![original.clone(), copy]).repeated, 1);
    // A second later it is another one.
    let mut apart = vec![original.clone()];
    apart.extend((0..200).map(|number| segment((ONE, 1), (OTHER, 2), number + 10)));
    apart.push(original);
    assert_eq!(whole(apart).repeated, 0);
}

#[test]
fn frames_that_end_before_their_packet_are_truncated() {
    let cut = connections(20, 5, true).into_iter().map(|mut frame| {
        frame.truncate(80);
        (frame, 0)
    });
    let heard = heard_of(cut);
    assert_eq!(heard.truncated, 200);
    let (severity, check, what) = one(&heard);
    assert_eq!((severity, check), (Severity::Warning, "truncated"));
    assert!(what.contains("none came longer than 66 bytes"), "{what}");
    // What the doctor itself does not look at was on the wire.
    let snapped = connections(20, 5, true).into_iter().map(|mut frame| {
        let length = u32::try_from(frame.len()).unwrap();
        frame.truncate(80);
        (frame, length)
    });
    assert_eq!(heard_of(snapped).truncated, 0);
}

#[test]
fn frames_longer_than_the_mtu_are_named() {
    let mut heard = whole(connections(20, 5, true));
    (heard.too_long, heard.longest) = (3, 9_000);
    let wrong = wrong(&heard, &Intended::default());
    assert_eq!(wrong[0].check, "too-long");
    assert_eq!(wrong[0].mend.as_deref(), Some("ip link set dev no-such-port mtu 9000"));
    heard.longest = 65_226;
    let wrong = self::wrong(&heard, &Intended::default());
    assert_eq!((wrong[0].severity, &wrong[0].mend), (Severity::Fault, &None), "{wrong:?}");
    let long = segment((ONE, 1), (OTHER, 2), 3);
    assert_eq!(heard_of([(long.clone(), 1_514)]).too_long, 0);
    assert_eq!(heard_of([(long, 1_515)]).too_long, 1);
}

#[test]
fn tags_on_some_frames_only_are_named() {
    let mut frames = connections(20, 5, true);
    for frame in frames.iter_mut().step_by(2) {
        frame.splice(12..12, [0x81, 0, 0, 5]);
    }
    let heard = whole(frames);
    assert_eq!(heard.tagged, 100);
    assert_eq!(one(&heard).1, "vlan");
    let untagged = whole(connections(20, 5, true));
    let by_vlan = Intended { by_vlan: true, ..Intended::default() };
    assert_eq!(wrong(&untagged, &by_vlan)[0].check, "vlan");
}

#[test]
fn a_port_without_a_mirror_is_told_by_what_it_hears() {
    let mut frames = connections(20, 5, true);
    for frame in &mut frames {
        frame.splice(..6, [0xff; 6]);
    }
    let (severity, check, what) = one(&whole(frames));
    assert_eq!((severity, check), (Severity::Warning, "traffic"));
    assert!(what.contains("all of them broadcast or multicast"), "{what}");
    let (severity, check, what) = one(&Heard { seconds: 5.0, ..Heard::default() });
    assert_eq!((severity, check), (Severity::Warning, "traffic"));
    assert_eq!(what, "no frame came within 5.0 s");
}

#[test]
fn an_interface_that_goes_down_meanwhile_is_all_that_is_told() {
    let heard = Heard { interrupted: true, ..whole(connections(20, 5, false)) };
    let (severity, check, _) = one(&heard);
    assert_eq!((severity, check), (Severity::Fault, "traffic"));
}

#[test]
fn silent_and_busy_queues_are_named() {
    let heard = whole(connections(20, 50, true));
    let of = |by_queue: &[u64]| one(&Heard { by_queue: Some(by_queue.to_vec()), ..heard.clone() });
    let (severity, check, what) = of(&[1_000, 0, 900, 100]);
    assert_eq!((severity, check), (Severity::Advice, "queue-skew"));
    assert_eq!(what, "1 of 4 receive queues are silent");
    let (severity, check, what) = of(&[1_700, 100, 100, 100]);
    assert_eq!((severity, check), (Severity::Advice, "queue-skew"));
    assert!(what.contains("85 %"), "{what}");
    assert_eq!(of(&[7, 8]).0, Severity::Unknown);
}

#[test]
fn losses_of_card_and_doctor_are_told() {
    let heard = whole(connections(20, 5, true));
    let lost_by_card = Some(BTreeMap::from([("rx_missed_errors", 12)]));
    let (severity, check, what) = one(&Heard { lost_by_card, ..heard.clone() });
    assert_eq!((severity, check), (Severity::Warning, "card-losses"));
    assert!(what.contains("rx_missed_errors 12"), "{what}");
    let (severity, check, _) = one(&Heard { missed: 5, frames: heard.frames + 5, ..heard });
    assert_eq!((severity, check), (Severity::Unknown, "missed"));
}

#[test]
fn too_little_traffic_is_no_proof_of_anything() {
    let wrong = wrong(&whole(connections(2, 1, true)), &Intended::default());
    assert!(wrong.iter().all(|finding| finding.severity == Severity::Unknown), "{wrong:#?}");
    let checks: Vec<&str> = wrong.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["one-way", "duplicates"]);
}

proptest! {
    #[test]
    fn whatever_bytes_come_each_frame_is_counted(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0_u32..70_000), 0..50),
        cut in 0..150_usize,
    ) {
        let mut all = frames;
        // Nearly good ones reach further in.
        for (nth, frame) in connections(2, 3, true).into_iter().enumerate() {
            let mut frame = frame;
            frame.truncate(cut + nth);
            all.push((frame, 0));
        }
        let count = all.len() as u64;
        let heard = heard_of(all);
        prop_assert_eq!(heard.frames, count);
        prop_assert!(heard.ip <= count && heard.truncated <= heard.ip && heard.repeated <= heard.ip);
        prop_assert!(heard.tcp.one_way <= heard.tcp.connections);
        judge_all(&heard);
    }
}

/// No count makes the judging stumble.
fn judge_all(heard: &Heard) {
    assert!(wrong(heard, &Intended::default()).len() < 12);
}
