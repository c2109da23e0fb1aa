//! The bounded way from the writer's thread to an output's. Whoever offers never waits; what finds no room is refused, and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::stats::OutputStats;
use crate::event::Board;

/// Something that records are made of.
#[derive(Debug)]
pub(super) struct Piece<T> {
    pub(super) of: T,
    /// What it keeps in memory, in rows.
    rows: u64,
}

/// The end that is offered to.
#[derive(Debug)]
pub(super) struct Offer<T> {
    sender: Sender<Piece<T>>,
    held: Arc<AtomicU64>,
    rows_max: u64,
    stats: Board<OutputStats>,
}

/// The end that is taken from.
#[derive(Debug)]
pub(super) struct Taken<T> {
    pub(super) receiver: Receiver<Piece<T>>,
    held: Arc<AtomicU64>,
}

/// A queue of at most `pieces_max` pieces that keep at most `rows_max` rows in memory.
pub(super) fn queue<T>(
    pieces_max: usize,
    rows_max: u64,
    stats: &Board<OutputStats>,
) -> (Offer<T>, Taken<T>) {
    let (sender, receiver) = bounded(pieces_max);
    let held = Arc::new(AtomicU64::new(0));
    let offer = Offer { sender, held: Arc::clone(&held), rows_max, stats: stats.clone() };
    (offer, Taken { receiver, held })
}

impl<T> Offer<T> {
    /// Offers something that so many records will be made of, and that keeps so many rows in memory.
    pub(super) fn offer(&self, of: T, records: u64, rows: u64) {
        // Before it is sent: the other thread may be done with it before this one goes on.
        self.stats.change(|stats| stats.offer(records));
        let held = self.held.fetch_add(rows, Ordering::Relaxed);
        // One alone always finds room: no single piece is without bound.
        let has_room = held == 0 || held.saturating_add(rows) <= self.rows_max;
        if !has_room || self.sender.try_send(Piece { of, rows }).is_err() {
            self.held.fetch_sub(rows, Ordering::Relaxed);
            self.stats.change(|stats| stats.refuse(records));
        }
    }
}

impl<T> Taken<T> {
    /// What `piece` was made of is no longer needed.
    pub(super) fn let_go(&self, piece: Piece<T>) {
        let Piece { of, rows } = piece;
        drop(of);
        self.held.fetch_sub(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_refused_and_counted() {
        let stats = Board::new(OutputStats::default());
        let (offer, taken) = queue(2, 10, &stats);
        offer.offer("larger than the bound, and alone", 3, 12);
        offer.offer("refused for its rows", 2, 1);
        let piece = taken.receiver.try_recv().unwrap();
        taken.let_go(piece);
        offer.offer("fits", 1, 5);
        offer.offer("fits, too", 1, 5);
        let piece = taken.receiver.try_recv().unwrap();
        taken.let_go(piece);
        offer.offer("fits again", 1, 1);
        offer.offer("refused for the number of pieces", 4, 1);
        let seen = stats.read();
        assert_eq!((seen.offered, seen.refused, seen.waiting), (12, 6, 6));
        assert_eq!(seen.unaccounted(), 0);
    }

    #[test]
    fn what_nobody_takes_any_more_is_refused() {
        let stats = Board::new(OutputStats::default());
        let (offer, taken) = queue(2, 10, &stats);
        drop(taken);
        offer.offer("late", 1, 1);
        assert_eq!(stats.read().refused, 1);
    }
}
