//! How PostgreSQL answers: the plan of every statement that a question becomes, as the server itself has carried it out.
//!
//! The server explains what it was really sent (`auto_explain`, with what came of it), so no statement is written a second time
//! here. What is asked is every method of `Queries`, and events by every filter and every two of them.

use std::collections::BTreeSet;
use std::time::Duration;

use phantomnet::event::{Epoch, EventId};
use phantomnet::store::query::{
    EventFilter, IncidentChange, IncidentFilter, Label, LabelWord, Network, PageKey, Queries,
    SessionFilter,
};
use phantomnet::store::{Location, migrate};
use phantomnet::time::Timestamp;
use phantomnet::verdict::Level;
use serde_json::Value;

use super::figures;
use super::fill::{execute, runtime};
use crate::cluster::{Cluster, Database, Settings};

/// Rows over 30 days, each in its partition.
const ROWS: i64 = 200_000;

/// Rows of a page. A table that holds no more of them may be read from end to end: that is no worse than the page itself.
const PAGE: u32 = 100;

/// What the server logs of each statement.
const EXPLAINS: [&str; 6] = [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_analyze = on",
    "auto_explain.log_timing = off",
    "auto_explain.log_format = json",
    "log_line_prefix = ''",
];

/// A filter by every field, with what many rows have or with what none has.
fn full(common: bool) -> EventFilter {
    let network = |address: &str, length| Network { address: address.parse().unwrap(), length };
    let day = |days: i64| Timestamp::from_secs(figures::START + days * 86_400);
    EventFilter {
        levels: if common { vec![Level::High, Level::Critical] } else { vec![Level::Critical] },
        protocol: Some(if common { 6 } else { 99 }),
        source: Some(network(if common { "198.51.100.7" } else { "192.0.2.1" }, 32)),
        destination: Some(if common {
            network("192.168.0.0", 16)
        } else {
            network("203.0.113.0", 24)
        }),
        port: Some(if common { 443 } else { 31_337 }),
        min_score: Some(if common { 0.1 } else { 0.95 }),
        from: Some(day(3)),
        to: Some(day(27)),
        rule: Some(if common { 1_000_001 } else { 1_000_030 }),
    }
}

/// Fields of a filter. `full` names every one of them.
const FIELDS: u32 = 9;

/// The fields of a filter whose bit is set. One that is added to filters does not compile here until it is asked for.
fn part(of: &EventFilter, bits: u32) -> EventFilter {
    let has = |bit: u32| bits >> bit & 1 == 1;
    let EventFilter { levels, protocol, source, destination, port, min_score, from, to, rule } = of;
    EventFilter {
        levels: if has(0) { levels.clone() } else { Vec::new() },
        protocol: protocol.filter(|_| has(1)),
        source: source.filter(|_| has(2)),
        destination: destination.filter(|_| has(3)),
        port: port.filter(|_| has(4)),
        min_score: min_score.filter(|_| has(5)),
        from: from.filter(|_| has(6)),
        to: to.filter(|_| has(7)),
        rule: rule.filter(|_| has(8)),
    }
}

/// No filter, each alone, every two, and all.
fn filters() -> Vec<EventFilter> {
    let few = (0..1 << FIELDS).filter(|bits: &u32| bits.count_ones() <= 2);
    let parts = few.chain([(1 << FIELDS) - 1]);
    parts.flat_map(|bits| [true, false].map(|common| part(&full(common), bits))).collect()
}

