//! How the sensor is.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::{CaptureStatus, InterfaceStatus, Live};
use super::version_text;
use crate::capture::live::QueueStatus;
use crate::store::writer::WriterStats;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum HealthStatus {
    /// Everything does its work.
    Healthy,
    /// Packets are judged, but something else is wrong.
    Degraded,
    /// No packets are judged.
    Error,
}

/// That the server answers.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Liveness {
    pub(in super::super) status: HealthStatus,
}

/// How each part is.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Health {
    pub(in super::super) status: HealthStatus,
    /// What is wrong, in words.
    problems: Vec<String>,
    database: DatabaseHealth,
    capture: CaptureHealth,
    workers: Vec<WorkerHealth>,
    model: ModelHealth,
}

/// The store, as readers and the writer see it.
#[derive(Debug, Serialize, ToSchema)]
struct DatabaseHealth {
    /// `up`, `busy` (every connection for questions is taken) or `down`.
    status: &'static str,
    /// What it calls itself; null when it does not answer.
    version: Option<String>,
    /// Whether the last batch could be committed; null before the first.
    writing: Option<bool>,
    /// What the last try that failed said; null when none did since.
    last_error: Option<String>,
    /// Events that wait on disk for the store.
    spooled_events: u64,
}

/// The source of frames.
#[derive(Debug, Serialize, ToSchema)]
struct CaptureHealth {
    /// `running` or `stopped`.
    status: &'static str,
    source: String,
    /// Frames delivered; null where the source can't know.
    delivered: Option<u64>,
    fault: Option<String>,
    /// What the kernel says of the interface; null where frames come from elsewhere.
    interface: Option<InterfaceHealth>,
}

/// An interface whose frames are received.
#[derive(Debug, Serialize, ToSchema)]
struct InterfaceHealth {
    name: String,
    /// The kind of socket.
    backend: &'static str,
    /// `zerocopy`, `native` or `generic`: the mode in force.
    mode: &'static str,
    queues: Vec<QueueHealth>,
}

/// What became of the frames of one receive queue since the start.
#[derive(Debug, Serialize, ToSchema)]
struct QueueHealth {
    queue: u32,
    /// Frames that the XDP program saw: the sum of the five below.
    seen: u64,
    /// Given to the queue's socket.
    redirected: u64,
    /// Passed to this machine, for want of a socket.
    passed_no_socket: u64,
    dropped_no_socket: u64,
    /// Dropped because of `capture.ignore`.
    dropped_ignored: u64,
    /// Of those given to the socket: no place for them, or too long.
    socket_dropped: u64,
    /// Of those given to the socket: the worker was too slow.
    socket_ring_full: u64,
}

impl From<InterfaceStatus> for InterfaceHealth {
    fn from(status: InterfaceStatus) -> Self {
        let queue = |status: QueueStatus| {
            let QueueStatus { queue, counts, statistics } = status;
            QueueHealth {
                queue,
                seen: counts.seen,
                redirected: counts.redirected,
                passed_no_socket: counts.passed_no_socket,
                dropped_no_socket: counts.dropped_no_socket,
                dropped_ignored: counts.dropped_ignored,
                socket_dropped: statistics.dropped,
                socket_ring_full: statistics.ring_full,
            }
        };
        let InterfaceStatus { name, backend, mode, queues } = status;
        Self { name, backend, mode, queues: queues.into_iter().map(queue).collect() }
    }
}

/// One worker, by what it has counted.
#[derive(Debug, Serialize, ToSchema)]
struct WorkerHealth {
    worker: usize,
    /// `working`, `ended` (it has judged all it owned) or `panicked`.
    state: &'static str,
    /// Frames taken.
    taken: u64,
    /// Packets judged.
    judged: u64,
    /// Verdicts lost because the ring was full.
    ring_full: u64,
}

/// What judges.
#[derive(Debug, Serialize, ToSchema)]
struct ModelHealth {
    name: String,
    sha256: String,
    detection_version: String,
    /// When it was loaded, with the rules, intelligence and policy beside it.
    since: String,
    /// What the last reload was refused for, while the old one judges on; null when nothing was wrong.
    reload_fault: Option<String>,
}

/// Whether the store answers readers.
#[derive(Debug)]
pub(in super::super) enum Database {
    Up(String),
    Busy,
    Down(String),
}

impl Health {
    pub(in super::super) fn of(live: &Live, database: Database) -> Self {
        let (capture, writer) = (live.capture.read(), live.writer.read());
        let collector = live.collector.read();
        let detection = live.detection();
        let reloads = live.reloads.read();
        let unaccounted =
            collector.unaccounted.max(collector.totals.unaccounted()).max(writer.unaccounted());
        let mut problems = Problems::default();
        problems.of_capture(&capture);
        problems.of_store(&database, &writer);
        problems.of_workers(live);
        problems.of_outputs(live);
        if let Some(fault) = &reloads.fault {
            problems.add(HealthStatus::Degraded, format!("the last reload was refused: {fault}"));
        }
        if unaccounted > 0 || collector.violations > 0 {
            let text =
                format!("{unaccounted} packets or verdicts do not add up between the stages");
            problems.add(HealthStatus::Degraded, text);
        }
        Self {
            status: problems.worst,
            problems: problems.texts,
            database: DatabaseHealth::of(database, &writer),
            capture: CaptureHealth {
                status: if capture.running { "running" } else { "stopped" },
                source: capture.source,
                delivered: capture.delivered,
                fault: capture.fault,
                interface: capture.interface.map(InterfaceHealth::from),
            },
            workers: live.workers.iter().enumerate().map(WorkerHealth::of).collect(),
            model: ModelHealth {
                name: detection.model().about().name.clone(),
                sha256: detection.model().sha256().to_owned(),
                detection_version: version_text(detection.version()),
                since: reloads.since.to_string(),
                reload_fault: reloads.fault,
            },
        }
    }
}

