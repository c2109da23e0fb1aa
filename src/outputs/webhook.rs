//! Incidents as JSON, by POST: one request each.
//!
//! `text` is a line for people, which chat systems show as it is; `id` is the same when a request comes twice, because an answer was lost.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, http::StatusCode};

use super::destination::{Delivery, Destination};
use super::moment;
use super::news::News;
use super::pump::Form;

/// How long a request may take, from the name to the end of the answer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(3);

/// Makes bodies.
pub(super) struct WebhookBodies {
    pub(super) sensor: Box<str>,
}

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    id: String,
    event: &'static str,
    text: String,
    sensor: &'a str,
    incident: Shown<'a>,
}

/// The incident in the words of the API.
#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    subject: Option<String>,
    role: &'static str,
    kind: &'a str,
    title: &'a str,
    time: String,
    last_time: String,
    count: u64,
    events: u64,
    worst: &'static str,
    worst_event: String,
    rules: &'a [u32],
}

impl Form<News> for WebhookBodies {
    fn records(&mut self, news: &News) -> Vec<Vec<u8>> {
        let incident = &news.incident;
        let body = Body {
            id: format!("{}-{}", news.id(), incident.worst.name()),
            event: news.what.name(),
            text: news.text(),
            sensor: &self.sensor,
            incident: Shown {
                id: news.id(),
                subject: incident.subject.map(|subject| subject.to_string()),
                role: news.role(),
                kind: &incident.kind,
                title: &incident.title,
                time: moment(incident.first),
                last_time: moment(incident.last),
                count: incident.count,
                events: incident.events,
                worst: incident.worst.name(),
                worst_event: format!("{}-{}", news.epoch, incident.worst_event),
                rules: &incident.rules,
            },
        };
        vec![serde_json::to_vec(&body).expect("records have string keys only")]
    }
}

/// The other side.
pub(super) struct Webhook {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Webhook {
    /// Talks to `url`, with a token if there is one. The certificates that it trusts are this machine's.
    pub(super) fn new(url: String, token: Option<String>) -> Self {
        // A machine without any can talk to http:// alone, and says so at the first https://.
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<_> =
            roots.iter().map(|root| Certificate::from_der(root.as_ref()).to_owned()).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = Agent::config_builder()
            .timeout_global(Some(REQUEST_TIME_MAX))
            // A POST that is redirected becomes a GET elsewhere: never what was meant.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("phantomnet/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .into();
        Self { agent, url, token }
    }

    fn post(&self, body: &[u8]) -> Result<StatusCode, ureq::Error> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        Ok(request.send(body)?.status())
    }
}

impl Destination for Webhook {
    fn deliver(&mut self, messages: &[Vec<u8>]) -> Delivery {
        for (taken, message) in messages.iter().enumerate() {
            match self.post(message) {
                Ok(status) if status.is_success() => {}
                Ok(status) if may_pass(status) => {
                    return Delivery::later(taken, format!("the answer was {status}"));
                }
                Ok(status) => return Delivery::never(taken, format!("the answer was {status}")),
                // Never with the URL, which may be a secret.
                Err(error) => return Delivery::later(taken, without_url(&error)),
            }
        }
        Delivery::all(messages)
    }
}

/// Whether the same request may be answered otherwise later.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// What went wrong, in words that do not name where to.
fn without_url(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the name of the host has no address".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        ureq::Error::Tls(why) => format!("TLS: {why}"),
        _ => "the request could not be made".to_owned(),
    }
}
