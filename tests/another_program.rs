//! XDP programs of others: left alone, replaced where that is asked for; and the sensor's own, which somebody takes off.

#![cfg(test)]
#![expect(unsafe_code, reason = "cutting a BPF link takes bpf(2), which has no safe form")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use phantomnet::capture::af_xdp::{
    AttachMode, NoSocket, PortParams, ProgramParams, XdpProgram, XskPort,
};
use phantomnet::capture::interface::Interface;

use crate::live::{Sensor, Stopped};
use crate::netns::{self, Wire, numbered_frames};
use crate::support;

/// Within which time a sensor notices what was done to its program, and mends it.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

fn programs(wire: &Wire) -> Vec<u32> {
    let end = wire.sensor();
    end.enter(|| Interface::find(end.device())).unwrap().xdp_programs
}

/// Attaches somebody's program by netlink, as iproute2 does; `how` is `xdpdrv` or `xdpgeneric`. Any program will do.
fn attach_another(wire: &Wire, how: &str) -> u32 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capture/af_xdp/program");
    let end = wire.sensor();
    let mut ip = end.command("ip");
    ip.args(["link", "set", "dev", end.device(), how, "obj"]);
    support::run_well(ip.arg(folder.join("redirect.bpf.o")).args(["sec", "xdp"]));
    *programs(wire).first().expect("it is attached")
}

fn take_off(wire: &Wire, how: &str) {
    let end = wire.sensor();
    support::run_well(end.command("ip").args(["link", "set", "dev", end.device(), how, "off"]));
}

/// Does what `bpftool link detach` does: the link stays, and holds nothing any more.
fn cut_link_of(process: u32) {
    const GET_DESCRIPTOR_BY_ID: libc::c_int = 30;
    const DETACH: libc::c_int = 34;
    let call = |command: libc::c_int, number: u32| {
        let attributes: [u32; 3] = [number, 0, 0];
        // SAFETY: the kernel reads twelve bytes at that address during the call, and keeps no address.
        let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, 12) };
        u32::try_from(answer).unwrap_or_else(|_| panic!("{}", std::io::Error::last_os_error()))
    };
    let shown = fs::read_dir(format!("/proc/{process}/fdinfo")).unwrap();
    let shown = shown.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let link = shown.filter(|text| text.contains("link_type:\txdp")).find_map(|text| {
        text.lines().find_map(|line| line.strip_prefix("link_id:\t")?.trim().parse().ok())
    });
    let descriptor = call(GET_DESCRIPTOR_BY_ID, link.expect("the sensor holds a link"));
    call(DETACH, descriptor);
    // SAFETY: it was made above, and nobody else knows it.
    unsafe { libc::close(i32::try_from(descriptor).unwrap()) };
}

/// Waits for the message, which must come in time.
fn is_said(sensor: &Sensor, message: &str, times: usize) {
    let began = Instant::now();
    sensor.wait_until_said(message, times);
    let took = began.elapsed();
    assert!(took < NOTICED_WITHIN, "{message}: after {took:?}");
}

#[test]
fn another_program_is_left_alone_unless_the_sensor_is_told_to_replace_it() {
    if !netns::available() {
        return;
    }
    for how in ["xdpdrv", "xdpgeneric"] {
        let wire = Wire::new(2);
        let another = attach_another(&wire, how);
        let (code, said) = Sensor::begin(&wire, "").ended();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("id {another}")), "it is named: {said}");
        assert!(said.contains("--replace"), "and what can be done: {said}");
        assert_eq!(programs(&wire), [another], "it is still there");

        let sensor = Sensor::start(&wire, "replace = true");
        let told = format!("the XDP program that was attached (id {another}) was taken off");
        assert!(sensor.log().contains(&told), "{}", sensor.log());
        assert!(!programs(&wire).contains(&another));
        wire.sender().send(&numbered_frames(50, 5));
        std::thread::sleep(Duration::from_millis(100));
        let Stopped { rows, log, .. } = sensor.stop();
        assert_eq!(rows.len(), 50, "{log}");
        assert_eq!(programs(&wire), [0; 0], "it is not put back, and the sensor's is gone");
    }
}

#[test]
fn another_program_stays_when_the_sensor_would_get_no_socket() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let another = attach_another(&wire, "xdpdrv");
    let end = wire.sensor();
    let params =
        PortParams { frames: 256, frame_bytes: 2_048, zero_copy: false, busy_poll_micros: 0 };
    let held = end.enter(|| XskPort::bind(end.device(), end.index(), 1, &params)).unwrap();
    // Packet sockets would see nothing behind a program that takes the frames: they are no way out.
    for backend in ["backend = 'af_xdp'\nrequire = 'native'", "backend = 'auto'"] {
        let (code, said) = Sensor::begin(&wire, &format!("replace = true\n{backend}")).ended();
        assert_eq!(code, Some(1), "{backend}: {said}");
        assert!(said.contains("no AF_XDP socket on queue 1"), "{backend}: {said}");
        assert!(said.contains("another AF_XDP socket has the queue"), "{backend}: {said}");
        assert_eq!(programs(&wire), [another], "nobody's program goes for nothing");
    }
    drop(held);
}

