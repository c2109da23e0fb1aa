//! The forest in bytes, so that one vector instruction takes one comparison of many rows.
//!
//! A tree asks `value > threshold`. Of the sorted thresholds of a feature, the *cuts*, let the rank of a value be how many lie below
//! it: the question is then `rank > position of the threshold`, exactly. Trees are put together into [`Block`]s in which no feature
//! has more cuts than a byte counts, and a tree becomes a list of [`Step`]s from its leaves up: each chooses, for every row by itself,
//! between what its two children came to.
//!
//! After *compare and blend* evaluation of trees without descents; ranks in place of thresholds as in QuickScorer and its successors
//! (Lucchese et al., SIGIR 2015) and in LightGBM's binned features.

use std::collections::BTreeSet;

use super::forest::{Forest, Node, Tree};
use super::score::leaf_path;
use crate::features::FEATURES;

/// How many blocks share one search among cuts: the bytes of a word.
pub(super) const BLOCKS_PER_BUNDLE: usize = 4;
/// Cuts that are compared with a value in one go: a cache line.
pub(super) const CUTS_TOGETHER: usize = 16;
/// Cuts that lie between two separators.
pub(super) const CUTS_APART: usize = 2 * CUTS_TOGETHER;
/// Different path lengths that a block may have.
pub(super) const PATHS_MAX: usize = 128;
/// Columns of ranks, of which 15 are in use, and as many of their mirror images, `255 - rank`.
pub(super) const COLUMNS: usize = 16;
/// Values set aside at most while a tree is evaluated; see `needed`.
pub(super) const ASIDE: usize = 16;
/// Cuts that a feature may have in a block: one rank more than cuts is a byte.
const CUTS_MAX: usize = u8::MAX as usize;
/// The position of the last of so many cuts.
const LAST_CUT: u8 = u8::MAX - 1;
/// What leads from a column to its mirror image.
const MIRRORED: u8 = 16;

const _: () =
    assert!(FEATURES <= COLUMNS && COLUMNS == MIRRORED as usize, "every feature has a column");
// A block has at most FEATURES * CUTS_MAX different comparisons, so a tree in which no comparison stands twice on one path has at most
// twice that many nodes on a level; `needed` grows with the logarithm of the splits, which `Block` holds below 2^ASIDE.
const SPLITS_MAX: usize = 1 << (ASIDE - 2);

/// A forest in bytes.
#[derive(Clone, Debug)]
pub(super) struct RankedForest {
    pub(super) bundles: Box<[Bundle]>,
}

/// Blocks whose ranks come out of one search.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    pub(super) columns: Box<[Column]>,
    pub(super) blocks: Box<[Block]>,
}

/// The cuts of one feature in all blocks of a bundle.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its index in the schema.
    pub(super) feature: u8,
    /// The last cut of each group of `cuts`: how many of these lie below a value is the number of its group.
    pub(super) separators: Box<[Cuts]>,
    /// The cuts, ascending, filled up with infinity, below which nothing ends; one group of infinities more than needed, for values
    /// above all cuts.
    pub(super) cuts: Box<[[Cuts; CUTS_APART / CUTS_TOGETHER]]>,
    /// For each rank among all cuts, the rank among those of each block.
    pub(super) ranks: Box<[[u8; BLOCKS_PER_BUNDLE]]>,
}

/// Cuts side by side, from the start of a cache line on.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Cuts(pub(super) [f32; CUTS_TOGETHER]);

/// Trees of which each feature has at most [`CUTS_MAX`] different thresholds.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The steps of all trees, one tree after the other.
    pub(super) steps: Box<[Step]>,
    /// Where each tree ends.
    pub(super) ends: Box<[u32]>,
    /// What the codes of leaves stand for: path lengths, in units.
    pub(super) paths: [u32; PATHS_MAX],
}

/// One comparison of a tree: for each row, the last value computed where its rank is above the bound, else another one.
///
/// Where a tree has it the other way round, the comparison is turned: `not rank > bound` is `255 - rank > 254 - bound`. So there are
/// three kinds of steps and not five, told apart by two branches and not by a jump through a table: a forest is thousands of steps,
/// more than a processor remembers indirect jumps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The feature; from [`COLUMNS`] on, its mirror image.
    pub(super) column: u8,
    pub(super) bound: u8,
    /// Both children are leaves: the last value is set aside for later, and the code `last` stands in its place.
    pub(super) sets_aside: bool,
    /// Neither child is a leaf: the other value is the one set aside last.
    pub(super) takes_aside: bool,
    pub(super) last: u8,
    /// The code of the other value, unless that was set aside.
    pub(super) other: u8,
}

