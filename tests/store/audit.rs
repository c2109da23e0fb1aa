//! An audit of what was committed is clean, and nothing that is done to a store escapes it.

use std::process::{Command, Stdio};

use phantomnet::event::{Batch, Leftover};
use phantomnet::store::{AuditReport, EpochAudit, audit};
use proptest::prelude::*;

use super::{NOW, epoch, for_any_stream, refuse};
use crate::batches::Stream;
use crate::places::Place;

fn audited(place: &Place) -> AuditReport {
    audit(&place.location()).expect("it can be read")
}

fn only(report: AuditReport) -> EpochAudit {
    assert_eq!(report.epochs.len(), 1, "{}", report.render());
    report.epochs.into_iter().next().unwrap()
}

fn commit(place: &Place, batches: &[Batch]) {
    let mut store = place.open();
    for batch in batches {
        store.commit(batch, NOW).expect("the store is there");
    }
}

/// Commits an epoch, does something to it behind the program's back, and audits.
fn after(tampering: &str) -> Vec<EpochAudit> {
    Place::all()
        .iter()
        .map(|place| {
            commit(place, &epoch(1));
            place.tamper(tampering);
            let report = audited(place);
            assert!(!report.is_clean(), "{}: {tampering}: {}", place.name(), report.render());
            assert!(report.render().contains("DIFFERS"), "{}", report.render());
            only(report)
        })
        .collect()
}

#[track_caller]
fn says(found: &EpochAudit, words: &str) {
    assert!(
        found.differences.iter().any(|one| one.contains(words)),
        "{words}: {:#?}",
        found.differences
    );
}

#[test]
fn whatever_batches_come_the_audit_is_clean() {
    for place in Place::all() {
        for_any_stream(&place, |place, batches| {
            commit(place, batches);
            let report = audited(place);
            prop_assert!(report.is_clean(), "{}: {}", place.name(), report.render());
            let found = only(report);
            prop_assert!(found.ended && found.lost == 0 && found.markers_undecidable == 0);
            let events = || batches.iter().flat_map(|batch| &batch.events);
            prop_assert_eq!(found.stored.packets, events().map(|event| event.count).sum::<u64>());
            let markers: usize = batches.iter().map(|batch| batch.markers.len()).sum();
            prop_assert_eq!(found.markers, u64::try_from(markers).unwrap());
            Ok(())
        });
    }
}

#[test]
fn whatever_batches_are_refused_the_loss_is_stated_and_nothing_differs() {
    for place in Place::all() {
        for_any_stream(&place, |place, batches| {
            let kept = refuse(batches, |batch| (batch.number * 2_654_435_761) >> 7 & 3 > 0);
            commit(place, &kept);
            let report = audited(place);
            prop_assert!(report.is_clean(), "{}: {}", place.name(), report.render());
            let found = only(report);
            let sum = |batches: &[Batch]| {
                batches.iter().map(|batch| batch.packets() + batch.alerts()).sum::<u64>()
            };
            prop_assert_eq!(found.lost, sum(batches) - sum(&kept));
            prop_assert_eq!(found.refused.packets + found.refused.alerts, found.lost);
            prop_assert!(found.ended);
            Ok(())
        });
    }
}

#[test]
fn a_batch_that_is_missing_and_was_not_refused_is_found() {
    for place in Place::all() {
        let batches = epoch(1);
        assert!(batches.len() > 2, "one may be refused, one goes missing, one is left");
        let mut kept = refuse(&batches, |batch| batch.number == 1);
        kept.remove(0);
        commit(&place, &kept);
        let found = only(audited(&place));
        assert!(!found.is_clean(), "{}", place.name());
        says(&found, "missing");
    }
}

#[test]
fn rows_in_quarantine_are_accounted_for() {
    for place in Place::all() {
        let mut batches = epoch(1);
        batches[0].events[3].bytes = u64::MAX;
        batches[1].events[0].bytes = u64::MAX;
        commit(&place, &batches);
        let report = audited(&place);
        assert!(report.is_clean(), "{}: {}", place.name(), report.render());
        assert_eq!(only(report).quarantined.rows, 2);
    }
}

