//! Recounts a store against the markers in it.
//!
//! Every sum is checked with `==`. What a sensor says that it has done (its markers), what the ledger says was committed, and the
//! rows that are there must agree, row by row counted, for every epoch and at every marker:
//!
//! ```text
//! rows + quarantined + pruned = ledger            in rows, packets and alerts
//! rows up to a marker + quarantined up to it + pruned = its totals
//! ```
//!
//! | part       | what it is                                                     |
//! |------------|----------------------------------------------------------------|
//! | `facts`    | what is read of one epoch, the same for both stores              |
//! | `sqlite`   | reads it from SQLite, in one pass over the rows                  |
//! | `postgres` | reads it from PostgreSQL, which makes the pass itself            |
//! | `check`    | holds it against itself                                          |
//! | `report`   | what came out, for people and for programs                       |

mod check;
mod facts;
mod postgres;
mod report;
mod sqlite;

use super::{Location, StoreError};

pub use facts::Sums;
pub use report::{AuditReport, EpochAudit};

/// Recounts the store. It looks at one moment of it, so a sensor may go on writing meanwhile; it changes nothing.
///
/// # Errors
///
/// When the store can't be read.
pub fn audit(location: &Location) -> Result<AuditReport, StoreError> {
    let facts = match location {
        Location::Postgres(config) => postgres::read(config)?,
        Location::Sqlite(path) => sqlite::read(path)?,
    };
    Ok(AuditReport { epochs: facts.iter().map(check::check).collect() })
}
