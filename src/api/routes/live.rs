//! What is read continuously: metrics and the live stream.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, VARY};
use actix_web::web::Data;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, get};

use super::super::asked::{NoQuery, Parameters, StreamQuery};
use super::super::front::HeadAlone;
use super::super::metrics::Exposition;
use super::super::problem::{Asks, Checks, ErrorAnswer, FieldError, Problem};
use super::super::shared::Shared;
use super::super::stream::{StreamError, Streams, last_event_id};
use crate::store::query::Queries;

/// Every metric in the OpenMetrics text format, or in Prometheus' older one for who asks for that and not for this.
#[utoipa::path(
    tag = "sensor",
    responses(
        (
            status = 200,
            description = "The metrics.",
            content(
                (String = "application/openmetrics-text"),
                (String = "text/plain"),
            )
        ),
        Checks,
        Asks,
    )
)]
#[get("/metrics")]
pub(super) async fn show_metrics(
    _: Parameters<NoQuery>,
    request: HttpRequest,
    shared: Data<Shared>,
) -> HttpResponse {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let Exposition { content_type, body } = shared.metrics.render(accept);
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((VARY, "Accept"))
        .body(body)
}

/// New events, each second the sensor's figures, and notices, as server-sent events: `verdict` (in the shape of
/// `/api/events`), `stats`, `notice`, and `gap` for what this client will not get here. A client that names the last event it
/// has seen gets what came after it.
#[utoipa::path(
    tag = "events",
    params(
        Parameters<StreamQuery>,
        ("Last-Event-ID" = Option<String>, Header, description = "The last event seen, as browsers send it."),
    ),
    responses(
        (status = 200, description = "The stream; it goes on.", body = String, content_type = "text/event-stream"),
        Checks,
        (status = 503, description = "As many clients as may be are watching, or the sensor stops.", body = ErrorAnswer),
    )
)]
#[get("/api/stream")]
pub(super) async fn follow_events(
    asked: Parameters<StreamQuery>,
    request: HttpRequest,
    shared: Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let Parameters(asked) = asked;
    let header = request.headers().get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let named = Named { header, parameter: asked.last_event_id.as_deref() };
    let after = last_event_id(header, named.parameter).map_err(|error| named.refused(error))?;
    if request.extensions().contains::<HeadAlone>() {
        // Nobody would take what comes: no seat is taken either.
        return Ok(Streams::<Queries>::answer().finish());
    }
    shared.streams.open(after, asked.filter).map_err(|error| named.refused(error))
}

/// The last event seen, as the request names it.
struct Named<'a> {
    header: Option<&'a str>,
    parameter: Option<&'a str>,
}

impl Named<'_> {
    /// Why there is no stream, said of what names the event: the header, if it is there.
    fn refused(&self, error: StreamError) -> Problem {
        let reason = error.to_string();
        if error.status() == StatusCode::SERVICE_UNAVAILABLE {
            return Problem::Away(reason);
        }
        let header = self.header.filter(|id| !id.is_empty());
        Problem::invalid(match header {
            Some(id) => FieldError::new("header", "Last-Event-ID", Some(id), reason, "id"),
            None => FieldError::new("query", "last_event_id", self.parameter, reason, "id"),
        })
    }
}
