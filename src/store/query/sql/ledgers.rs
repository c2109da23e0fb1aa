//! The question about what a store says of its epochs.

use super::{Dialect, Sql};

/// The newest epochs with their sums, what retention removed of them, what was refused, and their last markers.
pub(in crate::store) fn ledgers(dialect: Dialect, epochs: u32) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push(
        "SELECT e.epoch, e.sensor, e.started_at, e.ended_at, e.batches, e.rows, e.packets, e.alerts, e.quarantined_rows, \
         (SELECT CAST(coalesce(sum(r.rows), 0) AS bigint) FROM pruned AS r WHERE r.epoch = e.epoch), \
         (SELECT CAST(coalesce(sum(r.packets), 0) AS bigint) FROM pruned AS r WHERE r.epoch = e.epoch), \
         (SELECT CAST(coalesce(sum(r.rows), 0) AS bigint) FROM refused_batches AS r WHERE r.epoch = e.epoch), \
         (SELECT CAST(coalesce(sum(r.packets), 0) AS bigint) FROM refused_batches AS r WHERE r.epoch = e.epoch), \
         a.number, a.at, a.kind, a.dequeued, a.packets, a.victims, a.sampled_out, a.open_packets, a.open_alerts, \
         a.events, a.event_packets, a.event_alerts, a.stages \
         FROM (SELECT * FROM epochs ORDER BY epoch DESC",
    );
    sql.limit(epochs).push(
        ") AS e LEFT JOIN accounting AS a ON a.epoch = e.epoch \
         AND a.number = (SELECT max(m.number) FROM accounting AS m WHERE m.epoch = e.epoch) ORDER BY e.epoch DESC",
    );
    sql
}
