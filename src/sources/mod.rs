//! The table of per-source state: fixed in size, found by keyed hash, and sparing what is worth keeping.
//!
//! The table is cut into [`SHARDS`] shards by the hash; a worker owns some of them. A shard never looks at another, so
//! what is kept and what is forgotten depends on the packets of its own sources alone, in their order: not on how many
//! workers there are, not on batches, and not on a clock.

mod key;
mod shard;

pub use key::{Keyer, SourceKey};
pub use shard::{Shard, WAYS};

use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Into how many shards the table is cut.
pub const SHARDS: usize = 64;

/// A source that came back and has no evidence against it may be forgotten for a newcomer once it has been silent for longer than
/// this, but not where there is evidence against half of its set or more.
pub const QUIET_NANOS: i64 = 30 * NANOS_PER_SECOND;

/// The shard that the source with this hash lives in, below [`SHARDS`]: the hash's top six bits.
///
/// Worker `w` of `n` owns the shards whose number is `w` modulo `n`.
#[must_use]
pub const fn shard_of(hash: u64) -> u8 {
    let [top, ..] = hash.to_be_bytes();
    top >> 2
}

/// What lives in the table: the state of one source. The default is that of a source that has sent nothing.
pub trait Resident: Clone + Default {
    /// The time of its last packet.
    fn last_seen(&self) -> Timestamp;

    /// What would be lost with it.
    fn worth(&self) -> Worth;

    /// Makes it that of a source that has sent nothing. What is left of the one before need not be wiped, as long as nothing tells it
    /// from the default.
    fn forget(&mut self) {
        *self = Self::default();
    }

    /// How many of its first bytes a packet touches where there is no evidence: what is fetched before it is wanted.
    const HOT_BYTES: usize = size_of::<Self>();

    /// How many of its first bytes the first packet touches.
    const FIRST_BYTES: usize = Self::HOT_BYTES;
}

/// What a source is worth, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Worth {
    /// One packet, nothing against it: so is each source of a flood from forged addresses.
    Passing = 1,
    /// It came back; nothing against it.
    Returned = 2,
    /// One packet, with evidence. Forged ones can be this too.
    Suspect = 3,
    /// It came back, and there is evidence.
    Known = 4,
}

/// How a table is to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableParams {
    /// For how many sources there is to be room in all shards together; rounded up to whole sets, at least
    /// [`SHARDS`] * [`WAYS`].
    pub sources: usize,
    /// Silence after which a session has ended, nanoseconds.
    pub idle_nanos: i64,
}

/// The shards that one worker owns.
#[derive(Clone, Debug)]
pub struct Table<S> {
    /// One place per shard; `None` for those of other workers.
    shards: Vec<Option<Shard<S>>>,
    /// What was asked of shards that live elsewhere.
    misdirected: SourceCounters,
}

impl<S: Resident> Table<S> {
    /// The shards of worker `worker` of `workers`, with all the memory they will ever have, each page of it touched.
    #[must_use]
    pub fn new(params: TableParams, worker: usize, workers: usize) -> Self {
        let sets = params.sources.div_ceil(SHARDS * WAYS);
        let owned = |shard: usize| shard % workers.max(1) == worker;
        let build = |shard| owned(shard).then(|| Shard::new(sets, params.idle_nanos));
        Self { shards: (0..SHARDS).map(build).collect(), misdirected: SourceCounters::default() }
    }

    /// Lets `observe` add a packet of the source `key`, whose hash is `hash`, at `time`; a source whose first it is is worth `if_first`. See
    /// [`Shard::visit`].
    ///
    /// A source of another worker's shard is measured as a newcomer for whom there is no room, and counted as denied.
    pub fn visit<R>(
        &mut self,
        key: &SourceKey,
        hash: u64,
        time: Timestamp,
        if_first: Worth,
        observe: impl FnOnce(&mut S) -> R,
    ) -> R {
        match self.shards.get_mut(usize::from(shard_of(hash))) {
            Some(Some(shard)) => shard.visit(key, hash, time, if_first, observe),
            _ => {
                self.misdirected.denied = self.misdirected.denied.saturating_add(1);
                observe(&mut S::default())
            }
        }
    }

    /// Asks for what visits of the sources with these hashes will want. Changes nothing but their cost.
    ///
    /// A visit whose memory is far away waits for it, and then the next one waits; here the processor waits for many at
    /// once. Worth it for a turn's packets, not for one.
    pub fn prefetch(&self, hashes: &[u64]) {
        let shard = |hash: u64| self.shards.get(usize::from(shard_of(hash)))?.as_ref();
        let found = || hashes.iter().filter_map(|&hash| Some((shard(hash)?, hash)));
        // All sets before any slot: which slot it is stands in the set.
        found().for_each(|(shard, hash)| shard.prefetch_set(hash));
        found().for_each(|(shard, hash)| shard.prefetch_slot(hash));
    }

    /// What has happened in these shards, summed.
    #[must_use]
    pub fn counters(&self) -> SourceCounters {
        let shards = self.shards.iter().flatten().map(Shard::counters);
        shards.fold(self.misdirected, SourceCounters::plus)
    }

    /// For how many sources there is room in these shards.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shards.iter().flatten().map(Shard::capacity).sum()
    }
}

/// What has happened to sources. Always `inserted = live + evicted + expired`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Sessions begun with a place in the table.
    pub inserted: u64,
    /// Sessions given up for a newcomer.
    pub evicted: u64,
    /// Sessions ended by silence, counted when the source comes back or its place is taken.
    pub expired: u64,
    /// Packets of newcomers for whom nothing was given up: measured as the first of their source, and not remembered.
    pub denied: u64,
    /// Sources in the table; silent ones too, until their end is noticed.
    pub live: u64,
}

impl SourceCounters {
    /// Both counted together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            inserted: self.inserted.saturating_add(other.inserted),
            evicted: self.evicted.saturating_add(other.evicted),
            expired: self.expired.saturating_add(other.expired),
            denied: self.denied.saturating_add(other.denied),
            live: self.live.saturating_add(other.live),
        }
    }
}

#[cfg(test)]
mod tests;
