//! The threads that commit batches in order, once each, and keep them on disk while the store is away.
//!
//! ```text
//!  sender ==channel==> intake ==2 batches==> committer --> store
//!                      |    ^                (opens, commits, backs off, maintains)
//!                  append  next
//!                      v    |
//!                      spool
//! ```
//!
//! In quiet times a batch goes from memory to the store and the spool's folder holds no segment. What waits is always, oldest
//! first: what the committer has in hand, what lies in the spool, what waits in memory. When too many wait in memory, all of
//! them are written to the spool (those in the committer's hands too: should the program end, the order on disk is whole),
//! and whatever comes then follows them, until the spool has been read to its end.
//!
//! `received = committed + waiting + spooled + refused`, in batches, rows, packets and alerts, at every moment.

mod backoff;
mod committer;
mod intake;
mod params;
mod spool;
mod stats;
mod steadiness;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use self::committer::Committer;
use self::intake::Intake;
use self::spool::Spool;
use super::{Store, StoreError};
use crate::event::{Batch, Board};

pub use params::{Clock, SpoolParams, WriterParams};
pub use stats::{BATCH_ROWS_BOUNDS, Buckets, COMMIT_NANOS_BOUNDS, Tally, WriterStats};

/// Opens the store: at the start, and again after every failure.
type Opener = Box<dyn FnMut() -> Result<Box<dyn Store>, StoreError> + Send>;

/// Sees what the writer receives, on the writer's thread: it must not wait for anybody.
pub trait Observer: Send {
    /// A batch has come. What earlier runs left in the spool does not come again.
    fn received(&mut self, batch: &Arc<Batch>);
}

/// Batches in the committer's hands: some that commit, and the next, so that the store never waits for a batch. What has piled up
/// goes several in a transaction: waiting for the store's disk is most of what a small one costs.
const IN_HAND_MAX: usize = 12;

/// Rows that are committed at once, unless a single batch has more.
const ROWS_AT_ONCE: usize = 10_000;

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
    /// What earlier runs left in the spool is committed first.
    ///
    /// # Errors
    ///
    /// When a thread can't be started, or the spool's folder can't be made, can't be written or is in use. What lies in the
    /// folder is never a reason.
    pub fn start(
        store: Opener,
        batches: Receiver<Batch>,
        params: &WriterParams,
    ) -> io::Result<Self> {
        Self::start_observed(store, batches, params, Vec::new())
    }

    /// The same; `observers` see every batch that comes. They are dropped when the last has come and has a place.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_observed(
        store: Opener,
        batches: Receiver<Batch>,
        params: &WriterParams,
        observers: Vec<Box<dyn Observer>>,
    ) -> io::Result<Self> {
        let spool = params.spool.as_ref().map(Spool::in_folder).transpose()?;
        let stats = Board::new(WriterStats::default());
        let (work, to_commit) = bounded(IN_HAND_MAX);
        let (report, done) = bounded(IN_HAND_MAX + 1);
        let (stop, stopped) = bounded(0);
        let committer = Committer::new(store, to_commit, report, stopped, stats.clone(), params);
        let intake = Intake::new(batches, spool, work, done, stop, stats.clone(), params)
            .observed_by(observers);
        // Not joined: a store may hang for longer than a stop may take. Whoever ends the intake tells it to end.
        thread::Builder::new().name("committer".to_owned()).spawn(move || committer.run())?;
        let thread =
            thread::Builder::new().name("writer".to_owned()).spawn(move || intake.run())?;
        Ok(Self { stats, thread })
    }

    /// Where its figures stand.
    #[must_use]
    pub const fn stats(&self) -> &Board<WriterStats> {
        &self.stats
    }

    /// Waits for the end. Returns why something could not be committed, if it could not.
    #[must_use]
    pub fn finish(self) -> Option<StoreError> {
        self.thread.join().unwrap_or_else(|_panic| {
            let reason = "its thread panicked; what it held is lost".to_owned();
            Some(StoreError::Refused { store: "the writer".to_owned(), reason })
        })
    }
}
