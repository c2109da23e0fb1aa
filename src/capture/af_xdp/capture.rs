//! All queues of an interface: the program, a socket on each queue, and a source of frames for each worker.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use super::holder::holders;
use super::{
    AfXdpError, AttachMode, PortParams, PortWatch, ProgramParams, QUEUES_MAX, XdpProgram, XskPort,
    frame_bytes_for,
};
use crate::capture::af_packet::Promiscuity;
use crate::capture::interface::{Interface, detach_xdp};
use crate::capture::live::{
    Change, LiveClock, LiveSource, Port as _, QueueStatus, Seat, SeatHolder, SocketStatistics,
    Stopper, Todo, Watched, seat,
};

/// How frames reach the sockets, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// The card writes frames into the sensor's memory.
    ZeroCopy,
    /// The driver runs the program, and the kernel copies the frame.
    Native,
    /// The kernel runs the program on packets that it has made, and copies them.
    Generic,
}

impl Mode {
    /// All, the best first.
    pub const ALL: [Self; 3] = [Self::ZeroCopy, Self::Native, Self::Generic];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zerocopy",
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    const fn attach(self) -> AttachMode {
        match self {
            Self::ZeroCopy | Self::Native => AttachMode::Native,
            Self::Generic => AttachMode::Generic,
        }
    }
}

/// How an interface is captured.
#[derive(Clone, Debug)]
pub struct AfXdpParams {
    /// Modes that will do, in the order in which they are tried.
    pub modes: Vec<Mode>,
    /// Places for frames on each queue: a power of two.
    pub frames: u32,
    /// See [`PortParams`].
    pub busy_poll_micros: u32,
    /// What the program is told.
    pub program: ProgramParams,
    /// Whether another program is taken off the interface when frames begin to be received. One that comes later is not: whoever puts it
    /// where a program was means to.
    pub replace: bool,
}

/// Places for queues that are added later, beside as many as there are at the start.
const SPARE_PLACES: u32 = 4;

/// An interface whose frames come in. Dropped, the program is detached.
#[derive(Debug)]
pub struct AfXdpCapture {
    // Before the sockets: a program that is attached while sockets close is known to fault some cards.
    program: XdpProgram,
    /// A place for each queue, served or not.
    queues: Vec<Queue>,
    watched: Watched,
    params: AfXdpParams,
    mode: Mode,
    frame_bytes: u32,
    /// None where it was refused.
    promiscuity: Option<Promiscuity>,
    /// The numbers of the programs that were taken off the interface for this one.
    replaced: Vec<u32>,
    /// Whoever waits for a queue waits no longer.
    told_to_end: Arc<AtomicBool>,
    stopper: Stopper,
}

/// A place for a queue.
#[derive(Debug)]
struct Queue {
    number: u32,
    seat: SeatHolder<XskPort>,
    /// The socket that is seated.
    watch: Option<PortWatch>,
    is_recalled: bool,
    /// What the sockets before this one have counted.
    before: SocketStatistics,
}

/// How long frames can be on their way from the program to their ring: the rest of the batch that the kernel was at.
pub const UNDER_WAY: Duration = Duration::from_millis(5);

