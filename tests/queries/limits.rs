//! Stores that are away, and questions that take too long.

use std::time::{Duration, Instant};

use phantomnet::store::StoreError;
use phantomnet::store::query::{EventFilter, Network, Queries, QueryError};
use phantomnet::time::Timestamp;

use super::fill::{Filled, runtime};
use crate::cluster::{Cluster, Settings};

/// The limit is two seconds; the questions here would take a minute or never end. A busy machine may be late by this much.
const BROKEN_OFF_WITHIN: Duration = Duration::from_secs(20);

#[test]
fn a_store_that_is_not_there_is_named_without_its_password() {
    let folder = crate::support::folder();
    let sqlite = format!("sqlite:{}", folder.path().join("missing.db").display());
    let postgres = "postgres://me:secret@127.0.0.1:1/sensor";
    for (location, named) in [(sqlite.as_str(), "missing.db"), (postgres, "127.0.0.1:1")] {
        let queries = Queries::open(&location.parse().unwrap(), 2).unwrap();
        let fault = runtime().block_on(queries.version()).unwrap_err();
        assert!(matches!(fault, QueryError::Store(StoreError::Away { .. })), "{fault:?}");
        let fault = fault.to_string();
        assert!(fault.contains(named) && !fault.contains("secret"), "{fault}");
    }
    assert!(!folder.path().join("missing.db").exists());
}

#[test]
fn a_store_may_come_later_go_and_come_again() {
    let folder = crate::support::folder();
    let location = format!("sqlite:{}", folder.path().join("later.db").display()).parse().unwrap();
    let queries = Queries::open(&location, 2).unwrap();
    let runtime = runtime();
    let version = || runtime.block_on(queries.version());
    assert!(version().is_err());
    phantomnet::store::migrate(&location).unwrap();
    assert!(version().unwrap().starts_with("SQLite 3."));
    std::fs::remove_file(folder.path().join("later.db")).unwrap();
    assert!(version().is_err(), "the file is gone, an open connection notwithstanding");
    phantomnet::store::migrate(&location).unwrap();
    assert!(version().is_ok());
}

/// Statistics that never end.
fn make_endless(store: &Filled) {
    store.execute(match store {
        Filled::Sqlite { .. } => {
            "DROP TABLE event_hours;
             CREATE VIEW event_hours AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT i AS hour, 0 AS verdict, 1 AS epoch, 1 AS events, 1 AS packets, 0 AS alerts, 1 AS weight, 0 AS score_micros FROM n;"
        }
        Filled::Postgres(_) => {
            "DROP TABLE event_hours;
             CREATE VIEW event_hours AS SELECT now() AS hour, 0::smallint AS verdict, 1::bigint AS epoch, 1::bigint AS events,
             1::bigint AS packets, 0::bigint AS alerts, 1::bigint AS weight, 0::bigint AS score_micros FROM pg_sleep(60);"
        }
    });
}

#[test]
fn a_question_that_takes_too_long_is_broken_off_and_the_connection_is_fine_afterwards() {
    for store in Filled::both() {
        make_endless(&store);
        let queries = Queries::open(&store.location(), 1).unwrap();
        runtime().block_on(async {
            for _ in 0..2 {
                let begun = Instant::now();
                let answer = queries.stats(None, None).await;
                assert!(matches!(answer, Err(QueryError::TooExpensive)), "{answer:?}");
                assert!(begun.elapsed() < BROKEN_OFF_WITHIN, "{:?}", begun.elapsed());
                assert_eq!(queries.span().await.unwrap(), None, "{}", store.name());
            }
        });
    }
}

#[test]
fn a_question_that_nobody_waits_for_is_broken_off() {
    for store in Filled::both() {
        make_endless(&store);
        let queries = Queries::open(&store.location(), 1).unwrap();
        runtime().block_on(async {
            let mut waited = Vec::new();
            for _ in 0..3 {
                let asked = queries.stats(None, None);
                let left = tokio::time::timeout(Duration::from_millis(100), asked).await;
                assert!(left.is_err());
                let begun = Instant::now();
                assert_eq!(queries.span().await.unwrap(), None, "{}", store.name());
                waited.push(begun.elapsed());
            }
            // The time limit would have freed the connection 1.9 s later, every time.
            assert!(waited.iter().min() < Some(&Duration::from_millis(1500)), "{waited:?}");
        });
    }
}

