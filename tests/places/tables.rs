//! What the tables hold, read by SQL that stands here and nowhere else, and brought to one form.

use std::path::Path;

use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::cluster::Database;

/// A table, as far as the contract speaks of it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// How many of the first columns name a row.
    pub(crate) key: usize,
    pub(crate) columns: &'static [Column],
}

pub(crate) type Column = (&'static str, Kind);

/// What a column holds, and how it looks here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number.
    Integer,
    /// A moment: microseconds since 1970.
    Moment,
    /// An address: its text.
    Address,
    /// 15 singles: their bits in hexadecimal digits, one after the other.
    Features,
    /// Rules: a list of numbers.
    Rules,
    /// A single: its bits in hexadecimal digits.
    Single,
    /// A double: its bits in hexadecimal digits.
    Double,
    /// Text.
    Text,
    /// Yes or no: 1 or 0.
    Flag,
}

use Kind::{Address, Double, Features, Flag, Integer, Moment, Rules, Single, Text};

pub(crate) const TABLES: [Table; 13] = [
    Table {
        name: "packet_logs",
        key: 3,
        columns: &[
            ("epoch", Integer),
            ("number", Integer),
            ("time", Moment),
            ("last_time", Moment),
            ("recorded_at", Moment),
            ("packet", Integer),
            ("count", Integer),
            ("alerts", Integer),
            ("weight", Integer),
            ("bytes", Integer),
            ("detection", Integer),
            ("length", Integer),
            ("src_port", Integer),
            ("dst_port", Integer),
            ("vlan", Integer),
            ("sources", Integer),
            ("threat_score", Single),
            ("model_risk", Single),
            ("rule_risk", Single),
            ("intel_risk", Single),
            ("anomaly_score", Single),
            ("quantile", Single),
            ("protocol", Integer),
            ("icmp_type", Integer),
            ("icmp_code", Integer),
            ("verdict", Integer),
            ("floor", Integer),
            ("merged", Integer),
            ("rules_left_out", Integer),
            ("intel_matched", Integer),
            ("in_training_range", Flag),
            ("src_ip", Address),
            ("dst_ip", Address),
            ("features", Features),
            ("rules", Rules),
            ("intel_label", Text),
            ("decoy", Text),
            ("reason", Text),
            ("community_id", Text),
        ],
    },
    Table {
        name: "event_rules",
        key: 4,
        columns: &[("rule", Integer), ("time", Moment), ("epoch", Integer), ("number", Integer)],
    },
    Table {
        name: "event_minutes",
        key: 3,
        columns: &[
            ("minute", Moment),
            ("verdict", Integer),
            ("epoch", Integer),
            ("events", Integer),
            ("packets", Integer),
            ("alerts", Integer),
            ("weight", Integer),
            ("score_micros", Integer),
        ],
    },
    Table {
        name: "event_hours",
        key: 3,
        columns: &[
            ("hour", Moment),
            ("verdict", Integer),
            ("epoch", Integer),
            ("events", Integer),
            ("packets", Integer),
            ("alerts", Integer),
            ("weight", Integer),
            ("score_micros", Integer),
        ],
    },
    Table {
        name: "epochs",
        key: 1,
        columns: &[
            ("epoch", Integer),
            ("sensor", Text),
            ("started_at", Moment),
            ("ended_at", Moment),
            ("state", Integer),
            ("batches", Integer),
            ("rows", Integer),
            ("packets", Integer),
            ("alerts", Integer),
            ("quarantined_rows", Integer),
            ("quarantined_packets", Integer),
            ("quarantined_alerts", Integer),
        ],
    },
    Table {
        name: "sessions",
        key: 2,
        columns: &[
            ("epoch", Integer),
            ("number", Integer),
            ("source", Address),
            ("tenant", Integer),
            ("time", Moment),
            ("last_time", Moment),
            ("recorded_at", Moment),
            ("packets", Integer),
            ("bytes", Integer),
            ("safe", Integer),
            ("warning", Integer),
            ("high", Integer),
            ("critical", Integer),
            ("worst", Integer),
            ("rules", Rules),
            ("state", Integer),
        ],
    },
    Table {
        name: "incidents",
        key: 2,
        columns: &[
            ("epoch", Integer),
            ("number", Integer),
            ("subject", Address),
            ("side", Integer),
            ("kind", Text),
            ("title", Text),
            ("time", Moment),
            ("last_time", Moment),
            ("recorded_at", Moment),
            ("count", Integer),
            ("events", Integer),
            ("worst", Integer),
            ("worst_event", Integer),
            ("rules", Rules),
            ("state", Integer),
            ("note", Text),
            ("changed_at", Moment),
        ],
    },
    Table {
        name: "source_profiles",
        key: 2,
        columns: &[
            ("source", Address),
            ("tenant", Integer),
            ("time", Moment),
            ("last_time", Moment),
            ("recorded_at", Moment),
            ("sessions", Integer),
            ("packets", Integer),
            ("bytes", Integer),
            ("safe", Integer),
            ("warning", Integer),
            ("high", Integer),
            ("critical", Integer),
        ],
    },
    Table {
        name: "ingest_batches",
        key: 3,
        columns: &[
            ("sensor", Text),
            ("epoch", Integer),
            ("batch_no", Integer),
            ("committed_at", Moment),
            ("rows", Integer),
            ("packets", Integer),
            ("alerts", Integer),
            ("quarantined_rows", Integer),
            ("quarantined_packets", Integer),
            ("quarantined_alerts", Integer),
        ],
    },
    Table {
        name: "accounting",
        key: 2,
        columns: &[
            ("epoch", Integer),
            ("number", Integer),
            ("at", Moment),
            ("kind", Integer),
            ("dequeued", Integer),
            ("packets", Integer),
            ("victims", Integer),
            ("sampled_out", Integer),
            ("open_packets", Integer),
            ("open_alerts", Integer),
            ("events", Integer),
            ("event_packets", Integer),
            ("event_alerts", Integer),
            ("stages", Text),
        ],
    },
    // Each store says in its own words why it would not take a row, so the reason is not compared.
    Table {
        name: "quarantine",
        key: 2,
        columns: &[
            ("epoch", Integer),
            ("number", Integer),
            ("batch_no", Integer),
            ("recorded_at", Moment),
            ("count", Integer),
            ("alerts", Integer),
            ("event", Text),
        ],
    },
    Table {
        name: "refused_batches",
        key: 1,
        columns: &[
            ("last_batch", Integer),
            ("epoch", Integer),
            ("first_batch", Integer),
            ("upto", Integer),
            ("rows", Integer),
            ("packets", Integer),
            ("alerts", Integer),
            ("markers", Integer),
            ("recorded_at", Moment),
        ],
    },
    Table {
        name: "models",
        key: 1,
        columns: &[
            ("detection", Integer),
            ("name", Text),
            ("sha256", Text),
            ("schema", Integer),
            ("fingerprint", Text),
            ("ai_offset", Double),
            ("contamination", Double),
            ("calibration_rows", Integer),
            ("rules", Integer),
            ("intel", Integer),
            ("decoys", Integer),
            ("first_used_at", Moment),
        ],
    },
];

