//! How verdicts become events, sessions, incidents and batches.

use std::time::Duration;

use crate::features::IDLE_NANOS;

/// How the [`Recorder`](super::Recorder) works. Times are packet time, but for [`batch_time`](Self::batch_time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventParams {
    /// Which packets get a row.
    pub store: StorePolicy,
    /// Under [`StorePolicy::Notable`], of how many SAFE packets one gets a row: 1 for all of them, 0 for none.
    pub safe_one_in: u32,
    /// For how long after its first packet an event takes more; 0: every verdict is an event of its own, and there is no
    /// budget.
    pub coalesce: Duration,
    /// How many events of SAFE and WARNING may begin in one second before their keys lose something; at least 1.
    pub events_per_second: u32,
    /// The same for HIGH and CRITICAL, which a flood of lesser ones shall not merge.
    pub severe_events_per_second: u32,
    /// How many events can be open; beyond that the oldest is emitted before its time. At least 1; each
    /// takes about 500 bytes, and its words.
    pub open_events_max: usize,
    /// How many sessions can be open; beyond that the one that was silent for longest is closed. At least 1;
    /// each takes about 350 bytes.
    pub open_sessions_max: usize,
    /// Silence after which a session has ended.
    pub session_idle: Duration,
    /// How long after a change an open session is reported again.
    pub session_report: Duration,
    /// Of how many of the sessions that begin in one second a row is made, if nothing worse than SAFE is in them.
    pub sessions_per_second: u32,
    /// The same for sessions with something worse in them.
    pub notable_sessions_per_second: u32,
    /// Silence after which the next event of a kind is another incident.
    pub incident_gap: Duration,
    /// How many incidents can be going on; beyond that the one that was quiet for longest is over. At least 1.
    pub open_incidents_max: usize,
    /// How many incidents at WARNING, and apart from them how many above, may begin in one second about single sources;
    /// beyond that they are about destinations, and beyond twice that about no address. At least 1.
    pub incidents_per_second: u32,
    /// A batch is handed on when this many records are in it; at least 1.
    pub batch_rows: usize,
    /// A batch is handed on when its first record is this old, by the wall clock.
    pub batch_time: Duration,
    /// Whether packet time goes on while no packet comes. True where packets are taken from a network; false where they
    /// are read from a file, so that the events are the same at any speed.
    pub live: bool,
}

/// Which packets get a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorePolicy {
    /// Every packet.
    All,
    /// Those of WARNING and above, and of SAFE ones a sample with the weight of those left out.
    #[default]
    Notable,
}

impl Default for EventParams {
    fn default() -> Self {
        Self {
            store: StorePolicy::Notable,
            safe_one_in: 1_000,
            coalesce: Duration::from_secs(1),
            events_per_second: 2_000,
            severe_events_per_second: 2_000,
            open_events_max: 65_536,
            open_sessions_max: 65_536,
            session_idle: Duration::from_nanos(IDLE_NANOS.unsigned_abs()),
            session_report: Duration::from_secs(10),
            sessions_per_second: 1_000,
            notable_sessions_per_second: 1_000,
            incident_gap: Duration::from_secs(3_600),
            open_incidents_max: 16_384,
            incidents_per_second: 100,
            batch_rows: 10_000,
            batch_time: Duration::from_millis(100),
            live: false,
        }
    }
}

/// As nanoseconds, clamped to what can be held: 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
