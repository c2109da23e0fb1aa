//! The model file: one JSON document with exactly one spelling, and the gate it has to pass.
//!
//! Each section and each tree stands on a line of its own. The last line is the seal: a CRC-32 for every line before it, so
//! that damage can be named by its line, and a SHA-256 over all of them, so that none goes unseen. `models/README.md` has
//! the format.

mod error;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

pub use error::{Fault, ModelError};

use crate::files::read_limited;

use super::Model;
use super::forest::TREES_MAX;
use super::passport::{ExpectedSchema, GOLDEN_ROWS};

/// The version of the format that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes that a model file may have.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Lines that are neither a tree nor a golden row nor the seal: the version, five sections, and where the trees and the
/// golden rows begin and end.
const FIXED_LINES: usize = 10;

/// Lines that may stand before the seal.
const BODY_LINES_MAX: usize = FIXED_LINES + TREES_MAX + *GOLDEN_ROWS.end();

impl Model {
    /// Loads a model file through the gate: size, version, seal, schema, limits, structure, finite numbers, golden rows,
    /// canonical spelling.
    ///
    /// # Errors
    ///
    /// When it does not pass: which file, which line, why. Nothing else happens; this never panics on any file.
    pub fn load(path: &Path, expected: &ExpectedSchema) -> Result<Self, ModelError> {
        let name = path.display().to_string();
        let bytes = read_limited(path, FILE_BYTES_MAX)
            .map_err(|error| ModelError::whole_file(&name, error.into()))?;
        Self::from_bytes(&name, &bytes, expected)
    }

    /// The same for bytes that are already here; `file` is how errors name them.
    ///
    /// # Errors
    ///
    /// As [`Model::load`].
    pub fn from_bytes(
        file: &str,
        bytes: &[u8],
        expected: &ExpectedSchema,
    ) -> Result<Self, ModelError> {
        read::read(file, bytes, expected)
    }

    /// The model's file. The same model has the same bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        write::write(self)
    }

    /// Writes the model's file so that whoever reads the path sees the old file or the whole new one.
    ///
    /// # Errors
    ///
    /// What the file system said.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        // A link is followed, and a device or pipe is never replaced by a file.
        let path = &std::fs::canonicalize(path).unwrap_or_else(|_not_there_yet| path.to_owned());
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("is no regular file; name one, or a new one"));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{}.part", std::process::id()));
        let aside = Path::new(&aside);
        let written =
            write_whole(aside, &self.to_bytes()).and_then(|()| std::fs::rename(aside, path));
        if let Err(error) = written {
            // The write failed; that it left something behind is the lesser trouble.
            drop(std::fs::remove_file(aside));
            return Err(error);
        }
        File::open(folder)?.sync_all()
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
