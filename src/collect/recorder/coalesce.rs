//! Packets that have everything in common become one event.
//!
//! Time is that of the packets alone, so that the events are the same at any speed and for any number of workers.

use std::collections::VecDeque;

use hashlink::LinkedHashMap;

use super::budget::{Budget, Lane};
use super::describe::{Standing, Words, whole_micros};
use super::key::Key;
use super::params::{EventParams, nanos};
use crate::collect::community::community_id;
use crate::event::{Event, Merged};
use crate::time::Timestamp;
use crate::verdict::{Detection, Verdict};

/// How many events that are over are closed at most with each verdict: each opens one at most, so the rest follows soon,
/// and a jump of the time makes no pause.
const CLOSED_AT_ONCE: usize = 64;

/// The events that are open, and those that are closed and wait to be emitted.
#[derive(Debug)]
pub(super) struct Coalescer {
    /// In the order in which they were opened. Hashed under a key that is random for each start (SipHash-1-3): who sends
    /// packets chooses the addresses. The order does not depend on it.
    open: LinkedHashMap<Key, OpenEvent>,
    open_max: usize,
    window_nanos: u64,
    budget: Budget,
    closed: VecDeque<ClosedEvent>,
    closed_early: u64,
}

impl Coalescer {
    pub(super) fn new(params: &EventParams) -> Self {
        Self {
            open: LinkedHashMap::new(),
            open_max: params.open_events_max.max(1),
            window_nanos: nanos(params.coalesce),
            budget: Budget::new(params.events_per_second, params.severe_events_per_second),
            closed: VecDeque::new(),
            closed_early: 0,
        }
    }

    /// Puts a verdict into its event, which stands for `weight` packets more. `tenant` is the source's.
    pub(super) fn take(
        &mut self,
        verdict: &Verdict,
        detection: &Detection,
        tenant: u16,
        weight: u64,
    ) {
        let key = Key::of(verdict, tenant);
        if self.window_nanos == 0 {
            let event = OpenEvent::begin(verdict, detection, weight);
            self.closed.push_back(ClosedEvent { merged: key.merged(), event });
            return;
        }
        if self.join(&key, verdict, detection, weight) {
            return;
        }
        let time = verdict.digest.time;
        let lane = Lane::of(verdict.level);
        let merging = self.merging_in(lane, time);
        // Into the event that has lost least.
        for merged in Merged::ALL.into_iter().skip(1).take_while(|merged| *merged <= merging) {
            if self.join(&key.without(merged), verdict, detection, weight) {
                return;
            }
        }
        self.budget.spend(time, lane);
        self.open(key.without(merging), OpenEvent::begin(verdict, detection, weight));
    }

    /// Closes events from the oldest on as long as they are over at `time`: at most [`CLOSED_AT_ONCE`].
    pub(super) fn advance(&mut self, time: Timestamp) {
        for _ in 0..CLOSED_AT_ONCE {
            if !self.oldest_is_over(time) {
                break;
            }
            self.close_oldest();
        }
    }

    /// The same without a bound but their number.
    pub(super) fn catch_up(&mut self, time: Timestamp) {
        while self.oldest_is_over(time) {
            self.close_oldest();
        }
    }

    /// Closes all.
    pub(super) fn finish(&mut self) {
        while !self.open.is_empty() {
            self.close_oldest();
        }
    }

