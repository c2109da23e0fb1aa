//! `phantomnet run` on an interface: frames on a wire against the same frames in a capture file.

#![cfg(test)]

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::BufWriter;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phantomnet::capture::af_xdp::{PortParams, XskPort};
use phantomnet::capture::interface::Interface;
use phantomnet::capture::{Batch, CaptureWriter, FrameSource as _, LinkType, Reader, Received};
use phantomnet::time::Timestamp;
use serde_json::Value;

use crate::cluster::{Cluster, Settings};
use crate::netns::{self, Wire};
use crate::support;

/// The key of both, the sensor's and the replay's: the default of a replay.
const KEY: &str = "000102030405060708090a0b0c0d0e0f";

/// A sensor in the namespace of its wire.
pub(crate) struct Sensor {
    child: Child,
    folder: tempfile::TempDir,
    store: String,
}

impl Sensor {
    /// `capture` is what the configuration says of the capture, beside what lets a slow build take its time.
    pub(crate) fn start(wire: &Wire, capture: &str) -> Self {
        let folder = support::folder();
        let store = format!("sqlite:{}", folder.path().join("data/phantomnet.db").display());
        Self::start_in(folder, store, wire, capture)
    }

    /// The same, with its events in another store.
    fn start_on(store: String, wire: &Wire, capture: &str) -> Self {
        Self::start_in(support::folder(), store, wire, capture)
    }

    fn start_in(folder: tempfile::TempDir, store: String, wire: &Wire, capture: &str) -> Self {
        let sensor = Self::begin_in(folder, store, wire, capture);
        sensor.wait_for("frames are received");
        sensor
    }

    /// One that need not get as far as to receive frames.
    pub(crate) fn begin(wire: &Wire, capture: &str) -> Self {
        let folder = support::folder();
        let store = format!("sqlite:{}", folder.path().join("data/phantomnet.db").display());
        Self::begin_in(folder, store, wire, capture)
    }

