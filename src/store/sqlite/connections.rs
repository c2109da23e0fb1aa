//! The readers' connections: a few, opened when they are wanted, each for one question at a time.
//!
//! A question runs on a thread that may block, in one short transaction: one that stays open keeps the log of writes from
//! being shortened. It is broken off when its time is up, and when nobody waits for its answer any more.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use crate::store::StoreError;
use crate::store::migrations;
use crate::store::query::rows::OddRow;
use crate::store::query::{QUERY_TIME_MAX, QueryError};

/// How long a question waits for a connection.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long one waits for a lock: readers hardly ever, those who change something for the writer's transaction.
const BUSY_MAX: Duration = Duration::from_millis(1500);

/// Instructions of SQLite's machine between two looks at the clock.
const INSTRUCTIONS_UNTIMED: std::ffi::c_int = 200;

/// KiB of pages that each connection keeps.
const CACHE_KIB: i64 = 8192;

/// A bounded set of connections to one file.
#[derive(Debug)]
pub(super) struct Connections {
    path: PathBuf,
    slots: Arc<Semaphore>,
    most: usize,
    idle: Mutex<Vec<Opened>>,
}

/// A connection, and which file it was that it opened.
#[derive(Debug)]
struct Opened {
    connection: Connection,
    file: (u64, u64),
}

/// Why a question failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// SQLite said so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// There is a row that can't be understood.
    #[error(transparent)]
    Row(#[from] OddRow),
    /// The file is not there, or not ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Connections {
    /// At most `most` connections, at least one, to the file at `path`, which need not be there yet.
    pub(super) fn new(path: &Path, most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            path: path.to_owned(),
            slots: Arc::new(Semaphore::new(most)),
            most,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Asks something in a transaction that sees one state of the store.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.on_a_thread(move |own, limit| {
            let mut opened = own.take()?;
            limit.put_on(&mut opened.connection)?;
            let transaction = opened.connection.transaction()?;
            let answer = question(&transaction);
            drop(transaction);
            // One that is broken is not used again.
            if !matches!(&answer, Err(fault) if !is_over_time(fault)) {
                own.put_back(opened)?;
            }
            answer
        })
        .await
    }

    /// Changes something over a connection that is opened for it alone.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, QueryError> {
        self.on_a_thread(move |own, limit| {
            let mut connection = own.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            limit.put_on(&mut connection)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = change(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        })
        .await
    }

    /// Runs `work` on a thread that may block, as soon as there is a slot.
    async fn on_a_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &Limit) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, QueryError> {
        let slot = tokio::time::timeout(SLOT_WAIT_MAX, Arc::clone(&self.slots).acquire_owned());
        let Ok(Ok(slot)) = slot.await else {
            return Err(self.away(format!("all {} connections for reading are busy", self.most)));
        };
        let asker = Asker(Arc::default());
        let gone = Arc::clone(&asker.0);
        let own = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            // From here on: until a thread is free it does not run.
            let limit = Limit { end: Instant::now() + QUERY_TIME_MAX, gone };
            let answer = work(&own, &limit);
            drop(slot);
            answer
        });
        let answer = done.await;
        drop(asker);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(self.fault(fault)),
            Err(broken) => Err(self.away(broken.to_string())),
        }
    }

    /// An idle connection to the file that is there now, or a new one.
    fn take(&self) -> Result<Opened, Fault> {
        let file = self.file()?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(opened) if opened.file == file => return Ok(opened),
                Some(_other_file) => {}
                None => break,
            }
        }
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "memory")?;
        Ok(Opened { connection, file })
    }

    /// Keeps a connection for the next question: no more than there are slots.
    fn put_back(&self, mut opened: Opened) -> Result<(), Fault> {
        opened.connection.progress_handler(0, None::<fn() -> bool>)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most {
            idle.push(opened);
        }
        Ok(())
    }

    fn open(&self, mode: OpenFlags) -> Result<Connection, Fault> {
        // SQLite says no more than that it can't open a file.
        self.file()?;
        let connection =
            Connection::open_with_flags(&self.path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_MAX)?;
        migrations::sqlite::check(&connection)?;
        Ok(connection)
    }

    /// Which file it is: another one may have taken its place.
    fn file(&self) -> Result<(u64, u64), Fault> {
        match std::fs::metadata(&self.path) {
            Ok(file) => Ok((file.dev(), file.ino())),
            Err(error) => Err(Fault::Store(StoreError::Away {
                store: self.name(),
                reason: error.to_string(),
            })),
        }
    }

    fn fault(&self, fault: Fault) -> QueryError {
        if is_over_time(&fault) {
            return QueryError::TooExpensive;
        }
        let code = match &fault {
            Fault::Sqlite(error) => error.sqlite_error_code(),
            Fault::Row(_) => Some(ErrorCode::DatabaseCorrupt),
            Fault::Store(_) => None,
        };
        let (store, reason) = (self.name(), fault.to_string());
        match (fault, code) {
            (Fault::Store(error), _) => error.into(),
            (
                _,
                Some(
                    ErrorCode::NotADatabase
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::PermissionDenied
                    | ErrorCode::ReadOnly
                    | ErrorCode::Unknown,
                ),
            ) => StoreError::Refused { store, reason }.into(),
            _ => StoreError::Away { store, reason }.into(),
        }
    }

    fn away(&self, reason: String) -> QueryError {
        StoreError::Away { store: self.name(), reason }.into()
    }

    fn name(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }
}

/// Whoever waits for an answer. Dropped, the question is broken off.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// When a question ends.
struct Limit {
    end: Instant,
    gone: Arc<AtomicBool>,
}

impl Limit {
    fn put_on(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let (end, gone) = (self.end, Arc::clone(&self.gone));
        let is_over = move || gone.load(Ordering::Relaxed) || Instant::now() >= end;
        connection.progress_handler(INSTRUCTIONS_UNTIMED, Some(is_over))
    }
}

fn is_over_time(fault: &Fault) -> bool {
    matches!(fault, Fault::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
}
