//! What the operator sets of the HTTP server, and the rules that it has to keep.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Connections that all threads together can be told to keep.
const CONNECTIONS_MAX: usize = 25_000;
/// Threads that answer.
const THREADS_MAX: usize = 64;
/// Connections to the store.
const QUERY_CONNECTIONS_MAX: usize = 64;
/// Names under which the server can be told to answer.
const HOSTS_MAX: usize = 64;
/// Bytes of a token file.
const TOKEN_FILE_BYTES_MAX: u64 = 4_096;
/// Characters that a token has at least: 32 of base64 are 192 bits.
const TOKEN_CHARS_MIN: usize = 32;

/// How the server listens, and what it grants to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiParams {
    /// Where it listens; port 0 takes any free one.
    pub address: SocketAddr,
    /// Threads that answer, 1 to 64.
    pub threads: usize,
    /// Connections that may be open at once, 1 to 25,000; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Bytes that a request's body may have, 1 KiB to 16 MiB.
    pub body_bytes_max: usize,
    /// The same for the routes that take whole tables (`/api/ml/score`, `/api/ml/features/batch`).
    pub table_bytes_max: usize,
    /// What a client has to show; needed wherever others than this machine can connect.
    pub token: Option<Token>,
    /// Names and addresses by which clients may call the server, beside `localhost`, `127.0.0.1`, `[::1]` and the address it
    /// listens on. Without ports.
    pub hosts: Vec<String>,
    /// Questions to the store at one time, 1 to 64.
    pub query_connections: usize,
    /// Bits by which the sensor keeps sources of IPv6, 1 to 128.
    pub ipv6_prefix: u8,
    /// How long an idle connection is kept, 1 to 300 s.
    pub keep_alive: Duration,
    /// Processor cores that the server's threads stay on; empty: any. A worker's core should not be among them.
    pub cores: Vec<usize>,
}

impl Default for ApiParams {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000),
            threads: 1,
            connections_max: 256,
            body_bytes_max: 64 << 10,
            table_bytes_max: 1 << 20,
            token: None,
            hosts: Vec::new(),
            query_connections: 4,
            ipv6_prefix: 64,
            keep_alive: Duration::from_secs(15),
            cores: Vec::new(),
        }
    }
}

/// A setting that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {value}: must {rule}")]
pub struct ApiParamsError {
    /// Which setting, as the fields of [`ApiParams`] are called.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// What it has to be.
    pub rule: String,
}

