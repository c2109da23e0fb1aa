//! Batches to commit: plain ones, and one whose every value is as large, small or odd as its type allows.

use phantomnet::address::Address;
use phantomnet::event::{
    Batch, DetectionRecord, Epoch, Event, Incident, Marker, MarkerKind, Merged, ProfileChange,
    Session, SessionState, Side, StageSum, Totals,
};
use phantomnet::features::FeatureVector;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};

/// When the events of tests pass, unless they say otherwise.
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_790_078_400);

pub(crate) fn epoch(random: u32) -> Epoch {
    Epoch::new(NOON, random)
}

/// A batch of an epoch with events and nothing else.
pub(crate) fn batch(epoch: Epoch, number: u64, events: Vec<Event>) -> Batch {
    Batch {
        sensor: "north".into(),
        epoch,
        number,
        begun: NOON,
        detections: Vec::new(),
        events,
        sessions: Vec::new(),
        incidents: Vec::new(),
        profiles: Vec::new(),
        markers: Vec::new(),
        leftovers: Vec::new(),
        refused: None,
    }
}

/// Events `from..from + count`, a millisecond apart, each of 2 packets and standing for 7.
pub(crate) fn events(from: u64, count: u64) -> Vec<Event> {
    (from..from + count).map(event).collect()
}

/// An ordinary event.
pub(crate) fn event(number: u64) -> Event {
    let byte = u8::try_from(number % 251).unwrap();
    let first = NOON.plus_nanos(i64::try_from(number).unwrap() * 1_000_000);
    Event {
        number,
        first,
        last: first.plus_nanos(500_000),
        source: Some(Address::v4([10, 1, 2, byte])),
        destination: Some(Address::v4([192, 0, 2, 1])),
        source_port: Some(40_000),
        destination_port: Some(443),
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::High,
        count: 2,
        alerts: 0,
        weight: 7,
        bytes: 1200,
        length: 600,
        sources: 0,
        merged: Merged::Nothing,
        total: 71.5,
        anomaly_score: Some(0.625),
        quantile: Some(0.99),
        in_training_range: Some(true),
        model_risk: 90.0,
        rule_risk: 80.0,
        intel_risk: 0.0,
        floor: Floor::StrongRule,
        features: Some(FeatureVector(std::array::from_fn(|at| f32::from(byte) + at as f32))),
        rules: vec![1_000_001, 1_000_002],
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "rule 1000001: a scan of many ports".into(),
        detection: 7,
        packet: number * 3,
        community_id: Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into()),
    }
}

/// One event with everything at its upper end, one with everything at its lower end or missing, one with odd floats and texts.
pub(crate) fn extremes() -> Vec<Event> {
    vec![largest(), smallest(), odd()]
}

fn largest() -> Event {
    Event {
        number: i64::MAX as u64,
        first: Timestamp::from_nanos(i64::MAX / 1000 * 1000),
        last: Timestamp::from_nanos(i64::MAX / 1000 * 1000),
        source: Some(Address::v6([0xff; 16])),
        destination: Some(Address::v4([255; 4])),
        source_port: Some(u16::MAX),
        destination_port: Some(u16::MAX),
        icmp: Some((u8::MAX, u8::MAX)),
        protocol: u8::MAX,
        vlan: u16::MAX,
        level: Level::Critical,
        count: i64::MAX as u64,
        alerts: i64::MAX as u64,
        weight: i64::MAX as u64,
        bytes: i64::MAX as u64,
        length: u32::MAX,
        sources: u32::MAX,
        merged: Merged::Destination,
        total: f32::MAX,
        anomaly_score: Some(f32::MAX),
        quantile: Some(1.0),
        in_training_range: Some(true),
        model_risk: 100.0,
        rule_risk: 100.0,
        intel_risk: 100.0,
        floor: Floor::DecoyTouched,
        features: Some(FeatureVector([f32::MAX; 15])),
        rules: vec![u32::MAX; 64],
        rules_left_out: u8::MAX,
        intel: Some(("x".repeat(10_000).into(), Side::Destination)),
        decoy: Some("d".repeat(10_000).into()),
        reason: "r".repeat(100_000).into(),
        detection: u32::MAX,
        packet: i64::MAX as u64,
        community_id: Some("c".repeat(1000).into()),
    }
}

