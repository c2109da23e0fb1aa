//! Sources, their sessions, and incidents.

use std::net::IpAddr;

use actix_web::get;
use actix_web::web::{Data, Json, Path};

use super::super::asked::{
    IncidentsQuery, NoQuery, Parameters, SessionsQuery, SourceName, SourcesQuery, path_address,
};
use super::super::problem::{Asks, Checks, Names, Problem};
use super::super::shared::Shared;
use super::super::shown::{
    IncidentList, SessionList, ShownIncident, ShownSession, SourceList, SourcePage,
};
use crate::store::query::{
    IncidentFilter, IncidentState, Network, Page, Profile, Queries, QueryError, SessionFilter,
    StoredIncident, StoredSession,
};

/// Sessions and incidents on the page of one source.
const PAGE_OF_SOURCE_ROWS: u32 = 20;

/// Profiles of sources, latest seen first.
#[utoipa::path(
    tag = "sources",
    params(Parameters<SourcesQuery>),
    responses((status = 200, description = "One page.", body = SourceList), Checks, Asks)
)]
#[get("/api/sources")]
pub(super) async fn list_sources(
    asked: Parameters<SourcesQuery>,
    shared: Data<Shared>,
) -> Result<Json<SourceList>, Problem> {
    let Parameters(asked) = asked;
    let page = shared
        .store
        .ask(async |queries| queries.sources(asked.filter, asked.after, asked.limit).await)
        .await?;
    let sources = page.rows.iter().map(Into::into).collect();
    Ok(Json(SourceList { sources, next: asked.next(page.next.as_ref()) }))
}

/// What is known of one source: its profiles, newest sessions and incidents that nobody has closed. An IPv6 address is
/// looked up by itself and by its /64.
#[utoipa::path(
    tag = "sources",
    params(SourceName),
    responses((status = 200, description = "The source.", body = SourcePage), Names, Asks)
)]
#[get("/api/sources/{ip}")]
pub(super) async fn show_source(
    ip: Path<String>,
    _: Parameters<NoQuery>,
    shared: Data<Shared>,
) -> Result<Json<SourcePage>, Problem> {
    let ip = path_address(&ip)?;
    let known =
        shared.store.ask(async |queries| find(queries, ip, shared.ipv6_prefix).await).await?;
    if known.profiles.is_empty() && known.sessions.is_empty() && known.incidents.is_empty() {
        return Err(Problem::Unknown(format!("nothing is known of {ip}")));
    }
    Ok(Json(SourcePage {
        ip: ip.to_string(),
        profiles: known.profiles.iter().map(Into::into).collect(),
        sessions: known.sessions.iter().map(ShownSession::from).collect(),
        incidents: known.incidents.iter().map(ShownIncident::from).collect(),
    }))
}

/// What is known of one address.
struct Known {
    profiles: Vec<Profile>,
    sessions: Vec<StoredSession>,
    incidents: Vec<StoredIncident>,
}

async fn find(queries: &Queries, ip: IpAddr, ipv6_prefix: u8) -> Result<Known, QueryError> {
    let kept_as = Network { address: ip, length: if ip.is_ipv4() { 32 } else { 128 } };
    let network = match ip {
        IpAddr::V4(_) => kept_as,
        IpAddr::V6(v6) => {
            let lowest = v6.to_bits() & (u128::MAX << (128 - ipv6_prefix.clamp(1, 128)));
            Network { address: IpAddr::V6(lowest.into()), length: ipv6_prefix }
        }
    };
    let mut profiles = queries.source(ip).await?;
    if profiles.is_empty() && network.address != ip {
        profiles = queries.source(network.address).await?;
    }
    let of_source = SessionFilter { source: Some(network), ..SessionFilter::default() };
    let sessions: Page<StoredSession> =
        queries.sessions(&of_source, None, PAGE_OF_SOURCE_ROWS).await?;
    let mut incidents = Vec::new();
    for state in [IncidentState::Open, IncidentState::Acknowledged] {
        let about = IncidentFilter {
            subject: Some(network),
            state: Some(state),
            ..IncidentFilter::default()
        };
        incidents.extend(queries.incidents(&about, None, PAGE_OF_SOURCE_ROWS).await?.rows);
    }
    Ok(Known { profiles, sessions: sessions.rows, incidents })
}

/// Sessions of sources, newest first.
#[utoipa::path(
    tag = "sources",
    params(Parameters<SessionsQuery>),
    responses((status = 200, description = "One page.", body = SessionList), Checks, Asks)
)]
#[get("/api/sessions")]
pub(super) async fn list_sessions(
    asked: Parameters<SessionsQuery>,
    shared: Data<Shared>,
) -> Result<Json<SessionList>, Problem> {
    let Parameters(asked) = asked;
    let page = shared
        .store
        .ask(async |queries| queries.sessions(&asked.filter, asked.after, asked.limit).await)
        .await?;
    let sessions = page.rows.iter().map(ShownSession::from).collect();
    Ok(Json(SessionList { sessions, next: asked.next(page.next.as_ref()) }))
}

/// Incidents, the latest to go on first.
#[utoipa::path(
    tag = "incidents",
    params(Parameters<IncidentsQuery>),
    responses((status = 200, description = "One page.", body = IncidentList), Checks, Asks)
)]
#[get("/api/incidents")]
pub(super) async fn list_incidents(
    asked: Parameters<IncidentsQuery>,
    shared: Data<Shared>,
) -> Result<Json<IncidentList>, Problem> {
    let Parameters(asked) = asked;
    let page = shared
        .store
        .ask(async |queries| queries.incidents(&asked.filter, asked.after, asked.limit).await)
        .await?;
    let incidents = page.rows.iter().map(ShownIncident::from).collect();
    Ok(Json(IncidentList { incidents, next: asked.next(page.next.as_ref()) }))
}
