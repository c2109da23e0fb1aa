//! Where frames come from. Everything behind [`FrameSource`] looks the same to the worker.

pub mod af_packet;
pub mod af_xdp;
mod clock;
mod dealt;
mod fault;
mod file;
pub mod interface;
mod link_number;
pub mod live;
mod paced;
mod pcap;
mod pcapng;
mod reader;
mod record;
mod stream;
mod writer;
mod zstd;

#[cfg(test)]
mod tests;

pub use self::dealt::{Dealer, Dealt, deal};
pub use self::fault::{Fault, OpenError, StopReason};
pub use self::paced::Paced;
pub use self::reader::Reader;
pub use self::stream::Progress;
pub use self::writer::CaptureWriter;

use std::time::Duration;

use crate::time::Timestamp;

/// How many frames one turn takes at most.
pub const TURN_FRAMES_MAX: usize = 256;

/// How many bytes of frames one turn takes at most; at least [`FRAME_BYTES_MAX`], so that any one frame fits.
pub const TURN_BYTES_MAX: usize = 1 << 20;

/// The longest frame a capture may hold: what libpcap allows as a snap length (`MAXIMUM_SNAPLEN`).
pub const FRAME_BYTES_MAX: usize = 262_144;

const _: () = assert!(FRAME_BYTES_MAX <= TURN_BYTES_MAX, "an empty batch must take any frame");

/// What a frame's first byte belongs to. The numbers are those of the pcap link-layer registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum LinkType {
    /// BSD loopback: address family in the capturing host's byte order.
    Null = 0,
    /// Ethernet.
    Ethernet = 1,
    /// IPv4 or IPv6, told by the version field.
    RawIp = 101,
    /// OpenBSD loopback: address family in network byte order.
    Loop = 108,
    /// Linux cooked capture, version 1.
    LinuxSll = 113,
    /// IPv4 alone.
    Ipv4 = 228,
    /// IPv6 alone.
    Ipv6 = 229,
    /// Linux cooked capture, version 2.
    LinuxSll2 = 276,
    /// A link type that is not decoded. Its frames are counted, never guessed at.
    Unsupported = 0xffff,
}

/// Where one frame lies in its batch, and what the capture said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// When the frame passed, as the card, the kernel or the capture file stated it.
    pub time: Timestamp,
    /// Bytes on the wire; may be more than were captured.
    pub wire_length: u32,
    /// What the first byte belongs to.
    pub link: LinkType,
    start: u32,
    end: u32,
}

/// One frame of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'batch> {
    /// The frame's number: unique, and growing in the order in which frames came. Replay: 1 for the first.
    pub sequence: u64,
    /// When it passed.
    pub time: Timestamp,
    /// Bytes on the wire; may be more than `bytes` holds.
    pub wire_length: u32,
    /// What the first byte belongs to.
    pub link: LinkType,
    /// What was captured of it.
    pub bytes: &'batch [u8],
}

/// The frames of one turn: at most [`TURN_FRAMES_MAX`], in the order in which they came.
///
/// Fixed in size and used again for each turn: filling it allocates nothing.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    heads: Vec<FrameHead>,
    first_sequence: u64,
    /// How far apart the numbers of two frames are.
    stride: u64,
    turn: u64,
}

impl Batch {
    /// An empty batch with all the room it will ever have.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: Vec::with_capacity(TURN_BYTES_MAX),
            heads: Vec::with_capacity(TURN_FRAMES_MAX),
            first_sequence: 1,
            stride: 1,
            turn: 0,
        }
    }

    /// Empties the batch for the turn numbered `turn`, whose first frame will carry `first_sequence`.
    pub fn begin(&mut self, turn: u64, first_sequence: u64) {
        self.begin_every(turn, first_sequence, 1);
    }

    /// The same, where only every `stride`th number is this receiver's: the others belong to other receivers.
    pub fn begin_every(&mut self, turn: u64, first_sequence: u64, stride: u64) {
        self.bytes.clear();
        self.heads.clear();
        self.turn = turn;
        self.first_sequence = first_sequence;
        self.stride = stride;
    }

    /// Whether a frame of `length` bytes still fits.
    #[must_use]
    pub fn has_room_for(&self, length: usize) -> bool {
        self.heads.len() < TURN_FRAMES_MAX && self.bytes.len() + length <= TURN_BYTES_MAX
    }

    /// Adds a frame. Returns whether it fitted; a frame that did not is not taken in part.
    #[must_use]
    pub fn push(
        &mut self,
        time: Timestamp,
        wire_length: u32,
        link: LinkType,
        frame: &[u8],
    ) -> bool {
        if !self.has_room_for(frame.len()) {
            return false;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(frame);
        let place = |at: usize| u32::try_from(at).expect("TURN_BYTES_MAX is far below 2^32");
        self.heads.push(FrameHead {
            time,
            wire_length,
            link,
            start: place(start),
            end: place(self.bytes.len()),
        });
        true
    }

    /// The number of the turn: 0 for the first batch of a capture, then one more for each.
    #[must_use]
    pub const fn turn(&self) -> u64 {
        self.turn
    }

    /// How many frames it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether it holds no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The frames, in the order in which they came.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        self.heads.iter().enumerate().map(|(nth, head)| Frame {
            sequence: self.first_sequence + nth as u64 * self.stride,
            time: head.time,
            wire_length: head.wire_length,
            link: head.link,
            bytes: self.bytes.get(head.start as usize..head.end as usize).unwrap_or_default(),
        })
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// What asking for a batch gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The batch holds at least one frame.
    Frames,
    /// Nothing now; there may be more later.
    Nothing,
    /// There will never be another frame.
    End,
}

/// Something that gives frames in batches: a queue of a card, a capture file, a generator.
pub trait FrameSource {
    /// Fills `batch` with the next frames. Never blocks for longer than it takes to read them.
    fn receive(&mut self, batch: &mut Batch) -> Received;

    /// No frame that will be received bears an earlier time. Asked only where each of several workers has a source of its own
    /// ([`Order::Time`](crate::handover::Order::Time)).
    fn horizon(&self) -> Timestamp {
        Timestamp::EPOCH
    }

    /// Waits for frames, but not much longer than `nap`.
    fn wait(&mut self, nap: Duration) {
        std::thread::sleep(nap);
    }
}
