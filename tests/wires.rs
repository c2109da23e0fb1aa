//! The wires themselves: what is sent arrives once, in order and alone, and nothing of them is left behind.

#![cfg(test)]

use crate::netns::{self, Wire, numbered_frames};

#[test]
fn frames_that_are_sent_arrive_exactly_once_in_order_and_alone() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let receiver = wire.sensor().open_socket();
    let mut sender = wire.sender();
    let sent = numbered_frames(10_000, 7);
    let mut received = Vec::new();
    for some in sent.chunks(100) {
        sender.send(some);
        received.extend(std::iter::from_fn(|| receiver.receive()));
    }
    assert!(received == sent, "{} frames sent, {} received", sent.len(), received.len());
    let counters = wire.sensor().counters();
    assert_eq!((counters.received, counters.dropped, counters.sent), (10_000, 0, 0));
    assert_eq!(wire.sender_side().counters().received, 0);
}

#[test]
fn a_frame_comes_through_the_queue_that_it_is_directed_to() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(4);
    let receivers = wire.sensor().open_sockets_by_queue();
    let mut sender = wire.sender();
    let frames = numbered_frames(40, 40);
    for queue in [2, 0, 3, 1, 2] {
        sender.send_on(queue, &frames);
        for (nth, receiver) in receivers.iter().enumerate() {
            let received: Vec<Vec<u8>> = std::iter::from_fn(|| receiver.receive()).collect();
            let expected: &[Vec<u8>] = if nth == queue { &frames } else { &[] };
            assert!(
                received == expected,
                "{} frames for {queue} came through {nth}",
                received.len()
            );
        }
    }
    // Undirected again, flows are spread over the queues and each stays on its own.
    sender.send(&frames);
    sender.send(&frames);
    let by_queue: Vec<Vec<Vec<u8>>> = receivers
        .iter()
        .map(|receiver| std::iter::from_fn(|| receiver.receive()).collect())
        .collect();
    assert_eq!(by_queue.iter().map(Vec::len).sum::<usize>(), 80);
    assert!(by_queue.iter().all(|received| !received.is_empty() && received.len() < 80));
    for received in &by_queue {
        let (first, second) = received.split_at(received.len() / 2);
        assert_eq!(first, second, "a flow changed its queue");
    }
}

#[test]
fn frames_up_to_the_mtu_pass() {
    if !netns::available() {
        return;
    }
    let wire = Wire::with_mtu(1, 9_000);
    let receiver = wire.sensor().open_socket();
    let mut longest = numbered_frames(1, 1);
    longest[0].resize(14 + 9_000, 0xab);
    wire.sender().send(&longest);
    assert_eq!(receiver.receive().as_ref(), longest.first());
    assert_eq!(receiver.receive(), None);
}

#[test]
fn the_plug_can_be_pulled_and_put_back() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    wire.sensor().set("down");
    wire.sensor().set("up");
    let receiver = wire.sensor().open_socket();
    let sent = numbered_frames(100, 1);
    wire.sender().send(&sent);
    let received: Vec<Vec<u8>> = std::iter::from_fn(|| receiver.receive()).collect();
    assert!(received == sent, "{} frames sent, {} received", sent.len(), received.len());
}

#[test]
fn a_wire_is_gone_with_its_value_also_after_a_panic() {
    if !netns::available() {
        return;
    }
    let name = std::panic::catch_unwind(|| {
        let wire = Wire::new(2);
        assert!(wire.sensor().exists());
        let name = wire.sensor().namespace().to_owned();
        std::panic::resume_unwind(Box::new(name));
    })
    .map_err(|panic| *panic.downcast::<String>().expect("it is the name"))
    .expect_err("it panicked");
    let left = std::fs::read_dir(netns::namespace::FOLDER).expect("namespaces were made");
    let left: Vec<_> = left.map(|entry| entry.expect("can be read").file_name()).collect();
    assert!(left.iter().all(|other| *other != *name), "{name} is among {left:?}");
}

#[test]
fn commands_and_threads_run_inside() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let listed = wire.sensor().command("ip").args(["-o", "link"]).output().expect("it starts");
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert!(listed.contains("mirror0@") && !listed.contains("sender0@"), "{listed}");
    let version = crate::support::run_well(wire.sensor().sensor_program().arg("--version"));
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("phantomnet "));
    let devices =
        || std::fs::read_to_string("/proc/thread-self/net/dev").expect("a list of devices");
    assert!(wire.sensor().enter(devices).contains("mirror0:"));
    assert!(!devices().contains("mirror0:"), "this thread has changed its namespace");
}
