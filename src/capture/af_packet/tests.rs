//! Blocks made here, from the text of `linux/if_packet.h`, as the kernel makes them and as it never would.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::block::Walk;
use super::intake::Intake;
use super::ring::Ring;
use super::*;
use crate::capture::{Batch, FRAME_BYTES_MAX, LinkType, TURN_FRAMES_MAX};
use crate::time::Timestamp;

const PARAMS: AfPacketParams =
    AfPacketParams { blocks: 4, block_bytes: 1 << 20, ..AfPacketParams::on(1) };

/// A frame as the kernel states it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stated {
    seconds: u32,
    nanos: u32,
    length: u32,
    bytes: Vec<u8>,
    tag: StatedTag,
}

/// `tp_status`, `tp_vlan_tpid`, `tp_vlan_tci`.
type StatedTag = (u32, u16, u32);

const NO_TAG: StatedTag = (0, 0, 0);

fn stated(seconds: u32, bytes: &[u8]) -> Stated {
    let length = u32::try_from(bytes.len()).unwrap();
    Stated { seconds, nanos: 7, length, bytes: bytes.to_vec(), tag: NO_TAG }
}

/// Bytes from the start of a frame's header to the frame: the header and `struct sockaddr_ll`, then up to the Ethernet header
/// that ends on a multiple of 16.
const TO_FRAME: u16 = 82;

/// A block as the kernel leaves it.
fn block(frames: &[Stated]) -> Vec<u8> {
    let mut block = Vec::new();
    let count = u32::try_from(frames.len()).unwrap();
    // version, offset_to_priv, block_status, num_pkts, offset_to_first_pkt, blk_len
    for word in [3, 48, 0, count, 48, 0] {
        block.extend_from_slice(&u32::to_ne_bytes(word));
    }
    // seq_num, ts_first_pkt, ts_last_pkt
    block.extend_from_slice(&[0; 24]);
    for (frame, left) in frames.iter().zip((0..frames.len()).rev()) {
        let begins = block.len();
        let whole = (usize::from(TO_FRAME) + frame.bytes.len()).next_multiple_of(8);
        let next = if left == 0 { 0 } else { u32::try_from(whole).unwrap() };
        let captured = u32::try_from(frame.bytes.len()).unwrap();
        let (status, protocol, control) = frame.tag;
        // tp_next_offset, tp_sec, tp_nsec, tp_snaplen, tp_len, tp_status
        for word in [next, frame.seconds, frame.nanos, captured, frame.length, status] {
            block.extend_from_slice(&word.to_ne_bytes());
        }
        // tp_mac, tp_net
        block.extend_from_slice(&TO_FRAME.to_ne_bytes());
        block.extend_from_slice(&(TO_FRAME + 14).to_ne_bytes());
        // tp_rxhash, tp_vlan_tci, tp_vlan_tpid
        block.extend_from_slice(&0_u32.to_ne_bytes());
        block.extend_from_slice(&control.to_ne_bytes());
        block.extend_from_slice(&protocol.to_ne_bytes());
        block.resize(begins + usize::from(TO_FRAME), 0);
        block.extend_from_slice(&frame.bytes);
        block.resize(begins + whole, 0);
    }
    block
}

/// An intake whose ring holds these blocks.
fn intake(blocks: &[Vec<u8>]) -> Intake {
    let mut ring = Ring::imitation(&PARAMS);
    for (nth, block) in blocks.iter().enumerate() {
        ring.hand_over(nth, block);
    }
    Intake::new(ring, LinkType::Ethernet, PARAMS.snap_bytes)
}

/// A frame as it was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    nanos: i64,
    wire_length: u32,
    bytes: Vec<u8>,
}

/// The frames of the next turn.
fn turn(intake: &mut Intake) -> Vec<Given> {
    let mut batch = Batch::new();
    intake.fill(&mut batch, &mut |stated| stated);
    let given = |frame: crate::capture::Frame<'_>| Given {
        nanos: frame.time.as_nanos(),
        wire_length: frame.wire_length,
        bytes: frame.bytes.to_vec(),
    };
    batch.frames().map(given).collect()
}

