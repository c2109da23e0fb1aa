//! What several tests need: the program, generated traffic, and places to write to.

#![cfg(test)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

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

/// Prints a figure also when the test passes: past the capture of `print!`, in one write.
pub(crate) fn tell(text: &str) {
    let line = format!("{text}\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())
        .expect("stderr can be written");
}

/// Sends a signal, such as INT, to a process that a test has started.
pub(crate) fn signal(name: &str, process: u32) {
    let mut kill = Command::new("kill");
    run_well(kill.args([&format!("-{name}"), &process.to_string()]));
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The JSON summary of a replay.
pub(crate) fn summary(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("the summary is JSON")
}

/// Starts a sensor on generated traffic that stays when that has ended. Returns it, and where it listens.
pub(crate) fn start_staying(config: &Path, also: impl FnOnce(&mut Command)) -> (Child, String) {
    let mut command = sensor();
    command.args(["run", "--stay", "--speed", "max", "--config"]).arg(config);
    command.arg("--source").arg(generated_traffic()).stderr(Stdio::piped());
    also(&mut command);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().expect("it says where it listens").unwrap();
        if let Some(address) = line.strip_prefix("phantomnet: listening on http://") {
            break address.to_owned();
        }
    };
    // Read to the end, so that the program never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (process, address)
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

/// The Python of an environment of the tests' own that holds the packages which `tests/<name>/requirements.txt` pins; made once,
/// and again when a pin changes. `what` the test compares with is said when it can't be made.
pub(crate) fn python_with(name: &str, what: &str) -> PathBuf {
    // Two tests may want the same one at once.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name).join("requirements.txt");
    let pinned = fs::read_to_string(&requirements).expect("it is tracked");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("environment");
    fs::create_dir_all(&environment).expect("a folder for the environment");
    let stamp = environment.join("requirements.txt");
    let python = environment.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == pinned) {
        return python;
    }
    let needs = format!("this test compares with {what}: it needs python3 (3.9 to 3.12) with venv");
    run_or_say(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment), &needs);
    let needs = format!(
        "this test compares with {what}: its pinned packages could not be installed from the package registry"
    );
    let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run_or_say(
        Command::new(&python).args(options).args(["--only-binary=:all:", "-r"]).arg(requirements),
        &needs,
    );
    fs::write(stamp, pinned).expect("the stamp can be written");
    python
}

/// Runs to the end, which must be good; else says what it `needs`. Returns what it printed.
pub(crate) fn run_or_say(command: &mut Command, needs: &str) -> Vec<u8> {
    let output = command.output().expect(needs);
    assert!(
        output.status.success(),
        "{needs} ({command:?}: {})\n{}",
        output.status,
        stderr(&output)
    );
    output.stdout
}

/// The captures of the corpus that can be opened: those of another format version can't.
pub(crate) fn captures_that_open(corpus: &Path) -> Vec<PathBuf> {
    let manifest = fs::read_to_string(corpus.join("MANIFEST.tsv")).expect("it is there");
    let names = manifest.lines().skip(1).filter_map(|line| line.split('\t').nth(2));
    let captures: Vec<PathBuf> = names
        .map(|name| corpus.join(name.strip_prefix("handover/").unwrap_or(name)))
        .filter(|path| phantomnet::capture::Reader::open(&[path]).is_ok())
        .collect();
    assert!(captures.len() > 1_000, "only {} captures can be opened", captures.len());
    captures
}
