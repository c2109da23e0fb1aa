//! What outlives the events, and goes at last: profiles and labels by their own age, and all that proves a run complete when no event
//! of it is left.

use std::time::Instant;

use rusqlite::{
    Connection, Error, OptionalExtension as _, Transaction, TransactionBehavior, params,
};

use crate::time::Timestamp;

/// Rows of each table in one transaction.
const SLICE_ROWS: u32 = 1000;

/// Nanoseconds between two searches for runs of which nothing is left.
const SEARCH_EVERY: u64 = 600 * 1_000_000_000;

/// What is known from one call to the next.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    /// The last profile that was looked at, by its row.
    walked: i64,
    /// When a search found nothing left to forget.
    searched: Option<Timestamp>,
}

impl Forgetting {
    /// Removes what is older than `before`, in microseconds. Returns whether there is more.
    pub(super) fn run(
        &mut self,
        connection: &mut Connection,
        before: i64,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<bool, Error> {
        self.walk_profiles(connection, before)?;
        if !self.is_due(now) {
            return Ok(false);
        }
        connection.prepare_cached(OLD_LABELS)?.execute([before])?;
        while Instant::now() < deadline {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let gone: Option<i64> = transaction
                .prepare_cached(GONE)?
                .query_row([before], |row| row.get(0))
                .optional()?;
            let Some(epoch) = gone else {
                self.searched = Some(now);
                return Ok(false);
            };
            forget_slice(&transaction, epoch)?;
            transaction.commit()?;
        }
        Ok(true)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let since = |last: Timestamp| now.as_nanos().abs_diff(last.as_nanos());
        self.searched.is_none_or(|last| since(last) >= SEARCH_EVERY)
    }

    /// Looks at some profiles, each time at the next ones: there may be many, they age slowly, and an index on their age would
    /// change with every packet.
    fn walk_profiles(&mut self, connection: &Connection, before: i64) -> Result<(), Error> {
        let mut next = connection.prepare_cached(NEXT_PROFILES)?;
        let last: Option<i64> =
            next.query_row(params![self.walked, SLICE_ROWS], |row| row.get(0))?;
        if let Some(last) = last {
            connection.prepare_cached(OLD_PROFILES)?.execute([self.walked, last, before])?;
        }
        self.walked = last.unwrap_or(0);
        Ok(())
    }
}

/// Removes some of what is kept of a run, its row of `epochs` last.
fn forget_slice(transaction: &Transaction<'_>, epoch: i64) -> Result<(), Error> {
    let mut removed = 0;
    for statement in OF_EPOCH {
        removed += transaction.prepare_cached(statement)?.execute(params![epoch, SLICE_ROWS])?;
    }
    if removed == 0 {
        transaction.prepare_cached(FORGET_EPOCH)?.execute([epoch])?;
    }
    Ok(())
}

const OLD_LABELS: &str = "DELETE FROM labels WHERE at < ?1";

const NEXT_PROFILES: &str = "SELECT max(rowid) FROM (SELECT rowid FROM source_profiles WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)";

const OLD_PROFILES: &str =
    "DELETE FROM source_profiles WHERE rowid > ?1 AND rowid <= ?2 AND recorded_at < ?3";

/// A run of which no event is left and that committed nothing since. As long as an event is there everything stays: they prove each
/// other.
const GONE: &str = "SELECT epoch FROM epochs AS e WHERE started_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM packet_logs AS p WHERE p.epoch = e.epoch) \
     AND coalesce((SELECT committed_at < ?1 FROM ingest_batches AS b WHERE b.sensor = e.sensor AND b.epoch = e.epoch \
     ORDER BY batch_no DESC LIMIT 1), 1) LIMIT 1";

/// Of the ledger the first batches go first: as long as the last one is there, the run is known to be old.
const OF_EPOCH: [&str; 6] = [
    "DELETE FROM accounting WHERE epoch = ?1 AND number IN (SELECT number FROM accounting WHERE epoch = ?1 ORDER BY number LIMIT ?2)",
    "DELETE FROM quarantine WHERE epoch = ?1 AND number IN (SELECT number FROM quarantine WHERE epoch = ?1 ORDER BY number LIMIT ?2)",
    "DELETE FROM folded_batches WHERE rowid IN (SELECT rowid FROM folded_batches WHERE epoch = ?1 LIMIT ?2)",
    "DELETE FROM refused_batches WHERE rowid IN (SELECT rowid FROM refused_batches WHERE epoch = ?1 LIMIT ?2)",
    "DELETE FROM pruned WHERE rowid IN (SELECT rowid FROM pruned WHERE epoch = ?1 LIMIT ?2)",
    "DELETE FROM ingest_batches WHERE sensor = (SELECT sensor FROM epochs WHERE epoch = ?1) AND epoch = ?1 AND batch_no IN \
     (SELECT b.batch_no FROM ingest_batches AS b JOIN epochs AS e ON b.sensor = e.sensor AND b.epoch = e.epoch \
     WHERE e.epoch = ?1 ORDER BY b.batch_no LIMIT ?2)",
];

const FORGET_EPOCH: &str = "DELETE FROM epochs WHERE epoch = ?1";
