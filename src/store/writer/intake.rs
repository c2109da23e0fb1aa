//! The thread that receives batches, decides where they wait, and keeps the accounts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, never, select};

use super::committer::Done;
use super::params::WriterParams;
use super::spool::{Refusal, Spool};
use super::stats::{BATCH_ROWS_BOUNDS, COMMIT_NANOS_BOUNDS, Tally, WriterStats};
use super::{IN_HAND_MAX, Observer, StoreError};
use crate::event::{Batch, Board, RefusedBatches};

/// Receives, keeps and hands over.
pub(super) struct Intake {
    batches: Receiver<Batch>,
    /// In the committer's hands, oldest first.
    in_hand: VecDeque<Waiting>,
    /// Comes after what is in hand.
    spool: Option<Spool>,
    /// Comes after what is in the spool.
    memory: VecDeque<Waiting>,
    /// None when the committer takes nothing more.
    work: Option<Sender<Arc<Batch>>>,
    done: Receiver<Done>,
    /// Dropped to end the committer.
    stop: Option<Sender<()>>,
    waiting_max: usize,
    stop_within: Duration,
    /// Batches refused since the last one that was not: the next one says so to the store.
    refusing: Option<RefusedBatches>,
    /// Why the committer ended before its time.
    gave_up: Option<StoreError>,
    sums: Sums,
    stats: Board<WriterStats>,
    observers: Vec<Box<dyn Observer>>,
}

/// A batch that is not committed.
struct Waiting {
    batch: Arc<Batch>,
    tally: Tally,
    /// Whether it is in the spool.
    is_spooled: bool,
}

/// The accounts, as far as the intake alone keeps them.
#[derive(Default)]
struct Sums {
    received: Tally,
    committed: Tally,
    waiting: Tally,
    refused_bound: Tally,
    refused_io: Tally,
    refused_away: Tally,
}

impl Intake {
    pub(super) fn new(
        batches: Receiver<Batch>,
        spool: Option<Spool>,
        work: Sender<Arc<Batch>>,
        done: Receiver<Done>,
        stop: Sender<()>,
        stats: Board<WriterStats>,
        params: &WriterParams,
    ) -> Self {
        let bytes_max = params.spool.as_ref().map_or(0, |spool| spool.bytes_max);
        stats.change(|stats| stats.spool_bytes_max = bytes_max);
        let intake = Self {
            batches,
            in_hand: VecDeque::with_capacity(IN_HAND_MAX),
            spool,
            memory: VecDeque::new(),
            work: Some(work),
            done,
            stop: Some(stop),
            waiting_max: params.waiting_max,
            stop_within: params.stop_within,
            refusing: None,
            gave_up: None,
            sums: Sums::default(),
            stats,
            observers: Vec::new(),
        };
        intake.publish(|_| {});
        intake
    }

    /// Shows each batch that comes to these, too.
    pub(super) fn observed_by(mut self, observers: Vec<Box<dyn Observer>>) -> Self {
        self.observers = observers;
        self
    }

    /// Works until the sender is gone and everything has a place.
    pub(super) fn run(mut self) -> Option<StoreError> {
        while self.turn() {}
        if self.spool.is_some() {
            self.stop_with_spool();
        } else {
            self.commit_all();
        }
        self.gave_up
    }

    /// Does what can be done now, and waits for something to happen. Returns whether more may come.
    fn turn(&mut self) -> bool {
        self.hand_over();
        let nothing = never();
        let batches = if self.may_receive() { &self.batches } else { &nothing };
        let due = self.spool.as_ref().and_then(Spool::sync_due);
        let idle = due.map_or(IDLE_MAX, |due| due.saturating_duration_since(Instant::now()));
        select! {
            recv(batches) -> batch => match batch {
                Ok(batch) => self.receive(batch),
                Err(_disconnected) => return false,
            },
            recv(self.done) -> done => match done {
                Ok(done) => self.settle(done),
                Err(_disconnected) => self.lose_committer(),
            },
            default(idle) => {}
        }
        self.sync_if_due();
        true
    }

    /// Keeps the committer busy.
    fn hand_over(&mut self) {
        while let Some(work) = self.work.as_ref().filter(|_| self.in_hand.len() < IN_HAND_MAX) {
            let spooled = self.spool.as_mut().and_then(|spool| {
                let batch = Arc::new(spool.next()?);
                let tally = Tally::of(&batch);
                Some(Waiting { batch, tally, is_spooled: true })
            });
            // What is in memory waits for what is in the spool, also when that can't be read just now.
            let is_behind = self.spool.as_ref().is_some_and(Spool::has_unread);
            let next = match spooled {
                None if !is_behind => self.memory.pop_front(),
                spooled => spooled,
            };
            let Some(next) = next else { break };
            // There is room for what is in hand. One that ended is noticed by its silence.
            drop(work.send(Arc::clone(&next.batch)));
            self.in_hand.push_back(next);
            self.publish(|_| {});
        }
    }

