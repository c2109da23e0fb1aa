//! `phantomnet doctor` on wires of the tests' own: what is wrong is found, and the command that it prints mends it.

#![cfg(test)]

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::live::Sensor;
use crate::netns::{self, Sender, Wire};
use crate::support::{folder, run, run_well, sensor, signal, stderr};

/// Long enough for a loaded machine to hear some of what is sent all the time.
const LISTEN: &str = "3";

/// The doctor, on the sensor's end of a wire.
fn doctor(wire: &Wire, arguments: &[&str]) -> Command {
    let mut command = wire.sensor().sensor_program();
    command.args(["doctor", "--interface", wire.sensor().device()]).args(arguments);
    command
}

/// What it finds, as JSON.
#[track_caller]
fn findings(output: &Output) -> Vec<Value> {
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)));
    json["findings"].as_array().expect("a list").clone()
}

/// The finding of a check that says this.
fn find<'a>(findings: &'a [Value], check: &str, what: &str) -> Option<&'a Value> {
    let says = |finding: &&Value| {
        finding["check"] == check && finding["what"].as_str().expect("text").contains(what)
    };
    findings.iter().find(says)
}

/// What is found while frames are sent: what `send` sends, again and again.
fn heard_while(wire: &Wire, mut send: impl FnMut(&mut Sender)) -> Vec<Value> {
    let mut child = Running::start(&mut doctor(wire, &["--json", "--listen", LISTEN]));
    let mut sender = wire.sender();
    while child.runs() {
        send(&mut sender);
        std::thread::sleep(Duration::from_millis(5));
    }
    findings(&child.output())
}

/// A doctor at work; ended with its test.
struct Running(Option<Child>);

impl Running {
    fn start(doctor: &mut Command) -> Self {
        let child = doctor.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Self(Some(child.expect("the program can be started")))
    }

    fn id(&self) -> u32 {
        self.0.as_ref().expect("it is there until its output is taken").id()
    }

    fn runs(&mut self) -> bool {
        let child = self.0.as_mut().expect("it is there until its output is taken");
        child.try_wait().expect("its own child").is_none()
    }

    fn output(&mut self) -> Output {
        self.0.take().expect("once").wait_with_output().expect("its own child")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];

/// A segment of one of twenty connections, with a number of its own; towards the server, or back.
fn segment(number: u32, towards_server: bool) -> Vec<u8> {
    let port = 10_000 + u16::try_from(number % 20).expect("it is below 20");
    let (from, to) = if towards_server {
        ((CLIENT, port), (SERVER, 443))
    } else {
        ((SERVER, 443), (CLIENT, port))
    };
    let builder = etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, number, 1_000)
        .ack(7);
    let mut frame = Vec::with_capacity(200);
    builder.write(&mut frame, &[0xab; 100]).expect("a vector takes everything");
    frame
}

/// Segments that never come again, twenty at a time.
fn numbers() -> impl FnMut() -> std::ops::Range<u32> {
    let mut begun = 0;
    move || {
        begun += 20;
        begun - 20..begun
    }
}

fn frames(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    frames.into_iter().collect()
}

fn towards_server(numbers: impl Iterator<Item = u32>) -> Vec<Vec<u8>> {
    frames(numbers.map(|number| segment(number, true)))
}

#[test]
fn a_port_that_merges_frames_is_found_and_mended_by_the_command_that_is_printed() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    run_well(wire.sensor().command("ethtool").args(["-K", wire.sensor().device(), "gro", "on"]));
    // To packet sockets it matters.
    let folder = folder();
    let config = folder.path().join("sensor.toml");
    std::fs::write(&config, "capture.backend = 'af_packet'\n").unwrap();
    let config = config.to_str().expect("text");
    let output = run(&mut doctor(&wire, &["--listen", "0", "--config", config]));
    let page = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(1), "{page}");
    let line = page.lines().find(|line| line.contains("rx-gro is on")).expect("it is found");
    assert!(line.trim_start().starts_with("fault"), "{line}");
    let (_, mend) = line.split_once(". Mend: ").expect("there is a command");
    assert_eq!(mend, "ethtool -K mirror0 gro off");
    run_well(wire.sensor().command("sh").args(["-c", mend]));
    let output = run(&mut doctor(&wire, &["--listen", "0", "--json", "--config", config]));
    assert_eq!(find(&findings(&output), "offloads", "rx-gro is on"), None);
}

