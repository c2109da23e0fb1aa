//! What is put in an order: packets, and sources by their worst packets.

use super::judged::{Detector, Place, Scores};
use super::ranking::{Pairs, Ranking, Side};
use super::report::{PrecisionAt, Quality};

/// Where precision is stated, besides at as many as there are positives.
const PRECISION_AT: [u64; 3] = [10, 100, 1_000];
/// The number of the kind that is no attack.
pub(super) const NORMAL: u16 = 0;

/// A packet or a source, as the metrics see it.
pub(super) trait Scored {
    fn scores(&self) -> &Scores;
    /// The worst level of the verdicts that it gave rise to.
    fn level(&self) -> u8;
    fn capture(&self) -> u32;
    /// Where it stands when the question is `kind`, or any attack.
    fn side(&self, kind: Option<u16>) -> Side;
}

/// A packet's scores and kind: 28 bytes for each packet of the captures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) scores: Scores,
    pub(super) kind: u16,
    /// The worst level of its own verdict and of that on its victim.
    pub(super) level: u8,
    pub(super) capture: u32,
}

impl Scored for Packet {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn level(&self) -> u8 {
        self.level
    }

    fn capture(&self) -> u32 {
        self.capture
    }

    fn side(&self, kind: Option<u16>) -> Side {
        match kind {
            _ if self.kind == NORMAL => Side::Negative,
            None => Side::Positive,
            Some(kind) if kind == self.kind => Side::Positive,
            Some(_) => Side::LeftOut,
        }
    }
}

/// The worst scores of a source within one capture, in one of its roles. An attacker has a part for each of its attacks, with the
/// packets of that attack alone, and one for all of them; what it does besides is neither positive nor negative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) scores: Scores,
    pub(super) role: Role,
    pub(super) capture: u32,
}

/// What question a [`Source`] is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// All packets of a source without an attack.
    Bystander,
    /// The packets of one attack of an attacker.
    Attacks(u16),
    /// The packets of all attacks of an attacker.
    Attacker,
}

impl Source {
    /// The parts of one source whose worst scores by kind are `kinds`.
    pub(super) fn parts(kinds: &[(u16, Scores)], capture: u32) -> Vec<Self> {
        let part = |role, scores| Self { scores, role, capture };
        let attacks = || kinds.iter().filter(|(kind, _)| *kind != NORMAL);
        let worst = attacks().map(|(_, scores)| *scores).reduce(Scores::worse);
        match worst {
            None => kinds.iter().map(|(_, scores)| part(Role::Bystander, *scores)).collect(),
            Some(worst) => std::iter::once(part(Role::Attacker, worst))
                .chain(attacks().map(|(kind, scores)| part(Role::Attacks(*kind), *scores)))
                .collect(),
        }
    }
}

impl Scored for Source {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn level(&self) -> u8 {
        self.scores.level()
    }

    fn capture(&self) -> u32 {
        self.capture
    }

    fn side(&self, kind: Option<u16>) -> Side {
        match (self.role, kind) {
            (Role::Bystander, _) => Side::Negative,
            (Role::Attacker, None) => Side::Positive,
            (Role::Attacks(of), Some(kind)) if of == kind => Side::Positive,
            (Role::Attacker | Role::Attacks(_), _) => Side::LeftOut,
        }
    }
}

/// One detector's order over everything, and within each capture that holds an attack.
pub(super) struct Rankings<'a, T> {
    pooled: Ranking<Place, &'a T>,
    by_capture: Vec<Ranking<Place, &'a T>>,
}

impl<'a, T: Scored> Rankings<'a, T> {
    pub(super) fn new(things: &'a [T], detector: Detector) -> Self {
        let rank = |things: &'a [T]| {
            Ranking::new(
                things.iter().map(|thing| (thing.scores().place(detector), thing)).collect(),
            )
        };
        let by_capture = things
            .chunk_by(|a, b| a.capture() == b.capture())
            .filter(|things| things.iter().any(|thing| thing.side(None) == Side::Positive))
            .map(rank)
            .collect();
        Self { pooled: rank(things), by_capture }
    }

    pub(super) fn quality(
        &self,
        detector: Detector,
        positives: u64,
        side: impl Fn(&&T) -> Side,
    ) -> Quality {
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
