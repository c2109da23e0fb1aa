//! What the receiving worker tells the worker that owns the packet's source, and the rings between them.

mod by_time;
mod digest;

use arrayvec::ArrayVec;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::capture::TURN_FRAMES_MAX;
use crate::time::Timestamp;

use by_time::ByTime;
pub use digest::{Digest, Findings, Marks, RULE_HITS_MAX};

/// How many digests one turn can send to one owner at most: every packet once for its source, once for its destination,
/// and the mark at the end.
const TURN_DIGESTS_MAX: usize = 2 * TURN_FRAMES_MAX + 1;

/// How many turns an owner takes together at most.
pub(crate) const TURNS_TOGETHER_MAX: usize = 64;

/// Digests that fit into one ring of a replay: several turns, so that a worker may run ahead of the slowest.
const RING_SLOTS: usize = 4 * TURN_DIGESTS_MAX;

/// Digests that can wait for one owner whose frames can't wait, in as many rings as there are workers: some 65 ms of a million packets a
/// second where all receivers have their share in them. A single source fills one ring, with 4 workers in 16 ms, with 16 in 4 ms: before
/// that, an owner waits for nobody that is behind.
const LIVE_SLOTS: usize = 1 << 16;

/// In which order an owner takes what several workers hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Turn `t` is received by worker `t % workers`, and owners take the turns in that order, each whole. Nothing is late, and
    /// whoever is ahead waits.
    Turns,
    /// Each worker receives from queues of its own. Owners take digests by their time, and where times are equal by the receiver's
    /// number. Nobody waits for longer than `patience_nanos` for a receiver that has fallen behind.
    Time {
        /// Nanoseconds of packet time.
        patience_nanos: i64,
    },
}

/// The rings between `workers` workers: one [`Handover`] for each, to be given out in order.
///
/// There are `workers` x `workers` rings; a worker's ring to itself keeps its own turns in their place among the others'.
#[must_use]
pub fn mesh(workers: usize, order: Order) -> Vec<Handover> {
    let slots = match order {
        Order::Turns => RING_SLOTS,
        Order::Time { .. } => (LIVE_SLOTS / workers.max(1)).max(RING_SLOTS),
    };
    let mut outlets: Vec<Vec<Outlet>> = (0..workers).map(|_| Vec::with_capacity(workers)).collect();
    let mut inlets: Vec<Vec<Inlet>> = (0..workers).map(|_| Vec::with_capacity(workers)).collect();
    for from in &mut outlets {
        for to in &mut inlets {
            let (outlet, inlet) = ring(slots);
            from.push(outlet);
            to.push(inlet);
        }
    }
    let gathering = Gathering::of(workers, order);
    let ends = outlets.into_iter().zip(inlets).zip(gathering);
    let one =
        |((outlets, inlets), gathering)| Handover { outlets, inlets, gathering, moved_on_to: 0 };
    ends.map(one).collect()
}

/// One worker's ends of the mesh.
#[derive(Debug)]
pub struct Handover {
    outlets: Vec<Outlet>,
    inlets: Vec<Inlet>,
    gathering: Gathering,
    /// The number of the detection that all owners were told this worker has moved on to, or will be told with its next turn.
    moved_on_to: u64,
}

/// What one owner keeps to take digests in their order.
#[derive(Debug)]
enum Gathering {
    ByTurn { next_turn: u64 },
    ByTime(ByTime),
}

impl Gathering {
    fn of(workers: usize, order: Order) -> Vec<Self> {
        match order {
            Order::Turns => (0..workers).map(|_| Self::ByTurn { next_turn: 0 }).collect(),
            Order::Time { patience_nanos } => {
                ByTime::of(workers, patience_nanos).into_iter().map(Self::ByTime).collect()
            }
        }
    }
}

impl Handover {
    /// How many workers there are.
    #[must_use]
    pub const fn workers(&self) -> usize {
        self.inlets.len()
    }

    /// Whether owners go by time: frames come from queues, not from a dealer, and can't wait.
    #[must_use]
    pub const fn is_by_time(&self) -> bool {
        matches!(self.gathering, Gathering::ByTime(_))
    }

