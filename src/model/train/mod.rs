//! Making a model from rows. The forest grows through linfa's traits: unchecked parameters, checked parameters, `Fit`.

use linfa::DatasetBase;
use linfa::ParamGuard;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, Array2, ArrayBase, ArrayView2, Data, Ix2};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::features::{FEATURES, FeatureVector};
use crate::time::Timestamp;

use super::calibration::{Calibration, check_contamination};
use super::compiled::CompiledForest;
use super::forest::{Forest, NODES_MAX, Node, NotATree, SUBSAMPLE_MAX, TREES_MAX, Tree};
use super::passport::{
    About, DataSource, ExpectedSchema, GoldenRow, Origin, TrainingData, check_words,
};
use super::score::AnomalyScore;
use super::{Model, Parts};

/// Why a forest could not be grown.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A parameter is outside its range.
    #[error("{parameter} = {value}: must {must}")]
    Parameter {
        /// Its name, as on the command line.
        parameter: &'static str,
        /// What it was set to.
        value: String,
        /// The rule, with a value that would do.
        must: String,
    },
    /// The rows do not have the columns of the schema.
    #[error("the training rows have {found} columns; the schema has {FEATURES}")]
    Columns {
        /// How many there are.
        found: usize,
    },
    /// A forest isolates rows from each other: it takes two.
    #[error("{rows} training rows; at least 2 are needed")]
    TooFewRows {
        /// How many there are.
        rows: usize,
    },
    /// More rows than can be counted in a file.
    #[error("{rows} training rows; at most 2^32 - 1 can be used")]
    TooManyRows {
        /// How many there are.
        rows: usize,
    },
    /// A value is NaN or infinite.
    #[error("training row {row}: {} is {value}, which is not finite", column_name(.name, .column))]
    NotFinite {
        /// The row, counted from 1.
        row: usize,
        /// The column, counted from 0.
        column: usize,
        /// The column's name, where it is known.
        name: Option<String>,
        /// What stands there.
        value: f32,
    },
    /// The forest grew beyond what a model may hold.
    #[error("the forest cannot be used: {0}; ask for fewer trees or a smaller subsample")]
    TooLarge(NotATree),
    /// The contamination, the name or a data source is not fit for a model.
    #[error("{0}")]
    Content(String),
    /// What linfa found.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

/// How a model is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainParams {
    /// How many trees.
    pub trees: u32,
    /// How many rows each tree is grown from.
    pub subsample: u32,
    /// The share of the rows held to be anomalous: above 0, at most 0.5.
    pub contamination: f64,
    /// Where chance begins.
    pub seed: u64,
    /// The model's name.
    pub name: String,
    /// When it is made. An argument, so that the same call makes the same file.
    pub created_at: Timestamp,
    /// Where the rows came from.
    pub sources: Vec<DataSource>,
}

impl Default for TrainParams {
    /// The paper's 100 trees of 256 rows; one row in a hundred held to be anomalous.
    fn default() -> Self {
        Self {
            trees: 100,
            subsample: 256,
            contamination: 0.01,
            seed: 42,
            name: "unnamed".into(),
            created_at: Timestamp::EPOCH,
            sources: vec![],
        }
    }
}

/// Makes a model from rows and calibrates it on the same rows. The same arguments give the same file, byte for byte.
///
/// # Errors
///
/// When a parameter is out of range, a value is not finite, or there are fewer than two rows.
pub fn train(
    rows: &[FeatureVector],
    params: &TrainParams,
    schema: &ExpectedSchema,
) -> Result<Model, TrainError> {
    let TrainParams { trees, subsample, contamination, seed, .. } = *params;
    check_contamination(contamination).map_err(TrainError::Content)?;
    let about = About {
        name: params.name.clone(),
        created_at: params.created_at,
        origin: Origin::Trained { seed },
    };
    check_words(&about, &params.sources).map_err(TrainError::Content)?;

    let matrix = matrix(rows);
    let wished = IsolationForestParams::default().trees(trees).subsample(subsample).seed(seed);
    let forest =
        wished.fit(&DatasetBase::from(matrix)).map_err(|error| name_feature(error, schema))?;

    let training = TrainingData::of(rows, params.sources.clone());
    let golden = GoldenRow::choose(&forest, rows, &training);
    let calibration = Calibration::from_scores(scores(&forest, rows), contamination, None)
        .map_err(TrainError::Content)?;
    Ok(Model::assemble(Parts {
        about,
        schema: schema.clone(),
        training,
        forest,
        calibration,
        golden,
    }))
}

