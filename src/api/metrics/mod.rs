//! `GET /metrics`: the sensor's figures as OpenMetrics text, or in Prometheus' older text format for who asks for that.
//!
//! Everything is read when it is asked for, from figures that their owners publish; nobody is made to wait. What a label can say
//! is a closed set, or was chosen by the operator: nothing that a sender of packets or a client of the API can write.
//! `docs/OPERATIONS.md` has a row for each name, held equal by a test.

mod data_path;
mod detection;
mod outputs;
mod page;
mod plain;
mod process;
mod serving;
mod verdicts;
mod writer;
#[cfg(test)]
mod tests;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::Live;
use super::requests::RequestStats;

use page::Page;

/// The media type of OpenMetrics text.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of Prometheus' older text format.
pub const PLAIN_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders a sensor's figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
}

/// An answer to `GET /metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Metrics {
    /// The figures of `live`, and of the requests that the API has answered.
    #[must_use]
    pub fn new(live: Live, requests: RequestStats) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Snapshot { live, requests }));
        Self { registry }
    }

    /// The figures as they are now, in the format that the `Accept` header asks for.
    #[must_use]
    pub fn render(&self, accept: Option<&str>) -> Exposition {
        let mut body = String::with_capacity(BODY_BYTES);
        text::encode(&mut body, &self.registry).expect("a String takes everything");
        if wants_plain_text(accept) {
            return Exposition { content_type: PLAIN_TEXT, body: plain::from_open_metrics(&body) };
        }
        Exposition { content_type: OPEN_METRICS, body }
    }
}

/// Room for an ordinary answer.
const BODY_BYTES: usize = 64 << 10;

/// Whether a client asks for plain text (a browser, an old Prometheus, `curl` with a header) and does not know OpenMetrics.
fn wants_plain_text(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| {
        let names = |name: &str| {
            accept.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case(name))
        };
        !names("application/openmetrics-text") && (names("text/plain") || names("text/html"))
    })
}

/// Reads everything anew at each request.
#[derive(Debug)]
struct Snapshot {
    live: Live,
    requests: RequestStats,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(encoder);
        // The collector is read before the workers: it has never taken more than they are seen to have given.
        let collector = self.live.collector.read();
        let workers = data_path::Workers::read(&self.live.workers);
        let writer = self.live.writer.read();
        data_path::capture(page, &self.live.capture.read())?;
        data_path::frames(page, &workers)?;
        data_path::ways(page, &workers, &collector)?;
        data_path::sources(page, &workers)?;
        data_path::times(page, &workers)?;
        verdicts::collector(page, &collector)?;
        verdicts::sums(page, &self.live, &collector, &writer)?;
        writer::batches(page, &writer)?;
        writer::spool(page, &writer)?;
        writer::store(page, &writer)?;
        outputs::encode(page, &self.live)?;
        detection::encode(page, &self.live.detection())?;
        detection::reloads(page, &self.live.reloads.read())?;
        serving::encode(page, &self.live, &self.requests.snapshot())?;
        process::encode(page)
    }
}
