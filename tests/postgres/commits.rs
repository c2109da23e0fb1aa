//! What is committed, and that it is there once.

use phantomnet::event::{Event, MarkerKind};
use phantomnet::store::Committed;

use super::batches::{NOON, batch, epoch, event, events, extremes, marker, with_records};
use super::{assert_derived, migrated, open};

/// Every column of `packet_logs` as text that tells all values apart: floats as bits, moments as microseconds, null as `NULL`.
const EVERY_COLUMN: &str = "SELECT concat_ws('|', number, extract(epoch FROM time) * 1000000, extract(epoch FROM last_time) * 1000000, \
     extract(epoch FROM recorded_at) * 1000000, to_hex(epoch), packet, count, alerts, weight, bytes, detection, length, \
     coalesce(src_port::text, 'NULL'), coalesce(dst_port::text, 'NULL'), vlan, sources, float4send(threat_score), \
     float4send(model_risk), float4send(rule_risk), float4send(intel_risk), coalesce(float4send(anomaly_score)::text, 'NULL'), \
     coalesce(float4send(quantile)::text, 'NULL'), protocol, coalesce(icmp_type::text, 'NULL'), coalesce(icmp_code::text, 'NULL'), \
     verdict, floor, merged, rules_left_out, coalesce(intel_matched::text, 'NULL'), coalesce(in_training_range::text, 'NULL'), \
     coalesce(host(src_ip), 'NULL'), coalesce(host(dst_ip), 'NULL'), \
     coalesce((SELECT string_agg(float4send(f)::text, ',' ORDER BY o) FROM unnest(features) WITH ORDINALITY AS u (f, o)), 'NULL'), \
     rules::text, coalesce(md5(intel_label), 'NULL'), coalesce(md5(decoy), 'NULL'), md5(reason), coalesce(md5(community_id), 'NULL')) \
     FROM packet_logs ORDER BY number";

/// The same of an event, made here.
fn every_column(event: &Event, epoch: &str) -> String {
    let bits = |value: f32| format!("\\x{:08x}", value.to_bits());
    let known = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
    let md5 = |text: &str| md5(text);
    let micros = |t: phantomnet::time::Timestamp| format!("{}.000000", t.as_nanos() / 1000);
    [
        event.number.to_string(),
        micros(event.first),
        micros(event.last),
        micros(NOON),
        epoch.trim_start_matches('0').to_owned(),
        event.packet.to_string(),
        event.count.to_string(),
        event.alerts.to_string(),
        event.weight.to_string(),
        event.bytes.to_string(),
        event.detection.to_string(),
        event.length.to_string(),
        known(event.source_port.map(|p| p.to_string())),
        known(event.destination_port.map(|p| p.to_string())),
        event.vlan.to_string(),
        event.sources.to_string(),
        bits(event.total / 100.0),
        bits(event.model_risk),
        bits(event.rule_risk),
        bits(event.intel_risk),
        known(event.anomaly_score.map(bits)),
        known(event.quantile.map(bits)),
        event.protocol.to_string(),
        known(event.icmp.map(|i| i.0.to_string())),
        known(event.icmp.map(|i| i.1.to_string())),
        (event.level as u8).to_string(),
        (event.floor as u8).to_string(),
        (event.merged as u8).to_string(),
        event.rules_left_out.to_string(),
        known(event.intel.as_ref().map(|i| (i.1 as u8).to_string())),
        known(event.in_training_range.map(|i| i.to_string())),
        known(event.source.map(|a| a.to_string())),
        known(event.destination.map(|a| a.to_string())),
        known(event.features.as_ref().map(|f| f.0.map(bits).join(","))),
        format!("{{{}}}", event.rules.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
        known(event.intel.as_ref().map(|i| md5(&i.0))),
        known(event.decoy.as_deref().map(md5)),
        md5(&event
            .reason
            .replace('\0', "\\u{0}")
            .replace('\u{1b}', "\\u{1b}")
            .replace('\n', "\\u{a}")
            .replace('\t', "\\u{9}")
            .replace('\u{7f}', "\\u{7f}")),
        known(event.community_id.as_deref().map(md5)),
    ]
    .join("|")
}

/// By the program of that name: another implementation than the server's.
fn md5(text: &str) -> String {
    use std::io::Write;
    let mut program = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = program.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..32].to_owned()
}

