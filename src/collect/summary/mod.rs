//! What a replay says at its end: one object for programs, one page for people.

mod text;

use std::collections::BTreeMap;
use std::io;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Sink;
use crate::address::Address;
use crate::counters::Ledger;
use crate::decode::Reason;
use crate::sources::SourceCounters;
use crate::verdict::{Detection, Level, Verdict};

pub use text::render_text;

/// How many sources, rules and anomalies a summary lists.
const LISTED: usize = 10;

/// How many notable sources are followed to find the worst; more are counted, not followed.
const FOLLOWED_SOURCES_MAX: usize = 65_536;

/// The summary of a replay (`--summary json` prints just this).
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Frames read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that became packets.
    pub decoded: u64,
    /// Frames refused, by reason; only reasons that occurred.
    pub undecodable: BTreeMap<&'static str, u64>,
    /// Frames without IP.
    pub not_ip: u64,
    /// Packets by verdict.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// Verdicts about destinations under attack, beside those of the packets.
    pub victims: u64,
    /// Events written to a store; 0 without one.
    pub events_stored: u64,
    /// Verdicts that became part of an event begun by another; 0 without a store.
    pub events_coalesced: u64,
    /// What was lost, by `stage/reason`; only what occurred.
    pub dropped: BTreeMap<String, u64>,
    /// The sum of all differences between what came and what is accounted for: 0.
    pub unaccounted: u64,
    /// What became of the per-source states.
    pub sources: SourceCount,
    /// Wall time from the first frame asked for to the last verdict taken.
    pub seconds: f64,
    /// `packets / seconds`.
    pub packets_per_second: f64,
    /// Wall nanoseconds for each frame.
    pub ns_per_packet: f64,
    /// Nanoseconds of worker time for each frame, by stage (all workers together).
    pub stage_ns: BTreeMap<&'static str, f64>,
    /// From a turn's receipt to its verdicts in the ring.
    pub latency_ns: LatencyNanos,
    /// Rules in force, and rules of the files that were refused and left out.
    pub rules: RuleCount,
    /// The model that scored.
    pub model: ModelIdentity,
    /// The version of the detection: equal for equal model, rules, intelligence, decoys and policy.
    pub detection_version: String,
    /// The version of the other settings that verdicts depend on: equal for equal sources, features and hash key.
    pub settings_version: String,
    /// Number of workers.
    pub workers: usize,
}

/// What became of the per-source states.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SourceCount {
    /// Held at the end.
    pub live: u64,
    /// Begun.
    pub inserted: u64,
    /// Given up for another source.
    pub evicted: u64,
    /// Ended by silence.
    pub expired: u64,
    /// Not kept, because every place was worth more.
    pub denied: u64,
}

impl From<SourceCounters> for SourceCount {
    fn from(counters: SourceCounters) -> Self {
        let SourceCounters { live, inserted, evicted, expired, denied } = counters;
        Self { live, inserted, evicted, expired, denied }
    }
}

/// Rules, counted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RuleCount {
    /// In force.
    pub loaded: usize,
    /// Refused and left out (`rules.unsupported = "skip"`).
    pub refused: usize,
}

/// Percentiles of the latency, nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the names of percentiles say what they are")]
pub struct LatencyNanos {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl From<&Histogram<u64>> for LatencyNanos {
    fn from(latency: &Histogram<u64>) -> Self {
        let at = |quantile| latency.value_at_quantile(quantile);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: latency.max() }
    }
}

/// Which model scored.
#[derive(Clone, Debug, Serialize)]
pub struct ModelIdentity {
    /// Its name.
    pub name: String,
    /// The version of the feature schema.
    pub schema: u32,
    /// The fingerprint of the feature schema.
    pub fingerprint: String,
    /// SHA-256 of the model file.
    pub sha256: String,
}

/// What a summary is made of.
#[derive(Debug)]
pub struct SummaryParts<'a> {
    /// The ledger at the end.
    pub ledger: Ledger<'a>,
    /// From receipt to ring.
    pub latency: &'a Histogram<u64>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What judged.
    pub detection: &'a Detection,
    /// The settings, as the sensor's parameters name them.
    pub settings_version: u32,
    /// Number of workers.
    pub workers: usize,
    /// What became of the events.
    pub events: EventCounts,
}

/// What became of the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Written to a store.
    pub stored: u64,
    /// Verdicts that became part of an event begun by another.
    pub coalesced: u64,
}

impl Summary {
    /// Adds everything up.
    #[must_use]
    pub fn new(parts: &SummaryParts<'_>) -> Self {
        let counters = parts.ledger.workers;
        let per_packet =
            |nanos: f64| if counters.taken == 0 { 0.0 } else { nanos / as_f64(counters.taken) };
        let model = parts.detection.model();
        Self {
            packets: counters.taken,
            bytes: counters.taken_bytes,
            decoded: counters.decoded,
            undecodable: occurred(
                Reason::ALL.iter().map(|reason| reason.name()).zip(counters.undecodable),
            ),
            not_ip: counters.not_ip,
            verdicts: Level::ALL.iter().map(|level| level.name()).zip(counters.levels).collect(),
            victims: counters.victims,
            events_stored: parts.events.stored,
            events_coalesced: parts.events.coalesced,
            dropped: dropped(&parts.ledger),
            unaccounted: parts.ledger.unaccounted(),
            sources: counters.sources.into(),
            seconds: parts.seconds,
            packets_per_second: if parts.seconds > 0.0 {
                as_f64(counters.taken) / parts.seconds
            } else {
                0.0
            },
            ns_per_packet: per_packet(parts.seconds * 1e9),
            stage_ns: counters
                .stage_nanos
                .by_name()
                .map(|(name, nanos)| (name, per_packet(as_f64(nanos))))
                .into(),
            latency_ns: parts.latency.into(),
            rules: RuleCount {
                loaded: parts.detection.rules().len(),
                refused: parts.detection.rules().refused(),
            },
            model: ModelIdentity {
                name: model.about().name.clone(),
                schema: crate::features::SCHEMA_VERSION,
                fingerprint: crate::features::fingerprint(),
                sha256: model.sha256().to_owned(),
            },
            detection_version: format!("{:08x}", parts.detection.version()),
            settings_version: format!("{:08x}", parts.settings_version),
            workers: parts.workers,
        }
    }
}

