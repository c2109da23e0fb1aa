//! The file: how it is made and opened, and whose fault it is when that fails.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use crate::store::StoreError;

/// How the writing side uses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteParams {
    /// When the disk is waited for.
    pub synchronous: Synchronous,
    /// Bytes of pages kept in memory.
    pub cache_bytes: u32,
    /// Bytes that the write-ahead log may have before what is in it is moved into the file.
    pub wal_bytes: u32,
    /// How long another program's lock is waited for.
    pub busy_max: Duration,
}

impl Default for SqliteParams {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            cache_bytes: 64 << 20,
            wal_bytes: 64 << 20,
            busy_max: Duration::from_secs(5),
        }
    }
}

/// When the disk is waited for (`PRAGMA synchronous`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// At every commit: what was committed survives the loss of power.
    #[default]
    Full,
    /// When the log is moved into the file: the loss of power may take the last commits back, and with them their rows of the
    /// ledger; the file stays whole.
    Normal,
}

/// Bytes of a page: SQLite's own default. Larger ones make more of every random change of an index go through the log.
const PAGE_BYTES: u32 = 4096;

/// Statements kept prepared.
const STATEMENTS_MAX: usize = 64;

/// A store's name, for people.
pub(super) fn name(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Makes the file, empty, if it is missing, and opens it; the folders above it are made too. Nobody else may read them.
///
/// # Errors
///
/// `Refused` when the operator has to do something about it, else `Away`.
pub(in crate::store) fn create(path: &Path) -> Result<Connection, StoreError> {
    let name = name(path);
    let path = prepare(path).map_err(|error| io_fault(&name, path, &error))?;
    connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE, SqliteParams::default().busy_max)
        .map_err(|error| fault(&name, &error))
}

/// Opens the file to read alone. It must be there.
///
/// # Errors
///
/// `Refused` when it is missing or no database, else `Away`.
pub(in crate::store) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let name = name(path);
    if let Err(error) = path.metadata() {
        return Err(io_fault(&name, path, &error));
    }
    let open = || {
        let path = std::path::absolute(path).map_err(|_unnamed| Error::InvalidPath(path.into()))?;
        connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, SqliteParams::default().busy_max)
    };
    open().map_err(|error| fault(&name, &error))
}

/// Opens the file for the writer.
pub(super) fn open_to_write(path: &Path, params: SqliteParams) -> Result<Connection, StoreError> {
    let connection = create(path)?;
    let name = name(path);
    match configure(&connection, params) {
        Err(error) => Err(fault(&name, &error)),
        Ok(journal) if journal == "wal" => Ok(connection),
        Ok(journal) => Err(StoreError::Refused {
            store: name,
            reason: format!(
                "the file can't have a write-ahead log here (its journal is {journal:?}); put it on a local disk"
            ),
        }),
    }
}

/// The folders above the file and the file, made if they are missing. Returns the file's absolute path, which can't be taken
/// for one of the names that SQLite gives a meaning of its own (`:memory:`).
fn prepare(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // The log and the shared memory beside it get the mode of the file.
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    Ok(path)
}

fn connect(path: &Path, rights: OpenFlags, busy_max: Duration) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, rights | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_max)?;
    // These must come before the first table, and do nothing after it.
    if rights.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;"
        ))?;
    }
    // The first look into the file: it says whether it is a database.
    connection.query_row("SELECT count(*) FROM sqlite_master", (), |_row| Ok(()))?;
    Ok(connection)
}

/// Returns how the file keeps its journal.
fn configure(connection: &Connection, params: SqliteParams) -> Result<String, Error> {
    let SqliteParams { synchronous, cache_bytes, wal_bytes, busy_max } = params;
    let journal = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    // No memory map: an error of the disk under one kills the process, an error of a read is an answer. References between
    // tables are not declared, and a check for them would cost.
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = OFF; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; \
         PRAGMA cache_size = -{}; PRAGMA wal_autocheckpoint = {}; PRAGMA journal_size_limit = {wal_bytes};",
        cache_bytes / 1024,
        wal_bytes / PAGE_BYTES,
    ))?;
    connection.busy_timeout(busy_max)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(journal)
}

/// Whose fault an error of SQLite is.
pub(in crate::store) fn fault(store: &str, error: &Error) -> StoreError {
    let store = store.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Refused {
            store,
            reason: "the file is no SQLite database, and it is left as it is; name another file, or move this one away"
                .to_owned(),
        },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Refused {
            store,
            reason: "the file is damaged, and it is left as it is; stop the sensor, keep a copy, try `sqlite3 FILE .recover`, \
                     or move it away and a new one is begun"
                .to_owned(),
        },
        Some(ErrorCode::PermissionDenied) => {
            StoreError::Refused { store, reason: format!("{error}; check the owner of the file") }
        }
        _ => StoreError::Away { store, reason: reason(error) },
    }
}

/// What SQLite said, with its extended code (sqlite.org/rescode.html): `disk I/O error` alone says too little.
fn reason(error: &Error) -> String {
    match error.sqlite_extended_error_code() {
        Some(code) => format!("{error} (SQLite code {code})"),
        None => error.to_string(),
    }
}

/// Whose fault an error of the file system is.
fn io_fault(store: &str, path: &Path, error: &io::Error) -> StoreError {
    use io::ErrorKind::{
        AlreadyExists, InvalidFilename, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    let store = store.to_owned();
    let reason = format!("{}: {error}", path.display());
    match error.kind() {
        AlreadyExists | InvalidFilename | IsADirectory | NotADirectory | NotFound
        | PermissionDenied => StoreError::Refused { store, reason },
        _ => StoreError::Away { store, reason },
    }
}

/// Moves the log into the file and makes it empty, if no reader is in the way just now: none is waited for.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(Duration::ZERO)?;
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_row| Ok(())) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        other => other,
    }
}
