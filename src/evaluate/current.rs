//! The capture that is being read: its sources, its attacks, and how long somebody watched.

use std::collections::BTreeMap;

use super::judged::{HIGH, Judged, Scores, WARNING};
use super::scored::{NORMAL, Role, Source};
use crate::address::Address;
use crate::time::Timestamp;

/// Silence that counts as observed time; of a longer one, as between days in one file, nothing does.
const SILENCE_SECS_MAX: f64 = 300.0;

/// What is known of one capture so far.
#[derive(Debug, Default)]
pub(super) struct Current {
    /// The worst scores of each source for each kind of packet; a source's kinds stand together.
    sources: BTreeMap<(Address, u16), Scores>,
    occurrences: BTreeMap<u16, Spell>,
    watched: Watched,
    /// The number of the packet that came last.
    packet: u64,
}

/// An attack in one capture: its first packet, and the first ones that raised an alert.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spell {
    pub(super) first: Timestamp,
    pub(super) warning: Option<Timestamp>,
    pub(super) high: Option<Timestamp>,
}

impl Spell {
    const fn begun(first: Timestamp) -> Self {
        Self { first, warning: None, high: None }
    }

    fn alert(&mut self, level: u8, time: Timestamp) {
        if level >= WARNING {
            self.warning.get_or_insert(time);
        }
        if level >= HIGH {
            self.high.get_or_insert(time);
        }
    }
}

impl Current {
    pub(super) fn add(&mut self, judged: &Judged, kind: u16) {
        self.watched.until(judged.time);
        self.packet = judged.packet;
        let scores = Scores::of(judged);
        let worst = self.sources.entry((judged.source, kind)).or_insert(scores);
        *worst = worst.worse(scores);
        self.alert(judged, kind);
    }

    /// A verdict of this level came with a packet of `kind`.
    pub(super) fn alert(&mut self, judged: &Judged, kind: u16) {
        if kind != NORMAL {
            self.occurrence(kind, judged.time).alert(judged.level, judged.time);
        }
    }

    /// Whether this packet came last.
    pub(super) const fn ends_with(&self, packet: u64) -> bool {
        self.packet == packet
    }

    /// The attack `kind` takes place, whether or not a packet of it was judged; the labels may say since when.
    pub(super) fn begin_attack(&mut self, kind: u16, first: Option<Timestamp>) {
        // Where no packet was judged there is no alert either: nobody asks since when.
        let fresh = Spell::begun(first.unwrap_or_default());
        let spell = self.occurrences.entry(kind).or_insert(fresh);
        spell.first = first.map_or(spell.first, |first| spell.first.min(first));
    }

    /// The attack `kind`, which has a packet at `time`.
    fn occurrence(&mut self, kind: u16, time: Timestamp) -> &mut Spell {
        let spell = self.occurrences.entry(kind).or_insert(Spell::begun(time));
        spell.first = spell.first.min(time);
        spell
    }

    /// The seconds in which packets passed.
    pub(super) const fn seconds(&self) -> f64 {
        self.watched.seconds
    }

    /// Whether there was a normal packet.
    pub(super) fn has_normal(&self) -> bool {
        self.sources.keys().any(|(_, kind)| *kind == NORMAL)
    }

    /// Each attack that takes place.
    pub(super) fn occurrences(&self) -> impl Iterator<Item = (u16, Spell)> {
        self.occurrences.iter().map(|(kind, spell)| (*kind, *spell))
    }

    /// Every source in each of its roles.
    pub(super) fn sources(&self, capture: u32) -> Vec<Source> {
        let all: Vec<_> = self.sources.iter().collect();
        let each = all.chunk_by(|((a, _), _), ((b, _), _)| a == b);
        each.flat_map(|parts| {
            let kinds: Vec<_> = parts.iter().map(|((_, kind), scores)| (*kind, **scores)).collect();
            Source::parts(&kinds, capture)
        })
        .collect()
    }
}

/// The worst verdict on an attack of an attacker and on a bystander, where there are both.
pub(super) fn worst_levels(sources: &[Source]) -> Option<(u8, u8)> {
    let worst = |role: Role| {
        let sources = sources.iter().filter(|source| source.role == role);
        sources.map(|source| source.scores.level()).max()
    };
    Some((worst(Role::Attacker)?, worst(Role::Bystander)?))
}

/// How long somebody watched: the steps from packet to packet, silences left out.
#[derive(Debug, Default)]
struct Watched {
    latest: Option<Timestamp>,
    seconds: f64,
}

impl Watched {
    /// A packet passed. One that stands a little behind another changes nothing; a leap, forwards or backwards, counts for
    /// nothing, and the time goes on from there: one packet stamped in the far future does not stop it.
    fn until(&mut self, time: Timestamp) {
        let latest = self.latest.unwrap_or(time);
        let (forwards, backwards) = (time.secs_since(latest), latest.secs_since(time));
        let is_leap = forwards.max(backwards) > SILENCE_SECS_MAX;
        if !is_leap {
            self.seconds += forwards;
        }
        self.latest = Some(if is_leap { time } else { latest.max(time) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(times: &[i64]) -> f64 {
        let mut watched = Watched::default();
        times.iter().for_each(|time| watched.until(Timestamp::from_secs(*time)));
        watched.seconds
    }

    #[test]
    fn steps_add_up_and_long_silences_count_for_nothing() {
        assert!((watched(&[10, 20, 320, 621, 630]) - 319.0).abs() < 1e-9);
    }

    #[test]
    fn one_packet_from_the_far_future_or_past_does_not_stop_the_time() {
        for far in [1 << 33, 0] {
            let times = [1_000_000, 1_000_060, far, 1_000_120, 1_000_180];
            assert!((watched(&times) - 120.0).abs() < 1e-9, "{far}: {}", watched(&times));
        }
    }

    #[test]
    fn packets_out_of_order_are_not_counted_twice() {
        assert!((watched(&[0, 10, 5, 10, 7, 20]) - 20.0).abs() < 1e-9);
    }
}
