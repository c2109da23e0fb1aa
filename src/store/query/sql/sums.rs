//! Questions about sums: whole hours come from `event_hours`, whole minutes beside them from `event_minutes`, what lies beside those
//! from the rows themselves.

use std::time::Duration;

use super::condition::{Condition, write_where};
use super::{Dialect, Sql, Value, whole_micros};
use crate::store::query::TIMELINE_BUCKETS_MAX;
use crate::store::rollup::Rollup;
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
    write_sums(&mut sql, Parts::of(from, to, &[Rollup::Minutes, Rollup::Hours]));
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
    // Spans that lie in one bucket each.
    let fits = |rollup: &Rollup| nanos % rollup.nanos() == 0;
    let rollups: Vec<Rollup> = Rollup::ALL.into_iter().filter(fits).collect();
    let parts = Parts::of(Some(from), Some(to), &rollups);
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

/// From a moment, to a moment; `None`: without an end.
type Span = (Option<Timestamp>, Option<Timestamp>);

/// Where the sums of a span are found.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    /// Whole spans of tables of sums.
    whole: Vec<(Rollup, Span)>,
    /// What is none.
    rows: Vec<(Timestamp, Timestamp)>,
}

impl Parts {
    /// By `rollups`, of which each has spans that are whole spans of the one before.
    fn of(from: Option<Timestamp>, to: Option<Timestamp>, rollups: &[Rollup]) -> Self {
        let (mut whole, mut rows) = (Vec::new(), Vec::new());
        let mut finer: Option<Rollup> = None;
        let mut left: Option<Span> = Some((from, to));
        for rollup in rollups {
            let Some(span) = left else { break };
            let (inside, beside) = split(span, rollup.nanos());
            match finer {
                None => rows.extend(beside),
                Some(finer) => {
                    let beside =
                        beside.into_iter().map(|(from, to)| (finer, (Some(from), Some(to))));
                    whole.extend(beside);
                }
            }
            (left, finer) = (inside, Some(*rollup));
        }
        match (left, finer) {
            (Some(span), Some(finer)) => whole.push((finer, span)),
            (Some((Some(from), Some(to))), None) => rows.push((from, to)),
            _ => {}
        }
        Self { whole, rows }
    }
}

/// The part of a span that is made of whole spans of so many nanoseconds, if there is one, and what lies beside it.
fn split((from, to): Span, nanos: i64) -> (Option<Span>, Vec<(Timestamp, Timestamp)>) {
    let first = from.map(|from| {
        let over = from.as_nanos().rem_euclid(nanos);
        if over == 0 { from } else { from.plus_nanos(nanos - over) }
    });
    let end = to.map(|to| to.plus_nanos(-to.as_nanos().rem_euclid(nanos)));
    if let (Some(from), Some(to), Some(first), Some(end)) = (from, to, first, end)
        && first >= end
    {
        return (None, vec![(from, to)]);
    }
    let before = from.zip(first).filter(|(from, first)| from < first);
    let after = end.zip(to).filter(|(end, to)| end < to);
    (Some((first, end)), before.into_iter().chain(after).collect())
}

/// `time, verdict, events, weight, score` of all parts.
fn write_sums(sql: &mut Sql, parts: Parts) {
    let mut first = true;
    for (rollup, (from, to)) in parts.whole {
        let column = rollup.column();
        sql.push(if first { "SELECT " } else { " UNION ALL SELECT " }).column("p", column);
        sql.push(" AS time, p.verdict, p.events, p.weight, p.score_micros AS score FROM ");
        sql.push(rollup.table()).push(" AS p");
        let since = from.map(|from| Condition::Since(column, from));
        let before = to.map(|to| Condition::Before(column, to));
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
    fn a_span_falls_into_whole_hours_and_minutes_and_what_lies_beside_them() {
        use Rollup::{Hours, Minutes};
        let parts = |from: Option<i64>, to: Option<i64>| {
            Parts::of(from.map(at), to.map(at), &[Minutes, Hours])
        };
        let whole = |rollup, from: i64, to: i64| (rollup, (Some(at(from)), Some(at(to))));
        assert_eq!(parts(None, None), Parts { whole: vec![(Hours, (None, None))], rows: vec![] });
        assert_eq!(
            parts(Some(60), Some(180)),
            Parts { whole: vec![whole(Minutes, 60, 180)], rows: vec![] }
        );
        assert_eq!(
            parts(Some(-3659), Some(7330)),
            Parts {
                whole: vec![whole(Minutes, 7200, 7320), whole(Hours, -3600, 7200)],
                rows: vec![(at(-3659), at(-3600)), (at(7320), at(7330))]
            }
        );
        assert_eq!(
            parts(Some(3540), Some(7260)),
            Parts {
                whole: vec![
                    whole(Minutes, 3540, 3600),
                    whole(Minutes, 7200, 7260),
                    whole(Hours, 3600, 7200)
                ],
                rows: vec![]
            }
        );
        assert_eq!(
            parts(Some(61), Some(119)),
            Parts { whole: vec![], rows: vec![(at(61), at(119))] }
        );
        assert_eq!(
            parts(Some(100), Some(20)),
            Parts { whole: vec![], rows: vec![(at(100), at(20))] }
        );
        assert_eq!(
            parts(Some(61), None),
            Parts {
                whole: vec![whole(Minutes, 120, 3600), (Hours, (Some(at(3600)), None))],
                rows: vec![(at(61), at(120))]
            }
        );
        let by_minute = Parts::of(Some(at(59)), Some(at(7200)), &[Minutes]);
        assert_eq!(
            by_minute,
            Parts { whole: vec![whole(Minutes, 60, 7200)], rows: vec![(at(59), at(60))] }
        );
        let by_row = Parts::of(Some(at(59)), Some(at(7200)), &[]);
        assert_eq!(by_row, Parts { whole: vec![], rows: vec![(at(59), at(7200))] });
    }
}
