//! The front page, for people and for programs.

use actix_web::http::header::{self, Accept};
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::asked::{NoQuery, Parameters};
use super::super::problem::Checks;

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
        Checks,
    )
)]
#[get("/")]
pub(super) async fn show_root(
    _: Parameters<NoQuery>,
    accept: Option<web::Header<Accept>>,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept, Accept-Encoding"));
    if accept.is_some_and(|accept| prefers_json(&accept)) {
        let version = env!("CARGO_PKG_VERSION");
        return response.json(Greeting { message: "PhantomNet sensor: ONLINE", version });
    }
    response.content_type("text/html; charset=utf-8").body(PAGE)
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

const PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>PhantomNet</title></head>
<body>
<h1>PhantomNet</h1>
<ul>
<li><a href=\"/health\">Health</a></li>
<li><a href=\"/api/stats\">Statistics</a></li>
<li><a href=\"/api/events?threat=MALICIOUS\">Malicious events</a></li>
<li><a href=\"/api/incidents?state=open\">Open incidents</a></li>
<li><a href=\"/api/timeline\">Timeline</a></li>
<li><a href=\"/api/accounting\">Accounting</a></li>
<li><a href=\"/metrics\">Metrics</a></li>
<li><a href=\"/docs/\">All routes, to try</a></li>
</ul>
</body>
</html>
";
