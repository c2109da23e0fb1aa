//! How much has begun in each second of packet time, so that a flood can be told from a busy day.

use crate::time::Timestamp;
use crate::verdict::Level;

/// How many different seconds are remembered: longer than a session's idle time, after which its beginning is looked up.
///
/// Packets that go back and forth between seconds find what they have spent. Only a capture whose stated times jump over
/// more than this many seconds at every packet has a fresh budget for each, and its rows are then as sparse as it says.
const SECONDS: u16 = 512;

/// Who may not use up whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// What there can be a flood of.
    Common,
    /// What must be seen in it.
    Severe,
}

impl Lane {
    /// HIGH and CRITICAL have a lane of their own.
    pub(super) const fn of(level: Level) -> Self {
        match level {
            Level::Safe | Level::Warning => Self::Common,
            Level::High | Level::Critical => Self::Severe,
        }
    }
}

/// Counts what begins, by second and lane, against what may.
#[derive(Debug)]
pub(super) struct Budget {
    common: u32,
    severe: u32,
    seconds: Vec<Second>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Seconds since 1970.
    number: i64,
    common: u64,
    severe: u64,
}

impl Budget {
    /// What may begin in one second of each lane; 0 counts as 1.
    pub(super) fn new(common: u32, severe: u32) -> Self {
        Self {
            common: common.max(1),
            severe: severe.max(1),
            seconds: vec![Second::default(); SECONDS.into()],
        }
    }

    /// How many whole budgets the second of `time` has used up.
    pub(super) fn used_up(&mut self, time: Timestamp, lane: Lane) -> u64 {
        let limit = match lane {
            Lane::Common => self.common,
            Lane::Severe => self.severe,
        };
        self.begun(time, lane).map_or(0, |begun| *begun / u64::from(limit))
    }

    /// Counts one more that begins in the second of `time`.
    pub(super) fn spend(&mut self, time: Timestamp, lane: Lane) {
        if let Some(begun) = self.begun(time, lane) {
            *begun += 1;
        }
    }

    /// The count of that second; a second that was not met lately begins at 0. `Some`: there is a place for every second.
    fn begun(&mut self, time: Timestamp, lane: Lane) -> Option<&mut u64> {
        let number = time.as_secs();
        let place = number.rem_euclid(SECONDS.into());
        let second = self.seconds.get_mut(usize::try_from(place).ok()?)?;
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        Some(match lane {
            Lane::Common => &mut second.common,
            Lane::Severe => &mut second.severe,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_budget_once_however_often_it_is_met() {
        let mut budget = Budget::new(2, 1);
        let (now, next) = (Timestamp::from_secs(1_000), Timestamp::from_secs(1_001));
        for _ in 0..3 {
            budget.spend(now, Lane::Common);
            budget.spend(next, Lane::Common);
            assert_eq!(budget.used_up(now, Lane::Severe), 0);
        }
        assert_eq!(budget.used_up(now, Lane::Common), 1);
        budget.spend(now, Lane::Common);
        assert_eq!(budget.used_up(now, Lane::Common), 2);
        assert_eq!(budget.used_up(next, Lane::Common), 1);
        assert_eq!(budget.used_up(Timestamp::from_secs(1_002), Lane::Common), 0);
    }

    #[test]
    fn every_moment_has_a_second() {
        let mut budget = Budget::new(1, 1);
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            let time = Timestamp::from_nanos(nanos);
            budget.spend(time, Lane::Severe);
            assert_eq!(budget.used_up(time, Lane::Severe), 1, "{nanos}");
        }
    }
}
