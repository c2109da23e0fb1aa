//! What each command refuses, and how it says so: one line, the file and the place, and the exit code that says whose
//! fault it is.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{folder, generated_traffic, run, run_well, sensor, stderr};

/// Exit code 78 and one line that holds all of `parts`.
fn refused(output: &Output, parts: &[&str]) {
    let complaint = stderr(output);
    assert_eq!(output.status.code(), Some(78), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for part in parts {
        assert!(complaint.contains(part), "{part:?} is not in: {complaint}");
    }
    assert!(output.stdout.is_empty(), "nothing was started");
}

fn check(folder: &Path, config: &str) -> Output {
    let path = folder.join("phantomnet.toml");
    fs::write(&path, config).unwrap();
    run(sensor().arg("check").arg("--config").arg(path))
}

#[test]
fn a_changed_byte_in_a_model_file_is_refused_with_file_and_line() {
    let folder = folder();
    let model = folder.path().join("model.json");
    let good = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/default.json")).unwrap();
    for at in [0, good.len() / 3, good.len() / 2, good.len() - 2, good.len() - 1] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(&model, changed).unwrap();
        let line =
            format!("model.json:{}", 1 + good[..at].iter().filter(|byte| **byte == b'\n').count());
        refused(&run(sensor().args(["model", "verify"]).arg(&model)), &[&line]);
    }
}

#[test]
fn a_model_for_other_features_is_refused_with_both_fingerprints() {
    let folder = folder();
    let model = folder.path().join("model.json");
    let ours = phantomnet::features::fingerprint();
    let theirs = ours.replace(&ours[..8], "01234567");
    let rows = [phantomnet::features::FeatureVector::default(); 2];
    let names = phantomnet::features::SCHEMA.each_ref().map(|feature| feature.name);
    let schema = phantomnet::model::ExpectedSchema::new(1, &theirs, &names);
    let params = phantomnet::model::TrainParams { trees: 1, subsample: 2, ..Default::default() };
    phantomnet::model::train(&rows, &params, &schema).unwrap().save(&model).unwrap();
    let replay = run(sensor().args(["model", "verify"]).arg(&model));
    refused(&replay, &["model.json", &ours, &theirs]);
}

#[test]
fn a_rule_with_an_unknown_keyword_is_refused_with_file_line_and_keyword() {
    let folder = folder();
    let rules =
        "# local rules\nalert tcp any any -> any 80 (msg:\"x\"; http2.settings:1; sid:1;)\n";
    fs::write(folder.path().join("local.rules"), rules).unwrap();
    let output = check(folder.path(), "[rules]\nfiles = [\"local.rules\"]\n");
    refused(&output, &["local.rules:2", "http2.settings"]);
}

#[test]
fn a_content_that_is_not_utf_8_is_refused_with_file_and_line() {
    let folder = folder();
    let rules =
        b"# caf\xe9\nalert tcp any any -> any 80 (msg:\"caf\xe9\"; content:\"caf\xe9\"; sid:1;)\n";
    fs::write(folder.path().join("local.rules"), rules).unwrap();
    let output = check(folder.path(), "[rules]\nfiles = [\"local.rules\"]\n");
    refused(&output, &["local.rules:2: rule 1: content: ", "not UTF-8", "|E9|"]);
}

#[test]
fn unsupported_rules_can_be_skipped_but_never_silently() {
    let folder = folder();
    let rules = "alert tcp any any -> any 80 (msg:\"x\"; http2.settings:1; sid:1;)\nalert ip any any -> any any (msg:\"y\"; sid:2;)\n";
    fs::write(folder.path().join("local.rules"), rules).unwrap();
    let output =
        check(folder.path(), "[rules]\nfiles = [\"local.rules\"]\nunsupported = \"skip\"\n");
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(page.contains("1 of 2 rules loaded; not supported: http2.settings (1)"), "{page}");
    assert!(page.contains("local.rules:1"), "{page}");
}

