//! The gate: which feeds may be used.
//!
//! One wrong line in a feed (`0.0.0.0/0`, the own network, loopback) turns every packet into an alert, and a feed that
//! suddenly shrinks was not cleaned but broken. Such a feed is refused whole, with the line to look at; what was in
//! force before stays.

use std::io;
use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::files::ReadError;

use super::feed::{Contents, ENTRIES_MAX, FEED_BYTES_MAX};
use super::label::path_text;
use super::prefix::Prefix;

/// The shortest IPv4 prefix of an entry: a /8 is the widest block that was ever given to one holder.
pub const V4_LENGTH_MIN: u8 = 8;

/// The shortest IPv6 prefix of an entry: registries give networks /32 to /19, rarely more; a /16 is the same margin beyond
/// the widest of them as a /8 is for IPv4.
pub const V6_LENGTH_MIN: u8 = 16;

/// Lines that may be unreadable whatever the size of the feed.
pub const MALFORMED_FREE: u64 = 10;

/// The share of lines that may be unreadable, in percent.
pub const MALFORMED_PERCENT_MAX: u64 = 1;

/// A feed is refused when it falls to this share of its former size, in percent, or below.
pub const SHRUNK_PERCENT: u64 = 10;

/// Networks that no sender out there can have.
fn unusable() -> [(Prefix, &'static str); 7] {
    let v4 = |bytes, length| (Address::v4(bytes), length);
    let v6 = |head, length| (Address::v6((u128::from(head) << 112).to_be_bytes()), length);
    let one = (Address::v6(1u128.to_be_bytes()), 128);
    [
        (v4([0, 0, 0, 0], 8), "this network, RFC 791"),
        (v4([127, 0, 0, 0], 8), "loopback, RFC 1122"),
        (v4([224, 0, 0, 0], 4), "multicast, RFC 5771"),
        (v4([255, 255, 255, 255], 32), "broadcast, RFC 919"),
        (v6(0u16, 128), "the unspecified address, RFC 4291"),
        (one, "loopback, RFC 4291"),
        (v6(0xff00, 8), "multicast, RFC 4291"),
    ]
    .map(|((network, length), what)| {
        (Prefix::new(network, length).expect("the table holds networks"), what)
    })
}

/// A feed that is not used, and why. Its author or the operator is at fault.
#[derive(Debug, thiserror::Error)]
#[error("{}: feed refused: {refusal}", place(file, *line))]
pub struct FeedRefused {
    /// The file.
    pub file: PathBuf,
    /// The line to look at, from 1; none when it is about the file as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    #[source]
    pub refusal: Refusal,
}

/// `FILE:LINE`, or `FILE`.
fn place(file: &Path, line: Option<u32>) -> String {
    let file = path_text(file);
    line.map_or_else(|| file.clone(), |line| format!("{file}:{line}"))
}

/// What is wrong with a feed, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// A directory, a device, a pipe.
    #[error("is not a regular file")]
    NotAFile,
    /// Larger than [`FEED_BYTES_MAX`].
    #[error("is larger than {} MiB; split it", FEED_BYTES_MAX >> 20)]
    TooLarge,
    /// Nothing in it can be made out.
    #[error("{0}; correct the file or its format")]
    Unreadable(String),
    /// More than [`ENTRIES_MAX`] addresses.
    #[error("states {0} addresses, more than {ENTRIES_MAX}; shorten it")]
    TooMany(u64),
    /// More than [`ENTRIES_MAX`] addresses with the feeds before it.
    #[error("makes {0} addresses with the feeds before it, more than {ENTRIES_MAX}; leave one out")]
    TooManyTogether(u64),
    /// No address in it, in force or not.
    #[error("states no address; remove the feed from the configuration if it is to be empty")]
    Empty,
    /// Far fewer addresses than before.
    #[error(
        "states {now} addresses where it stated {before}; if that is right, start the sensor anew"
    )]
    Shrunk {
        /// How many the feed stated when it was last read.
        before: u64,
        /// How many it states now.
        now: u64,
    },
    /// Too many lines that cannot be read.
    #[error(
        "{malformed} of {records} records cannot be read, more than {MALFORMED_FREE} and more \
         than {MALFORMED_PERCENT_MAX} %; the first: {first}"
    )]
    Malformed {
        /// How many cannot be read.
        malformed: u64,
        /// Of how many.
        records: u64,
        /// What is wrong with the first.
        first: String,
    },
    /// A prefix that covers too much.
    #[error("{prefix} covers more than a /{shortest}; name narrower networks")]
    TooWide {
        /// The prefix.
        prefix: Prefix,
        /// The shortest that may be.
        shortest: u8,
    },
    /// A network that no sender out there can have.
    #[error("{prefix} overlaps {network} ({what}); remove the line")]
    Unusable {
        /// The prefix.
        prefix: Prefix,
        /// What it overlaps.
        network: Prefix,
        /// What that is.
        what: &'static str,
    },
    /// The operator's own network.
    #[error(
        "{prefix} overlaps the own network {network}; remove the line, or correct \
         intel.own_networks"
    )]
    OwnNetwork {
        /// The prefix.
        prefix: Prefix,
        /// The own network.
        network: Prefix,
    },
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::NotAFile => Self::NotAFile,
            ReadError::TooLarge { .. } => Self::TooLarge,
        }
    }
}