fn matrix(rows: &[FeatureVector]) -> Array2<f32> {
    let values = rows.iter().flat_map(|row| row.0).collect();
    Array2::from_shape_vec((rows.len(), FEATURES), values).expect("each row has FEATURES values")
}

/// The score of each row.
pub(super) fn scores(forest: &Forest, rows: &[FeatureVector]) -> Vec<f32> {
    let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
    CompiledForest::new(forest).score_batch(rows, &mut scores);
    scores.into_iter().map(AnomalyScore::value).collect()
}

fn name_feature(error: TrainError, schema: &ExpectedSchema) -> TrainError {
    match error {
        TrainError::NotFinite { row, column, value, .. } => {
            TrainError::NotFinite { row, column, name: schema.names.get(column).cloned(), value }
        }
        other => other,
    }
}

/// Parameters of an isolation forest, as wished for. [`ParamGuard::check`] makes them usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestParams(IsolationForestValidParams);

/// Parameters of an isolation forest that have been checked; grows one with [`Fit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsolationForestValidParams {
    trees: u32,
    subsample: u32,
    seed: u64,
}

impl Default for IsolationForestParams {
    /// 100 trees of 256 rows (Liu, Ting, Zhou 2008, section 5), seed 42.
    fn default() -> Self {
        Self(IsolationForestValidParams { trees: 100, subsample: 256, seed: 42 })
    }
}

impl IsolationForestParams {
    /// How many trees: from 1 to [`TREES_MAX`].
    #[must_use]
    pub const fn trees(mut self, trees: u32) -> Self {
        self.0.trees = trees;
        self
    }

    /// How many rows each tree is grown from, drawn without replacement: from 2. Fewer are taken where there are fewer.
    #[must_use]
    pub const fn subsample(mut self, rows: u32) -> Self {
        self.0.subsample = rows;
        self
    }

    /// Where chance begins: the same rows, parameters and seed give the same forest.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }
}

impl IsolationForestValidParams {
    /// How deep a tree may grow: what a balanced one would need, since only short paths say something.
    fn depth_limit(subsample: u32) -> u32 {
        subsample.max(2).next_power_of_two().trailing_zeros()
    }
}

impl ParamGuard for IsolationForestParams {
    type Checked = IsolationForestValidParams;
    type Error = TrainError;

    fn check_ref(&self) -> Result<&Self::Checked, TrainError> {
        let IsolationForestValidParams { trees, subsample, .. } = self.0;
        if trees == 0 || trees as usize > TREES_MAX {
            return Err(TrainError::Parameter {
                parameter: "trees",
                value: trees.to_string(),
                must: format!("be from 1 to {TREES_MAX}, such as 100"),
            });
        }
        if !(2..=SUBSAMPLE_MAX).contains(&subsample) {
            return Err(TrainError::Parameter {
                parameter: "subsample",
                value: subsample.to_string(),
                must: format!("be from 2 to {SUBSAMPLE_MAX}, such as 256"),
            });
        }
        Ok(&self.0)
    }

    fn check(self) -> Result<Self::Checked, TrainError> {
        self.check_ref()?;
        Ok(self.0)
    }
}

impl<D: Data<Elem = f32>, T> Fit<ArrayBase<D, Ix2>, T, TrainError> for IsolationForestValidParams {
    type Object = Forest;

    fn fit(&self, dataset: &DatasetBase<ArrayBase<D, Ix2>, T>) -> Result<Forest, TrainError> {
        let rows = dataset.records().view();
        check_rows(&rows)?;
        let row_count = rows.nrows();
        let subsample = self.subsample.min(u32::try_from(row_count).unwrap_or(u32::MAX));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut trees = Vec::with_capacity(self.trees as usize);
        let mut nodes_left = NODES_MAX;
        for _ in 0..self.trees {
            // Each tree has its own stretch of the generator: 2^128 numbers that no other tree will meet.
            let mut grower = Grower {
                rows,
                random: random.clone(),
                depth_limit: Self::depth_limit(subsample),
                nodes: Vec::new(),
            };
            random.jump();
            let tree = grower.grow(subsample as usize).map_err(TrainError::TooLarge)?;
            nodes_left = nodes_left.saturating_sub(tree.nodes().len());
            trees.push(tree);
            if nodes_left == 0 {
                break; // `Forest::new` will say that there are too many nodes.
            }
        }
        Forest::new(trees, subsample).map_err(TrainError::TooLarge)
    }
}

