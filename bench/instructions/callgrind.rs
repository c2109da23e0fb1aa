//! This program under callgrind, which counts every instruction that it carries out.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The argument by which the program is told to run one scenario.
pub(crate) const RUN: &str = "--run-scenario";

/// What `valgrind --version` prints; none where there is no valgrind.
pub(crate) fn version() -> Option<String> {
    let output = valgrind().arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How many instructions the scenario of this name takes between its marks. Writes callgrind's files into `folder`.
pub(crate) fn count(name: &str, folder: &Path) -> Result<u64, String> {
    let file: PathBuf = folder.join(name.replace(|c: char| !c.is_alphanumeric(), "-"));
    // The first of its files is that of the mark, the last, without a number, that of the program's end.
    let mut marked = file.clone().into_os_string();
    marked.push(".1");
    let marked = PathBuf::from(marked);
    forget(&marked)?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&file);
    let output = valgrind()
        .args([
            "--tool=callgrind",
            "--zero-before=*counting_begins*",
            "--dump-before=*counting_ends*",
        ])
        .arg(out)
        .arg(program)
        .args([RUN, name])
        .output()
        .map_err(|error| format!("valgrind can't be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    let text =
        fs::read_to_string(&marked).map_err(|error| format!("{}: {error}", marked.display()))?;
    total(&text).ok_or_else(|| format!("{}: no line \"totals:\"", marked.display()))
}

/// Removes what an earlier run may have left, so that it can't be taken for the result of this one.
fn forget(file: &Path) -> Result<(), String> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{}: {error}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Valgrind in an empty environment: what lies in one moves the stack, and the C library copies by where things lie.
fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.env_clear();
    command
}

/// The sum that stands in a file of callgrind.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.trim().parse().ok()
}
