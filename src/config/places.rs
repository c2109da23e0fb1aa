//! Where each key of a configuration file stands, so that an error can point at it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest piece of a value that an error shows, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// One key, or one element of a list, with its place in the text.
#[derive(Debug)]
pub(super) struct Place {
    /// As the operator would name it: `intel.feeds[0].path`.
    pub(super) path: String,
    /// Bytes of the key; empty for an element of a list.
    key: Range<usize>,
    /// Bytes of the value.
    value: Range<usize>,
    /// Whether the value is a table, and so has no text of its own.
    pub(super) is_table: bool,
}

/// All keys of a text.
#[derive(Debug)]
pub(super) struct Places<'a> {
    text: &'a str,
    places: Vec<Place>,
}

impl<'a> Places<'a> {
    /// Finds every key, in the order of the tree.
    pub(super) fn of(text: &'a str, tree: &DeTable<'_>) -> Self {
        let mut places = Vec::new();
        walk_table("", tree, &mut places);
        Self { text, places }
    }

    /// The place of the key called `path`, else of the innermost one around it that stands in the text.
    pub(super) fn named(&self, path: &str) -> Option<&Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.iter().find(|place| place.path == path) {
                return Some(place);
            }
            (path, _) = path.rsplit_once(['.', '['])?;
        }
    }

    /// The place whose key is at `span`, else the innermost one whose value holds it.
    pub(super) fn around(&self, span: &Range<usize>) -> Option<&Place> {
        let holds = |range: &Range<usize>| range.start <= span.start && span.end <= range.end;
        let by_key = self.places.iter().find(|place| !place.key.is_empty() && place.key == *span);
        by_key.or_else(|| {
            let around = self.places.iter().filter(|place| holds(&place.value));
            around.min_by_key(|place| place.value.len())
        })
    }

    /// Line and column to look at for a place: its value, or the key of a table. From 1; columns in characters.
    pub(super) fn position(&self, place: &Place) -> (u32, u32) {
        let at = if place.is_table && !place.key.is_empty() { &place.key } else { &place.value };
        position(self.text, at.start)
    }

    /// Line and column of a place's key. From 1; columns in characters.
    pub(super) fn key_position(&self, place: &Place) -> (u32, u32) {
        position(self.text, place.key.start)
    }

    /// All places, inner ones before those around them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.iter()
    }

    /// The value as written, shortened to one line; nothing for a table.
    pub(super) fn value(&self, place: &Place) -> Option<String> {
        let text = self.text.get(place.value.clone()).filter(|_| !place.is_table)?;
        let line = text.lines().next().unwrap_or_default();
        let mut shown: String = line.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Some(shown)
    }
}

/// Line and column of byte `at`. From 1; columns in characters.
pub(super) fn position(text: &str, at: usize) -> (u32, u32) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (narrow(line), narrow(column))
}

fn walk_table(path: &str, table: &DeTable<'_>, places: &mut Vec<Place>) {
    for (key, value) in table {
        let name = written(key.get_ref());
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        walk_value(path, key.span(), value, places);
    }
}

fn walk_value(
    path: String,
    key: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    places: &mut Vec<Place>,
) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(&path, table, places),
        DeValue::Array(elements) => {
            for (nth, element) in elements.iter().enumerate() {
                walk_value(format!("{path}[{nth}]"), 0..0, element, places);
            }
        }
        _ => {}
    }
    let is_table = value.get_ref().is_table();
    places.push(Place { path, key, value: value.span(), is_table });
}

/// A key as it is written in the file: bare, or quoted.
pub(super) fn written(key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if bare { key.to_owned() } else { format!("{key:?}") }
}
