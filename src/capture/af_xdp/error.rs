//! What can go wrong on the way to an interface's frames.

use std::io;

use rustix::io::Errno;

/// Why frames of an interface can't be had through `AF_XDP`.
#[derive(Debug, thiserror::Error)]
pub enum AfXdpError {
    /// The kernel refuses the program.
    #[error(
        "the kernel does not load the XDP program: {0}; it takes CAP_BPF and CAP_NET_ADMIN, and Linux 5.18 or later"
    )]
    Load(String),
    /// Another program is attached.
    #[error(
        "{interface} has an XDP program already ({}), which is not replaced unasked: `bpftool prog show` says whose it is; capture.replace = true, or `run --replace`, takes it away",
        numbered(.programs)
    )]
    Taken {
        /// The interface.
        interface: String,
        /// The numbers of its programs.
        programs: Vec<u32>,
    },
    /// Another program is attached, and can't be taken away from outside.
    #[error(
        "{interface} has an XDP program already ({}) that a BPF link holds: only its holder takes it away; {}",
        numbered(.programs),
        to_be_ended(.holders)
    )]
    Held {
        /// The interface.
        interface: String,
        /// The numbers of its programs.
        programs: Vec<u32>,
        /// The processes that hold the link, as far as they can be seen.
        holders: Vec<String>,
    },
    /// Another program stands where this one stood.
    #[error(
        "{interface} has another XDP program now ({}): the sensor's is attached again when that one goes",
        numbered(.programs)
    )]
    Displaced {
        /// The interface.
        interface: String,
        /// The numbers of its programs.
        programs: Vec<u32>,
    },
    /// Another program can't be taken away.
    #[error("the XDP program of {interface} ({}) can't be taken away: {source}", numbered(.programs))]
    NotReplaced {
        /// The interface.
        interface: String,
        /// The numbers of its programs.
        programs: Vec<u32>,
        /// What the kernel says.
        source: io::Error,
    },
    /// Another program was taken away, and then this one could not be attached.
    #[error("{source}; the XDP program that was there ({}) was taken away by then, and is not put back", numbered(.programs))]
    AfterReplacing {
        /// The numbers of those programs.
        programs: Vec<u32>,
        /// What went wrong.
        source: Box<Self>,
    },
    /// The program can't be attached in this mode.
    #[error("{interface} takes no XDP program in {mode} mode: {source}")]
    Attach {
        /// The interface.
        interface: String,
        /// The mode.
        mode: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel attaches programs only in a way that outlives this process.
    #[error(
        "the kernel has no BPF links for XDP, and a program without one would outlive this process: it takes Linux 5.9 or later"
    )]
    NoLink,
    /// A map of the program does not do what it is asked.
    #[error("the map {map} of the XDP program: {reason}")]
    Map {
        /// Which.
        map: &'static str,
        /// What the kernel says.
        reason: String,
    },
    /// Memory or rings can't be had.
    #[error(
        "no memory for the frames of queue {queue}: {reason}; LimitMEMLOCK= of the unit, or `ulimit -l`, bounds it"
    )]
    Memory {
        /// The queue.
        queue: u32,
        /// What the kernel says.
        reason: String,
    },
    /// The socket can't be bound.
    #[error("no AF_XDP socket on queue {queue} of {interface}: {source}{}", if_taken(.source))]
    Bind {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel does not look for frames on the worker's behalf.
    #[error(
        "queue {queue} of {interface} can't be polled busily: {source}; capture.busy_poll_us = 0 leaves it to interrupts"
    )]
    BusyPoll {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the kernel says.
        source: io::Error,
    },
    /// The sensor was told to end before it had all that it needs.
    #[error("told to end before frames were received")]
    ToldToEnd,
    /// Frames of the interface can be longer than what a place for them holds.
    #[error(
        "the MTU of {interface} is {mtu}, and a frame of that size does not fit into {room} bytes: `ip link set dev {interface} mtu {fits}`, or capture.backend = \"af_packet\""
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU, bytes.
        mtu: u32,
        /// The largest frame that fits, bytes.
        room: u32,
        /// The largest MTU that fits, bytes.
        fits: u32,
    },
}

fn numbered(programs: &[u32]) -> String {
    let ids: Vec<String> = programs.iter().map(|id| format!("id {id}")).collect();
    if ids.is_empty() { "its id is not known".to_owned() } else { ids.join(", ") }
}

/// What a queue is that the kernel calls busy.
fn if_taken(source: &io::Error) -> &'static str {
    if Errno::from_io_error(source) == Some(Errno::BUSY) {
        "; another AF_XDP socket has the queue"
    } else {
        ""
    }
}

fn to_be_ended(holders: &[String]) -> String {
    if holders.is_empty() {
        return "`bpftool link show` says, to root, which process that is, or which file pins it"
            .to_owned();
    }
    format!("it is held by {}, which has to end first", holders.join(", "))
}

impl AfXdpError {
    /// Whether another socket has a queue.
    #[must_use]
    pub fn is_of_a_taken_queue(&self) -> bool {
        matches!(self, Self::Bind { source, .. } if Errno::from_io_error(source) == Some(Errno::BUSY))
    }

    /// Whether neither another mode nor another kind of socket would be what was asked for.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Taken { .. }
            | Self::Held { .. }
            | Self::NotReplaced { .. }
            | Self::BusyPoll { .. }
            | Self::ToldToEnd => true,
            Self::Displaced { .. }
            | Self::AfterReplacing { .. }
            | Self::Load(_)
            | Self::Attach { .. }
            | Self::NoLink
            | Self::Map { .. }
            | Self::Memory { .. }
            | Self::Bind { .. }
            | Self::MtuTooLarge { .. } => false,
        }
    }
}
