use proptest::prelude::*;

use super::*;
use crate::address::Address;

const IDLE: i64 = 300 * NANOS_PER_SECOND;
const KEYER: Keyer = Keyer { key: [7, 11], v6_prefix: 64, by_tenant: false };

/// A source that remembers nothing but what the table asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Visitor {
    last: Timestamp,
    packets: u64,
    bad: bool,
}

impl Resident for Visitor {
    fn last_seen(&self) -> Timestamp {
        self.last
    }

    fn worth(&self) -> Worth {
        match (self.bad, self.packets > 1) {
            (false, false) => Worth::Passing,
            (false, true) => Worth::Returned,
            (true, false) => Worth::Suspect,
            (true, true) => Worth::Known,
        }
    }
}

/// One packet: which source, when, and whether it looks bad.
#[derive(Clone, Copy, Debug)]
struct Packet {
    source: u32,
    nanos: i64,
    bad: bool,
}

fn at(source: u32, seconds: i64) -> Packet {
    Packet { source, nanos: seconds * NANOS_PER_SECOND, bad: false }
}

fn bad(source: u32, seconds: i64) -> Packet {
    Packet { bad: true, ..at(source, seconds) }
}

fn key_of(source: u32) -> (SourceKey, u64) {
    KEYER.key_of(Address::v4(source.to_be_bytes()), 0)
}

fn worth_if_first(packet: Packet) -> Worth {
    if packet.bad { Worth::Suspect } else { Worth::Passing }
}

fn note(packet: Packet) -> impl FnOnce(&mut Visitor) -> u64 {
    move |visitor| {
        let stated = Timestamp::from_nanos(packet.nanos);
        visitor.last = if visitor.packets == 0 { stated } else { stated.max(visitor.last) };
        visitor.packets += 1;
        visitor.bad |= packet.bad;
        visitor.packets
    }
}

/// Shows a packet to a shard: how many of its session's packets were seen, this one among them.
fn see(shard: &mut Shard<Visitor>, packet: Packet) -> u64 {
    let (key, hash) = key_of(packet.source);
    shard.visit(
        &key,
        hash,
        Timestamp::from_nanos(packet.nanos),
        worth_if_first(packet),
        note(packet),
    )
}

/// A shard with a single set: any eight sources fill it.
fn one_set() -> Shard<Visitor> {
    Shard::new(1, IDLE)
}

fn full_of(packet_of: impl Fn(u32) -> Packet, packets_each: usize) -> Shard<Visitor> {
    let mut shard = one_set();
    for source in 0..8 {
        for _ in 0..packets_each {
            see(&mut shard, packet_of(source));
        }
    }
    shard
}

#[test]
fn a_session_ends_after_more_than_the_idle_time() {
    let mut shard = one_set();
    assert_eq!(see(&mut shard, at(1, 0)), 1);
    assert_eq!(see(&mut shard, at(1, 300)), 2, "exactly the idle time is the same session");
    let later = Packet { nanos: 600 * NANOS_PER_SECOND + 1, ..at(1, 0) };
    assert_eq!(see(&mut shard, later), 1);
    let expected = SourceCounters { inserted: 2, expired: 1, live: 1, ..SourceCounters::default() };
    assert_eq!(shard.counters(), expected);
}

#[test]
fn time_that_goes_back_ends_no_session() {
    let mut shard = one_set();
    see(&mut shard, at(1, 1000));
    assert_eq!(see(&mut shard, at(1, -1000)), 2);
    assert_eq!(see(&mut shard, at(1, 1300)), 3);
}

#[test]
fn of_those_who_sent_one_packet_the_oldest_goes_first() {
    let mut shard = full_of(|source| at(source, 10 - i64::from(source)), 1);
    see(&mut shard, at(100, 11));
    assert_eq!(see(&mut shard, at(0, 11)), 2, "the newest stayed");
    assert_eq!(see(&mut shard, at(7, 11)), 1, "the oldest went");
    assert_eq!(shard.counters().evicted, 2);
}

