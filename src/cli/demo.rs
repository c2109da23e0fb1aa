//! `phantomnet demo`: the whole appliance on generated traffic, without root and without a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::appliance::{Appliance, Attended, Plan};
use super::complaints::{fail_on, sums_and_sinks};
use super::interrupt::{Interrupt, Interruptible};
use super::speed::Speed;
use super::{ConfigArgument, Failure, output, setup, store};
use crate::collect::StorePolicy;
use crate::latest::Publisher;
use crate::synth::EndlessFrames;
use crate::time::NANOS_PER_SECOND;
use crate::verdict::InForce;
use crate::worker::WhenFull;

/// Traffic of so many seconds before the start is judged at once, so that there is something to look at.
const HISTORY_SECONDS: u32 = 60;

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/demo.txt"))]
pub(super) struct Demo {
    #[command(flatten)]
    config: ConfigArgument,

    /// Where to listen, instead of what the configuration says; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// The folder for what it writes, instead of what the configuration says.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,

    /// Where all chance comes from.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Times the natural pace, some 800 packets a second.
    #[arg(long, value_name = "real|xN", default_value = "real")]
    speed: Speed,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut config = setup::load_config(&self.config)?;
        if let Some(folder) = self.folder {
            config.overrule("sensor.folder", folder.display().to_string());
            config.sensor.folder = folder;
        }
        if let Some(listen) = self.listen {
            config.overrule("http.listen", listen.to_string());
            config.http.listen = Some(listen);
        }
        let interrupt = Interrupt::listen()?;
        let _logs = setup::start_logs(&config)?;
        let start = setup::now().plus_nanos(-i64::from(HISTORY_SECONDS) * NANOS_PER_SECOND);
        let frames = EndlessFrames::new(start, self.seed).map_err(Failure::operation)?;
        let mut events = setup::event_params(&config, Attended::Sensor);
        events.store = StorePolicy::All;
        let location = store::configured(&config);
        let place = location.to_string();
        let appliance = Appliance::start(Plan {
            location,
            params: setup::sensor_params(&config, 0)?,
            events,
            detection: Arc::new(Publisher::new(InForce::first(setup::load_detection(
                &config, start,
            )?))),
            config: &config,
            source: "generated traffic".to_owned(),
            attended: Attended::Sensor,
            // A minute of history comes at once; nothing of it is hurried past.
            when_full: WhenFull::Wait,
        })?;
        output::print(&greeting(appliance.address(), &place))?;
        let frames = Interruptible::new(
            self.speed.of_with_head_start(frames, Duration::from_secs(HISTORY_SECONDS.into())),
            interrupt,
        );
        let ended = appliance.run(frames, Vec::new(), |_generated| None, |_| {});
        let mut lines = ended.complaints();
        lines.extend(sums_and_sinks(&ended.replayed));
        let totals = ended.collector.totals;
        output::print(&format!(
            "{} packets judged, {} events stored, unaccounted {}\nphantomnet audit --store '{place}' recounts them.\n",
            totals.packets,
            ended.events().stored,
            ended.replayed.ledger().unaccounted(),
        ))?;
        fail_on(lines)
    }
}

/// Where to look.
fn greeting(address: Option<SocketAddr>, place: &str) -> String {
    let look = address.map_or_else(
        || "No HTTP server: http.listen is empty.\n".to_owned(),
        |address| {
            format!(
                "Look at http://{address}/ or ask:\n  curl 'http://{address}/api/events?verdict=HIGH&limit=5'\n  \
                 curl http://{address}/api/stats\n  curl -N http://{address}/api/stream\n"
            )
        },
    );
    format!("PhantomNet judges generated traffic into {place}. Ctrl-C ends it.\n{look}")
}
