//! `--json`: wherever a command prints a page it prints one JSON object in its place, and nothing beside it.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use phantomnet::features::SCHEMA;
use serde_json::{Value, json};

use crate::support::{folder, generated_traffic, run, run_well, sensor, stderr};

/// Every command that knows `--json`, by its words.
fn commands_with_json() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for above in ["", "model ", "dataset "] {
        let words = above.split_whitespace();
        let overview = run_well(sensor().args(words.clone()).arg("--help")).stdout;
        let overview = String::from_utf8(overview).unwrap();
        let (_, listed) = overview.split_once("Commands:\n").expect("there are commands");
        let names = listed.lines().take_while(|line| !line.is_empty());
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            let help = run(sensor().args(words.clone()).args([name, "-h"])).stdout;
            if String::from_utf8(help).unwrap().contains(" --json") {
                found.insert(format!("{above}{name}"));
            }
        }
    }
    found
}

/// The one JSON object that the command prints, and its page.
fn both(words: &str) -> (Value, String) {
    let words: Vec<&str> = words.split_whitespace().collect();
    let page = run_well(sensor().args(&words)).stdout;
    let output = run_well(sensor().args(&words).arg("--json"));
    assert!(stderr(&output).is_empty(), "{words:?}: {}", stderr(&output));
    let object: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{words:?}: no single JSON document: {error}"));
    assert!(object.is_object(), "{words:?}: {object}");
    (object, String::from_utf8(page).unwrap())
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// What models/export_sklearn.py would write of a forest with one tree: the first feature at most 1.5, or not.
fn exported_forest() -> Value {
    let row = |first: f64| {
        let mut row = vec![0.0; SCHEMA.len()];
        row[0] = first;
        row
    };
    json!({
        "format": "phantomnet-sklearn-forest", "version": 1, "sklearn": "1.5.2",
        "feature_names": SCHEMA.each_ref().map(|feature| feature.name),
        "max_samples": 2, "offset": -0.5, "contamination": null,
        "trees": [{"feature": [0, -2, -2], "threshold": [1.5, -2.0, -2.0],
                   "left": [1, -1, -1], "right": [2, -1, -1], "rows": [2, 1, 1]}],
        "rows": [row(1.0), row(2.0)],
        "check": [{"row": row(1.0), "score_samples": -0.5}],
    })
}

#[test]
fn every_command_that_prints_a_page_prints_one_json_object_in_its_place() {
    let folder = folder();
    let at = |name: &str| path(folder.path(), name);
    let capture = generated_traffic().display().to_string();
    let labels = path(generated_traffic().parent().unwrap(), "labels.csv");
    let (store, rows, model) = (at("a.db"), at("f.csv"), at("m.json"));
    run_well(sensor().args(["replay", "--dump-features", &rows, &capture]));
    run_well(sensor().args(["replay", "--store", &format!("sqlite:{store}"), &capture]));
    fs::write(at("forest.json"), exported_forest().to_string()).unwrap();
    let train =
        format!("train --trees 5 --created-at 2026-01-01T00:00:00Z --from {rows} --out {model}");
    let lines = [
        ("audit", format!("audit --store sqlite:{store}")),
        ("check", "check".to_owned()),
        ("dataset generate", format!("dataset generate --packets 2000 --out {}", at("d"))),
        ("evaluate", format!("evaluate --labels {labels} {capture}")),
        ("explain", format!("explain --row {rows} --packet 17")),
        ("migrate", format!("migrate --store sqlite:{store}")),
        ("model bench", format!("model bench --rounds 1 --in {rows}")),
        ("model import", format!("model import {} --out {}", at("forest.json"), at("i.json"))),
        ("model inspect", "model inspect".to_owned()),
        ("model verify", "model verify".to_owned()),
        ("replay", format!("replay {capture}")),
        ("train", train),
    ];
    let answers: BTreeMap<&str, (Value, String)> =
        lines.iter().map(|(command, line)| (*command, both(line))).collect();

    // What a page says in words stands in the object.
    for (command, pointer) in [
        ("audit", "/epochs/0/epoch"),
        ("check", "/detection_version"),
        ("check", "/model/sha256"),
        ("dataset generate", "/packets"),
        ("explain", "/dst_ip"),
        ("explain", "/score/shares/0/feature"),
        ("migrate", "/schema_version"),
        ("model import", "/name"),
        ("model inspect", "/schema_fingerprint"),
        ("model inspect", "/training/sources/0/sha256"),
        ("model verify", "/sha256"),
        ("train", "/sha256"),
    ] {
        let (object, page) = &answers[command];
        let value =
            object.pointer(pointer).unwrap_or_else(|| panic!("{command}: no {pointer}: {object}"));
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert!(page.contains(&text), "{command}: {text} is not in\n{page}");
    }
    // Looked at elsewhere: what the doctor finds depends on the machine, top needs a sensor.
    let mut known: BTreeSet<String> = answers.keys().map(|command| (*command).to_owned()).collect();
    known.extend(["doctor".to_owned(), "top".to_owned()]);
    assert_eq!(commands_with_json(), known);
}

#[test]
fn another_spelling_of_the_same_gives_the_same_and_two_at_once_are_refused() {
    let folder = folder();
    let capture = generated_traffic().display().to_string();
    let labels = path(generated_traffic().parent().unwrap(), "labels.csv");
    let store = format!("sqlite:{}", path(folder.path(), "a.db"));
    run_well(sensor().args(["replay", "--store", &store, &capture]));
    for (arguments, spelling) in [
        (vec!["audit", "--store", &store], ["--form", "json"]),
        (vec!["evaluate", "--labels", &labels, &capture], ["--summary", "json"]),
    ] {
        let spelled = run_well(sensor().args(&arguments).args(spelling)).stdout;
        let short = run_well(sensor().args(&arguments).arg("--json")).stdout;
        assert!(spelled == short, "{arguments:?}");
    }
    let refused = run(sensor().args(["replay", "--json", "--summary", "text", &capture]));
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}

#[test]
fn the_doctor_prints_one_json_object_whatever_it_finds() {
    let output = run(sensor().args(["doctor", "--json"]));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert!(report["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{report}");
}