/// The rules that a feed must meet.
#[derive(Debug)]
pub(super) struct Gate<'a> {
    /// Networks that are never to be marked.
    pub(super) own_networks: &'a [Prefix],
}

impl Gate<'_> {
    /// Lets a feed pass, or says where and why not. `before`: how many addresses it stated when it was last read.
    pub(super) fn admit(
        &self,
        contents: &Contents,
        before: Option<u64>,
    ) -> Result<(), (Option<u32>, Refusal)> {
        readable(contents)?;
        for indicator in &contents.indicators {
            self.bearable(indicator.prefix).map_err(|refusal| (Some(indicator.line), refusal))?;
        }
        if contents.beyond > 0 {
            return Err((None, Refusal::TooMany(contents.stated())));
        }
        match (before, contents.stated()) {
            (_, 0) => Err(nothing_in(contents)),
            (Some(before), now)
                if now.saturating_mul(100) <= before.saturating_mul(SHRUNK_PERCENT) =>
            {
                Err((None, Refusal::Shrunk { before, now }))
            }
            _ => Ok(()),
        }
    }

    /// Whether an entry for `prefix` could do no great harm.
    fn bearable(&self, prefix: Prefix) -> Result<(), Refusal> {
        let shortest = if prefix.is_v4() { V4_LENGTH_MIN } else { V6_LENGTH_MIN };
        if prefix.length() < shortest {
            return Err(Refusal::TooWide { prefix, shortest });
        }
        if let Some((network, what)) =
            unusable().into_iter().find(|(network, _)| network.overlaps(prefix))
        {
            return Err(Refusal::Unusable { prefix, network, what });
        }
        match self.own_networks.iter().find(|network| network.overlaps(prefix)) {
            Some(&network) => Err(Refusal::OwnNetwork { prefix, network }),
            None => Ok(()),
        }
    }
}

/// What is said of a feed without an address: an error page saved as a list is short enough to pass as a few bad lines.
fn nothing_in(contents: &Contents) -> (Option<u32>, Refusal) {
    match contents.malformed_lines.first() {
        Some(first) => (Some(first.line), Refusal::Unreadable(first.reason.clone())),
        None => (None, Refusal::Empty),
    }
}

/// Whether few enough records were unreadable.
fn readable(contents: &Contents) -> Result<(), (Option<u32>, Refusal)> {
    let Contents { malformed, records, .. } = *contents;
    let share_max = records.saturating_mul(MALFORMED_PERCENT_MAX) / 100;
    let Some(first) = contents.malformed_lines.first() else {
        return Ok(());
    };
    if malformed <= MALFORMED_FREE.max(share_max) {
        return Ok(());
    }
    let refusal = Refusal::Malformed { malformed, records, first: first.reason.clone() };
    Err((Some(first.line), refusal))
}
