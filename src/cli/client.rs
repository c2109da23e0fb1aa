//! A running sensor, asked over HTTP: `--url`, `--token-file`, and what can go wrong, with what to do about it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use ureq::Agent;
use ureq::http::{StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::Failure;
use crate::logs::harmless;

/// A sensor answers within two seconds whatever happens to its store; the rest is for the network.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer: a thousand times what any route that is asked here sends.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Bytes of a token's file that are read.
const TOKEN_FILE_BYTES_MAX: u64 = 4096;

/// Which sensor is asked.
#[derive(Clone, Debug, Args)]
pub(super) struct SensorArgument {
    /// Where the sensor answers: http.listen of its configuration.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    url: String,

    /// A file that holds the sensor's token: the one that http.token_file of its configuration names, or a copy.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl SensorArgument {
    /// Somebody to ask. Nothing is asked yet.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let refuse = |rule: &str| Failure::usage(format!("--url {}: {rule}", self.url));
        let base = self.url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|error| refuse(&format!("is no address: {error}")))?;
        let is_root = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        let is_encrypted = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("must begin with http:// or https://")),
        };
        // A name and password would be sent to nobody: the sensor asks for a token.
        if !is_root || uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(refuse("must be scheme, host and port alone, as in http://127.0.0.1:8000"));
        }
        let token = self.token_file.as_deref().map(read_token).transpose()?;
        Ok(Client { base, token, agent: agent(is_encrypted) })
    }
}

/// The token is shown to the sensor and to nobody whom it names, so redirects and proxies are not followed.
fn agent(is_encrypted: bool) -> Agent {
    let mut config = Agent::config_builder()
        .timeout_global(Some(ANSWER_TIME_MAX))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("phantomnet/", env!("CARGO_PKG_VERSION")));
    if is_encrypted {
        // A sensor behind a proxy of one's own has a certificate that this machine trusts, and seldom the rest of the world.
        let trusted = rustls_native_certs::load_native_certs().certs;
        let roots = trusted.iter().map(|one| Certificate::from_der(one).to_owned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots))
            .unversioned_rustls_crypto_provider(provider);
        config = config.tls_config(tls.build());
    }
    config.build().into()
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let refuse =
        |rule: String| Failure::configuration(format!("--token-file {}: {rule}", path.display()));
    let file = fs::File::open(path).map_err(|error| refuse(format!("can't be read: {error}")))?;
    let text = io::read_to_string(io::Read::take(file, TOKEN_FILE_BYTES_MAX))
        .map_err(|error| refuse(format!("can't be read: {error}")))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("must hold one line of visible characters, the token".to_owned()));
    }
    Ok(token.to_owned())
}

/// Asks one sensor.
#[derive(Clone)]
pub(super) struct Client {
    /// Scheme, host and port.
    base: String,
    token: Option<String>,
    agent: Agent,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Why a sensor did not answer what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum AskError {
    /// Nobody answers there.
    #[error(
        "{url}: no answer: {reason}; is the sensor running? http.listen of its configuration says where it answers, --url asks \
         there"
    )]
    Away { url: String, reason: String },
    /// It may be somebody else.
    #[error(
        "{url}: this machine does not trust the certificate: {reason}; SSL_CERT_FILE names a file of authorities to trust"
    )]
    Untrusted { url: String, reason: String },
    /// It wants a token.
    #[error(
        "{url}: the sensor wants a token; --token-file FILE names the file that http.token_file of its configuration names"
    )]
    NoToken { url: String },
    /// It wants another token.
    #[error(
        "{url}: the sensor does not take the token of --token-file; it must be that of http.token_file of its configuration"
    )]
    WrongToken { url: String },
    /// It is not called so.
    #[error(
        "{url}: the server does not go by that name; http.hosts of its configuration lists names beside its address"
    )]
    Misdirected { url: String },
    /// It says what is wrong.
    #[error("{url}{path}: {detail} (status {status})")]
    Refused { url: String, path: String, status: u16, detail: String },
    /// Somebody else answers there.
    #[error("{url}{path}: the answer is not a sensor's of this version: {reason}")]
    Strange { url: String, path: String, reason: String },
}

impl Client {
    pub(super) fn url(&self) -> &str {
        &self.base
    }

