//! `[capture]`: the interface whose frames are judged, and how they are taken.

use std::net::IpAddr;
use std::time::Duration;

use crate::capture::af_xdp::{IGNORED_MAX, Mode, NoSocket};

use super::error::Broken;
use super::params::{Backend, CaptureParams};
use super::raw::RawCapture;

/// The longest name of an interface, bytes (`IFNAMSIZ`, less the zero at the end).
const NAME_BYTES_MAX: usize = 15;

/// Places for frames on each queue.
const FRAMES: std::ops::RangeInclusive<u64> = 256..=65_536;

pub(super) fn capture(raw: &RawCapture) -> Result<CaptureParams, Broken> {
    let fits = |frames: &u32| frames.is_power_of_two() && FRAMES.contains(&u64::from(*frames));
    let Some(frames) = u32::try_from(raw.frames).ok().filter(fits) else {
        let near = raw.frames.clamp(*FRAMES.start(), *FRAMES.end()).next_power_of_two();
        let rule = format!("be a power of two from {} to {}", FRAMES.start(), FRAMES.end());
        return Err(Broken::new("capture.frames", rule, near.to_string()));
    };
    let busy_poll_micros = u32::try_from(raw.busy_poll_us).ok().filter(|micros| *micros <= 1_000);
    let Some(busy_poll_micros) = busy_poll_micros else {
        return Err(Broken::new("capture.busy_poll_us", "be at most 1000 (0 is none)", "0"));
    };
    if !(1..=60_000).contains(&raw.patience_ms) {
        return Err(Broken::new("capture.patience_ms", "be from 1 to 60000", "20"));
    }
    Ok(CaptureParams {
        interface: interface(&raw.interface)?,
        backend: backend(&raw.backend)?,
        modes: modes(&raw.modes, &raw.require)?,
        frames,
        busy_poll_micros,
        no_socket: no_socket(&raw.no_socket)?,
        kernel_time: kernel_time(&raw.timestamps)?,
        ignored: ignored(&raw.ignore)?,
        patience: Duration::from_millis(raw.patience_ms),
        force: raw.force,
        replace: raw.replace,
    })
}

fn interface(name: &str) -> Result<Option<String>, Broken> {
    if name.is_empty() {
        return Ok(None);
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
    if name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        let rule = format!("be the name of an interface, at most {NAME_BYTES_MAX} bytes");
        return Err(Broken::new("capture.interface", rule, "\"eth1\""));
    }
    Ok(Some(name.to_owned()))
}

fn backend(name: &str) -> Result<Backend, Broken> {
    match name {
        "auto" => Ok(Backend::Auto),
        "af_xdp" => Ok(Backend::AfXdp),
        "af_packet" => Ok(Backend::AfPacket),
        _ => {
            let rule = "be \"auto\", \"af_xdp\" or \"af_packet\"";
            Err(Broken::new("capture.backend", rule, "\"auto\""))
        }
    }
}

/// The modes that may be tried, in their order: the one that is required alone, if one is.
fn modes(named: &[String], require: &str) -> Result<Vec<Mode>, Broken> {
    let all = || format!("be one of {}", Mode::ALL.map(Mode::name).join(" "));
    let mut modes = Vec::with_capacity(named.len());
    for (nth, name) in named.iter().enumerate() {
        let broken = |rule| Broken::new(format!("capture.modes[{nth}]"), rule, "\"native\"");
        let mode = Mode::named(name).ok_or_else(|| broken(all()))?;
        if modes.contains(&mode) {
            return Err(broken("be named once".to_owned()));
        }
        modes.push(mode);
    }
    if modes.is_empty() {
        return Err(Broken::new("capture.modes", "name at least one mode", "[\"native\"]"));
    }
    match require {
        "" => Ok(modes),
        _ => match Mode::named(require) {
            Some(mode) => Ok(vec![mode]),
            None => Err(Broken::new("capture.require", all(), "\"zerocopy\"")),
        },
    }
}

fn no_socket(text: &str) -> Result<NoSocket, Broken> {
    match text {
        "drop" => Ok(NoSocket::Drop),
        "pass" => Ok(NoSocket::Pass),
        _ => Err(Broken::new("capture.no_socket", "be \"drop\" or \"pass\"", "\"drop\"")),
    }
}

fn kernel_time(text: &str) -> Result<bool, Broken> {
    match text {
        "kernel" => Ok(true),
        "clock" => Ok(false),
        _ => Err(Broken::new("capture.timestamps", "be \"kernel\" or \"clock\"", "\"kernel\"")),
    }
}

fn ignored(networks: &[String]) -> Result<Vec<(IpAddr, u8)>, Broken> {
    let mut ignored = Vec::with_capacity(networks.len());
    for (nth, text) in networks.iter().enumerate() {
        let broken = |rule: String| {
            Broken::new(format!("capture.ignore[{nth}]"), rule, "\"198.51.100.0/24\"")
        };
        if nth == IGNORED_MAX {
            return Err(broken(format!("be at most {IGNORED_MAX} networks")));
        }
        ignored.push(network(text).ok_or_else(|| broken("be an address or a network".to_owned()))?);
    }
    Ok(ignored)
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(whole);
    (length <= whole).then_some((address, length))
}
