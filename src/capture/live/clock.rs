//! Packet time of a live capture.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::time::{NANOS_PER_SECOND, Timestamp};

/// The time of day at the start, carried on by the monotonic clock (`CLOCK_MONOTONIC`): no step of the system's clock makes packet
/// time jump or stand still. How far the two have come apart is [`LiveClock::skew_nanos`].
#[derive(Clone, Copy, Debug)]
pub struct LiveClock {
    /// What has to be added to the monotonic clock.
    offset_nanos: i64,
}

impl LiveClock {
    /// A clock that shows the time of day now.
    #[must_use]
    pub fn start() -> Self {
        Self { offset_nanos: read(ClockId::Realtime).saturating_sub(read(ClockId::Monotonic)) }
    }

    /// The time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        self.of_monotonic(read(ClockId::Monotonic))
    }

    /// The time when the monotonic clock showed `nanos`.
    #[must_use]
    pub const fn of_monotonic(self, nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos.saturating_add(self.offset_nanos))
    }

    /// How far the system's clock is ahead of this one: what it was set or slewed by since the start.
    #[must_use]
    pub fn skew_nanos(self) -> i64 {
        read(ClockId::Realtime).saturating_sub(self.now().as_nanos())
    }
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(NANOS_PER_SECOND).saturating_add(time.tv_nsec)
}

/// Gives frames their times: never earlier than the horizon, which never goes back.
///
/// A frame bears the time that the kernel or the card stated, if it did. Others share the time since the last look evenly, in the order
/// in which they lie in the ring.
#[derive(Debug)]
pub struct Stamper {
    clock: LiveClock,
    horizon: Timestamp,
    /// How long a frame can be under way after the time that it states.
    lag_nanos: i64,
    /// When this turn began, and the one before.
    now: Timestamp,
    before: Timestamp,
    /// What the system's clock is ahead by; read once in a turn that needs it.
    skew_nanos: Option<i64>,
    frames: i64,
    given: i64,
}

impl Stamper {
    /// A stamper for frames that come as soon as they are seen.
    #[must_use]
    pub fn new(clock: LiveClock) -> Self {
        Self::lagging(clock, Duration::ZERO)
    }

    /// A stamper for frames that come up to `lag` after the time that they state: its horizon is so much behind the clock.
    #[must_use]
    pub fn lagging(clock: LiveClock, lag: Duration) -> Self {
        let now = clock.now();
        Self {
            clock,
            horizon: now,
            lag_nanos: i64::try_from(lag.as_nanos()).unwrap_or(i64::MAX),
            now,
            before: now,
            skew_nanos: None,
            frames: 0,
            given: 0,
        }
    }

    /// No frame will be given an earlier time.
    #[must_use]
    pub const fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// Begins a turn: reads the clock, once.
    pub fn begin(&mut self) {
        self.before = self.now;
        self.now = self.clock.now();
        self.skew_nanos = None;
    }

    /// `frames` frames follow, which all came since the last turn as far as is known.
    pub fn expect(&mut self, frames: usize) {
        self.frames = i64::try_from(frames).unwrap_or(i64::MAX);
        self.given = 0;
    }

    /// The time of the next frame, of which nothing more is known.
    pub fn next_in_row(&mut self) -> Timestamp {
        self.given += 1;
        let share = self.now.nanos_since(self.before) / (self.frames.max(1) + 1);
        self.not_before_horizon(self.before.plus_nanos(share.saturating_mul(self.given)))
    }

    /// The time of the next frame, which was seen when the monotonic clock showed `nanos`.
    pub fn next_at_monotonic(&mut self, nanos: i64) -> Timestamp {
        // What claims to come from the future is of now.
        let stated = self.clock.of_monotonic(nanos).min(self.now);
        self.not_before_horizon(stated)
    }

    /// The time of the next frame, which was seen when the system's clock showed `nanos`.
    pub fn next_at_realtime(&mut self, nanos: i64) -> Timestamp {
        let clock = self.clock;
        let skew = *self.skew_nanos.get_or_insert_with(|| clock.skew_nanos());
        let stated = Timestamp::from_nanos(nanos.saturating_sub(skew)).min(self.now);
        self.not_before_horizon(stated)
    }

    /// Ends a turn: what comes later is later than what came, and no earlier than the turn's beginning, less the lag.
    pub fn end(&mut self) {
        let seen_by_now = self.now.plus_nanos(self.lag_nanos.saturating_neg());
        self.horizon = self.horizon.plus_nanos(1).max(seen_by_now);
    }

    fn not_before_horizon(&mut self, stated: Timestamp) -> Timestamp {
        self.horizon = self.horizon.max(stated);
        self.horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(time: Timestamp) -> i64 {
        time.as_nanos()
    }

    #[test]
    fn times_grow_and_stay_below_the_next_horizon() {
        let clock = LiveClock::start();
        let mut stamper = Stamper::new(clock);
        let mut last = stamper.horizon();
        for turn in 0..100_i64 {
            stamper.begin();
            stamper.expect(3);
            let stated = read(ClockId::Monotonic);
            let times = [
                stamper.next_in_row(),
                stamper.next_at_monotonic(stated - 1_000_000 * (turn % 3)),
                stamper.next_at_monotonic(i64::MAX),
                stamper.next_at_realtime(0),
                stamper.next_in_row(),
            ];
            for time in times {
                assert!(time >= last, "turn {turn}: {} after {}", nanos(time), nanos(last));
                last = time;
            }
            stamper.end();
            assert!(stamper.horizon() > last, "what was given lies before the horizon");
        }
    }

    #[test]
    fn a_frame_that_states_its_time_bears_it() {
        let clock = LiveClock::start();
        let mut stamper = Stamper::new(clock);
        let seen = read(ClockId::Monotonic);
        let of_day = read(ClockId::Realtime);
        stamper.begin();
        assert_eq!(stamper.next_at_monotonic(seen), clock.of_monotonic(seen));
        let stated = nanos(stamper.next_at_realtime(of_day));
        assert!((stated - of_day).abs() < 1_000_000, "within what lies between two readings");
    }

    #[test]
    fn frames_without_a_time_share_the_time_since_the_last_look() {
        let mut stamper = Stamper::new(LiveClock::start());
        stamper.begin();
        stamper.end();
        std::thread::sleep(Duration::from_millis(2));
        stamper.begin();
        stamper.expect(4);
        let times: Vec<i64> = (0..4).map(|_| nanos(stamper.next_in_row())).collect();
        let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap == gaps[0]), "{gaps:?}");
        assert!(gaps[0] >= 2_000_000 / 5, "{gaps:?}");
        assert!(*times.last().unwrap() < nanos(stamper.now));
    }
}
