//! What is known to be true of the captures: a label for each packet, or the attackers of each capture.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use super::packet_labels::PacketLabels;
use crate::address::Address;
use crate::time::Timestamp;

/// How many kinds of attack the labels may name.
pub(super) const KINDS_MAX: usize = 1_000;
/// Times in label files are often rounded; an attacker's packets this far outside the stated time still count.
const ROUNDING_NANOS: i64 = 1_000_000;

/// Known truth, in one of two forms.
#[derive(Clone, Debug)]
pub enum Labels {
    /// A label for every packet of one capture.
    Packets(PacketLabels),
    /// The attackers of many captures.
    Captures(CaptureLabels),
}

impl Labels {
    /// Reads a label file; its header says which form it has.
    ///
    /// # Errors
    /// When it can't be read, has neither form, or a row is wrong; names the line.
    pub fn read(path: &Path) -> Result<Self, LabelError> {
        let name = path.display().to_string();
        let fault = |source| LabelError::Unreadable { file: name.clone(), source };
        let file = std::fs::File::open(path).map_err(fault)?;
        let mut reader = BufReader::new(file);
        let head = reader.fill_buf().map_err(fault)?;
        let head = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let is_tabbed = head.contains(&b'\t');
        let header = String::from_utf8_lossy(head).into_owned();
        let mut columns = header.trim_end().split(if is_tabbed { '\t' } else { ',' });
        if columns.clone().any(|column| column == "packet") {
            PacketLabels::parse(&name, reader).map(Self::Packets)
        } else if columns.any(|column| column == "sha256") {
            CaptureLabels::parse(&name, reader, is_tabbed).map(Self::Captures)
        } else {
            Err(LabelError::NeitherForm { file: name })
        }
    }
}

/// Names of attacks, each with a small number. 0 stands for normal.
#[derive(Clone, Debug, Default)]
pub(super) struct Kinds(Vec<String>);

impl Kinds {
    /// The number of `name`, which is given one if it has none; `None` when there are too many.
    pub(super) fn number(&mut self, name: &str) -> Option<u16> {
        let place = self.0.iter().position(|known| known == name).or_else(|| {
            self.0.push(name.to_owned());
            (self.0.len() <= KINDS_MAX).then(|| self.0.len() - 1)
        });
        place.and_then(|place| u16::try_from(place + 1).ok())
    }

    /// Numbers and names, in the order of the names.
    pub(super) fn sorted(&self) -> Vec<(u16, &str)> {
        let mut kinds: Vec<_> = (1..).zip(self.0.iter().map(String::as_str)).collect();
        kinds.sort_by_key(|(_, name)| *name);
        kinds
    }
}

/// The attackers of many captures, each capture known by its SHA-256.
#[derive(Clone, Debug, Default)]
pub struct CaptureLabels {
    pub(super) kinds: Kinds,
    captures: BTreeMap<String, CaptureTruth>,
}

/// What is known of one capture.
#[derive(Clone, Debug)]
pub(super) enum CaptureTruth {
    /// No attack is known to be in it: every source is a bystander.
    Normal,
    /// These sources attack.
    Attacked {
        kind: u16,
        attackers: BTreeSet<Address>,
        victims: BTreeSet<Address>,
        time: (Timestamp, Timestamp),
    },
    /// There is an attack, but it can't be said which sources are to blame.
    Unscorable { why: String },
}

impl CaptureTruth {
    /// What a packet of `source` at `time` is: the number of the attack's kind, 0 for normal, `None` for neither.
    pub(super) fn kind(&self, source: Address, at: Timestamp) -> Option<u16> {
        match self {
            Self::Normal => Some(0),
            Self::Unscorable { .. } => None,
            Self::Attacked { kind, attackers, victims, time } => {
                if attackers.contains(&source) {
                    (time.0..=time.1).contains(&at).then_some(*kind)
                } else {
                    (!victims.contains(&source)).then_some(0)
                }
            }
        }
    }
}

