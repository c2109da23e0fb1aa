//! The database goes away while 20,000 events come each second: nothing is lost, nothing is doubled, capture does not notice.
//!
//! The short form takes the database away for [`SHORT`]; `PHANTOMNET_OUTAGE_SECONDS=60` asks for the long one.

#![cfg(test)]

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cluster::proxy::Proxy;
use crate::cluster::{Cluster, Database, Settings};
use crate::support;

/// How long the database is away in the short form.
const SHORT: Duration = Duration::from_secs(6);

/// Packets, and events, in each second.
const PER_SECOND: u64 = 20_000;

/// Before the outage.
const BEFORE: Duration = Duration::from_secs(2);

/// The backlog has this long to go while packets go on coming. It takes a fifth of it on a quiet machine (short form). How long it
/// takes is the disk's affair as much as the sensor's, so it is printed; what is asserted is that it begins to go, and that all of it
/// arrives.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts in a row that may bring nothing to the store before the rest counts as stuck.
const IDLE_STARTS_MAX: u32 = 10;

fn outage() -> Duration {
    let asked = std::env::var("PHANTOMNET_OUTAGE_SECONDS").ok();
    asked.map_or(SHORT, |text| Duration::from_secs(text.parse().expect("a number of seconds")))
}

/// A capture of one datagram every 50 µs, from a thousand sources.
fn steady(file: &Path, seconds: u64) {
    let packets = seconds * PER_SECOND;
    let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    for packet in 0..packets {
        let micros = packet * 1_000_000 / PER_SECOND;
        let [low, high, ..] = (packet % 1_000).to_le_bytes();
        bytes.extend((1_790_000_000 + (micros / 1_000_000) as u32).to_le_bytes());
        bytes.extend(((micros % 1_000_000) as u32).to_le_bytes());
        bytes.extend([60_u32.to_le_bytes(), 60_u32.to_le_bytes()].concat());
        bytes.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        bytes.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, high, low, 10, 2, 0, 1]);
        bytes.extend([0x30, 0x39, 0, 53, 0, 26, 0, 0]);
        bytes.extend([0; 18]);
    }
    std::fs::write(file, bytes).unwrap();
}

/// A sensor that takes the capture in its own time, each packet an event.
struct Sensor {
    child: Child,
    folder: tempfile::TempDir,
    started: Instant,
}

impl Sensor {
    fn start(url: &str, seconds: u64) -> Self {
        let folder = support::folder();
        let capture = folder.path().join("steady.pcap");
        steady(&capture, seconds);
        let config = folder.path().join("sensor.toml");
        let text = format!(
            "sensor.folder = 'data'\nstore.url = '{url}'\nevents = {{ store = 'all', coalesce_ms = 0 }}\nhttp.listen = ''\n"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = support::release_sensor().unwrap_or_else(support::sensor);
        let child = command
            .arg("run")
            .arg("--config")
            .arg(&config)
            .arg("--source")
            .arg(&capture)
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, folder, started: Instant::now() }
    }

    /// Asks for the end and waits for it. Returns how long the capture had gone on.
    fn stop(&mut self) -> Duration {
        let went_on = self.started.elapsed();
        support::signal("INT", self.child.id());
        let mut log = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            std::io::Read::read_to_string(stderr, &mut log).unwrap();
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {log}");
        went_on
    }

    /// Starts on a capture without a packet: for as long as a stop may take, what is in the spool goes to the store.
    fn bring_the_rest(&self, database: &Database<'_>) {
        let (mut before, mut idle) = (committed(database), 0);
        while number(database, "SELECT count(*) FROM epochs WHERE state = 2") == 0 {
            self.start_on_nothing();
            let now = committed(database);
            idle = if now == before { idle + 1 } else { 0 };
            assert!(idle < IDLE_STARTS_MAX, "{now} packets in the store, and no more come");
            before = now;
        }
    }

    fn start_on_nothing(&self) {
        let empty = self.folder.path().join("empty.pcap");
        steady(&empty, 0);
        let mut command = support::release_sensor().unwrap_or_else(support::sensor);
        let config = self.folder.path().join("sensor.toml");
        let run = command.arg("run").arg("--config").arg(config).arg("--source").arg(empty);
        support::run_well(run);
    }
}

fn number(database: &Database<'_>, question: &str) -> u64 {
    database.psql(question).parse().unwrap()
}

/// Packets in batches that were committed.
fn committed(database: &Database<'_>) -> u64 {
    number(database, "SELECT coalesce(sum(packets), 0) FROM ingest_batches")
}

