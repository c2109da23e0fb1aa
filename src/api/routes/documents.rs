//! The contract, and a page to try it. Both come out of the program; nothing is fetched from elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{self, EntityTag, IfNoneMatch};
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, get};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoResponses;
use utoipa::openapi::{OpenApi, RefOr, Response};
use utoipa_swagger_ui::Config;

use super::super::asked::{NoQuery, Parameters};
use super::super::problem::{Checks, Problem};
use super::super::shared::Shared;

/// Documents that are the same as long as the program runs.
pub(in super::super) struct Documents {
    openapi: Bytes,
    page: Arc<Config<'static>>,
}

impl Documents {
    pub(in super::super) fn of(document: &OpenApi) -> Self {
        let text = serde_json::to_vec(document).unwrap_or_default();
        Self { openapi: text.into(), page: Arc::new(Config::from("/openapi.json")) }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").finish_non_exhaustive()
    }
}

/// What a client that has the newest version is told.
#[derive(Debug)]
pub(super) struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let unchanged = Response::new("The client has it: its `If-None-Match` holds the ETag.");
        BTreeMap::from([("304".to_owned(), unchanged.into())])
    }
}

/// This document.
#[utoipa::path(
    tag = "sensor",
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = serde_json::Value, content_type = "application/json"),
        NotModified,
        Checks,
    )
)]
#[get("/openapi.json")]
pub(super) async fn show_openapi(
    _: Parameters<NoQuery>,
    request: HttpRequest,
    shared: Data<Shared>,
) -> HttpResponse {
    tagged(&request, shared.documents.openapi.clone(), "application/json")
}

/// A page to try every route; leads to `/docs/`.
#[utoipa::path(
    tag = "sensor",
    responses((status = 308, description = "Where the page is.", headers(("Location" = String))), Checks)
)]
#[get("/docs")]
pub(super) async fn show_docs(_: Parameters<NoQuery>) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A file of that page.
#[get("/docs/{file:.*}")]
pub(super) async fn show_docs_file(file: Path<String>, shared: Data<Shared>) -> HttpResponse {
    let page = Arc::clone(&shared.documents.page);
    match utoipa_swagger_ui::serve(&file, page) {
        Ok(Some(found)) => {
            let mut response = HttpResponse::Ok();
            if found.gzpipped {
                response.insert_header((header::CONTENT_ENCODING, "gzip"));
            }
            response.content_type(found.content_type).body(found.bytes.into_owned())
        }
        Ok(None) | Err(_) => {
            let unknown = Problem::Unknown("there is no such page; see /docs/".to_owned());
            actix_web::ResponseError::error_response(&unknown)
        }
    }
}

/// A value that seldom changes, as JSON with a tag by which a client can ask whether it did.
pub(super) fn tagged_json(request: &HttpRequest, value: &impl Serialize) -> HttpResponse {
    tagged(request, serde_json::to_vec(value).unwrap_or_default().into(), "application/json")
}

/// What seldom changes, with a tag by which a client can ask whether it did.
pub(super) fn tagged(request: &HttpRequest, body: Bytes, content_type: &str) -> HttpResponse {
    let hash = Sha256::digest(&body);
    let tag: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    // Weak: compressed or not, it is the same.
    let tag = EntityTag::new_weak(tag);
    let has_it = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        None => false,
    };
    let mut response = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header(header::ETag(tag));
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if has_it { response.finish() } else { response.content_type(content_type).body(body) }
}
