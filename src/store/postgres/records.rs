//! What a batch holds beside events, and what follows from them (the rules that fired, sums by minute and hour), as columns of one statement for each table.
//!
//! A statement that inserts or updates can't meet the same key twice, so a batch's records are brought to one for each key first:
//! of sessions, incidents and markers the last one stands, changes of profiles are added up. Keys ascend, so that two sensors that
//! write the same profiles lock them in the same order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::{join_all, try_join};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use super::connection::prepare_all;
use super::copy::micros;
use crate::address::Address;
use crate::event::{
    Batch, DetectionRecord, Epoch, Event, Incident, Marker, MarkerKind, ProfileChange,
    RefusedBatches, Session, StageSum,
};
use crate::store::printable::printable;
use crate::store::rollup::{Rollup, SpanSums};
use crate::time::Timestamp;

/// A value of a statement.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

/// The statements, prepared.
#[derive(Debug)]
pub(super) struct Statements {
    models: Statement,
    sessions: Statement,
    incidents: Statement,
    profiles: Statement,
    accounting: Statement,
    refused: Statement,
    epoch_left: Statement,
    epoch_end: Statement,
    event_rules: Statement,
    minutes: Statement,
    hours: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, Error> {
        let inserts = [MODELS, SESSIONS, INCIDENTS, PROFILES, ACCOUNTING, EVENT_RULES];
        let inserts = inserts.map(|insert| statement(&insert));
        let inserts = prepare_all(client, inserts.each_ref().map(String::as_str));
        let [minutes, hours] = Rollup::ALL.map(Rollup::postgres_add);
        let others = prepare_all(client, [REFUSED, EPOCH_LEFT, EPOCH_END, minutes, hours]);
        let (inserts, [refused, epoch_left, epoch_end, minutes, hours]) =
            try_join(inserts, others).await?;
        let [models, sessions, incidents, profiles, accounting, event_rules] = inserts;
        Ok(Self {
            models,
            sessions,
            incidents,
            profiles,
            accounting,
            refused,
            epoch_left,
            epoch_end,
            event_rules,
            minutes,
            hours,
        })
    }
}

/// The records of a batch, ready to be sent: statements in their order, each with its values.
pub(super) struct Records<'a> {
    statements: Vec<(&'a Statement, Vec<Value>)>,
}

impl<'a> Records<'a> {
    pub(super) fn of(batch: &Batch, now: Timestamp, statements: &'a Statements) -> Self {
        let mut list = Vec::new();
        let epoch = batch.epoch.stored();
        if !batch.detections.is_empty() {
            list.push((&statements.models, models(&batch.detections, now)));
        }
        if !batch.sessions.is_empty() {
            let latest = last_of_each(&batch.sessions, |session| session.number);
            list.push((&statements.sessions, sessions(epoch, now, &latest)));
        }
        if !batch.incidents.is_empty() {
            let latest = last_of_each(&batch.incidents, |incident| incident.number);
            list.push((&statements.incidents, incidents(epoch, now, &latest)));
        }
        if let Some(before) = &batch.refused {
            list.push((&statements.refused, refused(epoch, now, before)));
        }
        for left in &batch.leftovers {
            // It may have died before anything of it was stored.
            list.push((&statements.epoch_left, begun(left.epoch, &batch.sensor)));
        }
        let markers: BTreeMap<(Epoch, u64), Cow<'_, Marker>> =
            batch.all_markers().map(|(epoch, marker)| ((epoch, marker.number), marker)).collect();
        if !markers.is_empty() {
            let markers: Vec<_> =
                markers.iter().map(|((epoch, _), marker)| (epoch.stored(), &**marker)).collect();
            list.push((&statements.accounting, accounting(&markers)));
            let ends = markers.iter().filter_map(|(epoch, marker)| end(*epoch, marker));
            list.extend(ends.map(|values| (&statements.epoch_end, values)));
        }
        // Last, because two sensors may want the same rows, which stay locked until the end of the transaction.
        if !batch.profiles.is_empty() {
            list.push((&statements.profiles, profiles(now, &added_up(&batch.profiles))));
        }
        Self { statements: list }
    }

