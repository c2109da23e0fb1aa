//! Things in the order of their scores, and the figures that follow from the order alone.
//!
//! Everything here depends on the order of scores, never on their size. Equal scores form one step: nothing is gained or
//! lost by the order in which equal ones happened to stand.

/// On which side of the truth something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What a detector should find.
    Positive,
    /// What it should leave alone.
    Negative,
    /// Not part of the question.
    LeftOut,
}

/// Scored things from the highest score to the lowest.
#[derive(Clone, Debug)]
pub struct Ranking<S, T> {
    things: Vec<(S, T)>,
}

impl<S: Ord, T> Ranking<S, T> {
    /// Sorts `things`, each a score and what carries it.
    #[must_use]
    pub fn new(mut things: Vec<(S, T)>) -> Self {
        things.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        Self { things }
    }

    /// How many positives and negatives have each score, highest first; `side` says what is what.
    fn steps(&self, side: impl Fn(&T) -> Side) -> impl Iterator<Item = (u64, u64)> {
        self.things.chunk_by(|(a, _), (b, _)| a == b).map(move |equals| {
            equals.iter().fold((0, 0), |(positives, negatives), (_, thing)| match side(thing) {
                Side::Positive => (positives + 1, negatives),
                Side::Negative => (positives, negatives + 1),
                Side::LeftOut => (positives, negatives),
            })
        })
    }

    /// Pairs of a positive and a negative, and how many of them stand right.
    #[must_use]
    pub fn pairs(&self, side: impl Fn(&T) -> Side) -> Pairs {
        let (mut positives_above, mut right_twice, mut negatives_seen) = (0_u128, 0_u128, 0_u128);
        for (positives, negatives) in self.steps(side) {
            let (positives, negatives) = (u128::from(positives), u128::from(negatives));
            right_twice += negatives * (2 * positives_above + positives);
            positives_above += positives;
            negatives_seen += negatives;
        }
        Pairs { right_twice, all: positives_above * negatives_seen }
    }

    /// Average precision: the precision at each step, weighted by the recall that the step adds; `None` without a
    /// positive. The area under the precision-recall curve without interpolation (scikit-learn's
    /// `average_precision_score`).
    #[must_use]
    pub fn average_precision(&self, side: impl Fn(&T) -> Side) -> Option<f64> {
        let (mut found, mut taken, mut sum) = (0, 0, 0.0);
        for (positives, negatives) in self.steps(side) {
            found += positives;
            taken += positives + negatives;
            if positives > 0 {
                sum += as_float(positives) * as_float(found) / as_float(taken);
            }
        }
        (found > 0).then(|| sum / as_float(found))
    }

    /// The share of positives among the `k` highest; among equal scores, what a random choice would give on average.
    /// `None` when there are fewer than `k` things, or `k` is 0.
    #[must_use]
    pub fn precision_at(&self, k: u64, side: impl Fn(&T) -> Side) -> Option<f64> {
        let (mut found, mut taken) = (0.0, 0);
        for (positives, negatives) in self.steps(side) {
            let step = positives + negatives;
            if taken + step >= k && step > 0 {
                let part = as_float(k - taken) / as_float(step);
                return (k > 0).then(|| (found + part * as_float(positives)) / as_float(k));
            }
            found += as_float(positives);
            taken += step;
        }
        None
    }
}

/// Pairs of a positive and a negative. Sums over several rankings give the figure for pairs within each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Twice the pairs in which the positive stands higher, and once those in which both stand equal.
    right_twice: u128,
    all: u128,
}

