//! The order of owners whose frames come from queues: by time.
//!
//! Every receiver states a *horizon*: it will hand over no digest of before it. An owner takes what lies before the lowest horizon, in
//! the order of time; where times are equal, in the order of the receivers. So it sees the packets in an order that depends on their
//! times alone, however the threads were scheduled, and a replay of the same packets with the same times gives the same verdicts.
//!
//! A receiver that falls behind for longer than the owner's patience is no longer waited for. What it hands over later is taken when
//! it comes, and counted as late: then, and only then, the order was not that of time. The same holds when what waits meanwhile has
//! filled a ring by half: rather out of order than lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crossbeam_utils::CachePadded;

use super::{Gather, Gathered, Inlet, Marks};
use crate::capture::TURN_FRAMES_MAX;
use crate::time::Timestamp;

/// The horizon of a receiver that has not looked for frames yet.
const NOT_BEGUN: i64 = i64::MIN;

/// How far behind a receiver may be that is waited for while a ring is half full, for each place in the ring: a quarter of the time in
/// which a million packets a second fill it, so that what comes meanwhile fits into the other half.
const PRESSED_PATIENCE_NANOS_PER_SLOT: i64 = 250;

/// One owner's view of all receivers' time.
#[derive(Debug)]
pub(super) struct ByTime {
    me: usize,
    /// Nanoseconds; each is written by one receiver.
    horizons: Arc<[CachePadded<AtomicI64>]>,
    patience_nanos: i64,
    /// The place of the last digest that was taken in order.
    newest: Place,
    turns: u64,
}

impl ByTime {
    pub(super) fn of(workers: usize, patience_nanos: i64) -> Vec<Self> {
        let horizons: Arc<[_]> =
            (0..workers).map(|_| CachePadded::new(AtomicI64::new(NOT_BEGUN))).collect();
        let one = |me| Self {
            me,
            horizons: Arc::clone(&horizons),
            patience_nanos,
            newest: (Timestamp::from_nanos(i64::MIN), 0),
            turns: 0,
        };
        (0..workers).map(one).collect()
    }

    pub(super) fn advance(&self, horizon: Timestamp) {
        if let Some(own) = self.horizons.get(self.me) {
            // Release: whoever sees the horizon sees what was handed over before it.
            own.store(horizon.as_nanos(), Ordering::Release);
        }
    }

    /// Takes up to [`TURN_FRAMES_MAX`] digests.
    pub(super) fn gather(&mut self, inlets: &mut [Inlet], turn: &mut Gathered) -> Gather {
        let (end, all_left) = self.horizon(inlets, self.patience_nanos);
        self.take_until(end, inlets, turn);
        if turn.digests.is_empty()
            && let Some(pressed) = inlets.iter().find(|inlet| inlet.is_half_full())
        {
            let slots = i64::try_from(pressed.slots()).unwrap_or(i64::MAX);
            let pressed_nanos = slots.saturating_mul(PRESSED_PATIENCE_NANOS_PER_SLOT);
            let (end, _) = self.horizon(inlets, self.patience_nanos.min(pressed_nanos));
            self.take_until(end, inlets, turn);
        }
        if !turn.digests.is_empty() {
            turn.end(self.turns, turn.received);
            self.turns += 1;
            return Gather::Turn;
        }
        if all_left { Gather::End } else { Gather::Waiting }
    }

    /// Takes what comes before `end`, as far as it fits.
    fn take_until(&mut self, end: Place, inlets: &mut [Inlet], turn: &mut Gathered) {
        while turn.digests.len() < TURN_FRAMES_MAX
            && let Some((first, until)) = earliest(inlets, end)
            && let Some(inlet) = inlets.get_mut(first)
        {
            self.take_run(first, inlet, until, turn);
        }
    }

    /// Up to where digests may be taken where receivers that are behind by more than this are not waited for, and whether no receiver will
    /// hand over any more.
    ///
    /// Horizons are read before the rings: what was handed over before a horizon was stated is then seen.
    fn horizon(&self, inlets: &[Inlet], patience_nanos: i64) -> (Place, bool) {
        let stated = |receiver: usize| {
            self.horizons.get(receiver).map_or(i64::MAX, |stated| stated.load(Ordering::Acquire))
        };
        let now = stated(self.me);
        // One that has not begun will, with frames that wait for it already; but not at the cost of others' frames.
        let waits_for_the_first = patience_nanos == self.patience_nanos;
        let mut end = END_OF_TIME;
        let mut all_left = true;
        for (receiver, inlet) in inlets.iter().enumerate() {
            if inlet.digests.is_abandoned() {
                continue;
            }
            all_left = false;
            let horizon = stated(receiver);
            let is_waited_for = match horizon {
                NOT_BEGUN if receiver != self.me => waits_for_the_first,
                _ => now.saturating_sub(horizon) <= patience_nanos,
            };
            if is_waited_for {
                end = end.min((Timestamp::from_nanos(horizon), 0));
            }
        }
        (end, all_left)
    }

