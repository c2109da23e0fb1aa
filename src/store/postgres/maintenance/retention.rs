//! What is too old, or too much, is removed and counted in the same transaction.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::partitions::{DEFAULT, Partition};
use super::{BEGIN, Day, EVENTS, RULES, Run, moment};
use crate::store::rollup::Rollup;
use crate::store::{Maintained, StoreError};
use crate::time::NANOS_PER_SECOND;

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
        let mut whole = self.delete_events(DEFAULT, &old, Order::AsTheyLie, ROWS_MAX, done).await?;
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
        if taken(&partitions) > limit {
            self.prune_rows(limit, taken(&partitions), &mut partitions, done).await?;
        }
        done.bytes = taken(&partitions);
        done.rows_estimate = self.rows_of_events().await?;
        Ok(())
    }

    /// Removes rows of the default partition and of today's, which do not shrink when rows go: so their rows are what counts.
    async fn prune_rows(
        &self,
        limit: u64,
        mut taken: u64,
        partitions: &mut [Partition],
        done: &mut Maintained,
    ) -> Result<(), StoreError> {
        let mut removed = false;
        let days = self.rows_by_day().await?;
        let today = Day::of(self.now);
        let has_partition = |day: &Day| partitions.iter().any(|p| p.day == Some(*day));
        let strays = days.iter().filter(|(day, _)| !has_partition(day)).map(|(_, rows)| rows).sum();
        let of_today = days.get(&today).copied().unwrap_or_default();
        for (name, mut rows) in [(DEFAULT.to_owned(), strays), (today.partition(), of_today)] {
            let Some(partition) = partitions.iter_mut().find(|p| p.name == name) else { continue };
            taken -= partition.bytes;
            partition.bytes = partition.bytes.min(rows.saturating_mul(ROW_BYTES));
            let excess = taken.saturating_add(partition.bytes).saturating_sub(limit);
            let gone = excess.div_ceil(ROW_BYTES).min(rows).min(ROWS_MAX);
            if gone > 0 {
                removed = true;
                self.delete_events(&name, "true", Order::OldestFirst, gone, done).await?;
                rows -= gone;
                partition.bytes = partition.bytes.min(rows.saturating_mul(ROW_BYTES));
            }
            taken = taken.saturating_add(partition.bytes);
        }
        // With nothing left to remove there is nothing to go on with.
        done.unfinished |= taken > limit && removed;
        Ok(())
    }

    /// Rows of events by day, from the sums by hour: exact, and no look at the rows.
    async fn rows_by_day(&self) -> Result<BTreeMap<Day, u64>, StoreError> {
        let question = "SELECT floor(extract(epoch FROM hour) / 86400)::bigint, sum(events)::bigint FROM event_hours GROUP BY 1";
        let rows = self.rows(question, &[]).await?;
        Ok(rows.iter().map(|row| (Day(row.get(0)), row.get::<_, i64>(1).unsigned_abs())).collect())
    }

    /// Rows of events that were committed and not pruned since.
    async fn rows_of_events(&self) -> Result<u64, StoreError> {
        let question = "SELECT (coalesce((SELECT sum(rows - quarantined_rows) FROM epochs), 0) \
             - coalesce((SELECT sum(rows) FROM pruned), 0))::bigint";
        let rows = self.rows(question, &[]).await?;
        let rows = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        Ok(rows.try_into().unwrap_or_default())
    }

    /// Whether a table holds such a row.
    async fn holds(&self, table: &str, condition: &str) -> Result<bool, StoreError> {
        let question = format!("SELECT EXISTS (SELECT FROM {table} WHERE {condition})");
        Ok(self.rows(&question, &[]).await?.first().is_some_and(|row| row.get(0)))
    }

    /// Counts a partition out and drops it. The lock on the whole table comes last: it is held for the drop alone.
    async fn drop_partition(&self, name: &str, done: &mut Maintained) -> Result<(), StoreError> {
        self.execute(&format!("{BEGIN}; LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")).await?;
        let gone = format!(
            "SELECT epoch, number, time, verdict, count, alerts, weight, threat_score FROM {name}"
        );
        let counted = self.rows(&counted_out(&gone, None, &moment(self.now)), &[]).await?;
        let rules = rules_of(name);
        self.execute(&format!("{NO_EMPTY_SPANS}; DROP TABLE {rules}, {name}; COMMIT")).await?;
        add(&counted, done);
        Ok(())
    }

    /// Deletes events of one partition in slices, by `order`, at most `limit` of them. Returns whether none is left to delete.
    async fn delete_events(
        &self,
        partition: &str,
        condition: &str,
        order: Order,
        limit: u64,
        done: &mut Maintained,
    ) -> Result<bool, StoreError> {
        let (mut left, mut all) = (limit, false);
        let rules = rules_of(partition);
        while left > 0 && !all {
            let slice = left.min(SLICE_ROWS);
            let order = match order {
                Order::AsTheyLie => "",
                Order::OldestFirst => "ORDER BY time",
            };
            let gone = format!(
                "DELETE FROM {partition} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {partition} WHERE {condition} {order} LIMIT {slice})) \
                 RETURNING epoch, number, time, verdict, count, alerts, weight, threat_score, rules"
            );
            // One statement, so one transaction.
            let count = counted_out(&gone, Some(&rules), &moment(self.now));
            let counted = self.rows(&count, &[]).await?;
            all = add(&counted, done) < slice;
            left -= slice;
        }
        if limit > 0 {
            self.execute(NO_EMPTY_SPANS).await?;
        }
        Ok(all)
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
            for table in OF_EPOCH {
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

/// In which order events are deleted.
#[derive(Clone, Copy)]
enum Order {
    /// Roughly by when they were recorded.
    AsTheyLie,
    /// By when they passed.
    OldestFirst,
}

/// The partition of rules beside a partition of events.
fn rules_of(partition: &str) -> String {
    partition.replacen(EVENTS, RULES, 1)
}

/// Counts the events that `gone` yields into `pruned` by epoch and takes them out of the sums by minute and by hour, and their
/// rules out of the partition of `rules`. Says what was counted.
fn counted_out(gone: &str, rules: Option<&str>, now: &str) -> String {
    const MOST: &str = "9223372036854775807";
    let sum = |value: &str| format!("least(sum({value}), {MOST})::bigint");
    let (packets, alerts, weight) = (sum("count"), sum("alerts"), sum("weight"));
    // The same millionths as those that were added.
    let score = sum(&format!(
        "least(weight * least(greatest(floor(threat_score::float8 * 1000000 + 0.5), 0), {MOST})::numeric, {MOST})"
    ));
    let rules = rules.map_or_else(String::new, |rules| {
        format!(
            ", fired AS (DELETE FROM {rules} r USING (SELECT DISTINCT unnest(rules) AS rule, time, epoch, number FROM gone) g \
             WHERE r.rule = g.rule AND r.time = g.time AND r.epoch = g.epoch AND r.number = g.number)"
        )
    });
    // Bins counted from before all moments: those of a time zone need not begin with the hour.
    let spans = Rollup::ALL.map(|rollup| {
        let (table, column, earliest) = (rollup.table(), rollup.column(), moment(rollup.earliest()));
        let seconds = rollup.nanos() / NANOS_PER_SECOND;
        format!(
            ", gone_{table} AS (SELECT epoch, greatest(date_bin(interval '{seconds} s', time, timestamptz '1600-01-01 00:00:00Z'), {earliest}) AS start, \
             verdict, count(*) AS events, {packets} AS packets, {alerts} AS alerts, {weight} AS weight, {score} AS score FROM gone GROUP BY 1, 2, 3), \
             left_{table} AS (UPDATE {table} m SET events = m.events - g.events, packets = m.packets - g.packets, \
             alerts = m.alerts - g.alerts, weight = m.weight - g.weight, score_micros = m.score_micros - g.score FROM gone_{table} g \
             WHERE m.epoch = g.epoch AND m.{column} = g.start AND m.verdict = g.verdict)"
        )
    });
    let spans = spans.concat();
    format!(
        "WITH gone AS ({gone}){spans}{rules} \
         INSERT INTO pruned (epoch, at, upto, rows, packets, alerts) \
         SELECT epoch, {now}, max(number), count(*), {packets}, {alerts} FROM gone GROUP BY epoch RETURNING rows, packets"
    )
}

/// A span of which nothing is left is none.
const NO_EMPTY_SPANS: &str =
    "DELETE FROM event_minutes WHERE events <= 0; DELETE FROM event_hours WHERE events <= 0";

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

/// What proves a run complete.
const OF_EPOCH: [&str; 6] =
    ["ingest_batches", "folded_batches", "accounting", "quarantine", "refused_batches", "pruned"];

/// Every table but those of events and their rules.
const OTHER_TABLES: [&str; 14] = [
    "event_minutes",
    "event_hours",
    "epochs",
    "sessions",
    "incidents",
    "source_profiles",
    "ingest_batches",
    "accounting",
    "quarantine",
    "folded_batches",
    "refused_batches",
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
