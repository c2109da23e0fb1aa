//! What one worker receives: the frames of the queues that it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{LiveClock, Port, Seat, Stamper};
use crate::capture::{Batch, FrameSource, Received};
use crate::time::Timestamp;

/// Ports that one worker waits for at once; what comes to further ones is seen when the nap is over.
const POLLED_MAX: usize = 16;

/// Rounds through all ports after a stop was asked for: a port that never runs dry does not hold up the end.
const ROUNDS_AFTER_STOP: u32 = 10_000;

/// Ends the sources of all workers.
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Each source ends when it finds nothing more in its ports. Whoever calls this has seen to it that nothing more comes.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn was_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The frames of some queues. Worker `me` of `workers` numbers them `me + 1`, `me + 1 + workers`, and so on.
#[derive(Debug)]
pub struct LiveSource<P> {
    seats: Vec<Seat<P>>,
    /// The seat whose turn it is.
    next: usize,
    stamper: Stamper,
    stopper: Stopper,
    rounds_left: u32,
    /// Nothing is taken any more: what comes now stays in its ring, and is counted there.
    ended: bool,
    turn: u64,
    next_sequence: u64,
    workers: u64,
}

impl<P: Port> LiveSource<P> {
    /// The source of the worker numbered `me` of `workers`.
    #[must_use]
    pub fn new(
        me: usize,
        workers: usize,
        clock: LiveClock,
        stopper: Stopper,
        seats: Vec<Seat<P>>,
    ) -> Self {
        Self::lagging(me, workers, clock, Duration::ZERO, stopper, seats)
    }

    /// The same, of ports whose frames come up to `lag` after the time that they state.
    #[must_use]
    pub fn lagging(
        me: usize,
        workers: usize,
        clock: LiveClock,
        lag: Duration,
        stopper: Stopper,
        seats: Vec<Seat<P>>,
    ) -> Self {
        Self {
            seats,
            next: 0,
            stamper: Stamper::lagging(clock, lag),
            stopper,
            rounds_left: ROUNDS_AFTER_STOP,
            ended: false,
            turn: 0,
            next_sequence: me as u64 + 1,
            workers: workers.max(1) as u64,
        }
    }

    /// Whether nothing more lies in any port.
    fn is_dry(&self) -> bool {
        self.seats.iter().filter_map(Seat::seated).all(Port::is_dry)
    }

    /// Takes frames from the next port that has any.
    fn take(&mut self, batch: &mut Batch) -> usize {
        for _ in 0..self.seats.len() {
            let at = self.next;
            self.next = (at + 1) % self.seats.len();
            let Some(seat) = self.seats.get_mut(at) else { continue };
            let Some(port) = seat.port() else { continue };
            let taken = port.take(batch, &mut self.stamper);
            if taken > 0 {
                return taken;
            }
            seat.leave_if_recalled();
        }
        0
    }
}

impl<P: Port> FrameSource for LiveSource<P> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        // Asked first: what came before the stop is then seen.
        let stopping = self.stopper.was_asked();
        if self.ended || (stopping && self.rounds_left == 0) {
            self.ended = true;
            return Received::End;
        }
        self.rounds_left -= u32::from(stopping);
        batch.begin_every(self.turn, self.next_sequence, self.workers);
        self.stamper.begin();
        let taken = self.take(batch);
        self.stamper.end();
        if taken == 0 {
            self.ended = stopping && self.is_dry();
            return if self.ended { Received::End } else { Received::Nothing };
        }
        self.turn += 1;
        self.next_sequence += taken as u64 * self.workers;
        Received::Frames
    }

    fn horizon(&self) -> Timestamp {
        self.stamper.horizon()
    }

    fn wait(&mut self, nap: Duration) {
        let mut polled = ArrayVec::<PollFd<'_>, POLLED_MAX>::new();
        for port in self.seats.iter().filter_map(Seat::seated).take(POLLED_MAX) {
            polled.push(PollFd::from_borrowed_fd(port.descriptor(), PollFlags::IN));
        }
        if polled.is_empty() {
            return std::thread::sleep(nap);
        }
        let timeout = Timespec::try_from(nap).ok();
        // An error ends the wait early, and the ports are looked at: that is all a wait is for.
        let _woken: Result<usize, _> = poll(&mut polled, timeout.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, BorrowedFd};

    use super::*;
    use crate::capture::LinkType;
    use crate::capture::live::{SeatHolder, seat};

    /// A ring whose last frame is handed over late.
    struct Late {
        looks_until_handed_over: u32,
        handed_over: bool,
        null: std::fs::File,
    }

    impl Late {
        fn by(looks: u32) -> Self {
            let null = std::fs::File::open("/dev/null").expect("there is such a device");
            Self { looks_until_handed_over: looks, handed_over: false, null }
        }
    }

    impl Port for Late {
        fn take(&mut self, batch: &mut Batch, _: &mut Stamper) -> usize {
            if self.handed_over {
                return 0;
            }
            if self.looks_until_handed_over > 0 {
                self.looks_until_handed_over -= 1;
                return 0;
            }
            self.handed_over = true;
            assert!(batch.push(Timestamp::EPOCH, 60, LinkType::Ethernet, &[0; 60]));
            1
        }

        fn descriptor(&self) -> BorrowedFd<'_> {
            self.null.as_fd()
        }

        fn is_dry(&self) -> bool {
            self.handed_over
        }
    }

    fn source_of(port: Late) -> (LiveSource<Late>, SeatHolder<Late>, Stopper) {
        let (mut holder, seat) = seat();
        assert!(holder.offer(port).is_ok());
        let stopper = Stopper::default();
        (LiveSource::new(0, 1, LiveClock::start(), stopper.clone(), vec![seat]), holder, stopper)
    }

    #[test]
    fn a_source_ends_when_nothing_more_lies_in_its_ports() {
        let (mut source, _holder, stopper) = source_of(Late::by(3));
        stopper.stop();
        let mut batch = Batch::new();
        let received: Vec<Received> = (0..6).map(|_| source.receive(&mut batch)).collect();
        let expected = [
            Received::Nothing,
            Received::Nothing,
            Received::Nothing,
            Received::Frames,
            Received::End,
            Received::End,
        ];
        assert_eq!(received, expected);
    }

    #[test]
    fn a_port_that_never_runs_dry_does_not_hold_up_the_end() {
        let (mut source, _holder, stopper) = source_of(Late::by(u32::MAX));
        stopper.stop();
        let mut batch = Batch::new();
        let ends = (0..=ROUNDS_AFTER_STOP).any(|_| source.receive(&mut batch) == Received::End);
        assert!(ends);
    }

    #[test]
    fn a_recalled_port_goes_when_nothing_more_lies_in_it_or_after_a_while() {
        let (mut source, mut holder, _) = source_of(Late::by(3));
        let mut batch = Batch::new();
        holder.recall();
        while source.receive(&mut batch) == Received::Nothing {
            assert!(holder.returned().is_none(), "a frame lies in it");
        }
        assert_eq!(source.receive(&mut batch), Received::Nothing);
        assert!(holder.returned().is_some_and(|port| port.handed_over));

        let (mut source, mut holder, _) = source_of(Late::by(u32::MAX));
        holder.recall();
        let left = (0..100_000).any(|_| {
            source.receive(&mut batch);
            holder.returned().is_some()
        });
        assert!(left, "a dead socket is not kept for ever");
    }
}
