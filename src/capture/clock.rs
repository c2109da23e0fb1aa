//! The clock of a pcapng interface: `if_tsresol` and `if_tsoffset`.

use super::record::clamped;
use crate::time::Timestamp;

/// How the time stamps of one interface are to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    unit: Unit,
    offset_nanos: i128,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// Ten to the minus nine or longer.
    Nanos(u128),
    /// Shorter than a nanosecond; so many make one.
    PerNano(u128),
    /// A second divided by two so many times.
    Halvings(u32),
}

impl Clock {
    /// From the two options: the resolution as a negative power of ten, or of two with the top bit set; the offset in
    /// seconds.
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Halvings(exponent)
        } else if exponent <= 9 {
            Unit::Nanos(10_u128.pow(9 - exponent))
        } else {
            // Beyond 10^38 any stamp of 64 bits is less than a nanosecond, and so is it with the largest divisor.
            Unit::PerNano(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        };
        Self { unit, offset_nanos: i128::from(offset_seconds) * 1_000_000_000 }
    }

    /// The moment of a stamp, rounded down to a nanosecond and clamped to what can be held.
    pub(super) fn time(self, units: u64) -> Timestamp {
        let units = u128::from(units);
        // At most 2^64 * 10^9 < 2^94 in each case.
        let nanos = match self.unit {
            Unit::Nanos(nanos) => units * nanos,
            Unit::PerNano(count) => units / count,
            Unit::Halvings(times) => (units * 1_000_000_000) >> times,
        };
        let nanos = i128::try_from(nanos).expect("less than 2^94");
        clamped(nanos + self.offset_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_names_the_same_moment() {
        let moment = Timestamp::from_nanos(1_500_000_000_250_000_000);
        for (resolution, stamp) in [
            (6, 1_500_000_000_250_000),
            (9, 1_500_000_000_250_000_000),
            (3, 1_500_000_000_250),
            (10, 15_000_000_002_500_000_000),
            (0x80 | 10, 1_500_000_000 * 1024 + 256),
            (0x80 | 32, (1_500_000_000 << 32) + (1 << 30)),
        ] {
            assert_eq!(Clock::new(resolution, 0).time(stamp), moment, "{resolution}");
        }
        assert_eq!(Clock::new(0, 0).time(7), Timestamp::from_secs(7));
        assert_eq!(Clock::new(0x80, -3).time(10), Timestamp::from_secs(7));
    }

    #[test]
    fn no_option_makes_it_overflow() {
        for resolution in 0..=u8::MAX {
            for offset in [i64::MIN, -1, 0, 1, i64::MAX] {
                let clock = Clock::new(resolution, offset);
                assert!(clock.time(0) <= clock.time(u64::MAX), "{resolution} {offset}");
            }
        }
        assert_eq!(Clock::new(0, 0).time(u64::MAX).as_nanos(), i64::MAX);
        assert_eq!(Clock::new(6, i64::MIN).time(0).as_nanos(), i64::MIN);
        assert_eq!(Clock::new(127, 0).time(u64::MAX), Timestamp::EPOCH);
    }
}
