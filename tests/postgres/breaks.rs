//! Connections that break, servers that freeze or die: nothing is lost, nothing is there twice.

use std::time::{Duration, Instant};

use phantomnet::event::Batch;
use phantomnet::store::postgres::{PostgresConfig, PostgresStore};
use phantomnet::store::{self, RetentionParams, Store, StoreError};

use super::batches::{NOON, batch, epoch, events, with_records};
use super::{assert_derived, location, migrated};
use crate::cluster::proxy::{Proxy, Way};
use crate::cluster::{Cluster, Database, Settings};

const LIMIT: Duration = Duration::from_millis(500);

/// A store that takes half a second of silence for an absence.
fn impatient(url: &str) -> PostgresStore {
    let config: PostgresConfig = url.parse().unwrap();
    let keep = RetentionParams { days: None, bytes: None };
    PostgresStore::open(&config.answering_within(LIMIT), keep).unwrap()
}

fn small(random: u32, number: u64) -> Batch {
    with_records(batch(epoch(random), number, events(number * 2, 2)))
}

/// Tries until it is committed; says how often it failed.
fn until_committed(store: &mut dyn Store, batch: &Batch) -> u32 {
    let mut failures = 0;
    while let Err(error) = store.commit(batch, NOON) {
        assert!(matches!(error, StoreError::Away { .. }), "{error}");
        failures += 1;
        assert!(failures < 100, "{error}");
        std::thread::sleep(Duration::from_millis(5));
    }
    failures
}

/// What is there after `batches` of [`small`], if nothing is lost and nothing doubled.
fn assert_exactly_once(database: &Database<'_>, batches: u64) {
    assert_eq!(
        database
            .psql("SELECT count(*), count(DISTINCT (epoch, number)), sum(count) FROM packet_logs"),
        format!("{}|{}|{}", 2 * batches, 2 * batches, 4 * batches)
    );
    assert_eq!(
        database.psql("SELECT count(*), sum(rows), sum(packets) FROM ingest_batches"),
        format!("{batches}|{}|{}", 2 * batches, 4 * batches)
    );
    // Profiles add up: a batch that came twice would show here first.
    assert_eq!(
        database.psql("SELECT sessions, packets FROM source_profiles"),
        format!("{batches}|{}", 200 * batches)
    );
    assert_derived(database);
}

/// The connection is cut behind every single byte of a batch's exchange, on either way, and the batch tried again.
#[test]
fn a_connection_cut_after_any_byte_loses_and_doubles_nothing() {
    const WORKERS: u64 = 4;
    let cluster = Cluster::start(&Settings {
        tcp: true,
        // A server that never dies needs no fsync, and one that trusts no password: thousands of connections are made.
        conf: vec!["fsync = off".to_owned(), "max_connections = 200".to_owned()],
        hba: vec!["host all all 127.0.0.1/32 trust".to_owned()],
        ..Settings::default()
    });
    let database = cluster.database("cut");
    store::migrate(&location(&database.url())).unwrap();
    let committed: u64 = std::thread::scope(|scope| {
        let cut_share = |worker: u64| {
            let proxy = Proxy::to(cluster.port());
            let mut store = impatient(&database.tcp_url(proxy.port()));
            let random = u32::try_from(worker).unwrap();
            // The first goes through, and shows how long the exchange is.
            proxy.count_anew(None);
            let mut number = 1;
            assert_eq!(until_committed(&mut store, &small(random, number)), 0);
            let exchange = proxy.count_anew(None);
            assert!(exchange[0] > 1000 && exchange[1] > 100, "{exchange:?}");
            let mut cut = 0;
            for way in [Way::ToServer, Way::ToClient] {
                for after in (0..exchange[way as usize]).filter(|byte| byte % WORKERS == worker) {
                    number += 1;
                    proxy.count_anew(Some((way, after)));
                    let batch = small(random, number);
                    let first = store.commit(&batch, NOON);
                    proxy.count_anew(None);
                    assert!(first.is_err(), "{way:?}, byte {after}: {first:?}");
                    until_committed(&mut store, &batch);
                    cut += 1;
                }
            }
            assert_eq!(cut + 1, number);
            number
        };
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || cut_share(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(committed > 2000, "only {committed} bytes");
    assert_exactly_once(&database, committed);
}

#[test]
fn a_server_that_falls_silent_is_away_in_time() {
    let database = migrated("silent");
    let proxy = Proxy::to(database.cluster.port());
    let mut store = impatient(&database.tcp_url(proxy.port()));
    store.commit(&small(1, 1), NOON).unwrap();
    proxy.swallow(true);
    for _ in 0..3 {
        let began = Instant::now();
        let silence = store.commit(&small(1, 2), NOON);
        assert!(matches!(silence, Err(StoreError::Away { .. })), "{silence:?}");
        assert!(began.elapsed() < LIMIT * 3, "{:?}", began.elapsed());
    }
    proxy.swallow(false);
    until_committed(&mut store, &small(1, 2));
    assert_exactly_once(&database, 2);
}

#[test]
fn a_frozen_and_a_killed_server_lose_nothing() {
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("frozen");
    store::migrate(&location(&database.url())).unwrap();
    let mut store = impatient(&database.url());
    store.commit(&small(1, 1), NOON).unwrap();

    cluster.freeze();
    let began = Instant::now();
    assert!(matches!(store.commit(&small(1, 2), NOON), Err(StoreError::Away { .. })));
    assert!(matches!(store.commit(&small(1, 2), NOON), Err(StoreError::Away { .. })));
    assert!(began.elapsed() < LIMIT * 6, "{:?}", began.elapsed());
    cluster.thaw();
    until_committed(&mut store, &small(1, 2));

    cluster.kill();
    assert!(matches!(store.commit(&small(1, 3), NOON), Err(StoreError::Away { .. })));
    cluster.start_again();
    until_committed(&mut store, &small(1, 3));

    cluster.stop("immediate");
    cluster.start_again();
    until_committed(&mut store, &small(1, 4));
    assert_exactly_once(&database, 4);
}
