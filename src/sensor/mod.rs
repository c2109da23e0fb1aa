//! Builds every part, starts the threads, stops them in order.
//!
//! | thread       | pinned | owns                                    | in                | out                        |
//! |--------------|--------|-----------------------------------------|-------------------|----------------------------|
//! | `worker-0..` | yes    | its shards, its ends of the hand-over   | frames, detection | digests, reports, counters |
//! | `dealer`     | no     | the reader, when there are more workers | capture files     | batches                    |
//! | caller       | no     | the collector and its sinks             | reports           | files, summary             |
//!
//! They stop in that order from the left: the source of frames ends, each worker judges what it still owns, the collector
//! takes what is left in the rings.
//!
//! A worker or the dealer that panics ends alone. Owners no longer wait for it, receivers see that nobody takes what they hand to it; who
//! has the frames under control sees it in what the worker publishes, and lets no more come. What it held shows at the end as sums that do
//! not hold.

mod cores;
mod edge;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sha2::{Digest as _, Sha256};

use crate::capture::{self, FrameSource};
use crate::collect::{Collector, Sink, SinkError, Taking, Turnover};
use crate::counters::{Counters, Ledger, Published};
use crate::event::StageSum;
use crate::handover::{self, Order};
use crate::latest::Publisher;
use crate::owner::{Owner, OwnerParams, Placement, TURN_VERDICTS_MAX};
use crate::ring;
use crate::sources::{Keyer, SHARDS};
use crate::time::Timestamp;
use crate::verdict::InForce;
use crate::worker::{Finished, Leaving, Parts, WhenFull, Worker};

pub use cores::{Cores, Demands, NotGranted, Wanted};
pub use edge::{Death, will_be_caught};
use edge::{Injected, guarded};

/// Reports that fit into one worker's ring: several of the largest turns.
const REPORT_SLOTS: usize = 8 * (TURN_VERDICTS_MAX + 1);

/// Reports of all workers that can wait for a collector that nobody waits for: some 65 ms of a million packets a second, three seconds
/// of 20,000. It shares its core with whatever else runs on the machine.
const LIVE_REPORT_SLOTS: usize = 1 << 16;

/// How many workers there can be: each needs a shard of its own.
pub const WORKERS_MAX: usize = SHARDS;

/// How a sensor is laid out.
#[derive(Clone, Debug)]
pub struct SensorParams {
    /// Number of workers, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// Where each worker is bound, where there are enough cores, and what is left for everything else.
    pub cores: Cores,
    /// The workers' priority among real-time threads; `None`: they are ordinary ones.
    pub fifo: Option<u8>,
    /// How sources are told apart, and by which hash.
    pub keyer: Keyer,
    /// How much is remembered, and what measuring needs.
    pub owner: OwnerParams,
}

impl SensorParams {
    /// The version of what verdicts depend on here: the first four bytes of a SHA-256 over how sources are told apart,
    /// how many are remembered, and how features are measured. The number of workers is no part of it.
    #[must_use]
    pub fn version(&self) -> u32 {
        let Keyer { key, v6_prefix, by_tenant } = self.keyer;
        let OwnerParams { sources, thresholds, features } = &self.owner;
        let zone =
            features.zone.iana_name().map_or_else(|| format!("{:?}", features.zone), str::to_owned);
        let text = format!(
            "{key:?} {v6_prefix} {by_tenant} {} {} {thresholds} {:?} {zone}",
            sources.sources, sources.idle_nanos, features.destination_key
        );
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(text));
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What a replay has done.
#[derive(Debug)]
pub struct Replayed<S> {
    /// The source of frames, to be asked what went wrong with it.
    pub source: S,
    /// All workers' counters, added up.
    pub counters: Counters,
    /// From a turn's receipt to its verdicts in the ring, nanoseconds.
    pub latency: Histogram<u64>,
    /// Frames that the source delivered, as counted outside the workers.
    pub delivered: u64,
    /// Verdicts that the collector took.
    pub dequeued: u64,
    /// Wall time in seconds, from the first frame asked for (tables are built by then) to the last verdict taken.
    pub seconds: f64,
    /// Sinks that failed.
    pub sink_errors: Vec<SinkError>,
    /// Threads that panicked; then not all of the sums hold.
    pub deaths: Vec<Death>,
}

impl<S> Replayed<S> {
    /// The same, with the source that `unwrap` takes out of its wrapper.
    #[must_use]
    pub fn map_source<T>(self, unwrap: impl FnOnce(S) -> T) -> Replayed<T> {
        let Self { source, counters, latency, delivered, dequeued, seconds, sink_errors, deaths } =
            self;
        Replayed {
            source: unwrap(source),
            counters,
            latency,
            delivered,
            dequeued,
            seconds,
            sink_errors,
            deaths,
        }
    }

