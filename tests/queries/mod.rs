//! Every question to both stores, against a plain list of the same rows.

#![cfg(test)]

mod figures;
mod fill;
mod limits;
mod oracle;
mod plans;
mod rows;

use std::time::Duration;

use phantomnet::event::{Epoch, Event, EventId, ProfileChange};
use phantomnet::store::query::{
    EventFilter, IncidentChange, IncidentFilter, IncidentState, Label, LabelWord, Network, PageKey,
    Queries, SessionFilter, Stats, StoredEvent, TimelineBucket,
};
use phantomnet::time::Timestamp;
use phantomnet::verdict::Level;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use fill::{Filled, runtime};
use rows::{BASE, numbered, some};

/// A moment that no other row is near.
const FAR_BACK: Timestamp = Timestamp::from_secs(1_000_000_000);

/// Events of two runs.
fn some_events(count: usize) -> Vec<(Epoch, Event)> {
    numbered(some(rows::event(), count), |event, number| event.number = number)
}

fn pairs(rows: Vec<StoredEvent>) -> Vec<(Epoch, Event)> {
    rows.into_iter().map(|row| (row.epoch, row.event)).collect()
}

fn filter() -> impl Strategy<Value = EventFilter> {
    let levels = prop::collection::vec(rows::level(), 0..3);
    let protocol = prop::option::weighted(0.2, select(vec![1_u8, 6, 17, 200]));
    let source = prop::option::weighted(0.4, rows::network());
    let destination = prop::option::weighted(0.4, rows::network());
    let port = prop::option::weighted(0.2, select(vec![22_u16, 80, 443, 7]));
    let score = prop::option::weighted(0.2, select(vec![0.0_f32, 0.2, 0.5, 0.8, 1.0, f32::NAN]));
    let times =
        (prop::option::weighted(0.3, time_near()), prop::option::weighted(0.3, time_near()));
    let rule = prop::option::weighted(0.3, select(vec![1_u32, 2, 3, 4, u32::MAX]));
    (levels, protocol, source, destination, port, score, times, rule).prop_map(
        |(levels, protocol, source, destination, port, score, (from, to), rule)| EventFilter {
            levels,
            protocol,
            source,
            destination,
            port,
            min_score: score.filter(|score| !score.is_nan()),
            from,
            to,
            rule,
        },
    )
}

/// Moments of rows, and those between them.
fn time_near() -> impl Strategy<Value = Timestamp> {
    (rows::moment(), select(vec![0_i64, 1, 999]))
        .prop_map(|(moment, nanos)| moment.plus_nanos(nanos))
}

fn hold<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(strategy, test) {
        panic!("{failure}");
    }
}

#[test]
fn every_filter_gives_what_a_look_through_all_rows_gives() {
    let events = some_events(500);
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        let asked = (filter(), prop::option::of(0..events.len()), 1_u32..40);
        hold(400, &asked, |(filter, after, limit)| {
            let after = after.map(|at| key_of(&events[at]));
            let wanted = oracle::events(&events, &filter, after);
            let page = runtime.block_on(queries.events(&filter, after, limit)).unwrap();
            let given = pairs(page.rows);
            let limit = limit as usize;
            let first: Vec<_> = wanted.iter().take(limit).map(|row| (*row).clone()).collect();
            prop_assert_eq!(&given, &first, "{}", store.name());
            prop_assert_eq!(page.next, (wanted.len() > limit).then(|| key_of(&given[limit - 1])));
            Ok(())
        });
    }
}

