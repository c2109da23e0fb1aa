//! What is too old or too much is removed and counted, pages that are free are given back, and a log that has grown is moved into
//! the file: a little at a time, because batches wait meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Error, Row, Transaction, TransactionBehavior, params};

use super::codec::{self, micros};
use super::commit::as_stored;
use super::file::{self, SqliteParams};
use super::fold::Folding;
use super::forget::Forgetting;
use crate::store::rollup::{Rollup, SpanSums, Summed};
use crate::store::{Expiry, Maintained, RetentionParams};
use crate::time::Timestamp;
use crate::verdict::Level;

/// How long one call works before it leaves the rest to the next one.
const WORK_MAX: Duration = Duration::from_millis(25);

/// How long one transaction should take: as many rows or pages are taken as the last ones say fit into it.
const SLICE_AIM: Duration = Duration::from_millis(10);

/// Rows or pages of the first transaction, and the bounds of later ones.
const SLICE: Slice = Slice { first: 128, least: 16, most: 4096 };

/// When pages that are free are given back although the file may be as large as it is: one in so many. Fewer will be used again.
const FREE_SHARE: i64 = 4;

/// Free pages that are never worth it.
const FREE_LEAST: i64 = 1024;

/// What has been pruned is entered into one row for each epoch and this span, in nanoseconds.
const PRUNED_SPAN_NANOS: i64 = 24 * 3600 * 1_000_000_000;

const NANOS_PER_DAY: i64 = 24 * 3600 * 1_000_000_000;

/// Maintenance of one file.
#[derive(Debug)]
pub(super) struct Maintenance {
    log: PathBuf,
    retention: RetentionParams,
    params: SqliteParams,
    rows: Pace,
    pages: Pace,
    folding: Folding,
    forgetting: Forgetting,
}

