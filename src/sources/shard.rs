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
    /// Where a newcomer is measured for whom there is no room.
    aside: S,
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
            aside: S::default(),
            idle_nanos: idle_nanos.max(0),
            counters: SourceCounters::default(),
        }
    }

    /// Lets `observe` add a packet, stated to be of `time`, to the source `key`, whose hash is `hash`; `if_first` is what the
    /// source is worth if this is its first packet.
    ///
    /// * A source that is here goes on, or begins anew if it was silent for more than the idle time.
    /// * A newcomer gets a free place, else that of a session that has ended, else that of the least worth:
    ///   [`Worth::Passing`] first, then [`Worth::Returned`] silent for more than [`QUIET_NANOS`], but not where there is
    ///   evidence against half of the places' sources or more, then, if there is evidence against the newcomer too, [`Worth::Suspect`]; among equals the one longest silent,
    ///   then the first way.
    /// * Otherwise it is denied: measured with a state that is not kept.
    ///
    /// So forged addresses displace neither a source that is active nor, unless they look bad themselves, one
    /// that looked bad; and never one that looked bad and came back. Of those in a flood some stand in a feed, and there is evidence
    /// against them: until they have half of the places they displace who came back and is quiet, from then on one another, and where
    /// nobody yields newcomers are denied, also good ones.
    pub fn visit<R>(
        &mut self,
        key: &SourceKey,
        hash: u64,
        time: Timestamp,
        if_first: Worth,
        observe: impl FnOnce(&mut S) -> R,
    ) -> R {
        let tag = tag_of(hash);
        let set = self.set_of(hash);
        let (slots, _) = self.slots.as_chunks_mut::<WAYS>();
        let (Some(Ways(ways)), Some(slots)) = (self.sets.get_mut(set), slots.get_mut(set)) else {
            // Cannot happen: `set_of` stays below the number of sets.
            self.counters.denied += 1;
            return observe_anew(&mut self.aside, observe);
        };
        for (way, slot) in ways.iter_mut().zip(slots.iter_mut()) {
            if way.may_hold(tag) && slot.key == *key {
                if time.nanos_since(slot.state.last_seen()) > self.idle_nanos {
                    slot.state.forget();
                    self.counters.expired += 1;
                    self.counters.inserted += 1;
                }
                let answer = observe(&mut slot.state);
                *way = Way::holding(tag, slot.state.worth(), slot.state.last_seen());
                return answer;
            }
        }

        let newcomer = Way::holding(tag, if_first, time);
        let room = Room::among(ways, newcomer, self.idle_nanos);
        self.counters.note(room);
        let place = room.place().and_then(|at| Some((ways.get_mut(at)?, slots.get_mut(at)?)));
        let Some((way, slot)) = place else { return observe_anew(&mut self.aside, observe) };
        *way = newcomer;
        slot.key = *key;
        let answer = observe_anew(&mut slot.state, observe);
        debug_assert_eq!(newcomer, Way::holding(tag, slot.state.worth(), slot.state.last_seen()));
        answer
    }

    /// Asks for the set that this hash belongs to.
    pub(super) fn prefetch_set(&self, hash: u64) {
        if let Some(set) = self.sets.get(self.set_of(hash)) {
            prefetch(set, size_of::<Ways>());
        }
    }

    /// Asks for the slot where the source with this hash most likely lies, if it is here: that stands in its set. If it is not, for what a
    /// first packet will write where it most likely goes.
    pub(super) fn prefetch_slot(&self, hash: u64) {
        let set = self.set_of(hash);
        let (slots, _) = self.slots.as_chunks::<WAYS>();
        let (Some(Ways(ways)), Some(slots)) = (self.sets.get(set), slots.get(set)) else { return };
        let tag = tag_of(hash);
        if let Some((way, slot)) = ways.iter().zip(slots).find(|(way, _)| way.may_hold(tag)) {
            // Lengths that the compiler knows: the lines are asked for one after the other, without a loop.
            return if way.worth() >= Worth::Suspect as u64 {
                prefetch(slot, size_of::<Slot<S>>());
            } else {
                prefetch(slot, offset_of!(Slot<S>, state) + S::HOT_BYTES);
            };
        }
        // Free ones are the least.
        let least = ways.iter().zip(slots).min_by_key(|(way, _)| way.worth_then_time());
        if let Some((_, slot)) = least {
            prefetch(slot, offset_of!(Slot<S>, state) + S::FIRST_BYTES);
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

fn observe_anew<S: Resident, R>(state: &mut S, observe: impl FnOnce(&mut S) -> R) -> R {
    state.forget();
    observe(state)
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

    const fn holding(tag: u16, worth: Worth, last_seen: Timestamp) -> Self {
        // With the sign bit flipped, signed time in order is unsigned time in order.
        let ticks = (last_seen.as_nanos().cast_unsigned() ^ 1 << 63) >> Self::TICK_SHIFT;
        Self((tag as u64) << Self::TAG_SHIFT | (worth as u64) << Self::WORTH_SHIFT | ticks)
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
        let worth = self.worth();
        worth == PASSING
            || (worth == RETURNED && quiet)
            || (worth == SUSPECT && newcomer.worth() >= SUSPECT)
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

/// The ranks of places, the first to be taken first.
const FREE: u64 = 0;
const ENDED: u64 = 1;
const GIVEN: u64 = 2;
const DENIED: u64 = 3;

impl Room {
    /// Where `newcomer`, seen now, may go among `ways`.
    fn among(ways: &[Way; WAYS], newcomer: Way, idle_nanos: i64) -> Self {
        let ended_ticks = Way::ticks_surely_above(idle_nanos);
        let quiet_ticks = Way::ticks_surely_above(QUIET_NANOS);
        let room = Self::first_among(ways, newcomer, ended_ticks, quiet_ticks);
        // Those who came back go after all but suspects, so only where one of them would is there anything to spare.
        let goes = |place: usize| ways.get(place).map_or(0, |way| way.worth());
        match room {
            Self::Given(place)
                if goes(place) == Worth::Returned as u64 && is_half_accused(ways) =>
            {
                Self::first_among(ways, newcomer, ended_ticks, u64::MAX)
            }
            _ => room,
        }
    }

    /// Where it may go if a session has ended, and who came back is quiet, when silent for so long.
    fn first_among(ways: &[Way; WAYS], newcomer: Way, ended_ticks: u64, quiet_ticks: u64) -> Self {
        // Who goes first: the first one of the lowest rank, and among these of the least worth, and the longest silent.
        let rank = |way: Way| {
            let silent_ticks = newcomer.ticks().saturating_sub(way.ticks());
            let rank = if way.is_free() {
                FREE
            } else if silent_ticks >= ended_ticks {
                ENDED
            } else if way.yields_to(newcomer, silent_ticks >= quiet_ticks) {
                GIVEN
            } else {
                DENIED
            };
            rank << Way::TAG_SHIFT | way.worth_then_time()
        };
        let mut first = (DENIED << Way::TAG_SHIFT, 0);
        for (place, way) in ways.iter().enumerate() {
            let rank = rank(*way);
            if rank < first.0 {
                first = (rank, place);
            }
        }
        let (rank, place) = first;
        match rank >> Way::TAG_SHIFT {
            FREE => Self::Free(place),
            ENDED => Self::Ended(place),
            GIVEN => Self::Given(place),
            _ => Self::Denied,
        }
    }

    const fn place(self) -> Option<usize> {
        match self {
            Self::Free(place) | Self::Ended(place) | Self::Given(place) => Some(place),
            Self::Denied => None,
        }
    }
}

/// Whether there is evidence against half of those who are here, or more: one packet of theirs is enough.
fn is_half_accused(ways: &[Way; WAYS]) -> bool {
    ways.iter().filter(|way| way.worth() >= Worth::Suspect as u64).count() >= WAYS / 2
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
