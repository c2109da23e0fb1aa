//! Batches to write.

use crate::event::{Batch, Epoch, Event, Merged};
use crate::time::Timestamp;
use crate::verdict::{Floor, Level};

/// The epoch of [`batch`].
pub(in super::super) fn epoch() -> Epoch {
    Epoch::new(Timestamp::from_secs(1_790_000_000), 7)
}

/// A batch of so many events; the same number gives the same batch.
pub(in super::super) fn batch(number: u64, rows: usize) -> Batch {
    Batch {
        sensor: "edge-1".into(),
        epoch: epoch(),
        number,
        begun: Timestamp::from_secs(1_790_000_000)
            .plus_nanos(i64::try_from(number).unwrap() * 1_000_000),
        detections: Vec::new(),
        events: (0..rows as u64).map(|row| event(number, row)).collect(),
        sessions: Vec::new(),
        incidents: Vec::new(),
        profiles: Vec::new(),
        markers: Vec::new(),
        leftovers: Vec::new(),
        refused: None,
    }
}

fn event(batch: u64, row: u64) -> Event {
    Event {
        number: batch * 1000 + row,
        first: Timestamp::from_secs(1_790_000_000),
        last: Timestamp::from_secs(1_790_000_001),
        source: None,
        destination: None,
        source_port: Some(40_000),
        destination_port: Some(443),
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::Warning,
        count: row % 5,
        alerts: u64::from(row.is_multiple_of(5)),
        weight: row % 5,
        bytes: 1500,
        length: 1500,
        sources: 0,
        merged: Merged::Nothing,
        total: 42.5,
        anomaly_score: Some(0.5),
        quantile: Some(0.99),
        in_training_range: Some(true),
        model_risk: 50.0,
        rule_risk: 0.0,
        intel_risk: 0.0,
        floor: Floor::default(),
        features: None,
        rules: vec![1, 2, 3],
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "a port that this source was never seen to use".into(),
        detection: 1,
        packet: batch,
        community_id: Some("1:wCb3OG7yAFWelaUydu0D+125CLM=".into()),
    }
}
