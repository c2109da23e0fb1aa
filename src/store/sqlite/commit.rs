//! One batch, one transaction: ledger row first, so that a batch which is there already costs nothing.

use rusqlite::{
    CachedStatement, Connection, Error, ErrorCode, OptionalExtension as _, Transaction,
    TransactionBehavior, params,
};

use super::codec::{address_bytes, features_bytes, micros, threat_score, write_rules};
use super::records;
use crate::event::{Batch, Event};
use crate::store::Committed;
use crate::store::printable::printable;
use crate::store::rollup::SpanSums;
use crate::time::Timestamp;

/// Commits a batch, or finds it committed.
///
/// # Errors
///
/// What SQLite said; nothing of the batch is committed then, or it is all there and found by the next try.
pub(super) fn commit(
    connection: &mut Connection,
    batch: &Batch,
    now: Timestamp,
) -> Result<Committed, Error> {
    // Immediate: the lock is waited for here, where waiting works, and not in the middle.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let writing = Writing { transaction: &transaction, batch, now };
    if let Some(before) = writing.enter()? {
        transaction.rollback()?;
        return Ok(before);
    }
    let committed = writing.write()?;
    transaction.commit()?;
    Ok(committed)
}

/// A batch on its way.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    batch: &'a Batch,
    now: Timestamp,
}

impl Writing<'_> {
    /// Enters the batch into the ledger. If it is there, what the earlier try had to say of it.
    fn enter(&self) -> Result<Option<Committed>, Error> {
        let Self { transaction, batch, now } = self;
        let sensor = printable(&batch.sensor);
        let epoch = batch.epoch.stored();
        let number = as_stored(batch.number);
        let sums = Sums::of(&batch.events);
        let entered = transaction.prepare_cached(LEDGER)?.execute(params![
            sensor,
            epoch,
            number,
            micros(*now),
            sums.rows,
            sums.packets,
            sums.alerts
        ])?;
        if entered > 0 {
            return Ok(None);
        }
        let mut ledger = transaction.prepare_cached(LEDGER_AGAIN)?;
        let before = ledger.query_row(params![sensor, epoch, number], |row| {
            Ok(Committed {
                already: true,
                quarantined_rows: row.get::<_, i64>(0)?.unsigned_abs(),
                quarantined_packets: row.get::<_, i64>(1)?.unsigned_abs(),
                quarantined_alerts: row.get::<_, i64>(2)?.unsigned_abs(),
            })
        });
        // Of one that was folded it is no longer known what of it was put into quarantine.
        let folded = Committed { already: true, ..Committed::default() };
        Ok(Some(before.optional()?.unwrap_or(folded)))
    }

    fn write(&self) -> Result<Committed, Error> {
        let Self { transaction, batch, now } = self;
        records::models(transaction, &batch.detections, *now)?;
        let refused = self.events()?;
        self.rollups(&refused)?;
        let quarantined = Sums::of(refused.iter().copied());
        self.account(&quarantined)?;
        records::sessions(transaction, batch, *now)?;
        records::incidents(transaction, batch, *now)?;
        records::profiles(transaction, &batch.profiles, *now)?;
        records::refused(transaction, batch, *now)?;
        records::markers(transaction, batch)?;
        Ok(Committed {
            already: false,
            quarantined_rows: quarantined.rows.unsigned_abs(),
            quarantined_packets: quarantined.packets.unsigned_abs(),
            quarantined_alerts: quarantined.alerts.unsigned_abs(),
        })
    }

    /// Writes the events. Returns those that were refused; they are in quarantine.
    fn events(&self) -> Result<Vec<&Event>, Error> {
        let mut table = EventTable {
            insert: self.transaction.prepare_cached(EVENT)?,
            insert_rule: self.transaction.prepare_cached(EVENT_RULE)?,
            epoch: self.batch.epoch.stored(),
            recorded: micros(self.now),
            rules: String::new(),
        };
        let mut refused = Vec::new();
        for event in &self.batch.events {
            match table.insert(event) {
                Ok(()) => {}
                Err(RowFault::Refused(reason)) => {
                    self.quarantine(event, &reason)?;
                    refused.push(event);
                }
                Err(RowFault::Store(error)) => return Err(error),
            }
        }
        Ok(refused)
    }

    fn quarantine(&self, event: &Event, reason: &str) -> Result<(), Error> {
        // Numbers and text: there is nothing in an event that could not be JSON.
        let whole = serde_json::to_string(event).unwrap_or_default();
        let sums = Sums::of([event]);
        self.transaction.prepare_cached(QUARANTINE)?.execute(params![
            self.batch.epoch.stored(),
            as_stored(event.number),
            as_stored(self.batch.number),
            micros(self.now),
            sums.packets,
            sums.alerts,
            printable(reason),
            printable(&whole),
        ])?;
        Ok(())
    }

    /// Adds the events that were stored to the sums by minute and by hour.
    fn rollups(&self, refused: &[&Event]) -> Result<(), Error> {
        // Both are in the order of the batch.
        let mut refused = refused.iter().peekable();
        let stored =
            self.batch.events.iter().filter(|event| {
                refused.next_if(|refused| std::ptr::eq(**refused, *event)).is_none()
            });
        for (rollup, spans) in SpanSums::of(stored) {
            let mut add = self.transaction.prepare_cached(rollup.sqlite_add())?;
            for sums in spans {
                add.execute(params![
                    self.batch.epoch.stored(),
                    micros(sums.start),
                    sums.level as u8,
                    as_stored(sums.events),
                    as_stored(sums.packets),
                    as_stored(sums.alerts),
                    as_stored(sums.weight),
                    as_stored(sums.score_micros),
                ])?;
            }
        }
        Ok(())
    }

    /// Adds the batch to its epoch's sums, and what was refused to its row of the ledger.
    fn account(&self, quarantined: &Sums) -> Result<(), Error> {
        let Self { transaction, batch, .. } = self;
        let sensor = printable(&batch.sensor);
        let epoch = batch.epoch.stored();
        let Sums { rows, packets, alerts } = Sums::of(&batch.events);
        transaction.prepare_cached(EPOCH)?.execute(params![
            epoch,
            sensor,
            micros(batch.epoch.started()),
            rows,
            packets,
            alerts,
            quarantined.rows,
            quarantined.packets,
            quarantined.alerts,
        ])?;
        if quarantined.rows > 0 {
            transaction.prepare_cached(LEDGER_QUARANTINE)?.execute(params![
                sensor,
                epoch,
                as_stored(batch.number),
                quarantined.rows,
                quarantined.packets,
                quarantined.alerts,
            ])?;
        }
        Ok(())
    }
}

