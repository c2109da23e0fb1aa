//! Takes judged packets, capture by capture, and makes the report.

use std::collections::BTreeMap;

use super::judged::{Detector, HIGH, Judged, Place, Scores, WARNING};
use super::labels::{CaptureTruth, Kinds, Labels};
use super::ranking::{Pairs, Ranking, Side};
use super::report::{Alerting, Bystanders, Normal, PrecisionAt, Quality, Report, Row, Skipped};
use crate::address::Address;
use crate::time::Timestamp;

/// Where precision is stated, besides at as many as there are positives.
const PRECISION_AT: [u64; 3] = [10, 100, 1_000];
const NORMAL: u16 = 0;
const OVERALL: &str = "all attacks";
const SECONDS_PER_HOUR: f64 = 3_600.0;
/// Silence that counts as observed time; of a longer one, as between days in one file, nothing does.
const SILENCE_SECS_MAX: f64 = 300.0;

/// Collects judged packets: `begin_capture`, `push` for each, `end_capture`; then `report`.
#[derive(Debug)]
pub struct Collector {
    labels: Labels,
    current: Option<Current>,
    captures: u64,
    skipped: Vec<Skipped>,
    packets: Vec<Packet>,
    sources: Vec<Source>,
    occurrences: Vec<(u16, Spell)>,
    /// Packets that the labels call neither attack nor normal, and packets behind the end of the labels.
    left_out: u64,
    unlabelled: u64,
    normal_seconds: f64,
    bystanders: Bystanders,
}

/// A packet's scores and kind: 28 bytes for each packet of the captures.
#[derive(Clone, Copy, Debug)]
struct Packet {
    scores: Scores,
    kind: u16,
    capture: u32,
}

/// A source's worst scores within one capture, and the attacks it takes part in.
#[derive(Clone, Debug)]
struct Source {
    scores: Scores,
    kinds: Vec<u16>,
    capture: u32,
}

/// The capture that is being read.
#[derive(Debug)]
struct Current {
    truth: Truth,
    sources: BTreeMap<Address, Source>,
    occurrences: BTreeMap<u16, Spell>,
    latest: Option<Timestamp>,
    seconds: f64,
    has_normal: bool,
}

#[derive(Debug)]
enum Truth {
    ByPacket,
    BySource(CaptureTruth),
    Skipped,
}

/// An attack in one capture: its first packet, and the first ones that raised an alert.
#[derive(Clone, Copy, Debug)]
struct Spell {
    first: Timestamp,
    warning: Option<Timestamp>,
    high: Option<Timestamp>,
}

impl Collector {
    /// Ready for the first capture.
    #[must_use]
    pub const fn new(labels: Labels) -> Self {
        Self {
            labels,
            current: None,
            captures: 0,
            skipped: Vec::new(),
            packets: Vec::new(),
            sources: Vec::new(),
            occurrences: Vec::new(),
            left_out: 0,
            unlabelled: 0,
            normal_seconds: 0.0,
            bystanders: Bystanders {
                captures: 0,
                attacker_above: 0,
                same_level: 0,
                attacker_below: 0,
            },
        }
    }

    /// Begins the capture whose bytes have this SHA-256 (64 hexadecimal digits); `name` is what the report calls it.
    /// Returns whether it can be scored: if not, its packets need not be pushed, and have no effect.
    pub fn begin_capture(&mut self, sha256: &str, name: &str) -> bool {
        self.end_capture();
        let truth = match &self.labels {
            Labels::Packets(_) if self.captures > 0 => {
                Err("the labels are those of one capture".to_owned())
            }
            Labels::Packets(_) => Ok(Truth::ByPacket),
            Labels::Captures(labels) => match labels.capture(&sha256.to_ascii_lowercase()) {
                None => Err("its SHA-256 is not in the labels".to_owned()),
                Some(CaptureTruth::Unscorable { why }) => Err(why.clone()),
                Some(truth) => Ok(Truth::BySource(truth.clone())),
            },
        };
        let is_scored = truth.is_ok();
        self.captures += u64::from(is_scored);
        let truth = truth.unwrap_or_else(|why| {
            self.skipped.push(Skipped { capture: name.to_owned(), why });
            Truth::Skipped
        });
        self.current = Some(Current {
            truth,
            sources: BTreeMap::new(),
            occurrences: BTreeMap::new(),
            latest: None,
            seconds: 0.0,
            has_normal: false,
        });
        is_scored
    }

