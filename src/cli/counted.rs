//! What a running sensor has counted, put together for the outputs that tell it.

use std::sync::Arc;

use super::setup;
use crate::api::CaptureStatus;
use crate::collect::CollectorStats;
use crate::counters::{Counters, Published};
use crate::event::Board;
use crate::outputs::{Figures, KernelFigures, ReadFigures};
use crate::time::Timestamp;

/// Where it stands.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) started: Timestamp,
    pub(super) workers: Vec<Arc<Published>>,
    pub(super) capture: Board<CaptureStatus>,
    pub(super) collector: Board<CollectorStats>,
}

impl Counted {
    /// Reads it whenever it is asked.
    pub(super) fn reader(self) -> ReadFigures {
        Box::new(move || self.read())
    }

    fn read(&self) -> Figures {
        let collector = self.collector.read();
        let mut counters = Counters::default();
        for worker in &self.workers {
            counters.add(&worker.counters());
        }
        let uptime = setup::now().secs_since(self.started).max(0.0);
        Figures {
            uptime: std::time::Duration::from_secs_f64(uptime).as_secs(),
            kernel: kernel(&self.capture.read()),
            counters,
            unaccounted: collector.unaccounted.saturating_add(collector.totals.unaccounted()),
        }
    }
}

/// What the kernel counts, where frames come from an interface. Frames that were to be ignored are no losses.
fn kernel(capture: &CaptureStatus) -> Option<KernelFigures> {
    let interface = capture.interface.as_ref()?;
    let sum =
        |of: fn(&crate::capture::live::QueueStatus) -> u64| interface.queues.iter().map(of).sum();
    Some(KernelFigures {
        interface: interface.name.clone(),
        packets: sum(|queue| queue.counts.seen),
        drops: sum(|queue| {
            let lost = &queue.statistics;
            queue.counts.dropped_no_socket + lost.dropped + lost.ring_full + lost.invalid_places
        }),
    })
}