#[test]
fn frames_come_out_as_the_kernel_put_them_in() {
    let frames = [stated(1, b"one"), Stated { length: 1_500, ..stated(2, b"cut") }, stated(3, b"")];
    let mut intake = intake(&[block(&frames[..2]), block(&frames[2..])]);
    assert_eq!(intake.waiting(), 3);
    let expected = [
        Given { nanos: 1_000_000_007, wire_length: 3, bytes: b"one".to_vec() },
        Given { nanos: 2_000_000_007, wire_length: 1_500, bytes: b"cut".to_vec() },
        Given { nanos: 3_000_000_007, wire_length: 0, bytes: Vec::new() },
    ];
    assert_eq!(turn(&mut intake), expected);
    assert_eq!(turn(&mut intake), []);
    assert_eq!((intake.taken(), intake.waiting(), intake.unreadable()), (3, 0, 0));
}

#[test]
fn a_block_that_is_longer_than_a_turn_goes_on_in_the_next() {
    let frames: Vec<Stated> = (0..600).map(|nth| stated(nth, &nth.to_be_bytes())).collect();
    let mut intake = intake(&[block(&frames)]);
    let mut lengths = Vec::new();
    let mut waiting = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let some = turn(&mut intake);
        lengths.push(some.len());
        waiting.push(intake.waiting());
        seen.extend(some.into_iter().map(|given| given.bytes));
    }
    assert_eq!(lengths, [TURN_FRAMES_MAX, TURN_FRAMES_MAX, 600 - 2 * TURN_FRAMES_MAX, 0]);
    assert_eq!(waiting, [600 - 256, 600 - 512, 0, 0]);
    assert_eq!(seen, frames.into_iter().map(|frame| frame.bytes).collect::<Vec<_>>());
}

#[test]
fn a_block_is_given_back_with_its_last_frame_and_can_be_filled_again() {
    let full: Vec<Stated> = (0..256).map(|nth| stated(nth, b"some")).collect();
    let mut ring = Ring::imitation(&PARAMS);
    ring.hand_over(0, &block(&full));
    let mut intake = Intake::new(ring, LinkType::Ethernet, PARAMS.snap_bytes);
    for round in 1..=9_u64 {
        assert_eq!(turn(&mut intake).len(), 256, "round {round}");
        assert_eq!((intake.taken(), intake.waiting()), (256 * round, 0));
        let next = usize::try_from(round).unwrap() % 4;
        // Fails if the block is not the kernel's.
        intake.ring_mut().hand_over(next, &block(&full));
    }
}

#[test]
fn a_tag_that_was_taken_out_is_put_back() {
    let untagged = *b"ddddddssssss\x08\x00payload";
    let tagged = |tag| Stated { tag, ..stated(1, &untagged) };
    let both = libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID;
    let cases: [(&str, StatedTag, &[u8]); 5] = [
        ("customer", (both, 0x8100, 0xe123), b"ddddddssssss\x81\x00\xe1\x23\x08\x00payload"),
        ("provider", (both, 0x88a8, 0x0fff), b"ddddddssssss\x88\xa8\x0f\xff\x08\x00payload"),
        // VLAN 0 is a tag too: it carries a priority.
        ("priority", (both, 0x8100, 0), b"ddddddssssss\x81\x00\x00\x00\x08\x00payload"),
        (
            "old kernel",
            (libc::TP_STATUS_VLAN_VALID, 0, 5),
            b"ddddddssssss\x81\x00\x00\x05\x08\x00payload",
        ),
        ("none", (0, 0x8100, 5), b"ddddddssssss\x08\x00payload"),
    ];
    for (name, tag, expected) in cases {
        let given = turn(&mut intake(&[block(&[tagged(tag)])]));
        assert_eq!(given[0].bytes, expected, "{name}");
        assert_eq!(given[0].wire_length as usize, expected.len(), "{name}");
    }
    // One that was cut before the place where the tag goes.
    let cut = Stated { bytes: b"ddddddsssss".to_vec(), ..tagged((both, 0x8100, 5)) };
    let given = turn(&mut intake(&[block(&[cut])]));
    assert_eq!((given[0].bytes.as_slice(), given[0].wire_length), (&b"ddddddsssss"[..], 21));
}

