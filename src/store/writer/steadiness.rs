//! Whether the wall clock can be trusted to say what is old: it may be years off for a while after a start, or for a moment.

use std::time::{Duration, Instant};

use crate::store::Expiry;
use crate::time::Timestamp;

/// How long it has to go as fast as time does before anything is removed on its word.
pub(super) const STEADY_FOR: Duration = Duration::from_secs(600);

/// By how much it may be set meanwhile.
const SET_MAX: Duration = Duration::from_secs(3600);

/// Holds the wall clock against the machine's monotonic one.
#[derive(Debug)]
pub(super) struct Steadiness {
    /// What both said when the wall clock was last found astray, or at the start.
    since: (Instant, Timestamp),
}

impl Steadiness {
    pub(super) const fn new(instant: Instant, clock: Timestamp) -> Self {
        Self { since: (instant, clock) }
    }

    /// What the clock's word is good for, now that both say this.
    pub(super) fn look(&mut self, instant: Instant, clock: Timestamp) -> Expiry {
        let passed = instant.saturating_duration_since(self.since.0);
        let told = i128::from(clock.as_nanos()) - i128::from(self.since.1.as_nanos());
        let astray = (told - passed.as_nanos().cast_signed()).unsigned_abs();
        if astray > SET_MAX.as_nanos() {
            tracing::warn!(
                clock = %clock,
                "the clock was set by more than an hour: nothing is removed for its age in the next ten minutes"
            );
            self.since = (instant, clock);
            return Expiry::Suspended;
        }
        if passed < STEADY_FOR { Expiry::Suspended } else { Expiry::ByAge }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_expires_soon_after_a_start_or_after_the_clock_was_set() {
        let (start, clock) = (Instant::now(), Timestamp::from_secs(1_790_000_000));
        let mut steadiness = Steadiness::new(start, clock);
        let mut look = |seconds: u64, ahead: i64| {
            let clock = clock.plus_nanos((i64::try_from(seconds).unwrap() + ahead) * 1_000_000_000);
            steadiness.look(start + Duration::from_secs(seconds), clock)
        };
        assert_eq!(look(0, 0), Expiry::Suspended);
        assert_eq!(look(599, 0), Expiry::Suspended);
        assert_eq!(look(600, 0), Expiry::ByAge);
        // Set a little, as the network's time does.
        assert_eq!(look(700, -1800), Expiry::ByAge);
        // Ten years ahead, for a moment.
        assert_eq!(look(800, 315_360_000), Expiry::Suspended);
        assert_eq!(look(860, 0), Expiry::Suspended);
        assert_eq!(look(1_400, 0), Expiry::Suspended);
        assert_eq!(look(1_460, 0), Expiry::ByAge);
    }
}