#[test]
fn each_filter_alone_gives_its_rows_to_the_bit() {
    let mut events = some_events(300);
    // A weight that fills its column has no place in a sum with others: it is alone in its minute, and its score is 0.
    let (_, heavy) = &mut events[0];
    (heavy.first, heavy.last) = (FAR_BACK, FAR_BACK);
    (heavy.weight, heavy.total) = (i64::MAX as u64, 0.0);
    let network = |text: &str, length| Some(Network { address: text.parse().unwrap(), length });
    let any = EventFilter::default;
    let filters = [
        any(),
        EventFilter { levels: vec![Level::Safe], ..any() },
        EventFilter { levels: vec![Level::High, Level::Critical, Level::High], ..any() },
        EventFilter { levels: vec![Level::Safe, Level::Critical], ..any() },
        EventFilter { protocol: Some(17), ..any() },
        EventFilter { source: network("10.0.1.2", 32), ..any() },
        EventFilter { source: network("::", 0), ..any() },
        EventFilter { source: network("0.0.0.0", 0), ..any() },
        EventFilter { destination: network("10.0.1.0", 24), ..any() },
        EventFilter { destination: network("2001:db8::", 32), ..any() },
        EventFilter { destination: network("::ffff:10.0.1.0", 120), ..any() },
        EventFilter { port: Some(22), ..any() },
        EventFilter { min_score: Some(0.8), ..any() },
        EventFilter { from: Some(BASE), ..any() },
        EventFilter { to: Some(BASE), ..any() },
        EventFilter { rule: Some(1), ..any() },
    ];
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        for filter in &filters {
            let page = runtime().block_on(queries.events(filter, None, 1000)).unwrap();
            let given = pairs(page.rows);
            let wanted: Vec<_> =
                oracle::events(&events, filter, None).into_iter().cloned().collect();
            assert!(!wanted.is_empty() && (wanted.len() < 300 || *filter == any()), "{filter:?}");
            assert_eq!(given, wanted, "{} {filter:?}", store.name());
            for ((_, given), (_, wanted)) in given.iter().zip(&wanted) {
                assert_eq!(bits(given), bits(wanted));
            }
        }
    }
}

/// What `==` would forgive.
fn bits(event: &Event) -> Vec<u32> {
    let features = event.features.iter().flat_map(|features| features.0);
    let one = [event.total, event.model_risk, event.rule_risk, event.intel_risk];
    let perhaps = [event.anomaly_score, event.quantile].into_iter().flatten();
    one.into_iter().chain(perhaps).chain(features).map(f32::to_bits).collect()
}

fn key_of((epoch, event): &(Epoch, Event)) -> PageKey {
    PageKey { time: event.first, id: EventId { epoch: *epoch, number: event.number } }
}