#[test]
fn who_came_back_stays_while_active_and_yields_when_quiet() {
    let mut shard = full_of(|source| at(source, i64::from(source)), 2);
    see(&mut shard, at(100, 30));
    assert_eq!(shard.counters().denied, 1, "nobody has been silent for more than 30 s");
    see(&mut shard, at(100, 32));
    assert_eq!(shard.counters().evicted, 1);
    assert_eq!(see(&mut shard, at(1, 32)), 3);
    assert_eq!(
        see(&mut shard, at(0, 32)),
        1,
        "the longest silent went, and its return displaces the newcomer"
    );
}

#[test]
fn a_suspect_yields_to_a_suspect_and_who_came_back_to_nobody() {
    let mut suspects = full_of(|source| bad(source, 0), 1);
    see(&mut suspects, at(100, 200));
    assert_eq!((suspects.counters().denied, suspects.counters().evicted), (1, 0));
    see(&mut suspects, bad(100, 200));
    assert_eq!((suspects.counters().denied, suspects.counters().evicted), (1, 1));

    let mut known = full_of(|source| bad(source, 0), 2);
    see(&mut known, bad(100, 300));
    assert_eq!((known.counters().denied, known.counters().evicted), (1, 0));
    see(&mut known, at(100, 301));
    assert_eq!((known.counters().denied, known.counters().expired), (1, 1), "but all sessions end");
}

#[test]
fn a_denied_source_is_measured_as_a_newcomer_every_time() {
    let mut shard = full_of(|source| bad(source, 0), 2);
    assert_eq!([1, 2, 3].map(|second| see(&mut shard, at(100, second))), [1, 1, 1]);
    assert_eq!(shard.counters().denied, 3);
}

/// A set in which `accused` of the eight are bad, of `packets` each, and the others came back and are quiet.
fn accused_and_quiet(accused: u32, packets: usize) -> Shard<Visitor> {
    let mut shard = one_set();
    for source in 1..=8 {
        let (packet, times) =
            if source <= accused { (bad(source, 0), packets) } else { (at(source, 0), 2) };
        (0..times).for_each(|_| {
            see(&mut shard, packet);
        });
    }
    shard
}

#[test]
fn who_came_back_and_is_quiet_yields_until_half_of_the_set_are_accused() {
    for packets in [1, 2] {
        let mut three = accused_and_quiet(3, packets);
        see(&mut three, at(100, 60));
        assert_eq!((three.counters().evicted, three.counters().denied), (1, 0), "{packets}");
        let mut four = accused_and_quiet(4, packets);
        see(&mut four, at(100, 60));
        assert_eq!((four.counters().evicted, four.counters().denied), (0, 1), "{packets}");
        for source in 5..=8 {
            assert_eq!(see(&mut four, at(source, 61)), 3, "{source} is known");
        }
    }
}

#[test]
fn where_half_of_a_set_are_accused_a_bad_newcomer_takes_the_place_of_a_suspect_or_none() {
    let mut suspects = accused_and_quiet(4, 1);
    see(&mut suspects, bad(100, 60));
    assert_eq!(see(&mut suspects, at(1, 61)), 1, "the first of the suspects is forgotten");
    assert_eq!(suspects.counters().evicted, 1);
    let mut known = accused_and_quiet(4, 2);
    see(&mut known, bad(100, 60));
    assert_eq!((known.counters().evicted, known.counters().denied), (0, 1));
}

/// The promise to the operator: a SYN flood from forged addresses costs no source that matters its memory.
#[test]
fn a_flood_of_forged_sources_displaces_nobody_active_or_known() {
    let mut shard = Shard::new(16, IDLE);
    let residents: Vec<u32> = (1..=24).collect();
    for packet in residents.iter().flat_map(|&source| [at(source, 0), at(source, 0)]) {
        see(&mut shard, packet);
    }
    let known: Vec<u32> = (31..=40).collect();
    for packet in known.iter().flat_map(|&source| [bad(source, 0), at(source, 0)]) {
        see(&mut shard, packet);
    }
    let mut seen = 2;
    for second in 1..=290 {
        for forged in 0..1000 {
            see(
                &mut shard,
                at(0x8000_0000 + u32::try_from(second).unwrap() * 1000 + forged, second),
            );
        }
        if second % 25 == 0 {
            seen += 1;
            for &source in &residents {
                assert_eq!(
                    see(&mut shard, at(source, second)),
                    seen,
                    "resident {source}, second {second}"
                );
            }
        }
    }
    for &source in &known {
        assert_eq!(see(&mut shard, at(source, 290)), 3, "known {source}, silent all along");
    }
    assert!(shard.counters().evicted > 250_000, "{:?}", shard.counters());
}

