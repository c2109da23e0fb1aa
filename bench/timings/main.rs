//! What each stage takes in time, by criterion: bench/README.md.

#[path = "../inputs/mod.rs"]
mod inputs;
#[path = "../work/mod.rs"]
mod work;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::ring::Inlet;

use inputs::mixes::Mix;
use inputs::turns::{Span, Watch, run};
use work::{Work, all};

/// Turns before the clock is started: every source of every mix has been seen by then.
const WARM_UP_TURNS: u64 = 96;

/// Places in the ring: it is emptied after each turn.
const RING_PLACES: usize = 1 << 13;

/// Reads the clock around the turns, without the time it takes to empty the ring: that is the collector's.
#[derive(Default)]
struct Clock {
    began: Option<Instant>,
    taken: Duration,
    emptying: Duration,
}

impl Watch for Clock {
    fn begins(&mut self) {
        self.emptying = Duration::ZERO;
        self.began = Some(Instant::now());
    }

    fn ends(&mut self) {
        let began = self.began.expect("it begins before it ends");
        self.taken = began.elapsed().saturating_sub(self.emptying);
    }

    fn turn_is_over(&mut self, reports: &mut Inlet) {
        let began = Instant::now();
        while reports.take().is_some() {}
        self.emptying += began.elapsed();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for work in all() {
        time(&mut criterion, &work);
    }
    for mix in Mix::ALL {
        time_whole_turns(&mut criterion, mix);
    }
    criterion.final_summary();
}

fn time(criterion: &mut Criterion, work: &Work) {
    let (stage, input) = work.name.split_once('/').unwrap_or((&work.name, ""));
    let mut group = criterion.benchmark_group(stage);
    group.throughput(Throughput::Elements(work.packets));
    // Prepared when it is clear that it is wanted.
    let mut turn = None;
    group.bench_function(input, |bencher| {
        bencher.iter(turn.get_or_insert_with(|| (work.prepare)()));
    });
    group.finish();
}

fn time_whole_turns(criterion: &mut Criterion, mix: Mix) {
    let mut group = criterion.benchmark_group("turn");
    group.throughput(Throughput::Elements(TURN_FRAMES_MAX as u64));
    // Each sample has a worker of its own, so there are few.
    group.sample_size(10).sampling_mode(criterion::SamplingMode::Flat);
    group.bench_function(mix.name(), |bencher| {
        bencher.iter_custom(|measured| {
            let mut clock = Clock::default();
            run(mix, Span { warm_up: WARM_UP_TURNS, measured }, RING_PLACES, &mut clock);
            clock.taken
        });
    });
    group.finish();
}
