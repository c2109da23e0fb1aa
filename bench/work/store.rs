//! Events on their way to a store: a batch as the spool writes it.

use std::hint::black_box;

use phantomnet::address::Address;
use phantomnet::event::{Batch, Epoch, Event, Merged};
use phantomnet::features::FeatureVector;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};

use super::{Turn, Work};
use crate::inputs::random::Random;

/// Events of one batch.
const EVENTS: u64 = 1_000;

const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(super) fn works() -> Vec<Work> {
    vec![Work::new("store/postcard", 1_000, encoding)]
}

fn encoding() -> Turn {
    let mut random = Random::new(5);
    let batch = Batch {
        sensor: "bench".into(),
        epoch: Epoch::new(BEGIN, 1),
        number: 1,
        begun: BEGIN,
        detections: Vec::new(),
        events: (1..=EVENTS).map(|number| event(number, &mut random)).collect(),
        sessions: Vec::new(),
        incidents: Vec::new(),
        profiles: Vec::new(),
        markers: Vec::new(),
        leftovers: Vec::new(),
        refused: None,
    };
    Box::new(move || {
        black_box(postcard::to_stdvec(&batch).expect("memory takes all of it"));
    })
}

/// A notable event with every column filled but those of victims.
fn event(number: u64, random: &mut Random) -> Event {
    let mut features = FeatureVector::default();
    for value in &mut features.0 {
        *value = f32::from(random.port()) / 64.0;
    }
    let first = BEGIN.plus_nanos(i64::from(random.below(1 << 30)) * 1_000);
    Event {
        number,
        first,
        last: first,
        source: Some(Address::v4([10, 0, random.byte(), random.byte()])),
        destination: Some(Address::v4([198, 51, 100, random.byte()])),
        source_port: Some(random.port()),
        destination_port: Some(443),
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::High,
        count: 1 + u64::from(random.below(9)),
        alerts: 0,
        weight: 1,
        bytes: u64::from(random.below(10_000)),
        length: 60 + random.below(1_400),
        sources: 0,
        merged: Merged::Nothing,
        total: 80.0,
        anomaly_score: Some(0.6),
        quantile: Some(0.99),
        in_training_range: Some(true),
        model_risk: 40.0,
        rule_risk: 80.0,
        intel_risk: 80.0,
        floor: Floor::StrongRule,
        features: Some(features),
        rules: vec![9_000_001 + random.below(100)],
        rules_left_out: 0,
        intel: Some(("botnet".into(), phantomnet::event::Side::Source)),
        decoy: None,
        reason: "rule 9000001: many ports in a short time".into(),
        detection: 0x1234_5678,
        packet: number,
        community_id: Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".into()),
    }
}
