//! The example file against the defaults, each rule against its exact message, and any text against a panic.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use proptest::prelude::*;
use toml::{Table, Value};

use super::raw::RawFeed;
use super::*;
use crate::intel::{DECOYS_MAX, FeedFormat, FeedParams};
use crate::verdict::{Floor, Floors, Thresholds, Weights};

const EXAMPLE: &str = include_str!("../../configs/phantomnet.toml");

fn parsed(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("etc/sensor.toml")).map_err(|error| error.to_string())
}

/// All keys of a table, as paths; sections too, lists as one.
fn keys(path: &str, table: &Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let path = format!("{path}.{key}");
        if let Value::Table(table) = value {
            keys(&path, table, found);
        }
        found.insert(path);
    }
}

fn keys_of(table: &Table) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    keys("", table, &mut found);
    found
}

/// The example file with its comments taken away, and its example lines made to count if asked.
fn example(with_examples: bool) -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(' ') || rest.is_empty() => None,
        Some(rest) => with_examples.then_some(rest),
        None => Some(line),
    };
    EXAMPLE.lines().filter_map(line).map(|line| format!("{line}\n")).collect()
}

// --- the file and the defaults ---------------------------------------------------------------------------------------

#[test]
fn the_example_file_says_the_defaults_and_says_them_all() {
    let text = example(false);
    let raw: RawConfig = toml::from_str(&text).unwrap();
    assert_eq!(raw, RawConfig::default());
    let written = keys_of(&text.parse().unwrap());
    let defaults = keys_of(&Table::try_from(RawConfig::default()).unwrap());
    assert_eq!(written, defaults);
    assert_eq!(Config::parse(&text, Path::new("x.toml")).unwrap(), Config::default());
}

#[test]
fn the_example_lines_of_the_example_file_can_be_used() {
    let text = example(true);
    let raw: RawConfig = toml::from_str(&text).unwrap();
    assert_eq!(raw.intel.feeds, [RawFeed::example()]);
    let table: Table = text.parse().unwrap();
    let feed = table["intel"]["feeds"][0].as_table().unwrap();
    assert_eq!(keys_of(feed), keys_of(&Table::try_from(RawFeed::example()).unwrap()));
    let config = Config::parse(&text, Path::new("configs/phantomnet.toml")).unwrap();
    assert_eq!(config.intel.feeds[0].file, Path::new("configs/intel/example.txt"));
    assert_eq!(config.rules.variables.len(), 2);
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    assert_eq!(Config::load(None).unwrap(), Config::default());
    assert_eq!(parsed("").unwrap(), Config::default());
    assert_eq!(Config::default().workers.count, None);
}

