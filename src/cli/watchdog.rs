//! What a service manager (systemd) hears of a running sensor: that it is ready, that its workers move, that it stops.
//!
//! The manager's watchdog is fed by the workers' heartbeats. The thread here only looks at them: when one worker has not moved
//! since the last look, it feeds nothing, and the manager ends the process and starts another. A sensor that goes on without one
//! of its workers would be blind and look well. A worker that has panicked never moves again: should the others not come to an end, the
//! manager ends them too. Without a manager (`NOTIFY_SOCKET` is not set) there is no thread.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sd_notify::NotifyState;

use super::Failure;
use crate::counters::Published;
use crate::logs::limited;

/// How often a sensor that starts looks whether every worker has moved.
const LOOK_AT_START: Duration = Duration::from_millis(20);

/// How often the status is renewed where no watchdog wants to be fed.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Tells the service manager, where there is one. Dropped, it falls silent, when all that was to be said is said.
#[derive(Debug)]
pub(super) struct Watchdog(Option<Watching>);

#[derive(Debug)]
struct Watching {
    stopping: Sender<Stopping>,
    thread: JoinHandle<()>,
}

/// The sensor was asked to end, or has no more frames.
struct Stopping;

impl Watchdog {
    /// Begins to watch the workers.
    ///
    /// # Errors
    ///
    /// When the thread that watches can't be started.
    pub(super) fn start(workers: Vec<Arc<Published>>) -> Result<Self, Failure> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(Self(None));
        }
        let failed = |error| Failure::operation(format!("the watchdog: {error}"));
        let watch = Watch::new(workers, Box::new(sd_notify::notify));
        // At half the time after which the manager gives up, as its manual asks for.
        let period = sd_notify::watchdog_enabled().map_or(STATUS_EVERY, |time| time / 2);
        let period = period.max(LOOK_AT_START);
        let (stopping, told) = channel();
        let run = move || watch.run(period, &told);
        let thread =
            thread::Builder::new().name("watchdog".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self(Some(Watching { stopping, thread })))
    }

    /// Says that the sensor stops: the workers have left, or one has panicked. Said once, however often it is told.
    pub(super) fn stopping(&self) {
        if let Some(watching) = &self.0 {
            // A thread that is gone has nobody to tell.
            let _told: Result<(), _> = watching.stopping.send(Stopping);
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let Some(Watching { stopping, thread }) = self.0.take() else { return };
        drop(stopping);
        // A panic in it has been told, and has ended the process.
        let _ended: Result<(), _> = thread.join();
    }
}

