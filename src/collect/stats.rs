//! What the collector shows of itself while it runs.

use crate::event::{Merged, Totals};
use crate::time::Timestamp;

/// The collector's figures, as of the last turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CollectorStats {
    /// The sums that every marker carries.
    pub totals: Totals,
    /// Packets by level since the start, in the order of `Level::ALL`.
    pub levels: [u64; 4],
    /// Packets of the last whole second of the wall clock.
    pub packets_per_second: u64,
    /// Time of the newest packet.
    pub newest: Option<Timestamp>,
    /// Events that are open now.
    pub open_events: u64,
    /// What keys are losing just now.
    pub merging: Merged,
    /// Events whose key had lost something.
    pub merged_events: u64,
    /// Events closed before their time because there were too many open ones.
    pub closed_early: u64,
    /// Sessions that are open now.
    pub open_sessions: u64,
    /// Sessions closed since the start, stored or not.
    pub closed_sessions: u64,
    /// Closed sessions of which no row was made: of one SAFE packet, or of too many that began in one second.
    pub sessions_not_stored: u64,
    /// Incidents that are going on now.
    pub open_incidents: u64,
    /// Incidents since the start.
    pub incidents: u64,
    /// Sums that did not hold at a marker, since the start: 0, or there is a bug.
    pub violations: u64,
    /// What did not add up at the last marker, over all stages: 0, or there is a bug.
    pub unaccounted: u64,
}
