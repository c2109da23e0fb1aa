//! How long to wait before a store is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Doubles the delay with each failure, and shortens each by a random part, so that many sensors don't come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    pub(super) const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// The delay after one more failure: between half of what it would be and all of it.
    pub(super) fn after_failure(&mut self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        let half = self.first.saturating_mul(doubled).min(self.max) / 2;
        // The upper 32 bits of a random number, as a part of one.
        let part =
            f64::from(u32::try_from(random() >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        half + half.mul_f64(part)
    }

    /// It works again: the next failure is a first one.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number that nobody outside can tell: the standard library keys its hashers from the system's random source.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_over_when_it_works() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        let mut whole = 100;
        for _ in 0..200 {
            let delay = backoff.after_failure().as_millis();
            assert!((whole / 2..=whole).contains(&delay), "{delay} of {whole}");
            whole = (whole * 2).min(30_000);
        }
        backoff.reset();
        assert!(backoff.after_failure() <= Duration::from_millis(100));
    }
}
