//! What packets have in common that are one event.

use std::hash::{Hash, Hasher};

use crate::address::Address;
use crate::event::Merged;
use crate::handover::RULE_HITS_MAX;
use crate::verdict::{Level, Verdict};

/// The key of an event. Indices, not text: they are those of one version of the detection, which is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    source: Address,
    destination: Address,
    /// In the order of the verdict; what is not used is 0.
    rules: [u16; RULE_HITS_MAX],
    detection: u32,
    intel_source: u32,
    intel_destination: u32,
    /// The VLAN, where sources are told apart by it; else 0.
    tenant: u16,
    destination_port: u16,
    rule_count: u8,
    protocol: u8,
    level: Level,
    decoy: u8,
    has_ports: bool,
    of_victim: bool,
    merged: Merged,
}

impl Key {
    /// The whole key. `tenant` is that of the source as its state is kept.
    pub(super) fn of(verdict: &Verdict, tenant: u16) -> Self {
        let packet = &verdict.digest;
        let ports = packet.ports();
        let mut rules = [0; RULE_HITS_MAX];
        for (place, rule) in rules.iter_mut().zip(verdict.rules()) {
            *place = *rule;
        }
        Self {
            source: packet.source,
            destination: packet.destination,
            rules,
            detection: verdict.detection,
            intel_source: verdict.intel_source,
            intel_destination: verdict.intel_destination,
            tenant,
            destination_port: ports.map_or(0, |(_, destination)| destination),
            rule_count: verdict.rule_count,
            protocol: packet.protocol,
            level: verdict.level,
            decoy: verdict.decoy,
            has_ports: ports.is_some(),
            of_victim: verdict.is_of_victim(),
            merged: Merged::Nothing,
        }
    }

    /// The key without what `merged` says that it loses. With an address goes which entry of the intelligence it is: whether
    /// there is one stays. With the last address, the rules go but for the one of the highest risk: whoever sends the
    /// packets chooses their combinations.
    pub(super) fn without(mut self, merged: Merged) -> Self {
        self.merged = merged;
        if merged >= Merged::Source {
            self.source = Address::default();
            self.tenant = 0;
            self.intel_source = self.intel_source.min(1);
        }
        if merged >= Merged::Port {
            self.destination_port = 0;
            self.has_ports = false;
        }
        if merged >= Merged::Destination {
            self.destination = Address::default();
            self.intel_destination = self.intel_destination.min(1);
            self.decoy = self.decoy.min(1);
            self.keep_first_rule();
        }
        self
    }

    /// What it has lost.
    pub(super) const fn merged(&self) -> Merged {
        self.merged
    }

    /// A set of rules stands in the order of their risks.
    fn keep_first_rule(&mut self) {
        let set = self.rules.get(..usize::from(self.rule_count)).unwrap_or_default();
        let first = set.iter().min().copied();
        self.rules = [0; RULE_HITS_MAX];
        self.rule_count = u8::from(first.is_some());
        if let ([place, ..], Some(first)) = (&mut self.rules, first) {
            *place = first;
        }
    }
}

impl Hash for Key {
    /// In one piece: keys are hashed for every packet, by a hash that withstands chosen addresses, and writing fields one by
    /// one costs as much again as the hash.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 82];
        let mut rest = bytes.as_mut_slice();
        let mut put = |part: &[u8]| {
            if let Some((place, after)) = std::mem::take(&mut rest).split_at_mut_checked(part.len())
            {
                place.copy_from_slice(part);
                rest = after;
            }
        };
        put(&self.source.octets());
        put(&self.destination.octets());
        for rule in self.rules {
            put(&rule.to_ne_bytes());
        }
        put(&self.detection.to_ne_bytes());
        put(&self.intel_source.to_ne_bytes());
        put(&self.intel_destination.to_ne_bytes());
        put(&self.tenant.to_ne_bytes());
        put(&self.destination_port.to_ne_bytes());
        put(&[
            self.rule_count,
            self.protocol,
            self.level as u8,
            self.decoy,
            u8::from(self.has_ports),
            u8::from(self.of_victim),
            self.merged as u8,
        ]);
        state.write(&bytes);
    }
}
