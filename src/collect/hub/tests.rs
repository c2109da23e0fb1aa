use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::event::Merged;
use crate::time::Timestamp;
use crate::verdict::{Floor, Level};

fn epoch(nth: i64) -> Epoch {
    Epoch::new(Timestamp::from_secs(1_790_000_000 + nth), 7)
}

fn id(number: u64) -> EventId {
    EventId { epoch: epoch(0), number }
}

fn event(number: u64) -> Arc<Event> {
    Arc::new(Event {
        number,
        first: Timestamp::EPOCH,
        last: Timestamp::EPOCH,
        source: Some(Address::v4([192, 0, 2, 1])),
        destination: None,
        source_port: None,
        destination_port: None,
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::Warning,
        count: 1,
        alerts: 0,
        weight: 1,
        bytes: 60,
        length: 60,
        sources: 0,
        merged: Merged::Nothing,
        total: 30.0,
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
    })
}

fn notice(nth: i64) -> Notice {
    Notice { at: Timestamp::from_secs(nth), kind: NoticeKind::StoreAway, text: "away".into() }
}

fn small(events: usize, subscribers: usize) -> Hub {
    Hub::new(HubParams { events, notices: 2, subscribers })
}

fn publish(hub: &Hub, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| hub.publish(epoch(0), &event(number)));
}

/// The numbers of the events among these updates, and how many were lost.
fn seen(updates: &[Update]) -> (Vec<u64>, u64) {
    let mut numbers = vec![];
    let mut lost = 0;
    for update in updates {
        match update {
            Update::Event(id, _) => numbers.push(id.number),
            Update::Gap(gap) => lost += gap.events,
            Update::Notice(_) => {}
        }
    }
    (numbers, lost)
}

#[test]
fn a_subscriber_sees_what_comes_from_now_on() {
    let hub = small(8, 2);
    publish(&hub, 1..=3);
    let mut subscription = hub.subscribe(None).unwrap();
    assert_eq!(subscription.start(), Start::Now { newest: Some(id(3)) });
    assert_eq!(subscription.take(10), Some(vec![]));
    publish(&hub, 4..=5);
    assert_eq!(seen(&subscription.take(10).unwrap()), (vec![4, 5], 0));
    assert_eq!(subscription.position(), Some(id(5)));
}

#[test]
fn who_is_too_slow_is_told_what_it_missed_and_where_to_resume() {
    let hub = small(4, 2);
    let mut subscription = hub.subscribe(None).unwrap();
    publish(&hub, 1..=1);
    assert_eq!(seen(&subscription.take(10).unwrap()), (vec![1], 0));
    publish(&hub, 2..=10);
    let updates = subscription.take(10).unwrap();
    assert_eq!(updates[0], Update::Gap(Gap { events: 5, notices: 0, after: Some(id(1)) }));
    assert_eq!(seen(&updates), (vec![7, 8, 9, 10], 5));
    assert_eq!(hub.stats().missed, 5);
}

#[test]
fn notices_stand_between_the_events_they_came_between() {
    let hub = small(8, 2);
    let mut subscription = hub.subscribe(None).unwrap();
    publish(&hub, 1..=1);
    hub.publish_notice(notice(1));
    publish(&hub, 2..=2);
    let updates = subscription.take(10).unwrap();
    assert!(matches!(updates[..], [Update::Event(..), Update::Notice(_), Update::Event(..)]));
    // Who was away between the two events gets what came between them; who comes new does not.
    let mut returning = hub.subscribe(Some(id(1))).unwrap();
    assert!(matches!(returning.take(1).unwrap()[..], [Update::Notice(_)]));
    drop(returning);
    assert_eq!(hub.subscribe(None).unwrap().take(10), Some(vec![]));
    (0..5).for_each(|nth| hub.publish_notice(notice(nth)));
    let updates = subscription.take(10).unwrap();
    assert_eq!(updates[0], Update::Gap(Gap { events: 0, notices: 3, after: Some(id(2)) }));
    assert_eq!(updates.len(), 3);
}

