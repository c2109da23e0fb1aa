//! Intelligence from files on disk, through the crate's front door.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use phantomnet::address::Address;
use phantomnet::intel::{FeedParams, IntelParams, IntelSet};
use phantomnet::time::Timestamp;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/intel/example.txt")
}

#[test]
fn the_example_feed_passes_the_gate_and_says_what_it_says() {
    let feed = FeedParams { file: example(), format: None, label: None, risk: 100 };
    let params = IntelParams { own_networks: Vec::new(), feeds: vec![feed] };
    let (set, report) = IntelSet::load(&params, Timestamp::EPOCH, None).unwrap();
    assert_eq!((report.entries, report.feeds[0].malformed), (6, 0));
    let label = |text: &str| {
        let index = set.lookup(Address::from(text.parse::<IpAddr>().unwrap()))?;
        set.entry(index).map(|entry| &*entry.label)
    };
    assert_eq!(label("192.168.1.100"), Some("KNOWN_BOTNET"));
    assert_eq!(label("10.0.0.50"), Some("TOR_EXIT_NODE"));
    assert_eq!(label("172.16.0.5"), Some("MALICIOUS_SCANNER"));
    assert_eq!(label("203.0.113.65"), Some("EXAMPLE_HOSTING"));
    assert_eq!(label("203.0.113.66"), Some("EXAMPLE_COMMAND"));
    assert_eq!(label("2001:db8:bad::1"), Some("EXAMPLE_SIX"));
    assert_eq!(label("203.0.113.128"), None);
}
