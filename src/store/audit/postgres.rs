//! What PostgreSQL holds of every epoch. The server makes the one pass over the rows: it puts each into the bucket between two
//! markers (PostgreSQL manual, `width_bucket`) and sends a line for each bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, IsolationLevel, Row, Transaction};

use super::facts::{
    EpochRow, Facts, Ledger, MARKER_COLUMNS, REFUSED_COLUMNS, Recount, Sums, add_up, bounds, count,
    marker, refused,
};
use crate::event::{Epoch, Marker};
use crate::store::StoreError;
use crate::store::migrations::check_postgres;
use crate::store::postgres::{PostgresConfig, Role};
use crate::time::Timestamp;

/// Reads the facts of every epoch, oldest first.
///
/// # Errors
///
/// When the server can't be reached, refuses, or has another schema.
pub(super) fn read(config: &PostgresConfig) -> Result<Vec<Facts>, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| config.away(error.to_string()))?;
    let facts = runtime.block_on(async {
        // As a migration, it may look at every row, however long that takes.
        let mut link = config.connect(Role::Migration).await?;
        check_postgres(config, &link.client).await?;
        let read = async {
            // Everything is of one moment, and nothing is changed.
            let transaction = link
                .client
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?;
            read_all(&transaction).await
        };
        read.await.map_err(|error: Error| config.fault(&error))
    });
    // A name that takes long to resolve is not waited for.
    runtime.shutdown_background();
    facts
}

async fn read_all(transaction: &Transaction<'_>) -> Result<Vec<Facts>, Error> {
    let ledgers = by_epoch(transaction, LEDGERS, ledger).await?;
    let minutes = by_epoch(transaction, MINUTES, |row| sums(row, 1)).await?;
    let hours = by_epoch(transaction, HOURS, |row| sums(row, 1)).await?;
    let astray = by_epoch(transaction, HOURS_ASTRAY, |row| count(row.get(1))).await?;
    let mut epochs: BTreeSet<i64> =
        ledgers.keys().chain(minutes.keys()).chain(astray.keys()).copied().collect();
    epochs.extend(by_epoch(transaction, EPOCHS, |_row| ()).await?.into_keys());
    let mut facts = Vec::new();
    for epoch in epochs.into_iter().filter_map(Epoch::from_stored) {
        let stored = epoch.stored();
        let ledger = ledgers.get(&stored).copied().unwrap_or_default();
        let spans = [&minutes, &hours].map(|of| of.get(&stored).copied().unwrap_or_default());
        let mut of_epoch = read_epoch(transaction, epoch, ledger, spans).await?;
        of_epoch.hours_astray = astray.get(&stored).copied().unwrap_or_default();
        facts.push(of_epoch);
    }
    Ok(facts)
}

/// The answer to a question about every epoch, whose first column is the epoch.
async fn by_epoch<T>(
    transaction: &Transaction<'_>,
    question: &str,
    read: impl Fn(&Row) -> T,
) -> Result<BTreeMap<i64, T>, Error> {
    let rows = transaction.query(question, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), read(row))).collect())
}

async fn read_epoch(
    transaction: &Transaction<'_>,
    epoch: Epoch,
    ledger: Ledger,
    [minutes, hours]: [Sums; 2],
) -> Result<Facts, Error> {
    let stored = epoch.stored();
    let of_epoch: &[&(dyn ToSql + Sync)] = &[&stored];
    let row = transaction.query_opt(EPOCH, of_epoch).await?;
    let query = format!("SELECT {MARKER_COLUMNS} FROM accounting WHERE epoch = $1 ORDER BY number");
    let markers: Vec<Marker> =
        transaction.query(&query, of_epoch).await?.iter().map(marker_of).collect();
    let rows = recount(transaction, stored, &bounds(&markers)).await?;
    let quarantine = transaction.query(QUARANTINE, of_epoch).await?;
    let quarantined_too = transaction.query_one(QUARANTINED_TOO, of_epoch).await?;
    let query = format!(
        "SELECT {REFUSED_COLUMNS} FROM refused_batches WHERE epoch = $1 ORDER BY last_batch"
    );
    let refused_batches = transaction.query(&query, of_epoch).await?;
    let thinned = transaction.query_one(THINNED, of_epoch).await?;
    let pruned = transaction.query_one(PRUNED, of_epoch).await?;
    Ok(Facts {
        epoch,
        row: row.as_ref().map(epoch_row),
        ledger,
        thinned: count(thinned.get(0)),
        markers,
        rows,
        quarantine: quarantine
            .iter()
            .map(|row| (count(row.get(0)), Sums::stored(1, row.get(1), row.get(2))))
            .collect(),
        quarantined_too: count(quarantined_too.get(0)),
        refused: refused_batches
            .iter()
            .map(|row| refused(std::array::from_fn(|at| row.get(at))))
            .collect(),
        pruned: sums(&pruned, 0),
        pruned_upto: count(pruned.get(3)),
        minutes,
        hours,
        hours_astray: 0,
    })
}

/// Three columns from `at` on.
fn sums(row: &Row, at: usize) -> Sums {
    Sums::stored(row.get(at), row.get(at + 1), row.get(at + 2))
}

fn epoch_row(row: &Row) -> EpochRow {
    EpochRow {
        sensor: row.get(0),
        started: moment(row.get(1)),
        state: row.get::<_, i16>(2).into(),
        batches: count(row.get(3)),
        committed: sums(row, 4),
        quarantined: sums(row, 7),
    }
}

