//! Labels from feeds: text that an outsider wrote and an operator will read.

use std::fmt::Write;
use std::path::Path;

/// The longest label, in characters, escapes included.
pub const LABEL_CHARS_MAX: usize = 64;

/// The longest piece of a feed that an error message shows, in characters.
const EXCERPT_CHARS_MAX: usize = 48;

/// The longest path that a message shows, in characters: what Linux allows (`PATH_MAX`).
const PATH_CHARS_MAX: usize = 4096;

/// `text` without white space around it, everything that could deceive a reader or a terminal escaped, cut to
/// [`LABEL_CHARS_MAX`]; nothing for an empty one.
#[must_use]
pub fn label(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| escaped(text, LABEL_CHARS_MAX))
}

/// `text` as it may stand in a message of one line.
pub(super) fn excerpt(text: &str) -> String {
    escaped(text.trim(), EXCERPT_CHARS_MAX)
}

/// A file's path as it may stand in a message of one line.
pub(super) fn path_text(path: &Path) -> String {
    escaped(&path.to_string_lossy(), PATH_CHARS_MAX)
}

/// `text` with control and invisible characters as `\u{..}`, at most `max` characters long; `…` ends what was cut.
fn escaped(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for character in text.chars() {
        let mut piece = String::new();
        if deceives(character) {
            // Writing to a string cannot fail.
            write!(piece, "\\u{{{:x}}}", u32::from(character)).unwrap_or_default();
        } else {
            piece.push(character);
        }
        length += piece.chars().count();
        if length > max {
            while out.chars().count() >= max {
                out.pop();
            }
            out.push('…');
            return out;
        }
        out.push_str(&piece);
    }
    out
}

/// Control characters, and those that are invisible or turn the direction of the text (Unicode, "Trojan source").
fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}'
            | '\u{061c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_cannot_move_the_cursor_or_turn_the_text_round() {
        assert_eq!(label("  KNOWN_BOTNET\t").as_deref(), Some("KNOWN_BOTNET"));
        assert_eq!(label("a\x1b[2Jb").as_deref(), Some("a\\u{1b}[2Jb"));
        assert_eq!(label("safe\u{202e}lave").as_deref(), Some("safe\\u{202e}lave"));
        assert_eq!(label(" \t"), None);
    }

    #[test]
    fn a_long_label_is_cut_and_says_so() {
        let long = label(&"x".repeat(LABEL_CHARS_MAX + 1)).unwrap();
        assert_eq!(long.chars().count(), LABEL_CHARS_MAX);
        assert!(long.ends_with("x…"));
        assert_eq!(label(&"x".repeat(LABEL_CHARS_MAX)).unwrap().len(), LABEL_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn whatever_comes_in_what_goes_out_is_short_and_visible(text in any::<String>()) {
            if let Some(label) = label(&text) {
                prop_assert!((1..=LABEL_CHARS_MAX).contains(&label.chars().count()));
                prop_assert!(!label.chars().any(deceives));
            }
        }
    }
}
