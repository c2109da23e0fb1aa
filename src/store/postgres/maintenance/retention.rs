//! What is too old, or too much, is removed and counted in the same transaction.

use tokio_postgres::Row;

use super::partitions::{DEFAULT, Partition};
use super::{BEGIN, Day, Run, moment};
use crate::store::{Maintained, StoreError};

impl Run<'_> {
    /// Removes what was recorded more than `days` ago. Returns whether that was all of it.
    pub(super) async fn prune_by_days(
        &self,
        days: u32,
        done: &mut Maintained,
    ) -> Result<bool, StoreError> {
        let days = i64::from(days);
        let cutoff = self.now.plus_nanos(days.saturating_mul(-Day::SECONDS * 1_000_000_000));
        let old = format!("recorded_at < {}", moment(cutoff));
        for partition in self.partitions().await? {
            let over = partition.day.is_some_and(|day| day.plus(1).start() <= cutoff);
            // Rows that came late, from a spool or a capture, keep their partition until they are old too.
            if over && !self.holds(&partition.name, &format!("NOT {old}")).await? {
                self.drop_partition(&partition.name, done).await?;
            }
        }
        let mut whole = self.delete_events(DEFAULT, &old, "recorded_at", ROWS_MAX, done).await?;
        for (table, column) in [
            ("sessions", "recorded_at"),
            ("incidents", "recorded_at"),
            ("source_profiles", "recorded_at"),
            ("labels", "at"),
        ] {
            let old = format!("{column} < {}", moment(cutoff));
            whole &= self.delete(table, &old).await?;
        }
        Ok(whole & self.forget_epochs(&moment(cutoff)).await?)
    }

    /// Removes the oldest events as long as the store takes more than `limit`; says what it takes then.
    pub(super) async fn prune_by_bytes(
        &self,
        limit: Option<u64>,
        done: &mut Maintained,
    ) -> Result<(), StoreError> {
        let limit = limit.unwrap_or(u64::MAX);
        let today = Day::of(self.now);
        let mut partitions = self.partitions().await?;
        let others = self.bytes_of_other_tables().await?;
        let taken = |partitions: &[Partition]| {
            partitions.iter().fold(others, |sum, partition| sum.saturating_add(partition.bytes))
        };
        while taken(&partitions) > limit {
            // That of yesterday, empty as it was made, would only be made again.
            let is_old =
                |p: &Partition, day| day < today && (p.bytes > EMPTY_BYTES || day < today.plus(-1));
            let oldest = partitions.iter().position(|p| p.day.is_some_and(|day| is_old(p, day)));
            let Some(oldest) = oldest else { break };
            let oldest = partitions.remove(oldest);
            self.drop_partition(&oldest.name, done).await?;
        }
        // What is left lies in one table each, which does not shrink when rows go. So their rows are what counts.
        for partition in &mut partitions {
            partition.bytes = partition.bytes.min(partition.rows.saturating_mul(ROW_BYTES));
        }
        for name in [DEFAULT.to_owned(), today.partition()] {
            let excess = taken(&partitions).saturating_sub(limit);
            let Some(partition) = partitions.iter_mut().find(|p| p.name == name) else { continue };
            if excess > 0 && partition.rows > 0 {
                let rows = excess.div_ceil(ROW_BYTES).min(partition.rows).min(ROWS_MAX);
                self.delete_events(&name, "true", "time", rows, done).await?;
                partition.rows -= rows;
                partition.bytes = partition.bytes.min(partition.rows.saturating_mul(ROW_BYTES));
            }
        }
        done.bytes = taken(&partitions);
        done.rows_estimate = partitions.iter().map(|partition| partition.rows).sum();
        Ok(())
    }

    /// Whether a table holds such a row.
    async fn holds(&self, table: &str, condition: &str) -> Result<bool, StoreError> {
        let question = format!("SELECT EXISTS (SELECT FROM {table} WHERE {condition})");
        Ok(self.rows(&question, &[]).await?.first().is_some_and(|row| row.get(0)))
    }

    /// Counts a partition into `pruned` and drops it. The lock on `packet_logs` comes last: it is held for the drop alone.
    async fn drop_partition(&self, name: &str, done: &mut Maintained) -> Result<(), StoreError> {
        self.execute(&format!("{BEGIN}; LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")).await?;
        let count = counted(&format!("SELECT * FROM {name}"), &moment(self.now));
        let counted = self.rows(&count, &[]).await?;
        self.execute(&format!("DROP TABLE {name}; COMMIT")).await?;
        add(&counted, done);
        Ok(())
    }

    /// Deletes events of one partition in slices, by `order`, at most `limit` of them. Returns whether none is left to delete.
    async fn delete_events(
        &self,
        partition: &str,
        condition: &str,
        order: &str,
        limit: u64,
        done: &mut Maintained,
    ) -> Result<bool, StoreError> {
        let mut left = limit;
        while left > 0 {
            let slice = left.min(SLICE_ROWS);
            // By time there is an index; by when they were recorded they lie in the table already.
            let order = if order == "time" { "ORDER BY time" } else { "" };
            let delete = format!(
                "DELETE FROM {partition} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {partition} WHERE {condition} {order} LIMIT {slice})) \
                 RETURNING *"
            );
            // One statement, so one transaction.
            let counted = self.rows(&counted(&delete, &moment(self.now)), &[]).await?;
            let deleted = add(&counted, done);
            if deleted < slice {
                return Ok(true);
            }
            left -= slice;
        }
        Ok(false)
    }

    /// Deletes rows in slices. Returns whether none is left to delete.
    async fn delete(&self, table: &str, condition: &str) -> Result<bool, StoreError> {
        for _ in 0..ROWS_MAX / SLICE_ROWS {
            let delete = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {condition} LIMIT {SLICE_ROWS}))"
            );
            let deleted =
                self.config.answer_by(super::STATEMENT_MAX, self.client.execute(&delete, &[]));
            if deleted.await? < SLICE_ROWS {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the ledger, the markers, the quarantine and the counts of runs of which no event is left and that committed nothing
    /// since `cutoff`. As long as an event is there they stay, all of them: they prove each other.
    async fn forget_epochs(&self, cutoff: &str) -> Result<bool, StoreError> {
        let question = format!(
            "SELECT epoch FROM epochs e WHERE started_at < {cutoff} \
             AND NOT EXISTS (SELECT FROM packet_logs p WHERE p.epoch = e.epoch) \
             AND coalesce((SELECT committed_at < {cutoff} FROM ingest_batches b WHERE b.sensor = e.sensor AND b.epoch = e.epoch \
             ORDER BY batch_no DESC LIMIT 1), true) LIMIT {EPOCHS_MAX}"
        );
        let gone = self.rows(&question, &[]).await?;
        for row in &gone {
            let epoch: i64 = row.get(0);
            let of_epoch = format!("epoch = {epoch}");
            for table in ["ingest_batches", "accounting", "quarantine", "pruned"] {
                if !self.delete(table, &of_epoch).await? {
                    return Ok(false);
                }
            }
            self.delete("epochs", &of_epoch).await?;
        }
        Ok(gone.len() < EPOCHS_MAX)
    }

    async fn bytes_of_other_tables(&self) -> Result<u64, StoreError> {
        let question = "SELECT coalesce(sum(pg_total_relation_size(name::regclass)), 0)::bigint FROM unnest($1::text[]) AS t (name)";
        let rows = self.rows(question, &[&&OTHER_TABLES[..]]).await?;
        let bytes = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(bytes.try_into().unwrap_or_default())
    }
}

