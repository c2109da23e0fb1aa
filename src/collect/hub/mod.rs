//! New events on their way to whoever watches: bounded, never waited for.
//!
//! There is one trail of the newest events and one of the newest notices, the same for everybody; a subscription is a place
//! on each. So a slow subscriber costs no memory of its own: when the trail's end passes its place it has lost what lay
//! between, and is told exactly how much. The publisher takes a lock that is held for a few copies of pointers at a time,
//! and wakes whoever waits.

mod notice;
mod subscription;
mod trail;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::event::{Epoch, Event, EventId};

use trail::Trail;

pub use notice::{Notice, NoticeKind};
pub use subscription::{Gap, Start, Subscription, Update};

/// How much is kept, and for how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubParams {
    /// Events kept: how far a subscriber may fall behind before it loses some, and how far back it can resume.
    pub events: usize,
    /// Notices kept.
    pub notices: usize,
    /// The most subscribers at once.
    pub subscribers: usize,
}

impl Default for HubParams {
    fn default() -> Self {
        Self { events: 1_024, notices: 64, subscribers: 16 }
    }
}

/// A subscriber that has not asked for so long gives its seat to a newcomer, once all seats are taken.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Where new events can be watched. Cheap to clone; all clones are the same hub.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Shared>);

/// What all clones and subscriptions share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told after every change that somebody may wait for.
    changed: Notify,
    /// Events that subscribers have lost.
    missed: AtomicU64,
}

#[derive(Debug)]
struct State {
    events: Trail<(EventId, Arc<Event>)>,
    /// Each with the place on the events' trail that it stands before.
    notices: Trail<(u64, Arc<Notice>)>,
    seats: Vec<Seat>,
    seats_max: usize,
    next_seat: u64,
    refused: u64,
    closed: bool,
}

/// One subscriber.
#[derive(Debug)]
struct Seat {
    number: u64,
    asked: Instant,
}

/// What the hub has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Events published.
    pub published: u64,
    /// Subscribers now.
    pub subscribers: u64,
    /// Events that subscribers have lost because they were too slow, each counted for each of them.
    pub missed: u64,
    /// Subscriptions refused because all seats were taken.
    pub refused: u64,
}

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// All seats are taken.
    #[error(
        "{max} clients watch already, the most there may be; end one of them, or try again later"
    )]
    TooMany {
        /// How many seats there are.
        max: usize,
    },
    /// No such event was published yet.
    #[error("{after} is ahead of the newest event, {newest}")]
    Ahead {
        /// The event asked for.
        after: EventId,
        /// The newest event.
        newest: EventId,
    },
    /// The sensor stops.
    #[error("the sensor is stopping")]
    Closed,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new(HubParams::default())
    }
}

impl Hub {
    /// A hub with all the memory that it will ever have.
    #[must_use]
    pub fn new(params: HubParams) -> Self {
        let HubParams { events, notices, subscribers } = params;
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                events: Trail::new(events),
                notices: Trail::new(notices),
                seats: Vec::with_capacity(subscribers),
                seats_max: subscribers,
                next_seat: 0,
                refused: 0,
                closed: false,
            }),
            changed: Notify::new(),
            missed: AtomicU64::new(0),
        }))
    }

    /// Shows an event to all who watch; events come in ascending order of their names, without gaps within an epoch. Never
    /// waits for a subscriber: who is too slow misses it, and is told.
    pub fn publish(&self, epoch: Epoch, event: &Arc<Event>) {
        let id = EventId { epoch, number: event.number };
        let mut state = self.0.lock();
        if state.closed {
            return;
        }
        let forgotten = state.events.push((id, Arc::clone(event)));
        self.0.wake(state);
        // An event that nobody else holds is freed here, when nobody waits for the lock.
        drop(forgotten);
    }

    /// Tells all who watch about something other than an event.
    pub fn publish_notice(&self, notice: Notice) {
        let mut state = self.0.lock();
        if state.closed {
            return;
        }
        let before = state.events.end();
        let forgotten = state.notices.push((before, Arc::new(notice)));
        self.0.wake(state);
        drop(forgotten);
    }

    /// Subscribes: to what comes from now on, or to what came after the event `after`, as far as it is kept;
    /// [`Subscription::start`] says which it became.
    ///
    /// # Errors
    ///
    /// When all seats are taken, when `after` lies in the future, when the hub is closed.
    pub fn subscribe(&self, after: Option<EventId>) -> Result<Subscription, SubscribeError> {
        self.subscribe_at(after, Instant::now())
    }

    fn subscribe_at(
        &self,
        after: Option<EventId>,
        now: Instant,
    ) -> Result<Subscription, SubscribeError> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(SubscribeError::Closed);
        }
        let (start, place) = state.start(after)?;
        let seat = state.take_seat(now)?;
        // Notices have no names to resume by: a newcomer gets those to come, a returning one those among its events.
        let events = place;
        let notices = state.notices.place_where(|(before, _)| *before >= events);
        let notices = if after.is_some() { notices } else { state.notices.end() };
        drop(state);
        Ok(Subscription::new(Arc::clone(&self.0), seat, start, events, notices))
    }

    /// Ends all subscriptions, those to come too, once they have taken what was published. What is published from now on goes nowhere.
    pub fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.wake(state);
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        let state = self.0.lock();
        HubStats {
            published: state.events.end(),
            subscribers: state.seats.len() as u64,
            missed: self.0.missed.load(Ordering::Relaxed),
            refused: state.refused,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is whole before anything in it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the lock and wakes whoever waits.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let watched = !state.seats.is_empty();
        drop(state);
        if watched {
            self.changed.notify_waiters();
        }
    }
}

impl State {
    /// Where a subscription begins that has seen everything up to `after`, and its place on the trail of events.
    fn start(&self, after: Option<EventId>) -> Result<(Start, u64), SubscribeError> {
        let newest = self.events.newest().map(|(id, _)| *id);
        let Some(after) = after else {
            return Ok((Start::Now { newest }, self.events.end()));
        };
        if let Some(newest) = newest
            && after > newest
        {
            return Err(SubscribeError::Ahead { after, newest });
        }
        let oldest = self.events.oldest().map(|(id, _)| *id);
        let place = self.events.place_where(|(id, _)| *id > after);
        let reaches_back = oldest.is_some_and(|oldest| {
            oldest.epoch == after.epoch && oldest.number <= after.number.saturating_add(1)
                || oldest < after
        });
        if reaches_back {
            Ok((Start::Resumed { after }, place))
        } else {
            Ok((Start::Behind { after, first: oldest }, place))
        }
    }

    /// A seat for a newcomer: a free one, or that of somebody who has stalled.
    fn take_seat(&mut self, now: Instant) -> Result<u64, SubscribeError> {
        if self.seats.len() >= self.seats_max {
            let stalled = self
                .seats
                .iter()
                .position(|seat| now.saturating_duration_since(seat.asked) >= STALLED_AFTER);
            let Some(stalled) = stalled else {
                self.refused += 1;
                return Err(SubscribeError::TooMany { max: self.seats_max });
            };
            self.seats.swap_remove(stalled);
        }
        let number = self.next_seat;
        self.next_seat += 1;
        self.seats.push(Seat { number, asked: now });
        Ok(number)
    }
}