#[test]
fn paging_gives_every_row_once_and_in_order_while_others_arrive() {
    let events = some_events(400);
    let (there, later) = events.split_at(300);
    let filters = [
        EventFilter::default(),
        EventFilter { levels: vec![Level::Warning, Level::Critical], ..EventFilter::default() },
        EventFilter { rule: Some(1), ..EventFilter::default() },
        EventFilter {
            source: Some(Network { address: "10.0.0.0".parse().unwrap(), length: 22 }),
            ..EventFilter::default()
        },
    ];
    for store in Filled::both() {
        store.insert_events(there);
        let queries = store.queries();
        let mut arriving = later.chunks(3);
        for filter in &filters {
            for limit in [1, 7, 64, 1000] {
                let mut seen = Vec::new();
                let mut after = None;
                loop {
                    let page = runtime().block_on(queries.events(filter, after, limit)).unwrap();
                    seen.extend(pairs(page.rows));
                    if let Some(more) = arriving.next() {
                        store.insert_events(more);
                    }
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
                let ids: Vec<_> = seen.iter().map(|row| key_of(row).id).collect();
                assert!(oracle::are_different(&ids), "{} {filter:?} {limit}", store.name());
                assert!(seen.windows(2).all(|two| {
                    let (one, next) = (key_of(&two[0]), key_of(&two[1]));
                    (one.time, one.id) > (next.time, next.id)
                }));
                // All that were there from the beginning are among them, in the order of the list.
                let old: Vec<_> = seen.iter().filter(|row| there.contains(row)).collect();
                assert_eq!(old, oracle::events(there, filter, None), "{} {filter:?}", store.name());
            }
        }
    }
}

/// More rows than a walk looks at, with what is wanted here and there, or all of it far back.
#[test]
fn what_lies_far_back_is_found_whatever_way_leads_there() {
    let runtime = runtime();
    for store in Filled::both() {
        store.execute(&figures::rows(&store.location(), 60_000));
        let queries = store.queries();
        let all = runtime.block_on(everything(&queries));
        assert_eq!(all.len(), 60_000);
        for (name, filter) in figures::filters() {
            for after in [None, Some(key_of(&all[30_000])), Some(key_of(&all[57_000]))] {
                let wanted = oracle::events(&all, &filter, after);
                let wanted: Vec<_> = wanted.into_iter().take(100).map(key_of).collect();
                let page = runtime.block_on(queries.events(&filter, after, 100)).unwrap();
                let given: Vec<_> = pairs(page.rows).iter().map(key_of).collect();
                assert_eq!(given, wanted, "{} {name} {after:?}", store.name());
            }
        }
    }
}

/// All events, newest first.
async fn everything(queries: &Queries) -> Vec<(Epoch, Event)> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = queries.events(&EventFilter::default(), after, 1000).await.unwrap();
        all.extend(pairs(page.rows));
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

#[test]
fn events_are_found_by_name() {
    let events = some_events(60);
    let id = |at: usize| key_of(&events[at]).id;
    let none = EventId { epoch: rows::epoch(9), number: 1 };
    let hostile = EventId { epoch: id(0).epoch, number: u64::MAX };
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        let runtime = runtime();
        let one = |id| runtime.block_on(queries.event(id)).unwrap();
        assert_eq!(one(id(17)).map(|row| (row.epoch, row.event)), Some(events[17].clone()));
        assert_eq!(one(none), None);
        assert_eq!(one(hostile), None);
        let asked = [id(5), none, id(3), hostile, id(5), id(40)];
        let several = pairs(runtime.block_on(queries.events_by_id(&asked)).unwrap());
        let wanted: Vec<_> = [5, 3, 5, 40].map(|at: usize| events[at].clone()).into();
        assert_eq!(several, wanted, "{}", store.name());
        let since = EventId { epoch: rows::epoch(1), number: 10 };
        let missed = pairs(runtime.block_on(queries.events_since(since, 15)).unwrap());
        let numbers: Vec<_> = missed.iter().map(|(_, event)| event.number).collect();
        assert_eq!(numbers, (11..26).collect::<Vec<_>>());
        assert!(missed.iter().all(|row| events.contains(row)));
        let none_behind = runtime.block_on(queries.events_since(hostile, 15)).unwrap();
        assert_eq!(none_behind, []);
    }
}

#[test]
fn a_key_that_no_page_gave_does_no_harm() {
    let events = some_events(40);
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        for time in [i64::MIN, -1, 0, 1, BASE.as_nanos() + 1, i64::MAX].map(Timestamp::from_nanos) {
            for number in [0, 1, u64::MAX] {
                let after = PageKey { time, id: EventId { epoch: rows::epoch(1), number } };
                let any = EventFilter::default();
                let page = runtime().block_on(queries.events(&any, Some(after), 1000)).unwrap();
                let wanted = oracle::events(&events, &any, Some(after));
                assert_eq!(pairs(page.rows).iter().collect::<Vec<_>>(), wanted, "{time}");
            }
        }
        for limit in [0, 1001, u32::MAX] {
            let any = EventFilter::default();
            let page = runtime().block_on(queries.events(&any, None, limit)).unwrap();
            assert!(!page.rows.is_empty());
        }
    }
}

