//! The rules of the house that a machine can check: who imports whom, what the data path does without, how files look.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rust_source::{NamedPath, Token, paths, tokens, without_tests};

/// The first and the last module of the data path, as rows of the table.
const DATA_PATH: (&str, &str) = ("capture", "worker");

/// The longest source file, lines; a file of tests may be longer.
const LINES_MAX: usize = 600;

/// Files of the data path that may read a clock, and why.
const CLOCKS: [(&str, &str); 3] = [
    ("worker.rs", "times its stages, once a turn"),
    ("capture/paced.rs", "replays a capture in the time it took"),
    ("capture/af_xdp/port.rs", "asks for a queue again, before any worker runs"),
];

/// Words that the data path does without, and what to do instead.
const UNWANTED: [(&str, &str); 9] = [
    ("Mutex", "a worker shares nothing: hand over through a ring"),
    ("RwLock", "a worker shares nothing: take a snapshot through `latest`"),
    ("Instant", "time comes with the frame"),
    ("SystemTime", "time comes with the frame"),
    ("println", "count it"),
    ("eprintln", "count it"),
    ("print", "count it"),
    ("eprint", "count it"),
    ("dbg", "count it"),
];

// --- the table -------------------------------------------------------------------------------------------------------

/// One row: what a module may import, and which crates it may not name.
#[derive(Debug)]
struct Row {
    module: String,
    may_import: BTreeSet<String>,
    may_not_name: BTreeSet<String>,
}

/// The table of `docs/ARCHITECTURE.md`, in its order.
fn table() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("it is tracked");
    let (_, section) =
        text.split_once("## Who may import whom").expect("the heading is a contract");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let lines: Vec<Vec<String>> =
        section.lines().filter(|line| line.starts_with('|')).map(cells).collect();
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| name != "nothing")
            .collect()
    };
    let sets: BTreeMap<&str, BTreeSet<String>> = lines
        .iter()
        .filter_map(|cells| match cells.as_slice() {
            [set, crates] => Some((set.as_str(), names(crates))),
            _ => None,
        })
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    for cells in &lines {
        let [module, imports, crates] = cells.as_slice() else { continue };
        if module == "module" || module.starts_with('-') {
            continue;
        }
        let may_import = match imports.as_str() {
            "everything above" => rows.iter().map(|row| row.module.clone()).collect(),
            listed => names(listed),
        };
        let expand =
            |name: String| sets.get(name.as_str()).cloned().unwrap_or_else(|| [name].into());
        let may_not_name = names(crates).into_iter().flat_map(expand).collect();
        rows.push(Row { module: module.clone(), may_import, may_not_name });
    }
    rows
}

/// The modules of the data path.
fn data_path() -> Vec<String> {
    let modules: Vec<String> = table().into_iter().map(|row| row.module).collect();
    let place = |name: &str| modules.iter().position(|module| module == name).expect("has a row");
    modules[place(DATA_PATH.0)..=place(DATA_PATH.1)].to_vec()
}

#[test]
fn arrows_run_up_the_table_only() {
    let rows = table();
    assert!(rows.len() > 15, "the table could not be read: {rows:?}");
    for (nth, row) in rows.iter().enumerate() {
        let above: BTreeSet<String> = rows[..nth].iter().map(|row| row.module.clone()).collect();
        let below: Vec<&String> = row.may_import.difference(&above).collect();
        assert!(
            below.is_empty(),
            "docs/ARCHITECTURE.md: {} may not import {below:?} below it",
            row.module
        );
    }
}

#[test]
fn the_table_has_the_modules_of_the_crate_in_their_order() {
    let (tokens, _) = without_tests(&tokens(&read("src/lib.rs")));
    let declared: Vec<&str> = tokens
        .windows(3)
        .filter(|window| window[0].text == "mod" && window[2].text == ";")
        .map(|window| window[1].text.as_str())
        .collect();
    let rows = table();
    for module in &declared {
        assert!(
            rows.iter().any(|row| row.module == *module),
            "src/lib.rs: {module} has no row in docs/ARCHITECTURE.md, \"who may import whom\""
        );
    }
    let in_table: Vec<&str> =
        rows.iter().map(|row| row.module.as_str()).filter(|name| declared.contains(name)).collect();
    assert_eq!(
        in_table, declared,
        "docs/ARCHITECTURE.md and src/lib.rs name the modules in two orders"
    );
}

