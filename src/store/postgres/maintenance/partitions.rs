//! A partition for each day, made before the day comes.

use super::{Day, EVENTS, RULES, Run};
use crate::store::{Maintained, StoreError};

/// A partition of `packet_logs`.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) name: String,
    /// Its day; `None` for the default partition, and for one that somebody else has made.
    pub(super) day: Option<Day>,
    /// Bytes on disk, with indices and the partition of rules beside it.
    pub(super) bytes: u64,
}

/// Where rows lie that have no partition of their day.
pub(super) const DEFAULT: &str = "packet_logs_default";

impl Run<'_> {
    /// Makes the partitions of yesterday, today and the next days.
    ///
    /// Of a day that has already put more than [`MOVED_ROWS_MAX`] rows into the default partition none is made: its rows stay there,
    /// where retention finds them by when they were recorded.
    pub(super) async fn make_partitions(&self, done: &mut Maintained) -> Result<(), StoreError> {
        let there: Vec<_> = self.partitions().await?.iter().filter_map(|p| p.day).collect();
        let today = Day::of(self.now);
        for day in (-1..=DAYS_AHEAD).map(|ahead| today.plus(ahead)) {
            if !there.contains(&day) && self.make_partition(day).await? {
                done.partitions_made += 1;
            }
        }
        Ok(())
    }

    /// The partitions that there are, by name, and so by day.
    pub(super) async fn partitions(&self) -> Result<Vec<Partition>, StoreError> {
        let question = "SELECT c.relname, coalesce(pg_total_relation_size(c.oid), 0) \
             + coalesce(pg_total_relation_size(to_regclass(replace(c.relname, 'packet_logs', 'event_rules'))), 0) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE i.inhparent = 'packet_logs'::regclass ORDER BY c.relname";
        let rows = self.rows(question, &[]).await?;
        let partition = |row: &tokio_postgres::Row| {
            let (name, bytes): (String, i64) = (row.get(0), row.get(1));
            Partition { day: Day::of_partition(&name), bytes: bytes.unsigned_abs(), name }
        };
        Ok(rows.iter().map(partition).collect())
    }

    /// Whether it was made.
    async fn make_partition(&self, day: Day) -> Result<bool, StoreError> {
        let (from, to) = (day.bound(), day.plus(1).bound());
        let within = format!("time >= {from} AND time < {to}");
        let count = format!(
            "SELECT count(*) FROM (SELECT FROM {DEFAULT} WHERE {within} LIMIT {MOVED_ROWS_MAX} + 1) AS strays"
        );
        let rows = self.rows(&count, &[]).await?;
        let strays: i64 = rows.first().map_or(0, |row| row.get(0));
        if strays > MOVED_ROWS_MAX {
            return Ok(false);
        }
        let mut statements = Vec::new();
        let mut undo = Vec::new();
        if strays == 0 {
            for table in [EVENTS, RULES] {
                self.promise(table, &within).await?;
                undo.push(format!(
                    "ALTER TABLE {table}_default DROP CONSTRAINT IF EXISTS {PROMISE}"
                ));
            }
        }
        for (table, name) in [(EVENTS, day.partition()), (RULES, day.rules_partition())] {
            // Made apart and attached, which holds up nobody who reads or writes other partitions.
            statements.push(format!(
                "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"
            ));
            if strays > 0 {
                // PostgreSQL attaches no partition for rows that lie in the default one, so they move, and nobody may add to them
                // meanwhile.
                statements.push(format!(
                    "LOCK TABLE {table}_default IN SHARE ROW EXCLUSIVE MODE; WITH moved AS (DELETE FROM {table}_default \
                     WHERE {within} RETURNING *) INSERT INTO {name} SELECT * FROM moved"
                ));
            }
            statements.push(format!(
                "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"
            ));
        }
        statements.extend(undo);
        self.transaction(&statements.join("; ")).await?;
        Ok(true)
    }

    /// Has the default partition of `table` known to hold nothing `within` a day. That spares the server a look at all its rows when
    /// it attaches the partition of that day, under a lock that nobody gets past; finding out goes on beside everything else.
    async fn promise(&self, table: &str, within: &str) -> Result<(), StoreError> {
        let default = format!("{table}_default");
        self.transaction(&format!(
            "ALTER TABLE {default} DROP CONSTRAINT IF EXISTS {PROMISE}; \
             ALTER TABLE {default} ADD CONSTRAINT {PROMISE} CHECK (NOT ({within})) NOT VALID"
        ))
        .await?;
        self.transaction(&format!("ALTER TABLE {default} VALIDATE CONSTRAINT {PROMISE}")).await
    }
}

/// The name of a check that stands while a partition is made.
const PROMISE: &str = "not_of_the_day";

/// Days after today that have their partition already.
const DAYS_AHEAD: i64 = 3;

/// Rows that are moved out of the default partition in one transaction.
const MOVED_ROWS_MAX: i64 = 100_000;
