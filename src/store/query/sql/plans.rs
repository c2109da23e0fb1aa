//! How SQLite would go about each statement: by the instructions that it makes of it, which say more than `EXPLAIN QUERY PLAN` does
//! (there a part of a statement that goes by the name of a table looks like the table). PostgreSQL's plans: `tests/queries/plans.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use rusqlite::Connection;

use super::tests::{Outside, asked, outside, statements};
use super::*;
use crate::event::{Epoch, EventId};
use crate::store::migrations;
use crate::store::query::{
    IncidentChange, IncidentFilter, Label, LabelWord, Network, SessionFilter,
};
use crate::verdict::Level;

const SQLITE: Dialect = Dialect::Sqlite;

/// Bits of a shape: two of networks' lengths, eleven of what there is.
const BITS: u32 = 12;

/// Every statement that SQLite is sent, by the function that makes it.
fn all() -> BTreeMap<&'static str, Vec<Sql>> {
    let mut all: BTreeMap<&'static str, Vec<Sql>> = BTreeMap::new();
    let shapes = (0..1_u16 << BITS).filter(|shape| shape.count_ones() <= 3);
    let mut runner = TestRunner::deterministic();
    for shape in shapes.chain([(1 << BITS) - 1]) {
        let Outside { filter, after, .. } = outside(shape).new_tree(&mut runner).unwrap().current();
        for rows in [0, 1, 100_000] {
            let search = events(SQLITE, &filter, after, 100);
            all.entry("events").or_default().extend(asked(search, rows));
        }
    }
    let network = Network { address: "10.0.0.0".parse().unwrap(), length: 8 };
    let id = EventId { epoch: Epoch::new(Timestamp::EPOCH, 1), number: 1 };
    let at = Timestamp::from_secs;
    let mut add = |name, statements: Vec<Sql>| all.entry(name).or_default().extend(statements);
    let lists = |question: &Question| statements(question).into_iter().cloned().collect();
    let worst = Some(Level::High);
    add("event", vec![event(SQLITE, id)]);
    add("event_exists", vec![event_exists(SQLITE, id)]);
    add("events_since", vec![events_since(SQLITE, id, 100)]);
    let label = Label { label: LabelWord::Benign, note: None, at: at(1) };
    add("label_event", vec![label_event(SQLITE, id, &label)]);
    for (from, to) in [(None, None), (Some(at(61)), None), (Some(at(61)), Some(at(90_001)))] {
        add("stats", vec![stats(SQLITE, from, to)]);
        add("sources_seen", vec![sources_seen(SQLITE, from, to)]);
    }
    for seconds in [1, 60, 3600] {
        add("timeline", vec![timeline(SQLITE, at(7), at(90_001), Duration::from_secs(seconds))]);
    }
    add("span", vec![span(SQLITE)]);
    add("version", vec![version(SQLITE)]);
    let of = SessionFilter { source: Some(network), worst, ..SessionFilter::default() };
    add("sessions", lists(&sessions(SQLITE, &of, None, 100)));
    let of = IncidentFilter { subject: Some(network), worst, ..IncidentFilter::default() };
    add("incidents", lists(&incidents(SQLITE, &of, None, 100)));
    add("incident", vec![incident(SQLITE, id)]);
    let change = IncidentChange { state: None, note: Some("x".to_owned()) };
    add("change_incident", vec![change_incident(SQLITE, id, &change, at(1))]);
    add("profiles", lists(&profiles(SQLITE, Some(network), None, 100)));
    add("profiles_of", vec![profiles_of(SQLITE, network, 100)]);
    add("ledgers", vec![ledgers(SQLITE, 10)]);
    all
}

/// The functions that make statements, as their source has them.
fn makers() -> BTreeSet<&'static str> {
    let sources = [
        include_str!("events.rs"),
        include_str!("lists.rs"),
        include_str!("sums.rs"),
        include_str!("ledgers.rs"),
    ];
    let functions =
        sources.iter().flat_map(|text| text.split("\npub(in crate::store) fn ").skip(1));
    functions.filter_map(|rest| rest.split('(').next()).collect()
}

/// What of events a statement goes through from one end: the table, or an index of it.
fn read_from_one_end(store: &Connection, sql: &Sql) -> rusqlite::Result<BTreeSet<String>> {
    let mut roots = store.prepare_cached(
        "SELECT rootpage, name FROM sqlite_master WHERE tbl_name IN ('packet_logs', 'event_rules') AND rootpage > 0",
    )?;
    let roots: BTreeMap<i64, String> =
        roots.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut program = store.prepare(&format!("EXPLAIN {}", sql.text()))?;
    let mut cursors: BTreeMap<i64, String> = BTreeMap::new();
    let mut found = BTreeSet::new();
    let mut instructions = program.raw_query();
    let mut all: Vec<(String, i64, i64)> = Vec::new();
    while let Some(row) = instructions.next()? {
        all.push((row.get(1)?, row.get(2)?, row.get(3)?));
    }
    for (name, cursor, root) in &all {
        if name == "OpenRead"
            && let Some(of) = roots.get(root)
        {
            cursors.insert(*cursor, of.clone());
        }
    }
    for (name, cursor, _) in &all {
        if matches!(&**name, "Rewind" | "Last" | "Sort")
            && let Some(of) = cursors.get(cursor)
        {
            found.insert(of.clone());
        }
    }
    Ok(found)
}

#[test]
fn sqlite_goes_through_events_in_no_order_but_that_of_the_list() {
    let mut store = Connection::open_in_memory().unwrap();
    migrations::sqlite::ensure(&mut store).unwrap();
    let all = all();
    let asked: BTreeSet<&str> = all.keys().copied().collect();
    // Several at once are asked for one by one.
    let makers: BTreeSet<&str> =
        makers().into_iter().filter(|name| *name != "events_by_id").collect();
    assert_eq!(asked, makers, "a statement that nobody has looked at");
    let check = |store: &Connection| {
        for sql in all.values().flatten() {
            let through = read_from_one_end(store, sql)
                .map_err(|fault| format!("{fault}: {}", sql.text()))?;
            // The newest or the oldest first, until there are enough.
            if through.iter().any(|of| of != "packet_logs_newest") {
                return Err(format!("all of {through:?}: {}", sql.text()));
            }
        }
        Ok(())
    };
    assert_eq!(check(&store), Ok(()));
    for index in ["newest", "source", "destination", "notable"] {
        store
            .execute_batch(&format!("SAVEPOINT with_all; DROP INDEX packet_logs_{index}"))
            .unwrap();
        assert!(check(&store).is_err(), "nothing needs packet_logs_{index}");
        store.execute_batch("ROLLBACK TO with_all; RELEASE with_all").unwrap();
    }
}
