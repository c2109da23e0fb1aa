//! Old rows of the ledger are added up, old markers thinned out; see [`fold`].

use std::time::Instant;

use rusqlite::{Connection, Error, Transaction, TransactionBehavior, params};

use super::codec::micros;
use super::commit::as_stored;
use crate::store::fold;
use crate::time::Timestamp;

/// Nanoseconds between two searches for what has become old.
const SEARCH_EVERY: u64 = 600 * 1_000_000_000;

/// What is known from one call to the next.
#[derive(Debug, Default)]
pub(super) struct Folding {
    /// When a search found nothing left to fold.
    searched: Option<Timestamp>,
    /// The last run that a search has done with: the next call goes on behind it.
    done: Option<i64>,
}

impl Folding {
    /// Folds what is old, for as long as there is time. Returns whether there is more.
    pub(super) fn run(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let since = |last: Timestamp| now.as_nanos().abs_diff(last.as_nanos());
        if self.searched.is_some_and(|last| since(last) < SEARCH_EVERY) {
            return Ok(false);
        }
        let before = micros(now.plus_nanos(-fold::AFTER_SECONDS * 1_000_000_000));
        let after = self.done.unwrap_or(i64::MIN);
        for (sensor, epoch) in runs(connection, before, after)? {
            loop {
                if Instant::now() >= deadline {
                    return Ok(true);
                }
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let slice = Slice { transaction: &transaction, sensor: &sensor, epoch, before };
                let folded = slice.fold_ledger()? + slice.thin_markers()?;
                transaction.commit()?;
                if folded == 0 {
                    self.done = Some(epoch);
                    break;
                }
            }
        }
        self.done = None;
        self.searched = Some(now);
        Ok(false)
    }
}

/// The runs behind `after` that have old rows beside their last.
fn runs(connection: &Connection, before: i64, after: i64) -> Result<Vec<(String, i64)>, Error> {
    let mut runs = connection.prepare_cached(RUNS)?;
    runs.query_map([before, after], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Some of one run.
struct Slice<'a> {
    transaction: &'a Transaction<'a>,
    sensor: &'a str,
    epoch: i64,
    before: i64,
}

impl Slice<'_> {
    /// Returns how many rows of the ledger went.
    fn fold_ledger(&self) -> Result<usize, Error> {
        let Self { transaction, sensor, epoch, before } = *self;
        let mut find = transaction.prepare_cached(OLD_BATCHES)?;
        let found = find.query_row(params![sensor, epoch, before, SLICE_ROWS], |row| row.get(0));
        let upto: Option<i64> = found?;
        let Some(upto) = upto else { return Ok(0) };
        transaction.prepare_cached(FOLD)?.execute(params![sensor, epoch, upto])?;
        transaction.prepare_cached(REMOVE_BATCHES)?.execute(params![sensor, epoch, upto])
    }

    /// Returns how many markers were looked at, or at least 1 if any was.
    fn thin_markers(&self) -> Result<usize, Error> {
        let Self { transaction, sensor, epoch, before } = *self;
        let mut find = transaction.prepare_cached(OLD_MARKERS)?;
        let found = find.query_row(params![sensor, epoch, before, SLICE_ROWS], |row| row.get(0));
        let upto: Option<i64> = found?;
        let Some(upto) = upto else { return Ok(0) };
        let removed = transaction.prepare_cached(REMOVE_MARKERS)?.execute(params![
            sensor,
            epoch,
            upto,
            fold::MARKERS_KEPT
        ])?;
        transaction.prepare_cached(NOTE_MARKERS)?.execute(params![
            sensor,
            epoch,
            upto,
            as_stored(u64::try_from(removed).unwrap_or(u64::MAX))
        ])?;
        Ok(removed.max(1))
    }
}

/// Fewer than a server takes at once: batches wait meanwhile.
const SLICE_ROWS: u32 = fold::SLICE_ROWS / 10;

const RUNS: &str = "SELECT sensor, epoch FROM epochs AS e WHERE started_at < ?1 AND epoch > ?2 \
     AND (SELECT count(*) FROM (SELECT 1 FROM ingest_batches AS b WHERE b.sensor = e.sensor AND b.epoch = e.epoch LIMIT 2)) > 1 \
     ORDER BY epoch";

/// The last batch stays: it says when the run last committed something.
const OLD_BATCHES: &str = "SELECT max(batch_no) FROM (SELECT batch_no, committed_at FROM ingest_batches \
     WHERE sensor = ?1 AND epoch = ?2 ORDER BY batch_no LIMIT ?4) WHERE committed_at < ?3 \
     AND batch_no < (SELECT max(batch_no) FROM ingest_batches WHERE sensor = ?1 AND epoch = ?2)";

const FOLD: &str = "INSERT INTO folded_batches (sensor, epoch, upto, batches, rows, packets, alerts, quarantined_rows, \
     quarantined_packets, quarantined_alerts) SELECT sensor, epoch, max(batch_no), count(*), sum(rows), sum(packets), sum(alerts), \
     sum(quarantined_rows), sum(quarantined_packets), sum(quarantined_alerts) FROM ingest_batches \
     WHERE sensor = ?1 AND epoch = ?2 AND batch_no <= ?3 GROUP BY sensor, epoch \
     ON CONFLICT (sensor, epoch) DO UPDATE SET upto = excluded.upto, batches = batches + excluded.batches, rows = rows + excluded.rows, \
     packets = packets + excluded.packets, alerts = alerts + excluded.alerts, \
     quarantined_rows = quarantined_rows + excluded.quarantined_rows, \
     quarantined_packets = quarantined_packets + excluded.quarantined_packets, \
     quarantined_alerts = quarantined_alerts + excluded.quarantined_alerts";

const REMOVE_BATCHES: &str =
    "DELETE FROM ingest_batches WHERE sensor = ?1 AND epoch = ?2 AND batch_no <= ?3";

/// Only of a run whose ledger has been folded: that is where it is noted.
const OLD_MARKERS: &str = "SELECT max(number) FROM (SELECT a.number, a.at FROM accounting AS a JOIN folded_batches AS f \
     ON f.sensor = ?1 AND f.epoch = a.epoch WHERE a.epoch = ?2 AND a.number > f.markers_upto \
     AND a.number < (SELECT max(number) FROM accounting WHERE epoch = ?2 AND kind <> 3) ORDER BY a.number LIMIT ?4) WHERE at < ?3";

const REMOVE_MARKERS: &str = "DELETE FROM accounting WHERE epoch = ?2 AND number <= ?3 AND kind = 1 AND number % ?4 <> 0 \
     AND number > (SELECT markers_upto FROM folded_batches WHERE sensor = ?1 AND epoch = ?2)";

const NOTE_MARKERS: &str = "UPDATE folded_batches SET markers_upto = ?3, markers = markers + ?4 WHERE sensor = ?1 AND epoch = ?2";
