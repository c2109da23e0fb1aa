//! Whole turns: a real worker that receives, decodes, inspects, hands over to itself, measures, scores, judges and reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use phantomnet::capture::{Batch, FrameSource, Received};
use phantomnet::counters::Counters;
use phantomnet::handover::{self, Order};
use phantomnet::latest::Publisher;
use phantomnet::owner::{Owner, Placement};
use phantomnet::ring::{self, Inlet};
use phantomnet::worker::{Leaving, Parts, WhenFull, Worker};

use super::detection::default_detection;
use super::judging::params;
use super::mixes::{Mix, Playback};

/// What happens between turns.
pub(crate) trait Watch {
    /// The warm-up is over.
    fn begins(&mut self);
    /// What was to be measured has been judged.
    fn ends(&mut self);
    /// A turn has been judged: what it reported may be taken.
    fn turn_is_over(&mut self, reports: &mut Inlet);
}

/// Which turns are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up: u64,
    pub(crate) measured: u64,
}

/// Plays traffic, and tells the watch of the worker's progress: a worker asks for frames when it has judged those before.
struct Watched<'a, W> {
    traffic: Playback,
    span: Span,
    turn: u64,
    reports: Inlet,
    watch: &'a mut W,
}

impl<W: Watch> FrameSource for Watched<'_, W> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        self.watch.turn_is_over(&mut self.reports);
        if self.turn == self.span.warm_up {
            self.watch.begins();
        }
        if self.turn == self.span.warm_up + self.span.measured {
            self.watch.ends();
            return Received::End;
        }
        self.traffic.fill(batch, self.turn);
        self.turn += 1;
        Received::Frames
    }
}

/// Lets a worker judge the mix under watch, with so many places in its ring.
pub(crate) fn run(mix: Mix, span: Span, places: usize, watch: &mut impl Watch) -> Counters {
    let params = params();
    let detection = Publisher::new(default_detection());
    let (outlet, reports) = ring::reports(places);
    let mut worker = Worker::new(Parts {
        source: Watched { traffic: mix.play(), span, turn: 0, reports, watch },
        handover: handover::mesh(1, Order::Turns).pop().expect("one worker, one end"),
        owner: Owner::new(0, Placement::new(params.keyer, 1), &params.owner),
        detection: detection.reader(),
        verdicts: outlet,
        when_full: WhenFull::Wait,
        published: Arc::default(),
        // Time since a moment that is yet to come is 0: so no number of instructions depends on how long anything takes.
        started: Instant::now() + Duration::from_secs(3600),
    });
    worker.run();
    worker.leave(Leaving::InOrder).counters
}
