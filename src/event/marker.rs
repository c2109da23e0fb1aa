//! What proves a store complete: the sums at a moment, written beside the rows that they are about.

use serde::{Deserialize, Serialize};

use crate::counters::Sum;
use crate::time::Timestamp;

/// The sums at one point of an epoch's stream of events. Stored in the same transaction as the batch it travels in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Its number within the epoch, 0 for the start.
    pub number: u64,
    /// When it was made, by the wall clock.
    pub at: Timestamp,
    /// What it marks.
    pub kind: MarkerKind,
    /// What the collector has done up to here.
    pub totals: Totals,
    /// The sums of section "accounting", stage by stage, as they stood when the workers reported.
    pub stages: Vec<StageSum>,
}

/// What a marker marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum MarkerKind {
    /// The epoch begins.
    Start = 0,
    /// It goes on.
    Running = 1,
    /// It ended in order: nothing comes after.
    End = 2,
    /// What a later start found out about this epoch, which had not ended in order.
    Crashed = 3,
}

/// One sum: what came into a stage and what is accounted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSum {
    /// The stage.
    pub stage: Box<str>,
    /// What came in.
    pub came: u64,
    /// What is accounted for, waiting included.
    pub accounted: u64,
}

impl From<&Sum> for StageSum {
    fn from(sum: &Sum) -> Self {
        Self { stage: sum.stage.into(), came: sum.came, accounted: sum.accounted }
    }
}

/// What a collector has done since the epoch began.
///
/// At every moment `dequeued = packets + victims`, `packets = event_packets + open_packets + sampled_out` and
/// `victims = event_alerts + open_alerts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Verdicts taken from the rings.
    pub dequeued: u64,
    /// Those of packets.
    pub packets: u64,
    /// Those about victims.
    pub victims: u64,
    /// SAFE packets left out by sampling.
    pub sampled_out: u64,
    /// Packets in events that are not emitted yet.
    pub open_packets: u64,
    /// Verdicts about victims in events that are not emitted yet.
    pub open_alerts: u64,
    /// Events emitted: the number of the last one.
    pub events: u64,
    /// The sum of their counts.
    pub event_packets: u64,
    /// The sum of their alerts.
    pub event_alerts: u64,
}

impl Totals {
    /// How much is missing or counted twice. It is 0, or there is a bug.
    #[must_use]
    pub const fn unaccounted(&self) -> u64 {
        // A store may hold numbers that somebody has made up.
        let taken = self.packets.saturating_add(self.victims);
        let packets =
            self.event_packets.saturating_add(self.open_packets).saturating_add(self.sampled_out);
        let alerts = self.event_alerts.saturating_add(self.open_alerts);
        self.dequeued
            .abs_diff(taken)
            .saturating_add(self.packets.abs_diff(packets))
            .saturating_add(self.victims.abs_diff(alerts))
    }
}

/// A detection as the store remembers it, so that an event's version says what judged it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectionRecord {
    /// Its version.
    pub version: u32,
    /// The model's name.
    pub model: Box<str>,
    /// SHA-256 of the model.
    pub sha256: Box<str>,
    /// Version of the feature schema.
    pub schema: u32,
    /// Fingerprint of the feature schema.
    pub fingerprint: Box<str>,
    /// `ai_score = offset - anomaly score`, scikit-learn's sign: negative is anomalous.
    pub offset: f64,
    /// The share of training rows taken for anomalous.
    pub contamination: f64,
    /// How many rows the calibration rests on.
    pub calibration_rows: u64,
    /// How many rules.
    pub rules: u64,
    /// How many entries of intelligence.
    pub intel: u64,
    /// How many decoys.
    pub decoys: u64,
}