/// Sums over events, as stored.
struct Sums {
    rows: i64,
    packets: i64,
    alerts: i64,
}

impl Sums {
    fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut sums = Self { rows: 0, packets: 0, alerts: 0 };
        for event in events {
            sums.rows += 1;
            sums.packets = sums.packets.saturating_add(as_stored(event.count));
            sums.alerts = sums.alerts.saturating_add(as_stored(event.alerts));
        }
        sums
    }
}

/// Why a row is not there.
enum RowFault {
    /// It is the row's own fault; the transaction is as it was before.
    Refused(String),
    /// It is not.
    Store(Error),
}

impl From<Error> for RowFault {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            // SQLite undoes the statement, not the transaction (sqlite.org/lang_conflict.html, ABORT).
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                Self::Refused(error.to_string())
            }
            _ => Self::Store(error),
        }
    }
}

/// `packet_logs` and `event_rules`, ready for events of one epoch.
struct EventTable<'a> {
    insert: CachedStatement<'a>,
    insert_rule: CachedStatement<'a>,
    epoch: i64,
    recorded: i64,
    rules: String,
}

impl EventTable<'_> {
    fn insert(&mut self, event: &Event) -> Result<(), RowFault> {
        let number = number("number", event.number)?;
        let first = micros(event.first);
        write_rules(&event.rules, &mut self.rules);
        self.insert.execute(params![
            first,
            micros(event.last),
            self.recorded,
            self.epoch,
            number,
            self::number("packet", event.packet)?,
            self::number("count", event.count)?,
            self::number("alerts", event.alerts)?,
            self::number("weight", event.weight)?,
            self::number("bytes", event.bytes)?,
            event.detection,
            event.length,
            event.source_port,
            event.destination_port,
            event.vlan,
            event.sources,
            finite("threat_score", threat_score(event.total))?,
            finite("model_risk", event.model_risk.into())?,
            finite("rule_risk", event.rule_risk.into())?,
            finite("intel_risk", event.intel_risk.into())?,
            event.anomaly_score.map(|score| finite("anomaly_score", score.into())).transpose()?,
            event.quantile.map(|quantile| finite("quantile", quantile.into())).transpose()?,
            event.protocol,
            event.icmp.map(|(kind, _code)| kind),
            event.icmp.map(|(_kind, code)| code),
            event.level as u8,
            event.floor as u8,
            event.merged as u8,
            event.rules_left_out,
            event.intel.as_ref().map(|(_label, side)| *side as u8),
            event.in_training_range,
            event.source.map(address_bytes),
            event.destination.map(address_bytes),
            event.features.as_ref().map(features_bytes),
            self.rules,
            event.intel.as_ref().map(|(label, _side)| printable(label)),
            event.decoy.as_deref().map(printable),
            printable(&event.reason),
            event.community_id.as_deref().map(printable),
        ])?;
        for rule in &event.rules {
            self.insert_rule.execute(params![rule, first, self.epoch, number])?;
        }
        Ok(())
    }
}

