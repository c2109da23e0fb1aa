//! What only the receiving worker can do, because it needs the frame: rules, intelligence, decoys.

use crate::address::Address;
use crate::counters::Counters;
use crate::decode::Packet;
use crate::handover::{Digest, Findings, Handover, Marks};
use crate::intel::{IntelEntryIndex, IntelSet};
use crate::owner::Placement;
use crate::rules::{Counting, Rule, RuleSet, Scratch};
use crate::verdict::Detection;

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

    /// Looks at one packet and puts its digest, with what was found, on the way to its owner. Where a rule counts by
    /// destination, the owner of the destination gets a copy.
    pub fn inspect(
        &mut self,
        packet: &Packet<'_>,
        detection: &Detection,
        handover: &mut Handover,
        counters: &mut Counters,
    ) {
        let mut findings = Findings::default();
        detection.rules().inspect(packet, &mut self.scratch, &mut findings);
        let (source, destination) = packet.carriers.unzip();
        findings.intel_source = worse_known(detection.intel(), packet.source, source);
        findings.intel_destination =
            worse_known(detection.intel(), packet.destination, destination);
        findings.decoy = detection.decoys().touched_by(packet);

        let digest = Digest::of(packet);
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

/// The entry of the higher risk about an address and about the one that carries it through a tunnel: wrapping a packet hides
/// neither end of the wrapping.
fn worse_known(intel: &IntelSet, address: Address, carrier: Option<Address>) -> u32 {
    let of = |address| {
        intel.lookup(address).map(|index| (intel.entry(index).map_or(0, |entry| entry.risk), index))
    };
    let (own, carried) = (of(address), carrier.and_then(of));
    let worse =
        if carried.map(|(risk, _)| risk) > own.map(|(risk, _)| risk) { carried } else { own };
    IntelEntryIndex::encode(worse.map(|(_, index)| index))
}
