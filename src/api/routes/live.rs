//! What is read continuously: metrics and the live stream.

use actix_web::{HttpResponse, get};

use super::super::asked::{NoQuery, Parameters};
use super::super::problem::{Asks, Checks, Problem};

/// Every metric in the OpenMetrics text format.
#[utoipa::path(
    tag = "sensor",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
        Checks,
        Asks,
    )
)]
#[get("/metrics")]
pub(super) async fn show_metrics(_: Parameters<NoQuery>) -> Result<HttpResponse, Problem> {
    Err(Problem::Away("metrics are not served yet".to_owned()))
}

/// New events, statistics and notices as server-sent events.
#[utoipa::path(
    tag = "events",
    responses(
        (status = 200, description = "The stream; it goes on.", body = String, content_type = "text/event-stream"),
        Checks,
        Asks,
    )
)]
#[get("/api/stream")]
pub(super) async fn follow_events(_: Parameters<NoQuery>) -> Result<HttpResponse, Problem> {
    Err(Problem::Away("the stream is not served yet".to_owned()))
}
