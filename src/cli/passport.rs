//! What a model was made of and from, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::Failure;
use super::output::JsonArgument;
use crate::features::SCHEMA;
use crate::model::{DataSource, Model, Origin};

#[derive(Debug, Serialize)]
struct Passport<'a> {
    name: &'a str,
    created_at: String,
    origin: &'a Origin,
    sha256: &'a str,
    schema_version: u32,
    schema_fingerprint: &'a str,
    forest: Forest,
    calibration: Calibration,
    golden_rows: usize,
    training: Training<'a>,
}

#[derive(Debug, Serialize)]
struct Forest {
    trees: usize,
    /// Rows that each tree was grown from.
    subsample: u32,
    nodes: usize,
    depth: u32,
}

#[derive(Debug, Serialize)]
struct Calibration {
    rows: u64,
    contamination: f64,
    unusual_above: f64,
}

#[derive(Debug, Serialize)]
struct Training<'a> {
    rows: u64,
    sha256: &'a str,
    sources: &'a [DataSource],
    ranges: Vec<Range>,
}

/// What training has seen of a feature.
#[derive(Debug, Serialize)]
struct Range {
    feature: &'static str,
    unit: &'static str,
    minimum: f32,
    maximum: f32,
}

/// Prints it.
pub(super) fn show(model: &Model, json: JsonArgument) -> Result<(), Failure> {
    let passport = Passport::of(model);
    json.print(&passport, &passport.page())
}

impl<'a> Passport<'a> {
    fn of(model: &'a Model) -> Self {
        let (about, forest, training) = (model.about(), model.forest(), model.training());
        let ranges = SCHEMA.iter().zip(training.minimum).zip(training.maximum);
        Self {
            name: &about.name,
            created_at: about.created_at.to_string(),
            origin: &about.origin,
            sha256: model.sha256(),
            schema_version: model.schema().version,
            schema_fingerprint: &model.schema().fingerprint,
            forest: Forest {
                trees: forest.trees().len(),
                subsample: forest.subsample(),
                nodes: forest.node_count(),
                depth: forest.depth(),
            },
            calibration: Calibration {
                rows: model.calibration_rows(),
                contamination: model.contamination(),
                unusual_above: -model.offset(),
            },
            golden_rows: model.golden_rows(),
            training: Training {
                rows: training.rows,
                sha256: &training.sha256,
                sources: &training.sources,
                ranges: ranges
                    .map(|((feature, minimum), maximum)| Range {
                        feature: feature.name,
                        unit: feature.unit,
                        minimum,
                        maximum,
                    })
                    .collect(),
            },
        }
    }

    fn page(&self) -> String {
        let mut page = String::new();
        let mut line = |name: &str, text: String| {
            writeln!(page, "{name:<14}{text}").expect("a String takes everything");
        };
        line("name", self.name.to_owned());
        line("created", self.created_at.clone());
        line(
            "origin",
            match self.origin {
                Origin::Trained { seed } => format!("trained, seed {seed}"),
                Origin::Imported { from } => format!("imported from {from}"),
            },
        );
        line("sha256", self.sha256.to_owned());
        line("schema", format!("{}, fingerprint {}", self.schema_version, self.schema_fingerprint));
        let Forest { trees, subsample, nodes, depth } = self.forest;
        line("forest", format!("{trees} trees of {subsample} rows, {nodes} nodes, depth {depth}"));
        let Calibration { rows, contamination, unusual_above } = self.calibration;
        line(
            "calibration",
            format!(
                "{rows} rows; contamination {contamination}, scores above {unusual_above:.6} are unusual"
            ),
        );
        line("golden rows", self.golden_rows.to_string());
        line("trained on", format!("{} rows, sha256 {}", self.training.rows, self.training.sha256));
        for source in self.training.sources {
            line("", format!("{:>8} rows  {}  {}", source.rows, source.sha256, source.name));
        }
        line("ranges", String::new());
        for Range { feature, unit, minimum, maximum } in &self.training.ranges {
            line("", format!("{feature:<30}{minimum:>14} to {maximum} {unit}"));
        }
        page
    }
}
