//! Frames of network interfaces, as they come.
//!
//! A worker serves some queues of an interface. Each queue is a [`Port`], which sits in a [`Seat`] of the worker's [`LiveSource`]:
//! whoever watches over the interface takes a port away and brings another while the worker, and all that it remembers, goes on.

mod clock;
mod life;
mod seat;
mod source;
mod status;

pub use self::clock::{LiveClock, Stamper};
pub use self::life::{Change, LinkState, Todo, Watched};
pub use self::seat::{Seat, SeatHolder, seat};
pub use self::source::{LiveSource, Stopper};
pub use self::status::{QueueCounts, QueueStatus, SocketStatistics};

use std::os::fd::BorrowedFd;

use super::Batch;

/// One queue of an interface, or one socket that stands for it.
pub trait Port: Send {
    /// Moves the next frames into `batch`, each with its time. Returns how many; never blocks.
    fn take(&mut self, batch: &mut Batch, stamper: &mut Stamper) -> usize;

    /// What can be polled for frames.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Whether nothing more lies in it when [`Port::take`] finds nothing: a ring may hold frames that are not handed over yet.
    fn is_dry(&self) -> bool {
        true
    }
}
