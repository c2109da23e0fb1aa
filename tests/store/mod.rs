//! The contract of a store, held against SQLite and PostgreSQL alike.

#![cfg(test)]

mod audit;
mod folding;
mod retention;
mod sqlite;

use phantomnet::event::{Batch, Leftover, RefusedBatches, Totals};
use phantomnet::store::Committed;
use phantomnet::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::batches::{BEGIN, Stream, incident, profile, streams};
use crate::places::Place;
use crate::places::model::Model;

/// When batches are committed here, unless a test says otherwise.
const NOW: Timestamp = BEGIN.plus_nanos(5_000_000_000);

/// How many streams of arbitrary batches are tried.
const CASES: u32 = 24;

/// Tries a statement about a fresh store on arbitrary streams of batches.
fn for_any_stream(place: &Place, check: impl Fn(&Place, &[Batch]) -> Result<(), TestCaseError>) {
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    drop(place.open());
    let checked = runner.run(&streams(4, 12), |batches| {
        place.empty();
        check(place, &batches)
    });
    if let Err(failure) = checked {
        panic!("{}: {failure}", place.name());
    }
}

/// An epoch of a few batches, from its start to its end.
fn epoch(seed: u64) -> Vec<Batch> {
    let mut stream = Stream::new(seed);
    vec![stream.batch(100), stream.batch(300), stream.batch(0), stream.end(50)]
}

/// The store never sees a batch that was refused; the next one that it sees says so. The last one always comes.
fn refuse(batches: &[Batch], refused: impl Fn(&Batch) -> bool) -> Vec<Batch> {
    let (mut kept, mut refusing) = (Vec::new(), None);
    for (batch, left) in batches.iter().zip((0..batches.len()).rev()) {
        let batch = Batch { refused: refusing.take(), ..batch.clone() };
        if left > 0 && refused(&batch) {
            refusing = Some(RefusedBatches::of(&batch));
        } else {
            kept.push(batch);
        }
    }
    kept
}

#[test]
fn every_field_is_kept_to_the_bit_and_the_same_in_both() {
    for place in Place::all() {
        for_any_stream(&place, |place, batches| {
            let mut store = place.open();
            let mut model = Model::new();
            for batch in refuse(batches, |batch| batch.number % 3 == 1) {
                let committed = store.commit(&batch, NOW).expect("the store is there");
                prop_assert_eq!(committed, Committed::default());
                model.commit(&batch, NOW);
            }
            place.assert_is(&model);
            Ok(())
        });
    }
}

#[test]
fn a_batch_that_is_committed_again_changes_nothing() {
    for place in Place::all() {
        let mut store = place.open();
        let batches = epoch(1);
        for batch in &batches {
            store.commit(batch, NOW).unwrap();
        }
        let before = place.all_rows();
        let mut another = place.open();
        for batch in batches.iter().rev().chain(&batches) {
            let later = NOW.plus_nanos(9_000_000_000);
            let again = another.commit(batch, later).unwrap();
            assert_eq!(again, Committed { already: true, ..Committed::default() });
        }
        assert_eq!(place.all_rows(), before, "{}", place.name());
    }
}

#[test]
fn batches_of_two_sensors_do_not_meet() {
    for place in Place::all() {
        let mut model = Model::new();
        let (mut one, mut other) = (place.open(), place.open());
        for (left, right) in epoch(1).iter().zip(&epoch(2)) {
            for (store, batch) in [(&mut one, left), (&mut other, right)] {
                assert_eq!(store.commit(batch, NOW).unwrap(), Committed::default());
                model.commit(batch, NOW);
            }
        }
        place.assert_is(&model);
    }
}

#[test]
fn a_closed_incident_opens_again_when_it_goes_on_and_an_acknowledged_one_stays() {
    for place in Place::all() {
        let mut store = place.open();
        let mut model = Model::new();
        let mut stream = Stream::new(3);
        let mut first = stream.batch(10);
        let event = first.events[0].clone();
        first.incidents = (1..=5).map(|number| incident(&event, number)).collect();
        store.commit(&first, NOW).unwrap();
        model.commit(&first, NOW);
        for (number, state) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
            place.tamper(&format!(
                "UPDATE incidents SET state = {state}, note = 'seen' WHERE number = {number}"
            ));
            model.set_state(&first, number, state);
        }
        // 1 and 3 go on; 2 is told again as it was, 4 with less.
        let mut second = stream.batch(1);
        second.incidents = (1..=4).map(|number| incident(&event, number)).collect();
        second.incidents[0].events = 2;
        second.incidents[2].events = 2;
        second.incidents[3].events = 0;
        store.commit(&second, NOW).unwrap();
        model.commit(&second, NOW);
        let rows = place.rows(crate::places::table("incidents"));
        let states: Vec<_> = rows.values().map(|row| row[14].as_i64().unwrap()).collect();
        assert_eq!(states, [0, 2, 1, 0, 0], "{}", place.name());
        let notes: Vec<_> = rows.values().filter(|row| row[15] == "seen").collect();
        assert_eq!(notes.len(), 4, "{}: notes are people's", place.name());
    }
}