#[test]
fn another_program_that_was_taken_off_in_vain_is_said_to_be_gone() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let end = wire.sensor();
    // A veth device runs no program itself that has fewer receiving queues than its peer has sending ones.
    support::run_well(end.command("ethtool").args(["-L", end.device(), "rx", "1"]));
    let another = attach_another(&wire, "xdpgeneric");
    let (code, said) =
        Sensor::begin(&wire, "replace = true\nbackend = 'af_xdp'\nrequire = 'native'").ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("takes no XDP program in native mode"), "{said}");
    let gone = format!("that was there (id {another}) was taken away by then, and is not put back");
    assert!(said.contains(&gone), "{said}");
    assert_eq!(programs(&wire), [0; 0], "and nothing of the sensor is left");
}

#[test]
fn a_program_that_a_link_holds_is_not_replaced_and_its_holder_is_named() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let end = wire.sensor();
    let held = end.enter(|| {
        let params = ProgramParams { no_socket: NoSocket::Drop, stamps: true, ignored: Vec::new() };
        let mut program = XdpProgram::load(&params).unwrap();
        program.attach(end.device(), end.index(), AttachMode::Native).unwrap();
        program
    });
    let (code, said) = Sensor::begin(&wire, "replace = true").ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("id {}", held.id())), "{said}");
    assert!(said.contains(&format!("({})", std::process::id())), "who holds it is named: {said}");
    assert_eq!(programs(&wire), [held.id()]);
}

#[test]
fn a_program_that_is_taken_off_is_missed_and_attached_again() {
    if !netns::available() {
        return;
    }
    for mode in ["native", "generic"] {
        let wire = Wire::new(2);
        let sensor = Sensor::start(&wire, &format!("require = '{mode}'"));
        let mut sender = wire.sender();
        sender.send(&numbered_frames(50, 5));
        for times in 1..=3 {
            cut_link_of(sensor.id());
            is_said(&sensor, "the sensor's XDP program was taken off the interface", times);
            is_said(&sensor, "frames can come again", times);
            sender.send(&numbered_frames(50, 5));
        }
        std::thread::sleep(Duration::from_millis(100));
        let Stopped { rows, audit, log } = sensor.stop();
        assert_eq!(rows.len(), 200, "{mode}: {log}");
        assert_eq!(audit["epochs"][0]["lost"], 0, "{audit}");
    }
}

#[test]
fn another_program_in_the_place_of_the_sensors_is_named_and_waited_for() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    // Also where another one is replaced at the start: two programs that replace one another would never end.
    let sensor = Sensor::start(&wire, "replace = true");
    let mut sender = wire.sender();
    sender.send(&numbered_frames(50, 5));
    std::thread::sleep(Duration::from_millis(100));
    // So fast that the sensor finds another one there, rather than none.
    support::signal("STOP", sensor.id());
    cut_link_of(sensor.id());
    let another = attach_another(&wire, "xdpdrv");
    support::signal("CONT", sensor.id());
    is_said(&sensor, "the sensor's XDP program was taken off the interface", 1);
    is_said(&sensor, &format!("has another XDP program now (id {another})"), 1);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(programs(&wire), [another]);
    // It goes down and comes up meanwhile: still nothing comes.
    wire.sensor().set("down");
    is_said(&sensor, "the interface is down", 1);
    wire.sensor().set("up");
    is_said(&sensor, "the sensor's XDP program was taken off the interface", 2);
    assert_eq!(sensor.log().matches("frames can come again").count(), 0, "{}", sensor.log());
    take_off(&wire, "xdpdrv");
    is_said(&sensor, "frames can come again", 1);
    sender.send(&numbered_frames(50, 5));
    std::thread::sleep(Duration::from_millis(100));
    let Stopped { rows, log, .. } = sensor.stop();
    assert_eq!(rows.len(), 100, "{log}");
    assert_eq!(log.matches("has another XDP program now").count(), 1, "said once: {log}");
}

#[test]
fn a_sensor_that_waits_for_a_queue_ends_at_once_when_it_is_told_to() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let end = wire.sensor();
    let params =
        PortParams { frames: 256, frame_bytes: 2_048, zero_copy: false, busy_poll_micros: 0 };
    let held = end.enter(|| XskPort::bind(end.device(), end.index(), 0, &params)).unwrap();
    let sensor = Sensor::begin(&wire, "backend = 'af_xdp'");
    // It tries three modes, a second each, as soon as its program is loaded.
    let descriptors = PathBuf::from(format!("/proc/{}/fd", sensor.id()));
    let began = Instant::now();
    let has_loaded = || {
        let open = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target.to_string_lossy().contains("bpf-prog"))
    };
    while !has_loaded() {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", sensor.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    support::signal("TERM", sensor.id());
    sensor.wait_until_said("told to end before frames were received", 1);
    let noticed = asked.elapsed();
    assert!(noticed < Duration::from_secs(1), "{noticed:?}: {}", sensor.log());
    let (code, said) = sensor.ended();
    assert_eq!(code, Some(0), "it was told to end: {said}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}: {said}", asked.elapsed());
    drop(held);
}
