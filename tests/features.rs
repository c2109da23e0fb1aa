//! The features of the product, through its table, against the oracle's.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::net::IpAddr;

use jiff::tz::TimeZone;
use phantomnet::address::Address;
use phantomnet::features::{
    FeatureParams, FeatureVector, IDLE_NANOS, Meter, PacketEvidence, SourceState, index,
};
use phantomnet::handover::{Digest, Marks};
use phantomnet::sources::{Keyer, SourceCounters, Table, TableParams};
use phantomnet::time::Timestamp;
use proptest::prelude::*;

use crate::oracle::Oracle;

const SECOND: i64 = 1_000_000_000;

/// The product as one worker runs it.
struct Product {
    keyer: Keyer,
    table: Table<SourceState>,
    meter: Meter,
}

impl Product {
    fn new(oracle: &Oracle, sources: usize) -> Self {
        let v6_prefix = u8::try_from(oracle.v6_prefix).unwrap();
        let zone = oracle.zone.clone();
        Self {
            keyer: Keyer { key: [3, 5], v6_prefix, by_tenant: oracle.by_tenant },
            table: Table::new(TableParams { sources, idle_nanos: IDLE_NANOS }, 0, 1),
            meter: Meter::new(&FeatureParams { zone, destination_key: [7, 9] }),
        }
    }

    fn measure(&mut self, digest: &Digest, evidence: &PacketEvidence) -> FeatureVector {
        let (key, hash) = self.keyer.key_of(digest.source, digest.vlan);
        let Self { table, meter, .. } = self;
        let if_first = evidence.worth_if_first();
        table.visit(&key, hash, digest.time, if_first, |state| {
            state.observe(digest, evidence, meter)
        })
    }

    fn measure_all(&mut self, packets: &[(Digest, PacketEvidence)]) -> Vec<FeatureVector> {
        packets.iter().map(|(digest, evidence)| self.measure(digest, evidence)).collect()
    }
}

fn utc() -> Oracle {
    Oracle { v6_prefix: 64, by_tenant: false, zone: TimeZone::UTC }
}

fn agree(oracle: &Oracle, packets: &[(Digest, PacketEvidence)]) -> Result<(), TestCaseError> {
    let measured = Product::new(oracle, 4096).measure_all(packets);
    let counts: Vec<f32> =
        measured.iter().map(|vector| vector.0[index::UNIQUE_DESTINATION_COUNT]).collect();
    let expected = oracle.measure(packets, Some(&counts));
    for (nth, (expected, measured)) in expected.iter().zip(&measured).enumerate() {
        if let Err(why) = expected.check(measured) {
            return Err(TestCaseError::fail(format!("packet {nth}: {why}")));
        }
    }
    Ok(())
}

const SOURCES: [&str; 8] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "::ffff:192.0.2.3",
    "2001:db8:0:1::1",
    "2001:db8:0:1::2",
    "2001:db8:0:2::1",
    "fe80::1",
];

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// How long after the packet before: bursts, pauses, silences around the idle time, steps back, and leaps.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(0),
        6 => 0..1_000_000_i64,
        6 => 0..SECOND,
        4 => 0..12 * SECOND,
        2 => prop::sample::select(vec![SECOND, 5 * SECOND, 10 * SECOND, 60 * SECOND]),
        1 => 60 * SECOND..299 * SECOND,
        1 => prop::sample::select(vec![300 * SECOND - 1, 300 * SECOND, 300 * SECOND + 1]),
        1 => 300 * SECOND..4000 * SECOND,
        1 => -20 * SECOND..0,
    ]
}

fn evidence() -> impl Strategy<Value = PacketEvidence> {
    let risk = || prop_oneof![3 => Just(0.0), 2 => 0.0..=100.0_f32, 1 => Just(60.0)];
    let some = (risk(), risk(), any::<u16>(), prop_oneof![Just(0), 0..70_u8]).prop_map(
        |(rule_risk, intel_risk, classes, decoy)| PacketEvidence {
            rule_risk,
            intel_risk,
            classes,
            decoy,
        },
    );
    prop_oneof![5 => Just(PacketEvidence::default()), 1 => some]
}

fn packet() -> impl Strategy<Value = (Digest, PacketEvidence, i64)> {
    let length = prop_oneof![4 => Just(60), 4 => 20..1500_u32, 1 => prop::sample::select(vec![0, 65_575, u32::MAX])];
    let destination = prop_oneof![3 => 0..3_u32, 1 => 0..200_u32];
    let protocol = prop::sample::select(vec![1, 6, 17, 47, 58]);
    let fields = (0..SOURCES.len(), 0..2_u16, length, destination, protocol, any::<u16>());
    (fields, any::<bool>(), evidence(), step()).prop_map(
        |((source, vlan, length, destination, protocol, port), has_ports, evidence, step)| {
            let digest = Digest {
                source: address(SOURCES[source]),
                destination: Address::v4((0xc633_6400 + destination).to_be_bytes()),
                time: Timestamp::EPOCH,
                sequence: 1,
                length,
                wire_length: length.saturating_add(14),
                source_port: 40_000,
                destination_port: port,
                vlan,
                protocol,
                marks: if has_ports { Marks::PORTS } else { Marks::default() },
            };
            (digest, evidence, step)
        },
    )
}

