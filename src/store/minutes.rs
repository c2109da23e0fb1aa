//! Sums of events by minute and verdict, kept beside the events in the same transaction, so that sums over hours and days
//! need not look at the rows.
//!
//! `event_minutes` holds for each epoch, minute (of the first packet) and verdict the sums over the rows of `packet_logs`
//! that are there: what is put into quarantine is not in it, what retention removes is taken out of it. Counts are summed
//! for those who recount the rows; weights for those who ask about the traffic, of which a sampled row stands for more than
//! it counts. A threat score is summed in whole millionths, so that what was added can be taken out again exactly.

use std::collections::BTreeMap;

use super::score::threat_score;
use crate::event::Event;
use crate::time::{NANOS_PER_SECOND, Timestamp};
use crate::verdict::Level;

/// Nanoseconds of a minute.
pub const MINUTE_NANOS: i64 = 60 * NANOS_PER_SECOND;

/// The first minute that begins at a moment which a [`Timestamp`] can hold. What passed before it is counted in it.
pub const EARLIEST: Timestamp = Timestamp::from_nanos(i64::MIN / MINUTE_NANOS * MINUTE_NANOS);

/// Millionths of a threat score of 1.
const MICROS: f64 = 1_000_000.0;

/// Adds sums to those of a minute. Parameters: epoch, minute, verdict, events, packets, alerts, weight, score; each an array
/// in PostgreSQL. No two of one statement may name the same minute.
pub const POSTGRES_ADD: &str = "INSERT INTO event_minutes AS m (epoch, minute, verdict, events, packets, alerts, weight, score_micros) \
     SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) \
     ON CONFLICT (minute, verdict, epoch) DO UPDATE SET events = m.events + excluded.events, \
     packets = m.packets + excluded.packets, alerts = m.alerts + excluded.alerts, \
     weight = m.weight + excluded.weight, score_micros = m.score_micros + excluded.score_micros";

/// The same, one minute at a time.
pub const SQLITE_ADD: &str = "INSERT INTO event_minutes (epoch, minute, verdict, events, packets, alerts, weight, score_micros) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
     ON CONFLICT (minute, verdict, epoch) DO UPDATE SET events = events + excluded.events, \
     packets = packets + excluded.packets, alerts = alerts + excluded.alerts, \
     weight = weight + excluded.weight, score_micros = score_micros + excluded.score_micros";

/// The sums of one minute and verdict of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinuteSums {
    /// Where the minute begins.
    pub minute: Timestamp,
    /// The verdict.
    pub level: Level,
    /// Rows.
    pub events: u64,
    /// The sum of their counts.
    pub packets: u64,
    /// The sum of their alerts.
    pub alerts: u64,
    /// The sum of their weights.
    pub weight: u64,
    /// The sum of weight times threat score, in millionths.
    pub score_micros: u64,
}

/// What of a row is summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summed {
    /// When its first packet passed.
    pub first: Timestamp,
    /// The verdict.
    pub level: Level,
    /// Packets.
    pub count: u64,
    /// Verdicts about a victim.
    pub alerts: u64,
    /// Packets represented, those left out by sampling included.
    pub weight: u64,
    /// The threat score, 0 to 1.
    pub threat_score: f32,
}

impl From<&Event> for Summed {
    fn from(event: &Event) -> Self {
        Self {
            first: event.first,
            level: event.level,
            count: event.count,
            alerts: event.alerts,
            weight: event.weight,
            threat_score: threat_score(event.total),
        }
    }
}

impl MinuteSums {
    /// The sums of these events, or of what is stored of them, by minute and verdict.
    pub fn of(rows: impl IntoIterator<Item = impl Into<Summed>>) -> Vec<Self> {
        let mut sums = BTreeMap::new();
        for row in rows {
            let Summed { first, level, count, alerts, weight, threat_score } = row.into();
            let minute = minute_of(first);
            let sums = sums.entry((minute, level)).or_insert(Self::empty(minute, level));
            sums.events += 1;
            sums.packets = sums.packets.saturating_add(count);
            sums.alerts = sums.alerts.saturating_add(alerts);
            sums.weight = sums.weight.saturating_add(weight);
            let score = weight.saturating_mul(score_micros(threat_score));
            sums.score_micros = sums.score_micros.saturating_add(score);
        }
        sums.into_values().collect()
    }

    const fn empty(minute: Timestamp, level: Level) -> Self {
        Self { minute, level, events: 0, packets: 0, alerts: 0, weight: 0, score_micros: 0 }
    }
}

/// Where the minute of a moment begins, but not before [`EARLIEST`].
fn minute_of(moment: Timestamp) -> Timestamp {
    let nanos = moment.as_nanos();
    let into = nanos.rem_euclid(MINUTE_NANOS);
    nanos.checked_sub(into).map_or(EARLIEST, Timestamp::from_nanos)
}

/// A threat score in whole millionths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a threat score is from 0 to 1, and the cast saturates"
)]
fn score_micros(threat_score: f32) -> u64 {
    (f64::from(threat_score) * MICROS + 0.5) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_its_minute() {
        for (moment, minute) in
            [(0, 0), (-1, -MINUTE_NANOS), (MINUTE_NANOS - 1, 0), (MINUTE_NANOS, MINUTE_NANOS)]
        {
            assert_eq!(minute_of(Timestamp::from_nanos(moment)), Timestamp::from_nanos(minute));
        }
        assert_eq!(minute_of(Timestamp::from_nanos(i64::MIN)), EARLIEST);
        assert!(minute_of(Timestamp::from_nanos(i64::MAX)) > EARLIEST);
    }
}
