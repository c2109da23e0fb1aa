//! One detection takes the place of another while packets come: at one packet, for everybody, and nothing is lost or mistaken.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use phantomnet::capture::{Batch, FrameSource, LinkType, Received, TURN_FRAMES_MAX};
use phantomnet::cli::reloader::{Reloaded, Reloader, Replaced};
use phantomnet::cli::setup;
use phantomnet::collect::Sink;
use phantomnet::config::Config;
use phantomnet::latest::Publisher;
use phantomnet::sensor::{self, Live, SensorParams, Watched};
use phantomnet::synth::{Attack, Generator, Plan};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, InForce, Verdict};
use phantomnet::worker::WhenFull;

use crate::support::folder;

/// Packets are so far apart, nanoseconds.
const STEP: i64 = 50_000;

const PACKETS: u64 = 12_000;

/// When the packet of this number (from 1 on) comes.
fn time_of(number: u64) -> Timestamp {
    Timestamp::from_secs(1_790_000_000).plus_nanos(i64::try_from(number).unwrap() * STEP)
}

/// Traffic with every attack in it, each frame at a time of its own.
fn frames() -> Vec<Vec<u8>> {
    let plan = Plan::new(PACKETS, 5).with_attacks(&Attack::ALL);
    Generator::new(&plan).unwrap().map(|labelled| labelled.frame).collect()
}

/// Two detections that differ in everything but decoys: in rules whose numbers and places differ, in what is known of addresses, in policy.
struct Two {
    folder: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let folder = folder();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "other.rules",
            "alert udp any any -> any any (msg:\"udp\"; sid:77000001; metadata: risk 30;)\n\
             alert tcp any any -> any any (msg:\"many\"; flags:S; sid:77000002; metadata: risk 70; \
             threshold: type both, track by_dst, count 20, seconds 10;)\n\
             alert tcp any any -> any any (msg:\"syn\"; flags:S; sid:77000003; metadata: risk 55;)\n",
        );
        write("feed.txt", "10.20.0.0/24 ours\n");
        Self { folder }
    }

    fn config(&self, text: &str) -> Config {
        Config::parse(text, &self.folder.path().join("c.toml")).unwrap()
    }

    fn first(&self) -> Detection {
        setup::load_detection(&self.config(""), Timestamp::EPOCH).unwrap()
    }

    fn other_config(&self) -> Config {
        self.config(
            "rules.files = ['other.rules']\npolicy.model_quantile = 0.9\n\
             [[intel.feeds]]\npath = 'feed.txt'\nrisk = 40\n",
        )
    }

    fn second(&self) -> Detection {
        setup::load_detection(&self.other_config(), Timestamp::EPOCH).unwrap()
    }
}

/// What was judged: the verdict, and the rules that it names by their own numbers.
type Judged = BTreeMap<(u64, bool), (Verdict, Vec<u32>)>;

#[derive(Default)]
struct Kept(Judged);

impl Sink for Kept {
    fn name(&self) -> String {
        "the test".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, detection: &Detection) -> io::Result<()> {
        assert_eq!(verdict.detection, detection.version(), "named by another than judged it");
        let rules = detection.rules_at(verdict.rules()).map(|rule| rule.sid).collect();
        // Indices are those of a detection; its numbers of rules say the same.
        let verdict = Verdict { rules: [0; 12], ..*verdict };
        let key = (verdict.digest.sequence, verdict.is_of_victim());
        assert!(self.0.insert(key, (verdict, rules)).is_none(), "{key:?} was judged twice");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What makes a source stand still: nothing is received from the packet of this number on before the change of this number has come.
type Holds = Vec<(u64, usize)>;

/// Every `of`th frame, from the `nth` on.
struct Queue<'a> {
    frames: &'a [Vec<u8>],
    nth: u64,
    of: u64,
    next: u64,
    holds: Holds,
    changes: &'a AtomicUsize,
    waiting: &'a AtomicUsize,
    waits: bool,
}

impl Queue<'_> {
    fn number(&self) -> u64 {
        self.nth + self.next * self.of + 1
    }

    fn is_held(&self) -> bool {
        let changes = self.changes.load(Ordering::Acquire);
        self.holds.iter().any(|(from, change)| self.number() >= *from && changes < *change)
    }
}

impl FrameSource for Queue<'_> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        batch.begin_every(self.next, self.number(), self.of);
        while batch.len() < TURN_FRAMES_MAX / 4
            && !self.is_held()
            && let Ok(at) = usize::try_from(self.number() - 1)
            && let Some(frame) = self.frames.get(at)
        {
            let length = u32::try_from(frame.len()).unwrap();
            assert!(batch.push(time_of(self.number()), length, LinkType::Ethernet, frame));
            self.next += 1;
        }
        if !batch.is_empty() {
            self.waits = false;
            return Received::Frames;
        }
        if !self.is_held() {
            return Received::End;
        }
        if !self.waits {
            self.waits = true;
            self.waiting.fetch_add(1, Ordering::Release);
        }
        Received::Nothing
    }

    fn horizon(&self) -> Timestamp {
        time_of(self.number())
    }
}

fn params(workers: usize) -> SensorParams {
    setup::sensor_params(&Config::default(), workers).unwrap()
}

/// One worker after the other's packets, turn by turn, where the first detection judges until `from`.
fn replayed(two: &Two, frames: &[Vec<u8>], workers: usize, from: u64) -> Judged {
    let in_force = InForce::first(two.first()).followed_by(Arc::new(two.second()), time_of(from));
    let (changes, waiting) = (AtomicUsize::new(9), AtomicUsize::new(0));
    let source = Queue {
        frames,
        nth: 0,
        of: 1,
        next: 0,
        holds: Vec::new(),
        changes: &changes,
        waiting: &waiting,
        waits: false,
    };
    let mut kept = Kept::default();
    let ended =
        sensor::replay(source, &Publisher::new(in_force), &params(workers), vec![&mut kept]);
    assert_eq!(ended.ledger().unaccounted(), 0);
    kept.0
}

