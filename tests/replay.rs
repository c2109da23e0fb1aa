//! Capture files in, verdicts out: the whole data path.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use phantomnet::capture::{CaptureWriter, LinkType};
use phantomnet::time::Timestamp;

use crate::support::{
    self, folder, generated_traffic, release_sensor, run, run_well, sensor, signal, stderr, summary,
};

/// The feature dump of a replay, and its summary.
fn dump(mut program: Command, workers: usize, capture: &Path) -> (Vec<u8>, serde_json::Value) {
    let folder = folder();
    let csv = folder.path().join("features.csv");
    let output = run_well(
        program
            .args([
                "replay",
                "--summary",
                "json",
                "--workers",
                &workers.to_string(),
                "--dump-features",
            ])
            .arg(&csv)
            .arg(capture),
    );
    (fs::read(csv).unwrap(), summary(&output))
}

#[test]
fn every_packet_gets_the_same_verdict_twice() {
    let (first, _) = dump(sensor(), 1, generated_traffic());
    let (second, _) = dump(sensor(), 1, generated_traffic());
    assert!(first == second, "two replays of one capture differ");
    assert_eq!(
        first.iter().filter(|byte| **byte == b'\n').count(),
        1 + decoded_of(generated_traffic())
    );
}

fn decoded_of(capture: &Path) -> usize {
    let output = run_well(sensor().args(["replay", "--summary", "json"]).arg(capture));
    usize::try_from(summary(&output)["decoded"].as_u64().unwrap()).unwrap()
}

#[test]
fn every_packet_gets_the_same_verdict_from_any_number_of_workers() {
    let (alone, one) = dump(sensor(), 1, generated_traffic());
    for workers in [2, 3, 4, 7] {
        let (several, many) = dump(sensor(), workers, generated_traffic());
        assert!(alone == several, "1 and {workers} workers differ");
        for key in
            ["verdicts", "victims", "sources", "undecodable", "not_ip", "dropped", "unaccounted"]
        {
            assert_eq!(one[key], many[key], "{key} with {workers} workers");
        }
    }
}

/// A flood of forged sources, each seen once, over the first minutes of the generated traffic.
fn forged_flood(path: &Path) {
    let file = fs::File::create(path).unwrap();
    let mut capture = CaptureWriter::new(file, LinkType::Ethernet).unwrap();
    let start = Timestamp::from_secs(1_767_603_610);
    for nth in 0..6_000_u32 {
        let (id, pause) = match nth {
            // Each once: they give way to each other.
            ..2_000 => (nth, 0),
            // Each twice: they came back, and newcomers find no room.
            2_000..5_500 => (2_000 + nth / 2, 0),
            // The first ones again, ten minutes later: their sessions have ended by then.
            _ => (nth - 5_500, 600_000_000_000),
        };
        let [_, b, c, d] = id.wrapping_mul(2_654_435_761).to_be_bytes();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([11, b, c, d], [10, 20, 0, 80], 50)
            .tcp(1_024 + (nth % 60_000) as u16, 80, nth, 64_240)
            .syn();
        let mut frame = Vec::new();
        builder.write(&mut frame, &[]).unwrap();
        let length = u32::try_from(frame.len()).unwrap();
        capture
            .write(start.plus_nanos(i64::from(nth) * 5_000_000 + pause), length, &frame)
            .unwrap();
    }
    capture.finish().unwrap();
}

/// What a replay wrote: features, alerts, and the counts that must not depend on the number of workers.
fn hard_replay(folder: &Path, workers: usize) -> (Vec<u8>, Vec<u8>, serde_json::Value) {
    let path = |name: &str| folder.join(format!("{workers}-{name}"));
    let output = run_well(
        sensor()
            .args(["replay", "--summary", "json", "--workers", &workers.to_string(), "--config"])
            .arg(folder.join("hard.toml"))
            .arg("--dump-features")
            .arg(path("f.csv"))
            .arg("--eve")
            .arg(path("e.json"))
            .arg(generated_traffic())
            .arg(folder.join("flood.pcap")),
    );
    (fs::read(path("f.csv")).unwrap(), fs::read(path("e.json")).unwrap(), summary(&output))
}

