//! The XDP program: loading it, attaching it, reading what it has counted.
//!
//! Its source lies in `program/`, with the compiled object beside it, so that building the sensor needs no compiler for BPF; a test
//! compiles it again and compares.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use aya::maps::lpm_trie::Key;
use aya::maps::{LpmTrie, MapData, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};

use super::AfXdpError;
use super::attachment::Attachment;
use crate::capture::interface::Interface;
use crate::capture::live::QueueCounts;

/// Queues that can have a socket; `QUEUES_MAX` of the program.
pub const QUEUES_MAX: u32 = 256;

/// `IGNORED_MAX` of the program.
pub const IGNORED_MAX: usize = 1_024;

/// The program's name in its object, and in the kernel.
const NAME: &str = "redirect";

static OBJECT: &[u8] = aya::include_bytes_aligned!("program/redirect.bpf.o");

/// What becomes of a frame whose queue has no socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSocket {
    /// `XDP_DROP`: it is gone.
    Drop,
    /// `XDP_PASS`: the kernel's network stack gets it.
    Pass,
}

/// Where the program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// By the driver, before the kernel has made a packet of the frame (`XDP_FLAGS_DRV_MODE`).
    Native,
    /// By the kernel, after that (`XDP_FLAGS_SKB_MODE`): works with any driver, and is slow.
    Generic,
}

