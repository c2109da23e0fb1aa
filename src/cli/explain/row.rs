//! Of one row of features: each feature's share of its score, and the nearest change that would make it usual.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::score::Score;
use crate::cli::{Failure, model, setup};
use crate::features::{FeatureVector, SCHEMA};
use crate::model::{AnomalyScore, FeatureTable, Model};

/// Why a row scores as it does.
#[derive(Debug, Serialize)]
pub(super) struct ExplainedRow {
    #[serde(flatten)]
    packet: Packet,
    confidence: Confidence,
    /// 0 to 100.
    model_risk: f32,
    ai_score: f32,
    score: Score,
    is_usual: bool,
    /// The nearest change of one feature that would make it usual; null where it is usual already, or no single change would do.
    usual_if: Option<Change>,
}

/// Which packet the row is of, as its columns say; "?" where there is none.
#[derive(Debug, Serialize)]
struct Packet {
    packet: String,
    src_ip: String,
    dst_ip: String,
}

/// How unusual the score is.
#[derive(Debug, Serialize)]
struct Confidence {
    /// The share of calibration rows that score less.
    quantile: f32,
    calibration_rows: u64,
}

/// Another value of one feature.
#[derive(Debug, Serialize)]
struct Change {
    feature: &'static str,
    from: f32,
    to: f32,
    anomaly_score: f32,
}

/// Explains the row of `packet` in the file; the first one without a number.
pub(super) fn explain(
    path: &Path,
    packet: Option<u64>,
    file: Option<&Path>,
) -> Result<ExplainedRow, Failure> {
    let model = model::load(file)?;
    let (packet, row) = find_row(path, packet)?;
    Ok(ExplainedRow::of(packet, &model, &row))
}

fn find_row(path: &Path, asked: Option<u64>) -> Result<(Packet, FeatureVector), Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::operation(format!("{name}: {error}")))?;
    let mut table =
        FeatureTable::new(&name, file, &setup::expected_schema()).map_err(Failure::operation)?;
    let mut rows = 0_u64;
    while let Some(row) = table.next_row().map_err(Failure::operation)? {
        rows += 1;
        let number = table.packet_field("packet").and_then(|number| number.parse().ok());
        if asked.is_none() || asked == number {
            let field = |column| table.packet_field(column).unwrap_or("?").to_owned();
            let (packet, src_ip, dst_ip) = (field("packet"), field("src_ip"), field("dst_ip"));
            return Ok((Packet { packet, src_ip, dst_ip }, row));
        }
    }
    Err(Failure::usage(match asked {
        None => format!("{name}: has no rows"),
        Some(packet) => {
            format!("--packet {packet}: none of the {rows} rows of {name} is of that packet")
        }
    }))
}

impl ExplainedRow {
    fn of(packet: Packet, model: &Model, row: &FeatureVector) -> Self {
        let score = model.score(row);
        let confidence = model.confidence(row, score);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a bound between scores, which are f32"
        )]
        let bound = AnomalyScore::new(-model.offset() as f32);
        let bound = bound.filter(|bound| score.reaches(*bound));
        let change = bound.and_then(|bound| model.safe_if(row, bound));
        Self {
            packet,
            confidence: Confidence {
                quantile: confidence.quantile,
                calibration_rows: confidence.calibration_rows,
            },
            model_risk: model.risk(score),
            ai_score: model.ai_score(score),
            score: Score::of(model, row),
            is_usual: bound.is_none(),
            usual_if: change.map(|change| Change {
                feature: SCHEMA.get(change.feature).map_or("?", |feature| feature.name),
                from: change.from,
                to: change.to,
                anomaly_score: change.score.value(),
            }),
        }
    }

    pub(super) fn page(&self) -> String {
        let mut page = String::new();
        let mut line = |text: &str| writeln!(page, "{text}").expect("a String takes everything");
        let Packet { packet, src_ip, dst_ip } = &self.packet;
        line(&format!("packet {packet} from {src_ip} to {dst_ip}"));
        line(&format!(
            "score {:.6}: above {:.3} % of {} training rows; model risk {:.1}; ai_score {:.4}",
            self.score.anomaly_score,
            self.confidence.quantile * 100.0,
            self.confidence.calibration_rows,
            self.model_risk,
            self.ai_score
        ));
        for text in self.score.lines() {
            line(&text);
        }
        line(&match &self.usual_if {
            _ if self.is_usual => "the model finds it usual".to_owned(),
            None => "no change of a single feature would make it usual".to_owned(),
            Some(Change { feature, to, anomaly_score, .. }) => {
                format!("it would be usual if {feature} were {to} (score {anomaly_score:.6})")
            }
        });
        page
    }
}
