//! How far a packet is from the habits of its own source: features 10 and 15.

use super::real;
use super::schema::{DEVIATION_FLOORS, Z_EARLIER_MIN, Z_LIMIT};

/// Running mean and spread of the four measures: packet length, and `ln(1 + f)` of features 3, 9 and 13.
///
/// Welford's recurrence (Technometrics 4, 1962), which does not lose the variance of large, nearly equal values. The number
/// of packets is the same for all four and is kept by the owner.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    means: [f64; MEASURES],
    /// The sums of squared distances from the means.
    squares: [f64; MEASURES],
}

const MEASURES: usize = 4;

impl Habits {
    /// The signed z of largest magnitude of `values` against the `earlier` packets; the first of equals.
    pub(super) fn z_score(&self, values: [f64; MEASURES], earlier: u64) -> f64 {
        if earlier < Z_EARLIER_MIN {
            return 0.0;
        }
        let per_degree = 1.0 / real(earlier - 1);
        // One operation after the other for all four, so that a vector instruction takes two at once.
        let mut deviations = self.squares;
        for (deviation, floor) in deviations.iter_mut().zip(DEVIATION_FLOORS) {
            *deviation = (*deviation * per_degree).sqrt().max(floor);
        }
        let mut scores = values;
        for ((score, mean), deviation) in scores.iter_mut().zip(self.means).zip(deviations) {
            *score = (*score - mean) / deviation;
        }
        let farther = |largest: f64, z: f64| if z.abs() > largest.abs() { z } else { largest };
        scores.into_iter().fold(0.0, farther).clamp(-Z_LIMIT, Z_LIMIT)
    }

    /// Adds the values of a packet, the source's `count`-th (1 for the first).
    pub(super) fn add(&mut self, values: [f64; MEASURES], count: u64) {
        let share = 1.0 / real(count);
        for ((mean, squares), value) in self.means.iter_mut().zip(&mut self.squares).zip(values) {
            let before = value - *mean;
            *mean += before * share;
            *squares += before * (value - *mean);
        }
    }

    /// Sample variance of the packet length over `count` packets, bytes^2; 0 below two.
    pub(super) const fn length_variance(&self, count: u64) -> f64 {
        if count < 2 {
            return 0.0;
        }
        let [length, ..] = self.squares;
        length / real(count - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn habits_of(packets: &[[f64; 4]]) -> Habits {
        let mut habits = Habits::default();
        for (count, &values) in (1..).zip(packets) {
            habits.add(values, count);
        }
        habits
    }

    #[test]
    fn a_source_of_few_packets_has_no_habits() {
        let habits = habits_of(&[[100.0, 1.0, 1.0, 1.0]; 7]);
        assert_eq!(habits.z_score([9000.0, 1.0, 1.0, 1.0], 7), 0.0);
    }

    #[test]
    fn an_unvarying_source_is_measured_against_the_floor() {
        let habits = habits_of(&[[100.0, 1.0, 1.0, 1.0]; 8]);
        assert_eq!(habits.z_score([97.0, 1.0, 1.0, 1.0], 8), -3.0);
        assert_eq!(habits.z_score([100.0, 1.0, 1.1, 1.0], 8), (1.1 - 1.0) / 0.05);
    }

    #[test]
    fn the_largest_magnitude_is_chosen_before_it_is_clipped() {
        let habits = habits_of(&[[100.0, 1.0, 1.0, 1.0]; 8]);
        assert_eq!(habits.z_score([80.0, 1.0, 1.0, 1.6], 8), -10.0, "-20 outweighs +12");
        assert_eq!(habits.z_score([98.0, 1.0, 1.0, 1.6], 8), 10.0);
    }

    proptest! {
        /// The law: the variance does not depend on where zero is. A sum of squares fails it.
        #[test]
        fn the_variance_is_that_of_two_passes(
            lengths in prop::collection::vec(0_u32..70_000, 2..200),
            shift in prop::sample::select(vec![0_u32, 1_000_000_000, u32::MAX - 70_000]),
        ) {
            let values: Vec<f64> = lengths.iter().map(|&length| f64::from(length + shift)).collect();
            let packets: Vec<[f64; 4]> = values.iter().map(|&v| [v, 0.0, 0.0, 0.0]).collect();
            let n = values.len() as f64;
            let mean = lengths.iter().map(|&l| f64::from(l)).sum::<f64>() / n;
            let squares = lengths.iter().map(|&l| (f64::from(l) - mean).powi(2)).sum::<f64>();
            let measured = habits_of(&packets).length_variance(values.len() as u64);
            let expected = squares / (n - 1.0);
            prop_assert!((measured - expected).abs() <= 1e-6 * expected.max(1.0), "{} {}", measured, expected);
        }
    }
}
