//! Counting a rule's matches by address: `threshold` and `detection_filter`.

use std::hash::{Hash as _, Hasher};

use siphasher::sip::SipHasher13;

use super::distinct::DistinctCount;
use super::rule::{Distinct, Threshold, ThresholdKind, Track};
use crate::address::Address;
use crate::handover::Digest;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Bytes of one entry of a [`ThresholdTable`].
pub const THRESHOLD_ENTRY_BYTES: usize = size_of::<Window>() + size_of::<DistinctCount>();

/// How many entries one address may stand in: where its hash points to, and the next.
const WAYS: usize = 8;

/// What is being counted: one entry for each rule and tracked address with a window that may still be open.
///
/// Fixed in size. Where a new entry finds its eight places taken by open windows, it takes that of the entry with the least
/// count, then of the oldest window: a flood of sources that are seen once cannot push out one that is seen often. What is
/// evicted depends on the key and the order of packets alone, so the table belongs to one shard of addresses, not to a
/// worker. Entries are told apart by the rule's number and by what and how it counts, so they outlive a reload that leaves
/// that as it was.
///
/// The windows of one set lie side by side, 256 bytes, and the bulky counts of different values apart from them: a packet that
/// is seen for the first time, as in a flood of forged sources, looks at the windows alone.
#[derive(Debug)]
pub struct ThresholdTable {
    windows: Vec<Window>,
    /// Of each entry, what it has seen of different values.
    values: Vec<DistinctCount>,
    key: (u64, u64),
    evictions: u64,
}

impl ThresholdTable {
    /// A table of at least `entries` entries (rounded up to a power of two, at least 8), whose places are chosen by a hash
    /// with that key.
    #[must_use]
    pub fn new(entries: usize, key: (u64, u64)) -> Self {
        let entries = entries.clamp(WAYS, ENTRIES_MAX).next_power_of_two();
        let values = vec![DistinctCount::new(); entries];
        Self { windows: vec![Window::FREE; entries], values, key, evictions: 0 }
    }

    /// Counts a match of the rule numbered `sid`, and says whether the rule fires.
    pub fn count(&mut self, sid: u32, threshold: &Threshold, seen: &Sighting) -> Fired {
        let tracked = match threshold.track {
            Track::BySource => seen.source,
            Track::ByDestination => seen.destination,
        };
        let hash = self.hash(|hasher| {
            hasher.write(&tracked.octets());
            hasher.write_u32(sid);
            hasher.write_u16(seen.tenant);
            // A rule that counts otherwise since a reload begins anew: what was counted before is of another kind.
            threshold.hash(hasher);
        });
        let value = self.counted_value(threshold, seen);
        let window = i64::from(threshold.seconds).saturating_mul(NANOS_PER_SECOND);
        let fresh = Window {
            // Two names with one hash of 64 bits under a secret key are one in 2^64; 0 is for free entries.
            name: hash.max(1),
            opened: seen.time,
            closes: seen.time.plus_nanos(window),
            ..Window::FREE
        };
        self.entry(hash, fresh).map_or(Fired::NOTHING, |mut entry| entry.count(threshold, value))
    }

    /// How many entries were pushed out while their window was open.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// How many entries it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.windows.len()
    }

    /// How many windows are open at `now`.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> usize {
        self.windows.iter().filter(|window| window.is_open(now)).count()
    }

    fn hash(&self, feed: impl FnOnce(&mut SipHasher13)) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        feed(&mut hasher);
        hasher.finish()
    }

    /// The hash of the value whose variety matters; by destination that is the source unless the rule says otherwise.
    fn counted_value(&self, threshold: &Threshold, seen: &Sighting) -> Option<u32> {
        let counted = match (threshold.distinct, threshold.track) {
            (Some(distinct), _) => distinct,
            (None, Track::ByDestination) => Distinct::SourceAddress,
            (None, Track::BySource) => return None,
        };
        let hash = self.hash(|hasher| match counted {
            Distinct::DestinationPort => hasher.write_u16(seen.destination_port),
            Distinct::DestinationAddress => hasher.write(&seen.destination.octets()),
            Distinct::SourceAddress => hasher.write(&seen.source.octets()),
        });
        u32::try_from(hash >> 32).ok()
    }

    /// The entry with the name of `fresh` while its window is open; otherwise `fresh` itself, in the place of the closed one,
    /// in a free place, or in that of the entry that gives way.
    fn entry(&mut self, hash: u64, fresh: Window) -> Option<Entry<'_>> {
        let now = fresh.opened;
        let places = self.windows.len();
        let start = usize::try_from(hash & (places as u64 - 1)).ok()? & !(WAYS - 1);
        let set = self.windows.get_mut(start..start + WAYS)?;
        let known = set.iter().position(|window| window.name == fresh.name);
        let at = match known {
            Some(at) => at,
            None => (0..WAYS).min_by_key(|&at| set.get(at).map(|window| window.worth(now)))?,
        };
        let window = set.get_mut(at)?;
        let is_open = window.is_open(now);
        self.evictions += u64::from(known.is_none() && is_open);
        if known.is_none() || !is_open {
            *window = fresh;
        }
        Some(Entry { window, values: self.values.get_mut(start + at)? })
    }
}

