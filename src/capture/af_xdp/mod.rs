//! Frames from `AF_XDP` sockets: the driver hands them over before the kernel's network stack has seen them.
//!
//! An [`XdpProgram`] is attached to the interface and gives each frame to the socket of the queue that it came on; it counts every frame
//! it sees. An [`XskPort`] is that socket, with memory that it shares with the kernel. Kernel documentation:
//! `Documentation/networking/af_xdp.rst`.

mod attachment;
mod capture;
mod error;
mod holder;
mod port;
mod program;

pub use self::capture::{AfXdpCapture, AfXdpParams, Mode, UNDER_WAY};
pub use self::error::AfXdpError;
pub use self::port::{PortParams, PortWatch, XskPort, frame_bytes_for};
pub use self::program::{
    AttachMode, IGNORED_MAX, NoSocket, ProgramParams, QUEUES_MAX, XdpProgram, is_ours,
};
