//! Text as both stores keep it.

use std::borrow::Cow;

/// The text with every control character as `\u{..}`: PostgreSQL's text can't hold NUL, and no terminal or log should be handed
/// the others.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut printable = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_unicode());
        } else {
            printable.push(character);
        }
    }
    Cow::Owned(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out_and_nothing_else() {
        assert!(matches!(printable("SQL injection: ' OR 1=1 -- \\ é 漢"), Cow::Borrowed(_)));
        assert_eq!(printable("a\0b\u{1b}[31m\u{9b}\n"), "a\\u{0}b\\u{1b}[31m\\u{9b}\\u{a}");
    }
}
