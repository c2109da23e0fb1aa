//! The book of `docs`: built whole, every link in it leads somewhere, nothing comes from elsewhere, and what its chapters show to type runs.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::support::{folder, release_sensor, run_well};

/// Chapters whose blocks all run, in their order, in an empty folder.
const CHAPTERS_THAT_RUN: [&str; 4] = ["START.md", "RULES.md", "TUNING.md", "TRAINING.md"];

/// How files end whose names could be taken for keys.
const FILES: [&str; 2] = [".csv", ".json"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

// --- the book --------------------------------------------------------------------------------------------------------

/// One page, or picture, or whatever else the book holds.
struct Page {
    /// Where it stands in the book.
    place: PathBuf,
    /// The text of a page; empty for what is none.
    html: String,
}

/// The book as `make book` makes it.
fn book() -> Vec<Page> {
    let folder = folder();
    let target =
        Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    run_well(
        Command::new(env!("CARGO"))
            .args([
                "run",
                "--quiet",
                "--locked",
                "--manifest-path",
                "book/Cargo.toml",
                "--target-dir",
            ])
            .arg(target)
            .arg("--")
            .arg(folder.path())
            .current_dir(env!("CARGO_MANIFEST_DIR")),
    );
    files_under(folder.path())
        .into_iter()
        .map(|file| Page {
            place: file.strip_prefix(folder.path()).expect("it lies there").to_owned(),
            html: match file.extension().is_some_and(|end| end == "html" || end == "css") {
                true => fs::read_to_string(&file).expect("pages are text"),
                false => String::new(),
            },
        })
        .collect()
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it can be listed");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    paths.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// The values of an attribute, in the order of the page.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    html.split(&begin).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                assert!(normal.pop(), "{} leads out of the book", path.display());
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[test]
fn every_link_of_the_book_leads_to_a_page_and_a_place_on_it() {
    let pages = book();
    let anchors: BTreeMap<&Path, BTreeSet<&str>> = pages
        .iter()
        .map(|page| (&*page.place, values(&page.html, "id").into_iter().collect()))
        .collect();
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for target in [values(&page.html, "href"), values(&page.html, "src")].concat() {
            if target.starts_with("http") {
                continue;
            }
            followed += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let here = page.place.parent().expect("a page is a file");
            let there = if path.is_empty() { page.place.clone() } else { normal(&here.join(path)) };
            match anchors.get(&*there) {
                None => broken.push(format!("{}: {target}: no such page", page.place.display())),
                Some(known) if !anchor.is_empty() && !known.contains(anchor) => {
                    broken.push(format!("{}: {target}: no such place on it", page.place.display()));
                }
                Some(_) => {}
            }
        }
    }
    assert!(followed > 1000, "of {followed} links not all can have been found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_reader_of_the_book_asks_nobody_but_the_book() {
    for page in book() {
        let fetched =
            [values(&page.html, "src"), page.html.split("url(").skip(1).collect()].concat();
        for what in fetched {
            let what = what.trim_start_matches(['"', '\'']);
            assert!(
                !what.starts_with("http") && !what.starts_with("//"),
                "{}: {what:.80}",
                page.place.display()
            );
        }
        for link in page.html.split("<link").skip(1) {
            let link = link.split('>').next().unwrap_or_default();
            assert!(!link.contains("//"), "{}: <link{link}>", page.place.display());
        }
    }
}

#[test]
fn every_document_is_a_chapter() {
    let summary = fs::read_to_string(docs().join("SUMMARY.md")).expect("it is tracked");
    let missing: Vec<String> = files_under(&docs())
        .iter()
        .filter_map(|file| Some(file.strip_prefix(docs()).ok()?.to_str()?.to_owned()))
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .filter(|name| !summary.contains(&format!("]({name})")))
        .collect();
    assert!(missing.is_empty(), "docs/SUMMARY.md does not list {missing:?}");
}

/// The words with which code in a text begins, but for names of files: `store.url = ""` gives `store.url`.
fn code_words(text: &str) -> BTreeSet<&str> {
    let is_of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c);
    let code = text.split('`').skip(1).step_by(2);
    let words = code.filter_map(|code| code.split(|c| !is_of_a_name(c)).next());
    let words = words.map(|word| word.trim_end_matches('.'));
    words.filter(|word| !FILES.iter().any(|end| word.ends_with(end))).collect()
}

#[test]
fn every_figure_and_every_key_that_a_document_names_is_there() {
    let figures = fs::read_to_string(docs().join("OPERATIONS.md")).expect("it is tracked");
    let figures: BTreeSet<&str> =
        figures.split('`').filter_map(|word| word.split('{').next()).collect();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/phantomnet.toml");
    let keys: toml::Table =
        toml::from_str(&fs::read_to_string(keys).expect("it is tracked")).expect("it is TOML");
    let mut wrong = Vec::new();
    let mut right = 0;
    for document in
        ["START.md", "TUNING.md", "TRAINING.md", "RULES.md", "TROUBLESHOOTING.md", "UPGRADE.md"]
    {
        let text = fs::read_to_string(docs().join(document)).expect("it is tracked");
        for word in code_words(&text) {
            let is_there = if word.starts_with("phantomnet_") {
                figures.contains(word)
            } else if let Some((section, key)) = word.split_once('.')
                && let Some(toml::Value::Table(section)) = keys.get(section)
            {
                section.contains_key(key)
            } else {
                continue;
            };
            right += usize::from(is_there);
            if !is_there {
                wrong.push(format!("docs/{document}: {word}"));
            }
        }
    }
    assert!(right > 50, "of figures and keys only {right} were found");
    assert!(wrong.is_empty(), "neither a figure of docs/OPERATIONS.md nor a key: {wrong:#?}");
}

// --- what its chapters show to type ----------------------------------------------------------------------------------

/// The blocks of a chapter: their language, their text, and the line on which they begin.
fn blocks(chapter: &str) -> Vec<(String, String, usize)> {
    let mut blocks: Vec<(String, String, usize)> = Vec::new();
    let mut is_open = false;
    for (line, number) in chapter.lines().zip(1..) {
        match line.strip_prefix("```") {
            Some(language) if !is_open => blocks.push((language.to_owned(), String::new(), number)),
            None if is_open => {
                let (_, text, _) = blocks.last_mut().expect("it is open");
                *text += line;
                *text += "\n";
            }
            _ => {}
        }
        is_open ^= line.starts_with("```");
    }
    blocks
}

/// Runs `script` in `folder`, with the program on the path; what it printed.
fn shell(folder: &Path, script: &str, place: &str) -> String {
    // The same to the bit in either build; one of them is faster.
    let release = release_sensor();
    let program =
        release.as_ref().map_or(env!("CARGO_BIN_EXE_phantomnet").as_ref(), Command::get_program);
    let program = Path::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", program.parent().expect("it is a file").display()))
        .output()
        .expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{place}: {script}\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// `sh` runs; `toml` becomes `phantomnet.toml`, which `phantomnet check` takes; `rules` becomes `local.rules`; each line of `text` is one that
/// the last `sh` printed.
fn run_chapter(name: &str) {
    let chapter = fs::read_to_string(docs().join(name)).expect("it is tracked");
    let folder = folder();
    let mut printed = String::new();
    let mut ran = 0;
    for (language, text, line) in blocks(&chapter) {
        let place = format!("docs/{name}:{line}");
        match &*language {
            "sh" => {
                printed = shell(folder.path(), &text, &place);
                ran += 1;
            }
            "toml" => {
                fs::write(folder.path().join("phantomnet.toml"), &text).expect("it can be written");
                shell(folder.path(), "phantomnet check --config phantomnet.toml", &place);
            }
            "rules" => {
                fs::write(folder.path().join("local.rules"), &text).expect("it can be written");
            }
            "text" => {
                let lines: BTreeSet<&str> = printed.lines().map(str::trim).collect();
                for expected in text.lines() {
                    assert!(
                        lines.contains(expected.trim()),
                        "{place}: not printed: {expected}\n{printed}"
                    );
                }
            }
            "" => {}
            other => panic!(
                "{place}: a block of language {other} is neither run nor said to be left alone"
            ),
        }
    }
    assert!(ran > 2, "docs/{name} shows nothing to run");
}

#[test]
fn what_the_chapters_show_to_type_runs_and_prints_what_they_say() {
    for name in CHAPTERS_THAT_RUN {
        run_chapter(name);
    }
}