#[test]
fn an_empty_store_has_nothing_to_say() {
    for place in Place::all() {
        drop(place.open());
        assert_eq!(audited(&place), AuditReport::default(), "{}", place.name());
    }
}

#[test]
fn a_deleted_row_is_found() {
    for found in after("DELETE FROM packet_logs WHERE number = 250") {
        says(&found, "nowhere");
        says(&found, "rows up to marker 1");
        assert_eq!(found.doubled, 0);
    }
}

#[test]
fn a_doubled_row_is_found() {
    let columns = "last_time, recorded_at, epoch, number, packet, count, alerts, weight, bytes, detection, length, vlan, sources, \
         threat_score, model_risk, rule_risk, intel_risk, protocol, verdict, floor, merged, rules_left_out, rules, reason";
    let doubling = format!(
        "INSERT INTO packet_logs (time, {columns}) SELECT last_time, {columns} FROM packet_logs WHERE number = 250"
    );
    for found in after(&doubling) {
        assert_eq!(found.doubled, 1);
        says(&found, "more than once");
    }
}

#[test]
fn a_changed_count_is_found() {
    for found in after("UPDATE packet_logs SET count = count + 1 WHERE number = 250") {
        says(&found, "packets: rows up to marker 1");
        says(&found, "packets: rows, quarantine and pruned together");
    }
    for found in after("UPDATE packet_logs SET alerts = alerts + 1 WHERE number = 250") {
        says(&found, "alerts: rows up to marker 1");
    }
    // A count that moves from one row to another leaves every sum of the epoch as it is, but not those up to a marker.
    for found in after(
        "UPDATE packet_logs SET count = count + 1 WHERE number = 50; UPDATE packet_logs SET count = count - 1 WHERE number = 250",
    ) {
        says(&found, "rows up to marker 0");
        assert!(!found.differences.iter().any(|one| one.contains("together")));
    }
}

#[test]
fn a_missing_batch_is_found() {
    // With all that it brought, as if it had never been there.
    let gone = "DELETE FROM packet_logs WHERE number > 100 AND number <= 400; DELETE FROM ingest_batches WHERE batch_no = 2; \
         DELETE FROM accounting WHERE number = 1";
    for found in after(gone) {
        says(&found, "3 of 4 are in the ledger");
        says(&found, "300 of 1 to 450 are nowhere");
        says(&found, "1 is missing");
    }
    // Alone.
    for found in after("DELETE FROM ingest_batches WHERE batch_no = 3") {
        says(&found, "3 of 4 are in the ledger");
    }
}

#[test]
fn a_missing_end_is_found() {
    for found in after("DELETE FROM accounting WHERE kind = 2") {
        assert!(!found.ended);
        says(&found, "end: epochs says that it has ended in order");
    }
}

#[test]
fn a_changed_marker_is_found() {
    for found in after("UPDATE accounting SET event_packets = event_packets - 1 WHERE number = 2") {
        says(&found, "marker 2: 1 verdicts unaccounted for");
        says(&found, "packets: rows up to marker 2");
    }
    for found in after(
        "UPDATE accounting SET stages = replace(stages, '7', '8') WHERE kind = 2 AND number = 3; \
         UPDATE accounting SET stages = replace(stages, '\"accounted\":8', '\"accounted\":9') WHERE kind = 2",
    ) {
        says(&found, "stage judge: 8 came, 9 are accounted for");
    }
}

#[test]
fn changed_sums_are_found() {
    for (tampering, words) in [
        ("UPDATE event_minutes SET packets = packets + 1", "the sums by minute"),
        ("UPDATE event_hours SET packets = packets + 1", "the sums by hour"),
        ("UPDATE event_hours SET verdict = verdict + 4", "have not the events of their minutes"),
        ("UPDATE epochs SET rows = rows + 1", "rows: epochs"),
        (
            "UPDATE ingest_batches SET packets = packets + 1 WHERE batch_no = 1",
            "packets: rows, quarantine",
        ),
        ("DELETE FROM epochs", "it has no row there"),
    ] {
        for found in after(tampering) {
            says(&found, words);
        }
    }
}

