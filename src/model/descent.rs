//! The forest as it is walked, on any processor and for few rows: immutable, flat, with many paths in flight.
//!
//! Following one path is a chain of loads that each wait for the one before. So sixteen rows descend one tree together, or
//! ten trees take one row together, and the processor overlaps the waiting. Every path takes the same number of steps: a
//! leaf is its own left child, so there is no branch to guess. Path lengths are integers, so any grouping gives the same sum.

use std::collections::VecDeque;

use crate::features::{FEATURES, FeatureVector};

use super::forest::{Forest, NODES_MAX, Node as GrownNode, Tree};
use super::score::leaf_path;

/// Rows that descend one tree together.
const ROWS_TOGETHER: usize = 16;
/// Trees that take a single row together.
const TREES_TOGETHER: usize = 10;
/// Steps that are written out one after the other: the depth of a tree of 256 rows. Steps too many do no harm: they stay at
/// the leaf.
const STEPS_PER_ROUND: u32 = 8;
/// The features of a row, and one lane more, so that four bits index it.
const LANES: usize = 16;

const _: () = assert!(NODES_MAX < 1 << 24, "a node names its child in 24 bits");
const _: () = assert!(FEATURES <= LANES, "every feature has a lane");

type Lanes = [f32; LANES];

/// One node in eight bytes; the right child follows the left one.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Rows above it go right.
    threshold: f32,
    /// Index of the left child (24 bits), index of the feature (8 bits).
    left_and_feature: u32,
}

impl Node {
    /// Nothing is above infinity, so whatever comes here stays.
    const fn leaf(at: u32) -> Self {
        Self { threshold: f32::INFINITY, left_and_feature: at << 8 }
    }

    const fn split(threshold: f32, left: u32, feature: u8) -> Self {
        Self { threshold, left_and_feature: left << 8 | feature as u32 }
    }

    /// The next node of a row that is here.
    #[inline(always)]
    #[expect(
        clippy::indexing_slicing,
        reason = "the mask is below LANES: no check is left, none is needed"
    )]
    fn next(self, row: &Lanes) -> u32 {
        let value = row[self.left_and_feature as usize & (LANES - 1)];
        (self.left_and_feature >> 8) + u32::from(value > self.threshold)
    }
}

/// A forest ready to be walked.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    /// All trees, level by level; padded to a power of two so that a mask keeps every index inside.
    nodes: Box<[Node]>,
    /// Beside each node: the path length of a leaf, in units; 0 for a split.
    paths: Box<[u32]>,
    /// Where each tree begins.
    roots: Box<[u32]>,
    /// How many rounds of steps every row takes, so that it has come to a leaf whichever way it went.
    rounds: u32,
}

impl Descent {
    pub(super) fn new(forest: &Forest) -> Self {
        let room = forest.node_count().next_power_of_two();
        let mut nodes = Vec::with_capacity(room);
        let mut paths = Vec::with_capacity(room);
        let mut roots = Vec::with_capacity(forest.trees().len());
        for tree in forest.trees() {
            roots.push(place(nodes.len()));
            lay_out(tree, &mut nodes, &mut paths);
        }
        nodes.resize(room, Node::leaf(0));
        paths.resize(room, 0);
        Self {
            nodes: nodes.into(),
            paths: paths.into(),
            roots: roots.into(),
            rounds: forest.depth().div_ceil(STEPS_PER_ROUND),
        }
    }

    /// The path sums of `rows`, in their order, into `sums`; as many as the shorter of the two slices.
    pub(super) fn sum_batch(&self, rows: &[FeatureVector], sums: &mut [u64]) {
        let together = rows.len().min(sums.len());
        let (rows, _) = rows.split_at(together);
        let (sums, _) = sums.split_at_mut(together);
        let (groups, rest) = rows.as_chunks::<ROWS_TOGETHER>();
        let (group_sums, rest_sums) = sums.as_chunks_mut::<ROWS_TOGETHER>();
        for (group, sums) in groups.iter().zip(group_sums) {
            *sums = self.path_sums(group);
        }
        for (row, sum) in rest.iter().zip(rest_sums) {
            *sum = self.path_sum(row);
        }
    }

