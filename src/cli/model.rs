//! `phantomnet model`: look at a model, check it, apply it, time it, take one over from scikit-learn.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::bench::Bench;
use super::output::JsonArgument;
use super::{Failure, output, passport, setup};
use crate::model::{FeatureTable, ImportParams, Model, import, score_csv};

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

    #[command(flatten)]
    json: JsonArgument,
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

    #[command(flatten)]
    json: JsonArgument,
}

impl ModelCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(model) => passport::show(&load(model.file.as_deref())?, model.json),
            Self::Verify(model) => verdict(&load(model.file.as_deref())?, model.json),
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

/// What has been checked where a model was read.
#[derive(Debug, Serialize)]
struct Good<'a> {
    name: &'a str,
    sha256: &'a str,
    trees: usize,
    golden_rows: usize,
}

/// Says that a model is good: it could be read.
fn verdict(model: &Model, json: JsonArgument) -> Result<(), Failure> {
    let good = Good {
        name: &model.about().name,
        sha256: model.sha256(),
        trees: model.forest().trees().len(),
        golden_rows: model.golden_rows(),
    };
    let Good { name, sha256, trees, golden_rows } = good;
    let page = format!(
        "{name}: good; {trees} trees, {golden_rows} golden rows score what they must; sha256 {sha256}\n"
    );
    json.print(&good, &page)
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
        verdict(&model, self.json)
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::operation(format!("{}: {error}", path.display())))
}
