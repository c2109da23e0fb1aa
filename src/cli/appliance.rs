//! Everything around the data path while a sensor runs: the recorder, the writer, the page of the epoch, the server.
//!
//! | thread                     | owns                        | in                 | out                  |
//! |----------------------------|-----------------------------|--------------------|----------------------|
//! | caller                     | the collector, the recorder | verdicts           | batches, live events |
//! | `writer`                   | the queue and the spool     | batches            | batches, spool       |
//! | `committer`                | the store                   | batches            | rows                 |
//! | `page`                     | the page of the epoch       | the newest sums    | a file               |
//! | `eve`, `syslog`, `webhook` | one destination each        | batches, incidents | records              |
//! | `reload` (`hangup`)        | what was replaced           | SIGHUP, files      | what judges          |
//! | `api`                      | the server                  | what `Live` shows  | answers              |
//!
//! They stop from the top: when the workers have left, the recorder closes what is open and drops its end of the channel; the
//! writer commits, or leaves to the spool, what is under way; the outputs deliver what they have; then the server ends.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::Rng as _;

use super::counted::Counted;
use super::doctor::intended;
use super::{Failure, setup};
use crate::api::{ApiError, ApiServer, CaptureStatus, Live, Reloads};
use crate::capture::FrameSource;
use crate::collect::{
    CollectorStats, EventCounts, EventParams, Hub, Notice, NoticeKind, Recorder, RecorderParts,
    Sink, WallClock,
};
use crate::config::Config;
use crate::doctor;
use crate::event::{Board, Epoch, EpochPage, Leftover, MarkerKind, Merged, leftovers};
use crate::latest::Publisher;
use crate::logs::limited;
use crate::outputs::{OutputParts, Outputs};
use crate::sensor::{self, Replayed, SensorParams, Watched};
use crate::store::writer::{Observer, SpoolParams, Tally, Writer, WriterParams, WriterStats};
use crate::store::{self, Location, StoreError, query::Queries};
use crate::verdict::InForce;
use crate::worker::WhenFull;

/// Batches between the recorder and the writer of a sensor: some ten seconds of them. The writer waits for the spool's disk, which may
/// have other things to do (a server's recovery or checkpoint, say), and the recorder must not wait with it.
const BATCHES_UNDER_WAY: usize = 100;

/// The same of a replay, which waits for the store anyway.
const BATCHES_OF_REPLAY: usize = 2;

/// How often the sums are written to the page of the epoch.
const PAGE_EVERY: Duration = Duration::from_millis(100);

/// The spool in the sensor's folder.
const SPOOL_FOLDER: &str = "spool";

/// How an appliance is set up.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) config: &'a Config,
    pub(super) location: Location,
    pub(super) params: SensorParams,
    pub(super) events: EventParams,
    pub(super) detection: Arc<Publisher<InForce>>,
    /// What frames come from, for people.
    pub(super) source: String,
    pub(super) attended: Attended,
    /// What happens when the collector does not keep up with the workers.
    pub(super) when_full: WhenFull,
}

/// Whether there is somebody to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attended {
    /// A replay: it waits for the store, and nothing of it runs on.
    Replay,
    /// A sensor: nothing waits for the store, there is a spool and a server.
    Sensor,
}

/// The parts around the data path.
#[derive(Debug)]
pub(super) struct Appliance {
    params: SensorParams,
    detection: Arc<Publisher<InForce>>,
    recorder: Recorder,
    writer: Writer,
    outputs: Outputs,
    live: Live,
    server: Option<ApiServer>,
    page: Option<Page>,
    watched: Watched,
}

