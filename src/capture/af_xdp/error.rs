//! What can go wrong on the way to an interface's frames.

use std::io;

use aya::programs::ProgramError;

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
        "{interface} has an XDP program already ({}), which is not replaced: `bpftool prog show` says whose it is, `ip link set dev {interface} xdp off` takes it away",
        numbered(.programs)
    )]
    Taken {
        /// The interface.
        interface: String,
        /// The numbers of its programs.
        programs: Vec<u32>,
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
    #[error("no AF_XDP socket on queue {queue} of {interface}: {source}")]
    Bind {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the kernel says.
        source: io::Error,
    },
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

impl AfXdpError {
    /// Whether it is another program that decides what becomes of the frames.
    #[must_use]
    pub const fn is_of_another_program(&self) -> bool {
        matches!(self, Self::Taken { .. })
    }
}

/// What the kernel said, out of the layers of the library.
pub(super) fn kernel_error(error: ProgramError) -> io::Error {
    match error {
        ProgramError::SyscallError(syscall) => syscall.io_error,
        ProgramError::IOError(error) => error,
        other => io::Error::other(other),
    }
}