#[test]
fn profiles_add_up_over_batches_and_epochs() {
    for place in Place::all() {
        let mut store = place.open();
        for seed in [4, 5] {
            let mut stream = Stream::new(seed);
            let event = stream.batch(50).events.into_iter().find(|event| event.source.is_some());
            let mut change = profile(&event.unwrap()).unwrap();
            change.source = phantomnet::address::Address::v4([192, 0, 2, 1]);
            (change.packets, change.bytes, change.levels) = (3, 1000, [1, 1, 1, 0]);
            for begins in [7_i64, 5, 9] {
                change.first = BEGIN.plus_nanos(begins * 1_000_000);
                change.last = change.first.plus_nanos(2_000_000);
                let mut batch = stream.batch(1);
                // Twice in one batch, too.
                batch.profiles = vec![change.clone(); 2];
                store.commit(&batch, NOW).unwrap();
            }
        }
        let rows = place.rows(crate::places::table("source_profiles"));
        let row = rows.values().next().unwrap();
        let begin = BEGIN.as_nanos() / 1000;
        let numbers: Vec<_> = row[2..].iter().map(|value| value.as_i64().unwrap()).collect();
        let now = NOW.as_nanos() / 1000;
        let sums = [begin + 5000, begin + 11_000, now, 12, 36, 12_000, 12, 12, 12, 0];
        assert_eq!((rows.len(), &numbers[..]), (1, &sums[..]), "{}", place.name());
    }
}

#[test]
fn a_row_that_is_refused_is_counted_and_the_others_are_there() {
    for place in Place::all() {
        let mut store = place.open();
        let mut model = Model::new();
        let mut batch = Stream::new(6).batch(400);
        for odd in [0, 17, 18, 250, 399] {
            batch.events[odd].bytes = u64::MAX;
        }
        let odd = |event: &phantomnet::event::Event| event.bytes == u64::MAX;
        let committed = store.commit(&batch, NOW).unwrap();
        model.commit_but(&batch, NOW, odd);
        let odd: Vec<_> = batch.events.iter().filter(|event| odd(event)).collect();
        let expected = Committed {
            already: false,
            quarantined_rows: 5,
            quarantined_packets: odd.iter().map(|event| event.count).sum(),
            quarantined_alerts: odd.iter().map(|event| event.alerts).sum(),
        };
        assert_eq!(committed, expected, "{}", place.name());
        place.assert_is(&model);
        // What the lost answer would have said.
        let again = store.commit(&batch, NOW).unwrap();
        assert_eq!(again, Committed { already: true, ..expected }, "{}", place.name());
    }
}

#[test]
fn an_event_that_comes_twice_is_refused_the_second_time() {
    for place in Place::all() {
        let mut store = place.open();
        let mut stream = Stream::new(7);
        let mut batch = stream.batch(5);
        batch.events.push(batch.events[2].clone());
        assert_eq!(store.commit(&batch, NOW).unwrap().quarantined_rows, 1, "{}", place.name());
        let mut next = stream.batch(5);
        next.events[4] = batch.events[0].clone();
        assert_eq!(store.commit(&next, NOW).unwrap().quarantined_rows, 1, "{}", place.name());
        assert_eq!(place.rows(crate::places::table("packet_logs")).len(), 9);
    }
}

#[test]
fn a_batch_of_nothing_but_odd_rows_is_committed() {
    for place in Place::all() {
        let mut store = place.open();
        let mut batch = Stream::new(8).batch(20);
        for event in &mut batch.events {
            event.packet = u64::MAX;
        }
        assert_eq!(store.commit(&batch, NOW).unwrap().quarantined_rows, 20, "{}", place.name());
        assert_eq!(place.rows(crate::places::table("quarantine")).len(), 20);
        assert_eq!(place.rows(crate::places::table("ingest_batches")).len(), 1);
    }
}

#[test]
fn how_an_epoch_ended_is_what_its_markers_say() {
    for place in Place::all() {
        let mut store = place.open();
        let mut model = Model::new();
        let mut commit = |batch: &Batch| {
            store.commit(batch, NOW).unwrap();
            model.commit(batch, NOW);
            place.assert_is(&model);
        };
        let leftover =
            |epoch, batch: &Batch| Leftover { epoch, at: NOW, totals: batch.markers[0].totals };
        let (mut died, mut ended) = (Stream::new(1), Stream::new(2));
        let last = died.batch(3);
        commit(&last);
        commit(&ended.batch(3));
        let end = ended.end(0);
        commit(&end);
        // The next run finds what the first has left, that of one which had stored nothing, and (killed just after its
        // end) that of one which was over.
        let mut next = Stream::new(4).batch(5);
        next.leftovers = vec![
            leftover(last.epoch, &last),
            leftover(Stream::new(3).epoch, &end),
            leftover(end.epoch, &end),
        ];
        commit(&next);
        let states: Vec<_> = place
            .rows(crate::places::table("epochs"))
            .values()
            .map(|row| row[4].as_i64().unwrap())
            .collect();
        assert_eq!(states, [3, 2, 3, 1], "{}", place.name());
        let report = phantomnet::store::audit(&place.location()).unwrap();
        assert!(report.is_clean(), "{}: {}", place.name(), report.render());
        let found: Vec<_> =
            report.epochs.iter().map(|one| (one.ended, one.crashed, one.lost > 0)).collect();
        let expected = [
            (false, true, false),
            (true, false, false),
            (false, true, true),
            (false, false, false),
        ];
        assert_eq!(found, expected, "{}: {}", place.name(), report.render());
    }
}

#[test]
fn the_generated_batches_say_what_a_collector_would() {
    let consistent = |batches: &[Batch]| {
        let mut said = Totals::default();
        let mut next = 1;
        for batch in batches {
            for event in &batch.events {
                assert_eq!(event.number, next);
                next += 1;
            }
            for marker in &batch.markers {
                assert_eq!(marker.totals.unaccounted(), 0);
                said = marker.totals;
            }
        }
        let events = || batches.iter().flat_map(|batch| &batch.events);
        assert_eq!(said.events, next - 1);
        assert_eq!(said.event_packets, events().map(|event| event.count).sum::<u64>());
        assert_eq!(said.event_alerts, events().map(|event| event.alerts).sum::<u64>());
    };
    consistent(&epoch(1));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    runner
        .run(&streams(4, 12), |batches| {
            consistent(&batches);
            Ok(())
        })
        .unwrap();
}
