//! Each way in which frames of an interface are lost to the kernel, and the one counter that shows it.

#![cfg(test)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phantomnet::capture::Batch;
use phantomnet::capture::af_xdp::{
    AfXdpCapture, AfXdpError, AfXdpParams, AttachMode, Mode, NoSocket, PortParams, ProgramParams,
    XdpProgram, XskPort, frame_bytes_for,
};
use phantomnet::capture::interface::{Interface, InterfaceError};
use phantomnet::capture::live::{LiveClock, Port as _, QueueCounts, SocketStatistics, Stamper};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::CapabilitySet;

use crate::netns::{self, Sender, Wire, numbered_frames};
use crate::support;

const MODES: [AttachMode; 2] = [AttachMode::Native, AttachMode::Generic];

const PROGRAM: ProgramParams =
    ProgramParams { no_socket: NoSocket::Drop, stamps: true, ignored: Vec::new() };

const PORT: PortParams =
    PortParams { frames: 256, frame_bytes: 2_048, zero_copy: false, busy_poll_micros: 0 };

/// What is done on the sensor's side of a wire.
fn on<T: Send>(wire: &Wire, work: impl FnOnce(&Interface) -> T + Send) -> T {
    let end = wire.sensor();
    end.enter(|| work(&Interface::find(end.device()).expect("the wire is there")))
}

fn bind(interface: &Interface, queue: u32) -> XskPort {
    XskPort::bind(&interface.name, interface.index, queue, &PORT).unwrap()
}

fn attach(interface: &Interface, params: &ProgramParams, mode: AttachMode) -> XdpProgram {
    let mut program = XdpProgram::load(params).unwrap();
    program.attach(&interface.name, interface.index, mode).unwrap();
    program
}

/// A program in this mode, and the socket of queue 0 where its frames go.
fn one_queue(interface: &Interface, mode: AttachMode) -> (XdpProgram, XskPort) {
    let port = bind(interface, 0);
    let mut program = attach(interface, &PROGRAM, mode);
    program.give_socket(0, port.descriptor()).unwrap();
    (program, port)
}

/// Sends frames so that they come on `queue`.
///
/// A veth device that runs the program in generic mode takes the number of the sending queue for that of the receiving one plus 1,
/// as drivers that record it mark it in a packet.
fn send_to(sender: &mut Sender, mode: AttachMode, queue: usize, frames: &[Vec<u8>]) {
    let by = if mode == AttachMode::Generic && queue > 0 { queue + 1 } else { queue };
    sender.send_on(by, frames);
}

/// Everything that a port has now, each frame as it was on the wire.
fn take_all(port: &mut XskPort) -> Vec<Vec<u8>> {
    let (mut batch, mut stamper) = (Batch::new(), Stamper::new(LiveClock::start()));
    let mut frames = Vec::new();
    loop {
        batch.begin(0, 1);
        stamper.begin();
        if port.take(&mut batch, &mut stamper) == 0 {
            return frames;
        }
        stamper.end();
        frames.extend(batch.frames().map(|frame| frame.bytes.to_vec()));
    }
}

/// Waits until the program has seen so many frames of a queue, and a little for what is under way.
fn seen(program: &XdpProgram, queue: u32, frames: u64) -> QueueCounts {
    let began = Instant::now();
    loop {
        let counts = program.counts(queue).unwrap();
        assert_eq!(counts.seen, counts.accounted(), "{counts:?}");
        if counts.seen >= frames {
            std::thread::sleep(Duration::from_millis(20));
            return program.counts(queue).unwrap();
        }
        let all = || (0..4).map(|queue| program.counts(queue).unwrap().seen).collect::<Vec<_>>();
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}: queue {queue} of {:?}: {counts:?} of {frames}",
            program.attached(),
            all()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

const NOTHING_LOST: SocketStatistics =
    SocketStatistics { dropped: 0, ring_full: 0, invalid_places: 0, fill_ring_empty: 0 };

#[test]
fn the_committed_program_is_what_its_source_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capture/af_xdp/program");
    let out = support::folder();
    let compiled = out.path().join("redirect.bpf.o");
    support::run_well(Command::new("sh").arg(folder.join("build.sh")).arg(&compiled));
    let (compiled, committed) =
        (fs::read(compiled).unwrap(), fs::read(folder.join("redirect.bpf.o")).unwrap());
    assert!(compiled == committed, "run {}/build.sh and commit what it gives", folder.display());
}

