//! The sums of all stages.

use actix_web::get;
use actix_web::web::{Data, Json};

use super::super::asked::{AccountingQuery, Parameters};
use super::super::problem::Checks;
use super::super::shared::Shared;
use super::super::shown::Accounting;

/// What every stage took, passed on and lost, live and as the store has it. Answers also while the store is away; then
/// `ledgers` is null and `note` says why.
#[utoipa::path(
    tag = "statistics",
    params(Parameters<AccountingQuery>),
    responses((status = 200, description = "The sums.", body = Accounting), Checks)
)]
#[get("/api/accounting")]
pub(super) async fn show_accounting(
    asked: Parameters<AccountingQuery>,
    shared: Data<Shared>,
) -> Json<Accounting> {
    let epochs = asked.0.epochs;
    let ledgers = shared.store.ask(async |queries| queries.ledgers(epochs).await).await;
    Json(Accounting::of(&shared.live, ledgers.map_err(|problem| problem.to_string())))
}
