//! Taking over a forest that scikit-learn grew, from the file that `models/export_sklearn.py` writes.

use std::io::{self, Read};

use serde::Deserialize;

use crate::features::{FEATURES, FeatureVector};
use crate::time::Timestamp;

use super::calibration::{Calibration, share_anomalous};
use super::forest::{Forest, Node, Tree};
use super::passport::{self, About, DataSource, ExpectedSchema, GoldenRow, Origin, TrainingData};
use super::train::scores;
use super::{Model, Parts};

/// Bytes that an exported forest may have, with its calibration rows.
pub const IMPORT_BYTES_MAX: u64 = 256 << 20;

/// How far a score may be from the one that scikit-learn gave.
const TOLERANCE: f64 = 1e-6;

/// The least share of rows that can be held to be anomalous: where nothing is, risk still needs a place to begin.
const CONTAMINATION_MIN: f64 = 1e-6;

/// Why a forest could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It could not be read.
    #[error("the exported forest cannot be read: {0}")]
    Io(io::Error),
    /// It is larger than is allowed.
    #[error("the exported forest is larger than {IMPORT_BYTES_MAX} bytes: export fewer rows")]
    TooLarge,
    /// It is not what the exporter writes.
    #[error("not a forest exported by models/export_sklearn.py: {0}")]
    Form(serde_json::Error),
    /// It cannot be used.
    #[error("the exported forest cannot be used: {0}")]
    Content(String),
    /// There is nothing to calibrate on.
    #[error(
        "the forest comes without rows to calibrate on: export it again with --rows, or give a CSV file of ordinary traffic"
    )]
    NoRows,
    /// The conversion does not compute what scikit-learn does.
    #[error(
        "check row {row} scores {found} here and {stated} in scikit-learn: the conversion would not be faithful"
    )]
    Unfaithful {
        /// Which row, counted from 1.
        row: usize,
        /// The score here.
        found: f64,
        /// The score there.
        stated: f64,
    },
}

/// What the file does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportParams {
    /// The model's name.
    pub name: String,
    /// When it is made.
    pub created_at: Timestamp,
    /// Where the rows come from, where it is known.
    pub sources: Vec<DataSource>,
    /// Rows to calibrate on, instead of those in the file.
    pub calibration_rows: Option<Vec<FeatureVector>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    format: String,
    version: u32,
    sklearn: String,
    feature_names: Vec<String>,
    max_samples: u32,
    /// `offset_`: from this score down, `decision_function` is negative.
    offset: f64,
    /// A number, or `None` for scikit-learn's "auto".
    contamination: Option<f64>,
    trees: Vec<ExportedTree>,
    rows: Vec<[f64; FEATURES]>,
    check: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportedTree {
    feature: Vec<i32>,
    threshold: Vec<f64>,
    left: Vec<i64>,
    right: Vec<i64>,
    rows: Vec<u32>,
}

/// A row with scikit-learn's own score.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Check {
    row: [f64; FEATURES],
    score_samples: f64,
}

/// Converts an exported scikit-learn `IsolationForest` into a model. Its scores are those of `score_samples`, negated, within
/// 1e-6; its [`Model::ai_score`] is `decision_function`.
///
/// scikit-learn's "auto" contamination states a score, not a share: the share is then what scikit-learn would call anomalous
/// among the calibration rows.
///
/// # Errors
///
/// When the file is not one that `models/export_sklearn.py` wrote, passes a limit, brings no calibration rows, or when a check
/// row does not score what it scored in scikit-learn.
pub fn import(
    reader: impl Read,
    params: &ImportParams,
    schema: &ExpectedSchema,
) -> Result<Model, ImportError> {
    let exported = parse(reader)?;
    check_header(&exported, schema).map_err(ImportError::Content)?;
    let from = format!("scikit-learn {}", exported.sklearn);
    let about = About {
        name: params.name.clone(),
        created_at: params.created_at,
        origin: Origin::Imported { from },
    };
    passport::check_words(&about, &params.sources).map_err(ImportError::Content)?;

    let trees = exported.trees.iter().enumerate().map(|(nth, raw)| {
        tree(raw).map_err(|why| ImportError::Content(format!("tree {}: {why}", nth + 1)))
    });
    let forest = Forest::new(trees.collect::<Result<_, _>>()?, exported.max_samples)
        .map_err(|why| ImportError::Content(why.to_string()))?;
    check_scores(&forest, &exported.check)?;

    let rows = match &params.calibration_rows {
        Some(rows) => rows.clone(),
        None => exported.rows.iter().map(narrow).collect(),
    };
    if rows.is_empty() {
        return Err(ImportError::NoRows);
    }
    if let Some(nth) = rows.iter().position(|row| !passport::is_finite(row)) {
        return Err(ImportError::Content(format!("calibration row {} is not finite", nth + 1)));
    }
    let training = TrainingData::of(&rows, params.sources.clone());
    let golden = GoldenRow::choose(&forest, &rows, &training);
    let calibration = calibrate(&forest, &rows, &exported).map_err(ImportError::Content)?;
    Ok(Model::assemble(Parts {
        about,
        schema: schema.clone(),
        training,
        forest,
        calibration,
        golden,
    }))
}

