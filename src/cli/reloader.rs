//! A detection that takes the place of another while packets are judged.

use std::sync::Arc;

use super::{Failure, setup};
use crate::config::{self, CaptureParams, Config, Setting};
use crate::intel::IntelReport;
use crate::latest::Publisher;
use crate::time::Timestamp;
use crate::verdict::InForce;

/// The sections that are read again.
const READ_AGAIN: [&str; 4] = ["model", "rules", "intel", "policy"];

/// The detection in force, and what is needed to replace it.
///
/// A reload builds the next detection aside and replaces the old one whole; when anything is wrong with it, the old one stays.
#[derive(Debug)]
pub struct Reloader {
    in_force: Arc<Publisher<InForce>>,
    /// What the sensor goes by: the parts of the detection as of the last reload, all else as of the start.
    config: Config,
    /// What the feeds in force held: one that lost nearly everything is refused.
    feeds: IntelReport,
    /// The packet time of the start.
    started: Timestamp,
}

/// What a reload came to.
#[derive(Debug)]
pub struct Reloaded {
    /// What judges now: model, rules, intelligence, decoys and policy by their version.
    pub version: u32,
    /// What was replaced; `None` when nothing had changed.
    pub replaced: Option<Replaced>,
    /// Sections of the configuration that have changed, and that only a start of the sensor reads.
    pub kept: Vec<&'static str>,
}

/// A detection that was replaced.
#[derive(Debug)]
pub struct Replaced {
    /// Its version.
    pub version: u32,
    /// From which packet time on the next one judges.
    pub until: Timestamp,
    /// Held here, so that no worker is the last to let go of it: giving back its memory takes time.
    _held: Arc<InForce>,
}

impl Reloader {
    /// The first detection, with the intelligence that has not expired at `moment`.
    ///
    /// # Errors
    ///
    /// The first file that can't be used, with its place and reason.
    pub fn start(config: &Config, moment: Timestamp) -> Result<Self, Failure> {
        let (detection, feeds) = setup::build_detection(config, None, moment)?;
        let in_force = Arc::new(Publisher::new(InForce::first(detection)));
        Ok(Self { in_force, config: config.clone(), feeds, started: moment })
    }

    /// The packet time at which the first detection was loaded.
    #[must_use]
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Where the detection in force can be seen.
    #[must_use]
    pub const fn published(&self) -> &Arc<Publisher<InForce>> {
        &self.in_force
    }

    /// What the sensor goes by, key by key.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.config.settings
    }

    /// Replaces the detection by what the files say now that `config` names. `from`, asked when it has been built, is the packet
    /// time from which on it judges. Decoys stay: what a source has touched is counted by their numbers.
    ///
    /// Everybody must have moved on from the detection before the one in force ([`let_go`](Self::let_go)).
    ///
    /// # Errors
    ///
    /// The first file that can't be used, with its place and reason; the old detection stays in force.
    pub fn reload(
        &mut self,
        config: Config,
        moment: Timestamp,
        from: impl FnOnce() -> Timestamp,
    ) -> Result<Reloaded, Failure> {
        let kept = self.kept(&config);
        let Config { model, rules, intel, policy, settings, .. } = config;
        let settings = config::renewed(&self.config.settings, &settings, &READ_AGAIN);
        let next = Config { model, rules, intel, policy, settings, ..self.config.clone() };
        let (detection, feeds) = setup::build_detection(&next, Some(&self.feeds), moment)?;
        let current = self.in_force.current();
        let there_were = current.newest().rules().len();
        if detection.rules().is_empty() && there_were > 0 && !next.rules.origins.is_empty() {
            // A file that was cut off while it was written looks like this. Who wants none writes rules.files = [].
            return Err(Failure::configuration(format!(
                "rules.files: there is no rule in any of them, and {there_were} are in force; rules.files = [] is none"
            )));
        }
        (self.config, self.feeds) = (next, feeds);
        let before = current.newest().version();
        let version = detection.version();
        if version == before {
            return Ok(Reloaded { version, replaced: None, kept });
        }
        let until = from();
        let held = self.in_force.replace(current.followed_by(Arc::new(detection), until));
        let replaced = Some(Replaced { version: before, until, _held: held });
        Ok(Reloaded { version, replaced, kept })
    }

    /// Lets go of a detection that was replaced, when `is_settled` says, for the number of a detection, that everybody has moved on to
    /// it; it is to wait for that, and gives up with `false`.
    pub fn let_go(&self, replaced: Replaced, mut is_settled: impl FnMut(u64) -> bool) {
        let number = self.in_force.current().number();
        if !is_settled(number) {
            return;
        }
        // What was replaced is still at hand, for packets of before. When those are gone, the new one takes its place too.
        let current = self.in_force.current();
        let next = current.followed_by(Arc::clone(current.newest()), InForce::AT_ONCE);
        let held = self.in_force.replace(next);
        is_settled(number + 1);
        drop((current, held, replaced));
    }

    /// The sections that differ from what the sensor goes by and are not read again.
    fn kept(&self, config: &Config) -> Vec<&'static str> {
        let Config {
            capture,
            workers,
            sources,
            features,
            // A running sensor does not replay.
            replay: _,
            // Read again.
            model: _,
            rules: _,
            intel: _,
            policy: _,
            decoys,
            sensor,
            events,
            store,
            outputs,
            http,
            log,
            // What the others are.
            settings: _,
        } = &self.config;
        let differ = [
            // The command line may have said it.
            ("capture", {
                let replace = capture.replace || config.capture.replace;
                *capture != CaptureParams { replace, ..config.capture.clone() }
            }),
            ("workers", *workers != config.workers),
            ("sources", *sources != config.sources),
            ("features", *features != config.features),
            ("decoys", *decoys != config.decoys),
            ("sensor", *sensor != config.sensor),
            ("events", *events != config.events),
            ("store", *store != config.store),
            ("outputs", *outputs != config.outputs),
            ("http", *http != config.http),
            ("log", *log != config.log),
        ];
        differ.into_iter().filter_map(|(section, differs)| differs.then_some(section)).collect()
    }
}
