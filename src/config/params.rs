//! What the configuration makes of each section: values that have been checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::capture::af_xdp::{Mode, NoSocket};
use crate::collect::StorePolicy;
use crate::intel::Decoy;
use crate::store::{Location, RetentionParams};

pub use crate::logs::{LogFormat, LogLevel, LogParams};

/// By which kind of socket frames are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `AF_XDP` where that works and does no harm, else `AF_PACKET`.
    Auto,
    /// `AF_XDP`: frames are taken away from the machine.
    AfXdp,
    /// `AF_PACKET`: frames are copied.
    AfPacket,
}

/// Which interface is captured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureParams {
    /// Its name, where one is named.
    pub interface: Option<String>,
    /// By which kind of socket.
    pub backend: Backend,
    /// Modes that will do, the best first.
    pub modes: Vec<Mode>,
    /// Places for frames on each queue: a power of two.
    pub frames: u32,
    /// Microseconds for which the kernel looks for frames on a worker's behalf; 0 for not at all.
    pub busy_poll_micros: u32,
    /// What becomes of a frame whose queue has no socket.
    pub no_socket: NoSocket,
    /// Whether frames bear the kernel's time, where the driver has room for it; else the worker's clock.
    pub kernel_time: bool,
    /// Networks whose frames are dropped in the kernel: address and prefix length.
    pub ignored: Vec<(IpAddr, u8)>,
    /// How long a worker waits for one that has fallen behind.
    pub patience: Duration,
    /// Whether the frames of the interface of the default route are taken too.
    pub force: bool,
    /// Whether another XDP program is taken off the interface.
    pub replace: bool,
}

/// How the work is spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerParams {
    /// Worker threads, at most [`WORKERS_MAX`]; `None` where the number is left to what is received.
    pub count: Option<NonZeroUsize>,
    /// Whether each worker is pinned to a core of its own.
    pub pin: bool,
    /// The cores that are the workers' alone, worker 0's first; empty where any will do.
    pub cores: Vec<usize>,
    /// The priority of a sensor's workers among real-time threads (SCHED_FIFO), 1 to [`PRIORITY_MAX`]; `None` for ordinary threads.
    pub fifo: Option<u8>,
    /// Whether a sensor's memory is never swapped out.
    pub lock_memory: bool,
}

/// The highest priority of a real-time worker: threads that serve interrupts have 50, and bring the frames.
pub const PRIORITY_MAX: u8 = 49;

/// The highest number of a core that can be named.
pub const CORE_MAX: u64 = 1_023;

/// The most workers: each owns at least one of the 64 shards of the source table.
pub const WORKERS_MAX: usize = 64;

/// What is kept of each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceParams {
    /// Sources kept at once, over all workers; a power of two from [`SOURCES_MIN`] to [`SOURCES_MAX`].
    pub capacity: usize,
    /// How many leading bits of an IPv6 address are one source, 1 to 128.
    pub ipv6_prefix: u8,
    /// Whether the same address in two VLANs is two sources.
    pub by_vlan: bool,
    /// The key of the hash over sources of a sensor; `None` for another one at each start.
    pub hash_key: Option<[u8; 16]>,
}

/// The smallest source table: sixteen sources in each of the 64 shards.
pub const SOURCES_MIN: usize = 1 << 10;

/// The largest source table.
pub const SOURCES_MAX: usize = 1 << 24;

const _: () = assert!(WORKERS_MAX <= SOURCES_MIN, "each worker owns a part of the source table");

/// How features are measured, beyond what their schema fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureParams {
    /// The zone whose clock says what an unusual hour is (feature 8).
    pub time_zone: TimeZone,
}

/// What replaying a capture needs to be repeatable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayParams {
    /// The key of the hash over sources.
    pub hash_key: [u8; 16],
}

/// Something that comes with the program, or a file in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What comes with the program.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// Which model scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelParams {
    /// Where it comes from.
    pub origin: Origin,
}

/// Which rules inspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleParams {
    /// Where they come from, in this order; none: no rules.
    pub origins: Vec<Origin>,
    /// What a rule outside the supported language means.
    pub unsupported: Unsupported,
    /// What `$NAME` in a rule stands for, where the operator says so.
    pub variables: BTreeMap<String, String>,
}

/// What to do about a rule outside the supported language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Start nothing: a rule that was written is a rule that is wanted.
    Refuse,
    /// Leave it out, and report it.
    Skip,
}

/// Addresses that nobody has a reason to talk to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecoyParams {
    /// The decoys, none of them hidden by an earlier one, at most [`DECOYS_MAX`](crate::intel::DECOYS_MAX).
    pub decoys: Vec<Decoy>,
}

/// Which sensor this is, and where it keeps what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorParams {
    /// Its name: letters, digits, hyphens, dots and underscores, at most 64.
    pub name: Box<str>,
    /// Its folder: the embedded store, the spool, the state of the running epoch.
    pub folder: PathBuf,
}

/// Which verdicts become events, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSettings {
    /// Which verdicts are kept.
    pub store: StorePolicy,
    /// Of SAFE packets, one in so many is kept where only notable ones are; 0: none.
    pub safe_one_in: u32,
    /// Within this time equal verdicts are one event; 0: each is one.
    pub coalesce: Duration,
    /// More events than this in a second, and their keys lose the source, then the port, then the destination.
    pub per_second: u32,
}

/// Where events are kept, and how they get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreParams {
    /// The store; `None`: SQLite in the sensor's folder.
    pub url: Option<StoreUrl>,
    /// Records that make a batch full.
    pub batch_rows: usize,
    /// How long a batch waits until it is full.
    pub batch_time: Duration,
    /// How long things are kept.
    pub retention: RetentionParams,
    /// Bytes that the spool may take.
    pub spool_bytes: u64,
}

/// The name of a store, proven to be one. It may hold a password, so it does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(String);

impl StoreUrl {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The store that it names.
    #[must_use]
    pub fn location(&self) -> Location {
        self.0.parse().expect("it was parsed when it was read")
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(..)")
    }
}

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpParams {
    /// Where it listens; `None`: there is none.
    pub listen: Option<SocketAddr>,
    /// Its threads, 1 to 64.
    pub threads: usize,
    /// The file with the token that callers have to show; never `None` where `listen` can be reached from other machines.
    pub token_file: Option<PathBuf>,
    /// Host names that it answers to, besides those of this machine's loopback.
    pub hosts: Vec<String>,
}
