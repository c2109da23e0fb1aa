//! The parts of a worker by themselves, as the default configuration makes them.

use phantomnet::capture::Batch;
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::counters::Counters;
use phantomnet::decode::{self, Packet};
use phantomnet::handover::{self, Gathered, Handover, Order};
use phantomnet::inspect::Inspector;
use phantomnet::owner::{Due, Owner, Placement};
use phantomnet::sensor::SensorParams;
use phantomnet::time::Timestamp;
use phantomnet::verdict::InForce;

/// How a single worker is laid out.
pub(crate) fn params() -> SensorParams {
    setup::sensor_params(&Config::default(), 1).expect("one worker fits")
}

/// The packets of a batch, without the frames that are refused.
pub(crate) fn packets(batch: &Batch) -> Vec<Packet<'_>> {
    batch.frames().filter_map(|frame| decode::decode(&frame).ok()).collect()
}

/// Receives and judges, a stage at a time.
pub(crate) struct Stages {
    pub(crate) in_force: InForce,
    pub(crate) inspector: Inspector,
    pub(crate) handover: Handover,
    pub(crate) gathered: Gathered,
    pub(crate) owner: Owner,
    pub(crate) due: Due,
    pub(crate) counters: Counters,
}

impl Stages {
    pub(crate) fn new(in_force: InForce) -> Self {
        let params = params();
        let owner = Owner::new(0, Placement::new(params.keyer, 1), &params.owner);
        Self {
            in_force,
            inspector: Inspector::new(owner.placement()),
            handover: handover::mesh(1, Order::Turns).pop().expect("one worker, one end"),
            gathered: Gathered::new(),
            owner,
            due: Due::new(),
            counters: Counters::default(),
        }
    }

    /// Rules, intelligence, decoys; then over to the owner, who takes the turn.
    pub(crate) fn inspect_and_hand_over(&mut self, packets: &[Packet<'_>]) {
        self.inspector.prefetch(packets, &self.in_force);
        for packet in packets {
            self.inspector.inspect(packet, &self.in_force, &mut self.handover, &mut self.counters);
        }
        self.hand_over();
    }

    /// Ends the turn, and takes it.
    pub(crate) fn hand_over(&mut self) {
        self.handover.end_turn(Timestamp::EPOCH);
        self.handover.gather(&mut self.gathered);
    }

    /// Counts, measures and scores the turn that was handed over.
    pub(crate) fn measure_and_score(&mut self) {
        self.owner.measure(&self.gathered, &self.in_force, &mut self.due, &mut self.counters);
        self.due.score(&self.in_force);
    }

    /// Completes the verdicts of the turn that was scored.
    pub(crate) fn judge(&mut self) {
        self.due.judge(&self.in_force, &mut self.counters);
    }
}