/// Asks everything, and says which methods of [`Queries`] it has called.
async fn ask_everything(queries: &Queries) -> BTreeSet<&'static str> {
    let mut asked = BTreeSet::new();
    /// Asks one question, which has to have an answer.
    macro_rules! ask {
        ($method:ident($($argument:expr),*)) => {{
            asked.insert(stringify!($method));
            queries.$method($($argument),*).await.unwrap()
        }};
    }
    let middle = Timestamp::from_secs(figures::START + 15 * 86_400);
    let id = |number| EventId { epoch: Epoch::from_stored(1).unwrap(), number };
    for filter in filters() {
        for after in [None, Some(PageKey { time: middle, id: id(100_000) })] {
            ask!(events(&filter, after, PAGE));
        }
    }
    ask!(event(id(77)));
    ask!(events_by_id(&[id(5), id(150_000)]));
    ask!(events_since(id(100_000), PAGE));
    let label = Label { label: LabelWord::Benign, note: None, at: middle };
    ask!(label_event(id(78), &label));
    let hour = |hours: i64| Timestamp::from_secs(figures::START + hours * 3600 + 17);
    for (from, to) in [(None, None), (Some(hour(1)), Some(hour(500))), (Some(hour(700)), None)] {
        ask!(stats(from, to));
    }
    for (from, to, seconds) in [(1, 700, 3600), (1, 24, 60), (700, 701, 1)] {
        ask!(timeline(hour(from), hour(to), Duration::from_secs(seconds)));
    }
    ask!(span());
    let network = Network { address: "10.0.0.0".parse().unwrap(), length: 20 };
    ask!(sources(None, None, PAGE));
    ask!(sources(Some(network), None, PAGE));
    ask!(source("10.0.0.1".parse().unwrap()));
    let worst = Some(Level::High);
    ask!(sessions(
        &SessionFilter { source: Some(network), worst, ..Default::default() },
        None,
        PAGE
    ));
    ask!(incidents(
        &IncidentFilter { subject: Some(network), worst, ..Default::default() },
        None,
        PAGE
    ));
    ask!(change_incident(id(1), &IncidentChange::default(), middle));
    ask!(ledgers(10));
    ask!(version());
    asked
}

/// The methods of [`Queries`] that ask something, as its source has them.
fn methods() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/store/query/mod.rs");
    let methods = source.split("pub async fn ").skip(1);
    methods.filter_map(|rest| rest.split('(').next()).collect()
}

/// What the server says that it did, for each statement since it started.
fn plans(cluster: &Cluster) -> Vec<Value> {
    let log = cluster.log();
    let plan = |part: &str| {
        let lines = part.lines().skip(1).take_while(|line| line.starts_with('\t'));
        serde_json::from_str(&lines.collect::<Vec<_>>().join("\n")).ok()
    };
    log.split("ms  plan:").skip(1).filter_map(plan).collect()
}

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// The partition of no day, and that of the day after the last row.
const EMPTY: [&str; 2] = ["packet_logs_default", "packet_logs_30"];

/// What is allowed to a scan of events, rows each time it is carried out.
#[derive(Clone, Copy)]
enum Allowed {
    /// To look at a page of them, if it is sequential.
    Sequential,
    /// To look in vain at a page of them, whatever it goes along.
    InVain,
    /// To look at ten pages of them, whatever it goes along: of what one row in ten has, the newest rows are a good way too.
    AtAll,
}

/// Scans of events that look at more rows than that, with their statements.
fn too_much(plans: &[Value], allowed: Allowed) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for plan in plans {
        for node in nodes(&plan["Plan"]) {
            // A scan of an index alone names no table, but partitions' indexes begin with theirs.
            let name =
                node["Relation Name"].as_str().or(node["Index Name"].as_str()).unwrap_or_default();
            let kind = node["Node Type"].as_str().unwrap_or_default();
            let rows = |name: &str| node[name].as_f64().unwrap_or_default();
            let in_vain = rows("Rows Removed by Filter") + rows("Rows Removed by Index Recheck");
            let looked_at = match allowed {
                Allowed::Sequential if kind != "Seq Scan" => 0.0,
                Allowed::InVain | Allowed::AtAll if reads_whole_index(node) => f64::INFINITY,
                Allowed::InVain => in_vain,
                Allowed::Sequential | Allowed::AtAll => in_vain + rows("Actual Rows"),
            };
            let pages = if matches!(allowed, Allowed::AtAll) { 10 } else { 1 };
            let has_many = name.starts_with("packet_logs") && !EMPTY.contains(&name);
            if has_many && looked_at > f64::from(pages * (PAGE + 1)) {
                let text = plan["Query Text"].as_str().unwrap_or_default();
                let from = text.find(" FROM ").unwrap_or_default();
                found.insert(format!(
                    "{kind} ({} with {}) looks at {looked_at} rows of {name}:{}",
                    node["Index Name"],
                    node["Index Cond"],
                    &text[from..]
                ));
            }
        }
    }
    found
}