fn parse(reader: impl Read) -> Result<Exported, ImportError> {
    let mut bytes = Vec::new();
    reader.take(IMPORT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(ImportError::Io)?;
    if bytes.len() as u64 > IMPORT_BYTES_MAX {
        return Err(ImportError::TooLarge);
    }
    serde_json::from_slice(&bytes).map_err(ImportError::Form)
}

fn check_header(exported: &Exported, schema: &ExpectedSchema) -> Result<(), String> {
    if exported.format != "phantomnet-sklearn-forest" || exported.version != 1 {
        let Exported { format, version, .. } = exported;
        return Err(format!(
            "its format is {format:?} version {version}; this program reads \"phantomnet-sklearn-forest\" version 1"
        ));
    }
    if exported.feature_names != schema.names {
        let (found, wanted) = (exported.feature_names.join(", "), schema.names.join(", "));
        return Err(format!(
            "its features are {found}; this program measures, in this order, {wanted}"
        ));
    }
    if exported.check.is_empty() {
        return Err("it has no check rows".into());
    }
    Ok(())
}

fn calibrate(
    forest: &Forest,
    rows: &[FeatureVector],
    exported: &Exported,
) -> Result<Calibration, String> {
    let scores = scores(forest, rows);
    let contamination = exported
        .contamination
        .unwrap_or_else(|| share_anomalous(&scores, exported.offset).clamp(CONTAMINATION_MIN, 0.5));
    Calibration::from_scores(scores, contamination, Some(exported.offset))
}

fn tree(raw: &ExportedTree) -> Result<Tree, String> {
    let count = raw.feature.len();
    if [raw.threshold.len(), raw.left.len(), raw.right.len(), raw.rows.len()] != [count; 4] {
        return Err("its columns differ in length".into());
    }
    let children = raw.left.iter().zip(&raw.right);
    let columns = raw.feature.iter().zip(&raw.threshold).zip(children).zip(&raw.rows);
    let nodes =
        columns.enumerate().map(|(index, (((&feature, &threshold), (&left, &right)), &rows))| {
            if left == -1 && right == -1 {
                return Ok(Node::Leaf { rows });
            }
            let child = |child: i64| {
                u32::try_from(child)
                    .ok()
                    .ok_or_else(|| format!("node {index} has the child {child}"))
            };
            let feature = u8::try_from(feature).ok().ok_or_else(|| {
                format!("node {index} splits feature {feature}; the schema has {FEATURES}")
            })?;
            let (left, right) = (child(left)?, child(right)?);
            Ok(Node::Split { feature, threshold: rounded_down(threshold), left, right })
        });
    let nodes = nodes.collect::<Result<Vec<Node>, String>>()?;
    Tree::new(nodes).map_err(|why| why.to_string())
}

/// The greatest f32 that is not above `threshold`.
///
/// scikit-learn compares f32 values with f64 thresholds. `x <= threshold` and `x <= rounded_down(threshold)` are the same for
/// every f32 `x`; rounded to the nearest, a row that lies between the two would go the other way.
#[expect(clippy::cast_possible_truncation, reason = "corrected right after")]
fn rounded_down(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest.next_down() } else { nearest }
}

