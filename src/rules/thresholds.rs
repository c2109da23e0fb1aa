//! Counting a rule's matches by address: `threshold` and `detection_filter`.

use super::distinct::{Cells, DistinctCount};
use super::place::{Counter, Place, Sighting};
use super::rule::{Threshold, ThresholdKind};
use crate::prefetch::prefetch;
use crate::time::Timestamp;

/// Bytes of one entry of a [`ThresholdTable`].
pub const THRESHOLD_ENTRY_BYTES: usize = size_of::<Set>() / WAYS + size_of::<Cells>();

/// How many entries the set has that an address's hash points to.
const WAYS: usize = 16;

/// What is being counted: one entry for each rule and tracked address with a window that may still be open.
///
/// Fixed in size. Where a new entry finds its sixteen places taken, it takes that of a closed window or of one with a single match, in
/// the order in which they were opened; where there is none, that of the entry with the least count, then of the window that closes
/// first: a flood of sources that are seen once cannot push out one that is seen often. What is evicted depends on the key and
/// the order of packets alone, so the table belongs to one shard of addresses, not to a worker. Entries are told apart by the rule's number and by what and how it counts, so they outlive a reload that leaves
/// that as it was.
///
/// All windows of an address lie in one set, whose tags lie in a cache line that can be fetched as soon as the address is known; which
/// window it is stands there. The bulky counts of different values lie apart and begin with the second value: a packet that is seen for
/// the first time, as in a flood of forged sources, looks at the set alone, whatever number of rules it is counted for.
#[derive(Debug)]
pub struct ThresholdTable {
    sets: Vec<Set>,
    /// Of each entry, what it has seen of different values.
    cells: Vec<Cells>,
    evictions: u64,
}

/// The windows that an address may have, from the start of a cache line on.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Set {
    /// A byte of each window's name: they tell most apart.
    tags: [u8; WAYS],
    /// The place behind the one that was given out last.
    next: u8,
    windows: [Window; WAYS],
}

impl ThresholdTable {
    /// A table of at least `entries` entries (rounded up to a power of two, at least 16).
    #[must_use]
    pub fn new(entries: usize) -> Self {
        let entries = entries.clamp(WAYS, ENTRIES_MAX).next_power_of_two();
        let sets = vec![Set::FREE; entries / WAYS];
        Self { sets, cells: vec![Cells::default(); entries], evictions: 0 }
    }

    /// Counts a match of a rule at the place of the address that it tracks, and says whether the rule fires.
    pub fn count(&mut self, place: Place, counter: &Counter, seen: &Sighting) -> Fired {
        let threshold = counter.threshold();
        let value = place.counted_value(threshold, seen);
        let closes = seen.time.plus_nanos(counter.window_nanos());
        let fresh = Window { name: counter.name_at(place), closes, ..Window::FREE };
        let entry = self.entry(place, fresh, seen.time);
        entry.map_or(Fired::NOTHING, |mut entry| entry.count(threshold, value))
    }

    /// Asks for the tags at this place. Changes nothing but the cost of what follows.
    pub fn prefetch(&self, place: Place) {
        if let Some(set) = self.sets.get(place.set_among(self.sets.len())) {
            prefetch(&set.tags, WAYS);
        }
    }

