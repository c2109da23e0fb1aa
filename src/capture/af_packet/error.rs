//! Why an interface can't be captured from.

use std::io;

/// Why an interface can't be captured from, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum AfPacketError {
    /// The operator's: a parameter out of its range.
    #[error("{name} is {value}; it must {must}")]
    Parameter {
        /// Which parameter.
        name: &'static str,
        /// What it is.
        value: u64,
        /// Its rule.
        must: &'static str,
    },
    /// The operator's: the right is missing.
    #[error(
        "capturing needs the capability CAP_NET_RAW: run as root, or state AmbientCapabilities=CAP_NET_RAW in the systemd unit"
    )]
    NotPermitted,
    /// The operator's: whoever confines the program leaves out this kind of socket, as the unit of the package does.
    #[error(
        "packet sockets are not allowed here (AF_PACKET: address family not supported): RestrictAddressFamilies=AF_PACKET in a drop-in of the systemd unit allows them, and /usr/share/doc/phantomnet/examples/af-packet.conf is one"
    )]
    NotAllowed,
    /// The operator's, or the interface was deleted, or made anew under another number.
    #[error("there is no interface number {interface} here; `ip link` lists those there are")]
    NoInterface {
        /// The number.
        interface: u32,
    },
    /// The operator's: the interface is not switched on.
    #[error("interface number {interface} is down: `ip link set NAME up` switches it on")]
    Down {
        /// The number.
        interface: u32,
    },
    /// The operator's: frames of such an interface are not decoded.
    #[error(
        "interface number {interface} is of hardware type {hardware} (linux/if_arp.h), which is not decoded; Ethernet, loopback and plain IP are"
    )]
    HardwareType {
        /// The number.
        interface: u32,
        /// `ARPHRD_*`.
        hardware: u16,
    },
    /// The operator's, or the machine's: the kernel gives no ring of this size.
    #[error(
        "the kernel gives no ring of {blocks} blocks of {block_bytes} bytes: {error}; take fewer blocks, and blocks that are a multiple of the page size (`getconf PAGESIZE`)"
    )]
    Ring {
        /// Blocks.
        blocks: u32,
        /// Bytes of each.
        block_bytes: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The machine's: the kernel refused something that it does everywhere else. Its version is a place to look.
    #[error("the kernel refused to {what}: {error}")]
    Refused {
        /// What it was asked to do.
        what: &'static str,
        /// What it said.
        error: io::Error,
    },
}

impl AfPacketError {
    /// Says what the kernel was asked to do when it refused.
    pub(super) fn refused(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Refused { what, error }
    }
}
