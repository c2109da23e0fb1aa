//! The ring: memory that the kernel and this program share, block by block.
//!
//! Each block has one owner at a time, which its status word names:
//!
//! | status | owner | it may | it hands over by |
//! |---|---|---|---|
//! | `TP_STATUS_KERNEL` | the kernel | write frames | setting `TP_STATUS_USER`, after everything else |
//! | `TP_STATUS_USER` | this program | read them | setting `TP_STATUS_KERNEL`, after everything else |
//!
//! Only two words of a block are looked at while the kernel owns it, as atomics: the status, and the number of its frames.
#![expect(
    unsafe_code,
    reason = "the ring is memory that the kernel writes too; no safe type is made for that"
)]

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{tpacket_block_desc, tpacket_hdr_v1};

use super::socket::PacketSocket;
use super::{AfPacketError, AfPacketParams, calls};

/// Where the status word lies in a block.
const STATUS: usize =
    offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, block_status);

/// Where the number of its frames lies in a block.
const FRAMES: usize = offset_of!(tpacket_block_desc, hdr) + offset_of!(tpacket_hdr_v1, num_pkts);

/// The ring of one socket. Unmapped when dropped.
///
/// Invariant: `start` is the start of a mapping of `blocks * block_bytes` bytes, readable and writable, that this value alone
/// refers to in this program. `block_bytes` is a multiple of a page, and so of a word, and larger than a block's header: the
/// kernel takes on no other ring, and is asked before anything is mapped.
#[derive(Debug)]
pub(super) struct Ring {
    start: NonNull<u8>,
    blocks: usize,
    block_bytes: usize,
}

// SAFETY: the value owns its mapping, and a mapping belongs to the process, not to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Asks the kernel to fill a ring for the socket, and maps it. A socket has one ring: a second request is refused.
    pub(super) fn request(
        socket: &PacketSocket,
        params: &AfPacketParams,
    ) -> Result<Self, AfPacketError> {
        let version = libc::tpacket_versions::TPACKET_V3 as u32;
        calls::set_option(socket.as_fd(), libc::PACKET_VERSION, &version.to_ne_bytes())
            .map_err(AfPacketError::refused("use rings of version 3"))?;
        let refused = |error| AfPacketError::Ring {
            blocks: params.blocks,
            block_bytes: params.block_bytes,
            error,
        };
        calls::set_option(socket.as_fd(), libc::PACKET_RX_RING, &request_bytes(params))
            .map_err(refused)?;
        // The kernel has taken on a ring of this shape, so the mapping is as long.
        Self::map(params, libc::MAP_SHARED, socket.as_fd().as_raw_fd()).map_err(refused)
    }

    fn map(params: &AfPacketParams, flags: i32, descriptor: i32) -> io::Result<Self> {
        let (blocks, block_bytes) = (params.blocks as usize, params.block_bytes as usize);
        // SAFETY: the kernel chooses where, so no mapping of this program is touched; `start` is checked before it is used.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                blocks * block_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                descriptor,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, blocks, block_bytes })
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// A block's bytes, if it is this program's to read; `None` while the kernel fills it, and where there is no such block.
    pub(super) fn block(&self, nth: usize) -> Option<&[u8]> {
        // Acquire: what the kernel wrote before it set the status is seen after.
        if self.word(nth, STATUS)?.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let start = self.place(nth)?;
        // SAFETY: the block lies inside the mapping, which lives as long as `self` is borrowed. The kernel does not write to a
        // block with this status, and this program writes only in `give_back`, which can't be called during the borrow.
        Some(unsafe { slice::from_raw_parts(start.as_ptr(), self.block_bytes) })
    }

    /// Gives a block back to the kernel, to be filled again.
    pub(super) fn give_back(&mut self, nth: usize) {
        let (Some(frames), Some(status)) = (self.word(nth, FRAMES), self.word(nth, STATUS)) else {
            return;
        };
        // So that the words of all blocks count what is in the ring; the kernel sets it anew when it opens the block.
        frames.store(0, Ordering::Relaxed);
        // Release: all that was read from the block was read before.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    /// How many frames all blocks hold now, those being filled and those being read included.
    pub(super) fn frames(&self) -> u64 {
        let held = |nth| self.word(nth, FRAMES).map_or(0, |word| word.load(Ordering::Relaxed));
        (0..self.blocks).map(|nth| u64::from(held(nth))).sum()
    }

    /// A word of a block's header, whoever owns the block.
    fn word(&self, nth: usize, at: usize) -> Option<&AtomicU32> {
        let start = self.place(nth)?;
        // SAFETY: `at` is that of a field of the header, so the word lies inside the block and is aligned as the block is, which
        // begins a page. It lives as long as `self` is borrowed. This program writes to it only through this atomic, and the
        // kernel writes it whole.
        Some(unsafe { AtomicU32::from_ptr(start.as_ptr().add(at).cast()) })
    }

    /// Where a block begins, if there is such a block.
    fn place(&self, nth: usize) -> Option<NonNull<u8>> {
        // SAFETY: the offset is less than the length of the mapping.
        (nth < self.blocks).then(|| unsafe { self.start.add(nth * self.block_bytes) })
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and nothing refers to it any more. It can't fail for a mapping that exists.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.blocks * self.block_bytes) };
    }
}

/// `struct tpacket_req3`: seven words.
fn request_bytes(params: &AfPacketParams) -> [u8; 28] {
    let request = [
        params.block_bytes,
        params.blocks,
        // The size of a frame is checked against that of a block, and then means nothing in version 3.
        params.block_bytes,
        params.blocks,
        params.retire_millis,
        0, // no private part in the blocks
        0, // no hash of each frame
    ];
    let mut bytes = [0; 28];
    for (place, word) in bytes.chunks_exact_mut(4).zip(request) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
impl Ring {
    /// A ring without a kernel behind it; all blocks are the kernel's.
    pub(super) fn imitation(params: &AfPacketParams) -> Self {
        Self::map(params, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1).unwrap()
    }

    /// Does what the kernel does: writes the start of a block, if it is its own, and hands it over.
    pub(super) fn hand_over(&mut self, nth: usize, bytes: &[u8]) {
        assert!(self.block(nth).is_none() && bytes.len() <= self.block_bytes);
        let start = self.place(nth).unwrap();
        // SAFETY: the block is as long, and nothing refers to it.
        unsafe { start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
        self.word(nth, STATUS).unwrap().store(libc::TP_STATUS_USER, Ordering::Release);
    }
}
