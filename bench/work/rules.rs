//! Inspection: the rules by themselves, and all of it up to the owner.

use std::hint::black_box;

use phantomnet::capture::{Batch, TURN_FRAMES_MAX};
use phantomnet::handover::Findings;
use phantomnet::rules::Scratch;

use super::{Turn, Work};
use crate::inputs::detection::{detection_with_rules, rules};
use crate::inputs::frames::{Flow, PUSH_ACK, batch_of, tcp_frame};
use crate::inputs::judging::{Stages, packets};
use crate::inputs::mixes::Mix;

const RULES: [usize; 3] = [0, 50, 500];
const PAYLOADS: [usize; 4] = [0, 64, 512, 1_400];

/// What several of the default rules look for.
const ATTACK: &[u8] = b"GET /shop?id=1%20union%20select%20password,1%20from%20users HTTP/1.1\r\nHost: a.example\r\n\r\n";

pub(super) fn works() -> Vec<Work> {
    let mut works = Vec::new();
    for count in RULES {
        for bytes in PAYLOADS {
            let name = format!("rules/{count}, {bytes} bytes without a candidate");
            works.push(matching(name, count, vec![b'~'; bytes]));
        }
        works.push(matching(format!("rules/{count}, an attack"), count, ATTACK.to_vec()));
        let name = format!("inspect/{count} rules, imix");
        works.push(Work::new(name, TURN_FRAMES_MAX, move || inspecting(count)));
    }
    works.push(Work::new("hand over/one worker", TURN_FRAMES_MAX, handing_over));
    works
}

/// The rules alone, on TCP segments to a web server that all hold the same payload.
fn matching(name: String, count: usize, payload: Vec<u8>) -> Work {
    Work::new(name, TURN_FRAMES_MAX, move || {
        let flow = Flow {
            source: [198, 51, 100, 9],
            destination: [10, 0, 0, 80],
            source_port: 50_000,
            destination_port: 80,
        };
        let frame = tcp_frame(flow, PUSH_ACK, &payload);
        let packets = packets(kept(batch_of(std::iter::repeat_n(&frame[..], TURN_FRAMES_MAX))));
        let (rules, mut scratch) = (rules(count), Scratch::new());
        Box::new(move || {
            for packet in &packets {
                let mut findings = Findings::default();
                rules.inspect(packet, &mut scratch, &mut findings);
                black_box(findings);
            }
        })
    })
}

/// Rules, intelligence, decoys and the way to the owner.
fn inspecting(count: usize) -> Turn {
    let packets = packets(kept(Mix::Imix.play().next_batch()));
    let mut stages = Stages::new(detection_with_rules(count));
    Box::new(move || stages.inspect_and_hand_over(&packets))
}

/// Digests of packets in which nothing was found, into the ring and out of it.
fn handing_over() -> Turn {
    let mut stages = Stages::new(detection_with_rules(0));
    stages.inspect_and_hand_over(&packets(&Mix::Imix.play().next_batch()));
    let digests = stages.gathered.digests().to_vec();
    Box::new(move || {
        for digest in &digests {
            stages.handover.put(0, *digest, &Findings::default());
        }
        stages.hand_over();
    })
}

/// Packets borrow from their batch, and both live as long as the program.
fn kept(batch: Batch) -> &'static Batch {
    Box::leak(Box::new(batch))
}
