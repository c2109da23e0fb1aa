//! Where lines go out, without anybody waiting for it.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::journal::Journal;
use super::limit::{Limited, leave_out};
use super::line::{Form, Line, Value};
use crate::time::Timestamp;

/// Lines that wait for their reader; more are left out.
pub(super) const WAITING_MAX: usize = 1_024;

/// How long the end of the program waits for the reader of the log.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug)]
pub(super) enum Outlet {
    /// To a stream.
    Lines(Form, Queue),
    /// To the journal.
    Journal(Journal),
}

impl Outlet {
    fn put(&self, line: &Line) {
        let taken = match self {
            Self::Lines(form, queue) => queue.put(line.render(*form)),
            Self::Journal(journal) => journal.send(line).is_ok(),
        };
        if !taken {
            leave_out();
        }
    }
}

/// Lines on their way to a thread that writes them.
#[derive(Clone, Debug)]
pub(super) struct Queue(Sender<Message>);

enum Message {
    Line(String),
    /// Everything before this is to be written, and then the sender dropped.
    Flush(Sender<()>),
}

impl Queue {
    /// Starts the thread that writes to `stream`. It ends with the last clone of the queue.
    pub(super) fn start(stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = bounded(WAITING_MAX);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&receiver, stream))?;
        Ok(Self(sender))
    }

    /// Whether there was room.
    fn put(&self, line: String) -> bool {
        self.0.try_send(Message::Line(line)).is_ok()
    }

    /// Waits until everything put so far is written, or the reader is found too slow.
    pub(super) fn flush(&self) {
        let (sender, written) = bounded(0);
        if self.0.send_timeout(Message::Flush(sender), FLUSH_TIME_MAX).is_ok() {
            // Either way it is over: written, or given up.
            written.recv_timeout(FLUSH_TIME_MAX).unwrap_or_default();
        }
    }
}

fn write_all(messages: &Receiver<Message>, mut stream: impl Write) {
    for message in messages {
        match message {
            Message::Line(line) => {
                // One write for each line, so that lines of two programs on one terminal do not mix.
                if stream.write_all(line.as_bytes()).is_err() {
                    leave_out();
                }
            }
            Message::Flush(written) => drop(written),
        }
    }
}

/// What `tracing` tells, said to an outlet. Spans are not used: a line says what it is about by itself.
#[derive(Debug)]
pub(super) struct Says {
    level: LevelFilter,
    outlet: Outlet,
}

impl Says {
    pub(super) const fn new(level: LevelFilter, outlet: Outlet) -> Self {
        Self { level, outlet }
    }
}

impl Subscriber for Says {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        static LIBRARIES: Limited = Limited::new();
        let mut line = Line::of(event, now());
        if !is_own(line.target) {
            // What libraries say is mostly what clients have done to them. None of it is this program's loss.
            let Some(left_out) = LIBRARIES.admit() else { return };
            line.level = line.level.max(Level::WARN);
            line.fields.extend(left_out.map(|lines| ("left_out", Value::Plain(lines.to_string()))));
        }
        self.outlet.put(&line);
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// Whether this program says it, not one of its libraries.
fn is_own(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_PKG_NAME"))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
