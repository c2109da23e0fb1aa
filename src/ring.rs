//! The way out of a worker: single-producer single-consumer rings of verdicts, in two lanes.
//!
//! HIGH and CRITICAL have a lane of their own, so that no number of lesser verdicts can take their room. A turn's end says how
//! many verdicts of both lanes belong to it, so the collector still sees whole turns. Once in a while the worker's counters go
//! along as a mark: whoever takes it has taken exactly the verdicts that they count.
//!
//! |           | worker ([`Outlet`])               | collector ([`Inlet`]) |
//! |-----------|-----------------------------------|-----------------------|
//! | may       | offer verdicts, close a turn      | take                  |
//! | when full | counts, or asks for room and waits| -                     |
//! | when empty| -                                 | may sleep             |
//! | at the end| drops its half                    | sees `is_finished`    |

use rtrb::{Consumer, Producer, RingBuffer};

use crate::counters::{Counters, Offered};
use crate::verdict::{Level, Verdict};

/// How many verdicts fit into the common lane for each one that fits into the urgent lane.
const COMMON_PER_URGENT: usize = 4;

/// Marks under way. One a second is made, and none while there is no room.
const MARK_SLOTS: usize = 4;

/// A way out with `slots` places in the common lane, and a quarter of that in the urgent one.
#[must_use]
pub fn reports(slots: usize) -> (Outlet, Inlet) {
    let (common, common_out) = RingBuffer::new(slots);
    let (urgent, urgent_out) = RingBuffer::new(slots.div_ceil(COMMON_PER_URGENT));
    let (marks, marks_out) = RingBuffer::new(MARK_SLOTS);
    let outlet = Outlet { common, urgent, marks, urgent_offered: 0 };
    let inlet = Inlet {
        common: common_out,
        urgent: urgent_out,
        marks: marks_out,
        ended: None,
        urgent_taken: 0,
        taken: 0,
    };
    (outlet, inlet)
}

/// What lies in the common lane.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Verdict(Verdict),
    TurnEnd(TurnEnd),
}

/// Closes a turn.
#[derive(Clone, Copy, Debug)]
struct TurnEnd {
    turn: u64,
    /// Verdicts ever put into the urgent lane, those of this turn included.
    urgent_offered: u64,
    /// Whether the worker's counters lie in the lane of marks.
    marked: bool,
}

/// The worker's half.
#[derive(Debug)]
pub struct Outlet {
    common: Producer<Slot>,
    urgent: Producer<Verdict>,
    marks: Producer<Counters>,
    urgent_offered: u64,
}

impl Outlet {
    /// Puts the verdicts of a turn into the rings. What finds its lane full is counted, not waited for.
    pub fn offer(&mut self, verdicts: &[Verdict]) -> Offered {
        let mut offered = Offered::default();
        let is_urgent = |verdict: &Verdict| verdict.level >= Level::High;
        // All at once: a collector that looks in between would have to be shown each by itself, across cores.
        let common = verdicts.iter().filter(|verdict| !is_urgent(verdict));
        // The last place is kept for the turn's end. Room can only grow while this is at work.
        let room = self.common.slots().saturating_sub(1).min(verdicts.len());
        let fitted = match self.common.write_chunk_uninit(room) {
            Ok(chunk) => chunk.fill_from_iter(common.clone().copied().map(Slot::Verdict)),
            Err(_) => 0,
        };
        offered.enqueued += fitted as u64;
        for verdict in common.skip(fitted) {
            offered.lose(verdict.level);
        }
        for verdict in verdicts.iter().filter(|verdict| is_urgent(verdict)) {
            if self.urgent.push(*verdict).is_ok() {
                self.urgent_offered += 1;
                offered.enqueued += 1;
            } else {
                offered.lose(verdict.level);
            }
        }
        offered
    }

    /// Closes the turn numbered `turn`; the worker's counters go along if they are given and there is room.
    ///
    /// A ring full of turns' ends takes no further one: the end of a later turn closes this one too.
    pub fn close_turn(&mut self, turn: u64, mark: Option<&Counters>) {
        let mut end = TurnEnd { turn, urgent_offered: self.urgent_offered, marked: false };
        if let Some(counters) = mark
            && self.common.slots() > 0
        {
            end.marked = self.marks.push(*counters).is_ok();
        }
        let _full: Result<(), _> = self.common.push(Slot::TurnEnd(end));
    }

