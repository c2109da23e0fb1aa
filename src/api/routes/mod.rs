//! The routes, one file for each group.

mod accounting;
mod documents;
mod events;
mod feedback;
mod health;
mod live;
mod model;
mod root;
mod sources;
mod summary;
mod top;

use actix_web::web::ServiceConfig;
use utoipa_actix_web::service_config::ServiceConfig as DocumentedConfig;

pub(super) use documents::Documents;

/// Every route of the document.
pub(super) fn all(config: &mut DocumentedConfig<'_>) {
    config
        .service(root::show_root)
        .service(health::show_health)
        .service(health::show_liveness)
        .service(health::show_readiness)
        .service(health::show_findings)
        .service(health::show_configuration)
        .service(events::analyze_traffic)
        .service(events::list_events)
        .service(events::show_event)
        .service(events::explain_event)
        .service(feedback::label_event)
        .service(summary::show_stats)
        .service(summary::show_timeline)
        .service(top::show_top)
        .service(model::show_features)
        .service(model::show_features_of_many)
        .service(model::show_model)
        .service(model::show_schema)
        .service(model::score_rows)
        .service(sources::list_sources)
        .service(sources::show_source)
        .service(sources::list_sessions)
        .service(sources::list_incidents)
        .service(feedback::change_incident)
        .service(accounting::show_accounting)
        .service(live::show_metrics)
        .service(live::follow_events)
        .service(documents::show_openapi)
        .service(documents::show_docs);
}

/// Files of the dashboard and of the page to try the API; they are no part of the contract.
pub(super) fn pages(config: &mut ServiceConfig) {
    config.service(root::show_asset).service(documents::show_docs_file);
}
