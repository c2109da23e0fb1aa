//! What the Makefile promises: `make run` builds the program, then shows it.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{folder, stderr};

/// Stands in for the program: writes down what it was told.
const PRETENDER: &str = "#!/bin/sh\necho \"$@\" >> \"$(dirname \"$0\")/told\"\n";

#[test]
fn the_program_is_built_and_then_shown() {
    let folder = folder();
    let sensor = folder.path().join("sensor");
    fs::write(folder.path().join("pretender"), PRETENDER).unwrap();
    fs::set_permissions(folder.path().join("pretender"), fs::Permissions::from_mode(0o755))
        .unwrap();
    // Cargo stands for the build: what it makes is what runs.
    let cargo = format!("cp {} {} #", folder.path().join("pretender").display(), sensor.display());
    let output = Command::new("make")
        .args(["-j4", "run"])
        .arg(format!("CARGO={cargo}"))
        .arg(format!("SENSOR={}", sensor.display()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // This test may itself run under make.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .expect("make can be started");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(folder.path().join("told")).unwrap(), "demo\n");
}
