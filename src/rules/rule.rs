//! A loaded rule as it is told to others: everything but how it is matched.

use super::class::AttackClass;

/// A loaded rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number, unique in the set.
    pub sid: u32,
    /// Its generator's number; 1 unless stated.
    pub gid: u32,
    /// Its revision; 0 unless stated.
    pub revision: u32,
    /// What it says (`msg`); empty unless stated.
    pub message: Box<str>,
    /// Its classtype, as written.
    pub classtype: Option<Box<str>>,
    /// 1 is the most urgent.
    pub priority: u8,
    /// What a hit weighs, 0 to 100.
    pub risk: u8,
    /// The kind of attack it speaks of.
    pub class: AttackClass,
    /// Where to read more.
    pub references: Vec<Reference>,
    /// Its metadata, key and value, in the order of the file.
    pub metadata: Vec<(Box<str>, Box<str>)>,
    /// How its matches are counted before it fires.
    pub threshold: Option<Threshold>,
    /// The file it stands in, as the caller named it.
    pub file: Box<str>,
    /// The line on which it begins, from 1.
    pub line: u32,
}

impl Rule {
    /// Who counts the rule's matches before it fires.
    #[must_use]
    pub fn counting(&self) -> Counting {
        match self.threshold.map(|threshold| threshold.track) {
            None => Counting::None,
            Some(Track::BySource) => Counting::BySource,
            Some(Track::ByDestination) => Counting::ByDestination,
        }
    }

    /// The MITRE ATT&CK technique it names (`metadata: mitre_technique_id T1046`).
    #[must_use]
    pub fn technique(&self) -> Option<&str> {
        self.metadata_value("mitre_technique_id")
    }

    /// The first value of a metadata key.
    #[must_use]
    pub fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(known, _)| &**known == key).map(|(_, value)| &**value)
    }
}

/// Where to read more about what a rule finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The kind of reference: `url`, `cve`, ...
    pub system: Box<str>,
    /// Its value in that system.
    pub id: Box<str>,
}

/// Who counts a rule's matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Nobody: each match fires.
    None,
    /// The owner of the packet's source.
    BySource,
    /// The owner of the packet's destination.
    ByDestination,
}

/// How the matches of a rule are counted: `threshold` and `detection_filter`.
///
/// A window begins with the first match of the tracked address and takes in every match up to and including `seconds`
/// later; the next match after that begins another window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Threshold {
    /// Which of the matches fire.
    pub kind: ThresholdKind,
    /// By which address they are counted.
    pub track: Track,
    /// How many, at least 1.
    pub count: u32,
    /// The length of the window, at least 1.
    pub seconds: u32,
    /// What is counted instead of matches: different values of this.
    pub distinct: Option<Distinct>,
}

/// Which of the counted matches fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThresholdKind {
    /// Every `count`-th in the window.
    Threshold,
    /// The first `count` in the window.
    Limit,
    /// The `count`-th in the window, and no other.
    Both,
    /// Every one after the `count`-th in the window.
    DetectionFilter,
}

/// By which address matches are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Track {
    /// The packet's source.
    BySource,
    /// The packet's destination.
    ByDestination,
}

/// Of what different values are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distinct {
    /// Destination ports.
    DestinationPort,
    /// Destination addresses.
    DestinationAddress,
    /// Source addresses.
    SourceAddress,
}
