//! The contract: an OpenAPI 3.1 document, generated from the handlers.

use actix_web::App;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, Info, License, OpenApi, PathItem, RefOr, Schema};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_actix_web::AppExt as _;

use super::front::is_free;
use super::problem::{ErrorAnswer, FieldError, ValidationAnswer, answer};
use super::routes;

/// What a reader of the document should know first.
const ABOUT: &str = "Events, statistics and explanations of a PhantomNet sensor. Errors are `{\"detail\": ...}`: a list of \
     fields for what does not validate (422), a sentence for the rest. Parameters that a route does not know are refused. \
     Lists are paged by opaque cursor: ask again with `cursor` set to `next` and the same filters. `HEAD` is answered wherever \
     `GET` is. What is not known is null.";

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The document as text, for a file: pretty, with a line end.
#[must_use]
pub fn openapi_json() -> String {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

/// The document.
pub(super) fn document() -> OpenApi {
    let (_, mut document) = App::new().into_utoipa_app().configure(routes::all).split_for_parts();
    let mut info = Info::new("PhantomNet", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    document.info = info;
    let components = document.components.get_or_insert_with(Components::new);
    for (name, schema) in [
        (ErrorAnswer::name(), ErrorAnswer::schema()),
        (ValidationAnswer::name(), ValidationAnswer::schema()),
        (FieldError::name(), FieldError::schema()),
    ] {
        components.schemas.insert(name.into_owned(), schema);
    }
    let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    scheme.description = Some(
        "Needed when a token is set, as it must be on any address that others can reach."
            .to_owned(),
    );
    components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    for (_, schema) in
        components.schemas.iter_mut().filter(|(name, _)| !BODIES.contains(&name.as_str()))
    {
        require_everything(schema);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            add_common_answers(operation, is_free(path));
        }
    }
    document
}

/// Schemas of what is sent; everything else is answered.
const BODIES: [&str; 5] =
    ["EventIds", "FeatureRows", "FeatureValues", "IncidentPatch", "LabelWords"];

/// An answer has every field: what is not known is null.
fn require_everything(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            object.required = object.properties.keys().cloned().collect();
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(require_everything),
        _ => {}
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch].into_iter().flatten()
}

/// What any route can answer: the front comes before them all.
fn add_common_answers(operation: &mut Operation, is_free: bool) {
    let mut answers = vec![
        ("414", "The address has more than 8 KiB."),
        ("421", "The Host header does not name this server."),
    ];
    if !is_free {
        answers.push(("401", "A token is set, and the request does not show it."));
        operation.security = Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new(BEARER, Vec::<String>::new()),
        ]);
    }
    for (status, text) in answers {
        let answer = answer("ErrorAnswer", text);
        operation.responses.responses.insert(status.to_owned(), answer.into());
    }
}
