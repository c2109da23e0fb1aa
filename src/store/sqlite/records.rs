//! Everything of a batch but its events. Each record is one statement; of two of a batch with the same number the later one stands.

use std::collections::BTreeMap;

use rusqlite::{Connection, Error, params};

use super::codec::{address_bytes, micros, write_rules};
use super::commit::as_stored;
use crate::event::{Batch, DetectionRecord, MarkerKind, ProfileChange, RefusedBatches};
use crate::store::printable::printable;
use crate::time::Timestamp;

/// New detections.
pub(super) fn models(
    connection: &Connection,
    detections: &[DetectionRecord],
    now: Timestamp,
) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(MODEL)?;
    for detection in detections {
        insert.execute(params![
            detection.version,
            printable(&detection.model),
            printable(&detection.sha256),
            detection.schema,
            printable(&detection.fingerprint),
            detection.offset,
            detection.contamination,
            as_stored(detection.calibration_rows),
            as_stored(detection.rules),
            as_stored(detection.intel),
            as_stored(detection.decoys),
            micros(now),
        ])?;
    }
    Ok(())
}

/// Sessions, begun or going on.
pub(super) fn sessions(
    connection: &Connection,
    batch: &Batch,
    now: Timestamp,
) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(SESSION)?;
    let mut rules = String::new();
    for session in &batch.sessions {
        write_rules(&session.rules, &mut rules);
        let [safe, warning, high, critical] = session.levels.map(as_stored);
        insert.execute(params![
            batch.epoch.stored(),
            as_stored(session.number),
            address_bytes(session.source),
            session.tenant,
            micros(session.first),
            micros(session.last),
            micros(now),
            as_stored(session.packets),
            as_stored(session.bytes),
            safe,
            warning,
            high,
            critical,
            session.worst as u8,
            rules,
            session.state as u8,
        ])?;
    }
    Ok(())
}

/// Incidents, begun or going on.
pub(super) fn incidents(
    connection: &Connection,
    batch: &Batch,
    now: Timestamp,
) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(INCIDENT)?;
    let mut rules = String::new();
    for incident in last_of_each(&batch.incidents, |incident| incident.number) {
        write_rules(&incident.rules, &mut rules);
        insert.execute(params![
            batch.epoch.stored(),
            as_stored(incident.number),
            incident.subject.map(address_bytes),
            incident.side as u8,
            printable(&incident.kind),
            printable(&incident.title),
            micros(incident.first),
            micros(incident.last),
            micros(now),
            as_stored(incident.count),
            as_stored(incident.events),
            incident.worst as u8,
            as_stored(incident.worst_event),
            rules,
        ])?;
    }
    Ok(())
}

/// What is to be added to profiles.
pub(super) fn profiles(
    connection: &Connection,
    changes: &[ProfileChange],
    now: Timestamp,
) -> Result<(), Error> {
    let mut add = connection.prepare_cached(PROFILE)?;
    for change in changes {
        let [safe, warning, high, critical] = change.levels.map(as_stored);
        add.execute(params![
            address_bytes(change.source),
            change.tenant,
            micros(change.first),
            micros(change.last),
            micros(now),
            as_stored(change.sessions),
            as_stored(change.packets),
            as_stored(change.bytes),
            safe,
            warning,
            high,
            critical,
        ])?;
    }
    Ok(())
}

/// What the sensor had to refuse right before this batch.
pub(super) fn refused(connection: &Connection, batch: &Batch, now: Timestamp) -> Result<(), Error> {
    let Some(refused) = batch.refused else { return Ok(()) };
    let RefusedBatches { first, last, upto, rows, packets, alerts, markers } = refused;
    let [first, last, upto, rows, packets, alerts, markers] =
        [first, last, upto, rows, packets, alerts, markers].map(as_stored);
    let (epoch, recorded) = (batch.epoch.stored(), micros(now));
    connection
        .prepare_cached(REFUSED)?
        .execute(params![epoch, first, last, upto, rows, packets, alerts, markers, recorded])?;
    Ok(())
}