    /// Whether a turn of `verdicts` verdicts will fit, whatever their levels.
    #[must_use]
    pub fn has_room_for(&self, verdicts: usize) -> bool {
        self.common.slots() > verdicts && self.urgent.slots() >= verdicts
    }

    /// Whether the collector is gone, so that nothing will ever be taken again.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.common.is_abandoned()
    }
}

/// What a worker tells the collector.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// One judged packet, or one victim.
    Verdict(Verdict),
    /// This worker has judged all it owns of the turn with this number.
    TurnEnd(u64),
    /// The worker's counters as of the turn that just ended.
    Mark(Box<Counters>),
}

/// The collector's half.
#[derive(Debug)]
pub struct Inlet {
    common: Consumer<Slot>,
    urgent: Consumer<Verdict>,
    marks: Consumer<Counters>,
    /// An end that was taken from the ring while verdicts of its turn still lie in the urgent lane.
    ended: Option<TurnEnd>,
    urgent_taken: u64,
    taken: u64,
}

impl Inlet {
    /// The next report, if there is one. Verdicts of a turn come before its end, and before the end comes the mark that belongs
    /// to it.
    pub fn take(&mut self) -> Option<Report> {
        if self.ended.is_none() {
            match self.common.pop() {
                Ok(Slot::Verdict(verdict)) => {
                    self.taken += 1;
                    return Some(Report::Verdict(verdict));
                }
                Ok(Slot::TurnEnd(end)) => self.ended = Some(end),
                // A worker that left without room for its last turn's end can have left urgent verdicts.
                Err(_) if self.common.is_abandoned() && self.common.is_empty() => {
                    return self.take_urgent();
                }
                Err(_) => return None,
            }
        }
        let end = self.ended.as_mut()?;
        if self.urgent_taken < end.urgent_offered {
            return self.take_urgent();
        }
        if end.marked {
            end.marked = false;
            if let Ok(counters) = self.marks.pop() {
                return Some(Report::Mark(Box::new(counters)));
            }
        }
        self.ended.take().map(|end| Report::TurnEnd(end.turn))
    }

    fn take_urgent(&mut self) -> Option<Report> {
        let verdict = self.urgent.pop().ok()?;
        self.urgent_taken += 1;
        self.taken += 1;
        Some(Report::Verdict(verdict))
    }

