//! The part of the STIX pattern language that names addresses (OASIS STIX 2.1, section 9).

use std::iter::Peekable;
use std::vec::IntoIter;

/// What a pattern must be about to be read further.
const ADDRESS_PATHS: [&str; 2] = ["ipv4-addr:value", "ipv6-addr:value"];

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("a quoted text does not end")]
    OpenQuote,
    #[error("it does not follow [path = 'value']")]
    Grammar,
}

/// The addresses and networks that make the pattern true, each on its own. None when it speaks of something else, or
/// demands more than an address.
pub(super) fn addresses(pattern: &str) -> Result<Vec<String>, PatternError> {
    if !ADDRESS_PATHS.iter().any(|path| pattern.contains(path)) {
        return Ok(Vec::new());
    }
    let tokens = tokens(pattern)?;
    // Anything but OR between the comparisons narrows the pattern, or needs more than one packet to decide.
    let narrows =
        |token: &Token| matches!(token, Token::Word(word) if NARROWING.contains(&word.as_str()));
    if tokens.iter().any(narrows) {
        return Ok(Vec::new());
    }
    let mut reader = Reader { tokens: tokens.into_iter().peekable(), addresses: Vec::new() };
    reader.alternatives().ok_or(PatternError::Grammar)?;
    Ok(reader.addresses)
}

/// Words that make a pattern more than a list of alternatives.
const NARROWING: [&str; 14] = [
    "AND",
    "NOT",
    "FOLLOWEDBY",
    "WITHIN",
    "REPEATS",
    "START",
    "STOP",
    "LIKE",
    "MATCHES",
    "ISSUPERSET",
    "EXISTS",
    "!",
    "<",
    ">",
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// One of `[ ] ( ) , =`.
    Mark(char),
    /// A keyword, a path, a number, or another operator.
    Word(String),
    /// A quoted text, its escapes resolved.
    Text(String),
}

