//! Suricata's EVE JSON, as far as this sensor speaks it: what `replay --eve` and a running sensor's `[outputs.eve]` have in common.
//!
//! Fields of Suricata's schema keep its meaning (Suricata User Guide, "EVE JSON Format"), so that what reads Suricata reads this; what
//! only this sensor knows stands in the object `phantomnet`.

mod classification;
mod record;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::features::{FeatureVector, SCHEMA};
use crate::rules::Rule;
use crate::time::Timestamp;
use crate::verdict::{Floor, Level};

pub use record::{AlertRecord, Counted, FiredRule, Judged, Known, OfEvent, Origin};

/// Generator id of alerts that no rule raised, as Suricata's `gid`: rules have 1.
pub const OWN_GENERATOR: u32 = 9000;

/// The object `alert`: the rule of the highest risk, or what else raised the verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert<'a> {
    /// Always `allowed`: a sensor behind a tap blocks nothing.
    pub action: &'static str,
    /// 1 for rules, [`OWN_GENERATOR`] for everything else.
    pub gid: u32,
    /// The rule's signature id, or a small number for what else raised the verdict.
    pub signature_id: u32,
    /// The rule's revision; 0 where the rule is no longer loaded.
    pub rev: u32,
    /// The reason in words.
    pub signature: &'a str,
    /// The description of the rule's class; empty without one.
    pub category: &'a str,
    /// 1 for HIGH and CRITICAL, 2 for WARNING, 3 for SAFE.
    pub severity: u8,
}

/// The strongest single reason of a verdict above SAFE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The rule of the highest risk that fired.
    Rule,
    /// An entry of the intelligence.
    Intel,
    /// A decoy was touched.
    Decoy,
    /// The model finds it rare.
    Rare,
    /// No single one: the weighted sum.
    Sum,
}

/// Which kinds of evidence there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// A rule fired.
    pub rule: bool,
    /// An address is known.
    pub intel: bool,
    /// A decoy was touched.
    pub decoy: bool,
    /// What raised the verdict.
    pub floor: Floor,
}

impl Cause {
    /// What raised the verdict comes first; else rules before intelligence before decoys.
    #[must_use]
    pub const fn of(evidence: Evidence) -> Self {
        match evidence {
            Evidence { intel: true, floor: Floor::IntelHit | Floor::IntelAndRule, .. } => {
                Self::Intel
            }
            Evidence { decoy: true, floor: Floor::DecoyTouched, .. } => Self::Decoy,
            Evidence { rule: true, .. } => Self::Rule,
            Evidence { intel: true, .. } => Self::Intel,
            Evidence { decoy: true, .. } => Self::Decoy,
            Evidence { floor: Floor::RareForModel, .. } => Self::Rare,
            Evidence { .. } => Self::Sum,
        }
    }

    /// The signature id of an alert that no rule raised; of a rule that is no longer loaded, 0.
    const fn signature_id(self) -> u32 {
        match self {
            Self::Rule => 0,
            Self::Intel => 1,
            Self::Rare => 2,
            Self::Sum => 3,
            Self::Decoy => 4,
        }
    }
}

impl<'a> Alert<'a> {
    /// An alert of this level that a rule raised.
    #[must_use]
    pub fn of_rule(rule: &'a Rule, level: Level, signature: &'a str) -> Self {
        Self {
            action: "allowed",
            gid: rule.gid,
            signature_id: rule.sid,
            rev: rule.revision,
            signature,
            category: rule.classtype.as_deref().map_or("", classification::description_of),
            severity: severity(level),
        }
    }

    /// An alert of this level that something else raised.
    #[must_use]
    pub const fn of_own(cause: Cause, level: Level, signature: &'a str) -> Self {
        Self {
            action: "allowed",
            gid: OWN_GENERATOR,
            signature_id: cause.signature_id(),
            rev: 1,
            signature,
            category: "",
            severity: severity(level),
        }
    }

    /// An alert of a rule of which only the number is known: another detection judges by now.
    #[must_use]
    pub const fn of_former_rule(sid: u32, level: Level, signature: &'a str) -> Self {
        Self {
            action: "allowed",
            gid: 1,
            signature_id: sid,
            rev: 0,
            signature,
            category: "",
            severity: severity(level),
        }
    }
}

/// Suricata's severities: 1 is the worst.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Critical | Level::High => 1,
        Level::Warning => 2,
        Level::Safe => 3,
    }
}

/// Features as an object, by name; numbers in the shortest form that reads back as the same `f32`.
#[derive(Clone, Copy, Debug)]
pub struct ByName<'a>(pub &'a FeatureVector);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(SCHEMA.len()))?;
        for (feature, value) in SCHEMA.iter().zip(self.0.0) {
            object.serialize_entry(feature.name, &value)?;
        }
        object.end()
    }
}

/// Suricata's form: microseconds and the offset without a colon.
#[must_use]
pub fn time(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).map_or_else(
        |_| time.to_string(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string(),
    )
}

/// Suricata's name of an IP protocol; three digits where it has none.
#[must_use]
pub fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "ICMP".to_owned(),
        6 => "TCP".to_owned(),
        17 => "UDP".to_owned(),
        47 => "GRE".to_owned(),
        50 => "ESP".to_owned(),
        58 => "IPv6-ICMP".to_owned(),
        132 => "SCTP".to_owned(),
        other => format!("{other:03}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_suricata_does() {
        assert_eq!(
            time(Timestamp::from_nanos(1_460_053_391_194_983_500)),
            "2016-04-07T18:23:11.194983+0000"
        );
    }

    #[test]
    fn what_raised_the_verdict_is_named_before_what_else_was_seen() {
        let all = |floor| Cause::of(Evidence { rule: true, intel: true, decoy: true, floor });
        assert_eq!(all(Floor::None), Cause::Rule);
        assert_eq!(all(Floor::RareForModel), Cause::Rule);
        assert_eq!(all(Floor::IntelAndRule), Cause::Intel);
        assert_eq!(all(Floor::DecoyTouched), Cause::Decoy);
        let none = |floor| Cause::of(Evidence { rule: false, intel: false, decoy: false, floor });
        assert_eq!(none(Floor::RareForModel), Cause::Rare);
        assert_eq!(none(Floor::None), Cause::Sum);
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let text = serde_json::to_string(&ByName(&FeatureVector([0.526_664_5; 15]))).unwrap();
        assert!(text.contains("\"packet_length\":0.5266645,"), "{text}");
    }
}
