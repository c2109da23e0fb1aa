//! Events: the list, one of them, and why it is what it is.

use actix_web::get;
use actix_web::web::{Data, Json, Path};

use super::super::asked::{EventName, EventsQuery, NoQuery, Parameters, path_id};
use super::super::problem::{Asks, Checks, Names, Problem};
use super::super::shared::Shared;
use super::super::shown::{EventList, ShownEvent, ShownExplanation, Traffic, WholeEvent};
use crate::store::query::{EventFilter, StoredEvent};

/// Events of the legacy route.
const TRAFFIC_ROWS: u32 = 50;

/// The newest 50 events in the form of the first PhantomNet.
#[utoipa::path(
    tag = "events",
    responses((status = 200, description = "Newest first.", body = Traffic), Checks, Asks)
)]
#[get("/analyze-traffic")]
pub(super) async fn analyze_traffic(
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Result<Json<Traffic>, Problem> {
    let all = EventFilter::default();
    let page =
        shared.store.ask(async |queries| queries.events(&all, None, TRAFFIC_ROWS).await).await?;
    Ok(Json(Traffic::of(&page.rows, &shared.live.detection())))
}

/// Events, newest first. All filters hold together.
#[utoipa::path(
    tag = "events",
    params(Parameters<EventsQuery>),
    responses((status = 200, description = "One page.", body = EventList), Checks, Asks)
)]
#[get("/api/events")]
pub(super) async fn list_events(
    asked: Parameters<EventsQuery>,
    shared: Data<Shared>,
) -> Result<Json<EventList>, Problem> {
    let Parameters(asked) = asked;
    let page = shared
        .store
        .ask(async |queries| queries.events(&asked.filter, asked.after, asked.limit).await)
        .await?;
    let detection = shared.live.detection();
    let events = page.rows.iter().map(|event| ShownEvent::of(event, &detection)).collect();
    Ok(Json(EventList { events, next: asked.next(page.next.as_ref()) }))
}

/// One event, whole.
#[utoipa::path(
    tag = "events",
    params(EventName),
    responses((status = 200, description = "The event.", body = WholeEvent), Names, Asks)
)]
#[get("/api/events/{id}")]
pub(super) async fn show_event(
    id: Path<String>,
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Result<Json<WholeEvent>, Problem> {
    let stored = find(&shared, &id).await?;
    Ok(Json(WholeEvent::of(&stored, &shared.live.detection())))
}

/// Why an event has its verdict: the three parts, the floor, each feature's share of the score, and what would make it SAFE.
#[utoipa::path(
    tag = "events",
    params(EventName),
    responses((status = 200, description = "The reasons.", body = ShownExplanation), Names, Asks)
)]
#[get("/api/events/{id}/explanation")]
pub(super) async fn explain_event(
    id: Path<String>,
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Result<Json<ShownExplanation>, Problem> {
    let stored = find(&shared, &id).await?;
    Ok(Json(ShownExplanation::of(&stored, &shared.live.detection())))
}

/// The event of that name.
pub(super) async fn find(shared: &Shared, id: &str) -> Result<StoredEvent, Problem> {
    let id = path_id(id)?;
    let event = shared.store.ask(async |queries| queries.event(id).await).await?;
    event.ok_or_else(|| Problem::Unknown(format!("there is no event {id}")))
}
