//! How to reach a server: libpq's URL, completed by the `PG*` environment variables and the password file as libpq does it.
//!
//! PostgreSQL manual, chapter 34.1 (connection strings), 34.15 (environment variables).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::passfile;
use crate::store::StoreError;

/// How to reach a server.
///
/// What the URL leaves open is taken from the environment, then from libpq's defaults: the socket of this machine, port 5432,
/// the name of the user who runs the program, the database of that name.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Tried in this order; at least one.
    pub(super) hosts: Vec<Host>,
    pub(super) user: String,
    /// `None`: it is looked up in the password file when connecting.
    pub(super) password: Option<Vec<u8>>,
    pub(super) passfile: Option<PathBuf>,
    pub(super) database: String,
    pub(super) encryption: Encryption,
    /// Certificates of the authorities that may vouch for the server; `None`: those of the system.
    pub(super) root: Option<PathBuf>,
    /// Options for the server's command line (`-c name=value`), behind those of this program.
    pub(super) options: Option<String>,
    pub(super) application: String,
    pub(super) connect_within: Duration,
    /// Whether only a server that takes writes will do, of several.
    pub(super) writable: bool,
    pub(super) answer_within: Duration,
}

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A name or an address; a path that begins with `/` is the folder of a socket.
    pub(super) name: String,
    pub(super) port: u16,
}

impl Host {
    pub(super) fn is_socket(&self) -> bool {
        self.name.starts_with('/')
    }
}

/// libpq's `sslmode`. Through a socket nothing is encrypted, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// None.
    Disable,
    /// If the server offers it; whoever answers is believed.
    Prefer,
    /// Always; whoever answers is believed, unless `sslrootcert` is given: then as `VerifyAuthority`.
    Require,
    /// The server shows a certificate of a known authority, for whatever name.
    VerifyAuthority,
    /// The server shows a certificate of a known authority for the name that was asked for.
    VerifyFull,
}

/// How long a server may be silent before it is taken for away.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may take to be made, for each address.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Longer URLs are refused.
const URL_LENGTH_MAX: usize = 4096;

impl PostgresConfig {
    /// The same, but a server that is silent for `limit` is taken for away (10 s unless said otherwise).
    #[must_use]
    pub const fn answering_within(mut self, limit: Duration) -> Self {
        self.answer_within = limit;
        self
    }

    /// Reads a URL; `environment` has what it leaves open.
    fn parse(text: &str, environment: &Environment<'_>) -> Result<Self, String> {
        const SHAPE: &str = "must be postgres://user:password@host:port/database, or postgres: alone for what PGHOST, PGUSER and so on say";
        if text.len() > URL_LENGTH_MAX {
            return Err(format!("must have at most {URL_LENGTH_MAX} characters"));
        }
        let rest = text
            .strip_prefix("postgres:")
            .or_else(|| text.strip_prefix("postgresql:"))
            .ok_or_else(|| SHAPE.to_owned())?;
        let mut parts = Parts::default();
        match rest.strip_prefix("//") {
            Some(url) => parts.read_url(url)?,
            None if rest.is_empty() => {}
            None => return Err(SHAPE.to_owned()),
        }
        parts.complete(environment)
    }
}

impl FromStr for PostgresConfig {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::parse(text, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            // The text is never repeated: it may hold a password, and not where one is looked for.
            .map_err(|reason| StoreError::Refused { store: "postgres".to_owned(), reason })
    }
}

impl fmt::Display for PostgresConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.user)?;
        let mut parting = "";
        for host in self.hosts.iter().filter(|host| !host.is_socket()) {
            let name = &host.name;
            let (open, close) = if name.contains(':') { ("[", "]") } else { ("", "") };
            write!(f, "{parting}{open}{name}{close}:{}", host.port)?;
            parting = ",";
        }
        write!(f, "/{}", self.database)?;
        let mut parting = '?';
        for host in self.hosts.iter().filter(|host| host.is_socket()) {
            write!(f, "{parting}host={}", host.name)?;
            parting = ',';
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresConfig({self})")
    }
}

