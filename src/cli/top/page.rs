//! What is said of a sensor, in panels of lines: the same on a screen and on paper.

use super::snapshot::{Counters, Latency, Rates, View};
use super::words::{count, percent, short, span};
use crate::cli::client::Text;

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Title,
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

/// Figures under a title.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    title: String,
    /// Names of the columns of figures, and how wide they are.
    heads: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    name: String,
    cells: Vec<String>,
    mood: Mood,
}

impl Row {
    fn new(name: impl Into<String>, cells: impl Into<Vec<String>>, mood: Mood) -> Self {
        Self { name: name.into(), cells: cells.into(), mood }
    }
}

impl Panel {
    /// The title, then the rows.
    pub(super) fn height(&self) -> u16 {
        u16::try_from(self.rows.len()).unwrap_or(u16::MAX).saturating_add(1)
    }

    /// Every line, in a width that the figures fit into; names are cut.
    pub(super) fn lines(&self, width: usize) -> Vec<(String, Mood)> {
        let heads = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let title = Row { name: self.title.clone(), cells: heads, mood: Mood::Title };
        [&title]
            .into_iter()
            .chain(&self.rows)
            .map(|row| (self.line(row, width), row.mood))
            .collect()
    }

    fn line(&self, row: &Row, width: usize) -> String {
        // A row without figures has the whole line.
        let figures: usize = self.heads.iter().take(row.cells.len()).map(|(_, width)| width).sum();
        let name = width.saturating_sub(figures);
        let cut: String = row.name.chars().take(name).collect();
        let mut line = format!("{cut:<name$}");
        for (cell, (_, width)) in row.cells.iter().zip(&self.heads) {
            line.push_str(&format!("{cell:>width$}"));
        }
        line
    }
}

/// A level's mood where something of it came.
fn of_level(level: &str, has_come: bool) -> Mood {
    match level {
        "CRITICAL" | "HIGH" if has_come => Mood::Bad,
        "WARNING" if has_come => Mood::Warning,
        _ => Mood::Plain,
    }
}

/// How the sensor is, in a word.
pub(super) fn of_status(status: &Text) -> Mood {
    match status.as_str() {
        "healthy" => Mood::Good,
        "degraded" => Mood::Warning,
        _ => Mood::Bad,
    }
}

/// A second, and since the start.
const BOTH: [(&str, usize); 2] = [("a second", 9), ("since start", 13)];

pub(super) fn traffic(view: &View) -> Panel {
    let Counters { frames, bytes, packets, not_ip, undecodable, .. } = view.now.since_start;
    let rates = view.rates.as_ref();
    let row =
        |name: &str, rate: Option<f64>, total| Row::new(name, [short(rate), total], Mood::Plain);
    let left = |name: &str, total| Row::new(name, [String::new(), count(total)], Mood::Plain);
    Panel {
        title: "Traffic".to_owned(),
        heads: BOTH.into(),
        rows: vec![
            row("frames", rates.and_then(|rates| rates.frames_per_second), count(frames)),
            row(
                "bits",
                rates.and_then(|rates| rates.bits_per_second),
                short(bytes.map(|bytes| bytes as f64 * 8.0)),
            ),
            row("packets judged", rates.and_then(|rates| rates.packets_per_second), count(packets)),
            left("no IP", not_ip),
            left("undecodable", undecodable),
        ],
    }
}

pub(super) fn verdicts(view: &View) -> Panel {
    let rate_at = |at: usize| *view.rates.as_ref()?.verdicts_per_second.get(at)?;
    let row = |(at, verdicts): (usize, &super::snapshot::Verdicts)| {
        let rate = rate_at(at);
        let mood = of_level(verdicts.verdict, rate.is_some_and(|rate| rate > 0.0));
        Row::new(verdicts.verdict, [short(rate), count(verdicts.packets)], mood)
    };
    let levels = view.now.since_start.verdicts.iter().enumerate();
    let mut rows: Vec<Row> = levels.map(row).rev().collect();
    let rate = view.rates.as_ref().and_then(|rates| rates.victims_per_second);
    let victims = count(view.now.since_start.victims);
    rows.push(Row::new("about victims", [short(rate), victims], Mood::Plain));
    Panel { title: "Verdicts".to_owned(), heads: BOTH.into(), rows }
}

/// What was lost, place by place, and what nobody can account for.
pub(super) fn lost(view: &View) -> Panel {
    let rate_at = |at: usize| *view.rates.as_ref()?.lost_per_second.get(at)?;
    let places = view.now.since_start.lost.iter().enumerate();
    let mut rows: Vec<Row> = places
        .map(|(at, lost)| {
            let mood =
                if lost.count.is_some_and(|count| count > 0) { Mood::Bad } else { Mood::Plain };
            let name = format!("{}, {}", lost.what, lost.place);
            Row::new(name, [short(rate_at(at)), count(lost.count)], mood)
        })
        .collect();
    let unaccounted = view.now.unaccounted;
    let mood = if unaccounted == 0 { Mood::Good } else { Mood::Bad };
    rows.push(Row::new("unaccounted for", [String::new(), count(Some(unaccounted))], mood));
    Panel { title: "Lost".to_owned(), heads: BOTH.into(), rows }
}

