//! SQLite, in the program itself.
//!
//! | part          | what it is                                                                     |
//! |---------------|--------------------------------------------------------------------------------|
//! | `file`        | how the file is made and opened, and whose fault it is when that fails          |
//! | `commit`      | one batch, one transaction, and what becomes of a row that is refused           |
//! | `records`     | everything of a batch but its events                                            |
//! | `maintenance` | what is too old or too much removed and counted, a little at a time             |
//! | `fold`        | old rows of the ledger added up, old markers thinned out                        |
//! | `forget`      | what outlives the events, and goes at last                                      |
//! | `codec`       | how values lie in the columns                                                   |
//! | `reader`      | the reading side, over `connections`; `rows` reads its answers                   |

mod codec;
mod commit;
mod connections;
mod file;
mod fold;
mod forget;
mod maintenance;
mod reader;
mod records;
mod rows;

use std::path::Path;

use rusqlite::Connection;

use super::{Committed, Expiry, Maintained, RetentionParams, Store, StoreError};
use crate::event::Batch;
use crate::time::Timestamp;
use maintenance::Maintenance;

pub(in crate::store) use codec::moment;
pub use file::{SqliteParams, Synchronous};
pub(in crate::store) use file::{create, fault, open_to_read};
pub use reader::Reader;

/// The writing side: one connection.
///
/// After any failure the transaction is rolled back and the connection stays: a disk that was full may have room again, a file that
/// was locked may be free.
#[derive(Debug)]
pub struct SqliteStore {
    name: String,
    connection: Connection,
    maintenance: Maintenance,
}

impl SqliteStore {
    /// Opens the file, makes it with its tables if it is missing, and checks the schema.
    ///
    /// # Errors
    ///
    /// When it can't be reached, refuses, or has another schema.
    pub fn open(path: &Path, retention: RetentionParams) -> Result<Self, StoreError> {
        Self::open_with(path, retention, SqliteParams::default())
    }

    /// The same with other parameters.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_with(
        path: &Path,
        retention: RetentionParams,
        params: SqliteParams,
    ) -> Result<Self, StoreError> {
        let mut connection = file::open_to_write(path, params)?;
        super::migrations::sqlite::ensure(&mut connection)?;
        let maintenance = Maintenance::new(path, retention, params);
        Ok(Self { name: file::name(path), connection, maintenance })
    }
}

impl Drop for SqliteStore {
    /// Moves the log into the file, so that the file alone is the whole store. Readers that are in the middle of a question are not
    /// waited for: whoever opens the store next finds the log beside it.
    fn drop(&mut self) {
        file::empty_log(&self.connection).unwrap_or_default();
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, batch: &Batch, now: Timestamp) -> Result<Committed, StoreError> {
        commit::commit(&mut self.connection, batch, now).map_err(|error| fault(&self.name, &error))
    }

    fn maintain_with(&mut self, now: Timestamp, expiry: Expiry) -> Result<Maintained, StoreError> {
        self.maintenance
            .run(&mut self.connection, now, expiry)
            .map_err(|error| fault(&self.name, &error))
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
