//! The forest as it was grown: what a file holds and what an explanation walks. Scoring uses the compiled form.

use std::fmt;

use crate::features::{FEATURES, FeatureVector};

use super::score::{AnomalyScore, Normaliser, leaf_path};

/// Trees a forest may have.
pub const TREES_MAX: usize = 1024;
/// Nodes a forest may have, over all trees.
pub const NODES_MAX: usize = 1 << 20;
/// Edges from the root of a tree to its deepest leaf.
pub const DEPTH_MAX: u32 = 32;
/// Rows that one tree may be grown from.
pub const SUBSAMPLE_MAX: u32 = 1 << 30;

/// One node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// Rows whose feature is at most the threshold go left, all others right.
    Split {
        /// Index of the feature in the schema.
        feature: u8,
        /// What it is compared with.
        threshold: f32,
        /// Index of the child for rows at or below the threshold.
        left: u32,
        /// Index of the child for rows above it.
        right: u32,
    },
    /// The end of a path.
    Leaf {
        /// How many training rows ended here; at least 1.
        rows: u32,
    },
}

/// One isolation tree.
///
/// Holding one tells you: the first node is the root, every other node is reached by exactly one path from it, children
/// stand after their parent, no path is longer than [`DEPTH_MAX`], thresholds are finite, and features are in the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    nodes: Vec<Node>,
    depth: u32,
}

/// Why nodes are not a tree. Says it in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATree(String);

impl fmt::Display for NotATree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tree {
    /// Proves that `nodes` are a tree; the only way to get one.
    ///
    /// # Errors
    ///
    /// When they are not: which node, and what is wrong with it.
    pub fn new(nodes: Vec<Node>) -> Result<Self, NotATree> {
        if nodes.is_empty() {
            return Err(NotATree("a tree without a node".into()));
        }
        if nodes.len() > NODES_MAX {
            return Err(NotATree(format!(
                "{} nodes; at most {NODES_MAX} are allowed",
                nodes.len()
            )));
        }
        // A child stands after its parent, so one pass meets every parent first.
        let mut depth_of: Vec<Option<u32>> = vec![None; nodes.len()];
        if let Some(root) = depth_of.first_mut() {
            *root = Some(0);
        }
        let mut deepest = 0;
        let mut rows_in_all = 0_u64;
        for (index, node) in nodes.iter().enumerate() {
            let Some(depth) = depth_of.get(index).copied().flatten() else {
                return Err(NotATree(format!("node {index} is no node's child")));
            };
            deepest = deepest.max(depth);
            match *node {
                Node::Leaf { rows: 0 } => {
                    return Err(NotATree(format!("leaf {index} holds no row")));
                }
                Node::Leaf { rows } => rows_in_all += u64::from(rows),
                Node::Split { feature, threshold, left, right } => {
                    check_split(index, feature, threshold, depth)?;
                    for child in [left, right] {
                        adopt(&mut depth_of, index, child, depth + 1)?;
                    }
                }
            }
        }
        if rows_in_all > u64::from(SUBSAMPLE_MAX) {
            return Err(NotATree(format!(
                "its leaves hold {rows_in_all} rows; at most {SUBSAMPLE_MAX} are allowed"
            )));
        }
        Ok(Self { nodes, depth: deepest })
    }

    /// The nodes, root first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Edges from the root to the deepest leaf.
    #[must_use]
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// The nodes a row passes, root first, as indices.
    pub(super) fn path_of<'a>(
        &'a self,
        row: &'a FeatureVector,
    ) -> impl Iterator<Item = usize> + 'a {
        std::iter::successors(Some(0), |&index| match *self.nodes.get(index)? {
            Node::Leaf { .. } => None,
            Node::Split { feature, threshold, left, right } => {
                let value = row.0.get(usize::from(feature)).copied().unwrap_or_default();
                Some(if value > threshold { right } else { left } as usize)
            }
        })
    }

    /// The path length of a row in units, by plain descent.
    fn path_length(&self, row: &FeatureVector) -> u32 {
        self.path_of(row).enumerate().last().map_or(0, |(depth, leaf)| {
            match (u32::try_from(depth), self.nodes.get(leaf)) {
                (Ok(depth), Some(&Node::Leaf { rows })) => leaf_path(depth, rows),
                _ => 0,
            }
        })
    }
}

fn check_split(index: usize, feature: u8, threshold: f32, depth: u32) -> Result<(), NotATree> {
    if usize::from(feature) >= FEATURES {
        return Err(NotATree(format!(
            "node {index} splits feature {feature}; the schema has {FEATURES}"
        )));
    }
    if !threshold.is_finite() {
        return Err(NotATree(format!(
            "node {index} has the threshold {threshold}, which is not finite"
        )));
    }
    if depth >= DEPTH_MAX {
        return Err(NotATree(format!(
            "node {index} splits at depth {depth}; paths have at most {DEPTH_MAX} edges"
        )));
    }
    Ok(())
}

fn adopt(
    depth_of: &mut [Option<u32>],
    parent: usize,
    child: u32,
    depth: u32,
) -> Result<(), NotATree> {
    let nodes = depth_of.len();
    let at = child as usize;
    if at <= parent {
        return Err(NotATree(format!(
            "node {parent} has the child {child}, which does not stand after it"
        )));
    }
    match depth_of.get_mut(at) {
        None => Err(NotATree(format!(
            "node {parent} has the child {child}; the tree has {nodes} nodes"
        ))),
        Some(Some(_)) => Err(NotATree(format!("node {child} has two parents"))),
        Some(unknown) => {
            *unknown = Some(depth);
            Ok(())
        }
    }
}

