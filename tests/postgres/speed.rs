//! How much a batch costs beside the rows in it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use phantomnet::store::{self, RetentionParams};

use super::batches::{NOON, batch, epoch, events};
use super::{location, migrated};

/// Prints rows per second of `commit`, and of the same rows copied into the same table by psql in binary, with nothing around them.
#[test]
#[ignore = "a measurement: cargo test --test main commits_beside_a_bare_copy -- --ignored --nocapture"]
fn commits_beside_a_bare_copy() {
    const ROWS: u64 = 10_000;
    const BATCHES: u64 = 20;
    let database = migrated("speed");
    let mut store =
        store::open(&location(&database.url()), RetentionParams { days: None, bytes: None })
            .unwrap();
    store.maintain(NOON).unwrap();
    let batches: Vec<_> =
        (0..BATCHES).map(|n| batch(epoch(1), n + 1, events(n * ROWS + 1, ROWS))).collect();
    // The files of rows as COPY itself writes them, from a first run.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let mut files = Vec::new();
    for batch in &batches {
        store.commit(batch, NOON).unwrap();
        let file = folder.path().join(format!("{}", batch.number));
        let (first, last) = (batch.events[0].number, batch.events[0].number + ROWS);
        database.psql(&format!(
            "\\copy (SELECT * FROM packet_logs WHERE number >= {first} AND number < {last}) TO '{}' (FORMAT binary)",
            file.display()
        ));
        files.push(file);
    }
    let mut report = String::new();
    let (mut commits, mut copies) = (Vec::new(), Vec::new());
    for round in 0..5 {
        database.psql("TRUNCATE packet_logs, event_rules, event_minutes, epochs, ingest_batches");
        let began = Instant::now();
        for batch in &batches {
            assert!(!store.commit(batch, NOON).unwrap().already);
        }
        commits.push(began.elapsed());
        database.psql("TRUNCATE packet_logs, event_rules, event_minutes, epochs, ingest_batches");
        let commands: Vec<_> = files
            .iter()
            .map(|file| format!("\\copy packet_logs FROM '{}' (FORMAT binary)", file.display()))
            .collect();
        let began = Instant::now();
        database.cluster.psql_script(&database.name, &commands.join("\n"));
        copies.push(began.elapsed());
        writeln!(
            report,
            "round {round}: commit {:?}, bare COPY {:?}",
            commits[round], copies[round]
        )
        .unwrap();
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        (ROWS * BATCHES) as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (commit, copy) = (rate(&mut commits), rate(&mut copies));
    println!(
        "{report}commit {commit:.0} rows/s, bare COPY {copy:.0} rows/s, {:.0} %",
        commit / copy * 100.0
    );
}
