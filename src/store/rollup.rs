//! Sums of events by minute and verdict, and by hour and verdict, kept beside the events in the same transaction, so that sums over
//! hours, days and months need not look at the rows.
//!
//! `event_minutes` holds for each epoch, minute (of the first packet) and verdict the sums over the rows of `packet_logs`
//! that are there: what is put into quarantine is not in it, what retention removes is taken out of it. `event_hours` holds the
//! same by hour: a month is 2,880 of its rows, where it is 172,800 of minutes. Counts are summed
//! for those who recount the rows; weights for those who ask about the traffic, of which a sampled row stands for more than
//! it counts. A threat score is summed in whole millionths, so that what was added can be taken out again exactly.

use std::collections::BTreeMap;

use super::score::threat_score;
use crate::event::Event;
use crate::time::{NANOS_PER_SECOND, Timestamp};
use crate::verdict::Level;

/// Nanoseconds of a minute.
pub const MINUTE_NANOS: i64 = 60 * NANOS_PER_SECOND;

/// Nanoseconds of an hour.
pub const HOUR_NANOS: i64 = 60 * MINUTE_NANOS;

/// Millionths of a threat score of 1.
const MICROS: f64 = 1_000_000.0;

/// One of the tables of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollup {
    /// `event_minutes`.
    Minutes,
    /// `event_hours`.
    Hours,
}

/// The statements of one table of sums.
macro_rules! postgres_add {
    ($table:literal, $start:literal) => {
        concat!(
            "INSERT INTO ", $table, " AS m (epoch, ", $start, ", verdict, events, packets, alerts, weight, score_micros) \
             SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[]) \
             ON CONFLICT (", $start, ", verdict, epoch) DO UPDATE SET events = m.events + excluded.events, \
             packets = m.packets + excluded.packets, alerts = m.alerts + excluded.alerts, \
             weight = m.weight + excluded.weight, score_micros = m.score_micros + excluded.score_micros"
        )
    };
}

macro_rules! sqlite_add {
    ($table:literal, $start:literal) => {
        concat!(
            "INSERT INTO ", $table, " (epoch, ", $start, ", verdict, events, packets, alerts, weight, score_micros) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
             ON CONFLICT (", $start, ", verdict, epoch) DO UPDATE SET events = events + excluded.events, \
             packets = packets + excluded.packets, alerts = alerts + excluded.alerts, \
             weight = weight + excluded.weight, score_micros = score_micros + excluded.score_micros"
        )
    };
}

impl Rollup {
    /// Every table.
    pub const ALL: [Self; 2] = [Self::Minutes, Self::Hours];

    /// Its name.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::Minutes => "event_minutes",
            Self::Hours => "event_hours",
        }
    }

    /// The column that says where a span begins.
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Minutes => "minute",
            Self::Hours => "hour",
        }
    }

    /// How long its spans are.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::Minutes => MINUTE_NANOS,
            Self::Hours => HOUR_NANOS,
        }
    }

    /// Its first span that begins at a moment which a [`Timestamp`] can hold. What passed before it is counted in it.
    #[must_use]
    pub const fn earliest(self) -> Timestamp {
        Timestamp::from_nanos(i64::MIN / self.nanos() * self.nanos())
    }

    /// Adds sums to those that are there. Parameters: epoch, start, verdict, events, packets, alerts, weight, score; each an
    /// array. No two of one statement may name the same span.
    #[must_use]
    pub const fn postgres_add(self) -> &'static str {
        match self {
            Self::Minutes => postgres_add!("event_minutes", "minute"),
            Self::Hours => postgres_add!("event_hours", "hour"),
        }
    }

    /// The same, one span at a time.
    #[must_use]
    pub const fn sqlite_add(self) -> &'static str {
        match self {
            Self::Minutes => sqlite_add!("event_minutes", "minute"),
            Self::Hours => sqlite_add!("event_hours", "hour"),
        }
    }

    /// Where the span of a moment begins, but not before [`Self::earliest`].
    fn start_of(self, moment: Timestamp) -> Timestamp {
        let nanos = moment.as_nanos();
        let into = nanos.rem_euclid(self.nanos());
        nanos.checked_sub(into).map_or(self.earliest(), Timestamp::from_nanos)
    }
}

/// The sums of one span and verdict of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanSums {
    /// Where the span begins.
    pub start: Timestamp,
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

impl SpanSums {
    /// The sums of these events, or of what is stored of them, for each table by span and verdict.
    pub fn of(rows: impl IntoIterator<Item = impl Into<Summed>>) -> [(Rollup, Vec<Self>); 2] {
        let one = |row| {
            let Summed { first, level, count, alerts, weight, threat_score } = row;
            let score_micros = weight.saturating_mul(score_micros(threat_score));
            Self { start: first, level, events: 1, packets: count, alerts, weight, score_micros }
        };
        let minutes = Self::added_up(Rollup::Minutes, rows.into_iter().map(|row| one(row.into())));
        let hours = Self::added_up(Rollup::Hours, minutes.iter().copied());
        [(Rollup::Minutes, minutes), (Rollup::Hours, hours)]
    }

    /// One for each span and verdict.
    fn added_up(rollup: Rollup, parts: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut sums: BTreeMap<(Timestamp, Level), Self> = BTreeMap::new();
        for part in parts {
            let start = rollup.start_of(part.start);
            let sum = sums.entry((start, part.level)).or_insert(Self {
                start,
                events: 0,
                packets: 0,
                alerts: 0,
                weight: 0,
                score_micros: 0,
                ..part
            });
            sum.events += part.events;
            sum.packets = sum.packets.saturating_add(part.packets);
            sum.alerts = sum.alerts.saturating_add(part.alerts);
            sum.weight = sum.weight.saturating_add(part.weight);
            sum.score_micros = sum.score_micros.saturating_add(part.score_micros);
        }
        sums.into_values().collect()
    }
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
    fn every_moment_has_its_span() {
        for rollup in Rollup::ALL {
            let nanos = rollup.nanos();
            let starts = [(0, 0), (-1, -nanos), (nanos - 1, 0), (nanos, nanos)];
            for (moment, start) in
                starts.map(|(a, b)| (Timestamp::from_nanos(a), Timestamp::from_nanos(b)))
            {
                assert_eq!(rollup.start_of(moment), start);
            }
            let earliest = rollup.earliest();
            assert_eq!(rollup.start_of(Timestamp::from_nanos(i64::MIN)), earliest);
            assert_eq!(rollup.start_of(earliest), earliest);
            assert!(rollup.start_of(Timestamp::from_nanos(i64::MAX)) > earliest);
        }
    }
}