/// scikit-learn narrows its rows to f32 before it looks at them; so the nearest f32 is what it saw.
#[expect(clippy::cast_possible_truncation, reason = "the narrowing is the point")]
fn narrow(row: &[f64; FEATURES]) -> FeatureVector {
    FeatureVector(row.map(|value| value as f32))
}

fn check_scores(forest: &Forest, check: &[Check]) -> Result<(), ImportError> {
    for (nth, Check { row, score_samples }) in check.iter().enumerate() {
        let found = f64::from(forest.score(&narrow(row)).value());
        let stated = -score_samples;
        let near = (found - stated).abs() <= TOLERANCE;
        if !near {
            return Err(ImportError::Unfaithful { row: nth + 1, found, stated });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::samples;

    /// A forest of one tree: feature_a at most 1.5, or not.
    fn exported() -> serde_json::Value {
        let names = samples::schema().names;
        let row = |first: f64| {
            let mut row = vec![0.0; FEATURES];
            row[0] = first;
            row
        };
        serde_json::json!({
            "format": "phantomnet-sklearn-forest", "version": 1, "sklearn": "1.5.2",
            "feature_names": names, "max_samples": 2, "offset": -0.5, "contamination": null,
            "trees": [{"feature": [0, -2, -2], "threshold": [1.5, -2.0, -2.0],
                       "left": [1, -1, -1], "right": [2, -1, -1], "rows": [2, 1, 1]}],
            "rows": [row(1.0), row(2.0)],
            "check": [{"row": row(1.0), "score_samples": -0.5}],
        })
    }

    fn params() -> ImportParams {
        ImportParams {
            name: "imported".into(),
            created_at: Timestamp::EPOCH,
            sources: vec![],
            calibration_rows: None,
        }
    }

    fn said(exported: &serde_json::Value) -> String {
        let text = exported.to_string();
        import(text.as_bytes(), &params(), &samples::schema()).unwrap_err().to_string()
    }

    #[test]
    fn an_imported_model_passes_the_gate_of_its_own_file() {
        let text = exported().to_string();
        let model = import(text.as_bytes(), &params(), &samples::schema()).unwrap();
        let again = Model::from_bytes("x", &model.to_bytes(), &samples::schema()).unwrap();
        assert_eq!(again.sha256(), model.sha256());
        assert_eq!(model.about().origin, Origin::Imported { from: "scikit-learn 1.5.2".into() });
    }

    #[test]
    fn what_cannot_be_taken_over_is_refused_with_a_reason() {
        let with = |key: &str, value: serde_json::Value| {
            let mut exported = exported();
            exported[key] = value;
            said(&exported)
        };
        assert!(with("version", 2.into()).contains("version 2"));
        assert!(with("feature_names", serde_json::json!(["a"])).contains("its features are a;"));
        assert!(with("rows", serde_json::json!([])).contains("--rows"));
        assert!(with("check", serde_json::json!([])).contains("no check rows"));
        assert!(with("surprise", 1.into()).contains("unknown field"));
        assert!(with("max_samples", 1.into()).contains("subsample of 1"));
        assert!(with("contamination", 0.9.into()).contains("contamination = 0.9"));
        let mut wrong = exported();
        wrong["check"][0]["score_samples"] = (-0.6).into();
        assert!(said(&wrong).contains("check row 1 scores 0.5 here and 0.6"));
        let mut deep = exported();
        deep["trees"][0]["left"][0] = 0.into();
        assert!(said(&deep).contains("tree 1: node 0 has the child 0"));
        assert!(import(&b"{"[..], &params(), &samples::schema()).is_err());
    }

    proptest! {
        #[test]
        fn a_threshold_rounded_down_parts_the_same_values(threshold in any::<f64>(), offset in -2_i32..=2) {
            prop_assume!(threshold.abs() < f64::from(f32::MAX));
            let down = rounded_down(threshold);
            let near = (0..offset.abs()).fold(narrow(&[threshold; FEATURES]).0[0], |x, _| {
                if offset > 0 { x.next_up() } else { x.next_down() }
            });
            prop_assert_eq!(f64::from(near) <= threshold, near <= down);
        }
    }
}
