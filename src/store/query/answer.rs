//! What is made of rows, the same for both stores.

use super::rows::LevelSums;
use super::sql::SOURCES_COUNTED_MAX;
use super::{
    EventId, PAGE_ROWS_MAX, Page, PageKey, Profile, ProfileKey, Stats, StoredEvent, StoredIncident,
    StoredSession, TimelineBucket,
};
use crate::verdict::Level;

/// The rows of a page, at least one and at most [`PAGE_ROWS_MAX`].
pub(in crate::store) fn page_rows(limit: u32) -> u32 {
    limit.clamp(1, PAGE_ROWS_MAX)
}

/// A page of `limit` rows out of one row more, which tells whether there is another page.
pub(in crate::store) fn page<T: Keyed>(mut rows: Vec<T>, limit: u32) -> Page<T, T::Key> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(Keyed::key) } else { None };
    Page { rows, next }
}

/// A row of a list that is paged.
pub(in crate::store) trait Keyed {
    /// What a page begins behind.
    type Key;

    /// The row's.
    fn key(&self) -> Self::Key;
}

impl Keyed for StoredEvent {
    type Key = PageKey;

    fn key(&self) -> PageKey {
        PageKey { time: self.event.first, id: self.id() }
    }
}

impl Keyed for StoredSession {
    type Key = PageKey;

    fn key(&self) -> PageKey {
        let id = EventId { epoch: self.epoch, number: self.session.number };
        PageKey { time: self.session.first, id }
    }
}

impl Keyed for StoredIncident {
    type Key = PageKey;

    fn key(&self) -> PageKey {
        let id = EventId { epoch: self.epoch, number: self.incident.number };
        PageKey { time: self.incident.last, id }
    }
}

impl Keyed for Profile {
    type Key = ProfileKey;

    fn key(&self) -> ProfileKey {
        ProfileKey { last: self.last, source: self.source, tenant: self.tenant }
    }
}

/// Statistics out of the sums of each verdict.
#[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
pub(in crate::store) fn stats(sums: &[LevelSums], sources: u64) -> Stats {
    let mut stats = Stats::default();
    let mut score = 0.0;
    for sum in sums {
        stats.events += sum.events;
        stats.packets += sum.weight;
        score += sum.score;
        if let Some(packets) = stats.levels.get_mut(sum.level as usize) {
            *packets += sum.weight;
        }
        if sum.level == Level::Critical {
            stats.critical_events += sum.events;
        }
    }
    if stats.packets > 0 {
        stats.mean_threat_score = Some(score / 1e6 / stats.packets as f64);
    }
    stats.sources = (sources <= u64::from(SOURCES_COUNTED_MAX)).then_some(sources);
    stats
}

/// Buckets in order out of one for each verdict, in order.
pub(in crate::store) fn timeline(parts: Vec<TimelineBucket>) -> Vec<TimelineBucket> {
    let mut buckets: Vec<TimelineBucket> = Vec::new();
    for part in parts {
        match buckets.last_mut() {
            Some(bucket) if bucket.start == part.start => {
                bucket.events += part.events;
                for (sum, packets) in bucket.levels.iter_mut().zip(part.levels) {
                    *sum += packets;
                }
            }
            _ => buckets.push(part),
        }
    }
    buckets
}
