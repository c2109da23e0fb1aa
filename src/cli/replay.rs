//! `phantomnet replay`: capture files in, verdicts out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::appliance::{Appliance, Attended, Plan};
use super::complaints::{complaints, fail_on};
use super::interrupt::{Interrupt, Interruptible};
use super::progress::Bar;
use super::speed::{Speed, Tempo};
use super::{ConfigArgument, Failure, output, setup, store};
use crate::capture::Reader;
use crate::collect::{
    EveWriter, EventCounts, Highlights, Sink, Summary, SummaryParts, render_text,
};
use crate::latest::Publisher;
use crate::sensor;
use crate::verdict::InForce;
use crate::worker::WhenFull;

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/replay.txt"))]
pub(super) struct Replay {
    #[command(flatten)]
    config: ConfigArgument,

    /// Number of workers; verdicts do not depend on it. 0 takes what the configuration says.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,

    /// Where to store events: sqlite:PATH, postgres://user@host/database, postgres: (what PGHOST and the like say), or none.
    #[arg(long, value_name = "URL", default_value = "none")]
    store: String,

    /// Write an EVE JSON line for each verdict above SAFE; - is standard output.
    #[arg(long, value_name = "PATH")]
    eve: Option<PathBuf>,

    /// Write the features, scores and verdict of each packet as CSV; - is standard output.
    #[arg(long, value_name = "PATH")]
    dump_features: Option<PathBuf>,

    /// As fast as possible, at the pace of the capture, or a multiple of it (x10).
    #[arg(long, value_name = "max|real|xN", default_value = "max")]
    speed: Speed,

    /// How the summary is written.
    #[arg(long, value_enum, default_value_t = SummaryForm::Text)]
    summary: SummaryForm,

    /// The same as --summary json.
    #[arg(long, conflicts_with = "summary")]
    json: bool,

    /// pcap or pcapng files, also gzip or zstd compressed; - is standard input. Several are merged by time, and packets
    /// are numbered over all of them.
    #[arg(required = true, value_name = "PCAP")]
    captures: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SummaryForm {
    /// A page for people.
    Text,
    /// One JSON object.
    Json,
}

/// What became of the events.
#[derive(Debug, Default)]
struct Stored {
    complaints: Vec<String>,
    events: EventCounts,
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.refuse_shared_standard_output()?;
        let config = setup::load_config(&self.config)?;
        let store = match self.store.as_str() {
            "none" => None,
            text => Some(store::parsed(text)?),
        };
        let params = setup::sensor_params(&config, self.workers)?;
        let reader = Reader::open(&self.captures).map_err(Failure::operation)?;
        let moment = reader.next_time().unwrap_or_default();
        let detection =
            Arc::new(Publisher::new(InForce::first(setup::load_detection(&config, moment)?)));
        let judging = Arc::clone(detection.current().newest());
        self.refuse_overwriting()?;

        let mut dump = self.dump_features.as_deref().map(output::feature_dump).transpose()?;
        let mut eve = match &self.eve {
            Some(path) => Some(EveWriter::new(output::create(path)?, path.display().to_string())),
            None => None,
        };
        let mut highlights = Highlights::default();
        let mut sinks: Vec<&mut dyn Sink> = vec![&mut highlights];
        sinks.extend(dump.as_mut().map(|sink| sink as &mut dyn Sink));
        sinks.extend(eve.as_mut().map(|sink| sink as &mut dyn Sink));

        let interrupt = Interrupt::listen()?;
        let bar = Bar::over(reader.progress(), "");
        let frames = Interruptible::new(self.speed.of(reader), interrupt.clone());
        let (replayed, stored) = match store {
            None => (sensor::replay(frames, &detection, &params, sinks), Stored::default()),
            Some(location) => {
                let appliance = Appliance::start(Plan {
                    location,
                    params: params.clone(),
                    events: setup::event_params(&config, Attended::Replay),
                    detection: Arc::clone(&detection),
                    config: &config,
                    source: self.captures.iter().map(|path| path.display().to_string()).collect(),
                    attended: Attended::Replay,
                    when_full: WhenFull::Wait,
                })?;
                let ended = appliance.run(frames, sinks, |_told_at_the_end| None, |_| {});
                let stored = Stored { complaints: ended.complaints(), events: ended.events() };
                (ended.replayed, stored)
            }
        };
        let replayed = replayed.map_source(Interruptible::into_inner).map_source(Tempo::into_inner);
        drop(bar);

        let summary = Summary::new(&SummaryParts {
            ledger: replayed.ledger(),
            latency: &replayed.latency,
            seconds: replayed.seconds,
            detection: &judging,
            settings_version: params.version(),
            workers: params.workers,
            events: stored.events,
        });
        self.show(&summary, &render_text(&summary, &highlights, &judging))?;
        let mut lines = complaints(&replayed);
        lines.extend(stored.complaints);
        if interrupt.was_asked() {
            lines.push("interrupted: the rest of the captures was not read".to_owned());
        }
        fail_on(lines)
    }

    /// An output that is one of the captures, or the other output, would destroy it.
    fn refuse_overwriting(&self) -> Result<(), Failure> {
        let outputs: Vec<&Path> =
            [&self.eve, &self.dump_features].into_iter().flatten().map(PathBuf::as_path).collect();
        output::refuse_overwriting(&outputs, &self.captures)
    }

    /// Two streams on one standard output would be of use to nobody.
    fn refuse_shared_standard_output(&self) -> Result<(), Failure> {
        let is_stdout = |path: &&PathBuf| path.as_os_str() == "-";
        let users =
            [&self.eve, &self.dump_features].into_iter().flatten().filter(is_stdout).count();
        if users > 1 {
            return Err(Failure::usage(
                "--eve and --dump-features can't both write to standard output; give one a file",
            ));
        }
        Ok(())
    }

    /// The summary goes to standard output, or to standard error where that carries the events.
    fn show(&self, summary: &Summary, page: &str) -> Result<(), Failure> {
        let text = match self.summary {
            SummaryForm::Text if !self.json => page.to_owned(),
            SummaryForm::Text | SummaryForm::Json => output::as_json(summary)?,
        };
        let taken = [&self.eve, &self.dump_features]
            .into_iter()
            .flatten()
            .any(|path| path.as_os_str() == "-");
        if taken {
            output::print_to_stderr(&text);
            return Ok(());
        }
        output::print(&text)
    }
}
