//! `phantomnet model`: look at a model, check it, apply it, time it, take one over from scikit-learn.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::bench::Bench;
use super::{Failure, output, setup};
use crate::features::SCHEMA;
use crate::model::{FeatureTable, ImportParams, Model, Origin, import, score_csv};

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Show what a model was made of and from.
    #[command(after_long_help = include_str!("pages/model-inspect.txt"))]
    Inspect(ModelFile),
    /// Check a model file: seal, schema, structure, golden rows.
    #[command(after_long_help = include_str!("pages/model-verify.txt"))]
    Verify(ModelFile),
    /// Score the rows of a CSV file.
    Score(Score),
    /// Say how fast this machine scores rows.
    Bench(Bench),
    /// Take over a scikit-learn IsolationForest that models/export_sklearn.py has exported.
    Import(Import),
}

/// A model file.
#[derive(Debug, Args)]
pub(super) struct ModelFile {
    /// The model file; the built-in model without one.
    file: Option<PathBuf>,
}

/// Arguments of `model score`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/model-score.txt"))]
pub(super) struct Score {
    /// The model file; the built-in model without one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// A CSV file with the 15 feature columns, in any order among others.
    #[arg(long = "in", value_name = "CSV")]
    input: PathBuf,

    /// Where the scores go; - is standard output.
    #[arg(long, value_name = "CSV", default_value = "-")]
    out: PathBuf,
}

/// Arguments of `model import`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/model-import.txt"))]
pub(super) struct Import {
    /// What models/export_sklearn.py wrote.
    file: PathBuf,

    /// The model file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The model's name; the file's name without one.
    #[arg(long)]
    name: Option<String>,

    /// Rows of normal traffic to calibrate on, instead of those that were exported.
    #[arg(long, value_name = "CSV")]
    calibrate_on: Option<PathBuf>,
}

impl ModelCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(model) => inspect(&load(model.file.as_deref())?),
            Self::Verify(model) => verify(&load(model.file.as_deref())?),
            Self::Score(score) => score.run(),
            Self::Bench(bench) => bench.run(),
            Self::Import(import) => import.run(),
        }
    }
}

/// The model in `file`, or the built-in one.
pub(super) fn load(file: Option<&Path>) -> Result<Model, Failure> {
    file.map_or_else(setup::built_in_model, setup::load_model_file)
}

fn verify(model: &Model) -> Result<(), Failure> {
    output::print(&format!(
        "{}: good; {} trees, {} golden rows score what they must; sha256 {}\n",
        model.about().name,
        model.forest().trees().len(),
        model.golden_rows(),
        model.sha256()
    ))
}

fn inspect(model: &Model) -> Result<(), Failure> {
    let mut page = String::new();
    let mut line = |name: &str, text: String| {
        writeln!(page, "{name:<14}{text}").expect("a String takes everything");
    };
    let (about, training, forest) = (model.about(), model.training(), model.forest());
    line("name", about.name.clone());
    line("created", about.created_at.to_string());
    line(
        "origin",
        match &about.origin {
            Origin::Trained { seed } => format!("trained, seed {seed}"),
            Origin::Imported { from } => format!("imported from {from}"),
        },
    );
    line("sha256", model.sha256().to_owned());
    line(
        "schema",
        format!("{}, fingerprint {}", model.schema().version, model.schema().fingerprint),
    );
    line(
        "forest",
        format!(
            "{} trees of {} rows, {} nodes, depth {}",
            forest.trees().len(),
            forest.subsample(),
            forest.node_count(),
            forest.depth()
        ),
    );
    line(
        "calibration",
        format!(
            "{} rows; contamination {}, scores above {:.6} are unusual",
            model.calibration_rows(),
            model.contamination(),
            -model.offset()
        ),
    );
    line("golden rows", model.golden_rows().to_string());
    line("trained on", format!("{} rows, sha256 {}", training.rows, training.sha256));
    for source in &training.sources {
        line("", format!("{:>8} rows  {}  {}", source.rows, source.sha256, source.name));
    }
    line("ranges", String::new());
    for ((feature, least), most) in SCHEMA.iter().zip(training.minimum).zip(training.maximum) {
        line("", format!("{:<30}{least:>14} to {most} {}", feature.name, feature.unit));
    }
    output::print(&page)
}

impl Score {
    fn run(self) -> Result<(), Failure> {
        let model = load(self.model.as_deref())?;
        let input = open(&self.input)?;
        output::refuse_overwriting(&[&self.out], std::slice::from_ref(&self.input))?;
        let out = output::create(&self.out)?;
        score_csv(&model, &self.input.display().to_string(), input, out)
            .map_err(Failure::operation)?;
        Ok(())
    }
}

impl Import {
    fn run(self) -> Result<(), Failure> {
        let schema = setup::expected_schema();
        let calibration_rows = match &self.calibrate_on {
            None => None,
            Some(path) => {
                let table = FeatureTable::new(&path.display().to_string(), open(path)?, &schema);
                Some(table.and_then(|mut table| table.rows()).map_err(Failure::operation)?)
            }
        };
        let stem = self.out.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let params = ImportParams {
            name: self.name.or(stem).unwrap_or_default(),
            created_at: setup::now(),
            sources: Vec::new(),
            calibration_rows,
        };
        let model = import(open(&self.file)?, &params, &schema)
            .map_err(|error| Failure::configuration(format!("{}: {error}", self.file.display())))?;
        model
            .save(&self.out)
            .map_err(|error| Failure::operation(format!("{}: {error}", self.out.display())))?;
        verify(&model)
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::operation(format!("{}: {error}", path.display())))
}
