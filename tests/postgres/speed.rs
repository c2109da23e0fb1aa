//! How much a batch costs beside the rows in it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use phantomnet::store::{self, RetentionParams};

use super::batches::{NOON, batch, epoch, events};
use super::{location, migrated};

const ROWS: u64 = 10_000;
const BATCHES: u64 = 10;
const ROUNDS: usize = 3;

/// Prints rows per second of `commit`, and of the same rows copied into the same tables by psql in binary, with nothing around them.
#[test]
#[ignore = "a measurement: cargo test --test main commits_beside_a_bare_copy -- --ignored --nocapture"]
fn commits_beside_a_bare_copy() {
    measure("events without rules", &[]);
    measure("events of two rules each", &[1_000_001, 1_000_002]);
}

fn measure(what: &str, rules: &[u32]) {
    let database = migrated("speed");
    let place = location(&database.url());
    let mut store = store::open(&place, RetentionParams { days: None, bytes: None }).unwrap();
    store.maintain(NOON).unwrap();
    let batches: Vec<_> = (0..BATCHES)
        .map(|number| {
            let mut events = events(number * ROWS + 1, ROWS);
            events.iter_mut().for_each(|event| event.rules = rules.to_vec());
            batch(epoch(1), number + 1, events)
        })
        .collect();
    // The files of rows as COPY itself writes them, from a first run.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let mut script = String::new();
    for batch in &batches {
        store.commit(batch, NOON).unwrap();
        let (first, last) = (batch.events[0].number, batch.events[0].number + ROWS);
        for table in ["packet_logs", "event_rules"] {
            let file = folder.path().join(format!("{table}{}", batch.number));
            let file = file.display();
            database.psql(&format!(
                "\\copy (SELECT * FROM {table} WHERE number >= {first} AND number < {last}) TO '{file}' (FORMAT binary)"
            ));
            writeln!(script, "\\copy {table} FROM '{file}' (FORMAT binary)").unwrap();
        }
    }
    let (mut commits, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let empty =
            "TRUNCATE packet_logs, event_rules, event_minutes, event_hours, epochs, ingest_batches";
        database.psql(empty);
        let began = Instant::now();
        for batch in &batches {
            assert!(!store.commit(batch, NOON).unwrap().already);
        }
        commits.push(began.elapsed());
        database.psql(empty);
        let began = Instant::now();
        database.cluster.psql_script(&database.name, &script);
        copies.push(began.elapsed());
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        (ROWS * BATCHES) as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (commit, copy) = (rate(&mut commits), rate(&mut copies));
    println!(
        "{what}: commit {commit:.0} rows/s, bare COPY {copy:.0} rows/s, {:.0} %",
        commit / copy * 100.0
    );
}
