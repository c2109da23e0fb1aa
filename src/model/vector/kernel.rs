//! The evaluation itself, over any set of vector instructions: ranks, then trees from their leaves up, then sums.

use crate::features::FeatureVector;
use crate::model::ranked::{
    ASIDE, BLOCKS_PER_BUNDLE, Block, Bundle, COLUMNS, CUTS_APART, Column, Cuts,
};
use crate::model::ranked::{PATHS_MAX, RankedForest, Step};

/// Trees whose leaves are remembered before they are summed.
const TREES_TOGETHER: usize = 64;

/// What the kernel asks of a processor. Whoever holds a value knows that the processor has it.
pub(super) trait Instructions: Copy {
    /// One byte for each of several rows.
    type Bytes: Copy;

    /// The same byte for each row.
    fn splat(self, byte: u8) -> Self::Bytes;

    /// The `nth` vector of a column; any where there are not so many.
    fn load<const ROWS: usize>(self, column: &Bytes<ROWS>, nth: usize) -> Self::Bytes;

    /// Puts back the `nth` vector of a column; nothing where there are not so many.
    fn store<const ROWS: usize>(self, bytes: Self::Bytes, column: &mut Bytes<ROWS>, nth: usize);

    /// For each row: `right` where `value > bound`, else `left`.
    fn choose(
        self,
        value: Self::Bytes,
        bound: Self::Bytes,
        left: Self::Bytes,
        right: Self::Bytes,
    ) -> Self::Bytes;

    /// How many of the cuts lie below the value.
    fn count_below(self, cuts: &Cuts, value: f32) -> usize;

    /// Adds to each row's sum the path lengths that its codes stand for; at most [`TREES_TOGETHER`] trees.
    fn add_paths<const ROWS: usize>(
        self,
        paths: &[u32; PATHS_MAX],
        codes: &[Bytes<ROWS>],
        sums: &mut [u64; ROWS],
    );
}

/// One byte a row, from the start of a cache line on.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bytes<const ROWS: usize>(pub(super) [u8; ROWS]);

/// The path sums of `rows`, of which there are at most `ROWS`; `ROWS` are `VECTORS` vectors. What stands behind the rows' sums
/// afterwards means nothing.
#[inline(always)]
pub(super) fn sum_rows<I: Instructions, const VECTORS: usize, const ROWS: usize>(
    instructions: I,
    forest: &RankedForest,
    rows: &[FeatureVector],
    sums: &mut [u64; ROWS],
) {
    *sums = [0; ROWS];
    let mut ranks = [[Bytes([0; ROWS]); 2 * COLUMNS]; BLOCKS_PER_BUNDLE];
    let mut codes = [Bytes([0; ROWS]); TREES_TOGETHER];
    for bundle in &forest.bundles {
        rank(instructions, bundle, rows, &mut ranks);
        for (block, ranks) in bundle.blocks.iter().zip(&ranks) {
            sum_block::<I, VECTORS, ROWS>(instructions, block, ranks, &mut codes, sums);
        }
    }
}

/// Finds the ranks of all rows in all blocks of a bundle.
#[inline(always)]
fn rank<I: Instructions, const ROWS: usize>(
    instructions: I,
    bundle: &Bundle,
    rows: &[FeatureVector],
    ranks: &mut [[Bytes<ROWS>; 2 * COLUMNS]; BLOCKS_PER_BUNDLE],
) {
    for column in &bundle.columns {
        let feature = usize::from(column.feature) % COLUMNS;
        let [a, b, c, d] = ranks.each_mut().map(|columns| columns.get_mut(feature));
        let (Some(a), Some(b), Some(c), Some(d)) = (a, b, c, d) else { continue };
        let blocks = a.0.iter_mut().zip(&mut b.0).zip(&mut c.0).zip(&mut d.0);
        for (row, (((a, b), c), d)) in rows.iter().zip(blocks) {
            let value = row.0.get(feature).copied().unwrap_or_default();
            [*a, *b, *c, *d] = search(instructions, column, value);
        }
    }
    for block in ranks.iter_mut().take(bundle.blocks.len()) {
        let (plain, mirrored) = block.split_at_mut(COLUMNS);
        for (plain, mirrored) in plain.iter().zip(mirrored) {
            for (rank, image) in plain.0.iter().zip(&mut mirrored.0) {
                *image = u8::MAX - rank;
            }
        }
    }
}