/// Feeds name whole networks, so of forged addresses some are in one: each is a suspect with its first packet.
#[test]
fn a_flood_of_which_some_look_bad_displaces_nobody_who_came_back_however_quiet() {
    let mut shard = Shard::new(64, IDLE);
    // So few that no five are in one set.
    let residents: Vec<u32> = (1..=32).collect();
    for packet in residents.iter().flat_map(|&source| [at(source, 0), at(source, 0)]) {
        see(&mut shard, packet);
    }
    let mut forged = 0x8000_0000;
    for second in 1..=200 {
        for nth in 0..1_000 {
            forged += 1;
            see(&mut shard, if nth % 20 == 0 { bad(forged, second) } else { at(forged, second) });
        }
    }
    let known = residents.iter().filter(|&&source| see(&mut shard, at(source, 200)) == 3).count();
    assert_eq!(known, residents.len());
}

#[test]
fn all_hashes_find_their_shard_and_each_shard_one_owner() {
    for workers in 1..=5 {
        for shard in 0..SHARDS {
            let owners = (0..workers).filter(|worker| shard % workers == *worker).count();
            assert_eq!(owners, 1);
        }
    }
    assert_eq!((shard_of(0), shard_of(u64::MAX)), (0, 63));
    assert_eq!(shard_of(5 << 58), 5);
}

#[test]
fn a_source_of_another_workers_shard_is_denied() {
    let params = TableParams { sources: 10_000, idle_nanos: IDLE };
    let mut table = Table::new(params, 0, 64);
    let (key, hash) = (0..).map(key_of).find(|&(_, hash)| shard_of(hash) == 1).unwrap();
    let now = Timestamp::EPOCH;
    assert_eq!(table.visit(&key, hash, now, Worth::Passing, note(at(0, 0))), 1);
    assert_eq!(table.visit(&key, hash, now, Worth::Passing, note(at(0, 0))), 1);
    assert_eq!(table.counters(), SourceCounters { denied: 2, ..SourceCounters::default() });
}

#[test]
fn warming_is_for_any_hash_and_changes_nothing() {
    let params = TableParams { sources: 600, idle_nanos: IDLE };
    let mut table = Table::<Visitor>::new(params, 0, 2);
    let (key, hash) = (0..).map(key_of).find(|&(_, hash)| shard_of(hash) == 2).unwrap();
    table.visit(&key, hash, Timestamp::EPOCH, Worth::Passing, note(at(0, 0)));
    let before = table.counters();
    table.prefetch(&[hash, 0, 1 << 58, u64::MAX]);
    assert_eq!(table.counters(), before);
}

