//! The recorder: from verdicts to batches for the store.
//!
//! ```text
//! verdict --+--> sessions (every packet) ------------------------+--> batcher --> batches
//!           |                                                     |
//!           +--> sampler --> coalescer --> emitted events --------+
//!                            budget             |                 |
//!                                               +--> incidents ---+
//! ```
//!
//! What comes out depends on the verdicts alone: not on the number of workers, not on the speed, not on where batches end.
//! The exceptions are named: [`EventParams::live`], and by how many records an incident or session is told of.

mod batcher;
mod budget;
mod coalesce;
mod describe;
mod incidents;
mod key;
mod pace;
mod params;
mod sample;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crossbeam_channel::Sender;

use self::batcher::Batcher;
use self::coalesce::{ClosedEvent, Coalescer};
use self::incidents::Incidents;
use self::pace::Pace;
use self::sample::Sampler;
use self::sessions::Sessions;
use super::{CollectorStats, Hub, Sink};
use crate::event::{Batch, Board, Epoch, Leftover, Marker, MarkerKind, Merged, StageSum, Totals};
use crate::sources::Keyer;
use crate::verdict::{Detection, Level, Verdict};

pub use self::pace::WallClock;
pub use self::params::{EventParams, StorePolicy};

/// After so many verdicts the clock is read and the figures are shown.
const VERDICTS_PER_LOOK: u32 = 256;

/// Versions of the detection that are remembered as recorded; one that was forgotten is recorded again, which changes nothing.
const DETECTIONS_REMEMBERED: usize = 16;

/// Turns verdicts into events, sessions and incidents, and hands them on in batches.
///
/// Every table in it is bounded by a parameter; every packet and every verdict about a victim is in exactly one event or
/// counted as sampled out ([`Totals`]). Sending waits when the writer of batches does not keep up.
#[derive(Debug)]
pub struct Recorder {
    epoch: Epoch,
    keyer: Keyer,
    live: bool,
    batch_nanos: u64,
    sampler: Sampler,
    coalescer: Coalescer,
    sessions: Sessions,
    incidents: Incidents,
    batcher: Batcher,
    pace: Pace,
    until_look: u32,
    recorded: VecDeque<u32>,
    stats: CollectorStats,
    shown: Board<CollectorStats>,
    hub: Option<Hub>,
    markers: u64,
    ended: bool,
}

/// What a recorder works with.
#[derive(Debug)]
pub struct RecorderParts {
    /// The sensor's name.
    pub sensor: Box<str>,
    /// The run.
    pub epoch: Epoch,
    /// How sources are told apart.
    pub keyer: Keyer,
    /// Where batches go.
    pub batches: Sender<Batch>,
    /// Where the figures are shown.
    pub stats: Board<CollectorStats>,
    /// Where new events are shown, if anybody may watch.
    pub hub: Option<Hub>,
    /// What time it is.
    pub clock: WallClock,
    /// What earlier runs left that did not end in order.
    pub leftovers: Vec<Leftover>,
}

impl Recorder {
    /// A recorder of a run that begins.
    #[must_use]
    pub fn new(params: &EventParams, parts: RecorderParts) -> Self {
        let RecorderParts { sensor, epoch, keyer, batches, stats, hub, clock, leftovers } = parts;
        Self {
            epoch,
            keyer,
            live: params.live,
            batch_nanos: params::nanos(params.batch_time),
            sampler: Sampler::new(params),
            coalescer: Coalescer::new(params),
            sessions: Sessions::new(params),
            incidents: Incidents::new(params),
            batcher: Batcher::new(sensor, epoch, batches, params, leftovers),
            pace: Pace::new(clock),
            until_look: VERDICTS_PER_LOOK,
            recorded: VecDeque::new(),
            stats: CollectorStats::default(),
            shown: stats,
            hub,
            markers: 0,
            ended: false,
        }
    }

