//! The set against a linear scan; feeds as they come; and what the gate must not let through.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;

use super::feed::Contents;
use super::*;
use crate::time::Timestamp;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn address(text: &str) -> Address {
    Address::from(text.parse::<IpAddr>().unwrap())
}

fn entry(text: &str, label: &str, risk: u8, feed: u16) -> IntelEntry {
    IntelEntry { prefix: prefix(text), label: label.into(), risk, feed }
}

/// The label of the entry about an address.
fn about<'a>(set: &'a IntelSet, text: &str) -> Option<&'a str> {
    let index = set.lookup(address(text))?;
    Some(&*set.entry(index).unwrap().label)
}

// --- the set ---------------------------------------------------------------------------------------------------------

#[test]
fn the_more_specific_prefix_wins() {
    let set = IntelSet::new(vec![
        entry("198.51.100.0/24", "network", 100, 0),
        entry("198.51.100.7", "host", 1, 0),
        entry("198.51.0.0/16", "block", 100, 0),
        entry("2001:db8::/32", "six", 100, 0),
    ]);
    assert_eq!(about(&set, "198.51.100.7"), Some("host"));
    assert_eq!(about(&set, "198.51.100.8"), Some("network"));
    assert_eq!(about(&set, "198.51.101.0"), Some("block"));
    assert_eq!(about(&set, "198.52.0.0"), None);
    assert_eq!(about(&set, "2001:db8::1"), Some("six"));
    assert_eq!(about(&set, "2001:db9::"), None);
    assert_eq!(about(&set, "::ffff:198.51.100.7"), Some("host"));
}