impl Maintenance {
    pub(super) fn new(path: &Path, retention: RetentionParams, params: SqliteParams) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self {
            log: log.into(),
            retention,
            params,
            rows: Pace::new(),
            pages: Pace::new(),
            folding: Folding::default(),
            forgetting: Forgetting::default(),
        }
    }

    /// Does what there is to do, for at most about [`WORK_MAX`].
    ///
    /// # Errors
    ///
    /// What SQLite said; what was done before stays done.
    pub(super) fn run(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
        expiry: Expiry,
    ) -> Result<Maintained, Error> {
        let deadline = Instant::now() + WORK_MAX;
        let before = self.cutoff(now).filter(|_| expiry == Expiry::ByAge);
        let mut done = Maintained::default();
        done.unfinished = self.prune(connection, now, before, deadline, &mut done)?
            || self.folding.run(connection, now, deadline)?
            || self.forget(connection, now, before, deadline)?
            || self.give_back(connection, deadline)?;
        self.empty_log(connection)?;
        let size = Size::of(connection)?;
        done.bytes = size.bytes(size.pages).unsigned_abs() + self.log_bytes();
        done.rows_estimate = rows_estimate(connection)?;
        Ok(done)
    }

    /// Returns whether there is more to remove.
    fn prune(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
        before: Option<i64>,
        deadline: Instant,
        done: &mut Maintained,
    ) -> Result<bool, Error> {
        loop {
            let Some(due) = self.due(connection, before)? else { return Ok(false) };
            if Instant::now() >= deadline {
                return Ok(true);
            }
            let begun = Instant::now();
            let taken = prune_slice(connection, now, due, self.rows.next)?;
            self.rows.learn(begun.elapsed());
            done.pruned_rows += taken.rows;
            done.pruned_packets += taken.packets;
            if taken.touched == 0 {
                // Too many bytes, and nothing left that may go.
                return Ok(false);
            }
        }
    }

    /// What is to be removed next.
    fn due(&self, connection: &Connection, before: Option<i64>) -> Result<Option<Due>, Error> {
        if let Some(before) = before {
            let mut any = connection.prepare_cached(ANY_BEFORE)?;
            if any.query_row([before], |row| row.get(0))? {
                return Ok(Some(Due::Before(before)));
            }
        }
        if let Some(bytes) = self.retention.bytes {
            let size = Size::of(connection)?;
            if size.bytes(size.pages - size.free) > as_stored(bytes) {
                return Ok(Some(Due::Oldest));
            }
        }
        Ok(None)
    }

    /// What was recorded before this, in microseconds, is too old.
    fn cutoff(&self, now: Timestamp) -> Option<i64> {
        let kept = |days: u32| NANOS_PER_DAY.saturating_mul(days.into());
        self.retention.days.map(|days| micros(now.plus_nanos(kept(days).saturating_neg())))
    }

    /// Returns whether there is more.
    fn forget(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
        before: Option<i64>,
        deadline: Instant,
    ) -> Result<bool, Error> {
        match before {
            Some(before) => self.forgetting.run(connection, before, now, deadline),
            None => Ok(false),
        }
    }

    /// Gives free pages back to the disk where that is worth the work. Returns whether there is more.
    fn give_back(&mut self, connection: &Connection, deadline: Instant) -> Result<bool, Error> {
        loop {
            let size = Size::of(connection)?;
            let many = size.free >= FREE_LEAST && size.free > size.pages / FREE_SHARE;
            let bound = self.retention.bytes.map_or(i64::MAX, as_stored);
            let too_large = size.free > 0 && size.bytes(size.pages) > bound;
            if !(many || too_large) {
                return Ok(false);
            }
            if Instant::now() >= deadline {
                return Ok(true);
            }
            let begun = Instant::now();
            let pages = self.pages.next;
            connection.execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))?;
            self.pages.learn(begun.elapsed());
            if Size::of(connection)?.free >= size.free {
                // A file that was made by another program can't shrink this way.
                return Ok(false);
            }
        }
    }

    /// A reader that stayed long may have let the log grow far beyond where it is moved into the file by itself.
    fn empty_log(&self, connection: &Connection) -> Result<(), Error> {
        if self.log_bytes() <= 2 * u64::from(self.params.wal_bytes) {
            return Ok(());
        }
        file::empty_log(connection)?;
        connection.busy_timeout(self.params.busy_max)
    }

    fn log_bytes(&self) -> u64 {
        self.log.metadata().map_or(0, |metadata| metadata.len())
    }
}

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// What was recorded before this, in microseconds.
    Before(i64),
    /// What was recorded first.
    Oldest,
}

/// Pages of the file.
struct Size {
    pages: i64,
    free: i64,
    page_bytes: i64,
}

impl Size {
    fn of(connection: &Connection) -> Result<Self, Error> {
        connection.prepare_cached(SIZE)?.query_row((), |row| {
            Ok(Self { pages: row.get(0)?, free: row.get(1)?, page_bytes: row.get(2)? })
        })
    }

    const fn bytes(&self, pages: i64) -> i64 {
        pages.saturating_mul(self.page_bytes)
    }
}

/// How much is done in one transaction.
#[derive(Debug)]
struct Pace {
    next: u32,
}

/// Its bounds.
struct Slice {
    first: u32,
    least: u32,
    most: u32,
}

impl Pace {
    const fn new() -> Self {
        Self { next: SLICE.first }
    }

    /// Twice as much when there was time left, half when it took too long.
    fn learn(&mut self, took: Duration) {
        let next = match took {
            short if short < SLICE_AIM / 2 => self.next.saturating_mul(2),
            long if long > SLICE_AIM => self.next / 2,
            _ => self.next,
        };
        self.next = next.clamp(SLICE.least, SLICE.most);
    }
}

/// What one transaction has removed.
#[derive(Default)]
struct Taken {
    /// Rows of any table.
    touched: u64,
    /// Rows of events.
    rows: u64,
    /// The sum of their counts.
    packets: u64,
}

