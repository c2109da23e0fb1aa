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

/// How evidence becomes a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyParams {
    /// What each kind of evidence counts.
    pub weights: Weights,
    /// What the sum must exceed.
    pub thresholds: Thresholds,
    /// What lifts a verdict whatever the sum, each once.
    pub floors: Vec<Floor>,
    /// From which calibrated quantile on, of the model's score, [`Floor::ModelQuantileWarning`] applies: above 0, at
    /// most 1.
    pub model_quantile: f64,
}

/// What each kind of evidence counts; 0 to 1, and 1 together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// The model's risk.
    pub model: f64,
    /// The rules' risk.
    pub rule: f64,
    /// The intelligence entry's risk.
    pub intel: f64,
}

/// What the weighted sum must exceed for each verdict; 0 to 100, ascending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Above it: WARNING.
    pub warning: f64,
    /// Above it: HIGH.
    pub high: f64,
    /// Above it: CRITICAL.
    pub critical: f64,
}

/// Evidence that lifts a verdict whatever the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// An intelligence hit makes it HIGH at least.
    IntelHitHigh,
    /// One rule of risk 80 or more makes it HIGH at least.
    Rule80High,
    /// A model score at or above the configured quantile makes it WARNING at least.
    ModelQuantileWarning,
    /// An intelligence hit together with a rule of risk 60 or more makes it CRITICAL.
    IntelAndRuleCritical,
}

impl Floor {
    /// All of them, in the order of the configuration file.
    pub const ALL: [Self; 4] = [
        Self::IntelHitHigh,
        Self::Rule80High,
        Self::ModelQuantileWarning,
        Self::IntelAndRuleCritical,
    ];

    /// Its name in the configuration file and in reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntelHitHigh => "intel_hit_high",
            Self::Rule80High => "rule_80_high",
            Self::ModelQuantileWarning => "model_quantile_warning",
            Self::IntelAndRuleCritical => "intel_and_rule_critical",
        }
    }
}
