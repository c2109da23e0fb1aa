//! The sums of all stages, from the source of frames to the database.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::Live;
use super::{ByVerdict, Moment};
use crate::collect::CollectorStats;
use crate::counters::{Counters, Ledger};
use crate::decode::Reason;
use crate::event::{Board, MarkerKind, Totals};
use crate::outputs::OutputStats;
use crate::store::query::EpochLedger;
use crate::store::writer::{Tally, WriterStats};

/// What every stage took, passed on and lost.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Accounting {
    sensor: String,
    /// This run.
    epoch: String,
    #[schema(value_type = String, format = DateTime)]
    started: Moment,
    /// Each worker by itself.
    workers: Vec<WorkerCounts>,
    collector: CollectorCounts,
    writer: WriterCounts,
    /// Where else is told what was found: EVE, syslog, webhook; those that are configured.
    outputs: Vec<OutputCounts>,
    /// What came into each stage and what is accounted for.
    sums: Vec<ShownSum>,
    /// The differences of all exact sums together: 0, or there is a bug.
    unaccounted: u64,
    /// What the store says of the newest runs; null when it does not answer.
    ledgers: Option<Vec<ShownLedger>>,
    /// Why there are no ledgers.
    note: Option<String>,
}

/// What a worker has done.
#[derive(Debug, Serialize, ToSchema)]
struct WorkerCounts {
    worker: usize,
    /// Frames taken.
    taken: u64,
    /// Their bytes on the wire.
    taken_bytes: u64,
    /// Frames that became packets.
    decoded: u64,
    /// Frames that carry no IP.
    not_ip: u64,
    /// Frames refused, by reason.
    undecodable: BTreeMap<&'static str, u64>,
    /// Packets handed to the owners of their sources.
    handed: u64,
    /// Packets lost because an owner's ring was full.
    handover_full: u64,
    /// Copies made for the owners of destinations.
    towards_made: u64,
    towards_handed: u64,
    towards_full: u64,
    towards_counted: u64,
    /// Packets and copies that came after later ones: the worker that received them had fallen behind.
    late: u64,
    /// Packets scored.
    scored: u64,
    verdicts: ByVerdict,
    /// Verdicts about victims.
    victims: u64,
    /// Verdicts put into the ring.
    enqueued: u64,
    /// Verdicts that found the ring full.
    ring_full: ByVerdict,
}

/// What the collector has done.
#[derive(Debug, Serialize, ToSchema)]
struct CollectorCounts {
    /// Verdicts taken from the rings.
    dequeued: u64,
    /// Those of packets.
    packets: u64,
    /// Those about victims.
    victims: u64,
    /// SAFE packets left out by sampling.
    sampled_out: u64,
    /// Packets in events that are not finished.
    open_packets: u64,
    /// Verdicts about victims in events that are not finished.
    open_alerts: u64,
    /// Events finished.
    events: u64,
    /// The packets in them.
    event_packets: u64,
    /// The verdicts about victims in them.
    event_alerts: u64,
    /// Sums that did not hold at a marker since the start.
    violations: u64,
}

/// What the writer has done.
#[derive(Debug, Serialize, ToSchema)]
struct WriterCounts {
    received: ShownTally,
    /// Of those received, found in the spool at the start.
    found: ShownTally,
    committed: ShownTally,
    waiting: ShownTally,
    spooled: ShownTally,
    refused: ShownRefused,
    /// Rows that the store would not take, kept aside; they count as committed.
    quarantined_rows: u64,
    /// Rows that retention removed.
    pruned_rows: u64,
    /// The packets in them.
    pruned_packets: u64,
}

/// What an output has done, in records: EVE lines, or messages about incidents.
#[derive(Debug, Serialize, ToSchema)]
struct OutputCounts {
    #[schema(example = "eve")]
    output: &'static str,
    /// All of them: the sum of the four below.
    offered: u64,
    written: u64,
    waiting: u64,
    /// Lost because too many waited.
    refused: u64,
    /// Lost because the other side would not take them.
    failed: u64,
    /// Tries that failed and were repeated.
    failures: u64,
    /// What the last one that failed said; null when none did since.
    last_error: Option<String>,
}

/// What was lost, by reason.
#[derive(Debug, Serialize, ToSchema)]
struct ShownRefused {
    /// The spool was full.
    bound: ShownTally,
    /// Damaged on disk.
    corrupt: ShownTally,
    /// The disk would not take them.
    io: ShownTally,
}

/// Batches and what is in them.
#[derive(Debug, Serialize, ToSchema)]
struct ShownTally {
    batches: u64,
    events: u64,
    packets: u64,
    alerts: u64,
}

