//! Everything that decides a verdict, as one immutable snapshot with one version.

use sha2::{Digest as _, Sha256};

use super::policy::Policy;
use crate::intel::{Decoys, IntelSet};
use crate::model::Model;
use crate::rules::{Rule, RuleSet};

/// Model, rules, intelligence, decoys and policy. Replaced whole, never changed.
#[derive(Debug)]
pub struct Detection {
    model: Model,
    rules: RuleSet,
    intel: IntelSet,
    decoys: Decoys,
    policy: Policy,
    version: u32,
}

impl Detection {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        model: Model,
        rules: RuleSet,
        intel: IntelSet,
        decoys: Decoys,
        policy: Policy,
    ) -> Self {
        let version = version_of(&model, &rules, &intel, &decoys, &policy);
        Self { model, rules, intel, decoys, policy, version }
    }

    /// What scores.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The signatures.
    #[must_use]
    pub const fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// The rules at these indices: those that a finding or a verdict names.
    pub fn rules_at<'a>(&'a self, indices: &'a [u16]) -> impl Iterator<Item = &'a Rule> {
        indices.iter().filter_map(|index| self.rules.rule(*index))
    }

    /// The intelligence.
    #[must_use]
    pub const fn intel(&self) -> &IntelSet {
        &self.intel
    }

    /// The decoys.
    #[must_use]
    pub const fn decoys(&self) -> &Decoys {
        &self.decoys
    }

    /// How evidence becomes a verdict.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Its version: the first four bytes of a SHA-256 over all parts. Equal parts have equal versions, on every machine.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }
}

fn version_of(
    model: &Model,
    rules: &RuleSet,
    intel: &IntelSet,
    decoys: &Decoys,
    policy: &Policy,
) -> u32 {
    let mut hash = Sha256::new();
    hash.update(model.sha256().as_bytes());
    hash.update(rules.hash());
    hash.update(intel.content_hash());
    for decoy in decoys.all() {
        hash.update(decoy.address.octets());
        // A port of 65,536 stands for every port.
        hash.update(decoy.port.map_or(0x1_0000, u32::from).to_be_bytes());
    }
    let params = policy.params();
    let numbers = [
        params.weights.model,
        params.weights.rule,
        params.weights.intel,
        params.thresholds.warning,
        params.thresholds.high,
        params.thresholds.critical,
        params.model_quantile,
    ];
    for number in numbers {
        hash.update(number.to_bits().to_be_bytes());
    }
    for floor in super::Floor::ALL {
        hash.update([u8::from(params.floors.has(floor))]);
    }
    let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
    u32::from_be_bytes([a, b, c, d])
}
