//! The figures of one moment, and what two moments say of the time between them.

use std::time::Instant;

use serde::Serialize;
use ureq::http::StatusCode;

use super::answers::{Accounting, Health, Incident, Incidents, Top};
use super::openmetrics::{Histogram, Samples};
use crate::cli::client::{AskError, Client, Text};
use crate::verdict::Level;

/// Counters since the sensor's start; what it does not tell is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Counters {
    pub(super) frames: Option<u64>,
    pub(super) bytes: Option<u64>,
    /// Packets judged.
    pub(super) packets: Option<u64>,
    pub(super) not_ip: Option<u64>,
    pub(super) undecodable: Option<u64>,
    /// In the order of [`Level::ALL`].
    pub(super) verdicts: Vec<Verdicts>,
    /// Verdicts about destinations under attack, which are no packets.
    pub(super) victims: Option<u64>,
    pub(super) lost: Vec<Lost>,
}

/// Packets of one level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdicts {
    pub(super) verdict: &'static str,
    pub(super) packets: Option<u64>,
}

/// What was lost at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    pub(super) place: &'static str,
    pub(super) what: &'static str,
    pub(super) count: Option<u64>,
}

/// The writer, its spool and the store.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Storing {
    /// As readers see it: up, busy, down.
    pub(super) store: Text,
    pub(super) version: Option<Text>,
    pub(super) committed_events: Option<u64>,
    pub(super) waiting_events: Option<u64>,
    pub(super) spooled_events: Option<u64>,
    pub(super) spool_bytes: Option<f64>,
    pub(super) spool_bound_bytes: Option<f64>,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) name: &'static str,
    /// How many were timed.
    pub(super) count: u64,
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    pub(super) p999_seconds: Option<f64>,
}

impl Latency {
    fn of(name: &'static str, histogram: &Histogram) -> Self {
        Self {
            name,
            count: histogram.count(),
            p50_seconds: histogram.quantile(0.5),
            p99_seconds: histogram.quantile(0.99),
            p999_seconds: histogram.quantile(0.999),
        }
    }
}

/// Durations that are shown, by the name of their metric.
const DURATIONS: [(&str, &str); 2] = [
    ("frame_to_verdict", "phantomnet_frame_to_verdict_seconds"),
    ("record_to_commit", "phantomnet_record_to_commit_seconds"),
];

/// Everything that the sensor tells of one moment.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Snapshot {
    pub(super) url: String,
    pub(super) sensor: Text,
    pub(super) version: Option<Text>,
    /// The run: another one begins its counters at 0.
    pub(super) epoch: Text,
    pub(super) started: Text,
    pub(super) status: Text,
    pub(super) problems: Vec<Text>,
    pub(super) source: Text,
    pub(super) unaccounted: u64,
    pub(super) since_start: Counters,
    pub(super) latency_since_start: Vec<Latency>,
    pub(super) storing: Storing,
    #[serde(skip)]
    pub(super) histograms: Vec<(&'static str, Histogram)>,
    /// When the counters came.
    #[serde(skip)]
    pub(super) taken: Instant,
}

impl Snapshot {
    /// Asks for it.
    pub(super) fn ask(client: &Client) -> Result<Self, AskError> {
        // An ill sensor answers with 503, and says what it has.
        let health: Health = client.json("/health", &[StatusCode::SERVICE_UNAVAILABLE])?;
        let accounting: Accounting = client.json("/api/accounting?limit=1", &[])?;
        let samples = Samples::of(&client.text("/metrics", &[])?);
        Ok(Self::of(client.url(), health, accounting, &samples, Instant::now()))
    }

    pub(super) fn of(
        url: &str,
        health: Health,
        accounting: Accounting,
        samples: &Samples,
        taken: Instant,
    ) -> Self {
        let histograms: Vec<(&str, Histogram)> =
            DURATIONS.iter().map(|(name, metric)| (*name, samples.histogram(metric))).collect();
        Self {
            url: url.to_owned(),
            sensor: accounting.sensor,
            version: samples.label("phantomnet_build_info", "version").map(Text::from),
            epoch: accounting.epoch,
            started: accounting.started,
            status: health.status,
            problems: health.problems,
            source: health.capture.source,
            unaccounted: accounting.unaccounted,
            since_start: counters(samples),
            latency_since_start: histograms
                .iter()
                .map(|(name, all)| Latency::of(name, all))
                .collect(),
            storing: Storing {
                store: health.database.status,
                version: health.database.version,
                committed_events: samples
                    .count("phantomnet_writer_rows_total", &[("outcome", "committed")]),
                waiting_events: samples.count("phantomnet_waiting_rows", &[("place", "memory")]),
                spooled_events: samples.count("phantomnet_waiting_rows", &[("place", "spool")]),
                spool_bytes: samples.number("phantomnet_spool_bytes"),
                spool_bound_bytes: samples.number("phantomnet_spool_bound_bytes"),
            },
            histograms,
            taken,
        }
    }
}

fn counters(samples: &Samples) -> Counters {
    let frames = |outcome| samples.count("phantomnet_frames_total", &[("outcome", outcome)]);
    Counters {
        frames: frames("taken"),
        bytes: samples.count("phantomnet_frame_bytes_total", &[]),
        packets: frames("scored"),
        not_ip: frames("not_ip"),
        undecodable: frames("undecodable"),
        verdicts: Level::ALL
            .map(|level| Verdicts {
                verdict: level.name(),
                packets: samples.count("phantomnet_verdicts_total", &[("level", level.name())]),
            })
            .into(),
        victims: samples.count("phantomnet_victim_verdicts_total", &[]),
        lost: losses(samples),
    }
}

