//! All queues of an interface: the program, a socket on each queue, and a source of frames for each worker.

use std::time::Duration;

use super::{
    AfXdpError, AttachMode, PortParams, PortWatch, ProgramParams, QUEUES_MAX, XdpProgram, XskPort,
    frame_bytes_for,
};
use crate::capture::interface::Interface;
use crate::capture::live::{
    LiveClock, LiveSource, Port as _, QueueStatus, Seat, SeatHolder, SocketStatistics, Stopper,
    seat,
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
}

/// An interface whose frames come in. Dropped, the program is detached.
#[derive(Debug)]
pub struct AfXdpCapture {
    // Before the sockets: a program that is attached while sockets close is known to fault some cards.
    program: XdpProgram,
    queues: Vec<Queue>,
    interface: Interface,
    mode: Mode,
    stopper: Stopper,
}

#[derive(Debug)]
struct Queue {
    number: u32,
    watch: PortWatch,
    _seat: SeatHolder<XskPort>,
}

impl AfXdpCapture {
    /// Takes the frames of an interface, and gives a source of them to each of `workers` workers: queue `q` to worker `q % workers`.
    ///
    /// # Errors
    ///
    /// When it can't be captured in any of the modes.
    pub fn open(
        interface: Interface,
        params: &AfXdpParams,
        workers: usize,
        clock: LiveClock,
    ) -> Result<(Self, Vec<LiveSource<XskPort>>), AfXdpError> {
        let (frame_bytes, _) = frame_bytes_for(&interface.name, interface.mtu)?;
        let mut refused = None;
        for mode in &params.modes {
            match bound(&interface, params, *mode, frame_bytes) {
                Ok((program, ports)) => {
                    return Self::seated(interface, *mode, program, ports, workers, clock);
                }
                Err(error @ AfXdpError::Taken { .. }) => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(|| AfXdpError::Load("no mode is allowed".to_owned())))
    }

    fn seated(
        interface: Interface,
        mode: Mode,
        program: XdpProgram,
        ports: Vec<XskPort>,
        workers: usize,
        clock: LiveClock,
    ) -> Result<(Self, Vec<LiveSource<XskPort>>), AfXdpError> {
        let stopper = Stopper::default();
        let mut seats: Vec<Vec<Seat<XskPort>>> = (0..workers).map(|_| Vec::new()).collect();
        let mut queues = Vec::with_capacity(ports.len());
        for (number, port) in (0..).zip(ports) {
            let no_descriptor = |source| AfXdpError::Bind {
                interface: interface.name.clone(),
                queue: number,
                source,
            };
            let watch = port.watch().map_err(no_descriptor)?;
            let (mut holder, seat) = seat();
            // An empty seat takes a port.
            drop(holder.offer(port));
            queues.push(Queue { number, watch, _seat: holder });
            if let Some(seats) = seats.get_mut(number as usize % workers) {
                seats.push(seat);
            }
        }
        let source = |(me, seats)| LiveSource::new(me, workers, clock, stopper.clone(), seats);
        let sources = seats.into_iter().enumerate().map(source).collect();
        Ok((Self { program, queues, interface, mode, stopper }, sources))
    }

    /// The mode in force.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The interface as it was when it was opened.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What is known of each queue by now; last of all, of the queues that can have no socket.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn status(&self) -> Result<Vec<QueueStatus>, AfXdpError> {
        let mut status = Vec::with_capacity(self.queues.len() + 1);
        for queue in &self.queues {
            let statistics = queue.watch.statistics().map_err(|source| AfXdpError::Bind {
                interface: self.interface.name.clone(),
                queue: queue.number,
                source,
            })?;
            let counts = self.program.counts(queue.number)?;
            status.push(QueueStatus { queue: queue.number, counts, statistics });
        }
        let with_socket = u32::try_from(self.queues.len()).unwrap_or(QUEUES_MAX);
        for queue in with_socket..=QUEUES_MAX {
            let counts = self.program.counts(queue)?;
            if counts.seen > 0 {
                status.push(QueueStatus { queue, counts, statistics: SocketStatistics::default() });
            }
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

/// A program that is attached, and a socket on each queue, in one mode.
fn bound(
    interface: &Interface,
    params: &AfXdpParams,
    mode: Mode,
    frame_bytes: u32,
) -> Result<(XdpProgram, Vec<XskPort>), AfXdpError> {
    let mut program = XdpProgram::load(&params.program)?;
    let port = PortParams {
        frames: params.frames,
        frame_bytes,
        zero_copy: mode == Mode::ZeroCopy,
        busy_poll_micros: params.busy_poll_micros,
    };
    let mut ports = Vec::new();
    for queue in 0..interface.queues.min(QUEUES_MAX) {
        let port = XskPort::bind(&interface.name, interface.index, queue, &port)?;
        program.give_socket(queue, port.descriptor())?;
        ports.push(port);
    }
    // Last: every frame that it sees finds its socket.
    program.attach(&interface.name, interface.index, mode.attach())?;
    Ok((program, ports))
}
