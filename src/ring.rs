//! The way out of a worker: a single-producer single-consumer ring of reports.
//!
//! |           | worker ([`Outlet`])                  | collector ([`Inlet`])  |
//! |-----------|--------------------------------------|------------------------|
//! | may       | offer                                | take                   |
//! | when full | takes nothing; worker decides       | -                      |
//! | when empty| -                                    | may sleep              |
//! | at the end| drops its half                       | sees `is_finished`     |

use rtrb::{Consumer, Producer, RingBuffer};

use crate::verdict::Verdict;

/// What a worker tells the collector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// One judged packet, or one victim.
    Verdict(Verdict),
    /// This worker has judged all it owns of the turn with this number.
    TurnEnd(u64),
}

/// A ring of `slots` reports.
#[must_use]
pub fn reports(slots: usize) -> (Outlet, Inlet) {
    let (producer, consumer) = RingBuffer::new(slots);
    (Outlet(producer), Inlet(consumer))
}

/// The worker's half.
#[derive(Debug)]
pub struct Outlet(Producer<Report>);

impl Outlet {
    /// Puts a report into the ring.
    ///
    /// # Errors
    ///
    /// A full ring takes nothing: what becomes of the report, and of the count, is for the caller to say.
    pub fn offer(&mut self, report: Report) -> Result<(), Full> {
        self.0.push(report).map_err(|rtrb::PushError::Full(_)| Full)
    }

    /// Whether `reports` more will fit.
    #[must_use]
    pub fn has_room_for(&self, reports: usize) -> bool {
        self.0.slots() >= reports
    }

    /// Whether the collector is gone, so that nothing will ever be taken again.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }
}

/// The ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full;

/// The collector's half.
#[derive(Debug)]
pub struct Inlet(Consumer<Report>);

impl Inlet {
    /// The oldest report, if there is one.
    pub fn take(&mut self) -> Option<Report> {
        self.0.pop().ok()
    }

    /// Whether the worker is gone and everything it reported was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // The order matters: were emptiness asked first, a report pushed just before the worker left could be missed.
        self.0.is_abandoned() && self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_takes_nothing() {
        let (mut outlet, mut inlet) = reports(1);
        assert_eq!(outlet.offer(Report::TurnEnd(1)), Ok(()));
        assert_eq!(outlet.offer(Report::TurnEnd(2)), Err(Full));
        assert_eq!(inlet.take(), Some(Report::TurnEnd(1)));
        assert_eq!(inlet.take(), None);
    }

    #[test]
    fn the_ring_is_finished_only_when_the_last_report_was_taken() {
        let (mut outlet, mut inlet) = reports(2);
        assert_eq!(outlet.offer(Report::TurnEnd(1)), Ok(()));
        drop(outlet);
        assert!(!inlet.is_finished());
        assert!(inlet.take().is_some());
        assert!(inlet.is_finished());
    }
}
