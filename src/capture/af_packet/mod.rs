//! Frames copied from a network interface by the kernel: packet sockets with a memory-mapped ring, `TPACKET_V3`.
//!
//! ```text
//!                                 +--> socket 0: ring of blocks --> AfPacketSource 0
//!   interface --> fanout group ---+--> socket 1: ring of blocks --> AfPacketSource 1
//!                                 +--> ...
//! ```
//!
//! The interface goes on as before: what is captured is a copy. One source is one socket with a ring of its own and belongs to
//! one worker; the kernel's fanout group gives each frame to exactly one of them. The kernel writes frames one behind the other
//! into a block, and hands the block over when it is full or [`AfPacketParams::retire_millis`] have passed; the source copies the
//! frames into batches and gives the block back.
//!
//! **What a frame looks like.** As on the wire: a VLAN tag that the card or the kernel took out is put back. The time is the
//! kernel's, in nanoseconds, and never goes back within a source. Frames that the host sends are left out. A card or kernel that
//! joins segments (GRO, LRO) does so before the copy is taken: `ethtool -K INTERFACE gro off lro off`.
//!
//! **What is counted** ([`SocketCounters`]): `delivered = taken + in_ring + dropped + unreadable`. The kernel counts a frame once a
//! socket's filter has let it through: as delivered if it found room in the ring, else as delivered *and* dropped. The filter lets
//! nothing through until every socket is in the group, so no frame is counted before it can come to one socket only. What the card
//! or the kernel lost before that point is not seen here (`ip -s link`, `/proc/net/softnet_stat`).
//!
//! Sources: `packet(7)`; the kernel's `Documentation/networking/packet_mmap.rst`; `linux/if_packet.h`.

mod block;
mod calls;
mod capture;
mod error;
mod intake;
mod params;
mod promiscuity;
mod ring;
mod socket;
mod source;

#[cfg(test)]
mod tests;

pub use self::capture::AfPacketCapture;
pub use self::error::AfPacketError;
pub use self::params::{AfPacketParams, Fanout, SOCKETS_MAX};
pub use self::promiscuity::Promiscuity;
pub use self::socket::{Health, InterfaceState};
pub use self::source::{AfPacketSource, SocketCounters};

use self::intake::Intake;
use self::ring::Ring;
use self::socket::PacketSocket;

/// Begins to capture from an interface of the calling thread's network namespace: one source for each of `workers` workers.
///
/// # Errors
/// When a parameter is out of its range, the right is missing (`CAP_NET_RAW`), the interface is missing, down or of a kind that
/// is not decoded, or the kernel has no memory for the rings.
pub fn open(params: &AfPacketParams, workers: usize) -> Result<Vec<AfPacketSource>, AfPacketError> {
    params.check(workers)?;
    let mut group = None;
    let mut sources = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = PacketSocket::open_deaf()?;
        let ring = Ring::request(&socket, params)?;
        let link = socket.bind(params.interface)?;
        if params.promiscuous {
            socket.see_all_stations(params.interface)?;
        }
        if workers > 1 {
            group = Some(socket.join(group, params.fanout)?);
        }
        sources.push(AfPacketSource::new(Intake::new(ring, link, params.snap_bytes), socket));
    }
    for source in &sources {
        source.listen(params.snap_bytes)?;
    }
    Ok(sources)
}
