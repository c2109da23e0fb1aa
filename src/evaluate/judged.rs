//! What evaluation needs of one verdict, and the orders that the detectors put packets in.

use crate::address::Address;
use crate::time::Timestamp;

/// One judged packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Its number in the capture, from 1.
    pub packet: u64,
    /// When it passed.
    pub time: Timestamp,
    /// Its sender.
    pub source: Address,
    /// The verdict: 0 SAFE, 1 WARNING, 2 HIGH, 3 CRITICAL.
    pub level: u8,
    /// The weighted sum, 0-100.
    pub total: f32,
    /// The model's anomaly score, 0-1.
    pub anomaly: f32,
    /// The rules' risk, 0-100.
    pub rule_risk: f32,
    /// The intelligence's risk, 0-100.
    pub intel_risk: f32,
    /// The model's risk, 0-100.
    pub model_risk: f32,
}

/// [`Judged::level`] of a WARNING.
pub(super) const WARNING: u8 = 1;
/// [`Judged::level`] of a HIGH.
pub(super) const HIGH: u8 = 2;

/// Something that puts packets in an order from harmless to dangerous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// The model's anomaly score alone.
    Model,
    /// The rules' risk alone.
    Rules,
    /// The verdict: its level, then the weighted sum, then the anomaly score.
    Verdict,
}

impl Detector {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 3] = [Self::Model, Self::Rules, Self::Verdict];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Rules => "rules",
            Self::Verdict => "verdict",
        }
    }
}

/// The scores of a packet, or the worst ones of a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scores {
    anomaly: f32,
    rule_risk: f32,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Verdict {
    total: f32,
    anomaly: f32,
    level: u8,
}

/// A place in a detector's order: level, sum, score; what a detector doesn't look at is 0.
pub(super) type Place = (u8, u32, u32);

impl Scores {
    /// Those of a packet that never got a verdict: below every other in every order.
    pub(super) const NONE: Self = Self {
        anomaly: f32::NAN,
        rule_risk: f32::NAN,
        verdict: Verdict { total: f32::NAN, anomaly: f32::NAN, level: 0 },
    };

    pub(super) const fn of(judged: &Judged) -> Self {
        let Judged { level, total, anomaly, rule_risk, .. } = *judged;
        Self { anomaly, rule_risk, verdict: Verdict { total, anomaly, level } }
    }

    pub(super) const fn level(&self) -> u8 {
        self.verdict.level
    }

    pub(super) fn place(&self, by: Detector) -> Place {
        match by {
            Detector::Model => (0, 0, ordered(self.anomaly)),
            Detector::Rules => (0, 0, ordered(self.rule_risk)),
            Detector::Verdict => {
                let Verdict { total, anomaly, level } = self.verdict;
                (level, ordered(total), ordered(anomaly))
            }
        }
    }

    /// The worse of both in each detector's eyes.
    pub(super) fn worse(self, other: Self) -> Self {
        let worse = |by: Detector| if other.place(by) > self.place(by) { other } else { self };
        Self {
            anomaly: worse(Detector::Model).anomaly,
            rule_risk: worse(Detector::Rules).rule_risk,
            verdict: worse(Detector::Verdict).verdict,
        }
    }
}

/// A number that is larger for a larger `score`. Both zeros are one; what is not a number stands below all.
const fn ordered(score: f32) -> u32 {
    if score.is_nan() {
        return 0;
    }
    // IEEE 754: bits of positive numbers grow with them; those of negative ones shrink.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ordered_keeps_the_order(a: f32, b: f32) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.partial_cmp(&b).unwrap());
        }
    }

    #[test]
    fn no_number_stands_below_all() {
        assert!(ordered(f32::NAN) < ordered(f32::NEG_INFINITY));
        assert_eq!(ordered(-0.0), ordered(0.0));
    }

    #[test]
    fn what_was_never_judged_stands_below_all() {
        let least = Scores {
            anomaly: 0.0,
            rule_risk: 0.0,
            verdict: Verdict { total: 0.0, anomaly: 0.0, level: 0 },
        };
        for detector in Detector::ALL {
            assert!(Scores::NONE.place(detector) < least.place(detector));
        }
    }

    #[test]
    fn the_verdict_is_ordered_by_level_then_sum_then_score() {
        let scores = |level, total, anomaly| Scores {
            anomaly,
            rule_risk: 0.0,
            verdict: Verdict { total, anomaly, level },
        };
        let rising = [
            scores(0, 19.0, 0.9),
            scores(1, 5.0, 0.1),
            scores(1, 21.0, 0.1),
            scores(1, 21.0, 0.2),
            scores(3, 0.0, 0.0),
        ];
        assert!(rising.is_sorted_by_key(|scores| scores.place(Detector::Verdict)));
        let worst = rising.into_iter().reduce(Scores::worse).unwrap();
        assert_eq!(worst.place(Detector::Verdict), rising[4].place(Detector::Verdict));
        assert_eq!(worst.place(Detector::Model), rising[0].place(Detector::Model));
    }
}
