//! Features: one packet after another measured against the state of its source.

use std::hint::black_box;

use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::features::{Meter, PacketEvidence, SourceState};
use phantomnet::handover::Digest;

use super::{Turn, Work};
use crate::inputs::judging::{packets, params};
use crate::inputs::mixes::Mix;

/// The states stay in the cache: fetching them is measured with the table of sources.
const SOURCES: usize = 16;

/// Between two packets: a thousand a second of each source.
const GAP_NANOS: i64 = 62_500;

pub(super) fn works() -> Vec<Work> {
    vec![Work::new("features/observe", TURN_FRAMES_MAX, observing)]
}

fn observing() -> Turn {
    let mut meter = Meter::new(&params().owner.features);
    let mut states = vec![SourceState::default(); SOURCES];
    let mut digests: Vec<Digest> =
        packets(&Mix::Imix.play().next_batch()).iter().map(Digest::of).collect();
    Box::new(move || {
        let Some(mut now) = digests.last().map(|digest| digest.time) else { return };
        for (digest, nth) in digests.iter_mut().zip(0..) {
            now = now.plus_nanos(GAP_NANOS);
            digest.time = now;
            let nth: usize = nth;
            if let Some(state) = states.get_mut(nth % SOURCES) {
                black_box(state.observe(digest, &PacketEvidence::default(), &mut meter));
            }
        }
    })
}
