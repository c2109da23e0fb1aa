//! The parser against what it should refuse, and the compiled matcher against one that tries everything.

use proptest::prelude::*;

use super::condition::Condition;
use super::parse;
use super::payload::{Content, Place};
use super::*;
use crate::address::Address;
use crate::decode::{Packet, Transport};
use crate::handover::{Findings, RULE_HITS_MAX};
use crate::time::Timestamp;

/// A packet from 192.0.2.1 to 192.168.0.1.
pub(super) fn packet(transport: Transport, payload: &[u8]) -> Packet<'_> {
    let protocol = match transport {
        Transport::Tcp { .. } => 6,
        Transport::Udp { .. } => 17,
        Transport::Icmp { .. } => 1,
        Transport::LaterFragment | Transport::Other => 47,
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX - 54);
    Packet {
        sequence: 1,
        time: Timestamp::EPOCH,
        source: Address::v4([192, 0, 2, 1]),
        destination: Address::v4([192, 168, 0, 1]),
        protocol,
        ttl: 64,
        length: 40 + length,
        wire_length: 54 + length,
        vlan: None,
        tunnels: 0,
        carriers: [None; 2],
        transport,
        payload,
    }
}

const WEB: Transport = Transport::Tcp { source_port: 40_000, destination_port: 80, flags: 24 };

fn load(text: &str) -> (RuleSet, LoadReport) {
    RuleSet::load([RuleText { name: "a.rules", text }], &Variables::default())
}

fn loaded(text: &str) -> RuleSet {
    let (rules, report) = load(text);
    assert_eq!(report.refused, [], "{text}");
    rules
}

/// The sids that a packet hits, in the order told.
fn hits(rules: &RuleSet, packet: &Packet<'_>) -> Vec<u32> {
    let (mut scratch, mut findings) = (Scratch::new(), Findings::default());
    rules.inspect(packet, &mut scratch, &mut findings);
    findings.rules().iter().map(|&index| rules.rule(index).unwrap().sid).collect()
}

fn payload_hits(options: &str, payload: &[u8]) -> bool {
    let rules = loaded(&format!("alert tcp any any -> any any ({options} sid:1;)"));
    !hits(&rules, &packet(WEB, payload)).is_empty()
}

