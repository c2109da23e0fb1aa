//! What the workers' marks say: the sums that must hold, checked with the verdicts that were taken.

use crate::counters::{Counters, Sum};
use crate::event::StageSum;

/// The newest mark of each worker.
#[derive(Debug)]
pub(super) struct Marks {
    workers: Vec<Option<Mark>>,
    /// Whether one came since they were last asked.
    news: bool,
}

#[derive(Clone, Debug)]
struct Mark {
    sums: [Sum; 6],
    enqueued: u64,
    taken: u64,
}

impl Marks {
    pub(super) fn of(workers: usize) -> Self {
        Self { workers: vec![None; workers], news: false }
    }

    /// The worker numbered `worker` counts `counters` when `taken` of its verdicts have been taken.
    pub(super) fn add(&mut self, worker: usize, counters: &Counters, taken: u64) {
        if let Some(place) = self.workers.get_mut(worker) {
            *place = Some(Mark { sums: counters.sums(), enqueued: counters.enqueued, taken });
            self.news = true;
        }
    }

    /// All workers' sums by stage, if there is anything new. Each worker's are of its own latest mark, and hold by themselves;
    /// so do what it put into its ring and what was taken out of it.
    pub(super) fn take(&mut self) -> Option<Vec<StageSum>> {
        if !std::mem::take(&mut self.news) {
            return None;
        }
        let mut stages: Vec<StageSum> = Vec::new();
        for mark in self.workers.iter().flatten() {
            let collect = Sum { stage: "collect", came: mark.enqueued, accounted: mark.taken };
            for sum in mark.sums.iter().chain([&collect]) {
                add(&mut stages, sum);
            }
        }
        Some(stages)
    }
}

/// Adds a sum to that of its stage. A difference in one worker always shows as something missing: it is not made up for by one
/// in the other direction in another worker.
fn add(stages: &mut Vec<StageSum>, sum: &Sum) {
    let accounted = sum.came.saturating_sub(sum.came.abs_diff(sum.accounted));
    match stages.iter_mut().find(|stage| *stage.stage == *sum.stage) {
        Some(stage) => {
            stage.came += sum.came;
            stage.accounted += accounted;
        }
        None => stages.push(StageSum { accounted, ..StageSum::from(sum) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(decoded: u64) -> Counters {
        Counters { taken: 5, decoded, not_ip: 2, ..Counters::default() }
    }

    #[test]
    fn differences_of_two_workers_do_not_make_up_for_each_other() {
        let mut marks = Marks::of(2);
        marks.add(0, &counters(2), 0);
        marks.add(1, &counters(4), 0);
        let stages = marks.take().unwrap();
        let decode = stages.iter().find(|stage| &*stage.stage == "decode").unwrap();
        assert_eq!((decode.came, decode.accounted), (10, 8));
        assert!(marks.take().is_none(), "nothing new");
    }

    #[test]
    fn a_verdict_that_was_put_in_and_not_taken_out_shows() {
        let mut marks = Marks::of(1);
        marks.add(0, &Counters { enqueued: 7, ..Counters::default() }, 6);
        let stages = marks.take().unwrap();
        let collect = stages.iter().find(|stage| &*stage.stage == "collect").unwrap();
        assert_eq!((collect.came, collect.accounted), (7, 6));
    }
}
