//! The questions as SQL, written once for both dialects.
//!
//! Text of a statement is `&'static str` by type; whatever comes from outside is bound as a parameter. Only placeholders,
//! the ends of address ranges, lists, hints and the arithmetic of time differ by dialect.

mod condition;
mod events;
mod ledgers;
mod lists;
mod page;
mod search;
mod sums;

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::time::Timestamp;

pub(in crate::store) use events::{
    event, event_exists, events, events_by_id, events_since, label_event,
};
pub(in crate::store) use ledgers::ledgers;
pub(in crate::store) use lists::{
    change_incident, incident, incidents, profiles, profiles_of, sessions,
};
pub(in crate::store) use page::{Best, Last, Question};
pub(in crate::store) use search::Step;
pub(in crate::store) use sums::{
    SOURCES_COUNTED_MAX, sources_seen, span, stats, timeline, version,
};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// SQLite's.
    Sqlite,
}

/// What is bound to a placeholder.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Value {
    /// `bigint`, INTEGER.
    Integer(i64),
    /// `real`, REAL.
    Real(f32),
    /// `timestamptz`, INTEGER of microseconds.
    Time(Timestamp),
    /// `inet`, BLOB of 16 bytes.
    Address(IpAddr),
    /// `text`, TEXT. Without NUL.
    Text(Option<String>),
    /// `bigint[]`; PostgreSQL alone.
    Integers(Vec<i64>),
}

/// A statement with what is bound to it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) struct Sql {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// An empty statement.
    pub(in crate::store) const fn new(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    /// The text, with placeholders.
    pub(in crate::store) fn text(&self) -> &str {
        &self.text
    }

    /// What is bound, in the order of the placeholders' numbers.
    pub(in crate::store) fn values(&self) -> &[Value] {
        &self.values
    }

    /// Adds words of the program.
    fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds what is meant in the dialect at hand.
    fn push_for(&mut self, postgres: &'static str, sqlite: &'static str) -> &mut Self {
        self.push(match self.dialect {
            Dialect::Postgres => postgres,
            Dialect::Sqlite => sqlite,
        })
    }

    /// Adds `row.column`.
    fn column(&mut self, row: &'static str, column: &'static str) -> &mut Self {
        self.push(row).push(".").push(column)
    }

    /// Adds a placeholder for `value`.
    fn bind(&mut self, value: Value) -> &mut Self {
        self.values.push(value);
        let sign = match self.dialect {
            Dialect::Postgres => '$',
            Dialect::Sqlite => '?',
        };
        // Writing to a String can't fail.
        _ = write!(self.text, "{sign}{}", self.values.len());
        self
    }

    /// Adds ` LIMIT n`.
    fn limit(&mut self, rows: u32) -> &mut Self {
        self.push(" LIMIT ").bind(Value::Integer(rows.into()))
    }
}

/// A number as stores keep it; one that they can't hold is the largest that they can.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The first whole microsecond at or after `moment`: rows lie on whole microseconds, so for them `time >= moment` and
/// `time < moment` are the same as with this in its place.
const fn whole_micros(moment: Timestamp) -> Timestamp {
    let part = moment.as_nanos().rem_euclid(1000);
    if part == 0 { moment } else { moment.plus_nanos(1000 - part) }
}

#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
