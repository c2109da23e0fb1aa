//! PostgreSQL 14 to 17.

mod reader;

use std::fmt;
use std::str::FromStr;

use super::{Committed, Maintained, RetentionParams, Store, StoreError};
use crate::event::Batch;
use crate::time::Timestamp;

pub use reader::Reader;

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct PostgresConfig;

impl FromStr for PostgresConfig {
    type Err = StoreError;

    fn from_str(_text: &str) -> Result<Self, StoreError> {
        Err(unbuilt())
    }
}

impl fmt::Display for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres:")
    }
}

/// The writing side.
#[derive(Debug)]
pub struct PostgresStore;

impl PostgresStore {
    /// Connects, and checks the schema.
    ///
    /// # Errors
    ///
    /// When it can't be reached, refuses, or has another schema.
    pub fn open(_config: &PostgresConfig, _retention: RetentionParams) -> Result<Self, StoreError> {
        Err(unbuilt())
    }
}

impl Store for PostgresStore {
    fn commit(&mut self, _batch: &Batch, _now: Timestamp) -> Result<Committed, StoreError> {
        Err(unbuilt())
    }

    fn maintain(&mut self, _now: Timestamp) -> Result<Maintained, StoreError> {
        Err(unbuilt())
    }

    fn name(&self) -> String {
        "postgres".to_owned()
    }
}

fn unbuilt() -> StoreError {
    StoreError::Refused { store: "postgres".to_owned(), reason: "not built yet".to_owned() }
}
