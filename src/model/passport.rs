//! What a model says of itself: its name, its features, its training data, and rows that prove it computes right.

use sha2::{Digest as _, Sha256};

use crate::features::{FEATURES, FeatureVector};
use crate::time::Timestamp;

use super::forest::Forest;
use super::score::AnomalyScore;

/// Bytes that a name may have.
pub(super) const NAME_BYTES_MAX: usize = 256;
/// Data sources that a model may name.
pub(super) const SOURCES_MAX: usize = 1024;
/// Golden rows that a model carries at least, and at most.
pub(super) const GOLDEN_ROWS: std::ops::RangeInclusive<usize> = 32..=1024;

/// What a model is called, when and how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// When it was made, as its maker said.
    pub created_at: Timestamp,
    /// How it was made.
    pub origin: Origin,
}

/// How a model was made.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// Grown here.
    Trained {
        /// Where chance began.
        seed: u64,
    },
    /// Converted from another program's forest.
    Imported {
        /// That program and its version.
        from: String,
    },
}

/// The features that a model must have been made for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedSchema {
    /// Version of the schema.
    pub version: u32,
    /// SHA-256 over its canonical text.
    pub fingerprint: String,
    /// Names of the features, in order.
    pub names: [String; FEATURES],
}

impl ExpectedSchema {
    /// A schema with these names.
    #[must_use]
    pub fn new(version: u32, fingerprint: &str, names: &[&str; FEATURES]) -> Self {
        Self { version, fingerprint: fingerprint.to_owned(), names: names.map(str::to_owned) }
    }
}

/// One file or table that training rows came from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Its name, as it was given.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// Rows taken from it.
    pub rows: u64,
}

/// What a model was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingData {
    /// How many rows.
    pub rows: u64,
    /// SHA-256 over the rows: each value as four bytes, little-endian IEEE 754, row after row.
    pub sha256: String,
    /// Where they came from.
    pub sources: Vec<DataSource>,
    /// The least value of each feature.
    pub minimum: [f32; FEATURES],
    /// The greatest value of each feature.
    pub maximum: [f32; FEATURES],
}

impl TrainingData {
    /// What `rows` are; `rows` is not empty.
    pub(super) fn of(rows: &[FeatureVector], sources: Vec<DataSource>) -> Self {
        let mut hash = Sha256::new();
        let mut minimum = [f32::INFINITY; FEATURES];
        let mut maximum = [f32::NEG_INFINITY; FEATURES];
        for row in rows {
            for ((value, least), most) in row.0.iter().zip(&mut minimum).zip(&mut maximum) {
                hash.update(value.to_le_bytes());
                *least = least.min(*value);
                *most = most.max(*value);
            }
        }
        Self { rows: rows.len() as u64, sha256: hex(&hash.finalize()), sources, minimum, maximum }
    }

    /// The features of a row that lie outside the range seen in training: bit `n` for feature `n`.
    #[must_use]
    pub fn outside(&self, row: &FeatureVector) -> u16 {
        let ranges = self.minimum.iter().zip(&self.maximum);
        row.0.iter().zip(ranges).rev().fold(0, |bits, (value, (least, most))| {
            bits << 1 | u16::from(value < least || value > most)
        })
    }

    /// How wide each feature's range is.
    pub(super) fn spans(&self) -> [f32; FEATURES] {
        let mut spans = self.maximum;
        for (span, least) in spans.iter_mut().zip(self.minimum) {
            *span -= least;
        }
        spans
    }
}

/// A row and what it scored when the model was made, to the last bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GoldenRow {
    pub(super) row: FeatureVector,
    pub(super) path_sum: u64,
    pub(super) score: AnomalyScore,
}

impl GoldenRow {
    fn of(forest: &Forest, row: FeatureVector) -> Self {
        Self { row, path_sum: forest.path_sum(&row), score: forest.score(&row) }
    }

    /// Rows spread evenly over the given ones, the corners of the training range, and two rows beyond it.
    pub(super) fn choose(
        forest: &Forest,
        rows: &[FeatureVector],
        training: &TrainingData,
    ) -> Vec<Self> {
        let wanted = *GOLDEN_ROWS.start();
        let spread = (0..wanted).filter_map(|nth| rows.get(rows.len() * nth / wanted).copied());
        let corners = [
            FeatureVector(training.minimum),
            FeatureVector(training.maximum),
            FeatureVector(training.minimum.map(f32::next_down)),
            FeatureVector([f32::MAX; FEATURES]),
        ];
        spread.chain(corners).filter(is_finite).map(|row| Self::of(forest, row)).collect()
    }
}

pub(super) fn is_finite(row: &FeatureVector) -> bool {
    row.0.iter().all(|value| value.is_finite())
}

/// What every model's words must keep to, whether they come from an operator or from a file.
pub(super) fn check_words(about: &About, sources: &[DataSource]) -> Result<(), String> {
    check_name("the model's name", &about.name)?;
    if let Origin::Imported { from } = &about.origin {
        check_name("the origin", from)?;
    }
    if sources.len() > SOURCES_MAX {
        return Err(format!("{} data sources; at most {SOURCES_MAX} can be named", sources.len()));
    }
    for source in sources {
        check_name("a data source's name", &source.name)?;
        check_sha256("a data source's sha256", &source.sha256)?;
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let shown: String = name.chars().take(40).collect();
        return Err(format!(
            "{what} is {shown:?}; it must have 1 to {NAME_BYTES_MAX} bytes and no control character"
        ));
    }
    Ok(())
}

pub(super) fn check_sha256(what: &str, text: &str) -> Result<(), String> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(is_hex) {
        return Ok(());
    }
    Err(format!("{what} is not 64 lower-case hexadecimal digits"))
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
