//! Sums over a span of time.

use actix_web::get;
use actix_web::web::{Data, Json};

use super::super::asked::{Parameters, Span, TimelineQuery};
use super::super::problem::{Asks, Checks, Problem};
use super::super::shared::Shared;
use super::super::shown::{SensorStats, Timeline, bucket_width};
use crate::store::query::{Queries, QueryError, TimelineBucket};
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// The span that is summed up where nobody says: so long before the newest stored event.
const SPAN_NANOS: i64 = 24 * 3_600 * NANOS_PER_SECOND;

/// Events keep whole microseconds: the first moment behind an event.
const AFTER: i64 = 1_000;

/// Sums over the events of a span. Without `from`: the 24 hours before `to`, or before the newest stored event.
#[utoipa::path(
    tag = "statistics",
    params(Parameters<Span>),
    responses((status = 200, description = "The sums.", body = SensorStats), Checks, Asks)
)]
#[get("/api/stats")]
pub(super) async fn show_stats(
    asked: Parameters<Span>,
    shared: Data<Shared>,
) -> Result<Json<SensorStats>, Problem> {
    let Parameters(mut span) = asked;
    let stored = shared
        .store
        .ask(async |queries| {
            span = begun(queries, span).await?;
            queries.stats(span.from, span.to).await
        })
        .await?;
    let decoys = shared.live.detection().decoys().all().len();
    Ok(Json(SensorStats::of(span, &stored, &shared.live.collector.read(), decoys)))
}

/// The span with a beginning, unless nothing is stored.
async fn begun(queries: &Queries, span: Span) -> Result<Span, QueryError> {
    let end = match (span.from, span.to) {
        (Some(_), _) => return Ok(span),
        (None, Some(to)) => Some(to),
        (None, None) => queries.span().await?.map(|(_, newest)| newest),
    };
    Ok(Span { from: end.map(|end| end.plus_nanos(-SPAN_NANOS)), to: span.to })
}

/// Verdicts over time. Without `from` and `to`: as for the sums.
#[utoipa::path(
    tag = "statistics",
    params(Parameters<TimelineQuery>),
    responses((status = 200, description = "The buckets, oldest first.", body = Timeline), Checks, Asks)
)]
#[get("/api/timeline")]
pub(super) async fn show_timeline(
    asked: Parameters<TimelineQuery>,
    shared: Data<Shared>,
) -> Result<Json<Timeline>, Problem> {
    let Parameters(TimelineQuery { span, buckets }) = asked;
    let found =
        shared.store.ask(async |queries| find_buckets(queries, span, buckets).await).await?;
    Ok(Json(match found {
        None => Timeline::empty(),
        Some((from, to, width, stored)) => Timeline::of(from, to, width, &stored),
    }))
}

/// From, to, width of a bucket in seconds, and the buckets that are not empty; `None` when nothing is stored.
type Found = Option<(Timestamp, Timestamp, i64, Vec<TimelineBucket>)>;

async fn find_buckets(queries: &Queries, span: Span, buckets: u32) -> Result<Found, QueryError> {
    let begun = begun(queries, span).await?;
    let end = match span.to {
        Some(to) => Some(to),
        None => queries.span().await?.map(|(_, newest)| newest.plus_nanos(AFTER)),
    };
    let (Some(from), Some(to)) = (begun.from, end) else { return Ok(None) };
    // Nothing is stored at or after `from`.
    let to = to.max(from.plus_nanos(AFTER));
    let width = bucket_width(from, to, buckets);
    let stored = queries.timeline(from, to, Timeline::duration(width)).await?;
    Ok(Some((from, to, width, stored)))
}
