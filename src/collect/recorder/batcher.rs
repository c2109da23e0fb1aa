//! Records on their way into numbered batches.

use std::collections::HashMap;
use std::io;

use crossbeam_channel::Sender;

use super::params::{EventParams, nanos};
use super::sessions::SessionReport;
use crate::address::Address;
use crate::event::{
    Batch, DetectionRecord, Epoch, Event, Leftover, Marker, ProfileChange, Session,
};
use crate::time::Timestamp;

/// Fills one batch after another and hands them on.
#[derive(Debug)]
pub(super) struct Batcher {
    batch: Batch,
    /// Where a session, and a source's profile, stand in the batch: a later record takes the place of an earlier one.
    sessions: HashMap<u64, usize>,
    profiles: HashMap<(Address, u16), usize>,
    batches: Sender<Batch>,
    rows: usize,
    rows_max: usize,
    wait_nanos: u64,
}

impl Batcher {
    pub(super) fn new(
        sensor: Box<str>,
        epoch: Epoch,
        batches: Sender<Batch>,
        params: &EventParams,
        leftovers: Vec<Leftover>,
    ) -> Self {
        Self {
            batch: Batch { leftovers, ..empty(sensor, epoch, 1) },
            sessions: HashMap::new(),
            profiles: HashMap::new(),
            batches,
            rows: 0,
            rows_max: params.batch_rows.max(1),
            wait_nanos: nanos(params.batch_time),
        }
    }

    /// Adds a detection that will judge events of this batch.
    pub(super) fn detection(&mut self, record: DetectionRecord, now: Timestamp) {
        self.count_row(now);
        self.batch.detections.push(record);
    }

    pub(super) fn event(&mut self, event: Event, now: Timestamp) {
        self.count_row(now);
        self.batch.events.push(event);
    }

    pub(super) fn marker(&mut self, marker: Marker, now: Timestamp) {
        self.count_row(now);
        self.batch.markers.push(marker);
    }

    pub(super) fn session(&mut self, report: SessionReport, now: Timestamp) {
        self.session_record(report.session, now);
        if let Some(profile) = report.profile {
            self.profile_change(profile, now);
        }
    }

    /// Whether the batch has all it may hold, `more` records that will be added at its end included.
    pub(super) const fn is_full(&self, more: usize) -> bool {
        self.rows + more >= self.rows_max
    }

    /// Whether its first record is old enough for it to be sent. A clock that was set back makes it so.
    pub(super) const fn is_due(&self, now: Timestamp) -> bool {
        self.rows > 0 && now.as_nanos().abs_diff(self.batch.begun.as_nanos()) >= self.wait_nanos
    }

    /// Hands the batch on, if there is anything in it; waits for room. `finish` adds what comes at the end of a batch.
    ///
    /// # Errors
    ///
    /// When nobody takes batches any more.
    pub(super) fn send(&mut self, finish: impl FnOnce(&mut Batch)) -> io::Result<()> {
        finish(&mut self.batch);
        if self.batch.is_empty() {
            return Ok(());
        }
        let next = empty(self.batch.sensor.clone(), self.batch.epoch, self.batch.number + 1);
        let full = std::mem::replace(&mut self.batch, next);
        self.sessions.clear();
        self.profiles.clear();
        self.rows = 0;
        self.batches.send(full).map_err(|unsent| {
            let number = unsent.into_inner().number;
            io::Error::new(
                io::ErrorKind::BrokenPipe,
                format!("batch {number} can't be stored: the thread that writes batches has ended"),
            )
        })
    }

    fn count_row(&mut self, now: Timestamp) {
        if self.rows == 0 {
            self.batch.begun = now;
        }
        self.rows += 1;
    }

    fn session_record(&mut self, session: Session, now: Timestamp) {
        let place = *self.sessions.entry(session.number).or_insert(self.batch.sessions.len());
        match self.batch.sessions.get_mut(place) {
            Some(earlier) => *earlier = session,
            None => {
                self.count_row(now);
                self.batch.sessions.push(session);
            }
        }
    }

    fn profile_change(&mut self, change: ProfileChange, now: Timestamp) {
        let source = (change.source, change.tenant);
        let place = *self.profiles.entry(source).or_insert(self.batch.profiles.len());
        match self.batch.profiles.get_mut(place) {
            Some(earlier) => add(earlier, &change),
            None => {
                self.count_row(now);
                self.batch.profiles.push(change);
            }
        }
    }
}

fn empty(sensor: Box<str>, epoch: Epoch, number: u64) -> Batch {
    Batch {
        sensor,
        epoch,
        number,
        begun: Timestamp::EPOCH,
        detections: Vec::new(),
        events: Vec::new(),
        sessions: Vec::new(),
        incidents: Vec::new(),
        profiles: Vec::new(),
        markers: Vec::new(),
        leftovers: Vec::new(),
        refused: None,
    }
}

/// Adds what comes to a profile to what was to be added already.
fn add(sum: &mut ProfileChange, change: &ProfileChange) {
    sum.first = sum.first.min(change.first);
    sum.last = sum.last.max(change.last);
    sum.sessions += change.sessions;
    sum.packets += change.packets;
    sum.bytes = sum.bytes.saturating_add(change.bytes);
    for (level, more) in sum.levels.iter_mut().zip(change.levels) {
        *level += more;
    }
}
