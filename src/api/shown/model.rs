//! The model that is loaded, the schema of features, and scores of rows.

use serde::Serialize;
use utoipa::ToSchema;

use super::event::{FloorName, ShownConfidence};
use super::explanation::ShownThresholds;
use super::{Moment, version_text};
use crate::features::{FEATURES, FeatureVector, SCHEMA, SCHEMA_VERSION, fingerprint};
use crate::model::{AnomalyScore, Confidence, Model, Origin};
use crate::verdict::{Detection, Floor};

/// What judges: model, calibration, policy, and how much else.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownModel {
    name: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    origin: ShownOrigin,
    /// SHA-256 of the model's file.
    sha256: String,
    /// Version of the feature schema.
    schema_version: u32,
    /// Fingerprint of the feature schema.
    schema_fingerprint: String,
    forest: ShownForest,
    training: ShownTraining,
    calibration: ShownCalibration,
    /// Rows that prove that this program computes what the model's maker computed.
    golden_rows: usize,
    /// The version of everything that judges together.
    detection_version: String,
    /// Rules loaded.
    rules: usize,
    /// Entries of intelligence loaded.
    intel: usize,
    /// Decoys watched.
    decoys: usize,
    policy: ShownPolicy,
}

/// How a model was made.
#[derive(Debug, Serialize, ToSchema)]
struct ShownOrigin {
    /// `trained` here or `imported`.
    kind: &'static str,
    /// Where chance began; null for an imported one.
    seed: Option<u64>,
    /// The program it was imported from; null for a trained one.
    program: Option<String>,
}

/// The trees.
#[derive(Debug, Serialize, ToSchema)]
struct ShownForest {
    trees: usize,
    /// Rows that each tree was grown from.
    subsample: u32,
    nodes: usize,
    depth: u32,
}

/// What a model was made from.
#[derive(Debug, Serialize, ToSchema)]
struct ShownTraining {
    rows: u64,
    /// SHA-256 over the rows.
    sha256: String,
    sources: Vec<ShownDataSource>,
    /// The range of each feature.
    ranges: Vec<Range>,
}

/// A file that training rows came from.
#[derive(Debug, Serialize, ToSchema)]
struct ShownDataSource {
    name: String,
    sha256: String,
    rows: u64,
}

/// The range of a feature in training.
#[derive(Debug, Serialize, ToSchema)]
struct Range {
    feature: &'static str,
    minimum: f32,
    maximum: f32,
}

/// What a score means.
#[derive(Debug, Serialize, ToSchema)]
struct ShownCalibration {
    /// Rows that it rests on.
    rows: u64,
    /// The share of rows held to be anomalous.
    contamination: f64,
    /// scikit-learn's `offset_`: `ai_score = -anomaly_score - offset`.
    offset: f64,
    /// Scores of a few quantiles.
    quantiles: Vec<Quantile>,
}

/// The least score of a quantile.
#[derive(Debug, Serialize, ToSchema)]
struct Quantile {
    /// The share of calibration rows that score less.
    quantile: f32,
    anomaly_score: f32,
}

/// How evidence becomes a verdict.
#[derive(Debug, Serialize, ToSchema)]
struct ShownPolicy {
    weights: ShownWeights,
    thresholds: ShownThresholds,
    /// Floors that hold.
    floors: Vec<FloorName>,
    /// The quantile from which a score is rare.
    model_quantile: f64,
}

/// The weights of the sum.
#[derive(Debug, Serialize, ToSchema)]
struct ShownWeights {
    model: f64,
    rules: f64,
    intel: f64,
}

/// The quantiles of [`ShownCalibration`].
const QUANTILES: [f32; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];

impl From<&Detection> for ShownModel {
    fn from(detection: &Detection) -> Self {
        let model = detection.model();
        let (about, forest) = (model.about(), model.forest());
        Self {
            name: about.name.clone(),
            created_at: Moment(about.created_at),
            origin: ShownOrigin::from(&about.origin),
            sha256: model.sha256().to_owned(),
            schema_version: model.schema().version,
            schema_fingerprint: model.schema().fingerprint.clone(),
            forest: ShownForest {
                trees: forest.trees().len(),
                subsample: forest.subsample(),
                nodes: forest.node_count(),
                depth: forest.depth(),
            },
            training: ShownTraining::of(model),
            calibration: ShownCalibration::of(model),
            golden_rows: model.golden_rows(),
            detection_version: version_text(detection.version()),
            rules: detection.rules().len(),
            intel: detection.intel().len(),
            decoys: detection.decoys().all().len(),
            policy: ShownPolicy::of(detection),
        }
    }
}

impl From<&Origin> for ShownOrigin {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::Trained { seed } => Self { kind: "trained", seed: Some(*seed), program: None },
            Origin::Imported { from } => {
                Self { kind: "imported", seed: None, program: Some(from.clone()) }
            }
        }
    }
}

