//! `--eve`: alerts in Suricata's EVE JSON, one line for each verdict above SAFE. What the fields mean is said in `eve`.

use std::borrow::Cow;
use std::io::{self, Write};

use super::Sink;
use super::community::community_id;
use super::reason::{Known, Reason, decoy_of};
use crate::eve::{self, Alert, AlertRecord, ByName, FiredRule, Judged, Origin};
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
        let record = record(verdict, detection, reason.alert(verdict.level, &signature));
        serde_json::to_writer(&mut self.out, &record)?;
        self.out.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn record<'a>(verdict: &'a Verdict, detection: &'a Detection, alert: Alert<'a>) -> AlertRecord<'a> {
    let packet = &verdict.digest;
    let (src_port, dest_port) = packet.ports().unzip();
    let (icmp_type, icmp_code) = packet.icmp().unzip();
    AlertRecord {
        timestamp: eve::time(packet.time),
        event_type: "alert",
        // A capture file has neither name nor interface.
        origin: Origin::default(),
        pcap_cnt: Some(packet.sequence),
        src_ip: Some(packet.source.to_string()),
        dest_ip: Some(packet.destination.to_string()),
        src_port,
        dest_port,
        icmp_type,
        icmp_code,
        proto: eve::protocol_name(packet.protocol),
        vlan: (packet.vlan != 0).then_some([packet.vlan]),
        community_id: community_id(packet).map(Cow::Owned),
        alert,
        flow: None,
        phantomnet: judged(verdict, detection),
    }
}

fn judged<'a>(verdict: &'a Verdict, detection: &'a Detection) -> Judged<'a> {
    let is_victim = verdict.is_of_victim();
    let known = Known::of(verdict, detection);
    Judged {
        event: None,
        verdict: verdict.level.name(),
        total: verdict.total,
        floor: verdict.floor.name(),
        model_risk: verdict.model_risk,
        rule_risk: verdict.rule_risk,
        intel_risk: verdict.intel_risk,
        rules: detection.rules_at(verdict.rules()).map(FiredRule::from).collect(),
        detection_version: format!("{:08x}", verdict.detection),
        intel: known.map(|known| eve::Known::of(known.label, known.side)),
        decoy: decoy_of(verdict, detection),
        victim: is_victim.then(|| verdict.digest.destination.to_string()),
        sources: is_victim.then_some(verdict.sources),
        anomaly_score: (!is_victim).then_some(verdict.anomaly_score),
        features: (!is_victim).then_some(ByName(&verdict.features)),
    }
}
