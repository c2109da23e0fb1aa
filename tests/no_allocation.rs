//! A worker allocates nothing after its first turns, wherever its frames come from. A program of its own, because it counts every
//! allocation there is; and a single test, because another would allocate meanwhile.

#![cfg(test)]

#[expect(dead_code, reason = "other tests use more of it")]
mod netns;
#[expect(dead_code, reason = "other tests use more of it")]
mod support;

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phantomnet::capture::af_packet::{AfPacketCapture, AfPacketParams, AfPacketSource};
use phantomnet::capture::af_xdp::{
    AfXdpCapture, AfXdpParams, Mode, NoSocket, ProgramParams, XskPort,
};
use phantomnet::capture::interface::Interface;
use phantomnet::capture::live::{LiveClock, LiveSource, QueueStatus};
use phantomnet::capture::{Batch, FrameSource, Received};
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::counters::Counters;
use phantomnet::handover::{self, Order};
use phantomnet::latest::Publisher;
use phantomnet::owner::{Owner, Placement};
use phantomnet::ring;
use phantomnet::synth::{Attack, GeneratedFrames, Plan};
use phantomnet::time::Timestamp;
use phantomnet::verdict::InForce;
use phantomnet::worker::{Leaving, Parts, WhenFull, Worker};
use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

use netns::{Wire, numbered_frames};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Turns after which nothing may be allocated any more.
const WARM_UP_TURNS: usize = 8;

/// A source, and what had been allocated when the warm-up was over and when it ended.
struct Counted<S> {
    source: S,
    turns: usize,
    warm: Option<Stats>,
    end: Option<Stats>,
}

impl<S: FrameSource> FrameSource for Counted<S> {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        if self.turns == WARM_UP_TURNS {
            self.warm.get_or_insert_with(|| ALLOCATOR.stats());
        }
        let received = self.source.receive(batch);
        match received {
            Received::Frames => self.turns += 1,
            Received::Nothing => {}
            Received::End => {
                self.end.get_or_insert_with(|| ALLOCATOR.stats());
            }
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

/// Batches made beforehand.
struct Prepared(std::vec::IntoIter<Batch>);

impl FrameSource for Prepared {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        let Some(mut next) = self.0.next() else { return Received::End };
        std::mem::swap(batch, &mut next);
        // Freed later: this test counts what the worker does, not what its source does.
        std::mem::forget(next);
        Received::Frames
    }
}

fn prepared() -> Prepared {
    let plan = Plan::new(40_000, 3).with_attacks(&Attack::ALL);
    let mut frames = GeneratedFrames::new(&plan).expect("the plan is a good one");
    let mut batches = Vec::new();
    loop {
        let mut batch = Batch::new();
        if frames.receive(&mut batch) != Received::Frames {
            break;
        }
        batches.push(batch);
    }
    Prepared(batches.into_iter())
}

/// How many frames wait on a wire for a worker.
const ON_THE_WIRE: u32 = 12_000;

/// Sends frames that nobody takes yet, and waits until the kernel has put all of them into rings.
fn send(wire: &Wire, mut status: impl FnMut() -> Vec<QueueStatus>) {
    wire.sender().send(&numbered_frames(ON_THE_WIRE, 64));
    let began = Instant::now();
    let mut seen = || status().iter().map(|queue| queue.counts.seen).sum::<u64>();
    while seen() < u64::from(ON_THE_WIRE) {
        assert!(began.elapsed() < Duration::from_secs(10), "{} came", seen());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An `AF_XDP` socket with frames in its ring, which ends when they are taken.
fn af_xdp(wire: &Wire) -> (AfXdpCapture, LiveSource<XskPort>) {
    let end = wire.sensor();
    let params = AfXdpParams {
        modes: vec![Mode::Native],
        frames: 16_384,
        busy_poll_micros: 0,
        program: ProgramParams { no_socket: NoSocket::Drop, stamps: true, ignored: Vec::new() },
        replace: false,
    };
    let opened = end.enter(|| {
        let interface = Interface::find(end.device()).expect("the wire is there");
        AfXdpCapture::open(interface, params, 1, LiveClock::start(), Arc::default())
    });
    let (mut capture, mut sources) = opened.expect("the device can do it");
    send(wire, || capture.status().expect("the kernel tells"));
    capture.stop(Duration::from_millis(5));
    (capture, sources.pop().expect("one worker, one source"))
}

/// The same with a packet socket.
fn af_packet(wire: &Wire) -> (AfPacketCapture, LiveSource<AfPacketSource>) {
    let end = wire.sensor();
    let on = AfPacketParams::on(end.index());
    // Blocks that are handed over early would hold few frames each, and be used up.
    let params = AfPacketParams { blocks: 64, block_bytes: 1 << 18, retire_millis: 100, ..on };
    let opened = end.enter(|| {
        let interface = Interface::find(end.device()).expect("the wire is there");
        AfPacketCapture::open(interface, params, 1, LiveClock::start())
    });
    let (mut capture, mut sources) = opened.expect("it is up");
    send(wire, || capture.status().expect("the kernel tells"));
    capture.stop().expect("the kernel has no reason to refuse");
    (capture, sources.pop().expect("one worker, one source"))
}

/// A worker judges all that the source gives. What it counted; how many verdicts it reported.
fn judge<S: FrameSource>(source: S, order: Order) -> (Counters, usize) {
    let config = Config::default();
    let params = setup::sensor_params(&config, 1).unwrap();
    let detection =
        Publisher::new(InForce::first(setup::load_detection(&config, Timestamp::EPOCH).unwrap()));
    let placement = Placement::new(params.keyer, 1);
    let (outlet, mut inlet) = ring::reports(1 << 18);
    let mut worker = Worker::new(Parts {
        source: Counted { source, turns: 0, warm: None, end: None },
        handover: handover::mesh(1, order).pop().unwrap(),
        owner: Owner::new(0, placement, &params.owner),
        detection: detection.reader(),
        verdicts: outlet,
        when_full: WhenFull::Wait,
        published: Arc::default(),
        started: Instant::now(),
    });
    worker.run();
    let finished = worker.leave(Leaving::InOrder);
    assert_eq!(
        finished.counters.scored,
        finished.counters.taken - finished.counters.not_ip,
        "everything was judged"
    );
    let (warm, end) = (finished.source.warm.unwrap(), finished.source.end.unwrap());
    let since = end - warm;
    assert_eq!((since.allocations, since.reallocations), (0, 0), "{since:?}");
    (finished.counters, std::iter::from_fn(|| inlet.take()).count())
}

#[test]
fn a_worker_allocates_nothing_after_its_first_turns() {
    let (counters, reported) = judge(prepared(), Order::Turns);
    assert_eq!(counters.taken, 40_000);
    assert!(counters.victims > 0, "counting by destination was part of it");
    assert!(reported > 39_000);
    if !netns::available() {
        return;
    }
    let by_time = Order::Time { patience_nanos: 20_000_000 };
    let wire = Wire::new(1);
    let (capture, source) = af_xdp(&wire);
    let (counters, _) = judge(source, by_time);
    assert_eq!(counters.taken, u64::from(ON_THE_WIRE));
    drop(capture);
    let (capture, source) = af_packet(&wire);
    let (counters, _) = judge(source, by_time);
    assert_eq!(counters.taken, u64::from(ON_THE_WIRE));
    drop(capture);
}
