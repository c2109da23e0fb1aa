//! What is drawn of a sensor's own answers, which `answered/` holds as a demonstration gave them.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::answers::{Incidents, Top};
use super::draw::Screen;
use super::openmetrics::Samples;
use super::page::{self, Listed};
use super::snapshot::{Notable, Rates, Snapshot, View};
use crate::cli::client::Text;

const HEALTH: &str = include_str!("answered/health.json");
const ACCOUNTING: &str = include_str!("answered/accounting.json");
const TOP: &str = include_str!("answered/top.json");
const INCIDENTS: &str = include_str!("answered/incidents.json");
const FIRST: &str = include_str!("answered/metrics-1.txt");
const SECOND: &str = include_str!("answered/metrics-2.txt");

fn snapshot(metrics: &str, taken: Instant) -> Snapshot {
    let health = serde_json::from_str(HEALTH).unwrap();
    let accounting = serde_json::from_str(ACCOUNTING).unwrap();
    Snapshot::of("http://127.0.0.1:8000", health, accounting, &Samples::of(metrics), taken)
}

fn notable() -> Notable {
    let top: Top = serde_json::from_str(TOP).unwrap();
    let Incidents { incidents } = serde_json::from_str(INCIDENTS).unwrap();
    Notable { top: Some(top), incidents: Some(incidents), note: None }
}

/// What is seen at the second look, two seconds after the first.
fn view() -> View {
    let begin = Instant::now();
    let (then, now) = (snapshot(FIRST, begin), snapshot(SECOND, begin + Duration::from_secs(2)));
    let rates = Rates::between(&then, &now);
    View { at: "2026-11-23T15:22:03Z".to_owned(), now, rates, notable: notable() }
}

fn screen(view: View) -> Screen {
    Screen {
        view,
        away: None,
        is_paused: false,
        shows_help: false,
        listed: Listed::Sources,
        has_colours: true,
    }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen's lines.
fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    symbols.chunks(width).map(|line| line.concat().trim_end().to_owned()).collect()
}

/// A counter as it stands in an answer, found by its text alone.
fn told(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(series)).expect("it is there");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Digits in groups, by cutting from the end.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut groups: Vec<&str> =
        digits.as_bytes().rchunks(3).map(|group| str::from_utf8(group).unwrap()).collect();
    groups.reverse();
    groups.join(",")
}

const PANELS: [&str; 7] =
    ["Traffic", "Verdicts", "Lost", "Latency, 2.0 s", "Store", "Top sources", "Open incidents"];

#[test]
fn a_narrow_and_a_wide_terminal_show_every_panel_and_the_counters_as_told() {
    for (width, height) in [(80, 24), (100, 30), (200, 50)] {
        let lines = lines(&drawn(&screen(view()), width, height));
        let all = lines.join("\n");
        for panel in PANELS {
            assert!(all.contains(panel), "{width}x{height}: no {panel}\n{all}");
        }
        for series in [
            "phantomnet_frames_total{stage=\"capture\",outcome=\"taken\"}",
            "phantomnet_frames_total{stage=\"judge\",outcome=\"scored\"}",
            "phantomnet_frames_total{stage=\"decode\",outcome=\"not_ip\"}",
            "phantomnet_verdicts_total{level=\"SAFE\"}",
            "phantomnet_verdicts_total{level=\"HIGH\"}",
            "phantomnet_writer_rows_total{outcome=\"committed\"}",
        ] {
            let count = grouped(told(SECOND, series));
            assert!(
                all.contains(&format!(" {count}")),
                "{width}x{height}: {series}: no {count}\n{all}"
            );
        }
        for name in [
            "packets judged",
            "frames",
            "packets, handover",
            "unaccounted for",
            "about victims",
            "spool, < 1 % full",
        ] {
            assert!(all.contains(&format!("{name} ")), "{width}x{height}: {name} is cut\n{all}");
        }
        assert!(all.contains("healthy"), "{all}");
    }
}

#[test]
fn no_column_of_figures_runs_into_its_neighbour() {
    for width in [80, 100, 150, 200] {
        for line in lines(&drawn(&screen(view()), width, 40)).iter().skip(2) {
            for unit in ["ms", "us", " k", " M", " G"] {
                let glued = line.match_indices(unit).filter(|(at, unit)| {
                    let (before, behind) = (&line[..*at], &line[at + unit.len()..]);
                    before.trim_end().ends_with(|c: char| c.is_ascii_digit())
                        && behind.starts_with(|c: char| c.is_ascii_digit())
                });
                assert_eq!(glued.count(), 0, "{width}: {line}");
            }
        }
    }
}

#[test]
fn rates_are_differences_of_counters_over_the_time_between() {
    let rates = view().rates.unwrap();
    let series = "phantomnet_frames_total{stage=\"capture\",outcome=\"taken\"}";
    let more = u32::try_from(told(SECOND, series) - told(FIRST, series)).unwrap();
    assert!(more > 0, "the answers differ");
    assert!((rates.frames_per_second.unwrap() - f64::from(more) / 2.0).abs() < 1e-9);
    let bytes = "phantomnet_frame_bytes_total";
    let more = u32::try_from(told(SECOND, bytes) - told(FIRST, bytes)).unwrap();
    assert!((rates.bits_per_second.unwrap() - f64::from(more) * 4.0).abs() < 1e-6);
    let timed = "phantomnet_frame_to_verdict_seconds_count";
    assert_eq!(rates.latency[0].count, told(SECOND, timed) - told(FIRST, timed));
}

