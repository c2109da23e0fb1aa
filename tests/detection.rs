//! One immutable detection: its version names its parts, and a reload replaces it whole or not at all.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;

use phantomnet::cli::reloader::Reloader;
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::time::Timestamp;
use phantomnet::verdict::InForce;

use crate::support::folder;

fn version_with(folder: &std::path::Path, config: &str) -> u32 {
    let config =
        Config::parse(config, &folder.join("phantomnet.toml")).expect("the configuration is good");
    setup::load_detection(&config, Timestamp::EPOCH).expect("its files are good").version()
}

#[test]
fn every_part_of_a_detection_shows_in_its_version() {
    let folder = folder();
    let path = folder.path();
    fs::write(
        path.join("a.rules"),
        "alert ip any any -> any any (msg:\"a\"; sid:1; metadata: risk 10;)\n",
    )
    .unwrap();
    fs::write(
        path.join("b.rules"),
        "alert ip any any -> any any (msg:\"a\"; sid:1; metadata: risk 11;)\n",
    )
    .unwrap();
    fs::write(
        path.join("c.rules"),
        "alert ip any any -> any any (msg:\"a\"; content:\"a b\"; sid:1;)\n",
    )
    .unwrap();
    fs::write(
        path.join("d.rules"),
        "alert ip any any -> any any (msg:\"a\"; content:\"a  b\"; sid:1;)\n",
    )
    .unwrap();
    fs::write(path.join("a.txt"), "192.0.2.1 scanner\n").unwrap();
    fs::write(path.join("b.txt"), "192.0.2.1 botnet\n").unwrap();
    let configs = [
        "",
        "rules.files = [\"a.rules\"]",
        "rules.files = [\"b.rules\"]",
        "rules.files = [\"c.rules\"]",
        "rules.files = [\"d.rules\"]",
        "[[intel.feeds]]\npath = \"a.txt\"",
        "[[intel.feeds]]\npath = \"b.txt\"",
        "[[intel.feeds]]\npath = \"a.txt\"\nrisk = 50",
        "decoys.addresses = [\"192.0.2.9\"]",
        "decoys.addresses = [\"192.0.2.9:22\"]",
        "policy.weights = { model = 0.3, rule = 0.3, intel = 0.4 }",
        "policy.thresholds = { warning = 21, high = 50, critical = 80 }",
        "policy.floors = []",
        "policy.model_quantile = 0.999",
    ];
    let versions: BTreeSet<u32> = configs.iter().map(|config| version_with(path, config)).collect();
    assert_eq!(versions.len(), configs.len(), "two different detections have one version");
    assert_eq!(
        version_with(path, ""),
        version_with(path, "workers.count = 4"),
        "the layout is no part of it"
    );
}

#[test]
fn a_feed_that_is_refused_leaves_the_old_detection_in_force() {
    let folder = folder();
    let feed = folder.path().join("feed.txt");
    let forty: String = (0..40).map(|last| format!("192.0.2.{last} scanner\n")).collect();
    fs::write(&feed, &forty).unwrap();
    let config =
        Config::parse("[[intel.feeds]]\npath = \"feed.txt\"", &folder.path().join("c.toml"))
            .unwrap();
    let mut reloader = Reloader::start(&config, Timestamp::EPOCH).unwrap();
    let mut reader = reloader.published().reader();
    let before = reader.get().newest().version();
    let mut reload = || reloader.reload(config.clone(), Timestamp::EPOCH, || InForce::AT_ONCE);

    let bad = [
        "0.0.0.0/0 everything\n",
        "",
        "no address at all\nnor here\n",
        "192.0.2.1 all that is left of forty\n",
    ];
    for bad in bad {
        fs::write(&feed, bad).unwrap();
        assert!(reload().is_err(), "{bad:?}");
        assert_eq!(reader.get().newest().version(), before, "{bad:?}");
        assert_eq!(reader.get().newest().intel().len(), 40, "{bad:?}");
    }
    fs::write(&feed, forty + "198.51.100.0/24 range\n").unwrap();
    assert!(reload().is_ok());
    assert_ne!(reader.get().newest().version(), before);
    assert_eq!(reader.get().newest().intel().len(), 41);
}
