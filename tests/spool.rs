//! The writer and its spool as a program meets them: a disk that is really full, and `kill -9` at any moment.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use phantomnet::event::{Batch, Epoch, Event, Merged};
use phantomnet::store::writer::{SpoolParams, Tally, Writer, WriterParams, WriterStats};
use phantomnet::store::{Committed, Expiry, Maintained, Store, StoreError};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, Level};
use rand::{Rng, SeedableRng};

use crate::support;

// --- a store -----------------------------------------------------------------------------------------------------------

/// A store whose only table is the ledger, and that is there or not.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Pages>>);

#[derive(Default)]
struct Pages {
    committed: Vec<(Epoch, u64)>,
    rows: usize,
    known: BTreeSet<(Epoch, u64)>,
    is_away: bool,
    /// Where every commit is written down, so that it outlives the process.
    file: Option<File>,
}

impl Ledger {
    /// One that is kept in a file, with what is in it already.
    fn in_file(path: &Path) -> Self {
        let ledger = Self::default();
        let known = fs::read_to_string(path).unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        ledger.with(|pages| {
            for line in known.lines() {
                let (epoch, number) = line.split_once(' ').expect("a line is written whole");
                let epoch = Epoch::from_stored(epoch.parse().unwrap()).unwrap();
                let key = (epoch, number.parse().unwrap());
                pages.committed.push(key);
                assert!(pages.known.insert(key), "committed twice: {line}");
            }
            pages.file = Some(file);
        });
        ledger
    }

    fn stay_away(&self, is_away: bool) {
        self.with(|pages| pages.is_away = is_away);
    }

    fn committed(&self) -> Vec<(Epoch, u64)> {
        self.with(|pages| pages.committed.clone())
    }

    fn with<T>(&self, what: impl FnOnce(&mut Pages) -> T) -> T {
        what(&mut self.0.lock().unwrap())
    }

    fn start(&self, params: &WriterParams) -> (Writer, Sender<Batch>) {
        let (sender, receiver) = bounded(4);
        let ledger = self.clone();
        let open = Box::new(move || Ok(Box::new(ledger.clone()) as Box<dyn Store>));
        (Writer::start(open, receiver, params).expect("the writer starts"), sender)
    }
}

impl Store for Ledger {
    fn commit(&mut self, batch: &Batch, _now: Timestamp) -> Result<Committed, StoreError> {
        self.with(|pages| {
            if pages.is_away {
                let (store, reason) = ("ledger".to_owned(), "away".to_owned());
                return Err(StoreError::Away { store, reason });
            }
            let key = (batch.epoch, batch.number);
            let already = !pages.known.insert(key);
            if !already {
                pages.committed.push(key);
                pages.rows += batch.events.len();
                if let Some(file) = &mut pages.file {
                    let line = format!("{} {}\n", batch.epoch.stored(), batch.number);
                    file.write_all(line.as_bytes()).expect("the ledger takes a line");
                }
            }
            Ok(Committed { already, ..Committed::default() })
        })
    }

    fn maintain_with(
        &mut self,
        _now: Timestamp,
        _expiry: Expiry,
    ) -> Result<Maintained, StoreError> {
        Ok(Maintained::default())
    }

    fn name(&self) -> String {
        "ledger".to_owned()
    }
}

fn params(folder: PathBuf, bytes_max: u64) -> WriterParams {
    let spool = SpoolParams { folder, bytes_max, sync_within: Duration::from_millis(100) };
    WriterParams {
        waiting_max: 0,
        spool: Some(spool),
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        ..WriterParams::default()
    }
}

fn epoch(number: u32) -> Epoch {
    Epoch::new(Timestamp::from_secs(1_790_000_000 + i64::from(number)), number)
}

fn batch(epoch: Epoch, number: u64, rows: u64) -> Batch {
    Batch {
        sensor: "edge-1".into(),
        epoch,
        number,
        begun: Timestamp::from_secs(1_790_000_000),
        detections: Vec::new(),
        events: (0..rows).map(|row| event(number * 10_000 + row)).collect(),
        sessions: Vec::new(),
        incidents: Vec::new(),
        profiles: Vec::new(),
        markers: Vec::new(),
        leftovers: Vec::new(),
        refused: None,
    }
}

