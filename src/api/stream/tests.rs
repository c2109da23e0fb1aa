use std::collections::BTreeMap;

use proptest::prelude::*;

use super::replay::{Part, Replay, Run};
use super::*;
use crate::event::Merged;
use crate::store::StoreError;
use crate::store::query::{QueryError, StoredEvent};
use crate::time::Timestamp;
use crate::verdict::Floor;

fn epoch(nth: u8) -> Epoch {
    Epoch::new(Timestamp::from_secs(1_790_000_000 + i64::from(nth)), 7)
}

fn id(nth: u8, number: u64) -> EventId {
    EventId { epoch: epoch(nth), number }
}

fn event(number: u64, level: Level, total: f32) -> Event {
    Event {
        number,
        first: Timestamp::EPOCH,
        last: Timestamp::EPOCH,
        source: None,
        destination: None,
        source_port: None,
        destination_port: None,
        icmp: None,
        protocol: 6,
        vlan: 0,
        level,
        count: 1,
        alerts: 0,
        weight: 1,
        bytes: 60,
        length: 60,
        sources: 0,
        merged: Merged::Nothing,
        total,
        anomaly_score: None,
        quantile: None,
        in_training_range: None,
        model_risk: 0.0,
        rule_risk: 0.0,
        intel_risk: 0.0,
        floor: Floor::None,
        features: None,
        rules: vec![],
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "".into(),
        detection: 1,
        packet: 1,
        community_id: None,
    }
}

/// A store in memory: for each run, how many events it emitted and which of them are there.
#[derive(Clone, Debug, Default)]
struct Shelf {
    runs: BTreeMap<Epoch, (u64, Vec<u64>)>,
    away: bool,
    /// Whether more of its runs may come.
    goes_on: bool,
}

impl Shelf {
    fn answer<T>(&self, answer: T) -> Result<T, QueryError> {
        let away = || StoreError::Away { store: "shelf".into(), reason: "away".into() };
        if self.away { Err(away().into()) } else { Ok(answer) }
    }
}

impl Past for Shelf {
    async fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        let numbers = self.runs.get(&after.epoch).map_or(&[][..], |(_, numbers)| numbers);
        let rows = numbers.iter().filter(|number| **number > after.number).map(|number| {
            let event = event(*number, Level::High, 60.0);
            StoredEvent { epoch: after.epoch, event, label: None }
        });
        self.answer(rows.take(limit as usize).collect())
    }

    async fn runs(&self, sensor: &str) -> Result<Vec<Run>, QueryError> {
        assert_eq!(sensor, "here");
        let newest_first = self.runs.iter().rev();
        let is_over = !self.goes_on;
        let run = |(epoch, (emitted, _)): (&Epoch, &(u64, _))| Run {
            epoch: *epoch,
            emitted: *emitted,
            is_over,
        };
        self.answer(newest_first.map(run).collect())
    }
}

/// Everything that a replay gives.
fn replayed(mut replay: Replay, past: Option<&Shelf>) -> Vec<Part> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut parts = vec![];
    loop {
        let page = runtime.block_on(replay.next(past, "here"));
        parts.extend(page.parts);
        if !page.more {
            return parts;
        }
    }
}

fn only_gap(parts: &[Part]) -> &StreamGap {
    match parts {
        [Part::Gap(gap)] => gap,
        _ => panic!("{parts:?}"),
    }
}

proptest! {
    /// Over any number of runs and any holes in the store: each event up to the hub's first comes once and in order, or is
    /// counted in a gap at its place.
    #[test]
    fn a_replay_gives_or_counts_every_event(
        runs in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..90), 1..4),
        after in 0_u64..100,
        max in 1_u32..200,
    ) {
        let mut shelf = Shelf::default();
        for (nth, stored) in (0_u8..).zip(&runs) {
            let numbers = (1..).zip(stored).filter(|(_, is)| **is).map(|(number, _)| number).collect();
            shelf.runs.insert(epoch(nth), (stored.len() as u64, numbers));
        }
        let last = u8::try_from(runs.len() - 1).unwrap();
        let after = after.min(runs[0].len() as u64);
        // The hub begins somewhere in the last run, perhaps behind its end.
        let until = runs[runs.len() - 1].len() as u64 + 1;
        prop_assume!(last > 0 || after < until);
        let parts = replayed(Replay::new(id(0, after), id(last, until), max), Some(&shelf));

        let mut place = Place { runs: &runs, nth: 0, number: after };
        let mut given = 0;
        let mut cut_short = false;
        for part in parts {
            prop_assert!(!cut_short, "nothing comes after a gap of unknown size");
            match part {
                Part::Event(row) => {
                    given += 1;
                    place.go_on_to(row.epoch)?;
                    place.number += 1;
                    prop_assert_eq!(row.event.number, place.number);
                }
                Part::Gap(StreamGap { missed: Some(missed), after, .. }) => {
                    let after: EventId = after.parse().unwrap();
                    place.go_on_to(after.epoch)?;
                    prop_assert_eq!(after.number, place.number);
                    place.number += missed;
                }
                Part::Gap(gap) => {
                    prop_assert_eq!(gap.reason, "too_many");
                    cut_short = true;
                }
            }
        }
        prop_assert!(given <= max);
        if !cut_short {
            place.go_on_to(epoch(last))?;
            prop_assert_eq!(place.number, until - 1);
        }
    }
}

