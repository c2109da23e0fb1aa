//! Features, the model, and scores of rows.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};

use super::super::asked::{EventIds, EventName, FeatureRows, NoQuery, Parameters, Table};
use super::super::problem::{Asks, Checks, Names, Problem, Takes};
use super::super::shared::Shared;
use super::super::shown::{EventFeatures, FeatureBatch, ScoredRows, ShownModel, ShownSchema};
use super::documents::{NotModified, tagged_json};
use super::events::find;
use crate::event::EventId;

/// The 15 features of an event's worst packet, by name.
#[utoipa::path(
    tag = "model",
    params(EventName),
    responses((status = 200, description = "The features.", body = EventFeatures), Names, Asks)
)]
#[get("/api/ml/features/{id}")]
pub(super) async fn show_features(
    id: Path<String>,
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Result<Json<EventFeatures>, Problem> {
    Ok(Json(EventFeatures::from(&find(&shared, &id).await?)))
}

/// The features of up to 1,000 events, in the order asked for. 404 when one of them does not exist; it names those.
#[utoipa::path(
    tag = "model",
    request_body = EventIds,
    responses((status = 200, description = "The features.", body = FeatureBatch), Names, Takes, Asks)
)]
#[post("/api/ml/features/batch")]
pub(super) async fn show_features_of_many(
    _: Parameters<NoQuery>,
    body: Table<EventIds>,
    shared: Data<Shared>,
) -> Result<Json<FeatureBatch>, Problem> {
    let ids = body.0.parsed();
    let stored = shared.store.ask(async |queries| queries.events_by_id(&ids).await).await?;
    if stored.len() < ids.len() {
        let found = |id: &EventId| {
            stored.iter().any(|event| event.epoch == id.epoch && event.event.number == id.number)
        };
        let missing = ids.iter().filter(|id| !found(id)).map(EventId::to_string);
        let missing = missing.collect::<Vec<_>>().join(", ");
        return Err(Problem::Unknown(format!("there is no event {missing}")));
    }
    Ok(Json(FeatureBatch { events: stored.iter().map(EventFeatures::from).collect() }))
}

/// What judges: the model with its calibration, the policy, and how many rules, entries of intelligence and decoys.
#[utoipa::path(
    tag = "model",
    responses((status = 200, description = "What is loaded.", body = ShownModel), NotModified, Checks)
)]
#[get("/api/ml/model")]
pub(super) async fn show_model(
    _: Parameters<NoQuery>,
    request: HttpRequest,
    shared: Data<Shared>,
) -> HttpResponse {
    tagged_json(&request, &ShownModel::from(&*shared.live.detection()))
}

/// The frozen schema of the features.
#[utoipa::path(
    tag = "model",
    responses((status = 200, description = "The schema.", body = ShownSchema), NotModified, Checks)
)]
#[get("/api/ml/schema")]
pub(super) async fn show_schema(_: Parameters<NoQuery>, request: HttpRequest) -> HttpResponse {
    tagged_json(&request, &ShownSchema::new())
}

/// Scores rows of features with the model that is loaded.
#[utoipa::path(
    tag = "model",
    request_body = FeatureRows,
    responses((status = 200, description = "The scores, in the order of the rows.", body = ScoredRows), Takes)
)]
#[post("/api/ml/score")]
pub(super) async fn score_rows(
    _: Parameters<NoQuery>,
    body: Table<FeatureRows>,
    shared: Data<Shared>,
) -> Json<ScoredRows> {
    let detection = shared.live.detection();
    Json(ScoredRows::of(detection.model(), &body.0.vectors()))
}