    /// Asks for the windows that rules have at this place, or will get, and gives their numbers to `asked`. The tags should be there by now.
    /// Changes nothing but the cost of what follows.
    pub fn prefetch_windows<'a>(
        &self,
        place: Place,
        counters: impl Iterator<Item = &'a Counter>,
        mut asked: impl FnMut(usize),
    ) {
        let number = place.set_among(self.sets.len());
        let Some(set) = self.sets.get(number) else { return };
        let mut next = usize::from(set.next);
        for counter in counters {
            let known = set.with_tag_of(counter.name_at(place)).next();
            let at = known.unwrap_or(next % WAYS);
            next = next.wrapping_add(usize::from(known.is_none()));
            if let Some(window) = set.windows.get(at) {
                prefetch(window, size_of::<Window>());
                asked(number * WAYS + at);
            }
        }
    }

    /// Asks for what was seen of different values in the window of this number, if there are any. The window should be there by now. Changes
    /// nothing but the cost of what follows.
    pub fn prefetch_values(&self, number: usize) {
        let set = self.sets.get(number / WAYS);
        let window = set.and_then(|set| set.windows.get(number % WAYS));
        if window.is_some_and(|window| window.has(Window::HAS_VALUES))
            && let Some(cells) = self.cells.get(number)
        {
            prefetch(cells, size_of::<Cells>());
        }
    }

    /// How many entries were pushed out while their window was open.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// How many entries it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.cells.len()
    }

    /// How many windows are open at `now`.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> usize {
        self.sets.iter().map(|set| (0..WAYS).filter(|&at| set.is_open(at, now)).count()).sum()
    }

    /// The entry with the name of `fresh` while its window is open; otherwise `fresh` itself, in the place of the closed one or in that of
    /// the entry that gives way.
    fn entry(&mut self, place: Place, fresh: Window, now: Timestamp) -> Option<Entry<'_>> {
        let number = place.set_among(self.sets.len());
        let set = self.sets.get_mut(number)?;
        let known = set.position(fresh.name);
        let at = known.unwrap_or_else(|| set.give_way(now));
        let window = set.windows.get_mut(at)?;
        let is_open = window.is_open(now);
        self.evictions += u64::from(known.is_none() && is_open);
        if known.is_none() || !is_open {
            *window = fresh;
            *set.tags.get_mut(at)? = tag_of(fresh.name);
        }
        Some(Entry { window, cells: self.cells.get_mut(number * WAYS + at)? })
    }
}

/// The byte of a name that stands in its set.
const fn tag_of(name: u64) -> u8 {
    let [tag, ..] = name.to_le_bytes();
    tag
}

impl Set {
    const FREE: Self = Self { tags: [0; WAYS], next: 0, windows: [Window::FREE; WAYS] };

    /// Where the entry with this name is.
    fn position(&self, name: u64) -> Option<usize> {
        self.with_tag_of(name).find(|&at| self.windows.get(at).is_some_and(|w| w.name == name))
    }

    /// Where windows have the tag of this name, and now and then another place.
    ///
    /// All tags are compared in one go. In the exclusive or an equal byte is 0, and taking 1 from every byte sets the highest bit of one
    /// that was 0. A borrow can set that of the byte above it too.
    fn with_tag_of(&self, name: u64) -> impl Iterator<Item = usize> {
        const LOWEST: u128 = u128::from_le_bytes([1; WAYS]);
        const HIGHEST: u128 = u128::from_le_bytes([128; WAYS]);
        let differences =
            u128::from_le_bytes(self.tags) ^ u128::from_le_bytes([tag_of(name); WAYS]);
        let mut equal = differences.wrapping_sub(LOWEST) & !differences & HIGHEST;
        std::iter::from_fn(move || {
            let at = (equal.trailing_zeros() / u8::BITS) as usize;
            equal &= equal.wrapping_sub(1);
            (at < WAYS).then_some(at)
        })
    }

    /// Whether there is an entry at this place whose window is open.
    fn is_open(&self, at: usize, now: Timestamp) -> bool {
        self.windows.get(at).is_some_and(|window| window.is_open(now))
    }

    /// The place of the entry that gives way to a new one; they are asked in turn.
    fn give_way(&mut self, now: Timestamp) -> usize {
        let next = usize::from(self.next);
        let places = (0..WAYS).map(|step| (next + step) % WAYS);
        let is_cheap =
            |&at: &usize| self.windows.get(at).is_some_and(|w| w.matches() <= 1 || !w.is_open(now));
        let cheap = places.clone().find(is_cheap);
        let worth = |&at: &usize| self.windows.get(at).map(|w| (w.matches(), w.closes));
        let at = cheap.or_else(|| places.min_by_key(worth)).unwrap_or(0);
        self.next = u8::try_from(at + 1).unwrap_or(0);
        at
    }
}

/// A table beyond this would be gigabytes.
const ENTRIES_MAX: usize = 1 << 24;

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
    /// What is counted for whom; 0 in a free entry.
    name: u64,
    /// The last moment of the window.
    closes: Timestamp,
    /// How many matches, the largest 30-bit number for all that are more, and from the top two bits of flags.
    matches_and_flags: u32,
    /// The first of the different values, until there is a second one.
    first_value: u32,
    /// How many different values there are, from the second one on.
    values: DistinctCount,
}

