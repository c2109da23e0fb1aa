//! `phantomnet explain`: each feature's share of a score, and the nearest change that would make it usual.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, model, output, setup};
use crate::features::{FeatureVector, SCHEMA};
use crate::model::{AnomalyScore, Explanation, FeatureTable, Model};

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/explain.txt"))]
pub(super) struct Explain {
    /// A CSV file with the 15 feature columns, as --dump-features writes it.
    #[arg(long, value_name = "CSV")]
    row: PathBuf,

    /// The packet's number, as the column `packet` and every other output has it; the first row without one.
    #[arg(long, value_name = "NUMBER")]
    packet: Option<u64>,

    /// The model file; the built-in model without one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let model = model::load(self.model.as_deref())?;
        let (packet, row) = self.find_row()?;
        output::print(&format!("{packet}{}", page(&model, &row)))
    }

    /// The row asked for, and a line that says which packet it is of.
    fn find_row(&self) -> Result<(String, FeatureVector), Failure> {
        let name = self.row.display().to_string();
        let file = File::open(&self.row)
            .map_err(|error| Failure::operation(format!("{name}: {error}")))?;
        let mut table = FeatureTable::new(&name, file, &setup::expected_schema())
            .map_err(Failure::operation)?;
        let mut rows = 0_u64;
        while let Some(row) = table.next_row().map_err(Failure::operation)? {
            rows += 1;
            let number = table.packet_field("packet").and_then(|number| number.parse().ok());
            if self.packet.is_none() || self.packet == number {
                let field = |column| table.packet_field(column).unwrap_or("?").to_owned();
                let (packet, source, destination) =
                    (field("packet"), field("src_ip"), field("dst_ip"));
                return Ok((format!("packet {packet} from {source} to {destination}\n"), row));
            }
        }
        Err(Failure::usage(match self.packet {
            None => format!("{name}: has no rows"),
            Some(packet) => {
                format!("--packet {packet}: none of the {rows} rows of {name} is of that packet")
            }
        }))
    }
}

fn page(model: &Model, row: &FeatureVector) -> String {
    let explanation = model.explain(row);
    let score = explanation.score;
    let confidence = model.confidence(row, score);
    let mut page = String::new();
    let mut line = |text: String| writeln!(page, "{text}").expect("a String takes everything");
    line(format!(
        "score {:.6}: above {:.3} % of {} training rows; model risk {:.1}; ai_score {:.4}",
        score.value(),
        confidence.quantile * 100.0,
        confidence.calibration_rows,
        model.risk(score),
        model.ai_score(score)
    ));
    line(format!("{:<30}{:>14}  {:>12}  {}", "feature", "value", "share", "seen in training"));
    line(format!(
        "{:<30}{:>14}  {:>12.9}",
        "(any packet)",
        "",
        Explanation::points(explanation.base_nanos)
    ));
    let mut order: Vec<usize> = (0..SCHEMA.len()).collect();
    let share = |feature: usize| explanation.shares_nanos.get(feature).copied().unwrap_or(0);
    order.sort_by_key(|&feature| (std::cmp::Reverse(share(feature).abs()), feature));
    for feature in order {
        let training = model.training();
        let parts = (
            SCHEMA.get(feature),
            row.0.get(feature),
            training.minimum.get(feature),
            training.maximum.get(feature),
        );
        if let (Some(about), Some(value), Some(least), Some(most)) = parts {
            let points = Explanation::points(share(feature));
            line(format!(
                "{:<30}{value:>14}  {points:>+12.9}  {least} to {most} {}",
                about.name, about.unit
            ));
        }
    }
    line(format!(
        "{:<30}{:>14}  {:>12.9}",
        "sum",
        "",
        Explanation::points(explanation.score_nanos)
    ));
    line(usual_if(model, row, score));
    page
}

/// What would make the row usual for the model.
fn usual_if(model: &Model, row: &FeatureVector, score: AnomalyScore) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a bound between scores, which are f32")]
    let bound = AnomalyScore::new(-model.offset() as f32);
    let Some(bound) = bound.filter(|bound| score.reaches(*bound)) else {
        return "the model finds it usual".to_owned();
    };
    match model.safe_if(row, bound) {
        None => "no change of a single feature would make it usual".to_owned(),
        Some(change) => {
            let name = SCHEMA.get(change.feature).map_or("?", |feature| feature.name);
            format!(
                "it would be usual if {name} were {} (score {:.6})",
                change.to,
                change.score.value()
            )
        }
    }
}
