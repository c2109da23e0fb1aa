//! Questions that a driver answers through `ioctl` (`SIOCETHTOOL`; the structures are those of `linux/ethtool.h`).
#![expect(unsafe_code, reason = "an ioctl takes the address of a structure")]

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

/// The longest name of an interface, with the zero behind it (`IFNAMSIZ`).
const NAME_BYTES: usize = 16;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Channels {
    command: u32,
    receive_max: u32,
    transmit_max: u32,
    other_max: u32,
    combined_max: u32,
    receive: u32,
    transmit: u32,
    other: u32,
    combined: u32,
}

/// `struct ifreq`, for a command whose argument is an address; the kernel copies 40 bytes.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    argument: *mut Channels,
    rest: [u8; 16],
}

const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// How many receive queues are in use.
///
/// # Errors
///
/// `EOPNOTSUPP` when the driver does not say.
pub(super) fn receive_queues(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut request = Request { name: [0; NAME_BYTES], argument: &raw mut channels, rest: [0; 16] };
    let room = request.name.get_mut(..interface.len()).filter(|room| room.len() < NAME_BYTES);
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(interface.as_bytes());
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: the request and the structure that it points to live until the call returns, and are those of the command.
    let answered = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if answered != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(channels.receive.saturating_add(channels.combined))
}
