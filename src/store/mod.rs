//! Keeps what the collector makes, exactly once, and answers questions about it.
//!
//! | part       | what it is                                                                              |
//! |------------|-----------------------------------------------------------------------------------------|
//! | `location` | where a store is: `postgres://...`, `sqlite:PATH`                                          |
//! | `postgres` | PostgreSQL 14 to 17: binary COPY, partitions by day                                     |
//! | `sqlite`   | SQLite in the program itself, WAL                                                        |
//! | `writer`   | the thread that commits batches in order, and the spool for when the store is away      |
//! | `query`    | what can be asked, and the answers, the same for both                                   |
//! | `audit`    | recounts a store against its own markers                                                |
//!
//! Both stores keep one contract, proven by one conformance suite (`tests/store.rs`).

mod audit;
mod fold;
mod location;
mod migrations;
pub mod postgres;
mod printable;
pub mod query;
pub mod rollup;
mod score;
pub mod sqlite;
pub mod writer;

use crate::event::Batch;
use crate::time::Timestamp;

pub use audit::{AuditReport, EpochAudit, Sums, audit};
pub use location::{Location, LocationError};
pub use migrations::{SCHEMA_VERSION, migrate};

/// The writing side of a store. Used by one thread; blocks, but never for longer than its time limits.
pub trait Store: Send {
    /// Commits a batch with its ledger row in one transaction, or finds it committed already. `now` is what the rows say of
    /// when they were recorded.
    ///
    /// A row that the store refuses by itself is put into quarantine and counted; it never fails the batch.
    ///
    /// # Errors
    ///
    /// When nothing of it was committed, or when that can't be known: trying again is always right.
    fn commit(&mut self, batch: &Batch, now: Timestamp) -> Result<Committed, StoreError>;

    /// Commits some of these batches, from the front, at least the first: as many as go well in one transaction. Says what became of
    /// each of those. `batches` is not empty.
    ///
    /// # Errors
    ///
    /// As [`Self::commit`].
    fn commit_some(
        &mut self,
        batches: &[&Batch],
        now: Timestamp,
    ) -> Result<Vec<Committed>, StoreError> {
        batches.iter().take(1).map(|batch| self.commit(batch, now)).collect()
    }

    /// What has to be done now and then: partitions made ahead, old rows removed and counted, the log truncated.
    ///
    /// # Errors
    ///
    /// When it could not be done whole; it is tried again the next time.
    fn maintain(&mut self, now: Timestamp) -> Result<Maintained, StoreError> {
        self.maintain_with(now, Expiry::ByAge)
    }

    /// The same, but for what the clock's word alone would remove.
    ///
    /// # Errors
    ///
    /// As [`Self::maintain`].
    fn maintain_with(&mut self, now: Timestamp, expiry: Expiry) -> Result<Maintained, StoreError>;

    /// Where it is, for people: no secret in it.
    fn name(&self) -> String;
}

/// Whether what is older than it may be is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is.
    ByAge,
    /// It stays for now: the clock may be wrong. What is too much for the disk goes all the same.
    Suspended,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Whether an earlier try had committed it (the answer was lost).
    pub already: bool,
    /// Rows of events that were put into quarantine.
    pub quarantined_rows: u64,
    /// The sum of their counts.
    pub quarantined_packets: u64,
    /// The sum of their alerts.
    pub quarantined_alerts: u64,
}

/// What maintenance has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Partitions made.
    pub partitions_made: u64,
    /// Rows of events removed by retention.
    pub pruned_rows: u64,
    /// The sum of their counts.
    pub pruned_packets: u64,
    /// Bytes that the store takes, as far as it can tell.
    pub bytes: u64,
    /// Rows of events in it, as far as it can tell cheaply.
    pub rows_estimate: u64,
    /// Whether it stopped so as not to stand in the way of the next batch, with more to do: to be called again soon.
    pub unfinished: bool,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionParams {
    /// Days that events, sessions and incidents are kept after they were recorded; `None`: for ever.
    pub days: Option<u32>,
    /// Bytes that the store may take; the oldest go first. `None`: as many as there are.
    pub bytes: Option<u64>,
}

impl Default for RetentionParams {
    fn default() -> Self {
        Self { days: Some(30), bytes: None }
    }
}

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, is too slow, full, read-only, or broke off: it may come back.
    #[error("{store}: {reason}")]
    Away {
        /// Which store.
        store: String,
        /// What it said.
        reason: String,
    },
    /// Its tables are not those that this program writes.
    #[error("{store}: its schema is version {found}, this program needs {needed}; {advice}")]
    Schema {
        /// Which store.
        store: String,
        /// Version found; 0 for none.
        found: u32,
        /// Version needed.
        needed: u32,
        /// What to do about it.
        advice: &'static str,
    },
    /// The operator has to change something: a password, a path, a right.
    #[error("{store}: {reason}")]
    Refused {
        /// Which store.
        store: String,
        /// What it said.
        reason: String,
    },
}

/// Opens the writing side; the schema must be that of this program.
///
/// # Errors
///
/// When it can't be reached, refuses, or has another schema.
pub fn open(location: &Location, retention: RetentionParams) -> Result<Box<dyn Store>, StoreError> {
    match location {
        Location::Postgres(config) => {
            Ok(Box::new(postgres::PostgresStore::open(config, retention)?))
        }
        Location::Sqlite(path) => Ok(Box::new(sqlite::SqliteStore::open(path, retention)?)),
    }
}
