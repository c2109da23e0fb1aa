//! Questions about sums: whole minutes come from `event_minutes`, what lies beside them from the rows themselves.

use std::time::Duration;

use super::condition::{Condition, write_where};
use super::{Dialect, Sql, Value, whole_micros};
use crate::store::minutes::MINUTE_NANOS;
use crate::store::query::TIMELINE_BUCKETS_MAX;
use crate::time::Timestamp;

/// How many sources are counted before it costs too much to know how many there are.
pub(in crate::store) const SOURCES_COUNTED_MAX: u32 = 1_000_000;

/// Sums by verdict: verdict, events, weight, the sum of weight times threat score in millionths.
pub(in crate::store) fn stats(
    dialect: Dialect,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT s.verdict, CAST(sum(s.events) AS bigint), CAST(sum(s.weight) AS bigint), ");
    sql.push("sum(CAST(s.score AS double precision)) FROM (");
    write_sums(&mut sql, Parts::of(from, to));
    sql.push(") AS s GROUP BY s.verdict");
    sql
}

/// Sums by bucket and verdict, in order: start, verdict, events, weight. Cut after [`TIMELINE_BUCKETS_MAX`] buckets.
pub(in crate::store) fn timeline(
    dialect: Dialect,
    from: Timestamp,
    to: Timestamp,
    bucket: Duration,
) -> Sql {
    // At least what a store can tell apart, at most what a moment can be away from another.
    let micros = i64::try_from(bucket.as_micros()).unwrap_or(i64::MAX).clamp(1, i64::MAX / 2000);
    let nanos = micros * 1000;
    let first = from.as_nanos().div_euclid(nanos).saturating_mul(nanos);
    let end = first.saturating_add(nanos.saturating_mul(i64::from(TIMELINE_BUCKETS_MAX)));
    let to = to.min(Timestamp::from_nanos(end));
    let parts = if nanos % MINUTE_NANOS == 0 {
        Parts::of(Some(from), Some(to))
    } else {
        Parts { minutes: None, rows: vec![(from, to)] }
    };
    let mut sql = Sql::new(dialect);
    sql.push("SELECT ");
    let bucket = || Value::Integer(micros);
    match dialect {
        Dialect::Postgres => {
            sql.push("date_bin(CAST(").bind(bucket());
            sql.push(" AS bigint) * interval '1 microsecond', s.time, timestamptz '1970-01-01 00:00:00+00')");
        }
        Dialect::Sqlite => {
            sql.push("s.time - (s.time % ").bind(bucket()).push(" + ").bind(bucket());
            sql.push(") % ").bind(bucket());
        }
    }
    sql.push(
        " AS start, s.verdict, CAST(sum(s.events) AS bigint), CAST(sum(s.weight) AS bigint) FROM (",
    );
    write_sums(&mut sql, parts);
    sql.push(") AS s GROUP BY 1, 2 ORDER BY 1, 2");
    sql
}

/// The version of the store, in its own words.
pub(in crate::store) fn version(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    // SQLite's library answers without the file; its list of tables does not.
    sql.push_for(
        "SELECT current_setting('server_version')",
        "SELECT sqlite_version() FROM (SELECT count(*) FROM sqlite_master)",
    );
    sql
}

/// When the oldest and the newest event began; nulls without any.
pub(in crate::store) fn span(dialect: Dialect) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT (SELECT time FROM packet_logs ORDER BY time, epoch, number LIMIT 1), ");
    sql.push("(SELECT time FROM packet_logs ORDER BY time DESC, epoch DESC, number DESC LIMIT 1)");
    sql
}

/// How many profiles overlap a span, counted to one more than [`SOURCES_COUNTED_MAX`].
pub(in crate::store) fn sources_seen(
    dialect: Dialect,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Sql {
    let mut sql = Sql::new(dialect);
    sql.push("SELECT count(*) FROM (SELECT 1 FROM source_profiles AS p");
    let since = from.map(|from| Condition::Since("last_time", from));
    let before = to.map(|to| Condition::Before("time", to));
    write_where(&mut sql, "p", since.iter().chain(&before));
    sql.limit(SOURCES_COUNTED_MAX + 1).push(") AS s");
    sql
}

/// Where the sums of a span are found.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// The whole minutes in it; `None` on a side: without an end.
    minutes: Option<(Option<Timestamp>, Option<Timestamp>)>,
    /// What is not a whole minute.
    rows: Vec<(Timestamp, Timestamp)>,
}

impl Parts {
    fn of(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        let first = from.map(|from| {
            let over = from.as_nanos().rem_euclid(MINUTE_NANOS);
            if over == 0 { from } else { from.plus_nanos(MINUTE_NANOS - over) }
        });
        let end = to.map(|to| to.plus_nanos(-to.as_nanos().rem_euclid(MINUTE_NANOS)));
        if let (Some(from), Some(to), Some(first), Some(end)) = (from, to, first, end)
            && first >= end
        {
            return Self { minutes: None, rows: vec![(from, to)] };
        }
        let before = from.zip(first).filter(|(from, first)| from < first);
        let after = end.zip(to).filter(|(end, to)| end < to);
        Self { minutes: Some((first, end)), rows: before.into_iter().chain(after).collect() }
    }
}

/// `time, verdict, events, weight, score` of all parts.
fn write_sums(sql: &mut Sql, parts: Parts) {
    let mut first = true;
    if let Some((from, to)) = parts.minutes {
        sql.push("SELECT p.minute AS time, p.verdict, p.events, p.weight, p.score_micros AS score FROM event_minutes AS p");
        let since = from.map(|from| Condition::Since("minute", from));
        let before = to.map(|to| Condition::Before("minute", to));
        write_where(sql, "p", since.iter().chain(&before));
        first = false;
    }
    for (from, to) in parts.rows {
        sql.push(if first { "" } else { " UNION ALL " });
        sql.push("SELECT p.time, p.verdict, CAST(1 AS bigint) AS events, p.weight, p.weight * ");
        sql.push_for(
            "CAST(floor(CAST(p.threat_score AS double precision) * 1000000 + 0.5) AS bigint)",
            "CAST(p.threat_score * 1000000 + 0.5 AS INTEGER)",
        );
        sql.push(" AS score FROM packet_logs AS p").push_for("", " INDEXED BY packet_logs_newest");
        let (from, to) = (whole_micros(from), whole_micros(to));
        write_where(sql, "p", &[Condition::Since("time", from), Condition::Before("time", to)]);
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_span_falls_into_whole_minutes_and_what_lies_beside_them() {
        let parts = |from: Option<i64>, to: Option<i64>| Parts::of(from.map(at), to.map(at));
        assert_eq!(parts(None, None), Parts { minutes: Some((None, None)), rows: vec![] });
        assert_eq!(
            parts(Some(60), Some(180)),
            Parts { minutes: Some((Some(at(60)), Some(at(180)))), rows: vec![] }
        );
        assert_eq!(
            parts(Some(-59), Some(130)),
            Parts {
                minutes: Some((Some(at(0)), Some(at(120)))),
                rows: vec![(at(-59), at(0)), (at(120), at(130))]
            }
        );
        assert_eq!(
            parts(Some(61), Some(119)),
            Parts { minutes: None, rows: vec![(at(61), at(119))] }
        );
        assert_eq!(
            parts(Some(100), Some(20)),
            Parts { minutes: None, rows: vec![(at(100), at(20))] }
        );
        assert_eq!(
            parts(Some(61), None),
            Parts { minutes: Some((Some(at(120)), None)), rows: vec![(at(61), at(120))] }
        );
    }
}
