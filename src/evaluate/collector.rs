//! Takes judged packets, capture by capture, and makes the report.

use std::collections::{BTreeMap, BTreeSet};

use super::current::{Current, Spell, worst_levels};
use super::judged::{Detector, HIGH, Judged, Scores, WARNING};
use super::labels::{CaptureTruth, Kinds, Labels};
use super::packet_labels::Mismatch;
use super::ranking::Side;
use super::report::{Alerting, Bystanders, Normal, NotJudged, Report, Row, Skipped};
use super::scored::{NORMAL, Packet, Rankings, Role, Scored, Source};
use crate::time::Timestamp;

const OVERALL: &str = "all attacks";
const SECONDS_PER_HOUR: f64 = 3_600.0;

/// Collects judged packets: `begin_capture`, `push` (and `push_victim`) for each, `end_capture`; then `report`.
#[derive(Debug)]
pub struct Collector {
    labels: Labels,
    /// SHA-256 of the files that the model was trained on.
    training: BTreeSet<String>,
    current: Option<(Truth, Current)>,
    captures: Vec<Capture>,
    skipped: Vec<Skipped>,
    packets: Vec<Packet>,
    sources: Vec<Source>,
    occurrences: Vec<(u16, Spell)>,
    /// Packets that the labels call neither attack nor normal.
    left_out: u64,
    /// Packets by kind that have a label and no verdict.
    not_judged: BTreeMap<u16, u64>,
    bystanders: Bystanders,
}

/// A capture that is scored.
#[derive(Clone, Copy, Debug)]
struct Capture {
    /// Whether the model was trained on it.
    is_seen: bool,
    /// How long somebody watched, if there was normal traffic.
    normal_seconds: f64,
}

#[derive(Debug)]
enum Truth {
    ByPacket,
    BySource(CaptureTruth),
    Skipped,
}

impl Truth {
    /// What a packet is: the number of the attack's kind, 0 for normal, `None` for neither.
    fn kind(&self, labels: &Labels, judged: &Judged) -> Result<Option<u16>, Mismatch> {
        match (self, labels) {
            (Self::BySource(truth), _) => Ok(truth.kind(judged.source, judged.time)),
            (Self::ByPacket, Labels::Packets(labels)) => {
                labels.kind(judged.packet, judged.source, judged.time).map(Some)
            }
            (Self::ByPacket | Self::Skipped, _) => Ok(None),
        }
    }
}

