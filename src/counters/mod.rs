//! What a worker has done, in plain integers, and the sums that must hold between them.
//!
//! Every frame, packet and verdict ends in exactly one of these; [`Ledger::unaccounted`] is the difference, and it is 0.

mod distribution;
mod published;

use crate::decode::{NotDecoded, Reason};
use crate::handover::TurnHanded;
use crate::sources::SourceCounters;
use crate::verdict::Level;

pub use distribution::Distribution;
pub use published::{LATENCY_NANOS_BOUNDS, Latency, Published};

/// Counted by one worker, which is the only one to write them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from the source of frames.
    pub taken: u64,
    /// Their bytes on the wire.
    pub taken_bytes: u64,
    /// Frames that became packets.
    pub decoded: u64,
    /// Frames that carry no IP.
    pub not_ip: u64,
    /// Frames refused, by reason.
    pub undecodable: [u64; Reason::ALL.len()],
    /// Packets handed to the owner of their source.
    pub handed: u64,
    /// Packets lost because the owner's ring was full.
    pub handover_full: u64,
    /// Copies made for the owner of a destination.
    pub towards_made: u64,
    /// Copies handed to the owner of their destination.
    pub towards_handed: u64,
    /// Copies lost because that ring was full.
    pub towards_full: u64,
    /// Packets gathered, measured and scored.
    pub scored: u64,
    /// Scored packets by level, in the order of [`Level::ALL`].
    pub levels: [u64; Level::ALL.len()],
    /// Copies gathered and counted by destination.
    pub towards_counted: u64,
    /// Packets and copies that were gathered after later ones: their receiver had fallen behind.
    pub late: u64,
    /// Verdicts of victims.
    pub victims: u64,
    /// Verdicts put into the ring.
    pub enqueued: u64,
    /// Verdicts that found the ring full, by level.
    pub ring_full: [u64; Level::ALL.len()],
    /// Rule hits that found no room in the findings of their packet.
    pub rules_left_out: u64,
    /// Packets whose inspection hit the bound of work per packet.
    pub inspections_cut_short: u64,
    /// Counting rules whose table had to forget somebody.
    pub thresholds_evicted: u64,
    /// What became of the per-source states.
    pub sources: SourceCounters,
    /// Time spent by stage, nanoseconds.
    pub stage_nanos: StageNanos,
}

/// What became of a turn's verdicts on their way to the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Verdicts put into the rings.
    pub enqueued: u64,
    /// Verdicts that found their lane full, by level.
    pub ring_full: [u64; Level::ALL.len()],
}

impl Offered {
    /// Counts a verdict of this level that found its lane full.
    pub fn lose(&mut self, level: Level) {
        if let Some(count) = self.ring_full.get_mut(level as usize) {
            *count += 1;
        }
    }
}

/// Time spent by stage, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageNanos {
    /// Receiving frames.
    pub capture: u64,
    /// Walking headers.
    pub decode: u64,
    /// Rules, intelligence, decoys.
    pub inspect: u64,
    /// Handing over and gathering.
    pub handover: u64,
    /// Finding the source's state and measuring.
    pub features: u64,
    /// Scoring.
    pub model: u64,
    /// Judging.
    pub judge: u64,
    /// Putting verdicts into the ring.
    pub ring: u64,
}

impl Counters {
    /// A frame did not become a packet.
    pub fn not_decoded(&mut self, refused: NotDecoded) {
        match refused {
            NotDecoded::NotIp => self.not_ip += 1,
            NotDecoded::Undecodable(reason) => count(&mut self.undecodable, reason.index()),
        }
    }

    /// A turn was handed over.
    pub const fn handed_over(&mut self, turn: &TurnHanded) {
        self.handed += turn.packets;
        self.handover_full += turn.packets_lost;
        self.towards_handed += turn.towards;
        self.towards_full += turn.towards_lost;
    }

    /// A packet was judged.
    pub fn judged_as(&mut self, level: Level) {
        count(&mut self.levels, level as usize);
    }

    /// A turn's verdicts were offered to the collector.
    pub fn offered(&mut self, offered: &Offered) {
        self.enqueued += offered.enqueued;
        add_each(&mut self.ring_full, &offered.ring_full);
    }

    /// The sums that hold within one worker at the end of each of its turns.
    #[must_use]
    pub fn sums(&self) -> [Sum; 6] {
        let sum = |stage, came, accounted| Sum { stage, came, accounted };
        let undecodable: u64 = self.undecodable.iter().sum();
        let ring_full: u64 = self.ring_full.iter().sum();
        let SourceCounters { inserted, evicted, expired, live, .. } = self.sources;
        [
            sum("decode", self.taken, self.decoded + undecodable + self.not_ip),
            sum("handover", self.decoded, self.handed + self.handover_full),
            sum("towards", self.towards_made, self.towards_handed + self.towards_full),
            sum("judge", self.scored, self.levels.iter().sum()),
            sum("ring", self.scored + self.victims, self.enqueued + ring_full),
            sum("sources", inserted, live + evicted + expired),
        ]
    }

    /// Adds what another worker counted.
    pub fn add(&mut self, other: &Self) {
        self.taken += other.taken;
        self.taken_bytes += other.taken_bytes;
        self.decoded += other.decoded;
        self.not_ip += other.not_ip;
        add_each(&mut self.undecodable, &other.undecodable);
        self.handed += other.handed;
        self.handover_full += other.handover_full;
        self.towards_made += other.towards_made;
        self.towards_handed += other.towards_handed;
        self.towards_full += other.towards_full;
        self.scored += other.scored;
        add_each(&mut self.levels, &other.levels);
        self.towards_counted += other.towards_counted;
        self.late += other.late;
        self.victims += other.victims;
        self.enqueued += other.enqueued;
        add_each(&mut self.ring_full, &other.ring_full);
        self.rules_left_out += other.rules_left_out;
        self.inspections_cut_short += other.inspections_cut_short;
        self.thresholds_evicted += other.thresholds_evicted;
        self.sources = self.sources.plus(other.sources);
        self.stage_nanos.add(&other.stage_nanos);
    }
}

