//! How an interface is captured from.

use super::AfPacketError;
use crate::capture::FRAME_BYTES_MAX;

/// The most sockets that the kernel takes into a fanout group unless told otherwise (`PACKET_FANOUT_MAX` before Linux 5.13).
pub const SOCKETS_MAX: usize = 256;

/// The bytes of a VLAN tag, which a frame can grow by when the tag is put back.
const VLAN_TAG_BYTES: usize = 4;

/// How an interface is to be captured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AfPacketParams {
    /// The number of the interface, as `ip link` shows it in front of the name.
    pub interface: u32,
    /// Blocks in the ring of each socket: at least 2, so that one can be filled while one is read.
    pub blocks: u32,
    /// Bytes of a block: a power of two, at least the machine's page size. A frame that is longer is cut.
    pub block_bytes: u32,
    /// After how many milliseconds a block that is not full is handed over: 1 to 1,000. What a frame waits at most.
    pub retire_millis: u32,
    /// How much of a frame is captured, bytes: 64 to [`FRAME_BYTES_MAX`] without a VLAN tag.
    pub snap_bytes: u32,
    /// How the kernel chooses a socket for a frame, where there are several.
    pub fanout: Fanout,
    /// Whether frames to other stations are captured too, which a card drops otherwise. Ends with the last socket.
    pub promiscuous: bool,
}

/// How the kernel chooses a socket for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanout {
    /// By the hash of its flow, the same for both directions (`PACKET_FANOUT_HASH`).
    Flow,
    /// By the receiving queue that the card chose (`PACKET_FANOUT_QM`): with as many sockets as queues, each has one. Which of
    /// them depends on the driver: many number their queues from 1 here.
    Queue,
}

impl AfPacketParams {
    /// An interface with 64 MiB of ring per socket, whole frames to all stations, at most 4 ms late.
    #[must_use]
    pub const fn on(interface: u32) -> Self {
        Self {
            interface,
            blocks: 64,
            block_bytes: 1 << 20,
            retire_millis: 4,
            snap_bytes: SNAP_BYTES_MAX,
            fanout: Fanout::Flow,
            promiscuous: true,
        }
    }

    /// Bytes that the ring of one socket takes.
    #[must_use]
    pub const fn ring_bytes(&self) -> u64 {
        self.blocks as u64 * self.block_bytes as u64
    }

    /// Whether every parameter lies in its range.
    pub(super) fn check(&self, workers: usize) -> Result<(), AfPacketError> {
        let rules = [
            ("workers", workers as u64, (1..=SOCKETS_MAX).contains(&workers), "be 1 to 256"),
            ("blocks", self.blocks.into(), self.blocks >= 2, "be at least 2"),
            (
                "block_bytes",
                self.block_bytes.into(),
                self.block_bytes.is_power_of_two() && self.block_bytes >= BLOCK_BYTES_MIN,
                "be a power of two and at least 4,096, such as 1,048,576",
            ),
            (
                "blocks times block_bytes",
                self.ring_bytes(),
                self.ring_bytes() <= RING_BYTES_MAX,
                "be at most 2,147,483,648",
            ),
            (
                "retire_millis",
                self.retire_millis.into(),
                (1..=1_000).contains(&self.retire_millis),
                "be 1 to 1,000",
            ),
            (
                "snap_bytes",
                self.snap_bytes.into(),
                (64..=SNAP_BYTES_MAX).contains(&self.snap_bytes),
                "be 64 to 262,140",
            ),
        ];
        match rules.into_iter().find(|(_, _, kept, _)| !kept) {
            Some((name, value, _, must)) => Err(AfPacketError::Parameter { name, value, must }),
            None => Ok(()),
        }
    }
}

/// The smallest page of any machine.
const BLOCK_BYTES_MIN: u32 = 4_096;

/// What the kernel can count in the pages of a ring, with room to spare.
const RING_BYTES_MAX: u64 = 1 << 31;

#[expect(clippy::cast_possible_truncation, reason = "it is 2^18, less 4")]
const SNAP_BYTES_MAX: u32 = (FRAME_BYTES_MAX - VLAN_TAG_BYTES) as u32;
