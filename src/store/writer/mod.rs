//! The thread that commits batches in order, once each, and keeps them on disk while the store is away.
//!
//! `received = committed + waiting + spooled + refused`, in batches, rows, packets and alerts, at every moment.

use std::path::PathBuf;
use std::thread::JoinHandle;

use crossbeam_channel::Receiver;

use super::{Maintained, Store, StoreError};
use crate::event::{Batch, Board};
use crate::time::Timestamp;

/// How batches wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterParams {
    /// Batches that wait in memory before the spool is used (or, without one, before the sender has to wait).
    pub waiting_max: usize,
    /// Where they wait on disk; `None`: nowhere, the sender waits (a replay).
    pub spool: Option<SpoolParams>,
}

/// The spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolParams {
    /// Its folder, made if it is missing.
    pub folder: PathBuf,
    /// Bytes that it may take; what does not fit is refused and counted.
    pub bytes_max: u64,
}

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

/// What the writer has done since it started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriterStats {
    /// Batches received, and those found in the spool at the start.
    pub received: Tally,
    /// Of them, found in the spool at the start: they are of earlier epochs.
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
    /// Rows put into quarantine.
    pub quarantined_rows: u64,
    /// Batches that an earlier try had committed.
    pub already_committed: u64,
    /// Damaged places found in the spool.
    pub spool_damaged: u64,
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
    /// Time of commits, nanoseconds: how many took at most each of [`COMMIT_NANOS_BOUNDS`], and longer.
    pub commit_nanos: Buckets,
    /// From a batch's oldest record to its commit, nanoseconds.
    pub delay_nanos: Buckets,
    /// Rows of a batch; the bounds are [`BATCH_ROWS_BOUNDS`].
    pub batch_rows: Buckets,
    /// What maintenance has done, added up (bytes and rows: the newest).
    pub maintained: Maintained,
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

/// The running writer.
#[derive(Debug)]
pub struct Writer {
    stats: Board<WriterStats>,
    thread: JoinHandle<Option<StoreError>>,
}

impl Writer {
    /// Starts the writer. `store` opens the store, again after every failure. It ends when the sender of `batches` is dropped
    /// and everything that it received is committed, or (with a spool) on disk.
    ///
    /// # Errors
    ///
    /// When the thread can't be started or the spool's folder can't be made.
    pub fn start(
        _store: Box<dyn FnMut() -> Result<Box<dyn Store>, StoreError> + Send>,
        _batches: Receiver<Batch>,
        _params: &WriterParams,
    ) -> std::io::Result<Self> {
        Err(std::io::Error::other("not built yet"))
    }

    /// Where its figures stand.
    #[must_use]
    pub const fn stats(&self) -> &Board<WriterStats> {
        &self.stats
    }

    /// Waits for the end. Returns why something could not be committed, if it could not.
    #[must_use]
    pub fn finish(self) -> Option<StoreError> {
        self.thread.join().ok().flatten()
    }
}