impl Appliance {
    /// Starts everything but the data path.
    ///
    /// # Errors
    ///
    /// What is wrong with the store (unless a spool can wait for it), the folder, or the address to listen on.
    pub(super) fn start(plan: Plan<'_>) -> Result<Self, Failure> {
        let Plan { config, location, params, events, detection, source, attended, when_full } =
            plan;
        let started = setup::now();
        let epoch = Epoch::new(started, rand::thread_rng().r#gen());
        let is_sensor = attended == Attended::Sensor;
        let folder = &config.sensor.folder;
        let left = if is_sensor {
            make_folder(folder)?;
            leftovers(folder)
        } else {
            Vec::new()
        };
        let http = if is_sensor { setup::api_params(config, &params)? } else { None };
        ready(&location, config, is_sensor)?;

        let (batches, received) = crossbeam_channel::bounded(if is_sensor {
            BATCHES_UNDER_WAY
        } else {
            BATCHES_OF_REPLAY
        });
        let workers = sensor::published(params.workers);
        let capture = Board::new(CaptureStatus { source, running: true, ..Default::default() });
        let collector = Board::default();
        let counted = Counted {
            started,
            workers: workers.clone(),
            capture: capture.clone(),
            collector: collector.clone(),
        };
        let (outputs, observers) = outputs(config, is_sensor, &detection, counted)?;
        let opener = opener(&location, config);
        let writer = writer_params(config, is_sensor);
        let writer = Writer::start_observed(opener, received, &writer, observers)
            .map_err(|error| Failure::operation(format!("the writer of events: {error}")))?;
        let live = Live {
            sensor: config.sensor.name.to_string(),
            epoch,
            started,
            workers,
            detection: Arc::clone(&detection),
            reloads: Board::new(Reloads { since: started, read: started, ..Reloads::default() }),
            collector,
            writer: writer.stats().clone(),
            events: Hub::default(),
            capture,
            outputs: outputs.stats(),
            settings: Board::new(setup::shown_settings(&config.settings)),
            // An interface adds what is to be said of it.
            doctor: Board::new(doctor::examine(None, &intended(config, None), None)),
        };
        let server = match http {
            Some(http) => {
                let queries =
                    Queries::open(&location, http.query_connections).map_err(Failure::operation)?;
                Some(ApiServer::start(&http, live.clone(), queries).map_err(Failure::operation)?)
            }
            None => None,
        };
        // Last of what can fail: a start that fails leaves the pages of earlier runs as they are.
        let page =
            if is_sensor { Some(Page::start(folder, epoch, &live, left.clone())?) } else { None };
        left.iter().for_each(tell_of);
        let mut recorder = recorder(config, &events, &params, &live, batches, left);
        recorder.mark(MarkerKind::Start, Vec::new()).map_err(Failure::operation)?;
        if is_sensor {
            tracing::info!(%epoch, source = %live.capture.read().source, store = %location, "started");
        }
        let watched = Watched::new(when_full, live.workers.clone());
        Ok(Self { params, detection, recorder, writer, outputs, live, server, page, watched })
    }

    /// Where the server can be reached.
    pub(super) fn address(&self) -> Option<std::net::SocketAddr> {
        self.server.as_ref().map(ApiServer::address)
    }

    /// The workers and the collector.
    pub(super) const fn watched(&self) -> &Watched {
        &self.watched
    }

    /// What the server shows.
    pub(super) const fn live(&self) -> &Live {
        &self.live
    }

    /// Sends everything that `source` has through the data path into the store, and to `others`. `afterwards` is called when the
    /// last verdict was taken, while the server still answers, with whether no thread has panicked; `fault_of` says what went wrong with
    /// the source.
    pub(super) fn run<S: FrameSource + Send>(
        self,
        source: S,
        others: Vec<&mut dyn Sink>,
        fault_of: impl FnOnce(&S) -> Option<String>,
        afterwards: impl FnOnce(bool),
    ) -> Ended<S> {
        let work = |path: &DataPath<'_>, sinks: Vec<&mut dyn Sink>| {
            sensor::run(source, path.detection, path.params, path.watched, sinks)
        };
        self.run_as(work, others, fault_of, afterwards)
    }

    /// The same, where `work` runs the data path.
    pub(super) fn run_as<S>(
        self,
        work: impl FnOnce(&DataPath<'_>, Vec<&mut dyn Sink>) -> Replayed<S>,
        mut others: Vec<&mut dyn Sink>,
        fault_of: impl FnOnce(&S) -> Option<String>,
        afterwards: impl FnOnce(bool),
    ) -> Ended<S> {
        let Self { params, detection, mut recorder, writer, outputs, live, server, page, watched } =
            self;
        let mut sinks: Vec<&mut dyn Sink> = vec![&mut recorder];
        sinks.extend(others.iter_mut().map(|sink| &mut **sink as &mut dyn Sink));
        let path = DataPath { detection: &detection, params: &params, watched: &watched };
        let replayed = work(&path, sinks);
        live.capture.change(|capture| {
            capture.running = false;
            capture.delivered = Some(replayed.delivered);
            let fault = fault_of(&replayed.source);
            capture.fault = fault.or_else(|| replayed.deaths.first().map(ToString::to_string));
        });
        notice(&live, NoticeKind::CaptureEnded, "no more frames will come");
        afterwards(replayed.deaths.is_empty());
        // The writer ends when nobody can send to it any more; as long as the server answers, it brings what waits to the store.
        drop(recorder);
        notice(&live, NoticeKind::Stopping, "the sensor stops");
        let stats = writer.stats().clone();
        let uncommitted = writer.finish();
        // The writer was the last who offered them anything.
        outputs.finish();
        let server_error = server.and_then(|server| server.stop().err());
        tracing::info!(
            epoch = %live.epoch,
            packets = live.collector.read().totals.packets,
            events = stats.read().committed.rows,
            "stopped"
        );
        // A page that stays is how the next start learns what this run could not store.
        let is_whole = uncommitted.is_none() && stats.read().refused() == Tally::default();
        let page_error = page.and_then(|page| page.end(is_whole));
        Ended {
            replayed,
            collector: live.collector.read(),
            writer: stats.read(),
            uncommitted,
            page_error,
            server_error,
        }
    }
}

/// What the data path needs of the appliance.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataPath<'a> {
    pub(super) detection: &'a Publisher<InForce>,
    pub(super) params: &'a SensorParams,
    pub(super) watched: &'a Watched,
}

