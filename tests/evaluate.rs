//! Detection quality: labels in, judged packets in, figures out.

#![cfg(test)]

use std::fmt::Write as _;
use std::path::Path;

use phantomnet::address::Address;
use phantomnet::evaluate::{CaptureLabels, Collector, Judged, Labels, PacketLabels, Report, Row};
use phantomnet::synth::{Attack, Generator, Plan, write_dataset};
use phantomnet::time::Timestamp;

/// A packet of source 10.0.0.`source` at second `time`; the sum follows from the level.
fn judged(packet: u64, time: i64, source: u8, level: u8, anomaly: f32) -> Judged {
    Judged {
        packet,
        time: Timestamp::from_secs(time),
        source: Address::v4([10, 0, 0, source]),
        level,
        total: f32::from(level) * 30.0,
        anomaly,
        rule_risk: if level > 1 { 80.0 } else { 0.0 },
        intel_risk: 0.0,
        model_risk: 0.0,
    }
}

fn packet_labels(labels: &[&str]) -> Labels {
    let mut csv = String::from("packet,timestamp_ns,src_ip,dst_ip,label\n");
    for (nth, label) in labels.iter().enumerate() {
        writeln!(csv, "{},,,,{label}", nth + 1).unwrap();
    }
    Labels::Packets(PacketLabels::parse("labels.csv", csv.as_bytes()).unwrap())
}

fn capture_labels(rows: &str) -> Labels {
    let table =
        format!("sha256\tkind\tattackers\tvictims\tfirst\tlast\tper_source_scorable\n{rows}");
    Labels::Captures(CaptureLabels::parse("labels.tsv", table.as_bytes(), true).unwrap())
}

fn named(nth: u8) -> String {
    format!("{nth:064x}")
}

fn row<'a>(rows: &'a [Row], attack: &str) -> &'a Row {
    rows.iter().find(|row| row.attack == attack).unwrap()
}

fn areas(row: &Row) -> Vec<Option<f64>> {
    row.detectors.iter().map(|quality| quality.roc_auc).collect()
}

fn small_report() -> Report {
    let labels =
        packet_labels(&["normal", "scan", "normal", "scan", "xss", "normal", "scan", "normal"]);
    let mut collector = Collector::new(labels, []);
    assert!(collector.begin_capture(&named(1), "small.pcap"));
    for packet in [
        judged(1, 0, 1, 0, 0.4),
        judged(2, 10, 2, 0, 0.5),
        judged(3, 20, 1, 1, 0.6),
        judged(4, 30, 2, 1, 0.7),
        judged(5, 40, 3, 2, 0.3),
        judged(6, 50, 1, 0, 0.4),
        judged(7, 60, 2, 0, 0.8),
        judged(8, 3_600, 4, 0, 0.2),
    ] {
        collector.push(&packet).unwrap();
    }
    collector.report()
}

#[test]
fn a_small_capture_gives_the_figures_counted_by_hand() {
    let report = small_report();
    // Scans score .5 .7 .8, normal packets .4 .6 .4 .2: eleven of twelve pairs stand right.
    let scan = row(&report.packets, "scan");
    assert_eq!((scan.positives, scan.negatives), (3, 4));
    assert_eq!(areas(scan)[0], Some(11.0 / 12.0));
    // No rule fired on either: all equal.
    assert_eq!(areas(scan)[1], Some(0.5));
    // Verdicts: .8 .7w .5 against .4 .6w .4 .2; w (WARNING) stands above the rest.
    assert_eq!(areas(scan)[2], Some((4.0 + 3.0 + 3.0) / 12.0));
    assert_eq!(scan.warning.recall, Some(1.0 / 3.0));
    assert_eq!(scan.high.recall, Some(0.0));
    assert_eq!((scan.warning.occurrences, scan.warning.alerted), (1, 1));
    assert_eq!(scan.warning.seconds_to_first_alert, Some(20.0));
    assert_eq!(scan.high.seconds_to_first_alert, None);
    let xss = row(&report.packets, "xss");
    assert_eq!(areas(xss), [Some(0.25), Some(1.0), Some(1.0)]);
    assert_eq!(xss.high.seconds_to_first_alert, Some(0.0));
    let all = &report.packets[0];
    assert_eq!((all.attack.as_str(), all.positives, all.negatives), ("all attacks", 4, 4));
}

