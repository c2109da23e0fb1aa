//! What SQLite holds of every epoch. The rows pass by once, in the order of their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, Error, OptionalExtension as _, Row, params};

use super::facts::{
    EpochRow, Facts, Ledger, MARKER_COLUMNS, REFUSED_COLUMNS, Recount, Sums, add_up, bounds, count,
    marker, refused,
};
use crate::event::{Epoch, Marker, RefusedBatches};
use crate::store::sqlite::{fault, moment, open_to_read};
use crate::store::{StoreError, migrations};

/// Reads the facts of every epoch, oldest first.
///
/// # Errors
///
/// When the file can't be read, or has another schema.
pub(super) fn read(path: &Path) -> Result<Vec<Facts>, StoreError> {
    let mut connection = open_to_read(path)?;
    migrations::sqlite::ensure(&mut connection)?;
    let store = format!("sqlite:{}", path.display());
    read_all(&mut connection).map_err(|error| fault(&store, &error))
}

fn read_all(connection: &mut Connection) -> Result<Vec<Facts>, Error> {
    // One transaction: everything is of one moment.
    let transaction = connection.transaction()?;
    let ledgers = by_epoch(&transaction, LEDGERS, ledger)?;
    let minutes = by_epoch(&transaction, MINUTES, |row| sums(row, 1))?;
    let hours = by_epoch(&transaction, HOURS, |row| sums(row, 1))?;
    let astray = by_epoch(&transaction, HOURS_ASTRAY, |row| Ok(count(row.get(1)?)))?;
    let mut epochs: BTreeSet<i64> =
        ledgers.keys().chain(minutes.keys()).chain(astray.keys()).copied().collect();
    epochs.extend(by_epoch(&transaction, EPOCHS, |_row| Ok(()))?.into_keys());
    let known = epochs.into_iter().filter_map(Epoch::from_stored);
    known
        .map(|epoch| {
            let stored = epoch.stored();
            let ledger = ledgers.get(&stored).copied().unwrap_or_default();
            let spans = [&minutes, &hours].map(|of| of.get(&stored).copied().unwrap_or_default());
            let mut of_epoch = read_epoch(&transaction, epoch, ledger, spans)?;
            of_epoch.hours_astray = astray.get(&stored).copied().unwrap_or_default();
            Ok(of_epoch)
        })
        .collect()
}

/// The answer to a question about every epoch, whose first column is the epoch.
fn by_epoch<T>(
    connection: &Connection,
    question: &str,
    read: impl Fn(&Row<'_>) -> Result<T, Error>,
) -> Result<BTreeMap<i64, T>, Error> {
    let mut statement = connection.prepare(question)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, read(row)?)))?;
    rows.collect()
}

fn read_epoch(
    connection: &Connection,
    epoch: Epoch,
    ledger: Ledger,
    [minutes, hours]: [Sums; 2],
) -> Result<Facts, Error> {
    let stored = epoch.stored();
    let markers = markers(connection, stored)?;
    let rows = recount(connection, stored, &bounds(&markers))?;
    let (pruned, pruned_upto) = connection
        .prepare_cached(PRUNED)?
        .query_row([stored], |row| Ok((sums(row, 0)?, count(row.get(3)?))))?;
    let quarantined_too =
        connection.prepare_cached(QUARANTINED_TOO)?.query_row([stored], |row| row.get(0))?;
    Ok(Facts {
        epoch,
        row: connection.prepare_cached(EPOCH)?.query_row([stored], epoch_row).optional()?,
        ledger,
        thinned: count(connection.prepare_cached(THINNED)?.query_row([stored], |row| row.get(0))?),
        markers,
        rows,
        quarantine: quarantine(connection, stored)?,
        quarantined_too: count(quarantined_too),
        refused: refused_batches(connection, stored)?,
        pruned,
        pruned_upto,
        minutes,
        hours,
        hours_astray: 0,
    })
}

/// Three columns from `at` on.
fn sums(row: &Row<'_>, at: usize) -> Result<Sums, Error> {
    Ok(Sums::stored(row.get(at)?, row.get(at + 1)?, row.get(at + 2)?))
}

fn epoch_row(row: &Row<'_>) -> Result<EpochRow, Error> {
    Ok(EpochRow {
        sensor: row.get(0)?,
        started: moment(row.get(1)?),
        state: row.get(2)?,
        batches: count(row.get(3)?),
        committed: sums(row, 4)?,
        quarantined: sums(row, 7)?,
    })
}

fn ledger(row: &Row<'_>) -> Result<Ledger, Error> {
    Ok(Ledger {
        batches: count(row.get(1)?),
        last: count(row.get(2)?),
        committed: sums(row, 3)?,
        quarantined: sums(row, 6)?,
    })
}

fn markers(connection: &Connection, epoch: i64) -> Result<Vec<Marker>, Error> {
    let query = format!("SELECT {MARKER_COLUMNS} FROM accounting WHERE epoch = ?1 ORDER BY number");
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map([epoch], |row| {
        let mut totals = [0; 9];
        for (total, at) in totals.iter_mut().zip(3..) {
            *total = row.get(at)?;
        }
        let stages: String = row.get(12)?;
        Ok(marker(row.get(0)?, moment(row.get(1)?), row.get(2)?, totals, &stages))
    })?;
    rows.collect()
}

