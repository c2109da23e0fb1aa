//! What a score means: where it lies among the scores of known rows.

use super::score::AnomalyScore;

/// Steps between the quantiles that are kept, in millionths: coarse in the crowd, fine where verdicts are made.
///
/// The policy has a floor at the quantile 0.9999; the last ten-thousandth is kept to the millionth.
const STEPS: [(u64, usize); 4] = [(0, 1_000), (990_000, 100), (999_000, 10), (999_900, 1)];
/// One, in millionths.
const WHOLE: u64 = 1_000_000;
/// Knots that [`STEPS`] can give, and the greatest score.
pub(super) const KNOTS_MAX: usize = 990 + 90 + 90 + 100 + 1;

/// One score of the calibration, and how many rows lie on either side of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Knot {
    pub(super) score: f32,
    /// Rows that score less.
    pub(super) below: u64,
    /// Rows that score less or as much.
    pub(super) up_to: u64,
}

/// The scores of the calibration rows as quantiles, and the score from which a row counts as anomalous.
///
/// Holding one tells you: at least one row; knots strictly rising in score and count, the last one counts every row;
/// contamination in (0, 0.5].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Calibration {
    rows: u64,
    contamination: f64,
    /// scikit-learn's `offset_`: the negative score from which a row counts as anomalous.
    offset: f64,
    /// The knots' scores by themselves: what the search walks.
    scores: Box<[f32]>,
    /// Beside each score: rows below it, rows up to it.
    counts: Box<[(u64, u64)]>,
    /// The same as shares, from each knot to the next.
    segments: Box<[Segment]>,
    /// For each stretch of scores, as many of `scores` as lie before it: where the search begins.
    before: Box<[u16]>,
}

/// The shares from one knot to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    score: f32,
    /// The share of rows that score less than the knot.
    at: f64,
    /// The same right above the knot, how fast it rises from there, and where it ends.
    above: f64,
    rise: f64,
    end: f64,
}

impl Segment {
    /// From a knot to the next one, if there is one, among so many rows.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are below 2^53")]
    fn new(knot: &Knot, next: Option<&Knot>, rows: u64) -> Self {
        let share = |count: u64| count as f64 / rows as f64;
        let (above, end) = (share(knot.up_to), next.map_or(1.0, |next| share(next.below)));
        let width = next.map_or(1.0, |next| f64::from(next.score) - f64::from(knot.score));
        let rise = (end - above) / width;
        Self { score: knot.score, at: share(knot.below), above, rise, end }
    }

    /// At the knot or above it.
    fn share_below(&self, score: f32) -> f64 {
        if score == self.score {
            return self.at;
        }
        let way = f64::from(score) - f64::from(self.score);
        (self.above + way * self.rise).min(self.end)
    }
}

/// Stretches that the scores from 0 to 1 are cut into: a power of two, so that multiplying by it is exact.
const STRETCHES: u16 = 16_384;
const _: () = assert!(KNOTS_MAX <= u16::MAX as usize, "a number of knots is 16 bits");

impl Calibration {
    /// From the scores of rows. `offset`: `None` puts it at the quantile `1 - contamination`.
    pub(super) fn from_scores(
        mut scores: Vec<f32>,
        contamination: f64,
        offset: Option<f64>,
    ) -> Result<Self, String> {
        scores.sort_by(f32::total_cmp);
        let knots = knots(&scores);
        let offset = offset.unwrap_or_else(|| -f64::from(threshold(&scores, contamination)));
        Self::from_knots(scores.len() as u64, contamination, offset, &knots)
    }

    /// From what a file holds. Proves everything the type promises.
    pub(super) fn from_knots(
        rows: u64,
        contamination: f64,
        offset: f64,
        knots: &[Knot],
    ) -> Result<Self, String> {
        check_contamination(contamination)?;
        if !(-1.0..=0.0).contains(&offset) {
            return Err(format!("the offset is {offset}; it must be from -1 to 0"));
        }
        if knots.len() > KNOTS_MAX {
            return Err(format!("{} quantiles; at most {KNOTS_MAX} are allowed", knots.len()));
        }
        let mut before = Knot { score: 0.0, below: 0, up_to: 0 };
        for (index, knot) in knots.iter().enumerate() {
            let rises = knot.score > before.score
                && knot.score <= 1.0
                && knot.below >= before.up_to
                && knot.up_to > knot.below;
            if !rises {
                return Err(format!("quantile {index} does not rise above the one before it"));
            }
            before = *knot;
        }
        if rows == 0 || before.up_to != rows {
            return Err(format!("the quantiles count {} of {rows} rows", before.up_to));
        }
        let before = (0..=STRETCHES).map(|stretch| {
            let start = f32::from(stretch) / f32::from(STRETCHES);
            u16::try_from(knots.partition_point(|knot| knot.score < start)).unwrap_or(u16::MAX)
        });
        Ok(Self {
            rows,
            contamination,
            offset,
            before: before.collect(),
            segments: knots
                .iter()
                .zip(knots.iter().skip(1).map(Some).chain([None]))
                .map(|(knot, next)| Segment::new(knot, next, rows))
                .collect(),
            scores: knots.iter().map(|knot| knot.score).collect(),
            counts: knots.iter().map(|knot| (knot.below, knot.up_to)).collect(),
        })
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) const fn contamination(&self) -> f64 {
        self.contamination
    }