/// One sum.
#[derive(Debug, Serialize, ToSchema)]
struct ShownSum {
    #[schema(example = "decode")]
    stage: String,
    /// What came in.
    came: u64,
    /// What is accounted for, what waits included.
    accounted: u64,
    /// How far both are apart.
    difference: u64,
    /// Whether both numbers are of one moment, so that the difference must be 0. Otherwise it is what was under way while the
    /// numbers were read; the markers in the ledgers compare the same stages exactly.
    exact: bool,
}

/// What the store says of one run.
#[derive(Debug, Serialize, ToSchema)]
struct ShownLedger {
    epoch: String,
    sensor: String,
    #[schema(value_type = String, format = DateTime)]
    started: Moment,
    /// Null while it goes on, and when it did not end in order.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Moment>,
    committed: ShownTally,
    quarantined_rows: u64,
    pruned_rows: u64,
    pruned_packets: u64,
    /// Events in batches that found no place to wait for the store: they are lost.
    refused_rows: u64,
    /// Packets in them.
    refused_packets: u64,
    last_marker: Option<ShownMarker>,
}

/// The sums at one moment of a run, written with the rows that they are about.
#[derive(Debug, Serialize, ToSchema)]
struct ShownMarker {
    number: u64,
    #[schema(value_type = String, format = DateTime)]
    at: Moment,
    /// `start`, `running`, `end` or `crashed`.
    kind: &'static str,
    /// Packets judged up to then.
    packets: u64,
    /// Events up to then.
    events: u64,
    sums: Vec<ShownSum>,
    /// All differences together.
    unaccounted: u64,
}

