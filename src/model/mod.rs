//! The isolation forest: grown ([`train()`]), imported ([`import()`]), kept in a file ([`Model::load`]), and asked
//! ([`Model::score_batch`], [`Model::risk`], [`Model::explain`]).
//!
//! A score is the same in every order and on every machine: path lengths are integers, and what is not an integer goes
//! through `libm`. After Liu, Ting and Zhou, *Isolation Forest*, ICDM 2008.

mod calibration;
mod compiled;
mod descent;
mod explain;
mod file;
mod forest;
mod import;
mod passport;
mod ranked;
mod score;
mod table;
mod train;
mod vector;
#[cfg(test)]
mod samples;

use crate::features::{FEATURES, FeatureVector};

use calibration::Calibration;
use compiled::CompiledForest;
use explain::Explainer;
use passport::GoldenRow;

pub use explain::{Counterfactual, Explanation, NANOS_PER_POINT};
pub use file::{FILE_BYTES_MAX, FORMAT_VERSION, Fault, ModelError};
pub use forest::{DEPTH_MAX, Forest, NODES_MAX, Node, NotATree, SUBSAMPLE_MAX, TREES_MAX, Tree};
pub use import::{IMPORT_BYTES_MAX, ImportError, ImportParams, import};
pub use passport::{About, DataSource, ExpectedSchema, Origin, TrainingData};
pub use score::AnomalyScore;
pub use table::{FeatureTable, TableError, score_csv};
pub use train::{
    IsolationForestParams, IsolationForestValidParams, TrainError, TrainParams, train,
};

/// A model that may judge: forest, calibration and passport.
///
/// Holding one tells you: the forest is sound and within its limits, the features are those that were asked for, every
/// number is finite, the calibration rises, and the golden rows score what they scored when the model was made.
/// It does not tell you that the model is a good one.
// NOTE: `train`, `import` and loading a file are the only ways in, and all three go through `assemble`.
#[derive(Clone, Debug)]
pub struct Model {
    about: About,
    schema: ExpectedSchema,
    training: TrainingData,
    forest: Forest,
    calibration: Calibration,
    golden: Vec<GoldenRow>,
    compiled: CompiledForest,
    explainer: Explainer,
    sha256: String,
}

/// What is to be said beside a score: how much it can be relied on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    /// The share of calibration rows that score less, 0 to 1.
    pub quantile: f32,
    /// How many rows the calibration rests on.
    pub calibration_rows: u64,
    /// The features outside the range seen in training: bit `n` for feature `n` of the schema.
    pub outside: u16,
}

impl Confidence {
    /// Whether every feature lies inside the range seen in training.
    #[must_use]
    pub const fn inside_training_range(self) -> bool {
        self.outside == 0
    }
}

/// What a model is made of.
struct Parts {
    about: About,
    schema: ExpectedSchema,
    training: TrainingData,
    forest: Forest,
    calibration: Calibration,
    golden: Vec<GoldenRow>,
}

impl Model {
    fn assemble(parts: Parts) -> Self {
        let Parts { about, schema, training, forest, calibration, golden } = parts;
        let mut model = Self {
            compiled: CompiledForest::new(&forest),
            explainer: Explainer::new(&forest),
            about,
            schema,
            training,
            forest,
            calibration,
            golden,
            sha256: String::new(),
        };
        model.sha256 = passport::sha256_hex(&model.to_bytes());
        model
    }

    /// How alone a row is. One row at a time costs more than a batch.
    #[must_use]
    pub fn score(&self, row: &FeatureVector) -> AnomalyScore {
        self.compiled.score(row)
    }

    /// The scores of `rows`, in their order, into `scores`: as many as the shorter of the two. Allocates nothing.
    pub fn score_batch(&self, rows: &[FeatureVector], scores: &mut [AnomalyScore]) {
        self.compiled.score_batch(rows, scores);
    }

    /// The share of calibration rows that score less, 0 to 1; never falls as the score rises. Allocates nothing.
    #[must_use]
    pub fn quantile(&self, score: AnomalyScore) -> f32 {
        self.calibration.quantile(score)
    }

    /// The risk, 0 to 100: 0 below the quantile `1 - contamination`, then straight up to 100. Allocates nothing.
    #[must_use]
    pub fn risk(&self, score: AnomalyScore) -> f32 {
        self.calibration.risk(score)
    }

    /// Quantile and risk at once, for less than each by itself. Allocates nothing.
    #[must_use]
    pub fn quantile_and_risk(&self, score: AnomalyScore) -> (f32, f32) {
        self.calibration.quantile_and_risk(score)
    }

    /// The score with scikit-learn's sign and zero (`decision_function`): negative = anomalous.
    #[must_use]
    pub fn ai_score(&self, score: AnomalyScore) -> f32 {
        self.calibration.ai_score(score)
    }

    /// How much the score of this row can be relied on. Allocates nothing.
    #[must_use]
    pub fn confidence(&self, row: &FeatureVector, score: AnomalyScore) -> Confidence {
        Confidence {
            quantile: self.quantile(score),
            calibration_rows: self.calibration.rows(),
            outside: self.training.outside(row),
        }
    }

    /// Each feature's share of the row's score.
    #[must_use]
    pub fn explain(&self, row: &FeatureVector) -> Explanation {
        self.explainer.explain(&self.forest, row)
    }

    /// The nearest change of one feature that brings the row's score below `bound`; `None` where no single feature can.
    #[must_use]
    pub fn safe_if(&self, row: &FeatureVector, bound: AnomalyScore) -> Option<Counterfactual> {
        self.explainer.safe_if(&self.compiled, row, bound, &self.training.spans())
    }

    /// What the model is called, when and how it was made.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// The features it was made for.
    #[must_use]
    pub const fn schema(&self) -> &ExpectedSchema {
        &self.schema
    }

    /// What it was made from.
    #[must_use]
    pub const fn training(&self) -> &TrainingData {
        &self.training
    }

    /// The trees.
    #[must_use]
    pub const fn forest(&self) -> &Forest {
        &self.forest
    }

    /// The share of rows held to be anomalous, above 0 and at most 0.5.
    #[must_use]
    pub const fn contamination(&self) -> f64 {
        self.calibration.contamination()
    }

    /// scikit-learn's `offset_`: the negative of the score above which a row counts as anomalous.
    #[must_use]
    pub const fn offset(&self) -> f64 {
        self.calibration.offset()
    }

    /// How many rows the calibration rests on.
    #[must_use]
    pub const fn calibration_rows(&self) -> u64 {
        self.calibration.rows()
    }

    /// How many golden rows prove that this program computes what the model's maker computed.
    #[must_use]
    pub fn golden_rows(&self) -> usize {
        self.golden.len()
    }

    /// The SHA-256 of the model's file, as `sha256sum` prints it.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

const _: () =
    assert!(FEATURES <= u16::BITS as usize, "Confidence::outside has a bit for each feature");