    /// What follows from the events of an epoch that are stored.
    pub(super) fn of_events(epoch: Epoch, events: &[&Event], statements: &'a Statements) -> Self {
        let epoch = epoch.stored();
        let mut list = Vec::new();
        let fired = fired(events);
        if !fired.is_empty() {
            list.push((&statements.event_rules, event_rules(epoch, &fired)));
        }
        for (rollup, sums) in SpanSums::of(events.iter().copied()) {
            let statement = match rollup {
                Rollup::Minutes => &statements.minutes,
                Rollup::Hours => &statements.hours,
            };
            if !sums.is_empty() {
                list.push((statement, span_sums(epoch, &sums)));
            }
        }
        Self { statements: list }
    }

    /// Sends every statement before it waits for the first answer, and returns the first error.
    pub(super) async fn send(&self, client: &Client) -> Result<(), Error> {
        let executions = self.statements.iter().map(|(statement, values)| {
            client.execute_raw(*statement, values.iter().map(|v| &**v as &(dyn ToSql + Sync)))
        });
        join_all(executions).await.into_iter().try_for_each(|answer| answer.map(drop))
    }
}

const REFUSED: &str = "INSERT INTO refused_batches (epoch, first_batch, last_batch, upto, rows, packets, alerts, markers, recorded_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";

const EPOCH_LEFT: &str =
    "INSERT INTO epochs (epoch, sensor, started_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

/// One that ended in order was not found dead: it was killed just after its end.
const EPOCH_END: &str =
    "UPDATE epochs SET ended_at = $2, state = $3 WHERE epoch = $1 AND state <> 2";

/// A statement that inserts rows given as columns.
struct Insert {
    table: &'static str,
    /// Columns that are the same in every row: name and type.
    shared: &'static [(&'static str, &'static str)],
    /// Columns given as arrays: name and type of the table. Arrays of `bigint[]` travel as text, since arrays of arrays must be
    /// rectangular.
    columns: &'static [(&'static str, &'static str)],
    /// What is done when the row is there.
    conflict: Conflict,
}

/// What is done with a row whose key is there already.
enum Conflict {
    /// There is none.
    Never,
    /// It stays as it is.
    Stay,
    /// Every other column is replaced, and this is done beside.
    Replace { key: &'static str, also: &'static str },
    /// These assignments are made.
    Assign { key: &'static str, assignments: &'static str },
}

fn statement(insert: &Insert) -> String {
    let Insert { table, shared, columns, conflict } = insert;
    let names = |list: &[(&str, &str)]| {
        list.iter().map(|(name, _type)| (*name).to_owned()).collect::<Vec<_>>()
    };
    let all = [names(shared), names(columns)].concat();
    let mut number = 0;
    let mut parameter = || {
        number += 1;
        number
    };
    let fixed = shared.iter().map(|(_name, kind)| format!("${}::{kind}", parameter()));
    let fixed: Vec<_> = fixed.collect();
    let arrays = columns.iter().map(|(_name, kind)| {
        let element = if *kind == "bigint[]" { "text" } else { kind };
        format!("${}::{element}[]", parameter())
    });
    let arrays: Vec<_> = arrays.collect();
    let selected = columns.iter().map(|(name, kind)| format!("r.{name}::{kind}"));
    let selected: Vec<_> = fixed.into_iter().chain(selected).collect();
    let conflict = match conflict {
        Conflict::Never => String::new(),
        Conflict::Stay => "ON CONFLICT DO NOTHING".to_owned(),
        Conflict::Replace { key, also } => {
            let replaced = all.iter().filter(|name| !key.split(", ").any(|key| key == *name));
            let replaced: Vec<_> =
                replaced.map(|name| format!("{name} = excluded.{name}")).collect();
            format!("ON CONFLICT ({key}) DO UPDATE SET {}{also}", replaced.join(", "))
        }
        Conflict::Assign { key, assignments } => {
            format!("ON CONFLICT ({key}) DO UPDATE SET {assignments}")
        }
    };
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM unnest({}) AS r ({}) {conflict}",
        all.join(", "),
        selected.join(", "),
        arrays.join(", "),
        names(columns).join(", "),
    )
}

const MODELS: Insert = Insert {
    table: "models",
    shared: &[("first_used_at", "timestamptz")],
    columns: &[
        ("detection", "bigint"),
        ("name", "text"),
        ("sha256", "text"),
        ("schema", "integer"),
        ("fingerprint", "text"),
        ("ai_offset", "double precision"),
        ("contamination", "double precision"),
        ("calibration_rows", "bigint"),
        ("rules", "bigint"),
        ("intel", "bigint"),
        ("decoys", "bigint"),
    ],
    conflict: Conflict::Stay,
};

