//! What the writer shows of itself, and the sum that must always hold.

use std::ops::{AddAssign, SubAssign};

use super::super::Maintained;
use crate::event::Batch;
use crate::time::Timestamp;

/// Batches and what is in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches.
    pub batches: u64,
    /// Events.
    pub rows: u64,
    /// The sum of their counts.
    pub packets: u64,
    /// The sum of their alerts.
    pub alerts: u64,
}

impl Tally {
    /// Of one batch.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        Self {
            batches: 1,
            rows: u64::try_from(batch.events.len()).unwrap_or(u64::MAX),
            packets: batch.packets(),
            alerts: batch.alerts(),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            batches: self.batches.saturating_add(other.batches),
            rows: self.rows.saturating_add(other.rows),
            packets: self.packets.saturating_add(other.packets),
            alerts: self.alerts.saturating_add(other.alerts),
        }
    }

    /// What is more in this one, each figure by itself.
    #[must_use]
    pub const fn beyond(self, other: Self) -> Self {
        Self {
            batches: self.batches.saturating_sub(other.batches),
            rows: self.rows.saturating_sub(other.rows),
            packets: self.packets.saturating_sub(other.packets),
            alerts: self.alerts.saturating_sub(other.alerts),
        }
    }

    /// By how much the figures differ, added up.
    const fn difference(self, other: Self) -> u64 {
        self.batches
            .abs_diff(other.batches)
            .saturating_add(self.rows.abs_diff(other.rows))
            .saturating_add(self.packets.abs_diff(other.packets))
            .saturating_add(self.alerts.abs_diff(other.alerts))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl SubAssign for Tally {
    /// Never below nothing: a sum that would be is one that does not hold, which [`WriterStats::unaccounted`] shows.
    fn sub_assign(&mut self, other: Self) {
        *self = self.beyond(other);
    }
}

/// What the writer has done since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriterStats {
    /// Batches received, and those found in the spool at the start.
    pub received: Tally,
    /// Of them, found in the spool at the start: they are of earlier epochs. Those known to be damaged are among them.
    pub found: Tally,
    /// Committed, quarantined rows included.
    pub committed: Tally,
    /// Waiting in memory.
    pub waiting: Tally,
    /// Waiting on disk.
    pub spooled: Tally,
    /// Refused because the spool was full.
    pub refused_bound: Tally,
    /// Lost to damage on disk, as far as it can be known.
    pub refused_corrupt: Tally,
    /// Lost because the disk took them no more.
    pub refused_io: Tally,
    /// Given up because there is no spool and the store was away for longer than the writer's patience.
    pub refused_away: Tally,
    /// Rows put into quarantine.
    pub quarantined_rows: u64,
    /// Batches that an earlier try had committed.
    pub already_committed: u64,
    /// Damaged places found in the spool: torn ends, bad records, files that can't be read.
    pub spool_damaged: u64,
    /// Files in the spool's folder that are not its own; they are left alone.
    pub spool_foreign: u64,
    /// Segments on disk.
    pub spool_segments: u64,
    /// What the spool's disk said when it last failed, since it last did not.
    pub spool_error: Option<String>,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// Bytes that it may take.
    pub spool_bytes_max: u64,
    /// When the oldest batch in it was begun.
    pub spool_oldest: Option<Timestamp>,
    /// Tries that failed.
    pub failures: u64,
    /// What the last one that failed said, since the last that did not.
    pub last_error: Option<String>,
    /// Whether the last try succeeded.
    pub store_up: bool,
    /// Whether the writer has given up: without a spool, after its patience ended. Nothing more will be committed.
    pub gave_up: bool,
    /// Time of commits, nanoseconds: how many took at most each of [`COMMIT_NANOS_BOUNDS`], and longer.
    pub commit_nanos: Buckets,
    /// From a batch's oldest record to its commit, nanoseconds.
    pub delay_nanos: Buckets,
    /// Rows of a batch; the bounds are [`BATCH_ROWS_BOUNDS`].
    pub batch_rows: Buckets,
    /// What maintenance has done, added up (bytes and rows: the newest).
    pub maintained: Maintained,
    /// Maintenance that could not be done whole.
    pub maintain_failures: u64,
}

impl WriterStats {
    /// How much of what was received is in no place or in two: 0, or there is a bug.
    #[must_use]
    pub const fn unaccounted(&self) -> u64 {
        self.received.difference(
            self.committed
                .plus(self.waiting)
                .plus(self.spooled)
                .plus(self.refused_bound)
                .plus(self.refused_corrupt)
                .plus(self.refused_io)
                .plus(self.refused_away),
        )
    }

    /// All that was received and will never be committed.
    #[must_use]
    pub const fn refused(&self) -> Tally {
        self.refused_bound.plus(self.refused_corrupt).plus(self.refused_io).plus(self.refused_away)
    }
}

/// A histogram: counts by bucket, the last without a bound; not cumulative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// Counts.
    pub counts: [u64; 16],
    /// The sum of what was recorded.
    pub sum: u64,
}

/// Upper bounds of the first 15 buckets of times, nanoseconds.
pub const COMMIT_NANOS_BOUNDS: [u64; 15] = [
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
    600_000_000_000,
];

/// Upper bounds of the first 15 buckets of batch sizes, rows.
pub const BATCH_ROWS_BOUNDS: [u64; 15] =
    [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000];

impl Buckets {
    /// Counts `value` under the first of `bounds` that it does not exceed.
    pub fn record(&mut self, value: u64, bounds: &[u64; 15]) {
        let at = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(value);
    }
}