#[test]
fn what_lies_ahead_or_behind_is_told_apart() {
    let hub = small(4, 8);
    let started = |after| hub.subscribe(Some(after)).map(|subscription| subscription.start());
    let earlier = EventId { epoch: epoch(-9), number: 1_000 };
    let later = EventId { epoch: epoch(9), number: 0 };
    assert_eq!(started(id(0)), Ok(Start::Behind { after: id(0), first: None }), "an empty hub");
    publish(&hub, 1..=2);
    assert_eq!(started(id(0)), Ok(Start::Resumed { after: id(0) }), "from the very first on");
    assert_eq!(started(id(2)), Ok(Start::Resumed { after: id(2) }));
    assert_eq!(started(earlier), Ok(Start::Behind { after: earlier, first: Some(id(1)) }));
    publish(&hub, 3..=10);
    assert_eq!(started(id(5)), Ok(Start::Behind { after: id(5), first: Some(id(7)) }));
    assert_eq!(started(id(6)), Ok(Start::Resumed { after: id(6) }));
    for after in [id(11), later] {
        assert_eq!(started(after), Err(SubscribeError::Ahead { after, newest: id(10) }));
    }
}

#[test]
fn seats_are_few_and_a_stalled_one_is_given_away() {
    let hub = small(4, 2);
    let now = Instant::now();
    let first = hub.subscribe_at(None, now).unwrap();
    let mut second = hub.subscribe_at(None, now).unwrap();
    assert_eq!(hub.subscribe_at(None, now).unwrap_err(), SubscribeError::TooMany { max: 2 });
    drop(first);
    let mut third = hub.subscribe_at(None, now).expect("a seat was given back");
    // The third one asks in time, the second does not.
    let later = now + STALLED_AFTER;
    assert!(third.take_at(1, later).is_some());
    let fourth = hub.subscribe_at(None, later).expect("the second has stalled");
    assert_eq!(second.take(1), None);
    drop(second);
    assert_eq!(hub.stats().subscribers, 2);
    assert_eq!(hub.stats().refused, 1);
    drop((third, fourth));
    assert_eq!(hub.stats().subscribers, 0);
}

#[test]
fn a_closed_hub_ends_subscriptions_after_what_was_published() {
    let hub = small(4, 2);
    let mut subscription = hub.subscribe(None).unwrap();
    publish(&hub, 1..=1);
    hub.close();
    publish(&hub, 2..=2);
    assert_eq!(seen(&subscription.take(10).unwrap()), (vec![1], 0));
    assert_eq!(subscription.take(10), None);
    assert_eq!(hub.subscribe(None).unwrap_err(), SubscribeError::Closed);
}

#[test]
fn an_event_is_let_go_when_the_trail_forgets_it() {
    let hub = small(2, 1);
    let watched = event(1);
    hub.publish(epoch(0), &watched);
    assert_eq!(Arc::strong_count(&watched), 2);
    publish(&hub, 2..=3);
    assert_eq!(Arc::strong_count(&watched), 1);
}

proptest! {
    /// Whatever the order in which events are published and taken: what a subscriber saw and what it was told that it
    /// missed are together what was published, in order, each event once.
    #[test]
    fn what_is_seen_and_what_is_missed_add_up(
        bound in 1_usize..12,
        steps in prop::collection::vec((0_u64..6, 0_usize..3, 0_usize..9), 1..60),
    ) {
        let hub = small(bound, 3);
        let mut subscribers: Vec<_> = (0..3).map(|_| (hub.subscribe(None).unwrap(), Followed::default())).collect();
        let mut published = 0;
        for (events, taker, max) in steps {
            publish(&hub, published + 1..=published + events);
            published += events;
            let (subscription, followed) = &mut subscribers[taker];
            followed.follow(&subscription.take(max).unwrap())?;
        }
        for (subscription, followed) in &mut subscribers {
            followed.follow(&subscription.take(usize::MAX).unwrap())?;
            prop_assert_eq!(followed.told_of, published);
        }
    }

    /// Resuming after any event that is kept gives exactly those that came after it.
    #[test]
    fn resuming_gives_exactly_what_is_missing(bound in 1_usize..20, published in 1_u64..50, back in 0_u64..60) {
        let hub = small(bound, 1);
        publish(&hub, 1..=published);
        let after = published.saturating_sub(back);
        let mut subscription = hub.subscribe(Some(id(after))).unwrap();
        let (numbers, lost) = seen(&subscription.take(usize::MAX).unwrap());
        prop_assert_eq!(lost, 0);
        let first = match subscription.start() {
            Start::Resumed { .. } => after + 1,
            Start::Behind { first: Some(first), .. } => {
                prop_assert!(first.number > after + 1, "then it would not be behind");
                prop_assert_eq!(first.number, published - bound as u64 + 1);
                first.number
            }
            start => return Err(TestCaseError::fail(format!("{start:?}"))),
        };
        prop_assert_eq!(numbers, (first..=published).collect::<Vec<_>>());
    }
}