#[test]
fn there_is_room_for_as_many_as_were_asked_for() {
    for sources in [0, 1, 512, 513, 100_000] {
        let params = TableParams { sources, idle_nanos: IDLE };
        let capacity: usize =
            (0..3).map(|worker| Table::<Visitor>::new(params, worker, 3).capacity()).sum();
        assert!(capacity >= sources.max(512) && capacity < sources + 1024, "{sources}: {capacity}");
    }
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let step = prop_oneof![
        10 => Just(0),
        10 => 0..NANOS_PER_SECOND,
        3 => -2 * NANOS_PER_SECOND..60 * NANOS_PER_SECOND,
        1 => 290 * NANOS_PER_SECOND..310 * NANOS_PER_SECOND,
        1 => any::<i64>(),
    ];
    let packet = (0..4000_u32, step, prop::bool::weighted(0.1));
    prop::collection::vec(packet, 0..3000).prop_map(|packets| {
        let mut nanos = 0_i64;
        let stamped = packets.into_iter().map(|(source, step, bad)| {
            nanos = nanos.saturating_add(step);
            // Half of the packets come from a few sources, so that some come back.
            let source = if source % 2 == 0 { source % 64 } else { source };
            Packet { source, nanos, bad }
        });
        stamped.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same sessions, whoever owns the shards.
    #[test]
    fn what_is_remembered_does_not_depend_on_the_number_of_workers(packets in packets()) {
        let params = TableParams { sources: 600, idle_nanos: IDLE };
        let outcome = |workers: usize| {
            let mut tables: Vec<Table<Visitor>> =
                (0..workers).map(|worker| Table::new(params, worker, workers)).collect();
            let seen: Vec<u64> = packets.iter().map(|&packet| {
                let (key, hash) = key_of(packet.source);
                let owner = usize::from(shard_of(hash)) % workers;
                tables[owner].visit(&key, hash, Timestamp::from_nanos(packet.nanos), worth_if_first(packet), note(packet))
            }).collect();
            let counters = tables.iter().map(Table::counters);
            (seen, counters.fold(SourceCounters::default(), SourceCounters::plus))
        };
        let alone = outcome(1);
        prop_assert_eq!(&outcome(2), &alone);
        prop_assert_eq!(&outcome(4), &alone);
        prop_assert_eq!(&outcome(7), &alone);
    }

    /// The accounts close, and agree with a plain list of who is in.
    #[test]
    fn every_session_that_began_is_live_evicted_or_expired(packets in packets(), sets in 1..8_usize) {
        let mut shard = Shard::new(sets, IDLE);
        let mut firsts = 0;
        for packet in packets {
            firsts += u64::from(see(&mut shard, packet) == 1);
            let SourceCounters { inserted, evicted, expired, denied, live } = shard.counters();
            prop_assert_eq!(inserted, live + evicted + expired);
            prop_assert_eq!(firsts, inserted + denied, "a first packet is inserted or denied");
            prop_assert!(live <= shard.capacity() as u64);
        }
    }

    /// The order in which places are given up, held against the rule read aloud.
    #[test]
    fn places_are_given_up_in_the_order_of_worth(packets in packets()) {
        let mut shard = one_set();
        let mut list = PlainSet::default();
        for packet in packets {
            prop_assert_eq!(see(&mut shard, packet), list.see(packet), "{:?}", packet);
        }
    }
}

/// The rule for one set, without tags, ticks or packing: whole milliseconds (2^20 ns) decide who is older.
#[derive(Debug, Default)]
struct PlainSet {
    ways: Vec<(u32, Visitor)>,
}

impl PlainSet {
    fn see(&mut self, packet: Packet) -> u64 {
        let now = i128::from(packet.nanos);
        if let Some((_, visitor)) =
            self.ways.iter_mut().find(|(source, _)| *source == packet.source)
        {
            if now - i128::from(visitor.last.as_nanos()) > i128::from(IDLE) {
                *visitor = Visitor::default();
            }
            return note(packet)(visitor);
        }
        let mut newcomer = Visitor::default();
        let answer = note(packet)(&mut newcomer);
        if self.ways.len() < WAYS {
            self.ways.push((packet.source, newcomer));
        } else if let Some(place) = self.place_for(&newcomer) {
            self.ways[place] = (packet.source, newcomer);
        }
        answer
    }

    fn place_for(&self, newcomer: &Visitor) -> Option<usize> {
        let tick = |visitor: &Visitor| visitor.last.as_nanos() >> 20;
        let silent_longer = |visitor: &Visitor, nanos: i64| {
            tick(newcomer).checked_sub(tick(visitor)).unwrap() > (nanos >> 20) + 1
        };
        let places = || self.ways.iter().map(|(_, visitor)| visitor).enumerate();
        let rank = |&(_, visitor): &(usize, &Visitor)| (visitor.worth(), tick(visitor));
        let ended = places().filter(|(_, visitor)| silent_longer(visitor, IDLE));
        let accused = places().filter(|(_, visitor)| visitor.worth() >= Worth::Suspect).count();
        let yielding = places().filter(|(_, visitor)| match visitor.worth() {
            Worth::Passing => true,
            Worth::Returned => accused < 4 && silent_longer(visitor, QUIET_NANOS),
            Worth::Suspect => newcomer.bad,
            Worth::Known => false,
        });
        ended.min_by_key(rank).or_else(|| yielding.min_by_key(rank)).map(|(place, _)| place)
    }
}
