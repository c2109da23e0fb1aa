//! SQLite, in the program itself.

mod codec;
mod connections;
mod reader;
mod rows;

use std::path::Path;

use super::{Committed, Maintained, RetentionParams, Store, StoreError};
use crate::event::Batch;
use crate::time::Timestamp;

pub use reader::Reader;

/// The writing side.
#[derive(Debug)]
pub struct SqliteStore;

impl SqliteStore {
    /// Opens the file, and checks the schema.
    ///
    /// # Errors
    ///
    /// When it can't be reached, refuses, or has another schema.
    pub fn open(_path: &Path, _retention: RetentionParams) -> Result<Self, StoreError> {
        Err(unbuilt())
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, _batch: &Batch, _now: Timestamp) -> Result<Committed, StoreError> {
        Err(unbuilt())
    }

    fn maintain(&mut self, _now: Timestamp) -> Result<Maintained, StoreError> {
        Err(unbuilt())
    }

    fn name(&self) -> String {
        "sqlite".to_owned()
    }
}

fn unbuilt() -> StoreError {
    StoreError::Refused { store: "sqlite".to_owned(), reason: "not built yet".to_owned() }
}
