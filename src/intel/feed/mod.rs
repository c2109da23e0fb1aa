//! Reading a feed: text in one of three formats to indicators, with the line of each.
//!
//! A feed is data from outside and never trusted: sizes are bounded, labels are cleaned, and what cannot be read is
//! counted with its line. Whether a feed may be used at all is decided in `gate`.

mod columns;
mod plain;
mod stix;

use crate::time::Timestamp;

use super::label::label;
use super::prefix::Prefix;

/// The longest feed, bytes.
pub const FEED_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(FEED_BYTES_MAX < u32::MAX as u64, "a line's number is kept in 32 bits");

/// The most indicators of one feed, and the most entries of a set.
pub const ENTRIES_MAX: usize = 1 << 20;

/// How many unreadable lines are kept for the report; more are counted only.
pub const MALFORMED_KEPT_MAX: usize = 20;

/// How a feed is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedFormat {
    /// One address or prefix per line, an optional label behind white space; `#` and `;` begin comments.
    Plain,
    /// Comma-separated values with a header: a column `indicator`, `ip` or `address`, optionally `label` and `risk`.
    Csv,
    /// A STIX 2.1 bundle (JSON) with `indicator` objects.
    Stix,
}

impl FeedFormat {
    /// The format that a file's ending tells, else the one its content looks like.
    #[must_use]
    pub fn of(extension: Option<&str>, content: &[u8]) -> Self {
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json" | "stix") => Self::Stix,
            Some("csv") => Self::Csv,
            Some("txt" | "list" | "lst" | "netset" | "ipset") => Self::Plain,
            _ if stix::looks_like(content) => Self::Stix,
            _ if columns::looks_like(content) => Self::Csv,
            _ => Self::Plain,
        }
    }

    /// Its name in configuration and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Csv => "csv",
            Self::Stix => "stix",
        }
    }
}

/// One address or prefix that a feed states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Indicator {
    pub(super) prefix: Prefix,
    /// Cleaned; none when the feed gives no text for it.
    pub(super) label: Option<String>,
    /// 1 to 100, when the feed states one.
    pub(super) risk: Option<u8>,
    /// Where it stands, from 1.
    pub(super) line: u32,
}

/// A line that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedLine {
    /// The line's number, from 1.
    pub line: u32,
    /// What is wrong with it; one line of text.
    pub reason: String,
}

/// What reading a feed gave.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of the file; at most [`ENTRIES_MAX`].
    pub(super) indicators: Vec<Indicator>,
    /// Indicators beyond [`ENTRIES_MAX`], not kept.
    pub(super) beyond: u64,
    /// Lines, rows or objects that should hold an indicator.
    pub(super) records: u64,
    /// Records that could not be read.
    pub(super) malformed: u64,
    /// The first of them.
    pub(super) malformed_lines: Vec<MalformedLine>,
    /// Indicators out of force: expired, revoked, or stated to be benign.
    pub(super) out_of_force: u64,
    /// Readable indicators that are no address, or say more than an address can.
    pub(super) left_out: u64,
}

impl Contents {
    /// Reads `bytes`, with expiry judged at `now`. Fails only when nothing in the file can be made out.
    pub(super) fn read(
        format: FeedFormat,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Self, Unreadable> {
        // Some editors begin a file with a byte order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut contents = Self::default();
        match format {
            FeedFormat::Plain => plain::read(bytes, &mut contents),
            FeedFormat::Csv => columns::read(bytes, &mut contents)?,
            FeedFormat::Stix => stix::read(bytes, now, &mut contents)?,
        }
        Ok(contents)
    }

    /// How many addresses the feed states, in force or not: what its size is judged by.
    pub(super) fn stated(&self) -> u64 {
        self.indicators.len() as u64 + self.beyond + self.out_of_force
    }

    fn found(&mut self, line: u32, prefix: Prefix, text: Option<&str>, risk: Option<u8>) {
        if self.indicators.len() == ENTRIES_MAX {
            self.beyond += 1;
            return;
        }
        self.indicators.push(Indicator { prefix, label: text.and_then(label), risk, line });
    }

    fn malformed(&mut self, line: u32, reason: impl FnOnce() -> String) {
        self.malformed += 1;
        if self.malformed_lines.len() < MALFORMED_KEPT_MAX {
            self.malformed_lines.push(MalformedLine { line, reason: reason() });
        }
    }
}

/// Why nothing of a feed can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Where it shows, from 1.
    pub(super) line: u32,
    /// What is wrong; one line of text.
    pub(super) reason: String,
}

/// Counts lines along a file. Places must be asked for in the order in which they stand.
struct Lines<'a> {
    bytes: &'a [u8],
    /// Up to where lines were counted.
    at: usize,
    /// The line in which `at` stands, from 1.
    line: u32,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    /// The number of the line in which byte `at` stands.
    fn at(&mut self, at: usize) -> u32 {
        let passed = self.bytes.get(self.at..at).unwrap_or_default();
        self.line += passed.iter().map(|&byte| u32::from(byte == b'\n')).sum::<u32>();
        self.at = self.at.max(at);
        self.line
    }
}
