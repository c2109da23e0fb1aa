//! Durations as one thread counts them and any other may read them: buckets after the manner of HDR histograms.
//!
//! The `hdrhistogram` crate has recorders that other threads read from, but what they have counted goes through a channel, and a worker
//! allocates nothing. So a worker counts here, and whoever reads makes one of that crate's histograms of all workers' counts.

use std::iter::repeat_with;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// How many buckets each power of two is cut into, as a power of two: a bucket is at most 3 % wide.
const STEP_BITS: u32 = 5;
const STEPS: u64 = 1 << STEP_BITS;
/// Durations from here on share the last bucket: 68 seconds.
const NANOS_BITS: u32 = 36;
const NANOS_MAX: u64 = (1 << NANOS_BITS) - 1;
const BUCKETS: usize = ((NANOS_BITS - STEP_BITS + 1) as usize) << STEP_BITS;

/// Durations, counted by one thread. Fixed in size.
#[derive(Debug)]
pub struct Distribution(Box<[AtomicU64]>);

impl Default for Distribution {
    fn default() -> Self {
        Self(repeat_with(AtomicU64::default).take(BUCKETS).collect())
    }
}

impl Distribution {
    /// A duration came so many times. One thread alone calls this.
    pub fn record(&self, nanos: u64, times: u64) {
        if let Some(count) = self.0.get(bucket_of(nanos)) {
            // There is one writer, so that nothing can come between.
            count.store(count.load(Ordering::Relaxed).wrapping_add(times), Ordering::Relaxed);
        }
    }

    /// An empty histogram that takes whatever distributions hold.
    #[must_use]
    pub fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, NANOS_MAX, 2).expect("the bounds are constants in order")
    }

    /// Adds what was counted, each duration as the longest of its bucket.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (bucket, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                histogram.saturating_record_n(longest_of(bucket), count);
            }
        }
    }
}

/// The bucket of a duration.
fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.min(NANOS_MAX);
    // Below the second power of two that is cut, each number has a bucket of its own.
    let width_bits = (nanos | STEPS).ilog2() - STEP_BITS;
    let bucket = (u64::from(width_bits) << STEP_BITS) + (nanos >> width_bits);
    usize::try_from(bucket).unwrap_or(BUCKETS)
}

/// The longest duration of a bucket.
fn longest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let width_bits = (bucket >> STEP_BITS).saturating_sub(1);
    let within = bucket - (width_bits << STEP_BITS);
    ((within + 1) << width_bits) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(next), bucket, "the shortest of bucket {bucket}: {next}");
            let longest = longest_of(bucket);
            assert_eq!(bucket_of(longest), bucket, "the longest of bucket {bucket}: {longest}");
            next = longest + 1;
        }
        assert_eq!(next, NANOS_MAX + 1);
    }

    proptest! {
        #[test]
        fn quantiles_are_those_of_a_sorted_list_within_the_width_of_a_bucket(
            durations in prop::collection::vec(prop_oneof![0..2_000_u64, 0..NANOS_MAX, any::<u64>()], 1..300),
        ) {
            let workers = [Distribution::default(), Distribution::default()];
            for (nth, &nanos) in durations.iter().enumerate() {
                workers[nth % 2].record(nanos, 1);
            }
            let mut merged = Distribution::histogram();
            workers.iter().for_each(|worker| worker.add_to(&mut merged));
            let mut sorted: Vec<u64> = durations.iter().map(|&nanos| nanos.min(NANOS_MAX)).collect();
            sorted.sort_unstable();
            prop_assert_eq!(merged.len(), sorted.len() as u64);
            for percent in [50, 99, 100] {
                let place = (percent * sorted.len()).div_ceil(100);
                let exact = sorted[place.max(1) - 1] as f64;
                let found = merged.value_at_quantile(percent as f64 / 100.0) as f64;
                prop_assert!((found - exact).abs() <= 1.0 + 0.05 * exact, "{}: {} for {}", percent, found, exact);
            }
        }
    }
}