/// Removes at most `most` rows of each table, with what belongs to them, and counts the events in the same transaction.
fn prune_slice(
    connection: &mut Connection,
    now: Timestamp,
    due: Due,
    most: u32,
) -> Result<Taken, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let events = oldest_events(&transaction, due, most)?;
    remove_events(&transaction, &events)?;
    let mut taken = Taken::default();
    for (epoch, events) in by_epoch(&events) {
        let sums = Pruned::of(&events);
        sums.enter(&transaction, epoch, now)?;
        taken.rows += sums.rows;
        taken.packets += sums.packets;
        take_out_of_rollups(&transaction, epoch, &events)?;
    }
    taken.touched = taken.rows;
    // Sessions and incidents go by age alone: beside events they take next to nothing.
    if let Due::Before(before) = due {
        for statement in [OLD_SESSIONS, OLD_INCIDENTS] {
            let mut remove = transaction.prepare_cached(statement)?;
            taken.touched += as_count(remove.execute(params![before, most])?);
        }
    }
    transaction.commit()?;
    Ok(taken)
}

/// A row of `packet_logs`, as far as removing it needs to know it.
struct OldEvent {
    row: i64,
    epoch: i64,
    number: u64,
    time: i64,
    rules: String,
    summed: Summed,
}

impl OldEvent {
    fn read(row: &Row<'_>) -> Result<Self, Error> {
        let time = row.get(3)?;
        let level: u8 = row.get(4)?;
        Ok(Self {
            row: row.get(0)?,
            epoch: row.get(1)?,
            number: row.get::<_, i64>(2)?.unsigned_abs(),
            time,
            rules: row.get(9)?,
            summed: Summed {
                first: codec::moment(time),
                level: Level::ALL.into_iter().find(|one| *one as u8 == level).unwrap_or_default(),
                count: row.get::<_, i64>(5)?.unsigned_abs(),
                alerts: row.get::<_, i64>(6)?.unsigned_abs(),
                weight: row.get::<_, i64>(7)?.unsigned_abs(),
                threat_score: row.get(8)?,
            },
        })
    }
}

impl From<&OldEvent> for Summed {
    fn from(event: &OldEvent) -> Self {
        event.summed
    }
}

fn oldest_events(
    transaction: &Transaction<'_>,
    due: Due,
    most: u32,
) -> Result<Vec<OldEvent>, Error> {
    let before = match due {
        Due::Before(before) => before,
        Due::Oldest => i64::MAX,
    };
    let mut oldest = transaction.prepare_cached(OLDEST)?;
    oldest.query_map(params![before, most], OldEvent::read)?.collect()
}

fn remove_events(transaction: &Transaction<'_>, events: &[OldEvent]) -> Result<(), Error> {
    let mut remove = transaction.prepare_cached(REMOVE_EVENT)?;
    let mut remove_rule = transaction.prepare_cached(REMOVE_RULE)?;
    for event in events {
        remove.execute([event.row])?;
        // A list that can't be read names no rule; rows of rules without an event are never shown.
        for rule in codec::rules(&event.rules).unwrap_or_default() {
            remove_rule.execute(params![rule, event.time, event.epoch, as_stored(event.number)])?;
        }
    }
    Ok(())
}

fn by_epoch(events: &[OldEvent]) -> BTreeMap<i64, Vec<&OldEvent>> {
    let mut epochs: BTreeMap<i64, Vec<&OldEvent>> = BTreeMap::new();
    for event in events {
        epochs.entry(event.epoch).or_default().push(event);
    }
    epochs
}

/// Sums over events of one epoch that were removed.
#[derive(Default)]
struct Pruned {
    upto: u64,
    rows: u64,
    packets: u64,
    alerts: u64,
}

impl Pruned {
    fn of(events: &[&OldEvent]) -> Self {
        let mut sums = Self::default();
        for event in events {
            sums.upto = sums.upto.max(event.number);
            sums.rows += 1;
            sums.packets += event.summed.count;
            sums.alerts += event.summed.alerts;
        }
        sums
    }