    /// Takes one packet of the capture that was begun.
    pub fn push(&mut self, judged: &Judged) {
        let Some(current) = self.current.as_mut() else { return };
        let kind = match (&current.truth, &self.labels) {
            (Truth::BySource(truth), _) => truth.kind(judged.source, judged.time),
            (Truth::ByPacket, Labels::Packets(labels)) => {
                let kind = labels.kind(judged.packet);
                self.unlabelled += u64::from(kind.is_none());
                kind
            }
            (Truth::Skipped | Truth::ByPacket, _) => return,
        };
        let Some(kind) = kind else {
            self.left_out += 1;
            return;
        };
        let scores = Scores::of(judged);
        let capture = u32::try_from(self.captures).unwrap_or(u32::MAX);
        self.packets.push(Packet { scores, kind, capture });
        current.add(judged, kind, &Source { scores, kinds: Vec::new(), capture });
    }

    /// Ends the capture that was begun.
    pub fn end_capture(&mut self) {
        let Some(current) = self.current.take() else { return };
        if let Some((attacker, bystander)) = current.worst_levels() {
            self.bystanders.add(attacker, bystander);
        }
        if current.has_normal {
            self.normal_seconds += current.seconds;
        }
        self.sources.extend(current.sources.into_values());
        self.occurrences.extend(current.occurrences);
    }

    /// The report over all captures so far.
    #[must_use]
    pub fn report(&mut self) -> Report {
        self.end_capture();
        let kinds: &Kinds = match &self.labels {
            Labels::Packets(labels) => &labels.kinds,
            Labels::Captures(labels) => &labels.kinds,
        };
        let packets = self.rows(&self.packets, kinds);
        let sources = self.rows(&self.sources, kinds);
        Report {
            captures: self.captures,
            skipped: self.skipped.clone(),
            left_out_packets: self.left_out,
            unlabelled_packets: self.unlabelled,
            normal: self.normal(),
            bystanders: self.bystanders,
            packets,
            sources,
        }
    }

