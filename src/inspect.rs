//! What only the receiving worker can do, because it needs the frame: rules, intelligence, decoys.

use crate::address::Address;
use crate::counters::Counters;
use crate::decode::Packet;
use crate::handover::{Digest, Findings, Handover, Marks};
use crate::intel::{IntelEntryIndex, IntelSet};
use crate::owner::Placement;
use crate::rules::{Counting, Rule, RuleSet, Scratch};
use crate::verdict::InForce;

/// Looks into packets and hands them to the owners of their sources.
#[derive(Debug)]
pub struct Inspector {
    placement: Placement,
    scratch: Scratch,
}

impl Inspector {
    /// An inspector that knows who owns what.
    #[must_use]
    pub fn new(placement: Placement) -> Self {
        Self { placement, scratch: Scratch::default() }
    }

    /// Asks for what inspecting these packets will read. Changes nothing but the cost of that.
    pub fn prefetch(&self, packets: &[Packet<'_>], in_force: &InForce) {
        if let Some(first) = packets.first() {
            let (detection, _) = in_force.at(first.time);
            let ends = |packet: &Packet<'_>| [packet.source, packet.destination];
            detection.intel().prefetch(packets.iter().flat_map(ends));
        }
    }

    /// Looks at one packet and puts its digest, with what was found, on the way to its owner. Where a rule counts by
    /// destination, the owner of the destination gets a copy.
    pub fn inspect(
        &mut self,
        packet: &Packet<'_>,
        in_force: &InForce,
        handover: &mut Handover,
        counters: &mut Counters,
    ) {
        let (detection, looked_at_with) = in_force.at(packet.time);
        let mut findings = Findings::default();
        detection.rules().inspect(packet, &mut self.scratch, &mut findings);
        let (mut sources, mut destinations) =
            (WorstKnown::of(detection.intel()), WorstKnown::of(detection.intel()));
        sources.ask(packet.source);
        destinations.ask(packet.destination);
        findings.decoy = detection.decoys().touched_by(packet);
        // Wrapping a packet hides neither end of the wrapping.
        for (source, destination) in packet.carriers.iter().flatten() {
            sources.ask(*source);
            destinations.ask(*destination);
            if findings.decoy == 0 {
                findings.decoy = detection.decoys().named(*destination);
            }
        }
        findings.intel_source = IntelEntryIndex::encode(sources.worst);
        findings.intel_destination = IntelEntryIndex::encode(destinations.worst);

        let mut digest = Digest::of(packet);
        digest.marks = digest.marks.with(looked_at_with);
        let owner = self.placement.owner_of(packet.source, digest.vlan);
        if findings.is_empty() {
            handover.put(owner, digest, &findings);
            return;
        }
        counters.rules_left_out += u64::from(findings.rules_left_out);
        let towards = take_counted_by_destination(&mut findings, detection.rules());
        handover.put(owner, digest, &findings);
        if !towards.is_empty() {
            counters.towards_made += 1;
            let owner = self.placement.owner_of(packet.destination, digest.vlan);
            handover.put(
                owner,
                Digest { marks: digest.marks.with(Marks::TOWARDS), ..digest },
                &towards,
            );
        }
    }

    /// Adds what the inspector itself has counted.
    pub fn report(&self, counters: &mut Counters) {
        counters.inspections_cut_short += self.scratch.counters().inspection_cut_short;
    }
}

/// Moves the rules that count by destination out of `findings`.
fn take_counted_by_destination(findings: &mut Findings, rules: &RuleSet) -> Findings {
    let (mut own, mut towards) = (Findings { rule_count: 0, ..*findings }, Findings::default());
    for &index in findings.rules() {
        match rules.rule(index).map(Rule::counting) {
            Some(Counting::ByDestination) => towards.push_rule(index),
            Some(Counting::None | Counting::BySource) => own.push_rule(index),
            None => {}
        }
    }
    *findings = own;
    towards
}

/// The entry of the highest risk about any of several addresses; the first of equals.
struct WorstKnown<'a> {
    intel: &'a IntelSet,
    worst: Option<IntelEntryIndex>,
    risk: u8,
}

impl<'a> WorstKnown<'a> {
    const fn of(intel: &'a IntelSet) -> Self {
        Self { intel, worst: None, risk: 0 }
    }

    fn ask(&mut self, address: Address) {
        let Some(index) = self.intel.lookup(address) else { return };
        let risk = self.intel.entry(index).map_or(0, |entry| entry.risk);
        if self.worst.is_none() || risk > self.risk {
            (self.worst, self.risk) = (Some(index), risk);
        }
    }
}