#[test]
fn sums_are_those_of_the_rows() {
    let events = some_events(500);
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        let span = (prop::option::of(time_near()), prop::option::of(time_near()));
        hold(200, &span, |(from, to)| {
            let given = runtime.block_on(queries.stats(from, to)).unwrap();
            let wanted = oracle::stats(&events, from, to);
            let close = |one: Option<f64>, other: Option<f64>| match (one, other) {
                (Some(one), Some(other)) => (one - other).abs() < 1e-6,
                _ => one == other,
            };
            prop_assert!(
                close(given.mean_threat_score, wanted.mean_threat_score),
                "{:?} {:?}",
                given,
                wanted
            );
            let mean_threat_score = given.mean_threat_score;
            prop_assert_eq!(given, Stats { mean_threat_score, sources: given.sources, ..wanted });
            Ok(())
        });
        let buckets = select(vec![
            1_u64,
            1_000_000,
            7_000_000,
            60_000_000,
            90_000_000,
            300_000_000,
            3_600_000_000,
            86_400_000_000,
        ]);
        hold(300, &(time_near(), time_near(), buckets), |(from, to, micros)| {
            let bucket = Duration::from_micros(micros);
            let nanos = 1000 * i64::try_from(micros).unwrap();
            let end = (from.as_nanos().div_euclid(nanos) * nanos).saturating_add(1000 * nanos);
            let wanted =
                oracle::timeline(&events, from, to.min(Timestamp::from_nanos(end)), bucket);
            let given = runtime.block_on(queries.timeline(from, to, bucket)).unwrap();
            prop_assert_eq!(given, wanted, "{}", store.name());
            Ok(())
        });
        let span = runtime.block_on(queries.span()).unwrap();
        let times = events.iter().map(|(_, event)| event.first);
        assert_eq!(span, times.clone().min().zip(times.max()));
    }
}

/// By the sums of a minute, and by its rows: to the unit.
#[test]
fn a_sampled_event_is_summed_as_the_packets_that_it_represents() {
    let at = |number| Event {
        first: BASE.plus_nanos(10_000_000_000 + i64::try_from(number).unwrap() * 1_000),
        ..crate::running::event(number)
    };
    let sampled = Event { level: Level::Safe, total: 1.0, weight: 1_000, ..at(1) };
    let warning = |number| Event { level: Level::Warning, total: 30.0, ..at(number) };
    let victim = Event { count: 0, weight: 0, alerts: 3, ..at(4) };
    let events = [sampled, warning(2), warning(3), victim].map(|event| (rows::epoch(1), event));
    let wanted = Stats {
        events: 4,
        packets: 1_002,
        sources: Some(0),
        mean_threat_score: Some(10.6 / 1_002.0),
        levels: [1_000, 2, 0, 0],
        critical_events: 0,
    };
    let seconds = |count: i64| BASE.plus_nanos(count * 1_000_000_000);
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_events(&events);
        let queries = store.queries();
        for (from, to) in [
            (None, None),
            (Some(seconds(0)), Some(seconds(60))),
            (Some(seconds(1)), Some(seconds(59))),
        ] {
            let given = runtime.block_on(queries.stats(from, to)).unwrap();
            assert_eq!(given, wanted, "{} {from:?} {to:?}", store.name());
        }
        for (width, start) in [(60, seconds(0)), (1, seconds(10))] {
            let bucket = Duration::from_secs(width);
            let given = runtime.block_on(queries.timeline(seconds(0), seconds(60), bucket));
            let wanted = TimelineBucket { start, levels: wanted.levels, events: wanted.events };
            assert_eq!(given.unwrap(), [wanted], "{} {width}", store.name());
        }
    }
}

#[test]
fn sources_are_those_whose_profile_overlaps_the_span() {
    let profiles = different(some(rows::profile(), 60));
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_profiles(&profiles);
        let queries = store.queries();
        let spans = (prop::option::of(time_near()), prop::option::of(time_near()));
        hold(50, &spans, |(from, to)| {
            let overlap = profiles.iter().filter(|profile| {
                from.is_none_or(|from| profile.last >= from)
                    && to.is_none_or(|to| profile.first < to)
            });
            let given = runtime.block_on(queries.stats(from, to)).unwrap().sources;
            prop_assert_eq!(given, Some(overlap.count() as u64));
            Ok(())
        });
    }
}

