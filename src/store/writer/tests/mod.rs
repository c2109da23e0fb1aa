//! The writer against a store that fails, hangs and forgets to answer.

pub(super) mod sample;
mod scripted;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use proptest::prelude::*;

use self::sample::batch;
use self::scripted::{Answer, Scripted};
use super::{Clock, SpoolParams, Tally, Writer, WriterParams, WriterStats};
use crate::event::{Batch, RefusedBatches};
use crate::store::StoreError;
use crate::time::Timestamp;

/// The clock of these tests.
const NOW: Timestamp = Timestamp::from_secs(1_790_000_060);

/// Quick.
fn params() -> WriterParams {
    WriterParams {
        waiting_max: 4,
        spool: None,
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(4),
        patience: Duration::from_millis(50),
        maintain_every: Duration::from_millis(20),
        stop_within: Duration::from_millis(500),
        clock: Clock(|| NOW),
    }
}

fn with_spool(folder: &tempfile::TempDir) -> WriterParams {
    let spool = SpoolParams {
        folder: folder.path().join("spool"),
        bytes_max: 4 << 20,
        sync_within: Duration::from_millis(10),
    };
    WriterParams { spool: Some(spool), ..params() }
}

fn start(store: &Scripted, params: &WriterParams) -> (Writer, Sender<Batch>) {
    let (sender, receiver) = bounded(4);
    (Writer::start(store.opener(), receiver, params).expect("it starts"), sender)
}

/// Waits until the figures are as wanted; they must add up all the while.
fn wait_for(writer: &Writer, wanted: impl Fn(&WriterStats) -> bool) -> WriterStats {
    let begun = Instant::now();
    loop {
        let stats = writer.stats().read();
        assert_eq!(stats.unaccounted(), 0, "{stats:?}");
        if wanted(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Drops the sender, waits for the end.
fn stop(writer: Writer, sender: Sender<Batch>) -> (WriterStats, Option<StoreError>) {
    drop(sender);
    let stats = writer.stats().clone();
    let error = writer.finish();
    let stats = stats.read();
    assert_eq!(stats.unaccounted(), 0, "{stats:?}");
    (stats, error)
}

fn tally(numbers: impl IntoIterator<Item = u64>, rows: usize) -> Tally {
    numbers.into_iter().fold(Tally::default(), |sum, n| sum.plus(Tally::of(&batch(n, rows))))
}

#[test]
fn batches_are_committed_in_order_and_counted() {
    let store = Scripted::default();
    let (writer, sender) = start(&store, &params());
    for number in 1..=50 {
        sender.send(batch(number, 3)).unwrap();
    }
    let (stats, error) = stop(writer, sender);
    assert!(error.is_none());
    assert_eq!(store.committed(), (1..=50).collect::<Vec<_>>());
    assert_eq!(stats.committed, tally(1..=50, 3));
    assert_eq!(stats.received, stats.committed);
    assert_eq!(stats.commit_nanos.counts.iter().sum::<u64>(), 50);
    assert_eq!(stats.batch_rows.sum, 150);
    // By the injected clock: a minute, less the milliseconds of the batches' numbers.
    assert_eq!(stats.delay_nanos.sum, 50 * 60_000_000_000 - 1275 * 1_000_000);
    assert!(stats.store_up && stats.last_error.is_none());
}

#[test]
fn without_a_spool_the_sender_waits_for_a_store_that_is_away() {
    let store = Scripted::default();
    store.stay_away(true);
    let patient = WriterParams { patience: Duration::from_secs(60), ..params() };
    let (writer, sender) = start(&store, &patient);
    let mut sent = 0;
    // Four in the channel, four with the writer.
    while sender.send_timeout(batch(sent + 1, 1), Duration::from_millis(200)).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 8);
    let stats = wait_for(&writer, |stats| stats.failures > 3);
    assert!(!stats.store_up);
    assert_eq!(stats.last_error.as_deref(), Some("scripted: away"));
    assert_eq!(stats.waiting, tally(1..=4, 1));
    store.stay_away(false);
    let (stats, error) = stop(writer, sender);
    assert!(error.is_none());
    assert_eq!(store.committed(), (1..=8).collect::<Vec<_>>());
    assert_eq!(stats.committed, tally(1..=8, 1));
}

#[test]
fn without_a_spool_patience_ends_and_everything_is_counted() {
    let store = Scripted::default();
    store.stay_away(true);
    let (writer, sender) = start(&store, &params());
    for number in 1..=40 {
        sender.send(batch(number, 2)).unwrap();
    }
    assert!(wait_for(&writer, |stats| stats.gave_up).refused_away.batches > 0);
    let (stats, error) = stop(writer, sender);
    assert_eq!(error.unwrap().to_string(), "scripted: away");
    assert_eq!(stats.refused_away, tally(1..=40, 2));
    assert_eq!(stats.refused(), stats.received);
    assert_eq!(store.committed(), [0; 0]);
}

#[test]
fn what_the_spool_took_while_the_store_was_away_arrives_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    let (writer, sender) = start(&store, &with_spool(&folder));
    for number in 1..=5 {
        sender.send(batch(number, 1)).unwrap();
    }
    wait_for(&writer, |stats| stats.committed.batches == 5);
    store.stay_away(true);
    for number in 6..=105 {
        sender.send(batch(number, 10)).unwrap();
    }
    let stats = wait_for(&writer, |stats| stats.spooled.batches == 100);
    assert_eq!(stats.waiting, Tally::default(), "what was in memory went first");
    assert!(stats.spool_bytes > 0 && stats.spool_segments > 0);
    assert_eq!(stats.spool_oldest, Some(batch(6, 0).begun));
    store.stay_away(false);
    let stats = wait_for(&writer, |stats| stats.spooled.batches == 0);
    assert_eq!(stats.spool_segments, 0);
    sender.send(batch(106, 1)).unwrap();
    let (stats, error) = stop(writer, sender);
    assert!(error.is_none());
    assert_eq!(store.committed(), (1..=106).collect::<Vec<_>>());
    assert_eq!(stats.committed, stats.received);
    assert_eq!(stats.already_committed, 0);
}

#[test]
fn a_stop_leaves_to_the_spool_what_the_store_does_not_take_and_the_next_start_commits_it_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.stay_away(true);
    let (writer, sender) = start(&store, &with_spool(&folder));
    // Few enough to wait in memory.
    for number in 1..=3 {
        sender.send(batch(number, 1)).unwrap();
    }
    wait_for(&writer, |stats| stats.failures > 0);
    let begun = Instant::now();
    let (stats, error) = stop(writer, sender);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(error.is_none());
    assert_eq!(stats.spooled, tally(1..=3, 1));
    store.stay_away(false);
    let (writer, sender) = start(&store, &with_spool(&folder));
    for number in 4..=6 {
        sender.send(batch(number, 1)).unwrap();
    }
    let (stats, error) = stop(writer, sender);
    assert!(error.is_none());
    assert_eq!(stats.found, tally(1..=3, 1));
    assert_eq!(store.committed(), (1..=6).collect::<Vec<_>>());
}

