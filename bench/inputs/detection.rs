//! What judges: the model and the rules that come with the program, and sets of rules and prefixes of any size.

use std::fmt::Write as _;
use std::sync::Arc;

use phantomnet::address::Address;
use phantomnet::cli::setup;
use phantomnet::config::Config;
use phantomnet::features::{SCHEMA, SCHEMA_VERSION, fingerprint};
use phantomnet::intel::{Decoys, IntelEntry, IntelSet, Prefix};
use phantomnet::model::{ExpectedSchema, Model};
use phantomnet::rules::{DEFAULT_RULES, RuleSet, RuleText, Variables};
use phantomnet::time::Timestamp;
use phantomnet::verdict::{Detection, InForce, Policy, PolicyParams};

use super::random::Random;

/// Rules made here have numbers from here on.
const FIRST_MADE_RULE: usize = 1_000_000;

/// The model that comes with the program.
pub(crate) fn model() -> Model {
    let names = SCHEMA.each_ref().map(|feature| feature.name);
    let schema = ExpectedSchema::new(SCHEMA_VERSION, &fingerprint(), &names);
    let bytes = include_bytes!("../../models/default.json");
    Model::from_bytes("models/default.json", bytes, &schema).expect("it comes with the program")
}

/// What judges when nothing is configured.
pub(crate) fn default_detection() -> InForce {
    let detection = setup::load_detection(&Config::default(), Timestamp::EPOCH);
    InForce::first(detection.expect("it comes with the program"))
}

/// The same with so many rules, and no rules but these.
pub(crate) fn detection_with_rules(count: usize) -> InForce {
    let policy = Policy::new(PolicyParams::default());
    let (intel, decoys) = (IntelSet::default(), Decoys::default());
    InForce::first(Detection::new(model(), rules(count), intel, decoys, policy))
}

/// So many rules: as many as there are of the default ones, spread over the file; beyond those, made ones, each of which
/// looks for a word of its own in requests.
pub(crate) fn rules(count: usize) -> RuleSet {
    let text = DEFAULT_RULES.text.replace("\\\n", " ");
    let defaults: Vec<&str> = text.lines().filter(|line| line.starts_with("alert")).collect();
    let mut chosen = String::new();
    let taken = count.min(defaults.len());
    for nth in 0..taken {
        let line = defaults.get(nth * defaults.len() / taken).copied().unwrap_or_default();
        chosen.push_str(line);
        chosen.push('\n');
    }
    let mut random = Random::new(1);
    for nth in taken..count {
        let word = format!("{:012x}", random.next() >> 16);
        let _infallible = writeln!(
            chosen,
            "alert tcp any any -> any any (msg:\"word {word}\"; content:\"/{word}\"; sid:{};)",
            FIRST_MADE_RULE + nth
        );
    }
    let made = RuleText { name: "bench", text: &chosen };
    let (set, report) = RuleSet::load([made], &Variables::default());
    assert_eq!(set.len(), count, "{:?}", report.refused);
    set
}

/// Random networks of 20 to 32 bits, each known as bad.
pub(crate) fn intel(prefixes: usize) -> IntelSet {
    let mut random = Random::new(3);
    let label: Arc<str> = "botnet".into();
    let entries = (0..prefixes).map(|_| {
        let length = u8::try_from(20 + random.below(13)).expect("at most 32");
        let address = random.below(u32::MAX) & (u32::MAX << (32 - length));
        IntelEntry {
            prefix: Prefix::new(Address::v4(address.to_be_bytes()), length)
                .expect("the bits behind it are 0"),
            label: Arc::clone(&label),
            risk: 80,
            feed: 0,
        }
    });
    IntelSet::new(entries.collect())
}
