//! The thread that owns the store: opens it, commits, backs off, maintains.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};

use super::backoff::Backoff;
use super::params::{Clock, WriterParams};
use super::stats::WriterStats;
use super::steadiness::Steadiness;
use super::{Opener, ROWS_AT_ONCE, Store, StoreError};
use crate::event::{Batch, Board};
use crate::store::{Committed, Expiry, Maintained};

/// What became of the work.
#[derive(Debug)]
pub(super) enum Done {
    /// The oldest batch in hand is committed.
    Committed {
        /// What the store said.
        committed: Committed,
        /// How long the store took.
        took: Duration,
        /// From the batch's oldest record to now, nanoseconds.
        delay_nanos: u64,
    },
    /// The store was away for longer than the writer's patience; nothing more is tried.
    GaveUp(StoreError),
}

/// How soon maintenance that left something over goes on; batches have their turn in between.
const MAINTAIN_AGAIN: Duration = Duration::from_millis(50);

/// Commits what it is given, in that order.
pub(super) struct Committer {
    open: Opener,
    store: Option<Box<dyn Store>>,
    work: Receiver<Arc<Batch>>,
    done: Sender<Done>,
    /// Nothing ever comes; when its sender is gone, the committer ends as soon as it can.
    stopped: Receiver<()>,
    stats: Board<WriterStats>,
    clock: Clock,
    backoff: Backoff,
    /// Since when nothing has succeeded.
    failing_since: Option<Instant>,
    /// None: as long as it takes.
    patience: Option<Duration>,
    maintain_every: Duration,
    maintain_next: Instant,
    /// None: what it is told of the time holds, as in a replay, which is over soon.
    steadiness: Option<Steadiness>,
}

/// Why the committer ends.
enum End {
    /// It was told to.
    Stopped,
    /// Its patience has ended.
    GaveUp(StoreError),
}

impl Committer {
    pub(super) fn new(
        open: Opener,
        work: Receiver<Arc<Batch>>,
        done: Sender<Done>,
        stopped: Receiver<()>,
        stats: Board<WriterStats>,
        params: &WriterParams,
    ) -> Self {
        Self {
            open,
            store: None,
            work,
            done,
            stopped,
            stats,
            clock: params.clock,
            backoff: Backoff::new(params.backoff_first, params.backoff_max),
            failing_since: None,
            patience: params.spool.is_none().then_some(params.patience),
            maintain_every: params.maintain_every,
            maintain_next: Instant::now(),
            steadiness: params
                .spool
                .is_some()
                .then(|| Steadiness::new(Instant::now(), params.clock.now())),
        }
    }

    /// Works until it is told to end, or its patience does.
    pub(super) fn run(mut self) {
        if let Err(End::GaveUp(error)) = self.work() {
            // Nobody listens: nobody waits for it.
            drop(self.done.send(Done::GaveUp(error)));
        }
    }

    fn work(&mut self) -> Result<(), End> {
        loop {
            if self.open_store()? {
                // With nothing to commit, that is all that can be known.
                self.recovered();
            }
            if Instant::now() >= self.maintain_next {
                self.maintain();
            }
            match self.work.recv_deadline(self.maintain_next) {
                Ok(batch) => self.commit(batch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Commits a batch and those that wait behind it, as far as they go into one transaction; however often it takes.
    fn commit(&mut self, batch: Arc<Batch>) -> Result<(), End> {
        let mut waiting = self.gather(batch);
        while !waiting.is_empty() {
            self.open_store()?;
            if matches!(self.stopped.try_recv(), Err(TryRecvError::Disconnected)) {
                return Err(End::Stopped);
            }
            let Some(store) = &mut self.store else { continue };
            let begun = Instant::now();
            let batches: Vec<&Batch> = waiting.iter().map(|batch| &**batch).collect();
            match store.commit_some(&batches, self.clock.now()) {
                Ok(committed) => {
                    let took = begun.elapsed();
                    self.recovered();
                    let now = self.clock.now();
                    for (batch, committed) in
                        waiting.drain(..committed.len().min(waiting.len())).zip(&committed)
                    {
                        let delay_nanos =
                            u64::try_from(now.nanos_since(batch.begun)).unwrap_or_default();
                        let done = Done::Committed { committed: *committed, took, delay_nanos };
                        self.done.send(done).map_err(|_unheard| End::Stopped)?;
                    }
                }
                Err(error) => self.failed(error)?,
            }
        }
        Ok(())
    }

    /// The batch and those that are there behind it, up to [`ROWS_AT_ONCE`].
    fn gather(&self, first: Arc<Batch>) -> Vec<Arc<Batch>> {
        let mut rows = first.events.len();
        let mut batches = vec![first];
        while rows < ROWS_AT_ONCE
            && let Ok(next) = self.work.try_recv()
        {
            rows += next.events.len();
            batches.push(next);
        }
        batches
    }

    /// Opens the store if it is not open. Returns whether it had to.
    fn open_store(&mut self) -> Result<bool, End> {
        if self.store.is_some() {
            return Ok(false);
        }
        loop {
            match (self.open)() {
                Ok(store) => {
                    self.store = Some(store);
                    return Ok(true);
                }
                Err(error) => self.failed(error)?,
            }
        }
    }

    /// Notes a failure, gives the store back and waits before the next try.
    fn failed(&mut self, error: StoreError) -> Result<(), End> {
        self.store = None;
        let said = error.to_string();
        if self.failing_since.is_none() {
            tracing::warn!(error = %said, "the store is away; batches wait");
        }
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        self.stats.change(|stats| {
            stats.failures += 1;
            stats.store_up = false;
            stats.last_error = Some(said);
        });
        let delay = self.backoff.after_failure();
        let left = self.patience.map(|patience| patience.saturating_sub(since.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(End::GaveUp(error));
        }
        // The last try is when the patience ends, not long before.
        match self.stopped.recv_timeout(left.map_or(delay, |left| left.min(delay))) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(End::Stopped),
        }
    }

    /// Notes that the store works.
    fn recovered(&mut self) {
        self.backoff.reset();
        let was_away = self.failing_since.take();
        let mut waiting = 0;
        self.stats.change(|stats| {
            stats.store_up = true;
            stats.last_error = None;
            waiting = stats.waiting.plus(stats.spooled).batches;
        });
        if let Some(since) = was_away {
            let away_secs = since.elapsed().as_secs();
            tracing::info!(
                away_secs,
                batches = waiting,
                "the store is back; batches that waited follow"
            );
        }
    }

    /// Has the store look after itself. What fails here fails again with the next batch, if it matters to batches.
    fn maintain(&mut self) {
        self.maintain_next = Instant::now() + self.maintain_every;
        let Some(store) = &mut self.store else { return };
        let now = self.clock.now();
        let expiry = self
            .steadiness
            .as_mut()
            .map_or(Expiry::ByAge, |steadiness| steadiness.look(Instant::now(), now));
        match store.maintain_with(now, expiry) {
            Ok(done) => {
                if done.unfinished {
                    self.maintain_next = Instant::now() + MAINTAIN_AGAIN.min(self.maintain_every);
                }
                self.stats.change(|stats| {
                    let sum = stats.maintained;
                    stats.maintained = Maintained {
                        partitions_made: sum.partitions_made.saturating_add(done.partitions_made),
                        pruned_rows: sum.pruned_rows.saturating_add(done.pruned_rows),
                        pruned_packets: sum.pruned_packets.saturating_add(done.pruned_packets),
                        ..done
                    };
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the store could not be maintained; tried again later");
                self.stats.change(|stats| stats.maintain_failures += 1);
            }
        }
    }
}
