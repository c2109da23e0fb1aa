//! How the sensor is: for people, for a watchdog, for a load balancer.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, get};

use super::super::asked::{NoQuery, Parameters};
use super::super::problem::Checks;
use super::super::shared::Shared;
use super::super::shown::{Configuration, Database, Findings, Health, HealthStatus, Liveness};

/// How each part is. `degraded`: packets are judged, but something else is wrong (the store is away, say).
#[utoipa::path(
    tag = "sensor",
    responses(
        (status = 200, description = "Packets are judged.", body = Health),
        (status = 503, description = "No packets are judged.", body = Health),
        Checks,
    )
)]
#[get("/health")]
pub(super) async fn show_health(_: Parameters<NoQuery>, shared: Data<Shared>) -> HttpResponse {
    answer(&shared).await
}

/// The same: whether the sensor does its work.
#[utoipa::path(
    tag = "sensor",
    responses(
        (status = 200, description = "Packets are judged.", body = Health),
        (status = 503, description = "No packets are judged.", body = Health),
        Checks,
    )
)]
#[get("/health/ready")]
pub(super) async fn show_readiness(_: Parameters<NoQuery>, shared: Data<Shared>) -> HttpResponse {
    answer(&shared).await
}

/// That the server answers. Needs no token.
#[utoipa::path(
    tag = "sensor",
    responses((status = 200, description = "It does.", body = Liveness), Checks)
)]
#[get("/health/live")]
pub(super) async fn show_liveness(_: Parameters<NoQuery>) -> Json<Liveness> {
    Json(Liveness { status: HealthStatus::Healthy })
}

async fn answer(shared: &Shared) -> HttpResponse {
    let database = match shared.store.ask_now(async |queries| queries.version().await).await {
        Some(Ok(version)) => Database::Up(version),
        Some(Err(problem)) => Database::Down(problem.to_string()),
        None => Database::Busy,
    };
    let health = Health::of(&shared.live, database);
    let status = match health.status {
        HealthStatus::Healthy | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Error => StatusCode::SERVICE_UNAVAILABLE,
    };
    HttpResponse::build(status).json(health)
}

/// What is wrong with this machine or interface, as `phantomnet doctor` found it when the sensor started, without having listened to the
/// traffic.
#[utoipa::path(
    tag = "sensor",
    responses((status = 200, description = "What was looked at, the worst first.", body = Findings), Checks)
)]
#[get("/api/doctor")]
pub(super) async fn show_findings(_: Parameters<NoQuery>, shared: Data<Shared>) -> Json<Findings> {
    Json(Findings::of(shared.live.doctor.read()))
}

/// The configuration in force, key by key, and where each value comes from. Nothing that may be secret.
#[utoipa::path(
    tag = "sensor",
    responses((status = 200, description = "Every key.", body = Configuration), Checks)
)]
#[get("/api/config")]
pub(super) async fn show_configuration(
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Json<Configuration> {
    Json(Configuration::of(&shared.live))
}
