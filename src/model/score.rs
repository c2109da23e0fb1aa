//! The score, and the fixed-point arithmetic that makes it the same in any order.

/// How many units one edge of a tree counts. Path lengths are integers in these units, so that a sum over trees is exact
/// and does not depend on the order: a forest scored tree by tree, row by row or many at once gives the same bits.
pub(super) const UNITS_PER_EDGE: u32 = 1 << 24;

/// How alone a row is among the trained ones: `2^(-E[h(x)] / c(n))`, in (0, 1]; about 0.5 is ordinary, 1 is unique
/// (Liu, Ting, Zhou 2008, section 2).
///
/// Deliberately not `Ord`: a *short* path through the forest is a *high* score, and `a < b` leaves the reader to remember
/// which way round that is. Ask [`AnomalyScore::reaches`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnomalyScore(f32);

impl AnomalyScore {
    /// What a row scores whose paths are of average length.
    pub const AVERAGE: Self = Self(0.5);

    /// The score of this value; `None` outside (0, 1].
    #[must_use]
    pub fn new(value: f32) -> Option<Self> {
        (value > 0.0 && value <= 1.0).then_some(Self(value))
    }

    /// The value, in (0, 1].
    #[must_use]
    pub const fn value(self) -> f32 {
        self.0
    }

    /// Whether it is at least as anomalous as `bound`.
    #[must_use]
    pub fn reaches(self, bound: Self) -> bool {
        self.0 >= bound.0
    }
}

impl Default for AnomalyScore {
    /// [`AnomalyScore::AVERAGE`]: what a buffer holds before it is scored.
    fn default() -> Self {
        Self::AVERAGE
    }
}

/// The average length of an unsuccessful search in a binary search tree of `rows` rows, in edges: `c(n)` of the paper,
/// `2H(n-1) - 2(n-1)/n` with `H(i)` taken as `ln(i)` + Euler's constant, as scikit-learn does.
pub(super) fn average_path_length(rows: u32) -> f64 {
    /// Euler's constant.
    const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let rows = f64::from(rows);
            2.0 * (libm::log(rows - 1.0) + EULER_GAMMA) - 2.0 * (rows - 1.0) / rows
        }
    }
}

/// The path length of a leaf at `depth` that holds `rows` rows, in units.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a depth of at most 32 and c(2^32) < 44 are below 2^8 edges, so below 2^32 units; the cast saturates"
)]
pub(super) fn leaf_path(depth: u32, rows: u32) -> u32 {
    let edges = f64::from(depth) + average_path_length(rows);
    libm::round(edges * f64::from(UNITS_PER_EDGE)) as u32
}

/// From a sum of path lengths over all trees to the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Normaliser {
    /// The sum at which the score is a half, in units: the number of trees times `c(n)`.
    half: f64,
}

impl Normaliser {
    /// For `trees` trees of `subsample` rows each; `subsample` is at least 2, or every score would be 0/0.
    pub(super) fn new(trees: usize, subsample: u32) -> Self {
        let trees = f64::from(u32::try_from(trees).unwrap_or(u32::MAX));
        Self { half: trees * average_path_length(subsample) * f64::from(UNITS_PER_EDGE) }
    }

    /// How many times the sum halves the score.
    #[expect(
        clippy::cast_precision_loss,
        reason = "1,024 trees of 2^32 units are 2^42, exact in 53 bits"
    )]
    pub(super) fn halvings(self, units: i64) -> f64 {
        units as f64 / self.half
    }

    /// The score of a row whose path lengths sum to `sum` units.
    #[expect(clippy::cast_possible_truncation, reason = "the score is published as f32")]
    pub(super) fn score(self, sum: u64) -> AnomalyScore {
        let sum = i64::try_from(sum).unwrap_or(i64::MAX);
        AnomalyScore(libm::exp2(-self.halvings(sum)) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_path_lengths_are_those_of_the_paper() {
        // From the harmonic numbers themselves; the logarithm is an approximation of them.
        for (rows, close) in [(64_u32, 0.02), (256, 0.005), (4096, 0.001)] {
            let harmonic: f64 = (1..rows).map(|i| 1.0 / f64::from(i)).sum();
            let exact = 2.0 * harmonic - 2.0 * f64::from(rows - 1) / f64::from(rows);
            assert!((average_path_length(rows) - exact).abs() < 2.0 * close, "c({rows})");
        }
        assert!((average_path_length(256) - 10.244_770_920_1).abs() < 1e-9);
    }

    #[test]
    fn the_score_is_a_half_at_the_average_path_and_one_at_the_root() {
        let normaliser = Normaliser::new(100, 256);
        let average = 100 * u64::from(leaf_path(0, 256));
        assert!((normaliser.score(average).value() - 0.5).abs() < 1e-6);
        assert_eq!(normaliser.score(0), AnomalyScore::new(1.0).unwrap());
    }

    #[test]
    fn the_longest_path_there_can_be_still_scores_above_nothing() {
        let longest = 1024 * u64::from(leaf_path(32, u32::MAX));
        assert!(AnomalyScore::new(Normaliser::new(1024, 2).score(longest).value()).is_some());
    }

    #[test]
    fn what_is_no_score_is_refused() {
        for value in [0.0, -0.1, 1.000_001, f32::NAN, f32::INFINITY] {
            assert_eq!(AnomalyScore::new(value), None, "{value}");
        }
    }
}