#[test]
fn the_longest_frame_fits_with_its_tag_and_makes_nothing_grow() {
    let longest = vec![0xab; FRAME_BYTES_MAX - 4];
    let tag = (libc::TP_STATUS_VLAN_VALID, 0, 1);
    let frames = vec![Stated { tag, ..stated(1, &longest) }; 3];
    let mut intake = intake(&[block(&frames)]);
    let room = intake.room_for_tags();
    let lengths: Vec<usize> =
        turn(&mut intake).into_iter().map(|given| given.bytes.len()).collect();
    assert_eq!(lengths, [FRAME_BYTES_MAX; 3]);
    assert_eq!(intake.room_for_tags(), room);
}

#[test]
fn time_does_not_go_back_and_it_is_said_how_often_it_would_have() {
    let frames: Vec<Stated> = [5, 3, 5, 4, 6].map(|second| stated(second, b"x")).into();
    let mut intake = intake(&[block(&frames[..2]), block(&frames[2..])]);
    let seconds: Vec<i64> =
        turn(&mut intake).iter().map(|given| given.nanos / 1_000_000_000).collect();
    assert_eq!(seconds, [5, 5, 5, 5, 6]);
    assert_eq!(intake.restamped(), 2);
}

#[test]
fn a_header_that_leads_out_of_its_block_ends_the_walk_and_the_rest_is_counted() {
    let frames: Vec<Stated> = (0..4).map(|nth| stated(nth, b"some bytes")).collect();
    let good = block(&frames);
    let second = 48 + 96;
    // Where the second frame's header is spoilt, with what, and how many frames can still be read.
    let cases: [(&str, usize, &[u8], u64); 6] = [
        ("the frame is too long", second + 12, &u32::MAX.to_ne_bytes(), 1),
        ("longer than the filter lets through", second + 12, &262_141_u32.to_ne_bytes(), 1),
        ("the next is outside", second, &u32::MAX.to_ne_bytes(), 2),
        ("the next is the same", second, &0_u32.to_ne_bytes(), 2),
        ("the next is inside the same header", second, &47_u32.to_ne_bytes(), 2),
        ("the first is outside", 16, &(1_u32 << 20).to_ne_bytes(), 0),
    ];
    for (name, at, spoilt, readable) in cases {
        let mut block = good.clone();
        block[at..at + spoilt.len()].copy_from_slice(spoilt);
        let mut intake = intake(&[block, good.clone()]);
        let given = turn(&mut intake).len() as u64;
        assert_eq!(given, readable + 4, "{name}");
        assert_eq!(intake.unreadable(), 4 - readable, "{name}");
        assert_eq!(intake.waiting(), 0, "{name}");
    }
}

#[test]
fn parameters_out_of_their_range_are_refused_by_name() {
    let good = AfPacketParams::on(1);
    let cases = [
        ("blocks is 1; it must be at least 2", AfPacketParams { blocks: 1, ..good }, 1),
        (
            "block_bytes is 5000; it must be a power of two",
            AfPacketParams { block_bytes: 5_000, ..good },
            1,
        ),
        ("blocks times block_bytes is", AfPacketParams { blocks: u32::MAX, ..good }, 1),
        ("retire_millis is 0", AfPacketParams { retire_millis: 0, ..good }, 1),
        ("snap_bytes is 63", AfPacketParams { snap_bytes: 63, ..good }, 1),
        ("snap_bytes is 262141", AfPacketParams { snap_bytes: 262_141, ..good }, 1),
        ("workers is 0", good, 0),
        ("workers is 257", good, SOCKETS_MAX + 1),
    ];
    for (complaint, params, workers) in cases {
        let said = open(&params, workers).unwrap_err().to_string();
        assert!(said.starts_with(complaint), "{said}");
    }
    assert!(good.check(1).is_ok() && good.check(SOCKETS_MAX).is_ok());
}

// ---- whatever the ring holds -----------------------------------------------------------------------------------------

