//! What rules and intelligence have said of a source, fading with time: features 5, 6 and 7.

use super::schema::{
    ATTACK_CLASSES, DECOYS_MAX, FLAG_HALF_LIFE_SECS, INNOCENT_PACKETS, INTEL_WEIGHT,
    MALICIOUS_RULE_RISK, RULE_WEIGHT, THREAT_HALF_LIFE_SECS,
};
use crate::sources::Worth;
use crate::time::NANOS_PER_SECOND;

/// What inspection said of one packet. Never the model's opinion: fed with it, a source would be locked in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PacketEvidence {
    /// Risk of the rules that matched, 0-100; 0 for none. Clamped; a NaN counts as 0.
    pub rule_risk: f32,
    /// Risk of the intelligence entry that matched, 0-100. Clamped; a NaN counts as 0. Anything above 0 is a hit.
    pub intel_risk: f32,
    /// The attack classes of the rules and the entry that matched: bit `n` for class `n`.
    pub classes: u16,
    /// The decoy that the packet touched, as an index + 1; 0 for none. One beyond
    /// [`DECOYS_MAX`] counts as none.
    pub decoy: u8,
}

impl PacketEvidence {
    /// What a source is worth that has sent this packet alone.
    #[must_use]
    pub fn worth_if_first(&self) -> Worth {
        if self.speaks() || self.touched_decoy().is_some() {
            Worth::Suspect
        } else {
            Worth::Passing
        }
    }

    /// The decoy that was touched, from 0 on.
    pub(super) fn touched_decoy(&self) -> Option<usize> {
        usize::from(self.decoy).checked_sub(1).filter(|&nth| nth < DECOYS_MAX)
    }

    /// Whether rules and intelligence had anything to say.
    fn speaks(&self) -> bool {
        self.rule_risk > 0.0 || self.intel_risk > 0.0 || self.classes != 0
    }

    /// Whether the packet counts as malicious in feature 6.
    fn is_malicious(&self) -> bool {
        self.rule_risk >= MALICIOUS_RULE_RISK || self.intel_risk > 0.0
    }

    /// Rule and intelligence risk as one number, 0-100.
    fn weight(&self) -> f64 {
        // A NaN is not above 0; `clamp` would let it through.
        let within = |risk: f32| if risk > 0.0 { f64::from(risk.min(100.0)) } else { 0.0 };
        let sum = RULE_WEIGHT * within(self.rule_risk) + INTEL_WEIGHT * within(self.intel_risk);
        sum / (RULE_WEIGHT + INTEL_WEIGHT)
    }
}

/// The fading memory of every source. Every value stands as of the source's last packet.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Reputation {
    /// `N` of feature 6: packets, decayed.
    packets: f64,
    /// Whether there ever was evidence: without it there is no record.
    marked: bool,
}

/// The fading memory of what was said against a source, if anything was.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Record {
    /// `M` of feature 6: packets with severe evidence, decayed.
    malicious: f64,
    /// `R` of feature 5.
    threat: f64,
    /// Feature 7: hits by attack class, decayed.
    classes: [f64; ATTACK_CLASSES],
}

/// Features 5, 6 and 7.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Standing {
    pub(super) threat_score: f64,
    pub(super) malicious_ratio: f64,
    pub(super) attack_frequency: f64,
}

impl Standing {
    /// Of a source without evidence.
    pub(super) const CLEAN: Self =
        Self { threat_score: 0.0, malicious_ratio: 0.0, attack_frequency: 0.0 };
}

impl Reputation {
    /// Whether rules or intelligence ever had anything to say.
    pub(super) const fn is_marked(&self) -> bool {
        self.marked
    }

    /// Lets `nanos` of time pass.
    pub(super) fn fade(&mut self, record: &mut Record, nanos: i64) {
        if nanos == 0 {
            return;
        }
        let kept = libm::exp2(nanos as f64 * PER_FLAG_HALF_LIFE);
        self.packets *= kept;
        if self.marked {
            record.malicious *= kept;
            record.threat *= libm::exp2(nanos as f64 * PER_THREAT_HALF_LIFE);
            for class in &mut record.classes {
                *class *= kept;
            }
        }
    }

