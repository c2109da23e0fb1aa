//! `GET /metrics`: read by somebody else's parser, counted, and held against docs/OPERATIONS.md and the alert rules.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use phantomnet::address::Address;
use phantomnet::api::metrics::{Metrics, OPEN_METRICS, PLAIN_TEXT};
use phantomnet::api::{ApiParams, ApiServer, CaptureStatus, InterfaceStatus, Live, RequestStats};
use phantomnet::capture::live::{QueueCounts, QueueStatus, SocketStatistics};
use phantomnet::collect::CollectorStats;
use phantomnet::counters::{Counters, Latency, Stage};
use phantomnet::event::{Event, Merged};
use phantomnet::sources::SourceCounters;
use phantomnet::store::query::Queries;
use phantomnet::store::writer::{BATCH_ROWS_BOUNDS, COMMIT_NANOS_BOUNDS, Tally, WriterStats};
use phantomnet::time::Timestamp;

use crate::running::{event, live};
use crate::support::{folder, python_with, run_or_say};

// --- a sensor at work ------------------------------------------------------------------------------------------------

/// The figures of `live` as they might be after `step` rounds of traffic.
fn work(live: &Live, step: u64) {
    let counters = Counters {
        taken: 100 * step,
        taken_bytes: 64_000 * step,
        decoded: 90 * step,
        not_ip: 4 * step,
        undecodable: [step; 11],
        handed: 89 * step,
        handover_full: step,
        scored: 88 * step,
        levels: [80 * step, 5 * step, 2 * step, step],
        victims: step,
        enqueued: 80 * step,
        ring_full: [step; 4],
        sources: SourceCounters {
            inserted: 5_000 * step,
            evicted: 100 * step,
            live: 4_900,
            ..SourceCounters::default()
        },
        ..Counters::default()
    };
    let mut latency = Latency::default();
    (0..step).for_each(|nth| latency.record(1 << nth.min(40), 7));
    live.workers.iter().for_each(|worker| {
        worker.publish(&counters, &latency);
        worker.stayed(Stage::Features, 1_000 * step);
    });
    live.collector.change(|stats: &mut CollectorStats| {
        stats.totals.dequeued = 150 * step;
        stats.totals.packets = 150 * step;
        stats.totals.event_packets = 150 * step;
        stats.totals.events = 10 * step;
        stats.merging = Merged::Port;
        stats.newest = Some(Timestamp::from_secs(1_790_000_000 + step.cast_signed()));
    });
    live.writer.change(|stats: &mut WriterStats| {
        let tally = Tally { batches: step, rows: 10 * step, packets: 150 * step, alerts: 0 };
        stats.received = tally;
        stats.committed = tally;
        stats.commit_nanos.record(3_000_000 * step, &COMMIT_NANOS_BOUNDS);
        stats.delay_nanos.record(90_000_000 * step, &COMMIT_NANOS_BOUNDS);
        stats.batch_rows.record(10 * step, &BATCH_ROWS_BOUNDS);
        stats.store_up = step.is_multiple_of(2);
        stats.spool_oldest = (!stats.store_up).then_some(Timestamp::from_secs(1_790_000_000));
        stats.last_error = Some(format!("the {step}. text, which is no label"));
    });
    live.capture.change(|status: &mut CaptureStatus| {
        status.source = "eth0".to_owned();
        status.delivered = Some(200 * step);
        status.running = true;
        status.interface = Some(interface(step));
    });
}

/// Two queues of an interface.
fn interface(step: u64) -> InterfaceStatus {
    let queue = |queue| {
        let counts =
            QueueCounts { seen: 100 * step, redirected: 100 * step, ..QueueCounts::default() };
        let statistics = SocketStatistics { ring_full: step, ..SocketStatistics::default() };
        QueueStatus { queue, counts, statistics }
    };
    InterfaceStatus {
        name: "eth0".to_owned(),
        backend: "af_xdp",
        mode: "native",
        queues: vec![queue(0), queue(1)],
    }
}

/// The metrics of `live`, as somebody else's parser reads them.
fn scraped(live: &Live) -> Vec<Family> {
    parsed("openmetrics", &Metrics::new(live.clone(), RequestStats::default()).render(None).body)
}

#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
struct Family {
    name: String,
    r#type: String,
    unit: Option<String>,
    help: String,
    samples: Vec<(String, BTreeMap<String, String>, Option<f64>)>,
}

impl Family {
    /// As it is written in documents and in queries.
    fn exported_name(&self) -> String {
        let suffix = match self.r#type.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        format!("{}{suffix}", self.name)
    }
}

