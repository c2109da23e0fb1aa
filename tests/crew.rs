//! A thread of the data path panics: the others end in order, what it held is stated, the program ends with a failure.

#![cfg(test)]

use std::collections::VecDeque;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phantomnet::capture::{Batch, FrameSource, LinkType, Reader, Received, TURN_FRAMES_MAX};
use phantomnet::cli::setup;
use phantomnet::collect::Sink;
use phantomnet::config::Config;
use phantomnet::counters::Published;
use phantomnet::event::{MarkerKind, StageSum};
use phantomnet::latest::Publisher;
use phantomnet::sensor::{self, Live, Replayed, Watched};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, InForce, Verdict};
use phantomnet::worker::WhenFull;
use serde_json::Value;

use crate::api_server::{Served, params, running};
use crate::netns::{self, Wire};
use crate::support;
use crate::watchdog::Service;

/// What the service manager waits for an end (`TimeoutStopSec`). It takes half a second, and more where tests share two cores.
const PROMISED: Duration = Duration::from_secs(15);

/// Frames received before the panic.
const BEFORE: usize = 2_000;

/// Every frame of the generated traffic, with its time.
fn frames() -> Vec<(Timestamp, Vec<u8>)> {
    let mut reader = Reader::open(&[support::generated_traffic()]).unwrap();
    let mut batch = Batch::new();
    let mut frames = Vec::new();
    while reader.receive(&mut batch) == Received::Frames {
        frames.extend(batch.frames().map(|frame| (frame.time, frame.bytes.to_vec())));
    }
    frames
}

/// Where a queue panics.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Breaks {
    /// While nothing is in its worker's hands.
    BetweenTurns,
    /// When its worker has handed a turn over, and not counted it yet.
    InATurn,
}

/// A queue of a card that a test has filled. A good one ends as a capture does: when somebody has noticed that a worker is dead, and it is
/// empty.
struct Queue {
    me: u64,
    queues: u64,
    frames: VecDeque<(Timestamp, Vec<u8>)>,
    given: usize,
    turn: u64,
    horizon: Timestamp,
    breaks: Option<Breaks>,
    workers: Vec<Arc<Published>>,
}

impl FrameSource for Queue {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        let is_broken = self.breaks == Some(Breaks::BetweenTurns) && self.given >= BEFORE;
        assert!(!is_broken, "queue {} is broken", self.me);
        if self.frames.is_empty() {
            let died = self.workers.iter().any(|worker| worker.has_died());
            self.horizon = Timestamp::from_nanos(i64::MAX);
            return if died { Received::End } else { Received::Nothing };
        }
        batch.begin_every(self.turn, self.me + 1 + self.given as u64 * self.queues, self.queues);
        self.turn += 1;
        for (time, frame) in self.frames.drain(..self.frames.len().min(TURN_FRAMES_MAX)) {
            let length = u32::try_from(frame.len()).unwrap();
            assert!(batch.push(time, length, LinkType::Ethernet, &frame));
            self.horizon = time;
        }
        self.given += batch.len();
        Received::Frames
    }

    fn horizon(&self) -> Timestamp {
        let is_broken = self.breaks == Some(Breaks::InATurn) && self.given >= BEFORE;
        assert!(!is_broken, "queue {} is broken", self.me);
        self.horizon
    }
}

/// What came out of the data path.
#[derive(Default)]
struct Told {
    verdicts: u64,
    end: Vec<StageSum>,
}