/// A faulty rule, and a part of what is said of it.
const FAULTS: &[(&str, &str)] = &[
    ("alert tcp any any -> any any", "a.rules:1: it has no options; write them in parentheses"),
    ("alert tcp any any -> any any (sid:1;", "a.rules:1: rule 1: its options do not end"),
    ("alert tcp any -> any any (sid:1;)", "a.rules:1: rule 1: its header has 6 words"),
    ("alert tcp any any => any any (sid:1;)", "\"=>\" is no direction; write -> or <>"),
    ("shout tcp any any -> any any (sid:1;)", "\"shout\" is no action; write alert"),
    ("drop tcp any any -> any any (sid:1;)", "action drop is not supported"),
    ("alert http any any -> any any (sid:1;)", "protocol http is not supported"),
    ("alert tcp 1.2.3 any -> any any (sid:1;)", "\"1.2.3\" is no address; write one such as"),
    ("alert tcp 1.2.3.4/33 any -> any any (sid:1;)", "\"33\" is no prefix length; write 0 to 32"),
    ("alert tcp $NO any -> any any (sid:1;)", "variable $NO is not set; set it"),
    ("alert tcp !any any -> any any (sid:1;)", "address !any leaves none"),
    ("alert tcp [1.2.3.4,!1.2.3.4] any -> any any (sid:1;)", "leaves none"),
    ("alert tcp [1.2.3.4 any -> any any (sid:1;)", "its header has"),
    ("alert tcp any 80:79 -> any any (sid:1;)", "write the lower port first"),
    ("alert tcp any 65536 -> any any (sid:1;)", "\"65536\" is no port"),
    ("alert icmp any 80 -> any any (sid:1;)", "icmp has no ports; write any"),
    ("alert tcp any any -> any any (msg:\"x\";)", "it has no sid; give it a number"),
    ("alert tcp any any -> any any (sid:0;)", "sid: \"0\" is no number from 1"),
    ("alert tcp any any -> any any (sid:1; sid:1;)", "sid: it stands twice"),
    ("alert tcp any any -> any any (sid:1)", "option \"sid:1\" does not end"),
    ("alert tcp any any -> any any (msg:x; sid:1;)", "msg: it does not stand in quotes"),
    ("alert tcp any any -> any any (msg:\"a;b\"; sid:1;)", "msg: it does not stand in quotes"),
    ("alert tcp any any -> any any (nocase; sid:1;)", "nocase: it stands before any content"),
    ("alert tcp any any -> any any (content:\"\"; sid:1;)", "content: it is empty"),
    ("alert tcp any any -> any any (content:\"|4|\"; sid:1;)", "odd in number"),
    ("alert tcp any any -> any any (content:\"|4g|\"; sid:1;)", "\"g\" is no hexadecimal digit"),
    ("alert tcp any any -> any any (content:\"|41\"; sid:1;)", "close them with \"|\""),
    ("alert tcp any any -> any any (content:\"a\\n\"; sid:1;)", "|0A| for a byte"),
    (
        "alert tcp any any -> any any (content:\"abc\"; depth:2; sid:1;)",
        "depth: \"2\" is no number from 3",
    ),
    (
        "alert tcp any any -> any any (content:\"a\"; depth:2; within:2; sid:1;)",
        "leave out the others",
    ),
    (
        "alert tcp any any -> any any (content:\"a\"; startswith; offset:1; sid:1;)",
        "leave out the others",
    ),
    (
        "alert tcp any any -> any any (content:!\"a\"; fast_pattern; sid:1;)",
        "cannot be looked for first",
    ),
    (
        "alert tcp any any -> any any (content:\"a\"; pcre:\"/a/\"; sid:1;)",
        "rule 1: pcre is not supported; take it out",
    ),
    (
        "alert tcp any any -> any any (flow:only_stream; sid:1;)",
        "flow:only_stream is not supported",
    ),
    ("alert tcp any any -> any any (flow:sideways; sid:1;)", "\"sideways\" is no state of a flow"),
    ("alert udp any any -> any any (flags:S; sid:1;)", "flags are of tcp alone"),
    ("alert tcp any any -> any any (itype:8; sid:1;)", "itype and icode are of icmp alone"),
    ("alert tcp any any -> any any (dsize:70000; sid:1;)", "dsize: \"70000\" is no number"),
    (
        "alert tcp any any -> any any (threshold:type limit, track by_src, count 1; sid:1;)",
        "a part is missing",
    ),
    (
        "alert tcp any any -> any any (threshold:type limit, track by_rule, count 1, seconds 1; sid:1;)",
        "threshold: track by_rule is not supported",
    ),
    (
        "alert tcp any any -> any any (metadata:risk 101; sid:1;)",
        "\"101\" is no number from 0 to 100",
    ),
    (
        "alert tcp any any -> any any (metadata:attack_class x; sid:1;)",
        "\"x\" is no attack class; write one of",
    ),
    (
        "alert tcp any any -> any any (metadata:count_distinct dst_port; sid:1;)",
        "needs a threshold",
    ),
    (
        "alert tcp any any -> any any (metadata:count_distinct src_ip; detection_filter:track by_src, count 1, seconds 1; sid:1;)",
        "which is always one",
    ),
];