/// Where something can be lost, in the order of the way. Sources that have no sockets have no such place.
fn losses(samples: &Samples) -> Vec<Lost> {
    let mut lost = Vec::new();
    let xdp = |outcome| samples.count("phantomnet_xdp_frames_total", &[("outcome", outcome)]);
    let without = [xdp("passed_no_socket"), xdp("dropped_no_socket")].into_iter().sum();
    let sockets = samples.count("phantomnet_socket_lost_frames_total", &[]);
    for (place, count) in [("no socket", without), ("sockets", sockets)] {
        if count.is_some() {
            lost.push(Lost { place, what: "frames", count });
        }
    }
    let handover = [("stage", "handover"), ("outcome", "lost")];
    let refused = ["refused_bound", "refused_corrupt", "refused_io", "refused_away"]
        .map(|outcome| samples.count("phantomnet_writer_rows_total", &[("outcome", outcome)]));
    lost.extend([
        Lost {
            place: "handover",
            what: "packets",
            count: samples.count("phantomnet_frames_total", &handover),
        },
        Lost {
            place: "ring",
            what: "verdicts",
            count: samples.count("phantomnet_ring_lost_verdicts_total", &[]),
        },
        Lost {
            place: "handover",
            what: "copies",
            count: samples.count("phantomnet_destination_copies_total", &[("outcome", "lost")]),
        },
        Lost { place: "writer", what: "events", count: refused.into_iter().sum() },
    ]);
    lost
}

/// What happened between two snapshots of one run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Rates {
    /// How far the two are apart.
    pub(super) seconds: f64,
    pub(super) frames_per_second: Option<f64>,
    pub(super) bits_per_second: Option<f64>,
    pub(super) packets_per_second: Option<f64>,
    /// In the order of [`Level::ALL`].
    pub(super) verdicts_per_second: Vec<Option<f64>>,
    pub(super) victims_per_second: Option<f64>,
    /// In the order of the places.
    pub(super) lost_per_second: Vec<Option<f64>>,
    pub(super) committed_events_per_second: Option<f64>,
    pub(super) latency: Vec<Latency>,
}

impl Rates {
    /// None where `now` is not a later moment of the same run.
    pub(super) fn between(then: &Snapshot, now: &Snapshot) -> Option<Self> {
        let seconds = now.taken.checked_duration_since(then.taken)?.as_secs_f64();
        if then.epoch != now.epoch || seconds <= 0.0 {
            return None;
        }
        let rate = |then: Option<u64>, now: Option<u64>| rate(then?, now?, seconds);
        let (before, after) = (&then.since_start, &now.since_start);
        let latency =
            then.histograms.iter().zip(&now.histograms).map(|((_, then), (name, now))| {
                Latency::of(name, &now.since(then).unwrap_or_default())
            });
        Some(Self {
            seconds,
            frames_per_second: rate(before.frames, after.frames),
            bits_per_second: rate(before.bytes, after.bytes).map(|bytes| bytes * 8.0),
            packets_per_second: rate(before.packets, after.packets),
            verdicts_per_second: (before.verdicts.iter().zip(&after.verdicts))
                .map(|(then, now)| rate(then.packets, now.packets))
                .collect(),
            victims_per_second: rate(before.victims, after.victims),
            lost_per_second: lost_rates(&before.lost, &after.lost, seconds),
            committed_events_per_second: rate(
                then.storing.committed_events,
                now.storing.committed_events,
            ),
            latency: latency.collect(),
        })
    }
}

/// None where a place was not there before.
fn lost_rates(before: &[Lost], after: &[Lost], seconds: f64) -> Vec<Option<f64>> {
    let of = |now: &Lost| {
        let then = before.iter().find(|then| (then.place, then.what) == (now.place, now.what))?;
        rate(then.count?, now.count?, seconds)
    };
    after.iter().map(of).collect()
}

#[expect(clippy::cast_precision_loss, reason = "differences of counters within seconds")]
fn rate(then: u64, now: u64, seconds: f64) -> Option<f64> {
    now.checked_sub(then).map(|more| more as f64 / seconds)
}

/// What the store has on the whole: who and what stands behind most alerts, and what is new.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Notable {
    pub(super) top: Option<Top>,
    /// Open ones, the latest seen first.
    pub(super) incidents: Option<Vec<Incident>>,
    /// Why something is missing.
    pub(super) note: Option<String>,
}

impl Notable {
    /// Asks for it. That the store is away is no error: the sensor is there.
    pub(super) fn ask(client: &Client, rows: usize) -> Result<Self, AskError> {
        let mut note = None;
        let mut stored = |error: AskError| match error {
            AskError::Refused { detail, .. } => {
                note = Some(detail);
                Ok(())
            }
            other => Err(other),
        };
        let top = client.json::<Top>(&format!("/api/top?limit={rows}"), &[]);
        let top = match top {
            Ok(top) => Some(top),
            Err(error) => stored(error).map(|()| None)?,
        };
        let path = format!("/api/incidents?state=open&limit={rows}");
        let incidents = match client.json::<Incidents>(&path, &[]) {
            Ok(list) => Some(list.incidents),
            Err(error) => stored(error).map(|()| None)?,
        };
        Ok(Self { top, incidents, note })
    }
}

/// What is shown at once.
#[derive(Clone, Debug, Serialize)]
pub(super) struct View {
    /// When it was asked, by this machine's clock.
    pub(super) at: String,
    #[serde(flatten)]
    pub(super) now: Snapshot,
    /// None before a second snapshot of the same run.
    pub(super) rates: Option<Rates>,
    #[serde(flatten)]
    pub(super) notable: Notable,
}
