use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::handover::{Digest, Marks};
use crate::sources::{Resident, Worth};
use crate::time::Timestamp;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn meter() -> Meter {
    Meter::new(&FeatureParams { zone: TimeZone::UTC, destination_key: [1, 2] })
}

fn digest(nanos: i64) -> Digest {
    Digest {
        source: Address::v4([192, 0, 2, 1]),
        destination: Address::v4([198, 51, 100, 1]),
        time: Timestamp::from_nanos(nanos),
        sequence: 1,
        length: 60,
        wire_length: 74,
        source_port: 40_000,
        destination_port: 443,
        vlan: 0,
        protocol: TCP,
        marks: Marks::PORTS,
    }
}

const CLEAN: PacketEvidence =
    PacketEvidence { rule_risk: 0.0, intel_risk: 0.0, classes: 0, decoy: 0 };

#[test]
fn the_first_packet_of_a_source_is_measured_against_nothing() {
    let noon = 12 * 3600 * 1_000_000_000;
    let vector = SourceState::default().observe(&digest(noon), &CLEAN, &mut meter());
    let expected = [60.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    assert_eq!(vector, FeatureVector(expected));
}

#[test]
fn evidence_shows_from_the_next_packet_on() {
    let (mut state, mut meter) = (SourceState::default(), meter());
    let evidence = PacketEvidence { rule_risk: 80.0, intel_risk: 100.0, classes: 0b11, decoy: 7 };
    let FeatureVector(first) = state.observe(&digest(0), &evidence, &mut meter);
    let FeatureVector(second) = state.observe(&digest(0), &CLEAN, &mut meter);
    let last_known =
        [index::THREAT_SCORE, index::MALICIOUS_FLAG_RATIO, index::ATTACK_TYPE_FREQUENCY];
    assert_eq!(last_known.map(|feature| first[feature]), [0.0; 3]);
    assert_eq!(last_known.map(|feature| second[feature]), [92.5, 1.0 / 9.0, 1.0]);
    assert_eq!(first[index::HONEYPOT_INTERACTION_COUNT], 1.0, "a decoy counts at once");
}

#[test]
fn ports_and_protocols_have_their_classes() {
    let of = |protocol, destination_port, marks| {
        let digest = Digest { protocol, destination_port, marks, ..digest(0) };
        let FeatureVector(v) = SourceState::default().observe(&digest, &CLEAN, &mut meter());
        (v[index::PROTOCOL_ENCODING], v[index::DESTINATION_PORT_CLASS])
    };
    assert_eq!(of(TCP, 0, Marks::PORTS), (1.0, 1.0));
    assert_eq!(of(TCP, 1023, Marks::PORTS), (1.0, 1.0));
    assert_eq!(of(UDP, 1024, Marks::PORTS), (2.0, 2.0));
    assert_eq!(of(UDP, 49_151, Marks::PORTS), (2.0, 2.0));
    assert_eq!(of(UDP, 49_152, Marks::PORTS), (2.0, 3.0));
    assert_eq!(of(UDP, 443, Marks::default()), (2.0, 0.0), "a later fragment has no port");
    assert_eq!(of(ICMP, 0, Marks::default()), (3.0, 0.0));
    assert_eq!(of(ICMPV6, 0, Marks::default()), (3.0, 0.0));
    assert_eq!(of(132, 80, Marks::default()), (0.0, 0.0));
}

#[test]
fn each_of_64_decoys_counts_once_and_no_other() {
    let (mut state, mut meter) = (SourceState::default(), meter());
    let mut count = |decoy| {
        let evidence = PacketEvidence { decoy, ..CLEAN };
        state.observe(&digest(0), &evidence, &mut meter).0[index::HONEYPOT_INTERACTION_COUNT]
    };
    assert_eq!([0, 1, 1, 64, 65, 255, 2].map(&mut count), [0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0]);
}

#[test]
fn the_unspecified_address_is_a_destination_too() {
    let (mut state, mut meter) = (SourceState::default(), meter());
    let to_nowhere = Digest { destination: Address::default(), ..digest(0) };
    let counts = [to_nowhere, to_nowhere, digest(0)].map(|digest| {
        state.observe(&digest, &CLEAN, &mut meter).0[index::UNIQUE_DESTINATION_COUNT]
    });
    assert_eq!(counts, [1.0, 1.0, 2.0]);
}

#[test]
fn worth_grows_with_return_and_with_evidence() {
    let mut meter = meter();
    let mut worth = |first: PacketEvidence, packets: usize| {
        let mut state = SourceState::default();
        for evidence in std::iter::once(first).chain([CLEAN; 3]).take(packets) {
            state.observe(&digest(0), &evidence, &mut meter);
        }
        state.worth()
    };
    let intel = PacketEvidence { intel_risk: 1.0, ..CLEAN };
    let decoy = PacketEvidence { decoy: 1, ..CLEAN };
    assert_eq!(worth(CLEAN, 1), Worth::Passing);
    assert_eq!(worth(CLEAN, 2), Worth::Returned);
    assert_eq!((worth(intel, 1), worth(decoy, 1)), (Worth::Suspect, Worth::Suspect));
    assert_eq!((worth(intel, 2), worth(decoy, 2)), (Worth::Known, Worth::Known));
}

/// Packets of one source, each with what inspection said of it.
type Packets = Vec<(Digest, PacketEvidence)>;

fn packets() -> impl Strategy<Value = Packets> {
    let packet = (
        0..2_000_000_000_i64,
        prop::sample::select(vec![0.0, 0.0, 0.0, 80.0_f32]),
        prop::sample::select(vec![0, 0, 0, 7_u8]),
        prop::sample::select(vec![0, 60, 1500, 70_000_u32]),
        0..20_u8,
    );
    let packet = packet.prop_map(|(nanos, rule_risk, decoy, length, destination)| {
        let destination = Address::v4([198, 51, 100, destination]);
        let classes = u16::from(rule_risk > 0.0);
        (
            Digest { length, destination, ..digest(nanos) },
            PacketEvidence { rule_risk, intel_risk: 0.0, classes, decoy },
        )
    });
    prop::collection::vec(packet, 1..40)
}

/// Moments that stress: anywhere, near each other, and at the ends of what a time stamp can hold.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        0..10_000_000_000_i64,
        prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX]),
    ]
}

