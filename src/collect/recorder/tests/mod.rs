//! The recorder against oracles that look at every verdict again, and against its own sums.

mod coalescing;
mod conservation;
mod cost;
mod description;
mod incidents;
mod oracle;
mod sessions;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};

use crossbeam_channel::Receiver;
use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::event::{Event, Incident, ProfileChange, Session};
use crate::features::{FEATURES, FeatureVector};
use crate::handover::{Digest, Marks};
use crate::intel::{Decoy, Decoys, IntelEntry, IntelSet, Prefix};
use crate::model::{ExpectedSchema, TrainParams, train};
use crate::rules::{RuleSet, RuleText, Variables};
use crate::time::Timestamp;
use crate::verdict::{Floor, Policy, PolicyParams};

const SECOND: i64 = 1_000_000_000;

/// Three rules: index 0 has sid 3, risk 90; index 1 sid 1, risk 50; index 2 sid 2, risk 10.
const RULES: &str = "\
    alert tcp any any -> any any (msg:\"scan\"; sid:1; metadata:risk 50, attack_class port_scan;)\n\
    alert tcp any any -> any any (msg:\"odd\"; sid:2; metadata:risk 10, attack_class other;)\n\
    alert tcp any any -> any any (msg:\"break-in\"; sid:3; metadata:risk 90, attack_class exploit;)\n";

static DETECTION: LazyLock<Detection> = LazyLock::new(|| detection(RULES));

fn detection(rules: &str) -> Detection {
    let rows: Vec<FeatureVector> =
        (0..16_u8).map(|row| FeatureVector([f32::from(row); FEATURES])).collect();
    let names = std::array::from_fn(|_| "feature");
    let params = TrainParams { trees: 2, subsample: 8, contamination: 0.1, ..Default::default() };
    let model = train(&rows, &params, &ExpectedSchema::new(1, "00", &names)).unwrap();
    let text = RuleText { name: "test.rules", text: rules };
    let (rules, report) = RuleSet::load([text], &Variables::default());
    assert!(report.refused.is_empty(), "{:?}", report.refused);
    let entry = |last, label: &str, risk| IntelEntry {
        prefix: Prefix::host(Address::v4([10, 0, 0, last])),
        label: label.into(),
        risk,
        feed: 0,
    };
    let intel = IntelSet::new(vec![entry(1, "scanner", 40), entry(2, "botnet", 100)]);
    let decoy = Decoy { address: Address::v4([10, 0, 0, 9]), port: None, name: "safe".into() };
    let policy = Policy::new(PolicyParams::default());
    Detection::new(model, rules, intel, Decoys::new(vec![decoy]), policy)
}

/// A verdict about a SAFE packet of 100 bytes, TCP from 10.0.0.`source` to 10.0.1.1:80.
fn safe(source: u8, nanos: i64) -> Verdict {
    Verdict {
        digest: Digest {
            source: Address::v4([10, 0, 0, source]),
            destination: Address::v4([10, 0, 1, 1]),
            time: Timestamp::from_nanos(nanos),
            sequence: 0,
            length: 86,
            wire_length: 100,
            source_port: 40_000,
            destination_port: 80,
            vlan: 0,
            protocol: 6,
            marks: Marks::PORTS,
        },
        features: FeatureVector([3.0; FEATURES]),
        anomaly_score: 0.5,
        model_risk: 10.0,
        rule_risk: 0.0,
        intel_risk: 0.0,
        total: 2.0,
        detection: DETECTION.version(),
        rules: [0; 12],
        intel_source: 0,
        intel_destination: 0,
        sources: 0,
        rule_count: 0,
        rules_left_out: 0,
        level: Level::Safe,
        floor: Floor::None,
        decoy: 0,
    }
}

/// The same with that level and those rules.
fn bad(source: u8, nanos: i64, level: Level, rules: &[u16]) -> Verdict {
    let mut verdict = safe(source, nanos);
    verdict.level = level;
    verdict.total = 30.0;
    for (place, rule) in verdict.rules.iter_mut().zip(rules) {
        *place = *rule;
        verdict.rule_count += 1;
    }
    verdict
}

/// A recorder with its channel at hand and its wall clock set by hand.
struct Bench {
    recorder: Recorder,
    batches: Receiver<Batch>,
    shown: Board<CollectorStats>,
    wall: Arc<AtomicI64>,
}

const KEYER: Keyer = Keyer { key: [1, 2], v6_prefix: 64, by_tenant: true };

impl Bench {
    fn new(params: &EventParams) -> Self {
        let (sender, batches) = crossbeam_channel::unbounded();
        let shown = Board::default();
        let wall = Arc::new(AtomicI64::new(1_000 * SECOND));
        let hand = Arc::clone(&wall);
        let recorder = Recorder::new(
            params,
            RecorderParts {
                sensor: "test".into(),
                epoch: Epoch::new(Timestamp::from_secs(1), 1),
                keyer: KEYER,
                batches: sender,
                stats: shown.clone(),
                hub: Some(Hub::default()),
                clock: WallClock::new(move || Timestamp::from_nanos(hand.load(Ordering::Relaxed))),
                leftovers: Vec::new(),
            },
        );
        Self { recorder, batches, shown, wall }
    }