/// Follows what one subscriber is told.
#[derive(Debug, Default)]
struct Followed {
    /// The last event that it saw or was told that it missed.
    told_of: u64,
    /// The last event that it saw.
    seen: u64,
}

impl Followed {
    /// Each next event is the one after the last, or a gap says how many are not.
    fn follow(&mut self, updates: &[Update]) -> Result<(), TestCaseError> {
        for update in updates {
            match update {
                Update::Event(id, event) => {
                    prop_assert_eq!(id.number, self.told_of + 1);
                    prop_assert_eq!(event.number, id.number);
                    self.told_of = id.number;
                    self.seen = id.number;
                }
                Update::Gap(gap) => {
                    prop_assert!(gap.events > 0);
                    // Before anything was seen there is nothing to resume after.
                    prop_assert_eq!(gap.after.map_or(0, |after| after.number), self.seen);
                    self.told_of += gap.events;
                }
                Update::Notice(_) => return Err(TestCaseError::fail("nobody gave notice")),
            }
        }
        Ok(())
    }
}

#[test]
fn threads_that_wait_miss_no_wake_up() {
    const EVENTS: u64 = 20_000;
    let hub = Hub::new(HubParams { events: 64, notices: 2, subscribers: 4 });
    let all_ready = Arc::new(std::sync::Barrier::new(4));
    let watchers: Vec<_> = (1..=3)
        .map(|max| {
            let hub = hub.clone();
            let all_ready = Arc::clone(&all_ready);
            thread::spawn(move || {
                let mut subscription = hub.subscribe(None).unwrap();
                all_ready.wait();
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let (mut followed, mut missed) = (Followed::default(), 0);
                while let Some(updates) = runtime.block_on(subscription.next(max * 16)) {
                    followed.follow(&updates).unwrap();
                    missed += seen(&updates).1;
                }
                (followed.told_of, missed)
            })
        })
        .collect();
    all_ready.wait();
    for number in 1..=EVENTS {
        hub.publish(epoch(0), &event(number));
        if number % 1_000 == 0 {
            // So that all fall asleep now and then, and the next event has to wake them.
            thread::sleep(Duration::from_millis(2));
        }
    }
    hub.close();
    let mut missed = 0;
    for watcher in watchers {
        let (last, lost) = watcher.join().unwrap();
        assert_eq!(last, EVENTS, "to the very last, seen or told of");
        missed += lost;
    }
    assert_eq!(hub.stats().missed, missed);
    assert_eq!(hub.stats().subscribers, 0);
}

#[test]
fn publishing_waits_for_nobody() {
    // A subscriber that takes all the time, and fifteen that take nothing: each publishing stays short.
    let hub = Hub::default();
    let idle: Vec<_> = (0..15).map(|_| hub.subscribe(None).unwrap()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let busy = {
        let mut subscription = hub.subscribe(None).unwrap();
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                subscription.take(64);
            }
        })
    };
    let events: Vec<_> = (1..=50_000).map(event).collect();
    let started = Instant::now();
    events.iter().for_each(|event| hub.publish(epoch(0), event));
    let each = started.elapsed() / 50_000;
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    println!("{each:?} for each event");
    assert!(each < Duration::from_micros(200), "{each:?}: the publisher waits");
    drop(idle);
}