#[test]
fn what_is_written_is_what_is_used() {
    let config = parsed(
        r#"
        workers = { count = 4, pin = false }
        sources = { capacity = 1024, ipv6_prefix = 128, by_vlan = true }
        features.time_zone = "utc"
        replay.hash_key = "FFeeddccbbaa99887766554433221100"
        model.path = "../models/own.json"
        decoys.addresses = ["198.51.100.77", "198.51.100.78:22  file server", "[2001:db8::77]:80"]
        [rules]
        files = ["built-in", "/etc/rules/local.rules", "local.rules"]
        unsupported = "skip"
        variables.HOME_NET = "198.51.100.0/24"
        [intel]
        own_networks = ["198.51.100.0/24"]
        feeds = [{ path = "a.csv", format = "plain", label = " DROP ", risk = 7 }, { path = "b" }]
        [policy]
        floors = ["rule_80_high"]
        model_quantile = 1
        weights = { model = 0.1, rule = 0.2, intel = 0.7 }
        thresholds = { warning = 0, high = 1.5, critical = 100 }
        "#,
    )
    .unwrap();
    assert_eq!((config.workers.count.map(NonZeroUsize::get), config.workers.pin), (Some(4), false));
    assert_eq!(
        config.sources,
        SourceParams { capacity: 1024, ipv6_prefix: 128, by_vlan: true, hash_key: None }
    );
    assert_eq!(config.features.time_zone.iana_name(), Some("UTC"));
    assert_eq!(config.replay.hash_key[..3], [0xff, 0xee, 0xdd]);
    assert_eq!(config.model.origin, Origin::File("etc/../models/own.json".into()));
    let decoys: Vec<(String, Option<u16>, &str)> = config
        .decoys
        .decoys
        .iter()
        .map(|decoy| (decoy.address.to_string(), decoy.port, decoy.name.as_str()))
        .collect();
    assert_eq!(
        decoys,
        [
            ("198.51.100.77".to_owned(), None, "198.51.100.77"),
            ("198.51.100.78".to_owned(), Some(22), "file server"),
            ("2001:db8::77".to_owned(), Some(80), "[2001:db8::77]:80"),
        ]
    );
    let files = ["/etc/rules/local.rules", "etc/local.rules"];
    let files = files.map(|file| Origin::File(file.into()));
    assert_eq!(config.rules.origins, [&[Origin::BuiltIn][..], &files].concat());
    assert_eq!(config.rules.unsupported, Unsupported::Skip);
    assert_eq!(config.rules.variables["HOME_NET"], "198.51.100.0/24");
    assert_eq!(config.intel.own_networks[0].to_string(), "198.51.100.0/24");
    let first = FeedParams {
        file: "etc/a.csv".into(),
        format: Some(FeedFormat::Plain),
        label: Some("DROP".to_owned()),
        risk: 7,
    };
    let second = FeedParams { file: "etc/b".into(), format: None, label: None, risk: 100 };
    assert_eq!(config.intel.feeds, [first, second]);
    assert_eq!(config.policy.floors, Floors::NONE.with(Floor::StrongRule));
    assert_eq!(config.policy.weights, Weights { model: 0.1, rule: 0.2, intel: 0.7 });
    assert_eq!(config.policy.thresholds, Thresholds { warning: 0.0, high: 1.5, critical: 100.0 });
}

