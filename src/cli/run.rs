//! `phantomnet run`: the sensor.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::appliance::{Appliance, Attended, Plan};
use super::complaints::{complaints, fail_on};
use super::hangup::{Asked, Hangup, HangupParts};
use super::interrupt::{Interrupt, Interruptible};
use super::reloader::Reloader;
use super::speed::{Speed, Tempo};
use super::watchdog::Watchdog;
use super::{ConfigArgument, Failure, live, output, setup, store};
use crate::capture::Reader;
use crate::collect::Sink;
use crate::config::Config;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/run.txt"))]
pub(super) struct Run {
    #[command(flatten)]
    config: ConfigArgument,

    /// The interface whose frames are judged; else capture.interface of the configuration.
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    /// Take another XDP program off the interface, as capture.replace = true does; what it did is not done any more.
    #[arg(long, conflicts_with = "source")]
    replace: bool,

    /// Also of each packet: its features, scores and verdict, as CSV into this file.
    #[arg(long, value_name = "PATH")]
    dump_features: Option<PathBuf>,

    /// A capture file that stands in for the network: pcap or pcapng, also gzip or zstd compressed; - is standard input.
    /// Several, each with its own --source, are merged by time.
    #[arg(long, value_name = "PCAP", conflicts_with = "interface")]
    source: Vec<PathBuf>,

    /// At the pace of the capture, a multiple of it (x10), or as fast as possible.
    #[arg(long, value_name = "max|real|xN", default_value = "real", requires = "source")]
    speed: Speed,

    /// When the capture has ended, go on answering over HTTP until Ctrl-C.
    #[arg(long, requires = "source")]
    stay: bool,
}

impl Run {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut config = setup::load_config(&self.config)?;
        if self.replace {
            config.overrule("capture.replace", true);
            config.capture.replace = true;
        }
        if let Some(interface) = &self.interface {
            config.overrule("capture.interface", interface.as_str());
        }
        let interrupt = Interrupt::listen()?;
        let asked = Asked::listen(self.config.config.clone())?;
        let _logs = setup::start_logs(&config)?;
        let mut dump = self.dump_features.as_deref().map(output::feature_dump).transpose()?;
        let others: Vec<&mut dyn Sink> =
            dump.iter_mut().map(|dump| dump as &mut dyn Sink).collect();
        if !self.source.is_empty() {
            return self.run_captures(&config, &interrupt, asked, others);
        }
        match self.interface.as_ref().or(config.capture.interface.as_ref()) {
            Some(interface) => live::run(interface, &config, &interrupt, asked, others),
            None => Err(Failure::usage(
                "nothing to receive: --interface IF or capture.interface names an interface, --source a capture file"
                    .to_owned(),
            )),
        }
    }

    /// Takes the frames of capture files.
    fn run_captures(
        &self,
        config: &Config,
        interrupt: &Interrupt,
        asked: Asked,
        others: Vec<&mut dyn Sink>,
    ) -> Result<(), Failure> {
        let reader = Reader::open(&self.source).map_err(Failure::operation)?;
        let moment = reader.next_time().unwrap_or_default();
        let names: Vec<_> = self.source.iter().map(|path| path.display().to_string()).collect();
        let reloader = Reloader::start(config, moment)?;
        let params = setup::live_params(config, 0);
        setup::demands(config, &params).take().map_err(Failure::configuration)?;
        let appliance = Appliance::start(Plan {
            location: store::configured(config),
            params,
            events: setup::event_params(config, Attended::Sensor),
            detection: Arc::clone(reloader.published()),
            config,
            source: names.join(" "),
            attended: Attended::Sensor,
            when_full: self.speed.when_full(),
        })?;
        if let Some(address) = appliance.address() {
            output::print_to_stderr(&format!("phantomnet: listening on http://{address}\n"));
        }
        let watchdog = Watchdog::start(appliance.live().workers.clone())?;
        let hangup = Hangup::start(HangupParts {
            asked,
            reloader,
            clock: None,
            watched: appliance.watched().clone(),
            live: appliance.live().clone(),
        })?;
        let stay = |all_well| {
            if self.stay && all_well {
                interrupt.wait();
            }
            watchdog.stopping();
        };
        let frames = Interruptible::new(self.speed.of(reader), interrupt.clone());
        let fault_of = |frames: &Interruptible<Tempo<Reader>>| {
            frames.source().source().faults().first().map(ToString::to_string)
        };
        let ended = appliance.run(frames, others, fault_of, stay);
        drop(hangup);
        let mut lines = ended.complaints();
        let replayed =
            ended.replayed.map_source(Interruptible::into_inner).map_source(Tempo::into_inner);
        lines.extend(complaints(&replayed));
        fail_on(lines)
    }
}
