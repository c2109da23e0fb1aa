//! The writing side.

use super::{PostgresConfig, unbuilt};
use crate::event::Batch;
use crate::store::{Committed, Maintained, RetentionParams, Store, StoreError};
use crate::time::Timestamp;

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
