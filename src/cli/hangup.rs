//! SIGHUP: the configuration is read again, and what decides verdicts takes the place of what did before.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::SIGHUP;

use super::appliance::notice;
use super::reloader::{Reloaded, Reloader};
use super::{Failure, setup};
use crate::api::Live;
use crate::capture::live::LiveClock;
use crate::collect::NoticeKind;
use crate::config::Config;
use crate::logs::limited;
use crate::sensor::Watched;
use crate::time::Timestamp;
use crate::verdict::InForce;

/// How often the thread looks whether it was asked, and whether everybody has moved on.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long before it takes effect a detection is published, nanoseconds: by then every worker has seen it, so that all go over to it
/// at the same packet.
const LEAD_NANOS: i64 = 100_000_000;

/// Reloads when asked, until dropped. A reload that is being built then is not waited for: nothing of it is to be saved.
#[derive(Debug)]
pub(super) struct Hangup(
    #[expect(dead_code, reason = "dropped, it tells the thread to end")] Sender<()>,
);

/// Whether a reload was asked for, and of what.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    flag: Arc<AtomicBool>,
    /// The configuration's file; without one, the defaults, and what they name, are read again.
    config: Option<PathBuf>,
}

impl Asked {
    /// From now on the signal asks, and does not end the process.
    ///
    /// # Errors
    ///
    /// When the signal is refused by the system.
    pub(super) fn listen(config: Option<PathBuf>) -> Result<Self, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, Arc::clone(&flag)).map_err(failed)?;
        Ok(Self { flag, config })
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::operation(format!("signal SIGHUP: {error}"))
}

/// What a reload works with.
#[derive(Debug)]
pub(super) struct HangupParts {
    /// Whether it is time.
    pub(super) asked: Asked,
    /// What is reloaded.
    pub(super) reloader: Reloader,
    /// Packet time, where it is of now.
    pub(super) clock: Option<LiveClock>,
    /// The workers and the collector.
    pub(super) watched: Watched,
    /// Where it is told.
    pub(super) live: Live,
}

impl Hangup {
    /// Answers from now on.
    ///
    /// # Errors
    ///
    /// When the thread is refused by the system.
    pub(super) fn start(parts: HangupParts) -> Result<Self, Failure> {
        let (stop, stopped) = channel();
        let work = Work { parts, stopped };
        let thread = thread::Builder::new().name("reload".to_owned());
        drop(thread.spawn(move || work.run()).map_err(failed)?);
        Ok(Self(stop))
    }
}

struct Work {
    parts: HangupParts,
    stopped: Receiver<()>,
}

impl Work {
    fn run(mut self) {
        while self.goes_on() {
            // Asked twice before it looks is asked once: the files are read after this.
            if self.parts.asked.flag.swap(false, Ordering::Relaxed) {
                self.reload();
            }
        }
    }

    /// Waits a little. Returns whether the sensor still runs.
    fn goes_on(&self) -> bool {
        self.stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout)
    }

    fn reload(&mut self) {
        tracing::info!("asked to reload (SIGHUP)");
        let HangupParts { asked, reloader, clock, live, .. } = &mut self.parts;
        let clock = *clock;
        // What frames of a capture file bear is the time of when they were captured.
        let newest = live.collector.read().newest.unwrap_or(reloader.started());
        let moment = clock.map_or(newest, LiveClock::now);
        let from = || clock.map_or(InForce::AT_ONCE, |clock| later(clock.now(), LEAD_NANOS));
        let reloaded = Config::load(asked.config.as_deref())
            .map_err(Failure::configuration)
            .and_then(|config| reloader.reload(config, moment, from));
        match reloaded {
            Ok(reloaded) => self.tell(reloaded),
            Err(failure) => self.refuse(&failure),
        }
    }

    fn tell(&self, reloaded: Reloaded) {
        let Reloaded { version, replaced, kept } = reloaded;
        if !kept.is_empty() {
            tracing::warn!(
                sections = kept.join(", "),
                "changed in the configuration, but read at a start only: restart the sensor for them"
            );
        }
        let live = &self.parts.live;
        let settings = setup::shown_settings(self.parts.reloader.settings());
        live.settings.change(|shown| *shown = settings);
        live.reloads.change(|reloads| {
            (reloads.fault, reloads.read) = (None, setup::now());
            match &replaced {
                Some(_) => (reloads.replaced, reloads.since) = (reloads.replaced + 1, reloads.read),
                None => reloads.unchanged += 1,
            }
        });
        let Some(replaced) = replaced else {
            tracing::info!("reloaded: model, rules, intelligence and policy are what they were");
            return;
        };
        let when = if replaced.until == InForce::AT_ONCE {
            "from the next packets on".to_owned()
        } else {
            format!("packets from {} on", replaced.until)
        };
        let text =
            format!("detection {version:08x} judges {when}, before: {:08x}", replaced.version);
        let now = live.detection();
        tracing::info!(
            rules = now.rules().len(),
            rules_refused = now.rules().refused(),
            intel = now.intel().len(),
            "reloaded: {text}"
        );
        notice(live, NoticeKind::DetectionReplaced, &text);
        if self.parts.clock.is_some_and(|clock| clock.now() >= replaced.until) {
            // The machine stood still in between.
            tracing::warn!(
                "workers may have gone over at different packets: each event names what judged it"
            );
        }
        self.parts.reloader.let_go(replaced, |number| self.is_settled(number));
    }

    /// Waits until everybody has moved on to the detection of this number. Returns whether they have before the end.
    fn is_settled(&self, number: u64) -> bool {
        while self.parts.watched.settled() < number {
            if !self.goes_on() {
                return false;
            }
            if self.parts.asked.flag.load(Ordering::Relaxed) {
                limited!(
                    info,
                    "asked to reload (SIGHUP): it waits until packets that the last reload's detection judges have been taken everywhere"
                );
            }
        }
        true
    }

    fn refuse(&self, failure: &Failure) {
        let live = &self.parts.live;
        let version = live.detection().version();
        let fault = failure.lines().join("; ");
        let text = format!("the reload is refused, detection {version:08x} stays: {fault}");
        tracing::error!("{text}");
        live.reloads.change(|reloads| {
            reloads.refused += 1;
            reloads.fault = Some(fault);
        });
        notice(live, NoticeKind::ReloadRefused, &text);
    }
}

fn later(time: Timestamp, nanos: i64) -> Timestamp {
    Timestamp::from_nanos(time.as_nanos().saturating_add(nanos))
}
