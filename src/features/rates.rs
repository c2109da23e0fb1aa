//! How many packets in how much time: features 3, 9 and 14.

use super::real;
use super::schema::{
    BASELINE_BUCKET_SECS, BASELINE_HALF_LIFE_SECS, BURST_BUCKET_SECS, BURST_BUCKETS,
    RATE_BUCKET_SECS, RATE_BUCKETS, TEN_SECONDS_PER_MINUTE,
};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Counts in buckets that are aligned to the epoch, the current one first, and the mean of what went before.
///
/// Most packets fall into the same second as the one before: `second_left` tells so without a division.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Rates {
    /// Feature 14's `mu`: bias-corrected mean of packets per minute over the finished ten-second buckets.
    baseline: f64,
    /// Nanoseconds from the last packet to the end of its second.
    second_left: u32,
    /// How many ten-second buckets have finished. Saturates, which is harmless: see [`mean_after`].
    finished: u16,
    /// Feature 3: the sum of the five-second buckets, kept up to date.
    per_minute: u64,
    /// Feature 9: the sum of the one-second buckets.
    per_ten_seconds: u64,
    minute: [u32; RATE_BUCKETS],
    burst: [u32; BURST_BUCKETS],
}

const _: () = {
    assert!(BASELINE_BUCKET_SECS == 2 * RATE_BUCKET_SECS, "a finished bucket is found in two");
    assert!(BURST_BUCKET_SECS == 1, "the buckets of a burst are the seconds themselves");
};

impl Rates {
    /// No packet yet, at `moment`.
    pub(super) fn beginning_at(moment: Timestamp) -> Self {
        Self { second_left: nanos_left_in_second(moment), ..Self::default() }
    }

    /// Lets time pass from the last packet at `last` to `now`, which is not earlier.
    pub(super) fn advance(&mut self, last: Timestamp, now: Timestamp) {
        match u32::try_from(now.nanos_since(last)) {
            Ok(passed) if passed < self.second_left => self.second_left -= passed,
            _ => self.begin_second(last.as_secs(), now),
        }
    }

    /// Counts one packet in the current buckets.
    pub(super) const fn count(&mut self) {
        let [this_second, ..] = &mut self.burst;
        let [these_five, ..] = &mut self.minute;
        self.per_ten_seconds += (*this_second != u32::MAX) as u64;
        self.per_minute += (*these_five != u32::MAX) as u64;
        *this_second = this_second.saturating_add(1);
        *these_five = these_five.saturating_add(1);
    }

    /// Feature 3: packets in the current five-second bucket and the 11 before.
    pub(super) const fn per_minute(&self) -> u64 {
        self.per_minute
    }

    /// Feature 9: packets in the current second and the 9 before.
    pub(super) const fn per_ten_seconds(&self) -> u64 {
        self.per_ten_seconds
    }

    /// Feature 14, with feature 9 at hand.
    pub(super) fn deviation(&self, per_ten_seconds: u64) -> f64 {
        if self.finished == 0 {
            return 0.0;
        }
        TEN_SECONDS_PER_MINUTE * real(per_ten_seconds) - self.baseline
    }

    /// Moves every window on to the second of `now`; the last packet was in second `last`.
    fn begin_second(&mut self, last: i64, now: Timestamp) {
        let second = now.as_secs();
        self.finish_buckets(last, second);
        shift(&mut self.burst, second - last);
        let buckets_on = second.div_euclid(RATE_BUCKET_SECS) - last.div_euclid(RATE_BUCKET_SECS);
        shift(&mut self.minute, buckets_on);
        let sum = |buckets: &[u32]| buckets.iter().copied().map(u64::from).sum();
        (self.per_ten_seconds, self.per_minute) = (sum(&self.burst), sum(&self.minute));
        self.second_left = nanos_left_in_second(now);
    }

    /// Takes the ten-second buckets that end between the seconds `last` and `now` into the baseline. Only the first of them
    /// can hold packets, and they are the newest in `minute`: so this has to come before `minute` moves on.
    fn finish_buckets(&mut self, last: i64, now: i64) {
        let steps = now.div_euclid(BASELINE_BUCKET_SECS) - last.div_euclid(BASELINE_BUCKET_SECS);
        if steps == 0 {
            return;
        }
        let [newest, before, ..] = self.minute;
        let in_second_half = last.div_euclid(RATE_BUCKET_SECS).rem_euclid(2) == 1;
        let packets = u64::from(newest) + if in_second_half { u64::from(before) } else { 0 };
        let rate = TEN_SECONDS_PER_MINUTE * packets as f64;
        self.baseline = mean_after(self.baseline, self.finished, rate, steps);
        self.finished = self.finished.saturating_add(u16::try_from(steps).unwrap_or(u16::MAX));
    }
}