impl ShownTraining {
    fn of(model: &Model) -> Self {
        let training = model.training();
        let ranges = SCHEMA.iter().zip(training.minimum).zip(training.maximum);
        Self {
            rows: training.rows,
            sha256: training.sha256.clone(),
            sources: training
                .sources
                .iter()
                .map(|source| ShownDataSource {
                    name: source.name.clone(),
                    sha256: source.sha256.clone(),
                    rows: source.rows,
                })
                .collect(),
            ranges: ranges
                .map(|((feature, minimum), maximum)| Range {
                    feature: feature.name,
                    minimum,
                    maximum,
                })
                .collect(),
        }
    }
}

impl ShownCalibration {
    fn of(model: &Model) -> Self {
        let least = |quantile| Quantile { quantile, anomaly_score: least_score(model, quantile) };
        Self {
            rows: model.calibration_rows(),
            contamination: model.contamination(),
            offset: model.offset(),
            quantiles: QUANTILES.map(least).into(),
        }
    }
}

/// The least score whose quantile is at least this: the bits of floats from 0 to 1 rise with their values, so their middle
/// can be halved.
fn least_score(model: &Model, quantile: f32) -> f32 {
    let (mut below, mut above) = (0.0_f32.to_bits(), 1.0_f32.to_bits());
    while below < above {
        let middle = below.midpoint(above);
        let reaches = AnomalyScore::new(f32::from_bits(middle))
            .is_some_and(|score| model.quantile(score) >= quantile);
        if reaches {
            above = middle;
        } else {
            below = middle + 1;
        }
    }
    f32::from_bits(above)
}

impl ShownPolicy {
    fn of(detection: &Detection) -> Self {
        let params = detection.policy().params();
        let weights = params.weights;
        let holds = |floor: &Floor| params.floors.has(*floor);
        Self {
            weights: ShownWeights {
                model: weights.model,
                rules: weights.rule,
                intel: weights.intel,
            },
            thresholds: ShownThresholds::from(detection),
            floors: Floor::ALL
                .into_iter()
                .filter(holds)
                .map(|floor| FloorName(floor.name()))
                .collect(),
            model_quantile: params.model_quantile,
        }
    }
}

/// The frozen schema of the features.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownSchema {
    version: u32,
    /// SHA-256 over its canonical text.
    fingerprint: String,
    /// In the order in which files and tables have them.
    features: Vec<ShownFeature>,
}

/// One feature.
#[derive(Debug, Serialize, ToSchema)]
struct ShownFeature {
    /// From 1.
    number: usize,
    name: &'static str,
    unit: &'static str,
    meaning: &'static str,
}

impl ShownSchema {
    pub(in super::super) fn new() -> Self {
        let features = SCHEMA.iter().zip(1..).map(|(feature, number)| ShownFeature {
            number,
            name: feature.name,
            unit: feature.unit,
            meaning: feature.meaning,
        });
        Self { version: SCHEMA_VERSION, fingerprint: fingerprint(), features: features.collect() }
    }
}

/// Scores of the rows sent, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ScoredRows {
    /// The model that scored.
    model: String,
    /// SHA-256 of its file.
    sha256: String,
    rows: Vec<ScoredRow>,
}

/// What the model says of a row.
#[derive(Debug, Serialize, ToSchema)]
struct ScoredRow {
    /// 0 ordinary, 1 unique.
    #[schema(minimum = 0, maximum = 1)]
    anomaly_score: f32,
    /// scikit-learn's sign: negative is anomalous.
    ai_score: f32,
    /// 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    model_risk: f32,
    confidence: ShownConfidence,
    /// Features outside the range seen in training.
    outside_training_range: Vec<&'static str>,
}

impl ScoredRows {
    pub(in super::super) fn of(model: &Model, rows: &[FeatureVector]) -> Self {
        let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
        model.score_batch(rows, &mut scores);
        let scored = rows.iter().zip(scores).map(|(row, score)| ScoredRow::of(model, row, score));
        Self {
            model: model.about().name.clone(),
            sha256: model.sha256().to_owned(),
            rows: scored.collect(),
        }
    }
}

impl ScoredRow {
    fn of(model: &Model, row: &FeatureVector, score: AnomalyScore) -> Self {
        let confidence = model.confidence(row, score);
        let Confidence { quantile, calibration_rows, outside } = confidence;
        let inside = confidence.inside_training_range();
        let is_outside = |at: &usize| outside >> at & 1 == 1;
        let names = (0..FEATURES).filter(is_outside).filter_map(|at| SCHEMA.get(at));
        Self {
            anomaly_score: score.value(),
            ai_score: model.ai_score(score),
            model_risk: model.risk(score),
            confidence: ShownConfidence::new(quantile, Some(calibration_rows), Some(inside)),
            outside_training_range: names.map(|feature| feature.name).collect(),
        }
    }
}