    pub(super) const fn offset(&self) -> f64 {
        self.offset
    }

    pub(super) fn knots(&self) -> impl Iterator<Item = Knot> {
        self.scores.iter().zip(&self.counts).map(|(&score, &(below, up_to))| Knot {
            score,
            below,
            up_to,
        })
    }

    /// The share of calibration rows that score less: exact at a knot, and between two knots on the line between them.
    fn share_below(&self, score: AnomalyScore) -> f64 {
        let score = score.value();
        let at_or_below = self.knots_up_to(score).checked_sub(1);
        let segment = at_or_below.and_then(|at| self.segments.get(at));
        segment.map_or(0.0, |segment| segment.share_below(score))
    }

    /// How many of the knots score at most as much.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a score is above 0 and at most 1"
    )]
    fn knots_up_to(&self, score: f32) -> usize {
        let stretch = (score * f32::from(STRETCHES)) as usize;
        let mut up_to = self.before.get(stretch).copied().map_or(0, usize::from);
        // Hardly ever more than one step: a stretch is narrower than most knots are apart.
        while self.scores.get(up_to).is_some_and(|&knot| knot <= score) {
            up_to += 1;
        }
        up_to
    }

    pub(super) fn quantile(&self, score: AnomalyScore) -> f32 {
        self.quantile_and_risk(score).0
    }

    pub(super) fn risk(&self, score: AnomalyScore) -> f32 {
        self.quantile_and_risk(score).1
    }

    /// The share as f32, and the risk: 0 up to the quantile `1 - contamination`, then rising in a straight line to 100 at the
    /// quantile 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a quantile is published as f32, 6e-8 near 1, and so is a risk"
    )]
    pub(super) fn quantile_and_risk(&self, score: AnomalyScore) -> (f32, f32) {
        let share = self.share_below(score);
        let beyond = share - (1.0 - self.contamination);
        if beyond <= 0.0 {
            return (share as f32, 0.0);
        }
        (share as f32, (100.0 * (beyond / self.contamination).min(1.0)) as f32)
    }

    /// scikit-learn's `decision_function`: negative = anomalous.
    #[expect(clippy::cast_possible_truncation, reason = "published as f32")]
    pub(super) fn ai_score(&self, score: AnomalyScore) -> f32 {
        (-f64::from(score.value()) - self.offset) as f32
    }
}

pub(super) fn check_contamination(contamination: f64) -> Result<(), String> {
    if contamination > 0.0 && contamination <= 0.5 {
        return Ok(());
    }
    Err(format!("contamination = {contamination}: must be above 0 and at most 0.5, such as 0.01"))
}

/// The share of `scores` above the threshold of `offset`: what scikit-learn would call anomalous among them.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are below 2^53")]
pub(super) fn share_anomalous(scores: &[f32], offset: f64) -> f64 {
    let anomalous = scores.iter().filter(|&&score| f64::from(score) > -offset).count();
    anomalous as f64 / scores.len().max(1) as f64
}

/// The score at the quantile `1 - contamination` of sorted scores.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an index below the number of scores, which is below 2^53; the cast saturates"
)]
fn threshold(sorted: &[f32], contamination: f64) -> f32 {
    let index = (sorted.len() as f64 * (1.0 - contamination)) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(1.0)
}