fn quarantine(connection: &Connection, epoch: i64) -> Result<Vec<(u64, Sums)>, Error> {
    let mut statement = connection.prepare_cached(QUARANTINE)?;
    let rows = statement.query_map(params![epoch], |row| {
        Ok((count(row.get(0)?), Sums::stored(1, row.get(1)?, row.get(2)?)))
    })?;
    rows.collect()
}

fn refused_batches(connection: &Connection, epoch: i64) -> Result<Vec<RefusedBatches>, Error> {
    let query = format!(
        "SELECT {REFUSED_COLUMNS} FROM refused_batches WHERE epoch = ?1 ORDER BY last_batch"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map([epoch], |row| {
        let mut columns = [0; 7];
        for (at, column) in columns.iter_mut().enumerate() {
            *column = row.get(at)?;
        }
        Ok(refused(columns))
    })?;
    rows.collect()
}

/// One pass.
fn recount(connection: &Connection, epoch: i64, bounds: &[u64]) -> Result<Recount, Error> {
    let mut recount = Recount::default();
    let mut between = vec![Sums::default(); bounds.len() + 1];
    let mut at = 0;
    let mut statement = connection.prepare_cached(ROWS)?;
    let mut rows = statement.query([epoch])?;
    let mut before = None;
    while let Some(row) = rows.next()? {
        let number = count(row.get(0)?);
        let one = Sums::stored(1, row.get(1)?, row.get(2)?);
        if before.replace(number) != Some(number) {
            recount.distinct += 1;
        }
        while bounds.get(at).is_some_and(|bound| *bound < number) {
            at += 1;
        }
        if let Some(sums) = between.get_mut(at) {
            *sums += one;
        }
        recount.all += one;
        recount.last = number;
    }
    recount.upto = add_up(bounds, &between);
    Ok(recount)
}

/// Epochs of events are found by jumping from one to the next along the index; a plain DISTINCT looks at every row.
const EPOCHS: &str = "WITH RECURSIVE jump (epoch) AS (SELECT min(epoch) FROM packet_logs UNION ALL \
     SELECT (SELECT min(p.epoch) FROM packet_logs AS p WHERE p.epoch > jump.epoch) FROM jump WHERE jump.epoch IS NOT NULL) \
     SELECT epoch FROM jump WHERE epoch IS NOT NULL UNION SELECT epoch FROM epochs UNION SELECT epoch FROM accounting \
     UNION SELECT epoch FROM quarantine";

const EPOCH: &str = "SELECT sensor, started_at, state, batches, rows, packets, alerts, quarantined_rows, quarantined_packets, \
     quarantined_alerts FROM epochs WHERE epoch = ?1";

const LEDGERS: &str = "SELECT epoch, sum(batches), max(upto), sum(rows), sum(packets), sum(alerts), sum(quarantined_rows), \
     sum(quarantined_packets), sum(quarantined_alerts) FROM ledger GROUP BY epoch";

const THINNED: &str = "SELECT coalesce(sum(markers), 0) FROM folded_batches WHERE epoch = ?1";

const ROWS: &str = "SELECT number, count, alerts FROM packet_logs WHERE epoch = ?1 ORDER BY number";

const QUARANTINE: &str =
    "SELECT number, count, alerts FROM quarantine WHERE epoch = ?1 ORDER BY number";

const QUARANTINED_TOO: &str = "SELECT count(*) FROM quarantine AS q WHERE q.epoch = ?1 \
     AND EXISTS (SELECT 1 FROM packet_logs AS p WHERE p.epoch = q.epoch AND p.number = q.number)";

const PRUNED: &str = "SELECT coalesce(sum(rows), 0), coalesce(sum(packets), 0), coalesce(sum(alerts), 0), coalesce(max(upto), 0) \
     FROM pruned WHERE epoch = ?1";

const MINUTES: &str = "SELECT epoch, coalesce(sum(events), 0), coalesce(sum(packets), 0), coalesce(sum(alerts), 0) \
     FROM event_minutes GROUP BY epoch";

const HOURS: &str = "SELECT epoch, coalesce(sum(events), 0), coalesce(sum(packets), 0), coalesce(sum(alerts), 0) \
     FROM event_hours GROUP BY epoch";

/// Hours by the minutes in them as the migration that made the first of them has it.
const HOURS_ASTRAY: &str = "SELECT epoch, count(*) FROM (SELECT epoch FROM \
     (SELECT epoch, hour, verdict, events FROM event_hours UNION ALL \
     SELECT epoch, max(minute - (minute % 3600000000 + 3600000000) % 3600000000, -9223369200000000), verdict, -events FROM event_minutes) AS both_ways \
     GROUP BY epoch, hour, verdict HAVING sum(events) <> 0) AS astray GROUP BY epoch";
