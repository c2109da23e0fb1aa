//! A flood from forged addresses: the sensor grows by nothing, and knows afterwards who was there before.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use phantomnet::capture::{Batch, FrameSource, LinkType, Received};
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::features::index;
use phantomnet::latest::Publisher;
use phantomnet::sensor;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, InForce, Verdict};
use phantomnet::{collect::Sink, sensor::SensorParams};

/// How often each honest host sends before the flood.
const BEFORE: u32 = 100;

/// Between two packets: a million a second.
const GAP_NANOS: i64 = 1_000;

/// From Ethernet to TCP, 10.0.0.0 to 10.255.0.1, port 443. Check sums are not looked at.
const SEGMENT: [u8; 54] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, // Ethernet
    0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 0, 10, 255, 0, 1, // IPv4
    0x9c, 0x40, 1, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, ACK, 4, 0, 0, 0, 0, 0, // TCP
];
const SOURCE: std::ops::Range<usize> = 26..30;
const FLAGS: usize = 47;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// Honest hosts that send, then connections begun from forged addresses, each once, then every honest host once more.
struct Flood {
    hosts: u32,
    forged: u32,
    sent: u32,
    turn: u64,
    /// When the flood began and when it ended, and how many bytes were resident then.
    borders: Vec<(Instant, u64)>,
    began: Option<Instant>,
}

impl Flood {
    const fn new(hosts: u32, forged: u32) -> Self {
        Self { hosts, forged, sent: 0, turn: 0, borders: Vec::new(), began: None }
    }

    const fn flood_begins(&self) -> u32 {
        self.hosts * BEFORE
    }

    const fn flood_ends(&self) -> u32 {
        self.flood_begins() + self.forged
    }

    /// The source and the flags of the `nth` packet.
    fn packet(&self, nth: u32) -> ([u8; 4], u8) {
        let host = |nth: u32| ((10 << 24) | (nth % self.hosts)).to_be_bytes();
        if nth < self.flood_begins() {
            (host(nth), ACK)
        } else if nth < self.flood_ends() {
            // An odd factor leaves numbers that differ different: each address comes once, and none is a host's.
            let scattered = (nth - self.flood_begins()).wrapping_mul(0x9e37_79b1) % (1 << 30);
            (((1 << 30) | scattered).to_be_bytes(), SYN)
        } else {
            (host(nth - self.flood_ends()), ACK)
        }
    }
}

impl FrameSource for Flood {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        self.began.get_or_insert_with(Instant::now);
        let borders = [self.flood_begins(), self.flood_ends()];
        if borders.get(self.borders.len()).is_some_and(|&border| self.sent == border) {
            self.borders.push((Instant::now(), resident_bytes()));
        }
        let end = self.flood_ends() + self.hosts;
        let until = borders.into_iter().find(|&border| self.sent < border).unwrap_or(end);
        if self.sent == end {
            return Received::End;
        }
        batch.begin(self.turn, u64::from(self.sent) + 1);
        self.turn += 1;
        let mut frame = SEGMENT;
        while self.sent < until {
            let (source, flags) = self.packet(self.sent);
            frame[SOURCE].copy_from_slice(&source);
            frame[FLAGS] = flags;
            let time =
                Timestamp::from_secs(1_790_000_000).plus_nanos(GAP_NANOS * i64::from(self.sent));
            if !batch.push(time, 60, LinkType::Ethernet, &frame) {
                break;
            }
            self.sent += 1;
        }
        Received::Frames
    }
}

/// Counts the hosts whose first packet after the flood is not the first of their session.
struct StillKnown {
    after: u64,
    known: u32,
}

impl Sink for StillKnown {
    fn name(&self) -> String {
        "hosts".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, _: &Detection) -> io::Result<()> {
        let is_after = !verdict.is_of_victim() && verdict.digest.sequence > self.after;
        let lasts = verdict.features.0[index::SESSION_DURATION_ESTIMATE] > 0.0;
        self.known += u32::from(is_after && lasts);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Runs the flood through one worker: how many hosts are known afterwards, and the source with its borders.
fn flood(hosts: u32, forged: u32, config: &Config, params: &SensorParams) -> (u32, Flood, f64) {
    let detection = setup::load_detection(config, Timestamp::EPOCH).unwrap();
    let source = Flood::new(hosts, forged);
    let mut still_known = StillKnown { after: u64::from(source.flood_ends()), known: 0 };
    let detection = Publisher::new(InForce::first(detection));
    let replayed = sensor::replay(source, &detection, params, vec![&mut still_known]);
    assert_eq!(replayed.ledger().unaccounted(), 0);
    assert_eq!(replayed.counters.scored, u64::from(hosts * (BEFORE + 1) + forged));
    (still_known.known, replayed.source, replayed.seconds)
}

#[test]
fn who_was_there_before_a_flood_from_forged_sources_is_known_after_it() {
    let (hosts, forged) = (1_000, 300_000);
    let config = Config::default();
    let mut params = setup::sensor_params(&config, 1).unwrap();
    params.owner.sources.sources = 16_384;
    let (known, ..) = flood(hosts, forged, &config, &params);
    assert!(known >= hosts / 100 * 99, "{known} of {hosts}");
}

#[test]
#[ignore = "a measurement, some minutes: cargo test --release --test main spoofed -- --ignored --nocapture"]
fn a_hundred_million_forged_sources_neither_grow_the_sensor_nor_push_out_who_was_there() {
    let (hosts, forged) = (10_000, 100_000_000);
    // Another configuration than the default one, if it is named.
    let named = std::env::var_os("PHANTOMNET_SPOOFED_CONFIG").map(PathBuf::from);
    let config = Config::load(named.as_deref()).unwrap();
    let params = setup::sensor_params(&config, 1).unwrap();
    let (known, source, _) = flood(hosts, forged, &config, &params);
    let [(begins, before), (ends, after)] = source.borders[..] else { panic!("two borders") };
    let rate = |packets: u32, from: Instant, to: Instant| {
        f64::from(packets) / to.duration_since(from).as_secs_f64()
    };
    let quiet = rate(source.flood_begins(), source.began.unwrap(), begins);
    let flooded = rate(forged, begins, ends);
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "resident before {:.1} MiB, after {:.1} MiB ({:+.2} %); packets/s before {quiet:.0}, in the flood {flooded:.0} \
         ({:.0} %); known after it {known} of {hosts} ({:.2} %)",
        mebibytes(before),
        mebibytes(after),
        100.0 * (after as f64 / before as f64 - 1.0),
        100.0 * flooded / quiet,
        100.0 * f64::from(known) / f64::from(hosts),
    );
    assert!((after as f64 / before as f64 - 1.0).abs() <= 0.02);
    assert!(known >= hosts / 100 * 99);
}
