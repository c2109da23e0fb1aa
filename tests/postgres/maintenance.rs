//! Partitions and retention, against a plain count.

use phantomnet::event::{Event, MarkerKind};
use phantomnet::store::{self, Maintained, RetentionParams, Store};
use phantomnet::time::Timestamp;

use super::batches::{NOON, batch, epoch, event, events, marker, with_records};
use super::{assert_derived, location, migrated};
use crate::cluster::Database;

const DAY: i64 = 86_400_000_000_000;

fn keeping(database: &Database<'_>, days: Option<u32>, bytes: Option<u64>) -> Box<dyn Store> {
    store::open(&location(&database.url()), RetentionParams { days, bytes }).unwrap()
}

fn at(days: i64, mut event: Event) -> Event {
    event.first = event.first.plus_nanos(days * DAY);
    event.last = event.last.plus_nanos(days * DAY);
    event
}

const LIES_IN: &str = "SELECT tableoid::regclass, count(*) FROM packet_logs GROUP BY tableoid ORDER BY tableoid::regclass::text";

fn add(sum: &mut Maintained, done: Maintained) {
    sum.pruned_rows += done.pruned_rows;
    sum.pruned_packets += done.pruned_packets;
}

/// Rows in the store and rows pruned, with the sums of both.
fn all_rows(database: &Database<'_>) -> String {
    database.psql(
        "SELECT (SELECT count(*) FROM packet_logs) + (SELECT coalesce(sum(rows), 0) FROM pruned), \
         (SELECT coalesce(sum(count), 0) FROM packet_logs) + (SELECT coalesce(sum(packets), 0) FROM pruned), \
         (SELECT coalesce(sum(alerts), 0) FROM packet_logs) + (SELECT coalesce(sum(alerts), 0) FROM pruned)",
    )
}

#[test]
fn every_day_has_its_partition_before_it_comes() {
    let database = migrated("days");
    let mut store = keeping(&database, None, None);
    // Before there is any partition, rows of today and of long ago lie in the default one.
    let mut early = events(1, 10);
    early.extend((11..15).map(|number| at(-400, event(number))));
    store.commit(&batch(epoch(1), 1, early), NOON).unwrap();
    assert_eq!(database.psql(LIES_IN), "packet_logs_default|14");
    let first = store.maintain(NOON).unwrap();
    assert_eq!(first.partitions_made, 5);
    assert_eq!(store.maintain(NOON).unwrap().partitions_made, 0);
    let later = (15..25).map(|n| at(i64::try_from(n).unwrap() % 5 - 1, event(n))).collect();
    store.commit(&batch(epoch(1), 2, later), NOON).unwrap();
    assert_eq!(
        database.psql(LIES_IN),
        "packet_logs_default|4\npacket_logs_y2026m09d21|2\npacket_logs_y2026m09d22|12\npacket_logs_y2026m09d23|2\n\
         packet_logs_y2026m09d24|2\npacket_logs_y2026m09d25|2"
    );
    assert_eq!(store.maintain(NOON.plus_nanos(DAY)).unwrap().partitions_made, 1);
    assert_eq!(database.psql("SELECT count(*), sum(count) FROM packet_logs"), "24|48");
    assert_derived(&database);
    assert_eq!(
        database.psql("SELECT tableoid::regclass, count(*) FROM event_rules GROUP BY tableoid ORDER BY tableoid::regclass::text LIMIT 2"),
        "event_rules_default|8\nevent_rules_y2026m09d21|4"
    );
    // Every index of the table is there in each partition.
    assert_eq!(
        database.psql("SELECT DISTINCT count(*) FROM pg_indexes WHERE tablename LIKE 'packet_logs_y%' GROUP BY tablename"),
        "6"
    );
}

#[test]
fn two_sensors_make_each_partition_once() {
    let database = migrated("together");
    let made: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            let mut store = keeping(&database, None, None);
            // One that finds the other at work says so, and finds it done the next time.
            (0..20)
                .filter_map(|_| store.maintain(NOON).ok())
                .map(|m| m.partitions_made)
                .sum::<u64>()
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().sum::<u64>(), 5, "{made:?}");
}

