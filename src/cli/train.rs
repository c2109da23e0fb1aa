//! `phantomnet train`: a model from traffic that is known to be normal.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::complaints::{complaints, fail_on};
use super::output::JsonArgument;
use super::progress::{Bar, ReadFile};
use super::{ConfigArgument, Failure, output, setup};
use crate::capture::Reader;
use crate::collect::Sink;
use crate::config::Config;
use crate::features::FeatureVector;
use crate::latest::Publisher;
use crate::model::{DataSource, FeatureTable, Model, TrainParams, train};
use crate::sensor;
use crate::time::Timestamp;
use crate::verdict::{Detection, InForce, Verdict};

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/train.txt"))]
pub(super) struct Train {
    #[command(flatten)]
    config: ConfigArgument,

    /// Captures, or CSV files with the 15 feature columns (as --dump-features writes them).
    #[arg(long, required = true, num_args = 1.., value_name = "PCAP|CSV")]
    from: Vec<PathBuf>,

    /// The model file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The model's name; the file's name without one.
    #[arg(long)]
    name: Option<String>,

    /// How many trees.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1024))]
    trees: u32,

    /// How many rows each tree is grown from.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..=1 << 30))]
    subsample: u32,

    /// The share of the training rows that counts as unusual: above it the model's risk begins.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = contamination)]
    contamination: f64,

    /// Where all chance comes from.
    #[arg(long, value_name = "S", default_value_t = 42)]
    seed: u64,

    /// At most so many rows of each file, drawn evenly by chance, so that a long capture does not drown the short ones.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    rows_per_file: usize,

    /// The moment to write into the file (RFC 3339); now without one. Fixed, the same command writes the same bytes.
    #[arg(long, value_name = "TIME")]
    created_at: Option<jiff::Timestamp>,

    #[command(flatten)]
    json: JsonArgument,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Trained {
    file: String,
    name: String,
    sha256: String,
    trees: u32,
    rows: usize,
    sources: Vec<DataSource>,
}

impl Train {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        output::refuse_overwriting(&[&self.out], &self.from)?;
        let mut rows = Vec::new();
        let mut sources = Vec::new();
        for path in &self.from {
            let sample = self.sample_of(path, &config)?;
            sources.push(DataSource {
                name: path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
                sha256: sha256_of(path)?,
                rows: sample.len() as u64,
            });
            rows.extend(sample);
        }
        let params = self.params(sources)?;
        let growing =
            Bar::waiting(&format!("growing {} trees from {} rows", self.trees, rows.len()));
        let model = train(&rows, &params, &setup::expected_schema()).map_err(Failure::operation)?;
        drop(growing);
        model
            .save(&self.out)
            .map_err(|error| Failure::operation(format!("{}: {error}", self.out.display())))?;
        let trained = Trained {
            file: self.out.display().to_string(),
            name: model.about().name.clone(),
            sha256: model.sha256().to_owned(),
            trees: self.trees,
            rows: rows.len(),
            sources: model.training().sources.clone(),
        };
        let Trained { file, sha256, trees, rows, .. } = &trained;
        let files = self.from.len();
        self.json.print(
            &trained,
            &format!("{file}: {trees} trees from {rows} rows of {files} files; sha256 {sha256}\n"),
        )
    }

    fn params(&self, sources: Vec<DataSource>) -> Result<TrainParams, Failure> {
        let stem = self.out.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let created_at = match self.created_at {
            None => setup::now(),
            Some(moment) => {
                i64::try_from(moment.as_nanosecond()).map(Timestamp::from_nanos).map_err(
                    |_out_of_range| Failure::usage("--created-at: must lie between 1677 and 2262"),
                )?
            }
        };
        Ok(TrainParams {
            trees: self.trees,
            subsample: self.subsample,
            contamination: self.contamination,
            seed: self.seed,
            name: self.name.clone().or(stem).unwrap_or_default(),
            created_at,
            sources,
        })
    }

    fn sample_of(&self, path: &Path, config: &Config) -> Result<Vec<FeatureVector>, Failure> {
        let mut sample = Sample::new(self.rows_per_file, self.seed);
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            let file = open(path)?;
            let mut table =
                FeatureTable::new(&path.display().to_string(), file, &setup::expected_schema())
                    .map_err(Failure::operation)?;
            while let Some(row) = table.next_row().map_err(Failure::operation)? {
                sample.add(row);
            }
        } else {
            measure(path, config, &mut sample)?;
        }
        Ok(sample.rows)
    }
}

/// A share that can be that of the unusual rows.
fn contamination(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 0.5 => Ok(share),
        _ => Err("must be a number above 0 and at most 0.5, such as 0.01".to_owned()),
    }
}

/// Sends a capture through the data path for its features. They do not depend on any model, so a blank one will do.
fn measure(path: &Path, config: &Config, sample: &mut Sample) -> Result<(), Failure> {
    let reader = Reader::open(&[path]).map_err(Failure::operation)?;
    let _bar = Bar::over(reader.progress(), &path.display().to_string());
    let moment = reader.next_time().unwrap_or_default();
    let detection =
        Publisher::new(InForce::first(setup::detection_with(config, blank_model(), moment)?));
    let replayed =
        sensor::replay(reader, &detection, &setup::sensor_params(config, 1)?, vec![sample]);
    fail_on(complaints(&replayed))
}

fn blank_model() -> Model {
    let rows = [FeatureVector::default(); 2];
    train(
        &rows,
        &TrainParams { trees: 1, subsample: 2, ..TrainParams::default() },
        &setup::expected_schema(),
    )
    .expect("two equal rows make a tree of one leaf")
}

/// An even sample of a stream of rows (reservoir sampling: Vitter 1985, algorithm R).
struct Sample {
    rows: Vec<FeatureVector>,
    size: usize,
    seen: u64,
    chance: Xoshiro256PlusPlus,
}

impl Sample {
    fn new(size: usize, seed: u64) -> Self {
        Self { rows: Vec::new(), size, seen: 0, chance: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    fn add(&mut self, row: FeatureVector) {
        self.seen += 1;
        if self.rows.len() < self.size {
            self.rows.push(row);
            return;
        }
        let place = self.chance.gen_range(0..self.seen);
        if let Some(kept) = usize::try_from(place).ok().and_then(|place| self.rows.get_mut(place)) {
            *kept = row;
        }
    }
}

impl Sink for Sample {
    fn name(&self) -> String {
        "training rows".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, _: &Detection) -> io::Result<()> {
        if !verdict.is_of_victim() {
            self.add(verdict.features);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> Result<ReadFile, Failure> {
    ReadFile::open(path).map_err(|error| Failure::operation(format!("{}: {error}", path.display())))
}

/// SHA-256 of a file, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> Result<String, Failure> {
    let mut file = open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file
            .read(&mut buffer)
            .map_err(|error| Failure::operation(format!("{}: {error}", path.display())))?;
        if read == 0 {
            return Ok(format!("{:x}", hash.finalize()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of these tests are small"
)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_a_long_stream_has_the_same_chance_to_be_kept() {
        let mut kept = [0_u32; 10];
        for seed in 0..2_000 {
            let mut sample = Sample::new(100, seed);
            for nth in 0..1_000_u16 {
                sample.add(FeatureVector([f32::from(nth); 15]));
            }
            assert_eq!(sample.rows.len(), 100);
            for row in &sample.rows {
                kept[row.0[0] as usize / 100] += 1;
            }
        }
        // 20,000 expected in each tenth; the standard deviation is below 140.
        assert!(kept.iter().all(|count| count.abs_diff(20_000) < 700), "{kept:?}");
    }
}