/// What is wrong so far.
struct Problems {
    worst: HealthStatus,
    texts: Vec<String>,
}

impl Default for Problems {
    fn default() -> Self {
        Self { worst: HealthStatus::Healthy, texts: Vec::new() }
    }
}

impl Problems {
    fn add(&mut self, status: HealthStatus, text: String) {
        self.worst = self.worst.max(status);
        self.texts.push(text);
    }

    fn of_capture(&mut self, capture: &CaptureStatus) {
        if !capture.running {
            self.add(
                HealthStatus::Error,
                "no frames are coming: the capture has stopped".to_owned(),
            );
        }
        if let Some(fault) = &capture.fault {
            self.add(HealthStatus::Error, format!("capture: {fault}"));
        }
        let queues = capture.interface.iter().flat_map(|interface| &interface.queues);
        for queue in queues.filter(|queue| queue.counts.without_socket() > 0) {
            let text = format!(
                "{} frames came on queue {} while it had no socket: they were not judged",
                queue.counts.without_socket(),
                queue.queue
            );
            self.add(HealthStatus::Degraded, text);
        }
    }

    fn of_store(&mut self, database: &Database, writer: &WriterStats) {
        if let Database::Down(reason) = database {
            self.add(HealthStatus::Degraded, format!("the store does not answer: {reason}"));
        }
        if !writer.store_up
            && let Some(error) = &writer.last_error
        {
            let waiting = writer.spooled.rows + writer.waiting.rows;
            let text = format!("events can't be stored, {waiting} are waiting: {error}");
            self.add(HealthStatus::Degraded, text);
        }
        if writer.quarantined_rows > 0 {
            let text =
                format!("the store refused {} events by themselves", writer.quarantined_rows);
            self.add(HealthStatus::Degraded, text);
        }
        let refused =
            writer.refused_bound.rows + writer.refused_corrupt.rows + writer.refused_io.rows;
        if refused > 0 {
            self.add(HealthStatus::Degraded, format!("{refused} events were lost since the start"));
        }
    }
}

impl Problems {
    /// Workers that are no more, and what came faster than it was judged, or collected.
    fn of_workers(&mut self, live: &Live) {
        let (mut packets, mut verdicts) = (0, 0);
        for (number, worker) in live.workers.iter().enumerate() {
            if worker.has_died() {
                let text = format!(
                    "worker {number} panicked: what it held is lost, the others end in order"
                );
                self.add(HealthStatus::Error, text);
            }
            let counters = worker.counters();
            packets += counters.handover_full;
            verdicts += counters.ring_full.iter().sum::<u64>();
        }
        for (lost, of_what) in
            [(packets, "packets were not judged"), (verdicts, "verdicts were not collected")]
        {
            if lost > 0 {
                let text =
                    format!("{lost} {of_what} since the start: more came than there was time for");
                self.add(HealthStatus::Degraded, text);
            }
        }
    }
}

impl Problems {
    /// Records that the other side does not take, and those that were lost for it.
    fn of_outputs(&mut self, live: &Live) {
        for (name, stats) in &live.outputs {
            let stats = stats.read();
            if let Some(error) = &stats.last_error {
                let text = format!(
                    "output {name}: records are not taken, {} are waiting: {error}",
                    stats.waiting
                );
                self.add(HealthStatus::Degraded, text);
            }
            if stats.lost() > 0 {
                let text =
                    format!("output {name}: {} records were lost since the start", stats.lost());
                self.add(HealthStatus::Degraded, text);
            }
        }
    }
}

impl DatabaseHealth {
    fn of(database: Database, writer: &WriterStats) -> Self {
        let (status, version) = match database {
            Database::Up(version) => ("up", Some(version)),
            Database::Busy => ("busy", None),
            Database::Down(_) => ("down", None),
        };
        let tried = writer.committed.batches > 0 || writer.failures > 0;
        Self {
            status,
            version,
            writing: tried.then_some(writer.store_up),
            last_error: writer.last_error.clone(),
            spooled_events: writer.spooled.rows,
        }
    }
}

impl WorkerHealth {
    fn of((worker, published): (usize, &std::sync::Arc<crate::counters::Published>)) -> Self {
        let counters = published.counters();
        Self {
            worker,
            state: if published.has_died() {
                "panicked"
            } else if published.has_left() {
                "ended"
            } else {
                "working"
            },
            taken: counters.taken,
            judged: counters.scored,
            ring_full: counters.ring_full.iter().sum(),
        }
    }
}