/// Packets whose time stamps start anywhere between 1970 and 2038, or before.
fn traffic(packets_max: usize) -> impl Strategy<Value = Vec<(Digest, PacketEvidence)>> {
    let start = -1_000_000_000..2_147_000_000_i64;
    (start, prop::collection::vec(packet(), 1..packets_max)).prop_map(|(start, packets)| {
        let mut nanos = start * SECOND;
        let stamped = packets.into_iter().map(|(digest, evidence, step)| {
            nanos += step;
            (Digest { time: Timestamp::from_nanos(nanos), ..digest }, evidence)
        });
        stamped.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_feature_is_what_the_oracle_says(packets in traffic(300)) {
        agree(&utc(), &packets)?;
    }

    #[test]
    fn tenants_prefixes_and_zones_are_what_the_oracle_says(
        packets in traffic(60),
        v6_prefix in prop::sample::select(vec![0_u32, 48, 63, 128]),
        by_tenant: bool,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
    ) {
        agree(&Oracle { v6_prefix, by_tenant, zone: TimeZone::get(zone).unwrap() }, &packets)?;
    }

    /// One source, steady: habits are formed, and the mean over an hour and more is.
    #[test]
    fn a_long_session_is_what_the_oracle_says(
        steps in prop::collection::vec(0..120 * SECOND, 1..400),
        lengths in prop::collection::vec(20..100_u32, 400),
        (digest, _, _) in packet(),
    ) {
        let mut nanos = 1_700_000_000 * SECOND;
        let packets: Vec<_> = steps.into_iter().zip(lengths).map(|(step, length)| {
            nanos += step;
            let time = Timestamp::from_nanos(nanos);
            (Digest { time, length, ..digest }, PacketEvidence::default())
        }).collect();
        agree(&utc(), &packets)?;
    }
}

/// A scan of 10,000 addresses: what is estimated stays near what the oracle counts, and everything else equal.
#[test]
fn a_wide_scan_is_what_the_oracle_says() {
    let time = |nth: i64| Timestamp::from_nanos(1_700_000_000 * SECOND + nth * 3_000_000);
    let packets: Vec<_> = (0..3000_u32)
        .map(|nth| {
            let digest = Digest {
                source: address(SOURCES[0]),
                destination: Address::v4((nth * 7).to_be_bytes()),
                time: time(i64::from(nth)),
                sequence: u64::from(nth) + 1,
                length: 40 + nth % 5,
                wire_length: 60,
                source_port: 1,
                destination_port: 22,
                vlan: 0,
                protocol: 6,
                marks: Marks::PORTS,
            };
            (digest, PacketEvidence::default())
        })
        .collect();
    agree(&utc(), &packets).unwrap();
}

/// More sources than places: nothing fails, the accounts close, and those who are kept are measured as ever.
#[test]
fn a_table_too_small_for_its_sources_measures_those_it_keeps() {
    let oracle = utc();
    let mut product = Product::new(&oracle, 512);
    let mut regular = Vec::new();
    let mut regular_measured = Vec::new();
    for nth in 0..60_000_u32 {
        let is_regular = nth % 20 == 0;
        let source = if is_regular { nth / 20 % 10 } else { 0x0100_0000 + nth };
        let digest = Digest {
            source: Address::v4(source.to_be_bytes()),
            destination: Address::v4([198, 51, 100, 1]),
            time: Timestamp::from_nanos(i64::from(nth) * 2_000_000),
            sequence: u64::from(nth) + 1,
            length: 40 + nth % 1000,
            wire_length: 60,
            source_port: 1,
            destination_port: 80,
            vlan: 0,
            protocol: 6,
            marks: Marks::PORTS,
        };
        let vector = product.measure(&digest, &PacketEvidence::default());
        assert!(vector.0.iter().all(|value| value.is_finite()));
        if is_regular {
            regular.push((digest, PacketEvidence::default()));
            regular_measured.push(vector);
        }
    }
    for (expected, measured) in oracle.measure(&regular, None).iter().zip(&regular_measured) {
        expected.check(measured).unwrap();
    }
    let SourceCounters { inserted, evicted, expired, live, .. } = product.table.counters();
    assert_eq!(inserted, live + evicted + expired);
    assert!(evicted > 50_000, "{:?}", product.table.counters());
}
