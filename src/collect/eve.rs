//! `--eve`: alerts in Suricata's EVE JSON, one line for each verdict above SAFE.
//!
//! Fields of Suricata's schema keep its meaning, so that what reads Suricata reads this; what only this sensor knows stands
//! in the object `phantomnet`.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Sink;
use crate::features::SCHEMA;
use crate::handover::Digest;
use crate::intel::IntelEntryIndex;
use crate::rules::Rule;
use crate::time::Timestamp;
use crate::verdict::{Detection, Floor, Level, Verdict};

/// Generator id of alerts that no rule raised, as Suricata's `gid`: rules have 1.
const OWN_GENERATOR: u32 = 9000;

/// Writes EVE JSON lines in the order of the packets.
#[derive(Debug)]
pub struct EveWriter<W> {
    out: W,
    name: String,
}

impl<W: Write> EveWriter<W> {
    /// Writes to `out`, which error messages call `name`.
    #[must_use]
    pub const fn new(out: W, name: String) -> Self {
        Self { out, name }
    }
}

impl<W: Write> Sink for EveWriter<W> {
    fn name(&self) -> String {
        format!("EVE to {}", self.name)
    }

    fn take(&mut self, verdict: &Verdict, detection: &Detection) -> io::Result<()> {
        if verdict.level == Level::Safe {
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &event(verdict, detection))?;
        self.out.write_all(b"\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn event(verdict: &Verdict, detection: &Detection) -> Value {
    let packet = &verdict.digest;
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put("timestamp", json!(eve_time(packet.time)));
    put("event_type", json!("alert"));
    put("pcap_cnt", json!(packet.sequence));
    put("src_ip", json!(packet.source.to_string()));
    put("dest_ip", json!(packet.destination.to_string()));
    if let Some((source, destination)) = packet.ports() {
        put("src_port", json!(source));
        put("dest_port", json!(destination));
    } else if let Some((kind, code)) = packet.icmp() {
        put("icmp_type", json!(kind));
        put("icmp_code", json!(code));
    }
    put("proto", json!(protocol_name(packet.protocol)));
    if packet.vlan != 0 {
        put("vlan", json!([packet.vlan]));
    }
    if let Some(id) = community_id(packet) {
        put("community_id", json!(id));
    }
    put("alert", alert(verdict, detection));
    put("phantomnet", own(verdict, detection));
    Value::Object(event)
}

/// The alert proper: the rule of the highest risk, or what else raised the verdict.
fn alert(verdict: &Verdict, detection: &Detection) -> Value {
    // The first of equals: the rules stand in a fixed order.
    let worst: Option<&Rule> = detection
        .rules_at(verdict.rules())
        .reduce(|worst, rule| if rule.risk > worst.risk { rule } else { worst });
    let severity = match verdict.level {
        Level::Critical | Level::High => 1,
        Level::Warning => 2,
        Level::Safe => 3,
    };
    if let Some(rule) = worst {
        return json!({
            "action": "allowed",
            "gid": rule.gid,
            "signature_id": rule.sid,
            "rev": rule.revision,
            "signature": &*rule.message,
            "category": rule.classtype.as_deref().unwrap_or(rule.class.name()),
            "severity": severity,
        });
    }
    let (id, signature) = match (intel_label(verdict, detection), verdict.floor) {
        (Some((label, _)), _) => (1, format!("Threat intelligence: {label}")),
        (None, Floor::RareForModel) => (2, "Behaviour that is rare for the model".to_owned()),
        (None, _) => (3, "Weighted evidence above the threshold".to_owned()),
    };
    json!({
        "action": "allowed",
        "gid": OWN_GENERATOR,
        "signature_id": id,
        "rev": 1,
        "signature": signature,
        "category": "",
        "severity": severity,
    })
}

/// What only this sensor knows: the parts, the sum, the reasons.
fn own(verdict: &Verdict, detection: &Detection) -> Value {
    let rules: Vec<Value> = detection
        .rules_at(verdict.rules())
        .map(|rule| json!({"sid": rule.sid, "msg": &*rule.message, "risk": rule.risk}))
        .collect();
    let features: Map<String, Value> = SCHEMA
        .iter()
        .zip(verdict.features.0)
        .map(|(feature, value)| (feature.name.to_owned(), json!(value)))
        .collect();
    let mut own = json!({
        "verdict": verdict.level.name(),
        "total": verdict.total,
        "floor": verdict.floor.name(),
        "model_risk": verdict.model_risk,
        "rule_risk": verdict.rule_risk,
        "intel_risk": verdict.intel_risk,
        "rules": rules,
        "detection_version": format!("{:08x}", verdict.detection),
    });
    let mut put = |key: &str, value: Value| {
        if let Some(object) = own.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if verdict.is_of_victim() {
        put("victim", json!(verdict.digest.destination.to_string()));
        put("sources", json!(verdict.sources));
    } else {
        put("anomaly_score", json!(verdict.anomaly_score));
        put("features", Value::Object(features));
    }
    if let Some((label, whose)) = intel_label(verdict, detection) {
        put("intel", json!({"label": label, "matched": whose}));
    }
    own
}

/// The label of the intelligence entry of the higher risk, and which address it is about.
fn intel_label<'d>(verdict: &Verdict, detection: &'d Detection) -> Option<(&'d str, &'static str)> {
    let entry =
        |number| IntelEntryIndex::decode(number).and_then(|index| detection.intel().entry(index));
    match (entry(verdict.intel_source), entry(verdict.intel_destination)) {
        (Some(source), Some(destination)) if destination.risk > source.risk => {
            Some((&destination.label, "dest_ip"))
        }
        (Some(source), _) => Some((&source.label, "src_ip")),
        (None, Some(destination)) => Some((&destination.label, "dest_ip")),
        (None, None) => None,
    }
}

/// Suricata's form: microseconds and the offset without a colon.
fn eve_time(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).map_or_else(
        |_| time.to_string(),
        |moment| moment.strftime("%Y-%m-%dT%H:%M:%S.%6f+0000").to_string(),
    )
}

fn protocol_name(protocol: u8) -> String {
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

/// The flow's Community ID, version 1 (github.com/corelight/community-id-spec).
fn community_id(packet: &Digest) -> Option<String> {
    let (source, destination) =
        packet.ports().or_else(|| packet.icmp().map(|(k, c)| (k.into(), c.into()))).unzip();
    community_id::calculate_community_id(
        0,
        packet.source.to_ip(),
        packet.destination.to_ip(),
        source,
        destination,
        packet.protocol,
        false,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_suricata_does() {
        assert_eq!(
            eve_time(Timestamp::from_nanos(1_460_053_391_194_983_500)),
            "2016-04-07T18:23:11.194983+0000"
        );
    }
}
