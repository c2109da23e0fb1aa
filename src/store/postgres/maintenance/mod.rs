//! What has to be done now and then: partitions made ahead, what is too old removed and counted.
//!
//! Everything goes in short transactions that give up rather than wait for a lock: the writer's own commits come first, and so do
//! questions. What could not be done is done the next time.

mod fold;
mod partitions;
mod retention;

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::PostgresConfig;
use super::copy::micros;
use crate::store::{Expiry, Maintained, RetentionParams, StoreError};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// What is known from one run of maintenance to the next.
#[derive(Debug)]
pub(super) struct Maintenance {
    retention: RetentionParams,
    /// When everything that was too old had been removed.
    pruned: Option<Timestamp>,
    /// When everything old had been folded.
    folded: Option<Timestamp>,
    /// What was done and not yet told, because something after it failed.
    done: Maintained,
}

impl Maintenance {
    pub(super) const fn new(retention: RetentionParams) -> Self {
        let nothing = Maintained {
            unfinished: false,
            partitions_made: 0,
            pruned_rows: 0,
            pruned_packets: 0,
            bytes: 0,
            rows_estimate: 0,
        };
        Self { retention, pruned: None, folded: None, done: nothing }
    }

    /// Does what is due.
    pub(super) async fn run(
        &mut self,
        config: &PostgresConfig,
        client: &Client,
        now: Timestamp,
        expiry: Expiry,
    ) -> Result<Maintained, StoreError> {
        let run = Run { config, client, now };
        // What one of them can't do is no reason to leave out the others.
        let made = run.make_partitions(&mut self.done).await;
        let folded = self.fold(&run).await;
        let pruned = match expiry {
            Expiry::ByAge => self.prune(&run).await,
            Expiry::Suspended => Ok(()),
        };
        let bounded = run.prune_by_bytes(self.retention.bytes, &mut self.done).await;
        made.and(folded).and(pruned).and(bounded)?;
        Ok(std::mem::take(&mut self.done))
    }

    async fn fold(&mut self, run: &Run<'_>) -> Result<(), StoreError> {
        if is_due(self.folded, run.now) {
            self.folded = run.fold().await?.then_some(run.now);
        }
        Ok(())
    }

    async fn prune(&mut self, run: &Run<'_>) -> Result<(), StoreError> {
        if let Some(days) = self.retention.days
            && is_due(self.pruned, run.now)
        {
            self.done.unfinished = !run.prune_by_days(days, &mut self.done).await?;
            self.pruned = (!self.done.unfinished).then_some(run.now);
        }
        Ok(())
    }
}

/// Days pass slowly: what they make too old is looked for now and then.
fn is_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| (now.as_nanos() - last.as_nanos()).abs() >= PRUNE_EVERY)
}

/// One run.
struct Run<'a> {
    config: &'a PostgresConfig,
    client: &'a Client,
    now: Timestamp,
}

impl Run<'_> {
    /// Statements in a transaction of their own, all or none; none of them waits long for a lock.
    async fn transaction(&self, statements: &str) -> Result<(), StoreError> {
        let all = format!("{BEGIN}; {statements}; COMMIT");
        self.config.answer_by(STATEMENT_MAX, self.client.batch_execute(&all)).await
    }

    async fn execute(&self, statement: &str) -> Result<(), StoreError> {
        self.config.answer_by(STATEMENT_MAX, self.client.batch_execute(statement)).await
    }

    async fn rows(
        &self,
        question: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.config.answer_by(STATEMENT_MAX, self.client.query(question, values)).await
    }
}

/// A day of the calendar, UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Day(i64);

impl Day {
    const SECONDS: i64 = 86_400;

    /// The day of a moment.
    const fn of(moment: Timestamp) -> Self {
        Self(moment.as_secs().div_euclid(Self::SECONDS))
    }

    const fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    const fn start(self) -> Timestamp {
        Timestamp::from_secs(self.0.saturating_mul(Self::SECONDS))
    }

    /// `packet_logs_y2026m09d22`.
    fn partition(self) -> String {
        format!("{EVENTS}{}", self.suffix())
    }

    /// Of `event_rules` for the same day.
    fn rules_partition(self) -> String {
        format!("{RULES}{}", self.suffix())
    }

    /// `_y2026m09d22`.
    fn suffix(self) -> String {
        let start = self.start().to_string();
        let mut numbers = start.split(['-', 'T']);
        let mut next = || numbers.next().unwrap_or_default();
        format!("_y{}m{}d{}", next(), next(), next())
    }

    /// The day whose partition has this name.
    fn of_partition(name: &str) -> Option<Self> {
        let suffix = name.strip_prefix(EVENTS)?;
        let (year, day) = suffix.strip_prefix("_y")?.split_once('m')?;
        let (month, day) = day.split_once('d')?;
        let midnight: jiff::Timestamp = format!("{year}-{month}-{day}T00:00:00Z").parse().ok()?;
        let day = Self(midnight.as_second().div_euclid(Self::SECONDS));
        (day.partition() == name).then_some(day)
    }

    /// The beginning of the day as PostgreSQL reads it.
    fn bound(self) -> String {
        format!("'epoch'::timestamptz + {} * interval '24 hours'", self.0)
    }
}

/// A moment as text that PostgreSQL reads as a `timestamptz`.
fn moment(moment: Timestamp) -> String {
    format!("'epoch'::timestamptz + {} * interval '1 microsecond'", micros(moment))
}

/// The table of events.
const EVENTS: &str = "packet_logs";

/// The table of the rules that fired for them; its partitions are those of the events under another name.
const RULES: &str = "event_rules";

/// How a transaction of maintenance begins.
const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '50s'";

/// The limit of this end, a little longer: counting the rows of a whole day takes its time.
const STATEMENT_MAX: Duration = Duration::from_secs(60);

/// Nanoseconds between two searches for what has become too old.
const PRUNE_EVERY: i64 = 600 * NANOS_PER_SECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_the_name_of_its_partition_are_the_same() {
        let day = Day::of(Timestamp::from_secs(1_790_078_400));
        assert_eq!(day.partition(), "packet_logs_y2026m09d22");
        for number in [-1, 0, 59, 11_016, 20_718, 50_000] {
            assert_eq!(Day::of_partition(&Day(number).partition()), Some(Day(number)));
            assert_eq!(Day::of(Day(number).start()), Day(number));
            assert_eq!(Day::of(Day(number).plus(1).start().plus_nanos(-1)), Day(number));
        }
        for other in [
            "packet_logs_default",
            "packet_logs_y2026m13d01",
            "packet_logs_y2026m9d1",
            "packet_logs_y2026m09d22x",
        ] {
            assert_eq!(Day::of_partition(other), None, "{other}");
        }
    }
}
