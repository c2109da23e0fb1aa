//! An event as an `alert` record. Its moment is the event's first packet.

use std::borrow::Cow;

use crate::eve::{
    self, Alert, AlertRecord, ByName, Cause, Counted, Evidence, FiredRule, Judged, Known, OfEvent,
    Origin,
};
use crate::event::{Epoch, Event, EventId};
use crate::rules::Rule;
use crate::verdict::{Detection, InForce};

pub(super) fn record<'a>(
    event: &'a Event,
    epoch: Epoch,
    in_force: &'a InForce,
    origin: Origin<'a>,
) -> AlertRecord<'a> {
    let judge = in_force.by_version(event.detection);
    let (icmp_type, icmp_code) = event.icmp.unzip();
    AlertRecord {
        timestamp: eve::time(event.first),
        event_type: "alert",
        origin,
        // Of the worst packet, which is not the one that the record's time is of.
        pcap_cnt: None,
        src_ip: event.source.map(|source| source.to_string()),
        dest_ip: event.destination.map(|destination| destination.to_string()),
        src_port: event.source_port,
        dest_port: event.destination_port,
        icmp_type,
        icmp_code,
        proto: eve::protocol_name(event.protocol),
        vlan: (event.vlan != 0).then_some([event.vlan]),
        community_id: event.community_id.as_deref().map(Cow::Borrowed),
        alert: alert(event, judge),
        flow: (!event.is_of_victim()).then(|| Counted {
            pkts_toserver: event.count,
            bytes_toserver: event.bytes,
            start: eve::time(event.first),
        }),
        phantomnet: judged(event, epoch, judge),
    }
}

fn judged<'a>(event: &'a Event, epoch: Epoch, judge: &'a Detection) -> Judged<'a> {
    let is_victim = event.is_of_victim();
    Judged {
        event: Some(OfEvent {
            event: EventId { epoch, number: event.number }.to_string(),
            last: eve::time(event.last),
            count: if is_victim { event.alerts } else { event.count },
            merged: event.merged.name(),
        }),
        verdict: event.level.name(),
        total: event.total,
        floor: event.floor.name(),
        model_risk: event.model_risk,
        rule_risk: event.rule_risk,
        intel_risk: event.intel_risk,
        rules: event.rules.iter().map(|sid| fired(*sid, judge)).collect(),
        detection_version: format!("{:08x}", event.detection),
        intel: event.intel.as_ref().map(|(label, side)| Known::of(label, *side)),
        decoy: event.decoy.as_deref(),
        victim: event.destination.filter(|_| is_victim).map(|victim| victim.to_string()),
        sources: is_victim.then_some(event.sources),
        anomaly_score: event.anomaly_score,
        features: event.features.as_ref().map(ByName),
    }
}

fn fired(sid: u32, judge: &Detection) -> FiredRule<'_> {
    rule_of(judge, sid).map_or(FiredRule { sid, msg: None, risk: None }, FiredRule::from)
}

fn rule_of(judge: &Detection, sid: u32) -> Option<&Rule> {
    judge.rules().rules().iter().find(|rule| rule.sid == sid)
}

/// The same choice as for a verdict; a rule that is no longer loaded is known by its number.
fn alert<'a>(event: &'a Event, judge: &'a Detection) -> Alert<'a> {
    let cause = Cause::of(Evidence {
        rule: !event.rules.is_empty(),
        intel: event.intel.is_some(),
        decoy: event.decoy.is_some(),
        floor: event.floor,
    });
    if cause != Cause::Rule {
        return Alert::of_own(cause, event.level, &event.reason);
    }
    // The reason is the message of the one that was chosen when the packet was judged.
    let mut loaded = event.rules.iter().filter_map(|sid| rule_of(judge, *sid));
    match loaded.find(|rule| rule.message == event.reason) {
        Some(rule) => Alert::of_rule(rule, event.level, &event.reason),
        None => {
            let sid = event.rules.first().copied().unwrap_or(0);
            Alert::of_former_rule(sid, event.level, &event.reason)
        }
    }
}
