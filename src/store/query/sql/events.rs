//! Questions about events.

use super::condition::Condition;
use super::page::{Asked, Index, Served, Table};
use super::search::Search;
use super::{Dialect, Sql, Value, stored, whole_micros};
use crate::event::EventId;
use crate::store::query::{EventFilter, Label, Network, PageKey};
use crate::verdict::Level;

/// What every answer with events has, in this order; the readers' decoding counts on it.
const EVENT_COLUMNS: &str = "p.time, p.last_time, p.epoch, p.number, p.packet, p.count, p.alerts, p.weight, p.bytes, p.detection, \
     p.length, p.src_port, p.dst_port, p.vlan, p.sources, p.threat_score, p.model_risk, p.rule_risk, p.intel_risk, \
     p.anomaly_score, p.quantile, p.protocol, p.icmp_type, p.icmp_code, p.verdict, p.floor, p.merged, \
     p.rules_left_out, p.intel_matched, p.in_training_range, p.src_ip, p.dst_ip, p.features, p.rules, \
     p.intel_label, p.decoy, p.reason, p.community_id, l.label, l.note, l.at";

const LABELS: &str = " LEFT JOIN labels AS l ON l.epoch = p.epoch AND l.number = p.number";

const EVENTS: Table = Table {
    name: "packet_logs",
    key: ["time", "epoch", "number"],
    newest: "packet_logs_newest",
    looked_at: "p.time, p.epoch, p.number, p.verdict, p.protocol, p.src_ip, p.dst_ip, p.src_port, p.dst_port, \
                p.threat_score, p.rules",
    columns: EVENT_COLUMNS,
    joined: LABELS,
};

/// A search for a page of events, newest first: `rows` rows behind `after`.
pub(in crate::store) fn events(
    dialect: Dialect,
    filter: &EventFilter,
    after: Option<PageKey>,
    rows: u32,
) -> Search {
    let mut bounds = Vec::new();
    bounds.extend(filter.from.map(|from| Condition::Since("time", from)));
    bounds.extend(filter.to.map(|to| Condition::Before("time", to)));
    bounds.extend(after.map(|key| behind("time", key)));

    let mut others = Vec::new();
    let mut served = Vec::new();
    served.extend(filter.rule.map(|rule| Served {
        index: Index::Rules(rule),
        conditions: vec![Condition::Fired(rule)],
        holds: &[],
        ordered: true,
    }));
    served.extend(
        filter
            .source
            .map(|network| by_address("src_ip", "packet_logs_source", &["verdict"], network)),
    );
    let destination =
        |network| by_address("dst_ip", "packet_logs_destination", &["verdict"], network);
    served.extend(filter.destination.map(destination));
    // A rule before an address before a verdict before a prefix: where nothing tells them apart, the rarer one first.
    served.sort_by_key(|served| !served.ordered);
    let levels = levels(&filter.levels);
    match &levels[..] {
        [] => {}
        some if some.contains(&(Level::Safe as i64)) => {
            others.push(Condition::OneOf("verdict", some.to_vec()));
        }
        notable => served.push(Served {
            index: Index::Of("packet_logs_notable"),
            conditions: vec![
                Condition::Positive("verdict"),
                Condition::OneOf("verdict", notable.to_vec()),
            ],
            holds: &[],
            ordered: true,
        }),
    }
    others.extend(filter.protocol.map(|protocol| Condition::Is("protocol", protocol.into())));
    others.extend(filter.port.map(|port| Condition::Either("src_port", "dst_port", port.into())));
    let least = |score| Condition::AtLeast("threat_score", Value::Real(score));
    others.extend(filter.min_score.map(least));
    let asked = Asked { table: EVENTS, bounds, served, others, rows };
    Search::new(dialect, asked, levels)
}

