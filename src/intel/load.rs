//! From feeds on disk to a set: read, admit, join.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::read_limited;
use crate::time::Timestamp;

use super::feed::{Contents, ENTRIES_MAX, FEED_BYTES_MAX};
use super::gate::{FeedRefused, Gate, Refusal};
use super::label::label;
use super::{FeedFormat, FeedParams, IntelEntry, IntelParams, IntelSet, MalformedLine};

/// What loading the feeds gave, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntelReport {
    /// One for each feed, in the order of the configuration.
    pub feeds: Vec<FeedReport>,
    /// Entries of the set: `sum of feeds.in_force = entries + duplicates`.
    pub entries: u64,
    /// Indicators that named a prefix for a second time: the highest risk stayed, then the earliest feed, then the
    /// earliest line.
    pub duplicates: u64,
}

impl IntelReport {
    /// How many addresses the feed at `file` stated.
    fn stated(&self, file: &Path) -> Option<u64> {
        self.feeds.iter().find(|feed| feed.file == file).map(|feed| feed.stated)
    }
}

/// What one feed gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedReport {
    /// Where it was read from.
    pub file: PathBuf,
    /// How it was read.
    pub format: FeedFormat,
    /// Lines, rows or objects that should hold an indicator.
    pub records: u64,
    /// Addresses and prefixes it states, in force or not.
    pub stated: u64,
    /// Those in force.
    pub in_force: u64,
    /// Those expired, revoked, or stated to be benign.
    pub out_of_force: u64,
    /// Readable indicators that are no address, or demand more than an address.
    pub left_out: u64,
    /// Records that could not be read; they were skipped.
    pub malformed: u64,
    /// The first of them, at most [`MALFORMED_KEPT_MAX`](super::MALFORMED_KEPT_MAX).
    pub malformed_lines: Vec<MalformedLine>,
}

impl IntelSet {
    /// Reads all feeds, with expiry judged at `now`. One refused feed refuses the whole: the caller keeps the set it has.
    ///
    /// `previous` is the report of the set in force, to tell a feed that was cleaned from one that broke; none at start.
    pub fn load(
        params: &IntelParams,
        now: Timestamp,
        previous: Option<&IntelReport>,
    ) -> Result<(Self, IntelReport), FeedRefused> {
        let gate = Gate { own_networks: &params.own_networks };
        let mut report = IntelReport::default();
        let mut entries = Vec::new();
        let mut labels = Labels::default();
        for (feed, nth) in params.feeds.iter().zip(0u16..) {
            let refused = |(line, refusal)| FeedRefused { file: feed.file.clone(), line, refusal };
            let before = previous.and_then(|previous| previous.stated(&feed.file));
            let (format, contents) = read(feed, now).map_err(refused)?;
            gate.admit(&contents, before).map_err(refused)?;
            if entries.len() + contents.indicators.len() > ENTRIES_MAX {
                let all = (entries.len() + contents.indicators.len()) as u64;
                return Err(refused((None, Refusal::TooManyTogether(all))));
            }
            report.feeds.push(told(feed, format, &contents));
            let unnamed = labels.of(&unnamed_label(feed));
            entries.extend(contents.indicators.into_iter().map(|indicator| IntelEntry {
                prefix: indicator.prefix,
                label: indicator.label.map_or_else(|| unnamed.clone(), |text| labels.of(&text)),
                risk: indicator.risk.unwrap_or(feed.risk),
                feed: nth,
            }));
        }
        let set = Self::new(entries);
        report.entries = set.len() as u64;
        report.duplicates = set.duplicates();
        Ok((set, report))
    }
}

/// The text of one feed, made out.
fn read(
    feed: &FeedParams,
    now: Timestamp,
) -> Result<(FeedFormat, Contents), (Option<u32>, Refusal)> {
    let bytes = read_limited(&feed.file, FEED_BYTES_MAX).map_err(|error| (None, error.into()))?;
    let extension = feed.file.extension().and_then(|extension| extension.to_str());
    let format = feed.format.unwrap_or_else(|| FeedFormat::of(extension, &bytes));
    let contents = Contents::read(format, &bytes, now)
        .map_err(|error| (Some(error.line), Refusal::Unreadable(error.reason)))?;
    Ok((format, contents))
}

/// The label of entries to which the feed gives none: the configured one, else the file's name.
fn unnamed_label(feed: &FeedParams) -> String {
    let stem = feed.file.file_stem().map(|stem| stem.to_string_lossy());
    let text = feed.label.as_deref().or(stem.as_deref()).and_then(label);
    text.unwrap_or_else(|| "unnamed".to_owned())
}

fn told(feed: &FeedParams, format: FeedFormat, contents: &Contents) -> FeedReport {
    FeedReport {
        file: feed.file.clone(),
        format,
        records: contents.records,
        stated: contents.stated(),
        in_force: contents.indicators.len() as u64,
        out_of_force: contents.out_of_force,
        left_out: contents.left_out,
        malformed: contents.malformed,
        malformed_lines: contents.malformed_lines.clone(),
    }
}

/// Equal labels are kept once: a feed has few, and each for many addresses.
#[derive(Default)]
struct Labels(BTreeMap<String, Arc<str>>);

impl Labels {
    fn of(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let label = Arc::<str>::from(text);
        self.0.insert(text.to_owned(), label.clone());
        label
    }
}