#[test]
fn an_empty_set_knows_nothing() {
    let set = IntelSet::default();
    assert!(set.is_empty());
    assert_eq!(set.lookup(address("0.0.0.0")), None);
    assert_eq!(set.lookup(address("::")), None);
    assert_eq!(set.lookup(address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")), None);
}

#[test]
fn of_equal_prefixes_the_highest_risk_then_the_first_feed_wins_and_the_rest_are_counted() {
    let set = IntelSet::new(vec![
        entry("192.0.2.7", "later feed", 80, 1),
        entry("192.0.2.7", "first feed", 80, 0),
        entry("192.0.2.7", "first feed, later line", 80, 0),
        entry("192.0.2.7", "lower risk", 79, 0),
        entry("192.0.2.8", "other", 1, 0),
    ]);
    assert_eq!(about(&set, "192.0.2.7"), Some("first feed"));
    assert_eq!((set.len(), set.duplicates()), (2, 3));
}

#[test]
fn an_index_survives_a_fixed_size_record_and_names_nothing_in_another_set() {
    let set = IntelSet::new(vec![entry("192.0.2.7", "a", 1, 0), entry("192.0.2.8", "b", 1, 0)]);
    let index = set.lookup(address("192.0.2.8"));
    assert_eq!(IntelEntryIndex::encode(index), 2);
    assert_eq!(IntelEntryIndex::decode(2), index);
    assert_eq!(IntelEntryIndex::decode(IntelEntryIndex::encode(None)), None);
    assert_eq!(IntelSet::default().entry(index.unwrap()), None);
}

#[test]
fn the_content_hash_is_that_of_the_content_alone() {
    let one = entry("192.0.2.7", "a", 1, 0);
    let other = entry("2001:db8::/32", "b", 2, 0);
    let hash = |entries: &[&IntelEntry]| {
        IntelSet::new(entries.iter().map(|&entry| entry.clone()).collect()).content_hash()
    };
    let both = hash(&[&one, &other]);
    assert_eq!(both, hash(&[&other, &one]));
    assert_eq!(both, hash(&[&IntelEntry { feed: 9, ..one.clone() }, &other, &one]));
    assert_ne!(both, hash(&[&one]));
    assert_ne!(both, hash(&[&IntelEntry { risk: 2, ..one.clone() }, &other]));
    assert_ne!(both, hash(&[&IntelEntry { label: "A".into(), ..one }, &other]));
}

#[test]
fn one_prefix_over_everything_is_found_everywhere() {
    let set = IntelSet::new(vec![entry("0.0.0.0/0", "all", 1, 0)]);
    assert_eq!(about(&set, "0.0.0.0"), Some("all"));
    assert_eq!(about(&set, "255.255.255.255"), Some("all"));
    assert_eq!(about(&set, "2001:db8::"), None);
}

/// Prefixes of all lengths, crowded into a few networks so that they nest and meet.
fn any_prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<u32>(), 0..=32u8, any::<bool>()).prop_map(|(bits, length, crowded)| {
        let bits = if crowded { bits & 0x0000_03ff | 0xc633_0000 } else { bits };
        cut(Address::v4(bits.to_be_bytes()), length)
    });
    let v6 = (any::<u128>(), 0..=128u8, any::<bool>()).prop_map(|(bits, length, crowded)| {
        let bits = if crowded { bits & 0x3ff | 0x2001_0db8 << 96 } else { bits };
        cut(Address::v6(bits.to_be_bytes()), length)
    });
    let edge = prop_oneof![
        Just("255.255.255.255"),
        Just("0.0.0.0"),
        Just("0.0.0.0/0"),
        Just("128.0.0.0/1"),
        Just("::/0"),
        Just("::"),
        Just("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        Just("8000::/1"),
    ];
    prop_oneof![4 => v4, 4 => v6, 1 => edge.prop_map(prefix)]
}

/// The prefix of `length` bits around an address.
fn cut(address: Address, length: u8) -> Prefix {
    let network = match address.to_ip() {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    };
    Prefix::new(Address::from(network), length.min(if network.is_ipv4() { 32 } else { 128 }))
        .unwrap()
}

/// An address inside the prefix, or right beside it.
fn near(prefix: Prefix, offset: u128) -> Address {
    let (first, last) = (prefix.first().as_u128(), prefix.last().as_u128());
    let inside = first + offset % (last - first).saturating_add(1).max(1);
    let bits = match offset % 5 {
        0 => first,
        1 => last,
        2 => first.wrapping_sub(1),
        3 => last.wrapping_add(1),
        _ => inside,
    };
    Address::v6(bits.to_be_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_finds_what_a_linear_scan_finds(
        stated in vec((any_prefix(), 1..=3u8, 0..3u16), 0..60),
        elsewhere in vec(any::<u128>(), 4),
        offset in any::<u128>(),
    ) {
        let entries: Vec<IntelEntry> = stated
            .iter()
            .zip(0u32..)
            .map(|(&(prefix, risk, feed), nth)| {
                IntelEntry { prefix, label: nth.to_string().into(), risk, feed }
            })
            .collect();
        let set = IntelSet::new(entries.clone());
        let places = stated.iter().map(|&(prefix, ..)| near(prefix, offset));
        for address in places.chain(elsewhere.into_iter().map(|bits| Address::v6(bits.to_be_bytes()))) {
            // max_by_key keeps the last of equals: reversed, that is the one that was stated first.
            let expected = entries
                .iter()
                .rev()
                .filter(|entry| entry.prefix.contains(address))
                .max_by_key(|entry| (entry.prefix.length(), entry.risk, Reverse(entry.feed)));
            let found = set.lookup(address).map(|index| set.entry(index).unwrap());
            prop_assert_eq!(found, expected, "{}", address);
        }
        prop_assert_eq!(set.len() as u64 + set.duplicates(), entries.len() as u64);
    }
}

// --- feeds -----------------------------------------------------------------------------------------------------------

fn read(format: FeedFormat, text: &str) -> Contents {
    Contents::read(format, text.as_bytes(), Timestamp::from_secs(1_800_000_000)).unwrap()
}

/// Line, prefix, label and risk of all indicators.
fn stated(contents: &Contents) -> Vec<(u32, String, Option<&str>, Option<u8>)> {
    let row = |i: &feed::Indicator| (i.line, i.prefix.to_string());
    contents
        .indicators
        .iter()
        .map(|i| {
            let (line, prefix) = row(i);
            (line, prefix, i.label.as_deref(), i.risk)
        })
        .collect()
}

#[test]
fn a_plain_list_has_comments_and_labels() {
    let contents = read(
        FeedFormat::Plain,
        "# a list\r\n\r\n192.0.2.7\r\n198.51.100.0/24\tSCANNER of mail ; SBL1\n  2001:db8::/32 # six\n;",
    );
    assert_eq!(
        stated(&contents),
        [
            (3, "192.0.2.7".to_owned(), None, None),
            (4, "198.51.100.0/24".to_owned(), Some("SCANNER of mail"), None),
            (5, "2001:db8::/32".to_owned(), None, None),
        ]
    );
    assert_eq!((contents.records, contents.malformed), (3, 0));
}

#[test]
fn unreadable_lines_are_told_by_number_and_the_rest_is_used() {
    let contents = read(FeedFormat::Plain, "\"192.0.2.7\"\n192.0.2.8\n192.0.2.9/24 x\n\x1b[2J\n");
    assert_eq!(stated(&contents).len(), 1);
    let lines: Vec<String> =
        contents.malformed_lines.iter().map(|l| format!("{}: {}", l.line, l.reason)).collect();
    assert_eq!(
        lines,
        [
            "1: \"192.0.2.7\": not an IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::/32",
            "3: 192.0.2.9/24: bits are set behind the prefix; the network is 192.0.2.0/24",
            "4: \\u{1b}[2J: not an IPv4 or IPv6 address, such as 192.0.2.7 or 2001:db8::/32",
        ]
    );
}

#[test]
fn csv_columns_may_stand_in_any_order() {
    let contents = read(
        FeedFormat::Csv,
        "# exported\r\nfirst_seen,Risk,\"Label\",IP\n2026-01-01,80,\"SCANNER, mail\",192.0.2.7\r\n\r\n,,,192.0.2.8/31\nx,0,y,192.0.2.9\nshort\n",
    );
    assert_eq!(
        stated(&contents),
        [
            (3, "192.0.2.7".to_owned(), Some("SCANNER, mail"), Some(80)),
            (5, "192.0.2.8/31".to_owned(), None, None),
        ]
    );
    let lines: Vec<(u32, &str)> =
        contents.malformed_lines.iter().map(|l| (l.line, l.reason.as_str())).collect();
    assert_eq!(
        lines,
        [
            (6, "risk 0: must be a whole number from 1 to 100, such as 80"),
            (7, "the row has no address"),
        ]
    );
}

#[test]
fn csv_without_a_column_of_addresses_cannot_be_read() {
    let error = Contents::read(FeedFormat::Csv, b"# x\na,b\n1,2\n", Timestamp::EPOCH).unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.reason.contains("indicator, ip or address"), "{}", error.reason);
}

const BUNDLE: &str = r#"{
  "type": "bundle",
  "id": "bundle--1",
  "objects": [
    { "type": "identity", "name": "nobody" },
    {
      "type": "indicator", "name": "two of them", "pattern_type": "stix",
      "pattern": "[ipv4-addr:value = '192.0.2.7' OR ipv4-addr:value = '198.51.100.0/24']"
    },
    { "type": "indicator", "labels": ["by label"], "valid_until": "2027-01-15T08:00:01Z",
      "pattern": "[ipv6-addr:value = '2001:db8::/32']" },
    { "type": "indicator", "name": "over", "valid_until": "2027-01-15T08:00:00Z",
      "pattern": "[ipv4-addr:value = '192.0.2.8']" },
    { "type": "indicator", "revoked": true, "pattern": "[ipv4-addr:value = '192.0.2.9']" },
    { "type": "indicator", "indicator_types": ["benign"], "pattern": "[ipv4-addr:value = '192.0.2.10']" },
    { "type": "indicator", "pattern": "[domain-name:value = 'a.example']" },
    { "type": "indicator", "pattern_type": "snort", "pattern": "alert tcp any any -> any any" },
    { "type": "indicator",
      "name": "broken",

      "pattern": "[ipv4-addr:value = 'x']" },
    { "type": "indicator", "indicator_types": ["malicious-activity"],
      "pattern": "[ipv4-addr:value = '192.0.2.11']" }
  ]
}"#;