#[test]
fn each_fault_is_told_with_its_line_and_what_to_do() {
    for (text, expected) in FAULTS {
        let (rules, report) = load(text);
        assert_eq!((rules.len(), report.refused.len()), (0, 1), "{text}");
        let message = report.refused[0].to_string();
        assert!(message.starts_with("a.rules:1: "), "{message}");
        assert!(message.contains(expected), "{message}\n  does not say: {expected}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_fault_in_a_rule_over_several_lines_is_told_with_its_own_line() {
    let text = "# a comment\n\nalert tcp any any -> any any ( \\\n  msg:\"x\"; \\\n  lua:x; \\\n  sid:7;)\nalert tcp any any -> any any (sid:8;)\n";
    let (rules, report) = load(text);
    assert_eq!(rules.rules()[0].sid, 8);
    assert_eq!(rules.rules()[0].line, 7);
    assert_eq!(
        report.refused[0].to_string(),
        "a.rules:5: rule 7: lua is not supported; take it out, or leave the rule to a sensor that has it"
    );
    assert_eq!(report.to_string(), "1 of 2 rules loaded; not supported: lua (1)");
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_in_a_content_and_nowhere_else() {
    let file =
        b"# caf\xe9\nalert tcp any any -> any any (msg:\"caf\xe9\"; content:\"|e9|\"; sid:1;)\n\
        alert tcp any any -> any any (msg:\"x\"; content:\"caf\xe9\"; sid:2;)\n";
    let (rules, report) = load(&String::from_utf8_lossy(file));
    assert_eq!(hits(&rules, &packet(WEB, b"caf\xe9")), [1]);
    assert_eq!(&*rules.rules()[0].message, "caf\u{fffd}");
    let refused: Vec<String> = report.refused.iter().map(ToString::to_string).collect();
    assert_eq!(
        refused,
        [
            "a.rules:3: rule 2: content: it holds a byte that is not UTF-8, or U+FFFD; write the bytes in hexadecimal, such as |E9|"
        ]
    );
    assert!(payload_hits("content:\"caf\u{e9}\";", "caf\u{e9}".as_bytes()), "UTF-8 is as it is");
}

#[test]
fn a_sid_that_stands_twice_is_refused_with_both_places() {
    let rule = "alert tcp any any -> any any (sid:7;)\n";
    let files = [RuleText { name: "a", text: rule }, RuleText { name: "b", text: rule }];
    let (rules, report) = RuleSet::load(files, &Variables::default());
    assert_eq!(rules.len(), 1);
    assert!(
        report.refused[0].to_string().starts_with("b:1: rule 7: its sid stands at a:1 already")
    );
}

#[test]
fn a_rule_tells_all_that_was_written() {
    let rules = loaded(
        r#"alert tcp any any -> any any (msg:"A \"b\"\; c"; classtype:web-application-attack; priority:2; rev:3;
        "#
        .trim_end()
        .strip_suffix(';')
        .map(|head| {
            format!("{head}; gid:4; reference:cve,2021-44228; metadata:mitre_technique_id T1190, attack_class sql_injection, risk 77; sid:9;)")
        })
        .unwrap()
        .as_str(),
    );
    let rule = rules.rule(0).unwrap();
    assert_eq!(&*rule.message, "A \"b\"; c");
    assert_eq!((rule.sid, rule.gid, rule.revision, rule.priority, rule.risk), (9, 4, 3, 2, 77));
    assert_eq!(rule.class, AttackClass::SqlInjection);
    assert_eq!(rule.technique(), Some("T1190"));
    assert_eq!(rule.references, [Reference { system: "cve".into(), id: "2021-44228".into() }]);
    assert_eq!(rule.counting(), Counting::None);
}

#[test]
fn risk_follows_from_priority_and_class_from_classtype_where_none_is_stated() {
    let rule = |options: &str| {
        let rules = loaded(&format!("alert tcp any any -> any any ({options} sid:1;)"));
        (rules.rules()[0].risk, rules.rules()[0].class)
    };
    assert_eq!(rule(""), (20, AttackClass::Other));
    assert_eq!(rule("classtype:no-such-type;"), (20, AttackClass::Other));
    assert_eq!(rule("classtype:trojan-activity;"), (80, AttackClass::CommandAndControl));
    assert_eq!(
        rule("classtype:trojan-activity; priority:4;"),
        (10, AttackClass::CommandAndControl)
    );
}

#[test]
fn addresses_and_ports_are_lists_with_exceptions() {
    let mut variables = Variables::default();
    variables.set("HOME_NET", "[192.168.0.0/16,!192.168.5.0/24]");
    let rule =
        "alert tcp $EXTERNAL_NET any -> [$HOME_NET,2001:db8::/32] [80:90,!85,$SSH_PORTS] (sid:1;)";
    let (rules, report) = RuleSet::load([RuleText { name: "a", text: rule }], &variables);
    assert_eq!(report.refused, []);
    let table = [
        ("8.8.8.8", "192.168.0.1", 80, true),
        ("8.8.8.8", "192.168.0.1", 85, false),
        ("8.8.8.8", "192.168.0.1", 2222, true),
        ("8.8.8.8", "192.168.5.1", 80, false),
        ("192.168.5.1", "192.168.0.1", 80, true),
        ("192.168.4.1", "192.168.0.1", 80, false),
        ("2001:db9::1", "2001:db8::1", 90, true),
        ("8.8.8.8", "10.0.0.1", 80, false),
    ];
    for (source, destination, destination_port, expected) in table {
        let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
        let packet = Packet {
            source: address(source),
            destination: address(destination),
            ..packet(Transport::Tcp { source_port: 4_000, destination_port, flags: 2 }, b"")
        };
        assert_eq!(
            !hits(&rules, &packet).is_empty(),
            expected,
            "{source} {destination} {destination_port}"
        );
    }
}

#[test]
fn a_rule_that_goes_both_ways_swaps_addresses_and_ports_together() {
    let rules = loaded("alert udp 192.0.2.1 any <> any 53 (sid:1;)");
    let udp = |source_port, destination_port| {
        packet(Transport::Udp { source_port, destination_port }, b"x")
    };
    let back = |packet: Packet<'static>| Packet {
        source: packet.destination,
        destination: packet.source,
        ..packet
    };
    assert_eq!(hits(&rules, &udp(9, 53)), [1]);
    assert_eq!(hits(&rules, &back(udp(53, 9))), [1]);
    assert_eq!(hits(&rules, &udp(53, 9)), [] as [u32; 0]);
    assert_eq!(hits(&rules, &back(udp(9, 53))), [] as [u32; 0]);
}

#[test]
fn protocols_meet_their_own_packets_alone() {
    let names = ["ip", "ipv4", "ipv6", "tcp", "udp", "icmp", "icmpv4", "icmpv6"];
    let text: String = (1..)
        .zip(names)
        .map(|(sid, name)| format!("alert {name} any any -> any any (sid:{sid};)\n"))
        .collect();
    let rules = loaded(&text);
    let icmp = Transport::Icmp { kind: 8, code: 0 };
    let v6 = Packet { source: Address::v6([1; 16]), protocol: 58, ..packet(icmp, b"") };
    assert_eq!(hits(&rules, &packet(WEB, b"")), [1, 2, 4]);
    assert_eq!(
        hits(&rules, &packet(Transport::Udp { source_port: 1, destination_port: 2 }, b"")),
        [1, 2, 5]
    );
    assert_eq!(hits(&rules, &packet(icmp, b"")), [1, 2, 6, 7]);
    assert_eq!(hits(&rules, &v6), [1, 3, 6, 8]);
    assert_eq!(hits(&rules, &packet(Transport::LaterFragment, b"")), [1, 2]);
}

#[test]
fn contents_stand_where_they_are_asked_for() {
    let table: [(&str, &str, bool); 26] = [
        ("content:\"abc\";", "xxabcxx", true),
        ("content:\"abc\";", "xxABCxx", false),
        ("content:\"aBc\"; nocase;", "xxAbCxx", true),
        ("content:\"a|62 63|d\";", "abcd", true),
        ("content:\"a\\;b\\\"c\\\\d\\:\";", "a;b\"c\\d:", true),
        ("content:\"bc\"; offset:1; depth:2;", "abc", true),
        ("content:\"bc\"; offset:1; depth:2;", "aabc", false),
        ("content:\"bc\"; offset:2;", "abc", false),
        ("content:\"ab\"; startswith;", "abab", true),
        ("content:\"ab\"; startswith;", "xab", false),
        ("content:\"ab\"; endswith;", "xxab", true),
        ("content:\"ab\"; endswith;", "abx", false),
        ("content:\"ab\"; startswith; endswith;", "abab", false),
        ("content:!\"ab\";", "xx", true),
        ("content:!\"ab\"; content:\"x\";", "xab", false),
        ("content:!\"ab\"; offset:2;", "abx", true),
        ("content:\"a\"; content:\"b\"; distance:0;", "ba", false),
        ("content:\"a\"; content:\"b\"; distance:1; within:1;", "axb", true),
        ("content:\"a\"; content:\"b\"; distance:1; within:1;", "axxb", false),
        ("content:\"a\"; content:\"b\"; within:1;", "axab", true),
        ("content:\"ab\"; content:\"ba\"; distance:-1;", "aba", true),
        ("content:\"a\"; content:\"b\"; within:1; content:\"c\"; within:1;", "aab ab abc", true),
        ("content:\"a\"; content:!\"b\"; within:1;", "abab", false),
        ("content:\"a\"; content:!\"b\"; within:1;", "abac", true),
        ("content:\"a\"; content:!\"b\"; within:1; content:\"d\"; distance:0;", "abacd", true),
        ("content:\"ab\"; content:\"a\";", "ab", true),
    ];
    for (options, payload, expected) in table {
        assert_eq!(payload_hits(options, payload.as_bytes()), expected, "{options} in {payload}");
    }
}

#[test]
fn headers_are_asked_for_what_they_hold() {
    let icmp = packet(Transport::Icmp { kind: 8, code: 1 }, b"");
    for (options, expected) in [
        ("itype:8;", true),
        ("itype:<8;", false),
        ("icode:0<>2;", true),
        ("ttl:64;", true),
        ("ttl:>64;", false),
    ] {
        let rules = loaded(&format!("alert icmp any any -> any any ({options} sid:1;)"));
        assert_eq!(!hits(&rules, &icmp).is_empty(), expected, "{options}");
    }
    assert!(payload_hits("flow:established,to_server; flags:PA; dsize:3;", b"abc"));
    assert!(!payload_hits("flow:to_client;", b"abc"));
    assert!(!payload_hits("flow:not_established;", b"abc"));
    assert!(!payload_hits("flags:S;", b"abc"));
    assert!(!payload_hits("dsize:>3;", b"abc"));
}

#[test]
fn of_many_hits_those_of_the_highest_risk_stay_and_the_rest_are_counted() {
    let rule = |sid: u32| {
        format!("alert tcp any any -> any any (metadata:risk {}; sid:{sid};)\n", sid % 7 * 10)
    };
    let rules = loaded(&(1..=20).map(rule).collect::<String>());
    let mut findings = Findings { rules_left_out: 9, intel_source: 3, ..Findings::default() };
    rules.inspect(&packet(WEB, b""), &mut Scratch::new(), &mut findings);
    let sids: Vec<u32> = findings.rules().iter().map(|&at| rules.rule(at).unwrap().sid).collect();
    assert_eq!(sids, [6, 13, 20, 5, 12, 19, 4, 11, 18, 3, 10, 17]);
    assert_eq!(usize::from(findings.rules_left_out), 20 - RULE_HITS_MAX);
    assert_eq!(findings.intel_source, 3);
}

#[test]
fn a_payload_made_to_cost_much_is_cut_short_and_counted() {
    let rules = loaded(
        "alert tcp any any -> any any (content:\"aa\"; content:\"a\"; within:900; content:\"a\"; within:900; content:\"b\"; within:1; content:\"zzz\"; sid:1;)",
    );
    let mut payload = vec![b'a'; 1_400];
    payload.extend_from_slice(b"zzz");
    let (mut scratch, mut findings) = (Scratch::new(), Findings::default());
    rules.inspect(&packet(WEB, &payload), &mut scratch, &mut findings);
    assert_eq!(scratch.counters().inspection_cut_short, 1);
    assert!(findings.is_empty());
    rules.inspect(&packet(WEB, b"aaaab zzz"), &mut scratch, &mut findings);
    assert_eq!(findings.rule_count, 1);
    assert_eq!(scratch.counters().inspection_cut_short, 1);
}

#[test]
fn open_contents_are_not_tried_again_where_it_cannot_help() {
    let contents = "content:\"a\"; distance:0; ".repeat(20);
    let options = format!("content:\"zzz\"; content:\"a\"; {contents} content:\"b\"; distance:0;");
    let rules = loaded(&format!("alert tcp any any -> any any ({options} sid:1;)"));
    let payload = [b"zzzb".to_vec(), vec![b'a'; 1_400]].concat();
    let mut scratch = Scratch::new();
    rules.inspect(&packet(WEB, &payload), &mut scratch, &mut Findings::default());
    assert_eq!(scratch.counters().inspection_cut_short, 0);
}

#[test]
fn only_packets_whose_ports_a_content_rule_names_are_searched() {
    let rules = loaded(
        "alert tcp any any -> any 80 (content:\"abc\"; sid:1;)\nalert tcp any 25 -> any any (content:\"abcd\"; sid:2;)",
    );
    let mut scratch = Scratch::new();
    let searched = |source_port, destination_port, payload: &[u8], scratch: &mut Scratch| {
        let before = scratch.counters().searched;
        let tcp = Transport::Tcp { source_port, destination_port, flags: 24 };
        rules.inspect(&packet(tcp, payload), scratch, &mut Findings::default());
        scratch.counters().searched > before
    };
    assert!(searched(4_000, 80, b"xabc", &mut scratch));
    assert!(searched(25, 4_000, b"abcd", &mut scratch));
    assert!(!searched(4_000, 443, b"xabc", &mut scratch));
    assert!(!searched(80, 4_000, b"xabc", &mut scratch));
    assert!(!searched(4_000, 80, b"ab", &mut scratch));
}

#[test]
fn the_hash_follows_what_was_loaded_and_nothing_else() {
    let hash = |text: &str, home: &str| {
        let mut variables = Variables::default();
        variables.set("HOME_NET", home);
        RuleSet::load([RuleText { name: "x", text }], &variables).0.hash()
    };
    let (a, b) =
        ("alert tcp any any -> $HOME_NET any (sid:1;)", "alert tcp any any -> any any (sid:2;)");
    let base = hash(&format!("{a}\n{b}"), "10.0.0.0/8");
    assert_eq!(base, hash(&format!("# note\n{b}\n\n{}", a.replace(' ', "  ")), "10.0.0.0/8"));
    assert_ne!(base, hash(&format!("{a}\n{b}"), "10.0.0.0/9"));
    assert_ne!(base, hash(a, "10.0.0.0/8"));
    assert_eq!(hash(b, "10.0.0.0/8"), hash(b, "10.0.0.0/9"));
}

fn signed(place: usize) -> i64 {
    i64::try_from(place).unwrap()
}

/// Whether the contents hold, by trying every place of every content.
fn naive(contents: &[Content], payload: &[u8], previous: usize) -> bool {
    let Some((content, rest)) = contents.split_first() else { return true };
    let (start, end) = match content.place {
        Place::Absolute { offset, depth } => {
            (i64::from(offset), depth.map(|depth| i64::from(offset) + i64::from(depth)))
        }
        Place::Relative { distance, within } => {
            let start = signed(previous) + i64::from(distance);
            (start, within.map(|within| start + i64::from(within)))
        }
    };
    let fits = |at: usize| {
        let end_at = at + content.bytes.len();
        payload.get(at..end_at).is_some_and(|there| {
            let same = if content.nocase {
                there.eq_ignore_ascii_case(&content.bytes)
            } else {
                *there == *content.bytes
            };
            same && signed(at) >= start
                && end.is_none_or(|end| signed(end_at) <= end)
                && (!content.at_end || end_at == payload.len())
        })
    };
    let mut places = (0..payload.len()).filter(|&at| fits(at));
    if content.negated {
        places.next().is_none() && naive(rest, payload, previous)
    } else {
        places.any(|at| naive(rest, payload, at + content.bytes.len()))
    }
}

fn naive_hits(rules: &[(u32, Condition, Vec<Content>)], packet: &Packet<'_>) -> Vec<u32> {
    let holds = |(_, condition, contents): &&(u32, Condition, Vec<Content>)| {
        condition.holds(packet) && naive(contents, packet.payload, 0)
    };
    rules.iter().filter(holds).map(|&(sid, ..)| sid).collect()
}

fn any_content() -> impl Strategy<Value = String> {
    let place = prop_oneof![
        4 => Just(String::new()),
        1 => (0..4_u32).prop_map(|n| format!(" offset:{n};")),
        1 => (3..8_u32).prop_map(|n| format!(" depth:{n};")),
        1 => (0..4_u32, 3..6_u32).prop_map(|(o, d)| format!(" offset:{o}; depth:{d};")),
        3 => (-2..4_i32).prop_map(|n| format!(" distance:{n};")),
        2 => (3..6_u32).prop_map(|n| format!(" within:{n};")),
        2 => (-2..3_i32, 3..6_u32).prop_map(|(d, w)| format!(" distance:{d}; within:{w};")),
        1 => Just(" startswith;".to_owned()),
    ];
    let flags = proptest::sample::subsequence(vec![" nocase;", " endswith;"], 0..=1);
    ("!?", "[abAB]{1,3}", place, flags).prop_map(|(not, text, place, flags)| {
        format!("content:{not}\"{text}\";{place}{}", flags.concat())
    })
}

fn any_rule() -> impl Strategy<Value = String> {
    let protocol = proptest::sample::select(vec!["tcp", "tcp", "udp", "ip", "icmp"]);
    let ports = || proptest::sample::select(vec!["any", "any", "80", "[80,443]", "!80", "1024:"]);
    let arrow = proptest::sample::select(vec!["->", "->", "<>"]);
    let extra = proptest::sample::select(vec![
        "",
        "",
        "dsize:>4;",
        "ttl:64;",
        "flow:to_server;",
        "priority:1;",
    ]);
    (protocol, ports(), arrow, ports(), extra, proptest::collection::vec(any_content(), 0..4))
        .prop_map(|(protocol, from, arrow, to, extra, contents)| {
            let (from, to) = if protocol == "icmp" { ("any", "any") } else { (from, to) };
            let flags = if protocol == "tcp" && contents.is_empty() { "flags:S+;" } else { "" };
            format!(
                "alert {protocol} any {from} {arrow} any {to} ({extra} {flags} {}",
                contents.join(" ")
            )
        })
}

fn any_transport() -> impl Strategy<Value = Transport> {
    let port = || proptest::sample::select(vec![80_u16, 443, 1_023, 1_024, 40_000]);
    prop_oneof![
        4 => (port(), port(), proptest::sample::select(vec![2_u8, 18, 24]))
            .prop_map(|(source_port, destination_port, flags)| Transport::Tcp { source_port, destination_port, flags }),
        2 => (port(), port()).prop_map(|(source_port, destination_port)| Transport::Udp { source_port, destination_port }),
        1 => Just(Transport::Icmp { kind: 8, code: 0 }),
        1 => Just(Transport::LaterFragment),
    ]
}

static DEFAULTS: std::sync::OnceLock<RuleSet> = std::sync::OnceLock::new();

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_compiled_matcher_finds_what_trying_everything_finds(
        texts in proptest::collection::vec(any_rule(), 1..10),
        packets in proptest::collection::vec((any_transport(), "[abAB]{0,14}"), 1..12),
    ) {
        let text: String = (1..).zip(&texts).map(|(sid, rule)| format!("{rule} sid:{sid};)\n")).collect();
        let file = RuleText { name: "a", text: &text };
        let rules = loaded(&text);
        let mut plain: Vec<_> = parse::rules(file, &Variables::none())
            .map(|rule| rule.map(|rule| (rule.rule.risk, rule.rule.sid, rule.condition, rule.contents)).unwrap())
            .collect();
        plain.sort_by_key(|&(risk, sid, ..)| (std::cmp::Reverse(risk), sid));
        let plain: Vec<_> = plain.into_iter().map(|(_, sid, condition, contents)| (sid, condition, contents)).collect();
        let mut scratch = Scratch::new();
        for (transport, payload) in &packets {
            let packet = packet(*transport, payload.as_bytes());
            let mut findings = Findings::default();
            rules.inspect(&packet, &mut scratch, &mut findings);
            let found: Vec<u32> = findings.rules().iter().map(|&at| rules.rule(at).unwrap().sid).collect();
            prop_assert_eq!(found, naive_hits(&plain, &packet), "{} over {:?} {}", text, transport, payload);
        }
        prop_assert_eq!(scratch.counters().inspection_cut_short, 0);
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_each_rule_is_loaded_or_refused(text in ".{0,200}") {
        let (rules, report) = load(&text);
        prop_assert_eq!(rules.len(), report.loaded);
        for refusal in &report.refused {
            prop_assert!(refusal.to_string().starts_with("a.rules:1: "));
        }
    }

    #[test]
    fn no_damage_to_a_rule_makes_the_parser_panic(
        rule in any_rule(),
        cut in any::<prop::sample::Index>(),
        noise in "[\\[\\]()!,:;\"|\\\\$ a-z0-9é\n-]{0,4}",
    ) {
        let mut text = format!("alert ip [10.0.0.0/8,!$HOME_NET] any -> any any (sid:99;)\n{rule} sid:1;)");
        let at = cut.index(text.len());
        text.insert_str(at, &noise);
        let (rules, report) = load(&text);
        prop_assert!(rules.len() + report.refused.len() >= 1);
        for refusal in &report.refused {
            prop_assert!(refusal.line >= 1 && !refusal.to_string().contains('\n'));
        }
    }

    #[test]
    fn nothing_in_a_packet_makes_inspection_panic(
        transport in any_transport(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let rules = DEFAULTS.get_or_init(|| RuleSet::load([DEFAULT_RULES], &Variables::default()).0);
        let mut findings = Findings::default();
        rules.inspect(&packet(transport, &payload), &mut Scratch::new(), &mut findings);
        prop_assert!(findings.rules().iter().all(|&at| usize::from(at) < rules.len()));
    }
}