/// Sums at points of the stream; the last of an epoch says how it ended.
pub(super) fn markers(connection: &Connection, batch: &Batch) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(MARKER)?;
    let mut end = connection.prepare_cached(EPOCH_END)?;
    let mut begin = connection.prepare_cached(EPOCH_LEFT)?;
    for left in &batch.leftovers {
        // It may have died before anything of it was stored.
        begin.execute(params![
            left.epoch.stored(),
            printable(&batch.sensor),
            micros(left.epoch.started())
        ])?;
    }
    for (epoch, marker) in batch.all_markers() {
        let epoch = epoch.stored();
        let totals = &marker.totals;
        // Text and integers: there is nothing in it that could not be JSON.
        let stages = serde_json::to_string(&marker.stages).unwrap_or_default();
        insert.execute(params![
            epoch,
            as_stored(marker.number),
            micros(marker.at),
            marker.kind as u8,
            as_stored(totals.dequeued),
            as_stored(totals.packets),
            as_stored(totals.victims),
            as_stored(totals.sampled_out),
            as_stored(totals.open_packets),
            as_stored(totals.open_alerts),
            as_stored(totals.events),
            as_stored(totals.event_packets),
            as_stored(totals.event_alerts),
            stages,
        ])?;
        match marker.kind {
            MarkerKind::Start | MarkerKind::Running => {}
            MarkerKind::End => drop(end.execute(params![epoch, Some(micros(marker.at)), 2])?),
            // Nobody knows when it ended.
            MarkerKind::Crashed => drop(end.execute(params![epoch, None::<i64>, 3])?),
        }
    }
    Ok(())
}

/// The later of two records with the same number stands for both.
fn last_of_each<T>(records: &[T], number: impl Fn(&T) -> u64) -> impl Iterator<Item = &T> {
    let latest: BTreeMap<u64, &T> = records.iter().map(|record| (number(record), record)).collect();
    latest.into_values()
}

const MODEL: &str = "INSERT OR IGNORE INTO models (detection, name, sha256, schema, fingerprint, ai_offset, contamination, \
     calibration_rows, rules, intel, decoys, first_used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const SESSION: &str = "INSERT INTO sessions (epoch, number, source, tenant, time, last_time, recorded_at, packets, bytes, safe, \
     warning, high, critical, worst, rules, state) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
     ON CONFLICT (epoch, number) DO UPDATE SET source = excluded.source, tenant = excluded.tenant, time = excluded.time, \
     last_time = excluded.last_time, recorded_at = excluded.recorded_at, packets = excluded.packets, bytes = excluded.bytes, \
     safe = excluded.safe, warning = excluded.warning, high = excluded.high, critical = excluded.critical, worst = excluded.worst, \
     rules = excluded.rules, state = excluded.state";

/// State and note are people's; but what goes on after somebody closed it is open again.
const INCIDENT: &str = "INSERT INTO incidents (epoch, number, subject, side, kind, title, time, last_time, recorded_at, count, events, \
     worst, worst_event, rules) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
     ON CONFLICT (epoch, number) DO UPDATE SET subject = excluded.subject, side = excluded.side, kind = excluded.kind, \
     title = excluded.title, time = excluded.time, last_time = excluded.last_time, recorded_at = excluded.recorded_at, \
     count = excluded.count, events = excluded.events, worst = excluded.worst, worst_event = excluded.worst_event, \
     rules = excluded.rules, state = CASE WHEN state = 2 AND excluded.events > events THEN 0 ELSE state END";

const PROFILE: &str = "INSERT INTO source_profiles (source, tenant, time, last_time, recorded_at, sessions, packets, bytes, safe, \
     warning, high, critical) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
     ON CONFLICT (source, tenant) DO UPDATE SET time = min(time, excluded.time), last_time = max(last_time, excluded.last_time), \
     recorded_at = max(recorded_at, excluded.recorded_at), sessions = sessions + excluded.sessions, \
     packets = packets + excluded.packets, bytes = bytes + excluded.bytes, safe = safe + excluded.safe, \
     warning = warning + excluded.warning, high = high + excluded.high, critical = critical + excluded.critical";

const MARKER: &str = "INSERT OR REPLACE INTO accounting (epoch, number, at, kind, dequeued, packets, victims, sampled_out, open_packets, \
     open_alerts, events, event_packets, event_alerts, stages) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

const REFUSED: &str = "INSERT OR IGNORE INTO refused_batches (epoch, first_batch, last_batch, upto, rows, packets, alerts, markers, \
     recorded_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const EPOCH_LEFT: &str =
    "INSERT OR IGNORE INTO epochs (epoch, sensor, started_at) VALUES (?1, ?2, ?3)";

/// One that ended in order was not found dead: it was killed just after its end.
const EPOCH_END: &str =
    "UPDATE epochs SET ended_at = ?2, state = ?3 WHERE epoch = ?1 AND state <> 2";