/// Counts what `rows` yields into `pruned` by epoch, and says what was counted.
fn counted(rows: &str, now: &str) -> String {
    let sum = |column| format!("least(sum({column}), 9223372036854775807)::bigint");
    format!(
        "WITH gone AS ({rows}) INSERT INTO pruned (epoch, at, upto, rows, packets, alerts) \
         SELECT epoch, {now}, max(number), count(*), {}, {} FROM gone GROUP BY epoch RETURNING rows, packets",
        sum("count"),
        sum("alerts"),
    )
}

/// Adds what was counted. Returns how many rows.
fn add(counted: &[Row], done: &mut Maintained) -> u64 {
    let sum = |column: usize| {
        let numbers = counted.iter().map(|row| row.get::<_, i64>(column).unsigned_abs());
        numbers.fold(0, u64::saturating_add)
    };
    done.pruned_rows = done.pruned_rows.saturating_add(sum(0));
    done.pruned_packets = done.pruned_packets.saturating_add(sum(1));
    sum(0)
}

/// Every table but `packet_logs`.
const OTHER_TABLES: [&str; 10] = [
    "epochs",
    "sessions",
    "incidents",
    "source_profiles",
    "ingest_batches",
    "accounting",
    "quarantine",
    "pruned",
    "labels",
    "models",
];

/// An empty partition with its indices takes less.
const EMPTY_BYTES: u64 = 256 * 1024;

/// Rows deleted by one statement.
const SLICE_ROWS: u64 = 10_000;

/// Rows deleted from one table in one run: the writer is waiting.
const ROWS_MAX: u64 = 100_000;

/// Runs forgotten in one go.
const EPOCHS_MAX: usize = 100;

/// What an event takes in a table and its indices, roughly: 430 bytes of row and 270 of index entries.
const ROW_BYTES: u64 = 700;
