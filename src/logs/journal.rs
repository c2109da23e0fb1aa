//! The journal's own protocol (systemd, "Native Journal Protocol"): one datagram for each line, its fields told apart.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::fs::fstat;
use tracing::Level;

use super::line::{Line, Value};

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// A way to the journal that never waits.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    pub(super) fn open(socket: impl AsRef<Path>) -> io::Result<Self> {
        let journal = UnixDatagram::unbound()?;
        journal.connect(socket)?;
        journal.set_nonblocking(true)?;
        Ok(Self(journal))
    }

    /// Sends a line; fails when the journal takes no more just now.
    pub(super) fn send(&self, line: &Line) -> io::Result<()> {
        self.0.send(datagram(line).as_bytes()).map(|_sent| ())
    }
}

/// No value can hold a line break (they are escaped), so each field is one line.
fn datagram(line: &Line) -> String {
    let mut out = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_IDENTIFIER=phantomnet\nTARGET={}\n",
        line.saying(),
        priority(line.level),
        line.target
    );
    for (name, value) in &line.fields {
        out.push_str("PHANTOMNET_");
        out.extend(name.chars().map(|char| {
            if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' }
        }));
        out.push('=');
        match value {
            Value::Text(text) => super::line::escape_alone(&mut out, text),
            Value::Plain(text) => out.push_str(text),
        }
        out.push('\n');
    }
    out
}

/// Priorities of syslog(3).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether standard error is the stream that systemd made to the journal, as `JOURNAL_STREAM` says (systemd.exec(5)).
pub(super) fn takes_stream(journal_stream: Option<&str>, stderr: BorrowedFd<'_>) -> bool {
    let named = || {
        let (device, inode) = journal_stream?.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    };
    let open = fstat(stderr).ok().map(|stat| (stat.st_dev, stat.st_ino));
    named().is_some_and(|named| Some(named) == open)
}
