//! Events, as a list shows them, whole, and in the form of the legacy route.

use serde::Serialize;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::super::asked::{FeatureValues, Threat};
use super::super::protocol;
use super::{Moment, Verdict, version_text, words};
use crate::event::{Epoch, Event, EventId, Side};
use crate::store::query::{Label, LabelWord, StoredEvent};
use crate::verdict::{Detection, Floor, Level};

/// One page of events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct EventList {
    pub(in super::super) events: Vec<ShownEvent>,
    /// The cursor of the next page; null on the last one.
    pub(in super::super) next: Option<String>,
}

/// An event without its features: packets that have sender, receiver, port, verdict and reasons in common.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownEvent {
    /// Its name: the run that made it, and its number there.
    #[schema(example = "0192a3b4c5d6e7f8-17")]
    id: String,
    /// When its first packet passed.
    #[schema(value_type = String, format = DateTime)]
    time: Moment,
    /// When its last packet passed.
    #[schema(value_type = String, format = DateTime)]
    last_time: Moment,
    /// Sender; null where a flood was merged over many.
    #[schema(example = "192.0.2.7")]
    src_ip: Option<String>,
    /// Receiver; null where events were merged over many.
    #[schema(example = "198.51.100.1")]
    dst_ip: Option<String>,
    src_port: Option<u16>,
    dst_port: Option<u16>,
    /// IANA number of the protocol.
    protocol: u8,
    /// Its name, or its number where it has none.
    #[schema(example = "TCP")]
    protocol_name: String,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    /// Outermost VLAN; null for none.
    vlan: Option<u16>,
    verdict: Verdict,
    threat: ThreatName,
    /// True for CRITICAL alone.
    is_malicious: bool,
    /// The weighted sum of all evidence, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    threat_score: f32,
    /// The forest's score with scikit-learn's sign: negative is anomalous. Null for an event about a victim, and where the
    /// detection that judged is no longer loaded.
    ai_score: Option<f32>,
    /// The forest's score as Liu, Ting and Zhou define it: 0 ordinary, 1 unique. Null for an event about a victim.
    #[schema(minimum = 0, maximum = 1)]
    anomaly_score: Option<f32>,
    confidence: Option<ShownConfidence>,
    /// Risk of the model's score, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    model_risk: f32,
    /// Risk of the rules that fired, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    rule_risk: f32,
    /// Risk of the intelligence entry, 0 to 100.
    #[schema(minimum = 0, maximum = 100)]
    intel_risk: f32,
    /// The single piece of evidence that raised the verdict above what the sum gives; null for none.
    floor: Option<FloorName>,
    /// The strongest single reason in words; empty for SAFE.
    reason: String,
    /// Rules that fired, by signature id.
    rules: Vec<u32>,
    /// Rules that matched and found no room.
    rules_left_out: u8,
    intel: Option<ShownIntel>,
    /// The decoy that was touched.
    decoy: Option<String>,
    /// Whether it is about a destination under attack rather than about packets of a source.
    is_of_victim: bool,
    /// Packets judged that it stands for; 0 when it is about a victim.
    count: u64,
    /// Verdicts about a victim that it stands for.
    alerts: u64,
    /// Packets represented, those left out by sampling included.
    weight: u64,
    /// Bytes on the wire of the packets counted.
    bytes: u64,
    /// Bytes on the wire of the worst packet.
    length: u32,
    /// Sources that a rule counting by destination has seen; null for an event about packets.
    sources: Option<u32>,
    /// What the event does not tell apart because there were too many.
    merged: MergedName,
    /// Number of the worst packet: of the frame in the capture, or since the start.
    packet: u64,
    /// Community ID of the worst packet's flow.
    community_id: Option<String>,
    /// The version of the detection that judged.
    #[schema(example = "5f3a9c01")]
    detection_version: String,
    /// What a person said of it.
    label: Option<ShownLabel>,
}

/// An event with the features of its worst packet.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct WholeEvent {
    #[serde(flatten)]
    event: ShownEvent,
    /// Null for an event about a victim.
    features: Option<FeatureValues>,
}

/// How much a score can be relied on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownConfidence {
    /// The share of calibration rows that score less, 0 to 1.
    #[schema(minimum = 0, maximum = 1)]
    pub(super) quantile: f32,
    /// How many rows the calibration rests on; null where the detection that judged is no longer loaded.
    pub(super) calibration_rows: Option<u64>,
    /// Whether every feature lies inside the range seen in training. Outside of it the forest has seen nothing like it.
    pub(super) in_training_range: Option<bool>,
    /// The quantile in percent: how unusual the packet is among the calibration rows. It is no probability of an attack.
    #[schema(minimum = 0, maximum = 100)]
    pub(super) percent: f32,
}