/// One event.
pub(in crate::store) fn event(dialect: Dialect, id: EventId) -> Sql {
    let mut sql = select(dialect);
    sql.push(" WHERE p.epoch = ").bind(Value::Integer(id.epoch.stored()));
    sql.push(" AND p.number = ").bind(Value::Integer(stored(id.number))).push(" LIMIT 1");
    sql
}

/// Several events in any order; PostgreSQL alone, in SQLite one is asked for after the other.
pub(in crate::store) fn events_by_id(ids: &[EventId]) -> Sql {
    let mut sql = select(Dialect::Postgres);
    let epochs = ids.iter().map(|id| id.epoch.stored()).collect();
    let numbers = ids.iter().map(|id| stored(id.number)).collect();
    sql.push(" JOIN unnest(").bind(Value::Integers(epochs)).push(", ");
    sql.bind(Value::Integers(numbers));
    sql.push(") AS k (epoch, number) ON k.epoch = p.epoch AND k.number = p.number");
    sql
}

/// Events of one epoch behind a number, oldest first.
pub(in crate::store) fn events_since(dialect: Dialect, after: EventId, rows: u32) -> Sql {
    let mut sql = select(dialect);
    sql.push(" WHERE p.epoch = ").bind(Value::Integer(after.epoch.stored()));
    sql.push(" AND p.number > ").bind(Value::Integer(stored(after.number)));
    sql.push(" ORDER BY p.number").limit(rows);
    sql
}

/// Labels an event; changes a row if there is one of that name.
pub(in crate::store) fn label_event(dialect: Dialect, id: EventId, label: &Label) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("INSERT INTO labels (epoch, number, label, note, at) VALUES (");
    sql.bind(Value::Integer(id.epoch.stored())).push(", ").bind(Value::Integer(stored(id.number)));
    sql.push(", ").bind(Value::Text(Some(label.label.name().to_owned())));
    sql.push(", ").bind(Value::Text(label.note.as_deref().map(without_nul)));
    sql.push(", ").bind(Value::Time(whole_micros(label.at)));
    sql.push(") ON CONFLICT (epoch, number) DO UPDATE SET label = excluded.label, note = excluded.note, at = excluded.at");
    sql
}

/// Whether there is an event of that name: one row, or none.
pub(in crate::store) fn event_exists(dialect: Dialect, id: EventId) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT 1 FROM packet_logs WHERE epoch = ").bind(Value::Integer(id.epoch.stored()));
    sql.push(" AND number = ").bind(Value::Integer(stored(id.number))).push(" LIMIT 1");
    sql
}

/// Text as both stores can hold it: PostgreSQL takes no NUL.
pub(super) fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The condition of standing behind a key in a list that is sorted by `column`.
pub(super) fn behind(column: &'static str, key: PageKey) -> Condition {
    let time = whole_micros(key.time);
    // No row has the time of such a key: all rows before the next whole microsecond are behind it.
    let (epoch, number) = if time == key.time {
        (key.id.epoch.stored(), stored(key.id.number))
    } else {
        (i64::MIN, i64::MIN)
    };
    let values = [Value::Time(time), Value::Integer(epoch), Value::Integer(number)];
    Condition::Behind([column, "epoch", "number"], values)
}

/// What an index by address serves: in the order of the list if it is one address.
pub(super) fn by_address(
    column: &'static str,
    index: &'static str,
    holds: &'static [&'static str],
    network: Network,
) -> Served {
    Served {
        index: Index::Of(index),
        conditions: vec![Condition::within(column, network)],
        holds,
        ordered: network.single().is_some(),
    }
}

fn select(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ").push(EVENT_COLUMNS).push(" FROM packet_logs AS p").push(LABELS);
    sql
}

/// The verdicts that a filter leaves, each once; none where it leaves all.
fn levels(wanted: &[Level]) -> Vec<i64> {
    let levels = Level::ALL.into_iter().filter(|one| wanted.contains(one));
    let levels: Vec<i64> = levels.map(|level| level as i64).collect();
    if levels.len() == Level::ALL.len() { Vec::new() } else { levels }
}
