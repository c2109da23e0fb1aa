//! Why a row scores what it scores: each feature's share, and what would make it ordinary.

use std::f64::consts::LN_2;

use crate::features::{FEATURES, FeatureVector};

use super::compiled::CompiledForest;
use super::forest::{Forest, Node, Tree};
use super::score::{AnomalyScore, leaf_path};

/// Nano-points in one point of score.
pub const NANOS_PER_POINT: i64 = 1_000_000_000;

/// Cells between thresholds that a counterfactual looks at, each way and feature. A forest of 100 trees of 256 rows has about
/// 500 for a feature, so only a far larger one is not searched to its end.
const CELLS_MAX: usize = 2048;

/// A score taken apart: `base + all shares == score`, exactly, in billionths of a point.
///
/// The base is what a row scores whose paths are as long as training rows' paths are on average. Each split on the row's
/// path moves the expected path length; that change belongs to the split's feature. The score is a convex function of the
/// summed path lengths; each feature gets its change times the function's mean slope between base and row, which is the
/// Aumann-Shapley share: no order of features is preferred, and changes that cancel do not blow up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// The score that is explained.
    pub score: AnomalyScore,
    /// The score in billionths.
    pub score_nanos: i64,
    /// Where the shares start from, in billionths.
    pub base_nanos: i64,
    /// What each feature, in the order of the schema, adds to the base (or takes from it), in billionths.
    pub shares_nanos: [i64; FEATURES],
}

impl Explanation {
    /// A share in points of score.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share is below 2^31 billionths")]
    pub fn points(nanos: i64) -> f64 {
        nanos as f64 / NANOS_PER_POINT as f64
    }
}

/// The smallest change of one feature that brings a row's score below a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counterfactual {
    /// Index of the feature in the schema.
    pub feature: usize,
    /// Its value in the row.
    pub from: f32,
    /// The value that would do.
    pub to: f32,
    /// What the row would score.
    pub score: AnomalyScore,
    /// The length of the change as a share of the feature's range in training.
    pub distance: f64,
}

/// What explanations need beside the forest.
#[derive(Clone, Debug)]
pub(super) struct Explainer {
    /// For each tree, beside each node: the path length its training rows have on average, in units.
    expected: Vec<Box<[u32]>>,
    /// For each feature: every value it is compared with, rising.
    thresholds: [Box<[f32]>; FEATURES],
}

impl Explainer {
    pub(super) fn new(forest: &Forest) -> Self {
        Self {
            expected: forest.trees().iter().map(expected_paths).collect(),
            thresholds: std::array::from_fn(|feature| thresholds(forest, feature)),
        }
    }

    pub(super) fn explain(&self, forest: &Forest, row: &FeatureVector) -> Explanation {
        let mut base = 0_i64;
        let mut changes = [0_i64; FEATURES];
        let mut sum = 0_i64;
        for (tree, expected) in forest.trees().iter().zip(&self.expected) {
            let expect = |node: usize| i64::from(expected.get(node).copied().unwrap_or_default());
            base += expect(0);
            let mut here = 0;
            for next in tree.path_of(row).skip(1) {
                if let Some(&Node::Split { feature, .. }) = tree.nodes().get(here)
                    && let Some(change) = changes.get_mut(usize::from(feature))
                {
                    *change += expect(next) - expect(here);
                }
                here = next;
            }
            sum += expect(here);
        }
        fold(forest, base, &changes, sum)
    }

    /// The nearest change of one feature that brings the score below `bound`; `None` where no single feature can.
    ///
    /// The score only changes where a feature crosses a threshold, so trying each threshold from both sides tries everything.
    pub(super) fn safe_if(
        &self,
        forest: &CompiledForest,
        row: &FeatureVector,
        bound: AnomalyScore,
        spans: &[f32; FEATURES],
    ) -> Option<Counterfactual> {
        let mut nearest: Option<Counterfactual> = None;
        for (feature, (thresholds, &span)) in self.thresholds.iter().zip(spans).enumerate() {
            let from = row.0.get(feature).copied()?;
            let candidates = candidates(thresholds, from);
            for (to, score) in scores_with(forest, row, feature, &candidates) {
                let distance = (f64::from(to) - f64::from(from)).abs() / scale(span);
                if !score.reaches(bound) && nearest.is_none_or(|known| distance < known.distance) {
                    nearest = Some(Counterfactual { feature, from, to, score, distance });
                }
            }
        }
        nearest
    }
}

