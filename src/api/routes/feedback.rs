//! What people say: of events and of incidents.

use std::time::SystemTime;

use actix_web::web::{Data, Json, Path};
use actix_web::{patch, post};

use super::super::asked::{
    Body, EventName, IncidentPatch, LabelWords, NoQuery, Parameters, path_id,
};
use super::super::problem::{Asks, Names, Problem, Takes};
use super::super::shared::Shared;
use super::super::shown::{ShownIncident, WholeEvent};
use super::events::find;
use crate::store::query::Label;
use crate::time::Timestamp;

/// Changes the state of an incident, its note, or both. Returns it as it is then.
#[utoipa::path(
    tag = "incidents",
    params(EventName),
    request_body = IncidentPatch,
    responses((status = 200, description = "As it is now.", body = ShownIncident), Names, Takes, Asks)
)]
#[patch("/api/incidents/{id}")]
pub(super) async fn change_incident(
    id: Path<String>,
    _: Parameters<NoQuery>,
    body: Body<IncidentPatch>,
    shared: Data<Shared>,
) -> Result<Json<ShownIncident>, Problem> {
    let id = path_id(&id)?;
    let change = body.0.change();
    let now = now();
    let changed =
        shared.store.ask(async |queries| queries.change_incident(id, &change, now).await).await?;
    let changed = changed.ok_or_else(|| Problem::Unknown(format!("there is no incident {id}")))?;
    Ok(Json(ShownIncident::from(&changed)))
}

/// Says what an event was: an attack, a false alarm, or that nobody could tell. Replaces what was said before.
#[utoipa::path(
    tag = "events",
    params(EventName),
    request_body = LabelWords,
    responses((status = 200, description = "The event with its label.", body = WholeEvent), Names, Takes, Asks)
)]
#[post("/api/events/{id}/label")]
pub(super) async fn label_event(
    id: Path<String>,
    _: Parameters<NoQuery>,
    body: Body<LabelWords>,
    shared: Data<Shared>,
) -> Result<Json<WholeEvent>, Problem> {
    let name = path_id(&id)?;
    let unknown = || Problem::Unknown(format!("there is no event {name}"));
    let (label, note) = body.0.parsed().ok_or_else(unknown)?;
    let label = Label { label, note, at: now() };
    let known = shared.store.ask(async |queries| queries.label_event(name, &label).await).await?;
    if !known {
        return Err(unknown());
    }
    let stored = find(&shared, &id).await?;
    Ok(Json(WholeEvent::of(&stored, &shared.live.detection())))
}

/// When people speak, by the wall clock. Whole microseconds, so that every store keeps the same moment.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = i64::try_from(since.as_micros().saturating_mul(1_000)).unwrap_or(i64::MAX);
    Timestamp::from_nanos(nanos)
}
