//! The sections about what becomes of verdicts: where they are kept, shown and logged.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::Broken;
use super::params::{
    EventSettings, HttpParams, LogFormat, LogLevel, LogParams, SensorParams, StoreParams, StoreUrl,
};
use super::raw::{RawEvents, RawHttp, RawLog, RawSensor, RawSpool, RawStore};
use super::ready::file;
use crate::collect::StorePolicy;
use crate::store::{Location, RetentionParams};

/// The longest name of a sensor, bytes.
const NAME_BYTES_MAX: usize = 64;

/// The smallest spool: a few batches of the default size.
const SPOOL_BYTES_MIN: u64 = 64 << 20;

/// The largest spool.
const SPOOL_BYTES_MAX: u64 = 1 << 44;

/// The sensor's folder where none is named.
const FOLDER: &str = "phantomnet-data";

/// What stands for a value that may hold a password.
pub(super) const SECRET: &str = "(not shown)";

pub(super) fn sensor(raw: &RawSensor, folder: &Path) -> Result<SensorParams, Broken> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let name = raw.name.as_str();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let rule =
            format!("be 1 to {NAME_BYTES_MAX} letters, digits, hyphens, dots or underscores");
        return Err(Broken::new("sensor.name", rule, "\"sensor-1\""));
    }
    let folder = match raw.folder.as_str() {
        "" => PathBuf::from(FOLDER),
        text => file(text, folder).ok_or_else(|| {
            Broken::new("sensor.folder", "name a folder", "\"/var/lib/phantomnet\"")
        })?,
    };
    Ok(SensorParams { name: name.into(), folder })
}

pub(super) fn events(raw: &RawEvents) -> Result<EventSettings, Broken> {
    let store = match raw.store.as_str() {
        "all" => StorePolicy::All,
        "notable" => StorePolicy::Notable,
        _ => return Err(Broken::new("events.store", "be \"all\" or \"notable\"", "\"notable\"")),
    };
    let within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>, such_as: &str| {
        let fits = u32::try_from(value).ok().filter(|_| range.contains(&value));
        let rule = format!("be from {} to {}", range.start(), range.end());
        fits.ok_or_else(|| Broken::new(key, rule, such_as))
    };
    let coalesce = within("events.coalesce_ms", raw.coalesce_ms, 0..=60_000, "1000")?;
    Ok(EventSettings {
        store,
        safe_one_in: within("events.safe_one_in", raw.safe_one_in, 0..=1_000_000, "1000")?,
        coalesce: Duration::from_millis(coalesce.into()),
        per_second: within("events.per_second", raw.per_second, 10..=1_000_000, "2000")?,
    })
}

pub(super) fn store(
    raw: &RawStore,
    spool: &RawSpool,
    folder: &Path,
) -> Result<StoreParams, Broken> {
    let url = match raw.url.as_str() {
        "" => None,
        text => Some(url(text, folder)?),
    };
    let rows = usize::try_from(raw.batch_rows).ok().filter(|rows| (1..=100_000).contains(rows));
    let Some(batch_rows) = rows else {
        return Err(Broken::new("store.batch_rows", "be from 1 to 100000", "10000"));
    };
    if !(1..=60_000).contains(&raw.batch_ms) {
        return Err(Broken::new("store.batch_ms", "be from 1 to 60000", "100"));
    }
    let days = u32::try_from(raw.keep_days).ok().filter(|days| *days <= 36_500);
    let Some(days) = days else {
        return Err(Broken::new("store.keep_days", "be at most 36500 (0 keeps for ever)", "30"));
    };
    if !(SPOOL_BYTES_MIN..=SPOOL_BYTES_MAX).contains(&spool.bytes) {
        let rule = format!("be from {SPOOL_BYTES_MIN} to {SPOOL_BYTES_MAX}");
        return Err(Broken::new("spool.bytes", rule, "4294967296"));
    }
    let retention = RetentionParams {
        days: (days > 0).then_some(days),
        bytes: (raw.keep_bytes > 0).then_some(raw.keep_bytes),
    };
    Ok(StoreParams {
        url,
        batch_rows,
        batch_time: Duration::from_millis(raw.batch_ms),
        retention,
        spool_bytes: spool.bytes,
    })
}

/// A store's name. It may hold a password, so it is never shown.
fn url(text: &str, folder: &Path) -> Result<StoreUrl, Broken> {
    match text.parse::<Location>() {
        Ok(Location::Sqlite(path)) => {
            Ok(StoreUrl::new(format!("sqlite:{}", folder.join(path).display())))
        }
        Ok(Location::Postgres(_)) => Ok(StoreUrl::new(text.to_owned())),
        Err(error) => Err(Broken {
            value: Some(SECRET.to_owned()),
            ..Broken::new(
                "store.url",
                format!("name a store ({error})"),
                "\"postgres://phantomnet@localhost/phantomnet\"",
            )
        }),
    }
}

pub(super) fn http(raw: &RawHttp, folder: &Path) -> Result<HttpParams, Broken> {
    let listen = match raw.listen.as_str() {
        "" => None,
        text => Some(text.parse::<SocketAddr>().map_err(|_no_address| {
            let rule = "be an address and a port (empty: no server)";
            Broken::new("http.listen", rule, "\"127.0.0.1:8000\"")
        })?),
    };
    let threads = usize::try_from(raw.threads).ok().filter(|threads| (1..=64).contains(threads));
    let Some(threads) = threads else {
        return Err(Broken::new("http.threads", "be from 1 to 64", "1"));
    };
    let token_file = match raw.token_file.as_str() {
        "" => None,
        text => Some(file(text, folder).ok_or_else(|| {
            Broken::new("http.token_file", "name a file", "\"/etc/phantomnet/token\"")
        })?),
    };
    let beyond = listen.is_some_and(|address| !address.ip().is_loopback());
    if beyond && token_file.is_none() {
        let rule = "stay on this machine unless http.token_file names a token";
        return Err(Broken::new("http.listen", rule, "\"127.0.0.1:8000\""));
    }
    for (nth, host) in raw.hosts.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(plain) {
            let rule = "be a host name or an IPv4 address, without a port";
            return Err(Broken::new(format!("http.hosts[{nth}]"), rule, "\"sensor.example\""));
        }
    }
    Ok(HttpParams { listen, threads, token_file, hosts: raw.hosts.clone() })
}

pub(super) fn log(raw: &RawLog) -> Result<LogParams, Broken> {
    let Some(format) = LogFormat::ALL.into_iter().find(|format| format.name() == raw.format) else {
        let names = LogFormat::ALL.map(LogFormat::name).join(" ");
        return Err(Broken::new("log.format", format!("be one of {names}"), "\"auto\""));
    };
    let Some(level) = LogLevel::ALL.into_iter().find(|level| level.name() == raw.level) else {
        let names = LogLevel::ALL.map(LogLevel::name).join(" ");
        return Err(Broken::new("log.level", format!("be one of {names}"), "\"info\""));
    };
    Ok(LogParams { format, level })
}