impl Sink for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    fn take(&mut self, _: &Verdict, _: &Detection) -> io::Result<()> {
        self.verdicts += 1;
        Ok(())
    }

    fn mark(&mut self, kind: MarkerKind, stages: &[StageSum]) -> io::Result<()> {
        if kind == MarkerKind::End {
            self.end = stages.to_vec();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn detection(config: &Config) -> Publisher<InForce> {
    Publisher::new(InForce::first(setup::load_detection(config, Timestamp::EPOCH).unwrap()))
}

/// Runs as many queues, the last of which breaks.
fn with_a_broken_queue(queues: usize, breaks: Breaks) -> (Replayed<Vec<Queue>>, Told, Watched) {
    let config = Config::default();
    let params = setup::sensor_params(&config, queues).unwrap();
    let watched = Watched::new(WhenFull::Count, sensor::published(params.workers));
    let frames = frames();
    let queue = |me: usize| Queue {
        me: me as u64,
        queues: queues as u64,
        frames: frames.iter().skip(me).step_by(queues).cloned().collect(),
        given: 0,
        turn: 0,
        horizon: Timestamp::from_nanos(i64::MIN + 1),
        breaks: (me + 1 == queues).then_some(breaks),
        workers: watched.published.clone(),
    };
    let sources = (0..queues).map(queue).collect();
    let mut told = Told::default();
    // Whoever is dead is not waited for; whoever lives is.
    let live = Live { patience: Duration::from_secs(3_600) };
    let began = Instant::now();
    let replayed = sensor::run_queues(
        sources,
        live,
        &detection(&config),
        &params,
        &watched,
        vec![&mut told],
        |_| Vec::new(),
    );
    assert!(began.elapsed() < Duration::from_secs(60), "nobody waits for the dead");
    (replayed, told, watched)
}

/// The stages whose sums do not hold.
fn broken<S>(replayed: &Replayed<S>) -> Vec<&'static str> {
    let sums = replayed.ledger().sums().into_iter();
    sums.filter(|sum| sum.came != sum.accounted).map(|sum| sum.stage).collect()
}

#[test]
fn a_worker_that_panics_ends_alone_and_what_it_held_is_missing_in_the_sums() {
    let (replayed, told, watched) = with_a_broken_queue(2, Breaks::BetweenTurns);
    let [death] = &replayed.deaths[..] else { panic!("{:?}", replayed.deaths) };
    assert_eq!((&*death.thread, &*death.message), ("worker-1", "queue 1 is broken"));
    assert!(watched.published[0].has_left() && watched.published[1].has_died());

    let all = frames().len();
    assert!(replayed.delivered > (all / 2) as u64, "the other worker took everything it got");
    // What was handed to the dead worker, and nothing else.
    let broken = broken(&replayed);
    assert!(broken.contains(&"gather"), "{broken:?}");
    assert!(broken.iter().all(|stage| ["gather", "towards_counted"].contains(stage)), "{broken:?}");
    let counters = &replayed.counters;
    assert_eq!(counters.taken, replayed.delivered);
    assert_eq!(counters.enqueued, told.verdicts, "the dead worker's verdicts too were collected");
    assert!(replayed.ledger().unaccounted() >= counters.handed - counters.scored);
    let sums: Vec<StageSum> = replayed.ledger().sums().iter().map(StageSum::from).collect();
    assert_eq!(told.end, sums, "the last marker says the same");
}

#[test]
fn a_worker_that_panics_in_the_middle_of_a_turn_leaves_that_turn_unaccounted() {
    for queues in [1, 2] {
        let (replayed, told, watched) = with_a_broken_queue(queues, Breaks::InATurn);
        assert_eq!(replayed.deaths.len(), 1, "{queues} queues");
        assert!(watched.published[queues - 1].has_died());
        assert!(broken(&replayed).contains(&"gather"), "{queues} queues: {:?}", broken(&replayed));
        assert!(replayed.ledger().unaccounted() > 0);
        assert_eq!(replayed.counters.enqueued, told.verdicts);
        assert!(told.verdicts > 0, "what was judged before is there");
    }
}

#[test]
fn a_source_that_panics_at_the_dealer_costs_nothing_of_what_was_dealt() {
    for workers in [1, 3] {
        let config = Config::default();
        let params = setup::sensor_params(&config, workers).unwrap();
        let source = Queue {
            me: 0,
            queues: 1,
            frames: frames().into(),
            given: 0,
            turn: 0,
            horizon: Timestamp::EPOCH,
            breaks: Some(Breaks::BetweenTurns),
            workers: Vec::new(),
        };
        let mut told = Told::default();
        let replayed = sensor::replay(source, &detection(&config), &params, vec![&mut told]);
        let threads: Vec<&str> = replayed.deaths.iter().map(|death| &*death.thread).collect();
        assert_eq!(threads, [if workers == 1 { "worker-0" } else { "dealer" }]);
        assert_eq!(replayed.delivered, replayed.source.given as u64);
        if workers > 1 {
            assert_eq!(replayed.ledger().unaccounted(), 0, "{workers} workers");
            assert_eq!(replayed.counters.taken, replayed.delivered);
        }
        assert_eq!(replayed.counters.enqueued, told.verdicts);
    }
}

#[test]
fn health_names_the_worker_that_has_panicked() {
    let live = running();
    live.workers[0].leave();
    live.workers[1].die();
    let served = Served::without_store(&params(), live);
    let answer = served.get("/health");
    assert_eq!(answer.status, 503);
    let health = answer.json();
    assert_eq!(
        (&health["workers"][0]["state"], &health["workers"][1]["state"]),
        (&"ended".into(), &"panicked".into())
    );
    let problems = health["problems"].to_string();
    assert!(problems.contains("worker 1 panicked"), "{problems}");
}

// --- the whole program -----------------------------------------------------------------------------------------------

/// What builds for tests read: which thread is to panic, and after how many frames.
const INJECTED: &str = "PHANTOMNET_PANIC";

#[test]
fn a_replay_in_which_a_worker_panics_ends_with_a_failure_and_states_what_is_missing() {
    for (workers, thread) in [("1", "worker-0"), ("3", "worker-1"), ("3", "dealer")] {
        let began = Instant::now();
        let output = support::run(
            support::sensor()
                .args(["replay", "--summary", "json", "--workers", workers])
                .arg(support::generated_traffic())
                .env(INJECTED, format!("{thread}:3000")),
        );
        let said = support::stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{thread} of {workers}: {said}");
        assert!(began.elapsed() < Duration::from_secs(60), "{thread} of {workers}");
        let place = format!("a bug: {thread} panicked at src/sensor/edge.rs:");
        assert!(said.contains(&place), "{thread} of {workers}: {said}");
        assert!(said.contains("lost by the panic: stage capture took"), "{said}");
        let unaccounted = support::summary(&output)["unaccounted"].as_u64();
        assert!(unaccounted.is_some_and(|frames| frames > 0), "{thread}: {unaccounted:?}");
    }
}

#[test]
fn a_build_for_release_can_not_be_told_to_panic() {
    let Some(mut release) = support::release_sensor() else { return };
    release.arg("replay").arg(support::generated_traffic());
    support::run_well(release.env(INJECTED, "worker-0:1"));
}

/// A sensor on a wire of two queues, whose worker of this name is to panic.
struct Doomed {
    child: Child,
    folder: tempfile::TempDir,
    store: String,
}

impl Doomed {
    fn start(wire: &Wire, backend: &str, thread: &str) -> Self {
        let folder = support::folder();
        let store = format!("sqlite:{}", folder.path().join("events.db").display());
        let config = folder.path().join("sensor.toml");
        let text = format!(
            "sensor.folder = 'data'\nstore.url = '{store}'\nhttp.listen = ''\n\
             events = {{ store = 'all', coalesce_ms = 0 }}\n\
             [workers]\ncount = 2\n[capture]\nframes = 4096\nbackend = '{backend}'\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = wire
            .sensor()
            .sensor_program()
            .args(["run", "--interface", wire.sensor().device(), "--config"])
            .arg(&config)
            .env(INJECTED, format!("{thread}:100"))
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder, store }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits for the panic, and then for the end. Returns how long that took, and how it ended.
    fn ends(&mut self) -> (Duration, ExitStatus) {
        let began = Instant::now();
        let wait = || {
            assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
            std::thread::sleep(Duration::from_millis(5));
        };
        while !self.log().contains("a panic: ") {
            wait();
        }
        let panicked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (panicked.elapsed(), status);
            }
            wait();
        }
    }

    /// What the store says of the run.
    fn audit(&self) -> Value {
        let mut audit = support::sensor();
        let audit = support::run(audit.args(["audit", "--form", "json", "--store", &self.store]));
        support::summary(&audit)["epochs"][0].clone()
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends frames all the time, while `work` is done.
fn under_traffic<T>(wire: &Wire, work: impl FnOnce() -> T) -> T {
    /// Also when the work panics.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let frames: Vec<Vec<u8>> = frames().into_iter().map(|(_, frame)| frame).collect();
            let mut sender = wire.sender();
            for some in frames.chunks(50).cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                sender.send(some);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let _over = Over(&over);
        work()
    })
}

