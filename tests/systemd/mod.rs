//! The service: what systemd itself says of the units, what they promise, a capture port for real, what the package holds.

#![cfg(test)]

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::netns::{self, Wire};
use crate::support;
use crate::watchdog::Service;

mod package; // every file has its place in it
mod port; // phantomnet-nic, run on a pair of interfaces in a network of its own
mod sandbox; // what the unit refuses, the sensor never asks for

/// The exposure that systemd computes must not be higher, out of 10.
const EXPOSURE_MAX: f64 = 2.0;

/// Says loudly that a part of the tests did not run; where nobody reads along, that is a failure.
#[track_caller]
fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be skipped where CI is set: {why}");
    // Not eprintln: the test harness would keep that to itself.
    writeln!(io::stderr(), "SKIPPED: {why}").expect("standard error can be written");
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

/// `systemd-analyze`, or nothing where it is not installed.
fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).arg(unit).output() {
        Ok(output) => Some(output),
        Err(error) => {
            skipped(&format!(
                "systemd-analyze ({error}): nobody has looked at {}; apt-get install systemd",
                unit.display()
            ));
            None
        }
    }
}

/// A unit as written: every `Key=value` in its order.
fn settings(unit: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(file(unit)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The values of one key.
fn values(unit: &str, key: &str) -> Vec<String> {
    settings(unit).into_iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect()
}

/// Holds one value against another by the words in it.
#[track_caller]
fn assert_words(unit: &str, key: &str, expected: &[&str]) {
    let joined = values(unit, key).join(" ");
    let mut words: Vec<&str> = joined.split_whitespace().collect();
    words.sort_unstable();
    assert_eq!(words, expected, "{key} of {unit}");
}

/// The unit in a folder of its own, with the programs that it starts where they lie now.
fn as_if_installed(unit: &str, instance: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = support::folder();
    let text = fs::read_to_string(file(unit)).unwrap();
    let text = text
        .replace("/usr/bin/phantomnet", env!("CARGO_BIN_EXE_phantomnet"))
        .replace("/usr/lib/phantomnet/phantomnet-nic", file("phantomnet-nic").to_str().unwrap());
    let path = folder.path().join(instance);
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let units = [
        ("phantomnet.service", "phantomnet.service"),
        ("phantomnet-nic@.service", "phantomnet-nic@eth7.service"),
    ];
    for (unit, instance) in units {
        let (_folder, path) = as_if_installed(unit, instance);
        let Some(output) = systemd_analyze(&["verify", "--man=no"], &path) else { return };
        let said = support::stderr(&output);
        // Of other units on this machine it may have something to say, too.
        let about_ours: Vec<&str> =
            said.lines().filter(|line| line.contains("phantomnet")).collect();
        assert!(about_ours.is_empty(), "{unit}: {about_ours:#?}");
    }
}

#[test]
fn the_units_are_as_little_exposed_as_promised() {
    for unit in ["phantomnet.service", "phantomnet-nic@.service"] {
        let arguments = ["security", "--offline=true", "--no-pager"];
        let Some(output) = systemd_analyze(&arguments, &file(unit)) else { return };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let exposure = text
            .lines()
            .find(|line| line.contains("Overall exposure level"))
            .and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("{unit}: {text}{}", support::stderr(&output)));
        assert!(exposure <= EXPOSURE_MAX, "{unit}: {exposure} > {EXPOSURE_MAX}\n{text}");
    }
}

#[test]
fn the_sensor_has_three_capabilities_and_the_port_one() {
    let sensor = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_NET_RAW"];
    assert_words("phantomnet.service", "AmbientCapabilities", &sensor);
    assert_words("phantomnet.service", "CapabilityBoundingSet", &sensor);
    assert_words("phantomnet.service", "NoNewPrivileges", &["yes"]);
    assert_words("phantomnet-nic@.service", "CapabilityBoundingSet", &["CAP_NET_ADMIN"]);
    assert_words("phantomnet-nic@.service", "AmbientCapabilities", &[]);
}

#[test]
fn those_capabilities_are_enough_to_capture() {
    if !netns::available() {
        return;
    }
    let wire = Wire::new(1);
    let joined = values("phantomnet.service", "CapabilityBoundingSet").join(" ");
    let kept = joined.to_lowercase().replace("cap_", "+").replace(' ', ",");
    // Root keeps of its capabilities what this leaves; the kernel asks for them, never for the user.
    let program = wire.sensor().sensor_program();
    let mut words: Vec<_> = program.get_args().collect();
    let sensor = words.pop().expect("the sensor, behind what leads into the namespace");
    let mut confined = Command::new(program.get_program());
    confined.args(words).arg("setpriv").arg(format!("--bounding-set=-all,{kept}")).arg(sensor);
    Service::start_as(confined, &["--interface", wire.sensor().device()]).hears_at_last("READY=1");
}

#[test]
fn a_sensor_that_hangs_or_crashes_is_started_again_but_not_one_with_a_broken_configuration() {
    let unit = "phantomnet.service";
    assert_words(unit, "Type", &["notify"]);
    assert_words(unit, "WatchdogSec", &["10"]);
    assert_words(unit, "Restart", &["on-failure"]);
    assert_words(unit, "RestartPreventExitStatus", &["2", "78"]);
    assert_words(unit, "TimeoutStopSec", &["15"]);
    // The exit code of a command before the start does not count for RestartPreventExitStatus.
    let before = values(unit, "ExecStartPre");
    assert!(before.iter().all(|command| command.starts_with('-')), "{before:?}");
}

#[test]
fn the_configuration_of_the_package_is_good_and_keeps_its_data_where_the_unit_lets_it() {
    let output = support::run_well(
        support::sensor().args(["check", "--config"]).arg(file("phantomnet.toml")),
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("folder    /var/lib/phantomnet\n"), "{said}");
    assert_words("phantomnet.service", "StateDirectory", &["phantomnet"]);
    assert_words("phantomnet.service", "LogsDirectory", &["phantomnet"]);
}
