//! From scores to the collector: verdicts completed, put into the ring, and taken out of it.

use std::hint::black_box;

use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::owner::TURN_VERDICTS_MAX;
use phantomnet::ring::{self, Inlet, Outlet};
use phantomnet::verdict::Verdict;

use super::{Turn, Work};
use crate::inputs::detection::default_detection;
use crate::inputs::judging::{Stages, packets};
use crate::inputs::mixes::Mix;

/// Turns before the one that is judged again and again: sources are known by then.
const WARM_UP: usize = 64;

pub(super) fn works() -> Vec<Work> {
    let work = |name, prepare: fn() -> Turn| Work::new(name, TURN_FRAMES_MAX, prepare);
    vec![work("judge/imix", judging), work("ring/in and out", reporting)]
}

fn judging() -> Turn {
    let mut stages = scored();
    Box::new(move || {
        stages.judge();
        black_box(stages.due.verdicts());
    })
}

fn reporting() -> Turn {
    let mut stages = scored();
    stages.judge();
    let verdicts = stages.due.verdicts().to_vec();
    let (mut outlet, mut inlet) = ring::reports(8 * TURN_VERDICTS_MAX);
    Box::new(move || through(&mut outlet, &mut inlet, &verdicts))
}

fn through(outlet: &mut Outlet, inlet: &mut Inlet, verdicts: &[Verdict]) {
    black_box(outlet.offer(verdicts));
    outlet.close_turn(0, None);
    while let Some(report) = inlet.take() {
        black_box(&report);
    }
}

/// A turn that is ready to be judged.
fn scored() -> Stages {
    let (mut traffic, mut stages) = (Mix::Imix.play(), Stages::new(default_detection()));
    for _ in 0..=WARM_UP {
        let batch = traffic.next_batch();
        stages.inspect_and_hand_over(&packets(&batch));
        stages.measure_and_score();
    }
    stages
}
