//! An interface captured through packet sockets, as whoever watches over it sees it.

use std::time::Duration;

use super::socket::PacketSocket;
use super::{AfPacketError, AfPacketParams, AfPacketSource, open};
use crate::capture::interface::Interface;
use crate::capture::live::{
    LiveClock, LiveSource, QueueCounts, QueueStatus, SeatHolder, SocketStatistics, Stopper, seat,
};

/// An interface whose frames come in through packet sockets, one for each worker.
#[derive(Debug)]
pub struct AfPacketCapture {
    interface: Interface,
    sockets: Vec<Watched>,
    retire: Duration,
    stopper: Stopper,
}

/// A socket whose frames a worker takes.
#[derive(Debug)]
struct Watched {
    socket: PacketSocket,
    /// What the kernel has counted so far: it forgets what it has told.
    delivered: u64,
    dropped: u64,
    _seat: SeatHolder<AfPacketSource>,
}

impl AfPacketCapture {
    /// Takes copies of the frames of an interface, and gives a source of them to each of `workers` workers.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(
        interface: Interface,
        params: &AfPacketParams,
        workers: usize,
        clock: LiveClock,
    ) -> Result<(Self, Vec<LiveSource<AfPacketSource>>), AfPacketError> {
        let retire = Duration::from_millis(params.retire_millis.into());
        let stopper = Stopper::default();
        let mut sockets = Vec::with_capacity(workers);
        let mut sources = Vec::with_capacity(workers);
        for (me, source) in open(params, workers)?.into_iter().enumerate() {
            let socket = source.watch()?;
            let (mut holder, seat) = seat();
            // An empty seat takes a port.
            drop(holder.offer(source));
            sockets.push(Watched { socket, delivered: 0, dropped: 0, _seat: holder });
            let seats = vec![seat];
            sources.push(LiveSource::lagging(me, workers, clock, retire, stopper.clone(), seats));
        }
        Ok((Self { interface, sockets, retire, stopper }, sources))
    }

    /// The interface as it was when it was opened.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What is known of each socket by now. To be asked at least every ten seconds: the kernel counts in 32 bits.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn status(&mut self) -> Result<Vec<QueueStatus>, AfPacketError> {
        (0..).zip(&mut self.sockets).map(|(number, socket)| socket.status(number)).collect()
    }

    /// Lets no further frame in, waits until the last block of each ring is handed over, and lets each source end when it has given
    /// what is there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, which it has no reason to.
    pub fn stop(&mut self) -> Result<(), AfPacketError> {
        let stopped = self.sockets.iter().try_for_each(|watched| watched.socket.stop_listening());
        std::thread::sleep(3 * self.retire);
        self.stopper.stop();
        stopped
    }
}

impl Watched {
    fn status(&mut self, number: u32) -> Result<QueueStatus, AfPacketError> {
        let new = self.socket.take_counts()?;
        self.delivered += u64::from(new.packets);
        self.dropped += u64::from(new.drops);
        let counts = QueueCounts {
            seen: self.delivered,
            redirected: self.delivered,
            ..QueueCounts::default()
        };
        let statistics =
            SocketStatistics { ring_full: self.dropped, ..SocketStatistics::default() };
        Ok(QueueStatus { queue: number, counts, statistics })
    }
}
