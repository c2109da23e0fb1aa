//! The comparison with peers, as far as it can be tried without any of them: its arithmetic, and what it takes for a measurement.

#![cfg(test)]

use std::path::Path;
use std::process::Command;

use crate::support::run_or_say;

#[test]
fn the_arithmetic_of_the_comparison_holds() {
    run_or_say(
        Command::new("python3")
            .args(["-B", "-m", "unittest"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("perf/compare")),
        "perf/compare is tested by python3",
    );
}