const _: () = assert!(size_of::<Window>() == 32, "no window lies in two cache lines");

impl Window {
    const FREE: Self = Self {
        name: 0,
        closes: Timestamp::EPOCH,
        matches_and_flags: 0,
        first_value: 0,
        values: DistinctCount::NONE,
    };

    /// Of kind `both`: it has fired in this window.
    const FIRED: u32 = 1 << 31;
    /// There are different values, and the entry's cells hold them; if not they hold those of an earlier window.
    const HAS_VALUES: u32 = 1 << 30;
    const MATCHES: u32 = Self::HAS_VALUES - 1;

    fn is_open(&self, now: Timestamp) -> bool {
        self.name != 0 && now <= self.closes
    }

    const fn matches(&self) -> u32 {
        self.matches_and_flags & Self::MATCHES
    }

    const fn has(&self, flag: u32) -> bool {
        self.matches_and_flags & flag != 0
    }

    const fn set(&mut self, flag: u32) {
        self.matches_and_flags |= flag;
    }

    const fn add_match(&mut self) {
        if self.matches() < Self::MATCHES {
            self.matches_and_flags += 1;
        }
    }

    /// Counts from nothing again, within the same window.
    const fn start_over(&mut self) {
        self.matches_and_flags &= Self::FIRED;
    }
}

/// An entry: its window, and what it has seen of different values.
struct Entry<'table> {
    window: &'table mut Window,
    cells: &'table mut Cells,
}