impl AfXdpCapture {
    /// Takes the frames of an interface, and gives a source of them to each of `workers` workers: queue `q` to worker `q % workers`.
    ///
    /// Waiting for a queue ends as soon as `told_to_end` is set, now and later.
    ///
    /// # Errors
    ///
    /// When it can't be captured in any of the modes; then nothing is left open or attached.
    pub fn open(
        interface: Interface,
        params: AfXdpParams,
        workers: usize,
        clock: LiveClock,
        told_to_end: Arc<AtomicBool>,
    ) -> Result<(Self, Vec<LiveSource<XskPort>>), AfXdpError> {
        let stopper = Stopper::default();
        let mut seats: Vec<Vec<Seat<XskPort>>> = (0..workers).map(|_| Vec::new()).collect();
        let places = interface.queues.saturating_mul(2).max(interface.queues + SPARE_PLACES);
        let mut queues = Vec::new();
        for number in 0..places.min(QUEUES_MAX) {
            let (holder, seat) = seat();
            queues.push(Queue::empty(number, holder));
            if let Some(seats) = seats.get_mut(number as usize % workers) {
                seats.push(seat);
            }
        }
        let mut capture = Self {
            program: XdpProgram::load(&params.program)?,
            queues,
            watched: Watched::new(interface),
            params,
            mode: Mode::Generic,
            frame_bytes: 0,
            promiscuity: None,
            replaced: Vec::new(),
            told_to_end,
            stopper: stopper.clone(),
        };
        let interface = capture.interface().clone();
        capture.receive(&interface)?;
        // From here on nobody's program is taken off: what comes later was put there beside a sensor that runs.
        capture.params.replace = false;
        let source = |(me, seats)| LiveSource::new(me, workers, clock, stopper.clone(), seats);
        let sources = seats.into_iter().enumerate().map(source).collect();
        Ok((capture, sources))
    }

    /// Brings sockets for all queues of an interface, in the first mode that works, and attaches the program.
    fn receive(&mut self, interface: &Interface) -> Result<(), AfXdpError> {
        self.replaced.clear();
        self.receive_in_a_mode(interface).map_err(|source| match &*self.replaced {
            [] => source,
            replaced => {
                AfXdpError::AfterReplacing { programs: replaced.to_vec(), source: Box::new(source) }
            }
        })
    }

    fn receive_in_a_mode(&mut self, interface: &Interface) -> Result<(), AfXdpError> {
        self.may_attach(interface)?;
        (self.frame_bytes, _) = frame_bytes_for(&interface.name, interface.mtu)?;
        let mut refused = None;
        for mode in self.params.modes.clone() {
            self.mode = mode;
            match self.bind_all(interface) {
                Ok(ports) => {
                    self.promiscuity = Promiscuity::hold(interface.index).ok();
                    return self.seat_all(interface, ports);
                }
                // Whoever has a queue has it in every mode.
                Err(error) if error.is_final() || error.is_of_a_taken_queue() => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| AfXdpError::Load("no mode is allowed".to_owned())))
    }

    /// Asked before anything else: another program's sockets would keep the queues, and be blamed for that.
    fn may_attach(&self, interface: &Interface) -> Result<(), AfXdpError> {
        let (name, programs) = (interface.name.clone(), interface.xdp_programs.clone());
        if programs.is_empty() {
            return Ok(());
        }
        if !self.params.replace {
            return Err(AfXdpError::Taken { interface: name, programs });
        }
        let holders: Vec<String> = programs.iter().copied().flat_map(holders).collect();
        if holders.is_empty() {
            return Ok(());
        }
        Err(AfXdpError::Held { interface: name, programs, holders })
    }

    fn bind_all(&mut self, interface: &Interface) -> Result<Vec<XskPort>, AfXdpError> {
        let mut ports = Vec::new();
        for queue in 0..interface.queues.min(self.places()) {
            ports.push(self.bind(interface, queue)?);
        }
        // Last: every frame that it sees finds its socket. And nobody's program goes for one that then has no sockets.
        self.take_others_off(interface)?;
        self.program.attach(&interface.name, interface.index, self.mode.attach())?;
        Ok(ports)
    }

    /// Makes room for the program, which the kernel attaches to a free interface only: frames that come just then go by.
    fn take_others_off(&mut self, interface: &Interface) -> Result<(), AfXdpError> {
        if interface.xdp_programs.is_empty() || !self.replaced.is_empty() {
            return Ok(());
        }
        let (name, programs) = (interface.name.clone(), interface.xdp_programs.clone());
        match detach_xdp(&interface.name) {
            Ok(()) => {
                self.replaced = programs;
                Ok(())
            }
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => {
                Err(AfXdpError::Held { interface: name, programs, holders: Vec::new() })
            }
            Err(source) => Err(AfXdpError::NotReplaced { interface: name, programs, source }),
        }
    }