/// A count of 64 bits, of which the column holds 63.
fn number(column: &str, value: u64) -> Result<i64, RowFault> {
    i64::try_from(value).map_err(|_too_large| {
        RowFault::Refused(format!("{column} is {value}, more than the column holds"))
    })
}

/// SQLite would make null of what is no number.
fn finite(column: &str, value: f64) -> Result<f64, RowFault> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(RowFault::Refused(format!("{column} is {value}, which is no finite number")))
    }
}

/// A count that is summed, or names something: the largest that there is a place for, if it is beyond it.
pub(super) fn as_stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

const LEDGER: &str = "INSERT OR IGNORE INTO ingest_batches (sensor, epoch, batch_no, committed_at, rows, packets, alerts, \
     quarantined_rows, quarantined_packets, quarantined_alerts) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0 \
     WHERE NOT EXISTS (SELECT 1 FROM folded_batches AS f WHERE f.sensor = ?1 AND f.epoch = ?2 AND f.upto >= ?3)";

const LEDGER_AGAIN: &str = "SELECT quarantined_rows, quarantined_packets, quarantined_alerts FROM ingest_batches \
     WHERE sensor = ?1 AND epoch = ?2 AND batch_no = ?3";

const LEDGER_QUARANTINE: &str = "UPDATE ingest_batches SET quarantined_rows = ?4, quarantined_packets = ?5, quarantined_alerts = ?6 \
     WHERE sensor = ?1 AND epoch = ?2 AND batch_no = ?3";

const EPOCH: &str = "INSERT INTO epochs (epoch, sensor, started_at, batches, rows, packets, alerts, quarantined_rows, \
     quarantined_packets, quarantined_alerts) VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9) \
     ON CONFLICT (epoch) DO UPDATE SET batches = batches + 1, rows = rows + excluded.rows, packets = packets + excluded.packets, \
     alerts = alerts + excluded.alerts, quarantined_rows = quarantined_rows + excluded.quarantined_rows, \
     quarantined_packets = quarantined_packets + excluded.quarantined_packets, \
     quarantined_alerts = quarantined_alerts + excluded.quarantined_alerts";

/// The columns stand in the order in which [`EventTable::insert`] gives them.
const EVENT: &str = "INSERT INTO packet_logs (time, last_time, recorded_at, epoch, number, packet, count, alerts, weight, bytes, \
     detection, length, src_port, dst_port, vlan, sources, threat_score, model_risk, rule_risk, intel_risk, anomaly_score, quantile, \
     protocol, icmp_type, icmp_code, verdict, floor, merged, rules_left_out, intel_matched, in_training_range, src_ip, dst_ip, \
     features, rules, intel_label, decoy, reason, community_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
     ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// A rule that an event names twice is there once.
const EVENT_RULE: &str =
    "INSERT OR IGNORE INTO event_rules (rule, time, epoch, number) VALUES (?1, ?2, ?3, ?4)";

/// A number that is refused twice is one row, with both counts.
const QUARANTINE: &str = "INSERT INTO quarantine (epoch, number, batch_no, recorded_at, count, alerts, reason, event) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
     ON CONFLICT (epoch, number) DO UPDATE SET count = count + excluded.count, alerts = alerts + excluded.alerts";