impl Pairs {
    /// The area under the ROC curve: the share of pairs in which the positive stands higher, equal ones counting half
    /// (Hanley and McNeil 1982). `None` without a pair.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of two exact counts, rounded once each"
    )]
    pub fn roc_auc(self) -> Option<f64> {
        (self.all > 0).then(|| self.right_twice as f64 / (2.0 * self.all as f64))
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { right_twice: self.right_twice + other.right_twice, all: self.all + other.all }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of packets are far below 2^53")]
const fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn truth(is_positive: &bool) -> Side {
        if *is_positive { Side::Positive } else { Side::Negative }
    }

    fn auc(things: &[(i64, bool)]) -> Option<f64> {
        Ranking::new(things.to_vec()).pairs(truth).roc_auc()
    }

    fn average_precision(things: &[(i64, bool)]) -> Option<f64> {
        Ranking::new(things.to_vec()).average_precision(truth)
    }

    fn close(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-12)
    }

    /// Every pair looked at: the definition.
    fn auc_by_pairs(things: &[(i64, bool)]) -> Option<f64> {
        let (mut right, mut all) = (0.0, 0.0);
        for (positive, _) in things.iter().filter(|(_, is_positive)| *is_positive) {
            for (negative, _) in things.iter().filter(|(_, is_positive)| !*is_positive) {
                all += 1.0;
                right += match positive.cmp(negative) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        (all > 0.0).then(|| right / all)
    }

    /// The midrank form (Mann and Whitney 1947): ranks of the positives summed, equal ones sharing their mean rank.
    fn auc_by_midranks(things: &[(i64, bool)]) -> Option<f64> {
        let rank = |score: i64| {
            let below = things.iter().filter(|(other, _)| *other < score).count() as f64;
            let equal = things.iter().filter(|(other, _)| *other == score).count() as f64;
            below + (equal + 1.0) / 2.0
        };
        let positives: Vec<f64> =
            things.iter().filter(|(_, p)| *p).map(|(score, _)| rank(*score)).collect();
        let (p, n) = (positives.len() as f64, (things.len() - positives.len()) as f64);
        (p > 0.0 && n > 0.0)
            .then(|| (positives.iter().sum::<f64>() - p * (p + 1.0) / 2.0) / (p * n))
    }

    /// Each threshold tried in turn: the definition.
    fn average_precision_by_thresholds(things: &[(i64, bool)]) -> Option<f64> {
        let all = things.iter().filter(|(_, p)| *p).count() as f64;
        let mut thresholds: Vec<i64> = things.iter().map(|(score, _)| *score).collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        let (mut sum, mut recall_before) = (0.0, 0.0);
        for threshold in thresholds.into_iter().rev() {
            let taken: Vec<bool> =
                things.iter().filter(|(score, _)| *score >= threshold).map(|(_, p)| *p).collect();
            let found = taken.iter().filter(|p| **p).count() as f64;
            sum += (found / all - recall_before) * found / taken.len() as f64;
            recall_before = found / all;
        }
        (all > 0.0).then_some(sum)
    }

    fn things() -> impl Strategy<Value = Vec<(i64, bool)>> {
        proptest::collection::vec((-6_i64..6, any::<bool>()), 0..60)
    }

    proptest! {
        #[test]
        fn the_area_is_that_of_the_slow_definitions(things in things()) {
            let fast = auc(&things);
            prop_assert_eq!(fast.is_some(), auc_by_pairs(&things).is_some());
            if let Some(fast) = fast {
                prop_assert!(close(auc_by_pairs(&things), fast));
                prop_assert!(close(auc_by_midranks(&things), fast));
            }
        }

        #[test]
        fn average_precision_is_that_of_the_slow_definition(things in things()) {
            let fast = average_precision(&things);
            prop_assert_eq!(fast.is_some(), average_precision_by_thresholds(&things).is_some());
            if let Some(fast) = fast {
                prop_assert!(close(average_precision_by_thresholds(&things), fast));
            }
        }

        #[test]
        fn only_the_order_counts(things in things(), scale in 1_i64..1_000, shift: i32) {
            let moved: Vec<_> = things
                .iter()
                .map(|&(score, p)| (score * score * score * scale + i64::from(shift), p))
                .collect();
            prop_assert_eq!(auc(&things), auc(&moved));
            prop_assert_eq!(average_precision(&things), average_precision(&moved));
        }

        #[test]
        fn turning_the_truth_round_turns_the_area_round(things in things()) {
            let turned: Vec<_> = things.iter().map(|&(score, p)| (score, !p)).collect();
            if let Some(area) = auc(&things) {
                prop_assert!(close(auc(&turned), 1.0 - area));
            }
        }

        #[test]
        fn precision_among_all_is_the_share_of_positives(things in things()) {
            let ranking = Ranking::new(things.clone());
            let count = things.len() as u64;
            if count > 0 {
                let share = things.iter().filter(|(_, p)| *p).count() as f64 / count as f64;
                prop_assert!(close(ranking.precision_at(count, truth), share));
            }
            prop_assert_eq!(ranking.precision_at(count + 1, truth), None);
            prop_assert_eq!(ranking.precision_at(0, truth), None);
        }
    }

    #[test]
    fn scikit_learns_documented_examples_come_out() {
        // roc_auc_score and average_precision_score, y = [0, 0, 1, 1], scores = [0.1, 0.4, 0.35, 0.8]: 0.75 and 0.83...
        let things = [(10, false), (40, false), (35, true), (80, true)];
        assert!(close(auc(&things), 0.75));
        assert!(close(average_precision(&things), 5.0 / 6.0));
    }

    #[test]
    fn scikit_learn_says_the_same() {
        // scikit-learn 1.9.1: scores, truths (1 = positive), roc_auc_score, average_precision_score.
        let cases: [(&[i64], &str, f64, f64); 3] = [
            (&[3, 3, 1, 1, 2, 3, 0, 3, 1, 0, 1, 4], "000000100001", 0.525, 0.583_333_333_333_333_4),
            (
                &[5, 8, 1, 3, 3, 0, 3, 4, 5, 4, 3, 5, 4, 0, 3, 4, 4, 3, 7, 2],
                "11001010110011000011",
                0.644_999_999_999_999_9,
                0.682_941_176_470_588_3,
            ),
            (
                &[
                    83, 18, 81, 63, 26, 93, 83, 13, 58, 19, 56, 18, 79, 66, 65, 61, 37, 51, 14, 68,
                    83, 43, 14, 37,
                ],
                "001011101010001001001011",
                0.643_356_643_356_643_3,
                0.638_970_350_479_302,
            ),
        ];
        for (scores, truths, area, precision) in cases {
            let truths = truths.chars().map(|truth| truth == '1');
            let things: Vec<_> = scores.iter().copied().zip(truths).collect();
            assert!(close(auc(&things), area), "{:?}", auc(&things));
            assert!(
                close(average_precision(&things), precision),
                "{:?}",
                average_precision(&things)
            );
        }
    }

    #[test]
    fn equal_scores_say_nothing() {
        let things = [(1, true), (1, false), (1, false), (1, false)];
        assert!(close(auc(&things), 0.5));
        assert!(close(average_precision(&things), 0.25));
        let ranking = Ranking::new(things.to_vec());
        assert!(close(ranking.precision_at(2, truth), 0.25));
    }

    #[test]
    fn a_detector_that_is_always_right_or_wrong_has_one_or_nothing() {
        let right = [(3, true), (2, true), (1, false)];
        assert!(close(auc(&right), 1.0) && close(average_precision(&right), 1.0));
        let wrong = [(1, true), (2, false), (3, false)];
        assert!(close(auc(&wrong), 0.0) && close(average_precision(&wrong), 1.0 / 3.0));
    }

    #[test]
    fn without_both_sides_there_is_no_area() {
        assert_eq!(auc(&[(1, true), (2, true)]), None);
        assert_eq!(auc(&[]), None);
        assert_eq!(average_precision(&[(1, false)]), None);
    }

    #[test]
    fn pairs_of_two_rankings_add_up() {
        let one = Ranking::new(vec![(1, true), (0, false)]).pairs(truth);
        let two = Ranking::new(vec![(8, true), (9, false)]).pairs(truth);
        assert!(close(one.and(two).roc_auc(), 0.5));
    }

    #[test]
    fn what_is_left_out_has_no_effect() {
        let things = vec![(9, 2), (8, 1), (7, 0), (6, 2)];
        let side = |kind: &usize| [Side::Negative, Side::Positive, Side::LeftOut][*kind];
        let ranking = Ranking::new(things);
        assert!(close(ranking.pairs(side).roc_auc(), 1.0));
        assert!(close(ranking.precision_at(1, side), 1.0));
    }
}
