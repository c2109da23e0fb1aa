//! How things look on the wire: fields of the event stream format (WHATWG HTML, section 9.2.6).

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::{Distribution, StreamGap, StreamNotice, StreamStats};
use crate::collect::{CollectorStats, Notice};
use crate::event::EventId;

/// The first thing that a client gets: how long to wait before it connects again, and from where to resume until the first
/// event comes. A block without data is dispatched to nobody, but its id counts.
pub(super) fn opening(out: &mut String, retry: Duration, position: EventId) {
    write(out, format_args!("retry: {}\nid: {position}\n\n", retry.as_millis()));
}

/// A comment, to find out whether the client is still there.
pub(super) fn heartbeat(out: &mut String) {
    out.push_str(": still here\n\n");
}

pub(super) fn verdict(out: &mut String, id: EventId, json: &str) {
    write(out, format_args!("event: verdict\nid: {id}\n"));
    data(out, json);
}

/// `position` is the last event that was passed on or left out by the filter, so that a client with a narrow filter resumes there.
pub(super) fn stats(out: &mut String, position: EventId, stats: &CollectorStats) {
    let [safe, warning, high, critical] = stats.levels;
    write(out, format_args!("event: stats\nid: {position}\n"));
    json(
        out,
        &StreamStats {
            packets_per_second: stats.packets_per_second,
            packets: stats.totals.packets,
            distribution: Distribution { safe, warning, high, critical },
            total_events: stats.totals.events,
            unaccounted: stats.unaccounted,
        },
    );
}

pub(super) fn notice(out: &mut String, notice: &Notice) {
    out.push_str("event: notice\n");
    json(
        out,
        &StreamNotice {
            time: notice.at.to_string(),
            kind: notice.kind.name().to_owned(),
            text: notice.text.to_string(),
        },
    );
}

pub(super) fn gap(out: &mut String, gap: &StreamGap) {
    out.push_str("event: gap\n");
    json(out, gap);
}

fn json(out: &mut String, value: &impl Serialize) {
    data(out, &serde_json::to_string(value).expect("a struct of plain fields"));
}

/// The data and the end of the block. A line break in the data, which JSON on one line has not, begins another field of data.
fn data(out: &mut String, text: &str) {
    for line in text.split(['\r', '\n']) {
        write(out, format_args!("data: {line}\n"));
    }
    out.push('\n');
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
