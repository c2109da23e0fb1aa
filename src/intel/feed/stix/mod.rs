//! STIX 2.1 bundles: the `indicator` objects whose pattern is an address (OASIS STIX 2.1, sections 4.7 and 9).
//!
//! A pattern is taken when it says "this address, or that one": `[ipv4-addr:value = '192.0.2.7']`, `ipv6-addr`, networks
//! (`'192.0.2.0/24'`, also with `ISSUBSET`), `IN`, and `OR` between them. A pattern that demands more than an address
//! (`AND`, `FOLLOWEDBY`, a time window) is left out and counted: taken for its address alone it would say too much.
//! `confidence` is not read, because it says how sure the author is and not how bad the address is; `valid_from` neither,
//! because two clocks a second apart would lose a fresh indicator.

mod pattern;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::time::Timestamp;

use super::super::label::excerpt;
use super::super::prefix::Prefix;
use super::{Contents, Lines, Unreadable};

/// The most addresses that one pattern may name.
const PATTERN_ADDRESSES_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// The properties of an indicator that are read; others are passed over.
#[derive(Deserialize)]
struct StixIndicator<'a> {
    #[serde(borrow)]
    pattern: &'a RawValue,
    pattern_type: Option<String>,
    name: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    indicator_types: Vec<String>,
    valid_until: Option<String>,
    #[serde(default)]
    revoked: bool,
}

/// Whether the content begins as JSON does.
pub(super) fn looks_like(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"{")
}

/// Reads every indicator of the bundle.
pub(super) fn read(
    bytes: &[u8],
    now: Timestamp,
    contents: &mut Contents,
) -> Result<(), Unreadable> {
    let bundle: Bundle<'_> = serde_json::from_slice(bytes).map_err(|error| Unreadable {
        line: u32::try_from(error.line().max(1)).unwrap_or(u32::MAX),
        reason: format!("not a STIX 2.1 bundle: {}", excerpt(&error.to_string())),
    })?;
    if bundle.kind != "bundle" {
        return Err(Unreadable {
            line: 1,
            reason: format!(
                "its type is {}, where a STIX bundle was expected",
                excerpt(&bundle.kind)
            ),
        });
    }
    let mut lines = Lines::of(bytes);
    let mut line_of = |piece: &str| {
        // The JSON reader lends pieces of the file itself, so their place is their distance from its start.
        lines.at(piece.as_ptr().addr().saturating_sub(bytes.as_ptr().addr()))
    };
    for object in bundle.objects {
        let line = line_of(object.get());
        match serde_json::from_str::<Kind>(object.get()) {
            Ok(Kind { kind }) if kind == "indicator" => {}
            Ok(_) => continue,
            Err(error) => {
                contents.records += 1;
                contents.malformed(line, || excerpt(&error.to_string()));
                continue;
            }
        }
        contents.records += 1;
        match serde_json::from_str::<StixIndicator<'_>>(object.get()) {
            Ok(indicator) => {
                let line = line_of(indicator.pattern.get());
                take(&indicator, line, now, contents);
            }
            Err(error) => contents.malformed(line, || excerpt(&error.to_string())),
        }
    }
    Ok(())
}

/// Adds what one indicator states; all of it or nothing.
fn take(indicator: &StixIndicator<'_>, line: u32, now: Timestamp, contents: &mut Contents) {
    if indicator.pattern_type.as_deref().is_some_and(|kind| kind != "stix") {
        contents.left_out += 1;
        return;
    }
    match (prefixes(indicator.pattern), in_force(indicator, now)) {
        (Err(reason), _) | (_, Err(reason)) => contents.malformed(line, || reason),
        (Ok(prefixes), _) if prefixes.is_empty() => contents.left_out += 1,
        (Ok(prefixes), Ok(false)) => contents.out_of_force += prefixes.len() as u64,
        (Ok(prefixes), Ok(true)) => {
            for prefix in prefixes {
                contents.found(line, prefix, name(indicator), None);
            }
        }
    }
}

/// The networks that a pattern names; none when it is about something else, or about more.
fn prefixes(pattern: &RawValue) -> Result<Vec<Prefix>, String> {
    let text = serde_json::from_str::<String>(pattern.get())
        .map_err(|error| format!("pattern: {}", excerpt(&error.to_string())))?;
    let addresses = pattern::addresses(&text)
        .map_err(|error| format!("pattern {}: {error}", excerpt(&text)))?;
    if addresses.len() > PATTERN_ADDRESSES_MAX {
        return Err(format!(
            "the pattern names {} addresses, more than {PATTERN_ADDRESSES_MAX}",
            addresses.len()
        ));
    }
    let prefix = |address: &String| {
        address.parse::<Prefix>().map_err(|error| format!("{}: {error}", excerpt(address)))
    };
    addresses.iter().map(prefix).collect()
}

/// Whether the indicator says at `now` that its addresses are bad.
fn in_force(indicator: &StixIndicator<'_>, now: Timestamp) -> Result<bool, String> {
    let expired = match &indicator.valid_until {
        None => false,
        Some(text) => match text.parse::<jiff::Timestamp>() {
            Ok(until) => until.as_nanosecond() <= i128::from(now.as_nanos()),
            Err(_) => {
                return Err(format!(
                    "valid_until {}: must be a time, such as 2026-01-31T00:00:00Z",
                    excerpt(text)
                ));
            }
        },
    };
    let benign = indicator.indicator_types.iter().any(|kind| kind == "benign");
    Ok(!(expired || indicator.revoked || benign))
}

/// The text for the operator: the name, else the first label, else the first type.
fn name<'a>(indicator: &'a StixIndicator<'_>) -> Option<&'a str> {
    let texts = indicator.name.iter().chain(&indicator.labels).chain(&indicator.indicator_types);
    texts.map(String::as_str).find(|text| !text.trim().is_empty())
}