    /// Whether a worker may receive. Where owners go by turns, a whole turn must fit into every ring: a lost turn would lose its mark
    /// too, and the owner would take the receiver's next turn in its place. Where they go by time, what finds a ring full is counted.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let has_room = |outlet: &Outlet| {
            outlet.digests.slots() >= TURN_DIGESTS_MAX || outlet.digests.is_abandoned()
        };
        self.is_by_time() || self.outlets.iter().all(has_room)
    }

    /// Sets a digest, and its findings if there are any, aside for `owner` until [`end_turn`](Self::end_turn).
    #[inline]
    pub fn put(&mut self, owner: usize, digest: Digest, findings: &Findings) {
        if let Some(outlet) = self.outlets.get_mut(owner) {
            outlet.put(digest, findings);
        }
    }

    /// Hands the turn over: to each owner its digests, and a mark that carries `received`.
    ///
    /// A turn goes into a ring whole or, when the ring is full, not at all; see [`has_room`](Self::has_room).
    pub fn end_turn(&mut self, received: Timestamp) -> TurnHanded {
        let by_time = self.is_by_time();
        let mut handed = TurnHanded::default();
        for outlet in &mut self.outlets {
            handed.add(&outlet.flush(received, by_time));
        }
        handed
    }

    /// Says that this worker will hand over no digest of before `horizon`: owners that go by time need not wait for one.
    pub fn advance(&self, horizon: Timestamp) {
        if let Gathering::ByTime(by_time) = &self.gathering {
            by_time.advance(horizon);
        }
    }

    /// Says that this worker will hand over no packet any more that was looked at with a detection of a lower number. An owner with a
    /// full ring is told another time: call it again.
    pub fn move_on(&mut self, detection: u64) {
        if self.moved_on_to == detection {
            return;
        }
        let by_time = self.is_by_time();
        let mut told = true;
        for outlet in &mut self.outlets {
            told &= outlet.move_on(detection, by_time);
        }
        if told {
            self.moved_on_to = detection;
        }
    }

    /// The number of the detection that all senders have moved on to, as far as this owner has taken what they handed over. Senders that
    /// have left need none.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let waits = |inlet: &&Inlet| !(inlet.digests.is_abandoned() && inlet.digests.is_empty());
        let waiting = self.inlets.iter().filter(waits);
        waiting.map(|inlet| inlet.detection).min().unwrap_or(u64::MAX)
    }

    /// Takes the next turn, in the order of the frames, if it is there; and what is there already of those behind it, as long as all are
    /// no more than the largest turn. With several workers each has a part of every turn, and a model scores many rows for less.
    pub fn gather(&mut self, turn: &mut Gathered) -> Gather {
        turn.clear();
        match &mut self.gathering {
            Gathering::ByTime(by_time) => by_time.gather(&mut self.inlets, turn),
            Gathering::ByTurn { next_turn } => gather_turns(next_turn, &mut self.inlets, turn),
        }
    }

    /// Says that this worker will receive nothing more: owners that come to its next turn know that there is none.
    pub fn close(&mut self) {
        self.outlets.clear();
    }
}

/// Takes turn `next_turn`, and those behind it that are there and fit.
fn gather_turns(next_turn: &mut u64, inlets: &mut [Inlet], turn: &mut Gathered) -> Gather {
    let first = gather_turn(next_turn, inlets, turn);
    let mut last = first;
    while last == Gather::Turn && !turn.ends.is_full() {
        last = gather_turn(next_turn, inlets, turn);
    }
    first
}

/// Takes turn `next_turn` from the worker whose it is.
fn gather_turn(next_turn: &mut u64, inlets: &mut [Inlet], turn: &mut Gathered) -> Gather {
    let from = usize::try_from(*next_turn % inlets.len() as u64).unwrap_or(0);
    let Some(inlet) = inlets.get_mut(from) else { return Gather::End };
    // Asked before the ring is looked at: what was pushed before its sender left is then seen.
    let sender_left = inlet.digests.is_abandoned();
    match inlet.take_turn(turn) {
        Some(received) => {
            turn.end(*next_turn, received);
            *next_turn += 1;
            Gather::Turn
        }
        None if sender_left => Gather::End,
        None => Gather::Waiting,
    }
}