impl AttachMode {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE` of `linux/if_link.h`.
    const fn flags(self) -> u32 {
        match self {
            Self::Native => 1 << 2,
            Self::Generic => 1 << 1,
        }
    }
}

/// The first kernel with BPF links for XDP.
const LINKS_SINCE: KernelVersion = KernelVersion::new(5, 9, 0);

/// What the program is told before it is loaded.
#[derive(Clone, Debug)]
pub struct ProgramParams {
    /// What becomes of a frame whose queue has no socket.
    pub no_socket: NoSocket,
    /// Whether each frame is stamped with the kernel's time.
    pub stamps: bool,
    /// Networks whose frames are dropped: address and prefix length. At most [`IGNORED_MAX`].
    pub ignored: Vec<(IpAddr, u8)>,
}

/// From the numbers in the order of the program's `struct queue_counts`.
const fn queue_counts(numbers: [u64; 5]) -> QueueCounts {
    let [seen, redirected, passed_no_socket, dropped_no_socket, dropped_ignored] = numbers;
    QueueCounts { seen, redirected, passed_no_socket, dropped_no_socket, dropped_ignored }
}

/// The program in the kernel. Dropped, it is detached and gone; so it is when this process ends, however it ends.
pub struct XdpProgram {
    // Before the program: detached first.
    attachment: Option<(Attachment, AttachMode)>,
    program: Ebpf,
    /// The program's number in the kernel.
    id: u32,
    sockets: XskMap<MapData>,
    counts: PerCpuArray<MapData, [u64; 5]>,
}

impl std::fmt::Debug for XdpProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("XdpProgram").field("attached", &self.attached()).finish_non_exhaustive()
    }
}

impl XdpProgram {
    /// Loads the program; it is attached nowhere yet.
    ///
    /// # Errors
    ///
    /// When the kernel does not take it.
    pub fn load(params: &ProgramParams) -> Result<Self, AfXdpError> {
        let action = match params.no_socket {
            NoSocket::Drop => XDP_DROP,
            NoSocket::Pass => XDP_PASS,
        };
        let (ignores, stamps) = (u8::from(!params.ignored.is_empty()), u8::from(params.stamps));
        let mut program = EbpfLoader::new()
            .override_global("no_socket_action", &action, true)
            .override_global("ignores", &ignores, true)
            .override_global("stamps", &stamps, true)
            .load(OBJECT)
            .map_err(|error| AfXdpError::Load(with_causes(&error)))?;
        let redirect = of_kind(&mut program)?;
        let loaded = redirect.load().and_then(|()| redirect.info());
        let id = loaded.map_err(|error| AfXdpError::Load(with_causes(&error)))?.id();
        let sockets = taken(&mut program, "sockets")?;
        let counts = taken(&mut program, "counts")?;
        let mut ignored: LpmTrie<MapData, [u8; 16], u8> = taken(&mut program, "ignored")?;
        for (address, prefix_length) in &params.ignored {
            let insert = ignored.insert(&network(*address, *prefix_length), 1, 0);
            insert.map_err(|error| map_error("ignored", &error))?;
        }
        Ok(Self { attachment: None, program, id, sockets, counts })
    }

    /// Attaches the program to an interface.
    ///
    /// # Errors
    ///
    /// When another program is attached, or the driver has no such mode.
    pub fn attach(
        &mut self,
        interface: &str,
        index: u32,
        mode: AttachMode,
    ) -> Result<(), AfXdpError> {
        // Older kernels say no more than EINVAL.
        if KernelVersion::current().is_ok_and(|kernel| kernel < LINKS_SINCE) {
            return Err(AfXdpError::NoLink);
        }
        let program = of_kind(&mut self.program)?.fd();
        let program = program.map_err(|error| AfXdpError::Load(with_causes(&error)))?;
        let attachment = Attachment::new(program.as_fd(), index, mode.flags())
            .map_err(|source| not_attached(interface, mode, source))?;
        self.attachment = Some((attachment, mode));
        Ok(())
    }

    /// The program's number, by which an interface names what is attached to it.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// How it is attached.
    #[must_use]
    pub fn attached(&self) -> Option<AttachMode> {
        self.attachment.as_ref().map(|(_, mode)| *mode)
    }

    /// Detaches the program: no further frame reaches a socket. What it has counted can still be read.
    pub fn detach(&mut self) {
        self.attachment = None;
    }

    /// From now on `socket` gets the frames of `queue`.
    ///
    /// # Errors
    ///
    /// When there is no such place, or the socket is not bound.
    pub fn give_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), AfXdpError> {
        self.sockets.set(queue, socket.as_raw_fd(), 0).map_err(|error| map_error("sockets", &error))
    }

    /// From now on `queue` has no socket.
    ///
    /// # Errors
    ///
    /// When it had none.
    pub fn take_socket(&mut self, queue: u32) -> Result<(), AfXdpError> {
        self.sockets.unset(queue).map_err(|error| map_error("sockets", &error))
    }

    /// What became of the frames of `queue`; [`QUEUES_MAX`] stands for all queues from there on.
    ///
    /// # Errors
    ///
    /// When there is no such queue.
    pub fn counts(&self, queue: u32) -> Result<QueueCounts, AfXdpError> {
        let of_processors =
            self.counts.get(&queue, 0).map_err(|error| map_error("counts", &error))?;
        Ok(of_processors
            .iter()
            .fold(QueueCounts::default(), |sum, numbers| sum.plus(queue_counts(*numbers))))
    }
}

/// Whether the program of this number bears the name of the one here. `None` where the kernel does not tell: it takes `CAP_SYS_ADMIN`
/// to list programs.
#[must_use]
pub fn is_ours(program: u32) -> Option<bool> {
    // Another that goes while it is looked at is an error, and no end of the list.
    let mut loaded = aya::programs::loaded_programs().filter_map(Result::ok);
    let found = loaded.find(|info| info.id() == program)?;
    Some(found.name_as_str() == Some(NAME))
}

/// `enum xdp_action` of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// An address and a prefix length as the program's `struct network`: IPv4 stands there as IPv4-mapped IPv6.
fn network(address: IpAddr, prefix_length: u8) -> Key<[u8; 16]> {
    let (address, offset) = match address {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 96),
        IpAddr::V6(v6) => (v6, 0),
    };
    Key::new(u32::from(prefix_length) + offset, Ipv6Addr::octets(&address))
}

fn of_kind(program: &mut Ebpf) -> Result<&mut Xdp, AfXdpError> {
    let missing = || AfXdpError::Load("the object holds no XDP program called redirect".to_owned());
    program.program_mut(NAME).and_then(|program| program.try_into().ok()).ok_or_else(missing)
}

fn taken<M>(program: &mut Ebpf, name: &'static str) -> Result<M, AfXdpError>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    let missing = || AfXdpError::Map { map: name, reason: "is missing in the object".to_owned() };
    let map = program.take_map(name).ok_or_else(missing)?;
    M::try_from(map).map_err(|error| map_error(name, &error))
}

fn map_error(map: &'static str, error: &aya::maps::MapError) -> AfXdpError {
    AfXdpError::Map { map, reason: with_causes(error) }
}

fn not_attached(interface: &str, mode: AttachMode, source: std::io::Error) -> AfXdpError {
    use rustix::io::Errno;
    let known = Interface::find(interface).map(|found| found.xdp_programs);
    let interface = interface.to_owned();
    match Errno::from_io_error(&source) {
        // Attached in the same mode, or in the other one.
        Some(Errno::BUSY | Errno::EXIST) => {
            AfXdpError::Taken { interface, programs: known.unwrap_or_default() }
        }
        _ => AfXdpError::Attach { interface, mode: mode.name(), source },
    }
}

/// An error with what led to it; the verifier's words are its last.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let all = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string));
    all.collect::<Vec<_>>().join(": ")
}
