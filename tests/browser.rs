//! The dashboard in a real browser: what `src/api/dashboard/page/tests` says people do with it, against the sensor on generated
//! traffic; and its scripts against the contract of the HTTP interface.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{folder, run_or_say, stderr, tell};

const PAGE: &str = "src/api/dashboard/page";

/// What the page, its checks and its tests are made of.
const SOURCES: [&str; 9] = [
    ".npmrc",
    "package.json",
    "package-lock.json",
    "build.js",
    "index.html",
    "icon.svg",
    "tsconfig.json",
    "src",
    "tests",
];

/// A copy of the page with the packages that its checks and tests need, made anew where the lock file has changed.
fn workplace() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        fs::create_dir_all(&copy).expect("a folder for the copy");
        let sources = || SOURCES.into_iter();
        let mut rm = Command::new("rm");
        rm.arg("-rf").args(sources()).current_dir(&copy);
        run_or_say(&mut rm, "the page's old sources are removed");
        let mut cp = Command::new("cp");
        cp.arg("-r").args(sources().map(|source| here.join(PAGE).join(source))).arg(&copy);
        run_or_say(&mut cp, "the page's sources are copied");
        let lock = fs::read(copy.join("package-lock.json")).expect("it was copied");
        let stamp = copy.join("installed");
        if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
            return copy;
        }
        fs::write(&stamp, []).expect("the stamp can be written");
        let needs = "the dashboard's tests need Node 18 or newer, npm, and the package registry";
        let mut npm = Command::new("npm");
        run_or_say(npm.args(["ci", "--ignore-scripts"]).current_dir(&copy), needs);
        fs::write(stamp, lock).expect("the stamp can be written");
        copy
    })
}

/// Runs one file of the page's tests; its report goes to the terminal.
fn in_a_browser(file: &str) {
    let place = workplace();
    let files = folder();
    let program = std::env::var_os("PHANTOMNET_RELEASE")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_phantomnet")), PathBuf::from);
    let output = Command::new("node")
        .args(["--test", "--test-reporter", "spec"])
        .arg(format!("tests/{file}"))
        .current_dir(place)
        .env("PHANTOMNET_PROGRAM", program)
        .env("TMPDIR", files.path())
        .output()
        .expect("node can be started");
    let report = String::from_utf8_lossy(&output.stdout);
    tell(&report);
    assert!(output.status.success(), "{report}\n{}", stderr(&output));
}

#[test]
fn every_page_does_in_a_browser_what_people_expect_of_it() {
    in_a_browser("pages.test.js");
}

#[test]
fn the_page_outlives_a_restart_of_the_sensor_and_shows_a_token_where_one_is_asked_for() {
    in_a_browser("restart.test.js");
}

#[test]
fn a_tab_takes_little_of_the_sensor_and_leaves_its_reader_in_peace() {
    in_a_browser("tab.test.js");
}

#[test]
fn the_page_asks_for_nothing_that_the_contract_does_not_have() {
    let place = workplace();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let mut types = Command::new("npx");
    types.args(["--no-install", "openapi-typescript"]).arg(contract);
    types.args(["--output", "types/api.d.ts"]).current_dir(place);
    run_or_say(&mut types, "types are made of the contract");
    let output = Command::new("npx")
        .args(["--no-install", "tsc"])
        .current_dir(place)
        .output()
        .expect("npx can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
