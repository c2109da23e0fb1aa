//! What a row must be like, as SQL.

use std::net::{IpAddr, Ipv4Addr};

use super::{Dialect, Sql, Value, whole_micros};
use crate::store::query::Network;
use crate::time::Timestamp;

/// One condition; columns are named without their table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// `column = number`.
    Is(&'static str, i64),
    /// The column holds this text.
    Reads(&'static str, String),
    /// `column >= value`.
    AtLeast(&'static str, Value),
    /// The column holds one of these numbers.
    OneOf(&'static str, Vec<i64>),
    /// One of the two columns holds this number.
    Either(&'static str, &'static str, i64),
    /// The column's address is this.
    Address(&'static str, IpAddr),
    /// The column's address is in this network.
    Within(&'static str, Network),
    /// This rule fired for the event.
    Fired(u32),
    /// `column < moment`.
    Before(&'static str, Timestamp),
    /// `column >= moment`.
    Since(&'static str, Timestamp),
    /// `column > 0`: what makes a partial index serve.
    Positive(&'static str),
    /// Newest first, behind the row with this key; the key's columns.
    Behind([&'static str; 3], [Value; 3]),
}

impl Condition {
    /// The condition of lying in `network`.
    pub(super) fn within(column: &'static str, network: Network) -> Self {
        network.single().map_or(Self::Within(column, network), |one| Self::Address(column, one))
    }

    /// The column that it is about, if it is about one.
    pub(super) const fn column(&self) -> Option<&'static str> {
        match self {
            Self::Is(column, _)
            | Self::Reads(column, _)
            | Self::AtLeast(column, _)
            | Self::OneOf(column, _)
            | Self::Address(column, _)
            | Self::Within(column, _)
            | Self::Before(column, _)
            | Self::Since(column, _)
            | Self::Positive(column) => Some(column),
            Self::Either(..) | Self::Fired(_) | Self::Behind(..) => None,
        }
    }

    /// Adds itself, about the row that goes by the name `row`.
    pub(super) fn write(&self, sql: &mut Sql, row: &'static str) {
        match self {
            Self::Is(column, number) => {
                sql.column(row, column).push(" = ").bind(Value::Integer(*number))
            }
            // PostgreSQL takes no NUL, so no row has one.
            Self::Reads(_, text) if text.contains('\0') => sql.push("1 = 0"),
            Self::Reads(column, text) => {
                sql.column(row, column).push(" = ").bind(Value::Text(Some(text.clone())))
            }
            Self::AtLeast(column, value) => {
                sql.column(row, column).push(" >= ").bind(value.clone())
            }
            Self::OneOf(column, numbers) => {
                sql.column(row, column).push(" IN (");
                for (number, at) in numbers.iter().zip(0_u32..) {
                    sql.push(if at == 0 { "" } else { ", " }).bind(Value::Integer(*number));
                }
                sql.push(")")
            }
            Self::Either(one, other, number) => {
                sql.push("(").column(row, one).push(" = ").bind(Value::Integer(*number));
                sql.push(" OR ").column(row, other).push(" = ").bind(Value::Integer(*number));
                sql.push(")")
            }
            Self::Address(column, address) => {
                sql.column(row, column).push(" = ").bind(Value::Address(*address))
            }
            Self::Within(column, network) => write_range(sql, row, column, *network),
            Self::Fired(rule) => write_fired(sql, row, *rule),
            Self::Before(column, moment) => {
                sql.column(row, column).push(" < ").bind(Value::Time(whole_micros(*moment)))
            }
            Self::Since(column, moment) => {
                sql.column(row, column).push(" >= ").bind(Value::Time(whole_micros(*moment)))
            }
            Self::Positive(column) => sql.column(row, column).push(" > 0"),
            Self::Behind(columns, key) => write_behind(sql, row, *columns, key),
        };
    }

    /// Adds what it says about the first column of a key, or the whole condition if it is about that alone.
    pub(super) fn write_time(&self, sql: &mut Sql, row: &'static str) {
        match self {
            Self::Behind([first, ..], [of_first, ..]) => {
                sql.column(row, first).push(" <= ").bind(of_first.clone());
            }
            other => other.write(sql, row),
        }
    }
}

/// Adds ` WHERE ` and all of them, or nothing when there are none.
pub(super) fn write_where<'a>(
    sql: &mut Sql,
    row: &'static str,
    conditions: impl IntoIterator<Item = &'a Condition>,
) {
    for (condition, at) in conditions.into_iter().zip(0_u32..) {
        sql.push(if at == 0 { " WHERE " } else { " AND " });
        condition.write(sql, row);
    }
}

/// An address range that an index serves. PostgreSQL's `inet` sorts by family first; among SQLite's 16 bytes the mapped
/// ones lie inside some IPv6 networks, which do not mean them.
fn write_range<'a>(
    sql: &'a mut Sql,
    row: &'static str,
    column: &'static str,
    network: Network,
) -> &'a mut Sql {
    let (lowest, highest) = network.ends();
    sql.column(row, column).push(" >= ").bind(Value::Address(lowest));
    sql.push(" AND ").column(row, column).push(" <= ").bind(Value::Address(highest));
    if sql.dialect == Dialect::Sqlite && network.spans_mapped() {
        let [first, last] = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST].map(IpAddr::V4);
        sql.push(" AND NOT (").column(row, column).push(" >= ").bind(Value::Address(first));
        sql.push(" AND ").column(row, column).push(" <= ").bind(Value::Address(last)).push(")");
    }
    sql
}

/// Where another index finds the rows: the rule is looked for in them.
fn write_fired<'a>(sql: &'a mut Sql, row: &'static str, rule: u32) -> &'a mut Sql {
    match sql.dialect {
        Dialect::Postgres => {
            sql.column(row, "rules").push(" @> ").bind(Value::Integers(vec![rule.into()]))
        }
        Dialect::Sqlite => {
            sql.push("EXISTS (SELECT 1 FROM event_rules AS f WHERE f.rule = ");
            sql.bind(Value::Integer(rule.into()));
            sql.push(" AND f.time = ").column(row, "time");
            sql.push(" AND f.epoch = ").column(row, "epoch");
            sql.push(" AND f.number = ").column(row, "number").push(")")
        }
    }
}

/// The keyset. The first column is bound once more by itself: PostgreSQL leaves out partitions by it, but not by the row.
fn write_behind<'a>(
    sql: &'a mut Sql,
    row: &'static str,
    columns: [&'static str; 3],
    key: &[Value; 3],
) -> &'a mut Sql {
    let [first, second, third] = columns;
    let [of_first, of_second, of_third] = key;
    sql.push("(").column(row, first).push(", ").column(row, second);
    sql.push(", ").column(row, third).push(") < (").bind(of_first.clone());
    sql.push(", ").bind(of_second.clone()).push(", ").bind(of_third.clone()).push(")");
    if sql.dialect == Dialect::Postgres {
        sql.push(" AND ").column(row, first).push(" <= ").bind(of_first.clone());
    }
    sql
}