fn tokens(pattern: &str) -> Result<Vec<Token>, PatternError> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            _ if character.is_whitespace() => {}
            '[' | ']' | '(' | ')' | ',' | '=' => tokens.push(Token::Mark(character)),
            '\'' => tokens.push(Token::Text(quoted(&mut characters)?)),
            _ => {
                let mut word = String::from(character);
                while let Some(next) =
                    characters.next_if(|next| !next.is_whitespace() && !"[](),='".contains(*next))
                {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// The text up to the closing quote; `\'` and `\\` stand for the second character.
fn quoted(characters: &mut impl Iterator<Item = char>) -> Result<String, PatternError> {
    let mut text = String::new();
    loop {
        match characters.next() {
            None => return Err(PatternError::OpenQuote),
            Some('\'') => return Ok(text),
            Some('\\') => text.push(characters.next().ok_or(PatternError::OpenQuote)?),
            Some(character) => text.push(character),
        }
    }
}

/// Follows the grammar; `None` where the text leaves it.
struct Reader {
    tokens: Peekable<IntoIter<Token>>,
    addresses: Vec<String>,
}

impl Reader {
    /// `[comparisons] OR [comparisons] ...`
    fn alternatives(&mut self) -> Option<()> {
        loop {
            self.mark('[')?;
            self.comparisons()?;
            self.mark(']')?;
            if self.tokens.peek().is_none() {
                return Some(());
            }
            self.or()?;
        }
    }

    /// `comparison OR comparison ...`
    fn comparisons(&mut self) -> Option<()> {
        loop {
            self.comparison()?;
            if self.tokens.peek() == Some(&Token::Mark(']')) {
                return Some(());
            }
            self.or()?;
        }
    }

    /// `path = 'value'`, `path ISSUBSET 'value'` or `path IN ('value', 'value')`.
    fn comparison(&mut self) -> Option<()> {
        let Token::Word(path) = self.tokens.next()? else {
            return None;
        };
        let values = match self.tokens.next()? {
            Token::Mark('=') => vec![self.value()?],
            Token::Word(word) if word == "ISSUBSET" => vec![self.value()?],
            Token::Word(word) if word == "IN" => self.values()?,
            _ => return None,
        };
        if ADDRESS_PATHS.contains(&path.as_str()) {
            self.addresses.extend(values);
        }
        Some(())
    }

    /// `('value', 'value')`
    fn values(&mut self) -> Option<Vec<String>> {
        self.mark('(')?;
        let mut values = vec![self.value()?];
        loop {
            match self.tokens.next()? {
                Token::Mark(',') => values.push(self.value()?),
                Token::Mark(')') => return Some(values),
                _ => return None,
            }
        }
    }

    fn value(&mut self) -> Option<String> {
        match self.tokens.next()? {
            Token::Text(text) | Token::Word(text) => Some(text),
            Token::Mark(_) => None,
        }
    }

    fn or(&mut self) -> Option<()> {
        (self.tokens.next()? == Token::Word("OR".to_owned())).then_some(())
    }

    fn mark(&mut self, mark: char) -> Option<()> {
        (self.tokens.next()? == Token::Mark(mark)).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(pattern: &str) -> Vec<String> {
        addresses(pattern).unwrap()
    }

    #[test]
    fn alternatives_are_taken_one_by_one() {
        assert_eq!(named("[ipv4-addr:value = '192.0.2.7']"), ["192.0.2.7"]);
        assert_eq!(named("[ipv4-addr:value='192.0.2.7']"), ["192.0.2.7"]);
        assert_eq!(
            named("[ipv4-addr:value = '192.0.2.7' OR ipv6-addr:value = '2001:db8::/32']"),
            ["192.0.2.7", "2001:db8::/32"]
        );
        assert_eq!(
            named(
                "[ipv4-addr:value = '192.0.2.7'] OR [ipv4-addr:value ISSUBSET '198.51.100.0/24']"
            ),
            ["192.0.2.7", "198.51.100.0/24"]
        );
        assert_eq!(
            named("[ipv4-addr:value IN ('192.0.2.7', '192.0.2.8')]"),
            ["192.0.2.7", "192.0.2.8"]
        );
        assert_eq!(
            named("[domain-name:value = 'a.example' OR ipv4-addr:value = '192.0.2.7']"),
            ["192.0.2.7"]
        );
    }

    #[test]
    fn a_pattern_that_demands_more_than_an_address_is_left_out() {
        for pattern in [
            "[ipv4-addr:value = '192.0.2.7' AND network-traffic:dst_port = 80]",
            "[ipv4-addr:value != '192.0.2.7']",
            "[ipv4-addr:value NOT = '192.0.2.7']",
            "[ipv4-addr:value = '192.0.2.7'] FOLLOWEDBY [ipv4-addr:value = '192.0.2.8']",
            "[ipv4-addr:value = '192.0.2.7'] WITHIN 300 SECONDS",
            "[ipv4-addr:value LIKE '192.0.2.%']",
            "[file:hashes.'SHA-256' = 'aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f']",
        ] {
            assert_eq!(named(pattern), [""; 0], "{pattern}");
        }
    }

    #[test]
    fn a_pattern_out_of_the_grammar_is_refused() {
        for pattern in [
            "ipv4-addr:value = '192.0.2.7'",
            "[ipv4-addr:value = ]",
            "[ipv4-addr:value = '192.0.2.7'",
            "[ipv4-addr:value = '192.0.2.7'] [ipv4-addr:value = '192.0.2.8']",
            "[ipv4-addr:value IN ('192.0.2.7'",
        ] {
            assert_eq!(addresses(pattern), Err(PatternError::Grammar), "{pattern}");
        }
        assert_eq!(addresses("[ipv4-addr:value = '192.0.2.7]"), Err(PatternError::OpenQuote));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(ipv4-addr:value|[\\[\\]()=,'\\\\ ]|OR|IN|AND|x){0,40}") {
            let _outcome = addresses(&text);
        }
    }
}
