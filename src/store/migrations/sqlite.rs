//! The steps of SQLite.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{HISTORY, Step, compare, missing};
use crate::store::StoreError;

/// Numbered from 1.
pub(super) const STEPS: [Step; 2] = [
    Step {
        version: 1,
        name: "events",
        sql: include_str!("../../../migrations/sqlite/V1__events.sql"),
    },
    Step {
        version: 2,
        name: "hours",
        sql: include_str!("../../../migrations/sqlite/V2__hours.sql"),
    },
];

/// How long another program's migration is waited for.
const BUSY_MAX: Duration = Duration::from_secs(10);

/// Holds a file against the version of this program, and changes nothing.
///
/// # Errors
///
/// When it is another one, or can't be read.
pub(in crate::store) fn check(connection: &Connection) -> Result<(), StoreError> {
    let store = name(connection);
    let found = version(connection).map_err(|error| fault(&store, &error))?;
    compare(&store, found.unwrap_or(0))
}

/// Brings a fresh, empty file to the version of this program and checks any other. Returns the version that it had; 0 for none.
///
/// # Errors
///
/// When it is older or newer than this program, belongs to another one, or can't be written.
pub(in crate::store) fn ensure(connection: &mut Connection) -> Result<u32, StoreError> {
    let store = name(connection);
    // Most files are there already; looking must not need the right to write.
    let found = version(connection).map_err(|error| fault(&store, &error))?;
    match found {
        Some(found) => compare(&store, found).map(|()| found),
        None => apply(connection),
    }
}

/// Takes the steps that are missing, making the file if need be.
pub(super) fn migrate(path: &Path) -> Result<u32, StoreError> {
    apply(&mut crate::store::sqlite::create(path)?)
}

fn apply(connection: &mut Connection) -> Result<u32, StoreError> {
    let store = name(connection);
    let found = take_steps(connection).map_err(|error| fault(&store, &error))?;
    match found {
        Found::Version(newer) if newer > super::SCHEMA_VERSION => {
            compare(&store, newer).map(|()| newer)
        }
        Found::Version(version) => Ok(version),
        Found::Foreign => Err(StoreError::Refused {
            store,
            reason: "the file is a database of another program; name another file".to_owned(),
        }),
    }
}

/// What was there before.
enum Found {
    Version(u32),
    Foreign,
}

/// Nothing is changed in a store that is newer or another program's.
fn take_steps(connection: &mut Connection) -> rusqlite::Result<Found> {
    connection.busy_timeout(BUSY_MAX)?;
    // Immediate: whoever comes second waits here, and then sees what the first has done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = match version(&transaction)? {
        Some(version) => version,
        None if is_empty(&transaction)? => 0,
        None => return Ok(Found::Foreign),
    };
    if found == 0 {
        transaction.execute_batch(&format!(
            "CREATE TABLE {HISTORY} (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
        ))?;
    }
    for step in missing(&STEPS, found) {
        transaction.execute_batch(step.sql)?;
        transaction.execute(
            &format!("INSERT INTO {HISTORY} VALUES (?1, ?2, unixepoch() * 1000000)"),
            (step.version, step.name),
        )?;
    }
    transaction.commit()?;
    Ok(Found::Version(found))
}

/// The version of the file; `None` for one without our tables.
fn version(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let known = connection
        .query_row("SELECT 1 FROM sqlite_master WHERE name = ?1", [HISTORY], |_row| Ok(()))
        .optional()?;
    if known.is_none() {
        return Ok(None);
    }
    connection
        .query_row(&format!("SELECT coalesce(max(version), 0) FROM {HISTORY}"), (), |row| {
            row.get(0)
        })
        .map(Some)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master)", (), |row| row.get(0))
}

fn name(connection: &Connection) -> String {
    format!("sqlite:{}", connection.path().unwrap_or_default())
}

fn fault(store: &str, error: &rusqlite::Error) -> StoreError {
    let (store, reason) = (store.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::NotADatabase
            | rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::PermissionDenied
            | rusqlite::ErrorCode::ReadOnly,
        ) => StoreError::Refused { store, reason },
        _ => StoreError::Away { store, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SCHEMA_VERSION;

    #[test]
    fn a_fresh_file_is_migrated_once_by_whoever_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fresh.db");
        let found: Vec<u32> = std::thread::scope(|scope| {
            let open = || ensure(&mut Connection::open(&path).unwrap()).unwrap();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(found.iter().filter(|found| **found == 0).count(), 1, "{found:?}");
        let connection = Connection::open(&path).unwrap();
        assert_eq!(version(&connection).unwrap(), Some(SCHEMA_VERSION));
        connection.query_row("SELECT count(*) FROM packet_logs", (), |_| Ok(())).unwrap();
        assert_eq!(migrate(&path).unwrap(), SCHEMA_VERSION);
    }

    #[test]
    fn sums_by_hour_are_made_of_those_by_minute_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("older.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(STEPS[0].sql).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE schema_versions (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL);
                 INSERT INTO schema_versions VALUES (1, 'events', 0);
                 INSERT INTO event_minutes VALUES (3540000000, 1, 5, 1, 2, 3, 4, 5), (3600000000, 1, 5, 10, 20, 30, 40, 50),
                 (7140000000, 1, 5, 100, 200, 300, 400, 500), (-60000000, 1, 5, 1, 1, 1, 1, 1), (-9223372020000000, 0, 5, 1, 1, 1, 1, 1);",
            )
            .unwrap();
        assert_eq!(migrate(&path).unwrap(), 1);
        let mut hours = connection
            .prepare("SELECT hour, events, packets, alerts, weight, score_micros FROM event_hours")
            .unwrap();
        let read = |row: &rusqlite::Row<'_>| Ok(std::array::from_fn(|at| row.get(at).unwrap()));
        let hours: Vec<[i64; 6]> =
            hours.query_map((), read).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(
            hours,
            [
                [-9_223_369_200_000_000, 1, 1, 1, 1, 1],
                [-3_600_000_000, 1, 1, 1, 1, 1],
                [0, 1, 2, 3, 4, 5],
                [3_600_000_000, 110, 220, 330, 440, 550],
            ]
        );
    }

    #[test]
    fn an_older_or_newer_file_is_left_as_it_is() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(ensure(&mut connection).unwrap(), 0);
        connection.execute("UPDATE schema_versions SET version = 99 WHERE version = (SELECT max(version) FROM schema_versions)", ()).unwrap();
        for refused in [ensure(&mut connection), apply(&mut connection)] {
            assert!(matches!(refused, Err(StoreError::Schema { found: 99, .. })), "{refused:?}");
        }
        connection.execute("DELETE FROM schema_versions", ()).unwrap();
        let refused = ensure(&mut connection);
        assert!(matches!(refused, Err(StoreError::Schema { found: 0, .. })), "{refused:?}");
    }

    #[test]
    fn another_programs_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.db");
        let mut connection = Connection::open(&path).unwrap();
        connection.execute("CREATE TABLE theirs (x)", ()).unwrap();
        for refused in [ensure(&mut connection), migrate(&path)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
        }
        assert!(version(&connection).unwrap().is_none());
        let text = folder.path().join("text.db");
        std::fs::write(&text, "no database at all, but long enough to be taken for one".repeat(20))
            .unwrap();
        assert!(matches!(migrate(&text), Err(StoreError::Refused { .. })));
    }
}