#[test]
fn every_frame_comes_once_in_order_and_byte_for_byte() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::new(1);
        let (program, mut port) = on(&wire, |interface| one_queue(interface, mode));
        let sent = numbered_frames(5_000, 7);
        let mut received = Vec::new();
        let mut sender = wire.sender();
        for some in sent.chunks(100) {
            sender.send(some);
            received.extend(take_all(&mut port));
        }
        let counts = seen(&program, 0, 5_000);
        received.extend(take_all(&mut port));
        assert!(received == sent, "{}: {} of {}", mode.name(), received.len(), sent.len());
        assert_eq!(
            counts,
            QueueCounts { seen: 5_000, redirected: 5_000, ..QueueCounts::default() }
        );
        assert_eq!(port.watch().unwrap().statistics().unwrap(), NOTHING_LOST);
        assert_eq!(port.places_at_hand(), 0, "every place is with the kernel again");
    }
}

#[test]
fn a_frame_bears_the_time_at_which_the_program_saw_it() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::new(1);
        let (program, mut port) = on(&wire, |interface| one_queue(interface, mode));
        let clock = LiveClock::start();
        let (mut batch, mut stamper) = (Batch::new(), Stamper::new(clock));
        let mut sender = wire.sender();
        let frames = numbered_frames(5, 1);
        let mut spans = Vec::new();
        for frame in frames.chunks(1) {
            let before = clock.now();
            sender.send(frame);
            seen(&program, 0, spans.len() as u64 + 1);
            spans.push((before, clock.now()));
            std::thread::sleep(Duration::from_millis(30));
        }
        batch.begin(0, 1);
        stamper.begin();
        assert_eq!(port.take(&mut batch, &mut stamper), 5);
        for (frame, (before, after)) in batch.frames().zip(spans) {
            assert!(before <= frame.time && frame.time <= after, "{}", mode.name());
        }
    }
}

#[test]
fn a_frame_without_a_place_is_dropped_and_counted_once() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::new(1);
        let (program, mut port) = on(&wire, |interface| one_queue(interface, mode));
        // As many places as frames fit: nobody takes the first ones away.
        wire.sender().send(&numbered_frames(356, 1));
        let counts = seen(&program, 0, 356);
        let statistics = port.watch().unwrap().statistics().unwrap();
        assert_eq!(counts.redirected, 356);
        // Of copies, the kernel counts such a frame twice: a sum of all its counters would be 100 too high.
        let expected = SocketStatistics { dropped: 100, fill_ring_empty: 100, ..NOTHING_LOST };
        assert_eq!(statistics, expected, "{}", mode.name());
        assert_eq!(take_all(&mut port).len() as u64 + statistics.lost(), counts.redirected);
    }
}

#[test]
fn a_frame_that_is_too_long_for_its_place_is_dropped_and_counted() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::with_mtu(1, 2_000);
        let (program, mut port) = on(&wire, |interface| one_queue(interface, mode));
        let mut frames = numbered_frames(10, 1);
        frames[3].resize(1_900, 0);
        wire.sender().send(&frames);
        let counts = seen(&program, 0, 10);
        assert_eq!(take_all(&mut port).len(), 9);
        let expected = SocketStatistics { dropped: 1, ..NOTHING_LOST };
        assert_eq!(port.watch().unwrap().statistics().unwrap(), expected, "{}", mode.name());
        assert_eq!(counts.redirected, 10);
    }
}