#[test]
fn a_feed_that_marks_everything_is_refused_with_file_and_line() {
    let folder = folder();
    fs::write(folder.path().join("feed.txt"), "192.0.2.1 bad\n0.0.0.0/0 everything\n").unwrap();
    let output = check(folder.path(), "[[intel.feeds]]\npath = \"feed.txt\"\n");
    refused(&output, &["feed.txt:2", "0.0.0.0/0"]);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_column_and_the_nearest_known_one() {
    let folder = folder();
    refused(
        &check(folder.path(), "[workers]\ncuont = 2\n"),
        &["phantomnet.toml:2:1", "cuont", "count"],
    );
}

#[test]
fn what_is_no_file_is_refused_by_name_and_never_waited_for() {
    let folder = folder();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let why = "is not a regular file";
    refused(&run(sensor().args(["check", "--config"]).arg(&pipe)), &["pipe: ", why]);
    refused(&run(sensor().args(["check", "--config", "/dev/zero"])), &["/dev/zero: ", why]);
    refused(&run(sensor().args(["model", "verify"]).arg(&pipe)), &["pipe: ", why]);
    for place in ["pipe", "/dev/zero"] {
        for config in [
            format!("[rules]\nfiles = [\"{place}\"]\n"),
            format!("[model]\npath = \"{place}\"\n"),
            format!("[[intel.feeds]]\npath = \"{place}\"\n"),
        ] {
            refused(&check(folder.path(), &config), &[&format!("{place}: "), why]);
        }
    }
}

#[test]
fn a_rule_file_that_is_larger_than_any_is_refused_by_name() {
    let folder = folder();
    let rules = folder.path().join("local.rules");
    fs::File::create(&rules).unwrap().set_len((64 << 20) + 1).unwrap();
    let output = check(folder.path(), "[rules]\nfiles = [\"local.rules\"]\n");
    refused(&output, &["local.rules: is larger than 67108864 bytes"]);
}

#[test]
fn what_the_system_refuses_is_told_with_what_to_do_about_it() {
    let folder = folder();
    let here = |name: &str| folder.path().join(name).display().to_string();
    fs::write(here("text.txt"), "hello\n").unwrap();
    let capture = generated_traffic().display().to_string();
    let labels = generated_traffic().with_file_name("labels.csv").display().to_string();
    let (missing, model) = ("is looked for in ", here("m.json"));
    let (gone_db, below_text) = (format!("sqlite:{}", here("gone.db")), here("text.txt/e.json"));
    let at_a_folder = format!("--row={}", folder.path().display());
    for (line, part) in [
        (vec!["replay", "gone.pcap"], missing),
        (vec!["replay", "--config", "gone.toml", &capture], missing),
        (vec!["replay", "--eve", &below_text, &capture], "correct the path"),
        (
            vec!["replay", "--store", "postgres://x@127.0.0.1:1/y", &capture],
            "is the server running",
        ),
        (vec!["train", "--from", "gone.pcap", "--out", &model], missing),
        (vec!["train", "--from", "gone.csv", "--out", &model], missing),
        (vec!["evaluate", "--labels", "gone.csv", &capture], missing),
        (vec!["evaluate", "--labels", &labels, "gone.pcap"], missing),
        (vec!["explain", "--row", "gone.csv"], missing),
        (vec!["explain", &at_a_folder], "name a file"),
        (vec!["model", "inspect", "gone.json"], missing),
        (vec!["model", "score", "--in", "gone.csv"], missing),
        (vec!["model", "bench", "--in", "gone.csv"], missing),
        (vec!["model", "import", "gone.json", "--out", &model], missing),
        (vec!["dataset", "generate", "--out", &here("text.txt")], "move it away"),
        (vec!["audit", "--store", &gone_db], missing),
        (vec!["audit", "--store", "postgres://x@127.0.0.1:1/y"], "is the server running"),
        (vec!["migrate", "--store", "postgres://x@127.0.0.1:1/y"], "is the server running"),
        (vec!["check", "--config", "gone.toml"], missing),
        (vec!["manual", "--out", &below_text], "correct the path"),
        (vec!["run", "--source", "gone.pcap"], missing),
    ] {
        let output = run(sensor().args(&line));
        let told = stderr(&output);
        assert!([1, 78].contains(&output.status.code().unwrap()), "{line:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{line:?}: {told}");
        assert!(told.contains("(os error ") && told.contains(part), "{line:?}: {part}: {told}");
    }
}

#[test]
fn more_workers_than_shards_are_a_fault_of_usage() {
    let output = run(sensor().args(["replay", "--workers", "65"]).arg(generated_traffic()));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn a_capture_that_is_missing_is_named() {
    let output = run(sensor().args(["replay", "no-such.pcap"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no-such.pcap"), "{}", stderr(&output));
}

#[test]
fn what_the_sensor_trains_it_can_load_explain_and_judge_with() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    run_well(
        sensor()
            .args(["train", "--trees", "20", "--created-at", "2026-01-01T00:00:00Z", "--out"])
            .arg(path("a.json"))
            .arg("--from")
            .arg(generated_traffic()),
    );
    run_well(sensor().args(["model", "verify"]).arg(path("a.json")));
    let inspected = run_well(sensor().args(["model", "inspect"]).arg(path("a.json")));
    assert!(String::from_utf8_lossy(&inspected.stdout).contains("20 trees"));

    fs::write(path("c.toml"), "[model]\npath = \"a.json\"\n").unwrap();
    run_well(
        sensor()
            .args(["replay", "--config"])
            .arg(path("c.toml"))
            .arg("--dump-features")
            .arg(path("f.csv"))
            .arg(generated_traffic()),
    );
    let explained = run_well(
        sensor()
            .args(["explain", "--packet", "17", "--row"])
            .arg(path("f.csv"))
            .arg("--model")
            .arg(path("a.json")),
    );
    let page = String::from_utf8(explained.stdout).unwrap();
    assert_eq!(
        page.lines().filter(|line| line.contains("unique_destination_count")).count(),
        1,
        "{page}"
    );
    let scored = run_well(
        sensor()
            .args(["model", "score", "--in"])
            .arg(path("f.csv"))
            .arg("--model")
            .arg(path("a.json")),
    );
    let dumped = fs::read_to_string(path("f.csv")).unwrap();
    let column = |text: &str, name: &str| {
        let mut lines = csv_lines(text);
        let place = lines.next().unwrap().iter().position(|column| column == name).unwrap();
        lines.map(|line| line[place].clone()).collect::<Vec<_>>()
    };
    let scores = String::from_utf8(scored.stdout).unwrap();
    assert!(
        column(&dumped, "anomaly_score") == column(&scores, "anomaly_score"),
        "two ways to one score differ"
    );

    let timed = run_well(
        sensor()
            .args(["model", "bench", "--json", "--rounds", "1", "--batch", "100", "--in"])
            .arg(path("f.csv"))
            .arg("--model")
            .arg(path("a.json"))
            .arg("--out")
            .arg(path("s.csv")),
    );
    let timed: serde_json::Value = serde_json::from_slice(&timed.stdout).unwrap();
    assert!(timed["ns_per_row"]["median"].as_f64().unwrap() > 0.0, "{timed}");
    let alone = fs::read_to_string(path("s.csv")).unwrap();
    assert!(
        column(&alone, "anomaly_score") == column(&scores, "anomaly_score"),
        "the scores that were timed are others"
    );
}

fn csv_lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.lines().map(|line| line.split(',').map(str::to_owned).collect())
}

#[test]
fn training_twice_writes_the_same_bytes() {
    let folder = folder();
    let train = |name: &str| {
        let out = folder.path().join(name);
        run_well(
            sensor()
                .args([
                    "train",
                    "--trees",
                    "5",
                    "--name",
                    "same",
                    "--created-at",
                    "2026-01-01T00:00:00Z",
                    "--out",
                ])
                .arg(&out)
                .arg("--from")
                .arg(generated_traffic()),
        );
        fs::read(out).unwrap()
    };
    assert!(train("a.json") == train("b.json"));
}

#[test]
fn labels_of_another_capture_are_refused_with_file_and_row() {
    let folder = folder();
    run_well(
        sensor()
            .args(["dataset", "generate", "--packets", "20000", "--seed", "12", "--out"])
            .arg(folder.path()),
    );
    let output = run(sensor()
        .args(["evaluate", "--labels"])
        .arg(folder.path().join("labels.csv"))
        .arg(generated_traffic()));
    refused(&output, &["labels.csv: the row of packet", "timestamp_ns = ", "traffic.pcap"]);
}

#[test]
fn evaluation_finds_the_attacks_of_generated_traffic() {
    let labels = generated_traffic().with_file_name("labels.csv");
    let output = run_well(
        sensor()
            .args(["evaluate", "--summary", "json", "--labels"])
            .arg(labels)
            .arg(generated_traffic()),
    );
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report.is_object());
}

#[test]
fn parameters_of_training_that_can_never_do_are_faults_of_usage() {
    for (option, value) in [("--trees", "0"), ("--subsample", "1"), ("--contamination", "0.9")] {
        let output = run(sensor()
            .args(["train", "--out", "never.json", option, value, "--from"])
            .arg(generated_traffic()));
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {}", stderr(&output));
        assert!(stderr(&output).contains(option), "{}", stderr(&output));
    }
}

#[test]
fn a_rule_file_that_is_missing_is_named_with_the_key_that_names_it() {
    let folder = folder();
    refused(
        &check(folder.path(), "[rules]\nfiles = [\"gone.rules\"]\n"),
        &["gone.rules", "rules.files"],
    );
}
