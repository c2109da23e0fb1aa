//! Links as they stand in the repository, turned into links of the book.
//!
//! A link is right in the repository: it names a file, from the folder of the file that it stands in. In the book a file of `docs` is at
//! its own path, a chapter from elsewhere at its path in the repository, and any other file that is linked is copied, as text that a
//! browser shows, under `repository`. A link to what is not there fails the build.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use mdbook_preprocessor::book::{Book, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_cmark::{Event, Options, Parser, Tag};

/// Where the chapters lie in the repository.
const DOCS: &str = "docs";

/// Where the book keeps copies of what is no chapter.
const COPIES: &str = "repository";

/// The repository, and which of its files the book has to carry along.
#[derive(Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    linked: Rc<RefCell<BTreeSet<PathBuf>>>,
}

impl Repository {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), linked: Rc::default() }
    }

    /// Puts the files that chapters link to, and that are none, into the book.
    pub(crate) fn copy_linked_files(&self, book: &Path) -> Result<()> {
        for file in self.linked.borrow().iter() {
            let copy = book.join(copy_of(file));
            fs::create_dir_all(copy.parent().context("it lies in a folder")?)?;
            fs::copy(self.root.join(file), &copy)
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
        Ok(())
    }
}

/// The step of mdBook that does it.
pub(crate) struct Links {
    repository: Repository,
}

impl Links {
    pub(crate) fn new(repository: Repository) -> Self {
        Self { repository }
    }

    /// The chapter with links of the book, at its place in the book.
    fn settle(&self, chapter: &mut Chapter, chapters: &BTreeSet<PathBuf>) -> Result<()> {
        let Some(source) = &chapter.source_path else { return Ok(()) };
        let file = normal(&Path::new(DOCS).join(source));
        let mut content = std::mem::take(&mut chapter.content);
        // From the last to the first, so that places before stay where they are.
        for (place, target) in links(&content).into_iter().rev() {
            let target = self
                .target(&file, &target, chapters)
                .with_context(|| file.display().to_string())?;
            content.replace_range(place, &target);
        }
        chapter.content = content;
        chapter.path = Some(place_in_book(&file));
        Ok(())
    }

    /// What a link of `file` has to say in the book.
    fn target(&self, file: &Path, target: &str, chapters: &BTreeSet<PathBuf>) -> Result<String> {
        let (path, anchor) = target.split_at(target.find('#').unwrap_or(target.len()));
        if path.is_empty() {
            return Ok(target.to_owned());
        }
        let mut named = normal(&file.parent().context("a chapter is a file")?.join(path));
        if self.repository.root.join(&named).is_dir() {
            named.push("README.md");
        }
        if !self.repository.root.join(&named).is_file() {
            bail!(
                "the link to {target} leads to no file of the repository; link to a file, or to a folder with a README.md"
            );
        }
        let is_text = named.extension().is_some_and(|end| end == "md");
        let there = if chapters.contains(&named) || (named.starts_with(DOCS) && !is_text) {
            place_in_book(&named)
        } else if is_text {
            bail!(
                "the link to {target} leads to a document that is no chapter; list it in docs/SUMMARY.md"
            );
        } else {
            self.repository.linked.borrow_mut().insert(named.clone());
            copy_of(&named)
        };
        let here = place_in_book(file);
        let up = "../".repeat(here.components().count() - 1);
        Ok(format!("{up}{}{anchor}", there.display()))
    }
}

impl Preprocessor for Links {
    fn name(&self) -> &str {
        "phantomnet-links"
    }

    fn run(&self, _context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let sources = book.chapters().filter_map(|chapter| chapter.source_path.as_ref());
        let chapters = sources.map(|source| normal(&Path::new(DOCS).join(source))).collect();
        let mut outcome = Ok(());
        book.for_each_chapter_mut(|chapter| {
            if outcome.is_ok() {
                outcome = self.settle(chapter, &chapters);
            }
        });
        outcome.map(|()| book)
    }
}

/// Where each link's and picture's target stands in `text`, and what it is; those to other sites are left out.
fn links(text: &str) -> Vec<(Range<usize>, String)> {
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    let found = parser.filter_map(|(event, span)| {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            return None;
        };
        // The target stands behind the text of the link; of two equal ones it is the last.
        let at = span.start + text.get(span.clone())?.rfind(dest_url.as_ref())?;
        (!dest_url.contains("://")).then(|| (at..at + dest_url.len(), dest_url.into_string()))
    });
    found.collect()
}

/// Where a chapter or another file of `docs` stands in the book. A README stands for its folder.
fn place_in_book(file: &Path) -> PathBuf {
    let place = file.strip_prefix(DOCS).unwrap_or(file);
    if place.file_name().is_some_and(|name| name == "README.md") {
        place.with_file_name("index.md")
    } else {
        place.to_owned()
    }
}

/// Where the copy of a file stands in the book. As text every browser shows it.
fn copy_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".txt");
    Path::new(COPIES).join(name)
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
        normal
    })
}
