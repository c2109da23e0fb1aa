//! The verdict as it leaves a worker: one fixed-size record, no pointer, no text.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Floor;
use crate::features::FeatureVector;
use crate::handover::{Digest, Findings, Marks, RULE_HITS_MAX};

/// How bad it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[repr(u8)]
pub enum Level {
    /// Nothing speaks against it.
    #[default]
    Safe = 0,
    /// Worth a look.
    Warning = 1,
    /// Worth acting on.
    High = 2,
    /// Act now.
    Critical = 3,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 4] = [Self::Safe, Self::Warning, Self::High, Self::Critical];

    /// As shown and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safe => "SAFE",
            Self::Warning => "WARNING",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was judged of one packet, and why.
///
/// For a packet (the usual case) `features` and `anomaly_score` are its own. For a victim ([`Verdict::is_of_victim`])
/// the record names the destination that rules counting by destination fired for: `features` and `anomaly_score` are 0,
/// the digest is that of the packet at which the rule fired.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Verdict {
    /// The packet.
    pub digest: Digest,
    /// What was measured.
    pub features: FeatureVector,
    /// The forest's score: 0 ordinary, 1 unique.
    pub anomaly_score: f32,
    /// The calibrated risk of that score, 0..=100.
    pub model_risk: f32,
    /// Sum of the risks of the rules that fired, at most 100.
    pub rule_risk: f32,
    /// Risk of the intelligence entry, 0..=100.
    pub intel_risk: f32,
    /// The weighted sum, 0..=100.
    pub total: f32,
    /// The version of the [`Detection`](super::Detection) that judged.
    pub detection: u32,
    /// Rules that fired, as indices into that detection's set; the first `rule_count` entries.
    pub rules: [u16; RULE_HITS_MAX],
    /// The intelligence entry about the source, as an index + 1; 0 for none.
    pub intel_source: u32,
    /// The intelligence entry about the destination, as an index + 1; 0 for none.
    pub intel_destination: u32,
    /// How many sources were counted; 0 unless this is a verdict of a victim.
    pub sources: u32,
    /// How many entries of `rules` are set.
    pub rule_count: u8,
    /// Rules that matched and found no room (saturating).
    pub rules_left_out: u8,
    /// The verdict.
    pub level: Level,
    /// The floor that raised it.
    pub floor: Floor,
    /// The decoy that was touched, as an index + 1; 0 for none.
    pub decoy: u8,
}

const _: () = assert!(size_of::<Verdict>() == 192, "one verdict, three cache lines");

impl Verdict {
    /// Whether this is about a destination under attack rather than about the packet's source.
    #[must_use]
    pub const fn is_of_victim(&self) -> bool {
        self.digest.marks.has(Marks::TOWARDS)
    }

    /// The rules that fired, as indices into the rule set of its detection.
    #[must_use]
    pub fn rules(&self) -> &[u16] {
        self.rules.get(..usize::from(self.rule_count)).unwrap_or_default()
    }

    /// The findings that stand behind it.
    #[must_use]
    pub const fn findings(&self) -> Findings {
        Findings {
            rules: self.rules,
            rule_count: self.rule_count,
            rules_left_out: self.rules_left_out,
            intel_source: self.intel_source,
            intel_destination: self.intel_destination,
            decoy: self.decoy,
        }
    }
}