fn ledger(row: &Row) -> Ledger {
    Ledger {
        batches: count(row.get(1)),
        last: count(row.get(2)),
        committed: sums(row, 3),
        quarantined: sums(row, 6),
    }
}

fn marker_of(row: &Row) -> Marker {
    let mut totals = [0; 9];
    for (total, at) in totals.iter_mut().zip(3..) {
        *total = row.get(at);
    }
    let kind: i16 = row.get(2);
    marker(row.get(0), moment(row.get(1)), kind.into(), totals, row.get(12))
}

async fn recount(
    transaction: &Transaction<'_>,
    epoch: i64,
    bounds: &[u64],
) -> Result<Recount, Error> {
    // One more that no number reaches: an empty list is none to the server.
    let thresholds: Vec<i64> = bounds
        .iter()
        .map(|bound| i64::try_from(*bound).unwrap_or(i64::MAX))
        .chain([i64::MAX])
        .collect();
    let mut recount = Recount::default();
    let mut between = vec![Sums::default(); bounds.len() + 1];
    for row in transaction.query(BUCKETS, &[&epoch, &thresholds]).await? {
        let sums = sums(&row, 1);
        let bucket = usize::try_from(row.get::<_, i32>(0)).ok();
        if let Some(place) = bucket.and_then(|bucket| between.get_mut(bucket)) {
            *place += sums;
        }
        recount.all += sums;
    }
    recount.upto = add_up(bounds, &between);
    let numbers = transaction.query_one(NUMBERS, &[&epoch]).await?;
    recount.distinct = count(numbers.get(0));
    recount.last = count(numbers.get(1));
    Ok(recount)
}

fn moment(time: SystemTime) -> Timestamp {
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()),
        Err(before) => i64::try_from(before.duration().as_nanos()).map(|nanos| -nanos),
    };
    Timestamp::from_nanos(nanos.unwrap_or(i64::MAX))
}

/// Epochs of events are found by jumping from one to the next along the index; a plain DISTINCT looks at every row.
const EPOCHS: &str = "WITH RECURSIVE jump (epoch) AS (SELECT min(epoch) FROM packet_logs UNION ALL \
     SELECT (SELECT min(p.epoch) FROM packet_logs AS p WHERE p.epoch > jump.epoch) FROM jump WHERE jump.epoch IS NOT NULL) \
     SELECT epoch FROM jump WHERE epoch IS NOT NULL UNION SELECT epoch FROM epochs UNION SELECT epoch FROM accounting \
     UNION SELECT epoch FROM quarantine";

const EPOCH: &str = "SELECT sensor, started_at, state, batches, rows, packets, alerts, quarantined_rows, quarantined_packets, \
     quarantined_alerts FROM epochs WHERE epoch = $1";

const LEDGERS: &str = "SELECT epoch, sum(batches)::bigint, max(upto), sum(rows)::bigint, sum(packets)::bigint, sum(alerts)::bigint, \
     sum(quarantined_rows)::bigint, sum(quarantined_packets)::bigint, sum(quarantined_alerts)::bigint FROM ledger GROUP BY epoch";

const THINNED: &str =
    "SELECT coalesce(sum(markers), 0)::bigint FROM folded_batches WHERE epoch = $1";

const MINUTES: &str = "SELECT epoch, sum(events)::bigint, sum(packets)::bigint, sum(alerts)::bigint FROM event_minutes GROUP BY epoch";

const HOURS: &str = "SELECT epoch, sum(events)::bigint, sum(packets)::bigint, sum(alerts)::bigint FROM event_hours GROUP BY epoch";

/// A bucket holds the numbers above the threshold before it up to and with the one behind it.
const BUCKETS: &str = "SELECT width_bucket(number - 1, $2::bigint[]) AS bucket, count(*), sum(count)::bigint, sum(alerts)::bigint \
     FROM packet_logs WHERE epoch = $1 GROUP BY bucket";

const NUMBERS: &str =
    "SELECT count(DISTINCT number), coalesce(max(number), 0) FROM packet_logs WHERE epoch = $1";

const QUARANTINE: &str =
    "SELECT number, count, alerts FROM quarantine WHERE epoch = $1 ORDER BY number";

const QUARANTINED_TOO: &str = "SELECT count(*) FROM quarantine AS q WHERE q.epoch = $1 \
     AND EXISTS (SELECT 1 FROM packet_logs AS p WHERE p.epoch = q.epoch AND p.number = q.number)";

const PRUNED: &str = "SELECT coalesce(sum(rows), 0)::bigint, coalesce(sum(packets), 0)::bigint, coalesce(sum(alerts), 0)::bigint, \
     coalesce(max(upto), 0) FROM pruned WHERE epoch = $1";

/// Hours by the minutes in them as the migration that made the first of them has it.
const HOURS_ASTRAY: &str = "SELECT epoch, count(*) FROM (SELECT epoch FROM \
     (SELECT epoch, hour, verdict, events FROM event_hours UNION ALL \
     SELECT epoch, greatest(date_bin(interval '1 hour', minute, timestamptz '1600-01-01 00:00:00Z'), timestamptz '1677-09-21 01:00:00Z'), verdict, -events FROM event_minutes) AS both_ways \
     GROUP BY epoch, hour, verdict HAVING sum(events) <> 0) AS astray GROUP BY epoch";