#[test]
fn a_store_that_hangs_holds_up_neither_the_sender_nor_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.script([Answer::Hang]);
    let (writer, sender) = start(&store, &with_spool(&folder));
    for number in 1..=30 {
        sender.send_timeout(batch(number, 1), Duration::from_secs(10)).unwrap();
    }
    let begun = Instant::now();
    let (stats, error) = stop(writer, sender);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(error.is_none());
    assert_eq!(stats.spooled, tally(1..=30, 1));
    store.let_go();
    // It may have committed the first after all; nothing is doubled.
    let (writer, sender) = start(&store, &with_spool(&folder));
    wait_for(&writer, |stats| stats.spooled.batches == 0);
    stop(writer, sender);
    assert_eq!(store.committed(), (1..=30).collect::<Vec<_>>());
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again() {
    let store = Scripted::default();
    store.script([
        Answer::Commit,
        Answer::CommitAndForget,
        Answer::Commit,
        Answer::CommitAndForget,
    ]);
    let (writer, sender) = start(&store, &params());
    for number in 1..=6 {
        sender.send(batch(number, 1)).unwrap();
    }
    let (stats, error) = stop(writer, sender);
    assert!(error.is_none());
    assert_eq!(store.committed(), (1..=6).collect::<Vec<_>>());
    assert_eq!((stats.already_committed, stats.failures), (2, 2));
    assert_eq!(stats.committed, tally(1..=6, 1));
}

#[test]
fn every_class_of_failure_is_retried_and_every_failure_opens_the_store_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.script([Answer::Away, Answer::Refused, Answer::Schema, Answer::Commit, Answer::Away]);
    let (writer, sender) = start(&store, &with_spool(&folder));
    for number in 1..=2 {
        sender.send(batch(number, 1)).unwrap();
    }
    wait_for(&writer, |stats| stats.committed.batches == 2);
    let (stats, _) = stop(writer, sender);
    assert_eq!(stats.failures, 4);
    assert_eq!(store.opened(), 5);
}

#[test]
fn a_store_is_maintained_at_the_start_and_then_again_and_again_also_under_load() {
    let store = Scripted::default();
    let (writer, sender) = start(&store, &params());
    wait_for(&writer, |_| store.maintained() >= 1);
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < Duration::from_millis(300) {
        number += 1;
        sender.send(batch(number, 1)).unwrap();
    }
    assert!(store.maintained() >= 5, "{}", store.maintained());
    store.fail_maintenance();
    let stats = wait_for(&writer, |stats| stats.maintain_failures >= 2);
    assert!(stats.store_up, "batches are committed all the same");
    assert!(stats.maintained.pruned_rows >= 5);
    stop(writer, sender);
}

