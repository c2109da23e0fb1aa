//! What the workers have done, added up over all of them.

use std::fmt;
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::page::{Counted, Page};
use crate::api::{CaptureStatus, InterfaceStatus};
use crate::capture::live::QueueStatus;
use crate::collect::CollectorStats;
use crate::counters::{Counters, Distribution, LATENCY_NANOS_BOUNDS, Latency, Published, Stage};
use crate::decode::Reason;
use crate::verdict::Level;

/// All workers' counters, as published at the ends of their last turns.
#[derive(Debug)]
pub(super) struct Workers {
    count: usize,
    counters: Counters,
    latency: Latency,
    /// How long turns stayed in each stage, nanoseconds.
    turns: Vec<(Stage, Histogram<u64>)>,
}

/// The quantiles of the time that a turn stays in a stage.
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.99", 0.99), ("0.999", 0.999)];

impl Workers {
    pub(super) fn read(workers: &[Arc<Published>]) -> Self {
        let mut counters = Counters::default();
        let mut latency = Latency::default();
        let mut turns = Stage::ALL.map(|stage| (stage, Distribution::histogram())).to_vec();
        for worker in workers {
            worker.turns().iter().zip(&mut turns).for_each(|(from, (_, to))| from.add_to(to));
            counters.add(&worker.counters());
            let Latency { counts, sum } = worker.latency();
            latency.counts.iter_mut().zip(counts).for_each(|(to, from)| *to += from);
            latency.sum = latency.sum.saturating_add(sum);
        }
        Self { count: workers.len(), counters, latency, turns }
    }
}

/// Where frames come from.
pub(super) fn capture(page: &mut Page<'_>, status: &CaptureStatus) -> fmt::Result {
    page.gauge(
        "phantomnet_capture_running",
        "1 while frames may still come",
        status.running.into(),
    )?;
    page.gauge(
        "phantomnet_capture_fault",
        "1 while something is wrong with the source of frames",
        status.fault.is_some().into(),
    )?;
    page.counters(
        "phantomnet_capture_delivered_frames_total",
        "Frames delivered, as the source of frames counts them; none where it does not",
        status.delivered.map(|delivered| ([], delivered)),
    )?;
    page.counters_of_seconds(
        "phantomnet_capture_gap_seconds_total",
        "How long no frames could come because the interface was down or gone, or its XDP program taken off; counted when that ends",
        [([], status.gap_nanos)],
    )?;
    interface(page, status.interface.as_ref())
}

/// One of the numbers of a queue.
type OfQueue = fn(&QueueStatus) -> u64;

/// What the kernel counts of an interface; no series where there is none.
fn interface(page: &mut Page<'_>, status: Option<&InterfaceStatus>) -> fmt::Result {
    page.gauges(
        "phantomnet_capture_interface_info",
        "Always 1; says which interface is captured, by which kind of socket, in which mode",
        status.map(|status| {
            let labels = [
                ("interface", status.name.as_str()),
                ("backend", status.backend),
                ("mode", status.mode),
            ];
            (labels, 1)
        }),
    )?;
    let queues = status.map_or(&[][..], |status| &status.queues);
    let numbers: Vec<String> = queues.iter().map(|queue| queue.queue.to_string()).collect();
    let queues = || numbers.iter().map(String::as_str).zip(queues);
    let outcomes: [(&str, OfQueue); 5] = [
        ("seen", |queue| queue.counts.seen),
        ("redirected", |queue| queue.counts.redirected),
        ("passed_no_socket", |queue| queue.counts.passed_no_socket),
        ("dropped_no_socket", |queue| queue.counts.dropped_no_socket),
        ("dropped_ignored", |queue| queue.counts.dropped_ignored),
    ];
    page.counters(
        "phantomnet_xdp_frames_total",
        "Frames that the XDP program saw, and what became of them: seen is the sum of the others",
        queues().flat_map(|(number, queue)| {
            outcomes
                .map(|(outcome, count)| ([("queue", number), ("outcome", outcome)], count(queue)))
        }),
    )?;
    let losses: [(&str, OfQueue); 3] = [
        ("dropped", |queue| queue.statistics.dropped),
        ("ring_full", |queue| queue.statistics.ring_full),
        ("invalid_places", |queue| queue.statistics.invalid_places),
    ];
    page.counters(
        "phantomnet_socket_lost_frames_total",
        "Frames given to a socket that it could not take: no place or too long (dropped), the worker too slow (ring_full)",
        queues().flat_map(|(number, queue)| {
            losses.map(|(reason, count)| ([("queue", number), ("reason", reason)], count(queue)))
        }),
    )?;
    page.counters(
        "phantomnet_socket_fill_ring_empty_total",
        "Times that the kernel found no place for a frame: a reason of losses, in copy mode once for each, never a loss by itself",
        queues().map(|(number, queue)| ([("queue", number)], queue.statistics.fill_ring_empty)),
    )
}