/// A source has one profile in each tenant.
fn different(profiles: Vec<ProfileChange>) -> Vec<ProfileChange> {
    let mut seen = std::collections::BTreeSet::new();
    profiles.into_iter().filter(|one| seen.insert((one.source, one.tenant))).collect()
}

#[test]
fn profiles_are_listed_by_network_and_found_by_address() {
    let profiles = different(some(rows::profile(), 60));
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_profiles(&profiles);
        let queries = store.queries();
        hold(60, &(prop::option::of(rows::network()), 1_u32..9), |(network, limit)| {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = runtime.block_on(queries.sources(network, after, limit)).unwrap();
                seen.extend(page.rows);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert!(seen.windows(2).all(|two| two[0].last >= two[1].last));
            let mut given: Vec<_> = seen
                .iter()
                .map(|one| (one.source.into(), one.tenant, one.packets, one.last))
                .collect();
            let mut wanted: Vec<_> = profiles
                .iter()
                .filter(|one| network.is_none_or(|network| network.contains(one.source)))
                .map(|one| (one.source, one.tenant, one.packets, one.last))
                .collect();
            given.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(given, wanted);
            Ok(())
        });
        for wanted in &profiles {
            let found = runtime.block_on(queries.source(wanted.source.to_ip())).unwrap();
            assert!(
                found.iter().any(|one| one.tenant == wanted.tenant && one.levels == wanted.levels)
            );
            assert!(found.iter().all(|one| one.source == wanted.source.to_ip()));
        }
        assert_eq!(runtime.block_on(queries.source("192.0.2.200".parse().unwrap())).unwrap(), []);
    }
}

