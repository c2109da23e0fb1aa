//! How the three kinds of evidence become one verdict: a weighted sum, thresholds, and floors.
//!
//! With the weights alone the model could never leave SAFE (0.2 x 100 is not above 20) and a hit in the intelligence
//! would be a mere WARNING. The floors say which single piece of evidence is enough, and a verdict names the floor
//! that raised it.

use serde::{Deserialize, Serialize};

use super::record::Level;

/// What is known against one packet. Every risk lies in 0..=100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The model's calibrated risk.
    pub model_risk: f32,
    /// The share of training scores at or below this packet's score, 0..=1.
    pub model_quantile: f32,
    /// Sum of the risks of the rules that fired, at most 100.
    pub rule_risk: f32,
    /// The highest risk among the rules that fired.
    pub highest_rule_risk: f32,
    /// The risk of the matching intelligence entry, the higher of both addresses.
    pub intel_risk: f32,
    /// Whether an intelligence entry matched, whatever its risk.
    pub intel_hit: bool,
    /// Whether a decoy was touched.
    pub decoy_touched: bool,
}

/// The weights of the sum. [`Policy::new`] expects them to be proven: none negative, together 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Weight of the model's risk.
    pub model: f64,
    /// Weight of the rules' risk.
    pub rule: f64,
    /// Weight of the intelligence risk.
    pub intel: f64,
}

/// The sums above which (strictly) a level begins. Expected to be ascending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Above: WARNING.
    pub warning: f64,
    /// Above: HIGH.
    pub high: f64,
    /// Above: CRITICAL.
    pub critical: f64,
}

/// A single piece of evidence that is enough for a level, whatever the sum says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Floor {
    /// No floor raised the verdict.
    #[default]
    None = 0,
    /// An intelligence hit: at least HIGH.
    IntelHit = 1,
    /// One rule of risk 80 or more: at least HIGH.
    StrongRule = 2,
    /// A model quantile at or above the configured one: at least WARNING.
    RareForModel = 3,
    /// An intelligence hit and a rule of risk 60 or more: CRITICAL.
    IntelAndRule = 4,
    /// A decoy was touched: at least HIGH. Nobody has a reason to talk to one.
    DecoyTouched = 5,
}

impl Floor {
    /// Every floor that can be configured.
    pub const ALL: [Self; 5] = [
        Self::IntelHit,
        Self::StrongRule,
        Self::RareForModel,
        Self::IntelAndRule,
        Self::DecoyTouched,
    ];

    /// Its name in the configuration, in events and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::IntelHit => "intel_hit_high",
            Self::StrongRule => "rule_80_high",
            Self::RareForModel => "model_quantile_warning",
            Self::IntelAndRule => "intel_and_rule_critical",
            Self::DecoyTouched => "decoy_high",
        }
    }

    /// The level it guarantees.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::None => Level::Safe,
            Self::RareForModel => Level::Warning,
            Self::IntelHit | Self::StrongRule | Self::DecoyTouched => Level::High,
            Self::IntelAndRule => Level::Critical,
        }
    }
}

/// Which floors hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floors {
    /// [`Floor::IntelHit`] holds.
    pub intel_hit: bool,
    /// [`Floor::StrongRule`] holds.
    pub strong_rule: bool,
    /// [`Floor::RareForModel`] holds.
    pub rare_for_model: bool,
    /// [`Floor::IntelAndRule`] holds.
    pub intel_and_rule: bool,
    /// [`Floor::DecoyTouched`] holds.
    pub decoy_touched: bool,
}

impl Floors {
    /// No floor: the plain weighted sum.
    pub const NONE: Self = Self {
        intel_hit: false,
        strong_rule: false,
        rare_for_model: false,
        intel_and_rule: false,
        decoy_touched: false,
    };
    /// Every floor.
    pub const ALL: Self = Self {
        intel_hit: true,
        strong_rule: true,
        rare_for_model: true,
        intel_and_rule: true,
        decoy_touched: true,
    };