impl<D: Data<Elem = f32>> PredictInplace<ArrayBase<D, Ix2>, Array1<f32>> for Forest {
    /// The anomaly score of each row. Columns that are missing count as 0, columns beyond the schema do not count.
    fn predict_inplace<'a>(&'a self, rows: &'a ArrayBase<D, Ix2>, scores: &mut Array1<f32>) {
        for (row, score) in rows.rows().into_iter().zip(scores) {
            let mut features = FeatureVector::default();
            for (feature, value) in features.0.iter_mut().zip(row) {
                *feature = *value;
            }
            *score = self.score(&features).value();
        }
    }

    fn default_target(&self, rows: &ArrayBase<D, Ix2>) -> Array1<f32> {
        Array1::zeros(rows.nrows())
    }
}

fn check_rows(rows: &ArrayView2<'_, f32>) -> Result<(), TrainError> {
    if rows.ncols() != FEATURES {
        return Err(TrainError::Columns { found: rows.ncols() });
    }
    if rows.nrows() < 2 {
        return Err(TrainError::TooFewRows { rows: rows.nrows() });
    }
    if u32::try_from(rows.nrows()).is_err() {
        return Err(TrainError::TooManyRows { rows: rows.nrows() });
    }
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, column), &value)) => {
            Err(TrainError::NotFinite { row: row + 1, column, name: None, value })
        }
    }
}

fn column_name(name: &Option<String>, column: &usize) -> String {
    name.clone().unwrap_or_else(|| format!("feature {}", column + 1))
}

/// One tree as it grows.
struct Grower<'rows> {
    rows: ArrayView2<'rows, f32>,
    random: Xoshiro256PlusPlus,
    depth_limit: u32,
    nodes: Vec<Node>,
}

impl Grower<'_> {
    fn grow(&mut self, subsample: usize) -> Result<Tree, NotATree> {
        let drawn = rand::seq::index::sample(&mut self.random, self.rows.nrows(), subsample);
        let mut drawn = drawn.into_vec();
        self.grow_node(&mut drawn, 0);
        Tree::new(std::mem::take(&mut self.nodes))
    }

    /// Grows the node that holds these rows, and all below it. Returns its index. At most `depth_limit` calls deep.
    fn grow_node(&mut self, held: &mut [usize], depth: u32) -> u32 {
        let index = self.nodes.len();
        self.nodes.push(Node::Leaf { rows: node_index(held.len()) });
        if depth < self.depth_limit
            && let Some((feature, threshold)) = self.draw_split(held)
        {
            let lower = self.partition(held, feature, threshold);
            let (below, above) = held.split_at_mut(lower);
            let left = self.grow_node(below, depth + 1);
            let right = self.grow_node(above, depth + 1);
            if let Some(node) = self.nodes.get_mut(index) {
                let feature = u8::try_from(feature).expect("there are 15 features");
                *node = Node::Split { feature, threshold, left, right };
            }
        }
        node_index(index)
    }

    /// A feature among those that differ within these rows, and a value between their extremes; `None` where all are equal.
    fn draw_split(&mut self, held: &[usize]) -> Option<(usize, f32)> {
        let mut differing = [(0, 0.0, 0.0); FEATURES];
        let mut count = 0;
        for feature in 0..FEATURES {
            let (least, most) = self.extremes(held, feature);
            if least < most
                && let Some(entry) = differing.get_mut(count)
            {
                *entry = (feature, least, most);
                count += 1;
            }
        }
        if count == 0 {
            return None;
        }
        let &(feature, least, most) = differing.get(self.random.gen_range(0..count))?;
        Some((feature, self.draw_between(least, most)))
    }

    fn extremes(&self, held: &[usize], feature: usize) -> (f32, f32) {
        held.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), &row| {
            let value = self.value(row, feature);
            (least.min(value), most.max(value))
        })
    }

    /// A threshold with at least one row on each side: at or above `least`, below `most`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to f32 is the point; the result is held inside"
    )]
    fn draw_between(&mut self, least: f32, most: f32) -> f32 {
        let share: f64 = self.random.r#gen();
        let drawn = f64::from(least) + share * (f64::from(most) - f64::from(least));
        (drawn as f32).clamp(least, most.next_down())
    }

    /// Brings the rows at or below the threshold to the front, in place; returns how many there are.
    fn partition(&self, held: &mut [usize], feature: usize, threshold: f32) -> usize {
        let mut lower = 0;
        for at in 0..held.len() {
            if held.get(at).is_some_and(|&row| self.value(row, feature) <= threshold) {
                held.swap(lower, at);
                lower += 1;
            }
        }
        lower
    }

    fn value(&self, row: usize, feature: usize) -> f32 {
        self.rows.get((row, feature)).copied().unwrap_or_default()
    }
}

fn node_index(count: usize) -> u32 {
    u32::try_from(count)
        .expect("a subsample of at most SUBSAMPLE_MAX rows has fewer than 2^32 nodes")
}

#[cfg(test)]
mod tests;
