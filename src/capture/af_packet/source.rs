//! The source of frames that a worker has.

use std::os::fd::{AsFd as _, BorrowedFd};

use super::AfPacketError;
use super::intake::Intake;
use super::socket::{Health, PacketSocket};
use crate::capture::live::{Port, Stamper};
use crate::capture::{Batch, FrameSource, Received};

/// The frames of one socket.
#[derive(Debug)]
pub struct AfPacketSource {
    intake: Intake,
    socket: PacketSocket,
    /// What the kernel has counted so far, as it gives only what is new.
    delivered: u64,
    dropped: u64,
    freezes: u64,
    turn: u64,
    /// The number of the next frame. Each source numbers its own.
    next_sequence: u64,
    stopped: bool,
}

/// What became of the frames that came to one socket: `delivered = taken + in_ring + dropped + unreadable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketCounters {
    /// Frames that the kernel gave to this socket, those included for which there was no room (`tp_packets`).
    pub delivered: u64,
    /// Frames for which there was no room in the ring (`tp_drops`).
    pub dropped: u64,
    /// How often the ring became full (`tp_freeze_q_cnt`): no frames, but occasions on which some were dropped.
    pub freezes: u64,
    /// Frames given out in batches.
    pub taken: u64,
    /// Frames that wait in the ring, counted there.
    pub in_ring: u64,
    /// Frames in the ring that could not be read, since a header led out of its block. Anything but 0 is a bug.
    pub unreadable: u64,
    /// Frames whose time was before that of an earlier one, which they were then given. Not a loss.
    pub restamped: u64,
}

impl SocketCounters {
    /// By how much the sum is wrong: 0 at rest. While frames come, those that came between the two readings.
    #[must_use]
    pub fn unexplained(&self) -> i128 {
        let found = [self.taken, self.in_ring, self.dropped, self.unreadable].map(i128::from);
        i128::from(self.delivered) - found.iter().sum::<i128>()
    }
}

impl AfPacketSource {
    pub(super) const fn new(intake: Intake, socket: PacketSocket) -> Self {
        Self {
            intake,
            socket,
            delivered: 0,
            dropped: 0,
            freezes: 0,
            turn: 0,
            next_sequence: 1,
            stopped: false,
        }
    }

    /// Another handle of the socket, for who watches over it. Whoever has one asks it alone what the kernel has counted.
    pub(super) fn watch(&self) -> Result<PacketSocket, AfPacketError> {
        self.socket.another_handle()
    }

    /// Lets frames come.
    pub(super) fn listen(&self, snap_bytes: u32) -> Result<(), AfPacketError> {
        self.socket.listen(snap_bytes)
    }

    /// Lets no more frames come. Those in the ring can still be received; then comes [`Received::End`].
    ///
    /// # Errors
    /// When the kernel refuses, which it has no reason to.
    pub fn stop(&mut self) -> Result<(), AfPacketError> {
        self.socket.stop_listening()?;
        self.stopped = true;
        Ok(())
    }

    /// What became of the frames so far. To be asked at least every ten seconds: the kernel counts in 32 bits.
    ///
    /// # Errors
    /// When the kernel refuses, which it has no reason to.
    pub fn counters(&mut self) -> Result<SocketCounters, AfPacketError> {
        // The kernel forgets what it has told, so this is the only place that asks.
        let new = self.socket.take_counts()?;
        self.delivered += u64::from(new.packets);
        self.dropped += u64::from(new.drops);
        self.freezes += u64::from(new.freezes);
        Ok(SocketCounters {
            delivered: self.delivered,
            dropped: self.dropped,
            freezes: self.freezes,
            taken: self.intake.taken(),
            in_ring: self.intake.waiting(),
            unreadable: self.intake.unreadable(),
            restamped: self.intake.restamped(),
        })
    }

    /// How the interface fares. A source of an interface that is down or gone has nothing to give, and never says
    /// [`Received::End`] by itself.
    ///
    /// # Errors
    /// When the kernel refuses, which it has no reason to.
    pub fn health(&self) -> Result<Health, AfPacketError> {
        self.socket.health()
    }
}

/// As one of the ports of a worker: its own numbers and its own end are then not asked for, and what the kernel counts is asked for by
/// whoever watches.
impl Port for AfPacketSource {
    fn take(&mut self, batch: &mut Batch, stamper: &mut Stamper) -> usize {
        self.intake.fill(batch, &mut |stated| stamper.next_at_realtime(stated.as_nanos()));
        batch.len()
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// A block that is not full is handed over when its time is up, which some kernels are late with.
    fn is_dry(&self) -> bool {
        self.intake.waiting() == 0
    }
}

impl FrameSource for AfPacketSource {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        batch.begin(self.turn, self.next_sequence);
        self.intake.fill(batch, &mut |stated| stated);
        if batch.is_empty() {
            let ended = self.stopped && self.intake.waiting() == 0;
            return if ended { Received::End } else { Received::Nothing };
        }
        self.turn += 1;
        self.next_sequence += batch.len() as u64;
        Received::Frames
    }
}
