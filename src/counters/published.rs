//! A worker's counters as others may see them: written once per turn by the worker alone, read at any time by anyone.
//!
//! Each number is whole, but numbers read while the worker writes can be of two turns: what must add up exactly is checked
//! with markers, which travel in the worker's own ring.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Counters, Distribution, Stage, StageNanos};
use crate::decode::Reason;
use crate::sources::SourceCounters;
use crate::verdict::Level;

/// One worker's published counters.
#[derive(Debug, Default)]
pub struct Published {
    counters: Table<COUNTERS>,
    latency: Table<{ LATENCY_NANOS_BOUNDS.len() + 2 }>,
    /// How long a turn stayed in each stage.
    turns: [Distribution; Stage::ALL.len()],
    beats: AtomicU64,
    settled: AtomicU64,
}

/// What stands for the beats of a worker that has left.
const LEFT: u64 = u64::MAX;

/// What stands for the beats of a worker that has panicked.
const DIED: u64 = u64::MAX - 1;

/// Upper bounds of the buckets of the time from a frame's receipt to its verdict in the ring, nanoseconds.
pub const LATENCY_NANOS_BOUNDS: [u64; 20] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// How long frames took to their verdict in the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Frames by bucket, the last without a bound; not cumulative.
    pub counts: [u64; LATENCY_NANOS_BOUNDS.len() + 1],
    /// The sum, nanoseconds.
    pub sum: u64,
}

impl Latency {
    /// `frames` frames took `nanos` each.
    pub fn record(&mut self, nanos: u64, frames: u64) {
        let at = LATENCY_NANOS_BOUNDS.partition_point(|bound| *bound < nanos);
        if let Some(count) = self.counts.get_mut(at) {
            *count += frames;
        }
        self.sum = self.sum.saturating_add(nanos.saturating_mul(frames));
    }
}

impl Published {
    /// Publishes. Only the worker calls this.
    pub fn publish(&self, counters: &Counters, latency: &Latency) {
        let mut counters = *counters;
        self.counters.write(counters.numbers().map(|number| *number));
        let Latency { mut counts, mut sum } = *latency;
        self.latency.write(counts.iter_mut().chain([&mut sum]).map(|number| *number));
    }

    /// A turn stayed in a stage for so long. Only the worker calls this.
    pub fn stayed(&self, stage: Stage, nanos: u64) {
        if let Some(turns) = self.turns.get(stage as usize) {
            turns.record(nanos, 1);
        }
    }

    /// How long turns stayed in each stage, in the order of [`Stage::ALL`].
    #[must_use]
    pub const fn turns(&self) -> &[Distribution; Stage::ALL.len()] {
        &self.turns
    }

    /// The worker's loop has turned once more, idle or not: this is how others see that it moves. Only the worker calls this.
    pub fn beat(&self) {
        // There is one writer, so that nothing can come between.
        self.beats.store(self.beats.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The worker is done: that it no longer moves is in order. Only the worker calls this.
    pub fn leave(&self) {
        self.beats.store(LEFT, Ordering::Release);
    }

    /// No packet that was looked at with a detection of a lower number is on its way to this worker or waits in it, and none will be.
    /// Only the worker calls this.
    pub fn settle(&self, detection: u64) {
        // Release: whoever sees it finds in the ring what was judged before.
        self.settled.store(detection, Ordering::Release);
    }

    /// The number of the detection that this worker has moved on to, with all who hand packets over to it.
    #[must_use]
    pub fn settled(&self) -> u64 {
        if self.has_left() { u64::MAX } else { self.settled.load(Ordering::Acquire) }
    }

    /// The worker has panicked: nobody takes what comes to it. Only the worker calls this.
    pub fn die(&self) {
        self.beats.store(DIED, Ordering::Relaxed);
    }

    /// How often the worker's loop has turned.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// Whether the worker is done.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.beats() == LEFT
    }

    /// Whether the worker has panicked.
    #[must_use]
    pub fn has_died(&self) -> bool {
        self.beats() == DIED
    }

    /// What was published last.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        self.counters.read(counters.numbers());
        counters
    }

    /// What was published last.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut latency = Latency::default();
        let Latency { counts, sum } = &mut latency;
        self.latency.read(counts.iter_mut().chain([sum]));
        latency
    }
}

/// Numbers that one thread writes.
#[derive(Debug)]
struct Table<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Table<N> {
    fn write(&self, numbers: impl Iterator<Item = u64>) {
        for (place, number) in self.0.iter().zip(numbers) {
            place.store(number, Ordering::Relaxed);
        }
    }

    fn read<'a>(&self, numbers: impl Iterator<Item = &'a mut u64>) {
        for (place, number) in self.0.iter().zip(numbers) {
            *number = place.load(Ordering::Relaxed);
        }
    }
}

/// How many numbers [`Counters`] holds.
const COUNTERS: usize = 17 + Reason::ALL.len() + 2 * Level::ALL.len() + 5 + 8;

impl Counters {
    /// Every number, in one fixed order. Destructured without `..`, so that a new one does not compile until it is published.
    fn numbers(&mut self) -> impl Iterator<Item = &mut u64> {
        let Self {
            taken,
            taken_bytes,
            decoded,
            not_ip,
            undecodable,
            handed,
            handover_full,
            towards_made,
            towards_handed,
            towards_full,
            scored,
            levels,
            towards_counted,
            late,
            victims,
            enqueued,
            ring_full,
            rules_left_out,
            inspections_cut_short,
            thresholds_evicted,
            sources,
            stage_nanos,
        } = self;
        let SourceCounters { inserted, evicted, expired, denied, live } = sources;
        let StageNanos { capture, decode, inspect, handover, features, model, judge, ring } =
            stage_nanos;
        [taken, taken_bytes, decoded, not_ip, handed, handover_full, towards_made, towards_handed]
            .into_iter()
            .chain([towards_full, scored, towards_counted, victims, enqueued, rules_left_out])
            .chain([inspections_cut_short, thresholds_evicted, late])
            .chain(undecodable)
            .chain(levels)
            .chain(ring_full)
            .chain([inserted, evicted, expired, denied, live])
            .chain([capture, decode, inspect, handover, features, model, judge, ring])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_read() {
        let mut counters = Counters::default();
        let mut next = 0;
        for number in counters.numbers() {
            next += 1;
            *number = next;
        }
        assert_eq!(next, COUNTERS as u64, "every number has a place");
        let mut latency = Latency::default();
        latency.record(1_500, 3);
        latency.record(u64::MAX, 1);
        let published = Published::default();
        published.publish(&counters, &latency);
        assert_eq!(published.counters(), counters);
        assert_eq!(published.latency(), latency);
    }

    #[test]
    fn a_worker_moves_until_it_leaves() {
        let published = Published::default();
        assert_eq!(published.beats(), 0);
        published.beat();
        published.beat();
        assert_eq!(published.beats(), 2);
        assert!(!published.has_left());
        published.leave();
        assert!(published.has_left());
        assert!(!published.has_died());
    }

    #[test]
    fn a_worker_that_has_died_has_not_left() {
        let published = Published::default();
        published.beat();
        published.die();
        assert!(published.has_died());
        assert!(!published.has_left());
    }
}
