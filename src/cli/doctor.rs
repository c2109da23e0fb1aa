//! `phantomnet doctor`: what is wrong with this box or this tap, and the command that mends it.

use std::time::Duration;

use clap::Args;

use super::interrupt::Interrupt;
use super::output::JsonArgument;
use super::{ConfigArgument, Failure, setup};
use crate::capture::interface::{Interface, has_default_route};
use crate::config::{Backend, Config};
use crate::doctor::{self, Intended, Listening, Severity};

/// For how long the tap is listened to unless that is said.
const LISTEN_SECONDS: u16 = 5;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/doctor.txt"))]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigArgument,

    /// The interface to examine; else capture.interface of the configuration. Without either, the machine alone.
    #[arg(long, value_name = "IF")]
    interface: Option<String>,

    #[command(flatten)]
    json: JsonArgument,

    /// For how many seconds to listen to what comes in, at most 3600; 0 for not at all. [default: 5 where this user may capture]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=3_600))]
    listen: Option<u16>,
}

impl Doctor {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let name = self.interface.as_ref().or(config.capture.interface.as_ref());
        let found = name.map(|name| Interface::find(name)).transpose();
        let interface = found.map_err(Failure::configuration)?;
        if interface.is_none() && self.listen.is_some_and(|seconds| seconds > 0) {
            return Err(Failure::usage(
                "--listen: there is nothing to listen to; --interface IF or capture.interface names an interface",
            ));
        }
        let interrupt = Interrupt::listen()?;
        let is_over = || interrupt.was_asked();
        let listening = self.seconds().map(|time| Listening { time, is_over: &is_over });
        let intended = intended(&config, interface.as_ref());
        let report = doctor::examine(interface.as_ref(), &intended, listening.as_ref());
        self.json.print(&report, &report.render())?;
        if report.worst() < Severity::Warning {
            return Ok(());
        }
        Err(Failure::operation(report.sum()))
    }

    /// For how long to listen; where that is not said, only who may is told to.
    fn seconds(&self) -> Option<Duration> {
        let seconds = match self.listen {
            Some(seconds) => seconds,
            None if doctor::may_listen() => LISTEN_SECONDS,
            None => 0,
        };
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

/// What a sensor would do here.
pub(super) fn intended(config: &Config, interface: Option<&Interface>) -> Intended {
    let params = setup::live_params(config, interface.map_or(0, |interface| interface.queues));
    let cores = params.cores;
    let harms = interface.is_some_and(|interface| has_default_route(&interface.name));
    Intended {
        workers: params.workers,
        worker_cores: cores.workers,
        other_cores: cores.others,
        af_xdp: match config.capture.backend {
            Backend::Auto => !harms || config.capture.force,
            Backend::AfXdp => true,
            Backend::AfPacket => false,
        },
        frames: config.capture.frames,
        by_vlan: config.sources.by_vlan,
    }
}