#[test]
fn a_source_counts_by_its_worst_packet() {
    let report = small_report();
    let scan = row(&report.sources, "scan");
    // Source 2 attacks (worst .8); sources 1 and 4 don't (worst .6 and .2); source 3 is another attack's.
    assert_eq!((scan.positives, scan.negatives), (1, 2));
    assert_eq!(areas(scan)[0], Some(1.0));
    assert_eq!(scan.warning.recall, Some(1.0));
    assert_eq!(row(&report.sources, "xss").positives, 1);
}

#[test]
fn a_source_is_credited_for_an_attack_with_that_attacks_packets_alone() {
    let labels = packet_labels(&["normal", "scan", "xss", "normal", "normal"]);
    let mut collector = Collector::new(labels, []);
    assert!(collector.begin_capture(&named(1), "mixed.pcap"));
    // Source 1 is loud while it is normal (CRITICAL) and in its xss (WARNING); its scan is quieter than the bystander.
    for packet in [
        judged(1, 0, 1, 3, 0.99),
        judged(2, 1, 1, 0, 0.2),
        judged(3, 2, 1, 1, 0.7),
        judged(4, 3, 2, 2, 0.5),
        judged(5, 4, 2, 0, 0.6),
    ] {
        collector.push(&packet).unwrap();
    }
    let report = collector.report();
    let scan = row(&report.sources, "scan");
    assert_eq!((scan.positives, scan.negatives), (1, 1));
    assert_eq!(areas(scan), [Some(0.0), Some(0.0), Some(0.0)]);
    assert_eq!((scan.warning.recall, scan.high.recall), (Some(0.0), Some(0.0)));
    let xss = row(&report.sources, "xss");
    assert_eq!(areas(xss), [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!((xss.warning.recall, xss.high.recall), (Some(1.0), Some(0.0)));
    // One attacker, by the worst packet of any attack.
    let all = row(&report.sources, "all attacks");
    assert_eq!((all.positives, all.negatives), (1, 1));
    assert_eq!(areas(all), [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!((all.warning.recall, all.high.recall), (Some(1.0), Some(0.0)));
    assert_eq!(report.normal.sources, 1, "an attacker's normal packets make it no bystander");
    assert_eq!(report.bystanders.attacker_below, 1, "WARNING in an attack against HIGH");
}

#[test]
fn packets_that_were_never_judged_are_stated_and_an_attacks_count_as_missed() {
    let table = "packet,timestamp_ns,label\n1,1000000000,normal\n2,2000000000,scan\n3,5000000000,scan\n\
        4,6000000000,normal\n5,7000000000,xss\n6,8000000000,scan\n7,9000000000,normal\n";
    let labels = PacketLabels::parse("l.csv", table.as_bytes()).unwrap();
    let mut collector = Collector::new(Labels::Packets(labels), []);
    assert!(collector.begin_capture(&named(1), "holes.pcap"));
    for packet in [judged(1, 1, 1, 0, 0.0), judged(3, 5, 2, 1, 0.7), judged(4, 6, 1, 0, 0.1)] {
        collector.push(&packet).unwrap();
    }
    let report = collector.report();
    let not_judged: Vec<_> =
        report.not_judged.iter().map(|kind| (kind.label.as_str(), kind.packets)).collect();
    assert_eq!(not_judged, [("normal", 1), ("scan", 2), ("xss", 1)]);
    let page = report.to_string();
    assert!(page.contains("never judged") && page.contains("\n  scan: 2\n"), "{page}");
    let scan = row(&report.packets, "scan");
    assert_eq!((scan.positives, scan.negatives), (3, 2));
    assert_eq!(scan.warning.recall, Some(1.0 / 3.0));
    // The one that was judged stands above both normal ones, the two others below them.
    assert_eq!(areas(scan)[0], Some(2.0 / 6.0));
    assert_eq!(
        scan.warning.seconds_to_first_alert,
        Some(3.0),
        "since the first packet, seen or not"
    );
    let xss = row(&report.packets, "xss");
    assert_eq!((xss.positives, xss.warning.recall), (1, Some(0.0)));
    assert_eq!((xss.warning.occurrences, xss.warning.alerted), (1, 0));
    assert_eq!(report.packets[0].positives, 4);
    assert_eq!(report.sources[0].positives, 1, "a packet that was not decoded has no source");
}

#[test]
fn a_verdict_on_a_victim_is_an_alert_of_the_packet_that_raised_it() {
    let mut collector =
        Collector::new(packet_labels(&["scan", "scan", "scan", "normal", "xss", "normal"]), []);
    assert!(collector.begin_capture(&named(1), "victim.pcap"));
    let mut push = |packet: &Judged, victim: u8| {
        collector.push(packet).unwrap();
        if victim > 0 {
            let on_victim = Judged { level: victim, anomaly: 0.0, total: 90.0, ..*packet };
            collector.push_victim(&on_victim).unwrap();
        }
    };
    push(&judged(1, 0, 2, 0, 0.1), 0);
    push(&judged(2, 10, 2, 1, 0.2), 2);
    push(&judged(3, 20, 2, 2, 0.2), 1);
    push(&judged(4, 30, 1, 0, 0.3), 1);
    // The own verdict of packet 5 was lost on the way, that on its victim was not.
    let on_victim = judged(5, 40, 3, 3, 0.0);
    collector.push_victim(&on_victim).unwrap();
    collector.push(&judged(6, 50, 1, 0, 0.3)).unwrap();
    let report = collector.report();
    let scan = row(&report.packets, "scan");
    assert_eq!((scan.warning.recall, scan.high.recall), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
    assert_eq!(scan.warning.seconds_to_first_alert, Some(10.0));
    assert_eq!(scan.high.seconds_to_first_alert, Some(10.0), "that on the victim came first");
    // The orders are those of the packets' own scores: .1 .2w .2h against .3 .3.
    assert_eq!(areas(scan), [Some(0.0), Some(1.0 / 3.0 + 1.0 / 3.0), Some(2.0 / 3.0)]);
    let xss = row(&report.packets, "xss");
    assert_eq!((xss.high.recall, xss.high.alerted), (Some(0.0), 1));
    assert_eq!(report.normal.warning_packets, 1, "raised by a normal packet it is a false alarm");
    assert_eq!(report.normal.alerted_sources, 0, "it names no source");
    assert_eq!(row(&report.sources, "scan").high.recall, Some(1.0), "by its own HIGH");
    assert_eq!(report.bystanders.attacker_above, 1);
}

#[test]
fn false_alarms_are_stated_per_hour_of_traffic() {
    let normal = small_report().normal;
    assert_eq!((normal.packets, normal.sources), (4, 2));
    // The packets of one minute, then silence for the rest of an hour, in which nobody was watching.
    assert!((normal.hours - 1.0 / 60.0).abs() < 1e-9);
    assert_eq!(normal.warnings_per_hour, Some(60.0));
    assert_eq!(normal.highs_per_hour, Some(0.0));
    assert_eq!(normal.alerted_sources, 1);
}

#[test]
fn one_packet_from_the_far_future_does_not_stop_the_observed_time() {
    let mut collector = Collector::new(packet_labels(&["normal"; 5]), []);
    assert!(collector.begin_capture(&named(1), "leap.pcap"));
    for (packet, time) in (1..).zip([0, 60, 4_000_000_000, 120, 180]) {
        collector.push(&judged(packet, time, 1, 0, 0.5)).unwrap();
    }
    assert!((collector.report().normal.hours - 120.0 / 3_600.0).abs() < 1e-9);
}

#[test]
fn captures_that_the_model_was_trained_on_are_told_apart() {
    let rows = [1, 2, 3].map(|nth| format!("{}\tnormal\tnone\t\t\t\tyes\n", named(nth))).concat();
    let digest = named(0xab).to_uppercase();
    let rows = format!("{rows}{digest}\tnormal\tnone\t\t\t\tyes\n");
    let stranger = named(9);
    let mut collector =
        Collector::new(capture_labels(&rows), [named(2).as_str(), &digest, &stranger]);
    // One false alarm in each, but two in a capture that the model knows.
    for (nth, alarms) in [(1, 1), (2, 2), (3, 1), (0xab, 1)] {
        assert!(collector.begin_capture(&named(nth), "some.pcap"));
        for packet in 0..4 {
            let level = if packet < alarms { 2 } else { 0 };
            collector.push(&judged(packet + 1, packet.cast_signed() * 60, 1, level, 0.5)).unwrap();
        }
    }
    let report = collector.report();
    assert_eq!((report.captures, report.seen_in_training), (4, 2));
    let (all, unseen) = (&report.normal, &report.normal_not_seen_in_training);
    assert_eq!((all.packets, all.sources, all.high_packets, all.alerted_sources), (16, 4, 5, 4));
    assert_eq!(
        (unseen.packets, unseen.sources, unseen.high_packets, unseen.alerted_sources),
        (8, 2, 2, 2)
    );
    assert!((all.hours - 0.2).abs() < 1e-9 && (unseen.hours - 0.1).abs() < 1e-9);
    assert!(unseen.highs_per_hour.is_some_and(|rate| (rate - 20.0).abs() < 1e-6));
    let page = report.to_string();
    assert!(page.contains("the model was trained on 2 of the captures"), "{page}");
    assert!(page.contains("  false alarms: WARNING+ 2 packets (20.0/h)"), "{page}");
    assert!(!small_report().to_string().contains("SEEN IN TRAINING"));
}

#[test]
fn the_worst_verdict_on_an_attacker_is_held_against_that_on_a_bystander() {
    let bystanders = small_report().bystanders;
    assert_eq!((bystanders.captures, bystanders.attacker_above), (1, 1), "HIGH against WARNING");
    assert_eq!((bystanders.same_level, bystanders.attacker_below), (0, 0));
}

#[test]
fn attackers_are_held_against_bystanders_of_their_capture() {
    let rows = format!(
        "{}\tscan\t10.0.0.1, 10.0.0.2\t10.0.0.9\t\t\tyes\n{}\tscan\t10.0.0.1\t\t\t\tyes\n{}\tnormal\tnone known\t\t\t\tnegatives\n",
        named(1),
        named(2),
        named(3)
    );
    let mut collector = Collector::new(capture_labels(&rows), []);
    // Within each capture the attackers stand above the bystander; but one capture is louder than the other.
    let captures: [&[(u8, f32)]; 3] =
        [&[(1, 0.9), (2, 0.8), (5, 0.7), (9, 0.99)], &[(1, 0.3), (5, 0.2)], &[(1, 0.1), (6, 0.6)]];
    for (nth, packets) in (1..).zip(captures) {
        assert!(collector.begin_capture(&named(nth).to_uppercase(), "some.pcap"));
        for (number, (source, anomaly)) in (1..).zip(packets) {
            collector.push(&judged(number, 0, *source, 0, *anomaly)).unwrap();
        }
    }
    let report = collector.report();
    let scan = row(&report.sources, "scan");
    assert_eq!((scan.positives, scan.negatives), (3, 4));
    assert_eq!(scan.detectors[0].roc_auc_within_captures, Some(1.0));
    assert_eq!(scan.detectors[0].roc_auc, Some((4.0 + 4.0 + 2.0) / 12.0));
    assert_eq!(report.left_out_packets, 1, "the victim is neither");
    assert_eq!(scan.warning.occurrences, 2);
}

#[test]
fn an_attackers_packets_outside_the_stated_time_are_left_out() {
    let row = format!(
        "{}\tscan\t10.0.0.1\t\t1970-01-01T00:00:10Z\t1970-01-01T00:00:20Z\tyes\n",
        named(1)
    );
    let mut collector = Collector::new(capture_labels(&row), []);
    collector.begin_capture(&named(1), "timed.pcap");
    for (packet, time) in [(1, 9), (2, 10), (3, 20), (4, 21)] {
        collector.push(&judged(packet, time, 1, 0, 0.5)).unwrap();
    }
    let report = collector.report();
    assert_eq!((report.packets[0].positives, report.left_out_packets), (2, 2));
}

#[test]
fn captures_that_cannot_be_scored_are_named_with_the_reason() {
    let rows = format!(
        "{}\tsyn-flood\tspoofed\t\t\t\tno\n{}\tics-misuse\tunknown\t\t\t\tyes\n",
        named(1),
        named(2)
    );
    let mut collector = Collector::new(capture_labels(&rows), []);
    for (nth, name) in [(1, "flood.pcap"), (2, "plant.pcap"), (3, "stranger.pcap")] {
        assert!(!collector.begin_capture(&named(nth), name));
        collector.push(&judged(1, 0, 1, 3, 1.0)).unwrap();
    }
    let report = collector.report();
    assert_eq!(report.captures, 0);
    let reasons: Vec<_> =
        report.skipped.iter().map(|s| (s.capture.as_str(), s.why.as_str())).collect();
    assert!(reasons[0].1.contains("spoofed") && reasons[1].1.contains("unknown"), "{reasons:?}");
    assert!(reasons[2] == ("stranger.pcap", "its SHA-256 is not in the labels"), "{reasons:?}");
    assert_eq!(report.packets[0].positives + report.packets[0].negatives, 0);
}

#[test]
fn labels_of_another_capture_are_refused_with_row_and_difference() {
    let table = "packet,timestamp_ns,src_ip,dst_ip,label\n1,1000000000,10.0.0.1,10.0.0.9,normal\n\
        2,2000000000,10.0.0.2,10.0.0.9,scan\n3,,,,normal\n";
    let mut collector = Collector::new(
        Labels::Packets(PacketLabels::parse("l.csv", table.as_bytes()).unwrap()),
        [],
    );
    assert!(collector.begin_capture(&named(1), "some.pcap"));
    let mut complaint =
        |packet: &Judged| collector.push(packet).err().map(|error| error.to_string());
    assert_eq!(complaint(&judged(1, 1, 1, 0, 0.1)), None);
    let shifted = Judged { time: Timestamp::from_nanos(2_000_001_000), ..judged(2, 0, 2, 0, 0.1) };
    let late = complaint(&shifted).unwrap();
    assert!(
        late.starts_with("l.csv: the row of packet 2 says timestamp_ns = 2000000000"),
        "{late}"
    );
    assert!(late.contains("has 2000001000"), "{late}");
    let strange = complaint(&judged(2, 2, 3, 0, 0.1)).unwrap();
    assert!(strange.contains("packet 2 says another src_ip than 10.0.0.3"), "{strange}");
    let rounded = Judged { time: Timestamp::from_nanos(2_000_000_999), ..judged(2, 0, 2, 0, 0.1) };
    assert_eq!(complaint(&rounded), None, "microseconds are near enough");
    assert_eq!(complaint(&judged(3, 77, 77, 0, 0.1)), None, "a row that states nothing fits all");
    let behind = complaint(&judged(4, 4, 1, 0, 0.1)).unwrap();
    assert!(behind.contains("the row of packet 4 is missing, the last one is that of packet 3"));
    let report = collector.report();
    assert_eq!(report.packets[0].positives, 1, "what does not fit is not counted");
    assert!(!collector.begin_capture(&named(2), "second.pcap"), "one label file, one capture");
}

#[test]
fn wrong_labels_are_refused_with_file_line_and_rule() {
    let csv = |text: &str| PacketLabels::parse("l.csv", text.as_bytes()).unwrap_err().to_string();
    assert_eq!(csv("packet,time\n"), "l.csv:1: the column `label` is missing");
    assert!(
        csv("packet,label\n1,normal\n3,scan\n").starts_with("l.csv:3: packet = \"3\": must be 2")
    );
    assert!(csv("packet,timestamp_ns,label\n1,noon,normal\n").starts_with("l.csv:2: timestamp_ns"));
    assert!(csv("packet,src_ip,label\n1,here,normal\n").starts_with("l.csv:2: src_ip = \"here\""));
    assert!(csv("packet,label\n1,\n").starts_with("l.csv:2: label = \"\": must"));
    let tsv = |row: &str| {
        let table = format!("sha256\tkind\tattackers\tper_source_scorable\tfirst\n{row}\n");
        CaptureLabels::parse("l.tsv", table.as_bytes(), true).unwrap_err().to_string()
    };
    assert!(tsv("abc\tscan\tnone\tyes\t").contains("must be 64 hexadecimal digits"));
    assert!(
        tsv(&format!("{}\tscan\t10.0.0.1\tyes\tyesterday", named(1))).contains("l.tsv:2: first")
    );
}

#[test]
fn a_capture_that_stands_in_two_rows_is_refused_with_both_lines() {
    let digest = "ab".repeat(32);
    let table = format!(
        "sha256\tkind\tattackers\tper_source_scorable\n{digest}\tscan\t10.0.0.1\tyes\n{}\tnormal\tnone\tyes\n{}\tscan\t10.0.0.2\tyes\n",
        named(7),
        digest.to_uppercase()
    );
    let error = CaptureLabels::parse("l.tsv", table.as_bytes(), true).unwrap_err().to_string();
    assert!(error.starts_with("l.tsv:4: sha256 = \"abab"), "{error}");
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn the_table_fits_120_columns_and_names_every_attack() {
    let plan = Plan::new(20_000, 1).with_attacks(&Attack::ALL);
    let directory = tempfile::tempdir().unwrap();
    write_dataset(directory.path(), &plan).unwrap();
    let mut collector =
        Collector::new(Labels::read(&directory.path().join("labels.csv")).unwrap(), []);
    collector.begin_capture(&named(1), "traffic.pcap");
    for (number, packet) in (1..).zip(Generator::new(&plan).unwrap()) {
        let Some(source) = packet.source else { continue };
        let is_found = packet.label.is_some() && number % 3 == 0;
        let anomaly = if is_found { 0.8 } else { 0.4 };
        let (time, level) = (packet.time, u8::from(is_found) * 2);
        collector.push(&Judged { time, source, ..judged(number, 0, 0, level, anomaly) }).unwrap();
    }
    let report = collector.report();
    let table = report.to_string();
    println!("{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    for attack in Attack::ALL {
        assert_eq!(table.matches(attack.name()).count(), 2, "{attack} in both tables:\n{table}");
    }
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["packets"][0]["detectors"][2]["detector"], "verdict");
    let found = json["packets"][0]["high"]["recall"].as_f64().unwrap();
    assert!((found - 1.0 / 3.0).abs() < 0.05, "{found}");
}

#[test]
fn the_labels_of_the_corpus_can_be_read() {
    let path = Path::new("../shared/corpus/labels.tsv");
    if !path.exists() {
        println!("SKIPPED: {} is not here", path.display());
        return;
    }
    let Labels::Captures(_) = Labels::read(path).unwrap() else { panic!("it names captures") };
    let table = std::fs::read_to_string(path).unwrap();
    let digest = table.lines().nth(1).and_then(|row| row.split('\t').nth(2)).unwrap();
    let mut collector = Collector::new(Labels::read(path).unwrap(), []);
    assert!(collector.begin_capture(digest, "the first one"), "{:?}", collector.report().skipped);
}