impl Step {
    const NONE: Self =
        Self { column: 0, bound: 0, sets_aside: false, takes_aside: false, last: 0, other: 0 };
}

impl RankedForest {
    /// None where a tree by itself has too many cuts, splits or path lengths for a block.
    pub(super) fn new(forest: &Forest) -> Option<Self> {
        let mut drafts = vec![Draft::default()];
        for tree in forest.trees() {
            let asked = Asked::by(tree);
            if drafts.last_mut().is_some_and(|last| last.take_in(tree, &asked)) {
                continue;
            }
            let mut next = Draft::default();
            if !next.take_in(tree, &asked) {
                return None;
            }
            drafts.push(next);
        }
        Some(Self { bundles: drafts.chunks(BLOCKS_PER_BUNDLE).map(Bundle::new).collect() })
    }
}

impl Bundle {
    fn new(drafts: &[Draft<'_>]) -> Self {
        let columns =
            (0..=u8::MAX).take(FEATURES).filter_map(|feature| Column::new(feature, drafts));
        Self { columns: columns.collect(), blocks: drafts.iter().map(Block::new).collect() }
    }
}

impl Column {
    /// None where no tree asks for the feature.
    fn new(feature: u8, drafts: &[Draft<'_>]) -> Option<Self> {
        let of = |draft: &Draft<'_>| -> Vec<Ordered> {
            let cuts = draft.cuts.get(usize::from(feature));
            cuts.map(|cuts| cuts.iter().copied().collect()).unwrap_or_default()
        };
        let by_block: Vec<Vec<Ordered>> = drafts.iter().map(of).collect();
        let mut all = by_block.concat();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return None;
        }
        let mut ranks = vec![[0; BLOCKS_PER_BUNDLE]];
        for cut in &all {
            let mut next = ranks.last().copied().unwrap_or_default();
            for (rank, cuts) in next.iter_mut().zip(&by_block) {
                *rank += u8::from(cuts.binary_search(cut).is_ok());
            }
            ranks.push(next);
        }
        let values: Vec<f32> = all.iter().map(|cut| cut.value()).collect();
        let lasts: Vec<f32> =
            values.chunks_exact(CUTS_APART).filter_map(|group| group.last().copied()).collect();
        let groups = values.len().div_ceil(CUTS_APART) + 1;
        let cuts = (0..groups).map(|group| {
            [0, 1].map(|half| Cuts::of(&values, group * CUTS_APART + half * CUTS_TOGETHER))
        });
        let separators = (0..lasts.len()).step_by(CUTS_TOGETHER).map(|at| Cuts::of(&lasts, at));
        Some(Self {
            feature,
            separators: separators.collect(),
            cuts: cuts.collect(),
            ranks: ranks.into(),
        })
    }
}

impl Cuts {
    /// The values from a place on, filled up with infinity.
    fn of(values: &[f32], from: usize) -> Self {
        let mut cuts = [f32::INFINITY; CUTS_TOGETHER];
        let there = values.get(from..).unwrap_or_default();
        cuts.iter_mut().zip(there).for_each(|(cut, &value)| *cut = value);
        Self(cuts)
    }
}

/// A finite threshold, in the order of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered(i32);

impl Ordered {
    /// Both zeros are one: no value lies above one and not above the other.
    const fn new(value: f32) -> Self {
        let bits = (value + 0.0).to_bits().cast_signed();
        // Negative numbers are ordered backwards by their bits; all but the sign turned round, they are not.
        Self(bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed())
    }

    const fn value(self) -> f32 {
        f32::from_bits(
            (self.0 ^ ((self.0 >> 31).cast_unsigned() >> 1).cast_signed()).cast_unsigned(),
        )
    }
}

