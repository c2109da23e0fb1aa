//! Every error answer: `{"detail": ...}`, a list for what does not validate and a sentence for the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::logs::limited;
use crate::store::query::{QUERY_TIME_MAX, QueryError};

/// How long a client should wait before it asks a store that is away again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// Characters of a refused value that are repeated to whoever sent it.
const INPUT_CHARS_MAX: usize = 120;

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub(super) enum Problem {
    /// Fields that do not keep their rules: 422.
    Invalid(Vec<FieldError>),
    /// No such thing: 404.
    Unknown(String),
    /// Not with this method: 405.
    Method {
        /// Those that would do, as `Allow` lists them.
        allow: String,
    },
    /// No token, or a wrong one: 401.
    Unauthorized,
    /// Called by a name that is not the server's: 421.
    Misdirected,
    /// The address is too long: 414.
    TooLong,
    /// The body has more than this many bytes: 413.
    TooLarge(usize),
    /// The body is not called JSON: 415.
    NotJson,
    /// The body did not come in time: 408.
    TooSlow,
    /// The store is away, or every connection to it is taken: 503.
    Away(String),
}

/// The answer to a request that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorAnswer {
    /// What is wrong.
    detail: String,
}

/// The answer to a request that does not validate: every fault that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValidationAnswer {
    detail: Vec<FieldError>,
}

/// One field that does not keep its rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// Where: `query`, `path`, `header` or `body`, then the field, then for lists the place in it.
    #[schema(value_type = Vec<serde_json::Value>, example = json!(["query", "limit"]))]
    pub(super) loc: Vec<Place>,
    /// The rule.
    #[schema(example = "must be from 1 to 1000")]
    pub(super) msg: String,
    /// The value, shortened; null when it is missing.
    #[schema(example = "0")]
    pub(super) input: Option<String>,
    /// Which sort of rule.
    #[serde(rename = "type")]
    #[schema(example = "out_of_range")]
    pub(super) kind: &'static str,
}

/// One step of the way to a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Place {
    /// By name.
    Name(String),
    /// By number, from 0.
    Index(usize),
}

impl FieldError {
    pub(super) fn new(
        part: &str,
        name: &str,
        input: Option<&str>,
        msg: impl Into<String>,
        kind: &'static str,
    ) -> Self {
        let input = input.map(|input| input.chars().take(INPUT_CHARS_MAX).collect());
        let loc = vec![Place::Name(part.to_owned()), Place::Name(name.to_owned())];
        Self { loc, msg: msg.into(), input, kind }
    }

    /// The same one step further in.
    pub(super) fn at(mut self, place: Place) -> Self {
        self.loc.push(place);
        self
    }
}

impl Problem {
    /// One field of the body, the path or the query that does not keep its rule.
    pub(super) fn invalid(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::TooExpensive => {
                let wait = Duration::as_secs(&QUERY_TIME_MAX);
                Self::Invalid(vec![FieldError {
                    loc: vec![Place::Name("query".to_owned())],
                    msg: format!(
                        "the question took longer than {wait} s: narrow it, by from and to for example"
                    ),
                    input: None,
                    kind: "too_expensive",
                }])
            }
            QueryError::Store(error) => {
                limited!(warn, %error, "a question to the store was not answered");
                Self::Away(format!("the store does not answer: {error}"))
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(errors) => write!(f, "{} fields do not validate", errors.len()),
            Self::Unknown(what) | Self::Away(what) => f.write_str(what),
            Self::Method { allow } => write!(f, "not with this method; allowed: {allow}"),
            Self::Unauthorized => f.write_str("a valid bearer token is needed"),
            Self::Misdirected => f.write_str(
                "the Host header does not name this server; http.hosts of the configuration lists other names of it",
            ),
            Self::TooLong => f.write_str("the address is too long"),
            Self::TooLarge(most) => write!(f, "the body has more than {most} bytes"),
            Self::NotJson => f.write_str("the body must be sent as Content-Type: application/json"),
            Self::TooSlow => f.write_str("the body did not come in time"),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TooLong => StatusCode::URI_TOO_LONG,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Invalid(errors) => {
                return response.json(ValidationAnswer { detail: errors.clone() });
            }
            Self::Method { allow } => {
                response.insert_header((header::ALLOW, allow.as_str()));
            }
            Self::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"phantomnet\""));
            }
            Self::Away(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
            }
            // What is left of the body is not read.
            Self::TooLarge(_) | Self::TooSlow => {
                response.force_close();
            }
            Self::Unknown(_) | Self::Misdirected | Self::TooLong | Self::NotJson => {}
        }
        response.json(ErrorAnswer { detail: self.to_string() })
    }
}

/// Documents answers of one sort on the routes that can give them.
macro_rules! documented {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $schema:ident $text:literal),+;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(($status, stringify!($schema), $text)),+]
                    .into_iter()
                    .map(|(status, schema, text)| (status.to_owned(), answer(schema, text).into()))
                    .collect()
            }
        }
    )+};
}

documented! {
    /// What any question to the store can come to.
    Asks: "503" ErrorAnswer "The store is away, or all connections to it are taken: ask again after `Retry-After`.";
    /// What parameters can come to.
    Checks: "422" ValidationAnswer "Parameters that do not keep their rules, each with its place, value and rule; or a question that took too long (`type` is `too_expensive`).";
    /// What a name in the path can come to.
    Names: "404" ErrorAnswer "There is nothing of that name.", "422" ValidationAnswer "It can't be a name.";
    /// What a body can come to.
    Takes: "408" ErrorAnswer "The body did not come within five seconds.",
        "413" ErrorAnswer "The body has too many bytes.",
        "415" ErrorAnswer "The body is not called `application/json`.",
        "422" ValidationAnswer "The body is no JSON, or its fields do not keep their rules.";
}

/// An error answer for the document.
pub(super) fn answer(schema: &str, text: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(text).content("application/json", content).build()
}
