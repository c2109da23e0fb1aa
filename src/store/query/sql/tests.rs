use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::event::{Epoch, EventId};
use crate::store::query::{
    EventFilter, IncidentChange, IncidentFilter, IncidentState, Label, LabelWord, Network, PageKey,
    ProfileKey, SessionFilter,
};
use crate::verdict::Level;

const DIALECTS: [Dialect; 2] = [Dialect::Postgres, Dialect::Sqlite];

/// Every statement of a question.
pub(super) fn statements(question: &Question) -> Vec<&Sql> {
    let last: Vec<&Sql> = match &question.last {
        Last::Sql(sql) => vec![sql],
        Last::Cheapest(ways) => ways.iter().flat_map(|way| [&way.count, &way.rows]).collect(),
    };
    question.tries.iter().chain(last).collect()
}

/// What a search asks, told that `rows` rows are counted and found each time.
pub(super) fn asked(mut search: search::Search, rows: u32) -> Vec<Sql> {
    let mut all = Vec::new();
    let mut hour = Timestamp::from_secs(100 * 86_400);
    while all.len() < 30 {
        match search.next() {
            Step::Moment(sql) => {
                all.push(sql);
                hour = hour.plus_nanos(-3_600_000_000_000);
                search.moment(Some(hour));
            }
            Step::Number(sql) => {
                all.push(sql);
                search.number(rows.into());
            }
            Step::Rows(sql) => {
                all.push(sql);
                search.rows(rows.min(3) as usize);
            }
            Step::Done => break,
        }
    }
    all
}

/// What came from outside, each once, none like another or like the program's own numbers.
#[derive(Clone, Debug)]
pub(super) struct Outside {
    pub(super) filter: EventFilter,
    pub(super) after: Option<PageKey>,
    pub(super) kind: String,
}

/// Values vary; which conditions there are follows from `shape` alone.
pub(super) fn outside(shape: u16) -> impl Strategy<Value = Outside> {
    let has = move |bit: u16| shape >> bit & 1 == 1;
    let network = |length| {
        any::<u32>()
            .prop_map(move |bits| Network { address: IpAddr::from(bits.to_be_bytes()), length })
    };
    let numbers = (1_u8.., 1_u16.., 0.001_f32..0.9, any::<u32>(), any::<u32>());
    let times = (any::<i32>(), any::<i32>(), any::<i32>(), any::<u32>());
    (
        network(if has(0) { 32 } else { 24 }),
        network(if has(1) { 32 } else { 24 }),
        numbers,
        times,
        ".*",
    )
        .prop_map(move |(source, destination, numbers, times, kind)| {
            let at = |seconds: i32| Timestamp::from_secs(seconds.into());
            // Half-open spans that are not empty or reversed: how much is recent must not depend on it.
            let id = EventId { epoch: Epoch::new(at(times.0), times.3), number: times.3.into() };
            Outside {
                filter: EventFilter {
                    levels: if has(2) { vec![Level::Critical] } else { vec![] },
                    protocol: has(3).then_some(numbers.0),
                    source: has(4).then_some(source),
                    destination: has(5).then_some(destination),
                    port: has(6).then_some(numbers.1),
                    min_score: has(7).then_some(numbers.2),
                    from: has(8).then_some(
                        at(times.1.saturating_abs()).plus_nanos(-4_000_000_000 * 1_000_000_000),
                    ),
                    to: has(9).then_some(at(times.1.saturating_abs())),
                    rule: has(10).then_some(numbers.3),
                },
                after: has(11).then_some(PageKey { time: at(times.2.saturating_abs()), id }),
                kind,
            }
        })
}

