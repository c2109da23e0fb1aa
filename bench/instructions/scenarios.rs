//! What is counted, and the marks between which it is.

use std::hint::black_box;

use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::ring::Inlet;

use crate::inputs::mixes::Mix;
use crate::inputs::turns::{Span, Watch, run};
use crate::work::{Work, all};

/// Stages that are counted; names of `work::all`. Others are there for the clock.
const STAGES: [&str; 13] = [
    "decode/imix",
    "decode/all kinds",
    "rules/50, 1400 bytes without a candidate",
    "inspect/50 rules, imix",
    "hand over/one worker",
    "sources/hit",
    "sources/miss, takes the place of another",
    "sources/miss, denied",
    "features/observe",
    "forest/1 at once",
    "forest/256 at once",
    "judge/imix",
    "ring/in and out",
];

/// Stages are alike from turn to turn; a few turns take what is done once, such as growing to the rules, out of the count.
const STAGE: Span = Span { warm_up: 4, measured: 16 };

/// By then a worker has seen every source of the mix that comes again.
const WHOLE_TURN: Span = Span { warm_up: 96, measured: 32 };

/// Places in the ring for all that a worker reports: nobody takes anything, for that is the collector's work.
const RING_PLACES: usize = 1 << 18;

/// Something to count, and how many packets it is spread over.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) packets: u64,
    run: Box<dyn Fn()>,
}

impl Scenario {
    /// Prepares, warms up, and does what is counted between the marks.
    pub(crate) fn run(&self) {
        (self.run)();
    }
}

/// All of them, in the order in which they are shown.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut works = all();
    let stages = STAGES.map(|name| {
        let place = works.iter().position(|work| work.name == name);
        stage(works.swap_remove(place.unwrap_or_else(|| unknown(name))))
    });
    stages.into_iter().chain(Mix::ALL.map(whole_turn)).collect()
}

#[expect(clippy::panic, reason = "a mistake in this file")]
fn unknown(name: &str) -> usize {
    panic!("{}: STAGES has {name:?}, which work::all does not have", file!())
}

fn stage(work: Work) -> Scenario {
    let Work { name, packets, prepare } = work;
    let run = move || {
        let mut turn = prepare();
        for _ in 0..STAGE.warm_up {
            turn();
        }
        counting_begins();
        for _ in 0..STAGE.measured {
            turn();
        }
        counting_ends();
    };
    Scenario { name, packets: packets * STAGE.measured, run: Box::new(run) }
}

fn whole_turn(mix: Mix) -> Scenario {
    let packets = WHOLE_TURN.measured * TURN_FRAMES_MAX as u64;
    let run = move || {
        let judged = run(mix, WHOLE_TURN, RING_PLACES, &mut Marks);
        let frames = (WHOLE_TURN.warm_up + WHOLE_TURN.measured) * TURN_FRAMES_MAX as u64;
        assert_eq!(judged.taken, frames, "every frame was judged");
    };
    Scenario { name: format!("turn/{}", mix.name()), packets, run: Box::new(run) }
}

/// Marks the turns of a worker.
struct Marks;

impl Watch for Marks {
    fn begins(&mut self) {
        counting_begins();
    }

    fn ends(&mut self) {
        counting_ends();
    }

    fn turn_is_over(&mut self, _reports: &mut Inlet) {}
}

/// Callgrind sets its count to 0 when this is entered.
#[inline(never)]
fn counting_begins() {
    // The two marks differ, or the linker would make one of them.
    black_box("begins");
}

/// Callgrind writes its count when this is entered.
#[inline(never)]
fn counting_ends() {
    black_box("ends");
}
