//! Packet time. The data path never reads a clock: time arrives with the frame.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment as nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
///
/// Reaches from 1677 to 2262. Capture files can state moments outside it; those are clamped where they are read.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

impl Timestamp {
    /// The epoch itself.
    pub const EPOCH: Self = Self(0);

    /// The moment `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment `secs` seconds after the epoch, clamped to what can be held.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SECOND))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Nanoseconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        let nanos = self.0.saturating_sub(earlier.0);
        if nanos < 0 { 0 } else { nanos }
    }

    /// Seconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 ns are 104 days; beyond that a rounding of 1e-16 is harmless"
    )]
    pub const fn secs_since(self, earlier: Self) -> f64 {
        self.nanos_since(earlier) as f64 / NANOS_PER_SECOND as f64
    }

    /// This moment moved by `nanos`, clamped to what can be held.
    #[must_use]
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nine decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(moment) => write!(f, "{moment:.9}"),
            Err(_) => write!(f, "{} ns since 1970", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_before_the_epoch_round_towards_the_past() {
        assert_eq!(Timestamp::from_nanos(-1).as_secs(), -1);
        assert_eq!(Timestamp::from_nanos(1_999_999_999).as_secs(), 1);
    }

    #[test]
    fn a_later_moment_is_never_ahead_by_less_than_nothing() {
        assert_eq!(Timestamp::from_secs(1).nanos_since(Timestamp::from_secs(2)), 0);
        assert!((Timestamp::from_secs(3).secs_since(Timestamp::from_secs(1)) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn it_prints_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_nanos(1_500_000_000).to_string(),
            "1970-01-01T00:00:01.500000000Z"
        );
    }
}