    /// A socket on a queue, where the program finds it.
    fn bind(&mut self, interface: &Interface, queue: u32) -> Result<XskPort, AfXdpError> {
        let params = PortParams {
            frames: self.params.frames,
            frame_bytes: self.frame_bytes,
            zero_copy: self.mode == Mode::ZeroCopy,
            busy_poll_micros: self.params.busy_poll_micros,
        };
        let ends = || self.told_to_end.load(Ordering::Relaxed);
        let port = XskPort::bind_unless(&interface.name, interface.index, queue, &params, ends)?;
        self.program.give_socket(queue, port.descriptor())?;
        Ok(port)
    }

    fn seat_all(&mut self, interface: &Interface, ports: Vec<XskPort>) -> Result<(), AfXdpError> {
        for (place, port) in self.queues.iter_mut().zip(ports) {
            place.give(port).map_err(|source| no_descriptor(interface, place.number, source))?;
        }
        Ok(())
    }

    fn places(&self) -> u32 {
        u32::try_from(self.queues.len()).unwrap_or(QUEUES_MAX)
    }

    /// The mode in force.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The interface as it was last seen.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.watched.interface
    }

    /// Whether frames to other stations come, which a card drops otherwise: because that was asked for here, or because the interface
    /// was set so before.
    #[must_use]
    pub const fn sees_all_stations(&self) -> bool {
        self.promiscuity.is_some() || self.watched.interface.is_promiscuous
    }

    /// The numbers of the programs that were taken off the interface when frames began to be received.
    #[must_use]
    pub fn replaced(&self) -> &[u32] {
        &self.replaced
    }

    /// Queues for which there is no place: what comes on them finds no socket.
    #[must_use]
    pub fn queues_without_place(&self) -> u32 {
        self.watched.interface.queues.saturating_sub(self.places())
    }

    /// Looks what has become of the interface, and does what is to be done: dead sockets are taken away, a new interface of the same
    /// name and queues that were added get sockets, and a program that was taken off is attached again.
    pub fn look(&mut self) -> Vec<Change> {
        let (change, todo) = self.watched.look();
        let mut changes: Vec<Change> = change.into_iter().collect();
        match todo {
            Todo::Nothing => {}
            Todo::Keep(interface) => changes.extend(self.keep_attached(&interface)),
            Todo::Abandon => {
                self.take_all_away();
            }
            Todo::Receive(interface) => {
                if self.take_all_away() {
                    let change = match self.receive(&interface) {
                        Ok(()) => Some(self.watched.received(interface)),
                        // That is no fault of the interface's.
                        Err(AfXdpError::ToldToEnd) => None,
                        Err(error) => self.watched.refused(error.to_string()),
                    };
                    changes.extend(change);
                }
            }
            Todo::Adapt(interface) => {
                changes.extend(self.keep_attached(&interface));
                if !self.watched.is_displaced() {
                    changes.extend(self.adapt(interface));
                }
            }
        }
        changes
    }

    /// Sees to it that the program is where it was attached: somebody may have taken it off, or put another in its place.
    fn keep_attached(&mut self, interface: &Interface) -> Vec<Change> {
        if interface.xdp_programs.contains(&self.program.id()) {
            return self.watched.attached().into_iter().collect();
        }
        let mut changes: Vec<Change> = self.watched.displaced().into_iter().collect();
        // What is left of the attachment would hold the place.
        self.program.detach();
        let name = &interface.name;
        let attached = match &*interface.xdp_programs {
            [] => self.program.attach(name, interface.index, self.mode.attach()),
            others => {
                let (interface, programs) = (name.clone(), others.to_vec());
                Err(AfXdpError::Displaced { interface, programs })
            }
        };
        changes.extend(match attached {
            Ok(()) => self.watched.attached(),
            Err(error) => self.watched.refused(error.to_string()),
        });
        changes
    }

    /// The interface has other queues, or another MTU.
    fn adapt(&mut self, interface: Interface) -> Option<Change> {
        match frame_bytes_for(&interface.name, interface.mtu) {
            Ok((frame_bytes, _)) if frame_bytes > self.frame_bytes => {
                // Larger places need other sockets. What the program has given out by now is still on its way to these.
                self.program.detach();
                std::thread::sleep(UNDER_WAY);
                self.take_all_away();
                return Some(self.watched.outgrown());
            }
            Ok(_) => {}
            Err(error) => return self.watched.refused(error.to_string()),
        }
        let added = self.watched.interface.queues..interface.queues.min(self.places());
        for queue in added {
            if self.queues.get(queue as usize).is_none_or(|place| place.watch.is_some()) {
                continue;
            }
            let bound = self.bind(&interface, queue);
            let Some(place) = self.queues.get_mut(queue as usize) else { break };
            let given = bound.and_then(|port| {
                place.give(port).map_err(|source| no_descriptor(&interface, queue, source))
            });
            if let Err(error) = given {
                return self.watched.refused(error.to_string());
            }
        }
        let there_were = self.watched.interface.queues;
        let (there_are, received) = (interface.queues, interface.queues.min(self.places()));
        self.watched.interface = interface;
        let accepted = self.watched.accepted();
        if there_are > there_were {
            return Some(Change::Queues { there_are, received });
        }
        accepted
    }

    /// Detaches the program and asks for all sockets back. Returns whether they are all away.
    fn take_all_away(&mut self) -> bool {
        self.program.detach();
        let mut away = true;
        for queue in &mut self.queues {
            away &= queue.take_away();
        }
        away
    }

    /// What is known of each queue by now; last of all, of the queues that can have no socket.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn status(&self) -> Result<Vec<QueueStatus>, AfXdpError> {
        let mut status = Vec::with_capacity(self.queues.len());
        for queue in 0..=QUEUES_MAX {
            let counts = self.program.counts(queue)?;
            let place = self.queues.get(queue as usize);
            if place.is_none_or(|place| place.watch.is_none()) && counts.seen == 0 {
                continue;
            }
            let statistics = match place {
                Some(place) => place
                    .statistics()
                    .map_err(|source| no_descriptor(&self.watched.interface, queue, source))?,
                None => SocketStatistics::default(),
            };
            status.push(QueueStatus { queue, counts, statistics });
        }
        Ok(status)
    }

    /// Lets no further frame in, waits for those that are `under_way` to the rings, and lets each source end when it has given what is
    /// there.
    pub fn stop(&mut self, under_way: Duration) {
        self.program.detach();
        std::thread::sleep(under_way);
        self.stopper.stop();
    }
}

