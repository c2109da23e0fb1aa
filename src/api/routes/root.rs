//! The front page, for people and for programs.

use actix_web::http::header::{self, Accept, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::asked::{NoQuery, Parameters};
use super::super::dashboard::{Asset, DOCUMENT, FILES};
use super::super::problem::{Checks, Problem};
use super::documents::{NotModified, tagged};

/// That the sensor is there.
#[derive(Debug, Serialize, ToSchema)]
struct Greeting {
    #[schema(example = "PhantomNet sensor: ONLINE")]
    message: &'static str,
    /// Of the program.
    version: &'static str,
}

/// The front page, or, where JSON is preferred, that the sensor is there.
#[utoipa::path(
    tag = "sensor",
    responses(
        (status = 200, description = "The sensor is there.", content(
            (Greeting = "application/json"),
            (String = "text/html"),
        )),
        NotModified,
        Checks,
    )
)]
#[get("/")]
pub(super) async fn show_root(
    _: Parameters<NoQuery>,
    request: HttpRequest,
    accept: Option<web::Header<Accept>>,
) -> HttpResponse {
    let mut response = if accept.is_some_and(|accept| prefers_json(&accept)) {
        let version = env!("CARGO_PKG_VERSION");
        HttpResponse::Ok().json(Greeting { message: "PhantomNet sensor: ONLINE", version })
    } else {
        tagged(&request, Bytes::from_static(DOCUMENT.as_bytes()), "text/html; charset=utf-8")
    };
    let varies = HeaderValue::from_static("Accept, Accept-Encoding");
    response.headers_mut().insert(header::VARY, varies);
    response
}

/// A file that the front page asks for.
#[get("/assets/{file}")]
pub(super) async fn show_asset(request: HttpRequest, file: web::Path<String>) -> HttpResponse {
    match FILES.iter().find(|asset| asset.name == *file) {
        Some(Asset { content_type, text, .. }) => {
            tagged(&request, Bytes::from_static(text.as_bytes()), content_type)
        }
        None => Problem::Unknown(format!("there is no file {file}")).error_response(),
    }
}

/// Whether JSON stands before HTML in what the client likes best.
fn prefers_json(accept: &Accept) -> bool {
    let first = accept.ranked().into_iter().find_map(|kind| {
        match (kind.type_().as_str(), kind.subtype().as_str()) {
            ("application", "json" | "*") => Some(true),
            ("text", "html" | "*") | ("*", _) => Some(false),
            _ => None,
        }
    });
    first.unwrap_or(false)
}