impl ShownConfidence {
    pub(super) fn new(quantile: f32, rows: Option<u64>, in_training_range: Option<bool>) -> Self {
        Self { quantile, calibration_rows: rows, in_training_range, percent: quantile * 100.0 }
    }

    fn of(event: &Event, detection: &Detection) -> Option<Self> {
        let judged_by_loaded = event.detection == detection.version();
        let rows = judged_by_loaded.then(|| detection.model().calibration_rows());
        Some(Self::new(event.quantile?, rows, event.in_training_range))
    }
}

/// As what an address is known.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownIntel {
    label: String,
    /// Which address.
    #[schema(schema_with = sides)]
    matched: &'static str,
}

fn sides() -> Object {
    words(["src_ip", "dst_ip"])
}

impl ShownIntel {
    pub(super) fn of(event: &Event) -> Option<Self> {
        let (label, side) = event.intel.as_ref()?;
        let matched = match side {
            Side::Source => "src_ip",
            Side::Destination => "dst_ip",
        };
        Some(Self { label: label.to_string(), matched })
    }
}

/// What a person said of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownLabel {
    #[schema(schema_with = label_words)]
    label: &'static str,
    note: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
}

fn label_words() -> Object {
    words(LabelWord::ALL.map(LabelWord::name))
}

impl From<&Label> for ShownLabel {
    fn from(label: &Label) -> Self {
        Self { label: label.label.name(), note: label.note.clone(), at: Moment(label.at) }
    }
}

/// Declares a name of a fixed set, shown as text and documented as an enumeration.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident: $words:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Serialize)]
        #[serde(transparent)]
        pub(in super::super) struct $name(pub(super) &'static str);

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                words($words).into()
            }
        }

        impl ToSchema for $name {}
    };
}

name! {
    /// CRITICAL is MALICIOUS; HIGH and WARNING are SUSPICIOUS; SAFE is BENIGN.
    ThreatName: Threat::ALL.map(Threat::name)
}
name! {
    /// A floor that can raise a verdict.
    FloorName: Floor::ALL.map(Floor::name)
}
name! {
    /// What the key of an event has lost: each step includes those before.
    MergedName: crate::event::Merged::ALL.map(crate::event::Merged::name)
}

pub(super) fn floor_name(floor: Floor) -> Option<FloorName> {
    (floor != Floor::None).then(|| FloorName(floor.name()))
}

pub(super) fn threat_name(level: Level) -> ThreatName {
    ThreatName(Threat::of(level).name())
}

impl ShownEvent {
    /// As a list shows it. `detection` is the one loaded.
    pub(in super::super) fn of(stored: &StoredEvent, detection: &Detection) -> Self {
        Self {
            label: stored.label.as_ref().map(ShownLabel::from),
            ..Self::new(stored.epoch, &stored.event, detection)
        }
    }

    fn new(epoch: Epoch, event: &Event, detection: &Detection) -> Self {
        let (icmp_type, icmp_code) = event.icmp.unzip();
        Self {
            id: EventId { epoch, number: event.number }.to_string(),
            time: Moment(event.first),
            last_time: Moment(event.last),
            src_ip: event.source.map(|address| address.to_string()),
            dst_ip: event.destination.map(|address| address.to_string()),
            src_port: event.source_port,
            dst_port: event.destination_port,
            protocol: event.protocol,
            protocol_name: protocol::name_of(event.protocol),
            icmp_type,
            icmp_code,
            vlan: (event.vlan != 0).then_some(event.vlan),
            verdict: Verdict(event.level),
            threat: threat_name(event.level),
            is_malicious: event.level == Level::Critical,
            threat_score: event.total / 100.0,
            ai_score: ai_score(event, detection),
            anomaly_score: event.anomaly_score,
            confidence: ShownConfidence::of(event, detection),
            model_risk: event.model_risk,
            rule_risk: event.rule_risk,
            intel_risk: event.intel_risk,
            floor: floor_name(event.floor),
            reason: event.reason.to_string(),
            rules: event.rules.clone(),
            rules_left_out: event.rules_left_out,
            intel: ShownIntel::of(event),
            decoy: event.decoy.as_deref().map(str::to_owned),
            is_of_victim: event.is_of_victim(),
            count: event.count,
            alerts: event.alerts,
            weight: event.weight,
            bytes: event.bytes,
            length: event.length,
            sources: event.is_of_victim().then_some(event.sources),
            merged: MergedName(event.merged.name()),
            packet: event.packet,
            community_id: event.community_id.as_deref().map(str::to_owned),
            detection_version: version_text(event.detection),
            label: None,
        }
    }
}

