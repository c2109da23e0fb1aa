//! Generated traffic without an end, for a demonstration: one office day after the other, each with every attack.

use super::attack::Attack;
use super::generator::{Generator, Labelled};
use super::plan::{Plan, PlanError};
use crate::capture::{Batch, FrameSource, LinkType, Received};
use crate::time::Timestamp;

/// Packets of one act. With [`CLIENTS`] it lasts a minute or two, so that every attack comes soon, and again.
const ACT_PACKETS: u64 = 40_000;

/// Clients of the office: some six packets a second each.
const CLIENTS: u32 = 60;

/// Between the last packet of an act and the first of the next, nanoseconds.
const PAUSE_NANOS: i64 = 20_000_000;

/// Acts, one after the other, in the order of time. Moments are shifted so that the first packet passes at the start asked for.
#[derive(Debug)]
pub struct EndlessFrames {
    plan: Plan,
    act: Generator,
    /// What is added to the moments of the act.
    shift: i64,
    /// The last moment given.
    last: Timestamp,
    begun: bool,
    waiting: Option<Labelled>,
    turns: u64,
    given: u64,
}

impl EndlessFrames {
    /// Traffic that begins at `start`; the same for the same seed.
    ///
    /// # Errors
    /// None that a caller could cause: the plan is built in.
    pub fn new(start: Timestamp, seed: u64) -> Result<Self, PlanError> {
        let plan =
            Plan { clients: CLIENTS, ..Plan::new(ACT_PACKETS, seed).with_attacks(&Attack::ALL) };
        let act = Generator::new(&plan)?;
        Ok(Self {
            plan,
            act,
            shift: 0,
            last: start,
            begun: false,
            waiting: None,
            turns: 0,
            given: 0,
        })
    }

    /// The next packet, its moment shifted; when an act has ended, the first of the next one.
    fn next(&mut self) -> Option<Labelled> {
        let mut packet = match self.act.next() {
            Some(packet) => packet,
            None => {
                self.plan.seed = self.plan.seed.wrapping_add(1);
                self.act = Generator::new(&self.plan).ok()?;
                self.begun = false;
                self.act.next()?
            }
        };
        if !self.begun {
            let pause = if self.given == 0 { 0 } else { PAUSE_NANOS };
            self.shift = self.last.as_nanos() + pause - packet.time.as_nanos();
            self.begun = true;
        }
        packet.time = packet.time.plus_nanos(self.shift);
        self.last = packet.time;
        Some(packet)
    }
}

impl FrameSource for EndlessFrames {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        batch.begin(self.turns, self.given + 1);
        while let Some(packet) = self.waiting.take().or_else(|| self.next()) {
            let length = u32::try_from(packet.frame.len()).unwrap_or(u32::MAX);
            if !batch.push(packet.time, length, LinkType::Ethernet, &packet.frame) {
                self.waiting = Some(packet);
                break;
            }
            self.given += 1;
        }
        if batch.is_empty() {
            return Received::End;
        }
        self.turns += 1;
        Received::Frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_follow_each_other_without_a_gap_or_a_step_back() {
        let start = Timestamp::from_secs(1_790_000_000);
        let mut frames = EndlessFrames::new(start, 7).unwrap();
        let mut batch = Batch::new();
        let (mut last, mut packets, mut longest) = (start, 0, 0);
        while packets < 2 * ACT_PACKETS + 1_000 {
            assert_eq!(frames.receive(&mut batch), Received::Frames);
            for frame in batch.frames() {
                packets += 1;
                assert_eq!(frame.sequence, packets);
                assert!(frame.time >= last, "packet {packets} steps back");
                longest = longest.max(frame.time.nanos_since(last));
                last = frame.time;
            }
        }
        assert!(longest < 5_000_000_000, "a pause of {longest} ns");
        let seconds = last.secs_since(start);
        assert!((30.0..600.0).contains(&seconds), "two acts took {seconds} s");
    }
}
