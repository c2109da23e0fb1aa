//! Both stores with rows in them. What is written here is written by other means than the program's own, so that
//! a mistake in its codec does not cancel out.

use std::fmt::Write as _;
use std::path::PathBuf;

use phantomnet::address::Address;
use phantomnet::event::{Epoch, Event, Incident, ProfileChange, Session};
use phantomnet::store::query::Queries;
use phantomnet::store::rollup::SpanSums;
use phantomnet::store::{Location, migrate};
use phantomnet::time::Timestamp;
use tokio::runtime::Runtime;

use crate::cluster::{Cluster, Database};
use crate::support;

/// A store of one's own.
pub(crate) enum Filled {
    Sqlite { _folder: tempfile::TempDir, path: PathBuf },
    Postgres(Database<'static>),
}

/// Whose SQL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Sqlite,
}

impl Filled {
    /// One of each, empty.
    pub(crate) fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres()]
    }

    pub(crate) fn sqlite() -> Self {
        let folder = support::folder();
        let path = folder.path().join("phantomnet.db");
        migrate(&Location::Sqlite(path.clone())).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        Self::Sqlite { _folder: folder, path }
    }

    pub(crate) fn postgres() -> Self {
        let database = Cluster::shared().database("queries");
        migrate(&database.url().parse().unwrap()).unwrap();
        Self::Postgres(database)
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    pub(crate) fn location(&self) -> Location {
        match self {
            Self::Sqlite { path, .. } => Location::Sqlite(path.clone()),
            Self::Postgres(database) => database.url().parse().unwrap(),
        }
    }

    pub(crate) fn queries(&self) -> Queries {
        Queries::open(&self.location(), 2).unwrap()
    }

    /// Runs statements of this store's own dialect.
    pub(crate) fn execute(&self, statements: &str) {
        match self {
            Self::Sqlite { path, .. } => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
                connection.execute_batch(statements).unwrap();
            }
            Self::Postgres(database) => {
                let url = database.url();
                runtime().block_on(async {
                    let (client, connection) =
                        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                    let task = tokio::spawn(connection);
                    client.batch_execute(statements).await.unwrap();
                    drop(client);
                    task.await.unwrap().unwrap();
                });
            }
        }
    }

    /// Inserts events with what is kept beside them, in one transaction.
    pub(crate) fn insert_events(&self, events: &[(Epoch, Event)]) {
        let dialect = self.dialect();
        let mut sql = String::from("BEGIN;\n");
        for (epoch, event) in events {
            let row = event_row(dialect, *epoch, event);
            writeln!(sql, "INSERT INTO packet_logs ({EVENT_COLUMNS}) VALUES ({row});").unwrap();
            for rule in &event.rules {
                let time = time(dialect, event.first);
                let (epoch, number) = (epoch.stored(), event.number);
                writeln!(
                    sql,
                    "INSERT INTO event_rules (rule, time, epoch, number) VALUES ({rule}, {time}, {epoch}, {number}) ON CONFLICT DO NOTHING;"
                )
                .unwrap();
            }
            let spans = SpanSums::of([event]);
            for (rollup, sums) in
                spans.iter().flat_map(|(rollup, all)| all.iter().map(move |one| (rollup, one)))
            {
                writeln!(
                    sql,
                    "INSERT INTO {table} AS m (epoch, {start}, verdict, events, packets, alerts, weight, score_micros) VALUES ({}, {}, {}, {}, {}, {}, {}, {}) \
                     ON CONFLICT ({start}, verdict, epoch) DO UPDATE SET events = m.events + excluded.events, packets = m.packets + excluded.packets, \
                     alerts = m.alerts + excluded.alerts, weight = m.weight + excluded.weight, score_micros = m.score_micros + excluded.score_micros;",
                    epoch.stored(),
                    time(dialect, sums.start),
                    sums.level as u8,
                    sums.events,
                    sums.packets,
                    sums.alerts,
                    sums.weight,
                    sums.score_micros,
                    table = rollup.table(),
                    start = rollup.column(),
                )
                .unwrap();
            }
        }
        sql.push_str("COMMIT;");
        self.execute(&sql);
    }

    pub(crate) fn insert_sessions(&self, sessions: &[(Epoch, Session)]) {
        let dialect = self.dialect();
        let mut sql = String::new();
        for (epoch, session) in sessions {
            let [safe, warning, high, critical] = session.levels;
            writeln!(
                sql,
                "INSERT INTO sessions (epoch, number, source, tenant, time, last_time, recorded_at, packets, bytes, safe, warning, high, critical, worst, rules, state) \
                 VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {safe}, {warning}, {high}, {critical}, {}, {}, {});",
                epoch.stored(),
                session.number,
                address(dialect, session.source),
                session.tenant,
                time(dialect, session.first),
                time(dialect, session.last),
                time(dialect, session.last),
                session.packets,
                session.bytes,
                session.worst as u8,
                rules(dialect, &session.rules),
                session.state as u8,
            )
            .unwrap();
        }
        self.execute(&sql);
    }

    pub(crate) fn insert_incidents(&self, incidents: &[(Epoch, Incident)]) {
        let dialect = self.dialect();
        let mut sql = String::new();
        for (epoch, incident) in incidents {
            writeln!(
                sql,
                "INSERT INTO incidents (epoch, number, subject, side, kind, title, time, last_time, recorded_at, count, events, worst, worst_event, rules) \
                 VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});",
                epoch.stored(),
                incident.number,
                or_null(incident.subject.map(|subject| address(dialect, subject))),
                incident.side as u8,
                text(&incident.kind),
                text(&incident.title),
                time(dialect, incident.first),
                time(dialect, incident.last),
                time(dialect, incident.last),
                incident.count,
                incident.events,
                incident.worst as u8,
                incident.worst_event,
                rules(dialect, &incident.rules),
            )
            .unwrap();
        }
        self.execute(&sql);
    }

    pub(crate) fn insert_profiles(&self, profiles: &[ProfileChange]) {
        let dialect = self.dialect();
        let mut sql = String::new();
        for profile in profiles {
            let [safe, warning, high, critical] = profile.levels;
            writeln!(
                sql,
                "INSERT INTO source_profiles (source, tenant, time, last_time, recorded_at, sessions, packets, bytes, safe, warning, high, critical) \
                 VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {safe}, {warning}, {high}, {critical});",
                address(dialect, profile.source),
                profile.tenant,
                time(dialect, profile.first),
                time(dialect, profile.last),
                time(dialect, profile.last),
                profile.sessions,
                profile.packets,
                profile.bytes,
            )
            .unwrap();
        }
        self.execute(&sql);
    }

    /// A moment as this store writes it.
    pub(crate) fn time(&self, moment: Timestamp) -> String {
        time(self.dialect(), moment)
    }

    const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }
}