/// A block while trees are gathered for it.
#[derive(Clone, Debug, Default)]
struct Draft<'a> {
    trees: Vec<&'a Tree>,
    cuts: [BTreeSet<Ordered>; FEATURES],
    paths: BTreeSet<u32>,
    splits: usize,
}

impl<'a> Draft<'a> {
    /// Adds a tree, if it still fits.
    fn take_in(&mut self, tree: &'a Tree, asked: &Asked) -> bool {
        let new = |known: &BTreeSet<Ordered>, cuts: &BTreeSet<Ordered>| {
            cuts.iter().filter(|cut| !known.contains(cut)).count()
        };
        let mut features = self.cuts.iter().zip(&asked.cuts);
        let fits = features.all(|(known, cuts)| known.len() + new(known, cuts) <= CUTS_MAX)
            && self.paths.union(&asked.paths).count() <= PATHS_MAX
            && self.splits + asked.splits <= SPLITS_MAX;
        if fits {
            self.trees.push(tree);
            self.splits += asked.splits;
            self.paths.extend(&asked.paths);
            for (known, cuts) in self.cuts.iter_mut().zip(&asked.cuts) {
                known.extend(cuts);
            }
        }
        fits
    }
}

/// What one tree asks for.
#[derive(Debug, Default)]
struct Asked {
    cuts: [BTreeSet<Ordered>; FEATURES],
    paths: BTreeSet<u32>,
    splits: usize,
}

impl Asked {
    fn by(tree: &Tree) -> Self {
        let mut asked = Self::default();
        let ends = ends(tree);
        let mut waiting = vec![0];
        while let Some(at) = waiting.pop() {
            match (ends.get(at).copied().flatten(), tree.nodes().get(at)) {
                (Some(path), _) => {
                    asked.paths.insert(path);
                }
                (None, Some(&Node::Split { feature, threshold, left, right })) => {
                    asked.splits += 1;
                    if let Some(cuts) = asked.cuts.get_mut(usize::from(feature)) {
                        cuts.insert(Ordered::new(threshold));
                    }
                    waiting.extend([left as usize, right as usize]);
                }
                (None, _) => {}
            }
        }
        asked
    }
}

/// For each node, the path length of every row that comes there, where that is the same whichever way it goes on. So it is for a leaf, and for
/// a split of two rows into one and one, which are more than a fifth of all splits: nobody need ask there.
fn ends(tree: &Tree) -> Vec<Option<u32>> {
    let mut depths = vec![0_u32; tree.nodes().len()];
    for (at, node) in tree.nodes().iter().enumerate() {
        let &Node::Split { left, right, .. } = node else { continue };
        let depth = depths.get(at).copied().unwrap_or(0);
        for child in [left, right] {
            if let Some(child) = depths.get_mut(child as usize) {
                *child = depth + 1;
            }
        }
    }
    let mut ends = vec![None; tree.nodes().len()];
    for ((at, node), depth) in tree.nodes().iter().enumerate().zip(depths).rev() {
        let of = |child: u32| ends.get(child as usize).copied().flatten();
        let end = match *node {
            Node::Leaf { rows } => Some(leaf_path(depth, rows)),
            Node::Split { left, right, .. } => of(left).filter(|&path| of(right) == Some(path)),
        };
        if let Some(place) = ends.get_mut(at) {
            *place = end;
        }
    }
    ends
}

impl Block {
    fn new(draft: &Draft<'_>) -> Self {
        let paths: Vec<u32> = draft.paths.iter().copied().collect();
        let cuts = draft.cuts.each_ref().map(|cuts| cuts.iter().copied().collect());
        let mut writer = Writer { cuts, paths: &paths, steps: Vec::new() };
        let ends = draft.trees.iter().map(|tree| {
            writer.tree(tree);
            u32::try_from(writer.steps.len()).unwrap_or(u32::MAX)
        });
        let ends = ends.collect();
        let mut table = [0; PATHS_MAX];
        table.iter_mut().zip(&paths).for_each(|(entry, &path)| *entry = path);
        Self { steps: writer.steps.into(), ends, paths: table }
    }
}

/// Writes the steps of trees.
struct Writer<'a> {
    cuts: [Vec<Ordered>; FEATURES],
    paths: &'a [u32],
    steps: Vec<Step>,
}

