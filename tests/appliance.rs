//! The whole appliance: captures in, rows of a real store out, and the sums that prove that nothing is missing.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phantomnet::store::query::{EventFilter, PageKey, Queries, StoredEvent};
use phantomnet::store::{self, Location};
use phantomnet::time::Timestamp;

use crate::cluster::Cluster;
use crate::support;

/// Every event of a store, newest first.
fn events_of(url: &str) -> Vec<StoredEvent> {
    let location: Location = url.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let queries = Queries::open(&location, 1).unwrap();
        let (mut events, mut after): (Vec<StoredEvent>, Option<PageKey>) = (Vec::new(), None);
        loop {
            let page = queries.events(&EventFilter::default(), after, 1_000).await.unwrap();
            events.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return events;
            }
        }
    })
}

/// What has to be equal in any store and any run: everything but the run itself.
fn in_order(url: &str) -> Vec<phantomnet::event::Event> {
    let mut events: Vec<_> = events_of(url).into_iter().map(|stored| stored.event).collect();
    events.sort_by_key(|event| event.number);
    events
}

fn migrated(url: &str) -> &str {
    support::run_well(support::sensor().args(["migrate", "--store", url]));
    url
}

/// Replays into a store; returns the summary.
fn replay(url: &str, captures: &[PathBuf], more: &[&str]) -> serde_json::Value {
    let output = support::run(
        support::sensor()
            .args(["replay", "--summary", "json", "--store", url])
            .args(more)
            .args(captures),
    );
    assert!(output.status.code() < Some(2), "{}", support::stderr(&output));
    support::summary(&output)
}

fn audit(url: &str) -> serde_json::Value {
    let output =
        support::run_well(support::sensor().args(["audit", "--form", "json", "--store", url]));
    support::summary(&output)
}

fn sqlite_url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("events.db").display())
}

fn count(rows: &serde_json::Value, key: &str) -> u64 {
    rows[key].as_u64().unwrap_or_else(|| panic!("{key} of {rows}"))
}

/// Both stores hold the same events, each packet in exactly one of them, and the audit says so.
fn stores_agree(captures: &[PathBuf]) {
    let cluster = Cluster::shared();
    let database = cluster.database("agree");
    let folder = support::folder();
    let (postgres, sqlite) = (database.url(), sqlite_url(folder.path()));
    migrated(&postgres);
    let first = replay(&postgres, captures, &["--workers", "1"]);
    let second = replay(&sqlite, captures, &["--workers", "2"]);
    let judged = |summary: &serde_json::Value| -> u64 {
        summary["verdicts"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum()
    };
    assert_eq!(judged(&first), judged(&second));
    let (in_postgres, in_sqlite) = (in_order(&postgres), in_order(&sqlite));
    assert_eq!(in_postgres.len(), in_sqlite.len());
    for (one, other) in in_postgres.iter().zip(&in_sqlite) {
        assert_eq!(one, other);
    }
    assert_eq!(in_sqlite.iter().map(|event| event.count).sum::<u64>(), judged(&first));
    assert_eq!(in_sqlite.len() as u64, count(&second, "events_stored"));
    for url in [&postgres, &sqlite] {
        let report = audit(url);
        let epoch = &report["epochs"][0];
        assert_eq!(epoch["ended"], true, "{epoch}");
        assert_eq!(count(epoch, "lost"), 0);
        assert_eq!(count(epoch, "doubled"), 0);
        assert_eq!(epoch["stored"]["packets"].as_u64(), Some(judged(&first)));
    }
}

#[test]
fn generated_traffic_gives_the_same_events_in_both_stores() {
    stores_agree(&[support::generated_traffic().to_owned()]);
}

#[test]
fn the_corpus_gives_the_same_events_in_both_stores() {
    let Some(corpus) = support::corpus() else { return };
    let captures = support::captures_that_open(&corpus);
    stores_agree(&captures);
}