#[test]
fn a_full_table_a_flood_decoys_and_feeds_change_nothing_about_that() {
    let folder = folder();
    forged_flood(&folder.path().join("flood.pcap"));
    fs::write(folder.path().join("feed.txt"), "203.0.113.0/29 scanners\n198.18.0.0/17 shops\n")
        .unwrap();
    let config = "sources = { capacity = 1024, by_vlan = true }\ndecoys.addresses = [\"10.20.0.25 mail\"]\n\
        [[intel.feeds]]\npath = \"feed.txt\"\n";
    fs::write(folder.path().join("hard.toml"), config).unwrap();

    let (features, alerts, one) = hard_replay(folder.path(), 1);
    // Each of the ways on which order could get lost was taken.
    for taken in ["/victims", "/sources/evicted", "/sources/expired", "/sources/denied"] {
        assert!(
            one.pointer(taken).and_then(serde_json::Value::as_u64).unwrap() > 0,
            "no {taken} in {one}"
        );
    }
    let text = String::from_utf8(alerts.clone()).unwrap();
    for reason in ["\"victim\":", "\"decoy\":\"mail\"", "\"label\":\"scanners\""] {
        assert!(text.contains(reason), "no alert has {reason}");
    }
    for workers in [2, 4, 7] {
        let (other_features, other_alerts, many) = hard_replay(folder.path(), workers);
        assert!(features == other_features, "features of 1 and {workers} workers differ");
        assert!(alerts == other_alerts, "alerts of 1 and {workers} workers differ");
        for key in ["verdicts", "victims", "sources", "dropped", "unaccounted", "settings_version"]
        {
            assert_eq!(one[key], many[key], "{key} with {workers} workers");
        }
    }
}

#[test]
fn every_packet_gets_the_same_verdict_in_debug_and_in_release() {
    let Some(release) = release_sensor() else {
        eprintln!(
            "SKIPPED: PHANTOMNET_RELEASE is not set; run `make test` to compare debug with release"
        );
        assert!(
            std::env::var_os("CI").is_none(),
            "in CI this comparison must run: use `make test`"
        );
        return;
    };
    let (debug, _) = dump(sensor(), 2, generated_traffic());
    let (release, _) = dump(release, 2, generated_traffic());
    assert!(debug == release, "debug and release differ");
}

#[test]
fn attackers_stand_out_in_generated_traffic() {
    let output = run_well(sensor().args(["replay", "--summary", "json"]).arg(generated_traffic()));
    let summary = summary(&output);
    assert!(summary["verdicts"]["HIGH"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["unaccounted"], 0);
    assert_eq!(summary["packets"], 20_000);
}

#[test]
fn a_torn_capture_is_judged_up_to_the_tear_and_named() {
    let folder = folder();
    let torn = folder.path().join("torn.pcap");
    let whole = fs::read(generated_traffic()).unwrap();
    fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    let output = run(sensor().args(["replay", "--summary", "json"]).arg(&torn));
    assert_eq!(output.status.code(), Some(1));
    let complaint = stderr(&output);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("torn.pcap"), "{complaint}");
    let summary = summary(&output);
    assert!(summary["packets"].as_u64().unwrap() > 5_000, "{summary}");
    assert_eq!(summary["unaccounted"], 0);
}

#[test]
fn eve_lines_are_json_with_a_community_id_and_the_reason() {
    let folder = folder();
    let eve = folder.path().join("eve.json");
    let output = run_well(
        sensor().args(["replay", "--summary", "json", "--eve"]).arg(&eve).arg(generated_traffic()),
    );
    let verdicts = &summary(&output)["verdicts"];
    let above_safe: u64 =
        ["WARNING", "HIGH", "CRITICAL"].iter().map(|level| verdicts[level].as_u64().unwrap()).sum();
    let mut lines = 0;
    for line in fs::read_to_string(eve).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["event_type"], "alert");
        assert!(event["community_id"].as_str().unwrap().starts_with("1:"), "{line}");
        assert_ne!(event["phantomnet"]["verdict"], "SAFE");
        lines += u64::from(event["phantomnet"]["victim"].is_null());
    }
    assert_eq!(lines, above_safe, "one line for each packet above SAFE");
}

#[test]
fn a_capture_can_come_from_standard_input() {
    let capture = fs::File::open(generated_traffic()).unwrap();
    let output = run_well(sensor().args(["replay", "--summary", "json", "-"]).stdin(capture));
    assert_eq!(summary(&output)["packets"], 20_000);
}

