//! Who and what stands behind most of the notable events.

use actix_web::get;
use actix_web::web::{Data, Json};

use super::super::asked::{Parameters, TopQuery};
use super::super::problem::{Asks, Checks, Problem};
use super::super::shared::Shared;
use super::super::shown::Top;
use crate::store::query::{EventFilter, PAGE_ROWS_MAX, Queries, QueryError, StoredEvent};
use crate::verdict::Level;

/// Events that are looked at: what bounds the cost of an answer, however many there are.
const EVENTS_MAX: usize = 5_000;

/// The sources and rules behind most events above SAFE, among the newest 5,000 of them in a span.
#[utoipa::path(
    tag = "statistics",
    params(Parameters<TopQuery>),
    responses((status = 200, description = "The largest.", body = Top), Checks, Asks)
)]
#[get("/api/top")]
pub(super) async fn show_top(
    asked: Parameters<TopQuery>,
    shared: Data<Shared>,
) -> Result<Json<Top>, Problem> {
    let Parameters(TopQuery { span, most }) = asked;
    let filter = EventFilter {
        levels: vec![Level::Warning, Level::High, Level::Critical],
        from: span.from,
        to: span.to,
        ..EventFilter::default()
    };
    let (events, is_complete) =
        shared.store.ask(async |queries| newest(queries, &filter).await).await?;
    Ok(Json(Top::of(&events, is_complete, most, &shared.live.detection())))
}

/// The newest events, and whether these are all.
async fn newest(
    queries: &Queries,
    filter: &EventFilter,
) -> Result<(Vec<StoredEvent>, bool), QueryError> {
    let mut events = Vec::new();
    let mut after = None;
    loop {
        let page = queries.events(filter, after, PAGE_ROWS_MAX).await?;
        events.extend(page.rows);
        match page.next {
            None => return Ok((events, true)),
            Some(_) if events.len() >= EVENTS_MAX => return Ok((events, false)),
            next => after = next,
        }
    }
}
