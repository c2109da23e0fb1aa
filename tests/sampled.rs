//! A sampled run: what the store says of it afterwards is what the stream said while it ran.

#![cfg(test)]

use phantomnet::address::Address;
use phantomnet::api::Live;
use phantomnet::collect::{
    EventParams, Recorder, RecorderParts, Sink as _, StorePolicy, WallClock,
};
use phantomnet::event::{Batch, MarkerKind};
use phantomnet::features::{FEATURES, FeatureVector};
use phantomnet::handover::{Digest, Marks};
use phantomnet::sources::Keyer;
use phantomnet::store::query::Queries;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, Floor, Level, Verdict};
use serde_json::{Value, json};

use crate::api_server::{Served, params, running};
use crate::places::Place;

/// When the run begins: within a minute, and the run goes on beyond the next one.
const BEGIN: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Nanoseconds from one packet to the next.
const STEP: i64 = 9_000_000;

/// Of so many SAFE packets one is stored.
const ONE_IN: u32 = 1_000;

/// SAFE packets; those that were left out are all represented in the end.
const SAFE: u64 = 10_000;

/// Packets at WARNING: one behind every [`ONE_IN`] SAFE ones.
const WARNING: u64 = 10;

/// A packet of the run, the SAFE ones at a threat score of 0.01, the others at 0.3.
fn verdict(number: u64, detection: &Detection) -> Verdict {
    let is_safe = !number.is_multiple_of(u64::from(ONE_IN) + 1);
    let (level, total) = if is_safe { (Level::Safe, 1.0) } else { (Level::Warning, 30.0) };
    Verdict {
        digest: Digest {
            source: Address::v4([10, 0, 0, 1]),
            destination: Address::v4([10, 0, 1, 1]),
            time: BEGIN.plus_nanos(i64::try_from(number).unwrap() * STEP),
            sequence: number,
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
        total,
        detection: detection.version(),
        rules: [0; 12],
        intel_source: 0,
        intel_destination: 0,
        sources: 0,
        rule_count: 0,
        rules_left_out: 0,
        level,
        floor: Floor::None,
        decoy: 0,
    }
}

/// A destination under attack: no packet.
fn victim(detection: &Detection) -> Verdict {
    let mut verdict = verdict(1, detection);
    verdict.digest.marks = Marks::TOWARDS;
    verdict.digest.time = BEGIN.plus_nanos(i64::try_from(SAFE).unwrap() * STEP);
    Verdict { level: Level::High, total: 60.0, sources: 40, ..verdict }
}

/// The batches of the run, whose figures `live` shows.
fn record(live: &Live) -> Vec<Batch> {
    let (sender, batches) = crossbeam_channel::unbounded();
    let events =
        EventParams { store: StorePolicy::Notable, safe_one_in: ONE_IN, ..EventParams::default() };
    let parts = RecorderParts {
        sensor: "here".into(),
        epoch: live.epoch,
        keyer: Keyer { key: [1, 2], v6_prefix: 64, by_tenant: true },
        batches: sender,
        stats: live.collector.clone(),
        hub: Some(live.events.clone()),
        clock: WallClock::new(|| BEGIN),
        leftovers: Vec::new(),
    };
    let mut recorder = Recorder::new(&events, parts);
    let detection = live.detection();
    for number in 1..=SAFE + WARNING {
        recorder.take(&verdict(number, &detection), &detection).expect("it is taken");
    }
    recorder.take(&victim(&detection), &detection).expect("it is taken");
    recorder.mark(MarkerKind::End, Vec::new()).expect("the batches are taken");
    batches.try_iter().collect()
}

/// A server over a store of the run.
fn served(place: &Place) -> Served {
    let live = running();
    let mut store = place.open();
    for batch in record(&live) {
        store.commit(&batch, BEGIN).expect("the store is there");
    }
    let queries = Queries::open(&place.location(), 2).expect("it opens");
    Served::start(&params(), live, queries, None)
}

/// The first `stats` of the stream.
fn streamed(served: &Served) -> Value {
    let ask = "GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = served.send_raw_until(ask, "\"unaccounted\":0}");
    let stats = text.split_once("event: stats").and_then(|(_, rest)| rest.split_once("data: "));
    let (_, data) = stats.unwrap_or_else(|| panic!("figures each second: {text}"));
    serde_json::from_str(data.lines().next().unwrap_or_default()).expect("JSON")
}

/// The verdicts of all buckets.
fn summed(timeline: &Value) -> Value {
    let sum = |verdict: &str| {
        let buckets = timeline["buckets"].as_array().expect("buckets").iter();
        buckets.map(|bucket| bucket["verdicts"][verdict].as_u64().expect("packets")).sum::<u64>()
    };
    json!({
        "SAFE": sum("SAFE"), "WARNING": sum("WARNING"), "HIGH": sum("HIGH"), "CRITICAL": sum("CRITICAL"),
    })
}

#[test]
fn the_sums_of_a_sampled_run_are_those_of_the_stream() {
    // The first and the last minute of it are summed by rows, that between them by the sums of the minute.
    let span = format!("from={BEGIN}&to={}", BEGIN.plus_nanos(100 * 1_000_000_000));
    for place in Place::all() {
        let served = served(&place);
        let live = streamed(&served);
        let packets = json!({ "SAFE": SAFE, "WARNING": WARNING, "HIGH": 0, "CRITICAL": 0 });
        assert_eq!(live["distribution"], packets);
        for target in ["/api/stats".to_owned(), format!("/api/stats?{span}")] {
            let stats = served.get(&target).json();
            for figure in ["distribution", "packets", "totalEvents"] {
                assert_eq!(stats[figure], live[figure], "{} {target} {figure}", place.name());
            }
            assert_eq!(stats["avgThreatScore"], json!(103.0 / 10_010.0), "{}", place.name());
        }
        for buckets in [2, 100] {
            let timeline = served.get(&format!("/api/timeline?{span}&buckets={buckets}")).json();
            assert_eq!(summed(&timeline), packets, "{} {buckets}", place.name());
        }
        served.stop();
    }
}
