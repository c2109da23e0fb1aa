//! The application: routes behind compression behind the front.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, Error};
use utoipa_actix_web::AppExt as _;

use super::shared::Shared;
use super::{front, routes};

/// One application; each of the server's threads has its own, all share `shared`.
pub(super) fn app(
    shared: Data<Shared>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(shared)
        .into_utoipa_app()
        .configure(routes::all)
        .into_app()
        .configure(routes::pages)
        .default_service(web::to(front::no_route))
        .wrap(Compress::default())
        .wrap(from_fn(front::pass))
}