fn any_frame() -> impl Strategy<Value = Stated> {
    let tag =
        (option::of(any::<u16>()), any::<u16>()).prop_map(|(protocol, control)| match protocol {
            Some(protocol) => (
                libc::TP_STATUS_VLAN_VALID | libc::TP_STATUS_VLAN_TPID_VALID,
                protocol,
                u32::from(control),
            ),
            None => NO_TAG,
        });
    (any::<u32>(), 0..1_000_000_000_u32, 0..2_000_u32, vec(any::<u8>(), 0..200), tag).prop_map(
        |(seconds, nanos, more, bytes, tag)| {
            let length = u32::try_from(bytes.len()).unwrap() + more;
            Stated { seconds, nanos, length, bytes, tag }
        },
    )
}

/// Another way to put a tag back.
fn spliced(frame: &Stated) -> Vec<u8> {
    let mut bytes = frame.bytes.clone();
    let (status, protocol, control) = frame.tag;
    if status != 0 && bytes.len() >= 12 {
        let tag = u32::from(protocol) << 16 | control;
        bytes.splice(12..12, tag.to_be_bytes());
    }
    bytes
}

proptest! {
    #[test]
    fn no_frame_is_lost_doubled_or_changed_wherever_turns_end(
        blocks in vec(vec(any_frame(), 0..400), 0..4),
    ) {
        let mut intake = intake(&blocks.iter().map(|frames| block(frames)).collect::<Vec<_>>());
        let mut given = Vec::new();
        loop {
            let some = turn(&mut intake);
            if some.is_empty() {
                break;
            }
            given.extend(some);
        }
        let frames: Vec<&Stated> = blocks.iter().flatten().collect();
        prop_assert_eq!(given.len(), frames.len());
        let mut latest = 0;
        for (given, frame) in given.iter().zip(&frames) {
            latest = latest.max(i64::from(frame.seconds) * 1_000_000_000 + i64::from(frame.nanos));
            let bytes = spliced(frame);
            let grown = u32::try_from(bytes.len() - frame.bytes.len()).unwrap();
            let expected = Given { nanos: latest, wire_length: frame.length + grown, bytes };
            prop_assert_eq!(given, &expected);
        }
        prop_assert_eq!((intake.taken(), intake.waiting(), intake.unreadable()), (frames.len() as u64, 0, 0));
    }

    #[test]
    fn a_walk_through_any_bytes_ends_and_stays_inside(
        bytes in vec(any::<u8>(), 0..4_096),
        header in option::of((0..400_u32, 0..200_u32)),
        snap_bytes in 0..5_000_usize,
    ) {
        let mut bytes = bytes;
        // Most random headers end a walk at once; some of these go on.
        if let (Some((count, first)), true) = (header, bytes.len() >= 48) {
            bytes[12..16].copy_from_slice(&count.to_ne_bytes());
            bytes[16..20].copy_from_slice(&first.to_ne_bytes());
        }
        let inside = bytes.as_ptr_range();
        let mut frames = 0;
        for packet in Walk::new(&bytes, snap_bytes, None) {
            frames += 1;
            prop_assert!(packet.bytes.is_empty() || inside.contains(&packet.bytes.as_ptr()));
            prop_assert!(packet.bytes.as_ptr_range().end <= inside.end);
            prop_assert!(packet.bytes.len() <= snap_bytes);
            prop_assert!(packet.time >= Timestamp::EPOCH);
        }
        prop_assert!(frames <= bytes.len() / 48);
    }

    #[test]
    fn a_block_with_spoilt_bytes_is_given_back_and_each_frame_it_states_is_counted(
        frames in vec(any_frame(), 1..60),
        spoilt in vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let good = block(&frames);
        let mut bad = good.clone();
        for (at, byte) in spoilt {
            let at = at.index(bad.len());
            bad[at] = byte;
        }
        let stated = u64::from(u32::from_ne_bytes(bad[12..16].try_into().unwrap()));
        let mut intake = intake(&[bad, good]);
        prop_assert_eq!(intake.waiting(), stated + frames.len() as u64);
        let mut turns = 0;
        while !turn(&mut intake).is_empty() {
            turns += 1;
            prop_assert!(turns < 100);
        }
        let expected = stated + frames.len() as u64;
        prop_assert_eq!(intake.taken() + intake.unreadable(), expected);
        prop_assert_eq!(intake.waiting(), 0);
    }
}