    /// Without a spool, the sender waits when enough batches do.
    fn may_receive(&self) -> bool {
        self.spool.is_some() || self.gave_up.is_some() || self.in_memory() < self.waiting_max.max(1)
    }

    /// Whether the last try to use the store failed: what comes now would wait in memory for nobody knows how long.
    fn is_away(&self) -> bool {
        let stats = self.stats.read();
        !stats.store_up && stats.last_error.is_some()
    }

    /// Batches that are nowhere but in memory.
    fn in_memory(&self) -> usize {
        self.memory.len() + self.in_hand.iter().filter(|each| !each.is_spooled).count()
    }

    fn receive(&mut self, mut batch: Batch) {
        let were_refused = self.refusing.is_some();
        batch.refused = self.refusing.take();
        let tally = Tally::of(&batch);
        let batch = Arc::new(batch);
        for observer in &mut self.observers {
            observer.received(&batch);
        }
        self.sums.received += tally;
        if self.spool.is_none() && self.gave_up.is_some() {
            self.sums.refused_away += tally;
        } else {
            self.sums.waiting += tally;
            self.memory.push_back(Waiting { batch, tally, is_spooled: false });
            let follows = self.spool.as_ref().is_some_and(Spool::has_unread);
            if self.spool.is_some()
                && (follows || self.is_away() || self.in_memory() > self.waiting_max)
            {
                self.spill(were_refused);
            }
        }
        self.publish(|_| {});
    }

    /// Writes everything that is in memory alone to the spool, oldest first. What does not fit stays in memory, if it may;
    /// if not, the newest is refused.
    fn spill(&mut self, were_refused: bool) {
        let Err(refusal) = self.spill_all() else {
            if were_refused {
                tracing::info!("the spool takes batches again");
            }
            return;
        };
        if self.in_memory() > self.waiting_max {
            let Some(newest) = self.memory.pop_back() else { return };
            if !were_refused {
                tracing::warn!(why = %refusal, "new batches are refused, and counted");
            }
            self.refusing = Some(RefusedBatches::of(&newest.batch));
            self.refuse(&newest, &refusal);
        }
    }

    fn spill_all(&mut self) -> Result<(), Refusal> {
        let Some(spool) = &mut self.spool else { return Ok(()) };
        // All that lies in the spool is in hand then, so it follows what is there.
        for waiting in self.in_hand.iter_mut().filter(|each| !each.is_spooled) {
            spool.append(&waiting.batch, true)?;
            waiting.is_spooled = true;
            self.sums.waiting -= waiting.tally;
        }
        while let Some(waiting) = self.memory.front() {
            spool.append(&waiting.batch, false)?;
            self.sums.waiting -= waiting.tally;
            self.memory.pop_front();
        }
        Ok(())
    }

    fn refuse(&mut self, waiting: &Waiting, refusal: &Refusal) {
        self.sums.waiting -= waiting.tally;
        match refusal {
            Refusal::Bound => self.sums.refused_bound += waiting.tally,
            Refusal::Io => self.sums.refused_io += waiting.tally,
        }
    }

    fn settle(&mut self, done: Done) {
        match done {
            Done::Committed { committed, took, delay_nanos } => {
                let Some(waiting) = self.in_hand.pop_front() else { return };
                self.sums.committed += waiting.tally;
                if waiting.is_spooled {
                    if let Some(spool) = &mut self.spool {
                        spool.acknowledge();
                    }
                } else {
                    self.sums.waiting -= waiting.tally;
                }
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.publish(|stats| {
                    stats.already_committed += u64::from(committed.already);
                    stats.quarantined_rows += committed.quarantined_rows;
                    stats.commit_nanos.record(nanos, &COMMIT_NANOS_BOUNDS);
                    stats.delay_nanos.record(delay_nanos, &COMMIT_NANOS_BOUNDS);
                    stats.batch_rows.record(waiting.tally.rows, &BATCH_ROWS_BOUNDS);
                });
            }
            Done::GaveUp(error) => self.give_up(error),
        }
    }

    /// The committer has ended before it was told to: it panicked.
    fn lose_committer(&mut self) {
        self.give_up(StoreError::Away {
            store: "store".to_owned(),
            reason: "the thread that commits ended by a fault of this program".to_owned(),
        });
    }