    /// One row for all attacks together, then one for each.
    fn rows<T: Scored>(&self, things: &[T], kinds: &Kinds) -> Vec<Row> {
        let all = std::iter::once((None, OVERALL));
        let each = kinds.sorted().into_iter().map(|(kind, name)| (Some(kind), name));
        let mut rows: Vec<(Option<u16>, Row)> =
            all.chain(each).map(|(kind, name)| (kind, self.row(name, kind, things))).collect();
        rows.retain(|(kind, row)| kind.is_none() || row.positives > 0);
        // One detector after the other: an order over everything is what takes the memory here.
        for detector in Detector::ALL {
            let rankings = Rankings::new(things, detector);
            for (kind, row) in &mut rows {
                row.detectors
                    .push(rankings.quality(detector, row.positives, |thing| thing.side(*kind)));
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The row of one attack, before the detectors are asked.
    fn row<T: Scored>(&self, name: &str, kind: Option<u16>, things: &[T]) -> Row {
        let count =
            |side: Side| things.iter().filter(|thing| thing.side(kind) == side).count() as u64;
        let positives = count(Side::Positive);
        let alerting = |level: u8, alert: fn(&Spell) -> Option<Timestamp>| {
            let found = things
                .iter()
                .filter(|thing| {
                    thing.side(kind) == Side::Positive && thing.scores().level() >= level
                })
                .count() as u64;
            let spells =
                self.occurrences.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
            let delays = spells.map(|(_, spell)| alert(spell).map(|at| at.secs_since(spell.first)));
            Alerting::new(found, positives, delays)
        };
        Row {
            attack: name.to_owned(),
            positives,
            negatives: count(Side::Negative),
            detectors: Vec::new(),
            warning: alerting(WARNING, |spell| spell.warning),
            high: alerting(HIGH, |spell| spell.high),
        }
    }

    fn normal(&self) -> Normal {
        let packets = || self.packets.iter().filter(|packet| packet.kind == NORMAL);
        let sources = || self.sources.iter().filter(|source| source.kinds.is_empty());
        let hours = self.normal_seconds / SECONDS_PER_HOUR;
        let warnings = packets().filter(|packet| packet.scores.level() >= WARNING).count() as u64;
        let highs = packets().filter(|packet| packet.scores.level() >= HIGH).count() as u64;
        let alerted = sources().filter(|source| source.scores.level() >= WARNING).count() as u64;
        Normal::new(
            packets().count() as u64,
            sources().count() as u64,
            hours,
            [warnings, highs, alerted],
        )
    }
}

impl Current {
    /// The worst verdict on an attacker and on a bystander, where the capture has both.
    fn worst_levels(&self) -> Option<(u8, u8)> {
        let worst = |attackers: bool| {
            let sources =
                self.sources.values().filter(|source| source.kinds.is_empty() != attackers);
            sources.map(|source| source.scores.level()).max()
        };
        Some((worst(true)?, worst(false)?))
    }

    fn add(&mut self, judged: &Judged, kind: u16, fresh: &Source) {
        let latest = self.latest.unwrap_or(judged.time);
        let silence = judged.time.secs_since(latest);
        if silence <= SILENCE_SECS_MAX {
            self.seconds += silence;
        }
        self.latest = Some(latest.max(judged.time));
        let source = self.sources.entry(judged.source).or_insert_with(|| fresh.clone());
        source.scores.worsen(&fresh.scores);
        if kind == NORMAL {
            self.has_normal = true;
            return;
        }
        if !source.kinds.contains(&kind) {
            source.kinds.push(kind);
        }
        let spell = self.occurrences.entry(kind).or_insert(Spell {
            first: judged.time,
            warning: None,
            high: None,
        });
        if judged.level >= WARNING {
            spell.warning.get_or_insert(judged.time);
        }
        if judged.level >= HIGH {
            spell.high.get_or_insert(judged.time);
        }
    }
}

/// A packet or a source, as the metrics see it.
trait Scored {
    fn scores(&self) -> &Scores;
    /// The attacks it is part of; none for what is normal.
    fn kinds(&self) -> &[u16];
    fn capture(&self) -> u32;

    /// Where it stands when the question is `kind`, or any attack.
    fn side(&self, kind: Option<u16>) -> Side {
        match kind {
            _ if self.kinds().is_empty() => Side::Negative,
            None => Side::Positive,
            Some(kind) if self.kinds().contains(&kind) => Side::Positive,
            Some(_) => Side::LeftOut,
        }
    }
}

impl Scored for Packet {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn kinds(&self) -> &[u16] {
        if self.kind == NORMAL { &[] } else { std::slice::from_ref(&self.kind) }
    }

    fn capture(&self) -> u32 {
        self.capture
    }
}

impl Scored for Source {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn kinds(&self) -> &[u16] {
        &self.kinds
    }

    fn capture(&self) -> u32 {
        self.capture
    }
}

/// One detector's order over everything, and within each capture that holds an attack.
struct Rankings<'a, T> {
    pooled: Ranking<Place, &'a T>,
    by_capture: Vec<Ranking<Place, &'a T>>,
}

impl<'a, T: Scored> Rankings<'a, T> {
    fn new(things: &'a [T], detector: Detector) -> Self {
        let rank = |things: &'a [T]| {
            Ranking::new(
                things.iter().map(|thing| (thing.scores().place(detector), thing)).collect(),
            )
        };
        let by_capture = things
            .chunk_by(|a, b| a.capture() == b.capture())
            .filter(|things| things.iter().any(|thing| !thing.kinds().is_empty()))
            .map(rank)
            .collect();
        Self { pooled: rank(things), by_capture }
    }

    fn quality(&self, detector: Detector, positives: u64, side: impl Fn(&&T) -> Side) -> Quality {
        let within = self.by_capture.iter().map(|ranking| ranking.pairs(&side));
        let at = |k: u64| self.pooled.precision_at(k, &side);
        Quality {
            detector: detector.name(),
            roc_auc: self.pooled.pairs(&side).roc_auc(),
            roc_auc_within_captures: within.fold(Pairs::default(), Pairs::and).roc_auc(),
            average_precision: self.pooled.average_precision(&side),
            precision_at_positives: at(positives),
            precision_at: PRECISION_AT
                .into_iter()
                .filter_map(|k| Some(PrecisionAt { k, precision: at(k)? }))
                .collect(),
        }
    }
}