    /// The JSON at `path`, whatever its status where `takes` says so, as `/health` of an ill sensor has one.
    pub(super) fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        takes: &[StatusCode],
    ) -> Result<T, AskError> {
        let text = self.text(path, takes)?;
        serde_json::from_str(&text).map_err(|error| self.strange(path, &error.to_string()))
    }

    /// The JSON at `path` as it came, and what is wanted of it.
    pub(super) fn both<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<(Box<RawValue>, T), AskError> {
        let text = self.text(path, &[])?;
        let read = serde_json::from_str(&text)
            .and_then(|wanted| Ok((RawValue::from_string(text.clone())?, wanted)));
        read.map_err(|error| self.strange(path, &error.to_string()))
    }

    /// The text at `path`.
    pub(super) fn text(&self, path: &str, takes: &[StatusCode]) -> Result<String, AskError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(|error| self.failed(path, &error))?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let status = response.status();
        if status.is_success() || takes.contains(&status) {
            return body.map_err(|error| self.failed(path, &error));
        }
        Err(self.refused(path, status, &body.unwrap_or_default()))
    }

    fn failed(&self, path: &str, error: &ureq::Error) -> AskError {
        match error {
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
                self.strange(path, &error.to_string())
            }
            ureq::Error::Rustls(error) => self.untrusted(&error.to_string()),
            ureq::Error::Io(error)
                if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) =>
            {
                self.untrusted(&error.to_string())
            }
            ureq::Error::Io(error) => self.away(&error.to_string()),
            other => self.away(&other.to_string()),
        }
    }

    fn away(&self, reason: &str) -> AskError {
        AskError::Away { url: self.base.clone(), reason: harmless(reason) }
    }

    fn untrusted(&self, reason: &str) -> AskError {
        AskError::Untrusted { url: self.base.clone(), reason: harmless(reason) }
    }

    fn strange(&self, path: &str, reason: &str) -> AskError {
        let (url, path) = (self.base.clone(), path.to_owned());
        AskError::Strange { url, path, reason: harmless(reason) }
    }

    fn refused(&self, path: &str, status: StatusCode, body: &str) -> AskError {
        let url = self.base.clone();
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => AskError::NoToken { url },
            (StatusCode::UNAUTHORIZED, Some(_)) => AskError::WrongToken { url },
            (StatusCode::MISDIRECTED_REQUEST, _) => AskError::Misdirected { url },
            (status, _) => match detail_of(body) {
                Some(detail) => AskError::Refused {
                    url,
                    path: path.to_owned(),
                    status: status.as_u16(),
                    detail,
                },
                None => self.strange(path, &format!("status {}", status.as_u16())),
            },
        }
    }
}

/// What the sensor says is wrong: a sentence, or a list with a rule for each field.
fn detail_of(body: &str) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_str(body).ok()?;
    let detail = answer.get("detail")?;
    let sentence = detail.as_str().map(harmless);
    sentence.or_else(|| {
        let fields = detail.as_array()?.iter();
        let rules: Vec<String> =
            fields.filter_map(|field| field.get("msg")?.as_str().map(harmless)).collect();
        (!rules.is_empty()).then(|| rules.join("; "))
    })
}

/// A text of an answer without anything that a terminal would obey: most were written by whoever sent the packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(harmless(text))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(harmless(&text)))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str) -> Result<Client, Failure> {
        SensorArgument { url: url.to_owned(), token_file: None }.client()
    }

    #[test]
    fn an_address_is_scheme_host_and_port() {
        for url in ["http://127.0.0.1:8000", "http://[::1]:8000/", "https://sensor.example"] {
            assert_eq!(asked(url).unwrap().url(), url.trim_end_matches('/'));
        }
        for url in
            ["127.0.0.1:8000", "ftp://a", "http://a/health", "http://u:p@a", "http://", "a b"]
        {
            let failure = asked(url).unwrap_err();
            assert_eq!(failure.code, super::super::EXIT_USAGE, "{url}");
            assert!(failure.lines()[0].starts_with(&format!("--url {url}: ")), "{failure:?}");
        }
    }

    #[test]
    fn what_the_network_wrote_can_not_speak_to_a_terminal() {
        let text = r#""\u001b]0;owned\u0007\u009b2J\r\n\u202e""#;
        let text: Text = serde_json::from_str(text).unwrap();
        let text = text.as_str();
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.contains("]0;owned"), "{text}");
    }

    #[test]
    fn what_the_sensor_says_is_wrong_is_repeated_without_its_control_characters() {
        let of = |body: &str| detail_of(body);
        assert_eq!(of(r#"{"detail": "no\u001b[2J"}"#).as_deref(), Some("no\\u{1b}[2J"));
        assert_eq!(
            of(r#"{"detail": [{"msg": "must be a"}, {"msg": "must be b"}]}"#).as_deref(),
            Some("must be a; must be b")
        );
        for strange in ["", "<html>", "{}", r#"{"detail": []}"#] {
            assert_eq!(of(strange), None, "{strange}");
        }
    }
}
