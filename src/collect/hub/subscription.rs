//! One subscriber's place on the hub's trails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Notice, Shared, State};
use crate::event::{Event, EventId};

/// A seat at the hub, given back when it is dropped.
///
/// It has to be asked now and then, also when nothing is expected: a subscriber that has not asked for
/// [`STALLED_AFTER`](super::STALLED_AFTER) can lose its seat.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    seat: u64,
    start: Start,
    /// Places on the trails: those of the next ones to take.
    events: u64,
    notices: u64,
    /// The last event taken, or resumed after.
    position: Option<EventId>,
}

/// Where a subscription began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first event to come after `newest`; `None`: nothing was published yet.
    Now {
        /// The newest event at that moment.
        newest: Option<EventId>,
    },
    /// With the event right after `after`: nothing is missing.
    Resumed {
        /// The event asked for.
        after: EventId,
    },
    /// `after` is older than what is kept: what lies between it and `first` has to be found elsewhere.
    Behind {
        /// The event asked for.
        after: EventId,
        /// The first event that this subscription gives; `None`: nothing was published yet.
        first: Option<EventId>,
    },
}

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// A new event.
    Event(EventId, Arc<Event>),
    /// Something about the sensor.
    Notice(Arc<Notice>),
    /// The subscriber was too slow.
    Gap(Gap),
}

/// What a subscriber that was too slow has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Events lost.
    pub events: u64,
    /// Notices lost.
    pub notices: u64,
    /// The last event before the loss: whoever resumes after it loses nothing. `None`: there was none.
    pub after: Option<EventId>,
}

impl Subscription {
    pub(super) const fn new(
        shared: Arc<Shared>,
        seat: u64,
        start: Start,
        events: u64,
        notices: u64,
    ) -> Self {
        let position = match start {
            Start::Now { newest } => newest,
            Start::Resumed { after } | Start::Behind { after, .. } => Some(after),
        };
        Self { shared, seat, start, events, notices, position }
    }

    /// Where it began.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// The last event taken, or resumed after, or published before the subscription began.
    #[must_use]
    pub const fn position(&self) -> Option<EventId> {
        self.position
    }

    /// At most `max` updates (one more, if there is a gap to tell of), without waiting. `None`: the subscription has ended.
    pub fn take(&mut self, max: usize) -> Option<Vec<Update>> {
        self.take_at(max, Instant::now())
    }

    pub(super) fn take_at(&mut self, max: usize, now: Instant) -> Option<Vec<Update>> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let seat = state.seats.iter_mut().find(|seat| seat.number == self.seat)?;
        seat.asked = now;
        let mut updates = Vec::new();
        self.take_gap(&state, &mut updates);
        updates.extend(std::iter::from_fn(|| self.take_next(&state)).take(max));
        let ended = updates.is_empty() && state.closed;
        (!ended).then_some(updates)
    }

    /// Waits for updates, at most `max` of them (one more, if there is a gap to tell of). `None`: the subscription has ended.
    /// Loses nothing when it is dropped while it waits.
    pub async fn next(&mut self, max: usize) -> Option<Vec<Update>> {
        let shared = Arc::clone(&self.shared);
        loop {
            // Made before the look, so that what is published after the look is not slept through.
            let changed = shared.changed.notified();
            let updates = self.take(max)?;
            if !updates.is_empty() {
                return Some(updates);
            }
            changed.await;
        }
    }

    /// Steps over what is kept no more.
    fn take_gap(&mut self, state: &State, updates: &mut Vec<Update>) {
        let events = state.events.begin().saturating_sub(self.events);
        let notices = state.notices.begin().saturating_sub(self.notices);
        if events == 0 && notices == 0 {
            return;
        }
        self.events += events;
        self.notices += notices;
        self.shared.missed.fetch_add(events, Ordering::Relaxed);
        updates.push(Update::Gap(Gap { events, notices, after: self.position }));
    }

    /// The next update: a notice, if it was published before the next event.
    fn take_next(&mut self, state: &State) -> Option<Update> {
        if let Some((before, notice)) = state.notices.at(self.notices)
            && *before <= self.events
        {
            self.notices += 1;
            return Some(Update::Notice(Arc::clone(notice)));
        }
        let (id, event) = state.events.at(self.events)?;
        self.events += 1;
        self.position = Some(*id);
        Some(Update::Event(*id, Arc::clone(event)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().seats.retain(|seat| seat.number != self.seat);
    }
}
