//! One worker: one core, one source of frames, one thread.
//!
//! Everything in a [`Worker`] belongs to that thread. Three things leave the core, and only three: digests, through the
//! hand-over, to the worker that owns their source; verdicts, through the ring, to the collector; and the counters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use crossbeam_utils::Backoff;
use hdrhistogram::Histogram;

use crate::capture::{Batch, FrameSource, Received, TURN_FRAMES_MAX};
use crate::counters::{Counters, Latency, Published, Stage};
use crate::decode::{self, Packet};
use crate::handover::{Gather, Gathered, Handover, TURNS_TOGETHER_MAX};
use crate::inspect::Inspector;
use crate::latest::Latest;
use crate::owner::{Due, Owner, TURN_VERDICTS_MAX};
use crate::ring::Outlet;
use crate::time::Timestamp;
use crate::verdict::InForce;

/// Judges every packet of the sources it owns, and inspects every frame it receives.
#[derive(Debug)]
pub struct Worker<S> {
    /// Where frames come from: a capture file, a dealer of one, a queue of the card.
    source: S,
    /// The frames of this turn.
    batch: Batch,
    /// Looks into packets: rules, intelligence, decoys.
    inspector: Inspector,
    /// The rings to and from all workers, this one included.
    handover: Handover,
    /// The digests of the turn being judged.
    gathered: Gathered,
    /// The states of the sources that this worker owns.
    owner: Owner,
    /// What is due to be judged, as columns.
    due: Due,
    /// This core's hold on the newest model, rules, intelligence and policy.
    detection: Latest<InForce>,
    /// The way out for verdicts.
    verdicts: Outlet,
    /// What this core has done.
    counters: Counters,
    /// Whether a full ring is waited for.
    when_full: WhenFull,
    /// Where this core's counters can be seen.
    published: Arc<Published>,
    /// From the frame's receipt to its verdict in the ring, nanoseconds; of turns judged together, from the receipt of the first.
    latency: Histogram<u64>,
    /// The same in coarse steps, as published.
    latency_published: Latency,
    /// The number of the last turn that was judged.
    turn: u64,
    /// When the counters were last sent along as a mark.
    marked: Instant,
    /// Whether anything was counted since they were last shown, and since they last went along.
    news: News,
    /// Zero of the clock that a turn is stamped with.
    started: Instant,
}

/// What a worker is made of.
#[derive(Debug)]
pub struct Parts<S> {
    /// Where frames come from.
    pub source: S,
    /// Its ends of the hand-over.
    pub handover: Handover,
    /// The states of the sources that it owns.
    pub owner: Owner,
    /// Its hold on the newest detection.
    pub detection: Latest<InForce>,
    /// Its half of the ring to the collector.
    pub verdicts: Outlet,
    /// What to do when that ring is full.
    pub when_full: WhenFull,
    /// Where its counters can be seen.
    pub published: Arc<Published>,
    /// Zero of the clock, the same for all workers.
    pub started: Instant,
}

/// What a worker does when the ring to the collector is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits, so that nothing is lost: the frames can wait too.
    Wait,
    /// It counts what is lost: the frames can't wait.
    Count,
}

/// How a worker stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It has judged all it owns.
    InOrder,
    /// A bug has stopped it in the middle of a turn.
    Panicked,
}

/// What is left of a worker that has stopped.
#[derive(Debug)]
pub struct Finished<S> {
    /// The source of frames, to be asked what went wrong with it.
    pub source: S,
    /// What the worker has done.
    pub counters: Counters,
    /// From a frame's receipt to its verdict in the ring, nanoseconds.
    pub latency: Histogram<u64>,
}

/// How long a worker sleeps when it has nothing to receive and nothing to judge: short against the turns in flight.
const NAP: Duration = Duration::from_micros(50);

/// How often a worker judges what is there for one turn that it receives, at most.
const JUDGED_PER_RECEIPT: usize = 4;

/// How often the counters go along with a turn, for the collector to check the sums.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// The longest latency that is told apart from longer ones: a minute, in nanoseconds.
const LATENCY_NANOS_MAX: u64 = 60_000_000_000;

