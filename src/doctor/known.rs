//! Facts that may not be known, with the reason.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::capture::interface::Interface;

/// A fact, or why it is not known.
pub(super) type Known<T> = Result<T, String>;

/// The text of a file of `/proc` or `/sys`, without the space around it.
pub(super) fn text(path: impl AsRef<Path>) -> Known<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The folder of an interface in `/sys`, which shows the devices of the namespace that it was mounted in: another one of the same
/// name has another number.
pub(super) fn folder(interface: &Interface) -> Known<PathBuf> {
    let folder = Path::new("/sys/class/net").join(&interface.name);
    let number: u32 = text(folder.join("ifindex"))?.parse().unwrap_or(0);
    if number == interface.index {
        Ok(folder)
    } else {
        Err(format!("{} is of another network namespace", folder.display()))
    }
}

/// What a driver answers, in words where it does not.
pub(super) fn said<T>(answer: io::Result<T>) -> Known<T> {
    answer.map_err(|error| match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "the driver does not say".to_owned(),
        Some(libc::ENOENT) => "this kernel does not say".to_owned(),
        _ => error.to_string(),
    })
}

/// The numbers of a list as the kernel writes it: `0-3,8`. Nothing where it is no such list.
pub(super) fn list(text: &str) -> Option<Vec<usize>> {
    /// No machine has more processors, and a list that says so is none.
    const NUMBERS_MAX: usize = 1 << 16;
    let mut numbers = Vec::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last - first >= NUMBERS_MAX {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// A word of a shell's command line.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:+".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Numbers for a person: `1, 2 and 5`.
pub(super) fn words(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    match words.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(list(" 5\n"), Some(vec![5]));
        assert_eq!(list(""), Some(Vec::new()));
        for odd in ["a", "3-1", "0-99999999999", "1,,x", "-"] {
            assert_eq!(list(odd), None, "{odd}");
        }
    }

    #[test]
    fn numbers_are_read_out() {
        assert_eq!(words(&[]), "none");
        assert_eq!(words(&[4]), "4");
        assert_eq!(words(&[1, 2, 5]), "1, 2 and 5");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let reason = text("/proc/no/such/file").unwrap_err();
        assert!(reason.starts_with("/proc/no/such/file: "), "{reason}");
    }

    #[test]
    fn odd_names_are_quoted_in_commands() {
        assert_eq!(word("eth1.100"), "eth1.100");
        assert_eq!(word("a b;c"), "'a b;c'");
        assert_eq!(word("it's"), r"'it'\''s'");
    }
}
