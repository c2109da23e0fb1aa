//! Where records go.

use std::path::PathBuf;
use std::time::Duration;

use crate::verdict::Level;

/// The outputs of a sensor; `None`: there is none of the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputParams {
    /// EVE JSON.
    pub eve: Option<EveParams>,
    /// Incidents by syslog.
    pub syslog: Option<SyslogParams>,
    /// Incidents by HTTP.
    pub webhook: Option<WebhookParams>,
}

impl OutputParams {
    /// Those that there are, one line each; nothing that may be secret.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let eve = self.eve.as_ref().map(|eve| match &eve.place {
            EvePlace::File(file) => format!("eve into {}", file.path.display()),
            EvePlace::Stream(path) | EvePlace::Datagram(path) => {
                format!("eve to the socket {}", path.display())
            }
        });
        let syslog = self.syslog.as_ref().map(|syslog| match &syslog.place {
            SyslogPlace::Unix(path) => format!("syslog to {}", path.display()),
            SyslogPlace::Udp(place) => format!("syslog to {place} by UDP"),
            SyslogPlace::Tcp(place) => format!("syslog to {place} by TCP"),
        });
        let webhook = self.webhook.as_ref().map(|_| "webhook".to_owned());
        [eve, syslog, webhook].into_iter().flatten().collect()
    }
}

/// EVE JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EveParams {
    /// Where to.
    pub place: EvePlace,
    /// Which of them.
    pub records: EveRecords,
    /// How often `stats` and `anomaly` records are written.
    pub stats_every: Duration,
}

/// Where EVE lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvePlace {
    /// Into a file, and from time to time into a new one.
    File(FileParams),
    /// Over a stream socket that somebody listens on.
    Stream(PathBuf),
    /// Over a datagram socket that somebody has bound, one line each.
    Datagram(PathBuf),
}

/// A file that is rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileParams {
    /// Its name; the one before is this with `.1` behind it, and so on.
    pub path: PathBuf,
    /// At how many bytes the next one is begun.
    pub rotate_bytes: u64,
    /// How many old ones are kept.
    pub keep: u32,
}

/// Kinds of EVE records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EveRecords {
    /// One for each event above SAFE.
    pub alert: bool,
    /// One for each reason for which frames were refused.
    pub anomaly: bool,
    /// One for each session that has ended.
    pub flow: bool,
    /// What the sensor has counted.
    pub stats: bool,
}

impl EveRecords {
    /// All of them.
    pub const ALL: Self = Self { alert: true, anomaly: true, flow: true, stats: true };

    /// None of them.
    pub const NONE: Self = Self { alert: false, anomaly: false, flow: false, stats: false };
}

/// Syslog, RFC 5424.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogParams {
    /// Where to.
    pub place: SyslogPlace,
    /// The facility's number (RFC 5424, section 6.2.1).
    pub facility: u8,
    /// Incidents from this level on.
    pub level: Level,
}

/// Where syslog messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogPlace {
    /// A datagram socket of this machine: `/dev/log`.
    Unix(PathBuf),
    /// `host:port`, one message each (RFC 5426).
    Udp(String),
    /// `host:port`, each with its length before it (RFC 6587, section 3.4.1).
    Tcp(String),
}

/// Incidents as JSON, by POST.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookParams {
    /// Where to. Often as secret as a password: it is never shown.
    pub url: String,
    /// A file with the token for `Authorization: Bearer`.
    pub token_file: Option<PathBuf>,
    /// Incidents from this level on.
    pub level: Level,
}

impl std::fmt::Debug for WebhookParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url: _, token_file, level } = self;
        f.debug_struct("WebhookParams")
            .field("token_file", token_file)
            .field("level", level)
            .finish_non_exhaustive()
    }
}