#[test]
fn a_question_waits_for_a_connection_but_not_for_ever() {
    for store in Filled::both() {
        make_endless(&store);
        let queries = Queries::open(&store.location(), 1).unwrap();
        runtime().block_on(async {
            let begun = Instant::now();
            let (one, two, three) = tokio::join!(
                queries.stats(None, None),
                queries.stats(None, None),
                queries.stats(None, None)
            );
            assert!(begun.elapsed() < 2 * BROKEN_OFF_WITHIN, "{:?}", begun.elapsed());
            let answers = [one, two, three].map(|answer| answer.unwrap_err());
            let busy = |error: &&QueryError| error.to_string().contains("busy");
            assert!(answers.iter().filter(busy).count() >= 1, "{} {answers:?}", store.name());
        });
    }
}

#[test]
fn a_server_that_freezes_is_away_and_comes_back() {
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("frozen");
    let location = database.url().parse().unwrap();
    phantomnet::store::migrate(&location).unwrap();
    let queries = Queries::open(&location, 2).unwrap();
    runtime().block_on(async {
        queries.version().await.unwrap();
        cluster.freeze();
        for _ in 0..2 {
            let begun = Instant::now();
            let answer = queries.stats(None, None).await;
            let is_away = matches!(answer, Err(QueryError::Store(StoreError::Away { .. })));
            assert!(is_away, "{answer:?}");
            assert!(begun.elapsed() < BROKEN_OFF_WITHIN, "{:?}", begun.elapsed());
        }
        cluster.thaw();
        assert!(queries.version().await.unwrap().starts_with("PostgreSQL "));
        cluster.kill();
        assert!(queries.version().await.is_err());
        cluster.start_again();
        queries.version().await.unwrap();
    });
}

/// Windows take a statement each: the limit is of the question, not of each of them.
#[test]
fn a_search_of_many_windows_is_refused_when_its_time_is_over() {
    let store = Filled::postgres();
    store.execute(&super::figures::rows(&store.location(), 3_000));
    // Each window begins with a look at the hours, which now takes a while.
    store.execute(
        "ALTER TABLE event_hours RENAME TO kept; CREATE VIEW event_hours AS SELECT kept.* FROM kept, pg_sleep(0.6)",
    );
    let rare = |address: &str| EventFilter {
        source: Some(Network { address: address.parse().unwrap(), length: 32 }),
        ..EventFilter::default()
    };
    let queries = store.queries();
    runtime().block_on(async {
        for _ in 0..2 {
            let begun = Instant::now();
            let answer = queries.events(&rare("192.0.2.1"), None, 100).await;
            assert!(matches!(answer, Err(QueryError::TooExpensive)), "{answer:?}");
            assert!(begun.elapsed() < BROKEN_OFF_WITHIN, "{:?}", begun.elapsed());
        }
        assert!(queries.span().await.unwrap().is_some(), "{}", store.name());
    });
}

/// SQLite's are opened for reading alone; on a server a function could write.
#[test]
fn connections_for_reading_do_not_write() {
    let store = Filled::postgres();
    store.execute(
        "CREATE FUNCTION writes() RETURNS timestamptz LANGUAGE sql AS
         'INSERT INTO labels VALUES (1, 1, ''benign'', NULL, now()) RETURNING at';
         DROP TABLE event_minutes;
         CREATE VIEW event_minutes AS SELECT writes() AS minute, 0::smallint AS verdict, 1::bigint AS epoch, 1::bigint AS events,
         1::bigint AS packets, 0::bigint AS alerts, 1::bigint AS weight, 0::bigint AS score_micros;",
    );
    let [from, to] = [0, 6000].map(Timestamp::from_secs);
    let answer = runtime().block_on(store.queries().timeline(from, to, Duration::from_secs(60)));
    assert!(answer.unwrap_err().to_string().contains("read-only"));
}