/// Takes minutes in debug, so the program built for release does it where there is one.
#[test]
fn every_capture_of_the_corpus_is_accounted_for_to_the_last_frame() {
    let Some(corpus) = support::corpus() else { return };
    let manifest = fs::read_to_string(corpus.join("MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name| columns.iter().position(|column| *column == name).unwrap();
    let (file, counted) = (column("file"), column("capinfos_packets"));
    let mut failures = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields[file].strip_prefix("handover/").unwrap_or(fields[file]);
        let mut program = release_sensor().unwrap_or_else(sensor);
        let output = run(program.args(["replay", "--summary", "json"]).arg(corpus.join(name)));
        if let Err(failure) = is_accounted_for(&output, fields[counted]) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{} captures:\n{}", failures.len(), failures.join("\n"));
}

fn is_accounted_for(output: &std::process::Output, capinfos: &str) -> Result<(), String> {
    let complaint = stderr(output);
    match output.status.code() {
        Some(0) if complaint.is_empty() => {}
        Some(1) if !complaint.is_empty() => {}
        other => return Err(format!("exit {other:?}: {complaint}")),
    }
    if output.stdout.is_empty() {
        // Not even a first frame could be read; the one line says why.
        return if capinfos.is_empty() { Ok(()) } else { Err(complaint) };
    }
    let summary = summary(output);
    if summary["unaccounted"] != 0 {
        return Err(format!("unaccounted: {}", summary["unaccounted"]));
    }
    let packets = summary["packets"].as_u64().unwrap_or(u64::MAX);
    match capinfos.parse::<u64>() {
        Ok(counted) if counted != packets => {
            Err(format!("{packets} packets, capinfos counts {counted}"))
        }
        _ => Ok(()),
    }
}

/// An Ethernet frame of a UDP datagram.
fn udp_frame(source: [u8; 4], destination: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder =
        PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64).udp(40_000, port);
    builder.write(&mut frame, payload).unwrap();
    frame
}

/// The frame in VXLAN (RFC 7348).
fn in_vxlan(source: [u8; 4], destination: [u8; 4], inner: &[u8]) -> Vec<u8> {
    udp_frame(source, destination, 4_789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], inner].concat())
}

/// The summary of a replay of these frames, a millisecond apart, under a configuration in `folder`.
fn replay_frames(folder: &Path, frames: &[Vec<u8>]) -> serde_json::Value {
    let file = fs::File::create(folder.join("frames.pcap")).unwrap();
    let mut capture = CaptureWriter::new(file, LinkType::Ethernet).unwrap();
    for (nth, frame) in (0..).zip(frames) {
        let time = Timestamp::from_secs(1_767_603_610).plus_nanos(nth * 1_000_000);
        capture.write(time, u32::try_from(frame.len()).unwrap(), frame).unwrap();
    }
    capture.finish().unwrap();
    summary(&run_well(
        sensor()
            .args(["replay", "--summary", "json", "--config"])
            .arg(folder.join("c.toml"))
            .arg(folder.join("frames.pcap")),
    ))
}

#[test]
fn wrapping_a_packet_in_tunnels_hides_no_end_of_them_from_intelligence_and_decoys() {
    let folder = folder();
    let harmless = udp_frame([10, 0, 0, 1], [10, 0, 0, 2], 6_000, b"hello");
    let once = in_vxlan([10, 1, 1, 1], [203, 0, 113, 66], &harmless);
    let twice = in_vxlan([10, 1, 1, 2], [10, 1, 1, 3], &once);
    fs::write(folder.path().join("feed.txt"), "203.0.113.66 command and control\n").unwrap();
    for config in
        ["[[intel.feeds]]\npath = \"feed.txt\"\n", "decoys.addresses = [\"203.0.113.66\"]\n"]
    {
        fs::write(folder.path().join("c.toml"), config).unwrap();
        let summary =
            replay_frames(folder.path(), &[harmless.clone(), once.clone(), twice.clone()]);
        assert_eq!(summary["verdicts"]["HIGH"], 2, "{config}: {summary}");
    }
}

