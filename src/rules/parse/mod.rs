//! From the text of rule files to rules that can be compiled. Every fault names its line.

mod content;
mod header;
mod options;

use std::collections::BTreeMap;

use super::condition::Condition;
use super::payload::Content;
use super::report::{Refusal, RefusalKind};
use super::rule::Rule;
use super::ruleset::{RULE_BYTES_MAX, RuleText};
use super::variables::Variables;

/// A rule as read: what it is, what it asks for, and what its loading depended on.
#[derive(Debug)]
pub(super) struct ParsedRule {
    pub(super) rule: Rule,
    pub(super) condition: Condition,
    pub(super) contents: Vec<Content>,
    /// The content that the author wants looked for first.
    pub(super) fast_pattern: Option<usize>,
    /// The rule on one line, as it counts for the set's hash.
    pub(super) text: String,
    /// The variables it names, also through others, and what they stood for.
    pub(super) variables: BTreeMap<String, String>,
}

/// Reads the rules of a file, in its order.
pub(super) fn rules(
    file: RuleText<'_>,
    variables: &Variables,
) -> impl Iterator<Item = Result<ParsedRule, Refusal>> {
    LogicalLines { rest: file.text, line: 1 }
        .map(move |logical| rule(file.name, &logical, variables))
}

fn rule(file: &str, logical: &LogicalLine, variables: &Variables) -> Result<ParsedRule, Refusal> {
    read(file, logical, variables).map_err(|fault| Refusal {
        file: file.into(),
        line: logical.line_at(fault.at),
        sid: options::sid_of(&logical.text),
        kind: fault.kind,
        reason: fault.reason,
    })
}

fn read(file: &str, logical: &LogicalLine, variables: &Variables) -> Result<ParsedRule, Fault> {
    let text = &*logical.text;
    if text.len() > RULE_BYTES_MAX {
        return Err(Fault::malformed(
            0,
            format!("it has more than {RULE_BYTES_MAX} bytes; shorten or split it"),
        ));
    }
    let Some((head, rest)) = text.split_once('(') else {
        return Err(Fault::malformed(
            0,
            "it has no options; write them in parentheses, such as (msg:\"...\"; sid:1;)",
        ));
    };
    let Some(body) = rest.trim_end().strip_suffix(')') else {
        return Err(Fault::malformed(text.len(), "its options do not end; close them with \")\""));
    };
    let header = header::read(head, variables)?;
    let mut parsed = options::read(body, head.len() + 1, header)?;
    parsed.rule.file = file.into();
    parsed.rule.line = logical.line_at(0);
    parsed.text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(parsed)
}

/// What is wrong with a rule, and where.
#[derive(Debug)]
pub(super) struct Fault {
    /// The byte of the logical line.
    at: usize,
    kind: RefusalKind,
    reason: String,
}

impl Fault {
    fn malformed(at: usize, reason: impl Into<String>) -> Self {
        Self { at, kind: RefusalKind::Malformed, reason: reason.into() }
    }

    fn unsupported(at: usize, keyword: &str) -> Self {
        let keyword = printable(keyword);
        let reason = format!(
            "{keyword} is not supported; take it out, or leave the rule to a sensor that has it"
        );
        Self { at, kind: RefusalKind::Unsupported { keyword: keyword.into() }, reason }
    }
}

/// Text of a rule as it may stand in a message: on one line and short.
fn printable(text: &str) -> String {
    text.chars()
        .take(60)
        .flat_map(char::escape_debug)
        .collect::<String>()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}

/// One rule, which may go over several lines that each end in a backslash.
#[derive(Debug)]
struct LogicalLine {
    text: String,
    /// Where in `text` each line begins, and its number.
    starts: Vec<(usize, u32)>,
}

impl LogicalLine {
    fn line_at(&self, at: usize) -> u32 {
        let before = self.starts.iter().take_while(|&&(start, _)| start <= at).last();
        before.or(self.starts.first()).map_or(1, |&(_, line)| line)
    }
}

/// The rules of a text; empty lines and comments are passed over.
struct LogicalLines<'a> {
    rest: &'a str,
    line: u32,
}

impl<'a> LogicalLines<'a> {
    fn next_line(&mut self) -> Option<(&'a str, u32)> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        let number = self.line;
        self.rest = rest;
        self.line = self.line.saturating_add(1);
        Some((line, number))
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let mut logical = LogicalLine { text: String::new(), starts: Vec::new() };
        while let Some((line, number)) = self.next_line() {
            let line = line.trim();
            let begins = logical.starts.is_empty();
            if begins && (line.is_empty() || line.starts_with('#')) {
                continue;
            }
            logical.starts.push((logical.text.len(), number));
            let Some(continued) = line.strip_suffix('\\') else {
                logical.text.push_str(line);
                return Some(logical);
            };
            logical.text.push_str(continued);
        }
        (!logical.starts.is_empty()).then_some(logical)
    }
}
