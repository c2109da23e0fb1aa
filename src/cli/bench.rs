//! `phantomnet model bench`: how fast one core of this machine scores rows.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::output::JsonArgument;
use super::{Failure, model, output};
use crate::features::FeatureVector;
use crate::model::{AnomalyScore, FeatureTable, Model};

/// Arguments of `model bench`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/model-bench.txt"))]
pub(super) struct Bench {
    /// The model file; the built-in model without one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    /// A CSV file with the 15 feature columns, in any order among others.
    #[arg(long = "in", value_name = "CSV")]
    input: PathBuf,

    /// How many rows are scored at a time, at most 1,000,000; a worker scores up to 256, and 1 is row by row.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,

    /// How many times all rows are scored, at most 1,000; a time before the first warms the caches and does not count.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,

    /// A file for the scores, one a line in the order of the rows: to be held against another program's.
    #[arg(long, value_name = "CSV")]
    out: Option<PathBuf>,

    #[command(flatten)]
    json: JsonArgument,
}

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        let model = model::load(self.model.as_deref())?;
        if let Some(out) = &self.out {
            if out.as_os_str() == "-" {
                return Err(Failure::usage(
                    "--out: must name a file; the times are what goes to standard output",
                ));
            }
            output::refuse_overwriting(&[out], std::slice::from_ref(&self.input))?;
        }
        let rows = rows_of(&self.input, &model)?;
        let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
        // It fits, being 1,000,000 at most.
        let batch = usize::try_from(self.batch).unwrap_or(usize::MAX);
        score_all(&model, &rows, &mut scores, batch);
        let mut times: Vec<Duration> =
            (0..self.rounds).map(|_| score_all(&model, &rows, &mut scores, batch)).collect();
        times.sort_unstable();
        if let Some(out) = &self.out {
            write_scores(out, &scores)?;
        }
        let report = Report::new(&model, self.batch, &scores, &times);
        self.json.print(&report, &report.render())
    }
}

/// All rows of a table, of which there must be one.
fn rows_of(path: &Path, model: &Model) -> Result<Vec<FeatureVector>, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::operation(format!("{name}: {error}")))?;
    let rows = FeatureTable::new(&name, file, model.schema())
        .and_then(|mut table| table.rows())
        .map_err(Failure::operation)?;
    if rows.is_empty() {
        return Err(Failure::usage(format!("{name}: has no rows")));
    }
    Ok(rows)
}

/// Scores all rows, `batch` at a time. Returns how long that took.
fn score_all(
    model: &Model,
    rows: &[FeatureVector],
    scores: &mut [AnomalyScore],
    batch: usize,
) -> Duration {
    let begun = Instant::now();
    for (rows, scores) in rows.chunks(batch).zip(scores.chunks_mut(batch)) {
        model.score_batch(rows, scores);
    }
    begun.elapsed()
}

fn write_scores(path: &Path, scores: &[AnomalyScore]) -> Result<(), Failure> {
    let mut file = output::create(path)?;
    let mut write = || -> io::Result<()> {
        writeln!(file, "anomaly_score")?;
        for score in scores {
            writeln!(file, "{}", score.value())?;
        }
        file.flush()
    };
    write().map_err(|error| Failure::operation(format!("{}: {error}", path.display())))
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    /// The model's name and SHA-256.
    model: String,
    sha256: String,
    trees: usize,
    subsample: u32,
    rows: usize,
    batch: u32,
    rounds: usize,
    ns_per_row: Times,
    /// The sum of all scores in the order of the rows: the same on every machine for the same model and rows.
    score_sum: f64,
}

/// Of all rounds.
#[derive(Debug, Serialize)]
struct Times {
    minimum: f64,
    median: f64,
    maximum: f64,
}

impl Report {
    /// From the scores and the sorted times, of which there is one.
    fn new(model: &Model, batch: u32, scores: &[AnomalyScore], times: &[Duration]) -> Self {
        let rows = f64::from(u32::try_from(scores.len()).unwrap_or(u32::MAX));
        let ns_per_row =
            |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e9 / rows);
        Self {
            model: model.about().name.clone(),
            sha256: model.sha256().to_owned(),
            trees: model.forest().trees().len(),
            subsample: model.forest().subsample(),
            rows: scores.len(),
            batch,
            rounds: times.len(),
            ns_per_row: Times {
                minimum: ns_per_row(times.first()),
                median: ns_per_row(times.get(times.len() / 2)),
                maximum: ns_per_row(times.last()),
            },
            score_sum: scores.iter().map(|score| f64::from(score.value())).sum(),
        }
    }

    fn render(&self) -> String {
        let Times { minimum, median, maximum } = self.ns_per_row;
        format!(
            "model         {} ({} trees of {} rows, sha256 {})\n\
             rows          {}, {} at a time, {} times\n\
             ns a row      {median:.1} ({minimum:.1} to {maximum:.1})\n\
             rows a second {:.0}\n\
             score sum     {:.9}\n",
            self.model,
            self.trees,
            self.subsample,
            self.sha256,
            self.rows,
            self.batch,
            self.rounds,
            1e9 / median,
            self.score_sum
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_by_row_and_of_the_middle_round() {
        let model = model::load(None).unwrap();
        let scores = [AnomalyScore::AVERAGE; 4];
        let times = [40, 80, 400].map(Duration::from_nanos);
        let report = Report::new(&model, 2, &scores, &times);
        let Times { minimum, median, maximum } = report.ns_per_row;
        for (is, must) in
            [(minimum, 10.0), (median, 20.0), (maximum, 100.0), (report.score_sum, 2.0)]
        {
            assert!((is - must).abs() < 1e-6, "{is}, not {must}");
        }
        assert!(report.render().contains("rows          4, 2 at a time, 3 times\n"));
    }

    #[test]
    fn any_batch_gives_the_scores_of_single_rows() {
        let model = model::load(None).unwrap();
        let rows: Vec<FeatureVector> = (0_u8..40)
            .map(|nth| FeatureVector(std::array::from_fn(|_| f32::from(nth) * 7.0)))
            .collect();
        let single: Vec<AnomalyScore> = rows.iter().map(|row| model.score(row)).collect();
        for batch in [1, 7, 16, 40, 1_000] {
            let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
            score_all(&model, &rows, &mut scores, batch);
            assert_eq!(scores, single, "{batch} at a time");
        }
    }
}
