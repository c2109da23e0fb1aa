//! One shard: sets of eight ways, searched by tags that fill one cache line.

use std::hint::black_box;
use std::iter::repeat_with;
use std::mem::offset_of;

use super::{QUIET_NANOS, Resident, SourceCounters, SourceKey, Worth};
use crate::prefetch::prefetch;
use crate::time::Timestamp;

/// How many places a source may have: the bound of every search.
pub const WAYS: usize = 8;

/// A part of the table that depends on no other.
///
/// A source belongs to one set and lies in any of its [`WAYS`]. What a search and an eviction need to know of all eight
/// lies in one cache line; the state itself is touched only when it is the one.
#[derive(Clone, Debug)]
pub struct Shard<S> {
    sets: Vec<Ways>,
    /// `WAYS` slots to a set, in the order of its ways.
    slots: Vec<Slot<S>>,
    idle_nanos: i64,
    counters: SourceCounters,
}

impl<S: Resident> Shard<S> {
    /// An empty shard of `sets` sets (at least one), whose sessions end after more than `idle_nanos` of silence. All its
    /// memory is taken and touched now.
    #[must_use]
    pub fn new(sets: usize, idle_nanos: i64) -> Self {
        let sets = sets.clamp(1, SETS_MAX);
        // Behind `black_box` each value is written. Plain zeros may be had from the kernel as pages that do not exist yet,
        // and then a flood would make the sensor grow.
        let empty_slot = || black_box(Slot { key: SourceKey::default(), state: S::default() });
        Self {
            sets: repeat_with(|| black_box(Ways([Way::FREE; WAYS]))).take(sets).collect(),
            slots: repeat_with(empty_slot).take(sets * WAYS).collect(),
            idle_nanos: idle_nanos.max(0),
            counters: SourceCounters::default(),
        }
    }

    /// Lets `observe` add a packet, stated to be of `time`, to the source `key`, whose hash is `hash`.
    ///
    /// * A source that is here goes on, or begins anew if it was silent for more than the idle time.
    /// * A newcomer gets a free place, else that of a session that has ended, else that of the least worth:
    ///   [`Worth::Passing`] first, then [`Worth::Returned`] silent for more than [`QUIET_NANOS`], then, if there is evidence
    ///   against the newcomer too, [`Worth::Suspect`]; among equals the one longest silent, then the first way.
    /// * Otherwise it is denied: measured with a state that is not kept.
    ///
    /// So forged addresses displace neither a source that is active nor, unless they look bad themselves, one
    /// that looked bad; and never one that looked bad and came back.
    pub fn visit<R>(
        &mut self,
        key: &SourceKey,
        hash: u64,
        time: Timestamp,
        observe: impl FnOnce(&mut S) -> R,
    ) -> R {
        let tag = tag_of(hash);
        let set = self.set_of(hash);
        let (slots, _) = self.slots.as_chunks_mut::<WAYS>();
        let (Some(Ways(ways)), Some(slots)) = (self.sets.get_mut(set), slots.get_mut(set)) else {
            // Cannot happen: `set_of` stays below the number of sets.
            self.counters.denied += 1;
            return observe(&mut S::default());
        };
        for (way, slot) in ways.iter_mut().zip(slots.iter_mut()) {
            if way.may_hold(tag) && slot.key == *key {
                if time.nanos_since(slot.state.last_seen()) > self.idle_nanos {
                    slot.state = S::default();
                    self.counters.expired += 1;
                    self.counters.inserted += 1;
                }
                let answer = observe(&mut slot.state);
                *way = Way::holding(tag, &slot.state);
                return answer;
            }
        }

        let mut state = S::default();
        let answer = observe(&mut state);
        let newcomer = Way::holding(tag, &state);
        let room = Room::among(ways, newcomer, self.idle_nanos);
        self.counters.note(room);
        if let Some(place) = room.place()
            && let (Some(way), Some(slot)) = (ways.get_mut(place), slots.get_mut(place))
        {
            *way = newcomer;
            *slot = Slot { key: *key, state };
        }
        answer
    }

    /// Asks for the set that this hash belongs to.
    pub(super) fn prefetch_set(&self, hash: u64) {
        if let Some(set) = self.sets.get(self.set_of(hash)) {
            prefetch(set, size_of::<Ways>());
        }
    }

    /// Asks for the slot where the source with this hash most likely lies, if it is here: that stands in its set. Nothing is asked for
    /// for a newcomer: its slot is only written, and for that the processor does not wait.
    pub(super) fn prefetch_slot(&self, hash: u64) {
        let set = self.set_of(hash);
        let (slots, _) = self.slots.as_chunks::<WAYS>();
        let (Some(Ways(ways)), Some(slots)) = (self.sets.get(set), slots.get(set)) else { return };
        let tag = tag_of(hash);
        if let Some((_, slot)) = ways.iter().zip(slots).find(|(way, _)| way.may_hold(tag)) {
            prefetch(slot, offset_of!(Slot<S>, state) + S::HOT_BYTES);
        }
    }

    /// What has happened here.
    #[must_use]
    pub const fn counters(&self) -> SourceCounters {
        self.counters
    }

