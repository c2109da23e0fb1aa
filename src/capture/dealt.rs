//! Dealing the batches of one source of frames to several workers, in rotation.
//!
//! Turn `t` goes to worker `t % workers`. Batches travel to the worker and come back empty, so that after the start
//! nothing is allocated.

use crossbeam_utils::Backoff;
use rtrb::{Consumer, Producer, RingBuffer};

use super::{Batch, FrameSource, Received};

/// Batches in flight per worker.
const BATCHES_PER_WORKER: usize = 4;

/// A dealer, and one source of frames for each of `workers` workers.
#[must_use]
pub fn deal(workers: usize) -> (Dealer, Vec<Dealt>) {
    let (hands, dealt) = (0..workers).map(|_| hand()).unzip();
    (Dealer { hands }, dealt)
}

fn hand() -> (Hand, Dealt) {
    let (full, full_out) = RingBuffer::new(BATCHES_PER_WORKER);
    let (mut empty, empty_out) = RingBuffer::new(BATCHES_PER_WORKER);
    for _ in 0..BATCHES_PER_WORKER {
        empty.push(Box::new(Batch::new())).expect("the ring was made for just these");
    }
    (Hand { full, empty: empty_out }, Dealt { full: full_out, empty })
}

/// Reads batches and gives them to the workers in turn.
#[derive(Debug)]
pub struct Dealer {
    hands: Vec<Hand>,
}

#[derive(Debug)]
struct Hand {
    full: Producer<Box<Batch>>,
    empty: Consumer<Box<Batch>>,
}

impl Dealer {
    /// Deals everything that `source` has. Waits for workers that have no empty batch; ends early when one of them left.
    pub fn run<S: FrameSource>(mut self, source: &mut S) {
        let workers = self.hands.len();
        for turn in 0.. {
            let Some(hand) = self.hands.get_mut(turn % workers) else { break };
            let Some(mut batch) = hand.wait_for_empty() else { break };
            let backoff = Backoff::new();
            let received = loop {
                match source.receive(&mut batch) {
                    // The frames that are to come may be far away.
                    Received::Nothing if self.hands.iter().any(Hand::is_left) => return,
                    Received::Nothing if backoff.is_completed() => std::thread::sleep(WAIT),
                    Received::Nothing => backoff.snooze(),
                    received => break received,
                }
            };
            if received == Received::End {
                break;
            }
            let Some(hand) = self.hands.get_mut(turn % workers) else { break };
            if hand.full.push(batch).is_err() {
                break;
            }
        }
    }
}

impl Hand {
    /// Whether its worker is gone.
    fn is_left(&self) -> bool {
        self.empty.is_abandoned()
    }

    fn wait_for_empty(&mut self) -> Option<Box<Batch>> {
        let backoff = Backoff::new();
        loop {
            match self.empty.pop() {
                Ok(batch) => return Some(batch),
                Err(_) if self.is_left() => return None,
                Err(_) if backoff.is_completed() => std::thread::park_timeout(WAIT),
                Err(_) => backoff.snooze(),
            }
        }
    }
}

/// How long the dealer sleeps at most while every batch is in the workers' hands.
const WAIT: std::time::Duration = std::time::Duration::from_micros(50);

/// What one worker is dealt.
#[derive(Debug)]
pub struct Dealt {
    full: Consumer<Box<Batch>>,
    empty: Producer<Box<Batch>>,
}

impl FrameSource for Dealt {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        // Asked first: what was dealt before the dealer left is then seen.
        let dealer_left = self.full.is_abandoned();
        match self.full.pop() {
            Ok(mut dealt) => {
                std::mem::swap(batch, &mut dealt);
                // The ring has room for every batch there is, so this puts the emptied one back without fail.
                drop(self.empty.push(dealt));
                Received::Frames
            }
            Err(_) if dealer_left => Received::End,
            Err(_) => Received::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LinkType;
    use crate::time::Timestamp;

    /// Gives `left` batches of two frames.
    struct Few {
        left: u64,
        turn: u64,
    }

    impl FrameSource for Few {
        fn receive(&mut self, batch: &mut Batch) -> Received {
            if self.left == 0 {
                return Received::End;
            }
            batch.begin(self.turn, self.turn * 2 + 1);
            assert!(batch.push(Timestamp::EPOCH, 1, LinkType::RawIp, &[1]));
            assert!(batch.push(Timestamp::EPOCH, 1, LinkType::RawIp, &[2]));
            self.left -= 1;
            self.turn += 1;
            Received::Frames
        }
    }

    #[test]
    fn every_worker_gets_every_nth_turn_and_nothing_is_left_over() {
        let (dealer, mut hands) = deal(3);
        let deal = move || {
            let mut few = Few { left: 100, turn: 0 };
            dealer.run(&mut few);
            few.turn
        };
        let reader = std::thread::spawn(deal);
        let mut turns = vec![Vec::new(); 3];
        let mut batch = Batch::new();
        let mut ended = [false; 3];
        while !ended.iter().all(|ended| *ended) {
            for (worker, hand) in hands.iter_mut().enumerate() {
                match hand.receive(&mut batch) {
                    Received::Frames => turns[worker].push(batch.turn()),
                    Received::Nothing => std::thread::yield_now(),
                    Received::End => ended[worker] = true,
                }
            }
        }
        assert_eq!(reader.join().unwrap(), 100);
        for (worker, turns) in turns.iter().enumerate() {
            assert_eq!(turns, &(0..100).filter(|t| t % 3 == worker as u64).collect::<Vec<_>>());
        }
    }

    /// Waits for frames that never come.
    struct Silent;

    impl FrameSource for Silent {
        fn receive(&mut self, _: &mut Batch) -> Received {
            Received::Nothing
        }
    }

    #[test]
    fn a_dealer_that_waits_for_frames_ends_when_any_worker_leaves() {
        let (dealer, mut hands) = deal(2);
        let reader = std::thread::spawn(move || dealer.run(&mut Silent));
        drop(hands.pop());
        reader.join().unwrap();
        assert_eq!(hands[0].receive(&mut Batch::new()), Received::End);
    }
}
