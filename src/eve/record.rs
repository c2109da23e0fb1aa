//! The line of an alert: the same fields, whether it is made of a verdict or of an event.

use std::borrow::Cow;

use serde::Serialize;

use super::{Alert, ByName};
use crate::event::Side;
use crate::rules::Rule;

/// Whose record it is.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Origin<'a> {
    /// The sensor's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// The interface, where frames come from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_iface: Option<&'a str>,
}

/// One line. What was merged over, or is not known, is not there.
#[derive(Clone, Debug, Serialize)]
pub struct AlertRecord<'a> {
    /// When the packet passed.
    pub timestamp: String,
    /// Always `alert`.
    pub event_type: &'static str,
    /// Whose it is.
    #[serde(flatten)]
    pub origin: Origin<'a>,
    /// Number of the frame in the capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcap_cnt: Option<u64>,
    /// Sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_ip: Option<String>,
    /// Receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_ip: Option<String>,
    /// Sender's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u16>,
    /// Receiver's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_port: Option<u16>,
    /// ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<u8>,
    /// ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<u8>,
    /// Name of the IP protocol.
    pub proto: String,
    /// Outermost VLAN id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<[u16; 1]>,
    /// Community ID of the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<Cow<'a, str>>,
    /// The alert proper.
    pub alert: Alert<'a>,
    /// What an event counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<Counted>,
    /// What only this sensor knows.
    pub phantomnet: Judged<'a>,
}

/// What an event counted: packets from the source to the destination only.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// Packets.
    pub pkts_toserver: u64,
    /// Bytes on the wire.
    pub bytes_toserver: u64,
    /// The first packet.
    pub start: String,
}

/// What only this sensor knows: the parts, the sum, the reasons.
#[derive(Clone, Debug, Serialize)]
pub struct Judged<'a> {
    /// What the event is called in the API and the dashboard, its end and its size.
    #[serde(flatten)]
    pub event: Option<OfEvent>,
    /// The level.
    pub verdict: &'static str,
    /// The weighted sum, 0 to 100.
    pub total: f32,
    /// The floor that raised the verdict.
    pub floor: &'static str,
    /// Calibrated risk of the score, 0 to 100.
    pub model_risk: f32,
    /// Risk of the rules, 0 to 100.
    pub rule_risk: f32,
    /// Risk of the intelligence, 0 to 100.
    pub intel_risk: f32,
    /// Rules that fired.
    pub rules: Vec<FiredRule<'a>>,
    /// Version of the detection that judged, 8 hexadecimal digits.
    pub detection_version: String,
    /// As what an address is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel: Option<Known<'a>>,
    /// The decoy that was touched, as the operator calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoy: Option<&'a str>,
    /// The destination that a rule counting by destination fired for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub victim: Option<String>,
    /// How many sources that rule has counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<u32>,
    /// 0 ordinary to 1 unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly_score: Option<f32>,
    /// By name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<ByName<'a>>,
}

/// What is known of an event beside its worst packet.
#[derive(Clone, Debug, Serialize)]
pub struct OfEvent {
    /// Its id.
    pub event: String,
    /// The last packet.
    pub last: String,
    /// Packets, or verdicts about the victim.
    pub count: u64,
    /// What the event no longer tells apart, for there were too many.
    pub merged: &'static str,
}

/// A rule that fired; of one that is no longer loaded the number alone is known.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FiredRule<'a> {
    /// Its signature id.
    pub sid: u32,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msg: Option<&'a str>,
    /// What a hit weighs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<u8>,
}

impl<'a> From<&'a Rule> for FiredRule<'a> {
    fn from(rule: &'a Rule) -> Self {
        Self { sid: rule.sid, msg: Some(&rule.message), risk: Some(rule.risk) }
    }
}

/// The entry of the intelligence that an address stands in.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Known<'a> {
    /// As what the address is known.
    pub label: &'a str,
    /// Which address: `src_ip` or `dest_ip`.
    pub matched: &'static str,
}

impl<'a> Known<'a> {
    /// This entry, of this address.
    #[must_use]
    pub const fn of(label: &'a str, side: Side) -> Self {
        let matched = match side {
            Side::Source => "src_ip",
            Side::Destination => "dest_ip",
        };
        Self { label, matched }
    }
}
