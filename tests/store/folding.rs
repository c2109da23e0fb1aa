//! What proves a run complete does not grow for ever, and goes on proving it.

use phantomnet::store::{RetentionParams, audit};

use super::NOW;
use crate::batches::Stream;
use crate::places::{Place, table};

const DAY_NANOS: i64 = 24 * 3600 * 1_000_000_000;

#[test]
fn the_ledger_of_old_days_is_added_up_and_still_knows_every_batch() {
    for place in Place::all() {
        let mut store = place.open_keeping(RetentionParams { days: None, bytes: None }).unwrap();
        let mut stream = Stream::new(21);
        let batches: Vec<_> = (0..150).map(|_| stream.batch(4)).collect();
        // Thirty on each of five days.
        for (batch, nth) in batches.iter().zip(0_i64..) {
            store.commit(batch, NOW.plus_nanos(nth / 30 * DAY_NANOS)).unwrap();
        }
        let now = NOW.plus_nanos(4 * DAY_NANOS + DAY_NANOS / 2);
        let before = audit(&place.location()).unwrap();
        assert!(before.is_clean(), "{}: {}", place.name(), before.render());
        while store.maintain(now).unwrap().unfinished {}

        assert_eq!(place.rows(table("ingest_batches")).len(), 30, "{}", place.name());
        // The first, the last, and one in sixty.
        assert_eq!(place.rows(table("accounting")).len(), 4, "{}", place.name());
        let after = audit(&place.location()).unwrap();
        assert!(after.is_clean(), "{}: {}", place.name(), after.render());
        let (was, is) = (&before.epochs[0], &after.epochs[0]);
        assert_eq!((was.batches, was.committed, was.stored), (is.batches, is.committed, is.stored));
        assert_eq!((was.last, was.markers - 146), (is.last, is.markers));

        // One that comes again is known, folded or not; the next is new.
        for batch in [&batches[0], &batches[119], &batches[120], &batches[149]] {
            assert!(store.commit(batch, now).unwrap().already, "{}", place.name());
        }
        assert!(!store.commit(&stream.end(4), now).unwrap().already);
        while store.maintain(now.plus_nanos(DAY_NANOS / 4)).unwrap().unfinished {}
        let ended = audit(&place.location()).unwrap();
        assert!(ended.is_clean() && ended.epochs[0].ended, "{}", ended.render());
        assert_eq!((ended.epochs[0].batches, ended.epochs[0].stored.rows), (151, 604));
    }
}

#[test]
fn a_batch_that_is_missing_among_folded_ones_is_found() {
    for place in Place::all() {
        let mut store = place.open_keeping(RetentionParams { days: None, bytes: None }).unwrap();
        let mut stream = Stream::new(22);
        for number in 0..40 {
            let batch = stream.batch(2);
            if number != 7 {
                store.commit(&batch, NOW).unwrap();
            }
        }
        while store.maintain(NOW.plus_nanos(3 * DAY_NANOS)).unwrap().unfinished {}
        assert_eq!(place.rows(table("ingest_batches")).len(), 1, "{}", place.name());
        let report = audit(&place.location()).unwrap();
        let said = report.epochs[0].differences.join("\n");
        assert!(said.contains("1 missing"), "{}: {said}", place.name());
        assert!(said.contains("is missing, 39 comes next"), "{}: {said}", place.name());
    }
}