/// The ranks of a value: first among the separators, then among the cuts of the group they lead to.
#[inline(always)]
fn search<I: Instructions>(
    instructions: I,
    column: &Column,
    value: f32,
) -> [u8; BLOCKS_PER_BUNDLE] {
    // Counts of a few cuts, which cannot wrap: checks would cost a sixth of the whole evaluation.
    let mut group = 0_usize;
    for separators in &column.separators {
        group = group.wrapping_add(instructions.count_below(separators, value));
    }
    let Some([first, second]) = column.cuts.get(group) else { return Default::default() };
    let within = instructions.count_below(first, value);
    let within = within.wrapping_add(instructions.count_below(second, value));
    let rank = group.wrapping_mul(CUTS_APART).wrapping_add(within);
    column.ranks.get(rank).copied().unwrap_or_default()
}

/// Adds the path lengths of a block's trees.
#[inline(always)]
fn sum_block<I: Instructions, const VECTORS: usize, const ROWS: usize>(
    instructions: I,
    block: &Block,
    ranks: &[Bytes<ROWS>; 2 * COLUMNS],
    codes: &mut [Bytes<ROWS>; TREES_TOGETHER],
    sums: &mut [u64; ROWS],
) {
    let mut aside = [[instructions.splat(0); VECTORS]; ASIDE];
    let mut begin = 0;
    for ends in block.ends.chunks(TREES_TOGETHER) {
        for (&end, codes) in ends.iter().zip(&mut *codes) {
            let end = end as usize;
            let steps = block.steps.get(begin..end).unwrap_or_default();
            let last = climb::<I, VECTORS, ROWS>(instructions, steps, ranks, &mut aside);
            for (nth, vector) in last.into_iter().enumerate() {
                instructions.store(vector, codes, nth);
            }
            begin = end;
        }
        let codes = codes.get(..ends.len()).unwrap_or_default();
        instructions.add_paths(&block.paths, codes, sums);
    }
}

/// Takes one tree from its leaves to its root: the code of each row's leaf.
#[inline(always)]
#[expect(
    clippy::indexing_slicing,
    clippy::needless_range_loop,
    reason = "below COLUMNS, ASIDE and VECTORS: no check is left, none is needed; iterators keep the compiler from holding `last` in registers"
)]
fn climb<I: Instructions, const VECTORS: usize, const ROWS: usize>(
    instructions: I,
    steps: &[Step],
    ranks: &[Bytes<ROWS>; 2 * COLUMNS],
    aside: &mut [[I::Bytes; VECTORS]; ASIDE],
) -> [I::Bytes; VECTORS] {
    let mut held = 0_usize;
    let mut last = [instructions.splat(0); VECTORS];
    for step in steps {
        let column = &ranks[usize::from(step.column) % (2 * COLUMNS)];
        let bound = instructions.splat(step.bound);
        let choose = |nth, other, last| {
            instructions.choose(instructions.load(column, nth), bound, other, last)
        };
        if step.sets_aside {
            aside[held % ASIDE] = last;
            held = held.wrapping_add(1);
            let (other, now) = (instructions.splat(step.other), instructions.splat(step.last));
            for nth in 0..VECTORS {
                last[nth] = choose(nth, other, now);
            }
        } else if !step.takes_aside {
            let other = instructions.splat(step.other);
            for nth in 0..VECTORS {
                last[nth] = choose(nth, other, last[nth]);
            }
        } else {
            held = held.wrapping_sub(1);
            let other = aside[held % ASIDE];
            for nth in 0..VECTORS {
                last[nth] = choose(nth, other[nth], last[nth]);
            }
        }
    }
    last
}
