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
fn statements(question: &Question) -> Vec<&Sql> {
    let last: Vec<&Sql> = match &question.last {
        Last::Sql(sql) => vec![sql],
        Last::Cheapest(ways) => ways.iter().flat_map(|way| [&way.count, &way.rows]).collect(),
    };
    question.tries.iter().chain(last).collect()
}

/// What came from outside, each once, none like another or like the program's own numbers.
#[derive(Clone, Debug)]
struct Outside {
    filter: EventFilter,
    after: Option<PageKey>,
    kind: String,
}

/// Values vary; which conditions there are follows from `shape` alone.
fn outside(shape: u16) -> impl Strategy<Value = Outside> {
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
            let ask = |asked: &Outside| {
                let question = events(dialect, &asked.filter, asked.after, 100, Timestamp::EPOCH);
                let mut all: Vec<Sql> = statements(&question).into_iter().cloned().collect();
                let kind = Some(asked.kind.replace('\0', "")).filter(|kind| !kind.is_empty());
                let filter = IncidentFilter { kind: kind.or(Some("x".to_owned())), ..IncidentFilter::default() };
                all.extend(statements(&incidents(dialect, &filter, asked.after, 100)).into_iter().cloned());
                let change = IncidentChange { state: Some(IncidentState::Closed), note: Some(asked.kind.clone()) };
                let id = EventId { epoch: Epoch::new(Timestamp::EPOCH, 1), number: 1 };
                all.push(change_incident(dialect, id, &change, Timestamp::EPOCH));
                let label = Label { label: LabelWord::Benign, note: Some(asked.kind.clone()), at: Timestamp::EPOCH };
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
fn a_filter_that_an_index_serves_walks_along_it() {
    let network = Network::of("192.0.2.7".parse().unwrap());
    let filter = EventFilter { source: Some(network), protocol: Some(6), ..EventFilter::default() };
    let question = events(Dialect::Sqlite, &filter, None, 101, Timestamp::EPOCH);
    assert_eq!(question.tries, []);
    let Last::Sql(sql) = question.last else { panic!("there is one way") };
    let from = sql.text().split(" FROM ").skip(1).collect::<Vec<_>>().join(" FROM ");
    assert_eq!(
        from,
        "(SELECT * FROM (SELECT p.* FROM packet_logs AS p INDEXED BY packet_logs_source WHERE p.src_ip = ?1 AND p.protocol = ?2 \
         ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT ?3) AS b) AS p \
         LEFT JOIN labels AS l ON l.epoch = p.epoch AND l.number = p.number \
         ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT ?4"
    );
    assert_eq!(
        sql.values(),
        [
            Value::Address(network.address),
            Value::Integer(6),
            Value::Integer(101),
            Value::Integer(101)
        ]
    );
}

#[test]
fn a_prefix_is_walked_within_a_budget_and_then_gathered_by_keys() {
    let network = Network { address: "192.0.2.0".parse().unwrap(), length: 24 };
    let filter = EventFilter { destination: Some(network), ..EventFilter::default() };
    let question = events(Dialect::Postgres, &filter, None, 101, Timestamp::EPOCH);
    let [recent, within_budget] = &question.tries[..] else { panic!("{:?}", question.tries) };
    assert!(recent.values().iter().any(|value| matches!(value, Value::Time(_))));
    assert!(within_budget.values().contains(&Value::Integer(page::WALK_ROWS_MAX.into())));
    let Last::Cheapest(ways) = &question.last else { panic!("it is counted") };
    let sql = &ways[0].rows;
    let from = sql.text().split(" FROM ").skip(1).collect::<Vec<_>>().join(" FROM ");
    assert_eq!(
        from,
        "(SELECT p.time, p.epoch, p.number FROM (SELECT p.time, p.epoch, p.number FROM packet_logs AS p \
         WHERE p.dst_ip >= $1 AND p.dst_ip <= $2 OFFSET 0) AS p ORDER BY p.time DESC, p.epoch DESC, p.number DESC LIMIT $3) AS k \
         JOIN packet_logs AS p ON p.time = k.time AND p.epoch = k.epoch AND p.number = k.number \
         LEFT JOIN labels AS l ON l.epoch = p.epoch AND l.number = p.number ORDER BY p.time DESC, p.epoch DESC, p.number DESC"
    );
    let ends = ["192.0.2.0", "192.0.2.255"].map(|end| Value::Address(end.parse().unwrap()));
    assert_eq!(sql.values()[..2], ends);
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
