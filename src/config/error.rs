//! How a configuration is refused: one line that names the place, the key, the value, the rule, and a value that would do.

use std::fmt;
use std::path::PathBuf;

use crate::files::ReadError;

/// A configuration that is not used. The operator is at fault, and can mend it.
#[derive(Debug)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a configuration.
#[derive(Debug)]
pub enum Fault {
    /// The file could not be read, or is larger than any configuration.
    Unreadable(ReadError),
    /// The file is not UTF-8.
    NotText,
    /// The text is not TOML.
    Syntax {
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// What the reader of TOML says.
        reason: String,
    },
    /// A key breaks a rule.
    Rule {
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// What is broken, and how to mend it.
        broken: Box<Broken>,
    },
}

/// A rule that a key breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The key, as `policy.weights`.
    pub key: String,
    /// Its value as written; none where that would be a whole section.
    pub value: Option<String>,
    /// What it must do, as in "must ...".
    pub must: String,
    /// A value that would do.
    pub such_as: Option<String>,
}

impl Broken {
    /// A broken rule whose value is the one in the file.
    pub(super) fn new(
        key: impl Into<String>,
        must: impl Into<String>,
        such_as: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), value: None, must: must.into(), such_as: Some(such_as.into()) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": must {}", self.must)?;
        match &self.such_as {
            Some(such_as) => write!(f, ", such as {such_as}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.fault {
            Fault::Unreadable(ReadError::TooLarge { max }) => {
                write!(f, "{file}: is larger than {} KiB: no configuration", max >> 10)
            }
            Fault::Unreadable(error) => write!(f, "{file}: {error}"),
            Fault::NotText => write!(f, "{file}: cannot be read: it is not UTF-8 text"),
            Fault::Syntax { line, column, reason } => {
                write!(f, "{file}:{line}:{column}: not TOML: {reason}")
            }
            Fault::Rule { line, column, broken } => write!(f, "{file}:{line}:{column}: {broken}"),
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Unreadable(error) => Some(error),
            Fault::NotText | Fault::Syntax { .. } | Fault::Rule { .. } => None,
        }
    }
}