#[test]
fn a_spool_that_is_full_refuses_the_newest_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.stay_away(true);
    let mut params = with_spool(&folder);
    params.spool.as_mut().unwrap().bytes_max = 200 << 10;
    let (writer, sender) = start(&store, &params);
    for number in 1..=300 {
        sender.send(batch(number, 5)).unwrap();
    }
    let stats = wait_for(&writer, |stats| stats.received.batches == 300);
    assert!(stats.refused_bound.batches > 50, "{stats:?}");
    assert!(stats.spool_bytes <= 200 << 10);
    assert_eq!(stats.waiting.batches, 4, "memory is used as well");
    store.stay_away(false);
    wait_for(&writer, |stats| stats.committed.plus(stats.refused()) == stats.received);
    sender.send(batch(301, 5)).unwrap();
    let (stats, _) = stop(writer, sender);
    let committed = store.committed();
    let Tally { batches, rows, packets, alerts } = stats.refused_bound;
    let kept = 300 - batches;
    assert_eq!(committed, (1..=kept).chain([301]).collect::<Vec<_>>(), "the newest were refused");
    let upto = batch(300, 5).events.last().unwrap().number;
    let said =
        RefusedBatches { first: kept + 1, last: 300, upto, rows, packets, alerts, markers: 0 };
    assert_eq!(store.refused(), [said], "the next batch says what was lost before it");
}

#[test]
fn a_store_that_panics_costs_nothing_that_the_spool_can_keep() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.script([Answer::Commit, Answer::Panic]);
    let (writer, sender) = start(&store, &with_spool(&folder));
    for number in 1..=20 {
        sender.send(batch(number, 1)).unwrap();
    }
    wait_for(&writer, |stats| stats.gave_up);
    let (stats, error) = stop(writer, sender);
    assert!(error.unwrap().to_string().contains("fault of this program"));
    assert_eq!((stats.committed.batches, stats.spooled.batches), (1, 19));
    let (writer, sender) = start(&store, &with_spool(&folder));
    wait_for(&writer, |stats| stats.spooled.batches == 0);
    stop(writer, sender);
    assert_eq!(store.committed(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_spool_folder_that_cannot_be_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (_sender, receiver) = bounded(1);
    let spool = Some(SpoolParams::in_folder(file.join("spool")));
    let error =
        Writer::start(Scripted::default().opener(), receiver, &WriterParams { spool, ..params() })
            .unwrap_err();
    assert!(error.to_string().contains("file/spool: the folder can't be made"), "{error}");
}

#[test]
fn a_backlog_drains_while_batches_go_on_arriving() {
    let folder = tempfile::tempdir().unwrap();
    let store = Scripted::default();
    store.stay_away(true);
    let mut params = with_spool(&folder);
    params.spool.as_mut().unwrap().bytes_max = 256 << 20;
    let (writer, sender) = start(&store, &params);
    // 20 batches a second of 1000 events.
    for number in 1..=60 {
        sender.send(batch(number, 1000)).unwrap();
    }
    wait_for(&writer, |stats| stats.spooled.batches == 60);
    store.stay_away(false);
    let begun = Instant::now();
    let mut number = 60;
    while writer.stats().read().spooled.batches > 0 {
        number += 1;
        sender.send(batch(number, 1000)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = begun.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(number).unwrap()) * 1000.0 / took;
    eprintln!("drained at {rate:.0} events/s (development build)");
    stop(writer, sender);
    assert_eq!(store.committed(), (1..=number).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Restarts at any time, failures of any kind: each batch once, in order.
    #[test]
    fn whatever_fails_every_batch_is_committed_once_and_in_order(
        runs in prop::collection::vec((1..40_u64, prop::collection::vec(scripted::any_answer(), 0..30), any::<bool>()), 1..5),
        waiting_max in 0..6_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = Scripted::default();
        let mut params = with_spool(&folder);
        params.waiting_max = waiting_max;
        params.stop_within = Duration::from_millis(20);
        let mut next = 1;
        for (batches, answers, away) in runs {
            store.script(answers);
            store.stay_away(away);
            let (writer, sender) = start(&store, &params);
            for number in next..next + batches {
                sender.send(batch(number, (number % 4) as usize)).unwrap();
            }
            next += batches;
            let (stats, _) = stop(writer, sender);
            prop_assert_eq!(stats.refused(), Tally::default());
            prop_assert_eq!(stats.waiting, Tally::default());
            prop_assert_eq!(stats.received, stats.committed.plus(stats.spooled));
        }
        store.stay_away(false);
        store.script([]);
        let (writer, sender) = start(&store, &params);
        wait_for(&writer, |stats| stats.spooled.batches == 0);
        stop(writer, sender);
        prop_assert_eq!(store.committed(), (1..next).collect::<Vec<_>>());
        let rows: BTreeMap<u64, usize> = (1..next).map(|n| (n, (n % 4) as usize)).collect();
        prop_assert_eq!(store.rows(), rows);
    }
}