/// The last event that a replay gave or counted.
struct Place<'a> {
    runs: &'a [Vec<bool>],
    nth: u8,
    number: u64,
}

impl Place<'_> {
    /// Goes on to the run `to`: all runs before it must have come to their ends.
    fn go_on_to(&mut self, to: Epoch) -> Result<(), TestCaseError> {
        while epoch(self.nth) < to {
            prop_assert_eq!(self.number, self.runs[usize::from(self.nth)].len() as u64);
            self.nth += 1;
            self.number = 0;
        }
        prop_assert_eq!(epoch(self.nth), to, "never back");
        Ok(())
    }
}

#[test]
fn a_store_that_is_away_leaves_a_counted_gap() {
    let shelf = Shelf { away: true, ..Shelf::default() };
    let parts = replayed(Replay::new(id(0, 5), id(0, 20), 1_000), Some(&shelf));
    let gap = only_gap(&parts);
    assert_eq!((gap.missed, gap.reason), (Some(14), "store_away"));
    let parts = replayed(Replay::new(id(0, 5), id(0, 20), 1_000), None);
    assert_eq!(only_gap(&parts).reason, "not_stored");
}

#[test]
fn of_a_run_whose_end_is_not_stored_yet_nobody_knows_how_much_is_missing() {
    let runs = BTreeMap::from([(epoch(0), (5, (1..=5).collect()))]);
    let shelf = Shelf { runs, goes_on: true, away: false };
    let parts = replayed(Replay::new(id(0, 5), id(1, 1), 1_000), Some(&shelf));
    let gap = only_gap(&parts);
    assert_eq!((gap.missed, gap.reason), (None, "not_stored"));
    assert_eq!(gap.after, id(0, 5).to_string());
    let shelf = Shelf { goes_on: false, ..shelf };
    let parts = replayed(Replay::new(id(0, 5), id(1, 1), 1_000), Some(&shelf));
    assert!(parts.is_empty(), "{parts:?}");
}

#[test]
fn of_a_run_that_nobody_knows_nothing_is_claimed() {
    let parts = replayed(Replay::new(id(0, 5), id(9, 20), 1_000), Some(&Shelf::default()));
    let gap = only_gap(&parts);
    assert_eq!((gap.missed, gap.reason), (None, "unknown"));
    assert_eq!(gap.after, id(0, 5).to_string());
}

#[test]
fn the_header_counts_before_the_parameter() {
    let (old, new) = (id(0, 1), id(0, 9));
    let (old_text, new_text) = (old.to_string(), new.to_string());
    assert_eq!(last_event_id(Some(&new_text), Some(&old_text)), Ok(Some(new)));
    assert_eq!(last_event_id(None, Some(&old_text)), Ok(Some(old)));
    assert_eq!(last_event_id(Some(""), Some(&old_text)), Ok(Some(old)), "an empty one is none");
    assert_eq!(last_event_id(None, None), Ok(None));
    let error = last_event_id(Some("17"), None).unwrap_err();
    assert_eq!(error.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        error.to_string().starts_with("last_event_id must be 16 hexadecimal digits"),
        "{error}"
    );
}

#[test]
fn the_filter_asks_for_verdict_and_score() {
    let filter = StreamFilter { levels: vec![Level::High, Level::Critical], min_score: Some(0.6) };
    assert!(filter.admits(&event(1, Level::High, 60.0)));
    assert!(!filter.admits(&event(1, Level::High, 59.0)));
    assert!(!filter.admits(&event(1, Level::Safe, 90.0)));
    assert!(StreamFilter::default().admits(&event(1, Level::Safe, 0.0)));
}

#[test]
fn a_line_break_can_not_end_a_block() {
    let mut out = String::new();
    frames::verdict(&mut out, id(0, 1), "a\n\nevent: forged\rb");
    let id = id(0, 1);
    let block =
        format!("event: verdict\nid: {id}\ndata: a\ndata: \ndata: event: forged\ndata: b\n\n");
    assert_eq!(out, block);
}