impl Entry<'_> {
    fn count(&mut self, threshold: &Threshold, value: Option<u32>) -> Fired {
        self.window.add_match();
        let (is_new, distinct) = value.map_or((false, 0), |value| self.take_in(value));
        let matches = self.window.matches();
        let reached = if threshold.distinct.is_some() { distinct } else { matches };
        let fires = match threshold.kind {
            ThresholdKind::Threshold => reached >= threshold.count,
            ThresholdKind::Limit => {
                reached <= threshold.count && (is_new || threshold.distinct.is_none())
            }
            ThresholdKind::Both => reached >= threshold.count && !self.window.has(Window::FIRED),
            ThresholdKind::DetectionFilter => reached > threshold.count,
        };
        if fires {
            self.window.set(Window::FIRED);
            if threshold.kind == ThresholdKind::Threshold {
                self.window.start_over();
            }
        }
        Fired { fires, matches, distinct }
    }

    /// Whether the value is new, and how many there are with it.
    fn take_in(&mut self, value: u32) -> (bool, u32) {
        let Self { window, cells } = self;
        if window.has(Window::HAS_VALUES) {
            return (window.values.insert(cells, value), window.values.estimate());
        }
        if window.matches() == 1 {
            window.first_value = value;
            return (true, 1);
        }
        if window.first_value == value {
            return (false, 1);
        }
        window.values = DistinctCount::NONE;
        window.values.insert(cells, window.first_value);
        window.values.insert(cells, value);
        window.set(Window::HAS_VALUES);
        (true, window.values.estimate())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::rule::{Distinct, Track};
    use super::*;
    use crate::address::Address;
    use crate::sources::Keyer;
    use crate::time::NANOS_PER_SECOND;

    fn count(
        table: &mut ThresholdTable,
        sid: u32,
        threshold: &Threshold,
        seen: &Sighting,
    ) -> Fired {
        let tracked = match threshold.track {
            Track::BySource => seen.source,
            Track::ByDestination => seen.destination,
        };
        let keyer = Keyer { key: [1, 2], v6_prefix: 64, by_tenant: true };
        let (_, hash) = keyer.key_of(tracked, seen.tenant);
        table.count(Place::of_source(hash), &Counter::new(sid, *threshold), seen)
    }

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
            let mut table = ThresholdTable::new(1024);
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
                prop_assert_eq!(count(&mut table, 7, &threshold, &seen).fires, expected);
            }
            prop_assert_eq!(table.evictions(), 0);
        }

        #[test]
        fn a_full_table_stays_bounded_and_counts_what_it_evicts(
            packets in proptest::collection::vec((any::<u8>(), 0..4_u32), 0..400),
        ) {
            let mut table = ThresholdTable::new(16);
            let threshold = plain(ThresholdKind::Both, 1);
            let mut opened = 0_u64;
            for (source, sid) in packets {
                let fired = count(&mut table, sid, &threshold, &sighting(source, 0, 0, 0));
                opened += u64::from(fired.matches == 1);
                prop_assert_eq!(table.open(Timestamp::EPOCH) as u64 + table.evictions(), opened);
                prop_assert_eq!(table.capacity(), 16);
            }
        }
    }

    fn plain(kind: ThresholdKind, count: u32) -> Threshold {
        Threshold { kind, track: Track::BySource, count, seconds: 60, distinct: None }
    }

    #[test]
    fn a_flood_of_new_sources_does_not_push_out_one_that_is_seen_often() {
        let mut table = ThresholdTable::new(16);
        let threshold = plain(ThresholdKind::Threshold, 1_000);
        let mut last = 0;
        for turn in 0..500_u16 {
            let [high, low] = turn.to_be_bytes();
            for _ in 0..2 {
                last = count(&mut table, 1, &threshold, &sighting(1, 0, 0, 0)).matches;
            }
            let forged =
                Sighting { source: Address::v4([172, 16, high, low]), ..sighting(0, 0, 0, 0) };
            count(&mut table, 1, &threshold, &forged);
        }
        assert_eq!(last, 1_000);
        assert_eq!(table.evictions(), 500 - 15);
    }

    #[test]
    fn the_last_moment_of_a_window_belongs_to_it() {
        let threshold = Threshold { seconds: 1, ..plain(ThresholdKind::Threshold, 2) };
        for (millis, fires) in [(1_000, true), (1_001, false)] {
            let mut table = ThresholdTable::new(16);
            assert!(!count(&mut table, 1, &threshold, &sighting(1, 0, 0, 0)).fires);
            assert_eq!(count(&mut table, 1, &threshold, &sighting(1, 0, 0, millis)).fires, fires);
        }
    }

    #[test]
    fn a_rule_that_counts_by_destination_says_how_many_sources_there_were() {
        let mut table = ThresholdTable::new(16);
        let threshold = Threshold { track: Track::ByDestination, ..plain(ThresholdKind::Both, 40) };
        let fired = (0..40)
            .map(|packet| count(&mut table, 1, &threshold, &sighting(packet % 20, 9, 80, 0)))
            .find(|fired| fired.fires);
        assert_eq!(fired, Some(Fired { fires: true, matches: 40, distinct: 20 }));
    }

    #[test]
    fn rules_addresses_and_tenants_are_counted_apart() {
        let mut table = ThresholdTable::new(64);
        let threshold = plain(ThresholdKind::Both, 2);
        let one = sighting(1, 0, 0, 0);
        for (sid, seen) in
            [(1, one), (2, one), (1, sighting(2, 0, 0, 0)), (1, Sighting { tenant: 7, ..one })]
        {
            assert_eq!(count(&mut table, sid, &threshold, &seen).matches, 1);
        }
    }

    #[test]
    fn a_rule_that_counts_otherwise_than_before_begins_anew_and_one_that_does_not_goes_on() {
        let mut table = ThresholdTable::new(64);
        let seen = sighting(1, 1, 1, 0);
        let both = plain(ThresholdKind::Both, 3);
        let fires = [0, 1, 2, 3].map(|_| count(&mut table, 7, &both, &seen).fires);
        assert_eq!(fires, [false, false, true, false], "it has fired in this window");
        let sooner = Threshold { count: 2, ..both };
        let fires = [0, 1].map(|_| count(&mut table, 7, &sooner, &seen).fires);
        assert_eq!(fires, [false, true], "what was counted before is not of this kind");
        assert!(!count(&mut table, 7, &both, &seen).fires, "the window of before is still open");
    }

    #[test]
    fn an_entry_has_the_size_that_is_told() {
        assert_eq!(THRESHOLD_ENTRY_BYTES, 164, "32 of a window, 128 of values, and a share of 64");
    }
}
