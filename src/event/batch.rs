//! What travels from the collector to the store: everything or nothing of it is committed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{DetectionRecord, Epoch, Event, Incident, Leftover, Marker, ProfileChange, Session};
use crate::time::Timestamp;

/// A numbered part of an epoch's stream. `(sensor, epoch, number)` is committed once, however often it is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The sensor's name.
    pub sensor: Box<str>,
    /// The run.
    pub epoch: Epoch,
    /// 1 for the first of the epoch, without gaps.
    pub number: u64,
    /// When its oldest record was begun, by the wall clock: what the time to commit is measured from.
    pub begun: Timestamp,
    /// New detections; they come before the events that they judged.
    pub detections: Vec<DetectionRecord>,
    /// New events, their numbers ascending without gaps.
    pub events: Vec<Event>,
    /// Sessions, begun or going on.
    pub sessions: Vec<Session>,
    /// Incidents, begun or going on.
    pub incidents: Vec<Incident>,
    /// What is to be added to profiles.
    pub profiles: Vec<ProfileChange>,
    /// Sums at points of the stream: each is about all events up to its `totals.events`.
    pub markers: Vec<Marker>,
    /// What this sensor's earlier epochs left that did not end in order. Stored as a marker of their own epoch.
    pub leftovers: Vec<Leftover>,
    /// Batches right before this one that were refused and counted: no store will ever see them.
    pub refused: Option<RefusedBatches>,
}

/// Batches of one epoch, one right behind the other, that found no place to wait for the store. Nothing of them is kept but this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedBatches {
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// The largest number of an event up to the end of the last.
    pub upto: u64,
    /// Events in them.
    pub rows: u64,
    /// The sum of their counts.
    pub packets: u64,
    /// The sum of their alerts.
    pub alerts: u64,
    /// Markers in them.
    pub markers: u64,
}

impl RefusedBatches {
    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }

    /// One batch, and those that it says were refused before it.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        let before = batch.refused;
        let sum = |value: fn(&Self) -> u64, own: u64| before.as_ref().map_or(0, value) + own;
        let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        Self {
            first: before.map_or(batch.number, |before| before.first),
            last: batch.number,
            upto: sum(|before| before.upto, 0)
                .max(batch.events.last().map_or(0, |last| last.number)),
            rows: sum(|before| before.rows, length(batch.events.len())),
            packets: sum(|before| before.packets, batch.packets()),
            alerts: sum(|before| before.alerts, batch.alerts()),
            markers: sum(|before| before.markers, length(batch.markers.len())),
        }
    }
}

impl Batch {
    /// The sum of its events' counts.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.events.iter().map(|event| event.count).sum()
    }

    /// The sum of its events' alerts.
    #[must_use]
    pub fn alerts(&self) -> u64 {
        self.events.iter().map(|event| event.alerts).sum()
    }

    /// Every marker with the epoch that it is about: this one, or one that was left without an end.
    pub fn all_markers(&self) -> impl Iterator<Item = (Epoch, Cow<'_, Marker>)> {
        let left = self.leftovers.iter().map(|left| (left.epoch, Cow::Owned(left.marker())));
        left.chain(self.markers.iter().map(|marker| (self.epoch, Cow::Borrowed(marker))))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.detections.is_empty()
            && self.events.is_empty()
            && self.sessions.is_empty()
            && self.incidents.is_empty()
            && self.profiles.is_empty()
            && self.markers.is_empty()
            && self.leftovers.is_empty()
            && self.refused.is_none()
    }
}
