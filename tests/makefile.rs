//! What the Makefile promises: a demo that is as new as the program that generates it.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{folder, stderr};

/// Stands in for the program: writes down what it was told, and makes the demo.
const PRETENDER: &str = r#"#!/bin/sh
echo "$1" >> "$(dirname "$0")/told"
[ "$1" = dataset ] && mkdir -p "$4" && : > "$4/traffic.pcap"
exit 0
"#;

/// What the program was told by `make run`.
fn told_by_make_run(folder: &Path) -> String {
    let told = folder.join("told");
    fs::write(&told, "").unwrap();
    let output = Command::new("make")
        .args(["-j4", "run", "CARGO=true"])
        .arg(format!("SENSOR={}", folder.join("sensor").display()))
        .arg(format!("DEMO={}", folder.join("demo").display()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // This test may itself run under make.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .expect("make can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    fs::read_to_string(told).unwrap().replace('\n', " ")
}

#[test]
fn the_demo_is_made_anew_when_the_program_is_newer_and_only_then() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let sensor = folder.path().join("sensor");
    fs::write(&sensor, PRETENDER).unwrap();
    fs::set_permissions(&sensor, fs::Permissions::from_mode(0o755)).unwrap();
    let built = |at: SystemTime| {
        fs::File::options().append(true).open(&sensor).unwrap().set_modified(at).unwrap();
    };
    let now = SystemTime::now();
    built(now - Duration::from_secs(60));
    assert_eq!(told_by_make_run(folder.path()), "dataset replay ");
    assert_eq!(told_by_make_run(folder.path()), "replay ");
    built(now + Duration::from_secs(1));
    assert_eq!(told_by_make_run(folder.path()), "dataset replay ");
}