/// What a node has come to: a leaf's code, or a value that steps compute.
enum Outcome {
    Code(u8),
    Value,
}

impl Writer<'_> {
    fn tree(&mut self, tree: &Tree) {
        let ends = ends(tree);
        let needed = needed(tree, &ends);
        if let Outcome::Code(code) = self.node(tree, &ends, &needed, 0) {
            // A tree of one leaf: both sides of any comparison are that leaf.
            self.steps.push(Step {
                column: 0,
                bound: 0,
                sets_aside: true,
                takes_aside: false,
                last: code,
                other: code,
            });
        }
    }

    /// Writes the steps of everything below a node and of the node. No deeper than the tree.
    fn node(&mut self, tree: &Tree, ends: &[Option<u32>], needed: &[u32], at: usize) -> Outcome {
        if let Some(path) = ends.get(at).copied().flatten() {
            return Outcome::Code(self.code(path));
        }
        let Some(&Node::Split { feature, threshold, left, right }) = tree.nodes().get(at) else {
            return Outcome::Code(0);
        };
        let (left, right) = (left as usize, right as usize);
        // What needs more places goes first, while none is taken.
        let left_first = needed.get(left) >= needed.get(right);
        let (first, second) = if left_first { (left, right) } else { (right, left) };
        let first = self.node(tree, ends, needed, first);
        let second = self.node(tree, ends, needed, second);
        let bound = self.rank(feature, threshold);
        // As a choice between the value computed last and another: is the last one on the right?
        let (step, last_is_right) = match (first, second) {
            (Outcome::Code(first), Outcome::Code(second)) => {
                (Step { sets_aside: true, last: second, other: first, ..Step::NONE }, left_first)
            }
            (Outcome::Code(leaf), Outcome::Value) => {
                (Step { other: leaf, ..Step::NONE }, left_first)
            }
            (Outcome::Value, Outcome::Code(leaf)) => {
                (Step { other: leaf, ..Step::NONE }, !left_first)
            }
            (Outcome::Value, Outcome::Value) => {
                (Step { takes_aside: true, ..Step::NONE }, left_first)
            }
        };
        self.steps.push(if last_is_right {
            Step { column: feature, bound, ..step }
        } else {
            Step { column: feature + MIRRORED, bound: LAST_CUT - bound, ..step }
        });
        Outcome::Value
    }

    fn code(&self, path: u32) -> u8 {
        self.paths.binary_search(&path).ok().and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
    }

    /// How many cuts lie below the threshold.
    fn rank(&self, feature: u8, threshold: f32) -> u8 {
        let cuts = self.cuts.get(usize::from(feature));
        let threshold = Ordered::new(threshold);
        let below = cuts.map_or(0, |cuts| cuts.partition_point(|&cut| cut < threshold));
        u8::try_from(below).unwrap_or(u8::MAX)
    }
}

