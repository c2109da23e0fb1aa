//! PostgreSQL 14 to 17.
//!
//! | part         | what it is                                                                     |
//! |--------------|--------------------------------------------------------------------------------|
//! | `config`     | where the server is and how to log in: libpq's URL, environment, password file  |
//! | `tls`        | whose certificates are believed                                                  |
//! | `connection` | connections, time limits, whose fault an error is                                |
//! | `store`      | the writing side: one connection, used by one thread                             |
//! | `commit`     | one transaction for each batch, and what becomes of rows that are refused        |
//! | `copy`       | events as binary COPY wants them                                                 |
//! | `records`    | everything else of a batch as columns of a statement                             |
//! | `maintenance`| partitions made ahead, what is too old removed and counted, old ledger rows folded |
//! | `reader`     | the reading side, over connections of `pool`; `rows` reads its answers            |

mod commit;
mod config;
mod connection;
mod copy;
mod maintenance;
mod passfile;
mod pool;
mod reader;
mod records;
mod rows;
mod store;
mod tls;

pub use config::PostgresConfig;
pub(in crate::store) use connection::Role;
pub use reader::Reader;
pub use store::PostgresStore;
