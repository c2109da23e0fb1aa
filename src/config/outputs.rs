//! `[outputs.*]`: where else the sensor tells what it found.

use std::path::Path;
use std::time::Duration;

use super::error::Broken;
use super::raw::{RawEve, RawOutputs, RawSyslog, RawWebhook};
use super::ready::file;
use super::services::SECRET;
use crate::outputs::{
    EveParams, EvePlace, EveRecords, FileParams, OutputParams, SyslogParams, SyslogPlace,
    WebhookParams,
};
use crate::verdict::Level;

/// The smallest file that is rotated: some hundreds of lines.
const ROTATE_BYTES_MIN: u64 = 1 << 20;

/// The largest.
const ROTATE_BYTES_MAX: u64 = 1 << 44;

/// The most old files: each rotation renames all of them.
const KEEP_MAX: u64 = 1_000;

/// The longest time between two records of what was counted, seconds.
const STATS_SECONDS_MAX: u64 = 3_600;

/// The names of the facilities by number (RFC 5424, section 6.2.1).
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

pub(super) fn outputs(raw: &RawOutputs, folder: &Path) -> Result<OutputParams, Broken> {
    Ok(OutputParams {
        eve: eve(&raw.eve, folder)?,
        syslog: syslog(&raw.syslog, folder)?,
        webhook: webhook(&raw.webhook, folder)?,
    })
}

/// Checked whether or not it is used: a key that is wrong is wrong before it is needed.
fn eve(raw: &RawEve, folder: &Path) -> Result<Option<EveParams>, Broken> {
    if !(ROTATE_BYTES_MIN..=ROTATE_BYTES_MAX).contains(&raw.rotate_bytes) {
        let rule = format!("be from {ROTATE_BYTES_MIN} to {ROTATE_BYTES_MAX}");
        return Err(Broken::new("outputs.eve.rotate_bytes", rule, "268435456"));
    }
    let Some(keep) = u32::try_from(raw.keep).ok().filter(|_| raw.keep <= KEEP_MAX) else {
        let rule = format!("be at most {KEEP_MAX}");
        return Err(Broken::new("outputs.eve.keep", rule, "5"));
    };
    if !(1..=STATS_SECONDS_MAX).contains(&raw.stats_seconds) {
        let rule = format!("be from 1 to {STATS_SECONDS_MAX}");
        return Err(Broken::new("outputs.eve.stats_seconds", rule, "8"));
    }
    let records = records(&raw.records)?;
    let path = file(&raw.path, folder);
    let kind: fn(FileParams) -> EvePlace = match raw.r#type.as_str() {
        "file" => EvePlace::File,
        "unix_stream" => |params| EvePlace::Stream(params.path),
        "unix_dgram" => |params| EvePlace::Datagram(params.path),
        _ => {
            let rule = "be \"file\", \"unix_stream\" or \"unix_dgram\"";
            return Err(Broken::new("outputs.eve.type", rule, "\"file\""));
        }
    };
    let place = path.map(|path| kind(FileParams { path, rotate_bytes: raw.rotate_bytes, keep }));
    let stats_every = Duration::from_secs(raw.stats_seconds);
    Ok(place.map(|place| EveParams { place, records, stats_every }))
}

fn records(names: &[String]) -> Result<EveRecords, Broken> {
    let mut records = EveRecords::NONE;
    for (nth, name) in names.iter().enumerate() {
        let key = || format!("outputs.eve.records[{nth}]");
        let record = match name.as_str() {
            "alert" => &mut records.alert,
            "anomaly" => &mut records.anomaly,
            "flow" => &mut records.flow,
            "stats" => &mut records.stats,
            _ => {
                let rule = "be \"alert\", \"anomaly\", \"flow\" or \"stats\"";
                return Err(Broken::new(key(), rule, "\"alert\""));
            }
        };
        if std::mem::replace(record, true) {
            return Err(Broken::new(key(), "be named once", "[\"alert\"]"));
        }
    }
    if records == EveRecords::NONE {
        let rule = "name a kind of record (outputs.eve.path = \"\" writes none)";
        return Err(Broken::new("outputs.eve.records", rule, "[\"alert\"]"));
    }
    Ok(records)
}

fn syslog(raw: &RawSyslog, folder: &Path) -> Result<Option<SyslogParams>, Broken> {
    let known = FACILITIES.iter().zip(0_u8..).find(|(name, _)| **name == raw.facility);
    let Some((_, facility)) = known else {
        let rule = format!("be one of {}", FACILITIES.join(" "));
        return Err(Broken::new("outputs.syslog.facility", rule, "\"local0\""));
    };
    let level = level("outputs.syslog.level", &raw.level)?;
    let place = match raw.to.split_once(':') {
        None if raw.to.is_empty() => return Ok(None),
        Some(("unix", path)) => file(path, folder).map(SyslogPlace::Unix),
        Some(("udp", place)) => host_and_port(place).map(SyslogPlace::Udp),
        Some(("tcp", place)) => host_and_port(place).map(SyslogPlace::Tcp),
        _ => None,
    };
    let Some(place) = place else {
        let rule = "be \"unix:PATH\", \"udp:HOST:PORT\" or \"tcp:HOST:PORT\"";
        return Err(Broken::new("outputs.syslog.to", rule, "\"unix:/dev/log\""));
    };
    Ok(Some(SyslogParams { place, facility, level }))
}