fn event(number: u64) -> Event {
    Event {
        number,
        first: Timestamp::from_secs(1_790_000_000),
        last: Timestamp::from_secs(1_790_000_001),
        source: None,
        destination: None,
        source_port: Some(40_000),
        destination_port: Some(443),
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::Warning,
        count: 3,
        alerts: 0,
        weight: 3,
        bytes: 1500,
        length: 1500,
        sources: 0,
        merged: Merged::Nothing,
        total: 42.5,
        anomaly_score: Some(0.5),
        quantile: Some(0.99),
        in_training_range: Some(true),
        model_risk: 50.0,
        rule_risk: 0.0,
        intel_risk: 0.0,
        floor: Floor::default(),
        features: Some(Default::default()),
        rules: vec![1_000_001],
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "many ports of one host within a minute".into(),
        detection: 1,
        packet: number,
        community_id: Some("1:wCb3OG7yAFWelaUydu0D+125CLM=".into()),
    }
}

/// Waits until the figures are as wanted; they must add up all the while.
fn wait_for(writer: &Writer, wanted: impl Fn(&WriterStats) -> bool) -> WriterStats {
    let begun = Instant::now();
    loop {
        let stats = writer.stats().read();
        assert_eq!(stats.unaccounted(), 0, "{stats:?}");
        if wanted(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{stats:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

// --- a full disk -------------------------------------------------------------------------------------------------------

/// A file system of 2 MiB in memory; unmounted when it goes, also after a panic.
pub(crate) struct SmallDisk(pub(crate) tempfile::TempDir);

impl SmallDisk {
    /// None without the right to mount.
    pub(crate) fn mount() -> Option<Self> {
        let folder = support::folder();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m,mode=700", "phantomnet-test"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_disk_is_counted_and_taken_up_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!(
            "SKIPPED: no right to mount a small disk; store::writer::spool::tests::a_full_disk_refuses_and_takes_again_when_there_is_room does this with an injected error"
        );
        return;
    };
    let ledger = Ledger::default();
    ledger.stay_away(true);
    // Somebody else's file fills most of the disk.
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let (writer, sender) = ledger.start(&params(disk.0.path().join("spool"), 1 << 30));
    let epoch = epoch(1);
    for number in 1..=200 {
        sender.send(batch(epoch, number, 50)).unwrap();
    }
    let full = wait_for(&writer, |stats| stats.received.batches == 200);
    assert!(full.refused_io.batches > 0, "{full:?}");
    assert!(full.spooled.batches > 0, "{full:?}");
    assert!(full.spool_error.is_some());
    assert_eq!(full.refused_bound.batches + full.refused_corrupt.batches, 0);
    // Room returns, and it is used by itself.
    fs::remove_file(&ballast).unwrap();
    sender.send(batch(epoch, 201, 50)).unwrap();
    let taken = wait_for(&writer, |stats| stats.received.batches == 201);
    assert_eq!(taken.spooled.batches, full.spooled.batches + 1, "{taken:?}");
    wait_for(&writer, |stats| stats.spool_error.is_none());
    // Full again, to the last byte: what was acknowledged can be let go of all the same.
    let mut filler = File::create(&ballast).unwrap();
    while filler.write_all(&[1; 512]).is_ok() {}
    ledger.stay_away(false);
    wait_for(&writer, |stats| stats.spooled.batches == 0 && stats.spool_segments == 0);
    drop(sender);
    assert!(writer.finish().is_none());
    let committed = ledger.committed();
    assert!(committed.is_sorted());
    assert_eq!(committed.len() as u64, taken.spooled.batches);
    // And it starts on a full disk.
    let (writer, sender) = ledger.start(&params(disk.0.path().join("spool"), 1 << 30));
    drop(sender);
    assert!(writer.finish().is_none());
}

// --- kill -9 -----------------------------------------------------------------------------------------------------------

/// Never reached: what a full spool refuses is counted in a process that will not tell.
const BOUND: u64 = 4 << 30;

const CHILD: &str = "PHANTOMNET_TEST_SPOOL_CHILD";

/// Not a test of its own: what the processes do that are killed. They write to a spool and to a store that comes and
/// goes, and write down how many batches are safe.
#[test]
fn child_that_will_be_killed() {
    let Some(told) = std::env::var_os(CHILD) else { return };
    let folder = PathBuf::from(told);
    let run: u32 = fs::read_to_string(folder.join("run")).unwrap().parse().unwrap();
    let ledger = Ledger::in_file(&folder.join("ledger"));
    ledger.stay_away(!run.is_multiple_of(3));
    let (writer, sender) = ledger.start(&params(folder.join("spool"), BOUND));
    let stats = writer.stats().clone();
    let mut safe = File::create(folder.join(format!("safe-{run}"))).unwrap();
    thread::spawn(move || {
        let mut received = 0;
        while writeln!(safe, "{received}").is_ok() {
            thread::sleep(Duration::from_micros(300));
            let stats = stats.read();
            // A kill may tear the record that was being written, which nobody had called safe: the next start says so.
            let torn = if stats.refused_corrupt.batches == 1 {
                stats.refused_corrupt
            } else {
                Tally::default()
            };
            if stats.refused() != torn {
                writeln!(File::create(folder.join("refused")).unwrap(), "{run}: {stats:?}")
                    .unwrap();
            } else if stats.waiting.batches == 0 {
                received = stats.received.batches - stats.found.batches;
            }
        }
    });
    for number in 1_u64.. {
        if number.is_multiple_of(40) {
            ledger.stay_away(number.is_multiple_of(80));
        }
        sender.send(batch(epoch(run), number, number % 30)).unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_called_safe() {
    let folder = support::folder();
    let mut dice = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(9);
    let mut promised = Vec::new();
    let kills = 50;
    for run in 1..=kills {
        fs::write(folder.path().join("run"), run.to_string()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "spool::child_that_will_be_killed", "--test-threads", "1"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // From the moment that it does something.
        let safe = folder.path().join(format!("safe-{run}"));
        let begun = Instant::now();
        while fs::metadata(&safe).map_or(0, |about| about.len()) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "run {run} did not begin");
            assert!(child.try_wait().unwrap().is_none(), "run {run} ended by itself");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(dice.gen_range(0..120)));
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = fs::read_to_string(&safe).unwrap();
        let last = lines.split_inclusive('\n').rfind(|line| line.ends_with('\n'));
        promised.push((epoch(run), last.unwrap().trim().parse::<u64>().unwrap()));
    }
    let refused = fs::read_to_string(folder.path().join("refused")).unwrap_or_default();
    assert_eq!(refused, "", "nothing stood in the way of what was written");
    let ledger = Ledger::in_file(&folder.path().join("ledger"));
    let (writer, sender) = ledger.start(&params(folder.path().join("spool"), BOUND));
    let stats = wait_for(&writer, |stats| stats.spooled.batches == 0);
    assert_eq!(stats.refused(), stats.refused_corrupt, "{stats:?}");
    assert!(stats.refused_corrupt.batches <= 1, "no more than the last kill has torn: {stats:?}");
    drop(sender);
    assert!(writer.finish().is_none());
    let committed = ledger.committed();
    for (epoch, safe) in &promised {
        let of_epoch: Vec<u64> =
            committed.iter().filter(|(each, _)| each == epoch).map(|(_, number)| *number).collect();
        assert!(of_epoch.len() as u64 >= *safe, "{epoch}: {} of {safe}", of_epoch.len());
        assert_eq!(of_epoch, (1..=of_epoch.len() as u64).collect::<Vec<_>>(), "{epoch}");
    }
    let safe: u64 = promised.iter().map(|(_, safe)| safe).sum();
    eprintln!("{kills} kills, {safe} batches called safe, {} committed, 0 lost", committed.len());
}

// --- speed -------------------------------------------------------------------------------------------------------------

/// Not a benchmark: the build is one for development, the disk is that of the target folder.
#[test]
fn the_spool_takes_and_gives_several_times_what_arrives() {
    const ROWS: u64 = 2_000;
    const BATCHES: u64 = 60;
    let folder = support::folder();
    let ledger = Ledger::default();
    ledger.stay_away(true);
    let (writer, sender) = ledger.start(&params(folder.path().join("spool"), 1 << 30));
    let batches: Vec<Batch> = (1..=BATCHES).map(|n| batch(epoch(1), n, ROWS)).collect();
    let begun = Instant::now();
    for batch in batches {
        sender.send(batch).unwrap();
    }
    let stats = wait_for(&writer, |stats| stats.spooled.batches == BATCHES);
    let into = begun.elapsed().as_secs_f64();
    let megabytes = stats.spool_bytes as f64 / 1e6;
    let begun = Instant::now();
    ledger.stay_away(false);
    wait_for(&writer, |stats| stats.spooled.batches == 0);
    let out = begun.elapsed().as_secs_f64();
    drop(sender);
    assert!(writer.finish().is_none());
    let (batches, rows) = (BATCHES as f64, (BATCHES * ROWS) as f64);
    eprintln!(
        "development build, {megabytes:.1} MB: in {:.1} batches/s, {:.1} MB/s, {:.0} events/s; out {:.1} batches/s, {:.1} MB/s, {:.0} events/s",
        batches / into,
        megabytes / into,
        rows / into,
        batches / out,
        megabytes / out,
        rows / out,
    );
}
