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
