//! How an event is named everywhere: the run that made it, and its number in that run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One run of a sensor, from start to stop: the millisecond of its start and 20 random bits, so that epochs ascend with time
/// and two sensors that start together differ. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(i64);

/// Random bits of an epoch.
const RANDOM_BITS: u32 = 20;

impl Epoch {
    /// The epoch of a run that starts at `start`; the lower 20 bits of `random` tell it from others of that millisecond.
    #[must_use]
    pub const fn new(start: Timestamp, random: u32) -> Self {
        let millis = start.as_nanos().div_euclid(1_000_000);
        let millis = if millis < 0 { 0 } else { millis };
        Self((millis << RANDOM_BITS) | (random as i64 & ((1 << RANDOM_BITS) - 1)))
    }

    /// The epoch that is stored as `number`; a negative one is none.
    #[must_use]
    pub const fn from_stored(number: i64) -> Option<Self> {
        if number < 0 { None } else { Some(Self(number)) }
    }

    /// When the run started, to the millisecond.
    #[must_use]
    pub const fn started(self) -> Timestamp {
        Timestamp::from_nanos((self.0 >> RANDOM_BITS).saturating_mul(1_000_000))
    }

    /// As stored.
    #[must_use]
    pub const fn stored(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The name of an event: `0192a3b4c5d6e7f8-17`. Incidents and sessions are named alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId {
    /// The run that made it.
    pub epoch: Epoch,
    /// Its number in that run.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

/// The most digits that a stored number has.
const NUMBER_DIGITS_MAX: usize = 19;

/// A text that names no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 16 hexadecimal digits, a hyphen and a number, such as 0192a3b4c5d6e7f8-17")]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let (epoch, number) = text.split_once('-').ok_or(EventIdError)?;
        let plain = epoch.len() == 16
            && epoch.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (1..=NUMBER_DIGITS_MAX).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit());
        if !plain {
            return Err(EventIdError);
        }
        let epoch = i64::from_str_radix(epoch, 16).map_err(|_too_large| EventIdError)?;
        // Stores keep the number as a signed one.
        let number: i64 = number.parse().map_err(|_too_large| EventIdError)?;
        Ok(Self {
            epoch: Epoch::from_stored(epoch).ok_or(EventIdError)?,
            number: u64::try_from(number).map_err(|_negative| EventIdError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back() {
        let epoch = Epoch::new(Timestamp::from_secs(1_790_000_000), 0xabcde);
        let id = EventId { epoch, number: 17 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(Epoch::new(Timestamp::from_secs(1_790_000_001), 0) > epoch);
        assert_eq!(epoch.started(), Timestamp::from_secs(1_790_000_000));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "-",
            "12-1",
            "0192a3b4c5d6e7f8",
            "0192a3b4c5d6e7f8-",
            "0192a3b4c5d6e7f8-+1",
            "f192a3b4c5d6e7f8-1",
            "0192a3b4c5d6e7f8-18446744073709551615",
            " 192a3b4c5d6e7f8-1",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text:?}");
        }
    }
}
