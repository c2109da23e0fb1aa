//! What is said when a text is not TOML, or has keys or kinds of values that the configuration has not.

use toml::{Table, Value};

use super::error::{Broken, Fault};
use super::places::{Place, Places, position};
use super::raw::RawConfig;

/// A value that would do for each element of a list.
const ELEMENTS: [(&str, &str); 7] = [
    ("capture.modes", "\"native\""),
    ("capture.ignore", "\"198.51.100.0/24\""),
    ("rules.files", "\"built-in\""),
    ("intel.own_networks", "\"198.51.100.0/24\""),
    ("intel.feeds", "[[intel.feeds]]"),
    ("decoys.addresses", "\"198.51.100.77:22 file server\""),
    ("policy.floors", "\"intel_hit_high\""),
];

/// How far a mistyped key may be from the one that is suggested, in edits.
const EDITS_MAX: usize = 3;

/// What is said of a text that is not TOML.
pub(super) fn syntax_fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or_default();
    let (line, column) = position(text, span.start);
    let mut reason = error.message().replace('\n', "; ");
    if reason == "duplicate key" {
        reason = format!("{} stands there twice", text.get(span).unwrap_or("a key"));
    }
    Fault::Syntax { line, column, reason }
}

/// Checks that what is a section in the defaults is one in the text: the reader would take a list of values for one too.
pub(super) fn sections(places: &Places<'_>) -> Result<(), Fault> {
    let defaults = defaults();
    let is_section = |path: &str| matches!(default_at(&defaults, path), Some(Value::Table(_)));
    match places.iter().find(|place| is_section(&place.path) && !place.is_table) {
        Some(place) => Err(fault_at(places, place, "be a section", Some(section_of(&place.path)))),
        None => Ok(()),
    }
}

/// What is said of TOML that the configuration cannot be read from.
pub(super) fn fault(places: &Places<'_>, text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or_default();
    let Some(place) = places.around(&span) else {
        return syntax_fault(text, error);
    };
    let message = error.message();
    let Some((_, expected)) = message.split_once(", expected ") else {
        return syntax_fault(text, error);
    };
    if message.starts_with("unknown field ") {
        return unknown_key(places, place, expected);
    }
    let must = match expected {
        "u64" => "be a whole number, 0 or more",
        "f64" => "be a number",
        "a boolean" => "be true or false",
        "a string" => "be a text in quotes",
        "a sequence" => "be a list in brackets",
        "a map" => "be a section",
        _ => return syntax_fault(text, error),
    };
    fault_at(places, place, must, example(&place.path))
}

/// What is said of a key that does not exist. `expected`: the reader's list of those that do, each in backticks.
fn unknown_key(places: &Places<'_>, place: &Place, expected: &str) -> Fault {
    let (section, name) = place.path.rsplit_once('.').unwrap_or(("", &place.path));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let whole =
        |key: &str| if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    let near = known.iter().map(|key| (edits(name, key), *key)).min();
    let near = near.filter(|(edits, key)| *edits <= EDITS_MAX && *edits < key.len());
    let (must, such_as) = match near {
        Some((_, key)) => ("be a key that exists".to_owned(), Some(whole(key))),
        None => {
            let all: Vec<String> = known.iter().map(|key| whole(key)).collect();
            (format!("be one of {}", all.join(" ")), None)
        }
    };
    let (line, column) = places.key_position(place);
    let broken = Broken { key: place.path.clone(), value: places.value(place), must, such_as };
    Fault::Rule { line, column, broken: Box::new(broken) }
}

fn fault_at(places: &Places<'_>, place: &Place, must: &str, such_as: Option<String>) -> Fault {
    let (line, column) = places.position(place);
    let (key, value) = (place.path.clone(), places.value(place));
    let broken = Broken { key, value, must: must.to_owned(), such_as };
    Fault::Rule { line, column, broken: Box::new(broken) }
}

/// A value that would do for the key called `path`: its default, or what an element of a list looks like.
fn example(path: &str) -> Option<String> {
    if let Some(list) = path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
        return ELEMENTS
            .iter()
            .find(|(name, _)| *name == list.0)
            .map(|(_, text)| (*text).to_owned());
    }
    match default_at(&defaults(), path)? {
        Value::Table(_) => Some(section_of(path)),
        Value::Array(_) => {
            let element = ELEMENTS.iter().find(|(name, _)| *name == path)?.1;
            Some(if element.starts_with('[') { element.to_owned() } else { format!("[{element}]") })
        }
        Value::Float(number) if number.fract() == 0.0 => Some(format!("{number}")),
        value => Some(value.to_string()),
    }
}

/// The head of a section.
fn section_of(path: &str) -> String {
    if path.ends_with(']') { "[[intel.feeds]]".to_owned() } else { format!("[{path}]") }
}

/// Every key with its default, and one feed, which has none.
fn defaults() -> Table {
    let mut raw = RawConfig::default();
    raw.intel.feeds.push(super::raw::RawFeed::example());
    Table::try_from(raw).unwrap_or_default()
}

/// The default of the key called `path`; each element of a list is like the first.
fn default_at<'a>(defaults: &'a Table, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    let first = defaults.get(parts.next()?)?;
    parts.try_fold(first, |value, part| match part.split_once('[') {
        None => value.get(part),
        Some((list, nth)) if !nth.contains('[') => value.get(list)?.get(0),
        Some(_) => None,
    })
}

/// How many characters must be put in, taken out or exchanged to make one word the other (Levenshtein 1966).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (nth, a) in one.chars().enumerate() {
        let mut next = vec![nth + 1];
        for ((b, pair), left) in other.iter().zip(row.windows(2)).zip(0..) {
            let &[diagonal, above] = pair else { continue };
            let exchanged = diagonal + usize::from(a != *b);
            let before = next.get(left).copied().unwrap_or(exchanged);
            next.push(exchanged.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (one, other, count) in
            [("", "", 0), ("cuont", "count", 2), ("pin", "", 3), ("a", "ab", 1)]
        {
            assert_eq!(edits(one, other), count, "{one} {other}");
            assert_eq!(edits(other, one), count, "{other} {one}");
        }
    }
}
