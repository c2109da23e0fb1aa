//! What a returning client has missed and the hub has forgotten: read from the store, a page at a time.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use super::{CHUNK_UPDATES, StreamGap};
use crate::event::{Epoch, EventId, MarkerKind};
use crate::store::query::{EpochLedger, QUERY_TIME_MAX, Queries, QueryError, StoredEvent};

/// Where older events are found.
pub trait Past: Clone + 'static {
    /// Events of one epoch behind this number, oldest first.
    fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, QueryError>>;

    /// The newest runs of this sensor, in any order.
    fn runs(&self, sensor: &str) -> impl Future<Output = Result<Vec<Run>, QueryError>>;
}

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The run.
    pub epoch: Epoch,
    /// How many events it is known to have emitted.
    pub emitted: u64,
    /// Whether it can't have emitted more: it ended in order, or was found dead. Else its last batches may still lie in the spool.
    pub is_over: bool,
}

/// How long a page is waited for, should the store not keep its own limit: a network that swallows everything.
const PAGE_TIME_MAX: Duration = Duration::from_secs(2 * QUERY_TIME_MAX.as_secs() + 1);

/// How many runs back a client can resume.
const EPOCHS_MAX: u32 = 100;

impl Past for Queries {
    async fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        Self::events_since(self, after, limit).await
    }

    async fn runs(&self, sensor: &str) -> Result<Vec<Run>, QueryError> {
        let ledgers = self.ledgers(EPOCHS_MAX).await?;
        Ok(ledgers.iter().filter(|ledger| ledger.sensor == sensor).map(Run::of).collect())
    }
}

impl Run {
    /// A batch is committed in order, so an epoch's rows are numbered from 1; a marker can know of more that were lost.
    fn of(ledger: &EpochLedger) -> Self {
        let last = ledger.last_marker.as_ref();
        let told = last.map_or(0, |marker| marker.totals.events);
        let is_last = |kind| matches!(kind, MarkerKind::End | MarkerKind::Crashed);
        Self {
            epoch: ledger.epoch,
            emitted: ledger.rows.max(told),
            is_over: last.is_some_and(|marker| is_last(marker.kind)),
        }
    }
}

/// A replay under way: from the event that the client has seen up to the first that the hub gives.
#[derive(Debug)]
pub(super) struct Replay {
    /// The last event given, left out, or told of in a gap.
    after: EventId,
    /// The first event that comes from the hub.
    until: EventId,
    /// How many may still be read.
    left: u32,
    /// The run of `after` and those behind it, oldest first; `None`: not asked yet.
    runs: Option<VecDeque<Run>>,
}

/// What one step of a replay gives.
#[derive(Debug)]
pub(super) struct Page {
    /// What to show, in this order.
    pub(super) parts: Vec<Part>,
    /// Whether there may be more.
    pub(super) more: bool,
}

/// A part of a page.
#[derive(Debug)]
pub(super) enum Part {
    /// A row of the store.
    Event(Box<StoredEvent>),
    /// Something that is missing.
    Gap(StreamGap),
}

impl Replay {
    /// What lies between `after` and `until`, at most `max` events of it.
    pub(super) const fn new(after: EventId, until: EventId, max: u32) -> Self {
        Self { after, until, left: max, runs: None }
    }

    /// Reads the next page.
    pub(super) async fn next(&mut self, past: Option<&impl Past>, sensor: &str) -> Page {
        let Some(past) = past else { return self.give_up("not_stored") };
        match tokio::time::timeout(PAGE_TIME_MAX, self.read(past, sensor)).await {
            Ok(Ok(page)) => page,
            Ok(Err(_)) | Err(_) => self.give_up("store_away"),
        }
    }

    async fn read(&mut self, past: &impl Past, sensor: &str) -> Result<Page, QueryError> {
        if self.runs.is_none() && !self.find_runs(past, sensor).await? {
            return Ok(self.give_up("unknown"));
        }
        let chunk = u32::try_from(CHUNK_UPDATES).unwrap_or(u32::MAX).min(self.left);
        if chunk == 0 {
            return Ok(self.give_up("too_many"));
        }
        let rows = past.events_since(self.after, chunk).await?;
        let read = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(read);
        let mut parts = Vec::with_capacity(rows.len() + 1);
        for row in rows {
            let id = EventId { epoch: row.epoch, number: row.event.number };
            if id >= self.until {
                // It is in the hub too, and so is all that follows.
                return Ok(self.end(parts));
            }
            self.skip_to(id.number, &mut parts);
            self.after = id;
            parts.push(Part::Event(Box::new(row)));
        }
        if read < chunk && !self.next_run(&mut parts) {
            return Ok(self.end(parts));
        }
        Ok(Page { parts, more: true })
    }

    /// Goes on to the next run, having stated what is missing at the end of this one. Returns whether there is one.
    fn next_run(&mut self, parts: &mut Vec<Part>) -> bool {
        let Some(runs) = &mut self.runs else { return false };
        let Some(run) = runs.pop_front() else { return false };
        let Some(next) = runs.front().copied() else { return false };
        if run.is_over {
            self.skip_to(run.emitted + 1, parts);
        } else {
            parts.push(Part::Gap(self.gap(None, "not_stored")));
        }
        self.after = EventId { epoch: next.epoch, number: 0 };
        true
    }

    /// Finds the runs to go through. Returns whether the one that the client has seen is known.
    async fn find_runs(&mut self, past: &impl Past, sensor: &str) -> Result<bool, QueryError> {
        let (from, to) = (self.after.epoch, self.until.epoch);
        // This run may not be in the store yet.
        let mut runs = vec![Run { epoch: to, emitted: 0, is_over: false }];
        if from != to {
            let known = past.runs(sensor).await?;
            runs.extend(known.into_iter().filter(|run| run.epoch >= from && run.epoch < to));
        }
        runs.sort_unstable();
        let known = runs.first().is_some_and(|run| run.epoch == from);
        self.runs = Some(runs.into());
        Ok(known)
    }

    /// States what the store has not got between the last event and the one with this number, of the same run.
    fn skip_to(&mut self, number: u64, parts: &mut Vec<Part>) {
        let missed = number.saturating_sub(self.after.number).saturating_sub(1);
        if missed > 0 {
            parts.push(Part::Gap(self.gap(Some(missed), "not_stored")));
        }
    }

    /// The end: what is missing up to the first event of the hub is stated.
    fn end(&mut self, mut parts: Vec<Part>) -> Page {
        if self.after.epoch == self.until.epoch {
            self.skip_to(self.until.number, &mut parts);
        } else {
            parts.push(Part::Gap(self.gap(None, "not_stored")));
        }
        Page { parts, more: false }
    }

    /// Nothing more is read: everything up to the first event of the hub is missing.
    fn give_up(&self, reason: &'static str) -> Page {
        let same_run = self.after.epoch == self.until.epoch;
        let missed = (self.until.number.saturating_sub(self.after.number)).saturating_sub(1);
        let parts = if same_run && missed == 0 {
            vec![]
        } else {
            vec![Part::Gap(self.gap(same_run.then_some(missed), reason))]
        };
        Page { parts, more: false }
    }

    fn gap(&self, missed: Option<u64>, reason: &'static str) -> StreamGap {
        StreamGap { missed, notices: 0, after: self.after.to_string(), reason }
    }
}
