//! How long questions take, at millions of rows over 30 days. Not a check: `PHANTOMNET_FIGURES` names the store, which is
//! filled with `PHANTOMNET_FIGURES_ROWS` rows first if it is empty. `PHANTOMNET_FIGURES_ONLY` leaves the questions with this in their name.
//!
//! ```text
//! PHANTOMNET_FIGURES=sqlite:/tmp/figures.db PHANTOMNET_FIGURES_ROWS=1000000 cargo test --release --test main queries::figures -- --ignored --nocapture
//! ```

use std::time::{Duration, Instant};

use phantomnet::store::query::{EventFilter, Network, Queries, SessionFilter};
use phantomnet::store::{Location, migrate};
use phantomnet::time::Timestamp;
use phantomnet::verdict::Level;

use super::fill::{execute, runtime};

/// Seconds of the span that is filled.
const SPAN: i64 = 30 * 86_400;

/// Where it begins.
pub(crate) const START: i64 = 1_789_948_800;

/// How often each question is asked.
const TIMES: usize = 200;

#[test]
#[ignore = "figures, not checks: fills a store of millions of rows"]
fn figures() {
    let url = std::env::var("PHANTOMNET_FIGURES").expect("PHANTOMNET_FIGURES names a store");
    let rows = std::env::var("PHANTOMNET_FIGURES_ROWS").unwrap_or_else(|_| "1000000".to_owned());
    let rows: i64 = rows.parse().expect("PHANTOMNET_FIGURES_ROWS is a number");
    let location: Location = url.parse().unwrap();
    if migrate(&location).unwrap() == 0 {
        let begun = Instant::now();
        let statements = self::rows(&location, rows);
        match &location {
            Location::Sqlite(path) => {
                let connection = rusqlite::Connection::open(path).unwrap();
                connection.execute_batch(&statements).unwrap();
            }
            Location::Postgres(_) => execute(&url, &format!("{statements};VACUUM (ANALYZE)")),
        }
        println!("{rows} rows filled in {:.0?}", begun.elapsed());
    }
    let queries = Queries::open(&location, 2).unwrap();
    let runtime = runtime();
    println!("{:<44} {:>9} {:>9} {:>9}  rows", "question", "min ms", "p50 ms", "p99 ms");
    for (name, filter) in filters() {
        measure(name, || {
            runtime.block_on(async {
                let page = queries.events(&filter, None, 100).await?;
                Ok(page.rows.len())
            })
        });
        // And from somewhere within.
        let middle = Timestamp::from_secs(START + SPAN / 2);
        let filter = EventFilter { to: filter.to.or(Some(middle)), ..filter.clone() };
        measure("    the same, older than the middle", || {
            runtime.block_on(async { Ok(queries.events(&filter, None, 100).await?.rows.len()) })
        });
    }
    sums(&queries, &runtime);
}

fn sums(queries: &Queries, runtime: &tokio::runtime::Runtime) {
    let end = START + SPAN;
    for (name, seconds) in [("hour", 3600), ("day", 86_400), ("30 days", SPAN)] {
        let from = Timestamp::from_secs(end - seconds + 17);
        measure(&format!("stats, {name}"), || {
            runtime.block_on(async { Ok(queries.stats(Some(from), None).await?.events) })
        });
        let (to, bucket) =
            (Timestamp::from_secs(end), Duration::from_secs(60.max(seconds.unsigned_abs() / 720)));
        measure(&format!("timeline, {name}"), || {
            runtime.block_on(async { Ok(queries.timeline(from, to, bucket).await?.len()) })
        });
    }
    measure("stats, all", || {
        runtime.block_on(async { Ok(queries.stats(None, None).await?.events) })
    });
    let days = |days: i64| Some(Timestamp::from_secs(START + days * 86_400 + 17));
    measure("stats, days 3 to 27", || {
        runtime.block_on(async { Ok(queries.stats(days(3), days(27)).await?.events) })
    });
    let (from, to) = (Timestamp::from_secs(end - 900), Timestamp::from_secs(end));
    measure("timeline, 15 minutes by second", || {
        runtime
            .block_on(async { Ok(queries.timeline(from, to, Duration::from_secs(1)).await?.len()) })
    });
    measure("span", || runtime.block_on(async { Ok(queries.span().await?.is_some()) }));
    measure("sources, newest 100", || {
        runtime.block_on(async { Ok(queries.sources(None, None, 100).await?.rows.len()) })
    });
    measure("sessions, newest 100", || {
        let any = SessionFilter::default();
        runtime.block_on(async { Ok(queries.sessions(&any, None, 100).await?.rows.len()) })
    });
    measure("ledgers", || runtime.block_on(async { Ok(queries.ledgers(10).await?.len()) }));
}

