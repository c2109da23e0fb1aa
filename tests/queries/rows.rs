//! Rows of every shape, from few different values, so that filters meet.

use phantomnet::address::Address;
use phantomnet::event::{
    Epoch, Event, Incident, Merged, ProfileChange, Session, SessionState, Side,
};
use phantomnet::features::{FEATURES, FeatureVector};
use phantomnet::store::query::Network;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// The minute that most rows begin in.
pub(crate) const BASE: Timestamp = Timestamp::from_secs(1_790_000_040);

/// `count` rows of a strategy, the same ones every time.
pub(crate) fn some<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let strategy = prop::collection::vec(strategy, count);
    strategy.new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

/// Events of two runs, numbered from 1 in each.
pub(crate) fn numbered<T>(rows: Vec<T>, number: impl Fn(&mut T, u64)) -> Vec<(Epoch, T)> {
    let epochs = [epoch(1), epoch(2)];
    let named = |(at, mut row): (usize, T)| {
        number(&mut row, at as u64 / 2 + 1);
        (epochs[at % 2], row)
    };
    rows.into_iter().enumerate().map(named).collect()
}

pub(crate) fn epoch(at: i64) -> Epoch {
    Epoch::new(Timestamp::from_secs(1_790_000_000 + at), 7)
}

pub(crate) fn address() -> impl Strategy<Value = Address> {
    let near = ["::fffe:ffff:ffff", "::1:0:0:0", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
    let v6 = near.map(|text| Address::from(text.parse::<std::net::IpAddr>().unwrap()));
    prop_oneof![
        4 => (0_u8..3, 0_u8..4).prop_map(|(net, host)| Address::v4([10, 0, net, host])),
        1 => select(vec![Address::v4([0; 4]), Address::v4([255; 4])]),
        2 => select(v6.to_vec()),
    ]
}

pub(crate) fn network() -> impl Strategy<Value = Network> {
    (address(), select(vec![0_u8, 8, 22, 23, 24, 30, 32, 48, 64, 80, 95, 127, 128])).prop_map(
        |(address, length)| {
            let address = address.to_ip();
            let length = if address.is_ipv4() { length.min(32) } else { length };
            Network { address, length }
        },
    )
}

/// A whole microsecond, seldom one of its own.
pub(crate) fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0_i64..6).prop_map(|micros| BASE.plus_nanos(micros * 1000)),
        (-90_i64..90, 0_i64..3).prop_map(|(s, us)| BASE.plus_nanos(s * 1_000_000_000 + us * 1000)),
        (-40_i64..40).prop_map(|hours| BASE.plus_nanos(hours * 3_600_000_000_000)),
        Just(Timestamp::from_nanos(-1_000)),
    ]
}

pub(crate) fn level() -> impl Strategy<Value = Level> {
    select(Level::ALL.to_vec())
}

/// Words that a store could stumble over.
pub(crate) fn words() -> impl Strategy<Value = Box<str>> {
    select(vec![
        "",
        "a scan of ports",
        "it's \"so\"",
        "ü 漢字 \u{1f600}",
        "';DROP TABLE labels;--",
        "a\\b\n\t%s",
    ])
    .prop_map(Box::from)
}

fn real() -> impl Strategy<Value = f32> {
    prop_oneof![
        any::<u32>()
            .prop_map(|bits| f32::from_bits(bits >> 2))
            .prop_filter("none", |value| value.is_finite()),
        select(vec![0.0, 1.0, 0.1, f32::MIN_POSITIVE, f32::MAX, 99.999_99]),
    ]
}

fn big() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 2, 1_000_000, i64::MAX as u64])
}

/// What many of can still be summed.
fn weight() -> impl Strategy<Value = u64> {
    select(vec![0, 1, 2, 1_000, 1_000_000])
}

pub(crate) fn rules() -> impl Strategy<Value = Vec<u32>> {
    select(vec![vec![], vec![], vec![1], vec![2, 1], vec![3], vec![u32::MAX, 1]])
}

type Marks = (Merged, Floor, Option<bool>, Option<[f32; FEATURES]>, u8, Option<(Box<str>, Side)>);