const SESSIONS: Insert = Insert {
    table: "sessions",
    shared: &[("epoch", "bigint"), ("recorded_at", "timestamptz")],
    columns: &[
        ("number", "bigint"),
        ("source", "inet"),
        ("tenant", "integer"),
        ("time", "timestamptz"),
        ("last_time", "timestamptz"),
        ("packets", "bigint"),
        ("bytes", "bigint"),
        ("safe", "bigint"),
        ("warning", "bigint"),
        ("high", "bigint"),
        ("critical", "bigint"),
        ("worst", "smallint"),
        ("rules", "bigint[]"),
        ("state", "smallint"),
    ],
    conflict: Conflict::Replace { key: "epoch, number", also: "" },
};

const INCIDENTS: Insert = Insert {
    table: "incidents",
    shared: &[("epoch", "bigint"), ("recorded_at", "timestamptz")],
    columns: &[
        ("number", "bigint"),
        ("subject", "inet"),
        ("side", "smallint"),
        ("kind", "text"),
        ("title", "text"),
        ("time", "timestamptz"),
        ("last_time", "timestamptz"),
        ("count", "bigint"),
        ("events", "bigint"),
        ("worst", "smallint"),
        ("worst_event", "bigint"),
        ("rules", "bigint[]"),
    ],
    // State and note are people's; but what goes on after somebody closed it is open again.
    conflict: Conflict::Replace {
        key: "epoch, number",
        also: ", state = CASE WHEN incidents.state = 2 AND excluded.events > incidents.events THEN 0 ELSE incidents.state END",
    },
};

const PROFILES: Insert = Insert {
    table: "source_profiles",
    shared: &[("recorded_at", "timestamptz")],
    columns: &[
        ("source", "inet"),
        ("tenant", "integer"),
        ("time", "timestamptz"),
        ("last_time", "timestamptz"),
        ("sessions", "bigint"),
        ("packets", "bigint"),
        ("bytes", "bigint"),
        ("safe", "bigint"),
        ("warning", "bigint"),
        ("high", "bigint"),
        ("critical", "bigint"),
    ],
    conflict: Conflict::Assign {
        key: "source, tenant",
        assignments: "time = least(source_profiles.time, excluded.time), \
             last_time = greatest(source_profiles.last_time, excluded.last_time), \
             recorded_at = greatest(source_profiles.recorded_at, excluded.recorded_at), \
             sessions = source_profiles.sessions + excluded.sessions, \
             packets = source_profiles.packets + excluded.packets, \
             bytes = source_profiles.bytes + excluded.bytes, \
             safe = source_profiles.safe + excluded.safe, \
             warning = source_profiles.warning + excluded.warning, \
             high = source_profiles.high + excluded.high, \
             critical = source_profiles.critical + excluded.critical",
    },
};

const ACCOUNTING: Insert = Insert {
    table: "accounting",
    shared: &[],
    columns: &[
        ("epoch", "bigint"),
        ("number", "bigint"),
        ("at", "timestamptz"),
        ("kind", "smallint"),
        ("dequeued", "bigint"),
        ("packets", "bigint"),
        ("victims", "bigint"),
        ("sampled_out", "bigint"),
        ("open_packets", "bigint"),
        ("open_alerts", "bigint"),
        ("events", "bigint"),
        ("event_packets", "bigint"),
        ("event_alerts", "bigint"),
        ("stages", "text"),
    ],
    conflict: Conflict::Replace { key: "epoch, number", also: "" },
};

const EVENT_RULES: Insert = Insert {
    table: "event_rules",
    shared: &[("epoch", "bigint")],
    columns: &[("rule", "bigint"), ("time", "timestamptz"), ("number", "bigint")],
    // The event is new, so its rules are; asking would take twice as long.
    conflict: Conflict::Never,
};

/// Rules that fired, each with its event, by rule: so neighbours in the table are written together.
fn fired<'e>(events: &[&'e Event]) -> Vec<(u32, &'e Event)> {
    let mut fired: Vec<(u32, &Event)> =
        events.iter().flat_map(|event| event.rules.iter().map(|rule| (*rule, *event))).collect();
    fired.sort_unstable_by_key(|(rule, event)| (*rule, event.first, event.number));
    // An event may name a rule twice.
    fired.dedup_by_key(|(rule, event)| (*rule, event.first, event.number));
    fired
}