impl Collector {
    /// Ready for the first capture. `training` names the files that the model was trained on by their SHA-256 (64 hexadecimal
    /// digits): how it does on one of them says little about others, so the report keeps them apart.
    #[must_use]
    pub fn new<'a>(labels: Labels, training: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            labels,
            training: training.into_iter().map(str::to_ascii_lowercase).collect(),
            current: None,
            captures: Vec::new(),
            skipped: Vec::new(),
            packets: Vec::new(),
            sources: Vec::new(),
            occurrences: Vec::new(),
            left_out: 0,
            not_judged: BTreeMap::new(),
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
        let sha256 = sha256.to_ascii_lowercase();
        let truth = match &self.labels {
            Labels::Packets(_) if !self.captures.is_empty() => {
                Err("the labels are those of one capture".to_owned())
            }
            Labels::Packets(_) => Ok(Truth::ByPacket),
            Labels::Captures(labels) => match labels.capture(&sha256) {
                None => Err("its SHA-256 is not in the labels".to_owned()),
                Some(CaptureTruth::Unscorable { why }) => Err(why.clone()),
                Some(truth) => Ok(Truth::BySource(truth.clone())),
            },
        };
        let is_scored = truth.is_ok();
        if is_scored {
            let is_seen = self.training.contains(&sha256);
            self.captures.push(Capture { is_seen, normal_seconds: 0.0 });
        }
        let truth = truth.unwrap_or_else(|why| {
            self.skipped.push(Skipped { capture: name.to_owned(), why });
            Truth::Skipped
        });
        self.current = Some((truth, Current::default()));
        is_scored
    }

    /// Takes one packet of the capture that was begun.
    ///
    /// # Errors
    /// When the labels belong to another capture; there is no use in going on then.
    pub fn push(&mut self, judged: &Judged) -> Result<(), Mismatch> {
        let capture = self.capture();
        let Some((truth, current)) = self.current.as_mut() else { return Ok(()) };
        match truth.kind(&self.labels, judged)? {
            Some(kind) => {
                let (scores, level) = (Scores::of(judged), judged.level);
                self.packets.push(Packet { scores, kind, level, capture });
                current.add(judged, kind);
            }
            None => self.left_out += u64::from(!matches!(truth, Truth::Skipped)),
        }
        Ok(())
    }

    /// Takes a verdict on the victim of a packet: it speaks of the destination, at the packet that raised it. Comes right after
    /// the packet itself; `judged` has the packet's number, time and source, and the level of this verdict.
    ///
    /// It counts as an alert for the attack that the packet is part of, and in the recall of packets (a normal packet's is
    /// a false alarm). It names no source, so it counts for none; and the orders of the detectors are those of the packets'
    /// own scores.
    ///
    /// # Errors
    /// When the labels belong to another capture.
    pub fn push_victim(&mut self, judged: &Judged) -> Result<(), Mismatch> {
        let Some((truth, current)) = self.current.as_mut() else { return Ok(()) };
        let Some(kind) = truth.kind(&self.labels, judged)? else { return Ok(()) };
        current.alert(judged, kind);
        // The packet's own verdict may have been lost.
        if let Some(packet) = self.packets.last_mut()
            && current.ends_with(judged.packet)
        {
            packet.level = packet.level.max(judged.level);
        }
        Ok(())
    }

    /// Ends the capture that was begun.
    pub fn end_capture(&mut self) {
        let capture = self.capture();
        let Some((truth, mut current)) = self.current.take() else { return };
        match truth {
            Truth::Skipped => return,
            Truth::ByPacket => self.add_not_judged(&mut current, capture),
            Truth::BySource(_) => {}
        }
        let sources = current.sources(capture);
        if let Some((attacker, bystander)) = worst_levels(&sources) {
            self.bystanders.add(attacker, bystander);
        }
        if let Some(ended) = self.captures.last_mut()
            && current.has_normal()
        {
            ended.normal_seconds = current.seconds();
        }
        self.sources.extend(sources);
        self.occurrences.extend(current.occurrences());
    }

    /// Packets that have a label and never came: what is not IP, was refused by the decoder or got lost on the way. Those of
    /// attacks are packets that no detector has found.
    fn add_not_judged(&mut self, current: &mut Current, capture: u32) {
        let Labels::Packets(labels) = &self.labels else { return };
        let mut judged: BTreeMap<u16, u64> = BTreeMap::new();
        for packet in &self.packets {
            *judged.entry(packet.kind).or_default() += 1;
        }
        for (kind, labelled) in labels.by_kind() {
            let judged = judged.get(&kind).copied().unwrap_or_default();
            let missing = labelled.packets.saturating_sub(judged);
            if missing > 0 {
                self.not_judged.insert(kind, missing);
            }
            if kind == NORMAL {
                continue;
            }
            let missed =
                (0..missing).map(|_| Packet { scores: Scores::NONE, kind, level: 0, capture });
            self.packets.extend(missed);
            current.begin_attack(kind, labelled.first);
        }
    }

    /// The place of the capture that was begun.
    fn capture(&self) -> u32 {
        u32::try_from(self.captures.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn is_seen(&self, capture: u32) -> bool {
        let capture = usize::try_from(capture).ok().and_then(|place| self.captures.get(place));
        capture.is_some_and(|capture| capture.is_seen)
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
            captures: self.captures.len() as u64,
            seen_in_training: self.captures.iter().filter(|capture| capture.is_seen).count() as u64,
            skipped: self.skipped.clone(),
            left_out_packets: self.left_out,
            not_judged: self.not_judged(kinds),
            normal: self.normal(|_| true),
            normal_not_seen_in_training: self.normal(|is_seen| !is_seen),
            bystanders: self.bystanders,
            packets,
            sources,
        }
    }

    fn not_judged(&self, kinds: &Kinds) -> Vec<NotJudged> {
        let names = std::iter::once((NORMAL, "normal")).chain(kinds.sorted());
        let missing = names.filter_map(|(kind, name)| Some((name, *self.not_judged.get(&kind)?)));
        missing.map(|(name, packets)| NotJudged { label: name.to_owned(), packets }).collect()
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
                .filter(|thing| thing.side(kind) == Side::Positive && thing.level() >= level)
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

    /// False alarms in the captures that are `wanted`, which is told whether the model was trained on one.
    fn normal(&self, wanted: impl Fn(bool) -> bool) -> Normal {
        let is_wanted = |capture: u32| wanted(self.is_seen(capture));
        let is_normal = |packet: &&Packet| packet.kind == NORMAL && is_wanted(packet.capture);
        let packets = || self.packets.iter().filter(is_normal);
        let is_bystander =
            |source: &&Source| source.role == Role::Bystander && is_wanted(source.capture);
        let sources = || self.sources.iter().filter(is_bystander);
        let watched = self.captures.iter().filter(|capture| wanted(capture.is_seen));
        let seconds: f64 = watched.map(|capture| capture.normal_seconds).sum();
        let warnings = packets().filter(|packet| packet.level() >= WARNING).count() as u64;
        let highs = packets().filter(|packet| packet.level() >= HIGH).count() as u64;
        let alerted = sources().filter(|source| source.level() >= WARNING).count() as u64;
        Normal::new(
            packets().count() as u64,
            sources().count() as u64,
            seconds / SECONDS_PER_HOUR,
            [warnings, highs, alerted],
        )
    }
}
