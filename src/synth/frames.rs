//! Generated traffic as a source of frames, so that a replay needs no file.

use super::generator::{Generator, Labelled};
use super::plan::{Plan, PlanError};
use crate::capture::{Batch, FrameSource, LinkType, Received};

/// A plan's packets, batch by batch.
#[derive(Debug)]
pub struct GeneratedFrames {
    packets: Generator,
    /// The packet that did not fit into the last batch.
    waiting: Option<Labelled>,
    turns: u64,
    given: u64,
}

impl GeneratedFrames {
    /// Prepares the plan's packets.
    ///
    /// # Errors
    /// When the plan has a value out of its range ([`Plan::check`]).
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        Ok(Self { packets: Generator::new(plan)?, waiting: None, turns: 0, given: 0 })
    }
}

impl FrameSource for GeneratedFrames {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        batch.begin(self.turns, self.given + 1);
        while let Some(packet) = self.waiting.take().or_else(|| self.packets.next()) {
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