fn event_rules(epoch: i64, fired: &[(u32, &Event)]) -> Vec<Value> {
    vec![
        Box::new(epoch),
        column(fired, |(rule, _event)| i64::from(*rule)),
        column(fired, |(_rule, event)| system_time(event.first)),
        column(fired, |(_rule, event)| big(event.number)),
    ]
}

fn span_sums(epoch: i64, sums: &[SpanSums]) -> Vec<Value> {
    vec![
        column(sums, |_sums| epoch),
        column(sums, |sums| system_time(sums.start)),
        column(sums, |sums| i16::from(sums.level as u8)),
        column(sums, |sums| big(sums.events)),
        column(sums, |sums| big(sums.packets)),
        column(sums, |sums| big(sums.alerts)),
        column(sums, |sums| big(sums.weight)),
        column(sums, |sums| big(sums.score_micros)),
    ]
}

fn models(detections: &[DetectionRecord], now: Timestamp) -> Vec<Value> {
    vec![
        Box::new(system_time(now)),
        column(detections, |d| i64::from(d.version)),
        column(detections, |d| printable(&d.model).into_owned()),
        column(detections, |d| printable(&d.sha256).into_owned()),
        column(detections, |d| i32::try_from(d.schema).unwrap_or(i32::MAX)),
        column(detections, |d| printable(&d.fingerprint).into_owned()),
        column(detections, |d| d.offset),
        column(detections, |d| d.contamination),
        column(detections, |d| big(d.calibration_rows)),
        column(detections, |d| big(d.rules)),
        column(detections, |d| big(d.intel)),
        column(detections, |d| big(d.decoys)),
    ]
}

fn sessions(epoch: i64, now: Timestamp, sessions: &[&Session]) -> Vec<Value> {
    vec![
        Box::new(epoch),
        Box::new(system_time(now)),
        column(sessions, |s| big(s.number)),
        column(sessions, |s| s.source.to_ip()),
        column(sessions, |s| i32::from(s.tenant)),
        column(sessions, |s| system_time(s.first)),
        column(sessions, |s| system_time(s.last)),
        column(sessions, |s| big(s.packets)),
        column(sessions, |s| big(s.bytes)),
        level(sessions, |s| &s.levels, 0),
        level(sessions, |s| &s.levels, 1),
        level(sessions, |s| &s.levels, 2),
        level(sessions, |s| &s.levels, 3),
        column(sessions, |s| i16::from(s.worst as u8)),
        column(sessions, |s| array(&s.rules)),
        column(sessions, |s| i16::from(s.state as u8)),
    ]
}

fn incidents(epoch: i64, now: Timestamp, incidents: &[&Incident]) -> Vec<Value> {
    vec![
        Box::new(epoch),
        Box::new(system_time(now)),
        column(incidents, |i| big(i.number)),
        column(incidents, |i| i.subject.map(Address::to_ip)),
        column(incidents, |i| i16::from(i.side as u8)),
        column(incidents, |i| printable(&i.kind).into_owned()),
        column(incidents, |i| printable(&i.title).into_owned()),
        column(incidents, |i| system_time(i.first)),
        column(incidents, |i| system_time(i.last)),
        column(incidents, |i| big(i.count)),
        column(incidents, |i| big(i.events)),
        column(incidents, |i| i16::from(i.worst as u8)),
        column(incidents, |i| big(i.worst_event)),
        column(incidents, |i| array(&i.rules)),
    ]
}

fn profiles(now: Timestamp, profiles: &[ProfileChange]) -> Vec<Value> {
    vec![
        Box::new(system_time(now)),
        column(profiles, |p| p.source.to_ip()),
        column(profiles, |p| i32::from(p.tenant)),
        column(profiles, |p| system_time(p.first)),
        column(profiles, |p| system_time(p.last)),
        column(profiles, |p| big(p.sessions)),
        column(profiles, |p| big(p.packets)),
        column(profiles, |p| big(p.bytes)),
        level(profiles, |p| &p.levels, 0),
        level(profiles, |p| &p.levels, 1),
        level(profiles, |p| &p.levels, 2),
        level(profiles, |p| &p.levels, 3),
    ]
}

fn refused(epoch: i64, now: Timestamp, refused: &RefusedBatches) -> Vec<Value> {
    let RefusedBatches { first, last, upto, rows, packets, alerts, markers } = *refused;
    let counts = [first, last, upto, rows, packets, alerts, markers].map(big);
    let values = std::iter::once(epoch).chain(counts).map(|value| Box::new(value) as Value);
    values.chain([Box::new(system_time(now)) as Value]).collect()
}

