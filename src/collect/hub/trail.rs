//! The newest of a sequence, and how many went before them.

use std::collections::VecDeque;

/// The newest `bound` of everything that was ever pushed. A place is the number of those pushed before.
#[derive(Debug)]
pub(super) struct Trail<T> {
    kept: VecDeque<T>,
    bound: usize,
    forgotten: u64,
}

impl<T> Trail<T> {
    /// A trail of at most `bound`, at least 1.
    pub(super) fn new(bound: usize) -> Self {
        let bound = bound.max(1);
        Self { kept: VecDeque::with_capacity(bound), bound, forgotten: 0 }
    }

    /// Adds one. Returns the one that it took the room of.
    pub(super) fn push(&mut self, item: T) -> Option<T> {
        let oldest = if self.kept.len() == self.bound { self.kept.pop_front() } else { None };
        self.forgotten += u64::from(oldest.is_some());
        self.kept.push_back(item);
        oldest
    }

    /// The place of the next one to come: how many were ever pushed.
    pub(super) fn end(&self) -> u64 {
        self.forgotten + self.kept.len() as u64
    }

    /// The place of the oldest that is kept: how many were forgotten.
    pub(super) const fn begin(&self) -> u64 {
        self.forgotten
    }

    /// The one at `place`, if it has come and is kept.
    pub(super) fn at(&self, place: u64) -> Option<&T> {
        let index = place.checked_sub(self.forgotten)?;
        self.kept.get(usize::try_from(index).ok()?)
    }

    /// The place of the first kept one that `is_behind` holds for, which must hold for all after it; the end if for none.
    pub(super) fn place_where(&self, is_behind: impl Fn(&T) -> bool) -> u64 {
        self.forgotten + self.kept.partition_point(|item| !is_behind(item)) as u64
    }

    pub(super) fn oldest(&self) -> Option<&T> {
        self.kept.front()
    }

    pub(super) fn newest(&self) -> Option<&T> {
        self.kept.back()
    }
}