/// Lets go of every queue at the end, also when a change has failed: the test is to fail then, not to hang.
struct Released<'a>(&'a AtomicUsize);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, Ordering::Release);
    }
}

/// The same from as many queues as there are workers, all at once, while `change` is made when all queues stand still, once for each
/// number of a packet in `at`. At every other one of them queues stand still early, up to 300 packets before.
fn queued(
    frames: &[Vec<u8>],
    workers: usize,
    detection: &Publisher<InForce>,
    at: &[u64],
    mut change: impl FnMut(usize, &Watched) + Send,
) -> Judged {
    let (changes, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let of = workers as u64;
    let source = |nth: u64| {
        let held = |(change, from): (usize, &u64)| {
            let early = if change % 2 == 0 { 300 * nth / of } else { 0 };
            (from - early, change + 1)
        };
        let holds = at.iter().enumerate().map(held).collect();
        Queue {
            frames,
            nth,
            of,
            next: 0,
            holds,
            changes: &changes,
            waiting: &waiting,
            waits: false,
        }
    };
    let sources = (0..of).map(source).collect();
    let watched = Watched::new(WhenFull::Wait, sensor::published(workers));
    let live = Live { patience: Duration::from_secs(3_600) };
    let mut kept = Kept::default();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _released = Released(&changes);
            for nth in 0..at.len() {
                while waiting.load(Ordering::Acquire) < (nth + 1) * workers {
                    std::thread::sleep(Duration::from_millis(1));
                }
                change(nth, &watched);
                changes.store(nth + 1, Ordering::Release);
            }
        });
        let sinks: Vec<&mut dyn Sink> = vec![&mut kept];
        sensor::run_queues(sources, live, detection, &params(workers), &watched, sinks, |_| {
            Vec::new()
        })
    });
    assert_eq!(ended.ledger().unaccounted(), 0);
    assert_eq!(ended.counters.late, 0);
    kept.0
}

#[test]
fn a_detection_takes_over_at_one_packet_whoever_looks_at_it() {
    let (two, frames) = (Two::new(), frames());
    let from = 7_001;
    let expected = replayed(&two, &frames, 1, from);
    let [first, second] = [two.first().version(), two.second().version()];
    for ((number, _), (verdict, rules)) in &expected {
        assert_eq!(verdict.detection, if *number < from { first } else { second }, "{number}");
        assert!(rules.iter().all(|sid| (*sid >= 77_000_001) == (*number >= from)), "{rules:?}");
    }
    let named = |number: &u64, sid: u32| {
        expected.range((*number, false)..).any(|(_, (_, rules))| rules.contains(&sid))
    };
    for sid in [77_000_001, 77_000_002, 77_000_003] {
        assert!(named(&from, sid), "rule {sid} fires");
    }

    // The first part, as if there had never been a second.
    let alone = replayed(&two, &frames, 1, PACKETS + 1);
    assert!(expected.range(..(from, false)).eq(alone.range(..(from, false))));

    for workers in [2, 4] {
        assert!(replayed(&two, &frames, workers, from) == expected, "{workers} workers");
    }
    for workers in [1, 2, 4] {
        let detection = Publisher::new(InForce::first(two.first()));
        let change = |_, _: &Watched| {
            let next = detection.current().followed_by(Arc::new(two.second()), time_of(from));
            drop(detection.replace(next));
        };
        let judged = queued(&frames, workers, &detection, &[from], change);
        assert!(judged == expected, "{workers} queues");
    }
}

#[test]
fn detections_follow_one_another_and_each_is_let_go_when_nobody_needs_it() {
    let (two, frames) = (Two::new(), frames());
    // At every other one the next takes over, between them the one before is let go.
    let at = [2_001, 4_001, 5_001, 7_001, 9_001, 11_001];
    for workers in [1, 3] {
        let mut reloader = Reloader::start(&two.config(""), Timestamp::EPOCH).unwrap();
        let detection = Arc::clone(reloader.published());
        let versions = [two.first().version(), two.second().version()];
        let mut before: Option<(Replaced, Weak<Detection>)> = None;
        let change = |nth: usize, watched: &Watched| match before.take() {
            None => {
                let (config, version) = match nth % 4 {
                    0 => (two.other_config(), versions[1]),
                    _ => (two.config(""), versions[0]),
                };
                let old = Arc::downgrade(reloader.published().current().newest());
                let reload = reloader.reload(config, Timestamp::EPOCH, || time_of(at[nth]));
                let Reloaded { version: loaded, replaced, kept } = reload.unwrap();
                assert_eq!((loaded, kept), (version, vec![]));
                before = Some((replaced.expect("it is another one"), old));
            }
            Some((replaced, old)) => {
                assert!(old.strong_count() > 0, "it was at hand for packets of before");
                let began = Instant::now();
                reloader.let_go(replaced, |number| {
                    while watched.settled() < number {
                        assert!(
                            began.elapsed() < Duration::from_secs(60),
                            "nobody moves on to {number}: {:?}, {:?}",
                            watched.settled,
                            watched.published.iter().map(|one| one.settled()).collect::<Vec<_>>()
                        );
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    true
                });
                assert_eq!(old.strong_count(), 0, "somebody holds on to it");
            }
        };
        let judged = queued(&frames, workers, &detection, &at, change);
        for ((number, _), (verdict, _)) in &judged {
            let changes = at.iter().step_by(2).filter(|from| number >= *from).count();
            assert_eq!(verdict.detection, versions[changes % 2], "packet {number}");
        }
    }
}
