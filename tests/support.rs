//! What several tests need: the program, generated traffic, and places to write to.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program as built for the tests.
pub(crate) fn sensor() -> Command {
    Command::new(env!("CARGO_BIN_EXE_phantomnet"))
}

/// The program as built for release; named by `PHANTOMNET_RELEASE`, which `make test` sets.
pub(crate) fn release_sensor() -> Option<Command> {
    std::env::var_os("PHANTOMNET_RELEASE").map(Command::new)
}

/// Runs to the end. Whatever it printed is in the output.
pub(crate) fn run(command: &mut Command) -> Output {
    command.env_remove("RUST_BACKTRACE").output().expect("the program can be started")
}

/// Runs to the end, which must be exit code 0.
pub(crate) fn run_well(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", stderr(&output));
    output
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON summary of a replay.
pub(crate) fn summary(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("the summary is JSON")
}

/// A capture of 20,000 packets with every attack in it, made once by `dataset generate`.
pub(crate) fn generated_traffic() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    static CAPTURE: OnceLock<PathBuf> = OnceLock::new();
    CAPTURE.get_or_init(|| {
        let folder = FOLDER.get_or_init(folder);
        run_well(
            sensor()
                .args(["dataset", "generate", "--packets", "20000", "--seed", "11", "--out"])
                .arg(folder.path()),
        );
        folder.path().join("traffic.pcap")
    })
}

/// A fresh folder that vanishes with the value.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written")
}

/// A capture of the corpus, which lies beside the project where it is available at all.
pub(crate) fn corpus() -> Option<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    if corpus.join("MANIFEST.tsv").is_file() {
        return Some(corpus);
    }
    eprintln!("SKIPPED: no corpus at {}; this part of the test did not run", corpus.display());
    None
}
