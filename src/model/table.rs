//! Rows of features in CSV: what `--dump-features` writes, or any table that names the fifteen columns.

use std::io::{Read, Write};

use crate::features::{FEATURES, FeatureVector};

use super::Model;
use super::passport::ExpectedSchema;
use super::score::AnomalyScore;

/// Columns that say which packet a row is of; copied to the scores where they are present.
const PACKET_COLUMNS: [&str; 7] =
    ["packet", "timestamp_ns", "src_ip", "dst_ip", "src_port", "dst_port", "protocol"];

/// Rows scored at a time.
const BATCH: usize = 256;

/// Why a table could not be used: `FILE:LINE: why`.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A column of the schema is not there.
    #[error(
        "{file}:1: the column {column} is missing; all {FEATURES} features are needed, in any order, among any others"
    )]
    Missing {
        /// The table.
        file: String,
        /// The column.
        column: String,
    },
    /// A column stands there twice, so that it is not clear which one counts.
    #[error("{file}:1: the column {column} stands there twice")]
    Twice {
        /// The table.
        file: String,
        /// The column.
        column: String,
    },
    /// A value is not a finite number.
    #[error("{file}:{line}: {column} is {value:?}, which is not a finite number")]
    NotANumber {
        /// The table.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What stands there, cut to 40 characters.
        value: String,
    },
    /// It is no CSV, or could not be read.
    #[error("{place}: {error}")]
    Read {
        /// The table, and the line where it is known.
        place: String,
        /// What was found.
        error: csv::Error,
    },
    /// The scores could not be written.
    #[error("the scores cannot be written: {0}")]
    Write(csv::Error),
}

/// A CSV table that has the features of a schema among its columns.
#[derive(Debug)]
pub struct FeatureTable<R> {
    file: String,
    reader: csv::Reader<R>,
    names: [String; FEATURES],
    /// Where each feature stands.
    places: [usize; FEATURES],
    /// Where each packet column stands that is present.
    packet: Vec<(&'static str, usize)>,
    record: csv::StringRecord,
}

impl<R: Read> FeatureTable<R> {
    /// Reads the header. `file` is how errors name the table.
    ///
    /// # Errors
    ///
    /// When a column is missing or stands there twice.
    pub fn new(file: &str, reader: R, schema: &ExpectedSchema) -> Result<Self, TableError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(reader);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(unreadable(file, error)),
        };
        let mut places = [0; FEATURES];
        for (place, name) in places.iter_mut().zip(&schema.names) {
            *place = find(file, &header, name)?.ok_or_else(|| TableError::Missing {
                file: file.to_owned(),
                column: name.clone(),
            })?;
        }
        let mut packet = vec![];
        for name in PACKET_COLUMNS {
            if let Some(place) = find(file, &header, name)? {
                packet.push((name, place));
            }
        }
        let names = schema.names.clone();
        let record = csv::StringRecord::new();
        Ok(Self { file: file.to_owned(), reader, names, places, packet, record })
    }

    /// The next row, or `None` after the last.
    ///
    /// # Errors
    ///
    /// When it is no CSV, or a feature is not a finite number: which line and column.
    pub fn next_row(&mut self) -> Result<Option<FeatureVector>, TableError> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(unreadable(&self.file, error)),
        }
        let mut row = FeatureVector::default();
        for ((slot, &place), name) in row.0.iter_mut().zip(&self.places).zip(&self.names) {
            let text = self.record.get(place).unwrap_or_default();
            *slot = match text.parse::<f32>() {
                Ok(value) if value.is_finite() => value,
                _ => {
                    return Err(TableError::NotANumber {
                        file: self.file.clone(),
                        line: self.record.position().map_or(0, csv::Position::line),
                        column: name.clone(),
                        value: text.chars().take(40).collect(),
                    });
                }
            };
        }
        Ok(Some(row))
    }

    /// All rows that are left.
    ///
    /// # Errors
    ///
    /// As [`FeatureTable::next_row`].
    pub fn rows(&mut self) -> Result<Vec<FeatureVector>, TableError> {
        let mut rows = vec![];
        while let Some(row) = self.next_row()? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// What the row read last says in one of the packet columns, where the table has it: `packet`, `src_ip`, ...
    #[must_use]
    pub fn packet_field(&self, column: &str) -> Option<&str> {
        let (_, place) = self.packet.iter().find(|(name, _)| *name == column)?;
        self.record.get(*place)
    }

    /// What the row read last says of its packet.
    fn packet_fields(&self) -> impl Iterator<Item = &str> {
        self.packet.iter().map(|&(_, place)| self.record.get(place).unwrap_or_default())
    }
}

fn unreadable(file: &str, error: csv::Error) -> TableError {
    let line = error.position().map(|position| format!(":{}", position.line()));
    TableError::Read { place: format!("{file}{}", line.unwrap_or_default()), error }
}

fn find(file: &str, header: &csv::StringRecord, name: &str) -> Result<Option<usize>, TableError> {
    let mut places = header.iter().enumerate().filter(|&(_, column)| column == name);
    let first = places.next().map(|(place, _)| place);
    if places.next().is_some() {
        return Err(TableError::Twice { file: file.to_owned(), column: name.to_owned() });
    }
    Ok(first)
}

