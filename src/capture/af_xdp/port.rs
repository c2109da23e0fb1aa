//! One queue's `AF_XDP` socket, with the memory and the rings that it shares with the kernel.
#![expect(
    unsafe_code,
    reason = "frames lie in memory that the kernel writes: the library leaves it to its user that memory outlives rings and frames"
)]

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::xdp::XdpOptionsFlags;
use rustix::net::{RecvFlags, recv, sockopt};
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab as _};
use xdp::socket::{BindFlags, SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing};

use super::AfXdpError;
use crate::capture::live::{Port, SocketStatistics, Stamper};
use crate::capture::{Batch, LinkType, TURN_FRAMES_MAX};

/// What the kernel keeps free before each frame (`XDP_PACKET_HEADROOM`), bytes.
const KERNEL_ROOM: u32 = 256;

/// The program's `struct stamp`, bytes: it stands right before the frame.
const STAMP_BYTES: u32 = 16;

/// `STAMP_MAGIC` of the program.
const STAMP_MAGIC: u32 = 0x504e_5453;

/// What an Ethernet frame has beside its payload: header, and two VLAN tags that an MTU does not count.
const BESIDE_PAYLOAD: u32 = 14 + 8;

/// What an address is rounded down to: a page, or part of one.
const PAGE_BYTES: usize = 4_096;

/// How long a queue is asked for that its last owner has only just left: the kernel lets go of it a little later.
const BIND_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is asked.
const BIND_EVERY: Duration = Duration::from_millis(5);

/// How one queue is received.
#[derive(Clone, Copy, Debug)]
pub struct PortParams {
    /// Places for frames: a power of two.
    pub frames: u32,
    /// Bytes of a place: 2,048 or 4,096.
    pub frame_bytes: u32,
    /// Whether frames must come without being copied (`XDP_ZEROCOPY`); else they must be copied (`XDP_COPY`).
    pub zero_copy: bool,
    /// Microseconds for which the kernel looks for frames on the worker's behalf (`SO_BUSY_POLL`); 0 for not at all.
    pub busy_poll_micros: u32,
}

/// The bytes of a place that holds the frames of an interface with this MTU, and the largest frame that then fits.
///
/// # Errors
///
/// When there is none: the frames would be dropped.
pub fn frame_bytes_for(interface: &str, mtu: u32) -> Result<(u32, u32), AfXdpError> {
    let room = |bytes: u32| bytes - KERNEL_ROOM - STAMP_BYTES;
    let largest = mtu.saturating_add(BESIDE_PAYLOAD);
    for bytes in [2_048, 4_096] {
        if largest <= room(bytes) {
            return Ok((bytes, room(bytes)));
        }
    }
    let room = room(4_096);
    Err(AfXdpError::MtuTooLarge {
        interface: interface.to_owned(),
        mtu,
        room,
        fits: room - BESIDE_PAYLOAD,
    })
}

/// A bound socket.
///
/// Fields are dropped in their order, and the order matters: a queue is free again only when the rings are unmapped, and the kernel
/// must have let go of the memory before that is unmapped.
pub struct XskPort {
    fill: WakableFillRing,
    received: RxRing,
    _completed: CompletionRing,
    socket: XdpSocket,
    memory: Umem,
    /// Frames on their way from the ring to the batch; empty between turns.
    packets: HeapSlab,
    zero_copy: bool,
    /// Whether the kernel looks for frames only when it is asked to.
    asks_for_frames: bool,
}

// SAFETY: what is not `Send` by itself are the frames in `packets`, pointers into `memory`. `take` leaves none behind, so that a port that
// can be moved holds none; all else in it may be used from any one thread.
unsafe impl Send for XskPort {}

impl std::fmt::Debug for XskPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XskPort").field("zero_copy", &self.zero_copy).finish_non_exhaustive()
    }
}

impl XskPort {
    /// Binds a socket to a queue. Every place for a frame is with the kernel before it is bound: some drivers never look again.
    ///
    /// # Errors
    ///
    /// When there is no memory, the queue is taken, or the driver does not do what is asked.
    pub fn bind(
        interface: &str,
        index: u32,
        queue: u32,
        params: &PortParams,
    ) -> Result<Self, AfXdpError> {
        Self::bind_unless(interface, index, queue, params, || false)
    }

