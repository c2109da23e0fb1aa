//! Real captures through the whole data path, against the oracle of the features.

#![cfg(test)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use phantomnet::capture::Reader;
use phantomnet::cli::setup;
use phantomnet::collect::Sink;
use phantomnet::config::Config;
use phantomnet::features::{FeatureVector, PacketEvidence, index};
use phantomnet::handover::Digest;
use phantomnet::latest::Publisher;
use phantomnet::sensor;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, InForce, Verdict};

use crate::oracle::Oracle;
use crate::support::{corpus, generated_traffic};

/// The oracle takes time in proportion to the square of a session's packets.
const PACKETS_MAX: usize = 3_000;

/// What was judged, as the oracle needs it: the digest, the evidence of this packet, and what was measured.
#[derive(Default)]
struct Measured {
    packets: Vec<(Digest, PacketEvidence)>,
    vectors: Vec<FeatureVector>,
}

impl Sink for Measured {
    fn name(&self) -> String {
        "the oracle".to_owned()
    }

    fn take(&mut self, verdict: &Verdict, detection: &Detection) -> io::Result<()> {
        if !verdict.is_of_victim() {
            let classes = detection
                .rules_at(verdict.rules())
                .fold(0, |classes, rule| classes | 1 << rule.class.index());
            let (rule_risk, intel_risk, decoy) =
                (verdict.rule_risk, verdict.intel_risk, verdict.decoy);
            self.packets
                .push((verdict.digest, PacketEvidence { rule_risk, intel_risk, classes, decoy }));
            self.vectors.push(verdict.features);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares at most [`PACKETS_MAX`] packets of a capture. Returns how many, and how many of them had evidence.
fn compare(detection: &Publisher<InForce>, capture: &Path) -> Result<(usize, usize), String> {
    let params = setup::sensor_params(&Config::default(), 2).unwrap();
    let reader = match Reader::open(&[capture]) {
        Ok(reader) => reader,
        Err(_) => return Ok((0, 0)),
    };
    let mut measured = Measured::default();
    let replayed = sensor::replay(reader, detection, &params, vec![&mut measured]);
    assert_eq!(
        replayed.counters.sources.evicted + replayed.counters.sources.denied,
        0,
        "the oracle never forgets"
    );
    measured.packets.truncate(PACKETS_MAX);
    let counts: Vec<f32> =
        measured.vectors.iter().map(|vector| vector.0[index::UNIQUE_DESTINATION_COUNT]).collect();
    let oracle = Oracle { v6_prefix: 64, by_tenant: false, zone: TimeZone::UTC };
    let expected = oracle.measure(&measured.packets, Some(&counts));
    for ((expected, vector), (digest, _)) in
        expected.iter().zip(&measured.vectors).zip(&measured.packets)
    {
        expected
            .check(vector)
            .map_err(|why| format!("{}: packet {}: {why}", capture.display(), digest.sequence))?;
    }
    let with_evidence =
        measured.packets.iter().filter(|(_, evidence)| evidence.classes != 0).count();
    Ok((expected.len(), with_evidence))
}

fn default_detection() -> Publisher<InForce> {
    Publisher::new(InForce::first(
        setup::load_detection(&Config::default(), Timestamp::EPOCH).unwrap(),
    ))
}

#[test]
fn the_features_of_generated_traffic_are_those_of_the_oracle() {
    let (compared, with_evidence) = compare(&default_detection(), generated_traffic()).unwrap();
    assert_eq!(compared, PACKETS_MAX);
    assert!(with_evidence > 10, "{with_evidence} packets with evidence");
}

#[test]
fn the_features_of_real_captures_are_those_of_the_oracle() {
    let Some(corpus) = corpus() else { return };
    let detection = default_detection();
    let (mut compared, mut with_evidence, mut failures) = (0, 0, Vec::new());
    for capture in captures(&corpus) {
        match compare(&detection, &capture) {
            Ok((packets, evidence)) => {
                compared += packets;
                with_evidence += evidence;
            }
            Err(failure) => failures.push(failure),
        }
    }
    println!("{compared} packets compared, {with_evidence} of them with evidence");
    assert!(failures.is_empty(), "{} captures:\n{}", failures.len(), failures.join("\n"));
    assert!(
        compared > 50_000 && with_evidence > 1_000,
        "{compared} compared, {with_evidence} with evidence"
    );
}

fn captures(corpus: &Path) -> Vec<PathBuf> {
    let manifest = fs::read_to_string(corpus.join("MANIFEST.tsv")).unwrap();
    let column =
        manifest.lines().next().unwrap().split('\t').position(|name| name == "file").unwrap();
    manifest
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(column))
        .map(|file| corpus.join(file.strip_prefix("handover/").unwrap_or(file)))
        .collect()
}