fn parsed(form: &str, text: &str) -> Vec<Family> {
    let folder = folder();
    let file = folder.path().join("exposition");
    fs::write(&file, text).unwrap();
    serde_json::from_slice(&read(form, &file)).unwrap()
}

/// What `tests/openmetrics/read.py` makes of a file.
fn read(form: &str, file: &Path) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openmetrics/read.py");
    let python = python_with("openmetrics", "Prometheus' own parser");
    run_or_say(Command::new(python).arg(script).arg(form).arg(file), "the parser refused it")
}

fn text_of(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is tracked")
}

// --- what is promised ------------------------------------------------------------------------------------------------

#[test]
fn somebody_elses_strict_parser_reads_every_figure() {
    let live = live();
    work(&live, 3);
    let families = scraped(&live);
    assert!(families.len() > 60, "{}", families.len());
    let value = |name: &str, labels: &[(&str, &str)]| {
        let samples = families.iter().flat_map(|family| &family.samples);
        let mut found = samples.filter(|(sample, has, _)| {
            sample == name && labels.iter().all(|(key, value)| has[*key] == *value)
        });
        let (_, _, value) = found.next().unwrap_or_else(|| panic!("no {name} {labels:?}"));
        value.unwrap()
    };
    // Two workers with the same counters.
    let decoded = [("stage", "decode"), ("outcome", "decoded")];
    assert_eq!(value("phantomnet_frames_total", &decoded), 540.0);
    let truncated = [("reason", "truncated_link")];
    assert_eq!(value("phantomnet_undecodable_frames_total", &truncated), 6.0);
    assert_eq!(value("phantomnet_verdicts_total", &[("level", "CRITICAL")]), 6.0);
    assert_eq!(value("phantomnet_ring_depth_verdicts", &[]), 480.0 - 450.0);
    assert_eq!(value("phantomnet_unaccounted", &[("stage", "writer")]), 0.0);
    assert_eq!(value("phantomnet_frame_to_verdict_seconds_count", &[]), 42.0);
    assert_eq!(value("phantomnet_commit_seconds_sum", &[]), 0.009);
    assert_eq!(value("phantomnet_commit_seconds_bucket", &[("le", "0.01")]), 1.0);
    let detection = live.detection();
    let schema = [("schema", "1"), ("sha256", detection.model().sha256())];
    assert_eq!(value("phantomnet_model_info", &schema), 1.0);
    assert!(value("phantomnet_process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn a_row_that_is_missing_in_the_writer_shows() {
    let live = live();
    work(&live, 2);
    live.writer.change(|stats| stats.committed.rows -= 1);
    let text = Metrics::new(live, RequestStats::default()).render(None).body;
    assert!(text.contains("phantomnet_unaccounted{stage=\"writer\"} 1\n"), "{text}");
}

#[test]
fn counters_never_fall() {
    let live = live();
    let mut before: BTreeMap<(String, BTreeMap<String, String>), f64> = BTreeMap::new();
    for step in 0..4 {
        work(&live, step);
        let never_falls = ["counter", "histogram"];
        for family in scraped(&live) {
            if !never_falls.contains(&family.r#type.as_str()) {
                continue;
            }
            for (name, labels, value) in family.samples {
                let value = value.unwrap_or_else(|| panic!("{name} is no number"));
                let key = (name, labels);
                let was = before.get(&key).copied().unwrap_or(0.0);
                assert!(value >= was, "{key:?} fell from {was} to {value}");
                before.insert(key, value);
            }
        }
    }
}

#[test]
fn no_traffic_changes_what_series_there_are() {
    let series = |live: &Live| -> BTreeSet<(String, BTreeMap<String, String>)> {
        let families = scraped(live);
        families
            .into_iter()
            .flat_map(|family| family.samples)
            .map(|(name, labels, _)| (name, labels))
            .collect()
    };
    let live = live();
    work(&live, 1);
    let before = series(&live);
    // 10,000 sources, and everything about them different.
    for number in 1..=10_000_u32 {
        let [a, b, c, d] = number.to_be_bytes();
        let event = Event {
            source: Some(Address::v4([10, b, c, d])),
            destination: Some(Address::v4([d, c, b, a])),
            destination_port: u16::try_from(number).ok(),
            rules: vec![number],
            reason: format!("reason {number}").into(),
            community_id: Some(format!("1:{number}").into()),
            ..event(number.into())
        };
        live.events.publish(live.epoch, &Arc::new(event));
        live.collector.change(|stats| stats.open_sessions += 1);
    }
    work(&live, 10_000);
    let after = series(&live);
    assert_eq!(before, after);
    println!("{} series", after.len());
    // A figure to know when it grows; the routes of the API come on top.
    assert!(after.len() < 250, "{}", after.len());
}

#[test]
fn rendering_takes_well_below_five_milliseconds() {
    let live = live();
    work(&live, 50);
    let metrics = Metrics::new(live, RequestStats::default());
    let mut times: Vec<Duration> = (0..50)
        .map(|_| {
            let started = Instant::now();
            let body = metrics.render(None).body;
            assert!(body.ends_with("# EOF\n"));
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "median {:?}, longest {:?}, {} bytes",
        times[25],
        times[49],
        metrics.render(None).body.len()
    );
    // Unoptimised, on a busy machine.
    assert!(times[25] < Duration::from_millis(15), "{:?}", times[25]);
}

#[test]
fn the_server_serves_it_in_both_formats() {
    let folder = folder();
    let location = format!("sqlite:{}", folder.path().join("none.db").display()).parse().unwrap();
    let queries = Queries::open(&location, 1).unwrap();
    let params = ApiParams { address: "127.0.0.1:0".parse().unwrap(), ..ApiParams::default() };
    let live = live();
    work(&live, 1);
    let server = ApiServer::start(&params, live, queries).unwrap();
    let url = |path: &str| format!("http://{}{path}", server.address());
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let hostile = url("/no%0A%22such");
    agent.get(&hostile).call().unwrap();
    for (accept, content_type, form) in [
        ("application/openmetrics-text", OPEN_METRICS, "openmetrics"),
        ("text/plain", PLAIN_TEXT, "text"),
    ] {
        let mut answer = agent.get(url("/metrics")).header("Accept", accept).call().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], content_type);
        let text = answer.body_mut().read_to_string().unwrap();
        let families = parsed(form, &text);
        let http = families
            .iter()
            .find(|family| family.name == "phantomnet_http_request_duration_seconds")
            .unwrap();
        assert!(http.samples.iter().any(|(_, labels, _)| labels["status"] == "404"));
        let routes: BTreeSet<&str> =
            http.samples.iter().map(|(_, labels, _)| labels["route"].as_str()).collect();
        assert!(routes.iter().all(|route| !route.contains("such")), "{routes:?}");
    }
    server.stop().unwrap();
}

#[test]
fn every_figure_has_a_row_in_the_operators_manual_and_every_row_a_figure() {
    let live = live();
    work(&live, 1);
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for family in scraped(&live) {
        let labels = family.samples.iter().flat_map(|(_, labels, _)| labels.keys().cloned());
        let labels = labels.filter(|label| label != "le").collect();
        exported.insert(family.exported_name(), labels);
    }
    // It has series only once something was asked.
    let http = ["route", "method", "status"].map(str::to_owned).into();
    exported.insert("phantomnet_http_request_duration_seconds".to_owned(), http);

    let manual = text_of("docs/OPERATIONS.md");
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in manual.lines().filter(|line| line.starts_with("| `phantomnet_")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, labels, meaning, action] = cells[..] else { panic!("{line}") };
        assert!(!meaning.is_empty() && !action.is_empty(), "{line}");
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        let name = name.trim_matches('`').to_owned();
        assert!(documented.insert(name, labels).is_none(), "twice: {line}");
    }
    let names = |of: &BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
        of.keys().cloned().collect()
    };
    let missing: Vec<_> = names(&exported).difference(&names(&documented)).cloned().collect();
    let surplus: Vec<_> = names(&documented).difference(&names(&exported)).cloned().collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "no row: {missing:?}; no figure: {surplus:?}"
    );
    assert_eq!(exported, documented, "the labels differ");
}

#[test]
fn the_alert_rules_ask_for_figures_that_there_are() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/prometheus/alerts.yml");
    let rules: serde_json::Value = serde_json::from_slice(&read("rules", &file)).unwrap();
    let live = live();
    work(&live, 1);
    let mut known: BTreeSet<String> = scraped(&live).iter().map(Family::exported_name).collect();
    for histogram in ["record_to_commit", "frame_to_verdict"] {
        known.insert(format!("phantomnet_{histogram}_seconds_bucket"));
    }
    let manual = text_of("docs/OPERATIONS.md");
    let mut alerts = 0;
    for rule in rules["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        alerts += 1;
        let name = rule["alert"].as_str().unwrap();
        assert!(manual.contains(&format!("`{name}`")), "docs/OPERATIONS.md says nothing of {name}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{name} has no {text}");
        }
        let expression = rule["expr"].as_str().unwrap();
        let words = expression.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        for word in words.filter(|word| word.starts_with("phantomnet_")) {
            assert!(known.contains(word), "{name}: there is no {word}");
        }
        assert!(expression.contains("phantomnet"), "{name}: {expression}");
    }
    assert!(alerts >= 5, "{alerts}");
}
