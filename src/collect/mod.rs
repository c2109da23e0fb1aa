//! Takes verdicts out of the workers' rings and gives them, in the order of their packets, to whoever wants them.

mod classification;
mod community;
mod dump;
mod eve;
mod hub;
mod reason;
mod recorder;
mod stats;
mod summary;

use std::io;
use std::time::Duration;

use crossbeam_utils::Backoff;

use crate::ring::{Inlet, Report};
use crate::verdict::{Detection, Verdict};

pub use dump::FeatureDump;
pub use eve::EveWriter;
pub use hub::Hub;
pub use recorder::{EventParams, Recorder, RecorderParts, StorePolicy, WallClock};
pub use stats::CollectorStats;
pub use summary::{
    Highlights, LatencyNanos, ModelIdentity, RuleCount, SourceCount, Summary, SummaryParts,
    render_text,
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

/// Drains the rings of all workers.
///
/// Every worker says when it has judged its part of a turn, so that the verdicts of a turn can be put in the order of
/// their packets: what the sinks see does not depend on the number of workers.
#[derive(Debug)]
pub struct Collector {
    inlets: Vec<Inlet>,
    turn: Vec<Verdict>,
    dequeued: u64,
}

impl Collector {
    /// A collector of these rings, one for each worker.
    #[must_use]
    pub const fn new(inlets: Vec<Inlet>) -> Self {
        Self { inlets, turn: Vec::new(), dequeued: 0 }
    }

    /// Collects until every worker has left. Returns the number of verdicts taken, and the sinks that failed.
    pub fn run(
        mut self,
        detection: &Detection,
        sinks: Vec<&mut dyn Sink>,
    ) -> (u64, Vec<SinkError>) {
        let mut listeners: Vec<Listener<'_>> =
            sinks.into_iter().map(|sink| Listener { sink, failed: None, offered: 0 }).collect();
        for turn in 0.. {
            let more = self.take_turn(turn, &mut || listeners.iter_mut().for_each(Listener::flush));
            for verdict in &self.turn {
                listeners.iter_mut().for_each(|listener| listener.take(verdict, detection));
            }
            if !more {
                break;
            }
        }
        (self.dequeued, listeners.into_iter().filter_map(Listener::finish).collect())
    }

    /// Takes one turn from every worker and sorts it. Returns whether there may be another.
    fn take_turn(&mut self, turn: u64, idle: &mut dyn FnMut()) -> bool {
        self.turn.clear();
        let mut more = false;
        for inlet in &mut self.inlets {
            more |= take_until_end_of(inlet, turn, &mut self.turn, idle);
        }
        self.dequeued += self.turn.len() as u64;
        // A packet's own verdict comes before that of the victim it was aimed at; the pair is unique.
        self.turn.sort_unstable_by_key(|verdict| (verdict.digest.sequence, verdict.is_of_victim()));
        more
    }
}

/// Takes one worker's part of a turn; calls `idle` now and then while it has to wait for long. Returns whether the worker may
/// still report more.
fn take_until_end_of(
    inlet: &mut Inlet,
    turn: u64,
    verdicts: &mut Vec<Verdict>,
    idle: &mut dyn FnMut(),
) -> bool {
    let backoff = Backoff::new();
    let mut naps = 0_u32;
    loop {
        match inlet.take() {
            Some(Report::Verdict(verdict)) => verdicts.push(verdict),
            Some(Report::TurnEnd(ended)) if ended >= turn => return true,
            Some(Report::TurnEnd(_)) => {}
            None if inlet.is_finished() => return false,
            None if !backoff.is_completed() => backoff.snooze(),
            None => {
                std::thread::sleep(NAP);
                naps = naps.wrapping_add(1);
                if naps.is_multiple_of(NAPS_BEFORE_FLUSH) {
                    idle();
                }
            }
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
        }
        self.offered += 1;
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
