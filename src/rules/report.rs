//! What became of each rule of the loaded files.

use std::collections::BTreeMap;
use std::fmt;

/// What loading rule files gave: every rule is either loaded or refused, never skipped in silence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many rules are in the set.
    pub loaded: usize,
    /// The rules that are not, in the order of the files.
    pub refused: Vec<Refusal>,
}

impl LoadReport {
    /// How many rules the files hold, comments left aside.
    #[must_use]
    pub const fn rules(&self) -> usize {
        self.loaded + self.refused.len()
    }

    /// How many rules were refused for want of each unsupported keyword, by its name.
    #[must_use]
    pub fn unsupported_keywords(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for refusal in &self.refused {
            if let RefusalKind::Unsupported { keyword } = &refusal.kind {
                *counts.entry(&**keyword).or_default() += 1;
            }
        }
        counts
    }
}

impl fmt::Display for LoadReport {
    /// One line: the sums.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} rules loaded", self.loaded, self.rules())?;
        for (number, (keyword, count)) in self.unsupported_keywords().into_iter().enumerate() {
            let lead = if number == 0 { "; not supported: " } else { ", " };
            write!(f, "{lead}{keyword} ({count})")?;
        }
        Ok(())
    }
}

/// A rule that was not loaded. Prints as one line: `FILE:LINE: rule SID: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {}{reason}", Sid(*sid))]
pub struct Refusal {
    /// The file, as the caller named it.
    pub file: Box<str>,
    /// The line of the fault, from 1; of a rule over several lines, the line of the option at fault.
    pub line: u32,
    /// The rule's number, when it has one that can be read.
    pub sid: Option<u32>,
    /// Whose fault it is.
    pub kind: RefusalKind,
    /// What is wrong and what to do about it.
    pub reason: String,
}

/// Whose fault a refusal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The rule may be right, but asks for something outside the subset.
    Unsupported {
        /// The keyword, or the option of one, that is not supported.
        keyword: Box<str>,
    },
    /// The rule is wrong as it is written.
    Malformed,
}

/// How a refusal names the rule.
struct Sid(Option<u32>);

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |sid| write!(f, "rule {sid}: "))
    }
}