#[test]
fn every_command_that_is_printed_for_a_port_does_what_it_says() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let device = wire.sensor().device();
    run_well(wire.sensor().command("ethtool").args(["-K", device, "gro", "on"]));
    run_well(wire.sensor().command("ip").args(["link", "set", device, "mtu", "9000"]));
    run_well(wire.sensor().command("ip").args(["link", "set", device, "arp", "on"]));
    wire.sensor().set("down");
    // The wire itself sets nothing of this, and the machine's own settings are nobody's to change here.
    for _ in 0..3 {
        let found = findings(&run(&mut doctor(&wire, &["--listen", "0", "--json"])));
        for finding in found.iter().filter(|finding| finding["part"] == "interface") {
            if let Some(mend) = finding["mend"].as_str() {
                run_well(wire.sensor().command("sh").args(["-c", mend]));
            }
        }
    }
    let found = findings(&run(&mut doctor(&wire, &["--listen", "0", "--json"])));
    let left: Vec<&Value> = found
        .iter()
        .filter(|finding| finding["part"] == "interface" && !finding["mend"].is_null())
        .collect();
    assert_eq!(left, Vec::<&Value>::new());
    for check in ["link", "silence", "promiscuous", "mtu"] {
        let finding = find(&found, check, "").expect("each check has a finding");
        assert_eq!(finding["severity"], "ok", "{finding}");
    }
}

#[test]
fn one_way_traffic_is_named_and_both_ways_are_not() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut next = numbers();
    let found = heard_while(&wire, |sender| sender.send(&towards_server(next())));
    let finding = find(&found, "one-way", "one-way traffic").expect("it is named");
    assert_eq!(finding["severity"], "warning", "{finding}");
    assert!(finding["what"].as_str().unwrap().contains("20 of 20 TCP connections"), "{finding}");
    let both = |number| [segment(number, true), segment(number, false)];
    let found = heard_while(&wire, |sender| sender.send(&frames(next().flat_map(both))));
    let finding = find(&found, "one-way", "").expect("each check has a finding");
    assert_eq!(finding["severity"], "ok", "{finding}");
}

#[test]
fn frames_that_are_mirrored_twice_are_named() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut next = numbers();
    let twice = |number| [segment(number, true), segment(number, true)];
    let found = heard_while(&wire, |sender| sender.send(&frames(next().flat_map(twice))));
    let finding = find(&found, "duplicates", "duplicates").expect("it is named");
    assert_eq!(finding["severity"], "warning", "{finding}");
    let found = heard_while(&wire, |sender| sender.send(&towards_server(next())));
    let finding = find(&found, "duplicates", "").expect("each check has a finding");
    assert_eq!(finding["severity"], "ok", "{finding}");
}

#[test]
fn truncated_frames_are_named() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut next = numbers();
    let cut = |number| {
        let mut frame = segment(number, true);
        frame.truncate(64);
        frame
    };
    let found = heard_while(&wire, |sender| sender.send(&frames(next().map(cut))));
    let finding = find(&found, "truncated", "are truncated, none came longer than 50 bytes")
        .expect("it is named");
    assert_eq!(finding["severity"], "warning", "{finding}");
}

#[test]
fn a_silent_queue_is_named() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let mut next = numbers();
    let found = heard_while(&wire, |sender| sender.send_on(1, &towards_server(next())));
    let finding = find(&found, "queue-skew", "1 of 2 receive queues").expect("it is named");
    assert_eq!(finding["severity"], "advice", "{finding}");
}

#[test]
fn a_wire_on_which_nothing_comes_is_named() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let output = run(&mut doctor(&wire, &["--json", "--listen", "1"]));
    let found = findings(&output);
    let finding = find(&found, "traffic", "no frame came").expect("it is named");
    assert_eq!(finding["severity"], "warning");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_sensor_that_runs_misses_no_frame_for_the_doctor() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let sensor = Sensor::start(&wire, "backend = 'af_packet'");
    let mut next = numbers();
    let mut sent = 0;
    let found = heard_while(&wire, |sender| {
        let frames = towards_server(next());
        sent += frames.len();
        sender.send(&frames);
    });
    assert!(find(&found, "one-way", "one-way traffic").is_some(), "the doctor heard them too");
    assert_eq!(sensor.stop().rows.len(), sent, "frames sent and frames judged");
}

