//! Where else a running sensor tells what it found: EVE JSON, syslog, a webhook.
//!
//! ```text
//!  the writer's intake ==bounded, never waits==> eve      --> a file that is rotated, or a socket
//!                      ==bounded, never waits==> syslog   --> a socket, UDP, TCP
//!                      ==bounded, never waits==> webhook  --> HTTP
//! ```
//!
//! Each output has a thread. What the other side does not take waits in memory up to a bound, is tried again and again, and what then
//! finds no room is refused: `offered = written + waiting + refused + failed`, in records, at every moment. Nothing of it lies on disk:
//! the store is the record, these are news of it. A run that is killed loses what waited; the store has it.

mod destination;
mod eve;
mod figures;
mod file;
mod news;
mod params;
mod pump;
mod queue;
mod socket;
mod stats;
mod syslog;
mod webhook;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::counters::Counters;
use crate::event::{Batch, Board};
use crate::latest::Publisher;
use crate::store::writer::Observer;
use crate::time::Timestamp;
use crate::verdict::InForce;

use destination::Destination;
use eve::EveLines;
use file::RotatedFile;
use news::{News, NewsDesk};
use pump::{Backoff, Form, Pump};
use queue::{Offer, queue};
use socket::{Datagrams, Peer, Stream};
use syslog::SyslogMessages;
use webhook::{Webhook, WebhookBodies};

pub use figures::{Figures, KernelFigures, ReadFigures};
pub use params::{
    EveParams, EvePlace, EveRecords, FileParams, OutputParams, SyslogParams, SyslogPlace,
    WebhookParams,
};
pub use stats::OutputStats;

/// Batches that wait for EVE's destination, at most.
const BATCHES_MAX: usize = 1_024;

/// Rows that they keep in memory, at most: some 60 MB.
const ROWS_MAX: u64 = 100_000;

/// Messages about incidents that wait, at most.
const NEWS_MAX: usize = 4_096;

/// How long a stop waits for an output to deliver what it has.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// How long it then waits for its thread to give up; one that hangs in a call of the system is left.
const PARTING: Duration = Duration::from_millis(200);

/// What outputs are made of, besides their parameters.
#[derive(Debug)]
pub struct OutputParts {
    /// The sensor's name.
    pub sensor: Box<str>,
    /// What judges: the names of rules.
    pub detection: Arc<Publisher<InForce>>,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
}

/// The running outputs.
#[derive(Debug, Default)]
pub struct Outputs {
    running: Vec<Running>,
}

/// One of them, from outside.
#[derive(Debug)]
struct Running {
    name: &'static str,
    stats: Board<OutputStats>,
    thread: JoinHandle<()>,
    /// Dropped when what could not be delivered by now is given up.
    given_up: Sender<()>,
}

