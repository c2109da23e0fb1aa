//! Questions about sessions, incidents and profiles of sources.

use super::condition::{Condition, write_where};
use super::events::{behind, by_address, without_nul};
use super::page::{Asked, Index, Question, Served, Table};
use super::{Dialect, Sql, Value, stored, whole_micros};
use crate::address::Address;
use crate::event::EventId;
use crate::store::query::{
    IncidentChange, IncidentFilter, Network, PageKey, ProfileKey, SessionFilter,
};
use crate::time::Timestamp;
use crate::verdict::Level;

const SESSIONS: Table = Table {
    name: "sessions",
    key: ["time", "epoch", "number"],
    newest: "sessions_newest",
    looked_at: "p.time, p.epoch, p.number, p.source, p.worst, p.state",
    columns: "p.time, p.last_time, p.epoch, p.number, p.source, p.tenant, p.packets, p.bytes, p.safe, p.warning, p.high, \
              p.critical, p.worst, p.rules, p.state",
    joined: "",
};

const INCIDENT_COLUMNS: &str = "p.time, p.last_time, p.epoch, p.number, p.subject, p.side, p.kind, p.title, p.count, p.events, \
     p.worst, p.worst_event, p.rules, p.state, p.note, p.changed_at";

const INCIDENTS: Table = Table {
    name: "incidents",
    key: ["last_time", "epoch", "number"],
    newest: "incidents_newest",
    looked_at: "p.last_time, p.epoch, p.number, p.time, p.subject, p.kind, p.worst, p.state",
    columns: INCIDENT_COLUMNS,
    joined: "",
};

const PROFILE_COLUMNS: &str = "p.source, p.tenant, p.time, p.last_time, p.sessions, p.packets, p.bytes, p.safe, p.warning, p.high, \
     p.critical";

const PROFILES: Table = Table {
    name: "source_profiles",
    key: ["last_time", "source", "tenant"],
    newest: "source_profiles_newest",
    looked_at: "p.last_time, p.source, p.tenant",
    columns: PROFILE_COLUMNS,
    joined: "",
};

/// A page of sessions, those that began last first.
pub(in crate::store) fn sessions(
    dialect: Dialect,
    filter: &SessionFilter,
    after: Option<PageKey>,
    rows: u32,
) -> Question {
    let mut bounds = Vec::new();
    bounds.extend(filter.from.map(|from| Condition::Since("time", from)));
    bounds.extend(filter.to.map(|to| Condition::Before("time", to)));
    bounds.extend(after.map(|key| behind("time", key)));
    let mut served = Vec::new();
    served
        .extend(filter.source.map(|network| by_address("source", "sessions_source", &[], network)));
    let mut others = Vec::new();
    match filter.worst {
        None | Some(Level::Safe) => {}
        Some(worst) => {
            let condition = Condition::AtLeast("worst", Value::Integer(worst as i64));
            served.push(Served {
                index: Index::Of("sessions_notable"),
                conditions: vec![Condition::Positive("worst"), condition],
                holds: &[],
                ordered: true,
            });
        }
    }
    others.extend(filter.state.map(|state| Condition::Is("state", state as i64)));
    Asked { table: SESSIONS, bounds, served, others, rows }.question(dialect)
}

/// A page of incidents, those that went on last first.
pub(in crate::store) fn incidents(
    dialect: Dialect,
    filter: &IncidentFilter,
    after: Option<PageKey>,
    rows: u32,
) -> Question {
    let mut bounds = Vec::new();
    bounds.extend(filter.from.map(|from| Condition::Since("last_time", from)));
    bounds.extend(after.map(|key| behind("last_time", key)));
    let mut others = Vec::new();
    // Going on from its first packet to its last: it overlaps the span that is asked for.
    others.extend(filter.to.map(|to| Condition::Before("time", to)));
    let worst = filter.worst.filter(|worst| *worst > Level::Safe);
    others.extend(worst.map(|worst| Condition::AtLeast("worst", Value::Integer(worst as i64))));
    others.extend(filter.state.map(|state| Condition::Is("state", state as i64)));
    others.extend(filter.kind.as_ref().map(|kind| Condition::Reads("kind", kind.clone())));
    let by_subject = |network| by_address("subject", "incidents_subject", &[], network);
    let served = filter.subject.map(by_subject).into_iter().collect();
    Asked { table: INCIDENTS, bounds, served, others, rows }.question(dialect)
}

/// A page of profiles, those seen last first.
pub(in crate::store) fn profiles(
    dialect: Dialect,
    network: Option<Network>,
    after: Option<ProfileKey>,
    rows: u32,
) -> Question {
    let bounds = after.map(profile_behind).into_iter().collect();
    let by_source = |network| Served {
        index: Index::Of(""),
        conditions: vec![Condition::within("source", network)],
        holds: &[],
        ordered: false,
    };
    let served = network.map(by_source).into_iter().collect();
    Asked { table: PROFILES, bounds, served, others: Vec::new(), rows }.question(dialect)
}

/// The profiles of one source, by tenant.
pub(in crate::store) fn profiles_of(dialect: Dialect, source: Network, rows: u32) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ").push(PROFILE_COLUMNS).push(" FROM source_profiles AS p");
    write_where(&mut sql, "p", &[Condition::within("source", source)]);
    sql.push(" ORDER BY p.source, p.tenant").limit(rows);
    sql
}

/// One incident.
pub(in crate::store) fn incident(dialect: Dialect, id: EventId) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ").push(INCIDENT_COLUMNS).push(" FROM incidents AS p WHERE p.epoch = ");
    sql.bind(Value::Integer(id.epoch.stored())).push(" AND p.number = ");
    sql.bind(Value::Integer(stored(id.number)));
    sql
}

/// Changes what people made of an incident.
pub(in crate::store) fn change_incident(
    dialect: Dialect,
    id: EventId,
    change: &IncidentChange,
    now: Timestamp,
) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("UPDATE incidents SET changed_at = ").bind(Value::Time(whole_micros(now)));
    if let Some(state) = change.state {
        sql.push(", state = ").bind(Value::Integer(state as i64));
    }
    if let Some(note) = &change.note {
        let note = Some(without_nul(note)).filter(|note| !note.is_empty());
        sql.push(", note = ").bind(Value::Text(note));
    }
    sql.push(" WHERE epoch = ").bind(Value::Integer(id.epoch.stored()));
    sql.push(" AND number = ").bind(Value::Integer(stored(id.number)));
    sql
}

fn profile_behind(key: ProfileKey) -> Condition {
    let values = [
        Value::Time(whole_micros(key.last)),
        Value::Address(Address::from(key.source).to_ip()),
        Value::Integer(key.tenant.into()),
    ];
    Condition::Behind(["last_time", "source", "tenant"], values)
}