    /// The ledger: what came against what is accounted for.
    #[must_use]
    pub const fn ledger(&self) -> Ledger<'_> {
        Ledger { workers: &self.counters, delivered: self.delivered, dequeued: self.dequeued }
    }
}

/// Sends everything that `source` has through the data path, and every verdict to `sinks`; what finds a ring full waits.
///
/// Verdicts are the same for any number of workers: frames are dealt by turns, and each owner takes the turns in order.
///
/// # Panics
///
/// When a thread can't be started. A worker or a source of frames that panics is told of in the [`Death`]s.
pub fn replay<S>(
    source: S,
    detection: &Publisher<InForce>,
    params: &SensorParams,
    sinks: Vec<&mut dyn Sink>,
) -> Replayed<S>
where
    S: FrameSource + Send,
{
    let watched = Watched::new(WhenFull::Wait, published(params.workers));
    run(source, detection, params, &watched, sinks)
}

/// How a running sensor is watched, and what it does when nobody keeps up.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What a worker does when the ring to the collector is full.
    pub when_full: WhenFull,
    /// Where each worker's counters are shown; as many as there are workers.
    pub published: Vec<Arc<Published>>,
    /// The number of the detection that the collector has moved on to ([`Turnover`]).
    pub settled: Arc<AtomicU64>,
}

impl Watched {
    /// Nobody has seen a change of the detection yet.
    #[must_use]
    pub fn new(when_full: WhenFull, published: Vec<Arc<Published>>) -> Self {
        Self { when_full, published, settled: Arc::default() }
    }

    /// The number of the detection that everybody has moved on to: nothing of the sensor needs one of before.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let workers = self.published.iter().map(|worker| worker.settled());
        workers.chain([self.settled.load(Ordering::Acquire)]).min().unwrap_or(0)
    }
}

/// Places for the counters of `workers` workers.
#[must_use]
pub fn published(workers: usize) -> Vec<Arc<Published>> {
    (0..workers).map(|_| Arc::default()).collect()
}

/// As [`replay`], seen from outside while it runs.
///
/// # Panics
///
/// As there.
pub fn run<S>(
    source: S,
    detection: &Publisher<InForce>,
    params: &SensorParams,
    watched: &Watched,
    sinks: Vec<&mut dyn Sink>,
) -> Replayed<S>
where
    S: FrameSource + Send,
{
    let work = |crew: Crew<'_>, outlets| {
        if params.workers == 1 {
            crew.alone(source, outlets)
        } else {
            crew.several(source, outlets)
        }
    };
    let name = if params.workers == 1 { &worker(0) } else { "dealer" };
    let collecting = Collecting { taking: Taking::Turns, sinks };
    collect(detection, params, watched, collecting, (name, work), |_| Vec::new())
}

/// How a sensor goes by time whose workers receive from queues of their own.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// How long owners wait for a receiver that has fallen behind.
    pub patience: Duration,
}

/// Sends everything that `sources` have, one for each worker, through the data path, until each of them has ended.
///
/// Owners take packets by their time, so verdicts are those of a replay of the same packets with the same times. `before_workers`
/// gives, when all workers have ended, the sums of the stages before them.
///
/// # Panics
///
/// As [`replay`], and when there are not as many sources as workers.
pub fn run_queues<S>(
    sources: Vec<S>,
    live: Live,
    detection: &Publisher<InForce>,
    params: &SensorParams,
    watched: &Watched,
    sinks: Vec<&mut dyn Sink>,
    before_workers: impl FnOnce(&Replayed<Vec<S>>) -> Vec<StageSum>,
) -> Replayed<Vec<S>>
where
    S: FrameSource + Send,
{
    assert_eq!(sources.len(), params.workers, "each worker has a source of its own");
    let work = |crew: Crew<'_>, outlets| crew.queues(sources, live, outlets);
    let collecting = Collecting { taking: Taking::Arrivals, sinks };
    collect(detection, params, watched, collecting, ("crew", work), before_workers)
}

/// How verdicts are collected, and for whom.
struct Collecting<'a> {
    taking: Taking,
    sinks: Vec<&'a mut dyn Sink>,
}

