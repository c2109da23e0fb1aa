//! Scoring many rows with vector instructions: which the processor has is found out when a forest is compiled.
//!
//! The kernel is written once, over a trait of instructions; each set of instructions has a file of its own. Where there is none, the forest
//! is walked.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod kernel;

use super::ranked::RankedForest;
use crate::features::FeatureVector;

/// Rows that are scored together at most.
pub(super) const BATCH_ROWS: usize = 256;
/// Rows that are scored together where there are fewer.
const FEW_ROWS: usize = 64;
/// From this many rows on, evaluating a whole batch costs less than one of few rows after the other.
const ROWS_WORTH_A_BATCH: usize = 140;
/// From this many rows on, evaluating [`FEW_ROWS`] costs less than walking each. Where the compiler was told not to optimise, a vector
/// instruction is a call.
pub(super) const ROWS_WORTH_A_VECTOR: usize = if cfg!(debug_assertions) { 48 } else { 12 };

/// What the processor can do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processor(Vectors);

/// The vector instructions of a processor, widest first that are of use here.
#[derive(Clone, Copy, Debug)]
enum Vectors {
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    None,
}

impl Processor {
    /// The best of what this processor can do.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn detected() -> Self {
        let avx512 = avx512::Avx512::detected().map(Vectors::Avx512);
        let best = avx512.or_else(|| avx2::Avx2::detected().map(Vectors::Avx2));
        Self(best.unwrap_or(Vectors::None))
    }

    /// The best of what this processor can do.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) const fn detected() -> Self {
        Self(Vectors::None)
    }

    pub(super) const fn has_vectors(self) -> bool {
        !matches!(self.0, Vectors::None)
    }

    /// The path sums of the first rows into the first of `sums`. Returns the rows that are too few to be worth it: fewer than
    /// [`ROWS_WORTH_A_VECTOR`].
    pub(super) fn sum_batch<'a>(
        self,
        forest: &RankedForest,
        rows: &'a [FeatureVector],
        sums: &mut [u64; BATCH_ROWS],
    ) -> &'a [FeatureVector] {
        match self.0 {
            Vectors::None => rows,
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2(avx2) => cut_up(rows, sums, |rows, sums| match sums {
                Sums::Batch(sums) => avx2.sum_batch(forest, rows, sums),
                Sums::Few(sums) => avx2.sum_few(forest, rows, sums),
            }),
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512(avx512) => cut_up(rows, sums, |rows, sums| match sums {
                Sums::Batch(sums) => avx512.sum_batch(forest, rows, sums),
                Sums::Few(sums) => avx512.sum_few(forest, rows, sums),
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn all_here() -> Vec<Self> {
        let mut all = vec![Vectors::None];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(avx2::Avx2::detected().map(Vectors::Avx2));
            all.extend(avx512::Avx512::detected().map(Vectors::Avx512));
        }
        all.into_iter().map(Self).collect()
    }
}

/// Room for the sums of the rows of one evaluation.
#[cfg(target_arch = "x86_64")]
enum Sums<'a> {
    Batch(&'a mut [u64; BATCH_ROWS]),
    Few(&'a mut [u64; FEW_ROWS]),
}

/// One evaluation of all rows where they are many, else one after the other of few. Returns the rows that are not worth another.
#[cfg(target_arch = "x86_64")]
fn cut_up<'a>(
    rows: &'a [FeatureVector],
    sums: &mut [u64; BATCH_ROWS],
    evaluate: impl Fn(&[FeatureVector], Sums<'_>),
) -> &'a [FeatureVector] {
    if rows.len() >= ROWS_WORTH_A_BATCH {
        evaluate(rows, Sums::Batch(sums));
        return &[];
    }
    let mut left = rows;
    let (groups, _) = sums.as_chunks_mut::<FEW_ROWS>();
    for sums in groups {
        if left.len() < ROWS_WORTH_A_VECTOR {
            break;
        }
        let (now, later) = left.split_at(left.len().min(FEW_ROWS));
        evaluate(now, Sums::Few(sums));
        left = later;
    }
    left
}
