//! Makes the page of the dashboard, which the program carries (`src/api/dashboard/page`), with Node. Everything happens in Cargo's
//! output folder; the sources stay as they are. Without the feature `dashboard` there is nothing to do.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = "src/api/dashboard/page";

/// What the page is made of.
const SOURCES: [&str; 7] =
    [".npmrc", "package.json", "package-lock.json", "build.js", "index.html", "icon.svg", "src"];

/// What to do where it can't be made.
const REMEDY: &str = "the dashboard is made with Node 18 or newer and npm (apt-get install nodejs npm), which fetches esbuild; \
     cargo build --no-default-features makes a sensor without it";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={PAGE}/{source}");
    }
    if env::var_os("CARGO_FEATURE_DASHBOARD").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("Cargo sets OUT_DIR")?);
    let copy = out.join("page");
    fs::create_dir_all(&copy)?;
    let lock = fs::read(Path::new(PAGE).join("package-lock.json"))?;
    let is_installed = fs::read(copy.join("installed")).is_ok_and(|installed| installed == lock);
    for source in SOURCES {
        copy_into(&Path::new(PAGE).join(source), &copy.join(source))?;
    }
    if !is_installed {
        // Emptied before anything changes: what fails half-way is done again.
        fs::write(copy.join("installed"), [])?;
        // No script of a package runs: esbuild's own would only check what npm has checked.
        run(Command::new("npm").args(["ci", "--omit=dev", "--ignore-scripts"]).current_dir(&copy))?;
        fs::write(copy.join("installed"), lock)?;
    }
    run(Command::new("node").arg("build.js").arg(out.join("dashboard")).current_dir(&copy))
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let said = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{said}: {error}: {REMEDY}"))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{said}: {}: {}\n{REMEDY}", output.status, complaint.trim()).into())
}

/// Copies a file, or a folder in the place of the one that is there.
fn copy_into(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_into(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
