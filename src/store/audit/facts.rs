//! What is read of one epoch, the same for both stores.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::event::{Epoch, Marker, MarkerKind, RefusedBatches, StageSum, Totals};
use crate::time::Timestamp;

/// Rows of events, and the sums over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Rows.
    pub rows: u64,
    /// The sum of their counts.
    pub packets: u64,
    /// The sum of their alerts.
    pub alerts: u64,
}

impl Sums {
    /// From the three numbers of an answer; none is negative in a store that is whole.
    pub(super) fn stored(rows: i64, packets: i64, alerts: i64) -> Self {
        let [rows, packets, alerts] = [rows, packets, alerts].map(count);
        Self { rows, packets, alerts }
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.packets = self.packets.saturating_add(other.packets);
        self.alerts = self.alerts.saturating_add(other.alerts);
    }
}

/// All that the tables say of one epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) epoch: Epoch,
    /// Its row of `epochs`; `None` when there is none, although other tables speak of it.
    pub(super) row: Option<EpochRow>,
    pub(super) ledger: Ledger,
    /// Markers that were thinned out.
    pub(super) thinned: u64,
    /// In the order of their numbers.
    pub(super) markers: Vec<Marker>,
    pub(super) rows: Recount,
    /// Numbers in quarantine with their counts, ascending.
    pub(super) quarantine: Vec<(u64, Sums)>,
    /// Numbers that are in quarantine and among the rows.
    pub(super) quarantined_too: u64,
    /// Batches that were refused, ascending.
    pub(super) refused: Vec<RefusedBatches>,
    pub(super) pruned: Sums,
    /// The largest number that was pruned; 0 for none.
    pub(super) pruned_upto: u64,
    /// The sums of `event_minutes`.
    pub(super) minutes: Sums,
    /// The sums of `event_hours`.
    pub(super) hours: Sums,
    /// Hours of a verdict that have not the events of their minutes. Lists of events are searched by hours that have any.
    pub(super) hours_astray: u64,
}

/// What `epochs` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EpochRow {
    pub(super) sensor: String,
    pub(super) started: Timestamp,
    /// 1 going on (or died), 2 ended in order, 3 found dead.
    pub(super) state: i64,
    pub(super) batches: u64,
    pub(super) committed: Sums,
    pub(super) quarantined: Sums,
}

/// What `ingest_batches` says, and `folded_batches` of what was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) batches: u64,
    /// The largest number of a batch.
    pub(super) last: u64,
    pub(super) committed: Sums,
    pub(super) quarantined: Sums,
}

/// What is in `packet_logs`, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recount {
    pub(super) all: Sums,
    /// How many different numbers.
    pub(super) distinct: u64,
    /// The largest number; 0 for none.
    pub(super) last: u64,
    /// For each of the [`bounds`] the sums over rows whose number is at most that.
    pub(super) upto: BTreeMap<u64, Sums>,
}

/// The numbers up to which markers count, ascending, each once.
pub(super) fn bounds(markers: &[Marker]) -> Vec<u64> {
    let mut bounds: Vec<u64> = markers.iter().map(|marker| marker.totals.events).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
}

/// Sums up to each bound from the sums between them: the first are of numbers up to the first bound, the last of those
/// behind the last.
pub(super) fn add_up(bounds: &[u64], between: &[Sums]) -> BTreeMap<u64, Sums> {
    let mut sums = Sums::default();
    let mut upto = BTreeMap::new();
    for (bound, more) in bounds.iter().zip(between) {
        sums += *more;
        upto.insert(*bound, sums);
    }
    upto
}

/// The columns of `accounting`, in the order of [`marker`].
pub(super) const MARKER_COLUMNS: &str = "number, at, kind, dequeued, packets, victims, sampled_out, open_packets, open_alerts, \
     events, event_packets, event_alerts, stages";

/// A marker from its row: number, kind, the nine totals in their order, and its stages.
pub(super) fn marker(
    number: i64,
    at: Timestamp,
    kind: i64,
    totals: [i64; 9],
    stages: &str,
) -> Marker {
    let [
        dequeued,
        packets,
        victims,
        sampled_out,
        open_packets,
        open_alerts,
        events,
        event_packets,
        event_alerts,
    ] = totals.map(count);
    let unreadable = || vec![StageSum { stage: "unreadable".into(), came: 1, accounted: 0 }];
    Marker {
        number: count(number),
        at,
        kind: match kind {
            0 => MarkerKind::Start,
            2 => MarkerKind::End,
            3 => MarkerKind::Crashed,
            _ => MarkerKind::Running,
        },
        totals: Totals {
            dequeued,
            packets,
            victims,
            sampled_out,
            open_packets,
            open_alerts,
            events,
            event_packets,
            event_alerts,
        },
        // Stages that can't be read are a sum that does not hold.
        stages: serde_json::from_str(stages).unwrap_or_else(|_damaged| unreadable()),
    }
}

/// The columns of `refused_batches`, in the order of [`refused`].
pub(super) const REFUSED_COLUMNS: &str =
    "first_batch, last_batch, upto, rows, packets, alerts, markers";

/// Refused batches from their row.
pub(super) fn refused(columns: [i64; 7]) -> RefusedBatches {
    let [first, last, upto, rows, packets, alerts, markers] = columns.map(count);
    RefusedBatches { first, last, upto, rows, packets, alerts, markers }
}

/// A stored count; what was made negative by hand is none that anything agrees with.
pub(super) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(u64::MAX)
}
