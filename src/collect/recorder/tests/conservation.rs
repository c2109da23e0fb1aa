//! Nothing is lost and nothing counted twice, whatever comes.

use super::coalescing::tight_params;
use super::*;

proptest! {
    #[test]
    fn every_verdict_is_in_one_event_or_counted_as_left_out(
        params in tight_params(),
        verdicts in verdicts(any_times()),
        seed in any::<u64>(),
    ) {
        let mut dice = Dice(seed);
        let mut bench = Bench::new(&params);
        bench.recorder.mark(MarkerKind::Start, Vec::new()).unwrap();
        for verdict in &verdicts {
            bench.take(verdict);
            prop_assert!(bench.recorder.coalescer.len() <= params.open_events_max);
            prop_assert!(bench.recorder.sessions.len() <= params.open_sessions_max);
            prop_assert!(bench.recorder.incidents.len() <= params.open_incidents_max);
            match dice.below(20) {
                0 => bench.recorder.mark(MarkerKind::Running, Vec::new()).unwrap(),
                1 => bench.recorder.flush().unwrap(),
                _ => {}
            }
        }
        let shown = bench.shown.clone();
        let record = bench.finish();
        let victims = verdicts.iter().filter(|verdict| verdict.is_of_victim()).count() as u64;
        let packets = verdicts.len() as u64 - victims;

        let mut emitted = (0, 0, 0);
        let mut markers = 0;
        for (batch, number) in record.batches.iter().zip(1..) {
            prop_assert_eq!(batch.number, number);
            for event in &batch.events {
                prop_assert_eq!(event.number, emitted.0 + 1);
                prop_assert!(event.first <= event.last);
                emitted = (event.number, emitted.1 + event.count, emitted.2 + event.alerts);
            }
            for marker in &batch.markers {
                prop_assert_eq!(marker.number, markers);
                markers += 1;
                prop_assert_eq!(marker.totals.unaccounted(), 0);
                // A marker is about all events up to its own number; they are in this batch or in one before.
                prop_assert!(marker.totals.events <= emitted.0);
            }
        }
        let totals = record.markers().last().unwrap().totals;
        prop_assert_eq!((totals.packets, totals.victims), (packets, victims));
        prop_assert_eq!((totals.events, totals.event_packets, totals.event_alerts), emitted);
        prop_assert_eq!((totals.open_packets, totals.open_alerts), (0, 0));
        prop_assert_eq!(emitted.1 + totals.sampled_out, packets);
        prop_assert_eq!(emitted.2, victims);
        if params.store == StorePolicy::All {
            prop_assert_eq!(totals.sampled_out, 0);
        }
        let last = record.batches.last().unwrap();
        prop_assert_eq!(last.markers.last().unwrap().kind, MarkerKind::End);
        let stats = shown.read();
        prop_assert_eq!((stats.violations, stats.unaccounted), (0, 0));
        prop_assert_eq!(stats.totals, totals);
        prop_assert_eq!(stats.levels.iter().sum::<u64>(), packets);
        prop_assert_eq!((stats.open_events, stats.open_sessions), (0, 0));
    }
}

#[test]
fn a_batch_goes_when_it_is_full_or_old() {
    let params = EventParams {
        coalesce: std::time::Duration::ZERO,
        batch_rows: 4,
        ..EventParams::default()
    };
    let mut bench = Bench::new(&params);
    // The detection, an event a packet, and their incident.
    bench.take(&bad(1, 0, Level::Warning, &[1]));
    assert_eq!(bench.batches.len(), 0);
    bench.take(&bad(1, 1, Level::Warning, &[1]));
    assert_eq!(bench.batches.len(), 1);
    bench.take(&bad(1, 2, Level::Warning, &[1]));
    bench.pass_wall_time(99_000_000);
    bench.take(&bad(1, 100_000_001, Level::Warning, &[1]));
    assert_eq!(bench.batches.len(), 1);
    bench.pass_wall_time(1_000_000);
    bench.take(&bad(1, 200_000_002, Level::Warning, &[1]));
    assert_eq!(bench.batches.len(), 2);
    let events: Vec<usize> =
        bench.finish().batches.iter().map(|batch| batch.events.len()).collect();
    assert_eq!(events, [2, 2, 1, 0], "session and profile fill the third, the end has its own");
}

#[test]
fn a_stage_that_does_not_add_up_is_counted() {
    let mut bench = Bench::new(&EventParams::default());
    let stage = StageSum { stage: "decode".into(), came: 5, accounted: 3 };
    bench.recorder.mark(MarkerKind::Running, vec![stage.clone()]).unwrap();
    let stats = bench.shown.read();
    assert_eq!((stats.violations, stats.unaccounted), (1, 2));
    bench.recorder.mark(MarkerKind::Running, Vec::new()).unwrap();
    let stats = bench.shown.read();
    assert_eq!((stats.violations, stats.unaccounted), (1, 0));
    assert_eq!(bench.finish().markers()[0].stages, [stage]);
}

#[test]
fn nothing_comes_after_the_end() {
    let mut bench = Bench::new(&EventParams::default());
    bench.recorder.mark(MarkerKind::End, Vec::new()).unwrap();
    assert!(bench.recorder.take(&safe(1, 0), &DETECTION).is_err());
    assert_eq!(bench.finish().batches.len(), 1, "the end is marked once");
}

#[test]
fn a_writer_that_is_gone_is_an_error() {
    let mut bench = Bench::new(&EventParams::default());
    bench.take(&safe(1, 0));
    let Bench { mut recorder, batches, .. } = bench;
    drop(batches);
    let error = recorder.finish().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
