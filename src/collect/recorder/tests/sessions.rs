//! Sessions and profiles.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::event::SessionState;
use crate::sources::SourceKey;

/// By source and tenant.
type BySource = BTreeMap<(Address, u16), Sum>;

/// Sessions and what was in them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Sum {
    sessions: u64,
    packets: u64,
    bytes: u64,
    levels: [u64; 4],
}

impl Sum {
    fn add(&mut self, sessions: u64, packets: u64, bytes: u64, levels: &[u64; 4]) {
        self.sessions += sessions;
        self.packets += packets;
        self.bytes += bytes;
        for (level, more) in self.levels.iter_mut().zip(levels) {
            *level += more;
        }
    }
}

/// All changes added up.
pub(super) fn sums(changes: &[&ProfileChange]) -> BySource {
    let mut sums = BySource::new();
    for change in changes {
        let sum = sums.entry((change.source, change.tenant)).or_default();
        sum.add(change.sessions, change.packets, change.bytes, &change.levels);
    }
    sums
}

/// All stored sessions added up.
fn summed(record: &Record) -> BySource {
    let mut sums = BySource::new();
    for session in record.sessions() {
        let sum = sums.entry((session.source, session.tenant)).or_default();
        sum.add(1, session.packets, session.bytes, &session.levels);
    }
    sums
}

/// The sessions of each source by a plain rule: a silence of more than `idle` begins another. For times that ascend.
fn plain_sessions(verdicts: &[Verdict], idle: i64) -> Vec<Vec<Verdict>> {
    let mut sources: BTreeMap<SourceKey, Vec<Vec<Verdict>>> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.is_of_victim()) {
        let (key, _) = KEYER.key_of(verdict.digest.source, verdict.digest.vlan);
        let sessions = sources.entry(key).or_default();
        let time = verdict.digest.time;
        match sessions.last_mut() {
            Some(going) if time.nanos_since(going.last().unwrap().digest.time) <= idle => {
                going.push(*verdict);
            }
            _ => sessions.push(vec![*verdict]),
        }
    }
    sources.into_values().flatten().collect()
}

fn ascending_times() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![10 => 0..SECOND, 1 => 290 * SECOND..310 * SECOND];
    prop::collection::vec(step, 0..200).prop_map(|steps| {
        steps
            .iter()
            .scan(0, |time, step| {
                *time += step;
                Some(*time)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn sessions_are_those_of_the_plain_model(verdicts in verdicts(ascending_times())) {
        let record = record(&EventParams::default(), &verdicts);
        let mut expected: Vec<_> = plain_sessions(&verdicts, 300 * SECOND)
            .iter()
            .filter(|packets| packets.len() > 1 || packets[0].level > Level::Safe)
            .map(|packets| {
                let digest = packets[0].digest;
                let mut levels = [0; 4];
                let mut rules: Vec<u32> = Vec::new();
                for packet in packets {
                    levels[packet.level as usize] += 1;
                    rules.extend(packet.rules().iter().map(|i| [3, 1, 2][usize::from(*i)]));
                }
                rules.sort_unstable();
                rules.dedup();
                let worst = packets.iter().map(|packet| packet.level).max().unwrap();
                let times = (digest.time.as_nanos(), packets.last().unwrap().digest.time.as_nanos());
                let times = (times.0 / 1_000 * 1_000, times.1 / 1_000 * 1_000);
                let bytes = packets.iter().map(|p| u64::from(p.digest.wire_length)).sum::<u64>();
                (digest.source, digest.vlan, times, levels, bytes, rules, worst)
            })
            .collect();
        let mut sessions: Vec<_> = record
            .sessions()
            .into_iter()
            .map(|session| {
                assert_eq!(session.packets, session.levels.iter().sum::<u64>());
                assert_ne!(session.state, SessionState::Open);
                let times = (session.first.as_nanos(), session.last.as_nanos());
                let Session { source, tenant, levels, bytes, rules, worst, .. } = session.clone();
                (source, tenant, times, levels, bytes, rules, worst)
            })
            .collect();
        expected.sort_unstable();
        sessions.sort_unstable();
        prop_assert_eq!(sessions, expected);
    }

    #[test]
    fn changes_of_profiles_add_up_to_the_stored_sessions(
        params in coalescing::tight_params(),
        verdicts in verdicts(any_times()),
    ) {
        let bench_params = EventParams { session_report: Duration::from_millis(300), ..params };
        let mut bench = Bench::new(&bench_params);
        verdicts.iter().for_each(|verdict| bench.take(verdict));
        let shown = bench.shown.clone();
        let record = bench.finish();
        prop_assert_eq!(sums(&record.profiles()), summed(&record));
        let stats = shown.read();
        let stored = record.sessions().len() as u64;
        prop_assert_eq!(stats.closed_sessions, stored + stats.sessions_not_stored);
        for batch in &record.batches {
            let mut numbers: Vec<u64> = batch.sessions.iter().map(|s| s.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), batch.sessions.len(), "once in a batch");
        }
    }
}

#[test]
fn a_session_is_seen_while_it_runs_and_how_it_ended() {
    let mut bench = Bench::new(&EventParams::default());
    let mut states = Vec::new();
    for seconds in [0, 5, 9, 10, 15, 25, 326, 627] {
        // Another source keeps the time going.
        bench.take(&safe(if seconds > 25 { 2 } else { 1 }, seconds * SECOND));
        bench.recorder.flush().unwrap();
        for session in bench.batches.try_iter().flat_map(|batch| batch.sessions) {
            states.push((seconds, session.source, session.packets, session.state));
        }
    }
    let source = Address::v4([10, 0, 0, 1]);
    assert_eq!(
        states,
        [
            // It has something to report since its second packet.
            (15, source, 4, SessionState::Open),
            (25, source, 5, SessionState::Open),
            (326, source, 6, SessionState::Idle),
        ]
    );
    let record = bench.finish();
    assert!(record.sessions().is_empty(), "twice one SAFE packet");
}

#[test]
fn so_many_sessions_are_stored_that_begin_in_one_second_and_notable_ones_beside_them() {
    let params = EventParams { sessions_per_second: 5, ..EventParams::default() };
    let mut bench = Bench::new(&params);
    for round in 0..2 {
        for source in 0..100 {
            bench.take(&safe(source, round * SECOND + i64::from(source)));
        }
    }
    bench.take(&bad(100, 2, Level::Warning, &[1]));
    let shown = bench.shown.clone();
    let record = bench.finish();
    assert_eq!(record.sessions().len(), 5 + 1);
    assert_eq!(record.sessions().last().unwrap().worst, Level::Warning);
    assert_eq!(shown.read().sessions_not_stored, 95);
}

#[test]
fn the_longest_silent_session_gives_its_place() {
    let params = EventParams { open_sessions_max: 2, ..EventParams::default() };
    let verdicts: Vec<Verdict> =
        [1, 2, 1, 3, 2].iter().zip(0..).map(|(s, time)| bad(*s, time, Level::High, &[])).collect();
    let record = record(&params, &verdicts);
    let sessions: Vec<_> = record
        .sessions()
        .iter()
        .map(|session| (session.source.v4_octets().unwrap()[3], session.packets, session.state))
        .collect();
    assert_eq!(
        sessions,
        [
            (2, 1, SessionState::Evicted),
            (1, 2, SessionState::Evicted),
            (3, 1, SessionState::Stopped),
            (2, 1, SessionState::Stopped),
        ]
    );
}