proptest! {
    #[test]
    fn no_value_changes_the_text(
        (one, other) in any::<u16>().prop_flat_map(|shape| (outside(shape), outside(shape)))
    ) {
        for dialect in DIALECTS {
            let ask = |outside: &Outside| {
                let search = || events(dialect, &outside.filter, outside.after, 100);
                let mut all = [0, 1, 100_000].map(|rows| asked(search(), rows)).concat();
                let kind = Some(outside.kind.replace('\0', "")).filter(|kind| !kind.is_empty());
                let filter = IncidentFilter { kind: kind.or(Some("x".to_owned())), ..IncidentFilter::default() };
                all.extend(statements(&incidents(dialect, &filter, outside.after, 100)).into_iter().cloned());
                let change = IncidentChange { state: Some(IncidentState::Closed), note: Some(outside.kind.clone()) };
                let id = EventId { epoch: Epoch::new(Timestamp::EPOCH, 1), number: 1 };
                all.push(change_incident(dialect, id, &change, Timestamp::EPOCH));
                let label = Label { label: LabelWord::Benign, note: Some(outside.kind.clone()), at: Timestamp::EPOCH };
                all.push(label_event(dialect, id, &label));
                all
            };
            let (one, other) = (ask(&one), ask(&other));
            let texts = |all: &[Sql]| all.iter().map(|sql| sql.text().to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(texts(&one), texts(&other));
            for sql in &one {
                prop_assert_eq!(placeholders(sql), (1..=sql.values().len()).collect::<Vec<_>>(), "{}", sql.text());
            }
        }
    }
}

/// The numbers of a statement's placeholders, in order.
fn placeholders(sql: &Sql) -> Vec<usize> {
    let text = sql.text();
    let signs = text.char_indices().filter(|(_, sign)| matches!(sign, '$' | '?'));
    let number = |(at, _): (usize, char)| {
        let digits = text[at + 1..].chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap()
    };
    signs.map(number).collect()
}

#[test]
fn a_filter_that_an_index_serves_walks_along_it_from_the_newest_day_back() {
    let network = Network::of("192.0.2.7".parse().unwrap());
    let filter = EventFilter { source: Some(network), protocol: Some(6), ..EventFilter::default() };
    let mut search = events(Dialect::Sqlite, &filter, None, 101);
    let Step::Moment(jump) = search.next() else { panic!("it begins where events are") };
    assert_eq!(jump.text(), "SELECT p.hour FROM event_hours AS p ORDER BY p.hour DESC LIMIT ?1");
    let day = |days: i64| Timestamp::from_secs(days * 86_400);
    search.moment(Some(day(10).plus_nanos(3_600_000_000_000)));
    let Step::Rows(sql) = search.next() else { panic!("there is one way") };
    let from = sql.text().split(" FROM ").skip(1).collect::<Vec<_>>().join(" FROM ");
    assert_eq!(
        from,
        "(SELECT * FROM (SELECT p.* FROM packet_logs AS p INDEXED BY packet_logs_source WHERE p.src_ip = ?1 AND p.protocol = ?2 \
         AND p.time >= ?3 ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT ?4) AS b) AS p \
         LEFT JOIN labels AS l ON l.epoch = p.epoch AND l.number = p.number \
         ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT ?5"
    );
    assert_eq!(
        sql.values(),
        [
            Value::Address(network.address),
            Value::Integer(6),
            Value::Time(day(10)),
            Value::Integer(101),
            Value::Integer(101)
        ]
    );
    // What is missing is looked for in what is older.
    assert!(search.rows(1));
    let Step::Moment(jump) = search.next() else { panic!("the page is not full") };
    assert_eq!(jump.values()[0], Value::Time(day(10)));
    search.moment(Some(day(8)));
    let Step::Rows(sql) = search.next() else { panic!("there is one way") };
    assert_eq!(sql.values()[2..4], [Value::Time(day(10)), Value::Time(day(5))]);
    assert!(search.rows(100));
    assert_eq!(search.next(), Step::Done);
}

#[test]
fn a_prefix_is_counted_and_gathered_by_keys_where_there_are_few_and_walked_where_there_are_many() {
    let network = Network { address: "192.0.2.0".parse().unwrap(), length: 24 };
    let filter = EventFilter { destination: Some(network), ..EventFilter::default() };
    let mut search = events(Dialect::Postgres, &filter, None, 101);
    search.moment(Some(Timestamp::from_secs(864_000)));
    let Step::Number(_) = search.next() else { panic!("it is counted") };
    search.number(1000);
    let Step::Rows(sql) = search.next() else { panic!("there are few") };
    let from = sql.text().split(" FROM ").skip(1).collect::<Vec<_>>().join(" FROM ");
    assert_eq!(
        from,
        "(SELECT p.time, p.epoch, p.number FROM (SELECT p.time, p.epoch, p.number FROM packet_logs AS p \
         WHERE p.dst_ip >= $1 AND p.dst_ip <= $2 AND p.time >= $3 OFFSET 0) AS p ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT $4) AS k \
         CROSS JOIN LATERAL (SELECT p.* FROM packet_logs AS p WHERE p.time = k.time AND p.epoch = k.epoch AND p.number = k.number \
         AND p.time >= $5 OFFSET 0) AS p \
         LEFT JOIN labels AS l ON l.epoch = p.epoch AND l.number = p.number ORDER BY p.time DESC, p.epoch DESC, p.number DESC"
    );
    let ends = ["192.0.2.0", "192.0.2.255"].map(|end| Value::Address(end.parse().unwrap()));
    assert_eq!(sql.values()[..2], ends);

    let mut search = events(Dialect::Postgres, &filter, None, 101);
    search.moment(Some(Timestamp::from_secs(864_000)));
    search.number(1_000_000);
    let Step::Rows(sql) = search.next() else { panic!("there are many") };
    assert!(sql.values().contains(&Value::Integer(50 * 101)));
    // It came by so many that the largest budget would fill the page.
    let largest = Value::Integer(20_000);
    assert!(!search.rows(26));
    let Step::Rows(sql) = search.next() else { panic!("there may be enough") };
    assert!(sql.values().contains(&largest));
    // It did not come by enough of them either: part of the window is counted, until it is small enough to walk further, and to
    // gather all.
    assert!(!search.rows(7));
    for _ in 0..2 {
        assert!(matches!(search.next(), Step::Number(_)));
        search.number(1_000_000);
    }
    let Step::Rows(sql) = search.next() else { panic!("an hour is walked") };
    assert!(sql.values().contains(&largest));
    assert!(!search.rows(100));
    let Step::Rows(sql) = search.next() else { panic!("an hour is gathered") };
    assert!(!sql.values().contains(&largest));
    assert!(search.rows(101));
    assert_eq!(search.next(), Step::Done);
}

#[test]
fn a_network_is_counted_once_in_sqlite_whose_index_has_it_for_all_times() {
    let network = Network { address: "192.0.2.0".parse().unwrap(), length: 24 };
    let filter = EventFilter { destination: Some(network), ..EventFilter::default() };
    let mut search = events(Dialect::Sqlite, &filter, None, 101);
    search.moment(Some(Timestamp::from_secs(864_000)));
    assert!(matches!(search.next(), Step::Number(_)));
    search.number(1_000_000);
    let Step::Rows(walk) = search.next() else { panic!("there are many") };
    assert!(walk.values().contains(&Value::Integer(20_000)));
    assert!(!search.rows(100));
    assert!(matches!(search.next(), Step::Rows(_)));
    assert!(search.rows(101));
    assert_eq!(search.next(), Step::Done);
}

#[test]
fn a_key_between_two_microseconds_stands_behind_no_row_of_the_later_one() {
    let id = EventId { epoch: Epoch::new(Timestamp::EPOCH, 5), number: 9 };
    let key = |nanos| events::behind("time", PageKey { time: Timestamp::from_nanos(nanos), id });
    let columns = ["time", "epoch", "number"];
    let expected = |micros: i64, epoch, number| {
        let time = Value::Time(Timestamp::from_nanos(micros * 1000));
        condition::Condition::Behind(columns, [time, Value::Integer(epoch), Value::Integer(number)])
    };
    assert_eq!(key(7000), expected(7, 5, 9));
    assert_eq!(key(6001), expected(7, i64::MIN, i64::MIN));
}

#[test]
fn lists_of_every_kind_bind_what_they_ask_for() {
    let network = Network { address: "2001:db8::".parse().unwrap(), length: 32 };
    let at = Timestamp::from_secs(1);
    let sessions_of = SessionFilter {
        source: Some(network),
        worst: Some(Level::High),
        state: None,
        from: Some(at),
        to: Some(at),
    };
    let key = ProfileKey { last: at, source: network.address, tenant: 4 };
    for dialect in DIALECTS {
        let questions = [
            sessions(dialect, &sessions_of, None, 11),
            profiles(dialect, Some(network), Some(key), 11),
            profiles(dialect, None, None, 11),
        ];
        for sql in questions.iter().flat_map(statements) {
            assert_eq!(placeholders(sql), (1..=sql.values().len()).collect::<Vec<_>>());
        }
    }
}