pub(crate) fn filters() -> Vec<(&'static str, EventFilter)> {
    let any = EventFilter::default;
    let network = |text: &str| {
        let (address, length) = text.split_once('/').unwrap_or((text, "32"));
        Some(Network { address: address.parse().unwrap(), length: length.parse().unwrap() })
    };
    let notable = vec![Level::Warning, Level::High, Level::Critical];
    let day = Timestamp::from_secs(START + 20 * 86_400);
    vec![
        ("no filter", any()),
        ("verdict >= WARNING", EventFilter { levels: notable.clone(), ..any() }),
        ("verdict CRITICAL", EventFilter { levels: vec![Level::Critical], ..any() }),
        ("SAFE and WARNING", EventFilter { levels: vec![Level::Safe, Level::Warning], ..any() }),
        ("src_ip, 1 in 200,000 rows", EventFilter { source: network("10.7.8.9"), ..any() }),
        ("src_ip, 1 in 10 rows", EventFilter { source: network("198.51.100.7"), ..any() }),
        (
            "dst /24, 1 in 256 rows",
            EventFilter { destination: network("192.168.77.0/24"), ..any() },
        ),
        ("dst /16, nearly all", EventFilter { destination: network("192.168.0.0/16"), ..any() }),
        (
            "dst /24, 3 % of rows, all 25 days old",
            EventFilter { destination: network("203.0.113.0/24"), ..any() },
        ),
        ("dst /24, 50 rows", EventFilter { destination: network("233.252.0.0/24"), ..any() }),
        ("dst /24, no row", EventFilter { destination: network("192.0.2.0/24"), ..any() }),
        (
            "one hour",
            EventFilter { from: Some(day), to: Some(day.plus_nanos(3_600_000_000_000)), ..any() },
        ),
        ("rule, half of the notable", EventFilter { rule: Some(1_000_001), ..any() }),
        ("rule, rare", EventFilter { rule: Some(1_000_020), ..any() }),
        ("rule, all 25 days old", EventFilter { rule: Some(1_000_030), ..any() }),
        (
            "src_ip 1 in 10 and CRITICAL",
            EventFilter { source: network("198.51.100.7"), levels: vec![Level::Critical], ..any() },
        ),
        (
            "dst /24 1 in 256 and >= WARNING",
            EventFilter { destination: network("192.168.77.0/24"), levels: notable, ..any() },
        ),
        (
            "dst /24 old and CRITICAL",
            EventFilter {
                destination: network("203.0.113.0/24"),
                levels: vec![Level::Critical],
                ..any()
            },
        ),
        (
            "src_ip 1 in 10 and dst /24",
            EventFilter {
                source: network("198.51.100.7"),
                destination: network("192.168.77.0/24"),
                ..any()
            },
        ),
        (
            "src_ip 1 in 10 and rule, old",
            EventFilter { source: network("198.51.100.7"), rule: Some(1_000_030), ..any() },
        ),
        ("port 22", EventFilter { port: Some(22), ..any() }),
        ("port of no row", EventFilter { port: Some(31_337), ..any() }),
        ("min_score 0.95", EventFilter { min_score: Some(0.95), ..any() }),
        ("protocol of no row", EventFilter { protocol: Some(99), ..any() }),
    ]
}