/// The bias-corrected mean of `finished` buckets, after another with `rate` and `steps - 1` empty ones.
///
/// With `w` the weight that a bucket loses per step, the weights of `n` buckets sum to `(1 - w^n) / (1 - w)`. Beyond about
/// 20,000 buckets `w^n` is below a rounding error, so `finished` may stand still at its largest value.
fn mean_after(mean: f64, finished: u16, rate: f64, steps: i64) -> f64 {
    let before = f64::from(finished);
    let steps = steps as f64;
    let sum = mean * (1.0 - weight_after(before)) * weight_after(steps)
        + rate * (1.0 - weight_after(1.0)) * weight_after(steps - 1.0);
    sum / (1.0 - weight_after(before + steps))
}

/// What is left of a bucket's weight after `steps` more.
fn weight_after(steps: f64) -> f64 {
    libm::exp2(-steps * (BASELINE_BUCKET_SECS as f64 / BASELINE_HALF_LIFE_SECS))
}

/// Moves the buckets `steps` back in time; those that come in are empty.
fn shift(buckets: &mut [u32], steps: i64) {
    let steps = usize::try_from(steps).unwrap_or(usize::MAX).min(buckets.len());
    buckets.rotate_right(steps);
    buckets.iter_mut().take(steps).for_each(|bucket| *bucket = 0);
}

fn nanos_left_in_second(moment: Timestamp) -> u32 {
    let left = NANOS_PER_SECOND - moment.as_nanos().rem_euclid(NANOS_PER_SECOND);
    u32::try_from(left).expect("a second has 10^9 nanoseconds")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts a packet at each of `millis`, ascending.
    fn rates_of(millis: &[i64]) -> Rates {
        let at = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        let mut last = at(millis[0]);
        let mut rates = Rates::beginning_at(last);
        for &ms in millis {
            rates.advance(last, at(ms));
            rates.count();
            last = at(ms);
        }
        rates
    }

    #[test]
    fn a_bucket_leaves_the_window_whole() {
        assert_eq!(rates_of(&[0, 999, 9_999]).per_ten_seconds(), 3);
        assert_eq!(rates_of(&[0, 999, 10_000]).per_ten_seconds(), 1);
        assert_eq!(rates_of(&[4_999, 59_999]).per_minute(), 2);
        assert_eq!(rates_of(&[4_999, 60_000]).per_minute(), 1);
    }

    #[test]
    fn buckets_before_the_epoch_are_aligned_too() {
        assert_eq!(rates_of(&[-10_001, -1]).per_ten_seconds(), 1);
        assert_eq!(rates_of(&[-10_000, -1]).per_ten_seconds(), 2);
    }

    #[test]
    fn there_is_no_deviation_before_a_bucket_has_finished() {
        let rates = rates_of(&[1, 2, 3, 9_999]);
        assert_eq!(rates.deviation(rates.per_ten_seconds()), 0.0);
        let rates = rates_of(&[1, 2, 3, 10_000]);
        assert_eq!(rates.per_ten_seconds(), 1, "the first three left with their second");
        assert!((rates.deviation(1) - (6.0 - 18.0)).abs() < 1e-9);
    }

    #[test]
    fn empty_buckets_count_in_the_mean() {
        let rates = rates_of(&[5_000, 30_000]);
        let w = 2.0_f64.powf(-1.0 / 360.0);
        let mean = 6.0 * w * w / (1.0 + w + w * w);
        assert!((rates.deviation(1) - (6.0 - mean)).abs() < 1e-9);
    }

    #[test]
    fn the_mean_stays_put_once_the_number_of_buckets_saturates() {
        let mean = mean_after(600.0, u16::MAX, 600.0, 1);
        assert_eq!(mean.to_bits(), mean_after(600.0, 30_000, 600.0, 1).to_bits());
        assert!((mean - 600.0).abs() < 1e-9);
    }

    #[test]
    fn any_leap_in_time_is_survived() {
        let mut rates = Rates::beginning_at(Timestamp::from_nanos(i64::MIN));
        rates.count();
        rates.advance(Timestamp::from_nanos(i64::MIN), Timestamp::from_nanos(i64::MAX));
        rates.count();
        assert_eq!((rates.per_minute(), rates.per_ten_seconds()), (1, 1));
        assert_eq!(rates.deviation(1), 6.0);
    }
}