    /// The same; a queue that is taken is waited for no longer than until `ends`.
    ///
    /// # Errors
    ///
    /// As above, and when it ends.
    pub fn bind_unless(
        interface: &str,
        index: u32,
        queue: u32,
        params: &PortParams,
        ends: impl Fn() -> bool,
    ) -> Result<Self, AfXdpError> {
        let began = Instant::now();
        loop {
            if ends() {
                return Err(AfXdpError::ToldToEnd);
            }
            match Self::try_bind(interface, index, queue, params) {
                Err(AfXdpError::Bind { source, .. })
                    if Errno::from_io_error(&source) == Some(Errno::BUSY)
                        && began.elapsed() < BIND_PATIENCE =>
                {
                    std::thread::sleep(BIND_EVERY);
                }
                bound => return bound,
            }
        }
    }

    fn try_bind(
        interface: &str,
        index: u32,
        queue: u32,
        params: &PortParams,
    ) -> Result<Self, AfXdpError> {
        let no_memory = |reason: &dyn std::fmt::Display| AfXdpError::Memory {
            queue,
            reason: reason.to_string(),
        };
        let mut memory = memory(params).map_err(|error| no_memory(&error))?;
        // As many places in the rings as there are frames: neither ring can be full for want of a place.
        let rings = RingConfigBuilder {
            rx_count: params.frames,
            tx_count: 0,
            fill_count: params.frames,
            completion_count: 1,
        };
        let rings = rings.build().map_err(|error| no_memory(&error))?;
        let mut builder =
            XdpSocketBuilder::new().map_err(|error| bind_error(interface, queue, error))?;
        let (rings, mut flags) =
            builder.build_wakable_rings(&memory, rings).map_err(|error| no_memory(&error))?;
        let Some(received) = rings.rx_ring else {
            return Err(no_memory(&"the socket has no ring of received frames"));
        };
        let mut fill = rings.fill_ring;
        let frames = params.frames as usize;
        // SAFETY: `memory` is dropped after the socket and its rings: see the order of the fields.
        let filled = unsafe { fill.enqueue(&mut memory, frames, false) };
        filled.map_err(|error| no_memory(&error))?;
        choose(&mut flags, params.zero_copy);
        let socket = builder
            .bind(NicIndex::new(index), queue, flags)
            .map_err(|error| bind_error(interface, queue, error))?;
        let packets = HeapSlab::with_capacity(TURN_FRAMES_MAX);
        let mut port = Self {
            fill,
            received,
            _completed: rings.completion_ring,
            socket,
            memory,
            packets,
            zero_copy: false,
            asks_for_frames: false,
        };
        let options = sockopt::xdp_options(port.descriptor())
            .map_err(|error| bind_error(interface, queue, SocketError::Bind(error.into())))?;
        port.zero_copy = options.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY);
        if params.busy_poll_micros > 0 {
            port.busy_poll(params.busy_poll_micros).map_err(|source| {
                let interface = interface.to_owned();
                AfXdpError::BusyPoll { interface, queue, source }
            })?;
        }
        Ok(port)
    }

    /// Lets the kernel look for frames whenever the worker asks (`SO_BUSY_POLL`, with `SO_PREFER_BUSY_POLL` and a turn as the budget), for
    /// drivers that do no better by interrupts.
    fn busy_poll(&mut self, micros: u32) -> io::Result<()> {
        let micros = libc::c_int::try_from(micros).unwrap_or(libc::c_int::MAX);
        let turn = libc::c_int::try_from(TURN_FRAMES_MAX).unwrap_or(libc::c_int::MAX);
        set_option(self.descriptor(), libc::SO_PREFER_BUSY_POLL, 1)?;
        set_option(self.descriptor(), libc::SO_BUSY_POLL, micros)?;
        set_option(self.descriptor(), libc::SO_BUSY_POLL_BUDGET, turn)?;
        self.asks_for_frames = true;
        Ok(())
    }

    /// Whether frames come without being copied, as the kernel says.
    #[must_use]
    pub const fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Another handle of the socket, for who watches over it. The queue stays taken as long as it lives.
    ///
    /// # Errors
    ///
    /// When there is no descriptor left.
    pub fn watch(&self) -> io::Result<PortWatch> {
        Ok(PortWatch { descriptor: self.descriptor().try_clone_to_owned()? })
    }

    /// Places for frames that are neither with the kernel nor in a ring: 0 between turns.
    #[must_use]
    pub fn places_at_hand(&self) -> usize {
        self.memory.allocatable()
    }

    /// Gives the free places to the kernel; wakes it if that is asked for.
    ///
    /// The ring has room for all of them, but the kernel shows received frames a moment before it shows that it took their places
    /// from this ring. What finds no room then goes with the next turn; the library takes all or nothing, so less is tried.
    fn fill(&mut self, wake: bool) {
        let mut places = self.memory.allocatable();
        while places > 0 {
            // SAFETY: `memory` is dropped after the socket and its rings: see the order of the fields.
            let filled = unsafe { self.fill.enqueue(&mut self.memory, places, false) };
            if filled.is_ok_and(|filled| filled > 0) {
                break;
            }
            places /= 2;
        }
        if wake {
            // What is wrong with the interface is for the watcher to find.
            let _state: Result<_, Errno> = probe(self.descriptor());
        }
    }
}