fn measure<N: ToString>(
    name: &str,
    mut ask: impl FnMut() -> Result<N, phantomnet::store::query::QueryError>,
) {
    if std::env::var("PHANTOMNET_FIGURES_ONLY").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let mut times = Vec::new();
    let mut rows = String::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let answer = ask();
        times.push(begun.elapsed());
        rows = match answer {
            Ok(rows) => rows.to_string(),
            Err(error) => error.to_string(),
        };
        if times.iter().sum::<Duration>() > Duration::from_secs(5) {
            break;
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{name:<44} {:>9.2} {:>9.2} {:>9.2}  {rows}", at(0), at(50), at(99));
}

/// Statements that fill a store of this kind.
pub(crate) fn rows(location: &Location, rows: i64) -> String {
    match location {
        Location::Sqlite(_) => sqlite_rows(rows),
        Location::Postgres(_) => postgres_rows(rows),
    }
}

/// Numbers that look like chance, from `i`: the same in both dialects.
fn chance(i: &str, salt: i64, of: i64) -> String {
    format!("((({i}) * 2654435761 + {salt}) % 4294967291 / 7 % {of})")
}

fn columns(
    rows: i64,
    address: impl Fn(&str) -> String,
    time: impl Fn(&str) -> String,
    rules: impl Fn(&str) -> String,
    features: &str,
) -> String {
    let c = |salt, of| chance("i", salt, of);
    let micros = format!("({START}000000 + i * {} + {})", SPAN * 1_000_000 / rows, c(1, 1000));
    let old = format!("i < {}", rows / 6);
    let source = format!(
        "CASE WHEN {tenth} = 0 THEN {one} ELSE {ten} + {many} END",
        tenth = c(2, 10),
        one = 0xc633_6407_u32,
        ten = 0x0a00_0000,
        many = c(3, 200_000)
    );
    let destination = format!(
        "CASE WHEN i % {rare} = 0 THEN {documentation} + i % 256 WHEN {old} AND {fifth} = 0 THEN {trap} + i % 256 ELSE {home} + {hosts} END",
        rare = rows / 50,
        documentation = 0xe9fc_0000_u32,
        fifth = c(4, 5),
        trap = 0xcb00_7100_u32,
        home = 0xc0a8_0000_u32,
        hosts = c(5, 65_536)
    );
    let verdict = format!(
        "CASE WHEN {v} < 5 THEN 3 WHEN {v} < 20 THEN 2 WHEN {v} < 60 THEN 1 ELSE 0 END",
        v = c(6, 1000)
    );
    let rule = format!(
        "CASE WHEN {v} >= 60 THEN 0 WHEN i % {rare} = 1 THEN 1000020 WHEN {old} AND {half} = 0 THEN 1000030 WHEN {half} = 0 THEN 1000001 ELSE 1000002 + {few} END",
        v = c(6, 1000),
        rare = rows / 100,
        half = c(7, 2),
        few = c(8, 15)
    );
    let score = format!(
        "CASE WHEN {v} < 60 THEN 0.25 + {part} / 140.0 ELSE {part} / 500.0 END",
        v = c(6, 1000),
        part = c(9, 100)
    );
    let time = time(&micros);
    let (source, destination) = (address(&source), address(&destination));
    let (packets, port, server, udp) = (c(10, 5), c(11, 30_000), c(12, 50), c(13, 3));
    let rules = rules(&rule);
    format!(
        "{time}, {time}, {time}, 1, i, i, 1 + {packets}, 0, 1, 1000, 1, 120, 1024 + {port}, CASE WHEN {server} = 0 THEN 22 ELSE 443 END, \
         0, 0, {score}, 1, 2, 3, 0.5, 0.5, CASE WHEN {udp} = 0 THEN 17 ELSE 6 END, {verdict}, 0, 0, 0, {source}, {destination}, \
         {features}, {rules}, 'a reason of the usual length, in words', '1:abcdefghijklmnopqrstuvwxyz0='"
    )
}

const COLUMNS: &str = "time, last_time, recorded_at, epoch, number, packet, count, alerts, weight, bytes, detection, length, src_port, dst_port, \
     vlan, sources, threat_score, model_risk, rule_risk, intel_risk, anomaly_score, quantile, protocol, verdict, floor, merged, \
     rules_left_out, src_ip, dst_ip, features, rules, reason, community_id";

fn sqlite_rows(rows: i64) -> String {
    let mapped =
        |number: &str| format!("unhex('00000000000000000000ffff' || printf('%08x', {number}))");
    let rules =
        |rule: &str| format!("CASE ({rule}) WHEN 0 THEN '[]' ELSE '[' || ({rule}) || ']' END");
    let values = columns(rows, mapped, str::to_owned, rules, "zeroblob(60)");
    format!(
        "PRAGMA journal_mode = wal; PRAGMA synchronous = off; PRAGMA cache_size = -1000000;
         DROP INDEX packet_logs_newest; DROP INDEX packet_logs_source; DROP INDEX packet_logs_destination; DROP INDEX packet_logs_notable;
         BEGIN;
         INSERT INTO packet_logs ({COLUMNS}) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT {values} FROM n;
         COMMIT;
         {newest}; {source}; {destination}; {notable};
         INSERT INTO event_rules SELECT CAST(substr(rules, 2, 7) AS INTEGER), time, epoch, number FROM packet_logs WHERE rules <> '[]' ORDER BY 1, 2, 3, 4;
         INSERT INTO event_minutes SELECT time / 60000000 * 60000000, verdict, epoch, count(*), sum(count), 0, sum(weight), sum(CAST(threat_score * 1000000 + 0.5 AS INTEGER) * weight) FROM packet_logs GROUP BY 1, 2, 3;
         INSERT INTO event_hours SELECT minute / 3600000000 * 3600000000, verdict, epoch, sum(events), sum(packets), 0, sum(weight), sum(score_micros) FROM event_minutes GROUP BY 1, 2, 3;
         INSERT INTO source_profiles SELECT src_ip, 0, min(time), max(time), 0, 1, 1, 1, 1, 0, 0, 0 FROM packet_logs GROUP BY 1;
         PRAGMA wal_checkpoint(truncate);",
        newest = "CREATE INDEX packet_logs_newest ON packet_logs (time DESC, epoch DESC, number DESC)",
        source = "CREATE INDEX packet_logs_source ON packet_logs (src_ip, time, epoch, number, verdict)",
        destination = "CREATE INDEX packet_logs_destination ON packet_logs (dst_ip, time, epoch, number, verdict)",
        notable = "CREATE INDEX packet_logs_notable ON packet_logs (verdict, time, epoch, number) WHERE verdict > 0",
    )
}

fn postgres_rows(rows: i64) -> String {
    let address = |number: &str| format!("'0.0.0.0'::inet + ({number})");
    let time =
        |micros: &str| format!("'epoch'::timestamptz + ({micros}) * interval '1 microsecond'");
    let rules = |rule: &str| {
        format!("CASE ({rule}) WHEN 0 THEN '{{}}'::bigint[] ELSE ARRAY[({rule})]::bigint[] END")
    };
    let features = "ARRAY[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]::real[]";
    let values = columns(rows, address, time, rules, features);
    let mut sql = String::from("SET synchronous_commit = off;\nSET TimeZone = 'UTC';\n");
    for day in 0..=30 {
        let (from, to) = (START + day * 86_400, START + (day + 1) * 86_400);
        for table in ["packet_logs", "event_rules"] {
            sql.push_str(&format!(
                "CREATE TABLE {table}_{day} PARTITION OF {table} FOR VALUES FROM (to_timestamp({from})) TO (to_timestamp({to}));\n"
            ));
        }
    }
    sql + &format!(
        "DROP INDEX packet_logs_newest;\nDROP INDEX packet_logs_source;\nDROP INDEX packet_logs_destination;\nDROP INDEX packet_logs_notable;\n\
         INSERT INTO packet_logs ({COLUMNS}) SELECT {values} FROM generate_series(1::bigint, {rows}) AS n (i);\n\
         CREATE INDEX packet_logs_newest ON packet_logs (time DESC, epoch DESC, number DESC);\n\
         CREATE INDEX packet_logs_source ON packet_logs (src_ip, time, epoch, number, verdict);\n\
         CREATE INDEX packet_logs_destination ON packet_logs (dst_ip, time, epoch, number, verdict);\n\
         CREATE INDEX packet_logs_notable ON packet_logs (verdict, time, epoch, number) WHERE verdict > 0;\n\
         INSERT INTO event_rules SELECT rules[1], time, epoch, number FROM packet_logs WHERE rules <> '{{}}';\n\
         INSERT INTO event_minutes SELECT date_trunc('minute', time), verdict, epoch, count(*), sum(count), 0, sum(weight), sum(floor(threat_score::float8 * 1000000 + 0.5)::bigint * weight) FROM packet_logs GROUP BY 1, 2, 3;\n\
         INSERT INTO event_hours SELECT date_trunc('hour', minute), verdict, epoch, sum(events), sum(packets), 0, sum(weight), sum(score_micros) FROM event_minutes GROUP BY 1, 2, 3;\n\
         INSERT INTO source_profiles SELECT src_ip, 0, min(time), max(time), now(), 1, 1, 1, 1, 0, 0, 0 FROM packet_logs GROUP BY 1;"
    )
}