/// What a variable of the environment holds, if it holds anything.
type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A URL taken apart; what is `None` it did not say.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<Vec<u8>>,
    database: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    passfile: Option<String>,
    options: Option<String>,
    application_name: Option<String>,
    connect_timeout: Option<String>,
    target_session_attrs: Option<String>,
}

impl Parts {
    /// What stands behind `postgres://`.
    fn read_url(&mut self, url: &str) -> Result<(), String> {
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let (authority, database) = url.split_once('/').unwrap_or((url, ""));
        if database.contains(['@', '/']) {
            // It would be shown as the name of the database, and is the rest of a password.
            return Err(
                "a / in a user or password must be written %2F, an @ in a database %40".to_owned()
            );
        }
        // The last one: passwords are full of surprises.
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if !login.is_empty() {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            self.user = non_empty(decoded_text("the user", user)?);
            self.password = password.map(|p| decoded("the password", p)).transpose()?;
        }
        self.database = non_empty(decoded_text("the database", database)?);
        self.read_hosts(hosts)?;
        for (number, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.read_parameter(number + 1, name, value)?;
        }
        Ok(())
    }

    /// `host:port,host:port`, IPv6 addresses in brackets.
    fn read_hosts(&mut self, hosts: &str) -> Result<(), String> {
        if hosts.is_empty() {
            return Ok(());
        }
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[').and_then(|h| h.split_once(']')) {
                Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
                None => host.split_once(':').unwrap_or((host, "")),
            };
            names.push(decoded_text("the host", name)?);
            ports.push(port);
        }
        self.host = Some(names.join(","));
        self.port = Some(ports.join(",")).filter(|ports| ports.contains(|c| c != ','));
        Ok(())
    }

    fn read_parameter(&mut self, number: usize, name: &str, value: &str) -> Result<(), String> {
        if name == "password" {
            self.password = Some(decoded("the password", value)?);
            return Ok(());
        }
        let place = match name {
            "host" => &mut self.host,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "dbname" => &mut self.database,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "passfile" => &mut self.passfile,
            "options" => &mut self.options,
            "application_name" => &mut self.application_name,
            "connect_timeout" => &mut self.connect_timeout,
            "target_session_attrs" => &mut self.target_session_attrs,
            // Not repeated: a `?` in a password that is not written as %3F ends up here.
            _ => {
                return Err(format!(
                    "parameter {number} behind the ? is none of host, port, user, password, dbname, sslmode, sslrootcert, passfile, \
                     options, application_name, connect_timeout, target_session_attrs"
                ));
            }
        };
        *place = Some(decoded_text("a parameter", value)?);
        Ok(())
    }

    fn complete(self, environment: &Environment<'_>) -> Result<PostgresConfig, String> {
        let or = |said: Option<String>, variable: &str| said.or_else(|| environment(variable));
        let hosts = hosts(or(self.host, "PGHOST"), or(self.port, "PGPORT"))?;
        let user = or(self.user, "PGUSER")
            .or_else(os_user)
            .ok_or("says no user, and the system knows no name for whoever runs this program")?;
        let database = or(self.database, "PGDATABASE").unwrap_or_else(|| user.clone());
        let root = or(self.sslrootcert, "PGSSLROOTCERT").filter(|root| root != "system");
        let root = root.map(PathBuf::from);
        let in_home = || environment("HOME").map(|home| Path::new(&home).join(".pgpass"));
        Ok(PostgresConfig {
            encryption: encryption(or(self.sslmode, "PGSSLMODE").as_deref(), root.is_some())?,
            connect_within: connect_within(or(self.connect_timeout, "PGCONNECT_TIMEOUT"))?,
            writable: writable(or(self.target_session_attrs, "PGTARGETSESSIONATTRS").as_deref())?,
            password: self.password.or_else(|| environment("PGPASSWORD").map(String::into_bytes)),
            passfile: or(self.passfile, "PGPASSFILE").map(PathBuf::from).or_else(in_home),
            options: or(self.options, "PGOPTIONS"),
            application: or(self.application_name, "PGAPPNAME")
                .unwrap_or_else(|| "phantomnet".to_owned()),
            answer_within: ANSWER_WITHIN,
            hosts,
            user,
            database,
            root,
        })
    }
}