    /// These floors and `floor` too.
    #[must_use]
    pub const fn with(mut self, floor: Floor) -> Self {
        match floor {
            Floor::None => {}
            Floor::IntelHit => self.intel_hit = true,
            Floor::StrongRule => self.strong_rule = true,
            Floor::RareForModel => self.rare_for_model = true,
            Floor::IntelAndRule => self.intel_and_rule = true,
            Floor::DecoyTouched => self.decoy_touched = true,
        }
        self
    }

    /// Whether `floor` holds.
    #[must_use]
    pub const fn has(self, floor: Floor) -> bool {
        match floor {
            Floor::None => false,
            Floor::IntelHit => self.intel_hit,
            Floor::StrongRule => self.strong_rule,
            Floor::RareForModel => self.rare_for_model,
            Floor::IntelAndRule => self.intel_and_rule,
            Floor::DecoyTouched => self.decoy_touched,
        }
    }
}

/// What the operator may set. The configuration proves it before it comes here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyParams {
    /// The weights of the sum.
    pub weights: Weights,
    /// Where the levels begin.
    pub thresholds: Thresholds,
    /// Which floors hold.
    pub floors: Floors,
    /// The quantile of [`Floor::RareForModel`].
    pub model_quantile: f64,
}

impl Default for PolicyParams {
    fn default() -> Self {
        Self {
            weights: Weights { model: 0.2, rule: 0.3, intel: 0.5 },
            thresholds: Thresholds { warning: 20.0, high: 50.0, critical: 80.0 },
            floors: Floors::ALL,
            model_quantile: 0.9999,
        }
    }
}

/// A rule of this risk or more is a strong one ([`Floor::StrongRule`]).
const STRONG_RULE_RISK: f32 = 80.0;

/// A rule of this risk or more makes an intelligence hit critical ([`Floor::IntelAndRule`]).
const CONFIRMING_RULE_RISK: f32 = 60.0;

/// What the policy says of one packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// The weighted sum, 0..=100.
    pub total: f32,
    /// The verdict.
    pub level: Level,
    /// The floor that raised it above what the sum gives.
    pub floor: Floor,
}

/// Judges evidence. Immutable; part of one [`Detection`](super::Detection).
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    params: PolicyParams,
}

impl Policy {
    /// A policy of proven parameters.
    #[must_use]
    pub const fn new(params: PolicyParams) -> Self {
        Self { params }
    }

    /// What it was made of.
    #[must_use]
    pub const fn params(&self) -> &PolicyParams {
        &self.params
    }

