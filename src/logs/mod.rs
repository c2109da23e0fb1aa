//! What the sensor says while it runs: lines for people, for programs, or for the journal.
//!
//! A line never waits for its reader: what a slow terminal or a stuck pipe does not take is left out and counted. A line that
//! traffic or a failing disk can cause again and again goes through `limited!`, which lets a few through and counts the rest.
//! Values are cut and escaped, whoever wrote them, so that no byte of an attacker can forge a line or speak to a terminal.

mod journal;
mod limit;
mod line;
mod outlet;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;

use tracing::level_filters::LevelFilter;

use journal::Journal;
use line::Form;
use outlet::{Outlet, Queue, Says};

pub(crate) use limit::limited;
pub use limit::{Limited, lines_left_out};
pub(crate) use line::{harmless, is_dangerous};

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogParams {
    /// How lines are written.
    pub format: LogFormat,
    /// From which level on.
    pub level: LogLevel,
}

impl Default for LogParams {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, journald under systemd, else JSON.
    Auto,
    /// A line for people.
    Text,
    /// A JSON object on each line.
    Json,
    /// The journal's own fields.
    Journald,
}

impl LogFormat {
    /// Every form.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Text, Self::Json, Self::Journald];

    /// As written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

/// From which level on lines are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what failed.
    Error,
    /// And what needs somebody's eye.
    Warn,
    /// And what has changed.
    Info,
    /// And how.
    Debug,
    /// And everything.
    Trace,
}

impl LogLevel {
    /// Every level.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// As written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// Why nothing can be logged.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.format` is `journald`, and there is no journal.
    #[error("log.format = \"journald\": {socket}: {source}; use \"json\" or \"auto\"")]
    NoJournal {
        /// Where it should listen.
        socket: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The thread that writes could not be started.
    #[error("the thread that writes the log can't be started: {0}")]
    NoThread(io::Error),
    /// Something in this process logs already.
    #[error("logging was started already")]
    StartedAlready,
}

/// The log. When it is dropped, what was said so far is written, as far as its reader takes it within a second.
#[derive(Debug)]
#[must_use = "lines that wait are lost with it"]
pub struct Logs(Option<Queue>);

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(queue) = &self.0 {
            queue.flush();
        }
    }
}

/// Starts logging for the whole process, to standard error or to the journal. Once in the life of a process.
///
/// # Errors
///
/// When the journal is asked for and is not there, when the writing thread can't be started, at the second call.
pub fn start(params: LogParams) -> Result<Logs, LogError> {
    let (outlet, queue) = outlet(params.format)?;
    let says = Says::new(params.level.filter(), outlet);
    tracing::subscriber::set_global_default(says).map_err(|_second| LogError::StartedAlready)?;
    Ok(Logs(queue))
}

/// Whether whoever looks at a terminal wants colours there: <https://no-color.org>.
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn outlet(format: LogFormat) -> Result<(Outlet, Option<Queue>), LogError> {
    let terminal = io::stderr().is_terminal();
    let form = match format {
        LogFormat::Journald => {
            let journal = Journal::open(journal::SOCKET)
                .map_err(|source| LogError::NoJournal { socket: journal::SOCKET, source })?;
            return Ok((Outlet::Journal(journal), None));
        }
        LogFormat::Auto => {
            if journal::takes_stream(
                std::env::var("JOURNAL_STREAM").ok().as_deref(),
                io::stderr().as_fd(),
            ) && let Ok(journal) = Journal::open(journal::SOCKET)
            {
                return Ok((Outlet::Journal(journal), None));
            }
            if terminal { Form::Text { colour: wants_colours() } } else { Form::Json }
        }
        LogFormat::Text => Form::Text { colour: terminal && wants_colours() },
        LogFormat::Json => Form::Json,
    };
    let queue = Queue::start(io::stderr()).map_err(LogError::NoThread)?;
    Ok((Outlet::Lines(form, queue.clone()), Some(queue)))
}