#[test]
fn a_sensor_in_which_a_worker_panics_stores_what_the_others_hold_and_ends_with_a_failure() {
    if !netns::available() {
        return;
    }
    for (backend, thread) in
        [("af_xdp", "worker-0"), ("af_xdp", "worker-1"), ("af_packet", "worker-1")]
    {
        let wire = Wire::new(2);
        let mut sensor = Doomed::start(&wire, backend, thread);
        let (took, status) = under_traffic(&wire, || sensor.ends());
        let said = sensor.log();
        assert_eq!(status.code(), Some(1), "{backend}: {said}");
        assert!(took < PROMISED, "{backend}: {took:?}: {said}");
        let told = format!("a bug: {thread} panicked at src/sensor/edge.rs:");
        assert!(said.contains(&told), "{backend}: {said}");
        assert!(said.contains("lost by the panic: stage capture took"), "{said}");

        // Everything that was judged is stored, and the marker of the end says what is missing.
        let epoch = sensor.audit();
        let number = |key: &str| epoch[key].as_u64().unwrap();
        assert_eq!((&epoch["ended"], number("lost"), number("doubled")), (&true.into(), 0, 0));
        assert!(epoch["stored"]["packets"].as_u64() > Some(0), "{epoch}");
        let differences = epoch["differences"].as_array().unwrap();
        let of_the_end = |text: &Value| text.as_str().unwrap().starts_with("end: stage ");
        assert!(!differences.is_empty() && differences.iter().all(of_the_end), "{epoch}");
        let left = wire.sensor().command("ip").args(["-d", "link", "show"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&left.stdout).contains("xdp"), "the program is detached");
    }
}

#[test]
fn a_service_manager_hears_that_a_sensor_stops_when_a_worker_has_panicked() {
    if !netns::available() {
        return;
    }
    let frame = frames().swap_remove(0).1;
    let wire = Wire::new(1);
    let mut program: Command = wire.sensor().sensor_program();
    program.env(INJECTED, "worker-0:1");
    let mut service = Service::start_as(program, &["--interface", wire.sensor().device()]);
    service.hears_at_last("READY=1");
    wire.sender().send(&[frame]);
    let panicked = Instant::now();
    service.hears_at_last("STOPPING=1");
    assert_eq!(service.ends().code(), Some(1), "so that it is started again");
    assert!(panicked.elapsed() < PROMISED, "{:?}", panicked.elapsed());
    assert_eq!(
        service.hears(Duration::from_millis(1)),
        None,
        "nobody vouched for it while it ended"
    );
}