fn host_and_port(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_bracketed = host.len() == bare.len() + 2;
    let is_host = !bare.is_empty()
        && bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':'))
        && (is_bracketed || !bare.contains(':'));
    let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
    (is_host && is_port).then(|| text.to_owned())
}

fn webhook(raw: &RawWebhook, folder: &Path) -> Result<Option<WebhookParams>, Broken> {
    let level = level("outputs.webhook.level", &raw.level)?;
    let token_file = match raw.token_file.as_str() {
        "" => None,
        text => Some(file(text, folder).ok_or_else(|| {
            let such_as = "\"/etc/phantomnet/webhook-token\"";
            Broken::new("outputs.webhook.token_file", "name a file", such_as)
        })?),
    };
    if raw.url.is_empty() {
        return Ok(None);
    }
    if !is_http_url(&raw.url) {
        return Err(Broken {
            // It may hold a secret, as the URLs of chat systems do.
            value: Some(SECRET.to_owned()),
            ..Broken::new(
                "outputs.webhook.url",
                "be a URL that begins with https:// or http://, without a user, a password or a fragment",
                "\"https://soc.example/hooks/phantomnet\"",
            )
        });
    }
    Ok(Some(WebhookParams { url: raw.url.clone(), token_file, level }))
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?']).next());
    host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn level(key: &str, text: &str) -> Result<Level, Broken> {
    let notable = Level::ALL.into_iter().filter(|level| *level > Level::Safe);
    notable
        .into_iter()
        .find(|level| level.name() == text)
        .ok_or_else(|| Broken::new(key, "be \"WARNING\", \"HIGH\" or \"CRITICAL\"", "\"HIGH\""))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::Config;
    use super::*;

    fn parsed(text: &str) -> Result<OutputParams, String> {
        let config = Config::parse(text, Path::new("etc/sensor.toml"));
        config.map(|config| config.outputs).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_told_elsewhere_unless_it_is_asked_for() {
        assert_eq!(parsed("").unwrap(), OutputParams::default());
    }

    #[test]
    fn what_is_written_is_what_is_used() {
        let outputs = parsed(
            r#"
            [outputs.eve]
            path = "eve.json"
            rotate_bytes = 1048576
            keep = 2
            records = ["stats", "alert"]
            stats_seconds = 60
            [outputs.syslog]
            to = "tcp:[2001:db8::1]:601"
            facility = "auth"
            level = "WARNING"
            [outputs.webhook]
            url = "https://soc.example/hook?key=secret"
            token_file = "/run/token"
            level = "CRITICAL"
            "#,
        )
        .unwrap();
        let path = PathBuf::from("etc/eve.json");
        let file = FileParams { path, rotate_bytes: 1 << 20, keep: 2 };
        let records = EveRecords { stats: true, alert: true, ..EveRecords::NONE };
        let eve = EveParams {
            place: EvePlace::File(file),
            records,
            stats_every: Duration::from_secs(60),
        };
        assert_eq!(outputs.eve.as_ref(), Some(&eve));
        let place = SyslogPlace::Tcp("[2001:db8::1]:601".to_owned());
        assert_eq!(
            outputs.syslog.as_ref(),
            Some(&SyslogParams { place, facility: 4, level: Level::Warning })
        );
        let webhook = outputs.webhook.as_ref().unwrap();
        assert_eq!(webhook.level, Level::Critical);
        assert_eq!(webhook.token_file.as_deref(), Some(Path::new("/run/token")));
        assert!(!format!("{outputs:?} {:?}", outputs.shown()).contains("secret"));
    }

    #[test]
    fn each_broken_rule_is_told_by_its_key_and_no_message_holds_a_secret() {
        let broken = [
            ("eve.type = 'pipe'", "outputs.eve.type = 'pipe': must be \"file\""),
            ("eve.rotate_bytes = 1000", "outputs.eve.rotate_bytes = 1000: must be from 1048576"),
            ("eve.keep = 1001", "outputs.eve.keep = 1001: must be at most 1000"),
            ("eve.stats_seconds = 0", "outputs.eve.stats_seconds = 0: must be from 1"),
            ("eve.records = []", "outputs.eve.records = []: must name a kind"),
            ("eve.records = ['dns']", "outputs.eve.records[0] = 'dns': must be \"alert\""),
            (
                "eve.records = ['flow', 'flow']",
                "outputs.eve.records[1] = 'flow': must be named once",
            ),
            ("syslog.to = '/dev/log'", "outputs.syslog.to = '/dev/log': must be \"unix:PATH\""),
            ("syslog.to = 'udp:host'", "outputs.syslog.to = 'udp:host': must be"),
            ("syslog.to = 'udp:host:0'", "outputs.syslog.to = 'udp:host:0': must be"),
            ("syslog.to = 'tcp:2001:db8::1:601'", "outputs.syslog.to = "),
            (
                "syslog.facility = 'local8'",
                "outputs.syslog.facility = 'local8': must be one of kern",
            ),
            ("syslog.level = 'SAFE'", "outputs.syslog.level = 'SAFE': must be \"WARNING\""),
            ("webhook.url = 'ftp://secret/'", "outputs.webhook.url = (not shown): must be a URL"),
            ("webhook.url = 'https://user:secret@host/'", "outputs.webhook.url = (not shown): "),
            ("webhook.url = 'https://host/a secret'", "outputs.webhook.url = (not shown): "),
        ];
        for (text, message) in broken {
            let said = parsed(&format!("outputs.{text}")).unwrap_err();
            assert!(said.contains(message), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
