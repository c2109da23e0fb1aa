//! An interface goes down, comes up, is deleted, made again, gets more queues: the sensor notices, says so, and goes on.

#![cfg(test)]

use std::fs;
use std::time::{Duration, Instant};

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
    let set_queues = |count: &str| {
        let end = wire.sensor();
        support::run_well(end.command("ethtool").args(["-L", end.device(), "rx", count]));
    };
    set_queues("2");
    let sensor = Sensor::start(&wire, "require = 'generic'");
    set_queues("4");
    sensor.wait_until_said("there are 4 queues now", 1);
    let mut sender = wire.sender();
    for queue in 0..4 {
        sender.send_on(queue, &numbered_frames(25, 5));
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(judged(sensor), 100);
}
