//! An interface goes down, comes up, is deleted, made again, gets more queues: the sensor notices, says so, and goes on.

#![cfg(test)]

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use phantomnet::capture::af_xdp::{PortParams, XskPort};

use crate::live::{Sensor, Stopped};
use crate::netns::{self, Wire, numbered_frames};
use crate::support;

/// The settings of each kind of socket.
const KINDS: [&str; 3] = ["require = 'native'", "require = 'generic'", "backend = 'af_packet'"];

/// Ends a sensor and returns how many frames it has judged; everything it saw is accounted for.
fn judged(sensor: Sensor) -> usize {
    let Stopped { rows, audit, log } = sensor.stop();
    assert_eq!(audit["epochs"][0]["ended"], true, "{log}");
    assert_eq!(audit["epochs"][0]["lost"], 0, "{audit}");
    rows.len()
}

/// How many descriptors a process has open.
fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
}

/// How many KiB of memory a process has.
fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Gives the sensor's end of a wire so many receive queues.
fn set_receive_queues(wire: &Wire, count: &str) {
    let end = wire.sensor();
    support::run_well(end.command("ethtool").args(["-L", end.device(), "rx", count]));
}

#[test]
fn an_interface_that_goes_down_and_comes_up_is_noticed_and_received_again() {
    if !netns::available() {
        return;
    }
    for kind in KINDS {
        let wire = Wire::new(2);
        let sensor = Sensor::start(&wire, kind);
        let mut sender = wire.sender();
        sender.send(&numbered_frames(50, 5));
        for times in 1..=3 {
            let began = Instant::now();
            wire.sensor().set("down");
            sensor.wait_until_said("the interface is down", times);
            let noticed = began.elapsed();
            let began = Instant::now();
            wire.sensor().set("up");
            sensor.wait_until_said("frames can come again", times);
            eprintln!("{kind}: down noticed in {noticed:.1?}, back in {:.1?}", began.elapsed());
            sender.send(&numbered_frames(50, 5));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(judged(sensor), 200, "{kind}");
    }
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_received_again() {
    if !netns::available() {
        return;
    }
    for kind in KINDS {
        let mut wire = Wire::new(2);
        let sensor = Sensor::start(&wire, kind);
        wire.sender().send(&numbered_frames(50, 5));
        for times in 1..=3 {
            // What was sent just now is taken before the device goes with its rings.
            std::thread::sleep(Duration::from_millis(100));
            wire.sensor().delete();
            sensor.wait_until_said("the interface is gone", times);
            let began = Instant::now();
            wire.make_again();
            sensor.wait_until_said("frames can come again", times);
            eprintln!("{kind}: received again {:.1?} after it was made again", began.elapsed());
            wire.sender().send(&numbered_frames(50, 5));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(judged(sensor), 200, "{kind}");
    }
}

#[test]
fn flaps_leak_neither_descriptors_nor_memory() {
    if !netns::available() {
        return;
    }
    let mut wire = Wire::new(2);
    let sensor = Sensor::start(&wire, "require = 'native'\nframes = 1024");
    let mut before = None;
    for times in 1..=100 {
        wire.sensor().delete();
        sensor.wait_until_said("the interface is gone", times);
        wire.make_again();
        sensor.wait_until_said("frames can come again", times);
        // The first times warm up what is allocated once.
        if times == 20 {
            before = Some((descriptors(sensor.id()), resident_kib(sensor.id())));
        }
    }
    let (descriptors_before, memory_before) = before.unwrap();
    assert_eq!(descriptors(sensor.id()), descriptors_before);
    let grown = resident_kib(sensor.id()).saturating_sub(memory_before);
    eprintln!("{grown} KiB more after 80 flaps");
    // 80 times two queues of 1,024 places of 2 KiB would be 320 MiB; what grows with the time that it takes is far below this.
    assert!(grown < 16_384, "{grown} KiB more after 80 times");
    wire.sender().send(&numbered_frames(50, 5));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(judged(sensor), 50);
}

#[test]
fn queues_that_are_added_are_received() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(4);
    set_receive_queues(&wire, "2");
    let sensor = Sensor::start(&wire, "require = 'generic'");
    set_receive_queues(&wire, "4");
    sensor.wait_until_said("there are 4 queues now", 1);
    let mut sender = wire.sender();
    for queue in 0..4 {
        sender.send_on(queue, &numbered_frames(25, 5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(judged(sensor), 100);
}

/// Sends frames all the while that `work` is done.
fn under_traffic(wire: &Wire, work: impl FnOnce()) {
    let (mut sender, is_over) = (wire.sender(), AtomicBool::new(false));
    let frames = numbered_frames(50, 16);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                sender.try_send(&frames);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        std::thread::sleep(Duration::from_millis(200));
        // Whatever comes of it, the sender ends.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        std::thread::sleep(Duration::from_millis(200));
        is_over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn an_interface_that_is_deleted_under_traffic_leaves_no_frame_unaccounted_for() {
    if !netns::available() {
        return;
    }
    for kind in KINDS {
        let mut wire = Wire::new(2);
        let sensor = Sensor::start(&wire, kind);
        for times in 1..=3 {
            under_traffic(&wire, || {
                wire.sensor().delete();
                sensor.wait_until_said("the interface is gone", times);
            });
            wire.make_again();
            sensor.wait_until_said("frames can come again", times);
        }
        let before = judged_at_least(sensor, 3 * 50);
        eprintln!("{kind}: {before} frames were judged");
    }
}

/// Ends a sensor that nothing was lost of, and that has judged so many frames or more.
fn judged_at_least(sensor: Sensor, frames: usize) -> usize {
    let judged = judged(sensor);
    assert!(judged >= frames, "{judged} of {frames} frames or more");
    judged
}

#[test]
fn an_mtu_that_grows_under_traffic_exchanges_the_sockets_and_leaves_no_frame_unaccounted_for() {
    if !netns::available() {
        return;
    }
    for kind in ["require = 'native'", "require = 'generic'"] {
        let wire = Wire::new(2);
        let sensor = Sensor::start(&wire, kind);
        under_traffic(&wire, || {
            wire.sensor().set_mtu(2_500);
            sensor.wait_until_said("the MTU has grown", 1);
            sensor.wait_until_said("frames can come again", 1);
            // One that would not fit is refused, and what fits is received on.
            wire.sensor().set_mtu(9_000);
            sensor.wait_until_said("the MTU of mirror0 is 9000", 1);
            wire.sensor().set_mtu(1_500);
            sensor.wait_until_said("can be received as it is now", 1);
        });
        judged_at_least(sensor, 100);
    }
}

#[test]
fn an_interface_that_is_made_again_and_comes_up_later_is_received_when_it_is_up() {
    if !netns::available() {
        return;
    }
    for kind in KINDS {
        let mut wire = Wire::new(2);
        let sensor = Sensor::start(&wire, kind);
        wire.sender().send(&numbered_frames(50, 5));
        std::thread::sleep(Duration::from_millis(100));
        wire.sensor().delete();
        sensor.wait_until_said("the interface is gone", 1);
        wire.make_again_down();
        // One kind of socket is bound and waits, the other is refused until it is up.
        sensor.wait_until_said(" is down", 1);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(sensor.log().matches("frames can come again").count(), 0, "{kind}");
        wire.sensor().set("up");
        sensor.wait_until_said("frames can come again", 1);
        wire.sender().send(&numbered_frames(50, 5));
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(judged(sensor), 100, "{kind}");
    }
}

#[test]
fn a_queue_that_somebody_else_holds_is_refused_and_received_when_it_is_free() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(4);
    let end = wire.sensor();
    set_receive_queues(&wire, "2");
    let sensor = Sensor::start(&wire, "require = 'generic'");
    set_receive_queues(&wire, "4");
    let params =
        PortParams { frames: 256, frame_bytes: 2_048, zero_copy: false, busy_poll_micros: 0 };
    // If the sensor was there before, the queue is taken already, and there is nothing to see.
    let bound = end.enter(|| XskPort::bind(end.device(), end.index(), 3, &params));
    if let Ok(held) = bound {
        sensor.wait_until_said("no AF_XDP socket on queue 3", 1);
        drop(held);
    }
    sensor.wait_until_said("there are 4 queues now, and all are received", 1);
    let mut sender = wire.sender();
    for queue in 0..4 {
        sender.send_on(queue, &numbered_frames(25, 5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(judged(sensor), 100);
}

#[test]
fn queues_beyond_the_places_for_sockets_are_said_and_their_frames_counted() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(8);
    set_receive_queues(&wire, "1");
    let sensor = Sensor::start(&wire, "require = 'generic'");
    set_receive_queues(&wire, "8");
    sensor.wait_until_said("there are 8 queues now, and the first 5 are received", 1);
    let mut sender = wire.sender();
    // The kernel takes the number of the sending queue for that of the receiving one plus 1.
    sender.send_on(2, &numbered_frames(20, 5));
    sender.send_on(7, &numbered_frames(30, 5));
    std::thread::sleep(Duration::from_millis(100));
    let Stopped { rows, log, .. } = sensor.stop();
    assert_eq!(rows.len(), 20, "{log}");
    assert!(log.contains(r#""without_socket":30"#), "{log}");
}
