//! One line of the log: gathered from an event of `tracing`, rendered as text or JSON.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::time::Timestamp;

/// The longest message or value, characters; what is longer is cut, and ends in three dots.
pub(super) const VALUE_CHARS_MAX: usize = 1_024;

/// The most fields of a line; more are left away.
const FIELDS_MAX: usize = 32;

/// How lines are written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text {
        /// Whether the level has a colour.
        colour: bool,
    },
    /// For programs.
    Json,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// The module that says it.
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Value {
    /// Text, as it came: not escaped yet.
    Text(String),
    /// A number or a truth value, which look the same everywhere.
    Plain(String),
}

impl Line {
    pub(super) fn of(event: &Event<'_>, at: Timestamp) -> Self {
        let mut line = Self {
            at,
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut line);
        line
    }

    /// With the line break.
    pub(super) fn render(&self, form: Form) -> String {
        let mut out = match form {
            Form::Text { colour } => self.text(colour),
            Form::Json => self.json(),
        };
        out.push('\n');
        out
    }

    /// Message and fields: `the store is away store="postgres://db" left_out=3`.
    pub(super) fn saying(&self) -> String {
        let mut out = String::new();
        escape(&mut out, &self.message, Quoting::None);
        for (name, value) in &self.fields {
            out.push(' ');
            out.push_str(name);
            out.push('=');
            match value {
                Value::Plain(text) => out.push_str(text),
                Value::Text(text) if is_a_word(text) => out.push_str(text),
                Value::Text(text) => {
                    out.push('"');
                    escape(&mut out, text, Quoting::Text);
                    out.push('"');
                }
            }
        }
        out
    }

    fn text(&self, colour: bool) -> String {
        let level = self.level;
        let (before, after) = if colour { (colour_of(level), "\x1b[0m") } else { ("", "") };
        format!("{} {before}{level:>5}{after} {}: {}", self.at, self.target, self.saying())
    }

    fn json(&self) -> String {
        let mut out = format!(
            "{{\"time\":\"{}\",\"level\":\"{}\",\"target\":\"{}\"",
            self.at,
            self.level.as_str().to_ascii_lowercase(),
            self.target
        );
        out.push_str(",\"message\":");
        json_text(&mut out, &self.message);
        for (name, value) in &self.fields {
            // The names of the line itself are taken.
            let taken = ["time", "level", "target", "message"].contains(name);
            out.push_str(",\"");
            out.push_str(if taken { "field_" } else { "" });
            out.push_str(name);
            out.push_str("\":");
            match value {
                Value::Text(value) => json_text(&mut out, value),
                Value::Plain(value) => out.push_str(value),
            }
        }
        out.push('}');
        out
    }

    fn add(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            let (Value::Text(text) | Value::Plain(text)) = value;
            self.message = text;
        } else if self.fields.len() < FIELDS_MAX {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Cut::default();
        // An error here is the cut: what fits is kept.
        let whole = write!(text, "{value:?}").is_ok();
        self.add(field, Value::Text(text.ended(whole)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Cut::default();
        let whole = text.write_str(value).is_ok();
        self.add(field, Value::Text(text.ended(whole)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        // JSON has no word for the others.
        self.add(field, if value.is_finite() { Value::Plain(text) } else { Value::Text(text) });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }
}

/// Text that is no longer than [`VALUE_CHARS_MAX`].
#[derive(Default)]
struct Cut {
    text: String,
    chars: usize,
}

impl Cut {
    fn ended(mut self, whole: bool) -> String {
        if !whole {
            self.text.push_str("...");
        }
        self.text
    }
}

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if self.chars == VALUE_CHARS_MAX {
                return Err(fmt::Error);
            }
            self.chars += 1;
            self.text.push(char);
        }
        Ok(())
    }
}

/// Where a text is put, which says what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// At the beginning of a line.
    None,
    /// Between quotes, in a line for people.
    Text,
    /// Between quotes, in JSON.
    Json,
}

/// Writes `text` so that it stays where it is put: control characters, and those that change the direction of writing or end a
/// line for some readers, as escapes.
fn escape(out: &mut String, text: &str, quoting: Quoting) {
    for char in text.chars() {
        match char {
            '"' | '\\' if quoting != Quoting::None => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if !is_dangerous(char) => out.push(char),
            char if quoting == Quoting::Json => {
                // All of them lie in the basic plane, so that one unit is enough.
                write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes everything");
            }
            char => out.extend(char.escape_unicode()),
        }
    }
}

fn json_text(out: &mut String, text: &str) {
    out.push('"');
    escape(out, text, Quoting::Json);
    out.push('"');
}

/// Writes `text` with nothing before or behind it.
pub(super) fn escape_alone(out: &mut String, text: &str) {
    escape(out, text, Quoting::None);
}

/// The text as a terminal may be handed it, whoever wrote it.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape_alone(&mut out, text);
    out
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and marks of direction (Unicode Standard Annex #9).
pub(crate) fn is_dangerous(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text needs no quotes in a line for people.
fn is_a_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:%+@,".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

const fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[2m",
    }
}