/// An epoch as it begins.
fn begun(epoch: Epoch, sensor: &str) -> Vec<Value> {
    vec![
        Box::new(epoch.stored()),
        Box::new(printable(sensor).into_owned()),
        Box::new(system_time(epoch.started())),
    ]
}

fn accounting(markers: &[(i64, &Marker)]) -> Vec<Value> {
    vec![
        column(markers, |(epoch, _)| *epoch),
        column(markers, |(_, m)| big(m.number)),
        column(markers, |(_, m)| system_time(m.at)),
        column(markers, |(_, m)| i16::from(m.kind as u8)),
        column(markers, |(_, m)| big(m.totals.dequeued)),
        column(markers, |(_, m)| big(m.totals.packets)),
        column(markers, |(_, m)| big(m.totals.victims)),
        column(markers, |(_, m)| big(m.totals.sampled_out)),
        column(markers, |(_, m)| big(m.totals.open_packets)),
        column(markers, |(_, m)| big(m.totals.open_alerts)),
        column(markers, |(_, m)| big(m.totals.events)),
        column(markers, |(_, m)| big(m.totals.event_packets)),
        column(markers, |(_, m)| big(m.totals.event_alerts)),
        column(markers, |(_, m)| stages(&m.stages)),
    ]
}

/// What a marker says about the end of its epoch, if it is about that.
fn end(epoch: i64, marker: &Marker) -> Option<Vec<Value>> {
    match marker.kind {
        MarkerKind::Start | MarkerKind::Running => None,
        MarkerKind::End => {
            Some(vec![Box::new(epoch), Box::new(Some(system_time(marker.at))), Box::new(2_i16)])
        }
        // Nobody knows when it ended.
        MarkerKind::Crashed => {
            Some(vec![Box::new(epoch), Box::new(None::<SystemTime>), Box::new(3_i16)])
        }
    }
}

/// The later of two records with the same key replaces the earlier one; ascending by key.
fn last_of_each<T>(records: &[T], key: impl Fn(&T) -> u64) -> Vec<&T> {
    let latest: BTreeMap<u64, &T> = records.iter().map(|record| (key(record), record)).collect();
    latest.into_values().collect()
}

/// One change for each source and tenant, ascending.
fn added_up(changes: &[ProfileChange]) -> Vec<ProfileChange> {
    let mut sums: BTreeMap<(Address, u16), ProfileChange> = BTreeMap::new();
    for change in changes {
        sums.entry((change.source, change.tenant))
            .and_modify(|sum| add(sum, change))
            .or_insert_with(|| change.clone());
    }
    sums.into_values().collect()
}

fn add(sum: &mut ProfileChange, change: &ProfileChange) {
    sum.first = sum.first.min(change.first);
    sum.last = sum.last.max(change.last);
    sum.sessions = sum.sessions.saturating_add(change.sessions);
    sum.packets = sum.packets.saturating_add(change.packets);
    sum.bytes = sum.bytes.saturating_add(change.bytes);
    for (sum, change) in sum.levels.iter_mut().zip(change.levels) {
        *sum = sum.saturating_add(change);
    }
}

fn column<T, V>(records: &[T], value: impl Fn(&T) -> V) -> Value
where
    V: ToSql + Sync + Send + 'static,
{
    Box::new(records.iter().map(value).collect::<Vec<V>>())
}

/// Packets of one level.
fn level<T>(records: &[T], levels: impl Fn(&T) -> &[u64; 4], at: usize) -> Value {
    column(records, |record| big(levels(record).get(at).copied().unwrap_or_default()))
}

/// A count as a `bigint`. These are sums of packets and bytes of one run: no network fills 63 bits of them.
pub(super) fn big(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A moment in whole microseconds, rounded towards the past.
pub(super) fn system_time(moment: Timestamp) -> SystemTime {
    let micros = micros(moment);
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

/// PostgreSQL's text for an array.
fn array(rules: &[u32]) -> String {
    let rules: Vec<String> = rules.iter().map(u32::to_string).collect();
    format!("{{{}}}", rules.join(","))
}

fn stages(stages: &[StageSum]) -> String {
    // Text and integers: there is nothing in it that could not be JSON.
    serde_json::to_string(stages).unwrap_or_default()
}