impl ApiParams {
    /// Whether the settings can be used together.
    ///
    /// # Errors
    ///
    /// The first one that can't.
    pub fn check(&self) -> Result<(), ApiParamsError> {
        within("threads", self.threads, 1, THREADS_MAX)?;
        within("connections_max", self.connections_max, self.threads, CONNECTIONS_MAX)?;
        within("body_bytes_max", self.body_bytes_max, 1 << 10, 16 << 20)?;
        within("table_bytes_max", self.table_bytes_max, self.body_bytes_max, 16 << 20)?;
        within("query_connections", self.query_connections, 1, QUERY_CONNECTIONS_MAX)?;
        within("ipv6_prefix", self.ipv6_prefix.into(), 1, 128)?;
        let keep_alive = usize::try_from(self.keep_alive.as_secs()).unwrap_or(usize::MAX);
        within("keep_alive", keep_alive, 1, 300)?;
        within("hosts", self.hosts.len(), 0, HOSTS_MAX)?;
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(ApiParamsError {
                setting: "hosts",
                value: format!("{host:?}"),
                rule: "be a name or an address without a port, such as sensor.example".to_owned(),
            });
        }
        let open_to_others = !self.address.ip().to_canonical().is_loopback();
        if open_to_others && self.token.is_none() {
            return Err(ApiParamsError {
                setting: "address",
                value: self.address.to_string(),
                rule: "be a loopback address, or a token must be set: others can connect to it"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Every name by which clients may call the server, in lower case.
    pub(super) fn allowed_hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> =
            ["localhost", "127.0.0.1", "[::1]"].into_iter().map(str::to_owned).collect();
        let own = self.address.ip();
        if !own.is_unspecified() {
            hosts.push(match own {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            });
        }
        // A bare IPv6 address is written in brackets in a Host header.
        hosts.extend(self.hosts.iter().map(|host| match host.parse::<std::net::Ipv6Addr>() {
            Ok(v6) => format!("[{v6}]"),
            Err(_) => host.to_ascii_lowercase(),
        }));
        hosts
    }
}

fn within(
    setting: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), ApiParamsError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let rule = format!("be from {least} to {most}");
    Err(ApiParamsError { setting, value: value.to_string(), rule })
}

/// A DNS name, an IPv4 address, or an IPv6 address with or without brackets.
fn is_host(text: &str) -> bool {
    let unbracketed =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_name || unbracketed.parse::<std::net::Ipv6Addr>().is_ok()
}

/// A secret that clients show as `Authorization: Bearer ...`. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// The token in a file: one line of at least 32 visible characters. Others than owner and group must not be able to read it.
    ///
    /// # Errors
    ///
    /// When the file can't be read, can be read by everybody, or holds no such line. The token is never in the message.
    pub fn load(path: &Path) -> Result<Self, ApiParamsError> {
        let refuse = |rule: String| ApiParamsError {
            setting: "token_file",
            value: path.display().to_string(),
            rule,
        };
        let unreadable =
            |error: std::io::Error| refuse(format!("be a file that can be read: {error}"));
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(refuse("not be open to everybody: chmod o= it".to_owned()));
        }
        let mut text = String::new();
        file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        Self::new(text.trim()).ok_or_else(|| {
            refuse(format!("hold one line of at least {TOKEN_CHARS_MIN} visible characters"))
        })
    }

    /// This token; `None` when it is too short or holds what no header can carry.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits =
            text.len() >= TOKEN_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(Sha256::digest(text.as_bytes()).into()))
    }

    /// Whether `shown` is the token. Takes the same time whatever is shown: both sides are hashes.
    #[must_use]
    pub fn is(&self, shown: &[u8]) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(ApiParams::default().check(), Ok(()));
    }

    #[test]
    fn an_address_for_others_needs_a_token() {
        let open = |token| ApiParams {
            address: "0.0.0.0:8000".parse().unwrap(),
            token,
            ..ApiParams::default()
        };
        assert_eq!(open(None).check().unwrap_err().setting, "address");
        assert_eq!(open(Token::new(&"t".repeat(32))).check(), Ok(()));
        let mapped =
            ApiParams { address: "[::ffff:127.0.0.1]:0".parse().unwrap(), ..ApiParams::default() };
        assert_eq!(mapped.check(), Ok(()));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let cases = [
            ("threads", ApiParams { threads: 0, ..ApiParams::default() }),
            ("connections_max", ApiParams { connections_max: 0, ..ApiParams::default() }),
            ("body_bytes_max", ApiParams { body_bytes_max: 1, ..ApiParams::default() }),
            ("table_bytes_max", ApiParams { table_bytes_max: 1 << 30, ..ApiParams::default() }),
            ("query_connections", ApiParams { query_connections: 65, ..ApiParams::default() }),
            ("keep_alive", ApiParams { keep_alive: Duration::ZERO, ..ApiParams::default() }),
            ("hosts", ApiParams { hosts: vec!["a:80".to_owned()], ..ApiParams::default() }),
        ];
        for (setting, params) in cases {
            assert_eq!(params.check().unwrap_err().setting, setting);
        }
    }

    #[test]
    fn a_token_file_that_everybody_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{}\n", "s".repeat(40))).unwrap();
        let allow = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(0o644);
        let refused = Token::load(file.path()).unwrap_err();
        assert!(refused.to_string().contains("chmod"), "{refused}");
        allow(0o640);
        let token = Token::load(file.path()).unwrap();
        assert!(token.is("s".repeat(40).as_bytes()));
        assert!(!token.is(b"s"));
        assert!(!format!("{token:?}").contains('s'), "{token:?}");
        std::fs::write(file.path(), "short").unwrap();
        assert!(Token::load(file.path()).is_err());
    }
}
