//! What the configuration makes of each section: values that have been checked.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::intel::Decoy;

/// How the work is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerParams {
    /// Worker threads, at most [`WORKERS_MAX`].
    pub count: NonZeroUsize,
    /// Whether each worker is pinned to a core of its own.
    pub pin: bool,
}

/// The most workers: each owns at least one of the 64 shards of the source table.
pub const WORKERS_MAX: usize = 64;

/// What is kept of each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceParams {
    /// Sources kept at once, over all workers; a power of two from [`SOURCES_MIN`] to [`SOURCES_MAX`].
    pub capacity: usize,
    /// How many leading bits of an IPv6 address are one source, 1 to 128.
    pub ipv6_prefix: u8,
    /// Whether the same address in two VLANs is two sources.
    pub by_vlan: bool,
}

/// The smallest source table: sixteen sources in each of the 64 shards.
pub const SOURCES_MIN: usize = 1 << 10;

/// The largest source table.
pub const SOURCES_MAX: usize = 1 << 24;

const _: () = assert!(WORKERS_MAX <= SOURCES_MIN, "each worker owns a part of the source table");

/// How features are measured, beyond what their schema fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureParams {
    /// The zone whose clock says what an unusual hour is (feature 8).
    pub time_zone: TimeZone,
}

/// What replaying a capture needs to be repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayParams {
    /// The key of the hash over sources.
    pub hash_key: [u8; 16],
}

/// Something that comes with the program, or a file in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What comes with the program.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// Which model scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelParams {
    /// Where it comes from.
    pub origin: Origin,
}

/// Which rules inspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleParams {
    /// Where they come from, in this order; none: no rules.
    pub origins: Vec<Origin>,
    /// What a rule outside the supported language means.
    pub unsupported: Unsupported,
    /// What `$NAME` in a rule stands for, where the operator says so.
    pub variables: BTreeMap<String, String>,
}

/// What to do about a rule outside the supported language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Start nothing: a rule that was written is a rule that is wanted.
    Refuse,
    /// Leave it out, and report it.
    Skip,
}

/// Addresses that nobody has a reason to talk to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecoyParams {
    /// The decoys, none of them hidden by an earlier one, at most [`DECOYS_MAX`](crate::intel::DECOYS_MAX).
    pub decoys: Vec<Decoy>,
}