    /// What is remembered now.
    pub(super) fn standing(&self, record: &Record) -> Standing {
        if !self.marked {
            return Standing::CLEAN;
        }
        Standing {
            threat_score: record.threat,
            malicious_ratio: record.malicious / (self.packets + INNOCENT_PACKETS),
            attack_frequency: record.classes.iter().copied().fold(0.0, f64::max),
        }
    }

    /// Adds a packet. The record begins with the first evidence, whatever stood in it.
    pub(super) fn add(&mut self, record: &mut Record, evidence: &PacketEvidence) {
        self.packets += 1.0;
        if !evidence.speaks() {
            return;
        }
        if !self.marked {
            *record = Record::default();
            self.marked = true;
        }
        record.threat = record.threat.max(evidence.weight());
        if evidence.is_malicious() {
            record.malicious += 1.0;
        }
        for (class, counter) in record.classes.iter_mut().enumerate() {
            if evidence.classes >> class & 1 == 1 {
                *counter += 1.0;
            }
        }
    }
}

/// Exponent of two per nanosecond, features 6 and 7.
const PER_FLAG_HALF_LIFE: f64 = -1.0 / (FLAG_HALF_LIFE_SECS * NANOS_PER_SECOND as f64);
/// Exponent of two per nanosecond, feature 5.
const PER_THREAT_HALF_LIFE: f64 = -1.0 / (THREAT_HALF_LIFE_SECS * NANOS_PER_SECOND as f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Remembered {
        reputation: Reputation,
        record: Record,
    }

    impl Remembered {
        fn fade(&mut self, nanos: i64) {
            self.reputation.fade(&mut self.record, nanos);
        }

        fn add(&mut self, evidence: &PacketEvidence) {
            self.reputation.add(&mut self.record, evidence);
        }

        fn standing(&self) -> Standing {
            self.reputation.standing(&self.record)
        }
    }

    const MINUTE: i64 = 60 * NANOS_PER_SECOND;

    #[test]
    fn a_clean_source_stands_at_zero_for_ever() {
        let mut reputation = Remembered::default();
        for _ in 0..1000 {
            reputation.fade(MINUTE);
            reputation.add(&PacketEvidence::default());
        }
        assert_eq!(reputation.standing(), Standing::CLEAN);
    }

    #[test]
    fn evidence_fades_by_half_in_its_half_life() {
        let mut reputation = Remembered::default();
        reputation.add(&PacketEvidence {
            rule_risk: 80.0,
            classes: 0b100,
            ..PacketEvidence::default()
        });
        assert!((reputation.standing().threat_score - 30.0).abs() < 1e-12, "0.3*80/0.8");
        reputation.fade(MINUTE);
        assert!((reputation.standing().threat_score - 15.0).abs() < 1e-12);
        reputation.fade(9 * MINUTE);
        let standing = reputation.standing();
        assert!((standing.attack_frequency - 0.5).abs() < 1e-12);
        assert!((standing.malicious_ratio - 0.5 / 8.5).abs() < 1e-12);
    }

    #[test]
    fn weaker_evidence_does_not_refresh_stronger() {
        let mut reputation = Remembered::default();
        reputation.add(&PacketEvidence { intel_risk: 100.0, ..PacketEvidence::default() });
        reputation.add(&PacketEvidence { rule_risk: 10.0, ..PacketEvidence::default() });
        assert!((reputation.standing().threat_score - 62.5).abs() < 1e-12);
    }

    #[test]
    fn risks_that_are_no_risks_count_as_none_or_all() {
        let weight = |rule_risk, intel_risk| {
            PacketEvidence { rule_risk, intel_risk, ..PacketEvidence::default() }.weight()
        };
        assert_eq!(weight(f32::NAN, -5.0), 0.0);
        assert_eq!(weight(f32::INFINITY, 1e30), 100.0);
    }
}