/// The table of that name.
pub(crate) fn table(name: &str) -> &'static Table {
    static ALL: [Table; 13] = TABLES;
    ALL.iter().find(|table| table.name == name).expect("there is such a table")
}

impl Table {
    pub(crate) fn key_of(&self, row: &[Value]) -> String {
        Value::from(row[..self.key].to_vec()).to_string()
    }

    /// Where a column stands in a row.
    pub(crate) fn at(&self, column: &str) -> usize {
        self.columns.iter().position(|(name, _)| *name == column).expect("there is such a column")
    }

    pub(super) fn read_sqlite(&self, file: &Path) -> Vec<Vec<Value>> {
        let connection = rusqlite::Connection::open(file).expect("it is there");
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let query = format!("SELECT {} FROM {}", names.join(", "), self.name);
        let mut statement = connection.prepare(&query).expect("the columns are there");
        let rows = statement.query_map((), |row| {
            self.columns
                .iter()
                .enumerate()
                .map(|(at, (_, kind))| Ok(from_sqlite(*kind, row.get_ref(at)?)))
                .collect()
        });
        rows.and_then(Iterator::collect).expect("they can be read")
    }

    pub(super) fn read_postgres(&self, database: &Database<'_>) -> Vec<Vec<Value>> {
        let columns: Vec<_> = self.columns.iter().map(|column| in_postgres(*column)).collect();
        let query = format!("SELECT json_build_array({}) FROM {}", columns.join(", "), self.name);
        let printed = database.psql(&query);
        let lines = printed.lines().filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    }
}

/// Bits of a single.
pub(crate) fn single(value: f32) -> Value {
    json!(format!("{:08x}", value.to_bits()))
}

/// Bits of a double.
pub(crate) fn double(value: f64) -> Value {
    json!(format!("{:016x}", value.to_bits()))
}

/// Bits of many singles.
pub(crate) fn singles(values: &[f32]) -> Value {
    json!(values.iter().map(|value| format!("{:08x}", value.to_bits())).collect::<String>())
}

fn from_sqlite(kind: Kind, value: ValueRef<'_>) -> Value {
    match (kind, value) {
        (_, ValueRef::Null) => Value::Null,
        (Integer | Moment | Flag, ValueRef::Integer(number)) => json!(number),
        #[expect(clippy::cast_possible_truncation, reason = "the column holds singles")]
        (Single, ValueRef::Real(number)) => {
            assert_eq!(f64::from(number as f32).to_bits(), number.to_bits(), "no single");
            single(number as f32)
        }
        (Double, ValueRef::Real(number)) => double(number),
        (Address, ValueRef::Blob(bytes)) => {
            let bytes: [u8; 16] = bytes.try_into().expect("16 bytes");
            let v6 = std::net::Ipv6Addr::from(bytes);
            json!(v6.to_ipv4_mapped().map_or_else(|| v6.to_string(), |v4| v4.to_string()))
        }
        (Features, ValueRef::Blob(bytes)) => {
            let (values, rest) = bytes.as_chunks::<4>();
            assert!(values.len() == 15 && rest.is_empty(), "15 singles");
            singles(&values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Vec<_>>())
        }
        (Rules, ValueRef::Text(text)) => serde_json::from_slice(text).expect("rules are JSON"),
        (Text, ValueRef::Text(text)) => json!(std::str::from_utf8(text).expect("text is UTF-8")),
        (kind, value) => panic!("{value:?} in a column of {kind:?}"),
    }
}

fn in_postgres((name, kind): Column) -> String {
    match kind {
        Integer | Text => name.to_owned(),
        Moment => format!("(extract(epoch from {name}) * 1000000)::bigint"),
        Address => format!("host({name})"),
        Features => format!(
            "(SELECT string_agg(encode(float4send(f), 'hex'), '' ORDER BY at) FROM unnest({name}) WITH ORDINALITY AS u (f, at))"
        ),
        Rules => format!("to_json({name})"),
        Single => format!("encode(float4send({name}), 'hex')"),
        Double => format!("encode(float8send({name}), 'hex')"),
        Flag => format!("{name}::int"),
    }
}