/// Scores a CSV table. Each row of the answer has the packet's columns, where the table has them, then `anomaly_score`,
/// `ai_score`, `quantile`, `model_risk` and `inside_training_range` (1 or 0). Returns how many rows were scored.
///
/// # Errors
///
/// When the table lacks a feature or a value is not a finite number, or when the scores cannot be written. Rows before the
/// one at fault have been written.
pub fn score_csv(
    model: &Model,
    file: &str,
    reader: impl Read,
    writer: impl Write,
) -> Result<u64, TableError> {
    let mut table = FeatureTable::new(file, reader, model.schema())?;
    let mut writer = csv::Writer::from_writer(writer);
    let packet_columns = table.packet.iter().map(|&(name, _)| name);
    let columns = ["anomaly_score", "ai_score", "quantile", "model_risk", "inside_training_range"];
    writer.write_record(packet_columns.chain(columns)).map_err(TableError::Write)?;

    let mut rows = Vec::with_capacity(BATCH);
    let mut packets = Vec::with_capacity(BATCH);
    let mut scored = 0;
    let outcome = loop {
        let next = table.next_row();
        if let Ok(Some(row)) = next {
            rows.push(row);
            packets.push(table.packet_fields().map(str::to_owned).collect::<Vec<_>>());
        }
        let ended = !matches!(next, Ok(Some(_)));
        if ended || rows.len() == BATCH {
            scored += rows.len() as u64;
            write_scores(model, &rows, &packets, &mut writer)?;
            rows.clear();
            packets.clear();
        }
        if ended {
            break next;
        }
    };
    writer.flush().map_err(|error| TableError::Write(error.into()))?;
    outcome.map(|_| scored)
}

fn write_scores<W: Write>(
    model: &Model,
    rows: &[FeatureVector],
    packets: &[Vec<String>],
    writer: &mut csv::Writer<W>,
) -> Result<(), TableError> {
    let mut scores = vec![AnomalyScore::AVERAGE; rows.len()];
    model.score_batch(rows, &mut scores);
    for ((row, score), packet) in rows.iter().zip(scores).zip(packets) {
        let confidence = model.confidence(row, score);
        let answer = [
            score.value().to_string(),
            model.ai_score(score).to_string(),
            confidence.quantile.to_string(),
            model.risk(score).to_string(),
            u8::from(confidence.inside_training_range()).to_string(),
        ];
        writer.write_record(packet.iter().chain(&answer)).map_err(TableError::Write)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples;

    fn csv(extra: &[&str], rows: usize) -> String {
        let names = samples::schema().names;
        let mut text = extra
            .iter()
            .copied()
            .chain(names.iter().rev().map(String::as_str))
            .collect::<Vec<_>>()
            .join(",");
        for (nth, row) in samples::rows(rows, 8).iter().enumerate() {
            text.push('\n');
            let extra = extra.iter().map(|name| format!("{name}{nth}"));
            let values = row.0.iter().rev().map(f32::to_string);
            text.push_str(&extra.chain(values).collect::<Vec<_>>().join(","));
        }
        text
    }

    #[test]
    fn columns_are_found_by_name_and_packets_keep_theirs() {
        let model = samples::model();
        let mut out = vec![];
        let text = csv(&["note", "packet", "src_ip"], 600);
        assert_eq!(score_csv(&model, "x.csv", text.as_bytes(), &mut out).unwrap(), 600);
        let out = String::from_utf8(out).unwrap();
        let mut lines = out.lines();
        assert_eq!(
            lines.next(),
            Some("packet,src_ip,anomaly_score,ai_score,quantile,model_risk,inside_training_range")
        );
        for (nth, (line, row)) in lines.zip(samples::rows(600, 8)).enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            assert_eq!(fields[..2], [format!("packet{nth}"), format!("src_ip{nth}")]);
            assert_eq!(fields[2].parse::<f32>().unwrap(), model.score(&row).value());
        }
    }

    #[test]
    fn a_table_that_cannot_be_scored_says_where() {
        let schema = samples::schema();
        let good = csv(&[], 3);
        let said = |text: &str| {
            let table = FeatureTable::new("x.csv", text.as_bytes(), &schema);
            table.and_then(|mut table| table.rows()).unwrap_err().to_string()
        };
        assert!(
            said(&good.replace("feature_c", "other"))
                .starts_with("x.csv:1: the column feature_c is missing")
        );
        assert!(said(&csv(&["feature_c"], 3)).contains("stands there twice"));
        for bad in ["", "x", "nan", "inf", "1e99"] {
            let mut lines: Vec<String> = good.lines().map(str::to_owned).collect();
            let rest = lines[2].split_once(',').unwrap().1.to_owned();
            lines[2] = format!("{bad},{rest}");
            assert_eq!(
                said(&lines.join("\n")),
                format!("x.csv:3: feature_o is {bad:?}, which is not a finite number")
            );
        }
        assert!(said(&format!("{good}\n1,2")).starts_with("x.csv:5: CSV error"));
        assert!(said("").contains("is missing"));
    }

    #[test]
    fn rows_before_a_bad_one_are_scored() {
        let mut out = vec![];
        let text = format!("{}\n{}", csv(&[], 3), ["x"; FEATURES].join(","));
        assert!(score_csv(&samples::model(), "x.csv", text.as_bytes(), &mut out).is_err());
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 4);
    }
}