/// libpq's pairing: as many ports as hosts, or one for all of them.
fn hosts(names: Option<String>, ports: Option<String>) -> Result<Vec<Host>, String> {
    let names = names.unwrap_or_else(default_host);
    let ports = ports.unwrap_or_default();
    let names: Vec<&str> = names.split(',').collect();
    let ports: Vec<&str> = ports.split(',').collect();
    if ports.len() != 1 && ports.len() != names.len() {
        return Err("must have one port, or one for each host".to_owned());
    }
    let all = ports.iter().cycle();
    names.iter().zip(all).map(|(name, port)| host(name, port)).collect()
}

fn host(name: &str, port: &str) -> Result<Host, String> {
    let name = if name.is_empty() { default_host() } else { name.to_owned() };
    let port = match port {
        "" => 5432,
        written => match written.parse() {
            Ok(port) if port > 0 => port,
            // Not repeated: it may be the half of a password that was not escaped.
            _ => return Err("the port must be a number from 1 to 65535".to_owned()),
        },
    };
    Ok(Host { name, port })
}

/// Where Debian puts the socket, unless only PostgreSQL's own place has one now: the server may come later than the sensor, and a
/// unit with a `/tmp` of its own would wait there for ever.
fn default_host() -> String {
    let debian = passfile::DEBIAN_SOCKETS;
    let is_elsewhere = !Path::new(debian).is_dir() && Path::new("/tmp/.s.PGSQL.5432").exists();
    if is_elsewhere { "/tmp".to_owned() } else { debian.to_owned() }
}

fn encryption(mode: Option<&str>, root_is_given: bool) -> Result<Encryption, String> {
    Ok(match mode {
        None | Some("prefer" | "allow") => Encryption::Prefer,
        Some("disable") => Encryption::Disable,
        // libpq's promise to its oldest users: with authorities at hand it checks them.
        Some("require") if root_is_given => Encryption::VerifyAuthority,
        Some("require") => Encryption::Require,
        Some("verify-ca") => Encryption::VerifyAuthority,
        Some("verify-full") => Encryption::VerifyFull,
        Some(_) => {
            return Err(
                "sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned()
            );
        }
    })
}

fn connect_within(seconds: Option<String>) -> Result<Duration, String> {
    match seconds.map(|seconds| seconds.parse::<u64>()) {
        None => Ok(CONNECT_WITHIN),
        Some(Ok(seconds @ 1..=60)) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("connect_timeout must be 1 to 60 seconds".to_owned()),
    }
}

fn writable(attributes: Option<&str>) -> Result<bool, String> {
    match attributes {
        None | Some("any") => Ok(false),
        Some("read-write" | "primary") => Ok(true),
        Some(_) => Err("target_session_attrs must be any or read-write".to_owned()),
    }
}

/// Whoever runs the program, by the file of users: a service needs no other directory to be up.
fn os_user() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    })
}

fn non_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn decoded_text(what: &str, text: &str) -> Result<String, String> {
    String::from_utf8(decoded(what, text)?).map_err(|_bytes| format!("{what} must be UTF-8"))
}

/// Resolves `%XX` (RFC 3986, section 2.1).
fn decoded(what: &str, text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let byte = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
                let byte = byte.and_then(|byte| u8::try_from(byte).ok());
                bytes.push(byte.ok_or_else(|| misplaced_percent(what))?);
                after
            }
            (b'%', _) => return Err(misplaced_percent(what)),
            (plain, after) => {
                bytes.push(plain);
                after
            }
        };
    }
    if bytes.contains(&0) {
        return Err(format!("{what} must not hold a zero byte"));
    }
    Ok(bytes)
}

