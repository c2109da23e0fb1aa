//! Rows of answers back into the program's words, once for both stores. The order of the columns is that of `sql`.

use super::{
    EpochLedger, IncidentState, Label, LabelWord, Profile, StoredEvent, StoredIncident,
    StoredSession, TimelineBucket,
};
use crate::address::Address;
use crate::event::{
    Epoch, Event, Incident, Marker, MarkerKind, Merged, Session, SessionState, Side, StageSum,
    Totals,
};
use crate::features::FeatureVector;
use crate::time::Timestamp;
use crate::verdict::{Floor, Level};

/// The columns of one row, by position.
pub(in crate::store) trait Columns {
    /// A whole number.
    fn integer(&self, at: usize) -> Result<Option<i64>, OddRow>;
    /// A single float.
    fn real(&self, at: usize) -> Result<Option<f32>, OddRow>;
    /// A double float.
    fn double(&self, at: usize) -> Result<Option<f64>, OddRow>;
    /// The weighted sum of a threat score.
    fn total(&self, at: usize) -> Result<Option<f32>, OddRow>;
    /// A moment.
    fn time(&self, at: usize) -> Result<Option<Timestamp>, OddRow>;
    /// An address.
    fn address(&self, at: usize) -> Result<Option<Address>, OddRow>;
    /// Text.
    fn text(&self, at: usize) -> Result<Option<String>, OddRow>;
    /// Yes or no.
    fn flag(&self, at: usize) -> Result<Option<bool>, OddRow>;
    /// Signature ids.
    fn rules(&self, at: usize) -> Result<Option<Vec<u32>>, OddRow>;
    /// The features.
    fn features(&self, at: usize) -> Result<Option<FeatureVector>, OddRow>;
}

/// A row that this program did not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row that this program did not write: column {column} of the answer {fault}")]
pub(in crate::store) struct OddRow {
    /// From 1.
    pub(in crate::store) column: usize,
    /// What is wrong with it.
    pub(in crate::store) fault: String,
}

impl OddRow {
    /// What is wrong with the column at `at`, counted from 0.
    pub(in crate::store) fn new(at: usize, fault: impl Into<String>) -> Self {
        Self { column: at + 1, fault: fault.into() }
    }
}

/// Reads the columns of a row one after the other.
struct Cursor<'a> {
    row: &'a (dyn Columns + 'a),
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take<T>(
        &mut self,
        read: impl FnOnce(&'a (dyn Columns + 'a), usize) -> Result<Option<T>, OddRow>,
    ) -> Result<Option<T>, OddRow> {
        let value = read(self.row, self.at);
        self.at += 1;
        value
    }

    fn some<T>(
        &mut self,
        read: impl FnOnce(&'a (dyn Columns + 'a), usize) -> Result<Option<T>, OddRow>,
    ) -> Result<T, OddRow> {
        let at = self.at;
        self.take(read)?.ok_or_else(|| OddRow::new(at, "is null"))
    }

    /// A whole number of any narrower type.
    fn number<T: TryFrom<i64>>(&mut self) -> Result<T, OddRow> {
        let at = self.at;
        let number = self.some(Columns::integer)?;
        T::try_from(number).map_err(|_too_large| OddRow::new(at, format!("is {number}")))
    }

    /// The same, or null.
    fn number_or_null<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, OddRow> {
        let at = self.at;
        let Some(number) = self.take(Columns::integer)? else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|_too_large| OddRow::new(at, format!("is {number}")))
    }

    /// One of a list, by its number.
    fn one_of<T: Copy>(&mut self, all: &[T]) -> Result<T, OddRow> {
        let at = self.at;
        let number: usize = self.number()?;
        all.get(number).copied().ok_or_else(|| OddRow::new(at, format!("is {number}")))
    }

    fn time(&mut self) -> Result<Timestamp, OddRow> {
        self.some(Columns::time)
    }

    fn text(&mut self) -> Result<Box<str>, OddRow> {
        self.some(Columns::text).map(String::into_boxed_str)
    }

    fn epoch(&mut self) -> Result<Epoch, OddRow> {
        let at = self.at;
        Epoch::from_stored(self.number()?).ok_or_else(|| OddRow::new(at, "is negative"))
    }

    fn levels(&mut self) -> Result<[u64; 4], OddRow> {
        Ok([self.number()?, self.number()?, self.number()?, self.number()?])
    }
}

const SIDES: [Side; 2] = [Side::Source, Side::Destination];

const FLOORS: [Floor; 6] = [
    Floor::None,
    Floor::IntelHit,
    Floor::StrongRule,
    Floor::RareForModel,
    Floor::IntelAndRule,
    Floor::DecoyTouched,
];