    /// How many verdicts were taken so far.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// How many places of the common and of the urgent lane are taken, at most.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.common.slots(), self.urgent.slots())
    }

    /// Whether there is nothing to take now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.common.is_empty() && self.urgent.is_empty() && self.ended.is_none()
    }

    /// Whether the worker is gone and everything it reported was taken.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // The order matters: were emptiness asked first, a report pushed just before the worker left could be missed.
        self.common.is_abandoned()
            && self.common.is_empty()
            && self.urgent.is_empty()
            && self.ended.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::Address;
    use crate::features::FeatureVector;
    use crate::handover::{Digest, Marks, RULE_HITS_MAX};
    use crate::time::Timestamp;
    use crate::verdict::Floor;

    fn verdict(sequence: u64, level: Level) -> Verdict {
        let digest = Digest {
            source: Address::v4([192, 0, 2, 1]),
            destination: Address::v4([192, 0, 2, 2]),
            time: Timestamp::EPOCH,
            sequence,
            length: 40,
            wire_length: 60,
            source_port: 1,
            destination_port: 2,
            vlan: 0,
            protocol: 6,
            marks: Marks::PORTS,
        };
        Verdict {
            digest,
            features: FeatureVector::default(),
            anomaly_score: 0.5,
            model_risk: 0.0,
            rule_risk: 0.0,
            intel_risk: 0.0,
            total: 0.0,
            detection: 1,
            rules: [0; RULE_HITS_MAX],
            intel_source: 0,
            intel_destination: 0,
            sources: 0,
            rule_count: 0,
            rules_left_out: 0,
            level,
            floor: Floor::None,
            decoy: 0,
        }
    }

    fn drain(inlet: &mut Inlet) -> Vec<Report> {
        std::iter::from_fn(|| inlet.take()).collect()
    }

    fn sequences(reports: &[Report]) -> Vec<u64> {
        let of = |report: &Report| match report {
            Report::Verdict(verdict) => Some(verdict.digest.sequence),
            _ => None,
        };
        reports.iter().filter_map(of).collect()
    }

    #[test]
    fn a_turn_is_whole_before_its_end() {
        let (mut outlet, mut inlet) = reports(8);
        let turn = [(1, Level::Safe), (2, Level::Critical), (3, Level::Warning)];
        let verdicts = turn.map(|(sequence, level)| verdict(sequence, level));
        assert_eq!(outlet.offer(&verdicts).enqueued, 3);
        outlet.close_turn(7, None);
        let reports = drain(&mut inlet);
        assert_eq!(sequences(&reports), [1, 3, 2]);
        assert_eq!(reports.last(), Some(&Report::TurnEnd(7)));
        assert_eq!(inlet.taken(), 3);
    }

    #[test]
    fn safe_verdicts_never_take_the_room_of_critical_ones() {
        let (mut outlet, mut inlet) = reports(8);
        let mut verdicts: Vec<_> = (0..20).map(|sequence| verdict(sequence, Level::Safe)).collect();
        verdicts.push(verdict(20, Level::Critical));
        let offered = outlet.offer(&verdicts);
        assert_eq!(offered, Offered { enqueued: 8, ring_full: [13, 0, 0, 0] });
        outlet.close_turn(0, None);
        assert_eq!(sequences(&drain(&mut inlet)), [0, 1, 2, 3, 4, 5, 6, 20]);
    }

    #[test]
    fn a_mark_comes_when_exactly_what_it_counts_was_taken() {
        let (mut outlet, mut inlet) = reports(8);
        let enqueued = outlet.offer(&[verdict(1, Level::Safe), verdict(2, Level::High)]).enqueued;
        outlet.close_turn(0, Some(&Counters { enqueued, ..Counters::default() }));
        loop {
            match inlet.take() {
                Some(Report::Mark(counters)) => break assert_eq!(counters.enqueued, inlet.taken()),
                Some(Report::Verdict(_)) => {}
                other => panic!("{other:?} before the mark"),
            }
        }
        assert_eq!(inlet.take(), Some(Report::TurnEnd(0)));
    }

    #[test]
    fn the_ring_is_finished_only_when_the_last_report_was_taken() {
        let (mut outlet, mut inlet) = reports(1);
        // No place is left for a turn's end.
        outlet.close_turn(0, None);
        assert_eq!(outlet.offer(&[verdict(1, Level::High)]).enqueued, 1);
        outlet.close_turn(1, None);
        drop(outlet);
        assert_eq!(inlet.take(), Some(Report::TurnEnd(0)));
        assert!(!inlet.is_finished());
        assert_eq!(sequences(&drain(&mut inlet)), [1]);
        assert!(inlet.is_finished());
    }

    proptest! {
        #[test]
        fn whatever_is_offered_is_taken_or_counted(
            turns in prop::collection::vec((prop::collection::vec(0_usize..4, 0..30), any::<bool>()), 1..40),
        ) {
            let (mut outlet, mut inlet) = reports(24);
            let (mut enqueued, mut lost, mut offered, mut taken) = (0, 0, 0, 0);
            for (number, (levels, take)) in turns.into_iter().enumerate() {
                let verdicts: Vec<_> = levels.iter().map(|level| verdict(0, Level::ALL[*level])).collect();
                let result = outlet.offer(&verdicts);
                offered += verdicts.len() as u64;
                enqueued += result.enqueued;
                lost += result.ring_full.iter().sum::<u64>();
                outlet.close_turn(number as u64, Some(&Counters { enqueued, ..Counters::default() }));
                while take && let Some(report) = inlet.take() {
                    match report {
                        Report::Mark(counters) => prop_assert_eq!(counters.enqueued, inlet.taken()),
                        Report::Verdict(_) => taken += 1,
                        Report::TurnEnd(_) => {}
                    }
                }
            }
            drop(outlet);
            taken += sequences(&drain(&mut inlet)).len() as u64;
            prop_assert_eq!(offered, enqueued + lost);
            prop_assert_eq!(taken, enqueued);
            prop_assert!(inlet.is_finished());
        }
    }
}