// --- the sources -----------------------------------------------------------------------------------------------------

/// One source file of the crate, without its tests.
struct Source {
    /// Relative to `src`.
    file: String,
    text: String,
    tokens: Vec<Token>,
}

impl Source {
    /// The module of the table that the file belongs to.
    fn module(&self) -> &str {
        let first = self.file.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How deep the file's own module lies: 0 for the crate's root, 1 for a module of the table.
    fn depth(&self) -> usize {
        let parts = self.file.split('/').count();
        let is_root = ["lib.rs", "main.rs"].contains(&self.file.as_str());
        parts - usize::from(is_root || self.file.ends_with("/mod.rs"))
    }

    /// The module of the crate that a path leads to; none for one of an outside crate, or inside the own module.
    fn leads_to<'a>(&self, path: &'a NamedPath) -> Option<&'a str> {
        let first = path.words.first()?.as_str();
        let supers = path.words.iter().take_while(|word| *word == "super").count();
        let to_root = match first {
            "crate" | "phantomnet" => 1,
            "super" if supers == self.depth() + path.depth => supers,
            _ => return None,
        };
        path.words.get(to_root).map(String::as_str)
    }
}

/// All source files of the crate but those that hold tests alone.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut of_tests = Vec::new();
    for path in rust_files_under(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("source is text");
        let (tokens, test_files) = without_tests(&tokens(&text));
        let name = path.file_name().unwrap_or_default();
        let folder = path.parent().expect("lies under src").to_owned();
        let folder = if ["mod.rs", "lib.rs", "main.rs"].iter().any(|own| name == *own) {
            folder
        } else {
            path.with_extension("")
        };
        for module in test_files {
            of_tests.extend([folder.join(format!("{module}.rs")), folder.join(module)]);
        }
        sources.push((path, text, tokens));
    }
    let src = root().join("src");
    sources
        .into_iter()
        .filter(|(path, ..)| !of_tests.iter().any(|tests| path.starts_with(tests)))
        .map(|(path, text, tokens)| {
            let file = path.strip_prefix(&src).expect("lies under src").display().to_string();
            Source { file, text, tokens }
        })
        .collect()
}

#[test]
fn an_import_is_seen_however_it_is_written() {
    let text = "use crate::{cli, intel::gate}; use super::super::worker::Worker; use super::feed;
        mod inner { use super::super::super::api; use super::own; }
        fn f() -> phantomnet::store::Row { std::mem::take(crate::ring::row()) }";
    let tokens = tokens(text);
    let source = Source { file: "intel/gate.rs".to_owned(), text: String::new(), tokens };
    let paths = paths(&source.tokens);
    let seen: Vec<&str> = paths.iter().filter_map(|path| source.leads_to(path)).collect();
    assert_eq!(seen, ["cli", "intel", "worker", "api", "store", "ring"]);
    assert_eq!(source.module(), "intel");
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let rows = table();
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| source.file != "lib.rs") {
        let row = rows.iter().find(|row| row.module == source.module());
        let Some(row) = row else {
            broken.push(format!("src/{}: its module has no row", source.file));
            continue;
        };
        for path in paths(&source.tokens) {
            let Some(module) = source.leads_to(&path) else { continue };
            if module != row.module && !row.may_import.contains(module) {
                broken.push(format!("src/{}:{} imports {module}", source.file, path.line));
            }
        }
    }
    assert_none(&broken, "see docs/ARCHITECTURE.md, \"who may import whom\"");
}