/// An isolation forest over the features of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    trees: Vec<Tree>,
    subsample: u32,
}

impl Forest {
    /// A forest of these trees, each grown from `subsample` rows.
    ///
    /// # Errors
    ///
    /// When a limit is passed: [`TREES_MAX`], [`NODES_MAX`], or a subsample outside 2 to [`SUBSAMPLE_MAX`].
    pub fn new(trees: Vec<Tree>, subsample: u32) -> Result<Self, NotATree> {
        if trees.is_empty() || trees.len() > TREES_MAX {
            return Err(NotATree(format!(
                "{} trees; from 1 to {TREES_MAX} are allowed",
                trees.len()
            )));
        }
        if !(2..=SUBSAMPLE_MAX).contains(&subsample) {
            return Err(NotATree(format!(
                "a subsample of {subsample} rows; from 2 to {SUBSAMPLE_MAX} are allowed"
            )));
        }
        let nodes: usize = trees.iter().map(|tree| tree.nodes.len()).sum();
        if nodes > NODES_MAX {
            return Err(NotATree(format!("{nodes} nodes in all; at most {NODES_MAX} are allowed")));
        }
        Ok(Self { trees, subsample })
    }

    /// The trees.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// How many rows each tree was grown from.
    #[must_use]
    pub const fn subsample(&self) -> u32 {
        self.subsample
    }

    /// Nodes in all trees.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.trees.iter().map(|tree| tree.nodes.len()).sum()
    }

    /// Edges on the longest path of any tree.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.trees.iter().map(Tree::depth).max().unwrap_or(0)
    }

    pub(super) fn normaliser(&self) -> Normaliser {
        Normaliser::new(self.trees.len(), self.subsample)
    }

    /// The sum of a row's path lengths over all trees, in units, by plain descent: what the compiled form is held against.
    #[must_use]
    pub fn path_sum(&self, row: &FeatureVector) -> u64 {
        self.trees.iter().map(|tree| u64::from(tree.path_length(row))).sum()
    }

    /// The score of a row, by plain descent.
    #[must_use]
    pub fn score(&self, row: &FeatureVector) -> AnomalyScore {
        self.normaliser().score(self.path_sum(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(feature: u8, threshold: f32, left: u32, right: u32) -> Node {
        Node::Split { feature, threshold, left, right }
    }

    const LEAF: Node = Node::Leaf { rows: 1 };

    #[test]
    fn what_is_no_tree_is_refused_and_says_why() {
        let chain = |length: u32| {
            let mut nodes: Vec<Node> =
                (0..length).flat_map(|i| [split(0, 0.0, 2 * i + 1, 2 * i + 2), LEAF]).collect();
            nodes.push(LEAF);
            // Each split's right child is the next split; the left one is a leaf.
            nodes
        };
        assert_eq!(Tree::new(chain(DEPTH_MAX)).unwrap().depth(), DEPTH_MAX);
        for (nodes, why) in [
            (vec![], "without a node"),
            (vec![split(0, 0.0, 0, 1), LEAF], "does not stand after it"),
            (vec![split(0, 0.0, 1, 2), LEAF], "the tree has 2 nodes"),
            (vec![split(0, 0.0, 1, 1), LEAF], "two parents"),
            (vec![LEAF, LEAF], "no node's child"),
            (vec![split(15, 0.0, 1, 2), LEAF, LEAF], "the schema has 15"),
            (vec![split(0, f32::NAN, 1, 2), LEAF, LEAF], "not finite"),
            (vec![Node::Leaf { rows: 0 }], "holds no row"),
            (vec![Node::Leaf { rows: u32::MAX }], "rows; at most"),
            (chain(DEPTH_MAX + 1), "paths have at most"),
        ] {
            let said = Tree::new(nodes).unwrap_err().to_string();
            assert!(said.contains(why), "said {said:?}, not {why:?}");
        }
    }

    #[test]
    fn a_row_at_the_threshold_goes_left() {
        let tree = Tree::new(vec![split(3, 1.5, 1, 2), Node::Leaf { rows: 2 }, LEAF]).unwrap();
        let mut row = FeatureVector::default();
        row.0[3] = 1.5;
        assert_eq!(tree.path_of(&row).collect::<Vec<_>>(), [0, 1]);
        row.0[3] = 1.5_f32.next_up();
        assert_eq!(tree.path_of(&row).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_forest_beyond_the_limits_is_refused() {
        // A perfect tree in level order: the children of i are 2i + 1 and 2i + 2.
        let perfect: Vec<Node> = (0..(1_u32 << 16) - 1)
            .map(|i| if i < (1 << 15) - 1 { split(0, 0.0, 2 * i + 1, 2 * i + 2) } else { LEAF })
            .collect();
        let tree = Tree::new(perfect).unwrap();
        assert!(Forest::new(vec![tree.clone(); 16], 256).is_ok());
        let said = Forest::new(vec![tree; 17], 256).unwrap_err().to_string();
        assert!(said.contains("nodes in all"), "{said}");
        let leaf = Tree::new(vec![LEAF]).unwrap();
        assert!(Forest::new(vec![leaf.clone(); TREES_MAX], 2).is_ok());
        assert!(Forest::new(vec![leaf.clone(); TREES_MAX + 1], 2).is_err());
        assert!(Forest::new(vec![], 2).is_err());
        assert!(Forest::new(vec![leaf], 1).is_err());
    }
}