#[test]
fn a_stix_bundle_gives_the_indicators_in_force_with_their_lines() {
    let contents = read(FeedFormat::Stix, BUNDLE);
    assert_eq!(
        stated(&contents),
        [
            (8, "192.0.2.7".to_owned(), Some("two of them"), None),
            (8, "198.51.100.0/24".to_owned(), Some("two of them"), None),
            (11, "2001:db8::/32".to_owned(), Some("by label"), None),
            (23, "192.0.2.11".to_owned(), Some("malicious-activity"), None),
        ]
    );
    assert_eq!((contents.records, contents.out_of_force, contents.left_out), (9, 3, 2));
    assert_eq!(contents.malformed_lines.len(), 1);
    assert_eq!(contents.malformed_lines[0].line, 21);
}

#[test]
fn what_is_no_bundle_cannot_be_read() {
    for (text, line) in
        [("{\n\"type\": \"bundle\",\n}", 3), ("[]", 1), ("{\"type\":\"report\"}", 1)]
    {
        let error =
            Contents::read(FeedFormat::Stix, text.as_bytes(), Timestamp::EPOCH).unwrap_err();
        assert_eq!(error.line, line, "{text}: {}", error.reason);
    }
}

#[test]
fn the_format_is_told_by_the_ending_then_by_the_content() {
    let cases = [
        (Some("CSV"), "192.0.2.7", FeedFormat::Csv),
        (Some("json"), "", FeedFormat::Stix),
        (Some("txt"), "ip,label\n", FeedFormat::Plain),
        (None, "\n {\"type\"", FeedFormat::Stix),
        (Some("feed"), "# x\n\"label\", \"Indicator\"\n", FeedFormat::Csv),
        (Some("feed"), "192.0.2.7 ip\n", FeedFormat::Plain),
        (None, "", FeedFormat::Plain),
    ];
    for (extension, content, format) in cases {
        assert_eq!(
            FeedFormat::of(extension, content.as_bytes()),
            format,
            "{extension:?} {content}"
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_record_is_accounted_for(
        bytes in prop_oneof![
            vec(any::<u8>(), 0..300),
            "((192.0.2.[0-9]{1,3}|ip|label|risk|[,/\"#; \n])){0,60}".prop_map(String::into_bytes),
            (0..BUNDLE.len(), any::<u8>()).prop_map(|(at, byte)| {
                let mut bytes = BUNDLE.as_bytes().to_vec();
                bytes[at] = byte;
                bytes
            }),
        ],
    ) {
        for format in [FeedFormat::Plain, FeedFormat::Csv] {
            let Ok(contents) = Contents::read(format, &bytes, Timestamp::EPOCH) else { continue };
            prop_assert_eq!(contents.records, contents.malformed + contents.stated());
        }
        // One STIX indicator may state several addresses.
        if let Ok(contents) = Contents::read(FeedFormat::Stix, &bytes, Timestamp::EPOCH) {
            let kept = contents.malformed + contents.stated() + contents.left_out;
            prop_assert!(contents.records <= kept);
        }
    }
}

// --- the gate --------------------------------------------------------------------------------------------------------

/// A folder with one feed of the given text, loaded.
fn load(text: &str, own_networks: &[&str], before: Option<u64>) -> Result<IntelReport, String> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("feed.txt");
    fs::write(&file, text).unwrap();
    let params = IntelParams {
        own_networks: own_networks.iter().map(|text| prefix(text)).collect(),
        feeds: vec![FeedParams { file: file.clone(), format: None, label: None, risk: 100 }],
    };
    let previous = before.map(|stated| IntelReport {
        feeds: vec![FeedReport { stated, ..empty_report(&file) }],
        ..IntelReport::default()
    });
    match IntelSet::load(&params, Timestamp::EPOCH, previous.as_ref()) {
        Ok((_, report)) => Ok(report),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains('\n'), "more than one line: {text}");
            let folder = format!("{}/", folder.path().display());
            Err(text.strip_prefix(&folder).expect("the file comes first").to_owned())
        }
    }
}

