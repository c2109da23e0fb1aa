//! The lines of `docs/API.md`, run as printed on a demonstration of the test's own; only the port differs.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::demo::Demo;

/// Where the printed lines ask.
const PRINTED: &str = "127.0.0.1:8000";

/// Runs a printed line against `demo`; whether it succeeded, and what it printed.
fn run(demo: &Demo, line: &str) -> (bool, String) {
    let line = line.replace(PRINTED, &demo.address);
    let output = Command::new("sh").args(["-c", &line]).output().expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success() && !output.stdout.is_empty(), text)
}

/// Waits until the traffic has made what the manual asks for.
fn wait_for(demo: &Demo, line: &str, text: &str) {
    let began = Instant::now();
    while !run(demo, line).1.contains(text) {
        assert!(began.elapsed() < Duration::from_secs(120), "{line}: no {text}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The blocks of the manual that are for a shell.
fn lines() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/API.md");
    let text = std::fs::read_to_string(path).expect("it is tracked");
    let blocks = text.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| block.split("```").next())
        .map(|block| block.trim().to_owned())
        .collect()
}

#[test]
fn every_line_of_the_manual_succeeds_on_the_demonstration() {
    let demo = Demo::start();
    wait_for(&demo, "curl -sS 'http://127.0.0.1:8000/api/incidents?limit=1'", "\"id\"");
    wait_for(&demo, "curl -sS 'http://127.0.0.1:8000/api/events?verdict=HIGH&limit=1'", "\"id\"");
    wait_for(&demo, "curl -sS 'http://127.0.0.1:8000/api/sources?limit=1'", "\"ip\"");
    for line in lines() {
        let (succeeded, said) = run(&demo, &line);
        assert!(succeeded, "{line}\n{said}");
    }
}

#[test]
fn the_manual_has_a_line_for_every_route() {
    let document: serde_json::Value =
        serde_json::from_str(&phantomnet::api::openapi_json()).expect("it is JSON");
    let lines = lines();
    let asked = |route: &str| {
        lines.iter().any(|line| {
            // The last address of a line is the one that it asks; the others find names for it.
            let wanted: Vec<&str> = route.split('/').collect();
            line.match_indices(PRINTED).any(|(at, _)| {
                let path = &line[at + PRINTED.len()..];
                let path = path.split("$(").enumerate().map(|(nth, part)| {
                    if nth == 0 {
                        part.to_owned()
                    } else {
                        format!("x{}", part.rsplit(')').next().unwrap_or_default())
                    }
                });
                let path = path.collect::<String>();
                let path = path.split(['?', '\'', ' ']).next().unwrap_or_default();
                let parts: Vec<&str> = path.split('/').collect();
                parts.len() == wanted.len()
                    && parts
                        .iter()
                        .zip(&wanted)
                        .all(|(part, wanted)| wanted.starts_with('{') || part == wanted)
            })
        })
    };
    let routes: BTreeSet<&String> = document["paths"].as_object().expect("paths").keys().collect();
    let missing: Vec<_> =
        routes.into_iter().filter(|route| *route != "/docs" && !asked(route)).collect();
    assert!(missing.is_empty(), "docs/API.md has no line for {missing:?}");
}