    fn take(&mut self, verdict: &Verdict) {
        self.recorder.take(verdict, &DETECTION).unwrap();
    }

    fn pass_wall_time(&self, nanos: i64) {
        self.wall.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Ends the run; everything that came out.
    fn finish(mut self) -> Record {
        self.recorder.finish().unwrap();
        Record { batches: self.batches.try_iter().collect() }
    }
}

/// All verdicts through a recorder.
fn record(params: &EventParams, verdicts: &[Verdict]) -> Record {
    let mut bench = Bench::new(params);
    verdicts.iter().for_each(|verdict| bench.take(verdict));
    bench.finish()
}

/// All batches of a run.
#[derive(Debug)]
struct Record {
    batches: Vec<Batch>,
}

impl Record {
    fn events(&self) -> Vec<&Event> {
        self.batches.iter().flat_map(|batch| &batch.events).collect()
    }

    fn markers(&self) -> Vec<&Marker> {
        self.batches.iter().flat_map(|batch| &batch.markers).collect()
    }

    /// The last record of each session, by number.
    fn sessions(&self) -> Vec<&Session> {
        last_of(self.batches.iter().flat_map(|batch| &batch.sessions), |session| session.number)
    }

    /// The last record of each incident, by number.
    fn incidents(&self) -> Vec<&Incident> {
        last_of(self.batches.iter().flat_map(|batch| &batch.incidents), |incident| incident.number)
    }

    fn profiles(&self) -> Vec<&ProfileChange> {
        self.batches.iter().flat_map(|batch| &batch.profiles).collect()
    }
}

fn last_of<'a, T>(records: impl Iterator<Item = &'a T>, number: impl Fn(&T) -> u64) -> Vec<&'a T> {
    let mut last = std::collections::BTreeMap::new();
    for record in records {
        last.insert(number(record), record);
    }
    last.into_values().collect()
}

/// Any sequence of verdicts of few keys, `nanos` their times.
fn verdicts(nanos: impl Strategy<Value = Vec<i64>>) -> impl Strategy<Value = Vec<Verdict>> {
    (nanos, any::<u64>()).prop_map(|(nanos, seed)| {
        let mut dice = Dice(seed);
        nanos.into_iter().zip(1..).map(|(time, sequence)| dice.verdict(time, sequence)).collect()
    })
}

/// Times that mostly creep on, sometimes stand still or go back, and now and then jump.
fn any_times() -> impl Strategy<Value = Vec<i64>> {
    let step = prop_oneof![
        10 => 0..SECOND / 5,
        3 => -SECOND / 5..0,
        2 => -3 * SECOND..3 * SECOND,
        1 => -400 * SECOND..400 * SECOND,
    ];
    let jump = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>()];
    let start = prop_oneof![4 => Just(1_000_000 * SECOND), 1 => jump];
    (start, prop::collection::vec(step, 0..300)).prop_map(|(start, steps)| {
        let mut time = start;
        steps
            .into_iter()
            .map(|step| {
                time = time.saturating_add(step);
                time
            })
            .collect()
    })
}

/// Plain pseudo-random numbers (xorshift), so that a case shrinks by its times.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }

    fn byte(&mut self, bound: u8) -> u8 {
        u8::try_from(self.below(bound.into())).unwrap()
    }

    fn verdict(&mut self, nanos: i64, sequence: u64) -> Verdict {
        let level = Level::ALL[[0, 0, 0, 1, 1, 2, 3][usize::from(self.byte(7))]];
        let rules: &[u16] = match self.byte(6) {
            0 => &[0],
            1 => &[1],
            2 => &[0, 2],
            3 => &[1, 2],
            _ => &[],
        };
        let mut verdict = bad(self.byte(4), nanos, level, rules);
        verdict.total = f32::from(self.byte(5));
        verdict.digest.sequence = sequence;
        verdict.digest.destination = Address::v4([10, 0, 1, self.byte(3)]);
        verdict.digest.destination_port = self.byte(3).into();
        verdict.digest.wire_length = 60 + u32::from(self.byte(200));
        verdict.digest.vlan = u16::from(self.byte(8) == 0);
        if self.byte(5) == 0 {
            verdict.digest.marks = Marks::default();
            verdict.digest.protocol = 47;
        }
        verdict.intel_source = u32::from(self.byte(6) == 0);
        verdict.intel_destination = 2 * u32::from(self.byte(6) == 0);
        verdict.decoy = u8::from(self.byte(9) == 0);
        if self.byte(10) == 0 {
            verdict.digest.marks = verdict.digest.marks.with(Marks::TOWARDS);
            verdict.sources = 100 + u32::from(self.byte(100));
            verdict.anomaly_score = 0.0;
            verdict.features = FeatureVector::default();
        }
        verdict
    }
}