fn dropped(ledger: &Ledger<'_>) -> BTreeMap<String, u64> {
    let counters = ledger.workers;
    let ring_full = Level::ALL.iter().zip(counters.ring_full);
    occurred(
        [
            ("handover/full".to_owned(), counters.handover_full),
            ("handover/towards_full".to_owned(), counters.towards_full),
            ("inspect/rule_hits_left_out".to_owned(), counters.rules_left_out),
            ("inspect/cut_short".to_owned(), counters.inspections_cut_short),
            ("owner/thresholds_evicted".to_owned(), counters.thresholds_evicted),
        ]
        .into_iter()
        .chain(ring_full.map(|(level, count)| (format!("ring/full_{level}"), count))),
    )
}

fn occurred<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    counts.filter(|(_, count)| *count > 0).collect()
}

#[expect(clippy::cast_precision_loss, reason = "shown to a person; a 53-bit mantissa is plenty")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

/// What stands out among the verdicts: sources, rules, anomalies. Bounded, whatever the traffic.
#[derive(Debug, Default)]
pub struct Highlights {
    sources: BTreeMap<Address, NotableSource>,
    sources_not_followed: u64,
    rules: BTreeMap<u16, u64>,
    victims: BTreeMap<Address, NotableVictim>,
    strangest: Vec<Strange>,
    first: Option<crate::time::Timestamp>,
    last: Option<crate::time::Timestamp>,
}

/// A source with at least one packet above SAFE.
#[derive(Clone, Copy, Debug)]
struct NotableSource {
    /// The first of its worst verdicts.
    worst: Verdict,
    packets: u64,
}

/// A destination that a rule counting by destination fired for.
#[derive(Clone, Copy, Debug)]
struct NotableVictim {
    /// The worst verdict, and of the worst that with the most sources.
    worst: Verdict,
    verdicts: u64,
}

/// One of the highest anomaly scores, one for each source.
#[derive(Clone, Copy, Debug)]
struct Strange {
    source: Address,
    packet: u64,
    score: f32,
}

impl Sink for Highlights {
    fn name(&self) -> String {
        "summary".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, _: &Detection) -> io::Result<()> {
        let time = verdict.digest.time;
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        for &rule in verdict.rules() {
            *self.rules.entry(rule).or_default() += 1;
        }
        if verdict.is_of_victim() {
            self.note_victim(verdict);
            return Ok(());
        }
        self.note_strangest(verdict);
        if verdict.level > Level::Safe {
            self.note_source(verdict);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Highlights {
    fn note_source(&mut self, verdict: &Verdict) {
        let source = verdict.digest.source;
        if self.sources.len() >= FOLLOWED_SOURCES_MAX && !self.sources.contains_key(&source) {
            self.sources_not_followed += 1;
            return;
        }
        let notable =
            self.sources.entry(source).or_insert(NotableSource { worst: *verdict, packets: 0 });
        if (verdict.level, verdict.total) > (notable.worst.level, notable.worst.total) {
            notable.worst = *verdict;
        }
        notable.packets += 1;
    }

    fn note_victim(&mut self, verdict: &Verdict) {
        let victim = verdict.digest.destination;
        if self.victims.len() < FOLLOWED_SOURCES_MAX || self.victims.contains_key(&victim) {
            let notable = self
                .victims
                .entry(victim)
                .or_insert(NotableVictim { worst: *verdict, verdicts: 0 });
            if (verdict.level, verdict.sources) > (notable.worst.level, notable.worst.sources) {
                notable.worst = *verdict;
            }
            notable.verdicts += 1;
        }
    }

    fn note_strangest(&mut self, verdict: &Verdict) {
        let score = verdict.anomaly_score;
        let lowest = self.strangest.last().map_or(0.0, |lowest| lowest.score);
        if self.strangest.len() >= LISTED && score <= lowest {
            return;
        }
        let source = verdict.digest.source;
        match self.strangest.iter_mut().find(|strange| strange.source == source) {
            Some(known) if known.score >= score => return,
            Some(known) => *known = Strange { source, packet: verdict.digest.sequence, score },
            None => self.strangest.push(Strange { source, packet: verdict.digest.sequence, score }),
        }
        self.strangest.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.packet.cmp(&b.packet)));
        self.strangest.truncate(LISTED);
    }

    /// The worst sources, worst first.
    fn worst_sources(&self) -> Vec<(Address, NotableSource)> {
        let mut sources: Vec<_> =
            self.sources.iter().map(|(address, source)| (*address, *source)).collect();
        sources.sort_by(|(a, x), (b, y)| {
            let (worst_x, worst_y) = (&x.worst, &y.worst);
            worst_y
                .level
                .cmp(&worst_x.level)
                .then(worst_y.total.total_cmp(&worst_x.total))
                .then(y.packets.cmp(&x.packets))
                .then(a.cmp(b))
        });
        sources.truncate(LISTED);
        sources
    }

    /// The rules that fired most, most first.
    fn busiest_rules(&self) -> Vec<(u16, u64)> {
        let mut rules: Vec<_> = self.rules.iter().map(|(rule, count)| (*rule, *count)).collect();
        rules.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        rules.truncate(LISTED);
        rules
    }
}