    fn enter(
        &self,
        transaction: &Transaction<'_>,
        epoch: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let [upto, rows, packets, alerts] =
            [self.upto, self.rows, self.packets, self.alerts].map(as_stored);
        let since = micros(now.plus_nanos(-PRUNED_SPAN_NANOS));
        let added = transaction
            .prepare_cached(PRUNED_ADD)?
            .execute(params![epoch, since, upto, rows, packets, alerts])?;
        if added == 0 {
            transaction.prepare_cached(PRUNED_BEGIN)?.execute(params![
                epoch,
                micros(now),
                upto,
                rows,
                packets,
                alerts
            ])?;
        }
        Ok(())
    }
}

/// Takes what was removed out of the sums by minute and by hour.
fn take_out_of_rollups(
    transaction: &Transaction<'_>,
    epoch: i64,
    events: &[&OldEvent],
) -> Result<(), Error> {
    for (rollup, spans) in SpanSums::of(events.iter().copied()) {
        let remove_empty = match rollup {
            Rollup::Minutes => REMOVE_MINUTE,
            Rollup::Hours => REMOVE_HOUR,
        };
        let mut add = transaction.prepare_cached(rollup.sqlite_add())?;
        let mut remove = transaction.prepare_cached(remove_empty)?;
        for sums in spans {
            let level = sums.level as u8;
            add.execute(params![
                epoch,
                micros(sums.start),
                level,
                -as_stored(sums.events),
                -as_stored(sums.packets),
                -as_stored(sums.alerts),
                -as_stored(sums.weight),
                -as_stored(sums.score_micros),
            ])?;
            remove.execute(params![epoch, micros(sums.start), level])?;
        }
    }
    Ok(())
}

/// Rows are numbered as they come and removed from the front, so the ends tell how many there are; more precisely than that would
/// cost a look at all of them.
fn rows_estimate(connection: &Connection) -> Result<u64, Error> {
    let ends: (Option<i64>, Option<i64>) =
        connection.prepare_cached(ENDS)?.query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match ends {
        (Some(first), Some(last)) => last.abs_diff(first) + 1,
        _ => 0,
    })
}

fn as_count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

const SIZE: &str = "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

const ENDS: &str =
    "SELECT (SELECT min(rowid) FROM packet_logs), (SELECT max(rowid) FROM packet_logs)";

const ANY_BEFORE: &str = "SELECT EXISTS (SELECT 1 FROM packet_logs WHERE recorded_at < ?1) \
     OR EXISTS (SELECT 1 FROM sessions WHERE recorded_at < ?1) OR EXISTS (SELECT 1 FROM incidents WHERE recorded_at < ?1)";

const OLDEST: &str = "SELECT rowid, epoch, number, time, verdict, count, alerts, weight, threat_score, rules FROM packet_logs \
     WHERE recorded_at < ?1 ORDER BY recorded_at, rowid LIMIT ?2";

const REMOVE_EVENT: &str = "DELETE FROM packet_logs WHERE rowid = ?1";

const REMOVE_RULE: &str =
    "DELETE FROM event_rules WHERE rule = ?1 AND time = ?2 AND epoch = ?3 AND number = ?4";

const REMOVE_MINUTE: &str =
    "DELETE FROM event_minutes WHERE epoch = ?1 AND minute = ?2 AND verdict = ?3 AND events <= 0";

const REMOVE_HOUR: &str =
    "DELETE FROM event_hours WHERE epoch = ?1 AND hour = ?2 AND verdict = ?3 AND events <= 0";

const OLD_SESSIONS: &str = "DELETE FROM sessions WHERE rowid IN \
     (SELECT rowid FROM sessions WHERE recorded_at < ?1 ORDER BY recorded_at LIMIT ?2)";

const OLD_INCIDENTS: &str = "DELETE FROM incidents WHERE rowid IN \
     (SELECT rowid FROM incidents WHERE recorded_at < ?1 ORDER BY recorded_at LIMIT ?2)";

const PRUNED_ADD: &str = "UPDATE pruned SET upto = max(upto, ?3), rows = rows + ?4, packets = packets + ?5, alerts = alerts + ?6 \
     WHERE rowid = (SELECT max(rowid) FROM pruned WHERE epoch = ?1 AND at > ?2)";

const PRUNED_BEGIN: &str =
    "INSERT INTO pruned (epoch, at, upto, rows, packets, alerts) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