/// What asking for the next turn gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// A whole turn, or several; they may hold no digest for this owner.
    Turn,
    /// Its receiver has not handed it over yet.
    Waiting,
    /// There will be no further turn.
    End,
}

/// One turn as its owner got it, or several together. Used again for each.
#[derive(Debug)]
pub struct Gathered {
    digests: Vec<Digest>,
    findings: Vec<Findings>,
    ends: ArrayVec<TurnEnd, TURNS_TOGETHER_MAX>,
    received: Timestamp,
    late: u64,
}

/// Where one of the turns taken together ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// The number of the turn.
    pub number: u64,
    /// How many digests there are up to its end.
    pub digests: usize,
}

impl Gathered {
    /// Room for the largest turn.
    #[must_use]
    pub fn new() -> Self {
        Self {
            digests: Vec::with_capacity(TURN_DIGESTS_MAX),
            findings: Vec::with_capacity(TURN_DIGESTS_MAX),
            ends: ArrayVec::new(),
            received: Timestamp::from_nanos(i64::MAX),
            late: 0,
        }
    }

    /// The ends of the turns in it, the last behind all digests.
    #[must_use]
    pub fn ends(&self) -> &[TurnEnd] {
        &self.ends
    }

    /// What its receiver gave to [`Handover::end_turn`]; the earliest, when digests of several turns are in it.
    #[must_use]
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// Digests in it whose time had passed when they came: their receiver was behind for longer than the owner's patience, or its ring
    /// could wait.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// The digests in the order of their frames, each with its findings.
    pub fn packets(&self) -> impl Iterator<Item = (&Digest, &Findings)> {
        let mut findings = self.findings.iter();
        self.digests.iter().map(move |digest| {
            let found = if digest.marks.has(Marks::FINDINGS) { findings.next() } else { None };
            (digest, found.unwrap_or(&Findings::NONE))
        })
    }

    /// The digests alone.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn clear(&mut self) {
        self.digests.clear();
        self.findings.clear();
        self.ends.clear();
        self.received = Timestamp::from_nanos(i64::MAX);
        self.late = 0;
    }

    /// What came so far is all of turn `number`, received at this time or later.
    fn end(&mut self, number: u64, received: Timestamp) {
        self.received = self.received.min(received);
        self.ends.push(TurnEnd { number, digests: self.digests.len() });
    }
}

impl Default for Gathered {
    fn default() -> Self {
        Self::new()
    }
}

/// What became of one turn's digests: each is in exactly one of the four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnHanded {
    /// Packets on their way to the owner of their source.
    pub packets: u64,
    /// Copies on their way to the owner of their destination.
    pub towards: u64,
    /// Packets lost because the owner's ring was full.
    pub packets_lost: u64,
    /// Copies lost because that ring was full.
    pub towards_lost: u64,
}

impl TurnHanded {
    const fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.towards += other.towards;
        self.packets_lost += other.packets_lost;
        self.towards_lost += other.towards_lost;
    }
}

fn ring(slots: usize) -> (Outlet, Inlet) {
    let (digests, digests_out) = RingBuffer::new(slots);
    let (findings, findings_out) = RingBuffer::new(slots);
    let outlet = Outlet {
        digests,
        findings,
        turn: Vec::with_capacity(TURN_DIGESTS_MAX),
        turn_findings: Vec::with_capacity(TURN_DIGESTS_MAX),
        towards: 0,
        detection: 0,
    };
    let received = Timestamp::EPOCH;
    (outlet, Inlet { digests: digests_out, findings: findings_out, received, detection: 0 })
}

/// The way to one owner.
#[derive(Debug)]
struct Outlet {
    digests: Producer<Digest>,
    findings: Producer<Findings>,
    turn: Vec<Digest>,
    turn_findings: Vec<Findings>,
    /// How many digests of the turn are copies for the owner of a destination.
    towards: u64,
    /// The number of the detection that this sender has moved on to.
    detection: u64,
}

