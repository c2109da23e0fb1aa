//! Takes verdicts out of the workers' rings and gives them, in the order of their packets, to whoever wants them.

mod community;
mod dump;
mod eve;
mod hub;
mod marks;
mod reason;
mod recorder;
mod stats;
mod summary;
mod turnover;

use std::io;
use std::time::Duration;

use crossbeam_utils::Backoff;

use crate::counters::Counters;
use crate::event::{MarkerKind, StageSum};
use crate::latest::Latest;
use crate::ring::{Inlet, Report};
use crate::verdict::{Detection, InForce, Verdict};

pub use dump::FeatureDump;
use marks::Marks;
pub use turnover::Turnover;

pub use eve::EveWriter;
pub use hub::{
    Gap, Hub, HubParams, HubStats, Notice, NoticeKind, STALLED_AFTER, Start, SubscribeError,
    Subscription, Update,
};
pub use recorder::{EventParams, Recorder, RecorderParts, StorePolicy, WallClock};
pub use stats::CollectorStats;
pub use summary::{
    EventCounts, Highlights, LatencyNanos, ModelIdentity, RuleCount, SourceCount, Summary,
    SummaryParts, render_text,
};

/// Somebody who wants every verdict.
pub trait Sink {
    /// What it is, for an error message.
    fn name(&self) -> String;

    /// Takes one verdict, judged by `detection`.
    ///
    /// # Errors
    ///
    /// When it can't be written; the sink gets nothing more after that.
    fn take(&mut self, verdict: &Verdict, detection: &Detection) -> io::Result<()>;

    /// The sums of all stages before the collector, as far as they hold by now. [`MarkerKind::End`] comes once, before the end.
    ///
    /// # Errors
    ///
    /// When they can't be written.
    fn mark(&mut self, _kind: MarkerKind, _stages: &[StageSum]) -> io::Result<()> {
        Ok(())
    }

    /// There is nothing to take just now: what was held back is written, so that whoever follows the output sees it. Called
    /// again and again while that lasts.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Nothing more will come: what was held back is written now.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// A sink that failed. What it holds is not all that was meant for it: a buffer that could not be written is lost too.
#[derive(Debug, thiserror::Error)]
#[error("{sink}: {source}; it is incomplete: {offered} verdicts were on their way to it")]
pub struct SinkError {
    sink: String,
    offered: u64,
    source: io::Error,
}

/// In which order verdicts reach the sinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// Turn by turn. Every worker says when it has judged its part of a turn, so that the verdicts of a turn can be put in the order of
    /// their packets: what the sinks see does not depend on the number of workers.
    Turns,
    /// As they come. Workers that receive from queues of their own have turns of their own, and one that stands still must not hold
    /// up the others. What is there at once is put in the order of time.
    Arrivals,
}

/// Drains the rings of all workers.
#[derive(Debug)]
pub struct Collector {
    inlets: Vec<Inlet>,
    taking: Taking,
    /// The last turn whose end each of them has given: of a full ring, an end can stand for several.
    ended: Vec<Option<u64>>,
    turn: Vec<Verdict>,
    dequeued: u64,
    marks: Marks,
    turnover: Turnover,
}

impl Collector {
    /// A collector of these rings, one for each worker.
    #[must_use]
    pub fn new(inlets: Vec<Inlet>, taking: Taking, turnover: Turnover) -> Self {
        let marks = Marks::of(inlets.len());
        let ended = vec![None; inlets.len()];
        Self { inlets, taking, ended, turn: Vec::new(), dequeued: 0, marks, turnover }
    }

    /// Collects until every worker has left.
    pub fn run<'a>(
        mut self,
        mut in_force: Latest<InForce>,
        sinks: Vec<&'a mut dyn Sink>,
    ) -> Collected<'a> {
        let mut listeners: Vec<Listener<'_>> =
            sinks.into_iter().map(|sink| Listener { sink, failed: None, offered: 0 }).collect();
        for turn in 0.. {
            let mut idle = || listeners.iter_mut().for_each(Listener::flush);
            let more = match self.taking {
                Taking::Turns => self.take_turn(turn, &mut idle),
                Taking::Arrivals => self.take_arrivals(&mut in_force, &mut idle),
            };
            // Asked after the verdicts were taken: whatever judged them is seen.
            let judges = in_force.get();
            for verdict in &self.turn {
                let detection = judges.by_version(verdict.detection);
                listeners.iter_mut().for_each(|listener| listener.take(verdict, detection));
            }
            self.turnover.settle(&self.inlets, &mut in_force);
            if let Some(stages) = self.marks.take() {
                let mark =
                    |listener: &mut Listener<'_>| listener.mark(MarkerKind::Running, &stages);
                listeners.iter_mut().for_each(mark);
            }
            if !more {
                break;
            }
        }
        self.turnover.end();
        Collected { dequeued: self.dequeued, listeners }
    }

    /// Takes one turn from every worker and sorts it. Returns whether there may be another.
    fn take_turn(&mut self, turn: u64, idle: &mut dyn FnMut()) -> bool {
        self.turn.clear();
        let mut more = false;
        for (worker, (inlet, ended)) in self.inlets.iter_mut().zip(&mut self.ended).enumerate() {
            if ended.is_some_and(|ended| ended >= turn) {
                more = true;
                continue;
            }
            let mut marked = |counters: &_, taken| self.marks.add(worker, counters, taken);
            if let Some(end) = take_until_end_of(inlet, turn, &mut self.turn, &mut marked, idle) {
                *ended = Some(end);
                more = true;
            }
        }
        self.dequeued += self.turn.len() as u64;
        // A packet's own verdict comes before that of the victim it was aimed at; the pair is unique.
        self.turn.sort_unstable_by_key(|verdict| (verdict.digest.sequence, verdict.is_of_victim()));
        more
    }

    /// Takes what the workers have reported by now; waits a little when that is nothing. Returns whether there may be more.
    fn take_arrivals(&mut self, in_force: &mut Latest<InForce>, idle: &mut dyn FnMut()) -> bool {
        self.turn.clear();
        let mut wait = Wait::default();
        loop {
            // Asked before they are looked at: what a worker reported before it left is then seen.
            let finished = self.inlets.iter().all(Inlet::is_finished);
            let came = self.take_a_piece_of_each();
            if finished || came {
                self.dequeued += self.turn.len() as u64;
                self.turn.sort_unstable_by_key(|verdict| {
                    (verdict.digest.time, verdict.digest.sequence, verdict.is_of_victim())
                });
                return !finished;
            }
            self.turnover.settle(&self.inlets, in_force);
            wait.a_little(idle);
        }
    }

    /// Returns whether there was anything.
    fn take_a_piece_of_each(&mut self) -> bool {
        let mut came = false;
        for (worker, inlet) in self.inlets.iter_mut().enumerate() {
            for _ in 0..PIECE {
                let Some(report) = inlet.take() else { break };
                came = true;
                match report {
                    Report::Verdict(verdict) => self.turn.push(verdict),
                    Report::Mark(counters) => self.marks.add(worker, &counters, inlet.taken()),
                    Report::TurnEnd(_) => {}
                }
            }
        }
        came
    }
}

