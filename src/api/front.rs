//! What every request passes before and after its route: address, host, token; headers, latency.

use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, AcceptEncoding, Encoding, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _};
use utoipa::openapi::{OpenApi, PathItem};

use super::dashboard::ASSETS;
use super::problem::Problem;
use super::requests::UNMATCHED;
use super::shared::Shared;

/// Bytes that an address may have: three times what the longest filter takes.
const URI_BYTES_MAX: usize = 8 << 10;

/// The route that anybody may ask, so that a watchdog needs no secret.
const FREE_ROUTE: &str = "/health/live";

/// What the server can do is no secret either: a browser can't show a token when it opens a page.
const DOCUMENT: &str = "/openapi.json";

/// The dashboard, which asks for the token itself: a browser can't show one when it opens a page.
const DASHBOARD: &str = "/";

/// Where the pages to try the API begin. Their script draws styles and small pictures of its own.
pub(super) const DOCS: &str = "/docs";

/// Everything from here, nothing from elsewhere, in no one's frame.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The same for the pages under [`DOCS`].
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
];

/// Put on a request that was HEAD: nothing of the answer but its head will be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadAlone;

/// Whether a route, by its path or pattern, is answered without a token. Nothing of the network is in any of them.
pub(super) fn is_free(path: &str) -> bool {
    let of_docs =
        path.strip_prefix(DOCS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    path == FREE_ROUTE
        || path == DOCUMENT
        || of_docs
        || path == DASHBOARD
        || path.starts_with(ASSETS)
}

/// Lets a request through to its route, or answers it here.
pub(super) async fn pass<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let began = Instant::now();
    let Some(shared) = request.app_data::<Data<Shared>>().cloned() else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let method = request.method().clone();
    let path = request.path().to_owned();
    let mut response = match refusal(&shared, &request) {
        Some(problem) => request.into_response(problem.error_response()).map_into_right_body(),
        None => {
            // The answer to HEAD is that to GET; its body is left out where it would be written.
            if method == Method::HEAD {
                request.head_mut().method = Method::GET;
                request.extensions_mut().insert(HeadAlone);
            }
            if !accepts_an_encoding(&request) {
                // RFC 9110, section 12.5.3: then it is answered as if it had not said so.
                request.headers_mut().remove(header::ACCEPT_ENCODING);
            }
            next.call(request).await?.map_into_left_body()
        }
    };
    let pattern = response.request().match_pattern();
    let known = shared.routes.find(pattern.as_deref().unwrap_or(&path));
    let route = known.map_or(UNMATCHED, |route| &route.pattern);
    dress(response.headers_mut(), path.starts_with(DOCS));
    let status = response.status().as_u16();
    shared.requests.record(route, method.as_str(), status, began.elapsed());
    Ok(response)
}

/// Why a request does not get as far as its route.
fn refusal(shared: &Shared, request: &ServiceRequest) -> Option<Problem> {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > URI_BYTES_MAX {
        return Some(Problem::TooLong);
    }
    if !is_called_by_name(shared, request) {
        return Some(Problem::Misdirected);
    }
    if let Some(token) = shared.token.as_ref().filter(|_| !is_free(request.path()))
        && !bearer(request.headers()).is_some_and(|shown| token.is(shown))
    {
        return Some(Problem::Unauthorized);
    }
    // Here, not by the router: it would take `batch` of `/api/ml/features/batch` for the name of an event.
    let route = shared.routes.find(request.path())?;
    (!route.answers(request.method())).then(|| Problem::Method { allow: route.allow.clone() })
}

/// Whether the client meant this server: a page elsewhere whose name was pointed at this address says that name.
fn is_called_by_name(shared: &Shared, request: &ServiceRequest) -> bool {
    let mut stated = request.headers().get_all(header::HOST);
    let (first, again) = (stated.next(), stated.next());
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => first.and_then(|host| host.to_str().ok()),
    };
    let name = host.map(|host| without_port(host).to_ascii_lowercase());
    again.is_none() && name.is_some_and(|name| shared.hosts.contains(&name))
}

