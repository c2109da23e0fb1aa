//! Who is served: HTTP clients, watchers of the stream, readers of the log.

use std::fmt;

use super::page::{Counted, Page};
use crate::api::Live;
use crate::api::requests::{REQUEST_NANOS_BOUNDS, RequestSeries};
use crate::logs;

pub(super) fn encode(page: &mut Page<'_>, live: &Live, requests: &[RequestSeries]) -> fmt::Result {
    let statuses: Vec<String> = requests.iter().map(|series| series.status.to_string()).collect();
    page.histograms(
        "phantomnet_http_request_duration_seconds",
        "From a request's head to the beginning of its answer, by the route's pattern",
        requests.iter().zip(&statuses).map(|(series, status)| {
            let labels =
                [("route", &*series.route), ("method", series.method), ("status", status.as_str())];
            (labels, Counted::nanos(&series.nanos, &REQUEST_NANOS_BOUNDS))
        }),
    )?;
    let hub = live.events.stats();
    page.gauge("phantomnet_stream_clients", "Clients that watch the stream", hub.subscribers)?;
    page.counter(
        "phantomnet_stream_missed_events_total",
        "Events that clients of the stream lost because they were too slow; each was told",
        hub.missed,
    )?;
    page.counter(
        "phantomnet_stream_refused_clients_total",
        "Clients that found no seat at the stream",
        hub.refused,
    )?;
    page.counter(
        "phantomnet_log_lines_left_out_total",
        "Lines left out of the log: too many of a kind, or its reader too slow",
        logs::lines_left_out(),
    )
}
