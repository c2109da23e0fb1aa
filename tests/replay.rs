//! Capture files in, verdicts out: the whole data path.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{
    self, folder, generated_traffic, release_sensor, run, run_well, sensor, stderr, summary,
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
