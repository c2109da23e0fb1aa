//! Frames to other stations, for sockets of another kind that can't ask for them.

use super::AfPacketError;
use super::socket::PacketSocket;

/// Has a card receive frames to other stations too, as long as it lives. The kernel ends that also when the process is killed.
///
/// `AF_XDP` sockets have no such option (`packet(7)`, `PACKET_ADD_MEMBERSHIP`). The socket that has it here receives nothing itself.
#[derive(Debug)]
pub struct Promiscuity(#[expect(dead_code, reason = "it is held for its effect")] PacketSocket);

impl Promiscuity {
    /// Asks for the frames of the interface of this number.
    ///
    /// # Errors
    ///
    /// When the right is missing (`CAP_NET_RAW`), packet sockets are not allowed here, or there is no such interface.
    pub fn hold(interface: u32) -> Result<Self, AfPacketError> {
        let socket = PacketSocket::open_deaf()?;
        socket.see_all_stations(interface)?;
        Ok(Self(socket))
    }
}