#[test]
fn there_is_no_rate_before_a_second_look_at_the_same_run_that_came_later() {
    let begin = Instant::now();
    let (then, now) = (snapshot(FIRST, begin), snapshot(SECOND, begin + Duration::from_secs(1)));
    assert!(Rates::between(&then, &now).is_some());
    assert!(Rates::between(&then, &then).is_none(), "no time has passed");
    assert!(Rates::between(&now, &then).is_none(), "time does not run back");
    let another = Snapshot { epoch: Text::from("0000000000000001"), ..now.clone() };
    assert!(Rates::between(&then, &another).is_none(), "another run counts from 0");
    let backwards =
        Rates::between(&then, &Snapshot { since_start: snapshot("", begin).since_start, ..now });
    assert_eq!(backwards.unwrap().frames_per_second, None, "not told is not 0");
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let nothing = View { now: snapshot("", Instant::now()), rates: None, ..view() };
    let paper = page::on_paper(&nothing);
    let rows = [
        "frames",
        "bits",
        "CRITICAL",
        "packets, handover",
        "events, writer",
        "frame to verdict",
        "waiting",
    ];
    for row in rows {
        let line = paper.lines().find(|line| line.starts_with(row)).expect(row);
        let figures = line.strip_prefix(row).unwrap().trim();
        assert!(figures.chars().all(|c| "- ".contains(c)), "{line}");
        assert!(figures.contains('-'), "{line}");
    }
    let first = page::on_paper(&View { rates: None, ..view() });
    let frames = first.lines().find(|line| line.starts_with("frames")).unwrap();
    assert_eq!(frames.split_whitespace().nth(1), Some("-"), "a rate needs two looks: {frames}");
}

#[test]
fn a_sensor_that_is_away_is_said_to_be_so_above_the_figures_of_before() {
    let away =
        Screen { away: Some("http://127.0.0.1:8000: no answer".to_owned()), ..screen(view()) };
    let lines = lines(&drawn(&away, 80, 24));
    assert!(
        lines[1].starts_with("AWAY. It is asked again; figures are those of 15:22:03 UTC."),
        "{lines:#?}"
    );
    assert!(lines[2].contains("no answer"), "{lines:#?}");
}

#[test]
fn a_store_that_is_away_is_no_reason_to_show_less_of_the_rest() {
    let note = Some("the store does not answer".to_owned());
    let notable = Notable { top: None, incidents: None, note };
    let all = lines(&drawn(&screen(View { notable, ..view() }), 80, 24)).join("\n");
    assert_eq!(all.matches("the store does not answer").count(), 2, "{all}");
    assert!(all.contains("packets judged"), "{all}");
}

#[test]
fn without_colours_no_cell_has_one() {
    let coloured = |screen: &Screen| {
        let buffer = drawn(screen, 120, 40);
        let cells = buffer.content().iter();
        cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    let with = screen(view());
    assert!(coloured(&with) > 0);
    assert_eq!(coloured(&Screen { has_colours: false, ..with }), 0);
}

#[test]
fn no_text_of_the_network_reaches_the_terminal_with_a_control_character() {
    let hostile = INCIDENTS.replace("HTTP_", "\\u001b[2J\\u009b31m\\u0007\\r\\n\\u202e");
    let Incidents { incidents } = serde_json::from_str(&hostile).unwrap();
    let view = View { notable: Notable { incidents: Some(incidents), ..notable() }, ..view() };
    let is_harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    let paper = page::on_paper(&view);
    assert!(paper.contains("[2J") && !paper.contains(is_harmful), "{paper}");
    let all = lines(&drawn(&screen(view), 200, 60)).join("\n");
    assert!(all.contains("[2J") && !all.contains(is_harmful), "{all}");
}

proptest! {
    #[test]
    fn no_terminal_is_too_small_or_too_large(width in 1_u16..300, height in 1_u16..100, help: bool, away: bool) {
        let away = away.then(|| "no answer".repeat(100));
        drawn(&Screen { shows_help: help, away, ..screen(view()) }, width, height);
    }
}

#[test]
fn rules_take_the_place_of_sources_when_asked_for() {
    let rules = Screen { listed: Listed::Rules, ..screen(view()) };
    let all = lines(&drawn(&rules, 80, 24)).join("\n");
    assert!(all.contains("Top rules") && !all.contains("Top sources"), "{all}");
    let top: serde_json::Value = serde_json::from_str(TOP).unwrap();
    let first = top["rules"][0]["rule"].to_string();
    assert!(all.contains(&first), "{first}\n{all}");
}

#[test]
fn paper_has_no_line_that_is_wider_than_eighty_columns_but_the_first_two() {
    for line in page::on_paper(&view()).lines().skip(2) {
        assert!(line.chars().count() < 80, "{line}");
    }
}