/// A table beyond this would be gigabytes.
const ENTRIES_MAX: usize = 1 << 24;

/// What of a packet is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The packet's source.
    pub source: Address,
    /// The packet's destination.
    pub destination: Address,
    /// The packet's destination port; 0 without ports.
    pub destination_port: u16,
    /// Addresses of different tenants are different.
    pub tenant: u16,
    /// When it passed.
    pub time: Timestamp,
}

impl Sighting {
    /// What a digest says, for the given tenant.
    #[must_use]
    pub const fn of(digest: &Digest, tenant: u16) -> Self {
        Self {
            source: digest.source,
            destination: digest.destination,
            destination_port: digest.destination_port,
            tenant,
            time: digest.time,
        }
    }
}

/// What counting a match gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fired {
    /// The rule fires.
    pub fires: bool,
    /// Matches in the window so far, this one included; of kind `threshold`, since it last fired.
    pub matches: u32,
    /// Different values among them: of what the rule counts, else of the sources of a rule that counts by destination, else
    /// 0. Exact up to [`DISTINCT_EXACT_MAX`](super::DISTINCT_EXACT_MAX), then with
    /// [`DISTINCT_STANDARD_ERROR`](super::DISTINCT_STANDARD_ERROR).
    pub distinct: u32,
}

impl Fired {
    const NOTHING: Self = Self { fires: false, matches: 0, distinct: 0 };
}

/// The window of one rule and tracked address.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// The hash of tracked address, rule number and tenant; 0 in a free entry.
    name: u64,
    opened: Timestamp,
    /// The last moment of the window.
    closes: Timestamp,
    matches: u32,
    /// Of kind `both`: it has fired in this window.
    fired: bool,
    /// Whether the count of different values is of this window; if not it is still that of an earlier one.
    has_values: bool,
}

const _: () =
    assert!(size_of::<Window>() * WAYS == 256, "the windows of a set fill four cache lines");

impl Window {
    const FREE: Self = Self {
        name: 0,
        opened: Timestamp::EPOCH,
        closes: Timestamp::EPOCH,
        matches: 0,
        fired: false,
        has_values: false,
    };

    fn is_open(&self, now: Timestamp) -> bool {
        self.name != 0 && now <= self.closes
    }

    /// The order in which entries give way.
    fn worth(&self, now: Timestamp) -> (bool, u32, Timestamp) {
        (self.is_open(now), self.matches, self.opened)
    }
}

/// An entry: its window, and what it has seen of different values.
struct Entry<'table> {
    window: &'table mut Window,
    values: &'table mut DistinctCount,
}