/// Runs the collector on this thread while `work` goes on on another, of this name.
fn collect<S: Send>(
    detection: &Publisher<InForce>,
    params: &SensorParams,
    watched: &Watched,
    collecting: Collecting<'_>,
    (name, work): (&str, impl FnOnce(Crew<'_>, Vec<ring::Outlet>) -> Replayed<S> + Send),
    before_workers: impl FnOnce(&Replayed<S>) -> Vec<StageSum>,
) -> Replayed<S> {
    let started = Instant::now();
    let turnover = Turnover::new(watched.published.clone(), Arc::clone(&watched.settled));
    let slots = report_slots(watched.when_full, params.workers);
    let (outlets, inlets) = (0..params.workers).map(|_| ring::reports(slots)).unzip();
    let crew = Crew { params, detection, watched, started };
    thread::scope(|scope| {
        let workers = thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, move || work(crew, outlets))
            .expect("the system can start a thread");
        let Collecting { taking, sinks } = collecting;
        let collected = Collector::new(inlets, taking, turnover).run(detection.reader(), sinks);
        let mut replayed = workers.join().expect("a panic of the data path is caught");
        replayed.dequeued = collected.dequeued();
        let mut stages = before_workers(&replayed);
        stages.extend(replayed.ledger().sums().iter().map(StageSum::from));
        replayed.sink_errors = collected.finish(&stages);
        replayed.seconds = started.elapsed().as_secs_f64() - replayed.seconds;
        replayed
    })
}

/// How many reports fit into the ring of each of `workers`.
fn report_slots(when_full: WhenFull, workers: usize) -> usize {
    match when_full {
        WhenFull::Wait => REPORT_SLOTS,
        WhenFull::Count => (LIVE_REPORT_SLOTS / workers.max(1)).max(REPORT_SLOTS),
    }
}

/// What all workers have in common.
#[derive(Clone, Copy)]
struct Crew<'a> {
    params: &'a SensorParams,
    detection: &'a Publisher<InForce>,
    watched: &'a Watched,
    started: Instant,
}

impl Crew<'_> {
    /// One worker reads by itself: no frame crosses a core.
    fn alone<S: FrameSource>(self, source: S, outlets: Vec<ring::Outlet>) -> Replayed<S> {
        let mut workers = self.workers(vec![source], outlets, Order::Turns);
        let worker = workers.pop().expect("one source makes one worker");
        self.settle(0);
        let built = self.started.elapsed().as_secs_f64();
        let (finished, death) = run_to_the_end(worker);
        let Counted { source, frames, .. } = finished.source;
        let deaths = death.into_iter().collect();
        sum_up(source, frames, built, deaths, [(finished.counters, finished.latency)])
    }

    /// Several workers are dealt batches in rotation.
    fn several<S: FrameSource + Send>(self, source: S, outlets: Vec<ring::Outlet>) -> Replayed<S> {
        let (dealer, dealt) = capture::deal(self.params.workers);
        let workers = self.workers(dealt, outlets, Order::Turns);
        let built = self.started.elapsed().as_secs_f64();
        let mut counted = Counted::by("dealer", source);
        // A worker's end of what it is dealt goes with it: the dealer waits for those that are there.
        let keep = |Finished { counters, latency, .. }| (counters, latency);
        // A dealer that has panicked is gone, and its workers judge what they were dealt.
        let (dealt, finished) =
            self.run_all(workers, keep, || guarded(|| dealer.run(&mut counted)));
        let (kept, deaths): (Vec<_>, Vec<_>) = finished.into_iter().unzip();
        let deaths = dealt.err().into_iter().chain(deaths.into_iter().flatten()).collect();
        sum_up(counted.source, counted.frames, built, deaths, kept)
    }

    /// Each worker receives from queues of its own.
    fn queues<S: FrameSource + Send>(
        self,
        sources: Vec<S>,
        live: Live,
        outlets: Vec<ring::Outlet>,
    ) -> Replayed<Vec<S>> {
        let patience_nanos = i64::try_from(live.patience.as_nanos()).unwrap_or(i64::MAX);
        let workers = self.workers(sources, outlets, Order::Time { patience_nanos });
        let built = self.started.elapsed().as_secs_f64();
        let ((), finished) = self.run_all(workers, |finished| finished, || ());
        let mut sources = Vec::with_capacity(finished.len());
        let mut delivered = 0;
        let (mut kept, mut deaths) = (Vec::with_capacity(finished.len()), Vec::new());
        for (Finished { source, counters, latency }, death) in finished {
            sources.push(source.source);
            delivered += source.frames;
            kept.push((counters, latency));
            deaths.extend(death);
        }
        sum_up(sources, delivered, built, deaths, kept)
    }

    /// Runs each worker on a thread of its own, and `meanwhile` on this one. What a worker leaves is dropped at its end, but for what
    /// is to be kept of it.
    fn run_all<S: FrameSource + Send, K: Send, T>(
        self,
        workers: Vec<Worker<S>>,
        keep: impl Fn(Finished<S>) -> K + Copy + Send,
        meanwhile: impl FnOnce() -> T,
    ) -> (T, Vec<(K, Option<Death>)>) {
        thread::scope(|scope| {
            let threads: Vec<_> = workers
                .into_iter()
                .enumerate()
                .map(|(number, working)| {
                    thread::Builder::new()
                        .name(worker(number))
                        .spawn_scoped(scope, move || {
                            self.settle(number);
                            let (finished, death) = run_to_the_end(working);
                            (keep(finished), death)
                        })
                        .expect("the system can start a thread")
                })
                .collect();
            let done = meanwhile();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().expect("a panic of a worker is caught")
            };
            (done, threads.into_iter().map(join).collect())
        })
    }

    fn workers<S: FrameSource>(
        self,
        sources: Vec<S>,
        outlets: Vec<ring::Outlet>,
        order: Order,
    ) -> Vec<Worker<Counted<S>>> {
        let placement = Placement::new(self.params.keyer, self.params.workers);
        let ends = handover::mesh(self.params.workers, order).into_iter().zip(outlets);
        let ends = ends.zip(&self.watched.published);
        let parts = sources.into_iter().zip(ends).enumerate().map(
            |(me, (source, ((handover, verdicts), published)))| Parts {
                source: Counted::by(&worker(me), source),
                handover,
                owner: Owner::new(me, placement, &self.params.owner),
                detection: self.detection.reader(),
                verdicts,
                when_full: self.watched.when_full,
                published: Arc::clone(published),
                started: self.started,
            },
        );
        parts.map(Worker::new).collect()
    }

    /// Makes this thread that of the worker numbered `number`: its core, and how the kernel is to see it.
    fn settle(self, number: usize) {
        // Not being bound costs time, never a verdict; but a real-time thread that is not would run where everything else does.
        let core = self.params.cores.workers.get(number);
        let is_bound = core.is_some_and(|core| cores::bind(*core));
        if let Some(core) = core
            && !is_bound
        {
            tracing::error!(worker = number, core, "not bound to its core after all");
        }
        if let Some(priority) = self.params.fifo
            && is_bound
            && let Err(error) = cores::real_time(priority)
        {
            // It was tried before anything was started.
            tracing::error!(worker = number, %error, "no real-time thread after all");
        }
    }
}