/// An event as the live stream shows it: one line.
pub(in super::super) fn event_line(epoch: Epoch, event: &Event, detection: &Detection) -> String {
    // Nothing in it can fail: its keys are text, and a number that JSON has no word for becomes null.
    serde_json::to_string(&ShownEvent::new(epoch, event, detection)).unwrap_or_default()
}

/// Only the detection that judged knows where its zero is.
fn ai_score(event: &Event, detection: &Detection) -> Option<f32> {
    let score = crate::model::AnomalyScore::new(event.anomaly_score?)?;
    (event.detection == detection.version()).then(|| detection.model().ai_score(score))
}

impl WholeEvent {
    pub(in super::super) fn of(stored: &StoredEvent, detection: &Detection) -> Self {
        Self {
            event: ShownEvent::of(stored, detection),
            features: stored.event.features.as_ref().map(FeatureValues::from),
        }
    }
}

/// The newest events in the form of the first PhantomNet.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Traffic {
    #[schema(example = "success")]
    status: &'static str,
    /// How many follow.
    count: usize,
    data: Vec<AnalyzedPacket>,
}

/// A packet and what was made of it.
#[derive(Debug, Serialize, ToSchema)]
struct AnalyzedPacket {
    packet_info: PacketInfo,
    ai_analysis: Analysis,
}

/// Where a packet came from and went to.
#[derive(Debug, Serialize, ToSchema)]
struct PacketInfo {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    time: Moment,
    src: Option<String>,
    dst: Option<String>,
    src_port: Option<u16>,
    dst_port: Option<u16>,
    /// Name of the protocol.
    proto: String,
    /// Bytes on the wire.
    length: u32,
    /// Packets that had all this in common.
    count: u64,
}

/// What was made of a packet.
#[derive(Debug, Serialize, ToSchema)]
struct Analysis {
    prediction: ThreatName,
    verdict: Verdict,
    #[schema(minimum = 0, maximum = 1)]
    threat_score: f32,
    ai_score: Option<f32>,
    /// The quantile in percent: how unusual the packet is among the calibration rows; null for an event about a victim.
    #[schema(minimum = 0, maximum = 100)]
    confidence_percent: Option<f32>,
    confidence: Option<ShownConfidence>,
    reason: String,
}

impl Traffic {
    pub(in super::super) fn of(events: &[StoredEvent], detection: &Detection) -> Self {
        let data: Vec<_> =
            events.iter().map(|event| AnalyzedPacket::of(&event.event, event, detection)).collect();
        Self { status: "success", count: data.len(), data }
    }
}

impl AnalyzedPacket {
    fn of(event: &Event, stored: &StoredEvent, detection: &Detection) -> Self {
        let confidence = ShownConfidence::of(event, detection);
        Self {
            packet_info: PacketInfo {
                id: EventId { epoch: stored.epoch, number: event.number }.to_string(),
                time: Moment(event.first),
                src: event.source.map(|address| address.to_string()),
                dst: event.destination.map(|address| address.to_string()),
                src_port: event.source_port,
                dst_port: event.destination_port,
                proto: protocol::name_of(event.protocol),
                length: event.length,
                count: event.count,
            },
            ai_analysis: Analysis {
                prediction: threat_name(event.level),
                verdict: Verdict(event.level),
                threat_score: event.total / 100.0,
                ai_score: ai_score(event, detection),
                confidence_percent: confidence.as_ref().map(|confidence| confidence.percent),
                confidence,
                reason: event.reason.to_string(),
            },
        }
    }
}

/// The features of an event's worst packet.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct EventFeatures {
    /// The event.
    id: String,
    /// Null for an event about a victim.
    features: Option<FeatureValues>,
    #[schema(minimum = 0, maximum = 1)]
    anomaly_score: Option<f32>,
    verdict: Verdict,
    /// The version of the detection that judged.
    detection_version: String,
}

impl From<&StoredEvent> for EventFeatures {
    fn from(stored: &StoredEvent) -> Self {
        let event = &stored.event;
        Self {
            id: EventId { epoch: stored.epoch, number: event.number }.to_string(),
            features: event.features.as_ref().map(FeatureValues::from),
            anomaly_score: event.anomaly_score,
            verdict: Verdict(event.level),
            detection_version: version_text(event.detection),
        }
    }
}

/// The features of several events, in the order asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct FeatureBatch {
    pub(in super::super) events: Vec<EventFeatures>,
}