/// How many reports of one worker are taken before the next worker's, where they are taken as they come.
const PIECE: usize = 1_024;

/// What was collected, by sinks that have not been told yet that it is all.
pub struct Collected<'a> {
    dequeued: u64,
    listeners: Vec<Listener<'a>>,
}

impl std::fmt::Debug for Collected<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collected").field("dequeued", &self.dequeued).finish_non_exhaustive()
    }
}

impl Collected<'_> {
    /// How many verdicts were taken.
    #[must_use]
    pub const fn dequeued(&self) -> u64 {
        self.dequeued
    }

    /// Tells the sinks that it is all, and the sums of the stages before them. Returns the sinks that failed.
    pub fn finish(mut self, stages: &[StageSum]) -> Vec<SinkError> {
        self.listeners.iter_mut().for_each(|listener| listener.mark(MarkerKind::End, stages));
        self.listeners.into_iter().filter_map(Listener::finish).collect()
    }
}

/// Takes one worker's part of a turn; calls `idle` now and then while it has to wait for long. Returns whether the worker may
/// still report more.
fn take_until_end_of(
    inlet: &mut Inlet,
    turn: u64,
    verdicts: &mut Vec<Verdict>,
    marked: &mut dyn FnMut(&Counters, u64),
    idle: &mut dyn FnMut(),
) -> Option<u64> {
    let mut wait = Wait::default();
    loop {
        match inlet.take() {
            Some(Report::Verdict(verdict)) => verdicts.push(verdict),
            Some(Report::Mark(counters)) => marked(&counters, inlet.taken()),
            Some(Report::TurnEnd(ended)) if ended >= turn => return Some(ended),
            Some(Report::TurnEnd(_)) => {}
            None if inlet.is_finished() => return None,
            None => wait.a_little(idle),
        }
    }
}

/// Waiting for reports, and using the time now and then.
#[derive(Default)]
struct Wait {
    backoff: Backoff,
    naps: u32,
}

impl Wait {
    fn a_little(&mut self, idle: &mut dyn FnMut()) {
        if !self.backoff.is_completed() {
            return self.backoff.snooze();
        }
        std::thread::sleep(NAP);
        self.naps = self.naps.wrapping_add(1);
        if self.naps.is_multiple_of(NAPS_BEFORE_FLUSH) {
            idle();
        }
    }
}

/// After so many naps nothing is coming at full speed, and who follows an output would like to see what there is; after as
/// many again, what became due meanwhile.
const NAPS_BEFORE_FLUSH: u32 = 1_000;

/// How long the collector sleeps when the rings are empty; a ring holds far more than this time's verdicts.
const NAP: Duration = Duration::from_micros(100);

struct Listener<'a> {
    sink: &'a mut dyn Sink,
    failed: Option<io::Error>,
    offered: u64,
}

impl Listener<'_> {
    fn take(&mut self, verdict: &Verdict, detection: &Detection) {
        if self.failed.is_none() {
            self.failed = self.sink.take(verdict, detection).err();
            if let Some(error) = &self.failed {
                tracing::error!(sink = self.sink.name(), %error, "it takes no more; what comes is not in it");
            }
        }
        self.offered += 1;
    }

    fn mark(&mut self, kind: MarkerKind, stages: &[StageSum]) {
        if self.failed.is_none() {
            self.failed = self.sink.mark(kind, stages).err();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.sink.flush().err();
        }
    }

    fn finish(mut self) -> Option<SinkError> {
        if self.failed.is_none() {
            self.failed = self.sink.finish().err();
        }
        let source = self.failed?;
        Some(SinkError { sink: self.sink.name(), offered: self.offered, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring;

    #[test]
    fn an_end_that_stands_for_several_turns_is_not_waited_for_again() {
        let (mut ahead, first) = ring::reports(8);
        let (mut other, second) = ring::reports(8);
        for turn in [0, 4, 5] {
            ahead.close_turn(turn, None);
        }
        let mut collector = Collector::new(vec![first, second], Taking::Turns, Turnover::default());
        for turn in 0..=5 {
            other.close_turn(turn, None);
            assert!(collector.take_turn(turn, &mut || {}), "turn {turn}");
        }
        assert_eq!(collector.ended, [Some(5), Some(5)]);
    }
}
