//! How the writer waits, retries and stops.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// How batches wait, and how long for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterParams {
    /// Batches that wait in memory before the spool is used (or, without one, before the sender has to wait).
    pub waiting_max: usize,
    /// Where they wait on disk; `None`: nowhere, the sender waits (a replay).
    pub spool: Option<SpoolParams>,
    /// How long after a failure the store is tried again; doubled with each further failure.
    pub backoff_first: Duration,
    /// The longest time between two tries.
    pub backoff_max: Duration,
    /// Without a spool: how long a store may fail before what was not committed is given up. With one it is tried for ever.
    pub patience: Duration,
    /// How often the store is maintained.
    pub maintain_every: Duration,
    /// With a spool: how long a stop goes on committing before the rest is left to the spool.
    pub stop_within: Duration,
    /// The wall clock: when rows were recorded, how long they took.
    pub clock: Clock,
}

impl Default for WriterParams {
    fn default() -> Self {
        Self {
            waiting_max: 16,
            spool: None,
            backoff_first: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            patience: Duration::from_secs(60),
            maintain_every: Duration::from_secs(60),
            stop_within: Duration::from_secs(2),
            clock: Clock::default(),
        }
    }
}

/// The spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolParams {
    /// Its folder, made if it is missing. One process at a time.
    pub folder: PathBuf,
    /// Bytes that it may take; what does not fit is refused and counted.
    pub bytes_max: u64,
    /// How long a batch may lie there before the disk has confirmed it: what a loss of power can cost.
    pub sync_within: Duration,
}

impl SpoolParams {
    /// A spool of 1 GiB, which a loss of power costs 100 ms.
    #[must_use]
    pub const fn in_folder(folder: PathBuf) -> Self {
        Self { folder, bytes_max: 1 << 30, sync_within: Duration::from_millis(100) }
    }
}

/// Tells the time. The machine's wall clock by default; a test brings its own.
#[derive(Clone, Copy)]
pub struct Clock(pub fn() -> Timestamp);

impl Clock {
    /// The time.
    pub(super) fn now(self) -> Timestamp {
        self.0()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self(wall_clock)
    }
}

impl PartialEq for Clock {
    /// Whether both call the same function, as far as that can be told; good enough to compare parameters.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Clock {}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The machine's, clamped to what can be held.
fn wall_clock() -> Timestamp {
    let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
    };
    Timestamp::from_nanos(nanos)
}