/// Tells those who watch.
pub(super) fn notice(live: &Live, kind: NoticeKind, text: &str) {
    live.events.publish_notice(Notice { at: setup::now(), kind, text: text.into() });
}

/// What an appliance leaves.
#[derive(Debug)]
pub(super) struct Ended<S> {
    pub(super) replayed: Replayed<S>,
    pub(super) collector: CollectorStats,
    pub(super) writer: WriterStats,
    pub(super) uncommitted: Option<StoreError>,
    page_error: Option<std::io::Error>,
    server_error: Option<ApiError>,
}

impl<S> Ended<S> {
    /// How many events there were.
    pub(super) const fn events(&self) -> EventCounts {
        let totals = &self.collector.totals;
        EventCounts {
            stored: self.writer.committed.rows - self.writer.quarantined_rows,
            coalesced: totals.event_packets + totals.event_alerts - totals.events,
        }
    }

    /// What went wrong on the way to the store, one line for each; none when every event is there, or safe in the spool.
    pub(super) fn complaints(&self) -> Vec<String> {
        let stats = &self.writer;
        let mut lines = Vec::new();
        let counters = &self.replayed.counters;
        let ring_full: u64 = counters.ring_full.iter().sum();
        if ring_full + counters.handover_full > 0 {
            let why = if self.replayed.deaths.is_empty() {
                "the sensor could not keep up"
            } else {
                "nobody took what a worker that panicked was to judge, or the sensor could not keep up"
            };
            lines.push(format!(
                "{ring_full} verdicts and {} packets were lost, and counted: {why}",
                counters.handover_full
            ));
        }
        if let Some(error) = &self.uncommitted {
            lines.push(format!("events are missing in the store: {error}"));
        }
        let refused = [
            ("the spool was full", stats.refused_bound),
            ("the spool was damaged", stats.refused_corrupt),
            ("the disk took no more", stats.refused_io),
        ];
        for (why, tally) in refused {
            if tally.batches > 0 {
                lines.push(format!(
                    "{} events of {} packets were lost: {why}",
                    tally.rows, tally.packets
                ));
            }
        }
        if stats.quarantined_rows > 0 {
            let rows = stats.quarantined_rows;
            lines.push(format!("{rows} events lie in quarantine: the store refused them"));
        }
        if self.collector.violations > 0 || stats.unaccounted() > 0 {
            lines.push(format!(
                "a bug: {} sums of the collector did not hold, the writer misses {}",
                self.collector.violations,
                stats.unaccounted()
            ));
        }
        lines.extend(self.server_error.as_ref().map(|error| format!("the HTTP server: {error}")));
        lines.extend(
            self.page_error.as_ref().map(|error| format!("the page of the epoch: {error}")),
        );
        lines
    }
}

/// The folder that the sensor writes to, for nobody else to read.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        let key = "sensor.folder of the configuration names it";
        Failure::operation(format!("{}: {error}; {key}", folder.display()))
    })
}

/// The store is asked once before anything starts: what the operator has to mend is said at once. A store that is only away is
/// waited for by the spool.
fn ready(location: &Location, config: &Config, has_spool: bool) -> Result<(), Failure> {
    match store::open(location, config.store.retention) {
        Ok(_) => Ok(()),
        Err(error @ (StoreError::Away { .. } | StoreError::Schema { .. })) if has_spool => {
            tracing::warn!(%error, "the store can't be used yet; events wait in the spool");
            Ok(())
        }
        Err(error) => Err(Failure::operation(error)),
    }
}

type Opener = Box<dyn FnMut() -> Result<Box<dyn store::Store>, StoreError> + Send>;

fn opener(location: &Location, config: &Config) -> Opener {
    let (location, retention) = (location.clone(), config.store.retention);
    Box::new(move || store::open(&location, retention))
}