    fn begin_in(folder: tempfile::TempDir, store: String, wire: &Wire, capture: &str) -> Self {
        let config = folder.path().join("sensor.toml");
        let text = format!(
            "sensor.folder = 'data'\nstore.url = '{store}'\nhttp.listen = ''\nsources.hash_key = '{KEY}'\n\
             events = {{ store = 'all', coalesce_ms = 0 }}\n\
             [capture]\npatience_ms = 60000\n{capture}\n"
        );
        fs::write(&config, text).unwrap();
        let child = program(wire)
            .args(["run", "--interface", wire.sensor().device(), "--config"])
            .arg(&config)
            .arg("--dump-features")
            .arg(folder.path().join("live.csv"))
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder, store }
    }

    /// Waits until it has ended by itself. Returns its exit code, and what it said.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let status = self.wait_for_end();
        (status.code(), self.log())
    }

    fn wait_for_end(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_for(&self, message: &str) {
        self.wait_until_said(message, 1);
    }

    /// Waits until the log has so many lines with this message.
    pub(crate) fn wait_until_said(&self, message: &str, times: usize) {
        let began = Instant::now();
        while self.log().matches(message).count() < times {
            assert!(began.elapsed() < Duration::from_secs(60), "{message}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as systemd would.
    pub(crate) fn stop(mut self) -> Stopped {
        let asked = Instant::now();
        support::signal("TERM", self.child.id());
        let status = self.wait_for_end();
        assert!(status.success(), "{status}: {}", self.log());
        assert!(asked.elapsed() < Duration::from_secs(30), "{}", self.log());
        let audit = support::run_well(support::sensor().args([
            "audit",
            "--form",
            "json",
            "--store",
            &self.store,
        ]));
        Stopped {
            rows: Row::of_dump(&self.folder.path().join("live.csv")),
            audit: support::summary(&audit),
            log: self.log(),
        }
    }
}

impl Drop for Sensor {
    /// A test that failed leaves nothing running.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// What a sensor leaves.
pub(crate) struct Stopped {
    /// What it has judged.
    pub(crate) rows: Vec<Row>,
    pub(crate) audit: Value,
    pub(crate) log: String,
}

impl Stopped {
    /// What the log says at the end of all frames.
    fn what_became_of_frames(&self) -> Value {
        let told = self.log.lines().find(|line| line.contains("no more frames are received"));
        serde_json::from_str(told.expect("the log says what became of the frames")).unwrap()
    }
}

/// The build for release where there is one: frames do not wait for a slow one.
fn program(wire: &Wire) -> Command {
    match support::release_sensor() {
        Some(release) => wire.sensor().command(&release.get_program().to_string_lossy()),
        None => wire.sensor().sensor_program(),
    }
}

/// One line of a dump of features.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    packet: u64,
    time: i64,
    /// Addresses, ports, protocol.
    flow: String,
    length: String,
    /// Features, scores, verdict.
    judged: String,
}

impl Row {
    /// When it came, nanoseconds since the epoch.
    pub(crate) const fn time(&self) -> i64 {
        self.time
    }

    /// What the rules said of it.
    pub(crate) fn rule_risk(&self) -> &str {
        // Behind it stand the intelligence's, the sum, the verdict.
        self.judged.rsplit(',').nth(3).expect("they are written for every packet")
    }

    fn of_dump(file: &Path) -> Vec<Self> {
        let text = fs::read_to_string(file).unwrap();
        let row = |line: &str| {
            let mut columns = line.splitn(8, ',');
            let mut next = || columns.next().expect("eight columns or more");
            let (packet, time) = (next().parse().unwrap(), next().parse().unwrap());
            let flow = [next(), next(), next(), next(), next()].join(",");
            let judged = next().to_owned();
            let length = judged.split(',').next().expect("the first feature").to_owned();
            Self { packet, time, flow, length, judged }
        };
        text.lines().skip(1).map(row).collect()
    }
}

/// Every frame of a capture, with its time.
fn frames_of(capture: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(&[capture.to_owned()]).unwrap();
    let mut batch = Batch::new();
    let mut frames = Vec::new();
    while reader.receive(&mut batch) == Received::Frames {
        frames.extend(batch.frames().map(|frame| frame.bytes.to_vec()));
    }
    frames
}

fn replayed(capture: &Path, workers: usize) -> Vec<Row> {
    let folder = support::folder();
    let csv = folder.path().join("replay.csv");
    let mut replay = support::sensor();
    replay.args(["replay", "--workers", &workers.to_string(), "--dump-features"]);
    support::run_well(replay.arg(&csv).arg(capture));
    Row::of_dump(&csv)
}

/// A capture of what the sensor has judged: its frames with the times that it gave them, in the order of those.
///
/// Which frame a row is about is told by its flow and length: the frames of one flow come through one queue, in order.
fn capture_of(rows: &[Row], sent: &[Vec<u8>], known: &[Row], file: &Path) {
    let mut frames: HashMap<(&str, &str), VecDeque<&Vec<u8>>> = HashMap::new();
    for row in known {
        let frame = &sent[usize::try_from(row.packet).unwrap() - 1];
        frames.entry((&row.flow, &row.length)).or_default().push_back(frame);
    }
    let out = BufWriter::new(fs::File::create(file).unwrap());
    let mut writer = CaptureWriter::new(out, LinkType::Ethernet).unwrap();
    for row in rows {
        let frame = frames.get_mut(&(&*row.flow, &*row.length)).and_then(VecDeque::pop_front);
        let frame = frame.unwrap_or_else(|| panic!("{row:?} was never sent"));
        let length = u32::try_from(frame.len()).unwrap();
        writer.write(Timestamp::from_nanos(row.time), length, frame).unwrap();
    }
    writer.finish().unwrap();
    assert!(frames.values().all(VecDeque::is_empty), "frames that were sent were not judged");
}

/// What the configuration says for this mode: one of AF_XDP's, or the copy of packet sockets.
fn settings_of(mode: &str) -> String {
    match mode {
        "copy" => "backend = 'af_packet'".to_owned(),
        _ => format!("require = '{mode}'"),
    }
}

/// Sends a known capture over a wire of so many queues, and holds what the sensor makes of it against replays.
fn is_judged_as_in_a_replay(queues: usize, workers: u64, mode: &str) {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(queues);
    let sent = frames_of(support::generated_traffic());
    let known = replayed(support::generated_traffic(), 1);
    let settings = settings_of(mode);
    let sensor =
        Sensor::start(&wire, &format!("frames = 32768\n{settings}\n[workers]\ncount = {workers}"));
    assert!(sensor.log().contains(&format!(r#""mode":"{mode}""#)), "{}", sensor.log());
    let mut sender = wire.sender();
    for some in sent.chunks(200) {
        sender.send(some);
        std::thread::sleep(Duration::from_millis(20));
    }
    let Stopped { mut rows, audit, .. } = sensor.stop();
    let epoch = &audit["epochs"][0];
    assert_eq!(
        (&epoch["ended"], &epoch["lost"], &epoch["doubled"]),
        (&true.into(), &0.into(), &0.into()),
        "{audit}"
    );

    assert_eq!(rows.len(), known.len(), "every packet was judged once");
    rows.sort_by_key(|row| (row.time, (row.packet - 1) % workers, row.packet));
    let file = support::folder();
    let file = file.path().join("seen.pcap");
    capture_of(&rows, &sent, &known, &file);
    for again_workers in [1, 2, 4] {
        let again = replayed(&file, again_workers);
        assert_eq!(again.len(), rows.len());
        for (live, again) in rows.iter().zip(&again) {
            let (live, again) =
                ((live.time, &live.flow, &live.judged), (again.time, &again.flow, &again.judged));
            assert_eq!(live, again, "{queues} queues live, {again_workers} workers in the replay");
        }
    }
}

#[test]
fn what_comes_on_one_queue_is_judged_as_in_a_replay() {
    is_judged_as_in_a_replay(1, 1, "native");
}

#[test]
fn what_comes_on_two_queues_is_judged_as_in_a_replay() {
    is_judged_as_in_a_replay(2, 2, "native");
}

#[test]
fn what_comes_on_four_queues_is_judged_as_in_a_replay() {
    is_judged_as_in_a_replay(4, 4, "native");
}

#[test]
fn what_the_kernel_makes_packets_of_first_is_judged_as_in_a_replay() {
    is_judged_as_in_a_replay(1, 1, "generic");
    is_judged_as_in_a_replay(4, 2, "generic");
}

#[test]
fn what_comes_while_the_sensor_can_not_take_it_is_lost_and_counted() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let sensor = Sensor::start(&wire, "frames = 256");
    let mut sender = wire.sender();
    // A worker that stands still for a moment, and frames that go on coming.
    for _ in 0..3 {
        support::signal("STOP", sensor.child.id());
        sender.send(&netns::numbered_frames(2_000, 16));
        support::signal("CONT", sensor.child.id());
        sender.send(&netns::numbered_frames(100, 16));
        std::thread::sleep(Duration::from_millis(200));
    }
    let stopped = sensor.stop();
    let Stopped { rows, audit, .. } = &stopped;
    let told = stopped.what_became_of_frames();
    let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"));
    assert_eq!(number("seen"), 6_300);
    assert_eq!(number("taken"), rows.len() as u64, "each frame that was taken was judged");
    assert_eq!(number("taken") + number("lost_by_sockets"), 6_300);
    assert!(number("lost_by_sockets") > 1_000, "there was room for 256 on each queue: {told}");
    assert_eq!(number("without_socket") + number("ignored"), 0);
    assert_eq!(
        audit["epochs"][0]["lost"], 0,
        "what the kernel lost never was the sensor's: {audit}"
    );
}

#[test]
fn a_sensor_ends_in_order_while_frames_go_on_coming() {
    if !netns::available() {
        return;
    }
    for settings in ["frames = 1024", "backend = 'af_packet'"] {
        let wire = Wire::new(2);
        let sensor = Sensor::start(&wire, settings);
        let (mut sender, is_over) = (wire.sender(), AtomicBool::new(false));
        let frames = netns::numbered_frames(50, 16);
        let stopped = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    sender.send(&frames);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            std::thread::sleep(Duration::from_millis(500));
            // Whatever comes of it, the sender ends.
            let stopped = std::panic::catch_unwind(AssertUnwindSafe(|| sensor.stop()));
            is_over.store(true, Ordering::Relaxed);
            stopped
        });
        let stopped = stopped.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let told = stopped.what_became_of_frames();
        let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"));
        assert_eq!(number("taken"), stopped.rows.len() as u64, "each one was judged: {settings}");
        assert_eq!(number("taken") + number("lost_by_sockets"), number("seen"), "{settings}");
        assert!(number("taken") > 0, "{told}");
        assert_eq!(stopped.audit["epochs"][0]["lost"], 0, "{}", stopped.audit);
    }
}

#[test]
fn a_database_that_is_away_costs_no_frame() {
    if !netns::available() {
        return;
    }
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("live");
    let store = database.url();
    support::run_well(support::sensor().args(["migrate", "--store", &store]));
    let wire = Wire::new(2);
    let sensor = Sensor::start_on(store, &wire, "");
    let mut sender = wire.sender();
    let mut send_for = |seconds: u32| {
        for _ in 0..seconds * 50 {
            sender.send(&netns::numbered_frames(100, 16));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    send_for(1);
    cluster.freeze();
    send_for(4);
    cluster.thaw();
    send_for(1);
    let began = Instant::now();
    let stored = || database.psql("SELECT coalesce(sum(packets), 0) FROM ingest_batches");
    while stored() != "30000" {
        assert!(began.elapsed() < Duration::from_secs(60), "{} of 30000 are stored", stored());
        std::thread::sleep(Duration::from_millis(100));
    }
    let stopped = sensor.stop();
    let told = stopped.what_became_of_frames();
    let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"));
    assert_eq!((number("seen"), number("taken"), number("lost_by_sockets")), (30_000, 30_000, 0));
    let epoch = &stopped.audit["epochs"][0];
    assert_eq!((&epoch["lost"], &epoch["doubled"]), (&0.into(), &0.into()), "{}", stopped.audit);
}

#[test]
fn a_killed_sensor_leaves_no_program_and_its_queues_are_free_again() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let end = wire.sensor();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let mut sensor = Sensor::start(&wire, "frames = 256");
        let before = end.enter(|| Interface::find(end.device())).unwrap();
        assert_eq!(before.xdp_programs.len(), 1);
        assert!(before.is_promiscuous, "frames to other stations come too");
        sensor.child.kill().unwrap();
        sensor.child.wait().unwrap();
        // At once: binding waits for what the kernel is still taking down.
        let params =
            PortParams { frames: 256, frame_bytes: 2_048, zero_copy: false, busy_poll_micros: 0 };
        let began = Instant::now();
        let bound = end.enter(|| {
            let interface = Interface::find(end.device()).unwrap();
            let port = |queue| XskPort::bind(&interface.name, interface.index, queue, &params);
            (port(0).map(drop), port(1).map(drop))
        });
        longest = longest.max(began.elapsed());
        assert!(bound.0.is_ok() && bound.1.is_ok(), "{bound:?}");
        let after = end.enter(|| Interface::find(end.device())).unwrap();
        assert!(after.xdp_programs.is_empty(), "the program went with its process: {after:?}");
        assert!(!after.is_promiscuous, "and so did what was asked of the card: {after:?}");
    }
    eprintln!("after 20 kills, the two queues were bound again within {longest:.1?} at most");
}

#[test]
fn what_packet_sockets_copy_is_judged_as_in_a_replay() {
    is_judged_as_in_a_replay(1, 1, "copy");
    is_judged_as_in_a_replay(2, 2, "copy");
    is_judged_as_in_a_replay(1, 4, "copy");
}

#[test]
fn one_worker_may_serve_several_queues() {
    is_judged_as_in_a_replay(4, 1, "native");
    is_judged_as_in_a_replay(4, 3, "native");
}
