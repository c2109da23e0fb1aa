//! Day or night in a configured time zone, for feature 8.

use jiff::tz::TimeZone;

use super::schema::{MORNING_HOUR, NIGHT_HOUR};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Tells whether a moment falls into the night of a time zone.
///
/// The answer is a function of the moment alone. What is remembered is the stretch of time around the last question in
/// which it cannot change, so that most packets cost two comparisons.
#[derive(Clone, Debug)]
pub struct DayClock {
    zone: TimeZone,
    known: Stretch,
}

impl DayClock {
    /// A clock on the wall of `zone`.
    #[must_use]
    pub const fn new(zone: TimeZone) -> Self {
        Self { zone, known: Stretch { from_nanos: 0, until_nanos: 0, night: false } }
    }

    /// Whether the hour is below 6 or above 22 at `moment`.
    pub fn is_night(&mut self, moment: Timestamp) -> bool {
        let nanos = moment.as_nanos();
        if nanos < self.known.from_nanos || nanos >= self.known.until_nanos {
            self.known = self.stretch_around(moment);
        }
        self.known.night
    }

    /// The stretch around `moment` that lies between two changes of the zone's offset and within one phase of the day.
    fn stretch_around(&self, moment: Timestamp) -> Stretch {
        let Ok(instant) = jiff::Timestamp::from_nanosecond(i128::from(moment.as_nanos())) else {
            // Cannot happen: jiff reaches from -9999 to 9999. Day, and asked again next time.
            return Stretch { from_nanos: 0, until_nanos: 0, night: false };
        };
        let offset = i64::from(self.zone.to_offset(instant).seconds());
        let now = moment.as_secs();
        // `preceding` leaves out a change at the very moment that it is given.
        let a_second_on =
            instant.checked_add(jiff::SignedDuration::from_secs(1)).unwrap_or(instant);
        let changed = self.zone.preceding(a_second_on).map(|change| change.timestamp().as_second());
        let changed = changed.take(2).find(|&second| second <= now).unwrap_or(i64::MIN);
        let changes = self.zone.following(instant).map(|change| change.timestamp().as_second());
        let changes = changes.take(2).find(|&second| second > now).unwrap_or(i64::MAX);

        let local_second = (now + offset).rem_euclid(DAY_SECS);
        let midnight = now - local_second;
        let morning = midnight + MORNING_HOUR * HOUR_SECS;
        let nightfall = midnight + NIGHT_HOUR * HOUR_SECS;
        let (from, until, night) = match local_second / HOUR_SECS {
            ..MORNING_HOUR => (midnight, morning, true),
            MORNING_HOUR..NIGHT_HOUR => (morning, nightfall, false),
            NIGHT_HOUR.. => (nightfall, midnight + DAY_SECS, true),
        };
        Stretch {
            from_nanos: from.max(changed).saturating_mul(NANOS_PER_SECOND),
            until_nanos: until.min(changes).saturating_mul(NANOS_PER_SECOND),
            night,
        }
    }
}

/// From a moment (included) until another (left out), the answer is the same.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from_nanos: i64,
    until_nanos: i64,
    night: bool,
}

const HOUR_SECS: i64 = 3600;
const DAY_SECS: i64 = 24 * HOUR_SECS;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZONES: [&str; 7] = [
        "UTC",
        "Europe/Berlin",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Africa/Monrovia",
    ];

    /// What a calendar says, without any memory.
    fn calendar_says_night(zone: &TimeZone, nanos: i64) -> bool {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap();
        let hour = instant.to_zoned(zone.clone()).hour();
        !(6..=22).contains(&hour)
    }

    #[test]
    fn night_is_from_23_to_6_in_utc() {
        let mut clock = DayClock::new(TimeZone::UTC);
        let at = |h: i64, m: i64, s: i64| Timestamp::from_secs(h * 3600 + m * 60 + s);
        for (moment, night) in [
            (at(0, 0, 0), true),
            (at(5, 59, 59), true),
            (at(6, 0, 0), false),
            (at(22, 59, 59), false),
            (at(23, 0, 0), true),
            (at(-1, 0, 0), true),
            (at(-2, 0, 0), false),
        ] {
            assert_eq!(clock.is_night(moment), night, "{moment}");
        }
    }

    #[test]
    fn it_agrees_with_the_calendar_around_every_change_of_the_clocks() {
        for name in ZONES {
            let zone = TimeZone::get(name).unwrap();
            let mut clock = DayClock::new(zone.clone());
            let start = "1965-01-01T00:00Z".parse().unwrap();
            let changes: Vec<_> = zone
                .following(start)
                .take(80)
                .map(|change| change.timestamp().as_second())
                .collect();
            for around in changes
                .into_iter()
                .flat_map(|s| [-86_400, -3600, -1, 0, 1, 3600, 86_400].map(|d| s + d))
            {
                for nanos in [around * NANOS_PER_SECOND, around * NANOS_PER_SECOND + 999_999_999] {
                    assert_eq!(
                        clock.is_night(Timestamp::from_nanos(nanos)),
                        calendar_says_night(&zone, nanos),
                        "{name}, {nanos}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_calendar_at_any_moment(
            zone in prop::sample::select(&ZONES[..]),
            moments in prop::collection::vec(any::<i64>(), 1..50),
            steps in prop::collection::vec(-20_000_000_000_000..20_000_000_000_000_i64, 0..50),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let mut clock = DayClock::new(zone.clone());
            let first = moments[0];
            let near = steps.into_iter().map(|step| first.saturating_add(step));
            for nanos in moments.iter().copied().chain(near).chain([i64::MIN, i64::MAX]) {
                let answer = clock.is_night(Timestamp::from_nanos(nanos));
                prop_assert_eq!(answer, calendar_says_night(&zone, nanos), "{}", nanos);
            }
        }
    }
}
