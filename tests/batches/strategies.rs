//! Batches of every shape that a collector can make.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use phantomnet::address::Address;
use phantomnet::event::{
    Batch, DetectionRecord, Epoch, Event, Incident, Marker, MarkerKind, Merged, ProfileChange,
    Session, SessionState, Side, StageSum, Totals,
};
use phantomnet::features::FeatureVector;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};

use super::BEGIN;

/// Batches of one epoch from its start to an orderly end, in order: numbers without gaps, sums that hold, and everything else at
/// liberty.
pub(crate) fn streams(batches_max: usize, events_max: usize) -> impl Strategy<Value = Vec<Batch>> {
    (any::<u32>(), vec(part(events_max), 1..=batches_max))
        .prop_map(|(random, parts)| assemble(Epoch::new(BEGIN, random), parts))
}

/// A batch without what ties it to those before.
#[derive(Clone, Debug)]
struct Part {
    events: Vec<Event>,
    detections: Vec<DetectionRecord>,
    sessions: Vec<Session>,
    incidents: Vec<Incident>,
    profiles: Vec<ProfileChange>,
    /// Before which events markers stand, and what was then open and had been sampled out.
    markers: Vec<(prop::sample::Index, u64, u64)>,
}

fn assemble(epoch: Epoch, parts: Vec<Part>) -> Vec<Batch> {
    let mut totals = Totals::default();
    let mut markers = 0;
    let count = parts.len();
    let mut batches = Vec::with_capacity(count);
    for (part, number) in parts.into_iter().zip(1_u64..) {
        let last = batches.len() + 1 == count;
        let mut batch = Batch {
            sensor: "sensor ü".into(),
            epoch,
            number,
            begun: BEGIN,
            detections: part.detections,
            events: part.events,
            sessions: part.sessions,
            incidents: part.incidents,
            profiles: part.profiles,
            markers: Vec::new(),
            leftovers: Vec::new(),
            refused: None,
        };
        if number == 1 {
            batch.markers.push(marker(&mut markers, MarkerKind::Start, totals, 0));
        }
        let mut places: Vec<_> = part
            .markers
            .iter()
            .map(|(at, open, sampled)| (at.index(batch.events.len() + 1), *open, *sampled))
            .collect();
        places.sort_by_key(|(at, _, _)| *at);
        let mut places = places.into_iter().peekable();
        for at in 0..=batch.events.len() {
            while let Some((_, open, sampled)) = places.next_if(|(place, _, _)| *place == at) {
                totals.sampled_out += sampled;
                batch.markers.push(marker(&mut markers, MarkerKind::Running, totals, open));
            }
            if let Some(event) = batch.events.get_mut(at) {
                totals.events += 1;
                event.number = totals.events;
                totals.event_packets += event.count;
                totals.event_alerts += event.alerts;
            }
        }
        if last {
            batch.markers.push(marker(&mut markers, MarkerKind::End, totals, 0));
        }
        batches.push(batch);
    }
    batches
}

fn marker(number: &mut u64, kind: MarkerKind, mut totals: Totals, open: u64) -> Marker {
    totals.open_packets = open;
    totals.open_alerts = open / 2;
    totals.packets = totals.event_packets + totals.open_packets + totals.sampled_out;
    totals.victims = totals.event_alerts + totals.open_alerts;
    totals.dequeued = totals.packets + totals.victims;
    let stages = vec![
        StageSum { stage: "decode".into(), came: totals.packets, accounted: totals.packets },
        StageSum { stage: "judge".into(), came: totals.dequeued, accounted: totals.dequeued },
    ];
    let made = Marker { number: *number, at: BEGIN, kind, totals, stages };
    *number += 1;
    made
}

fn part(events_max: usize) -> impl Strategy<Value = Part> {
    (
        vec(event(), 0..=events_max),
        vec(detection(), 0..2),
        vec(session(), 0..4),
        vec(incident(), 0..4),
        vec(profile(), 0..4),
        vec((any::<prop::sample::Index>(), 0_u64..1000, 0_u64..1000), 0..3),
    )
        .prop_map(|(events, detections, sessions, incidents, profiles, markers)| Part {
            events,
            detections,
            sessions,
            incidents,
            profiles,
            markers,
        })
}

fn event() -> impl Strategy<Value = Event> {
    let when = (moment(), moment());
    let who =
        (option::of(address()), option::of(address()), any::<Option<u16>>(), any::<Option<u16>>());
    let what = (any::<Option<(u8, u8)>>(), any::<u8>(), any::<u16>(), level(), count(), count());
    // No packet has 2 GiB, and PostgreSQL's column holds none that has.
    let size = (count(), count(), 0..=u32::MAX >> 1, any::<u32>(), merged());
    let risks = (hundred(), hundred(), hundred(), hundred(), floor());
    let judged = option::of((share(), share(), any::<bool>(), features()));
    let found =
        (vec(rule(), 0..6), any::<u8>(), option::of((text(), side())), option::of(text()), text());
    let named = (any::<u32>(), count(), option::of(text()));
    (when, who, what, size, risks, judged, found, named).prop_map(
        |(when, who, what, size, risks, judged, found, named)| {
            let (icmp, protocol, vlan, level, count, alerts) = what;
            Event {
                number: 0,
                first: when.0,
                last: when.1,
                source: who.0,
                destination: who.1,
                source_port: who.2,
                destination_port: who.3,
                icmp,
                protocol,
                vlan,
                level,
                count,
                alerts,
                weight: size.0,
                bytes: size.1,
                length: size.2,
                sources: size.3,
                merged: size.4,
                total: risks.0,
                anomaly_score: judged.map(|judged| judged.0),
                quantile: judged.map(|judged| judged.1),
                in_training_range: judged.map(|judged| judged.2),
                model_risk: risks.1,
                rule_risk: risks.2,
                intel_risk: risks.3,
                floor: risks.4,
                features: judged.map(|judged| judged.3),
                rules: found.0,
                rules_left_out: found.1,
                intel: found.2,
                decoy: found.3,
                reason: found.4,
                detection: named.0,
                packet: named.1,
                community_id: named.2,
            }
        },
    )
}