impl Accounting {
    pub(in super::super) fn of(live: &Live, ledgers: Result<Vec<EpochLedger>, String>) -> Self {
        let (collector, writer) = (live.collector.read(), live.writer.read());
        let counters: Vec<Counters> =
            live.workers.iter().map(|published| published.counters()).collect();
        let outputs: Vec<OutputCounts> = live.outputs.iter().map(OutputCounts::of).collect();
        let mut sums = sums(live, &counters, &collector, &writer);
        sums.extend(outputs.iter().map(OutputCounts::sum));
        let exact = sums.iter().filter(|sum| sum.exact).map(|sum| sum.difference).sum::<u64>();
        let (ledgers, note) = match ledgers {
            Ok(ledgers) => (Some(ledgers.iter().map(ShownLedger::from).collect()), None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            sensor: live.sensor.clone(),
            epoch: live.epoch.to_string(),
            started: Moment(live.started),
            workers: counters.iter().enumerate().map(WorkerCounts::of).collect(),
            unaccounted: exact.max(collector.unaccounted),
            collector: CollectorCounts::from(&collector),
            writer: WriterCounts::from(&writer),
            outputs,
            sums,
            ledgers,
            note,
        }
    }
}

fn sums(
    live: &Live,
    counters: &[Counters],
    collector: &CollectorStats,
    writer: &WriterStats,
) -> Vec<ShownSum> {
    let mut together = Counters::default();
    counters.iter().for_each(|counters| together.add(counters));
    let delivered = live.capture.read().delivered;
    let ledger = Ledger {
        workers: &together,
        delivered: delivered.unwrap_or(together.taken),
        dequeued: collector.totals.dequeued,
    };
    let mut sums: Vec<ShownSum> = ledger
        .sums()
        .iter()
        // Nothing to hold what was taken against, where the source does not count.
        .filter(|sum| delivered.is_some() || sum.stage != "capture")
        .map(|sum| ShownSum::new(sum.stage, sum.came, sum.accounted, false))
        .collect();
    let Totals { dequeued, packets, victims, sampled_out, open_packets, open_alerts, .. } =
        collector.totals;
    let Totals { event_packets, event_alerts, .. } = collector.totals;
    sums.extend([
        ShownSum::new("collector_verdicts", dequeued, packets + victims, true),
        ShownSum::new(
            "collector_packets",
            packets,
            event_packets + open_packets + sampled_out,
            true,
        ),
        ShownSum::new("collector_alerts", victims, event_alerts + open_alerts, true),
    ]);
    let received = writer.received;
    let accounted = accounted(writer);
    sums.extend([
        ShownSum::new("writer_events", received.rows, accounted.rows, true),
        ShownSum::new("writer_packets", received.packets, accounted.packets, true),
        ShownSum::new("writer_alerts", received.alerts, accounted.alerts, true),
    ]);
    sums
}

/// Everything that became of what the writer received.
fn accounted(writer: &WriterStats) -> Tally {
    let parts = [
        writer.committed,
        writer.waiting,
        writer.spooled,
        writer.refused_bound,
        writer.refused_corrupt,
        writer.refused_io,
    ];
    parts.into_iter().fold(Tally::default(), |sum, part| Tally {
        batches: sum.batches + part.batches,
        rows: sum.rows + part.rows,
        packets: sum.packets + part.packets,
        alerts: sum.alerts + part.alerts,
    })
}

impl ShownSum {
    fn new(stage: &str, came: u64, accounted: u64, exact: bool) -> Self {
        let difference = came.abs_diff(accounted);
        Self { stage: stage.to_owned(), came, accounted, difference, exact }
    }
}

impl OutputCounts {
    fn of((output, stats): &(&'static str, Board<OutputStats>)) -> Self {
        let stats = stats.read();
        Self {
            output,
            offered: stats.offered,
            written: stats.written,
            waiting: stats.waiting,
            refused: stats.refused,
            failed: stats.failed,
            failures: stats.failures,
            last_error: stats.last_error,
        }
    }

    fn sum(&self) -> ShownSum {
        let accounted = self.written + self.waiting + self.refused + self.failed;
        ShownSum::new(&format!("output_{}", self.output), self.offered, accounted, true)
    }
}

impl WorkerCounts {
    fn of((worker, counters): (usize, &Counters)) -> Self {
        let reasons = Reason::ALL.iter().map(|reason| reason.name());
        Self {
            worker,
            taken: counters.taken,
            taken_bytes: counters.taken_bytes,
            decoded: counters.decoded,
            not_ip: counters.not_ip,
            undecodable: reasons.zip(counters.undecodable).collect(),
            handed: counters.handed,
            handover_full: counters.handover_full,
            towards_made: counters.towards_made,
            towards_handed: counters.towards_handed,
            towards_full: counters.towards_full,
            towards_counted: counters.towards_counted,
            late: counters.late,
            scored: counters.scored,
            verdicts: counters.levels.into(),
            victims: counters.victims,
            enqueued: counters.enqueued,
            ring_full: counters.ring_full.into(),
        }
    }
}

impl From<&CollectorStats> for CollectorCounts {
    fn from(stats: &CollectorStats) -> Self {
        let Totals {
            dequeued,
            packets,
            victims,
            sampled_out,
            open_packets,
            open_alerts,
            events,
            event_packets,
            event_alerts,
        } = stats.totals;
        Self {
            dequeued,
            packets,
            victims,
            sampled_out,
            open_packets,
            open_alerts,
            events,
            event_packets,
            event_alerts,
            violations: stats.violations,
        }
    }
}

impl From<&WriterStats> for WriterCounts {
    fn from(stats: &WriterStats) -> Self {
        Self {
            received: stats.received.into(),
            found: stats.found.into(),
            committed: stats.committed.into(),
            waiting: stats.waiting.into(),
            spooled: stats.spooled.into(),
            refused: ShownRefused {
                bound: stats.refused_bound.into(),
                corrupt: stats.refused_corrupt.into(),
                io: stats.refused_io.into(),
            },
            quarantined_rows: stats.quarantined_rows,
            pruned_rows: stats.maintained.pruned_rows,
            pruned_packets: stats.maintained.pruned_packets,
        }
    }
}

impl From<Tally> for ShownTally {
    fn from(tally: Tally) -> Self {
        let Tally { batches, rows, packets, alerts } = tally;
        Self { batches, events: rows, packets, alerts }
    }
}

impl From<&EpochLedger> for ShownLedger {
    fn from(ledger: &EpochLedger) -> Self {
        let EpochLedger { batches, rows, packets, alerts, .. } = *ledger;
        Self {
            epoch: ledger.epoch.to_string(),
            sensor: ledger.sensor.clone(),
            started: Moment(ledger.started),
            ended: ledger.ended.map(Moment),
            committed: ShownTally { batches, events: rows, packets, alerts },
            quarantined_rows: ledger.quarantined_rows,
            pruned_rows: ledger.pruned_rows,
            pruned_packets: ledger.pruned_packets,
            refused_rows: ledger.refused_rows,
            refused_packets: ledger.refused_packets,
            last_marker: ledger.last_marker.as_ref().map(ShownMarker::from),
        }
    }
}

impl From<&crate::event::Marker> for ShownMarker {
    fn from(marker: &crate::event::Marker) -> Self {
        let sums: Vec<ShownSum> = marker
            .stages
            .iter()
            .map(|sum| ShownSum::new(&sum.stage, sum.came, sum.accounted, true))
            .collect();
        let differences = sums.iter().map(|sum| sum.difference).sum::<u64>();
        Self {
            number: marker.number,
            at: Moment(marker.at),
            kind: match marker.kind {
                MarkerKind::Start => "start",
                MarkerKind::Running => "running",
                MarkerKind::End => "end",
                MarkerKind::Crashed => "crashed",
            },
            packets: marker.totals.packets,
            events: marker.totals.events,
            unaccounted: differences + marker.totals.unaccounted(),
            sums,
        }
    }
}
