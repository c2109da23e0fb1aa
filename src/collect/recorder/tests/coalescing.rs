//! Which verdicts are one event.

use std::time::Duration;

use super::oracle::{Row, rows};
use super::*;

/// Parameters small enough that every bound is met by a few hundred verdicts.
pub(super) fn tight_params() -> impl Strategy<Value = EventParams> {
    (any::<bool>(), 0..5_u32, 0..4_u64, 1..4_u32, 1..4_u32, 1..12_usize, 1..6_usize).prop_map(
        |(all, safe_one_in, halves, common, severe, events, others)| EventParams {
            store: if all { StorePolicy::All } else { StorePolicy::Notable },
            safe_one_in,
            coalesce: Duration::from_millis(500 * halves),
            events_per_second: common,
            severe_events_per_second: severe,
            open_events_max: events,
            open_sessions_max: others,
            open_incidents_max: others,
            sessions_per_second: common,
            notable_sessions_per_second: severe,
            incidents_per_second: common,
            batch_rows: 1 + events * others,
            ..EventParams::default()
        },
    )
}

/// Times within some minutes, so that the seconds of the budget do not fall out of its memory.
fn near_times() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        10 => 0..SECOND / 5,
        3 => -SECOND / 5..0,
        1 => -3 * SECOND..3 * SECOND,
    ];
    prop::collection::vec(step, 0..120).prop_map(|steps| {
        steps
            .iter()
            .scan(-SECOND, |time, step| {
                *time += step;
                Some(*time)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn events_are_those_of_the_plain_oracle(
        params in tight_params(),
        verdicts in verdicts(near_times()),
    ) {
        let expected = rows(&params, &verdicts);
        let record = record(&params, &verdicts);
        let events: Vec<Row> = record.events().into_iter().map(Row::from).collect();
        prop_assert_eq!(events, expected);
    }

    #[test]
    fn what_comes_out_does_not_depend_on_where_batches_end(
        params in tight_params(),
        verdicts in verdicts(any_times()),
        rows in 1..50_usize,
        flushes in any::<u64>(),
    ) {
        let whole = record(&EventParams { batch_rows: usize::MAX, ..params }, &verdicts);
        let mut bench = Bench::new(&EventParams { batch_rows: rows, ..params });
        let mut dice = Dice(flushes);
        for verdict in &verdicts {
            bench.take(verdict);
            bench.pass_wall_time(i64::try_from(dice.below(50_000_000)).unwrap());
            if dice.below(5) == 0 {
                bench.recorder.flush().unwrap();
            }
        }
        let parts = bench.finish();
        prop_assert_eq!(parts.events(), whole.events());
        prop_assert_eq!(parts.sessions(), whole.sessions());
        prop_assert_eq!(parts.incidents(), whole.incidents());
        prop_assert_eq!(sessions::sums(&parts.profiles()), sessions::sums(&whole.profiles()));
    }
}

#[test]
fn an_event_takes_what_comes_within_the_window_of_its_first_packet() {
    let times = [0, 999_999_999, 1_000_000_000, 1_500_000_000, 2_000_000_000];
    let verdicts = times.map(|time| bad(1, time, Level::Warning, &[1]));
    let record = record(&EventParams::default(), &verdicts);
    let counts: Vec<u64> = record.events().iter().map(|event| event.count).collect();
    assert_eq!(counts, [2, 2, 1]);
}

#[test]
fn a_higher_verdict_begins_a_new_event() {
    let verdicts = [bad(1, 0, Level::Warning, &[1]), bad(1, 1, Level::High, &[1])];
    let record = record(&EventParams::default(), &verdicts);
    let levels: Vec<Level> = record.events().iter().map(|event| event.level).collect();
    assert_eq!(levels, [Level::Warning, Level::High]);
}

#[test]
fn tenants_are_kept_apart() {
    let mut other = bad(1, 1, Level::Warning, &[1]);
    other.digest.vlan = 7;
    let record = record(&EventParams::default(), &[bad(1, 0, Level::Warning, &[1]), other]);
    let vlans: Vec<u16> = record.events().iter().map(|event| event.vlan).collect();
    assert_eq!(vlans, [0, 7]);
}

#[test]
fn a_flood_of_lesser_verdicts_merges_no_severe_one() {
    let params = EventParams { events_per_second: 10, ..EventParams::default() };
    let mut verdicts: Vec<Verdict> = (0..10_000_u16)
        .map(|n| {
            let mut verdict = bad(1, i64::from(n) * 1_000, Level::Warning, &[1]);
            verdict.digest.source = Address::v4([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
            verdict
        })
        .collect();
    verdicts.push(bad(1, SECOND / 2, Level::High, &[0]));
    let record = record(&params, &verdicts);
    let severe: Vec<_> = record.events().into_iter().filter(|e| e.level == Level::High).collect();
    assert_eq!(severe.len(), 1);
    assert_eq!(severe[0].merged, Merged::Nothing);
    assert_eq!(record.events().len(), 10 + 1 + 1);
}

#[test]
fn a_million_forged_sources_make_few_rows_with_exact_counts() {
    const PACKETS: u32 = 1_000_000;
    const PER_SECOND: u32 = 250_000;
    let params =
        EventParams { store: StorePolicy::All, open_sessions_max: 4_096, ..EventParams::default() };
    let mut bench = Bench::new(&params);
    let mut dice = Dice(7);
    for n in 0..PACKETS {
        let mut verdict = safe(0, i64::from(n) * SECOND / i64::from(PER_SECOND));
        verdict.digest.source = Address::v4(n.to_be_bytes());
        verdict.digest.destination = Address::v4([192, 0, dice.byte(255), dice.byte(255)]);
        verdict.digest.destination_port = u16::try_from(dice.below(65_536)).unwrap();
        bench.take(&verdict);
    }
    let record = bench.finish();
    let events = record.events();
    assert_eq!(events.iter().map(|event| event.count).sum::<u64>(), u64::from(PACKETS));
    let budget = usize::try_from(params.events_per_second).unwrap();
    for second in 0..4 {
        let rows = events.iter().filter(|event| event.first.as_secs() == second).count();
        assert!((3 * budget..=3 * budget + 2).contains(&rows), "second {second}: {rows} rows");
    }
    let stats = record.markers().last().unwrap().totals;
    assert_eq!(stats.unaccounted(), 0);
    assert!(record.sessions().is_empty(), "one SAFE packet makes no session");
}

#[test]
fn too_many_open_events_are_emitted_early_and_counted() {
    let params = EventParams { open_events_max: 3, ..EventParams::default() };
    let mut bench = Bench::new(&params);
    for source in 0..10 {
        bench.take(&bad(source, 0, Level::Warning, &[]));
    }
    bench.recorder.flush().unwrap();
    let stats = bench.shown.read();
    assert_eq!((stats.open_events, stats.closed_early, stats.totals.events), (3, 7, 7));
    let sources: Vec<_> = bench.finish().events().iter().map(|event| event.source).collect();
    assert_eq!(sources, (0..10).map(|n| Some(Address::v4([10, 0, 0, n]))).collect::<Vec<_>>());
}

#[test]
fn only_live_do_events_close_while_nothing_comes() {
    for live in [false, true] {
        let mut bench = Bench::new(&EventParams { live, ..EventParams::default() });
        bench.take(&bad(1, 0, Level::Warning, &[1]));
        for (after_millis, events) in [(600, 0), (600, u64::from(live))] {
            bench.pass_wall_time(after_millis * 1_000_000);
            bench.recorder.flush().unwrap();
            assert_eq!(bench.recorder.totals().events, events, "live: {live}");
        }
    }
}

#[test]
fn an_open_event_and_an_open_session_take_what_the_parameters_say() {
    let (event, session) = (coalesce::ENTRY_BYTES, super::super::sessions::ENTRY_BYTES);
    assert!((400..=500).contains(&event), "{event} bytes");
    assert!((250..=350).contains(&session), "{session} bytes");
}