fn empty_report(file: &Path) -> FeedReport {
    FeedReport {
        file: file.to_owned(),
        format: FeedFormat::Plain,
        records: 0,
        stated: 0,
        in_force: 0,
        out_of_force: 0,
        left_out: 0,
        malformed: 0,
        malformed_lines: Vec::new(),
    }
}

#[test]
fn what_would_mark_half_the_internet_or_the_own_network_is_refused_with_its_line() {
    let cases = [
        ("0.0.0.0/0", "0.0.0.0/0 covers more than a /8; name narrower networks"),
        ("10.0.0.0/7", "10.0.0.0/7 covers more than a /8; name narrower networks"),
        ("::/0", "::/0 covers more than a /16; name narrower networks"),
        ("2000::/15", "2000::/15 covers more than a /16; name narrower networks"),
        ("0.0.0.0", "0.0.0.0 overlaps 0.0.0.0/8 (this network, RFC 791); remove the line"),
        ("127.0.0.1", "127.0.0.1 overlaps 127.0.0.0/8 (loopback, RFC 1122); remove the line"),
        ("239.1.2.3", "239.1.2.3 overlaps 224.0.0.0/4 (multicast, RFC 5771); remove the line"),
        (
            "255.255.255.0/24",
            "255.255.255.0/24 overlaps 255.255.255.255 (broadcast, RFC 919); remove the line",
        ),
        ("::1", "::1 overlaps ::1 (loopback, RFC 4291); remove the line"),
        ("::", "\u{3a}: overlaps :: (the unspecified address, RFC 4291); remove the line"),
        ("ff02::1", "ff02::1 overlaps ff00::/8 (multicast, RFC 4291); remove the line"),
        (
            "198.51.0.0/16",
            "198.51.0.0/16 overlaps the own network 198.51.100.0/24; remove the line, or correct \
             intel.own_networks",
        ),
        (
            "198.51.100.9",
            "198.51.100.9 overlaps the own network 198.51.100.0/24; remove the line, or correct \
             intel.own_networks",
        ),
    ];
    for (line, message) in cases {
        let text = format!("# a feed\n192.0.2.7\n{line} LABEL\n192.0.2.8\n");
        let refused = load(&text, &["198.51.100.0/24"], None).unwrap_err();
        assert_eq!(refused, format!("feed.txt:3: feed refused: {message}"));
    }
}