/// For each node, how many values are held at once while it is computed: one more than either child needs where both need the same,
/// else what the needier one does (Sethi and Ullman 1970). So at most the logarithm of the number of splits, and one.
fn needed(tree: &Tree, ends: &[Option<u32>]) -> Vec<u32> {
    let mut needed = vec![0_u32; tree.nodes().len()];
    for ((at, node), end) in tree.nodes().iter().enumerate().zip(ends).rev() {
        let &Node::Split { left, right, .. } = node else { continue };
        if end.is_some() {
            continue;
        }
        let of = |child: u32| needed.get(child as usize).copied().unwrap_or(0);
        let (left, right) = (of(left), of(right));
        let here = if left == right { left + 1 } else { left.max(right) };
        if let Some(slot) = needed.get_mut(at) {
            *slot = here;
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    #[test]
    fn thresholds_keep_the_order_of_their_values() {
        let values = [f32::MIN, -1.5, -f32::MIN_POSITIVE, 0.0, 1e-45, 1.0, f32::MAX];
        for pair in values.windows(2) {
            assert!(Ordered::new(pair[0]) < Ordered::new(pair[1]), "{pair:?}");
        }
        for value in values {
            assert_eq!(Ordered::new(value).value().to_bits(), value.to_bits());
        }
        assert_eq!(Ordered::new(-0.0), Ordered::new(0.0));
    }

    #[test]
    fn no_more_values_are_set_aside_than_there_is_room_for() {
        let perfect: Vec<Node> = (0..(1_u32 << 13) - 1)
            .map(|i| match i {
                ..4095 => {
                    Node::Split { feature: 0, threshold: 0.0, left: 2 * i + 1, right: 2 * i + 2 }
                }
                _ => Node::Leaf { rows: 1 + u32::from(i % 2 == 1) },
            })
            .collect();
        let tree = Tree::new(perfect).unwrap();
        assert_eq!(needed(&tree, &ends(&tree))[0], 12);
        assert!(SPLITS_MAX.ilog2() + 1 < u32::try_from(ASIDE).unwrap());
    }

    #[test]
    fn nobody_asks_which_of_two_rows_it_is() {
        let split = |left, right| Node::Split { feature: 1, threshold: 0.5, left, right };
        let leaf = |rows| Node::Leaf { rows };
        let steps = |nodes| {
            let forest = Forest::new(vec![Tree::new(nodes).unwrap()], 256).unwrap();
            let ranked = RankedForest::new(&forest).unwrap();
            ranked.bundles[0].blocks[0].steps.iter().map(|step| step.sets_aside).collect::<Vec<_>>()
        };
        assert_eq!(steps(vec![split(1, 2), leaf(3), split(3, 4), leaf(1), leaf(1)]), [true]);
        assert_eq!(steps(vec![split(1, 2), leaf(3), split(3, 4), leaf(1), leaf(2)]), [true, false]);
        // Nothing is asked at all; there is one path length.
        assert_eq!(steps(vec![split(1, 2), leaf(1), leaf(1)]), [true]);
    }

    #[test]
    fn a_forest_that_does_not_fit_bytes_is_left_to_be_walked() {
        let chain = |splits: u16| {
            let mut nodes: Vec<Node> = Vec::new();
            for i in 0..splits {
                // Two children per level, of which the left one is a leaf: 32 levels at most, so many trees.
                let next = u32::from(2 * i);
                nodes.push(Node::Split {
                    feature: 0,
                    threshold: f32::from(i),
                    left: next + 1,
                    right: next + 2,
                });
                nodes.push(Node::Leaf { rows: 1 });
            }
            nodes.push(Node::Leaf { rows: 1 });
            Tree::new(nodes).unwrap()
        };
        assert!(RankedForest::new(&Forest::new(vec![chain(32)], 256).unwrap()).is_some());
        // One perfect tree with 256 thresholds of one feature.
        let perfect: Vec<Node> = (0..1023_u16)
            .map(|i| match i {
                ..511 => Node::Split {
                    feature: 0,
                    threshold: f32::from(i % 256),
                    left: u32::from(2 * i + 1),
                    right: u32::from(2 * i + 2),
                },
                _ => Node::Leaf { rows: 1 + u32::from(i % 2 == 1) },
            })
            .collect();
        let forest = Forest::new(vec![Tree::new(perfect).unwrap()], 256).unwrap();
        assert!(RankedForest::new(&forest).is_none());
    }

    #[test]
    fn blocks_hold_what_a_byte_counts_and_bundles_four_of_them() {
        let model = samples::model();
        let one = RankedForest::new(model.forest()).unwrap();
        assert_eq!((one.bundles.len(), one.bundles[0].blocks.len()), (1, 1));
        let many: Vec<Tree> = (0..40_u16)
            .map(|tree| {
                let nodes = (0..63_u16).map(|i| match i {
                    ..31 => Node::Split {
                        feature: 2,
                        threshold: f32::from(tree * 31 + i),
                        left: u32::from(2 * i + 1),
                        right: u32::from(2 * i + 2),
                    },
                    _ => Node::Leaf { rows: 1 + u32::from(i % 2 == 1) },
                });
                Tree::new(nodes.collect()).unwrap()
            })
            .collect();
        let forest = RankedForest::new(&Forest::new(many, 256).unwrap()).unwrap();
        // 8 trees of 31 cuts are 248; 40 trees are 5 blocks.
        assert_eq!(forest.bundles.iter().map(|b| b.blocks.len()).collect::<Vec<_>>(), [4, 1]);
        assert!(forest.bundles.iter().flat_map(|b| &b.blocks).all(|b| b.ends.len() == 8));
    }
}
