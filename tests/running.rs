//! A running sensor as the API sees it, for tests that need no frames.

#![cfg(test)]

use std::path::Path;
use std::sync::Arc;

use phantomnet::address::Address;
use phantomnet::api::Live;
use phantomnet::cli::setup;
use phantomnet::collect::Hub;
use phantomnet::config::Config;
use phantomnet::counters::Published;
use phantomnet::event::{Board, Epoch, Event, Merged};
use phantomnet::latest::Publisher;
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Floor, InForce, Level};

/// What a sensor shows of itself that has only just started: the built-in detection judges, nothing has happened yet.
pub(crate) fn live() -> Live {
    let config = Config::parse("", Path::new("phantomnet.toml")).expect("the defaults are good");
    let detection =
        setup::load_detection(&config, Timestamp::EPOCH).expect("the defaults are there");
    Live {
        sensor: "here".to_owned(),
        epoch: Epoch::new(Timestamp::from_secs(1_790_000_000), 7),
        started: Timestamp::from_secs(1_790_000_000),
        workers: vec![Arc::new(Published::default()), Arc::new(Published::default())],
        detection: Arc::new(Publisher::new(InForce::first(detection))),
        reloads: Board::default(),
        collector: Board::default(),
        writer: Board::default(),
        events: Hub::default(),
        outputs: vec![("eve", Board::default())],
        capture: Board::default(),
        settings: Board::default(),
        doctor: Board::default(),
    }
}

/// An event with this number.
pub(crate) fn event(number: u64) -> Event {
    Event {
        number,
        first: Timestamp::EPOCH,
        last: Timestamp::EPOCH,
        source: Some(Address::v4([192, 0, 2, 1])),
        destination: Some(Address::v4([198, 51, 100, 1])),
        source_port: Some(40_000),
        destination_port: Some(22),
        icmp: None,
        protocol: 6,
        vlan: 0,
        level: Level::High,
        count: 1,
        alerts: 0,
        weight: 1,
        bytes: 60,
        length: 60,
        sources: 0,
        merged: Merged::Nothing,
        total: 60.0,
        anomaly_score: Some(0.5),
        quantile: Some(0.9),
        in_training_range: Some(true),
        model_risk: 0.0,
        rule_risk: 60.0,
        intel_risk: 0.0,
        floor: Floor::None,
        features: None,
        rules: vec![1_000_001],
        rules_left_out: 0,
        intel: None,
        decoy: None,
        reason: "SSH brute force".into(),
        detection: 1,
        packet: number,
        community_id: None,
    }
}