/// The knots of sorted scores: the score at each quantile of [`STEPS`], each once, and the greatest.
fn knots(sorted: &[f32]) -> Vec<Knot> {
    let rows = sorted.len();
    let ends = STEPS.iter().skip(1).map(|&(start, _)| start).chain([WHOLE]);
    let levels =
        STEPS.iter().zip(ends).flat_map(|(&(start, step), end)| (start..end).step_by(step));
    let ranks = levels.filter_map(|level| {
        usize::try_from(rows as u128 * u128::from(level) / u128::from(WHOLE)).ok()
    });
    let mut knots: Vec<Knot> = vec![];
    for score in ranks.chain(rows.checked_sub(1)).filter_map(|rank| sorted.get(rank).copied()) {
        if knots.last().is_none_or(|knot| knot.score < score) {
            let below = sorted.partition_point(|&other| other < score) as u64;
            let up_to = sorted.partition_point(|&other| other <= score) as u64;
            knots.push(Knot { score, below, up_to });
        }
    }
    knots
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn score(value: f32) -> AnomalyScore {
        AnomalyScore::new(value).unwrap()
    }

    /// The place in [`tail`] below which this share of it lies.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 200,000"
    )]
    fn place(share: f64) -> usize {
        (share * 200_000.0) as usize
    }

    /// 200,000 different scores from 0.3 up, the largest far out.
    fn tail() -> Vec<f32> {
        (0..200_000_u32).map(|i| 0.3 + 0.5 * i as f32 / 200_000.0).collect()
    }

    #[test]
    fn quantiles_are_the_share_of_rows_below() {
        let scores: Vec<f32> = tail();
        let calibration = Calibration::from_scores(scores.clone(), 0.01, None).unwrap();
        for (share, allowed) in [(0.2, 1e-3), (0.9915, 1e-4), (0.9995, 1e-5), (0.99993, 2e-6)] {
            let probe = scores[place(share)];
            let quantile = calibration.share_below(score(probe));
            assert!((quantile - share).abs() <= allowed, "{share}: {quantile}");
        }
        assert_eq!(calibration.quantile(score(1.0)), 1.0);
        assert_eq!(calibration.quantile(score(0.3)), 0.0, "no row scores less than the least");
        assert!(calibration.scores.len() <= KNOTS_MAX);
    }

    #[test]
    fn a_score_that_many_rows_share_counts_only_what_lies_below() {
        let scores = [vec![0.4; 900], vec![0.7; 100]].concat();
        let calibration = Calibration::from_scores(scores, 0.05, None).unwrap();
        assert_eq!(calibration.quantile(score(0.7)), 0.9);
        assert_eq!(calibration.quantile(score(0.55)), 0.9);
        assert_eq!(calibration.quantile(score(0.71)), 1.0);
        assert_eq!(calibration.risk(score(0.7)), 0.0);
        assert_eq!(calibration.risk(score(0.71)), 100.0);
    }

    #[test]
    fn risk_begins_where_contamination_says_and_ends_at_a_hundred() {
        let scores = tail();
        let calibration = Calibration::from_scores(scores.clone(), 0.02, None).unwrap();
        let at = |share: f64| calibration.risk(score(scores[place(share)]));
        assert_eq!(at(0.97), 0.0);
        assert!(at(0.979_99).abs() < 0.01);
        assert!((at(0.99) - 50.0).abs() < 0.1);
        assert!((at(0.999_99) - 99.95).abs() < 0.01);
        assert_eq!(calibration.risk(score(1.0)), 100.0);
    }

    #[test]
    fn the_sign_of_the_ai_score_turns_at_the_contamination() {
        let scores = tail();
        let calibration = Calibration::from_scores(scores.clone(), 0.1, None).unwrap();
        let anomalous = scores.iter().filter(|&&s| calibration.ai_score(score(s)) < 0.0).count();
        assert!(anomalous.abs_diff(20_000) <= 1, "{anomalous}");
    }

    #[test]
    fn what_is_no_calibration_is_refused() {
        let knot = |score, below, up_to| Knot { score, below, up_to };
        let good = [knot(0.4, 0, 3), knot(0.5, 3, 10)];
        assert!(Calibration::from_knots(10, 0.1, -0.5, &good).is_ok());
        assert!(Calibration::from_knots(11, 0.1, -0.5, &good).is_err());
        assert!(Calibration::from_knots(0, 0.1, -0.5, &[]).is_err());
        assert!(Calibration::from_knots(10, 0.0, -0.5, &good).is_err());
        assert!(Calibration::from_knots(10, 0.6, -0.5, &good).is_err());
        assert!(Calibration::from_knots(10, 0.1, f64::NAN, &good).is_err());
        for bad in [
            [knot(0.5, 0, 3), knot(0.4, 3, 10)],
            [knot(0.4, 0, 5), knot(0.5, 3, 10)],
            [knot(0.4, 3, 3), knot(0.5, 3, 10)],
            [knot(f32::NAN, 0, 3), knot(0.5, 3, 10)],
            [knot(0.4, 0, 3), knot(1.5, 3, 10)],
        ] {
            assert!(Calibration::from_knots(10, 0.1, -0.5, &bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn quantile_and_risk_never_fall_as_the_score_rises(
            scores in prop::collection::vec(1e-3_f32..=1.0, 1..3_000),
            contamination in 1e-4..0.5,
            probes in prop::collection::vec(1e-3_f32..=1.0, 2..50),
        ) {
            let known = scores.clone();
            let calibration = Calibration::from_scores(scores, contamination, None).unwrap();
            let mut probes: Vec<f32> = probes.into_iter().chain(known.iter().copied().take(50)).collect();
            probes.sort_by(f32::total_cmp);
            for pair in probes.windows(2) {
                prop_assert!(calibration.quantile(score(pair[0])) <= calibration.quantile(score(pair[1])));
                prop_assert!(calibration.risk(score(pair[0])) <= calibration.risk(score(pair[1])));
            }
            for &probe in &probes {
                let plain = calibration.scores.partition_point(|&knot| knot <= probe);
                prop_assert_eq!(calibration.knots_up_to(probe), plain);
            }
            for probe in probes {
                let exact = known.iter().filter(|&&s| s < probe).count() as f64 / known.len() as f64;
                let found = calibration.share_below(score(probe));
                prop_assert!((found - exact).abs() <= 1e-3 + 1.0 / known.len() as f64, "{} {}", found, exact);
            }
        }
    }
}