    /// The verdict on one packet, and why.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence) -> Judgement {
        let total = self.weighted_sum(evidence);
        let by_sum = self.level_of(total);
        let floor = self.highest_floor(evidence);
        let (level, floor) =
            if floor.level() > by_sum { (floor.level(), floor) } else { (by_sum, Floor::None) };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "0..=100 rounded to what is shown and stored"
        )]
        let total = total as f32;
        Judgement { total, level, floor }
    }

    /// In double precision, so that 0.3 x 100 + 0.5 x 100 is exactly 80 and the strict thresholds mean what they say.
    fn weighted_sum(&self, evidence: &Evidence) -> f64 {
        let Weights { model, rule, intel } = self.params.weights;
        model * f64::from(evidence.model_risk)
            + rule * f64::from(evidence.rule_risk)
            + intel * f64::from(evidence.intel_risk)
    }

    fn level_of(&self, total: f64) -> Level {
        let Thresholds { warning, high, critical } = self.params.thresholds;
        if total > critical {
            Level::Critical
        } else if total > high {
            Level::High
        } else if total > warning {
            Level::Warning
        } else {
            Level::Safe
        }
    }

    /// In the precision of the quantiles: 0.9999 as a float lies below 0.9999 as a double.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to the precision of the quantiles is the point"
    )]
    const fn rare_from(&self) -> f32 {
        self.params.model_quantile as f32
    }

    /// The floor of the highest level that applies.
    fn highest_floor(&self, evidence: &Evidence) -> Floor {
        let floors = self.params.floors;
        if floors.intel_and_rule
            && evidence.intel_hit
            && evidence.highest_rule_risk >= CONFIRMING_RULE_RISK
        {
            Floor::IntelAndRule
        } else if floors.intel_hit && evidence.intel_hit {
            Floor::IntelHit
        } else if floors.decoy_touched && evidence.decoy_touched {
            Floor::DecoyTouched
        } else if floors.strong_rule && evidence.highest_rule_risk >= STRONG_RULE_RISK {
            Floor::StrongRule
        } else if floors.rare_for_model && evidence.model_quantile >= self.rare_from() {
            Floor::RareForModel
        } else {
            Floor::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Policy {
        Policy::new(PolicyParams { floors: Floors::NONE, ..PolicyParams::default() })
    }

    fn parts(model_risk: f32, rule_risk: f32, intel_risk: f32) -> Evidence {
        Evidence {
            model_risk,
            rule_risk,
            highest_rule_risk: rule_risk,
            intel_risk,
            intel_hit: intel_risk > 0.0,
            model_quantile: 0.0,
            decoy_touched: false,
        }
    }

    #[test]
    fn the_plain_sum_gives_the_lattice_of_the_original() {
        let cases = [
            ("nothing", parts(0.0, 0.0, 0.0), 0.0, Level::Safe),
            ("the model alone", parts(100.0, 0.0, 0.0), 20.0, Level::Safe),
            ("a rule alone", parts(0.0, 100.0, 0.0), 30.0, Level::Warning),
            ("intelligence alone", parts(0.0, 0.0, 100.0), 50.0, Level::Warning),
            ("rule and model", parts(100.0, 100.0, 0.0), 50.0, Level::Warning),
            ("intelligence and model", parts(100.0, 0.0, 100.0), 70.0, Level::High),
            ("intelligence and rule", parts(0.0, 100.0, 100.0), 80.0, Level::High),
            ("everything", parts(100.0, 100.0, 100.0), 100.0, Level::Critical),
        ];
        for (name, evidence, total, level) in cases {
            let judgement = plain().judge(&evidence);
            assert_eq!(judgement.level, level, "{name}");
            assert!((judgement.total - total).abs() < 1e-4, "{name}: {}", judgement.total);
            assert_eq!(judgement.floor, Floor::None, "{name}");
        }
    }

    #[test]
    fn each_floor_raises_what_it_names_and_says_so() {
        let policy = Policy::new(PolicyParams::default());
        let rare = Evidence { model_quantile: 0.9999, model_risk: 99.0, ..Evidence::default() };
        let cases = [
            (rare, Level::Warning, Floor::RareForModel),
            (parts(0.0, 80.0, 0.0), Level::High, Floor::StrongRule),
            (parts(0.0, 0.0, 10.0), Level::High, Floor::IntelHit),
            (parts(0.0, 60.0, 10.0), Level::Critical, Floor::IntelAndRule),
            (
                Evidence { decoy_touched: true, ..Evidence::default() },
                Level::High,
                Floor::DecoyTouched,
            ),
            (parts(0.0, 79.0, 0.0), Level::Warning, Floor::None),
        ];
        for (evidence, level, floor) in cases {
            let judgement = policy.judge(&evidence);
            assert_eq!((judgement.level, judgement.floor), (level, floor), "{evidence:?}");
        }
    }

    #[test]
    fn many_weak_rules_are_no_strong_rule() {
        let policy = Policy::new(PolicyParams::default());
        let many = Evidence { rule_risk: 100.0, highest_rule_risk: 40.0, ..Evidence::default() };
        assert_eq!(policy.judge(&many).level, Level::Warning);
    }

    #[test]
    fn a_floor_that_changes_nothing_is_not_named() {
        let policy = Policy::new(PolicyParams::default());
        let all = parts(100.0, 100.0, 100.0);
        let judgement = policy.judge(&all);
        assert_eq!((judgement.level, judgement.floor), (Level::Critical, Floor::None));
    }

    #[test]
    fn every_floor_can_be_switched_alone() {
        for floor in Floor::ALL {
            let floors = Floors::NONE.with(floor);
            for other in Floor::ALL {
                assert_eq!(
                    floors.has(other),
                    other == floor,
                    "{} in {}",
                    other.name(),
                    floor.name()
                );
            }
        }
    }
}