#[test]
fn every_field_is_kept_to_the_bit() {
    let database = migrated("bits");
    let mut store = open(&database.url()).unwrap();
    let mut written = extremes();
    written.extend(events(10, 5));
    assert_eq!(
        store.commit(&batch(epoch(1), 1, written.clone()), NOON).unwrap(),
        Committed::default()
    );
    written.sort_by_key(|event| event.number);
    let expected: Vec<_> =
        written.iter().map(|event| every_column(event, &epoch(1).to_string())).collect();
    let stored = database.psql(EVERY_COLUMN);
    let stored: Vec<_> = stored.lines().collect();
    for (expected, stored) in expected.iter().zip(&stored) {
        assert_eq!(expected, stored);
    }
    assert_eq!(stored.len(), expected.len());
}

#[test]
fn records_replace_add_up_and_leave_people_their_say() {
    let database = migrated("records");
    let mut store = open(&database.url()).unwrap();
    let first = with_records(batch(epoch(2), 1, events(1, 2)));
    store.commit(&first, NOON).unwrap();
    let session = "SELECT source, tenant, packets, bytes, safe, warning, high, critical, worst, rules, state FROM sessions";
    assert_eq!(database.psql(session), "10.1.2.3|5|20|11|1|2|3|4|1|{4,5}|1");
    let incidents = "SELECT number, subject, side, kind, title, count, events, worst, worst_event, rules, state, note FROM incidents ORDER BY number";
    assert_eq!(
        database.psql(incidents),
        "1|10.1.2.3|0|scan|many ports\\u{0}|12|3|2|2|{9}|0|\n2||1|scan|many ports\\u{0}|12|3|2|2|{9}|0|"
    );
    let profile = "SELECT source, tenant, extract(epoch FROM time - '2026-09-22 12:00:00Z') * 1000, sessions, packets, bytes, safe, warning, high, critical FROM source_profiles";
    assert_eq!(database.psql(profile), "10.1.2.3|5|-1.000000|1|200|2000|20|40|60|80");
    assert_eq!(
        database.psql("SELECT detection, name, sha256, schema, fingerprint, ai_offset, contamination, calibration_rows, rules, intel, decoys FROM models"),
        format!("7|office|{}|1|f00d|-0.5|0.01|1000|40|3|2", "ab".repeat(32))
    );
    assert_eq!(
        database.psql("SELECT number, kind, dequeued, packets, victims, sampled_out, open_packets, open_alerts, events, event_packets, event_alerts, stages FROM accounting"),
        "0|0|1|2|3|4|5|6|7|8|9|[{\"stage\":\"decode\",\"came\":5,\"accounted\":5}]"
    );
    assert_eq!(
        database.psql(
            "SELECT sensor, started_at = '2026-09-22 12:00:00Z', ended_at, state FROM epochs"
        ),
        "north|t||1"
    );
    assert_eq!(
        database.psql(
            "SELECT sensor, batch_no, rows, packets, alerts, quarantined_rows FROM ingest_batches"
        ),
        "north|1|2|4|0|0"
    );

    // Closed, it stays closed until something goes on; acknowledged, it stays acknowledged.
    database.psql("UPDATE incidents SET state = 2, note = 'done'");
    let mut second = with_records(batch(epoch(2), 2, Vec::new()));
    second.incidents[1].events = 4;
    second.markers = vec![marker(1, MarkerKind::Running), marker(2, MarkerKind::End)];
    store.commit(&second, NOON).unwrap();
    assert_eq!(
        database.psql("SELECT state, note FROM incidents ORDER BY number"),
        "2|done\n0|done"
    );
    database.psql("UPDATE incidents SET state = 1");
    let mut third = with_records(batch(epoch(2), 3, Vec::new()));
    third.incidents[0].events = 5;
    store.commit(&third, NOON).unwrap();
    assert_eq!(database.psql("SELECT state, events FROM incidents ORDER BY number"), "1|5\n1|3");
    assert_eq!(database.psql("SELECT sessions, packets FROM source_profiles"), "3|600");
    assert_eq!(database.psql("SELECT ended_at = '2026-09-22 12:00:02Z', state FROM epochs"), "t|2");
}

#[test]
fn a_batch_is_there_once_however_often_and_by_whom_it_is_committed() {
    let database = migrated("once");
    let batches: Vec<_> =
        (1..=20).map(|n| with_records(batch(epoch(3), n, events(n * 10, 10)))).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut store = open(&database.url()).unwrap();
                for batch in &batches {
                    store.commit(batch, NOON).unwrap();
                    assert!(store.commit(batch, NOON).unwrap().already);
                }
            });
        }
    });
    assert_eq!(
        database.psql("SELECT count(*), count(DISTINCT number), sum(count) FROM packet_logs"),
        "200|200|400"
    );
    assert_eq!(database.psql("SELECT count(*), sum(rows) FROM ingest_batches"), "20|200");
    assert_eq!(database.psql("SELECT sessions, packets FROM source_profiles"), "20|4000");
    assert_derived(&database);
}

