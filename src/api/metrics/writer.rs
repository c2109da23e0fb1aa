//! What the writer does with batches, how much waits, and what the store holds.

use std::fmt;
use std::time::SystemTime;

use super::page::{Counted, Page};
use crate::store::writer::{BATCH_ROWS_BOUNDS, COMMIT_NANOS_BOUNDS, Tally, WriterStats};
use crate::time::Timestamp;

/// Batches and what is in them.
pub(super) fn batches(page: &mut Page<'_>, stats: &WriterStats) -> fmt::Result {
    let outcomes = [
        ("received", &stats.received),
        ("committed", &stats.committed),
        ("refused_bound", &stats.refused_bound),
        ("refused_corrupt", &stats.refused_corrupt),
        ("refused_io", &stats.refused_io),
        ("refused_away", &stats.refused_away),
    ];
    let by_outcome = |of: fn(&Tally) -> u64| {
        outcomes.map(|(outcome, tally)| ([("outcome", outcome)], of(tally)))
    };
    page.counters(
        "phantomnet_writer_batches_total",
        "Batches by outcome",
        by_outcome(|tally| tally.batches),
    )?;
    page.counters(
        "phantomnet_writer_rows_total",
        "Events in batches, by outcome",
        by_outcome(|tally| tally.rows),
    )?;
    page.counters(
        "phantomnet_writer_packets_total",
        "Packets that the events in batches count, by outcome",
        by_outcome(|tally| tally.packets),
    )?;
    page.counter(
        "phantomnet_writer_already_committed_batches_total",
        "Batches that an earlier try had committed: the answer was lost, the rows were not",
        stats.already_committed,
    )?;
    page.histogram(
        "phantomnet_batch_rows",
        "Events in a committed batch",
        &Counted::numbers(&stats.batch_rows, &BATCH_ROWS_BOUNDS),
    )?;
    page.histogram(
        "phantomnet_commit_seconds",
        "Time of a commit",
        &Counted::nanos(&stats.commit_nanos, &COMMIT_NANOS_BOUNDS),
    )?;
    page.histogram(
        "phantomnet_record_to_commit_seconds",
        "From the beginning of a batch's oldest record to its commit",
        &Counted::nanos(&stats.delay_nanos, &COMMIT_NANOS_BOUNDS),
    )
}

/// What waits.
pub(super) fn spool(page: &mut Page<'_>, stats: &WriterStats) -> fmt::Result {
    let places = [("memory", &stats.waiting), ("spool", &stats.spooled)];
    page.gauges(
        "phantomnet_waiting_batches",
        "Batches that wait to be committed, by place",
        places.map(|(place, tally)| ([("place", place)], tally.batches)),
    )?;
    page.gauges(
        "phantomnet_waiting_rows",
        "Events that wait to be committed, by place",
        places.map(|(place, tally)| ([("place", place)], tally.rows)),
    )?;
    page.gauge("phantomnet_spool_bytes", "Bytes of the spool on disk", stats.spool_bytes)?;
    page.gauge(
        "phantomnet_spool_bound_bytes",
        "Bytes that the spool may take",
        stats.spool_bytes_max,
    )?;
    page.gauge_of_seconds(
        "phantomnet_spool_age_seconds",
        "Age of the oldest batch in the spool; 0 when it is empty",
        Some(stats.spool_oldest.map_or(0.0, |oldest| now().secs_since(oldest))),
    )?;
    page.gauge(
        "phantomnet_spool_fault",
        "1 while the spool's disk fails",
        stats.spool_error.is_some().into(),
    )?;
    page.gauge("phantomnet_spool_segments", "Segments of the spool on disk", stats.spool_segments)?;
    page.gauge(
        "phantomnet_spool_foreign_files",
        "Files in the spool's folder that are not its own",
        stats.spool_foreign,
    )?;
    page.counter(
        "phantomnet_spool_damaged_total",
        "Damaged places found in the spool, skipped and counted",
        stats.spool_damaged,
    )
}

/// What the store is and holds.
pub(super) fn store(page: &mut Page<'_>, stats: &WriterStats) -> fmt::Result {
    let maintained = &stats.maintained;
    page.gauge(
        "phantomnet_store_up",
        "1 when the last try to use the store succeeded",
        stats.store_up.into(),
    )?;
    page.counter(
        "phantomnet_store_failures_total",
        "Tries to use the store that failed",
        stats.failures,
    )?;
    page.gauge(
        "phantomnet_store_given_up",
        "1 when the writer, without a spool, has given up on the store",
        stats.gave_up.into(),
    )?;
    page.counter(
        "phantomnet_store_maintenance_failures_total",
        "Maintenance that could not be done whole; it is tried again",
        stats.maintain_failures,
    )?;
    page.counter(
        "phantomnet_store_quarantined_rows_total",
        "Events that the store refused by themselves: kept aside, as text",
        stats.quarantined_rows,
    )?;
    page.gauge(
        "phantomnet_store_rows",
        "Events in the store, estimated",
        maintained.rows_estimate,
    )?;
    page.gauge(
        "phantomnet_store_bytes",
        "Bytes that the store takes, as far as it can tell",
        maintained.bytes,
    )?;
    page.counter(
        "phantomnet_store_pruned_rows_total",
        "Events removed by retention",
        maintained.pruned_rows,
    )?;
    page.counter(
        "phantomnet_store_pruned_packets_total",
        "Packets that the events removed by retention count",
        maintained.pruned_packets,
    )?;
    page.counter(
        "phantomnet_store_partitions_made_total",
        "Partitions made for days to come",
        maintained.partitions_made,
    )
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