#[test]
fn a_password_in_the_name_of_a_store_is_never_shown() {
    let error = parsed("store.url = 'mysql://me:hunter2@db/x'").unwrap_err();
    assert!(error.contains("store.url = (not shown): must name a store"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_embedded_store_lies_where_the_file_says() {
    let config = parsed("store.url = 'sqlite:events.db'\nsensor.folder = 'data'").unwrap();
    assert_eq!(config.store.url.unwrap().location().to_string(), "sqlite:etc/events.db");
    assert_eq!(config.sensor.folder, Path::new("etc/data"));
    assert_eq!(Config::default().sensor.folder, Path::new("phantomnet-data"));
}

#[test]
fn a_zone_of_the_machines_database_is_taken() {
    if jiff::tz::db().is_definitively_empty() {
        eprintln!("SKIPPED: this machine has no time zone database");
        return;
    }
    let config = parsed("features.time_zone = 'Europe/Berlin'").unwrap();
    assert_eq!(config.features.time_zone.iana_name(), Some("Europe/Berlin"));
}

// --- what is refused -------------------------------------------------------------------------------------------------

/// Texts that break one rule each, and what is said behind the file's name.
const BROKEN: &[(&str, &str)] = &[
    // Text that is not TOML.
    ("a = ", "1:5: not TOML: string values must be quoted, expected literal string"),
    ("[workers]\npin = true\npin = true", "3:1: not TOML: pin stands there twice"),
    // Keys that are not.
    (
        "[workers]\ncuont = 4",
        "2:1: workers.cuont = 4: must be a key that exists, such as workers.count",
    ),
    ("\n[workerz]\npin = 1", "2:2: workerz: must be a key that exists, such as workers"),
    ("[features]\nidle = 9", "2:1: features.idle = 9: must be one of features.time_zone"),
    (
        "[[intel.feeds]]\npath = 'a'\nlable = 'x'",
        "3:1: intel.feeds[0].lable = 'x': must be a key that exists, such as intel.feeds[0].label",
    ),
    // Values of the wrong kind.
    ("workers = 3", "1:11: workers = 3: must be a section, such as [workers]"),
    ("workers = [3, true]", "1:11: workers = [3, true]: must be a section, such as [workers]"),
    (
        "intel.feeds = [['a']]",
        "1:16: intel.feeds[0] = ['a']: must be a section, such as [[intel.feeds]]",
    ),
    (
        "[intel.feeds]\npath = 'a'",
        "1:8: intel.feeds: must be a list in brackets, such as [[intel.feeds]]",
    ),
    (
        "decoys.addresses = ['ä', 1]",
        "1:26: decoys.addresses[1] = 1: must be a text in quotes, such as \"198.51.100.77:22 file server\"",
    ),
    ("workers.pin = 'yes'", "1:15: workers.pin = 'yes': must be true or false, such as true"),
    (
        "workers.count = -1",
        "1:17: workers.count = -1: must be a whole number, 0 or more, such as 0",
    ),
    (
        "sources = { by_vlan = false, capacity = 1.5 }",
        "1:41: sources.capacity = 1.5: must be a whole number, 0 or more, such as 65536",
    ),
    ("model.path = 1", "1:14: model.path = 1: must be a text in quotes, such as \"built-in\""),
    (
        "rules.files = 'a'",
        "1:15: rules.files = 'a': must be a list in brackets, such as [\"built-in\"]",
    ),
    (
        "rules.files = ['a', 1]",
        "1:21: rules.files[1] = 1: must be a text in quotes, such as \"built-in\"",
    ),
    (
        "policy.thresholds.high = '50'",
        "1:26: policy.thresholds.high = '50': must be a number, such as 50",
    ),
    // Values out of range.
    (
        "workers.count = 65",
        "1:17: workers.count = 65: must be at most 64 (0 is as many as there are queues), such as 2",
    ),
    (
        "workers.cores = [1, 1024]",
        "1:21: workers.cores[1] = 1024: must be at most 1023, and one of at most 64, such as 2",
    ),
    ("workers.cores = [1, 1]", "1:21: workers.cores[1] = 1: must be named once, such as [2, 3]"),
    (
        "[workers]\ncores = [1]\npin = false",
        "2:9: workers.cores = [1]: must be empty where workers.pin is false, such as []",
    ),
    (
        "[workers]\ncores = [1]\ncount = 2",
        "2:9: workers.cores = [1]: must name a core for each of the 2 workers, or none, such as []",
    ),
    (
        "workers.priority = 50",
        "1:20: workers.priority = 50: must be from 1 to 49, below the threads that serve interrupts, such as 10",
    ),
    (
        "workers.scheduling = 'rr'",
        "1:22: workers.scheduling = 'rr': must be \"normal\" or \"fifo\", such as \"normal\"",
    ),
    (
        "[workers]\nscheduling = 'fifo'\npin = false",
        "2:14: workers.scheduling = 'fifo': must be \"normal\" where workers.pin is false: it would drive others off any core, such as \"normal\"",
    ),
    (
        "[sources]\ncapacity = 5000",
        "2:12: sources.capacity = 5000: must be a power of two from 1024 to 16777216, such as 8192",
    ),
    (
        "sensor.name = 'a b'",
        "1:15: sensor.name = 'a b': must be 1 to 64 letters, digits, hyphens, dots or underscores, such as \"sensor-1\"",
    ),
    (
        "events.store = 'some'",
        "1:16: events.store = 'some': must be \"all\" or \"notable\", such as \"notable\"",
    ),
    (
        "events.safe_one_in = 1000001",
        "1:22: events.safe_one_in = 1000001: must be from 0 to 1000000, such as 1000",
    ),
    (
        "events.coalesce_ms = 60001",
        "1:22: events.coalesce_ms = 60001: must be from 0 to 60000, such as 1000",
    ),
    (
        "events.per_second = 1",
        "1:21: events.per_second = 1: must be from 10 to 1000000, such as 2000",
    ),
    ("store.batch_rows = 0", "1:20: store.batch_rows = 0: must be from 1 to 100000, such as 10000"),
    ("store.batch_ms = 0", "1:18: store.batch_ms = 0: must be from 1 to 60000, such as 100"),
    (
        "store.keep_days = 36501",
        "1:19: store.keep_days = 36501: must be at most 36500 (0 keeps for ever), such as 30",
    ),
    (
        "spool.bytes = 1",
        "1:15: spool.bytes = 1: must be from 67108864 to 17592186044416, such as 4294967296",
    ),
    (
        "http.listen = 'here'",
        "1:15: http.listen = 'here': must be an address and a port (empty: no server), such as \"127.0.0.1:8000\"",
    ),
    (
        "http.listen = '0.0.0.0:80'",
        "1:15: http.listen = '0.0.0.0:80': must stay on this machine unless http.token_file names a token, such as \"127.0.0.1:8000\"",
    ),
    ("http.threads = 0", "1:16: http.threads = 0: must be from 1 to 64, such as 1"),
    (
        "http.hosts = ['a/b']",
        "1:15: http.hosts[0] = 'a/b': must be a host name or an IPv4 address, without a port, such as \"sensor.example\"",
    ),
    (
        "log.format = 'xml'",
        "1:14: log.format = 'xml': must be one of auto text json journald, such as \"auto\"",
    ),
    (
        "log.level = 'all'",
        "1:13: log.level = 'all': must be one of error warn info debug trace, such as \"info\"",
    ),
    ("sources.ipv6_prefix = 0", "1:23: sources.ipv6_prefix = 0: must be from 1 to 128, such as 64"),
    (
        "features.time_zone = 'Mars'",
        "1:22: features.time_zone = 'Mars': must be a zone of the IANA time zone database that this machine \
             has, such as \"UTC\" or \"Europe/Berlin\"",
    ),
    (
        "replay.hash_key = '12'",
        "1:19: replay.hash_key = '12': must be 32 hexadecimal digits, such as \
             \"000102030405060708090a0b0c0d0e0f\"",
    ),
    (
        "model.path = ''",
        "1:14: model.path = '': must name a model file, or be \"built-in\", such as \"models/own.json\"",
    ),
    (
        "rules.files = ['']",
        "1:16: rules.files[0] = '': must name a file of rules, or be \"built-in\", such as \
             \"rules/local.rules\"",
    ),
    (
        "rules.files = ['built-in', 'built-in']",
        "1:28: rules.files[1] = 'built-in': must be named once, such as [\"built-in\"]",
    ),
    (
        "rules.unsupported = 'x'",
        "1:21: rules.unsupported = 'x': must be \"refuse\" or \"skip\", such as \"refuse\"",
    ),
    (
        "rules.variables.'HOME NET' = 'x'",
        "1:30: rules.variables.\"HOME NET\" = 'x': must be called by letters, digits and _ only, such as \
             rules.variables.HOME_NET",
    ),
    (
        "rules.variables.HOME_NET = ' '",
        "1:28: rules.variables.HOME_NET = ' ': must stand for something, in at most 4096 bytes, such as \
             \"[198.51.100.0/24,2001:db8::/32]\"",
    ),
    (
        "intel.own_networks = [\n '::/0',\n '198.51.100.1/24']",
        "3:2: intel.own_networks[1] = '198.51.100.1/24': must be an address or a network (bits are set behind \
             the prefix; the network is 198.51.100.0/24), such as \"198.51.100.0/24\"",
    ),
    (
        "[intel]\n\n[[intel.feeds]]\nrisk = 1",
        "3:1: intel.feeds[0].path: must name the feed's file, such as path = \"intel/example.txt\"",
    ),
    (
        "[[intel.feeds]]\npath = 'a'\n[[intel.feeds]]\npath = 'a'",
        "4:8: intel.feeds[1].path = 'a': must be named once, such as another file",
    ),
    (
        "intel.feeds = [{ path = 'a', format = 'xml' }]",
        "1:39: intel.feeds[0].format = 'xml': must be \"auto\", \"plain\", \"csv\" or \"stix\", such as \"auto\"",
    ),
    (
        "intel.feeds = [{ path = 'a', risk = 0 }]",
        "1:37: intel.feeds[0].risk = 0: must be from 1 to 100, such as 100",
    ),
    (
        "decoys.addresses = ['198.51.100.7:ssh']",
        "1:21: decoys.addresses[0] = '198.51.100.7:ssh': must be an address, a port if only one is the decoy, \
             and a name if you like, such as \"198.51.100.77:22 file server\"",
    ),
    (
        "decoys.addresses = ['198.51.100.7', '[::ffff:198.51.100.7]:22']",
        "1:37: decoys.addresses[1] = '[::ffff:198.51.100.7]:22': must not be hidden by an earlier decoy, such as \
             \"198.51.100.77:22 file server\"",
    ),
    (
        "policy.floors = ['all']",
        "1:18: policy.floors[0] = 'all': must be one of intel_hit_high rule_80_high model_quantile_warning \
             intel_and_rule_critical decoy_high, such as \"intel_hit_high\"",
    ),
    (
        "policy.floors = ['rule_80_high', 'rule_80_high']",
        "1:34: policy.floors[1] = 'rule_80_high': must be named once, such as another floor",
    ),
    (
        "policy.model_quantile = nan",
        "1:25: policy.model_quantile = nan: must be above 0 and at most 1, such as 0.9999",
    ),
    (
        "[policy.weights]\nmodel = 0.5",
        "1:9: policy.weights = 0.5 + 0.3 + 0.5: must sum to 1, not 1.3000, such as 0.2 + 0.3 + 0.5",
    ),
    (
        "policy.weights.rule = -0.1",
        "1:23: policy.weights.rule = -0.1: must be from 0 to 1, such as 0.3",
    ),
    (
        "policy.thresholds.warning = 50",
        "1:8: policy.thresholds = warning 50, high 50: must ascend: warning below high, such as warning = 20, \
             high = 50, critical = 80",
    ),
    (
        "policy.thresholds.critical = inf",
        "1:30: policy.thresholds.critical = inf: must be from 0 to 100, such as 80",
    ),
];

#[test]
fn each_broken_rule_is_told_in_one_line_with_its_place() {
    for (text, message) in BROKEN {
        assert_eq!(parsed(text).unwrap_err(), format!("etc/sensor.toml:{message}"), "{text}");
    }
}

#[test]
fn a_sixty_fifth_decoy_is_refused() {
    let decoys = |count: usize| {
        let lines: Vec<String> = (0..count).map(|n| format!("'198.51.100.{n}'")).collect();
        parsed(&format!("decoys.addresses = [\n{}]", lines.join(",\n")))
    };
    assert_eq!(decoys(64).unwrap().decoys.decoys.len(), DECOYS_MAX);
    assert_eq!(
        decoys(65).unwrap_err(),
        "etc/sensor.toml:66:1: decoys.addresses[64] = '198.51.100.64': must be at most 64 decoys, \
         such as \"198.51.100.77:22 file server\""
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: Option<&[u8]>| {
        let file = folder.path().join(name);
        if let Some(bytes) = bytes {
            std::fs::write(&file, bytes).unwrap();
        }
        let message = Config::load(Some(&file)).unwrap_err().to_string();
        message.strip_prefix(&format!("{}: ", file.display())).unwrap().to_owned()
    };
    assert!(refused("missing.toml", None).starts_with("cannot be read: No such file"));
    let pipe = folder.path().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(refused("pipe.toml", None), "cannot be read: it is not a regular file");
    assert_eq!(refused("bytes.toml", Some(b"\xff")), "cannot be read: it is not UTF-8 text");
    assert_eq!(
        refused("large.toml", Some(&vec![b'\n'; 1 << 20 | 1])),
        "is larger than 1024 KiB: no configuration"
    );
}

// --- any text --------------------------------------------------------------------------------------------------------

/// The example with a piece cut out, doubled, or overwritten.
fn damaged() -> impl Strategy<Value = String> {
    let text = example(true);
    let length = text.len();
    (0..length, 0..40usize, "[\\[\\]{}=.,'\"#a-z0-9\n -]{0,6}", any::<bool>()).prop_map(
        move |(at, cut, put, twice)| {
            let (head, tail) = text.split_at(text.floor_char_boundary(at));
            let kept =
                tail.get(tail.floor_char_boundary(cut.min(tail.len()))..).unwrap_or_default();
            if twice { format!("{head}{put}{tail}") } else { format!("{head}{put}{kept}") }
        },
    )
}

proptest! {
    #[test]
    fn no_text_panics_and_every_message_is_one_line(text in prop_oneof![damaged(), any::<String>()]) {
        if let Err(message) = parsed(&text) {
            prop_assert!(!message.contains('\n'), "{}", message);
            prop_assert!(message.starts_with("etc/sensor.toml:"), "{}", message);
        }
    }
}