impl Outlet {
    #[inline]
    fn put(&mut self, mut digest: Digest, findings: &Findings) {
        self.towards += u64::from(digest.marks.has(Marks::TOWARDS));
        if !findings.is_empty() {
            digest.marks = digest.marks.with(Marks::FINDINGS);
            self.turn_findings.push(*findings);
        }
        self.turn.push(digest);
    }

    /// Returns whether the owner knows, or will with the next turn.
    fn move_on(&mut self, detection: u64, by_time: bool) -> bool {
        if self.detection < detection {
            // Where owners go by turns, every turn ends with a mark. Where they go by time, there may never be a turn for this owner.
            let told =
                !by_time || self.digests.push(Digest::turn(Timestamp::EPOCH, detection)).is_ok();
            if told {
                self.detection = detection;
            }
            return told;
        }
        true
    }

    fn flush(&mut self, received: Timestamp, by_time: bool) -> TurnHanded {
        let (packets, towards) = (self.turn.len() as u64 - self.towards, self.towards);
        if by_time && self.turn.is_empty() {
            return TurnHanded::default();
        }
        let mark = [Digest::turn(received, self.detection)];
        let handed = if by_time { self.send(&mark, &[]) } else { self.send(&[], &mark) };
        let handed = if handed {
            TurnHanded { packets, towards, ..TurnHanded::default() }
        } else {
            TurnHanded { packets_lost: packets, towards_lost: towards, ..TurnHanded::default() }
        };
        self.turn.clear();
        self.turn_findings.clear();
        self.towards = 0;
        handed
    }

    /// Findings go first, so that an owner that sees a digest finds what belongs to it. Returns whether there was room.
    fn send(&mut self, before: &[Digest], after: &[Digest]) -> bool {
        let Ok(findings) = self.findings.write_chunk_uninit(self.turn_findings.len()) else {
            return false;
        };
        let length = before.len() + self.turn.len() + after.len();
        let Ok(digests) = self.digests.write_chunk_uninit(length) else { return false };
        findings.fill_from_iter(self.turn_findings.iter().copied());
        digests.fill_from_iter(before.iter().chain(&self.turn).chain(after).copied());
        true
    }
}

/// The way from one receiver.
#[derive(Debug)]
struct Inlet {
    digests: Consumer<Digest>,
    findings: Consumer<Findings>,
    /// When the turn at the head of the ring was received, where turns begin with a mark.
    received: Timestamp,
    /// The number of the detection that the sender had moved on to when it sent the last mark that was taken.
    detection: u64,
}

impl Inlet {
    /// Takes one turn up to its mark, if it fits. A turn is put into the ring in one piece, so the mark is there if anything is.
    fn take_turn(&mut self, turn: &mut Gathered) -> Option<Timestamp> {
        let begin = turn.digests.len();
        let there = self.digests.slots().min(TURN_DIGESTS_MAX - begin);
        let chunk = self.digests.read_chunk(there).ok()?;
        let (first, second) = chunk.as_slices();
        let is_mark = |digest: &Digest| digest.marks.has(Marks::TURN);
        let length = first.iter().chain(second).position(is_mark)?;
        let mark = *first.iter().chain(second).nth(length)?;
        let (first, rest) = first.split_at(length.min(first.len()));
        turn.digests.extend_from_slice(first);
        if rest.is_empty() {
            let (second, _) = second.split_at_checked(length - first.len())?;
            turn.digests.extend_from_slice(second);
        }
        chunk.commit(length + 1);
        let taken = turn.digests.iter().skip(begin);
        let found = taken.filter(|digest| digest.marks.has(Marks::FINDINGS)).count();
        let findings = self.findings.read_chunk(found).ok()?;
        let (first, second) = findings.as_slices();
        turn.findings.extend_from_slice(first);
        turn.findings.extend_from_slice(second);
        findings.commit_all();
        self.detection = mark.sequence;
        Some(mark.time)
    }
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "the numbers of these tests are small"
)]
mod tests;