/// How long things took: between the last two looks, or, before there are two, since the start.
pub(super) fn latency(view: &View) -> Panel {
    let (title, latencies) = match &view.rates {
        Some(Rates { seconds, latency, .. }) => (format!("Latency, {seconds:.1} s"), latency),
        None => ("Latency, all".to_owned(), &view.now.latency_since_start),
    };
    let row = |latency: &Latency| {
        let at = [latency.p50_seconds, latency.p99_seconds, latency.p999_seconds];
        let name = latency.name.replace('_', " ");
        Row::new(name, at.map(span), Mood::Plain)
    };
    Panel {
        title,
        heads: vec![("median", 8), ("99 %", 8), ("99.9 %", 8)],
        rows: latencies.iter().map(row).collect(),
    }
}

pub(super) fn storing(view: &View) -> Panel {
    let storing = &view.now.storing;
    let version = storing.version.as_ref().map_or("", Text::as_str);
    let rate = view.rates.as_ref().and_then(|rates| rates.committed_events_per_second);
    let is_up = storing.store.as_str() != "down";
    let spooled = storing.spooled_events;
    let has_spooled = spooled.is_some_and(|events| events > 0);
    let full = storing.spool_bytes.zip(storing.spool_bound_bytes).map(|(is, bound)| is / bound);
    Panel {
        title: "Store".to_owned(),
        heads: BOTH.into(),
        rows: vec![
            Row::new(
                format!("{version} {}", storing.store).trim(),
                [],
                if is_up { Mood::Plain } else { Mood::Bad },
            ),
            Row::new("events", [short(rate), count(storing.committed_events)], Mood::Plain),
            Row::new("waiting", [String::new(), count(storing.waiting_events)], Mood::Plain),
            Row::new(
                format!("spool, {} full", percent(full)),
                [String::new(), count(spooled)],
                if has_spooled { Mood::Warning } else { Mood::Plain },
            ),
        ],
    }
}

/// Which list stands in the place for one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Sources,
    Rules,
}

/// The sources or rules of most alerts.
pub(super) fn top(view: &View, listed: Listed) -> Panel {
    let events = [("worst", 9), ("events", 8)];
    let (title, heads, rows) = match (listed, &view.notable.top) {
        (Listed::Sources, top) => {
            let sources = top.iter().flat_map(|top| &top.sources);
            let row = sources.map(|source| {
                let cells = [
                    source.worst.to_string(),
                    count(Some(source.events)),
                    count(Some(source.packets)),
                ];
                Row::new(source.ip.as_str(), cells, of_level(source.worst.as_str(), true))
            });
            ("Top sources", [&events[..], &[("packets", 10)]].concat(), row.collect())
        }
        (Listed::Rules, top) => {
            let rules = top.iter().flat_map(|top| &top.rules);
            let row = rules.map(|rule| {
                let name = rule.message.as_ref().map_or("", Text::as_str);
                let cells = [rule.worst.to_string(), count(Some(rule.events))];
                let mood = of_level(rule.worst.as_str(), true);
                Row::new(format!("{} {name}", rule.rule), cells, mood)
            });
            ("Top rules", events.into(), row.collect::<Vec<_>>())
        }
    };
    let nothing = "no event above SAFE in 24 hours";
    let rows = or_why_none(rows, view.notable.top.is_some(), nothing, view);
    Panel { title: title.to_owned(), heads, rows }
}

/// What goes on, with when it was seen last, the latest first.
pub(super) fn incidents(view: &View) -> Panel {
    let list = view.notable.incidents.iter().flatten();
    let row = list.map(|incident| {
        let subject = incident.subject.as_ref().map_or("many", Text::as_str);
        let level = incident.worst.as_str();
        let last = incident.last_time.as_str().get(11..19).unwrap_or_default();
        let text = format!("{last} {level:<8} {subject}  {}", incident.title);
        Row::new(text, [], of_level(level, true))
    });
    let rows = or_why_none(row.collect(), view.notable.incidents.is_some(), "none is open", view);
    Panel { title: "Open incidents, the latest first".to_owned(), heads: Vec::new(), rows }
}

/// The rows, or a line that says why there is none.
fn or_why_none(rows: Vec<Row>, is_known: bool, nothing: &str, view: &View) -> Vec<Row> {
    if !rows.is_empty() {
        return rows;
    }
    let note = view.notable.note.as_deref().unwrap_or("not known");
    let why = if is_known { nothing } else { note };
    vec![Row::new(why, [], Mood::Faint)]
}

/// Who is looked at.
pub(super) fn head(view: &View) -> String {
    let now = &view.now;
    let started = now.started.as_str().get(..19).unwrap_or_default();
    format!("{} at {}  {}  since {started}Z  run {}", now.sensor, now.url, now.source, now.epoch)
}

/// How it is.
pub(super) fn state(view: &View) -> String {
    let problems: Vec<&str> = view.now.problems.iter().map(Text::as_str).collect();
    if problems.is_empty() {
        return view.now.status.to_string();
    }
    format!("{}: {}", view.now.status, problems.join("; "))
}

/// A line has so many columns on paper.
const PAPER: usize = 78;

/// All of it as text.
pub(super) fn on_paper(view: &View) -> String {
    let mut text = format!("{}\n{}\n", head(view), state(view));
    let panels = [
        traffic(view),
        verdicts(view),
        lost(view),
        latency(view),
        storing(view),
        top(view, Listed::Sources),
        top(view, Listed::Rules),
        incidents(view),
    ];
    for panel in panels {
        text.push('\n');
        for (line, _) in panel.lines(PAPER) {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
