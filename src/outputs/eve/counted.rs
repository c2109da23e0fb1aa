//! What was counted, as `stats` and `anomaly` records.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::Reason;
use crate::eve::{self, Origin};
use crate::outputs::Figures;
use crate::time::Timestamp;
use crate::verdict::Level;

/// What the sensor has counted since it started.
#[derive(Serialize)]
pub(super) struct StatsRecord<'a> {
    timestamp: String,
    event_type: &'static str,
    #[serde(flatten)]
    origin: Origin<'a>,
    stats: Stats,
    phantomnet: Own,
}

#[derive(Serialize)]
struct Stats {
    uptime: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Capture>,
    decoder: Decoder,
    detect: Detect,
}

#[derive(Serialize)]
struct Capture {
    kernel_packets: u64,
    kernel_drops: u64,
}

#[derive(Serialize)]
struct Decoder {
    pkts: u64,
    bytes: u64,
    invalid: u64,
}

#[derive(Serialize)]
struct Detect {
    alert: u64,
}

/// What only this sensor counts.
#[derive(Serialize)]
struct Own {
    verdicts: BTreeMap<&'static str, u64>,
    lost_packets: u64,
    lost_verdicts: u64,
    sources: u64,
    unaccounted: u64,
}

impl<'a> StatsRecord<'a> {
    pub(super) fn of(figures: &Figures, alerts: u64, at: Timestamp, origin: Origin<'a>) -> Self {
        let c = &figures.counters;
        let levels = Level::ALL.into_iter().map(Level::name);
        Self {
            timestamp: eve::time(at),
            event_type: "stats",
            origin,
            stats: Stats {
                uptime: figures.uptime,
                capture: figures.kernel.as_ref().map(|kernel| Capture {
                    kernel_packets: kernel.packets,
                    kernel_drops: kernel.drops,
                }),
                decoder: Decoder {
                    pkts: c.taken,
                    bytes: c.taken_bytes,
                    invalid: c.undecodable.iter().sum(),
                },
                detect: Detect { alert: alerts },
            },
            phantomnet: Own {
                verdicts: levels.zip(c.levels).collect(),
                lost_packets: c.handover_full,
                lost_verdicts: c.ring_full.iter().sum(),
                sources: c.sources.live,
                unaccounted: figures.unaccounted,
            },
        }
    }
}

/// Frames that were refused since the last such record: counted, never kept, so that a flood of them is one line.
#[derive(Serialize)]
pub(super) struct AnomalyRecord<'a> {
    timestamp: String,
    event_type: &'static str,
    #[serde(flatten)]
    origin: Origin<'a>,
    anomaly: Anomaly,
    phantomnet: Refused,
}

#[derive(Serialize)]
struct Anomaly {
    #[serde(rename = "type")]
    kind: &'static str,
    event: String,
}

#[derive(Serialize)]
struct Refused {
    frames: u64,
}

impl<'a> AnomalyRecord<'a> {
    pub(super) fn of(reason: Reason, frames: u64, at: Timestamp, origin: Origin<'a>) -> Self {
        Self {
            timestamp: eve::time(at),
            event_type: "anomaly",
            origin,
            anomaly: Anomaly { kind: "decode", event: format!("decoder.{}", reason.name()) },
            phantomnet: Refused { frames },
        }
    }
}
