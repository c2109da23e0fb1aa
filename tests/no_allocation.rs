//! A worker allocates nothing after its first turns. A program of its own, because it counts every allocation there is.

use std::alloc::System;
use std::sync::Arc;
use std::time::Instant;

use phantomnet::capture::{Batch, FrameSource, Received};
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::handover;
use phantomnet::latest::Publisher;
use phantomnet::owner::{Owner, Placement};
use phantomnet::ring;
use phantomnet::synth::{Attack, GeneratedFrames, Plan};
use phantomnet::time::Timestamp;
use phantomnet::verdict::InForce;
use phantomnet::worker::{Leaving, Parts, WhenFull, Worker};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns after which nothing may be allocated any more.
const WARM_UP_TURNS: usize = 8;

/// Batches made beforehand, and what had been allocated when the warm-up was over and when the last one was given.
struct Prepared {
    batches: std::vec::IntoIter<Batch>,
    given: usize,
    warm: Option<Stats>,
    end: Option<Stats>,
}

impl FrameSource for Prepared {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        if self.given == WARM_UP_TURNS {
            self.warm = Some(ALLOCATOR.stats());
        }
        self.given += 1;
        match self.batches.next() {
            Some(mut next) => {
                std::mem::swap(batch, &mut next);
                // Freed later: this test counts what the worker does, not what its source does.
                std::mem::forget(next);
                Received::Frames
            }
            None => {
                self.end.get_or_insert_with(|| ALLOCATOR.stats());
                Received::End
            }
        }
    }
}

fn prepared() -> Prepared {
    let plan = Plan::new(40_000, 3).with_attacks(&Attack::ALL);
    let mut frames = GeneratedFrames::new(&plan).expect("the plan is a good one");
    let mut batches = Vec::new();
    loop {
        let mut batch = Batch::new();
        if frames.receive(&mut batch) != Received::Frames {
            break;
        }
        batches.push(batch);
    }
    Prepared { batches: batches.into_iter(), given: 0, warm: None, end: None }
}

#[test]
fn a_worker_allocates_nothing_after_its_first_turns() {
    let config = Config::default();
    let params = setup::sensor_params(&config, 1).unwrap();
    let detection =
        Publisher::new(InForce::first(setup::load_detection(&config, Timestamp::EPOCH).unwrap()));
    let placement = Placement::new(params.keyer, 1);
    let (outlet, mut inlet) = ring::reports(1 << 18);
    let mut worker = Worker::new(Parts {
        source: prepared(),
        handover: handover::mesh(1, handover::Order::Turns).pop().unwrap(),
        owner: Owner::new(0, placement, &params.owner),
        detection: detection.reader(),
        verdicts: outlet,
        when_full: WhenFull::Wait,
        published: Arc::default(),
        started: Instant::now(),
    });
    worker.run();
    let finished = worker.leave(Leaving::InOrder);
    assert_eq!(
        finished.counters.scored,
        40_000 - finished.counters.not_ip,
        "everything was judged"
    );
    assert!(finished.counters.victims > 0, "counting by destination was part of it");
    assert!(std::iter::from_fn(|| inlet.take()).count() > 39_000);

    let (warm, end) = (finished.source.warm.unwrap(), finished.source.end.unwrap());
    let since = end - warm;
    assert_eq!((since.allocations, since.reallocations), (0, 0), "{since:?}");
}
