//! From indices to words.

use super::*;
use crate::event::Side;
use crate::model::AnomalyScore;

fn only_event(verdict: &Verdict) -> Event {
    let params = EventParams { store: StorePolicy::All, ..EventParams::default() };
    let record = record(&params, std::slice::from_ref(verdict));
    let [event] = record.events()[..] else { panic!("one verdict, one event") };
    event.clone()
}

#[test]
fn an_event_says_in_words_what_the_verdict_says_in_indices() {
    let mut verdict = bad(1, 1_234_567, Level::High, &[0, 2]);
    verdict.digest.sequence = 77;
    verdict.intel_source = 1;
    verdict.intel_destination = 2;
    verdict.decoy = 1;
    let event = only_event(&verdict);
    assert_eq!(event.rules, [3, 2]);
    assert_eq!(event.intel, Some(("botnet".into(), Side::Destination)), "the higher risk");
    assert_eq!(event.decoy.as_deref(), Some("safe"));
    assert_eq!(&*event.reason, "break-in");
    assert_eq!((event.first.as_nanos(), event.packet), (1_234_000, 77));
    assert_eq!((event.source_port, event.destination_port), (Some(40_000), Some(80)));
    assert_eq!((event.length, event.bytes, event.weight), (100, 100, 1));
    let score = AnomalyScore::new(0.5).unwrap();
    assert_eq!(event.quantile, Some(DETECTION.model().quantile(score)));
    assert_eq!(event.in_training_range, Some(true));
    assert!(event.community_id.unwrap().starts_with("1:"));
}

#[test]
fn a_safe_event_gives_no_reason_and_names_what_fired_all_the_same() {
    let mut verdict = bad(1, 0, Level::Safe, &[2]);
    verdict.features.0[0] = 99.0;
    let event = only_event(&verdict);
    assert_eq!((&*event.reason, &event.rules[..]), ("", &[2_u32][..]));
    assert_eq!(event.in_training_range, Some(false));
}

#[test]
fn an_event_about_a_victim_has_no_packet_of_its_own() {
    let mut verdict = bad(1, 0, Level::High, &[0]);
    verdict.digest.marks = verdict.digest.marks.with(Marks::TOWARDS);
    verdict.sources = 500;
    let event = only_event(&verdict);
    assert!(event.is_of_victim());
    assert_eq!((event.count, event.alerts, event.weight, event.bytes), (0, 1, 0, 0));
    assert_eq!(event.sources, 500);
    assert_eq!((event.features, event.anomaly_score, event.quantile), (None, None, None));
    assert_eq!(event.in_training_range, None);
}

#[test]
fn the_worst_packet_speaks_for_the_event() {
    let mut verdicts = [30.0, 70.0, 70.0, 50.0].map(|total| {
        let mut verdict = bad(1, 0, Level::Warning, &[]);
        verdict.total = total;
        verdict
    });
    for (verdict, sequence) in verdicts.iter_mut().zip(1..) {
        verdict.digest.sequence = sequence;
    }
    // Its reason too: the floor is no part of the key.
    verdicts[1].floor = Floor::RareForModel;
    let record = record(&EventParams::default(), &verdicts);
    let [event] = record.events()[..] else { panic!("one key, one event") };
    assert_eq!((event.packet, event.total, event.count), (2, 70.0, 4));
    assert_eq!(&*event.reason, "Behaviour that is rare for the model");
}

#[test]
fn a_detection_is_recorded_once_and_before_its_events() {
    let other = detection(&RULES.replace("risk 50", "risk 55"));
    let mut bench = Bench::new(&EventParams::default());
    for (time, detection) in [(0, &*DETECTION), (1, &other), (2, &*DETECTION), (3, &other)] {
        let mut verdict = bad(1, time, Level::Warning, &[1]);
        verdict.detection = detection.version();
        bench.recorder.take(&verdict, detection).unwrap();
        bench.recorder.flush().unwrap();
    }
    let record = bench.finish();
    let versions: Vec<u32> =
        record.batches.iter().flat_map(|b| &b.detections).map(|d| d.version).collect();
    assert_eq!(versions, [DETECTION.version(), other.version()]);
    let judged: Vec<(u32, u64)> =
        record.events().iter().map(|event| (event.detection, event.count)).collect();
    assert_eq!(judged, [(DETECTION.version(), 2), (other.version(), 2)]);
    assert_eq!(
        (record.batches[0].detections[0].rules, record.batches[0].detections[0].intel),
        (3, 2)
    );
}
