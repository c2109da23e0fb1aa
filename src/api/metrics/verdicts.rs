//! What the collector makes of verdicts, and the sums that must hold.

use std::fmt;

use super::super::Live;
use super::page::Page;
use crate::collect::CollectorStats;
use crate::store::writer::WriterStats;

/// Events, sessions, incidents.
pub(super) fn collector(page: &mut Page<'_>, stats: &CollectorStats) -> fmt::Result {
    let totals = &stats.totals;
    page.counter(
        "phantomnet_collected_verdicts_total",
        "Verdicts taken from the rings",
        totals.dequeued,
    )?;
    page.counters(
        "phantomnet_collected_packets_total",
        "Packets whose verdicts were taken from the rings and are done with, by outcome",
        [
            ([("outcome", "in_events")], totals.event_packets),
            ([("outcome", "sampled_out")], totals.sampled_out),
        ],
    )?;
    page.gauge(
        "phantomnet_open_event_packets",
        "Packets in events that are not emitted yet",
        totals.open_packets,
    )?;
    page.counter("phantomnet_events_total", "Events emitted", totals.events)?;
    page.gauge("phantomnet_open_events", "Events that are not emitted yet", stats.open_events)?;
    page.gauge(
        "phantomnet_event_merging",
        "What the keys of events are losing: 0 nothing, 1 the source, 2 and the port, 3 and the destination",
        stats.merging as u64,
    )?;
    page.counter(
        "phantomnet_merged_events_total",
        "Events whose key had lost something",
        stats.merged_events,
    )?;
    page.counter(
        "phantomnet_events_closed_early_total",
        "Events emitted before their time because too many were open",
        stats.closed_early,
    )?;
    page.gauge("phantomnet_open_sessions", "Sessions that are going on", stats.open_sessions)?;
    page.counter(
        "phantomnet_sessions_closed_total",
        "Sessions closed, stored or not",
        stats.closed_sessions,
    )?;
    page.counter(
        "phantomnet_sessions_not_stored_total",
        "Sessions of which no row was made: too many at once, none of them notable",
        stats.sessions_not_stored,
    )?;
    page.gauge("phantomnet_open_incidents", "Incidents that are going on", stats.open_incidents)?;
    page.counter("phantomnet_incidents_total", "Incidents begun", stats.incidents)?;
    page.gauge_of_seconds(
        "phantomnet_newest_packet_timestamp_seconds",
        "Time of the newest packet, seconds since 1970",
        stats.newest.map(|time| time.as_nanos() as f64 / 1e9),
    )
}

/// The sums that must hold.
pub(super) fn sums(
    page: &mut Page<'_>,
    live: &Live,
    collector: &CollectorStats,
    writer: &WriterStats,
) -> fmt::Result {
    let outputs = live.outputs.iter().map(|(_, stats)| stats.read().unaccounted()).sum();
    page.gauges(
        "phantomnet_unaccounted",
        "What does not add up: at the last marker over all stages, in the collector, in the writer, in the outputs; 0, or there is a bug",
        [
            ([("stage", "marker")], collector.unaccounted),
            ([("stage", "collector")], collector.totals.unaccounted()),
            ([("stage", "writer")], writer.unaccounted()),
            ([("stage", "outputs")], outputs),
        ],
    )?;
    page.counter(
        "phantomnet_violations_total",
        "Sums that did not hold at a marker; 0, or there is a bug",
        collector.violations,
    )
}