impl Port for XskPort {
    fn take(&mut self, batch: &mut Batch, stamper: &mut Stamper) -> usize {
        // SAFETY: every frame goes back to `memory` below, before this returns.
        let came = unsafe { self.received.recv(&self.memory, &mut self.packets) };
        if came == 0 {
            self.fill(true);
            return 0;
        }
        stamper.expect(came);
        while let Some(mut packet) = self.packets.pop_back() {
            let time = match take_stamp(&mut packet) {
                Some(nanos) => stamper.next_at_monotonic(nanos),
                None => stamper.next_in_row(),
            };
            let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
            // A turn takes as many frames as the slab, and has room for each: no frame is longer than its place.
            let fitted = batch.push(time, length, LinkType::Ethernet, &packet);
            debug_assert!(fitted, "a batch has room for a slab of frames");
            self.memory.free_packet(packet);
        }
        // A driver that writes into these places itself, and had none left, waits until somebody says that there are some again; the kernel
        // knows whether it does. One that polls does nothing unasked.
        self.fill(self.zero_copy || self.asks_for_frames);
        came
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

/// The stamp before a frame, if the program put one there. It is wiped, so that a frame without one never bears an old one.
fn take_stamp(packet: &mut Packet) -> Option<i64> {
    const STAMP: i32 = STAMP_BYTES.cast_signed();
    packet.adjust_head(-STAMP).ok()?;
    let stamp = packet.first_chunk::<{ STAMP_BYTES as usize }>().copied();
    let stamp = stamp.and_then(|stamp| {
        let [a, b, c, d, e, f, g, h, magic @ .., _, _, _, _] = stamp;
        let nanos = i64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        (u32::from_ne_bytes(magic) == STAMP_MAGIC).then_some(nanos)
    });
    if stamp.is_some()
        && let Some(place) = packet.first_chunk_mut::<{ STAMP_BYTES as usize }>()
    {
        place.fill(0);
    }
    // There and back again: it fits.
    packet.adjust_head(STAMP).ok()?;
    stamp
}

/// A socket as its watcher sees it.
#[derive(Debug)]
pub struct PortWatch {
    descriptor: OwnedFd,
}

impl PortWatch {
    /// What the kernel has counted since the socket was made (`XDP_STATISTICS`).
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn statistics(&self) -> io::Result<SocketStatistics> {
        let counted = sockopt::xdp_statistics(&self.descriptor)?;
        Ok(SocketStatistics {
            dropped: counted.rx_dropped,
            ring_full: counted.rx_ring_full.unwrap_or(0),
            invalid_places: counted.rx_invalid_descs,
            fill_ring_empty: counted.rx_fill_ring_empty_descs.unwrap_or(0),
        })
    }

    /// For how many microseconds the kernel looks for frames on the worker's behalf, and whether that is preferred to interrupts
    /// (`SO_BUSY_POLL`, `SO_PREFER_BUSY_POLL`), as the kernel says.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn busy_poll(&self) -> io::Result<(u32, bool)> {
        let socket = self.descriptor.as_fd();
        let micros = option(socket, libc::SO_BUSY_POLL)?;
        let is_preferred = option(socket, libc::SO_PREFER_BUSY_POLL)? != 0;
        Ok((u32::try_from(micros).unwrap_or(0), is_preferred))
    }

    /// Whether the interface is up and there: polling would never tell.
    ///
    /// # Errors
    ///
    /// `ENETDOWN` when it is down, `ENXIO` when it is gone.
    pub fn check(&self) -> io::Result<()> {
        Ok(probe(&self.descriptor)?)
    }
}

/// Wakes the kernel, and asks it how the interface is.
fn probe(socket: impl std::os::fd::AsFd) -> Result<(), Errno> {
    match recv(socket, &mut [0_u8; 0], RecvFlags::DONTWAIT) {
        Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::BUSY) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sets an option of sockets (`SOL_SOCKET`) that is an int.
fn set_option(socket: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option takes an int, and gets the address and the size of one that lives until the call returns.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(&value).cast(),
            INT_BYTES,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Such an option as it is.
fn option(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<libc::c_int> {
    let (mut value, mut length) = (0, INT_BYTES);
    // SAFETY: the kernel writes no more than an int, and how much that was, to two places that live until the call returns.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_mut(&mut value).cast(),
            &raw mut length,
        )
    };
    if got == 0 { Ok(value) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "an int has four bytes")]
const INT_BYTES: libc::socklen_t = size_of::<libc::c_int>() as libc::socklen_t;

fn memory(params: &PortParams) -> Result<Umem, io::Error> {
    let frame_size = if params.frame_bytes <= 2_048 { FrameSize::TwoK } else { FrameSize::FourK };
    let config = UmemCfgBuilder {
        frame_size,
        head_room: STAMP_BYTES,
        frame_count: params.frames,
        ..UmemCfgBuilder::default()
    };
    let mut memory = Umem::map(config.build().map_err(io::Error::other)?)?;
    ask_for_huge_pages(&mut memory, params.frames as usize * params.frame_bytes as usize);
    Ok(memory)
}

/// Asks the kernel to take huge pages for memory that it has given nothing for yet, where it has any (`MADV_HUGEPAGE`): each frame lies
/// on a page of its own, or half of one, and the processor remembers far fewer small ones than there are frames.
fn ask_for_huge_pages(memory: &mut Umem, bytes: usize) {
    // SAFETY: the packet goes back before this returns.
    let Some(first) = (unsafe { memory.alloc() }) else { return };
    // The library does not say where its memory lies, but its first frame begins it, and what stands before the frame's bytes is
    // shorter than a page.
    let begin = first.as_ptr().cast_mut().map_addr(|address| address & !(PAGE_BYTES - 1));
    memory.free_packet(first);
    debug_assert!(begin.addr().is_multiple_of(PAGE_BYTES), "frames begin at the memory's begin");
    // SAFETY: this changes the content of no memory, ours or not: it is advice on which pages to take. That it is about this memory and
    // no other holds as long as the library gives out its first frame first; `frames_lie_on_huge_pages…` would show that it does not.
    let _advised: libc::c_int = unsafe { libc::madvise(begin.cast(), bytes, libc::MADV_HUGEPAGE) };
}

fn choose(flags: &mut BindFlags, zero_copy: bool) {
    if zero_copy {
        flags.force_zerocopy();
    } else {
        flags.force_copy();
    }
}

fn bind_error(interface: &str, queue: u32, error: SocketError) -> AfXdpError {
    let source = match error {
        SocketError::SocketCreation(source)
        | SocketError::Bind(source)
        | SocketError::SetSockOpt { inner: source, .. }
        | SocketError::GetSockOpt { inner: source, .. }
        | SocketError::RingMap { inner: source, .. } => source,
    };
    AfXdpError::Bind { interface: interface.to_owned(), queue, source }
}