/// Few numbers, so that later records meet earlier ones.
fn record_number() -> impl Strategy<Value = u64> {
    1_u64..6
}

fn session() -> impl Strategy<Value = Session> {
    let counts = (count(), count(), levels(), level(), vec(rule(), 0..4), 0..4_usize);
    (record_number(), address(), any::<u16>(), moment(), moment(), counts).prop_map(
        |(number, source, tenant, first, last, (packets, bytes, levels, worst, rules, state))| {
            use SessionState::{Evicted, Idle, Open, Stopped};
            let state = [Open, Idle, Evicted, Stopped][state];
            Session {
                number,
                source,
                tenant,
                first,
                last,
                packets,
                bytes,
                levels,
                worst,
                rules,
                state,
            }
        },
    )
}

fn incident() -> impl Strategy<Value = Incident> {
    let about = (option::of(address()), side(), text(), text());
    let counts = (count(), 1_u64..100, level(), count(), vec(rule(), 0..4));
    (record_number(), about, moment(), moment(), counts).prop_map(
        |(
            number,
            (subject, side, kind, title),
            first,
            last,
            (count, events, worst, worst_event, rules),
        )| Incident {
            number,
            subject,
            side,
            kind,
            title,
            first,
            last,
            count,
            events,
            worst,
            worst_event,
            rules,
        },
    )
}

fn profile() -> impl Strategy<Value = ProfileChange> {
    let source = (0_u8..3, any::<bool>()).prop_map(|(host, v6)| {
        if v6 {
            Address::v6([0x20, 1, 13, 0xb8, 0, 0, 0, host, 0, 0, 0, 0, 0, 0, 0, 0])
        } else {
            Address::v4([192, 0, 2, host])
        }
    });
    (source, 0_u16..2, moment(), moment(), 0_u64..3, count(), count(), levels()).prop_map(
        |(source, tenant, first, last, sessions, packets, bytes, levels)| ProfileChange {
            source,
            tenant,
            first,
            last,
            sessions,
            packets,
            bytes,
            levels,
        },
    )
}

fn detection() -> impl Strategy<Value = DetectionRecord> {
    (0_u32..3, text(), any::<i32>(), hundred(), count()).prop_map(
        |(version, model, offset, contamination, rows)| DetectionRecord {
            version,
            model,
            sha256: "cd".repeat(32).into(),
            schema: 1,
            fingerprint: "f".into(),
            offset: f64::from(offset) / 3.0,
            contamination: f64::from(contamination) / 7.0,
            calibration_rows: rows,
            rules: 1,
            intel: 2,
            decoys: 3,
        },
    )
}

/// Whole microseconds from 1970 to 2255.
fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        1 => 0_i64..9_000_000_000_000_000,
        4 => 1_790_000_000_000_000_i64..1_790_000_600_000_000,
    ]
    .prop_map(|micros| Timestamp::from_nanos(micros * 1000))
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Address::v4),
        any::<[u8; 16]>().prop_map(Address::v6),
        Just(Address::v6([0; 16])),
    ]
}

/// Small or large, but such that sums over many fit.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..10, 0_u64..(1 << 40)]
}

fn levels() -> impl Strategy<Value = [u64; 4]> {
    [count(), count(), count(), count()]
}

/// PostgreSQL keeps signature ids in 64 bits, SQLite in text: both take all of them.
fn rule() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(u32::MAX), 1_000_000_u32..1_000_010]
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

fn floor() -> impl Strategy<Value = Floor> {
    prop::sample::select([&[Floor::None], &Floor::ALL[..]].concat())
}

fn merged() -> impl Strategy<Value = Merged> {
    prop::sample::select(Merged::ALL.to_vec())
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Source), Just(Side::Destination)]
}

fn share() -> impl Strategy<Value = f32> {
    0.0_f32..=1.0
}

fn hundred() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0), Just(100.0), 0.0_f32..=100.0]
}

/// Every finite number, and the sign of a zero too.
fn features() -> impl Strategy<Value = FeatureVector> {
    any::<[f32; 15]>().prop_map(|values| {
        FeatureVector(values.map(|value| if value.is_finite() { value } else { 0.0 }))
    })
}

/// What an attacker could bring into a text, and what everybody writes.
fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof!["[ -~]{0,20}", "\\PC{0,12}", "[\\x00-\\x1f'\"\\\\|,{}\u{7f}\u{85}\u{2028}é漢]{0,8}"]
        .prop_map(String::into_boxed_str)
}