/// A part of the work on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Receiving frames.
    Capture,
    /// Walking headers.
    Decode,
    /// Rules, intelligence, decoys.
    Inspect,
    /// Handing over and gathering.
    Handover,
    /// Finding the source's state and measuring.
    Features,
    /// Scoring.
    Model,
    /// Judging.
    Judge,
    /// Putting verdicts into the ring.
    Ring,
}

impl Stage {
    /// Every stage, in the order in which a packet meets them.
    pub const ALL: [Self; 8] = [
        Self::Capture,
        Self::Decode,
        Self::Inspect,
        Self::Handover,
        Self::Features,
        Self::Model,
        Self::Judge,
        Self::Ring,
    ];

    /// As shown and exported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Decode => "decode",
            Self::Inspect => "inspect",
            Self::Handover => "handover",
            Self::Features => "features",
            Self::Model => "model",
            Self::Judge => "judge",
            Self::Ring => "ring",
        }
    }
}

impl StageNanos {
    /// A turn stayed in a stage for so long.
    pub const fn spend(&mut self, stage: Stage, nanos: u64) {
        *match stage {
            Stage::Capture => &mut self.capture,
            Stage::Decode => &mut self.decode,
            Stage::Inspect => &mut self.inspect,
            Stage::Handover => &mut self.handover,
            Stage::Features => &mut self.features,
            Stage::Model => &mut self.model,
            Stage::Judge => &mut self.judge,
            Stage::Ring => &mut self.ring,
        } += nanos;
    }

    const fn add(&mut self, other: &Self) {
        self.capture += other.capture;
        self.decode += other.decode;
        self.inspect += other.inspect;
        self.handover += other.handover;
        self.features += other.features;
        self.model += other.model;
        self.judge += other.judge;
        self.ring += other.ring;
    }

    /// The stages by name, in the order in which a packet meets them.
    #[must_use]
    pub const fn by_name(&self) -> [(&'static str, u64); 8] {
        [
            ("capture", self.capture),
            ("decode", self.decode),
            ("inspect", self.inspect),
            ("handover", self.handover),
            ("features", self.features),
            ("model", self.model),
            ("judge", self.judge),
            ("ring", self.ring),
        ]
    }
}

/// The counters of all workers and of the collector, held against each other.
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    /// All workers' counters, added up.
    pub workers: &'a Counters,
    /// Frames that the source of frames says it delivered.
    pub delivered: u64,
    /// Verdicts that the collector took out of the rings.
    pub dequeued: u64,
}

/// One sum of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The stage it belongs to.
    pub stage: &'static str,
    /// What went in.
    pub came: u64,
    /// What is accounted for.
    pub accounted: u64,
}

impl Ledger<'_> {
    /// The sums that must hold once everything has stopped, stage by stage.
    #[must_use]
    pub fn sums(&self) -> [Sum; 9] {
        let c = self.workers;
        let sum = |stage, came, accounted| Sum { stage, came, accounted };
        let undecodable: u64 = c.undecodable.iter().sum();
        let ring_full: u64 = c.ring_full.iter().sum();
        [
            sum("capture", self.delivered, c.taken),
            sum("decode", c.taken, c.decoded + undecodable + c.not_ip),
            sum("handover", c.decoded, c.handed + c.handover_full),
            sum("towards", c.towards_made, c.towards_handed + c.towards_full),
            sum("towards_counted", c.towards_handed, c.towards_counted),
            sum("gather", c.handed, c.scored),
            sum("judge", c.scored, c.levels.iter().sum()),
            sum("ring", c.scored + c.victims, c.enqueued + ring_full),
            sum("collect", c.enqueued, self.dequeued),
        ]
    }

    /// How much is missing or counted twice, over all stages. It is 0, or there is a bug.
    #[must_use]
    pub fn unaccounted(&self) -> u64 {
        self.sums().iter().map(|sum| sum.came.abs_diff(sum.accounted)).sum()
    }
}

fn count<const N: usize>(counters: &mut [u64; N], at: usize) {
    if let Some(counter) = counters.get_mut(at) {
        *counter += 1;
    }
}

fn add_each<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_left_no_trace_is_unaccounted() {
        let workers = Counters {
            taken: 3,
            decoded: 1,
            not_ip: 1,
            handed: 1,
            scored: 1,
            ..Counters::default()
        };
        let ledger = Ledger { workers: &workers, delivered: 3, dequeued: 0 };
        let broken: Vec<_> =
            ledger.sums().into_iter().filter(|sum| sum.came != sum.accounted).collect();
        assert_eq!(
            broken.iter().map(|sum| sum.stage).collect::<Vec<_>>(),
            ["decode", "judge", "ring"]
        );
        assert_eq!(ledger.unaccounted(), 3);
    }

    #[test]
    fn what_is_counted_twice_is_unaccounted_too() {
        let workers =
            Counters { taken: 1, decoded: 1, not_ip: 1, handed: 1, ..Counters::default() };
        assert_eq!(Ledger { workers: &workers, delivered: 1, dequeued: 0 }.unaccounted(), 2);
    }
}