/// Whether a scan of one of events' indexes goes through all of it, because nothing is said about its first column. The one by time
/// has the order of the list, and is walked until the page is full.
fn reads_whole_index(node: &Value) -> bool {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let first = ["src_ip", "dst_ip", "verdict"]
        .into_iter()
        .find(|first| text("Index Name").contains(&format!("_{first}_time_")))
        .or(text("Index Name").ends_with("_pkey").then_some("epoch"));
    first.is_some_and(|first| !text("Index Cond").contains(first))
}

fn filled(cluster: &Cluster) -> Database<'_> {
    let database = cluster.database("plans");
    let location: Location = database.url().parse().unwrap();
    migrate(&location).unwrap();
    execute(&database.url(), &format!("{};VACUUM (ANALYZE)", figures::rows(&location, ROWS)));
    database
}

/// A server with events, and what it says of the statements that questions become.
struct Watched<'a> {
    cluster: &'a Cluster,
    database: Database<'a>,
}

impl Watched<'_> {
    /// What the server did for these questions.
    fn plans(&self, ask: &impl AsyncFn(&Queries)) -> Vec<Value> {
        let before = plans(self.cluster).len();
        let queries = Queries::open(&self.database.url().parse().unwrap(), 1).unwrap();
        runtime().block_on(async {
            ask(&queries).await;
            // Over the same connection: when it has answered this, it has written what it did before.
            queries.version().await.unwrap();
        });
        plans(self.cluster).split_off(before)
    }

    /// What looks at more events than it has to.
    fn too_much(&self) -> BTreeSet<String> {
        let all = self.plans(&async |queries: &Queries| {
            let asked = ask_everything(queries).await;
            assert_eq!(asked, methods(), "a question that nobody has looked at the plan of");
        });
        assert!(all.len() > 500, "{} statements were explained", all.len());
        let pages = |fields: &'static [u32]| {
            self.plans(&async move |queries: &Queries| {
                for filter in filters_of(fields) {
                    queries.events(&filter, None, PAGE).await.unwrap();
                }
            })
        };
        let mut found = too_much(&all, Allowed::Sequential);
        found.extend(too_much(&pages(&[0, LEVELS, SOURCE, RULE]), Allowed::AtAll));
        found.extend(too_much(&pages(&[DESTINATION]), Allowed::InVain));
        found
    }
}

/// The fields that an index serves, as bits of [`part`]; the first three in the order of the list.
const LEVELS: u32 = 1;
const SOURCE: u32 = 1 << 2;
const RULE: u32 = 1 << 8;
const DESTINATION: u32 = 1 << 3;

/// Each of these, without a span and in one.
fn filters_of(fields: &[u32]) -> Vec<EventFilter> {
    const SPANS: [u32; 4] = [0, 1 << 6, 1 << 7, 1 << 6 | 1 << 7];
    let with_spans = fields.iter().flat_map(|field| SPANS.map(|span| field | span));
    with_spans.flat_map(|bits| [true, false].map(|common| part(&full(common), bits))).collect()
}

/// The ways to events: no question reads a partition of them from end to end; a page that one index gives in the order of the list
/// costs no more than ten pages' rows, of the thousands in a partition; a network's are found without looking at others'.
#[test]
fn no_question_looks_at_more_events_than_it_has_to() {
    let conf = EXPLAINS.map(str::to_owned).to_vec();
    let cluster = Cluster::start(&Settings { conf, ..Settings::default() });
    let watched = Watched { cluster: &cluster, database: filled(&cluster) };
    assert_eq!(watched.too_much(), BTreeSet::new());

    // It would be noticed: without any one of these a question does.
    for (index, again) in INDEXES {
        watched.database.psql(&format!("DROP INDEX {index}"));
        assert!(!watched.too_much().is_empty(), "nothing needs {index}");
        watched.database.psql(&format!("CREATE INDEX {index} ON packet_logs {again}"));
    }
}

/// What the questions are answered by.
const INDEXES: [(&str, &str); 4] = [
    ("packet_logs_newest", "(time DESC, epoch DESC, number DESC)"),
    ("packet_logs_source", "(src_ip, time, epoch, number, verdict)"),
    ("packet_logs_destination", "(dst_ip, time, epoch, number, verdict)"),
    ("packet_logs_notable", "(verdict, time, epoch, number) WHERE verdict > 0"),
];