#[test]
fn what_a_dead_epoch_has_lost_is_stated() {
    for place in Place::all() {
        let mut stream = Stream::new(2);
        let mut batches = vec![stream.batch(100), stream.batch(100)];
        // 7 packets lay in an event that was still open, and 3 verdicts about a victim.
        let totals = &mut batches[1].markers[0].totals;
        (totals.open_packets, totals.open_alerts) = (7, 3);
        totals.packets += 7;
        totals.victims += 3;
        totals.dequeued += 10;
        commit(&place, &batches);
        let report = audited(&place);
        // As far as the store knows, they may still come.
        assert!(report.is_clean() && report.lost() == 0, "{}", report.render());
        assert_eq!(report.epochs[0].open, 10);
        assert!(report.render().contains("10 in events that were not stored yet; lost if it died"));
        assert!(report.render().contains("what was judged after the last marker is unknown"));
        // A later start knows of 40 packets more.
        let mut totals = batches[1].markers[0].totals;
        totals.packets += 40;
        totals.dequeued += 40;
        totals.open_packets += 40;
        let mut later = Stream::new(3).batch(0);
        later.leftovers = vec![Leftover { epoch: batches[1].epoch, at: NOW, totals }];
        commit(&place, &[later]);
        let report = audited(&place);
        assert!(report.is_clean() && report.lost() == 50, "{}", report.render());
        assert!(report.render().contains("as far as the later start could find out"));
        let of_epoch = &report.epochs[0];
        assert!(of_epoch.crashed && !of_epoch.ended && of_epoch.open == 0);
        let json = serde_json::to_value(of_epoch).unwrap();
        assert_eq!(json["lost"], 50);
        assert_eq!(json["epoch"], of_epoch.epoch.to_string());
        assert_eq!(json["stored"]["rows"], 200);
    }
}

/// Set in a child of this program that commits until it is killed; its value is where.
const CHILD: &str = "PHANTOMNET_TEST_COMMITS";

#[test]
fn a_writer_that_is_killed_in_mid_commit_leaves_whole_batches_and_no_doubles() {
    if let Ok(location) = std::env::var(CHILD) {
        commit_for_ever(&location);
    }
    for (place, url) in Place::all_with_urls() {
        drop(place.open());
        for round in 0_u64..6 {
            let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
                .args(["--exact", "--nocapture"])
                .arg("store::audit::a_writer_that_is_killed_in_mid_commit_leaves_whole_batches_and_no_doubles")
                .env(CHILD, &url)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("this program can be started");
            std::thread::sleep(std::time::Duration::from_millis(700 + 83 * round));
            child.kill().expect("it runs until it is killed");
            child.wait().expect("it is dead");
            let report = audited(&place);
            assert!(
                report.is_clean() && report.lost() == 0,
                "{}: {}",
                place.name(),
                report.render()
            );
        }
        let found = only(audited(&place));
        assert!(found.batches > 6, "{}: only {} batches", place.name(), found.batches);
        assert_eq!(found.stored.rows, (found.batches - 1) * KILLED_ROWS, "{}", place.name());
    }
}

/// Rows of each batch of the child.
const KILLED_ROWS: u64 = 500;

/// Commits the same epoch from its beginning, again and again: after a kill most of it is there already.
fn commit_for_ever(location: &str) -> ! {
    let location = location.parse().expect("the parent names a store");
    let retention = phantomnet::store::RetentionParams { days: None, bytes: None };
    let mut store = phantomnet::store::open(&location, retention).expect("it is there");
    let mut stream = Stream::new(77);
    store.commit(&stream.batch(0), NOW).expect("it is there");
    loop {
        let batch = stream.batch(usize::try_from(KILLED_ROWS).expect("few"));
        while store.commit(&batch, NOW).is_err() {}
    }
}
