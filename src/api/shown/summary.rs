//! Sums over time.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::asked::Span;
use super::{ByVerdict, Moment};
use crate::collect::CollectorStats;
use crate::store::query::{Stats, TimelineBucket};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// What the sensor and the store count. Null where nothing was measured.
///
/// Numbers of packets are those that the stored events represent. With `events.store = "notable"` those of SAFE are an
/// estimate: one SAFE packet in `events.safe_one_in` is stored and stands for that many.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct SensorStats {
    /// Where the span of stored events begins that `packets` to `distribution` are about; null for the oldest event.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Where it ends; null for the newest event.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// Packets that the stored events represent, those left out by sampling included.
    packets: u64,
    /// Events stored.
    total_events: u64,
    /// Profiles, one for each source and tenant, whose time from the first to the last packet touches the span: a source that
    /// was there before and after it counts, whether or not it sent anything in it. Null when that would cost too much to know.
    #[serde(rename = "uniqueIPs")]
    unique_ips: Option<u64>,
    /// Decoys that are watched now.
    active_honeypots: usize,
    /// Mean threat score over the packets represented, 0 to 1; null without any.
    #[schema(minimum = 0, maximum = 1)]
    avg_threat_score: Option<f64>,
    /// Events of CRITICAL.
    critical_alerts: u64,
    /// Packets represented by verdict; of SAFE ones an estimate where they are sampled.
    distribution: ByVerdict,
    /// Packets judged in the last whole second; null before the first packet.
    packets_per_second: Option<u64>,
    /// What does not add up between the stages, live: 0, or there is a bug; null before the first packet.
    unaccounted: Option<u64>,
}

impl SensorStats {
    pub(in super::super) fn of(
        span: Span,
        stored: &Stats,
        live: &CollectorStats,
        decoys: usize,
    ) -> Self {
        let measured = |value: u64| live.newest.map(|_| value);
        Self {
            from: span.from.map(Moment),
            to: span.to.map(Moment),
            packets: stored.packets,
            total_events: stored.events,
            unique_ips: stored.sources,
            active_honeypots: decoys,
            avg_threat_score: stored.mean_threat_score,
            critical_alerts: stored.critical_events,
            distribution: stored.levels.into(),
            packets_per_second: measured(live.packets_per_second),
            unaccounted: measured(live.unaccounted.max(live.totals.unaccounted())),
        }
    }
}

/// Verdicts over time. Numbers of packets are those that the stored events represent; of SAFE ones an estimate where they are
/// sampled.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Timeline {
    /// Where it begins; null when nothing is stored.
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Where it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// Width of a bucket; buckets begin at whole multiples of it.
    bucket_seconds: u64,
    /// Without gaps: a bucket in which nothing was stored has zeros.
    buckets: Vec<ShownBucket>,
}

/// One bucket of a timeline.
#[derive(Debug, Serialize, ToSchema)]
struct ShownBucket {
    #[schema(value_type = String, format = DateTime)]
    time: Moment,
    /// Packets represented by verdict; of SAFE ones an estimate where they are sampled.
    verdicts: ByVerdict,
    /// Events stored.
    events: u64,
}

/// Widths of buckets, seconds; beyond the last one, its multiples.
const WIDTHS: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800,
];

/// The smallest round width with which at most `buckets` buckets cover a span, seconds.
pub(in super::super) fn bucket_width(from: Timestamp, to: Timestamp, buckets: u32) -> i64 {
    let fits = |width: i64| bucket_count(from, to, width) <= i64::from(buckets);
    if let Some(width) = WIDTHS.into_iter().find(|width| fits(*width)) {
        return width;
    }
    let [.., longest] = WIDTHS;
    // Doubled at most 14 times: all of time has 2^15 weeks. One bucket may have to reach over the epoch.
    let doublings = std::iter::successors(Some(longest), |width| width.checked_mul(2));
    doublings.take(24).find(|width| fits(*width)).unwrap_or(longest << 23)
}

/// Buckets of this width, aligned to the epoch, that a span touches.
fn bucket_count(from: Timestamp, to: Timestamp, width: i64) -> i64 {
    let first = from.as_secs().div_euclid(width);
    let last = to.plus_nanos(-1).as_secs().div_euclid(width);
    last - first + 1
}

impl Timeline {
    pub(in super::super) const fn empty() -> Self {
        Self { from: None, to: None, bucket_seconds: 1, buckets: Vec::new() }
    }

    /// Puts buckets of zeros where `stored` has none.
    pub(in super::super) fn of(
        from: Timestamp,
        to: Timestamp,
        width: i64,
        stored: &[TimelineBucket],
    ) -> Self {
        let first = from.as_secs().div_euclid(width);
        let mut stored = stored.iter().peekable();
        let buckets = (0..bucket_count(from, to, width)).map(|at| {
            let start = Timestamp::from_secs((first + at).saturating_mul(width));
            // A store that cuts the first bucket at `from` begins it there.
            let end = start.plus_nanos(width.saturating_mul(NANOS_PER_SECOND));
            let mut shown = ShownBucket { time: Moment(start), verdicts: [0; 4].into(), events: 0 };
            if let Some(bucket) = stored.next_if(|bucket| bucket.start < end) {
                shown.verdicts = bucket.levels.into();
                shown.events = bucket.events;
            }
            shown
        });
        Self {
            from: Some(Moment(from)),
            to: Some(Moment(to)),
            bucket_seconds: width.unsigned_abs(),
            buckets: buckets.collect(),
        }
    }

    /// How the buckets are asked for.
    pub(in super::super) const fn duration(width: i64) -> Duration {
        Duration::from_secs(width.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_span_has_more_buckets_than_asked_for(
            from: i64, length in 1..i64::MAX, buckets in 2_u32..=1000,
        ) {
            let from = Timestamp::from_nanos(from);
            let to = from.plus_nanos(length);
            prop_assume!(to > from);
            let width = bucket_width(from, to, buckets);
            prop_assert!(bucket_count(from, to, width) <= i64::from(buckets));
            let timeline = Timeline::of(from, to, width, &[]);
            prop_assert!(timeline.buckets.len() <= 1000 && !timeline.buckets.is_empty());
        }
    }

    #[test]
    fn a_day_in_240_buckets_has_ten_minutes_each() {
        let from = Timestamp::from_secs(1_790_035_200);
        assert_eq!(bucket_width(from, from.plus_nanos(86_400 * NANOS_PER_SECOND), 240), 600);
        assert_eq!(bucket_width(from, from.plus_nanos(1), 240), 1);
    }

    #[test]
    fn gaps_are_zeros_and_the_rest_stays_where_it_was() {
        let at = Timestamp::from_secs;
        let stored = [(10, 1), (30, 2)].map(|(start, events)| TimelineBucket {
            start: at(start),
            levels: [events, 0, 0, 1],
            events,
        });
        let timeline = Timeline::of(at(12), at(40), 10, &stored);
        let events: Vec<_> = timeline.buckets.iter().map(|bucket| bucket.events).collect();
        assert_eq!(events, [1, 0, 2]);
        let json = serde_json::to_value(&timeline).unwrap();
        assert_eq!(json["buckets"][1]["time"], "1970-01-01T00:00:20.000000Z");
        assert_eq!(json["buckets"][2]["verdicts"]["CRITICAL"], 1);
    }
}