#[test]
fn beside_a_sensor_that_takes_the_frames_nothing_is_said_of_the_tap() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let sensor = Sensor::start(&wire, "backend = 'af_xdp'");
    let mut next = numbers();
    let found = heard_while(&wire, |sender| sender.send(&towards_server(next())));
    let program = find(&found, "xdp-program", "is this sensor's").expect("it is known");
    assert_eq!(program["severity"], "ok", "{program}");
    let tap: Vec<&Value> = found.iter().filter(|finding| finding["part"] == "tap").collect();
    let [traffic] = tap.as_slice() else { panic!("{tap:?}") };
    assert_eq!(traffic["severity"], "unknown", "{traffic}");
    assert!(traffic["what"].as_str().unwrap().contains("stop the sensor to listen"), "{traffic}");
    sensor.stop();
}

#[test]
fn the_interface_of_the_configuration_is_examined() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let folder = folder();
    let config = folder.path().join("sensor.toml");
    std::fs::write(&config, "capture.interface = 'mirror0'\n").unwrap();
    let mut command = wire.sensor().sensor_program();
    let output = run(command.args(["doctor", "--json", "--listen", "0", "--config"]).arg(config));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["interface"], &json["tap"]), (&Value::from("mirror0"), &Value::Null));
}

#[test]
fn queues_without_a_worker_of_their_own_are_named_and_mended() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(2);
    let folder = folder();
    let config = folder.path().join("sensor.toml");
    std::fs::write(&config, "workers.count = 1\n").unwrap();
    let examine = || {
        let mut command = doctor(&wire, &["--json", "--listen", "0", "--config"]);
        findings(&run(command.arg(&config)))
    };
    let found = examine();
    let finding = find(&found, "queues", "receive queues: 2, workers: 1").expect("it is named");
    let mend = finding["mend"].as_str().expect("there is a command");
    run_well(wire.sensor().command("sh").args(["-c", mend]));
    let found = examine();
    let finding = find(&found, "queues", "receive queues: 1, workers: 1").expect("it is mended");
    assert_eq!(finding["severity"], "ok", "{finding}");
}

#[test]
fn a_doctor_that_is_told_to_end_says_what_it_has_found() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let mut child = Running::start(&mut doctor(&wire, &["--json", "--listen", "3600"]));
    while wire.sensor().promiscuity() == 0 {
        assert!(child.runs(), "{}", stderr(&child.output()));
        std::thread::sleep(Duration::from_millis(10));
    }
    signal("INT", child.id());
    assert!(find(&findings(&child.output()), "traffic", "no frame came").is_some());
    assert_eq!(wire.sensor().promiscuity(), 0, "nothing is changed for good");
}

#[test]
fn text_and_json_hold_the_same_findings() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let page = run(&mut doctor(&wire, &["--listen", "0"]));
    let json = run(&mut doctor(&wire, &["--listen", "0", "--json"]));
    assert_eq!(page.status.code(), json.status.code());
    let page = String::from_utf8(page.stdout).expect("text");
    let found = findings(&json);
    let lines: Vec<&str> = page.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(lines.len(), found.len(), "{page}");
    for (line, finding) in lines.iter().zip(&found) {
        let part = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        assert!(line.trim_start().starts_with(&part("severity")), "{line} is not {finding}");
        for name in ["what", "why", "mend"] {
            assert!(line.contains(&part(name)), "{line} is not {finding}");
        }
    }
    assert!(page.ends_with(" ok\n"), "the page ends with the count: {page}");
}

#[test]
fn an_interface_that_is_not_there_is_refused_with_its_name() {
    let output = run(sensor().args(["doctor", "--interface", "nosuch0"]));
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("there is no interface nosuch0; there are "),
        "{}",
        stderr(&output)
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn without_an_interface_the_machine_alone_is_examined() {
    let output = run(sensor().args(["doctor", "--json"]));
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["interface"], Value::Null);
    assert!(findings(&output).iter().all(|finding| finding["part"] == "box"));
    let listen = run(sensor().args(["doctor", "--listen", "2"]));
    assert_eq!(listen.status.code(), Some(2), "{}", stderr(&listen));
    assert!(stderr(&listen).contains("--listen: there is nothing to listen to"));
}