/// What became of frames.
pub(super) fn frames(page: &mut Page<'_>, workers: &Workers) -> fmt::Result {
    let c = &workers.counters;
    page.gauge("phantomnet_workers", "Workers, each on a core of its own", workers.count as u64)?;
    let frame = |stage, outcome, count| ([("stage", stage), ("outcome", outcome)], count);
    page.counters(
        "phantomnet_frames_total",
        "Frames by stage and what became of them there",
        [
            frame("capture", "taken", c.taken),
            frame("decode", "decoded", c.decoded),
            frame("decode", "not_ip", c.not_ip),
            frame("decode", "undecodable", c.undecodable.iter().sum()),
            frame("handover", "handed", c.handed),
            frame("handover", "lost", c.handover_full),
            frame("judge", "scored", c.scored),
        ],
    )?;
    page.counter(
        "phantomnet_frame_bytes_total",
        "Bytes on the wire of the frames taken",
        c.taken_bytes,
    )?;
    page.counters(
        "phantomnet_undecodable_frames_total",
        "Frames refused, by reason",
        Reason::ALL.into_iter().zip(c.undecodable).map(|(why, n)| ([("reason", why.name())], n)),
    )?;
    page.counter(
        "phantomnet_rule_hits_left_out_total",
        "Rule hits that found no room in the findings of their packet",
        c.rules_left_out,
    )?;
    page.counter(
        "phantomnet_inspections_cut_short_total",
        "Packets whose inspection hit the bound of work for a packet",
        c.inspections_cut_short,
    )?;
    page.counter(
        "phantomnet_thresholds_evicted_total",
        "Times that a counting rule's table had to forget somebody",
        c.thresholds_evicted,
    )
}

/// What was lost on the ways between threads, and how full they are.
pub(super) fn ways(
    page: &mut Page<'_>,
    workers: &Workers,
    collector: &CollectorStats,
) -> fmt::Result {
    let c = &workers.counters;
    page.counters(
        "phantomnet_verdicts_total",
        "Packets judged, by level",
        Level::ALL.into_iter().zip(c.levels).map(|(level, n)| ([("level", level.name())], n)),
    )?;
    page.counter(
        "phantomnet_victim_verdicts_total",
        "Verdicts about destinations under attack",
        c.victims,
    )?;
    page.counter("phantomnet_ring_verdicts_total", "Verdicts put into the rings", c.enqueued)?;
    page.counters(
        "phantomnet_ring_lost_verdicts_total",
        "Verdicts lost because their ring was full, by level",
        Level::ALL.into_iter().zip(c.ring_full).map(|(level, n)| ([("level", level.name())], n)),
    )?;
    page.gauge(
        "phantomnet_ring_depth_verdicts",
        "Verdicts in the rings",
        c.enqueued.saturating_sub(collector.totals.dequeued),
    )?;
    page.gauge(
        "phantomnet_handover_depth_packets",
        "Packets handed over and not judged yet",
        c.handed.saturating_sub(c.scored),
    )?;
    page.counters(
        "phantomnet_destination_copies_total",
        "Copies of packets for the owner of their destination, who counts by destination, by outcome",
        [
            ([("outcome", "counted")], c.towards_counted),
            ([("outcome", "lost")], c.towards_full),
        ],
    )?;
    page.counter(
        "phantomnet_handover_late_total",
        "Packets, and copies of packets, judged after later ones because the worker that received them had fallen behind",
        c.late,
    )
}

/// The table of sources.
pub(super) fn sources(page: &mut Page<'_>, workers: &Workers) -> fmt::Result {
    let s = workers.counters.sources;
    page.gauge("phantomnet_sources", "Sources in the table", s.live)?;
    page.counters(
        "phantomnet_source_sessions_total",
        "Sessions of sources by what became of them: begun with a place in the table, given up for a newcomer, ended by silence",
        [
            ([("outcome", "inserted")], s.inserted),
            ([("outcome", "evicted")], s.evicted),
            ([("outcome", "expired")], s.expired),
        ],
    )?;
    page.counter(
        "phantomnet_source_denied_packets_total",
        "Packets of newcomers for whom the table had no room: judged as the first of their source",
        s.denied,
    )
}

/// Where the time goes.
pub(super) fn times(page: &mut Page<'_>, workers: &Workers) -> fmt::Result {
    let stages = workers.counters.stage_nanos.by_name();
    page.counters_of_seconds(
        "phantomnet_stage_seconds_total",
        "Time that workers spent, by stage; divided by the frames taken it is the cost of a frame",
        stages.map(|(stage, nanos)| ([("stage", stage)], nanos)),
    )?;
    let turns = workers.turns.iter().filter(|(_, turns)| !turns.is_empty());
    page.gauges_of_seconds(
        "phantomnet_stage_turn_seconds",
        "How long a turn of up to 256 frames stayed in a stage, since the start: the quantiles of all workers together",
        turns.flat_map(|(stage, turns)| {
            QUANTILES.map(|(name, quantile)| {
                let nanos = turns.value_at_quantile(quantile);
                ([("stage", stage.name()), ("share", name)], nanos)
            })
        }),
    )?;
    let Latency { counts, sum } = &workers.latency;
    page.histogram(
        "phantomnet_frame_to_verdict_seconds",
        "From a frame's receipt to its verdict in the ring",
        &Counted::nanos_in(counts.to_vec(), *sum, &LATENCY_NANOS_BOUNDS),
    )
}