    /// Takes the digests of the receiver numbered `first` that come before `until`.
    fn take_run(&mut self, first: usize, inlet: &mut Inlet, until: Place, turn: &mut Gathered) {
        while turn.digests.len() < TURN_FRAMES_MAX
            && let Some(time) = inlet.next_time()
            && (time, first) < until
            && let Ok(digest) = inlet.digests.pop()
        {
            turn.late += u64::from((time, first) < self.newest);
            self.newest = self.newest.max((time, first));
            turn.received = turn.received.min(inlet.received);
            if digest.marks.has(Marks::FINDINGS)
                && let Ok(findings) = inlet.findings.pop()
            {
                turn.findings.push(findings);
            }
            turn.digests.push(digest);
        }
    }
}

/// A place in the order: a time, and at equal times the number of the receiver.
type Place = (Timestamp, usize);

/// Behind every digest.
const END_OF_TIME: Place = (Timestamp::from_nanos(i64::MAX), usize::MAX);

/// The receiver whose next digest is the earliest of all that come before `end`, and the place up to which no other one's comes before
/// it.
fn earliest(inlets: &mut [Inlet], end: Place) -> Option<(usize, Place)> {
    let mut first = None;
    let mut until = end;
    for (receiver, inlet) in inlets.iter_mut().enumerate() {
        let Some(time) = inlet.next_time() else { continue };
        let place = (time, receiver);
        match first {
            _ if place >= until => {}
            Some(earlier) if earlier < place => until = place,
            _ => {
                until = first.unwrap_or(end);
                first = Some(place);
            }
        }
    }
    first.map(|(_, receiver)| (receiver, until))
}

impl Inlet {
    /// Whether half of the ring is taken.
    fn is_half_full(&self) -> bool {
        self.digests.slots() * 2 >= self.slots()
    }

    fn slots(&self) -> usize {
        self.digests.buffer().capacity()
    }

