//! An interface captured through packet sockets, as whoever watches over it sees it.

use std::time::Duration;

use super::socket::PacketSocket;
use super::{AfPacketError, AfPacketParams, AfPacketSource, open};
use crate::capture::interface::Interface;
use crate::capture::live::{
    Change, LiveClock, LiveSource, QueueCounts, QueueStatus, SeatHolder, SocketStatistics, Stopper,
    Todo, Watched, seat,
};

/// An interface whose frames come in through packet sockets, one for each worker.
#[derive(Debug)]
pub struct AfPacketCapture {
    watched: Watched,
    params: AfPacketParams,
    places: Vec<Place>,
    stopper: Stopper,
}

/// Where the socket of one worker sits.
#[derive(Debug)]
struct Place {
    seat: SeatHolder<AfPacketSource>,
    /// The socket that is seated.
    socket: Option<PacketSocket>,
    is_recalled: bool,
    /// What the kernel has counted so far, of all sockets here: it forgets what it has told.
    delivered: u64,
    dropped: u64,
}

impl AfPacketCapture {
    /// Takes copies of the frames of an interface, and gives a source of them to each of `workers` workers.
    ///
    /// # Errors
    ///
    /// As [`open`].
    pub fn open(
        interface: Interface,
        params: AfPacketParams,
        workers: usize,
        clock: LiveClock,
    ) -> Result<(Self, Vec<LiveSource<AfPacketSource>>), AfPacketError> {
        let retire = Duration::from_millis(params.retire_millis.into());
        let stopper = Stopper::default();
        let mut places = Vec::with_capacity(workers);
        let mut sources = Vec::with_capacity(workers);
        for me in 0..workers {
            let (holder, seat) = seat();
            let place =
                Place { seat: holder, socket: None, is_recalled: false, delivered: 0, dropped: 0 };
            places.push(place);
            let seats = vec![seat];
            sources.push(LiveSource::lagging(me, workers, clock, retire, stopper.clone(), seats));
        }
        let mut capture = Self { watched: Watched::new(interface), params, places, stopper };
        capture.receive(params.interface)?;
        Ok((capture, sources))
    }

    /// Brings sockets for the interface of this number.
    fn receive(&mut self, interface: u32) -> Result<(), AfPacketError> {
        self.params.interface = interface;
        let sources = open(&self.params, self.places.len())?;
        for (place, source) in self.places.iter_mut().zip(sources) {
            place.socket = Some(source.watch()?);
            // The seat is empty, and takes it.
            drop(place.seat.offer(source));
        }
        Ok(())
    }

    /// The interface as it was last seen.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.watched.interface
    }

    /// Looks what has become of the interface, and does what is to be done: dead sockets are taken away, a new interface of the same
    /// name gets others.
    pub fn look(&mut self) -> Vec<Change> {
        for socket in self.places.iter().filter_map(|place| place.socket.as_ref()) {
            // An error that an interface left when it went down would wake whoever waits for frames again and again, until it is read.
            drop(socket.health());
        }
        let (change, todo) = self.watched.look();
        let mut changes: Vec<Change> = change.into_iter().collect();
        match todo {
            Todo::Nothing | Todo::Keep(_) => {}
            Todo::Abandon => {
                self.take_all_away();
            }
            Todo::Receive(interface) => {
                if self.take_all_away() {
                    let change = match self.receive(interface.index) {
                        Ok(()) => Some(self.watched.received(interface)),
                        Err(error) => self.watched.refused(error.to_string()),
                    };
                    changes.extend(change);
                }
            }
            // Packet sockets take every length, and every queue.
            Todo::Adapt(interface) => {
                self.watched.interface = interface;
                changes.extend(self.watched.accepted());
            }
        }
        changes
    }

    fn take_all_away(&mut self) -> bool {
        let mut away = true;
        for place in &mut self.places {
            away &= place.take_away();
        }
        away
    }

    /// What is known of each socket by now. To be asked at least every ten seconds: the kernel counts in 32 bits.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn status(&mut self) -> Result<Vec<QueueStatus>, AfPacketError> {
        (0..).zip(&mut self.places).map(|(number, place)| place.status(number)).collect()
    }

    /// Lets no further frame in, waits until the last block of each ring is handed over, and lets each source end when it has given
    /// what is there.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, which it has no reason to.
    pub fn stop(&mut self) -> Result<(), AfPacketError> {
        let sockets = self.places.iter().filter_map(|place| place.socket.as_ref());
        // All of them, whatever one says.
        let stopped = sockets.map(PacketSocket::stop_listening).fold(Ok(()), Result::and);
        std::thread::sleep(3 * Duration::from_millis(self.params.retire_millis.into()));
        self.stopper.stop();
        stopped
    }
}

impl Place {
    /// Asks for the socket, if there is one. Returns whether there is none any more.
    fn take_away(&mut self) -> bool {
        if self.socket.is_none() {
            return true;
        }
        if !self.is_recalled {
            self.seat.recall();
            self.is_recalled = true;
        }
        let Some(source) = self.seat.returned() else { return false };
        // Its last word; if it has none, what was told before stands.
        drop(self.count());
        self.socket = None;
        self.is_recalled = false;
        drop(source);
        true
    }

    fn count(&mut self) -> Result<(), AfPacketError> {
        if let Some(socket) = &self.socket {
            let new = socket.take_counts()?;
            self.delivered += u64::from(new.packets);
            self.dropped += u64::from(new.drops);
        }
        Ok(())
    }

    fn status(&mut self, number: u32) -> Result<QueueStatus, AfPacketError> {
        self.count()?;
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