impl Entry<'_> {
    fn count(&mut self, threshold: &Threshold, value: Option<u32>) -> Fired {
        self.window.matches = self.window.matches.saturating_add(1);
        let (is_new, distinct) = value.map_or((false, 0), |value| self.take_in(value));
        let reached = if threshold.distinct.is_some() { distinct } else { self.window.matches };
        let fires = match threshold.kind {
            ThresholdKind::Threshold => reached >= threshold.count,
            ThresholdKind::Limit => {
                reached <= threshold.count && (is_new || threshold.distinct.is_none())
            }
            ThresholdKind::Both => reached >= threshold.count && !self.window.fired,
            ThresholdKind::DetectionFilter => reached > threshold.count,
        };
        let told = Fired { fires, matches: self.window.matches, distinct };
        self.window.fired |= fires;
        if fires && threshold.kind == ThresholdKind::Threshold {
            self.start_over();
        }
        told
    }

    /// Counts from nothing again, within the same window.
    fn start_over(&mut self) {
        self.window.matches = 0;
        self.window.has_values = false;
    }

    /// Whether the value is new, and how many there are with it.
    fn take_in(&mut self, value: u32) -> (bool, u32) {
        if !self.window.has_values {
            self.values.clear();
            self.window.has_values = true;
        }
        (self.values.insert(value), self.values.estimate())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: (u64, u64) = (1, 2);

    /// One counted address, by plain vectors: what the documentation of `threshold` and `detection_filter` says.
    #[derive(Default)]
    struct Oracle {
        opened: Option<Timestamp>,
        seen: Vec<u16>,
        /// Of kind `threshold`: since it last fired.
        since: Vec<u16>,
        fired: bool,
    }

    impl Oracle {
        fn count(&mut self, threshold: &Threshold, port: u16, now: Timestamp) -> bool {
            let window = i64::from(threshold.seconds) * NANOS_PER_SECOND;
            if self.opened.is_none_or(|opened| now.as_nanos() - opened.as_nanos() > window) {
                *self = Self { opened: Some(now), ..Self::default() };
            }
            let is_new = !self.seen.contains(&port);
            self.seen.push(port);
            self.since.push(port);
            let size = |list: &[u16]| {
                let mut list = list.to_vec();
                if threshold.distinct.is_some() {
                    list.sort_unstable();
                    list.dedup();
                }
                u32::try_from(list.len()).unwrap()
            };
            match threshold.kind {
                ThresholdKind::Threshold => {
                    let fires = size(&self.since) == threshold.count;
                    if fires {
                        self.since.clear();
                    }
                    fires
                }
                ThresholdKind::Limit => {
                    size(&self.seen) <= threshold.count && (is_new || threshold.distinct.is_none())
                }
                ThresholdKind::Both => {
                    let fires = !self.fired && size(&self.seen) == threshold.count;
                    self.fired |= fires;
                    fires
                }
                ThresholdKind::DetectionFilter => size(&self.seen) > threshold.count,
            }
        }
    }

    fn any_threshold() -> impl Strategy<Value = Threshold> {
        let kinds = prop_oneof![
            Just(ThresholdKind::Threshold),
            Just(ThresholdKind::Limit),
            Just(ThresholdKind::Both),
            Just(ThresholdKind::DetectionFilter),
        ];
        let tracks = prop_oneof![Just(Track::BySource), Just(Track::ByDestination)];
        let distinct = prop_oneof![Just(None), Just(Some(Distinct::DestinationPort))];
        (kinds, tracks, 1..6_u32, 1..5_u32, distinct).prop_map(
            |(kind, track, count, seconds, distinct)| Threshold {
                kind,
                track,
                count,
                seconds,
                distinct,
            },
        )
    }

    fn sighting(source: u8, destination: u8, port: u16, millis: i64) -> Sighting {
        Sighting {
            source: Address::v4([10, 0, 0, source]),
            destination: Address::v4([10, 0, 1, destination]),
            destination_port: port,
            tenant: 0,
            time: Timestamp::from_nanos(millis * 1_000_000),
        }
    }

    proptest! {
        #[test]
        fn it_counts_as_plain_vectors_do(
            threshold in any_threshold(),
            packets in proptest::collection::vec((0..3_u8, 0..3_u8, 0..8_u16, 0..8_i64), 0..200),
        ) {
            let mut table = ThresholdTable::new(1024, KEY);
            let mut oracles: [Oracle; 3] = Default::default();
            let mut millis = 0;
            for (source, destination, port, pause) in packets {
                millis += pause * 250;
                let seen = sighting(source, destination, port, millis);
                let tracked = match threshold.track {
                    Track::BySource => source,
                    Track::ByDestination => destination,
                };
                let expected = oracles[usize::from(tracked)].count(&threshold, port, seen.time);
                prop_assert_eq!(table.count(7, &threshold, &seen).fires, expected);
            }
            prop_assert_eq!(table.evictions(), 0);
        }

        #[test]
        fn a_full_table_stays_bounded_and_counts_what_it_evicts(
            packets in proptest::collection::vec((any::<u8>(), 0..4_u32), 0..400),
        ) {
            let mut table = ThresholdTable::new(8, KEY);
            let threshold = plain(ThresholdKind::Both, 1);
            let mut opened = 0_u64;
            for (source, sid) in packets {
                let fired = table.count(sid, &threshold, &sighting(source, 0, 0, 0));
                opened += u64::from(fired.matches == 1);
                prop_assert_eq!(table.open(Timestamp::EPOCH) as u64 + table.evictions(), opened);
                prop_assert_eq!(table.capacity(), 8);
            }
        }
    }

    fn plain(kind: ThresholdKind, count: u32) -> Threshold {
        Threshold { kind, track: Track::BySource, count, seconds: 60, distinct: None }
    }

    #[test]
    fn a_flood_of_new_sources_does_not_push_out_one_that_is_seen_often() {
        let mut table = ThresholdTable::new(8, KEY);
        let threshold = plain(ThresholdKind::Threshold, 1_000);
        let mut last = 0;
        for turn in 0..500_u16 {
            let [high, low] = turn.to_be_bytes();
            for _ in 0..2 {
                last = table.count(1, &threshold, &sighting(1, 0, 0, 0)).matches;
            }
            let forged =
                Sighting { source: Address::v4([172, 16, high, low]), ..sighting(0, 0, 0, 0) };
            table.count(1, &threshold, &forged);
        }
        assert_eq!(last, 1_000);
        assert_eq!(table.evictions(), 500 - 7);
    }

    #[test]
    fn the_last_moment_of_a_window_belongs_to_it() {
        let threshold = Threshold { seconds: 1, ..plain(ThresholdKind::Threshold, 2) };
        for (millis, fires) in [(1_000, true), (1_001, false)] {
            let mut table = ThresholdTable::new(8, KEY);
            assert!(!table.count(1, &threshold, &sighting(1, 0, 0, 0)).fires);
            assert_eq!(table.count(1, &threshold, &sighting(1, 0, 0, millis)).fires, fires);
        }
    }

    #[test]
    fn a_rule_that_counts_by_destination_says_how_many_sources_there_were() {
        let mut table = ThresholdTable::new(8, KEY);
        let threshold = Threshold { track: Track::ByDestination, ..plain(ThresholdKind::Both, 40) };
        let fired = (0..40)
            .map(|packet| table.count(1, &threshold, &sighting(packet % 20, 9, 80, 0)))
            .find(|fired| fired.fires);
        assert_eq!(fired, Some(Fired { fires: true, matches: 40, distinct: 20 }));
    }

    #[test]
    fn rules_addresses_and_tenants_are_counted_apart() {
        let mut table = ThresholdTable::new(64, KEY);
        let threshold = plain(ThresholdKind::Both, 2);
        let one = sighting(1, 0, 0, 0);
        for (sid, seen) in
            [(1, one), (2, one), (1, sighting(2, 0, 0, 0)), (1, Sighting { tenant: 7, ..one })]
        {
            assert_eq!(table.count(sid, &threshold, &seen).matches, 1);
        }
    }

    #[test]
    fn a_rule_that_counts_otherwise_than_before_begins_anew_and_one_that_does_not_goes_on() {
        let mut table = ThresholdTable::new(64, KEY);
        let seen = sighting(1, 1, 1, 0);
        let both = plain(ThresholdKind::Both, 3);
        let fires = [0, 1, 2, 3].map(|_| table.count(7, &both, &seen).fires);
        assert_eq!(fires, [false, false, true, false], "it has fired in this window");
        let sooner = Threshold { count: 2, ..both };
        let fires = [0, 1].map(|_| table.count(7, &sooner, &seen).fires);
        assert_eq!(fires, [false, true], "what was counted before is not of this kind");
        assert!(!table.count(7, &both, &seen).fires, "the window of before is still open");
    }

    #[test]
    fn an_entry_has_the_size_that_is_told() {
        assert_eq!(THRESHOLD_ENTRY_BYTES, 161);
    }
}
