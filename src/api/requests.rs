//! How long each route takes, and what it answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::store::writer::Buckets;

/// Upper bounds of the first 15 buckets of [`RequestSeries::nanos`], nanoseconds.
pub const REQUEST_NANOS_BOUNDS: [u64; 15] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// The route of a request that no route wants.
pub(super) const UNMATCHED: &str = "unmatched";

/// Methods that are told apart; a method of any other name is `other`.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"];

/// Requests by route, method and status, with the time until their answer began. Cheap to clone; all clones count together.
///
/// No text of a client is ever a label: routes are patterns, methods a fixed list, statuses those of the server.
#[derive(Clone, Debug, Default)]
pub struct RequestStats(Arc<Mutex<BTreeMap<Labels, Buckets>>>);

type Labels = (Box<str>, &'static str, u16);

/// The requests of one route, method and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSeries {
    /// The route's pattern, such as `/api/events/{id}`; `unmatched` where there is none.
    pub route: Box<str>,
    /// The method.
    pub method: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// Time from the request's head to that of the answer, nanoseconds; the bounds are [`REQUEST_NANOS_BOUNDS`].
    pub nanos: Buckets,
}

impl RequestStats {
    /// Counts a request. `route` is a pattern or [`UNMATCHED`].
    pub(super) fn record(&self, route: &str, method: &str, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((route.into(), method, status))
            .or_default()
            .record(nanos, &REQUEST_NANOS_BOUNDS);
    }

    /// Everything counted so far, ordered by route, method and status.
    #[must_use]
    pub fn snapshot(&self) -> Vec<RequestSeries> {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series
            .iter()
            .map(|((route, method, status), nanos)| RequestSeries {
                route: route.clone(),
                method,
                status: *status,
                nanos: nanos.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_a_clients_own_making_is_no_label() {
        let stats = RequestStats::default();
        for method in ["BREW", "WHEN", "GET"] {
            stats.record(UNMATCHED, method, 405, Duration::from_micros(300));
        }
        let snapshot = stats.snapshot();
        let methods: Vec<_> = snapshot.iter().map(|series| series.method).collect();
        assert_eq!(methods, ["GET", "other"]);
        assert_eq!(snapshot[1].nanos.counts[2], 2);
        assert_eq!(snapshot[1].nanos.sum, 600_000);
    }
}
