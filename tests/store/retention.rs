//! What is kept for how long, and that what goes is counted.

use phantomnet::store::{Maintained, RetentionParams, Store, audit};
use phantomnet::time::Timestamp;

use super::NOW;
use crate::batches::Stream;
use crate::places::model::Model;
use crate::places::{Place, table};

const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;

/// Maintains until there is nothing more to do; the sum of what was done.
fn maintain(store: &mut dyn Store, now: Timestamp) -> Maintained {
    let mut sum = Maintained::default();
    for _ in 0..10_000 {
        let done = store.maintain(now).expect("it is there");
        sum = Maintained {
            partitions_made: sum.partitions_made + done.partitions_made,
            pruned_rows: sum.pruned_rows + done.pruned_rows,
            pruned_packets: sum.pruned_packets + done.pruned_packets,
            ..done
        };
        if !done.unfinished {
            return sum;
        }
    }
    panic!("it never ends: {sum:?}");
}

#[test]
fn what_is_too_old_goes_and_is_counted() {
    for place in Place::all() {
        let retention = RetentionParams { days: Some(7), bytes: None };
        let mut store = place.open_keeping(retention).unwrap();
        let mut model = Model::new();
        let mut stream = Stream::new(10);
        // All packets passed at once, long ago: what counts is when they were recorded.
        for day in 0..10 {
            let batch = stream.batch(200);
            let now = NOW.plus_nanos(day * DAY_NANOS);
            store.commit(&batch, now).unwrap();
            model.commit(&batch, now);
        }
        let now = NOW.plus_nanos(12 * DAY_NANOS + DAY_NANOS / 2);
        let done = maintain(store.as_mut(), now);
        let (rows, packets) = model.prune(now.plus_nanos(-7 * DAY_NANOS));
        assert_eq!((done.pruned_rows, done.pruned_packets), (rows, packets), "{}", place.name());
        assert_eq!(rows, 6 * 200);
        let kept =
            ["packet_logs", "event_rules", "event_minutes", "event_hours", "sessions", "incidents"];
        place.assert_holds(&model, &[&kept[..], &["epochs"]].concat());
        let report = audit(&place.location()).unwrap();
        assert!(report.is_clean(), "{}: {}", place.name(), report.render());
        let of_epoch = &report.epochs[0];
        assert_eq!((of_epoch.pruned.rows, of_epoch.pruned.packets), (rows, packets));
        // The first and the last are left; nobody can recount what the first one is about.
        assert_eq!((of_epoch.markers, of_epoch.markers_undecidable), (1, 1), "{}", report.render());
    }
}

#[test]
fn when_no_event_of_a_run_is_left_it_is_forgotten() {
    for place in Place::all() {
        let retention = RetentionParams { days: Some(7), bytes: None };
        let mut store = place.open_keeping(retention).unwrap();
        for (seed, day) in [(11, 0), (12, 20)] {
            let mut stream = Stream::new(seed);
            let now = NOW.plus_nanos(day * DAY_NANOS);
            store.commit(&stream.batch(50), now).unwrap();
            store.commit(&stream.end(50), now).unwrap();
        }
        maintain(store.as_mut(), NOW.plus_nanos(21 * DAY_NANOS));
        for name in ["epochs", "ingest_batches", "accounting", "packet_logs"] {
            let rows = place.rows(table(name));
            let at = table(name).at("epoch");
            let epochs: std::collections::BTreeSet<_> =
                rows.values().map(|row| row[at].as_i64().unwrap()).collect();
            let left = Stream::new(12).epoch.stored();
            assert_eq!(epochs, [left].into(), "{}: {name}", place.name());
        }
        let report = audit(&place.location()).unwrap();
        assert!(report.is_clean() && report.epochs.len() == 1, "{}", report.render());
    }
}

#[test]
fn too_many_bytes_are_brought_down_oldest_first() {
    let place = Place::sqlite();
    let bound = 2_000_000;
    let mut stream = Stream::new(13);
    let mut free = place.open();
    for second in 0..10 {
        free.commit(&stream.batch(1000), NOW.plus_nanos(second * 1_000_000_000)).unwrap();
    }
    drop(free);
    let before = place.file().metadata().unwrap().len();
    assert!(before > bound, "{before} bytes are no test");
    let retention = RetentionParams { days: None, bytes: Some(bound) };
    let mut store = place.open_keeping(retention).unwrap();
    let done = maintain(store.as_mut(), NOW);
    drop(store);
    let after = place.file().metadata().unwrap().len();
    assert!(after <= bound && after > bound / 2, "{after} of {before} bytes, {done:?}");
    let rows = place.rows(table("packet_logs"));
    let numbers: Vec<_> = rows.values().map(|row| row[1].as_u64().unwrap()).collect();
    let kept = u64::try_from(numbers.len()).unwrap();
    assert_eq!(kept + done.pruned_rows, 10_000);
    assert_eq!(done.rows_estimate, kept);
    assert!(numbers.iter().all(|number| *number > done.pruned_rows), "the oldest went first");
    let report = audit(&place.location()).unwrap();
    assert!(report.is_clean(), "{}", report.render());
}

#[test]
fn maintenance_leaves_room_for_the_next_batch() {
    let place = Place::sqlite();
    let mut stream = Stream::new(14);
    let mut store = place.open_keeping(RetentionParams { days: Some(1), bytes: None }).unwrap();
    for _ in 0..20 {
        store.commit(&stream.batch(1000), NOW).unwrap();
    }
    let later = NOW.plus_nanos(3 * DAY_NANOS);
    let (mut calls, mut longest) = (0, std::time::Duration::ZERO);
    loop {
        let begun = std::time::Instant::now();
        let done = store.maintain(later).unwrap();
        longest = longest.max(begun.elapsed());
        calls += 1;
        // A batch gets its turn in between, and stays: it is recorded later.
        store.commit(&stream.batch(1), later).unwrap();
        if !done.unfinished {
            break;
        }
    }
    assert!(calls > 1, "20,000 rows went in one call");
    // The aim is 50 ms; a machine that does other things at the same time is given ten times as much.
    assert!(longest.as_millis() < 500, "{longest:?}");
    assert_eq!(place.rows(table("packet_logs")).len(), calls);
}
