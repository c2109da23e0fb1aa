//! PostgreSQL's writing side against a real server: kept to the bit, exactly once, whatever breaks.

#![cfg(test)]

mod batches;
mod breaks;
mod commits;
mod login;
mod maintenance;
mod speed;

use phantomnet::store::{self, Location, RetentionParams, Store, StoreError};

use crate::cluster::{Cluster, Database, Settings};

/// A fresh database of the shared server with our tables in it.
fn migrated(name: &str) -> Database<'static> {
    let database = Cluster::shared().database(name);
    assert_eq!(store::migrate(&location(&database.url())).unwrap(), 0);
    database
}

fn location(url: &str) -> Location {
    url.parse().unwrap()
}

/// A store that keeps everything.
fn open(url: &str) -> Result<Box<dyn Store>, StoreError> {
    store::open(&location(url), RetentionParams { days: None, bytes: None })
}

/// What is derived from other tables says what they say, counted anew: sums by minute, rules by event, the sums of runs.
fn assert_derived(database: &Database<'_>) {
    let minutes = "SELECT epoch, greatest(date_trunc('minute', time), '1677-09-21 00:13:00Z') AS minute, verdict, count(*)::bigint AS events, sum(count)::bigint AS packets, \
         sum(alerts)::bigint AS alerts, sum(weight)::bigint AS weight, \
         sum(weight * floor(threat_score::float8 * 1000000 + 0.5)::bigint)::bigint AS score_micros \
         FROM packet_logs GROUP BY 1, 2, 3";
    // Time zones are of no account here: the session's is UTC.
    let hours = minutes.replace(
        "date_trunc('minute', time), '1677-09-21 00:13:00Z') AS minute",
        "date_trunc('hour', time), '1677-09-21 01:00:00Z') AS hour",
    );
    let rules = "SELECT DISTINCT unnest(rules) AS rule, time, epoch, number FROM packet_logs";
    let runs = "SELECT epoch, sum(batches)::bigint AS batches, sum(rows)::bigint AS rows, sum(packets)::bigint AS packets, \
         sum(alerts)::bigint AS alerts, sum(quarantined_rows)::bigint AS quarantined_rows FROM ledger GROUP BY 1";
    for (table, columns, plain) in [
        (
            "event_minutes",
            "epoch, minute, verdict, events, packets, alerts, weight, score_micros",
            minutes,
        ),
        (
            "event_hours",
            "epoch, hour, verdict, events, packets, alerts, weight, score_micros",
            &*hours,
        ),
        ("event_rules", "rule, time, epoch, number", rules),
        ("epochs", "epoch, batches, rows, packets, alerts, quarantined_rows", runs),
    ] {
        let kept = format!("SELECT {columns} FROM {table}");
        let differs = format!("(({kept}) EXCEPT ({plain})) UNION ALL (({plain}) EXCEPT ({kept}))");
        assert_eq!(database.psql(&format!("SET TimeZone = 'UTC'; {differs}")), "", "{table}");
    }
}

#[test]
fn a_cluster_answers_freezes_dies_and_starts_again() {
    let cluster = Cluster::start(&Settings { tcp: true, ..Settings::default() });
    let database = cluster.database("first");
    assert_eq!(database.psql("SELECT 1, 'two'"), "1|two");
    assert_eq!(database.psql("SHOW fsync"), "on");
    cluster.freeze();
    cluster.thaw();
    cluster.kill();
    cluster.start_again();
    assert_eq!(database.psql("SELECT 2"), "2");
    cluster.stop("immediate");
    cluster.start_again();
    let folder = cluster.socket_folder().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "{} is still there", folder.display());
}

#[test]
fn a_shared_cluster_gives_everybody_a_database() {
    let (one, other) = (Cluster::shared().database("a"), Cluster::shared().database("a"));
    one.psql("CREATE TABLE mine (x int)");
    assert_eq!(other.psql("SELECT count(*) FROM pg_class WHERE relname = 'mine'"), "0");
}