    /// The time of the next digest, if there is one. Marks before it are taken.
    fn next_time(&mut self) -> Option<Timestamp> {
        loop {
            let digest = self.digests.peek().ok()?;
            if !digest.marks.has(Marks::TURN) {
                return Some(digest.time);
            }
            (self.received, self.detection) = (digest.time, digest.sequence);
            self.digests.pop().ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Digest, Findings, Handover, Order, TurnHanded, mesh};
    use super::*;

    const PATIENT: Order = Order::Time { patience_nanos: i64::MAX };

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    /// A packet of `receiver`, told apart by its sequence number.
    fn packet(time: i64, sequence: u64) -> Digest {
        Digest { time: at(time), sequence, marks: Marks::default(), ..Digest::turn(at(0), 0) }
    }

    /// All that an owner can take now: sequence number, time, and the first rule that was found.
    fn take_all(owner: &mut Handover) -> (Vec<(u64, i64, u16)>, Gather) {
        let mut turn = Gathered::new();
        let mut taken = Vec::new();
        loop {
            match owner.gather(&mut turn) {
                Gather::Turn => taken.extend(turn.packets().map(|(digest, findings)| {
                    (digest.sequence, digest.time.as_nanos(), findings.rules[0])
                })),
                other => return (taken, other),
            }
        }
    }

    #[test]
    fn a_digest_is_taken_when_no_receiver_can_hand_over_an_earlier_one() {
        let mut mesh = mesh(2, PATIENT);
        mesh[0].put(0, packet(10, 1), &Findings::default());
        assert_eq!(mesh[0].end_turn(at(0)).packets, 1);
        mesh[0].advance(at(11));
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting), "the other may have earlier");
        mesh[1].put(0, packet(9, 2), &Findings::default());
        assert_eq!(mesh[1].end_turn(at(0)).packets, 1);
        mesh[1].advance(at(10));
        assert_eq!(take_all(&mut mesh[0]).0, [(2, 9, 0)]);
        mesh[1].advance(at(11));
        assert_eq!(take_all(&mut mesh[0]).0, [(1, 10, 0)]);
    }

    #[test]
    fn a_receiver_that_has_fallen_behind_is_not_waited_for_and_its_late_digests_are_counted() {
        let mut mesh = mesh(2, Order::Time { patience_nanos: 5 });
        mesh[0].put(0, packet(100, 1), &Findings::default());
        assert_eq!(mesh[0].end_turn(at(0)).packets, 1);
        mesh[0].advance(at(101));
        mesh[1].advance(at(95));
        assert_eq!(take_all(&mut mesh[0]).0, [(1, 100, 0)], "six behind is more than five");
        mesh[1].put(0, packet(96, 2), &Findings::default());
        mesh[1].put(0, packet(100, 3), &Findings::default());
        assert_eq!(mesh[1].end_turn(at(0)).packets, 2);
        mesh[1].advance(at(101));
        let mut turn = Gathered::new();
        assert_eq!(mesh[0].gather(&mut turn), Gather::Turn);
        assert_eq!(
            (turn.digests().len(), turn.late()),
            (2, 1),
            "at the same time, the later receiver is not late"
        );
    }

    #[test]
    fn a_receiver_that_has_not_begun_is_waited_for() {
        let mut mesh = mesh(2, Order::Time { patience_nanos: 5 });
        mesh[0].put(0, packet(100, 1), &Findings::default());
        assert_eq!(mesh[0].end_turn(at(0)).packets, 1);
        mesh[0].advance(at(1_000));
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting));
        mesh[1].advance(at(999));
        assert_eq!(take_all(&mut mesh[0]).0, [(1, 100, 0)]);
    }

    /// One source can send all that a queue takes, and one of 64 workers can stand still.
    #[test]
    fn nothing_is_lost_to_a_receiver_that_stands_still_however_many_workers_there_are() {
        const EVERY_NANOS: i64 = 1_000;
        for workers in [2, 4, 8, 64] {
            for begun in [true, false] {
                let mut mesh = mesh(workers, Order::Time { patience_nanos: 20_000_000 });
                let (mut lost, mut sent) = (0, 0);
                let mut taken = Vec::new();
                for receiver in mesh.iter().take(workers - usize::from(!begun)) {
                    receiver.advance(at(0));
                }
                // 40 ms of a million packets a second, all for one owner; the last worker stands still.
                for turn in 0..156 {
                    for packet_of_turn in 0..256 {
                        let number: u64 = turn * 256 + packet_of_turn;
                        sent += 1;
                        let time = i64::try_from(number).unwrap() * EVERY_NANOS;
                        mesh[1].put(0, packet(time, number), &Findings::default());
                    }
                    lost += mesh[1].end_turn(at(0)).packets_lost;
                    let now = at(i64::try_from(turn + 1).unwrap() * 256 * EVERY_NANOS);
                    for running in mesh.iter().take((workers - 1).max(2)) {
                        running.advance(now);
                    }
                    taken.extend(take_all(&mut mesh[0]).0);
                }
                assert_eq!(lost, 0, "{workers} workers of {sent} packets");
                assert!(taken.is_sorted(), "what came was in order: {workers} workers");
                assert!(taken.len() > 10_000, "{workers} workers: {} taken", taken.len());
            }
        }
    }

    #[test]
    fn the_end_comes_when_all_have_left_and_everything_was_taken() {
        let mut mesh = mesh(2, PATIENT);
        mesh[1].put(0, packet(1, 7), &Findings::default());
        assert_eq!(mesh[1].end_turn(at(0)).packets, 1);
        mesh[1].close();
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting), "the first may have earlier");
        mesh[0].close();
        assert_eq!(take_all(&mut mesh[0]), (vec![(7, 1, 0)], Gather::End));
    }

    #[test]
    fn an_owner_is_settled_when_it_has_taken_all_that_came_before_every_sender_moved_on() {
        let mut mesh = mesh(2, PATIENT);
        mesh[0].put(0, packet(10, 1), &Findings::default());
        assert_eq!(mesh[0].end_turn(at(0)).packets, 1);
        mesh[0].move_on(1);
        mesh[0].advance(at(11));
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting));
        assert_eq!(mesh[0].settled(), 0, "the other has not moved on");
        mesh[1].move_on(1);
        mesh[1].advance(at(9));
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting));
        assert_eq!(mesh[0].settled(), 0, "a packet of before is not taken yet");
        mesh[1].advance(at(11));
        assert_eq!(take_all(&mut mesh[0]).0, [(1, 10, 0)]);
        assert_eq!(
            take_all(&mut mesh[1]),
            (vec![], Gather::Waiting),
            "owners of nothing hear it too"
        );
        assert_eq!((mesh[0].settled(), mesh[1].settled()), (1, 1));
        mesh[1].close();
        mesh[0].move_on(2);
        assert_eq!(take_all(&mut mesh[0]), (vec![], Gather::Waiting));
        assert_eq!(mesh[0].settled(), 2, "who has left hands over nothing");
    }

    #[test]
    fn an_owner_without_room_hears_later_that_a_sender_moved_on() {
        let mut mesh = mesh(1, PATIENT);
        let mut time = 0;
        while mesh[0].outlets[0].digests.slots() > 0 {
            time += 1;
            mesh[0].put(0, packet(time, 1), &Findings::default());
            mesh[0].end_turn(at(time));
            if mesh[0].outlets[0].digests.slots() == 1 {
                // A turn is at least two.
                mesh[0].move_on(1);
            }
        }
        mesh[0].move_on(2);
        mesh[0].advance(at(time + 1));
        take_all(&mut mesh[0]);
        assert!(mesh[0].settled() < 2, "there was no room to say it");
        mesh[0].move_on(2);
        take_all(&mut mesh[0]);
        assert_eq!(mesh[0].settled(), 2);
    }

    #[test]
    fn a_turn_that_finds_no_room_is_lost_whole_and_counted_and_nobody_waits_for_it() {
        let mut mesh = mesh(1, PATIENT);
        let (mut handed, mut sent) = (TurnHanded::default(), 0);
        while handed.packets_lost == 0 {
            for _ in 0..TURN_FRAMES_MAX {
                sent += 1;
                mesh[0].put(0, packet(sent, 1), &Findings::default());
            }
            let turn = mesh[0].end_turn(at(sent));
            handed.add(&turn);
            mesh[0].advance(at(sent + 1));
        }
        assert_eq!(handed.packets_lost, TURN_FRAMES_MAX as u64);
        assert_eq!(handed.packets + handed.packets_lost, sent.unsigned_abs());
        let (taken, _) = take_all(&mut mesh[0]);
        assert_eq!(taken.len() as u64, handed.packets);
    }

    proptest! {
        /// However receiving, handing over and gathering interleave, every owner takes exactly its digests, in the order of time.
        #[test]
        fn the_order_does_not_depend_on_who_runs_when(
            gaps in prop::collection::vec((0..3_usize, 0..4_i64, 0..3_usize, 0..4_u16), 1..300),
            runs in prop::collection::vec((0..6_usize, 1..9_usize), 1..200),
        ) {
            let workers = 3;
            let mut mesh = mesh(workers, PATIENT);
            // What each receiver will receive, in order.
            let mut clocks = vec![0; workers];
            let mut queues = vec![Vec::new(); workers];
            let mut expected = vec![Vec::new(); workers];
            for (sequence, (receiver, gap, owner, rule)) in (0_u64..).zip(gaps) {
                clocks[receiver] += gap;
                queues[receiver].push((owner, packet(clocks[receiver], sequence), rule));
                expected[owner].push((clocks[receiver], receiver, sequence, rule));
            }
            let mut queues: Vec<_> = queues.into_iter().map(Vec::into_iter).map(Iterator::peekable).collect();
            let mut seen = vec![Vec::new(); workers];
            for (what, how_many) in runs {
                let worker = what % workers;
                if what < workers {
                    let mut last = None;
                    for (owner, digest, rule) in queues[worker].by_ref().take(how_many) {
                        let mut findings = Findings::default();
                        if rule > 0 {
                            findings.push_rule(rule);
                        }
                        mesh[worker].put(owner, digest, &findings);
                        last = Some(digest.time);
                    }
                    mesh[worker].end_turn(at(0));
                    // The next may have the same time as the last.
                    if let Some(last) = last {
                        mesh[worker].advance(last);
                    }
                } else {
                    seen[worker].extend(take_all(&mut mesh[worker]).0);
                }
            }
            for (worker, rest) in queues.into_iter().enumerate() {
                for (owner, digest, rule) in rest {
                    let mut findings = Findings::default();
                    if rule > 0 {
                        findings.push_rule(rule);
                    }
                    mesh[worker].put(owner, digest, &findings);
                    mesh[worker].end_turn(at(0));
                }
                mesh[worker].close();
            }
            for (owner, handover) in mesh.iter_mut().enumerate() {
                let (taken, end) = take_all(handover);
                seen[owner].extend(taken);
                prop_assert_eq!(end, Gather::End);
                expected[owner].sort_by_key(|(time, receiver, sequence, _)| (*time, *receiver, *sequence));
                let expected: Vec<_> =
                    expected[owner].iter().map(|(time, _, sequence, rule)| (*sequence, *time, *rule)).collect();
                prop_assert_eq!(&seen[owner], &expected);
            }
        }
    }
}
