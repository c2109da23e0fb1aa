//! Why a model file was refused.

use std::fmt;
use std::io;

use crate::files::ReadError;

use super::{FILE_BYTES_MAX, FORMAT_VERSION};

/// A model file that was refused: `FILE:LINE: why`.
#[derive(Debug, thiserror::Error)]
pub struct ModelError {
    file: String,
    line: Option<u64>,
    // Part of the message, so not its source as well: a chain would say it twice.
    fault: Fault,
}

/// What is wrong with a model file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Io(io::Error),
    /// A directory, a device, a pipe.
    #[error("cannot be read: it is not a regular file")]
    NotAFile,
    /// It is larger than a model can be.
    #[error("larger than {FILE_BYTES_MAX} bytes: no model of this program")]
    TooLarge,
    /// It does not begin as a model file does.
    #[error(
        "not a PhantomNet model (train one with `phantomnet train`, convert one with `phantomnet model import`)"
    )]
    NotAModel,
    /// It has another format version.
    #[error("format version {found}; this program reads {FORMAT_VERSION}")]
    Version {
        /// The version it states.
        found: u32,
    },
    /// It ends before its seal.
    #[error("the file is cut short: its last line is not a seal")]
    CutShort,
    /// A line is not the one that was sealed.
    #[error("the line was changed after the model was made (CRC-32 {found}, sealed {sealed})")]
    Changed {
        /// What the line has.
        found: String,
        /// What the seal says.
        sealed: String,
    },
    /// The seal itself is damaged, or lines were added or removed.
    #[error("the seal does not fit the lines above it: {0}")]
    Seal(&'static str),
    /// A line does not have the form of the format.
    #[error("{0}")]
    Form(String),
    /// It was made for other features.
    #[error("made for {found}; this program measures {expected}: train again")]
    Schema {
        /// The features it was made for.
        found: String,
        /// The features there are.
        expected: String,
    },
    /// What it says cannot be true, or passes a limit.
    #[error("{0}")]
    Content(String),
    /// A golden row scores something else here.
    #[error(
        "golden row {row} has the path sum {found} here and {stated} in the file: this program does not compute what the model's maker did"
    )]
    Golden {
        /// Which row, counted from 1.
        row: usize,
        /// What this program computes.
        found: u64,
        /// What the file says.
        stated: u64,
    },
    /// A golden row scores something else in the forest that packets meet than by plain descent.
    #[error(
        "golden row {row} scores {found} here, {way}, and {stated} in the file: this program does not score packets as the model's maker did"
    )]
    LiveScore {
        /// Which row, counted from 1.
        row: usize,
        /// How it was scored.
        way: &'static str,
        /// What this program computes.
        found: f32,
        /// What the file states.
        stated: f32,
    },
    /// The document means something that is spelled otherwise.
    #[error("not in the one spelling that this format has")]
    Spelling,
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::NotAFile => Self::NotAFile,
            ReadError::TooLarge { .. } => Self::TooLarge,
        }
    }
}

impl Fault {
    /// A word for counters.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::NotAFile => "io",
            Self::TooLarge => "size",
            Self::NotAModel | Self::Form(_) | Self::Spelling => "form",
            Self::Version { .. } => "version",
            Self::CutShort | Self::Changed { .. } | Self::Seal(_) => "seal",
            Self::Schema { .. } => "schema",
            Self::Content(_) => "content",
            Self::Golden { .. } | Self::LiveScore { .. } => "golden",
        }
    }
}

impl ModelError {
    pub(super) fn whole_file(file: &str, fault: Fault) -> Self {
        Self { file: one_line(file), line: None, fault }
    }

    pub(super) fn at(file: &str, line: u64, fault: Fault) -> Self {
        Self { file: one_line(file), line: Some(line), fault }
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// The line, counted from 1, where one is to blame.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        self.line
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        // A file may quote anything; an error is one line all the same.
        write!(f, ": {}", one_line(&self.fault.to_string()))
    }
}