impl CaptureLabels {
    /// Reads a table with a header that names `sha256`, `kind`, `attackers` (addresses parted by commas; `none` or
    /// `none known`; or any other word where they can't be named) and `per_source_scorable` (`no` leaves the capture
    /// out) among its columns; optional are `victims` (neither attackers nor bystanders), `first` and `last` (RFC 3339:
    /// an attacker's packets outside are left out). `file` is what errors call it.
    ///
    /// # Errors
    /// When it can't be read or a row is wrong; names the line.
    pub fn parse(file: &str, from: impl Read, is_tabbed: bool) -> Result<Self, LabelError> {
        let mut rows = Rows::new(file, from, if is_tabbed { b'\t' } else { b',' })?;
        let required = ["sha256", "kind", "attackers", "per_source_scorable"];
        let [sha256, kind, attackers, scorable] = required.map(|name| rows.column(name));
        let (sha256, kind, attackers, scorable) = (sha256?, kind?, attackers?, scorable?);
        let [victims, first, last] =
            ["victims", "first", "last"].map(|name| rows.column(name).ok());
        let mut labels = Self::default();
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let field = |place: usize| row.get(place).unwrap_or_default().trim();
            let optional = |place: Option<usize>| place.map_or("", field);
            let digest = field(sha256).to_ascii_lowercase();
            if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(rows.wrong("sha256", &digest, "be 64 hexadecimal digits".to_owned()));
            }
            if let Some(line) = lines.insert(digest.clone(), rows.line()) {
                let must = format!("stand in one row only; it stands in line {line} already");
                return Err(rows.wrong("sha256", &digest, must));
            }
            let truth = match (field(attackers), field(scorable)) {
                (who, "no") => CaptureTruth::Unscorable {
                    why: format!("attackers: {who}; not scorable by source"),
                },
                ("" | "none" | "none known", _) => CaptureTruth::Normal,
                (who, _) => match addresses(who) {
                    None => CaptureTruth::Unscorable { why: format!("attackers: {who}") },
                    Some(attackers) => {
                        let name = field(kind);
                        let Some(kind) = labels.kinds.number(name) else {
                            return Err(rows.wrong(
                                "kind",
                                name,
                                format!("be one of at most {KINDS_MAX} names"),
                            ));
                        };
                        let victims = addresses(optional(victims)).unwrap_or_default();
                        let time = (
                            rows.moment("first", optional(first), i64::MIN, -ROUNDING_NANOS)?,
                            rows.moment("last", optional(last), i64::MAX, ROUNDING_NANOS)?,
                        );
                        CaptureTruth::Attacked { kind, attackers, victims, time }
                    }
                },
            };
            labels.captures.insert(digest, truth);
        }
        Ok(labels)
    }

    pub(super) fn capture(&self, sha256: &str) -> Option<&CaptureTruth> {
        self.captures.get(sha256)
    }
}

/// Addresses parted by commas; `None` when one of them is no address.
fn addresses(text: &str) -> Option<BTreeSet<Address>> {
    text.split(',').map(|one| one.trim().parse::<IpAddr>().ok().map(Address::from)).collect()
}

/// A table's rows, with what an error needs to say where it is.
pub(super) struct Rows<'a, R> {
    file: &'a str,
    reader: csv::Reader<R>,
    header: csv::StringRecord,
    row: csv::StringRecord,
}

impl<'a, R: Read> Rows<'a, R> {
    pub(super) fn new(file: &'a str, from: R, delimiter: u8) -> Result<Self, LabelError> {
        // Quotes are a matter of CSV; in a table with tabs they are ordinary characters.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(delimiter == b',')
            .from_reader(from);
        let header = reader.headers().cloned();
        let header =
            header.map_err(|source| LabelError::Malformed { file: file.to_owned(), source })?;
        Ok(Self { file, reader, header, row: csv::StringRecord::new() })
    }

    pub(super) fn column(&self, name: &'static str) -> Result<usize, LabelError> {
        let place = self.header.iter().position(|column| column == name);
        place.ok_or_else(|| LabelError::NoColumn { file: self.file.to_owned(), name })
    }

    pub(super) fn next(&mut self) -> Result<Option<csv::StringRecord>, LabelError> {
        let is_there = self.reader.read_record(&mut self.row);
        let is_there = is_there
            .map_err(|source| LabelError::Malformed { file: self.file.to_owned(), source })?;
        Ok(is_there.then(|| self.row.clone()))
    }

    /// The line of the row that was read last.
    fn line(&self) -> u64 {
        self.row.position().map_or(0, csv::Position::line)
    }

    pub(super) fn wrong(&self, column: &'static str, value: &str, must: String) -> LabelError {
        LabelError::Wrong {
            file: self.file.to_owned(),
            line: self.line(),
            column,
            value: value.to_owned(),
            must,
        }
    }

    fn moment(
        &self,
        column: &'static str,
        text: &str,
        if_empty: i64,
        shift: i64,
    ) -> Result<Timestamp, LabelError> {
        if text.is_empty() {
            return Ok(Timestamp::from_nanos(if_empty));
        }
        let moment = text.parse::<jiff::Timestamp>().ok();
        let nanos = moment.and_then(|moment| i64::try_from(moment.as_nanosecond()).ok());
        let nanos = nanos.ok_or_else(|| {
            self.wrong(column, text, "be a time such as 2026-01-05T09:00:00Z, or empty".to_owned())
        })?;
        Ok(Timestamp::from_nanos(nanos).plus_nanos(shift))
    }
}

/// Why labels can't be used: the fault of whoever wrote the file.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// The file can't be opened or read.
    #[error("{file}: {source}")]
    Unreadable {
        /// The label file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The header fits neither form.
    #[error(
        "{file}:1: a label file names the column `packet` (a label for each packet) or `sha256` (attackers of captures)"
    )]
    NeitherForm {
        /// The label file.
        file: String,
    },
    /// A column is missing.
    #[error("{file}:1: the column `{name}` is missing")]
    NoColumn {
        /// The label file.
        file: String,
        /// The column.
        name: &'static str,
    },
    /// A row can't be parted into fields.
    #[error("{file}: {source}")]
    Malformed {
        /// The label file.
        file: String,
        /// Where and why.
        source: csv::Error,
    },
    /// A value breaks a rule.
    #[error("{file}:{line}: {column} = {value:?}: must {must}")]
    Wrong {
        /// The label file.
        file: String,
        /// Its line.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// The rule.
        must: String,
    },
}