impl<S: FrameSource> Worker<S> {
    /// A worker with all the memory it will ever use.
    #[must_use]
    pub fn new(parts: Parts<S>) -> Self {
        Self {
            source: parts.source,
            batch: Batch::new(),
            inspector: Inspector::new(parts.owner.placement()),
            handover: parts.handover,
            gathered: Gathered::new(),
            owner: parts.owner,
            due: Due::new(),
            detection: parts.detection,
            verdicts: parts.verdicts,
            when_full: parts.when_full,
            published: parts.published,
            counters: Counters::default(),
            latency: Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, 3)
                .expect("the bounds are constants in order"),
            latency_published: Latency::default(),
            turn: 0,
            marked: parts.started,
            news: News::default(),
            started: parts.started,
        }
    }

    /// Takes turns until there is nothing left to receive and nothing left to judge.
    pub fn run(&mut self) {
        let idle = Backoff::new();
        loop {
            self.published.beat();
            let received = self.receive();
            match self.judge_what_came() {
                Gather::End => break,
                Gather::Turn => idle.reset(),
                Gather::Waiting if received == Received::Frames => {
                    // All of it can be others' to judge, turn after turn.
                    self.show_what_is_new();
                    idle.reset();
                }
                Gather::Waiting if idle.is_completed() => {
                    self.show_what_is_new();
                    self.source.wait(NAP);
                }
                Gather::Waiting => idle.snooze(),
            }
        }
    }

    /// Lets go of everything but what it has done, so that owners, receivers and the collector see that it is gone.
    ///
    /// The counters of a worker that has panicked are those of that moment: what it held shows as sums that do not hold.
    #[must_use]
    pub fn leave(self, how: Leaving) -> Finished<S> {
        let counters = self.counters_now();
        self.published.publish(&counters, &self.latency_published);
        match how {
            Leaving::InOrder => self.published.leave(),
            Leaving::Panicked => self.published.die(),
        }
        Finished { source: self.source, counters, latency: self.latency }
    }

    /// The receiving half of a turn: receive, decode, inspect, hand over.
    fn receive(&mut self) -> Received {
        if !self.handover.has_room() {
            return Received::Nothing;
        }
        let mut watch = Stopwatch::start();
        match self.source.receive(&mut self.batch) {
            Received::Frames => {}
            Received::Nothing => {
                self.state_horizon();
                return Received::Nothing;
            }
            Received::End => {
                self.handover.close();
                return Received::End;
            }
        }
        let received = self.clock(watch.last);
        watch.lap(Stage::Capture, &mut self.counters, &self.published);

        let in_force = self.detection.get();
        let mut packets = ArrayVec::<Packet<'_>, TURN_FRAMES_MAX>::new();
        decode_all(&self.batch, &mut packets, &mut self.counters);
        watch.lap(Stage::Decode, &mut self.counters, &self.published);

        self.inspector.prefetch(&packets, in_force);
        for packet in &packets {
            self.inspector.inspect(packet, in_force, &mut self.handover, &mut self.counters);
        }
        watch.lap(Stage::Inspect, &mut self.counters, &self.published);

        drop(packets);

        let handed = self.handover.end_turn(received);
        self.counters.handed_over(&handed);
        self.state_horizon();
        watch.lap(Stage::Handover, &mut self.counters, &self.published);
        self.news = News { to_show: true, to_mark: true };
        Received::Frames
    }

    /// Says of when the next packets will be, and which detection they will be looked at with.
    fn state_horizon(&mut self) {
        let horizon = self.source.horizon();
        self.handover.advance(horizon);
        let in_force = self.detection.get();
        if in_force.from() <= horizon {
            self.handover.move_on(in_force.number());
        }
    }

    /// Judges until there is nothing to judge, but not so long that frames are kept waiting: copies for the owners of destinations can
    /// make an owner's turns longer than a receiver's, and other receivers' packets too.
    fn judge_what_came(&mut self) -> Gather {
        let mut judged = self.judge();
        for _ in 1..JUDGED_PER_RECEIPT {
            if judged != Gather::Turn {
                break;
            }
            judged = match self.judge() {
                Gather::Waiting => return Gather::Turn,
                other => other,
            };
        }
        judged
    }

    /// The judging half of a turn: gather what this worker owns, measure, score, judge, report.
    fn judge(&mut self) -> Gather {
        if self.when_full == WhenFull::Wait
            && !self.verdicts.has_room_for(TURN_VERDICTS_MAX + TURNS_TOGETHER_MAX)
            && !self.verdicts.is_abandoned()
        {
            return Gather::Waiting;
        }
        let mut watch = Stopwatch::start();
        let gathered = self.handover.gather(&mut self.gathered);
        if gathered != Gather::Turn {
            self.published.settle(self.handover.settled());
            return gathered;
        }
        // Asked after the turn was taken: whatever its packets were looked at with is seen.
        let in_force = self.detection.get();
        let counters = &mut self.counters;
        watch.lap(Stage::Handover, counters, &self.published);

        self.owner.measure(&self.gathered, in_force, &mut self.due, counters);
        watch.lap(Stage::Features, counters, &self.published);

        self.due.score(in_force);
        watch.lap(Stage::Model, counters, &self.published);

        self.due.judge(in_force, counters);
        watch.lap(Stage::Judge, counters, &self.published);

        self.offer();
        watch.lap(Stage::Ring, &mut self.counters, &self.published);

        let took = self.clock(watch.last).nanos_since(self.gathered.received()).unsigned_abs();
        let judged = self.due.verdicts().len() as u64;
        self.latency.saturating_record_n(took, judged);
        self.latency_published.record(took, judged);
        self.counters.late += self.gathered.late();
        self.published.settle(self.handover.settled());
        self.publish(watch.last);
        Gather::Turn
    }

    /// Puts the verdicts into the ring, and behind those of each turn its end; that of the last one waits for what was counted.
    fn offer(&mut self) {
        let mut turns = self.due.turns();
        while let Some((number, verdicts)) = turns.next() {
            // The only line of the data path that can lose a verdict.
            self.counters.offered(&self.verdicts.offer(verdicts));
            self.turn = number;
            if turns.len() > 0 {
                self.verdicts.close_turn(number, None);
            }
        }
    }

    /// Ends a turn: shows the counters, and once in a while sends them along.
    fn publish(&mut self, now: Instant) {
        let counters = self.counters_now();
        self.published.publish(&counters, &self.latency_published);
        let marks = now.duration_since(self.marked) >= MARK_EVERY;
        if marks {
            self.marked = now;
        }
        self.verdicts.close_turn(self.turn, marks.then_some(&counters));
        self.news = News { to_show: false, to_mark: !marks };
    }

    /// Where owners go by time, a worker can receive much and own nothing of it, or be idle before its last mark was due: what it
    /// has counted is shown all the same.
    fn show_what_is_new(&mut self) {
        if !self.handover.is_by_time() {
            return;
        }
        if self.news.to_show {
            self.published.publish(&self.counters_now(), &self.latency_published);
            self.news.to_show = false;
        }
        if self.news.to_mark {
            let now = Instant::now();
            if now.duration_since(self.marked) >= MARK_EVERY {
                self.publish(now);
            }
        }
    }

    /// The counters with what the tables have counted.
    fn counters_now(&self) -> Counters {
        let mut counters = self.counters;
        self.owner.report(&mut counters);
        self.inspector.report(&mut counters);
        counters
    }

    /// The time since the start, in the shape in which a turn carries it.
    fn clock(&self, now: Instant) -> Timestamp {
        Timestamp::from_nanos(
            i64::try_from(now.duration_since(self.started).as_nanos()).unwrap_or(i64::MAX),
        )
    }
}

/// Decodes a batch. What is not decoded is counted by reason.
fn decode_all<'batch>(
    batch: &'batch Batch,
    packets: &mut ArrayVec<Packet<'batch>, TURN_FRAMES_MAX>,
    counters: &mut Counters,
) {
    for frame in batch.frames() {
        counters.taken += 1;
        counters.taken_bytes += u64::from(frame.wire_length);
        match decode::decode(&frame) {
            Ok(packet) => {
                counters.decoded += 1;
                packets.push(packet);
            }
            Err(refused) => counters.not_decoded(refused),
        }
    }
}

/// What the outside has not been told.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    to_show: bool,
    to_mark: bool,
}

/// Reads the clock once per stage and turn, never per packet.
struct Stopwatch {
    last: Instant,
}

impl Stopwatch {
    fn start() -> Self {
        Self { last: Instant::now() }
    }

    fn lap(&mut self, stage: Stage, counters: &mut Counters, published: &Published) {
        let now = Instant::now();
        let nanos = u64::try_from(now.duration_since(self.last).as_nanos()).unwrap_or(u64::MAX);
        counters.stage_nanos.spend(stage, nanos);
        published.stayed(stage, nanos);
        self.last = now;
    }
}