#[test]
fn a_refused_row_goes_into_quarantine_and_takes_no_other_with_it() {
    let database = migrated("quarantine");
    database.psql("ALTER TABLE packet_logs ADD CONSTRAINT odd CHECK (number % 100 <> 7)");
    let mut store = open(&database.url()).unwrap();
    let mut written = events(1, 1000);
    // One that can't even be written, and one that comes twice.
    written[499].count = u64::MAX;
    written[500].alerts = 3;
    // Nor this: no sum can be made of it. And one that names a rule twice is nothing odd.
    written[501].total = f32::NAN;
    written[502].rules = vec![5, 5];
    written[601] = written[600].clone();
    let all = with_records(batch(epoch(4), 1, written.clone()));
    let committed = store.commit(&all, NOON).unwrap();
    assert_eq!(committed.quarantined_rows, 13);
    assert_eq!(committed.quarantined_packets, u64::MAX);
    assert_eq!(database.psql("SELECT count(*), sum(count) FROM packet_logs"), "987|1974");
    assert_eq!(
        database.psql("SELECT count(*) FILTER (WHERE number % 100 = 7), count(*) FILTER (WHERE reason LIKE '%\"odd\"%'), count(*) FILTER (WHERE number = 500 AND reason LIKE 'count is 18446744073709551615%'), count(*) FILTER (WHERE number = 601 AND reason LIKE 'duplicate key%'), count(*) FILTER (WHERE number = 502 AND reason LIKE 'threat_score is NaN%') FROM quarantine"),
        "10|10|1|1|1"
    );
    let kept = database.psql("SELECT event FROM quarantine WHERE number = 107");
    assert_eq!(serde_json::from_str::<Event>(&kept).unwrap(), event(107));
    assert_eq!(database.psql("SELECT rows, quarantined_rows FROM ingest_batches"), "1000|13");
    assert_eq!(database.psql("SELECT count(*) FROM sessions"), "1", "records come with it");
    // Whoever asks again is told the same.
    let again = store.commit(&all, NOON).unwrap();
    assert!(again.already);
    assert_eq!(again.quarantined_rows, 13);
    assert_derived(&database);
    // And the connection goes on as if nothing had been.
    assert_eq!(
        store.commit(&batch(epoch(4), 2, events(2001, 5)), NOON).unwrap(),
        Committed::default()
    );
}

#[test]
fn batches_that_wait_go_into_one_transaction_unless_one_is_odd() {
    let database = migrated("several");
    database.psql("ALTER TABLE packet_logs ADD CONSTRAINT odd CHECK (number <> 25)");
    let mut store = open(&database.url()).unwrap();
    let batches: Vec<_> = (1..=4)
        .map(|number| with_records(batch(epoch(6), number, events(number * 10, 10))))
        .collect();
    let all: Vec<_> = batches.iter().collect();
    // The second has an odd row: the first is committed alone, then it, then the rest together.
    assert_eq!(store.commit_some(&all, NOON).unwrap(), [Committed::default()]);
    assert_eq!(database.psql("SELECT count(*) FROM packet_logs"), "10");
    let second = store.commit_some(&all[1..], NOON).unwrap();
    assert_eq!((second.len(), second[0].quarantined_rows), (1, 1));
    assert_eq!(store.commit_some(&all[2..], NOON).unwrap(), [Committed::default(); 2]);
    assert_eq!(database.psql("SELECT count(DISTINCT xmin::text) FROM ingest_batches"), "3");
    // Tried again, since the answer was lost: none is there twice, and what is new is not kept out.
    let fifth = batch(epoch(6), 5, events(50, 10));
    let again = [all[2], all[3], &fifth];
    let mut told = Vec::new();
    while told.len() < again.len() {
        told.extend(store.commit_some(&again[told.len()..], NOON).unwrap());
    }
    assert_eq!(told.iter().map(|one| one.already).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(
        database.psql("SELECT count(*), count(DISTINCT number), (SELECT count(*) FROM ingest_batches) FROM packet_logs"),
        "49|49|5"
    );
    assert_derived(&database);
}

#[test]
fn an_empty_batch_has_its_ledger_row() {
    let database = migrated("empty");
    let mut store = open(&database.url()).unwrap();
    store.commit(&batch(epoch(5), 1, Vec::new()), NOON).unwrap();
    assert_eq!(database.psql("SELECT batch_no, rows FROM ingest_batches"), "1|0");
}