#[test]
fn what_is_merely_wide_or_private_passes() {
    let report = load(
        "11.0.0.0/8\n2001::/16\n192.168.1.100\n10.0.0.50\n172.16.0.5\n",
        &["192.168.2.0/24"],
        None,
    )
    .unwrap();
    assert_eq!(report.entries, 5);
}

#[test]
fn an_empty_feed_is_refused() {
    for text in ["", "# nothing\n\n"] {
        let refused = load(text, &[], None).unwrap_err();
        assert!(refused.starts_with("feed.txt: feed refused: states no address"), "{refused}");
    }
}

#[test]
fn an_error_page_saved_as_a_list_is_refused_for_what_it_is() {
    let refused = load("\n<html>404 Not Found</html>\n", &[], None).unwrap_err();
    assert_eq!(
        refused,
        "feed.txt:2: feed refused: <html>404: not an IPv4 or IPv6 address, such as 192.0.2.7 or \
         2001:db8::/32; correct the file or its format"
    );
}

#[test]
fn a_feed_that_lost_nine_tenths_is_refused() {
    let ten = "192.0.2.0\n192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n192.0.2.5\n192.0.2.6\n192.0.2.7\n192.0.2.8\n192.0.2.9\n";
    assert!(load(ten, &[], Some(99)).is_ok());
    let refused = load(ten, &[], Some(100)).unwrap_err();
    assert!(refused.contains("states 10 addresses where it stated 100"), "{refused}");
}

#[test]
fn ten_unreadable_lines_or_one_percent_pass_and_more_do_not() {
    let feed = |good: usize, bad: usize| {
        let good = (0..good).map(|nth| format!("198.18.{}.{}\n", nth / 256, nth % 256));
        good.chain((0..bad).map(|nth| format!("bad{nth}\n"))).collect::<String>()
    };
    let report = load(&feed(1, 10), &[], None).unwrap();
    assert_eq!((report.entries, report.feeds[0].malformed), (1, 10));
    let refused = load(&feed(5, 11), &[], None).unwrap_err();
    assert!(refused.starts_with("feed.txt:6: feed refused: 11 of 16 records"), "{refused}");
    assert!(refused.contains("the first: bad0: not an IPv4"), "{refused}");
    assert!(load(&feed(1980, 20), &[], None).is_ok());
    assert!(load(&feed(1979, 21), &[], None).is_err());
}

#[test]
fn a_file_that_is_not_there_or_no_file_is_refused() {
    let folder = TempDir::new().unwrap();
    for (name, why) in
        [("missing.txt", "cannot be read: No such file"), (".", "is not a regular file")]
    {
        let file = folder.path().join(name);
        let feed = FeedParams { file, format: None, label: None, risk: 100 };
        let params = IntelParams { feeds: vec![feed], ..IntelParams::default() };
        let refused = IntelSet::load(&params, Timestamp::EPOCH, None).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn several_feeds_become_one_set_and_the_report_adds_up() {
    let folder = TempDir::new().unwrap();
    let feed = |name: &str, text: &str, label: Option<&str>, risk| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        FeedParams { file, format: None, label: label.map(str::to_owned), risk }
    };
    let params = IntelParams {
        own_networks: Vec::new(),
        feeds: vec![
            feed("drop.txt", "192.0.2.7\n192.0.2.8 NAMED\n", None, 60),
            feed("rows.csv", "ip,label,risk\n192.0.2.7,WORSE,61\n192.0.2.8,EQUAL,60\n", None, 100),
            feed("bundle.json", BUNDLE, Some("configured"), 90),
        ],
    };
    let now = Timestamp::from_secs(1_800_000_000);
    let (set, report) = IntelSet::load(&params, now, None).unwrap();
    assert_eq!(about(&set, "192.0.2.7"), Some("two of them"));
    assert_eq!(about(&set, "192.0.2.8"), Some("NAMED"));
    let in_force: u64 = report.feeds.iter().map(|feed| feed.in_force).sum();
    assert_eq!((in_force, report.entries, report.duplicates), (8, 5, 3));
    assert_eq!(in_force, report.entries + report.duplicates);
    // Read again with its own report as the previous one: nothing shrank.
    let (again, _) = IntelSet::load(&params, now, Some(&report)).unwrap();
    assert_eq!(again.content_hash(), set.content_hash());
    assert_eq!(&*set.entries().last().unwrap().label, "by label");
}
