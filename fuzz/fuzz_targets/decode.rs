//! Any bytes on any link: every frame ends in one counter, and what is given lies inside the frame.
//!
//! The first byte chooses the link type; the rest is one frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use phantomnet::capture::{Frame, LinkType};
use phantomnet::decode::{NotDecoded, Reason, TUNNELS_MAX, decode};
use phantomnet::time::Timestamp;

const LINKS: [LinkType; 9] = [
    LinkType::Ethernet,
    LinkType::RawIp,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Ipv4,
    LinkType::Ipv6,
    LinkType::Unsupported,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, whole)) = bytes.split_first() else { return };
    let link = LINKS[usize::from(*choice) % LINKS.len()];
    let (mut taken, mut decoded, mut not_ip) = (0, 0, 0);
    let mut undecodable = [0; Reason::ALL.len()];
    // The frame, and the frame as a short snap length would have left it.
    for bytes in [whole, &whole[..whole.len() / 2]] {
        taken += 1;
        match decode(&frame(link, bytes)) {
            Ok(packet) => {
                decoded += 1;
                let (frame, payload) = (bytes.as_ptr_range(), packet.payload.as_ptr_range());
                assert!(
                    packet.payload.is_empty()
                        || frame.start <= payload.start && payload.end <= frame.end,
                    "the payload lies outside the frame"
                );
                assert!(packet.payload.len() <= packet.length as usize);
                assert!(usize::from(packet.tunnels) <= TUNNELS_MAX);
            }
            Err(NotDecoded::NotIp) => not_ip += 1,
            Err(NotDecoded::Undecodable(reason)) => undecodable[reason.index()] += 1,
        }
    }
    assert_eq!(taken, decoded + not_ip + undecodable.iter().sum::<u32>(), "a frame left no trace");
});

fn frame(link: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        sequence: 1,
        time: Timestamp::EPOCH,
        wire_length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        link,
        bytes,
    }
}
