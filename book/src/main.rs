//! Makes the book of `docs`: `phantomnet-book OUT`. What mdBook does, and besides: links out of `docs` lead somewhere in the book too.

mod links;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use mdbook_driver::MDBook;

use crate::links::{Links, Repository};

fn main() -> Result<()> {
    let out = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .context("say where the book goes: phantomnet-book OUT")?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = Repository::new(here.parent().context("it lies in the repository")?);
    let mut book = MDBook::load(here)?;
    // mdBook takes a relative folder from its own, callers mean theirs.
    book.config.build.build_dir = std::path::absolute(&out)?;
    book.with_preprocessor(Links::new(repository.clone()));
    book.build()?;
    repository.copy_linked_files(&out)
}
