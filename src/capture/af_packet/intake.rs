//! From the blocks of a ring into batches.

use super::block::{Packet, Place, VlanTag, Walk};
use super::ring::Ring;
use crate::capture::{Batch, FRAME_BYTES_MAX, LinkType};
use crate::time::Timestamp;

/// Takes the frames out of a ring, in the order in which the kernel put them in.
#[derive(Debug)]
pub(super) struct Intake {
    ring: Ring,
    /// The longest piece of a frame that is captured.
    snap_bytes: usize,
    /// The block that comes next. The kernel fills them in rotation.
    block: usize,
    /// How far that block was walked, if a batch was full before its end.
    reached: Option<Place>,
    finish: Finish,
    taken: u64,
    unreadable: u64,
}

/// Makes of a frame in the ring what was on the wire.
#[derive(Debug)]
struct Finish {
    link: LinkType,
    /// The latest time of a frame so far: no later one comes before it.
    horizon: Timestamp,
    /// Frames whose own time lay before it.
    restamped: u64,
    /// A frame with its tag put back.
    tagged: Vec<u8>,
}

impl Intake {
    /// With all the memory it will ever need.
    pub(super) fn new(ring: Ring, link: LinkType, snap_bytes: u32) -> Self {
        let finish = Finish {
            link,
            horizon: Timestamp::EPOCH,
            restamped: 0,
            tagged: Vec::with_capacity(FRAME_BYTES_MAX),
        };
        let snap_bytes = snap_bytes as usize;
        Self { ring, snap_bytes, block: 0, reached: None, finish, taken: 0, unreadable: 0 }
    }

    /// Fills the batch as far as there are frames. A block is given back as soon as its last frame is taken. `time_of` makes of the
    /// time that the kernel states the one that a frame bears.
    pub(super) fn fill(
        &mut self,
        batch: &mut Batch,
        time_of: &mut dyn FnMut(Timestamp) -> Timestamp,
    ) {
        // Each block at most once, however fast they come back.
        for _ in 0..self.ring.blocks() {
            let Some(block) = self.ring.block(self.block) else { break };
            let mut walk = Walk::new(block, self.snap_bytes, self.reached);
            let stopped = self.finish.put_all(&mut walk, batch, time_of);
            self.reached = stopped;
            if stopped.is_some() {
                break;
            }
            // No end before the last frame but that of a block which makes no sense.
            self.unreadable += u64::from(walk.place().left());
            self.ring.give_back(self.block);
            self.block = (self.block + 1) % self.ring.blocks();
        }
        self.taken += batch.len() as u64;
    }

    /// Frames given out in batches.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Frames that could not be read, since a header led out of its block.
    pub(super) const fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Frames whose time was before that of one given out earlier.
    pub(super) const fn restamped(&self) -> u64 {
        self.finish.restamped
    }

    /// Frames that are in the ring and have not been taken.
    pub(super) fn waiting(&self) -> u64 {
        let begun = self.reached.and_then(|reached| {
            let block = self.ring.block(self.block)?;
            let whole = Walk::new(block, self.snap_bytes, None).place().left();
            Some(u64::from(whole.saturating_sub(reached.left())))
        });
        self.ring.frames().saturating_sub(begun.unwrap_or(0))
    }
}

impl Finish {
    /// Puts what is left of a block into the batch. Where the batch was full before: what has to come next.
    fn put_all(
        &mut self,
        walk: &mut Walk<'_>,
        batch: &mut Batch,
        time_of: &mut dyn FnMut(Timestamp) -> Timestamp,
    ) -> Option<Place> {
        loop {
            let before = walk.place();
            let packet = walk.next()?;
            if !self.put(&packet, batch, time_of(packet.time)) {
                return Some(before);
            }
        }
    }

    /// Puts a frame into the batch. Returns whether it fitted.
    fn put(&mut self, packet: &Packet<'_>, batch: &mut Batch, stated: Timestamp) -> bool {
        let time = stated.max(self.horizon);
        let bytes = match packet.tag {
            Some(tag) => put_back(tag, packet.bytes, &mut self.tagged),
            None => packet.bytes,
        };
        let grown = u32::try_from(bytes.len() - packet.bytes.len()).unwrap_or(0);
        let wire_length = packet.length.saturating_add(grown);
        let fitted = batch.push(time, wire_length, self.link, bytes);
        if fitted {
            self.restamped += u64::from(stated < self.horizon);
            self.horizon = time;
        }
        fitted
    }
}

/// The frame as it was, with the tag behind the two addresses. One that was cut before them stays as it is.
fn put_back<'a>(tag: VlanTag, frame: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    let Some((addresses, rest)) = frame.split_first_chunk::<12>() else { return frame };
    room.clear();
    room.extend_from_slice(addresses);
    room.extend_from_slice(&tag.protocol.to_be_bytes());
    room.extend_from_slice(&tag.control.to_be_bytes());
    room.extend_from_slice(rest);
    room
}

#[cfg(test)]
impl Intake {
    /// For a test to do what the kernel does.
    pub(super) fn ring_mut(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// How long a frame may be for its tag to be put back without taking more memory.
    pub(super) fn room_for_tags(&self) -> usize {
        self.finish.tagged.capacity()
    }
}