/// What became of the backlog while packets came.
struct Backlog {
    /// Whether anything was written after the server was back.
    begun: bool,
    /// How it went, if all of it went.
    gone: Option<String>,
}

/// Waits until what is committed is all that has arrived but for the last second.
fn wait_for_the_backlog(database: &Database<'_>, started: Instant, end: Duration) -> Backlog {
    let (before, since) = (committed(database), Instant::now());
    let mut first = None;
    while started.elapsed() < end {
        std::thread::sleep(Duration::from_millis(50));
        let (now, at) = (committed(database), Instant::now());
        if now == before {
            continue;
        }
        let (then, first_at) = *first.get_or_insert((now, at));
        let arrived = (at - started).as_secs_f64() * PER_SECOND as f64;
        if now as f64 > arrived - PER_SECOND as f64 {
            let (rows, took) = (now - then, (at - first_at).as_secs_f64());
            let gone = format!(
                "{:.1} s later the first rows, then {rows} in {took:.1} s, {:.0} each second",
                (first_at - since).as_secs_f64(),
                rows as f64 / took
            );
            return Backlog { begun: true, gone: Some(gone) };
        }
    }
    Backlog { begun: first.is_some(), gone: None }
}

/// Takes the database away by `away`, brings it back by `back`, and looks what became of the events.
fn survives(
    cluster: &Cluster,
    database: &Database<'_>,
    url: &str,
    away: impl FnOnce(),
    back: impl FnOnce(),
) {
    // Each wants the machine for itself.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    support::run_well(support::sensor().args(["migrate", "--store", &database.url()]));
    let outage = outage();
    // Longer than it takes: the sensor is stopped once the backlog is gone.
    let capture = BEFORE + outage + outage + PATIENCE;
    let mut sensor = Sensor::start(url, capture.as_secs());
    std::thread::sleep(BEFORE);
    away();
    std::thread::sleep(outage);
    back();
    let is_release = support::release_sensor().is_some();
    // A build for debugging is not waited for: what lies in its spool comes with the next starts.
    let end = if is_release { capture } else { BEFORE + outage + outage };
    let backlog = wait_for_the_backlog(database, sensor.started, end);
    let went_on = sensor.stop();
    sensor.bring_the_rest(database);
    // Packets are numbered by their times: one every 50 µs.
    let packets = number(
        database,
        "SELECT round((extract(epoch FROM max(last_time)) - 1790000000) * 20000) + 1 FROM packet_logs",
    );
    let report = format!(
        "away for {outage:?}; {}; {packets} packets in {went_on:.1?}",
        backlog.gone.as_deref().unwrap_or("the backlog outlived the capture")
    );
    let sums = database
        .psql("SELECT count(*), sum(count), count(DISTINCT number), max(number) FROM packet_logs");
    support::tell(&format!("{report}; events, packets, numbers, the last: {sums}"));
    assert!(backlog.begun || !is_release, "it is written again while packets come: {report}");
    let late = if is_release { 5.0 } else { 15.0 };
    let behind = went_on.as_secs_f64() - packets as f64 / PER_SECOND as f64;
    assert!(behind < late, "capture did not wait: {report}");
    // An event about a victim counts no packet.
    let rows = sums.split('|').next().expect("four columns");
    assert_eq!(sums, format!("{rows}|{packets}|{rows}|{rows}"), "{report}");
    support::run_well(support::sensor().args(["audit", "--store", &database.url()]));
    drop(cluster.log());
}

#[test]
fn a_server_that_is_stopped_where_it_stands_costs_no_event() {
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("frozen");
    survives(&cluster, &database, &database.url(), || cluster.freeze(), || cluster.thaw());
}

#[test]
fn a_server_whose_postmaster_is_killed_costs_no_event() {
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("killed");
    survives(&cluster, &database, &database.url(), || cluster.kill(), || cluster.start_again());
}

#[test]
fn a_server_that_shuts_down_at_once_costs_no_event() {
    let cluster = Cluster::start(&Settings::default());
    let database = cluster.database("shut");
    survives(
        &cluster,
        &database,
        &database.url(),
        || cluster.stop("immediate"),
        || cluster.start_again(),
    );
}

#[test]
fn a_network_that_swallows_bytes_costs_no_event() {
    let cluster = Cluster::start(&Settings { tcp: true, ..Settings::default() });
    let proxy = Proxy::to(cluster.port());
    let database = cluster.database("swallowed");
    let url = database.tcp_url(proxy.port());
    survives(&cluster, &database, &url, || proxy.swallow(true), || proxy.swallow(false));
}