/// Where else is told what is found: a replay tells nobody.
fn outputs(
    config: &Config,
    is_sensor: bool,
    detection: &Arc<Publisher<InForce>>,
    counted: Counted,
) -> Result<(Outputs, Vec<Box<dyn Observer>>), Failure> {
    if !is_sensor {
        return Ok((Outputs::default(), Vec::new()));
    }
    let parts = OutputParts {
        sensor: config.sensor.name.clone(),
        detection: Arc::clone(detection),
        clock: setup::now,
    };
    Outputs::start(&config.outputs, &parts, || counted.reader()).map_err(Failure::configuration)
}

/// Says that an earlier run left something.
fn tell_of(left: &Leftover) {
    tracing::warn!(
        epoch = %left.epoch,
        packets = left.totals.packets,
        "an earlier run did not end in order: `phantomnet audit` states what it lost"
    );
}

fn writer_params(config: &Config, has_spool: bool) -> WriterParams {
    let spool = has_spool.then(|| SpoolParams {
        bytes_max: config.store.spool_bytes,
        ..SpoolParams::in_folder(config.sensor.folder.join(SPOOL_FOLDER))
    });
    WriterParams { spool, ..WriterParams::default() }
}

fn recorder(
    config: &Config,
    events: &EventParams,
    params: &SensorParams,
    live: &Live,
    batches: crossbeam_channel::Sender<crate::event::Batch>,
    left: Vec<Leftover>,
) -> Recorder {
    let parts = RecorderParts {
        sensor: config.sensor.name.clone(),
        epoch: live.epoch,
        keyer: params.keyer,
        batches,
        stats: live.collector.clone(),
        hub: Some(live.events.clone()),
        clock: WallClock::default(),
        leftovers: left,
    };
    Recorder::new(events, parts)
}

/// Writes the newest sums to the page of the epoch, and tells those who watch when the store comes or goes, until it is told to end.
#[derive(Debug)]
struct Page {
    /// Whether the run has ended in order; dropped without a word, the page stays.
    ended: Sender<bool>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Page {
    fn start(
        folder: &Path,
        epoch: Epoch,
        live: &Live,
        left: Vec<Leftover>,
    ) -> Result<Self, Failure> {
        let failed = |error| Failure::operation(format!("{}: {error}", folder.display()));
        let page = EpochPage::begin(folder, epoch, setup::now(), left).map_err(failed)?;
        let (ended, told) = channel();
        let live = live.clone();
        let write = move || {
            let mut written = Ok(());
            let mut store = StoreWatch::default();
            let in_order = loop {
                match told.recv_timeout(PAGE_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break false,
                    Ok(in_order) => break in_order,
                }
                // A full disk does not stop a sensor; the last failure is told at the end.
                written = page.write(setup::now(), live.collector.read().totals);
                store.look(&live);
            };
            if in_order {
                return page.end().and(written);
            }
            page.write(setup::now(), live.collector.read().totals)
        };
        let thread =
            std::thread::Builder::new().name("page".to_owned()).spawn(write).map_err(failed)?;
        Ok(Self { ended, thread })
    }

    fn end(self, in_order: bool) -> Option<std::io::Error> {
        // A thread that has ended is asked below.
        let _gone: Result<(), _> = self.ended.send(in_order);
        self.thread.join().ok()?.err()
    }
}

/// What was last seen of the store, the spool and the budget of events.
#[derive(Debug, Default)]
struct StoreWatch {
    failures: u64,
    away: bool,
    refused: u64,
    /// Packets and verdicts lost to full queues.
    unrecorded: u64,
}

impl StoreWatch {
    fn look(&mut self, live: &Live) {
        let stats = live.writer.read();
        let away = !stats.store_up && stats.failures > self.failures;
        if away && !self.away {
            self.away = true;
            notice(live, NoticeKind::StoreAway, "the store does not answer; events wait");
        } else if stats.store_up && self.away {
            self.away = false;
            notice(live, NoticeKind::StoreBack, "the store answers again");
        }
        self.failures = stats.failures;
        let merging = live.collector.read().merging;
        if merging > Merged::Nothing {
            let merging = merging.name();
            limited!(
                warn,
                merging,
                "more new events than events.per_second: they are merged, their counts stay exact"
            );
        }
        let lost = |worker: &Arc<crate::counters::Published>| {
            let counters = worker.counters();
            counters.handover_full + counters.ring_full.iter().sum::<u64>()
        };
        let unrecorded = live.workers.iter().map(lost).sum();
        if unrecorded > self.unrecorded {
            self.unrecorded = unrecorded;
            limited!(
                error,
                unrecorded,
                "more comes than there is time for: packets or verdicts are lost, and counted"
            );
        }
        if stats.refused_bound.batches > self.refused {
            self.refused = stats.refused_bound.batches;
            notice(live, NoticeKind::SpoolFull, "the spool is full: events are lost, and counted");
        }
    }
}