#[test]
fn sessions_and_incidents_give_what_a_look_through_all_rows_gives() {
    let sessions = numbered(some(rows::session(), 200), |session, number| session.number = number);
    let incidents =
        numbered(some(rows::incident(), 200), |incident, number| incident.number = number);
    let runtime = runtime();
    for store in Filled::both() {
        store.insert_sessions(&sessions);
        store.insert_incidents(&incidents);
        let queries = store.queries();
        let common = (
            prop::option::of(rows::network()),
            prop::option::of(rows::level()),
            prop::option::weighted(0.2, time_near()),
            prop::option::weighted(0.2, time_near()),
        );
        let kinds = select(vec!["network-scan", "it's", "a\0b", "';--"]);
        let asked = (common, prop::option::weighted(0.3, kinds), 1_u32..30);
        hold(200, &asked, |((network, worst, from, to), kind, limit)| {
            let filter = SessionFilter { source: network, worst, state: None, from, to };
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = runtime.block_on(queries.sessions(&filter, after, limit)).unwrap();
                seen.extend(page.rows.into_iter().map(|row| (row.epoch, row.session)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen.iter().collect::<Vec<_>>(), oracle::sessions(&sessions, &filter));

            let state = worst.map(|worst| {
                if worst == Level::High { IncidentState::Closed } else { IncidentState::Open }
            });
            let filter = IncidentFilter {
                subject: network,
                kind: kind.map(str::to_owned),
                worst,
                state,
                from,
                to,
            };
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = runtime.block_on(queries.incidents(&filter, after, limit)).unwrap();
                seen.extend(page.rows.into_iter().map(|row| (row.epoch, row.incident)));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(
                seen.iter().collect::<Vec<_>>(),
                oracle::incidents(&incidents, &filter)
            );
            Ok(())
        });
    }
}

#[test]
fn an_incident_is_changed_and_an_event_labelled() {
    let events = some_events(4);
    let incidents =
        numbered(some(rows::incident(), 4), |incident, number| incident.number = number);
    for store in Filled::both() {
        store.insert_events(&events);
        store.insert_incidents(&incidents);
        let (queries, runtime) = (store.queries(), runtime());
        let id = EventId { epoch: rows::epoch(1), number: 2 };
        let none = EventId { epoch: rows::epoch(1), number: u64::MAX };
        let change = |id, state, note: Option<&str>| {
            let change = IncidentChange { state, note: note.map(str::to_owned) };
            runtime.block_on(queries.change_incident(id, &change, BASE)).unwrap()
        };
        let changed = change(id, Some(IncidentState::Closed), Some("it's\0over")).unwrap();
        assert_eq!(changed.state, IncidentState::Closed);
        assert_eq!(changed.note.as_deref(), Some("it's\u{fffd}over"));
        assert_eq!(changed.changed_at, Some(BASE));
        assert_eq!(changed.incident.number, 2);
        let changed = change(id, None, Some("")).unwrap();
        assert_eq!((changed.state, changed.note), (IncidentState::Closed, None));
        assert_eq!(change(none, Some(IncidentState::Closed), None), None);

        let label =
            |label, note: Option<&str>| Label { label, note: note.map(str::to_owned), at: BASE };
        let given = |id, label: &Label| runtime.block_on(queries.label_event(id, label)).unwrap();
        let first = label(LabelWord::Malicious, Some("'; DROP TABLE labels; --"));
        assert!(given(id, &first));
        assert!(!given(none, &first));
        let labelled = || runtime.block_on(queries.event(id)).unwrap().unwrap().label;
        assert_eq!(labelled(), Some(first));
        let second = label(LabelWord::Benign, None);
        assert!(given(id, &second));
        assert_eq!(labelled(), Some(second.clone()));
        let page = runtime.block_on(queries.events(&EventFilter::default(), None, 10)).unwrap();
        let labels: Vec<_> = page.rows.iter().filter_map(|row| row.label.clone()).collect();
        assert_eq!(labels, [second], "{}", store.name());
    }
}

#[test]
fn ledgers_tell_the_newest_epochs_first() {
    for store in Filled::both() {
        let (one, two) = (rows::epoch(1).stored(), rows::epoch(2).stored());
        let at = store.time(BASE);
        store.execute(&format!(
            "INSERT INTO epochs (epoch, sensor, started_at, batches, rows, packets, alerts, quarantined_rows) VALUES ({one}, 'a', {at}, 3, 30, 300, 5, 1);
             INSERT INTO epochs (epoch, sensor, started_at, ended_at, state) VALUES ({two}, 'b', {at}, {at}, 2);
             INSERT INTO pruned (epoch, at, upto, rows, packets, alerts) VALUES ({one}, {at}, 4, 4, 40, 0), ({one}, {at}, 6, 2, 20, 0);
             INSERT INTO refused_batches VALUES ({one}, 4, 6, 50, 20, 200, 0, 1, {at}), ({one}, 8, 8, 60, 1, 2, 0, 0, {at});
             INSERT INTO accounting VALUES ({one}, 0, {at}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '[]');
             INSERT INTO accounting VALUES ({one}, 7, {at}, 1, 11, 12, 13, 14, 15, 16, 17, 18, 19, '[{{\"stage\":\"ring\",\"came\":5,\"accounted\":5}}]');"
        ));
        let queries = store.queries();
        let ledgers = runtime().block_on(queries.ledgers(10)).unwrap();
        let [second, first] = &ledgers[..] else { panic!("{ledgers:?}") };
        assert_eq!((second.sensor.as_str(), second.ended, second.batches), ("b", Some(BASE), 0));
        assert_eq!(second.last_marker, None);
        assert_eq!((first.epoch, first.ended), (rows::epoch(1), None));
        assert_eq!((first.batches, first.rows, first.packets, first.alerts), (3, 30, 300, 5));
        assert_eq!((first.quarantined_rows, first.pruned_rows, first.pruned_packets), (1, 6, 60));
        assert_eq!((first.refused_rows, first.refused_packets), (21, 202));
        let marker = first.last_marker.as_ref().unwrap();
        assert_eq!(
            (marker.number, marker.totals.dequeued, marker.totals.event_alerts),
            (7, 11, 19)
        );
        assert_eq!(&*marker.stages[0].stage, "ring");
        assert_eq!(runtime().block_on(queries.ledgers(1)).unwrap().len(), 1);
    }
}