const SESSION_STATES: [SessionState; 4] =
    [SessionState::Open, SessionState::Idle, SessionState::Evicted, SessionState::Stopped];

const MARKER_KINDS: [MarkerKind; 4] =
    [MarkerKind::Start, MarkerKind::Running, MarkerKind::End, MarkerKind::Crashed];

/// An event with its label.
pub(in crate::store) fn event(row: &dyn Columns) -> Result<StoredEvent, OddRow> {
    let mut at = Cursor { row, at: 0 };
    let (first, last, epoch, number) = (at.time()?, at.time()?, at.epoch()?, at.number()?);
    let packet = at.number()?;
    let (count, alerts, weight, bytes) = (at.number()?, at.number()?, at.number()?, at.number()?);
    let (detection, length) = (at.number()?, at.number()?);
    let (source_port, destination_port) = (at.number_or_null()?, at.number_or_null()?);
    let (vlan, sources, total) = (at.number()?, at.number()?, at.some(Columns::total)?);
    let (model_risk, rule_risk, intel_risk) =
        (at.some(Columns::real)?, at.some(Columns::real)?, at.some(Columns::real)?);
    let (anomaly_score, quantile) = (at.take(Columns::real)?, at.take(Columns::real)?);
    let protocol = at.number()?;
    let (icmp_type, icmp_code) = (at.number_or_null()?, at.number_or_null()?);
    let (level, floor, merged) =
        (at.one_of(&Level::ALL)?, at.one_of(&FLOORS)?, at.one_of(&Merged::ALL)?);
    let rules_left_out = at.number()?;
    let side: Option<usize> = at.number_or_null()?;
    let in_training_range = at.take(Columns::flag)?;
    let (source, destination) = (at.take(Columns::address)?, at.take(Columns::address)?);
    let (features, rules) = (at.take(Columns::features)?, at.some(Columns::rules)?);
    let (intel, decoy) = (at.take(Columns::text)?, at.take(Columns::text)?);
    let (reason, community_id) = (at.text()?, at.take(Columns::text)?);
    let side = side.and_then(|side| SIDES.get(side).copied());
    let event = Event {
        number,
        first,
        last,
        source,
        destination,
        source_port,
        destination_port,
        icmp: icmp_type.zip(icmp_code),
        protocol,
        vlan,
        level,
        count,
        alerts,
        weight,
        bytes,
        length,
        sources,
        merged,
        total,
        anomaly_score,
        quantile,
        in_training_range,
        model_risk,
        rule_risk,
        intel_risk,
        floor,
        features,
        rules,
        rules_left_out,
        intel: intel.map(String::into_boxed_str).zip(side),
        decoy: decoy.map(String::into_boxed_str),
        reason,
        detection,
        packet,
        community_id: community_id.map(String::into_boxed_str),
    };
    Ok(StoredEvent { epoch, event, label: label(&mut at)? })
}

fn label(at: &mut Cursor<'_>) -> Result<Option<Label>, OddRow> {
    let column = at.at;
    let (word, note, moment) =
        (at.take(Columns::text)?, at.take(Columns::text)?, at.take(Columns::time)?);
    let (Some(word), Some(moment)) = (word, moment) else { return Ok(None) };
    let label = LabelWord::ALL
        .into_iter()
        .find(|known| known.name() == word)
        .ok_or_else(|| OddRow::new(column, "is no label"))?;
    Ok(Some(Label { label, note, at: moment }))
}

/// A session.
pub(in crate::store) fn session(row: &dyn Columns) -> Result<StoredSession, OddRow> {
    let mut at = Cursor { row, at: 0 };
    let (first, last, epoch, number) = (at.time()?, at.time()?, at.epoch()?, at.number()?);
    let session = Session {
        number,
        first,
        last,
        source: at.some(Columns::address)?,
        tenant: at.number()?,
        packets: at.number()?,
        bytes: at.number()?,
        levels: at.levels()?,
        worst: at.one_of(&Level::ALL)?,
        rules: at.some(Columns::rules)?,
        state: at.one_of(&SESSION_STATES)?,
    };
    Ok(StoredSession { epoch, session })
}