#[test]
fn an_mtu_whose_frames_would_not_fit_is_refused() {
    assert_eq!(frame_bytes_for("eth1", 1_500).unwrap().0, 2_048);
    assert_eq!(frame_bytes_for("eth1", 2_000).unwrap().0, 4_096);
    let refused = frame_bytes_for("eth1", 9_000).unwrap_err().to_string();
    assert!(refused.contains("MTU of eth1 is 9000") && refused.contains("mtu 3802"), "{refused}");
    assert!(frame_bytes_for("eth1", 3_802).is_ok());
}

#[test]
fn frames_given_to_a_socket_of_another_queue_vanish_and_are_unexplained() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::new(2);
        let (program, mut port) = on(&wire, |interface| {
            let port = bind(interface, 1);
            let mut program = attach(interface, &PROGRAM, mode);
            program.give_socket(0, port.descriptor()).unwrap();
            (program, port)
        });
        wire.sender().send_on(0, &numbered_frames(20, 1));
        let counts = seen(&program, 0, 20);
        assert_eq!(counts, QueueCounts { seen: 20, redirected: 20, ..QueueCounts::default() });
        assert_eq!(take_all(&mut port).len(), 0);
        // Every counter of the socket says that nothing is amiss; only the program's count shows it.
        assert_eq!(port.watch().unwrap().statistics().unwrap(), NOTHING_LOST, "{}", mode.name());
    }
}

#[test]
fn frames_of_a_queue_without_a_socket_are_counted_as_such() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        for no_socket in [NoSocket::Drop, NoSocket::Pass] {
            let wire = Wire::new(3);
            let stack = wire.sensor().open_socket();
            let params = ProgramParams { no_socket, ..PROGRAM };
            let (program, port) = on(&wire, |interface| {
                let port = bind(interface, 0);
                let mut program = attach(interface, &params, mode);
                program.give_socket(0, port.descriptor()).unwrap();
                (program, port)
            });
            let mut sender = wire.sender();
            send_to(&mut sender, mode, 1, &numbered_frames(11, 1));
            let mut expected = QueueCounts { seen: 11, ..QueueCounts::default() };
            match no_socket {
                NoSocket::Drop => expected.dropped_no_socket = 11,
                NoSocket::Pass => expected.passed_no_socket = 11,
            }
            assert_eq!(seen(&program, 1, 11), expected);
            assert_eq!(program.counts(0).unwrap(), QueueCounts::default());
            // The worker of queue 0 is gone, and its socket with it; the program stays.
            drop(port);
            send_to(&mut sender, mode, 0, &numbered_frames(11, 1));
            assert_eq!(seen(&program, 0, 11), expected);
            let passed = std::iter::from_fn(|| stack.receive()).count();
            // A plain socket sees frames before the generic program runs, and after the native one.
            if mode == AttachMode::Native {
                assert_eq!(passed, if no_socket == NoSocket::Pass { 22 } else { 0 });
            }
        }
    }
}

#[test]
fn queues_that_are_added_under_the_sockets_are_seen() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(4);
    let ethtool = |count: &str| {
        let end = wire.sensor();
        let mut ethtool = end.command("ethtool");
        support::run(ethtool.args(["-L", end.device(), "rx", count]))
    };
    let program = on(&wire, |interface| attach(interface, &PROGRAM, AttachMode::Generic));
    assert!(ethtool("2").status.success());
    assert_eq!(on(&wire, |interface| interface.queues), 2);
    let port = on(&wire, |interface| bind(interface, 1));
    // A queue with a socket can't be taken away.
    assert!(!ethtool("1").status.success());
    assert!(ethtool("4").status.success());
    assert_eq!(on(&wire, |interface| interface.queues), 4);
    send_to(&mut wire.sender(), AttachMode::Generic, 2, &numbered_frames(5, 1));
    let expected = QueueCounts { seen: 5, dropped_no_socket: 5, ..QueueCounts::default() };
    assert_eq!(seen(&program, 2, 5), expected);
    drop(port);
}