    /// The sums of now.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.stats.totals
    }

    /// Writes down the sums of now, with those of the stages before, behind all events emitted so far. [`MarkerKind::End`]
    /// closes what is open first and hands everything on; nothing may come after it.
    ///
    /// # Errors
    ///
    /// When nobody takes batches any more.
    pub fn mark(&mut self, kind: MarkerKind, stages: Vec<StageSum>) -> io::Result<()> {
        if kind == MarkerKind::End {
            self.close_all()?;
        }
        self.check(&stages);
        let at = self.pace.look(self.stats.totals.packets);
        let marker = Marker { number: self.markers, at, kind, totals: self.stats.totals, stages };
        self.markers += 1;
        self.batcher.marker(marker, at);
        if kind == MarkerKind::End {
            self.ended = true;
            self.send()?;
        }
        self.show();
        Ok(())
    }

    /// Holds the sums against each other. What does not add up is a bug, here or in the stage that is named.
    fn check(&mut self, stages: &[StageSum]) {
        let own = self.stats.totals.unaccounted();
        debug_assert_eq!(own, 0, "{:?}", self.stats.totals);
        let of_stages = stages.iter().map(|sum| sum.came.abs_diff(sum.accounted));
        let unaccounted = of_stages.fold(own, u64::saturating_add);
        self.stats.unaccounted = unaccounted;
        self.stats.violations += u64::from(unaccounted > 0);
    }

    fn close_all(&mut self) -> io::Result<()> {
        self.coalescer.finish();
        self.sessions.finish();
        self.emit()
    }

    /// Reads the clock now and then: after so many verdicts, or when packet time has gone on by as much as a batch may wait.
    fn look(&mut self, verdict: &Verdict) -> io::Result<()> {
        let time = verdict.digest.time;
        self.until_look = self.until_look.saturating_sub(1);
        if self.until_look > 0 && !self.pace.is_away(time, self.batch_nanos) {
            return Ok(());
        }
        let now = self.pace.look_beside(time, self.stats.totals.packets);
        if self.until_look == 0 {
            self.until_look = VERDICTS_PER_LOOK;
            self.show();
        }
        if self.batcher.is_due(now) { self.send() } else { Ok(()) }
    }

    fn record_detection(&mut self, detection: &Detection) {
        let version = detection.version();
        if self.recorded.back() == Some(&version) || self.recorded.contains(&version) {
            return;
        }
        if self.recorded.len() >= DETECTIONS_REMEMBERED {
            self.recorded.pop_front();
        }
        self.recorded.push_back(version);
        self.batcher.detection(describe::record_of(detection), self.pace.now());
    }

    /// Emits the events that are closed, and the reports of sessions.
    fn emit(&mut self) -> io::Result<()> {
        while let Some(closed) = self.coalescer.next_closed() {
            self.emit_event(closed)?;
        }
        while let Some(report) = self.sessions.next_report() {
            self.batcher.session(report, self.pace.now());
            self.send_if_full()?;
        }
        Ok(())
    }

    fn emit_event(&mut self, closed: ClosedEvent) -> io::Result<()> {
        let totals = &mut self.stats.totals;
        totals.events += 1;
        let (event, kind) = closed.into_event(totals.events);
        totals.open_packets = totals.open_packets.saturating_sub(event.count);
        totals.event_packets += event.count;
        totals.open_alerts = totals.open_alerts.saturating_sub(event.alerts);
        totals.event_alerts += event.alerts;
        self.stats.merged_events += u64::from(event.merged > Merged::Nothing);
        if event.level > Level::Safe {
            let source = event.source.filter(|_| !event.is_of_victim());
            let attacker = source.map(|source| self.keyer.key_of(source, 0).0.network);
            self.incidents.take(&event, kind, attacker);
        }
        if let Some(hub) = &self.hub {
            hub.publish(self.epoch, &Arc::new(event.clone()));
        }
        self.batcher.event(event, self.pace.now());
        self.send_if_full()
    }

    fn send_if_full(&mut self) -> io::Result<()> {
        if self.batcher.is_full(self.incidents.waiting()) { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        self.batcher.send(|batch| self.incidents.drain(&mut batch.incidents))
    }

    fn show(&mut self) {
        let stats = &mut self.stats;
        stats.packets_per_second = self.pace.per_second();
        stats.open_events = self.coalescer.len() as u64;
        stats.merging = stats.newest.map_or(Merged::Nothing, |time| self.coalescer.merging(time));
        stats.closed_early = self.coalescer.closed_early();
        stats.open_sessions = self.sessions.len() as u64;
        stats.closed_sessions = self.sessions.closed();
        stats.sessions_not_stored = self.sessions.not_stored();
        stats.open_incidents = self.incidents.len() as u64;
        stats.incidents = self.incidents.begun();
        self.shown.change(|shown| shown.clone_from(stats));
    }
}

impl Sink for Recorder {
    fn name(&self) -> String {
        "the record of events".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, detection: &Detection) -> io::Result<()> {
        if self.ended {
            return Err(io::Error::other("a verdict came after the end of the run"));
        }
        self.look(verdict)?;
        self.record_detection(detection);
        let time = verdict.digest.time;
        self.stats.newest = Some(time);
        self.coalescer.advance(time);
        self.sessions.advance(time);
        let source = self.keyer.key_of(verdict.digest.source, verdict.digest.vlan);
        let tenant = source.0.tenant;
        let totals = &mut self.stats.totals;
        totals.dequeued += 1;
        if verdict.is_of_victim() {
            totals.victims += 1;
            totals.open_alerts += 1;
            self.coalescer.take(verdict, detection, tenant, 0);
        } else {
            totals.packets += 1;
            if let Some(count) = self.stats.levels.get_mut(verdict.level as usize) {
                *count += 1;
            }
            self.sessions.take(source, verdict, detection);
            if let Some(weight) = self.sampler.weight(verdict.level) {
                totals.open_packets += 1;
                self.coalescer.take(verdict, detection, tenant, weight);
            } else {
                totals.sampled_out += 1;
            }
        }
        self.emit()
    }

    fn mark(&mut self, kind: MarkerKind, stages: &[StageSum]) -> io::Result<()> {
        Self::mark(self, kind, stages.to_vec())
    }

    /// Called while nothing comes: what is in the batch is handed on. In live operation packet time goes on with the clock,
    /// so that what is over is closed.
    fn flush(&mut self) -> io::Result<()> {
        self.pace.look(self.stats.totals.packets);
        if self.live
            && let Some(time) = self.pace.packet_time()
        {
            self.coalescer.catch_up(time);
            self.sessions.catch_up(time);
            self.emit()?;
        }
        self.send()?;
        self.show();
        Ok(())
    }

    /// Closes everything. The marker of the end has the sums of the other stages only if [`Recorder::mark`] made it.
    fn finish(&mut self) -> io::Result<()> {
        if self.ended { Ok(()) } else { self.mark(MarkerKind::End, Vec::new()) }
    }
}