/// A feature that never moved in training has no range to measure by; its own unit has to do.
fn scale(span: f32) -> f64 {
    if span > 0.0 { f64::from(span) } else { 1.0 }
}

/// The value nearest to `from` in each cell between thresholds, other than its own cell: at most [`CELLS_MAX`] each way.
fn candidates(thresholds: &[f32], from: f32) -> Vec<f32> {
    let (below, above) = thresholds.split_at(thresholds.partition_point(|&at| at < from));
    let below = below.iter().rev().take(CELLS_MAX).copied();
    let above = above.iter().take(CELLS_MAX).map(|at| at.next_up());
    below.chain(above).filter(|value| value.is_finite()).collect()
}

/// The row's score with one feature set to each of `values`.
fn scores_with(
    forest: &CompiledForest,
    row: &FeatureVector,
    feature: usize,
    values: &[f32],
) -> impl Iterator<Item = (f32, AnomalyScore)> {
    let rows: Vec<FeatureVector> = values
        .iter()
        .map(|&value| {
            let mut changed = *row;
            if let Some(slot) = changed.0.get_mut(feature) {
                *slot = value;
            }
            changed
        })
        .collect();
    let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
    forest.score_batch(&rows, &mut scores);
    values.iter().copied().zip(scores)
}

/// From changes of path length to shares of the score.
fn fold(forest: &Forest, base: i64, changes: &[i64; FEATURES], sum: i64) -> Explanation {
    let normaliser = forest.normaliser();
    let score = normaliser.score(u64::try_from(sum).unwrap_or_default());
    let base_points = libm::exp2(-normaliser.halvings(base));
    let score_nanos = nanos(f64::from(score.value()));
    let mut base_nanos = nanos(base_points);

    // The mean slope of 2^(-x) between base and row, by expm1 so that it stays exact when they all but meet.
    let exponent = -normaliser.halvings(sum - base) * LN_2;
    let slope = if exponent == 0.0 { 1.0 } else { libm::expm1(exponent) / exponent };
    let share = |change: i64| nanos(-base_points * slope * normaliser.halvings(change) * LN_2);
    let mut shares_nanos = changes.map(share);

    // What rounding left over goes to the largest share, where it weighs least; to the base where there is none.
    let remainder = score_nanos - base_nanos - shares_nanos.iter().sum::<i64>();
    match shares_nanos.iter_mut().max_by_key(|share| share.abs()) {
        Some(largest) if *largest != 0 => *largest += remainder,
        _ => base_nanos += remainder,
    }
    Explanation { score, score_nanos, base_nanos, shares_nanos }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "points are below 2^20, so billionths are below 2^50"
)]
#[expect(clippy::cast_precision_loss, reason = "the constant is below 2^53")]
fn nanos(points: f64) -> i64 {
    libm::round(points * NANOS_PER_POINT as f64) as i64
}

/// Beside each node, the path length its training rows have on average, in units.
fn expected_paths(tree: &Tree) -> Box<[u32]> {
    let nodes = tree.nodes();
    let mut depths = vec![0_u32; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        let depth = depths.get(index).copied().unwrap_or_default();
        if let Node::Split { left, right, .. } = *node {
            for child in [left, right] {
                if let Some(slot) = depths.get_mut(child as usize) {
                    *slot = depth + 1;
                }
            }
        }
    }
    // Children stand after their parents: backwards, both are known before it.
    let mut means = vec![(0_u64, 0_u32); nodes.len()]; // training rows, average path
    for (index, node) in nodes.iter().enumerate().rev() {
        let mean = match *node {
            Node::Leaf { rows } => {
                (u64::from(rows), leaf_path(depths.get(index).copied().unwrap_or_default(), rows))
            }
            Node::Split { left, right, .. } => {
                let mean_of = |child: u32| means.get(child as usize).copied().unwrap_or_default();
                weighted(mean_of(left), mean_of(right))
            }
        };
        if let Some(slot) = means.get_mut(index) {
            *slot = mean;
        }
    }
    means.into_iter().map(|(_, path)| path).collect()
}