#[test]
fn what_is_too_old_is_removed_and_counted() {
    let database = migrated("retention");
    let mut store = keeping(&database, Some(7), None);
    // A run that is long over, one that goes on, and captures of last year that were recorded by both.
    let (mut number, mut removed) = (0, Maintained::default());
    for day in 0..12 {
        let now = NOON.plus_nanos(day * DAY);
        add(&mut removed, store.maintain(now).unwrap());
        for run in [1, 2] {
            if run == 1 && day > 1 {
                continue;
            }
            number += 1;
            let from = number * 10;
            let mut today: Vec<_> =
                events(from, 4).into_iter().map(|event| at(day, event)).collect();
            today.push(at(-400, event(from + 4)));
            today[0].alerts = 3;
            let mut batch = with_records(batch(epoch(run), number, today));
            batch.markers = vec![marker(number, MarkerKind::Running)];
            store.commit(&batch, now).unwrap();
        }
    }
    database.psql("INSERT INTO labels VALUES (1, 1, 'benign', NULL, '2026-09-22'), (1, 2, 'benign', NULL, '2026-10-04')");
    let last = NOON.plus_nanos(11 * DAY + DAY / 4);
    add(&mut removed, store.maintain(last).unwrap());

    // Day d was recorded at noon of day d, and is too old at 18:00 of day d + 7: of days 0 to 11, days 0 to 4 are.
    // Those of the default partition go with the hour, those of a day when all of that day is too old: day 4 stays whole.
    // Of the 60 rows of run 2 each is there or counted; run 1, of which nothing is left, is forgotten with its counts.
    assert_eq!(all_rows(&database), "60|120|36");
    assert_eq!((removed.pruned_rows, removed.pruned_packets), (70 - 39, 140 - 78));
    assert_eq!(
        database.psql("SELECT min(time)::date FROM packet_logs WHERE time > '2026-01-01'"),
        "2026-09-26"
    );
    assert_eq!(database.psql("SELECT count(*) FROM packet_logs_default"), "7");
    assert_eq!(database.psql("SELECT count(*) FROM packet_logs"), (8 * 4 + 7).to_string());
    assert_derived(&database);
    // The counts are by run: run 1 is gone with its ledger, run 2 has both.
    assert_eq!(database.psql("SELECT count(*) FROM sessions"), "1");
    assert_eq!(database.psql("SELECT epoch, number FROM labels"), "1|2");
    let second = epoch(2).stored();
    assert_eq!(database.psql("SELECT epoch FROM epochs"), second.to_string());
    assert_eq!(database.psql("SELECT DISTINCT epoch FROM ledger"), second.to_string());
    assert_eq!(database.psql("SELECT DISTINCT epoch FROM accounting"), second.to_string());
    assert_eq!(
        database.psql("SELECT (SELECT sum(rows) FROM ledger) - (SELECT count(*) FROM packet_logs) - (SELECT sum(rows) FROM pruned)"),
        "0"
    );
}

#[test]
fn a_run_of_which_an_event_is_left_keeps_its_ledger() {
    let database = migrated("ledger");
    let mut store = keeping(&database, Some(1), None);
    store.maintain(NOON).unwrap();
    store.commit(&batch(epoch(1), 1, events(1, 5)), NOON).unwrap();
    // The last event came late, from a spool.
    let late = NOON.plus_nanos(5 * DAY);
    store.commit(&batch(epoch(1), 2, events(6, 1)), late).unwrap();
    let gone = store.maintain(late.plus_nanos(DAY / 2)).unwrap();
    assert_eq!(gone.pruned_rows, 0, "the partition of that day holds a row that is not too old");
    assert_eq!(database.psql("SELECT sum(batches) FROM ledger"), "2");
    let gone = store.maintain(late.plus_nanos(2 * DAY)).unwrap();
    assert_eq!((gone.pruned_rows, gone.pruned_packets), (6, 12));
    assert_eq!(database.psql("SELECT count(*) FROM ledger"), "0");
    assert_eq!(database.psql("SELECT count(*) FROM pruned"), "0");
}

#[test]
fn a_store_that_takes_too_much_loses_its_oldest_first() {
    let database = migrated("bytes");
    let mut generous = keeping(&database, None, None);
    for day in 0..4 {
        let now = NOON.plus_nanos(day * DAY);
        generous.maintain(now).unwrap();
        let from = u64::try_from(day).unwrap() * 2000;
        let today = events(from, 2000).into_iter().map(|event| at(day, event)).collect();
        generous.commit(&batch(epoch(1), from + 1, today), now).unwrap();
    }
    let now: Timestamp = NOON.plus_nanos(3 * DAY);
    let taken = generous.maintain(now).unwrap();
    assert!(taken.bytes > 4_000_000 && taken.bytes < 16_000_000, "{taken:?}");
    assert_eq!(taken.rows_estimate, 8000);
    let limit = taken.bytes / 2;
    let mut store = keeping(&database, None, Some(limit));
    let pruned = store.maintain(now).unwrap();
    assert!(pruned.bytes <= limit, "{pruned:?}");
    assert!(pruned.pruned_rows >= 2000 && pruned.pruned_rows.is_multiple_of(2000), "{pruned:?}");
    assert_eq!(all_rows(&database), "8000|16000|0");
    let oldest = "SELECT min(number) FROM packet_logs";
    assert_eq!(database.psql(oldest), pruned.pruned_rows.to_string());
    assert_eq!(store.maintain(now).unwrap().pruned_rows, 0);

    // Only today is left, and still it is too much: its own oldest rows go, no more than is needed, and not again and again.
    let of_today = database.psql(
        "SELECT pg_total_relation_size('packet_logs_y2026m09d25') + pg_total_relation_size('event_rules_y2026m09d25')",
    );
    drop(store);
    let others = generous.maintain(now).unwrap().bytes - of_today.parse::<u64>().unwrap();
    // Room for some hundreds of rows.
    let limit = others + 500_000;
    let mut store = keeping(&database, None, Some(limit));
    let first = store.maintain(now).unwrap();
    assert!(first.bytes <= limit && !first.unfinished, "{first:?}");
    assert_eq!(store.maintain(now).unwrap().pruned_rows, 0);
    let left: u64 = database.psql("SELECT count(*) FROM packet_logs").parse().unwrap();
    assert!(left > 300 && left < 2000, "{left} rows left, {first:?}");
    assert_eq!(first.rows_estimate, left);
    assert_eq!(all_rows(&database), "8000|16000|0");
    let newest = database.psql("SELECT max(number) FROM packet_logs");
    assert_eq!(newest, "7999");
    assert_derived(&database);
}