    /// Nothing more will be committed. With a spool, everything goes there; without one it is refused, what may still come too.
    fn give_up(&mut self, error: StoreError) {
        if self.gave_up.is_some() {
            return;
        }
        tracing::error!(%error, "given up on the store");
        self.gave_up = Some(error);
        self.work = None;
        self.done = never();
        if self.spool.is_some() {
            self.spill(false);
        } else {
            for waiting in self.in_hand.drain(..).chain(self.memory.drain(..)) {
                self.sums.waiting -= waiting.tally;
                self.sums.refused_away += waiting.tally;
            }
        }
        self.publish(|_| {});
    }

    fn sync_if_due(&mut self) {
        let Some(spool) = &mut self.spool else { return };
        if spool.sync_due().is_some_and(|due| due <= Instant::now()) {
            spool.sync();
            self.publish(|_| {});
        }
    }

    /// The end without a spool: all of it is committed, or given up when the committer gives up.
    fn commit_all(&mut self) {
        loop {
            self.hand_over();
            if self.in_hand.is_empty() {
                break;
            }
            match self.done.recv() {
                Ok(done) => self.settle(done),
                Err(_disconnected) => self.lose_committer(),
            }
        }
        self.end_committer();
        self.wait_for_close();
    }

    /// The end with a spool: as much as can be done in the time there is; the rest is on disk when this returns.
    fn stop_with_spool(&mut self) {
        let deadline = Instant::now() + self.stop_within;
        loop {
            self.hand_over();
            // A store that is away has had its chance.
            let is_away = self.stats.read().last_error.is_some();
            if self.in_hand.is_empty() || is_away {
                break;
            }
            match self.done.recv_deadline(deadline.min(Instant::now() + STOP_LOOKS_EVERY)) {
                Ok(done) => self.settle(done),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.lose_committer(),
            }
            self.sync_if_due();
            if self.gave_up.is_some() {
                break;
            }
        }
        // First onto the disk, then good manners: what is in hand may still be committed, the ledger will know.
        let refusal = self.spill_all().err();
        if let Some(spool) = &mut self.spool {
            spool.sync();
        }
        self.end_committer();
        if self.stats.read().store_up {
            self.wait_for_close();
        }
        while let Ok(done) = self.done.recv_deadline(Instant::now() + PARTING) {
            self.settle(done);
        }
        self.refuse_rest(&refusal.unwrap_or(Refusal::Io));
        if let Some(spool) = &mut self.spool {
            spool.close();
        }
        self.publish(|_| {});
    }

    /// What is in memory alone will be gone.
    fn refuse_rest(&mut self, refusal: &Refusal) {
        let in_hand = self.in_hand.drain(..).filter(|each| !each.is_spooled);
        let rest: Vec<Waiting> = in_hand.chain(self.memory.drain(..)).collect();
        for waiting in rest {
            self.refuse(&waiting, refusal);
        }
    }

    /// Waits, but not for long, until the committer has let go of the store, so that the store is as it will be when this ends.
    fn wait_for_close(&mut self) {
        let deadline = Instant::now() + CLOSING;
        while let Ok(done) = self.done.recv_deadline(deadline) {
            self.settle(done);
        }
    }

    fn end_committer(&mut self) {
        self.work = None;
        self.stop = None;
    }

    /// Shows where the figures stand, all in one.
    fn publish(&self, also: impl FnOnce(&mut WriterStats)) {
        let sums = &self.sums;
        self.stats.change(|stats| {
            stats.received = sums.received;
            stats.committed = sums.committed;
            stats.waiting = sums.waiting;
            stats.refused_bound = sums.refused_bound;
            stats.refused_io = sums.refused_io;
            stats.refused_away = sums.refused_away;
            stats.gave_up = self.gave_up.is_some();
            if let Some(spool) = &self.spool {
                let figures = spool.figures();
                stats.found = figures.found;
                stats.received += figures.found;
                stats.spooled = figures.held;
                stats.refused_corrupt = figures.corrupt;
                stats.refused_io += figures.io;
                stats.spool_damaged = figures.damaged;
                stats.spool_foreign = figures.foreign;
                stats.spool_error.clone_from(&figures.error);
                stats.spool_segments = spool.segments();
                stats.spool_bytes = spool.bytes();
                stats.spool_oldest = spool.oldest();
            }
            also(stats);
            debug_assert_eq!(stats.unaccounted(), 0, "{stats:?}");
        });
    }
}

/// How long the intake waits when nothing is due.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// How often a stop looks whether the store has gone away meanwhile.
const STOP_LOOKS_EVERY: Duration = Duration::from_millis(20);

/// How long the end waits for a store that works to be closed: SQLite moves its log into the file then.
const CLOSING: Duration = Duration::from_secs(2);

/// How long a stop waits for the committer to let go of what it has in hand, when all of it is on disk.
const PARTING: Duration = Duration::from_millis(100);
