//! `--eve`: alerts in Suricata's EVE JSON, one line for each verdict above SAFE. What the fields mean is said in `eve`.

use std::io::{self, Write};

use serde::Serialize;

use super::Sink;
use super::community::community_id;
use super::reason::{Known, Reason, decoy_of};
use crate::eve::{self, Alert, ByName};
use crate::rules::Rule;
use crate::verdict::{Detection, Level, Verdict};

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
        let reason = Reason::of(verdict, detection);
        let signature = reason.text();
        let event = Event::of(verdict, detection, reason.alert(verdict.level, &signature));
        serde_json::to_writer(&mut self.out, &event)?;
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

impl<'a> Event<'a> {
    fn of(verdict: &'a Verdict, detection: &'a Detection, alert: Alert<'a>) -> Self {
        let packet = &verdict.digest;
        let (src_port, dest_port) = packet.ports().unzip();
        let (icmp_type, icmp_code) = packet.icmp().unzip();
        Event {
            timestamp: eve::time(packet.time),
            event_type: "alert",
            pcap_cnt: packet.sequence,
            src_ip: packet.source.to_string(),
            dest_ip: packet.destination.to_string(),
            src_port,
            dest_port,
            icmp_type,
            icmp_code,
            proto: eve::protocol_name(packet.protocol),
            vlan: (packet.vlan != 0).then_some([packet.vlan]),
            community_id: community_id(packet),
            alert,
            phantomnet: Own::of(verdict, detection),
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
