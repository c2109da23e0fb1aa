//! How busy people are at an hour of the day.

use crate::time::Timestamp;

const HOUR_SECS: i64 = 3_600;
const DAY_SECS: i64 = 24 * HOUR_SECS;
/// The share of people at work at each full hour of a weekday, UTC; between the hours it runs straight.
const WEEKDAY: [f64; 24] = [
    0.04, 0.03, 0.03, 0.03, 0.04, 0.08, 0.2, 0.5, 0.85, 1.0, 1.0, 0.95, 0.7, 0.85, 1.0, 1.0, 0.9,
    0.65, 0.35, 0.2, 0.15, 0.12, 0.08, 0.05,
];
const WEEKEND: f64 = 0.2;

/// How busy people are at `now`: 1 in the busiest hour.
pub(super) fn activity(now: Timestamp) -> f64 {
    let secs = now.as_secs();
    let second_of_day = secs.rem_euclid(DAY_SECS);
    let hour = usize::try_from(second_of_day / HOUR_SECS).unwrap_or_default();
    let value = |hour: usize| WEEKDAY.get(hour % WEEKDAY.len()).copied().unwrap_or(1.0);
    let within = f64::from(u16::try_from(second_of_day % HOUR_SECS).unwrap_or_default()) / 3_600.0;
    let weekday = value(hour) * (1.0 - within) + value(hour + 1) * within;
    // 1970-01-01 was a Thursday; with Monday as 0 that is day 3.
    let is_weekend = (secs.div_euclid(DAY_SECS) + 3).rem_euclid(7) >= 5;
    if is_weekend { weekday * WEEKEND } else { weekday }
}

/// Whether it is the time at which backups run.
pub(super) const fn is_night(now: Timestamp) -> bool {
    let hour = now.as_secs().rem_euclid(DAY_SECS) / HOUR_SECS;
    hour >= 1 && hour < 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_work_by_day_and_rest_on_sundays() {
        let at = |text: &str| {
            Timestamp::from_nanos(
                i64::try_from(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond()).unwrap(),
            )
        };
        assert!((activity(at("2026-01-05T09:00:00Z")) - 1.0).abs() < 1e-9, "Monday at nine");
        assert!(activity(at("2026-01-05T03:00:00Z")) < 0.1, "Monday night");
        assert!(activity(at("2026-01-04T10:00:00Z")) < 0.25, "Sunday");
        assert!(is_night(at("2026-01-05T02:30:00Z")) && !is_night(at("2026-01-05T04:00:00Z")));
    }
}