    /// The path lengths of one row, summed over all trees, in units: ten trees in flight.
    pub(super) fn path_sum(&self, row: &FeatureVector) -> u64 {
        let tables = self.tables();
        let row = lanes(row);
        let (groups, rest) = self.roots.as_chunks::<TREES_TOGETHER>();
        let mut sum = 0;
        for group in groups {
            let mut at = *group;
            for _ in 0..self.rounds {
                for _ in 0..STEPS_PER_ROUND {
                    at = at.map(|at| tables.node(at).next(&row));
                }
            }
            sum += at.map(|leaf| tables.path(leaf)).iter().sum::<u64>();
        }
        for &root in rest {
            let steps = 0..self.rounds * STEPS_PER_ROUND;
            sum += tables.path(steps.fold(root, |at, _| tables.node(at).next(&row)));
        }
        sum
    }

    /// The same for sixteen rows: all of them in flight in one tree after the other.
    fn path_sums(&self, rows: &[FeatureVector; ROWS_TOGETHER]) -> [u64; ROWS_TOGETHER] {
        let tables = self.tables();
        let rows = rows.each_ref().map(lanes);
        let mut sums = [0_u64; ROWS_TOGETHER];
        for &root in &self.roots {
            let mut at = [root; ROWS_TOGETHER];
            for _ in 0..self.rounds {
                for _ in 0..STEPS_PER_ROUND {
                    for (at, row) in at.iter_mut().zip(&rows) {
                        *at = tables.node(*at).next(row);
                    }
                }
            }
            for (sum, leaf) in sums.iter_mut().zip(at) {
                // Cannot wrap: at most 1,024 trees of less than 2^32 units each.
                *sum = sum.wrapping_add(tables.path(leaf));
            }
        }
        sums
    }

    /// What a walk looks things up in, taken out of `self` once: kept in registers, it is a third faster.
    fn tables(&self) -> Tables<'_> {
        let nodes = &*self.nodes;
        let paths = self.paths.get(..nodes.len()).unwrap_or_default();
        Tables { nodes, paths, mask: nodes.len() - 1 }
    }
}

/// The arrays of a forest and the mask that keeps any index inside them.
#[derive(Clone, Copy)]
struct Tables<'a> {
    nodes: &'a [Node],
    paths: &'a [u32],
    mask: usize,
}

impl Tables<'_> {
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked by the length, which is a power of two")]
    fn node(&self, at: u32) -> Node {
        self.nodes[at as usize & self.mask]
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked by the length, which is a power of two")]
    fn path(&self, at: u32) -> u64 {
        u64::from(self.paths[at as usize & self.mask])
    }
}

/// A row as wide as the mask.
#[inline(always)]
fn lanes(row: &FeatureVector) -> Lanes {
    let mut lanes = [0.0; LANES];
    for (lane, value) in lanes.iter_mut().zip(row.0) {
        *lane = value;
    }
    lanes
}

/// Appends a tree, level by level, so that the two children of a node stand side by side.
fn lay_out(tree: &Tree, nodes: &mut Vec<Node>, paths: &mut Vec<u32>) {
    let mut next_free = place(nodes.len()) + 1;
    let mut waiting = VecDeque::from([(0_u32, 0_u32)]);
    while let Some((grown, depth)) = waiting.pop_front() {
        match tree.nodes().get(grown as usize) {
            Some(&GrownNode::Split { feature, threshold, left, right }) => {
                nodes.push(Node::split(threshold, next_free, feature));
                paths.push(0);
                next_free += 2;
                waiting.extend([(left, depth + 1), (right, depth + 1)]);
            }
            Some(&GrownNode::Leaf { rows }) => {
                nodes.push(Node::leaf(place(nodes.len())));
                paths.push(leaf_path(depth, rows));
            }
            None => {}
        }
    }
}

fn place(index: usize) -> u32 {
    u32::try_from(index).expect("a forest has at most NODES_MAX nodes")
}
