//! The forest as it is scored: many rows at once by vector instructions where the processor has them, else by descent.
//!
//! Whichever way it goes, a path sum is the same integer, and so the score has the same bits. `docs/adr/0015` says which ways were
//! measured and why these were kept.

use super::descent::Descent;
use super::forest::Forest;
use super::ranked::RankedForest;
use super::score::{AnomalyScore, Normaliser};
use super::vector::{BATCH_ROWS, Processor, ROWS_WORTH_A_VECTOR};
use crate::features::FeatureVector;

/// A forest ready to score.
#[derive(Clone, Debug)]
pub(super) struct CompiledForest {
    descent: Descent,
    /// None where the forest does not fit bytes; then it is walked.
    ranked: Option<RankedForest>,
    processor: Processor,
    normaliser: Normaliser,
}

impl CompiledForest {
    /// Compiled for the processor that this runs on.
    pub(super) fn new(forest: &Forest) -> Self {
        Self::on(Processor::detected(), forest)
    }

    fn on(processor: Processor, forest: &Forest) -> Self {
        Self {
            descent: Descent::new(forest),
            ranked: processor.has_vectors().then(|| RankedForest::new(forest)).flatten(),
            processor,
            normaliser: forest.normaliser(),
        }
    }

    /// The score of one row.
    pub(super) fn score(&self, row: &FeatureVector) -> AnomalyScore {
        self.normaliser.score(self.path_sum(row))
    }

    /// The path lengths of one row, summed over all trees, in units.
    pub(super) fn path_sum(&self, row: &FeatureVector) -> u64 {
        self.descent.path_sum(row)
    }

    /// The scores of `rows`, in their order; as many as the shorter of the two slices.
    pub(super) fn score_batch(&self, rows: &[FeatureVector], scores: &mut [AnomalyScore]) {
        let mut sums = [0; BATCH_ROWS];
        for (rows, scores) in rows.chunks(BATCH_ROWS).zip(scores.chunks_mut(BATCH_ROWS)) {
            let (rows, _) = rows.split_at(rows.len().min(scores.len()));
            self.sum_batch(rows, &mut sums);
            for (score, &sum) in scores.iter_mut().zip(&sums).take(rows.len()) {
                *score = self.normaliser.score(sum);
            }
        }
    }

    fn sum_batch(&self, rows: &[FeatureVector], sums: &mut [u64; BATCH_ROWS]) {
        match &self.ranked {
            Some(ranked) if rows.len() >= ROWS_WORTH_A_VECTOR => {
                let left = self.processor.sum_batch(ranked, rows, sums);
                let done = rows.len() - left.len();
                self.descent.sum_batch(left, sums.split_at_mut(done).1);
            }
            _ => self.descent.sum_batch(rows, sums),
        }
    }
}

#[cfg(test)]
mod tests {
    use linfa::DatasetBase;
    use linfa::traits::Fit as _;
    use proptest::prelude::*;

    use super::*;
    use crate::model::forest::{Node, Tree};
    use crate::model::samples::{self, any_forest, any_row};
    use crate::model::train::IsolationForestParams;

    proptest! {
        #[test]
        fn every_way_to_score_gives_the_sum_of_plain_descent(
            forest in any_forest(),
            rows in prop::collection::vec(any_row(), 0..600),
        ) {
            for processor in Processor::all_here() {
                let compiled = CompiledForest::on(processor, &forest);
                let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
                compiled.score_batch(&rows, &mut scores);
                for (row, score) in rows.iter().zip(scores) {
                    prop_assert_eq!(compiled.path_sum(row), forest.path_sum(row));
                    prop_assert_eq!(score.value().to_bits(), forest.score(row).value().to_bits());
                }
            }
        }
    }

    /// More thresholds than a byte counts and than one search takes, asked at thresholds and right beside them.
    #[test]
    fn a_large_forest_scores_alike_every_way_on_both_sides_of_thresholds() {
        let params = IsolationForestParams::default().trees(150).seed(5);
        let forest = params.fit(&DatasetBase::from(samples::matrix(4_096, 9))).unwrap();
        let mut rows = samples::rows(256, 10);
        let splits = forest.trees().iter().flat_map(Tree::nodes).filter_map(|node| match *node {
            Node::Split { feature, threshold, .. } => Some((usize::from(feature), threshold)),
            Node::Leaf { .. } => None,
        });
        for (nth, (feature, threshold)) in splits.step_by(11).enumerate() {
            for value in [threshold.next_down(), threshold, threshold.next_up()] {
                let mut row = rows[nth % 256];
                row.0[feature] = value;
                rows.push(row);
            }
        }
        let expected: Vec<u32> =
            rows.iter().map(|row| forest.score(row).value().to_bits()).collect();
        for processor in Processor::all_here() {
            let compiled = CompiledForest::on(processor, &forest);
            for together in [256, 139, ROWS_WORTH_A_VECTOR] {
                let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
                for (rows, scores) in rows.chunks(together).zip(scores.chunks_mut(together)) {
                    compiled.score_batch(rows, scores);
                }
                let found: Vec<u32> = scores.iter().map(|score| score.value().to_bits()).collect();
                assert!(found == expected, "{processor:?}, {together} rows at a time");
            }
        }
    }

    #[test]
    fn a_batch_is_as_long_as_the_shorter_slice() {
        for processor in Processor::all_here() {
            let compiled = CompiledForest::on(processor, &samples::forest());
            let mut scores = [AnomalyScore::AVERAGE; 600];
            compiled.score_batch(&[FeatureVector::default(); 300], &mut scores);
            let alone = compiled.score(&FeatureVector::default());
            assert!(scores.iter().take(300).all(|&score| score == alone));
            assert!(scores.iter().skip(300).all(|&score| score == AnomalyScore::AVERAGE));
            compiled.score_batch(&[FeatureVector::default(); 20], &mut scores[..3]);
        }
    }
}
