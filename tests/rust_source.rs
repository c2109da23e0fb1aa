//! Rust source as far as the rules of the house need it: words, marks, and the paths they make.
#![expect(clippy::indexing_slicing, reason = "a test may panic")]

/// A word or a mark, outside comments and texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// From 1.
    pub(crate) line: usize,
    /// A whole word or number, or one mark.
    pub(crate) text: String,
}

impl Token {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// A path as written, `use a::{b, c}` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPath {
    /// From 1.
    pub(crate) line: usize,
    /// Its words.
    pub(crate) words: Vec<String>,
    /// How many modules are open around it inside the file.
    pub(crate) depth: usize,
}

/// Words and marks of a source text. Comments, texts, characters and lifetimes are passed over.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { rest: source, line: 1 };
    let mut tokens = Vec::new();
    while let Some(first) = reader.rest.chars().next() {
        let line = reader.line;
        let length = match first {
            '/' if reader.rest.starts_with("//") => {
                reader.rest.find('\n').unwrap_or(reader.rest.len())
            }
            '/' if reader.rest.starts_with("/*") => block_comment(reader.rest),
            '"' => 1 + quoted(&reader.rest[1..], '"'),
            '\'' => character_or_lifetime(reader.rest),
            c if c.is_alphanumeric() || c == '_' => {
                let end = |c: char| !(c.is_alphanumeric() || c == '_');
                let word = reader.rest.find(end).unwrap_or(reader.rest.len());
                let (word, after) = reader.rest.split_at(word);
                match raw_text(word, after) {
                    Some(text) => word.len() + text,
                    None => {
                        tokens.push(Token { line, text: word.to_owned() });
                        word.len()
                    }
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token { line, text: c.to_string() });
                }
                c.len_utf8()
            }
        };
        reader.pass(length);
    }
    tokens
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn pass(&mut self, length: usize) {
        let (passed, rest) = self.rest.split_at(length);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of the comment at the start; comments nest.
fn block_comment(rest: &str) -> usize {
    let mut open = 0;
    let mut at = 0;
    while let Some(piece) = rest.get(at..).filter(|piece| !piece.is_empty()) {
        at += if piece.starts_with("/*") {
            open += 1;
            2
        } else if piece.starts_with("*/") {
            open -= 1;
            2
        } else {
            piece.chars().next().map_or(1, char::len_utf8)
        };
        if open == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length up to and with the closing quote.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of `'x'`, `'\n'` or `'name`.
fn character_or_lifetime(rest: &str) -> usize {
    let inner = &rest[1..];
    let mut characters = inner.chars();
    let first = characters.next();
    if first == Some('\\') || characters.next() == Some('\'') {
        return 1 + quoted(inner, '\'');
    }
    1 + inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len())
}

/// The length of the text behind a prefix such as `r`, `br` or `b`; none when the word is no prefix.
fn raw_text(word: &str, after: &str) -> Option<usize> {
    if !["r", "b", "c", "br", "cr"].contains(&word) {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = if word.contains('r') {
        let close = format!("\"{}", "#".repeat(hashes));
        body.find(&close).map_or(body.len(), |at| at + close.len())
    } else {
        quoted(body, '"')
    };
    Some(hashes + 1 + end)
}

/// The tokens without the items under `#[cfg(test)]`, and the names of the modules among those that are files of their own.
pub(crate) fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut files = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !texts(&tokens[at..]).take(mark.len()).eq(mark) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let item = &tokens[at + mark.len()..];
        let length = item_length(item);
        let mut words = texts(&item[..length]).skip_while(|text| *text != "mod").skip(1);
        if let (Some(name), Some(";")) = (words.next(), words.next()) {
            files.push(name.to_owned());
        }
        at += mark.len() + length;
    }
    (kept, files)
}

/// The length of the item at the start: to its `;` or the end of its block.
fn item_length(tokens: &[Token]) -> usize {
    let mut open = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => open += 1,
            ")" | "]" => open = open.saturating_sub(1),
            "}" => {
                open = open.saturating_sub(1);
                if open == 0 {
                    return at + 1;
                }
            }
            ";" if open == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// All paths of at least two words, and what is named by `use` alone.
pub(crate) fn paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut paths = Vec::new();
    let mut modules: Vec<usize> = Vec::new();
    let mut open = 0usize;
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        match token.text.as_str() {
            "{" => {
                open += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    modules.push(open);
                }
            }
            "}" => {
                if modules.last() == Some(&open) {
                    modules.pop();
                }
                open = open.saturating_sub(1);
            }
            _ => {}
        }
        let after_use = at > 0 && tokens[at - 1].text == "use";
        let is_path =
            token.is_word() && (after_use || texts(&tokens[at + 1..]).take(2).eq([":", ":"]));
        at += if is_path { tree(&tokens[at..], &[], modules.len(), &mut paths) } else { 1 };
    }
    paths
}