/// Why an output does not start.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file can't be written.
    #[error("outputs.eve.path: {path}: {source}{}", hint(source))]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The token can't be read.
    #[error("outputs.webhook.token_file: {path}: {source}")]
    Token {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// No thread.
    #[error("an output's thread: {0}")]
    Thread(#[from] io::Error),
}

impl Outputs {
    /// Starts those that there are. What they are to be offered goes through the second, by the writer.
    ///
    /// # Errors
    ///
    /// When a file can't be opened or a thread can't be started. That nobody listens on a socket is none: it is tried again.
    pub fn start(
        params: &OutputParams,
        parts: &OutputParts,
        figures: impl FnOnce() -> ReadFigures,
    ) -> Result<(Self, Vec<Box<dyn Observer>>), OutputError> {
        let mut outputs = Self::default();
        let mut observers: Vec<Box<dyn Observer>> = Vec::new();
        if let Some(params) = &params.eve {
            let form = EveLines {
                sensor: parts.sensor.clone(),
                records: params.records,
                stats_every: params.stats_every,
                detection: Arc::clone(&parts.detection),
                figures: figures(),
                clock: parts.clock,
                alerts: 0,
                before: Counters::default(),
            };
            let destination = eve_destination(&params.place)?;
            let offer = outputs.begin("eve", BATCHES_MAX, Box::new(form), destination)?;
            observers.push(Box::new(EveOffer { records: params.records, offer }));
        }
        if let Some(params) = &params.syslog {
            let form = SyslogMessages::new(parts.sensor.clone(), params, parts.clock);
            let destination = syslog::destination(&params.place);
            let offer = outputs.begin("syslog", NEWS_MAX, Box::new(form), destination)?;
            observers.push(Box::new(NewsOffer { desk: NewsDesk::new(params.level), offer }));
        }
        if let Some(params) = &params.webhook {
            let token = params.token_file.as_deref().map(token).transpose()?;
            let form = WebhookBodies { sensor: parts.sensor.clone() };
            let destination = Box::new(Webhook::new(params.url.clone(), token));
            let offer = outputs.begin("webhook", NEWS_MAX, Box::new(form), destination)?;
            observers.push(Box::new(NewsOffer { desk: NewsDesk::new(params.level), offer }));
        }
        Ok((outputs, observers))
    }

    fn begin<T: Send + 'static>(
        &mut self,
        name: &'static str,
        pieces_max: usize,
        form: Box<dyn Form<T>>,
        destination: Box<dyn Destination>,
    ) -> Result<Offer<T>, OutputError> {
        let stats = Board::new(OutputStats { is_up: true, ..OutputStats::default() });
        let (offer, taken) = queue(pieces_max, ROWS_MAX, &stats);
        let (give_up, given_up) = bounded(0);
        let backoff = Backoff::default();
        let pump = Pump { name, taken, given_up, form, destination, stats: stats.clone(), backoff };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || pump.run())?;
        self.running.push(Running { name, stats, thread, given_up: give_up });
        Ok(offer)
    }

    /// Each output's name, and where its figures stand.
    #[must_use]
    pub fn stats(&self) -> Vec<(&'static str, Board<OutputStats>)> {
        self.running.iter().map(|running| (running.name, running.stats.clone())).collect()
    }

    /// Waits, not for long, until what was offered is delivered. Whoever offers must be gone.
    pub fn finish(self) {
        let deadline = Instant::now() + STOP_WITHIN;
        for Running { name, stats, thread, given_up } in self.running {
            wait_for(&thread, deadline);
            drop(given_up);
            wait_for(&thread, Instant::now() + PARTING);
            let stats = stats.read();
            let undelivered = stats.lost() + stats.waiting;
            if undelivered > 0 {
                let why = stats.last_error.unwrap_or_else(|| "too many waited".to_owned());
                tracing::warn!(output = name, undelivered, why, "records never arrived");
            }
        }
    }
}

/// What to do about a file that can't be opened, where the error does not say it.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            "; its folder must be there and be writable for this user"
        }
        _ => "",
    }
}

/// How often a stop looks whether a thread has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn wait_for(thread: &JoinHandle<()>, deadline: Instant) {
    while !thread.is_finished() && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
    }
}

fn eve_destination(place: &EvePlace) -> Result<Box<dyn Destination>, OutputError> {
    Ok(match place {
        EvePlace::File(params) => {
            let path = params.path.display().to_string();
            let file = RotatedFile::open(params.clone());
            Box::new(file.map_err(|source| OutputError::File { path, source })?)
        }
        EvePlace::Stream(path) => Box::new(Stream::to(Peer::Unix(path.clone()))),
        EvePlace::Datagram(path) => Box::new(Datagrams::to(Peer::Unix(path.clone()))),
    })
}

fn token(file: &Path) -> Result<String, OutputError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| OutputError::Token { path: file.display().to_string(), source })?;
    Ok(text.trim().to_owned())
}

/// RFC 3339 in whole microseconds, which is as much as RFC 5424 lets a time have.
fn moment(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos()))
        .map_or_else(|_| time.to_string(), |moment| format!("{moment:.6}"))
}

/// Offers batches to EVE's thread.
#[derive(Debug)]
struct EveOffer {
    records: EveRecords,
    offer: Offer<Arc<Batch>>,
}

impl Observer for EveOffer {
    fn received(&mut self, batch: &Arc<Batch>) {
        let records = eve::count(batch, self.records);
        if records > 0 {
            let rows = batch.events.len() + batch.sessions.len() + batch.incidents.len();
            self.offer.offer(Arc::clone(batch), records, u64::try_from(rows).unwrap_or(u64::MAX));
        }
    }
}

/// Offers what is new about incidents.
#[derive(Debug)]
struct NewsOffer {
    desk: NewsDesk,
    offer: Offer<News>,
}

impl Observer for NewsOffer {
    fn received(&mut self, batch: &Arc<Batch>) {
        for news in self.desk.of(batch) {
            self.offer.offer(news, 1, 1);
        }
    }
}
