//! `--eve`: alerts in Suricata's EVE JSON, one line for each verdict above SAFE.
//!
//! Fields of Suricata's schema keep its meaning, so that what reads Suricata reads this; what only this sensor knows stands
//! in the object `phantomnet`.

use std::io::{self, Write};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::Sink;
use super::classification::description_of;
use super::community::community_id;
use super::reason::{Known, Reason, decoy_of};
use crate::features::{FeatureVector, SCHEMA};
use crate::rules::Rule;
use crate::time::Timestamp;
use crate::verdict::{Detection, Level, Verdict};

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
        serde_json::to_writer(&mut self.out, &Event::of(verdict, detection))?;
        self.out.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// One line. Numbers are written in the shortest form that reads back as the same `f32`.
#[derive(Serialize)]
struct Event<'a> {
    timestamp: String,
    event_type: &'static str,
    pcap_cnt: u64,
    src_ip: String,
    dest_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    proto: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<[u16; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<String>,
    alert: Alert<'a>,
    phantomnet: Own<'a>,
}

/// The alert proper: the rule of the highest risk, or what else raised the verdict.
#[derive(Serialize)]
struct Alert<'a> {
    action: &'static str,
    gid: u32,
    signature_id: u32,
    rev: u32,
    signature: String,
    category: &'a str,
    severity: u8,
}

/// What only this sensor knows: the parts, the sum, the reasons.
#[derive(Serialize)]
struct Own<'a> {
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
    /// The decoy that was touched, as the operator calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    decoy: Option<&'a str>,
    /// The destination that a rule counting by destination fired for.
    #[serde(skip_serializing_if = "Option::is_none")]
    victim: Option<String>,
    /// How many sources that rule has counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anomaly_score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<ByName<'a>>,
}

#[derive(Serialize)]
struct FiredRule<'a> {
    sid: u32,
    msg: &'a str,
    risk: u8,
}

/// Features as an object, by name.
struct ByName<'a>(&'a FeatureVector);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(SCHEMA.len()))?;
        for (feature, value) in SCHEMA.iter().zip(self.0.0) {
            object.serialize_entry(feature.name, &value)?;
        }
        object.end()
    }
}

impl<'a> Event<'a> {
    fn of(verdict: &'a Verdict, detection: &'a Detection) -> Self {
        let packet = &verdict.digest;
        let (src_port, dest_port) = packet.ports().unzip();
        let (icmp_type, icmp_code) = packet.icmp().unzip();
        Event {
            timestamp: eve_time(packet.time),
            event_type: "alert",
            pcap_cnt: packet.sequence,
            src_ip: packet.source.to_string(),
            dest_ip: packet.destination.to_string(),
            src_port,
            dest_port,
            icmp_type,
            icmp_code,
            proto: protocol_name(packet.protocol),
            vlan: (packet.vlan != 0).then_some([packet.vlan]),
            community_id: community_id(packet),
            alert: Alert::of(verdict, detection),
            phantomnet: Own::of(verdict, detection),
        }
    }
}

impl<'a> Alert<'a> {
    fn of(verdict: &Verdict, detection: &'a Detection) -> Self {
        let reason = Reason::of(verdict, detection);
        let (gid, signature_id, rev, category) = match reason {
            Reason::Rule(rule) => (
                rule.gid,
                rule.sid,
                rule.revision,
                rule.classtype.as_deref().map_or("", description_of),
            ),
            Reason::Intel(_) => (OWN_GENERATOR, 1, 1, ""),
            Reason::Rare => (OWN_GENERATOR, 2, 1, ""),
            Reason::Sum => (OWN_GENERATOR, 3, 1, ""),
            Reason::Decoy(_) => (OWN_GENERATOR, 4, 1, ""),
        };
        let severity = match verdict.level {
            Level::Critical | Level::High => 1,
            Level::Warning => 2,
            Level::Safe => 3,
        };
        Alert {
            action: "allowed",
            gid,
            signature_id,
            rev,
            signature: reason.text(),
            category,
            severity,
        }
    }
}

impl<'a> Own<'a> {
    fn of(verdict: &'a Verdict, detection: &'a Detection) -> Self {
        let is_victim = verdict.is_of_victim();
        let fired =
            |rule: &'a Rule| FiredRule { sid: rule.sid, msg: &rule.message, risk: rule.risk };
        Own {
            verdict: verdict.level.name(),
            total: verdict.total,
            floor: verdict.floor.name(),
            model_risk: verdict.model_risk,
            rule_risk: verdict.rule_risk,
            intel_risk: verdict.intel_risk,
            rules: detection.rules_at(verdict.rules()).map(fired).collect(),
            detection_version: format!("{:08x}", verdict.detection),
            intel: Known::of(verdict, detection),
            decoy: decoy_of(verdict, detection),
            victim: is_victim.then(|| verdict.digest.destination.to_string()),
            sources: is_victim.then_some(verdict.sources),
            anomaly_score: (!is_victim).then_some(verdict.anomaly_score),
            features: (!is_victim).then_some(ByName(&verdict.features)),
        }
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

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let text = serde_json::to_string(&ByName(&FeatureVector([0.526_664_5; 15]))).unwrap();
        assert!(text.contains("\"packet_length\":0.5266645,"), "{text}");
    }
}
