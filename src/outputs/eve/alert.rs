//! An event as an `alert` record.

use serde::Serialize;

use super::Origin;
use crate::eve::{self, Alert, ByName, Cause, Evidence};
use crate::event::{Epoch, Event, EventId, Side};
use crate::rules::Rule;
use crate::verdict::{Detection, InForce};

/// One line. Its moment is the event's first packet; addresses and ports that were merged over are not there.
#[derive(Serialize)]
pub(super) struct AlertRecord<'a> {
    timestamp: String,
    event_type: &'static str,
    #[serde(flatten)]
    origin: Origin<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    proto: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<[u16; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<&'a str>,
    alert: Alert<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<Counted>,
    phantomnet: Own<'a>,
}

/// What the event counted: packets from the source to the destination only.
#[derive(Serialize)]
struct Counted {
    pkts_toserver: u64,
    bytes_toserver: u64,
    start: String,
}

/// What only this sensor knows: the parts, the sum, the reasons.
#[derive(Serialize)]
struct Own<'a> {
    /// As the API and the dashboard call it.
    event: String,
    verdict: &'static str,
    total: f32,
    floor: &'static str,
    model_risk: f32,
    rule_risk: f32,
    intel_risk: f32,
    rules: Vec<FiredRule<'a>>,
    detection_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    intel: Option<Known<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decoy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    victim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anomaly_score: Option<f32>,
    /// The last packet.
    last: String,
    /// Packets, or verdicts about the victim.
    count: u64,
    /// What the event no longer tells apart, for there were too many.
    merged: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<ByName<'a>>,
}

/// A rule that fired; of one that is no longer loaded the number alone is known.
#[derive(Serialize)]
struct FiredRule<'a> {
    sid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<u8>,
}

#[derive(Serialize)]
struct Known<'a> {
    label: &'a str,
    matched: &'static str,
}

impl<'a> AlertRecord<'a> {
    pub(super) fn of(
        event: &'a Event,
        epoch: Epoch,
        in_force: &'a InForce,
        origin: Origin<'a>,
    ) -> Self {
        let judge = in_force.by_version(event.detection);
        let (icmp_type, icmp_code) = event.icmp.unzip();
        Self {
            timestamp: eve::time(event.first),
            event_type: "alert",
            origin,
            src_ip: event.source.map(|source| source.to_string()),
            src_port: event.source_port,
            dest_ip: event.destination.map(|destination| destination.to_string()),
            dest_port: event.destination_port,
            proto: eve::protocol_name(event.protocol),
            icmp_type,
            icmp_code,
            vlan: (event.vlan != 0).then_some([event.vlan]),
            community_id: event.community_id.as_deref(),
            alert: alert(event, judge),
            flow: (!event.is_of_victim()).then(|| Counted {
                pkts_toserver: event.count,
                bytes_toserver: event.bytes,
                start: eve::time(event.first),
            }),
            phantomnet: Own::of(event, epoch, judge),
        }
    }
}

impl<'a> Own<'a> {
    fn of(event: &'a Event, epoch: Epoch, judge: &'a Detection) -> Self {
        let is_victim = event.is_of_victim();
        Self {
            event: EventId { epoch, number: event.number }.to_string(),
            verdict: event.level.name(),
            total: event.total,
            floor: event.floor.name(),
            model_risk: event.model_risk,
            rule_risk: event.rule_risk,
            intel_risk: event.intel_risk,
            rules: event.rules.iter().map(|sid| FiredRule::of(*sid, judge)).collect(),
            detection_version: format!("{:08x}", event.detection),
            intel: event.intel.as_ref().map(|(label, side)| Known {
                label,
                matched: match side {
                    Side::Source => "src_ip",
                    Side::Destination => "dest_ip",
                },
            }),
            decoy: event.decoy.as_deref(),
            victim: event.destination.filter(|_| is_victim).map(|victim| victim.to_string()),
            sources: is_victim.then_some(event.sources),
            anomaly_score: event.anomaly_score,
            last: eve::time(event.last),
            count: if is_victim { event.alerts } else { event.count },
            merged: event.merged.name(),
            features: event.features.as_ref().map(ByName),
        }
    }
}

impl<'a> FiredRule<'a> {
    fn of(sid: u32, judge: &'a Detection) -> Self {
        let rule = rule_of(judge, sid);
        Self { sid, msg: rule.map(|rule| &*rule.message), risk: rule.map(|rule| rule.risk) }
    }
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