fn any_risk() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0), 0.0..100.0_f32, any::<f32>()]
}

proptest! {
    #[test]
    fn nothing_of_a_forgotten_source_shows_in_the_next(before in packets(), after in packets()) {
        let (mut used, mut fresh) = (SourceState::default(), SourceState::default());
        let mut meter = meter();
        for (digest, evidence) in &before {
            used.observe(digest, evidence, &mut meter);
        }
        used.forget();
        for (nth, (digest, evidence)) in after.iter().enumerate() {
            let expected = fresh.observe(digest, evidence, &mut meter);
            prop_assert_eq!(used.observe(digest, evidence, &mut meter), expected);
            prop_assert_eq!((used.worth(), used.last_seen()), (fresh.worth(), fresh.last_seen()));
            if nth == 0 {
                prop_assert_eq!(used.worth(), evidence.worth_if_first());
            }
        }
    }

    #[test]
    fn every_value_is_finite_for_any_input(
        packets in prop::collection::vec(
            (moment(), any_risk(), any_risk(), any::<u16>(), any::<u8>(),
             prop::sample::select(vec![0, 1, 1500, u32::MAX]), any::<[u8; 4]>()),
            1..100,
        ),
    ) {
        let (mut state, mut meter) = (SourceState::default(), meter());
        for (nanos, rule_risk, intel_risk, classes, decoy, length, destination) in packets {
            let digest = Digest { length, destination: Address::v4(destination), ..digest(nanos) };
            let evidence = PacketEvidence { rule_risk, intel_risk, classes, decoy };
            let FeatureVector(values) = state.observe(&digest, &evidence, &mut meter);
            prop_assert!(values.iter().all(|value| value.is_finite()), "{:?}", values);
            prop_assert!((0.0..=100.0).contains(&values[index::THREAT_SCORE]));
            prop_assert!((0.0..=1.0).contains(&values[index::MALICIOUS_FLAG_RATIO]));
            prop_assert!((-10.0..=10.0).contains(&values[index::Z_SCORE_ANOMALY]));
        }
    }
}