fn smallest() -> Event {
    Event {
        number: 0,
        first: Timestamp::from_nanos(i64::MIN / 1000 * 1000),
        last: Timestamp::EPOCH,
        source: None,
        destination: None,
        source_port: None,
        destination_port: None,
        icmp: None,
        protocol: 0,
        vlan: 0,
        level: Level::Safe,
        count: 0,
        alerts: 0,
        weight: 0,
        bytes: 0,
        length: 0,
        sources: 0,
        merged: Merged::Nothing,
        total: 0.0,
        anomaly_score: None,
        quantile: None,
        in_training_range: None,
        model_risk: -0.0,
        rule_risk: f32::MIN_POSITIVE,
        intel_risk: f32::from_bits(1),
        floor: Floor::None,
        features: None,
        rules: Vec::new(),
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "".into(),
        detection: 0,
        packet: 0,
        community_id: None,
    }
}

fn odd() -> Event {
    Event {
        source: Some(Address::v6([0; 16])),
        destination: Some(Address::v6(*b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01")),
        total: 1.0 / 3.0,
        anomaly_score: Some(f32::MIN),
        quantile: Some(-0.0),
        in_training_range: Some(false),
        icmp: Some((8, 0)),
        features: Some(FeatureVector(std::array::from_fn(|at| {
            [f32::NAN, -0.0, f32::from_bits(1), f32::MIN, 1.0 / 3.0][at % 5]
        }))),
        rules: vec![7],
        intel: Some((
            "'; DROP TABLE packet_logs; -- \\x00 \\. \\N {1,2} \"é漢\u{1F980}\"".into(),
            Side::Source,
        )),
        decoy: Some("".into()),
        reason: "a\0b\u{1b}c\nd\te\u{7f}".into(),
        ..event(3)
    }
}

/// A batch with two of everything that is not an event. Counts differ from place to place, so that none can be taken for another.
pub(crate) fn with_records(mut batch: Batch) -> Batch {
    let source = Address::v4([10, 1, 2, 3]);
    batch.detections = vec![DetectionRecord {
        version: 7,
        model: "office".into(),
        sha256: "ab".repeat(32).into(),
        schema: 1,
        fingerprint: "f00d".into(),
        offset: -0.5,
        contamination: 0.01,
        calibration_rows: 1000,
        rules: 40,
        intel: 3,
        decoys: 2,
    }];
    let session = Session {
        number: 1,
        source,
        tenant: 5,
        first: NOON,
        last: NOON.plus_nanos(1_000_000),
        packets: 10,
        bytes: 11,
        levels: [1, 2, 3, 4],
        worst: Level::Warning,
        rules: vec![],
        state: SessionState::Open,
    };
    let later =
        Session { packets: 20, rules: vec![4, 5], state: SessionState::Idle, ..session.clone() };
    batch.sessions = vec![session, later];
    let incident = Incident {
        number: 1,
        subject: Some(source),
        side: Side::Source,
        kind: "scan".into(),
        title: "many ports\0".into(),
        first: NOON,
        last: NOON.plus_nanos(1_000_000),
        count: 12,
        events: 3,
        worst: Level::High,
        worst_event: 2,
        rules: vec![9],
    };
    let nobody = Incident { number: 2, subject: None, side: Side::Destination, ..incident.clone() };
    batch.incidents = vec![incident, nobody];
    let change = ProfileChange {
        source,
        tenant: 5,
        first: NOON,
        last: NOON.plus_nanos(2_000_000),
        sessions: 1,
        packets: 100,
        bytes: 1000,
        levels: [10, 20, 30, 40],
    };
    let earlier =
        ProfileChange { first: NOON.plus_nanos(-1_000_000), sessions: 0, ..change.clone() };
    batch.profiles = vec![change, earlier];
    batch.markers = vec![marker(0, MarkerKind::Start)];
    batch
}

pub(crate) fn marker(number: u64, kind: MarkerKind) -> Marker {
    Marker {
        number,
        at: NOON.plus_nanos(i64::try_from(number).unwrap() * 1_000_000_000),
        kind,
        totals: Totals {
            dequeued: 1,
            packets: 2,
            victims: 3,
            sampled_out: 4,
            open_packets: 5,
            open_alerts: 6,
            events: 7,
            event_packets: 8,
            event_alerts: 9,
        },
        stages: vec![StageSum { stage: "decode".into(), came: 5, accounted: 5 }],
    }
}