/// How the manager is told.
type Tell = Box<dyn Fn(&[NotifyState<'_>]) -> io::Result<()> + Send>;

/// The workers as last seen.
struct Watch {
    workers: Vec<Watched>,
    /// Whether the manager knows that the sensor runs.
    is_ready: bool,
    /// Whether it knows that the sensor stops, so that it sets a limit to that.
    is_stopping: bool,
    tell: Tell,
}

struct Watched {
    published: Arc<Published>,
    /// Its beats at the last look.
    beats: u64,
}

impl Watched {
    fn look(&mut self) {
        self.beats = self.published.beats();
    }

    /// Whether it has moved since the last look, or has left in order.
    fn has_moved(&mut self) -> bool {
        let before = self.beats;
        self.look();
        let alive = !self.published.has_died();
        alive && (self.beats != before || self.published.has_left())
    }
}

impl Watch {
    fn new(workers: Vec<Arc<Published>>, tell: Tell) -> Self {
        let watched = |published| Watched { published, beats: 0 };
        let workers = workers.into_iter().map(watched).collect();
        Self { workers, is_ready: false, is_stopping: false, tell }
    }

    fn run(mut self, period: Duration, told: &Receiver<Stopping>) {
        loop {
            let wait = if self.is_ready { period } else { LOOK_AT_START };
            match told.recv_timeout(wait) {
                Err(RecvTimeoutError::Timeout) => self.look(),
                Ok(Stopping) => self.stop(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Looks at every worker once, and tells what is to be told.
    fn look(&mut self) {
        if self.is_ready { self.feed() } else { self.begin() }
    }

    /// The sensor is ready when each of its workers has moved for the first time.
    fn begin(&mut self) {
        if self.workers.iter().all(|worker| worker.published.beats() > 0) {
            self.is_ready = true;
            self.workers.iter_mut().for_each(Watched::look);
            let status = self.status();
            self.say(&[NotifyState::Ready, NotifyState::Status(&status)]);
        }
    }

    /// Feeds the watchdog, unless a worker stands still.
    fn feed(&mut self) {
        let still: Vec<usize> = (0..)
            .zip(&mut self.workers)
            .filter_map(|(number, worker)| (!worker.has_moved()).then_some(number))
            .collect();
        let status = self.status();
        if still.is_empty() {
            self.say(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            return;
        }
        limited!(error, workers = ?still, "workers stand still: the service manager's watchdog is not fed");
        let status = format!("standing still: workers {still:?}; {status}");
        self.say(&[NotifyState::Status(&status)]);
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.is_stopping, true) {
            return;
        }
        if !self.is_ready {
            // It was, if only for a moment: a capture of a few packets. Who never was has failed, for the manager.
            self.begin();
        }
        let died: Vec<usize> = (0..)
            .zip(&self.workers)
            .filter_map(|(number, worker)| worker.published.has_died().then_some(number))
            .collect();
        let why =
            if died.is_empty() { String::new() } else { format!(": workers {died:?} panicked") };
        self.say(&[NotifyState::Stopping, NotifyState::Status(&format!("stopping{why}"))]);
    }

    /// A line for `systemctl status`.
    fn status(&self) -> String {
        let (mut taken, mut lost) = (0, 0);
        for worker in &self.workers {
            let counters = worker.published.counters();
            taken += counters.taken;
            lost += counters.handover_full + counters.ring_full.iter().sum::<u64>();
        }
        let workers = self.workers.len();
        format!("workers: {workers}, frames taken: {taken}, packets or verdicts lost: {lost}")
    }

    fn say(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = (self.tell)(states) {
            limited!(warn, %error, "the service manager can't be told");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// A watch over `workers` workers, and what the manager hears at the other end of a socket.
    fn watch(workers: usize) -> (Watch, Vec<Arc<Published>>, Manager) {
        let published: Vec<Arc<Published>> = (0..workers).map(|_| Arc::default()).collect();
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let tell = move |states: &[NotifyState<'_>]| {
            let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
            ours.send(lines.join("\n").as_bytes()).map(drop)
        };
        let watch = Watch::new(published.clone(), Box::new(tell));
        (watch, published, Manager(theirs))
    }

    /// Stands for the manager.
    struct Manager(UnixDatagram);

    impl Manager {
        /// What was said since the last time, but for the status.
        fn hears(&self) -> Vec<String> {
            self.messages().into_iter().filter(|line| !line.starts_with("STATUS=")).collect()
        }

        fn messages(&self) -> Vec<String> {
            let mut heard = Vec::new();
            let mut bytes = [0; 4_096];
            while let Ok(length) = self.0.recv(&mut bytes) {
                let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
                heard.extend(text.lines().map(str::to_owned));
            }
            heard
        }
    }

    #[test]
    fn a_sensor_is_ready_when_every_worker_has_moved() {
        let (mut watch, workers, manager) = watch(2);
        watch.look();
        workers[1].beat();
        watch.look();
        assert!(manager.hears().is_empty());
        workers[0].beat();
        watch.look();
        assert_eq!(manager.hears(), ["READY=1"]);
    }

    #[test]
    fn the_watchdog_is_fed_while_every_worker_moves_and_only_then() {
        let (mut watch, workers, manager) = watch(2);
        let turn = |moving: &[usize], watch: &mut Watch| {
            moving.iter().for_each(|number| workers[*number].beat());
            watch.look();
        };
        turn(&[0, 1], &mut watch);
        turn(&[0, 1], &mut watch);
        assert_eq!(manager.hears(), ["READY=1", "WATCHDOG=1"]);
        turn(&[0], &mut watch);
        turn(&[0], &mut watch);
        let heard = manager.messages();
        assert!(!heard.iter().any(|line| line == "WATCHDOG=1"), "{heard:?}");
        assert!(heard.iter().all(|line| line.contains("workers [1]")), "{heard:?}");
        turn(&[0, 1], &mut watch);
        assert_eq!(manager.hears(), ["WATCHDOG=1"], "who moves again is vouched for again");
    }

    #[test]
    fn a_worker_that_has_left_does_not_stand_still() {
        let (mut watch, workers, manager) = watch(2);
        workers.iter().for_each(|worker| worker.beat());
        watch.look();
        workers[0].leave();
        workers[1].beat();
        watch.look();
        watch.look();
        assert_eq!(
            manager.hears(),
            ["READY=1", "WATCHDOG=1"],
            "the one that has not left stands still"
        );
        workers[1].leave();
        watch.look();
        watch.look();
        assert_eq!(manager.hears(), ["WATCHDOG=1", "WATCHDOG=1"]);
    }

    #[test]
    fn a_worker_that_has_panicked_is_never_vouched_for_and_the_manager_is_told_once_that_the_sensor_stops()
     {
        let (mut watch, workers, manager) = watch(2);
        workers.iter().for_each(|worker| worker.beat());
        watch.look();
        assert_eq!(manager.hears(), ["READY=1"]);
        workers[1].die();
        watch.stop();
        let heard = manager.messages();
        assert_eq!(heard, ["STOPPING=1", "STATUS=stopping: workers [1] panicked"]);
        workers[0].beat();
        watch.look();
        workers[0].leave();
        watch.look();
        watch.stop();
        assert!(manager.hears().is_empty(), "a drain that hangs is not kept alive");
    }

    #[test]
    fn a_sensor_that_ends_at_once_was_ready_before_it_stops() {
        let (mut watch, workers, manager) = watch(1);
        workers[0].leave();
        watch.stop();
        assert_eq!(manager.hears(), ["READY=1", "STOPPING=1"]);
    }

    #[test]
    fn a_sensor_that_stops_before_a_worker_moved_was_never_ready() {
        let (mut watch, _workers, manager) = watch(1);
        watch.stop();
        assert_eq!(manager.hears(), ["STOPPING=1"]);
    }

    #[test]
    fn the_status_counts_frames_and_losses() {
        let (mut watch, workers, manager) = watch(1);
        let counters =
            crate::counters::Counters { taken: 7, handover_full: 2, ..Default::default() };
        workers[0].publish(&counters, &crate::counters::Latency::default());
        workers[0].beat();
        watch.look();
        let heard = manager.messages();
        assert_eq!(
            heard,
            ["READY=1", "STATUS=workers: 1, frames taken: 7, packets or verdicts lost: 2"]
        );
    }
}
