//! Threat intelligence: which addresses are known to be bad, and as what.
//!
//! Feeds (plain lists, CSV, STIX 2.1) pass a gate and become one immutable [`IntelSet`]; the worker asks it about both
//! addresses of each packet. Most packets miss, so a miss is as cheap as a hit.

mod feed;
mod decoys;
mod gate;
mod label;
mod load;
mod prefix;
mod ranges;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::address::Address;

pub use decoys::{DECOYS_MAX, Decoy, Decoys};
pub use feed::{ENTRIES_MAX, FEED_BYTES_MAX, FeedFormat, MALFORMED_KEPT_MAX, MalformedLine};
pub use gate::{
    FeedRefused, MALFORMED_FREE, MALFORMED_PERCENT_MAX, Refusal, SHRUNK_PERCENT, V4_LENGTH_MIN,
    V6_LENGTH_MIN,
};
pub use label::{LABEL_CHARS_MAX, label};
pub use load::{FeedReport, IntelReport};
pub use prefix::{Prefix, PrefixError};

use ranges::{Ranges, Span};

/// The risk of an entry when nothing else is said: certainty.
pub const RISK_DEFAULT: u8 = 100;

/// The most feeds of a set.
pub const FEEDS_MAX: usize = 256;

const _: () = {
    assert!(FEEDS_MAX <= u16::MAX as usize, "a feed's place is kept in 16 bits");
    assert!(
        ENTRIES_MAX < 1 << 30,
        "an entry makes two ranges, and their places are kept in 32 bits"
    );
};

/// Where intelligence comes from, and what it may never say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntelParams {
    /// Networks that no feed may mark: one that tries is refused.
    pub own_networks: Vec<Prefix>,
    /// The feeds, at most [`FEEDS_MAX`]; at equal risk an earlier one wins.
    pub feeds: Vec<FeedParams>,
}

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedParams {
    /// The file.
    pub file: PathBuf,
    /// How it is written; none: told by its ending and content.
    pub format: Option<FeedFormat>,
    /// The label of entries without one; none: the file's name.
    pub label: Option<String>,
    /// The risk of entries without one, 1 to 100.
    pub risk: u8,
}

/// What is known of one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntelEntry {
    /// The addresses it is about.
    pub prefix: Prefix,
    /// As what they are known; visible characters only, at most [`LABEL_CHARS_MAX`].
    pub label: Arc<str>,
    /// How bad they are, 1 to 100.
    pub risk: u8,
    /// Which feed says so, as a place in [`IntelParams::feeds`].
    pub feed: u16,
}

/// Names an entry of one particular [`IntelSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntelEntryIndex(NonZeroU32);

impl IntelEntryIndex {
    /// The index as a number for a fixed-size record: place + 1, and 0 for none.
    #[must_use]
    pub fn encode(index: Option<Self>) -> u32 {
        index.map_or(0, |index| index.0.get())
    }

    /// What [`Self::encode`] wrote.
    #[must_use]
    pub fn decode(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// All entries in force, and for each address the most specific of them. Immutable once built.
#[derive(Clone, Debug)]
pub struct IntelSet {
    /// In the order of their prefixes, each prefix once.
    entries: Vec<IntelEntry>,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    duplicates: u64,
    content_hash: [u8; 32],
}

impl IntelSet {
    /// The set of `entries`, at most [`ENTRIES_MAX`]. A prefix named twice keeps the entry of the highest risk, then of
    /// the earliest feed, then the one that stands first.
    #[must_use]
    pub fn new(mut entries: Vec<IntelEntry>) -> Self {
        let stated = entries.len();
        entries.sort_by_key(|entry| (entry.prefix, Reverse(entry.risk), entry.feed));
        entries.dedup_by_key(|entry| entry.prefix);
        let v4 = Ranges::from_nested(spans(&entries, true, |address| {
            u32::from_be_bytes(address.v4_octets().unwrap_or_default())
        }));
        let v6 = Ranges::from_nested(spans(&entries, false, Address::as_u128));
        let duplicates = (stated - entries.len()) as u64;
        let content_hash = content_hash(&entries);
        Self { entries, v4, v6, duplicates, content_hash }
    }

    /// Asks for what looking up these addresses will read. Changes nothing but the cost of that: where many are looked up one after the
    /// other, the processor waits for all of them at once.
    pub fn prefetch(&self, addresses: impl Iterator<Item = Address> + Clone) {
        if self.is_empty() {
            return;
        }
        let keys = addresses.map(|address| match address.v4_octets() {
            Some(octets) => (Some(u32::from_be_bytes(octets)), 0),
            None => (None, address.as_u128()),
        });
        for (v4, v6) in keys.clone() {
            v4.map_or_else(|| self.v6.prefetch_bounds(v6), |v4| self.v4.prefetch_bounds(v4));
        }
        for (v4, v6) in keys {
            v4.map_or_else(|| self.v6.prefetch_middle(v6), |v4| self.v4.prefetch_middle(v4));
        }
    }

    /// The most specific entry about `address`. Allocates nothing; at most log2 of the entries + 2 reads.
    #[must_use]
    pub fn lookup(&self, address: Address) -> Option<IntelEntryIndex> {
        let found = match address.v4_octets() {
            Some(octets) => self.v4.at(u32::from_be_bytes(octets)),
            None => self.v6.at(address.as_u128()),
        };
        found.map(IntelEntryIndex)
    }

    /// The entry that `index` names; none when the index belongs to another set.
    #[must_use]
    pub fn entry(&self, index: IntelEntryIndex) -> Option<&IntelEntry> {
        self.entries.get(index.place())
    }

    /// All entries, in the order of their prefixes: IPv6 and IPv4 as they fall in the sixteen-byte form.
    #[must_use]
    pub fn entries(&self) -> &[IntelEntry] {
        &self.entries
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is known of any address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries gave way to another one of the same prefix.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// SHA-256 over what decides a verdict: prefix, risk and label of every entry. The same content gives the same hash,
    /// however it is spread over feeds and whatever the files are called.
    #[must_use]
    pub const fn content_hash(&self) -> [u8; 32] {
        self.content_hash
    }
}

impl Default for IntelSet {
    /// Knows nothing of any address.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// The entries of one family as spans of keys, in the order of the entries: by network, the wider one first.
fn spans<K: 'static>(
    entries: &[IntelEntry],
    v4: bool,
    key: impl Fn(Address) -> K,
) -> impl Iterator<Item = Span<K>> {
    (1..).zip(entries).filter(move |(_, entry)| entry.prefix.is_v4() == v4).map(
        move |(number, entry)| Span {
            first: key(entry.prefix.first()),
            last: key(entry.prefix.last()),
            value: NonZeroU32::new(number).expect("counted from 1"),
        },
    )
}

fn content_hash(entries: &[IntelEntry]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"phantomnet intel 1\n");
    for entry in entries {
        // The label's length stands before it, so no label can look like the start of the next entry.
        let IntelEntry { prefix, risk, label, .. } = entry;
        hash.update(format!("{prefix} {risk} {} {label}\n", label.len()));
    }
    hash.finalize().into()
}