/// Takes the path at the start apart; gives its length in tokens.
fn tree(tokens: &[Token], prefix: &[String], depth: usize, paths: &mut Vec<NamedPath>) -> usize {
    let mut words = prefix.to_vec();
    let line = tokens.first().map_or(0, |token| token.line);
    let mut at = 0;
    loop {
        match tokens.get(at).map(|token| token.text.as_str()) {
            Some("{") if at > 0 || !prefix.is_empty() => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    let length = tree(&tokens[at..], &words, depth, paths);
                    at += length.max(1);
                }
                return at + 1;
            }
            Some(_) if tokens[at].is_word() || tokens[at].text == "*" => {
                words.push(tokens[at].text.clone());
                at += 1;
            }
            _ => break,
        }
        if !texts(&tokens[at..]).take(2).eq([":", ":"]) {
            break;
        }
        at += 2;
    }
    if words.len() > prefix.len() {
        paths.push(NamedPath { line, words, depth });
    }
    let renamed = tokens.get(at).is_some_and(|token| token.text == "as");
    at + if renamed { 2 } else { 0 }
}

fn texts(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.iter().map(|token| token.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<String> {
        let (tokens, _) = without_tests(&tokens(source));
        paths(&tokens).into_iter().map(|path| path.words.join("::")).collect()
    }

    #[test]
    fn paths_are_found_in_code_and_nowhere_else() {
        let source = r##"
            //! crate::comment
            /* crate::comment /* crate::nested */ crate::still */
            use crate::{a::{B, C as D}, e, f::*};
            use super::g;
            use clap;
            fn h<'a>(x: &'a crate::i::J<'a>) -> char { k::l("crate::text", r#"crate::"raw""#); '"' }
            #[cfg(test)]
            mod tests { use crate::only_in_tests; }
            const M: u8 = b'\''; fn n() { ::o::p(); r#type::q() }
        "##;
        let found = named(source);
        assert_eq!(
            found,
            [
                "crate::a::B",
                "crate::a::C",
                "crate::e",
                "crate::f::*",
                "super::g",
                "clap",
                "crate::i::J",
                "k::l",
                "o::p",
                "type::q",
            ]
        );
    }

    #[test]
    fn modules_that_are_tests_are_told_by_name() {
        let source =
            "mod a; #[cfg(test)] mod b; #[cfg(test)] #[expect(x)] mod c { fn d() {} } mod e;";
        let (kept, files) = without_tests(&tokens(source));
        assert_eq!(files, ["b"]);
        assert_eq!(texts(&kept).collect::<String>(), "moda;mode;");
    }

    #[test]
    fn a_path_knows_how_many_modules_are_open_around_it() {
        let (tokens, _) =
            without_tests(&tokens("use a::b; mod c { mod d { use e::f; } } fn g() { h::i }"));
        let depths: Vec<usize> = paths(&tokens).iter().map(|path| path.depth).collect();
        assert_eq!(depths, [0, 2, 0]);
    }
}
