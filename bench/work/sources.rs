//! The table of sources: a source that is there, a newcomer that gets a place, and one that gets none.

use phantomnet::address::Address;
use phantomnet::capture::TURN_FRAMES_MAX;
use phantomnet::features::{IDLE_NANOS, SourceState};
use phantomnet::sources::{Keyer, Resident, SourceKey, Table, TableParams, Worth};
use phantomnet::time::Timestamp;

use super::{Turn, Work};
use crate::inputs::judging::params;

/// Fewer than by default, so that the table is filled soon.
const CAPACITY: u32 = 1 << 14;

/// Sources that come again and again.
const REGULARS: u32 = 1_000;

/// So many that they fill every set of the table, however unevenly they fall.
const CROWD: u32 = 8 * CAPACITY;

/// A million packets a second.
const GAP_NANOS: i64 = 1_000;

/// As large as what is kept of a source, without the arithmetic of features.
#[derive(Clone)]
struct Remembered {
    last: Timestamp,
    packets: u64,
    _rest: [u8; REST],
}

const REST: usize = size_of::<SourceState>() - size_of::<Timestamp>() - size_of::<u64>();

impl Default for Remembered {
    fn default() -> Self {
        Self { last: Timestamp::EPOCH, packets: 0, _rest: [0; REST] }
    }
}

impl Resident for Remembered {
    const HOT_BYTES: usize = SourceState::HOT_BYTES;
    const FIRST_BYTES: usize = SourceState::FIRST_BYTES;

    fn forget(&mut self) {
        self.packets = 0;
    }

    fn last_seen(&self) -> Timestamp {
        self.last
    }

    fn worth(&self) -> Worth {
        if self.packets > 1 { Worth::Returned } else { Worth::Passing }
    }
}

/// The table and the packets that come to it.
struct Visits {
    table: Table<Remembered>,
    keyer: Keyer,
    time: Timestamp,
    next: u32,
    /// After so many packets the sources come again.
    sources: u32,
    hashed: Vec<(SourceKey, u64)>,
    hashes: Vec<u64>,
}

pub(super) fn works() -> Vec<Work> {
    let work = |name, prepare: fn() -> Turn| Work::new(name, TURN_FRAMES_MAX, prepare);
    vec![
        work("sources/hit", hits),
        work("sources/miss, takes the place of another", misses),
        work("sources/miss, denied", denials),
    ]
}

/// Each packet is of a source that is in the table.
fn hits() -> Turn {
    let mut visits = Visits::new(REGULARS);
    visits.fill(REGULARS, 2);
    Box::new(move || visits.turn(TURN_FRAMES_MAX))
}

/// Each packet is of a newcomer, and gets the place of one that came once: so it is in a flood of forged sources.
fn misses() -> Turn {
    let mut visits = Visits::new(u32::MAX);
    visits.fill(CROWD, 1);
    let before = visits.table.counters().denied;
    visits.turn(TURN_FRAMES_MAX);
    assert_eq!(visits.table.counters().denied, before, "there was room for each");
    Box::new(move || visits.turn(TURN_FRAMES_MAX))
}

/// Each packet is of a newcomer, and the table is full of sources that came back just now.
fn denials() -> Turn {
    let mut visits = Visits::new(u32::MAX);
    visits.fill(CROWD, 2);
    let before = visits.table.counters().denied;
    visits.turn(TURN_FRAMES_MAX);
    let denied = visits.table.counters().denied - before;
    assert_eq!(denied, TURN_FRAMES_MAX as u64, "there was room for none");
    Box::new(move || visits.turn(TURN_FRAMES_MAX))
}

impl Visits {
    fn new(sources: u32) -> Self {
        let room = TableParams { sources: CAPACITY as usize, idle_nanos: IDLE_NANOS };
        Self {
            table: Table::new(room, 0, 1),
            keyer: params().keyer,
            time: Timestamp::from_secs(1_790_000_000),
            next: 0,
            sources,
            hashed: Vec::with_capacity(TURN_FRAMES_MAX),
            hashes: Vec::with_capacity(TURN_FRAMES_MAX),
        }
    }

    /// Each of so many sources comes so often, one after the other.
    fn fill(&mut self, sources: u32, times: u32) {
        for source in 0..sources {
            for _ in 0..times {
                self.next = source;
                self.turn(1);
            }
        }
    }

    /// A turn as an owner takes it: all are hashed, all are fetched, each is visited.
    fn turn(&mut self, packets: usize) {
        self.hashed.clear();
        self.hashes.clear();
        for _ in 0..packets {
            let (key, hash) = self.keyer.key_of(Address::v4(self.next.to_be_bytes()), 0);
            self.next = (self.next + 1) % self.sources;
            self.hashed.push((key, hash));
            self.hashes.push(hash);
        }
        self.table.prefetch(&self.hashes);
        for (key, hash) in &self.hashed {
            self.time = self.time.plus_nanos(GAP_NANOS);
            let time = self.time;
            self.table.visit(key, *hash, time, Worth::Passing, |state| {
                state.last = time;
                state.packets += 1;
            });
        }
    }
}