impl Queue {
    const fn empty(number: u32, seat: SeatHolder<XskPort>) -> Self {
        let before =
            SocketStatistics { dropped: 0, ring_full: 0, invalid_places: 0, fill_ring_empty: 0 };
        Self { number, seat, watch: None, is_recalled: false, before }
    }

    fn give(&mut self, port: XskPort) -> io::Result<()> {
        self.watch = Some(port.watch()?);
        // The seat is empty, and takes it.
        drop(self.seat.offer(port));
        Ok(())
    }

    /// Asks for the socket, if there is one. Returns whether there is none any more.
    fn take_away(&mut self) -> bool {
        if self.watch.is_none() {
            return true;
        }
        if !self.is_recalled {
            self.seat.recall();
            self.is_recalled = true;
        }
        let Some(port) = self.seat.returned() else { return false };
        // A socket that is gone says nothing more; this is the last word of one that is dead.
        self.before = self.statistics().unwrap_or(self.before);
        self.watch = None;
        self.is_recalled = false;
        drop(port);
        true
    }

    fn statistics(&self) -> io::Result<SocketStatistics> {
        match &self.watch {
            Some(watch) => Ok(self.before.plus(watch.statistics()?)),
            None => Ok(self.before),
        }
    }
}

fn no_descriptor(interface: &Interface, queue: u32, source: io::Error) -> AfXdpError {
    AfXdpError::Bind { interface: interface.name.clone(), queue, source }
}