#[test]
fn addresses_in_the_list_are_dropped_in_the_kernel_and_counted() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let network = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    for (listed, length, dropped) in [
        (network(192, 0, 2, 1), 32, 9),
        (network(192, 0, 2, 2), 31, 9),
        (network(192, 0, 2, 128), 25, 0),
        (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), 32, 0),
        (IpAddr::from([0_u16; 8]), 0, 9),
    ] {
        let params = ProgramParams { ignored: vec![(listed, length)], ..PROGRAM };
        let (program, mut port) = on(&wire, |interface| {
            let port = bind(interface, 0);
            let mut program = attach(interface, &params, AttachMode::Native);
            program.give_socket(0, port.descriptor()).unwrap();
            (program, port)
        });
        let mut frames = numbered_frames(9, 1);
        frames.push([&[0xff; 12][..], &[0x08, 0x06], &[0; 46]].concat());
        wire.sender().send(&frames);
        let counts = seen(&program, 0, 10);
        assert_eq!(
            (counts.dropped_ignored, counts.redirected),
            (dropped, 10 - dropped),
            "{listed}"
        );
        assert_eq!(take_all(&mut port).len() as u64, 10 - dropped);
    }
}

#[test]
fn a_dead_interface_is_told_by_the_socket_and_not_by_polling() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let (_program, port) = on(&wire, |interface| one_queue(interface, AttachMode::Native));
    let watch = port.watch().unwrap();
    assert!(watch.check().is_ok());
    let says = || watch.check().unwrap_err().raw_os_error().unwrap();
    let polled = || {
        let mut polled = [PollFd::from_borrowed_fd(port.descriptor(), PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap()
    };
    wire.sensor().set("down");
    assert_eq!(says(), 100, "ENETDOWN");
    assert_eq!(polled(), 0, "nothing is said, not even POLLERR");
    assert!(!on(&wire, |interface| interface.is_up));
    wire.sensor().set("up");
    assert!(watch.check().is_ok());
    wire.sensor().delete();
    assert_eq!(says(), 6, "ENXIO");
    assert_eq!(polled(), 0);
    let gone = wire.sensor().enter(|| Interface::find(wire.sensor().device())).unwrap_err();
    assert!(matches!(gone, InterfaceError::Missing { .. }), "{gone}");
}

#[test]
fn a_queue_is_free_again_when_its_socket_is_gone() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    for _ in 0..20 {
        let port = on(&wire, |interface| bind(interface, 0));
        let watch = port.watch().unwrap();
        drop(port);
        drop(watch);
        let began = Instant::now();
        drop(on(&wire, |interface| bind(interface, 0)));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[test]
fn another_program_is_neither_replaced_nor_passed_by() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    for first in MODES {
        let held = on(&wire, |interface| attach(interface, &PROGRAM, first));
        let programs = on(&wire, |interface| interface.xdp_programs.clone());
        assert_eq!(programs.len(), 1);
        for second in MODES {
            let refused = on(&wire, |interface| {
                let mut program = XdpProgram::load(&PROGRAM).unwrap();
                program.attach(&interface.name, interface.index, second).unwrap_err()
            });
            assert!(
                matches!(&refused, AfXdpError::Taken { programs: named, .. } if *named == programs),
                "{refused}"
            );
        }
        drop(held);
        // Another test that starts a program just now holds what this one had open, until that program begins.
        let began = Instant::now();
        while on(&wire, |interface| !interface.xdp_programs.is_empty()) {
            assert!(began.elapsed() < Duration::from_secs(10), "the program goes with its holder");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_refused_attachment_leaves_nothing_behind() {
    if !netns::available() {
        return;
    }
    // A veth device runs no program itself on frames that would not fit into a page.
    let wire = Wire::with_mtu(1, 9_000);
    let refused = on(&wire, |interface| {
        let mut program = XdpProgram::load(&PROGRAM).unwrap();
        let refused = program.attach(&interface.name, interface.index, AttachMode::Native);
        assert_eq!(Interface::find(&interface.name).unwrap().xdp_programs, [0; 0]);
        (refused.unwrap_err(), program.attached())
    });
    assert!(matches!(refused, (AfXdpError::Attach { .. }, None)), "{refused:?}");
}

#[test]
fn one_queue_of_several_that_can_not_be_had_leaves_none_taken() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(3);
    let held = on(&wire, |interface| bind(interface, 2));
    let params = AfXdpParams {
        modes: vec![Mode::Native],
        frames: 256,
        busy_poll_micros: 0,
        program: PROGRAM,
        replace: false,
    };
    let open = || {
        on(&wire, |interface| {
            let (params, clock) = (params.clone(), LiveClock::start());
            AfXdpCapture::open(interface.clone(), params, 2, clock, Arc::default())
        })
    };
    let refused = open().unwrap_err();
    assert!(matches!(refused, AfXdpError::Bind { queue: 2, .. }), "{refused}");
    on(&wire, |interface| {
        assert_eq!(interface.xdp_programs, [0; 0]);
        assert!(!interface.is_promiscuous);
        drop((bind(interface, 0), bind(interface, 1)));
    });
    drop(held);
    let (capture, sources) = open().unwrap();
    assert_eq!((capture.interface().queues, sources.len()), (3, 2));
}

#[test]
fn the_kernel_looks_for_frames_on_the_workers_behalf_where_that_is_asked_for() {
    if !netns::available() {
        return;
    }
    for mode in MODES {
        let wire = Wire::new(1);
        let (_program, mut port) = on(&wire, |interface| {
            let params = PortParams { busy_poll_micros: 50, ..PORT };
            let port = XskPort::bind(&interface.name, interface.index, 0, &params).unwrap();
            let mut program = attach(interface, &PROGRAM, mode);
            program.give_socket(0, port.descriptor()).unwrap();
            (program, port)
        });
        assert_eq!(port.watch().unwrap().busy_poll().unwrap(), (50, true));
        let sent = numbered_frames(1_000, 7);
        let mut received = Vec::new();
        let mut sender = wire.sender();
        for some in sent.chunks(100) {
            sender.send(some);
            received.extend(take_all(&mut port));
        }
        let began = Instant::now();
        while received.len() < sent.len() {
            assert!(began.elapsed() < Duration::from_secs(10), "{} came", received.len());
            received.extend(take_all(&mut port));
        }
        assert!(received == sent, "{}: each once, in order", mode.name());
    }
}

#[test]
fn a_kernel_that_does_not_look_on_the_workers_behalf_is_an_error_that_says_so() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let refused = on(&wire, |interface| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        rustix::thread::set_capabilities(None, sets).unwrap();
        let params = PortParams { busy_poll_micros: 50, ..PORT };
        XskPort::bind(&interface.name, interface.index, 0, &params).unwrap_err()
    });
    assert!(matches!(refused, AfXdpError::BusyPoll { queue: 0, .. }), "{refused}");
    assert!(refused.to_string().contains("capture.busy_poll_us = 0"), "{refused}");
    assert!(refused.is_final(), "another mode would not mend it");
}

#[test]
fn frames_lie_on_huge_pages_where_there_are_any() {
    let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    if !netns::available() || !setting.is_ok_and(|setting| !setting.contains("[never]")) {
        return;
    }
    let wire = Wire::new(1);
    let on_huge_pages_kib = || {
        let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = rollup.lines().find(|line| line.starts_with("AnonHugePages:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = on_huge_pages_kib();
    let params = PortParams { frames: 16_384, ..PORT };
    let _port =
        on(&wire, |interface| XskPort::bind(&interface.name, interface.index, 0, &params)).unwrap();
    let more = on_huge_pages_kib().saturating_sub(before);
    assert!(more >= 16 << 10, "{more} KiB of 32 MiB");
}