fn misplaced_percent(what: &str) -> String {
    format!(
        "{what} has a % without two hexadecimal digits behind it; write %25 for the sign itself"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, environment: &[(&str, &str)]) -> Result<PostgresConfig, String> {
        PostgresConfig::parse(text, &|name| {
            environment.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned())
        })
    }

    #[test]
    fn a_whole_url_says_everything() {
        let url = "postgres://ada:p%40ss%2F@db.example:6432/traffic?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3";
        let config = parsed(url, &[("PGHOST", "elsewhere"), ("PGUSER", "nobody")]).unwrap();
        assert_eq!(config.hosts, [Host { name: "db.example".to_owned(), port: 6432 }]);
        assert_eq!((config.user.as_str(), config.database.as_str()), ("ada", "traffic"));
        assert_eq!(config.password.as_deref(), Some(&b"p@ss/"[..]));
        assert_eq!(config.encryption, Encryption::VerifyFull);
        assert_eq!(config.root.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert_eq!(config.connect_within, Duration::from_secs(3));
        assert_eq!(config.to_string(), "postgres://ada@db.example:6432/traffic");
    }

    #[test]
    fn the_environment_fills_what_the_url_leaves_open() {
        let environment = [
            ("PGHOST", "/run/here"),
            ("PGPORT", "5433"),
            ("PGUSER", "sensor"),
            ("PGDATABASE", "net"),
            ("PGPASSWORD", "secret"),
            ("PGSSLMODE", "require"),
        ];
        let config = parsed("postgres:", &environment).unwrap();
        assert!(config.hosts[0].is_socket());
        assert_eq!(config.encryption, Encryption::Require);
        assert_eq!(config.password.as_deref(), Some(&b"secret"[..]));
        assert_eq!(config.to_string(), "postgres://sensor@/net?host=/run/here");
        assert_eq!(parsed("postgresql:", &environment), Ok(config));
    }

    #[test]
    fn nothing_said_is_the_socket_of_this_machine() {
        let config = parsed("postgres://", &[]).unwrap();
        assert!(config.hosts[0].is_socket());
        assert_eq!(config.hosts[0].port, 5432);
        assert_eq!(Some(&config.user), os_user().as_ref());
        assert_eq!(config.database, config.user);
        assert_eq!(config.application, "phantomnet");
    }

    #[test]
    fn several_hosts_share_a_port_or_have_their_own() {
        let hosts = |url| parsed(url, &[]).map(|config| config.to_string());
        assert_eq!(
            hosts("postgres://u@a:1,[::1]:2,c/d").unwrap(),
            "postgres://u@a:1,[::1]:2,c:5432/d"
        );
        assert_eq!(hosts("postgres://u@/d?host=a,b&port=7").unwrap(), "postgres://u@a:7,b:7/d");
        assert!(hosts("postgres://u@/d?host=a,b&port=7,8,9").is_err());
        assert_eq!(hosts("postgres://u@%2Frun%2Fpg/d").unwrap(), "postgres://u@/d?host=/run/pg");
    }

    #[test]
    fn require_with_authorities_checks_them() {
        let mode = |url| parsed(url, &[]).unwrap().encryption;
        assert_eq!(mode("postgres://h/d?sslmode=require"), Encryption::Require);
        assert_eq!(
            mode("postgres://h/d?sslmode=require&sslrootcert=ca.pem"),
            Encryption::VerifyAuthority
        );
    }

    #[test]
    fn no_word_of_a_password_is_in_any_text() {
        const SECRET: &str = "hunter2";
        for url in [
            "postgres://u:hunter2@h/d",
            "postgres://u:hunter2/@h/d",
            "postgres://u:/hunter2@h/d",
            "postgres://u:a/hunter2/h/d",
            "postgres://u:?hunter2@h/d",
            "postgres://u:?hunter2=1@h/d",
            "postgres://u:#hunter2@h:hunter2/d",
            "postgres://u:%hunter2@h/d",
            "postgres://u:a@hunter2:x@h/d",
            "postgres://h/d?password=hunter2&sslmode=hunter2",
            "postgres:u:hunter2@h",
            "postgresql//u:hunter2@h",
            "postgres://u@h/d?connect_timeout=hunter2",
        ] {
            let config = parsed(url, &[("PGPASSWORD", SECRET)]);
            let shown = match &config {
                // What is taken for the host is shown, so it must not be the password.
                Ok(config) => format!("{config} {config:?}"),
                Err(error) => error.clone(),
            };
            assert!(!shown.contains(SECRET), "{url}: {shown}");
        }
    }
}