/// The name or address of `host:port`, `[v6]:port`, or either without a port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether one of the encodings that there are suits the client.
fn accepts_an_encoding(request: &ServiceRequest) -> bool {
    let known = [Encoding::identity(), Encoding::gzip(), Encoding::deflate()];
    let stated: Option<AcceptEncoding> = request.get_header();
    stated.is_none_or(|stated| stated.negotiate(known.iter()).is_some())
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let stated = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = stated.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Adds what every answer says, where the route did not say it itself.
fn dress(headers: &mut HeaderMap, is_docs: bool) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = if is_docs { DOCS_POLICY } else { POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// What is answered where no route answers: 405 when another method would do (to a path in percent encoding), else 404.
pub(super) async fn no_route(request: HttpRequest, shared: Data<Shared>) -> HttpResponse {
    let problem = match shared.routes.find(request.path()) {
        Some(route) => Problem::Method { allow: route.allow.clone() },
        None => Problem::Unknown("there is no such route; GET /openapi.json lists them".to_owned()),
    };
    problem.error_response()
}

/// Every route there is.
#[derive(Debug)]
pub(super) struct Routes(Vec<KnownRoute>);

/// A route by its pattern.
#[derive(Debug)]
pub(super) struct KnownRoute {
    /// Such as `/api/events/{id}`.
    pub(super) pattern: String,
    /// Its methods, as `Allow` lists them.
    allow: String,
}

impl KnownRoute {
    fn answers(&self, method: &Method) -> bool {
        self.allow.split(", ").any(|allowed| allowed == method.as_str())
    }
}

impl Routes {
    /// The routes of the document, and those that it leaves out.
    pub(super) fn of(document: &OpenApi) -> Self {
        let documented = document.paths.paths.iter().map(|(pattern, item)| KnownRoute {
            pattern: pattern.clone(),
            allow: methods_of(item).join(", "),
        });
        let pages = [format!("{ASSETS}{{file}}"), "/docs/{file}".to_owned()];
        let pages = pages.map(|pattern| KnownRoute { pattern, allow: "GET, HEAD".to_owned() });
        Self(documented.chain(pages).collect())
    }

    /// The route of a path, or of a pattern; a literal one stands before one with a name in that place.
    pub(super) fn find(&self, path: &str) -> Option<&KnownRoute> {
        self.0.iter().find(|route| matches(&route.pattern, path))
    }
}

fn methods_of(item: &PathItem) -> Vec<&'static str> {
    let known = [
        ("GET", item.get.is_some()),
        ("HEAD", item.get.is_some()),
        ("POST", item.post.is_some()),
        ("PATCH", item.patch.is_some()),
    ];
    known.into_iter().filter(|(_, has)| *has).map(|(method, _)| method).collect()
}

/// Whether `path` has the segments of `pattern`; `{name}` stands for any that is not empty.
fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    pattern.split('/').all(|wanted| match segments.next() {
        Some(segment) if wanted.starts_with('{') => !segment.is_empty(),
        Some(segment) => segment == wanted,
        None => false,
    }) && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_wants_each_of_its_segments() {
        assert!(matches("/api/events/{id}", "/api/events/1-2"));
        assert!(matches("/api/events/{id}", "/api/events/{id}"));
        for path in ["/api/events", "/api/events/", "/api/events/1/2", "/api/sources/1", "/"] {
            assert!(!matches("/api/events/{id}", path), "{path}");
        }
        assert!(matches("/", "/"));
    }

    #[test]
    fn a_host_is_known_with_and_without_its_port() {
        for (host, name) in [
            ("localhost:8000", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:8000", "[::1]"),
            ("[::1]", "[::1]"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("localhost:80:80", "localhost:80"),
        ] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn a_bearer_token_is_read_in_any_case_of_its_scheme() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
        };
        assert_eq!(bearer(&headers("bEARER abc ")), Some(&b"abc"[..]));
        for other in ["Basic abc", "Bearer", "", "Bearerabcdef"] {
            assert_eq!(bearer(&headers(other)), None, "{other}");
        }
    }
}
