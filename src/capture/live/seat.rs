//! Where a port sits at its worker, and how it is exchanged.
//!
//! |           | worker ([`Seat`])                      | watcher ([`SeatHolder`])      |
//! |-----------|----------------------------------------|-------------------------------|
//! | may       | use the port, give a recalled one back | offer a port, recall it       |
//! | never     | makes or drops a port: that is slow    | touches a port that is seated |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rtrb::{Consumer, Producer, RingBuffer};

use super::Port;

/// Both halves of an empty seat.
#[must_use]
pub fn seat<P: Port>() -> (SeatHolder<P>, Seat<P>) {
    let (offered, arriving) = RingBuffer::new(1);
    let (leaving, returned) = RingBuffer::new(1);
    let recalled = Arc::new(AtomicBool::new(false));
    let holder = SeatHolder { offered, returned, recalled: Arc::clone(&recalled) };
    (holder, Seat { port: None, arriving, leaving, recalled, kept: 0 })
}

/// The worker's half.
#[derive(Debug)]
pub struct Seat<P> {
    port: Option<P>,
    arriving: Consumer<P>,
    leaving: Producer<P>,
    recalled: Arc<AtomicBool>,
    /// How often a recalled port was kept for what still lay in it.
    kept: u32,
}

/// How often a recalled port may be kept. A worker with nothing to do looks every 50 µs or so. What the kernel has not handed over by then
/// is left, and shows at the end as frames that came to the socket and are accounted for nowhere.
const KEPT_MAX: u32 = 10_000;

impl<P: Port> Seat<P> {
    /// The port, if there is one. A new one is seated when it has come.
    pub(super) fn port(&mut self) -> Option<&mut P> {
        if self.port.is_none() {
            self.port = self.arriving.pop().ok();
        }
        self.port.as_mut()
    }

    /// The port that is seated.
    pub(super) const fn seated(&self) -> Option<&P> {
        self.port.as_ref()
    }

    /// Nothing came out of the port just now: if it was recalled, and nothing more lies in it, it goes.
    pub(super) fn leave_if_recalled(&mut self) {
        if !self.recalled.load(Ordering::Acquire) {
            return;
        }
        if self.port.as_ref().is_some_and(|port| !port.is_dry()) && self.kept < KEPT_MAX {
            self.kept += 1;
            return;
        }
        if let Some(port) = self.port.take() {
            self.kept = 0;
            self.recalled.store(false, Ordering::Release);
            // There is room: the watcher offers no second port before it has the first one back.
            drop(self.leaving.push(port));
        }
    }
}

/// The watcher's half.
#[derive(Debug)]
pub struct SeatHolder<P> {
    offered: Producer<P>,
    returned: Consumer<P>,
    recalled: Arc<AtomicBool>,
}

impl<P: Port> SeatHolder<P> {
    /// Brings a port to an empty seat.
    ///
    /// # Errors
    ///
    /// The port itself, when one was brought that is not yet seated.
    pub fn offer(&mut self, port: P) -> Result<(), P> {
        self.offered.push(port).map_err(|rtrb::PushError::Full(port)| port)
    }

    /// Asks for the port: the worker gives it back when it finds nothing more in it.
    pub fn recall(&self) {
        self.recalled.store(true, Ordering::Release);
    }

    /// The port that was recalled, when it has come.
    pub fn returned(&mut self) -> Option<P> {
        self.returned.pop().ok()
    }
}
