//! What the sensor asks the kernel for while it captures, as strace sees it, held against what the unit lets it ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{skipped, values};
use crate::netns::{self, Wire, numbered_frames};
use crate::support;
use crate::watchdog::Service;

const UNIT: &str = "phantomnet.service";

/// As root, which the service is not, SQLite gives its files to whom the database belongs to.
const ONLY_AS_ROOT: [&str; 1] = ["fchown"];

#[test]
fn a_sensor_on_af_xdp_needs_no_call_and_no_socket_that_the_unit_refuses() {
    check(false, "AF_XDP");
}

#[test]
fn a_sensor_on_packet_sockets_needs_no_call_that_the_unit_refuses_and_one_socket_that_a_drop_in_allows()
 {
    check(true, "AF_PACKET");
}

/// The interface of the default route is captured by packet sockets.
fn check(has_default_route: bool, captures_by: &str) {
    if !netns::available() {
        return;
    }
    if let Err(error) = Command::new("strace").arg("--version").output() {
        return skipped(&format!(
            "strace ({error}): what the sensor asks the kernel for was not looked at; apt-get install strace"
        ));
    }
    let Some(allowed) = allowed_calls() else { return };
    let wire = Wire::new(1);
    if has_default_route {
        let route = ["route", "add", "default", "dev", wire.sensor().device()];
        support::run_well(wire.sensor().command("ip").args(route));
    }
    let asked = asked_for(&wire);
    let calls: BTreeSet<&str> = asked.lines().filter_map(call).collect();
    assert!(calls.len() > 40, "strace saw little: {calls:?}");
    let refused: Vec<&&str> = calls
        .iter()
        .filter(|call| !allowed.contains(**call) && !ONLY_AS_ROOT.contains(*call))
        .collect();
    assert!(refused.is_empty(), "the unit refuses {refused:?}");

    let sockets: BTreeSet<&str> = asked.lines().filter_map(family).collect();
    assert!(sockets.contains(captures_by), "it captures otherwise: {sockets:?}");
    let mut families = values(UNIT, "RestrictAddressFamilies").join(" ");
    // Without it a sensor on AF_XDP goes on: its port was made promiscuous before.
    families.extend([" ", &values("af-packet.conf", "RestrictAddressFamilies").join(" ")]);
    let families: BTreeSet<&str> = families.split_whitespace().collect();
    assert!(sockets.is_subset(&families), "{sockets:?} of {families:?}");
}

/// What strace writes of a sensor that starts, judges some frames and is stopped.
fn asked_for(wire: &Wire) -> String {
    let folder = support::folder();
    let trace = folder.path().join("trace");
    // Its grandchild traces, so that signals reach the sensor; it ends with it, and writes that down.
    let mut traced = wire.sensor().command("strace");
    traced.args(["-D", "-f", "-q", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_phantomnet"));
    let service = Service::start_as(traced, &["--interface", wire.sensor().device()]);
    service.hears_at_last("READY=1");
    wire.sender().send(&numbered_frames(200, 7));
    service.hears_at_last("WATCHDOG=1");
    service.stop();
    written(&trace)
}

/// The whole trace, as soon as it is whole.
fn written(trace: &Path) -> String {
    for _ in 0..600 {
        let text = fs::read_to_string(trace).unwrap_or_default();
        if text.lines().last().is_some_and(|line| line.contains("+++ exited with 0 +++")) {
            return text;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} does not end", trace.display());
}

/// The call of a line such as `1234  bind(7, ...) = 0`; none where it is only the end of one.
fn call(line: &str) -> Option<&str> {
    let (_process, what) = line.split_once(' ')?;
    let (name, _) = what.trim_start().split_once('(')?;
    name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_').then_some(name)
}

/// The family of a line such as `1234  socket(AF_UNIX, ...) = 7`.
fn family(line: &str) -> Option<&str> {
    let (_, arguments) = line.split_once(" socket(")?;
    arguments.split_once(',').map(|(family, _)| family)
}

/// The calls that the filter of the unit lets through, by the sets of this machine's systemd.
fn allowed_calls() -> Option<BTreeSet<String>> {
    let output = match Command::new("systemd-analyze").arg("syscall-filter").output() {
        Ok(output) => output,
        Err(error) => {
            skipped(&format!("systemd-analyze ({error}): apt-get install systemd"));
            return None;
        }
    };
    let sets = sets(&String::from_utf8(output.stdout).unwrap());
    // A list of what is allowed always holds these: systemd.exec(5).
    let mut allowed = members("@default", &sets);
    for line in values(UNIT, "SystemCallFilter") {
        let (is_refused, names) =
            line.strip_prefix('~').map_or((false, line.as_str()), |names| (true, names));
        for name in names.split_whitespace().flat_map(|name| members(name, &sets)) {
            if is_refused {
                allowed.remove(&name)
            } else {
                allowed.insert(name)
            };
        }
    }
    Some(allowed)
}

/// `@set` at the margin, what is in it indented, remarks behind `#`.
fn sets(shown: &str) -> BTreeMap<String, Vec<String>> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in shown.lines() {
        let word = line.trim();
        if line.starts_with('@') {
            word.clone_into(&mut current);
        } else if line.starts_with(' ') && !word.is_empty() && !word.starts_with('#') {
            sets.entry(current.clone()).or_default().push(word.to_owned());
        }
    }
    sets
}

/// A call is itself; a set is what is in it, and in the sets in it.
fn members(name: &str, sets: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    match sets.get(name) {
        Some(within) => within.iter().flat_map(|name| members(name, sets)).collect(),
        None => BTreeSet::from([name.to_owned()]),
    }
}