fn weighted((rows_a, a): (u64, u32), (rows_b, b): (u64, u32)) -> (u64, u32) {
    let rows = rows_a + rows_b;
    let total = u128::from(rows_a) * u128::from(a) + u128::from(rows_b) * u128::from(b);
    let mean = (total + u128::from(rows) / 2) / u128::from(rows.max(1));
    (rows, u32::try_from(mean).expect("a mean of two u32 is one"))
}

/// Every value that a feature is compared with, each once, rising.
fn thresholds(forest: &Forest, wanted: usize) -> Box<[f32]> {
    let mut found: Vec<f32> = forest
        .trees()
        .iter()
        .flat_map(Tree::nodes)
        .filter_map(|node| match *node {
            Node::Split { feature, threshold, .. } if usize::from(feature) == wanted => {
                Some(threshold)
            }
            _ => None,
        })
        .collect();
    found.sort_by(f32::total_cmp);
    found.dedup();
    found.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::samples::{any_forest, any_row};

    const SPANS: [f32; FEATURES] = [1.0; FEATURES];

    proptest! {
        #[test]
        fn base_and_shares_make_up_the_score_exactly(forest in any_forest(), row in any_row()) {
            let explanation = Explainer::new(&forest).explain(&forest, &row);
            prop_assert_eq!(explanation.score, forest.score(&row));
            prop_assert_eq!(explanation.score_nanos, nanos(f64::from(explanation.score.value())));
            let shares: i64 = explanation.shares_nanos.iter().sum();
            prop_assert_eq!(explanation.base_nanos + shares, explanation.score_nanos);
        }

        #[test]
        fn a_feature_that_no_path_asks_for_has_no_share(forest in any_forest(), row in any_row()) {
            let explanation = Explainer::new(&forest).explain(&forest, &row);
            for feature in 0..FEATURES {
                let asked = forest.trees().iter().any(|tree| {
                    tree.path_of(&row).any(|node| matches!(
                        tree.nodes()[node], Node::Split { feature: f, .. } if usize::from(f) == feature
                    ))
                });
                prop_assert!(asked || explanation.shares_nanos[feature] == 0, "feature {}", feature);
            }
        }

        #[test]
        fn doing_what_the_counterfactual_says_brings_the_score_below_the_bound(
            forest in any_forest(), row in any_row(), share in 0.5_f32..1.0,
        ) {
            let compiled = CompiledForest::new(&forest);
            let bound = AnomalyScore::new(forest.score(&row).value() * share).unwrap();
            if let Some(change) = Explainer::new(&forest).safe_if(&compiled, &row, bound, &SPANS) {
                let mut changed = row;
                prop_assert_eq!(changed.0[change.feature], change.from);
                changed.0[change.feature] = change.to;
                prop_assert_eq!(forest.score(&changed), change.score);
                prop_assert!(!change.score.reaches(bound));
            }
        }

        #[test]
        fn no_nearer_change_of_one_feature_would_do(
            forest in any_forest(), row in any_row(), feature in 0..FEATURES, value in any_row(),
        ) {
            let compiled = CompiledForest::new(&forest);
            let mut changed = row;
            changed.0[feature] = value.0[feature];
            let bound = forest.score(&row);
            if !forest.score(&changed).reaches(bound) {
                let found = Explainer::new(&forest).safe_if(&compiled, &row, bound, &SPANS);
                let away = (f64::from(changed.0[feature]) - f64::from(row.0[feature])).abs();
                prop_assert!(found.is_some_and(|nearest| nearest.distance <= away));
            }
        }
    }

    #[test]
    fn the_feature_that_isolates_a_row_has_the_largest_share() {
        let rows = crate::model::samples::matrix(1_000, 3);
        let forest = linfa::traits::Fit::fit(
            &crate::model::IsolationForestParams::default(),
            &linfa::DatasetBase::from(rows.clone()),
        )
        .unwrap();
        let mut row = FeatureVector(std::array::from_fn(|feature| rows[(0, feature)]));
        row.0[8] = 1e6;
        let shares = Explainer::new(&forest).explain(&forest, &row).shares_nanos;
        assert!(
            shares.iter().enumerate().all(|(feature, &share)| feature == 8 || share < shares[8]),
            "{shares:?}"
        );
    }
}