#[test]
fn a_host_that_hops_within_its_network_escapes_no_count() {
    let folder = folder();
    let rule = "alert udp any any -> any 7000 (msg:\"many\"; threshold:type both,track by_src,count 50,seconds 60; \
        metadata:risk 90; sid:1;)\n";
    fs::write(folder.path().join("local.rules"), rule).unwrap();
    fs::write(folder.path().join("c.toml"), "[rules]\nfiles = [\"local.rules\"]\n").unwrap();
    let frames: Vec<Vec<u8>> = (1..=60)
        .map(|last| {
            let mut frame = Vec::new();
            let source = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, last];
            let target = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1];
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
                .ipv6(source, target, 64)
                .udp(40_000, 7_000);
            builder.write(&mut frame, b"x").unwrap();
            frame
        })
        .collect();
    assert_eq!(replay_frames(folder.path(), &frames)["verdicts"]["HIGH"], 1);
}

#[test]
fn a_rule_that_fires_is_not_crowded_out_by_rules_that_only_count() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let counting = |sid: u32| {
        format!(
            "alert tcp any any -> any any (msg:\"c\"; flags:S; threshold:type both,track by_src,count 100000,seconds 60; \
             metadata:risk 90; sid:{sid};)\n"
        )
    };
    let mut rules: String = (1..=12).map(counting).collect();
    rules.push_str("alert tcp any any -> any any (msg:\"evil\"; flags:S; content:\"EVIL\"; metadata:risk 85; sid:99;)\n");
    fs::write(path("local.rules"), rules).unwrap();
    fs::write(path("c.toml"), "[rules]\nfiles = [\"local.rules\"]\n").unwrap();
    let mut frame = Vec::new();
    let syn = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(5_000, 80, 1, 1)
        .syn();
    syn.write(&mut frame, b"EVIL").unwrap();
    let mut capture =
        CaptureWriter::new(fs::File::create(path("s.pcap")).unwrap(), LinkType::Ethernet).unwrap();
    capture
        .write(Timestamp::from_secs(1_767_603_610), u32::try_from(frame.len()).unwrap(), &frame)
        .unwrap();
    capture.finish().unwrap();
    let output = run_well(
        sensor()
            .args(["replay", "--summary", "json", "--config"])
            .arg(path("c.toml"))
            .arg(path("s.pcap")),
    );
    assert_eq!(summary(&output)["verdicts"]["HIGH"], 1, "{}", summary(&output));
}

#[test]
fn when_an_indicator_expires_does_not_depend_on_when_a_capture_is_replayed() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    // In force when the traffic passed (2026-01-05), expired long before anybody will run this.
    let bundle = r#"{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[{"type":"indicator",
        "spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f","created":"2025-12-01T00:00:00Z",
        "modified":"2025-12-01T00:00:00Z","name":"scanner","pattern":"[ipv4-addr:value = '203.0.113.3']","pattern_type":"stix",
        "valid_from":"2025-12-01T00:00:00Z","valid_until":"2026-01-06T00:00:00Z"}]}"#;
    fs::write(path("feed.json"), bundle).unwrap();
    fs::write(path("c.toml"), "[[intel.feeds]]\npath = \"feed.json\"\n").unwrap();
    let output = run_well(
        sensor()
            .args(["replay", "--summary", "json", "--config"])
            .arg(path("c.toml"))
            .arg("--eve")
            .arg(path("e.json"))
            .arg(generated_traffic()),
    );
    assert!(output.status.success());
    assert!(fs::read_to_string(path("e.json")).unwrap().contains("\"label\":\"scanner\""));
}

#[test]
fn an_interrupted_replay_judges_what_it_has_read_and_says_so() {
    let folder = folder();
    let eve = folder.path().join("e.json");
    let mut child = sensor()
        .args(["replay", "--speed", "x4", "--summary", "json", "--eve"])
        .arg(&eve)
        .arg(generated_traffic())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Asked for once alerts were written: at this pace the whole replay takes long enough to be interrupted.
    let written = || fs::metadata(&eve).map_or(0, |file| file.len());
    let patience = Instant::now();
    while written() == 0 && patience.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(written() > 0, "alerts are written as they happen, not at the end");
    assert!(child.try_wait().unwrap().is_none(), "the replay is still going on");
    signal("INT", child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(stderr(&output), "phantomnet: interrupted: the rest of the captures was not read\n");
    let summary = summary(&output);
    assert_eq!(summary["unaccounted"], 0, "{summary}");
    assert!(summary["packets"].as_u64().unwrap() < 20_000, "{summary}");
    for line in fs::read_to_string(eve).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("no line was cut");
    }
}