fn marks() -> impl Strategy<Value = Marks> {
    (
        select(Merged::ALL.to_vec()),
        select([Floor::ALL.to_vec(), vec![Floor::None]].concat()),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::array::uniform15(real())),
        any::<u8>(),
        prop::option::of((words(), select(vec![Side::Source, Side::Destination]))),
    )
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let what = (
        moment(),
        0_i64..5_000,
        prop::option::weighted(0.9, address()),
        prop::option::weighted(0.9, address()),
    );
    let ports = (
        prop::option::of(select(vec![22_u16, 80, 443, 0, 65535])),
        prop::option::of(select(vec![22_u16, 80, 53])),
    );
    let head = (
        select(vec![1_u8, 6, 17, 255]),
        level(),
        select(vec![0_u16, 1, 4094]),
        prop::option::of((any::<u8>(), any::<u8>())),
    );
    let counts = (0_u64..20, 0_u64..3, weight(), big(), any::<u32>(), any::<u32>());
    let total = prop_oneof![(0_u8..=100).prop_map(f32::from), select(vec![20.5_f32, 50.0, 79.999])];
    let risks = (total, real(), real(), real(), prop::option::of(real()), prop::option::of(real()));
    let marks = marks();
    let rest = (
        rules(),
        prop::option::of(words()),
        words(),
        any::<u32>(),
        big(),
        prop::option::of(words()),
    );
    (what, ports, head, counts, risks, marks, rest).prop_map(
        |(what, ports, head, counts, risks, marks, rest)| Event {
            number: 0,
            first: what.0,
            last: what.0.plus_nanos(what.1 * 1000),
            source: what.2,
            destination: what.3,
            source_port: ports.0,
            destination_port: ports.1,
            icmp: head.3,
            protocol: head.0,
            vlan: head.2,
            level: head.1,
            count: counts.0,
            alerts: counts.1,
            weight: counts.2,
            bytes: counts.3,
            length: counts.4 >> 1,
            sources: counts.5,
            merged: marks.0,
            total: risks.0,
            anomaly_score: risks.4,
            quantile: risks.5,
            in_training_range: marks.2,
            model_risk: risks.1,
            rule_risk: risks.2,
            intel_risk: risks.3,
            floor: marks.1,
            features: marks.3.map(FeatureVector),
            rules: rest.0,
            rules_left_out: marks.4,
            intel: marks.5,
            decoy: rest.1,
            reason: rest.2,
            detection: rest.3,
            packet: rest.4,
            community_id: rest.5,
        },
    )
}

pub(crate) fn session() -> impl Strategy<Value = Session> {
    let states =
        [SessionState::Open, SessionState::Idle, SessionState::Evicted, SessionState::Stopped];
    (
        moment(),
        0_i64..5_000,
        address(),
        select(vec![0_u16, 5]),
        big(),
        big(),
        level(),
        rules(),
        select(states.to_vec()),
    )
        .prop_map(|(first, more, source, tenant, packets, bytes, worst, rules, state)| {
            Session {
                number: 0,
                source,
                tenant,
                first,
                last: first.plus_nanos(more * 1000),
                packets,
                bytes,
                levels: [packets, 1, 2, 3],
                worst,
                rules,
                state,
            }
        })
}

pub(crate) fn incident() -> impl Strategy<Value = Incident> {
    let kinds = select(vec!["network-scan", "decoy", "it's"]);
    (
        moment(),
        0_i64..50_000_000,
        prop::option::weighted(0.8, address()),
        kinds,
        words(),
        big(),
        level(),
        rules(),
    )
        .prop_map(|(first, more, subject, kind, title, count, worst, rules)| Incident {
            number: 0,
            subject,
            side: Side::Destination,
            kind: kind.into(),
            title,
            first,
            last: first.plus_nanos(more * 1000),
            count,
            events: 1,
            worst,
            worst_event: 9,
            rules,
        })
}

pub(crate) fn profile() -> impl Strategy<Value = ProfileChange> {
    (moment(), 0_i64..5_000, address(), select(vec![0_u16, 5]), big()).prop_map(
        |(first, more, source, tenant, packets)| ProfileChange {
            source,
            tenant,
            first,
            last: first.plus_nanos(more * 1000),
            sessions: 1,
            packets,
            bytes: packets,
            levels: [packets, 1, 2, 3],
        },
    )
}