/// An incident.
pub(in crate::store) fn incident(row: &dyn Columns) -> Result<StoredIncident, OddRow> {
    let mut at = Cursor { row, at: 0 };
    let (first, last, epoch, number) = (at.time()?, at.time()?, at.epoch()?, at.number()?);
    let incident = Incident {
        number,
        first,
        last,
        subject: at.take(Columns::address)?,
        side: at.one_of(&SIDES)?,
        kind: at.text()?,
        title: at.text()?,
        count: at.number()?,
        events: at.number()?,
        worst: at.one_of(&Level::ALL)?,
        worst_event: at.number()?,
        rules: at.some(Columns::rules)?,
    };
    let state = at.one_of(&IncidentState::ALL)?;
    let (note, changed_at) = (at.take(Columns::text)?, at.take(Columns::time)?);
    Ok(StoredIncident { epoch, incident, state, note, changed_at })
}

/// The profile of a source.
pub(in crate::store) fn profile(row: &dyn Columns) -> Result<Profile, OddRow> {
    let mut at = Cursor { row, at: 0 };
    Ok(Profile {
        source: at.some(Columns::address)?.to_ip(),
        tenant: at.number()?,
        first: at.time()?,
        last: at.time()?,
        sessions: at.number()?,
        packets: at.number()?,
        bytes: at.number()?,
        levels: at.levels()?,
    })
}

/// Sums of one verdict.
pub(in crate::store) struct LevelSums {
    /// The verdict.
    pub(in crate::store) level: Level,
    /// Rows.
    pub(in crate::store) events: u64,
    /// Packets represented.
    pub(in crate::store) weight: u64,
    /// Packets represented times threat score, in millionths.
    pub(in crate::store) score: f64,
}

/// Sums of one verdict.
pub(in crate::store) fn level_sums(row: &dyn Columns) -> Result<LevelSums, OddRow> {
    let mut at = Cursor { row, at: 0 };
    Ok(LevelSums {
        level: at.one_of(&Level::ALL)?,
        events: at.number()?,
        weight: at.number()?,
        score: at.some(Columns::double)?,
    })
}

/// One bucket with one verdict in it.
pub(in crate::store) fn bucket(row: &dyn Columns) -> Result<TimelineBucket, OddRow> {
    let mut at = Cursor { row, at: 0 };
    let start = at.time()?;
    let level = at.one_of(&Level::ALL)?;
    let events = at.number()?;
    let weight = at.number()?;
    let levels = Level::ALL.map(|one| if one == level { weight } else { 0 });
    Ok(TimelineBucket { start, levels, events })
}

/// When the oldest and the newest event began.
pub(in crate::store) fn span(row: &dyn Columns) -> Result<Option<(Timestamp, Timestamp)>, OddRow> {
    Ok(row.time(0)?.zip(row.time(1)?))
}

/// A single text.
pub(in crate::store) fn text(row: &dyn Columns) -> Result<String, OddRow> {
    Cursor { row, at: 0 }.some(Columns::text)
}

/// A single moment.
pub(in crate::store) fn moment(row: &dyn Columns) -> Result<Timestamp, OddRow> {
    Cursor { row, at: 0 }.time()
}

/// A single number.
pub(in crate::store) fn count(row: &dyn Columns) -> Result<u64, OddRow> {
    Cursor { row, at: 0 }.number()
}

/// What a store says of an epoch.
pub(in crate::store) fn ledger(row: &dyn Columns) -> Result<EpochLedger, OddRow> {
    let mut at = Cursor { row, at: 0 };
    Ok(EpochLedger {
        epoch: at.epoch()?,
        sensor: at.some(Columns::text)?,
        started: at.time()?,
        ended: at.take(Columns::time)?,
        batches: at.number()?,
        rows: at.number()?,
        packets: at.number()?,
        alerts: at.number()?,
        quarantined_rows: at.number()?,
        pruned_rows: at.number()?,
        pruned_packets: at.number()?,
        refused_rows: at.number()?,
        refused_packets: at.number()?,
        last_marker: marker(&mut at)?,
    })
}

fn marker(at: &mut Cursor<'_>) -> Result<Option<Marker>, OddRow> {
    let Some(number) = at.number_or_null()? else { return Ok(None) };
    let (moment, kind) = (at.time()?, at.one_of(&MARKER_KINDS)?);
    let totals = Totals {
        dequeued: at.number()?,
        packets: at.number()?,
        victims: at.number()?,
        sampled_out: at.number()?,
        open_packets: at.number()?,
        open_alerts: at.number()?,
        events: at.number()?,
        event_packets: at.number()?,
        event_alerts: at.number()?,
    };
    let column = at.at;
    let stages: Vec<StageSum> = serde_json::from_str(&at.some(Columns::text)?)
        .map_err(|fault| OddRow::new(column, format!("is no list of stages: {fault}")))?;
    Ok(Some(Marker { number, at: moment, kind, totals, stages }))
}