/// A runtime for one thread.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs statements on a server one after the other, each in a transaction of its own.
pub(crate) fn execute(url: &str, statements: &str) {
    runtime().block_on(async {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let task = tokio::spawn(connection);
        for statement in statements.split(';').filter(|one| !one.trim().is_empty()) {
            client.batch_execute(statement).await.unwrap();
        }
        drop(client);
        task.await.unwrap().unwrap();
    });
}

const EVENT_COLUMNS: &str = "time, last_time, recorded_at, epoch, number, packet, count, alerts, weight, bytes, detection, \
     length, src_port, dst_port, vlan, sources, threat_score, model_risk, rule_risk, intel_risk, anomaly_score, quantile, \
     protocol, icmp_type, icmp_code, verdict, floor, merged, rules_left_out, intel_matched, in_training_range, src_ip, \
     dst_ip, features, rules, intel_label, decoy, reason, community_id";

fn event_row(dialect: Dialect, epoch: Epoch, event: &Event) -> String {
    let features = event.features.as_ref().map(|features| match dialect {
        Dialect::Postgres => {
            let values: Vec<String> =
                features.0.iter().map(|value| real(dialect, *value)).collect();
            format!("ARRAY[{}]::real[]", values.join(", "))
        }
        Dialect::Sqlite => {
            let bytes = features.0.iter().flat_map(|value| value.to_le_bytes());
            format!("X'{}'", bytes.map(|byte| format!("{byte:02x}")).collect::<String>())
        }
    });
    [
        time(dialect, event.first),
        time(dialect, event.last),
        time(dialect, event.last),
        epoch.stored().to_string(),
        event.number.to_string(),
        event.packet.to_string(),
        event.count.to_string(),
        event.alerts.to_string(),
        event.weight.to_string(),
        event.bytes.to_string(),
        event.detection.to_string(),
        event.length.to_string(),
        or_null(event.source_port.map(|port| port.to_string())),
        or_null(event.destination_port.map(|port| port.to_string())),
        event.vlan.to_string(),
        event.sources.to_string(),
        real(dialect, event.total / 100.0),
        real(dialect, event.model_risk),
        real(dialect, event.rule_risk),
        real(dialect, event.intel_risk),
        or_null(event.anomaly_score.map(|value| real(dialect, value))),
        or_null(event.quantile.map(|value| real(dialect, value))),
        event.protocol.to_string(),
        or_null(event.icmp.map(|(kind, _)| kind.to_string())),
        or_null(event.icmp.map(|(_, code)| code.to_string())),
        (event.level as u8).to_string(),
        (event.floor as u8).to_string(),
        (event.merged as u8).to_string(),
        event.rules_left_out.to_string(),
        or_null(event.intel.as_ref().map(|(_, side)| (*side as u8).to_string())),
        or_null(event.in_training_range.map(|inside| inside.to_string())),
        or_null(event.source.map(|one| address(dialect, one))),
        or_null(event.destination.map(|one| address(dialect, one))),
        or_null(features),
        rules(dialect, &event.rules),
        or_null(event.intel.as_ref().map(|(label, _)| text(label))),
        or_null(event.decoy.as_deref().map(text)),
        text(&event.reason),
        or_null(event.community_id.as_deref().map(text)),
    ]
    .join(", ")
}

fn or_null(value: Option<String>) -> String {
    value.unwrap_or_else(|| "NULL".to_owned())
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn real(dialect: Dialect, value: f32) -> String {
    match dialect {
        Dialect::Postgres => format!("'{value:e}'::real"),
        Dialect::Sqlite => format!("{:?}", f64::from(value)),
    }
}

fn time(dialect: Dialect, moment: Timestamp) -> String {
    match dialect {
        Dialect::Postgres => format!("'{moment}'::timestamptz"),
        Dialect::Sqlite => moment.as_nanos().div_euclid(1000).to_string(),
    }
}

fn address(dialect: Dialect, address: Address) -> String {
    match dialect {
        Dialect::Postgres => format!("'{address}'::inet"),
        Dialect::Sqlite => {
            let digits = address.octets().map(|byte| format!("{byte:02x}"));
            format!("X'{}'", digits.concat())
        }
    }
}

fn rules(dialect: Dialect, rules: &[u32]) -> String {
    let list = rules.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    match dialect {
        Dialect::Postgres => format!("'{{{list}}}'::bigint[]"),
        Dialect::Sqlite => format!("'[{list}]'"),
    }
}
