//! When the collector can do without the detection of before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::Published;
use crate::latest::Latest;
use crate::ring::Inlet;
use crate::verdict::InForce;

/// Watches the workers move on from one detection to the next, and says when what they reported before was taken too: from then on
/// nothing in the sensor needs the old one.
#[derive(Debug, Default)]
pub struct Turnover {
    workers: Vec<Arc<Published>>,
    settled: Arc<AtomicU64>,
    under_way: Option<UnderWay>,
}

/// All workers have moved on to the detection of this number.
#[derive(Debug)]
struct UnderWay {
    number: u64,
    /// How many verdicts will have been taken of each worker's ring when those that lay there at that time are out of it, at most.
    taken: Vec<u64>,
}

impl Turnover {
    /// What the collector has settled is shown in `settled`.
    #[must_use]
    pub const fn new(workers: Vec<Arc<Published>>, settled: Arc<AtomicU64>) -> Self {
        Self { workers, settled, under_way: None }
    }

    /// Nothing will be taken any more: no detection is needed here.
    pub(super) fn end(&self) {
        self.settled.store(u64::MAX, Ordering::Release);
    }

    /// Looks once. What was taken from `inlets` has been given to the sinks; `in_force` is the collector's own hold.
    pub(super) fn settle(&mut self, inlets: &[Inlet], in_force: &mut Latest<InForce>) {
        match &self.under_way {
            None => {
                let number = self.workers.iter().map(|worker| worker.settled()).min().unwrap_or(0);
                if number > self.settled.load(Ordering::Relaxed) {
                    let taken = inlets.iter().map(|inlet| {
                        let (common, urgent) = inlet.depth();
                        inlet.taken() + (common + urgent) as u64
                    });
                    self.under_way = Some(UnderWay { number, taken: taken.collect() });
                }
            }
            Some(UnderWay { number, taken }) => {
                let is_through =
                    |(inlet, until): (&Inlet, &u64)| inlet.is_empty() || inlet.taken() >= *until;
                if inlets.iter().zip(taken).all(is_through) {
                    in_force.get();
                    self.settled.store(*number, Ordering::Release);
                    self.under_way = None;
                }
            }
        }
    }
}