#[test]
fn modules_name_no_crate_that_the_table_denies_them() {
    let rows = table();
    let mut broken = Vec::new();
    for source in &sources() {
        let Some(row) = rows.iter().find(|row| row.module == source.module()) else { continue };
        for path in paths(&source.tokens) {
            let name = path.words.first().map(String::as_str).unwrap_or_default();
            if row.may_not_name.contains(name) {
                broken.push(format!("src/{}:{} names {name}", source.file, path.line));
            }
        }
    }
    assert_none(&broken, "see docs/ARCHITECTURE.md, \"who may import whom\"");
}

#[test]
fn the_data_path_has_no_lock_no_clock_and_no_voice() {
    let modules = data_path();
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| modules.iter().any(|m| m == source.module())) {
        let may_read_clocks = CLOCKS.iter().any(|(file, _)| *file == source.file);
        for token in &source.tokens {
            let Some((word, instead)) = UNWANTED.iter().find(|(word, _)| *word == token.text)
            else {
                continue;
            };
            if !(may_read_clocks && ["Instant", "SystemTime"].contains(word)) {
                broken.push(format!("src/{}:{} names {word}: {instead}", source.file, token.line));
            }
        }
    }
    assert_none(&broken, "the data path runs on pinned cores");
}

#[test]
fn every_file_says_what_it_is_for_and_holds_one_idea() {
    let mut broken = Vec::new();
    for Source { file, text, .. } in &sources() {
        if !text.starts_with("//!") {
            broken.push(format!("src/{file}:1 does not begin with //! and what it is for"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX && !file.ends_with("tests.rs") {
            broken.push(format!(
                "src/{file} has {lines} lines, more than {LINES_MAX}: it holds two ideas"
            ));
        }
    }
    assert_none(&broken, "the rules of the house");
}

// --- everything that is tracked --------------------------------------------------------------------------------------

#[test]
fn no_tracked_file_names_a_package_registry_or_a_path_of_some_machine() {
    let Some(files) = tracked_files() else {
        eprintln!(
            "SKIPPED: this copy is no git checkout, so it cannot tell which files are tracked"
        );
        return;
    };
    // Written in two halves, so that this file does not break its own rule.
    let hosts = [
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["registry.npmjs", ".org"],
        ["pypi", ".org"],
        ["pythonhosted", ".org"],
        ["proxy.golang", ".org"],
    ]
    .map(|halves| halves.concat());
    let folders = ["root", "work", "home", "Users"].map(|folder| format!("/{folder}/"));
    let mut broken = Vec::new();
    for file in files {
        // What is not text names nothing.
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for (line, number) in text.lines().zip(1..) {
            if let Some(host) = hosts.iter().find(|host| line.contains(*host)) {
                broken.push(format!("{file}:{number} names the registry {host}"));
            }
            if let Some(folder) = folders.iter().find(|folder| begins_a_path(line, folder)) {
                broken.push(format!("{file}:{number} names a path under {folder}"));
            }
        }
    }
    assert_none(&broken, "the project is at home on every machine");
}

#[test]
fn every_locked_crate_comes_from_the_one_public_index() {
    let lock = read("Cargo.lock");
    let index = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let broken: Vec<String> = lock
        .lines()
        .zip(1..)
        .filter(|(line, _)| line.starts_with("source = ") && *line != index)
        .map(|(line, number)| format!("Cargo.lock:{number} has {line}"))
        .collect();
    assert_none(&broken, "a build elsewhere would ask another server");
}

/// Whether `folder` stands in the line as the beginning of an absolute path.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~*})/".contains(c))
    })
}

/// The files under version control; none where there is none.
fn tracked_files() -> Option<Vec<String>> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().ok()?;
    let names = String::from_utf8(listed.stdout).ok()?;
    let files: Vec<String> =
        names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (listed.status.success() && !files.is_empty()).then_some(files)
}

// --- helpers ---------------------------------------------------------------------------------------------------------

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("it is tracked")
}

/// All `.rs` files under a folder, in the order of their names.
fn rust_files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| entry.expect("can be read").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(rust_files_under(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}
