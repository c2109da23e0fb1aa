//! The wall clock: read now and then, for what is about this program and not about packets.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Where the time of day comes from.
pub struct WallClock(Box<dyn FnMut() -> Timestamp + Send>);

impl WallClock {
    /// A clock of one's own.
    #[must_use]
    pub fn new(read: impl FnMut() -> Timestamp + Send + 'static) -> Self {
        Self(Box::new(read))
    }
}

impl Default for WallClock {
    /// The system's.
    fn default() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
        })
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// What the clock says, how packet time goes beside it, and how many packets pass in one of its seconds.
#[derive(Debug)]
pub(super) struct Pace {
    clock: WallClock,
    now: Timestamp,
    /// The newest packet's time when the clock was last read for a packet, and what it said.
    beside: Option<(Timestamp, Timestamp)>,
    /// How many packets there had been when the second of `now` began.
    counted: u64,
    per_second: u64,
}

impl Pace {
    pub(super) fn new(mut clock: WallClock) -> Self {
        let now = (clock.0)();
        Self { clock, now, beside: None, counted: 0, per_second: 0 }
    }

    /// What the clock said last.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Packets of the last whole second.
    pub(super) const fn per_second(&self) -> u64 {
        self.per_second
    }

    /// Reads the clock. There have been `packets` since the start.
    pub(super) fn look(&mut self, packets: u64) -> Timestamp {
        let now = (self.clock.0)();
        let seconds = now.as_secs().saturating_sub(self.now.as_secs());
        if let Ok(seconds @ 1..) = u64::try_from(seconds) {
            self.per_second = packets.saturating_sub(self.counted) / seconds;
            self.counted = packets;
        }
        if let Some((_, wall)) = &mut self.beside {
            // A clock that was set back goes on from there.
            *wall = now.min(*wall);
        }
        self.now = now;
        now
    }

    /// Reads the clock beside a packet of `time`.
    pub(super) fn look_beside(&mut self, time: Timestamp, packets: u64) -> Timestamp {
        let now = self.look(packets);
        self.beside = Some((time, now));
        now
    }

    /// Whether `time` is more than `nanos` away from the packet beside which the clock was last read.
    pub(super) fn is_away(&self, time: Timestamp, nanos: u64) -> bool {
        self.beside.is_none_or(|(then, _)| time.as_nanos().abs_diff(then.as_nanos()) > nanos)
    }

    /// The time that a packet would have that came now, if packets keep the time of the clock; `None` before the first one.
    pub(super) fn packet_time(&self) -> Option<Timestamp> {
        self.beside.map(|(time, wall)| time.plus_nanos(self.now.nanos_since(wall)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn hand_set() -> (Arc<AtomicI64>, Pace) {
        let hand = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&hand);
        let clock = WallClock::new(move || Timestamp::from_nanos(read.load(Ordering::Relaxed)));
        (hand, Pace::new(clock))
    }

    #[test]
    fn packets_are_counted_by_whole_seconds() {
        let (hand, mut pace) = hand_set();
        for (millis, packets, per_second) in
            [(500, 10, 0), (1_000, 20, 20), (1_999, 90, 20), (4_500, 95, 25), (4_000, 99, 25)]
        {
            hand.store(millis * 1_000_000, Ordering::Relaxed);
            pace.look(packets);
            assert_eq!(pace.per_second(), per_second, "{millis} ms");
        }
    }

    #[test]
    fn packet_time_goes_on_with_the_clock_and_never_back() {
        let (hand, mut pace) = hand_set();
        assert_eq!(pace.packet_time(), None);
        hand.store(1_000, Ordering::Relaxed);
        pace.look_beside(Timestamp::from_nanos(70), 1);
        for (wall, time) in [(1_000, 70), (1_005, 75), (900, 70), (903, 73)] {
            hand.store(wall, Ordering::Relaxed);
            pace.look(1);
            assert_eq!(pace.packet_time(), Some(Timestamp::from_nanos(time)), "{wall}");
        }
    }
}