    /// The next event to be emitted.
    pub(super) fn next_closed(&mut self) -> Option<ClosedEvent> {
        self.closed.pop_front()
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many were closed before their time.
    pub(super) const fn closed_early(&self) -> u64 {
        self.closed_early
    }

    /// What keys of new events lose at `time`: in the lane that loses more.
    pub(super) fn merging(&mut self, time: Timestamp) -> Merged {
        self.merging_in(Lane::Common, time).max(self.merging_in(Lane::Severe, time))
    }

    /// What the key of an event loses that begins at `time`: one step more with every budget used up.
    fn merging_in(&mut self, lane: Lane, time: Timestamp) -> Merged {
        match self.budget.used_up(time, lane) {
            0 => Merged::Nothing,
            1 => Merged::Source,
            2 => Merged::Port,
            _ => Merged::Destination,
        }
    }

    /// Adds the verdict to the open event with that key. Returns whether there is one; one that is over is closed.
    fn join(&mut self, key: &Key, verdict: &Verdict, detection: &Detection, weight: u64) -> bool {
        let Some(event) = self.open.get_mut(key) else { return false };
        if event.is_over(verdict.digest.time, self.window_nanos) {
            if let Some(event) = self.open.remove(key) {
                self.closed.push_back(ClosedEvent { merged: key.merged(), event });
            }
            return false;
        }
        event.add(verdict, weight);
        if verdict.total > event.worst.total {
            event.replace_worst(verdict, detection, key.merged());
        }
        true
    }

    fn open(&mut self, key: Key, event: OpenEvent) {
        if self.open.len() >= self.open_max {
            self.close_oldest();
            self.closed_early += 1;
        }
        self.open.insert(key, event);
    }

    fn oldest_is_over(&self, time: Timestamp) -> bool {
        self.open.front().is_some_and(|(_, event)| event.is_over(time, self.window_nanos))
    }

    fn close_oldest(&mut self) {
        if let Some((key, event)) = self.open.pop_front() {
            self.closed.push_back(ClosedEvent { merged: key.merged(), event });
        }
    }
}

/// An event that may still grow.
#[derive(Debug)]
struct OpenEvent {
    /// The time of the packet that opened it: its window is measured from here.
    opened: Timestamp,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    alerts: u64,
    weight: u64,
    bytes: u64,
    sources: u32,
    worst: Verdict,
    words: Words,
    standing: Standing,
}

impl OpenEvent {
    fn begin(verdict: &Verdict, detection: &Detection, weight: u64) -> Self {
        let time = verdict.digest.time;
        let mut event = Self {
            opened: time,
            first: time,
            last: time,
            count: 0,
            alerts: 0,
            weight: 0,
            bytes: 0,
            sources: 0,
            worst: *verdict,
            words: Words::of(verdict, detection),
            standing: Standing::of(verdict, detection),
        };
        event.add(verdict, weight);
        event
    }

    /// Whether a packet at `time` comes too late for it. Or too early: the times in a capture need not ascend.
    const fn is_over(&self, time: Timestamp, window_nanos: u64) -> bool {
        time.as_nanos().abs_diff(self.opened.as_nanos()) >= window_nanos
    }

    fn add(&mut self, verdict: &Verdict, weight: u64) {
        self.first = self.first.min(verdict.digest.time);
        self.last = self.last.max(verdict.digest.time);
        if verdict.is_of_victim() {
            self.alerts += 1;
            self.sources = self.sources.max(verdict.sources);
        } else {
            self.count += 1;
            self.weight = self.weight.saturating_add(weight);
            self.bytes = self.bytes.saturating_add(u64::from(verdict.digest.wire_length));
        }
    }

    fn replace_worst(&mut self, verdict: &Verdict, detection: &Detection, merged: Merged) {
        // Of what the words are made, only the floor is no part of a whole key.
        if merged > Merged::Nothing || verdict.floor != self.worst.floor {
            self.words = Words::of(verdict, detection);
        }
        self.standing = Standing::of(verdict, detection);
        self.worst = *verdict;
    }
}

/// An event that will not grow.
#[derive(Debug)]
pub(super) struct ClosedEvent {
    merged: Merged,
    event: OpenEvent,
}

impl ClosedEvent {
    /// As it is stored under `number`, and what kind of incident it is part of.
    pub(super) fn into_event(self, number: u64) -> (Event, &'static str) {
        let Self { merged, event: OpenEvent { worst, words, standing, .. }, .. } = self;
        let packet = &worst.digest;
        let (source_port, destination_port) = packet.ports().unzip();
        let of_packet = !worst.is_of_victim();
        let event = Event {
            number,
            first: whole_micros(self.event.first),
            last: whole_micros(self.event.last),
            source: (merged < Merged::Source).then_some(packet.source),
            destination: (merged < Merged::Destination).then_some(packet.destination),
            source_port,
            destination_port: destination_port.filter(|_| merged < Merged::Port),
            icmp: packet.icmp(),
            protocol: packet.protocol,
            vlan: packet.vlan,
            level: worst.level,
            count: self.event.count,
            alerts: self.event.alerts,
            weight: self.event.weight,
            bytes: self.event.bytes,
            length: packet.wire_length,
            sources: self.event.sources,
            merged,
            total: worst.total,
            anomaly_score: of_packet.then_some(worst.anomaly_score),
            quantile: standing.quantile,
            in_training_range: standing.in_training_range,
            model_risk: worst.model_risk,
            rule_risk: worst.rule_risk,
            intel_risk: worst.intel_risk,
            floor: worst.floor,
            features: of_packet.then_some(worst.features),
            rules: words.rules,
            rules_left_out: worst.rules_left_out,
            intel: words.intel,
            decoy: words.decoy,
            reason: words.reason,
            detection: worst.detection,
            packet: packet.sequence,
            community_id: community_id(packet).map(Into::into),
        };
        (event, words.kind)
    }
}

/// What an open event takes in the table, without its words: itself, its key, two links and its place in the index.
#[cfg(test)]
pub(super) const ENTRY_BYTES: usize = size_of::<OpenEvent>() + size_of::<Key>() + 3 * 8;