/// The name of a worker's thread.
fn worker(number: usize) -> String {
    format!("worker-{number}")
}

/// Runs a worker until it has judged all it owns, or panics.
fn run_to_the_end<S: FrameSource>(mut worker: Worker<S>) -> (Finished<S>, Option<Death>) {
    // Of one that has panicked nothing is used but its source, which is only asked what it counts, and its counters: plain integers,
    // each of which holds what was done by then.
    let death = guarded(|| worker.run()).err();
    let how = if death.is_none() { Leaving::InOrder } else { Leaving::Panicked };
    (worker.leave(how), death)
}

/// Counts the frames that a source delivers, so that the workers' count can be held against it.
struct Counted<S> {
    source: S,
    frames: u64,
    injected: Injected,
}

impl<S> Counted<S> {
    /// What the thread of this name will ask `source` for.
    fn by(thread: &str, source: S) -> Self {
        Self { source, frames: 0, injected: Injected::into(thread) }
    }
}

impl<S: FrameSource> FrameSource for Counted<S> {
    fn receive(&mut self, batch: &mut capture::Batch) -> capture::Received {
        let received = self.source.receive(batch);
        if received == capture::Received::Frames {
            self.frames += batch.len() as u64;
            self.injected.after(self.frames);
        }
        received
    }

    fn horizon(&self) -> Timestamp {
        self.source.horizon()
    }

    fn wait(&mut self, nap: Duration) {
        self.source.wait(nap);
    }
}

/// `seconds` is when the workers were ready; the caller turns it into how long they took.
fn sum_up<S>(
    source: S,
    delivered: u64,
    seconds: f64,
    deaths: Vec<Death>,
    workers: impl IntoIterator<Item = (Counters, Histogram<u64>)>,
) -> Replayed<S> {
    let mut sum = Counters::default();
    let mut all: Option<Histogram<u64>> = None;
    for (counters, latency) in workers {
        sum.add(&counters);
        match &mut all {
            None => all = Some(latency),
            Some(all) => all.add(&latency).expect("all workers' histograms have the same bounds"),
        }
    }
    Replayed {
        source,
        counters: sum,
        latency: all.expect("there is at least one worker"),
        delivered,
        dequeued: 0,
        seconds,
        sink_errors: Vec::new(),
        deaths,
    }
}