    /// For how many sources there is room.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The set of this hash: its 32 bits below the shard's and two spare ones, scaled to the number of sets.
    fn set_of(&self, hash: u64) -> usize {
        let [_, a, b, c, d, ..] = hash.to_be_bytes();
        let scaled = (u64::from(u32::from_be_bytes([a, b, c, d])) * self.sets.len() as u64) >> 32;
        usize::try_from(scaled).unwrap_or(usize::MAX)
    }
}

/// A set may be named by 32 bits of the hash.
const SETS_MAX: usize = u32::MAX as usize;

/// The tag of this hash: its lowest 16 bits, of which neither shard nor set knows.
const fn tag_of(hash: u64) -> u16 {
    let [.., high, low] = hash.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// A source and its state, from the start of a cache line on.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Slot<S> {
    key: SourceKey,
    state: S,
}

/// What is known of the eight ways of a set without touching their states.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Ways([Way; WAYS]);

const _: () = assert!(size_of::<Ways>() == 64, "a search costs one cache line");

/// A way in 64 bits: tag (16), worth (4; 0 is free), and time of the last packet in ticks (44), from the top.
///
/// A tick is 2^20 ns, about a millisecond, so that 44 bits hold every moment that a [`Timestamp`] can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way(u64);

impl Way {
    const FREE: Self = Self(0);
    const TAG_SHIFT: u32 = 48;
    const WORTH_SHIFT: u32 = 44;
    const TICK_SHIFT: u32 = 20;

    fn holding<S: Resident>(tag: u16, state: &S) -> Self {
        // With the sign bit flipped, signed time in order is unsigned time in order.
        let ticks = (state.last_seen().as_nanos().cast_unsigned() ^ 1 << 63) >> Self::TICK_SHIFT;
        let worth = state.worth() as u64;
        Self(u64::from(tag) << Self::TAG_SHIFT | worth << Self::WORTH_SHIFT | ticks)
    }

    const fn is_free(self) -> bool {
        self.0 == Self::FREE.0
    }

    const fn may_hold(self, tag: u16) -> bool {
        self.0 >> Self::TAG_SHIFT == tag as u64 && !self.is_free()
    }

    const fn worth(self) -> u64 {
        self.0 >> Self::WORTH_SHIFT & 0xf
    }

    const fn ticks(self) -> u64 {
        self.0 & ((1 << Self::WORTH_SHIFT) - 1)
    }

    /// Orders by worth, then by time: the least is the first to go.
    const fn worth_then_time(self) -> u64 {
        self.0 & ((1 << Self::TAG_SHIFT) - 1)
    }

    /// Whether this source may be forgotten for `newcomer`.
    const fn yields_to(self, newcomer: Self, quiet: bool) -> bool {
        const PASSING: u64 = Worth::Passing as u64;
        const RETURNED: u64 = Worth::Returned as u64;
        const SUSPECT: u64 = Worth::Suspect as u64;
        match self.worth() {
            PASSING => true,
            RETURNED => quiet,
            SUSPECT => newcomer.worth() >= SUSPECT,
            _ => false,
        }
    }

    /// Two moments this many ticks apart are more than `nanos` apart, wherever in their ticks they lie.
    const fn ticks_surely_above(nanos: i64) -> u64 {
        (nanos.cast_unsigned() >> Self::TICK_SHIFT) + 2
    }
}

/// Where a newcomer goes.
#[derive(Clone, Copy, Debug)]
enum Room {
    /// To a place that nobody has.
    Free(usize),
    /// To the place of a session that has ended.
    Ended(usize),
    /// To a place that is given up for it.
    Given(usize),
    /// Nowhere.
    Denied,
}

impl Room {
    /// Where `newcomer`, seen now, may go among `ways`.
    fn among(ways: &[Way; WAYS], newcomer: Way, idle_nanos: i64) -> Self {
        let ended_ticks = Way::ticks_surely_above(idle_nanos);
        let quiet_ticks = Way::ticks_surely_above(QUIET_NANOS);
        let mut ended: Option<(Way, usize)> = None;
        let mut least: Option<(Way, usize)> = None;
        for (place, way) in ways.iter().copied().enumerate() {
            if way.is_free() {
                return Self::Free(place);
            }
            let silent_ticks = newcomer.ticks().saturating_sub(way.ticks());
            let candidate = if silent_ticks >= ended_ticks {
                &mut ended
            } else if way.yields_to(newcomer, silent_ticks >= quiet_ticks) {
                &mut least
            } else {
                continue;
            };
            let rank = |way: Way| way.worth_then_time();
            if candidate.is_none_or(|(other, _)| rank(way) < rank(other)) {
                *candidate = Some((way, place));
            }
        }
        match (ended, least) {
            (Some((_, place)), _) => Self::Ended(place),
            (None, Some((_, place))) => Self::Given(place),
            (None, None) => Self::Denied,
        }
    }

    const fn place(self) -> Option<usize> {
        match self {
            Self::Free(place) | Self::Ended(place) | Self::Given(place) => Some(place),
            Self::Denied => None,
        }
    }
}

impl SourceCounters {
    fn note(&mut self, room: Room) {
        match room {
            Room::Denied => {
                self.denied += 1;
                return;
            }
            Room::Free(_) => self.live += 1,
            Room::Ended(_) => self.expired += 1,
            Room::Given(_) => self.evicted += 1,
        }
        self.inserted += 1;
    }
}
