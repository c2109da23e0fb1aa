//! The loaded rules, compiled, and the inspection of a packet with them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use super::condition::{Condition, Protocol, Settled};
use super::lane::{Lane, Member, pattern, payload_least};
use super::parse::{self, ParsedRule};
use super::payload::{Budget, Content, chains, holds};
use super::place::Counter;
use super::report::{LoadReport, Refusal, RefusalKind};
use super::rule::Rule;
use super::variables::Variables;
use crate::decode::{Packet, Transport};
use crate::handover::{Findings, RULE_HITS_MAX};

/// How many rules a set can hold; what a rule's index can name.
pub const RULES_MAX: usize = 65_535;

/// How many bytes one rule may have.
pub const RULE_BYTES_MAX: usize = 16_384;

/// How many bytes of a payload are looked at; an IP datagram cannot have more.
pub const PAYLOAD_BYTES_MAX: usize = 65_535;

/// The text of a rule file, and the name under which messages speak of it.
#[derive(Clone, Copy, Debug)]
pub struct RuleText<'a> {
    /// The name, usually a path.
    pub name: &'a str,
    /// The text. Bytes of the file that are not UTF-8 stand in it as U+FFFD: comments and messages may have them, and a
    /// content that does refuses its rule.
    pub text: &'a str,
}

/// Rules ready to be matched. Never changed once loaded.
///
/// The rules stand in the order of their weight: highest risk first, lower sid first among equals. So the first matches found
/// are the ones to keep.
pub struct RuleSet {
    rules: Vec<Rule>,
    programs: Vec<Program>,
    /// How those count that count their matches before they fire.
    counters: Vec<Option<Counter>>,
    lanes: Lanes,
    hash: [u8; 32],
    refused: usize,
}

impl fmt::Debug for RuleSet {
    /// What it holds; the tables by port would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// How a rule is matched.
#[derive(Debug)]
struct Program {
    condition: Condition,
    /// What of the condition is known to hold by the way that led here.
    settled: Settled,
    chains: Vec<Vec<Content>>,
}

impl RuleSet {
    /// Reads and compiles rules. A rule that cannot be taken is left out and told of in the report; whether that is fatal is
    /// for the caller to say.
    #[must_use]
    pub fn load<'a>(
        files: impl IntoIterator<Item = RuleText<'a>>,
        variables: &Variables,
    ) -> (Self, LoadReport) {
        let mut report = LoadReport::default();
        let mut taken: BTreeMap<u32, ParsedRule> = BTreeMap::new();
        for parsed in files.into_iter().flat_map(|file| parse::rules(file, variables)) {
            let accepted = parsed.and_then(|parsed| {
                refuse_duplicate(&taken, &parsed.rule)?;
                Ok(parsed)
            });
            match accepted {
                Ok(parsed) => {
                    taken.insert(parsed.rule.sid, parsed);
                }
                Err(refusal) => report.refused.push(refusal),
            }
        }
        let mut taken: Vec<ParsedRule> = taken.into_values().collect();
        taken.sort_by_key(|parsed| (std::cmp::Reverse(parsed.rule.risk), parsed.rule.sid));
        report.loaded = taken.len();
        (Self { refused: report.refused.len(), ..Self::compile(taken) }, report)
    }

    fn compile(parsed: Vec<ParsedRule>) -> Self {
        let lanes = Lanes::new(&parsed);
        let hash = hash(&parsed);
        let (rules, programs) = parsed
            .into_iter()
            .map(|parsed| {
                let is_searched = pattern(&parsed.contents, parsed.fast_pattern).is_some();
                let settled = parsed.condition.settled(is_searched);
                let chains = chains(parsed.contents);
                let program = Program { condition: parsed.condition, settled, chains };
                (parsed.rule, program)
            })
            .unzip();
        let rules: Vec<Rule> = rules;
        let counter = |rule: &Rule| Some(Counter::new(rule.sid, rule.threshold?));
        let counters = rules.iter().map(counter).collect();
        Self { rules, programs, counters, lanes, hash, refused: 0 }
    }

    /// Writes into `findings` the rules that the packet matches, those of highest risk first; behind them rules that
    /// count: whether they fire is for a [`ThresholdTable`](super::ThresholdTable) to say. What else `findings` holds is left alone.
    pub fn inspect(&self, packet: &Packet<'_>, scratch: &mut Scratch, findings: &mut Findings) {
        findings.rule_count = 0;
        findings.rules_left_out = 0;
        let whole = packet.payload.get(..PAYLOAD_BYTES_MAX);
        let payload = whole.unwrap_or(packet.payload);
        scratch.begin_packet(self.rules.len());
        self.lanes.of(&packet.transport).propose(packet, payload, scratch);
        if scratch.candidates.is_empty() {
            return;
        }
        if !scratch.candidates.is_sorted_by(|a, b| a < b) {
            scratch.candidates.sort_unstable();
            scratch.candidates.dedup();
        }
        let mut budget = Budget::for_payload(payload.len());
        scratch.counters.candidates += scratch.candidates.len() as u64;
        // Rules that fire by themselves take their places first: one that merely counts may not fire at all.
        for counts in [false, true] {
            for &index in &scratch.candidates {
                let place = usize::from(index);
                if self.counter(index).is_some() == counts
                    && let Some(program) = self.programs.get(place)
                    && program.matches(packet, payload, &mut budget)
                {
                    findings.push_rule(index);
                }
            }
        }
        if budget.is_spent() || payload.len() < packet.payload.len() {
            scratch.cut_short();
        }
    }

    /// How many rules of the files were refused and are not in the set.
    #[must_use]
    pub const fn refused(&self) -> usize {
        self.refused
    }

    /// The rule with that index, as [`Findings`] names it.
    #[must_use]
    pub fn rule(&self, index: u16) -> Option<&Rule> {
        self.rules.get(usize::from(index))
    }

    /// How the rule with that index counts its matches before it fires; `None` where each fires.
    #[must_use]
    pub fn counter(&self, index: u16) -> Option<&Counter> {
        self.counters.get(usize::from(index))?.as_ref()
    }

    /// All rules, by index: highest risk first, lower sid first among equals.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// SHA-256 of what was loaded: the text of each rule with its spaces evened out, by index, and what the variables it names
    /// stood for. Comments, file names and refused rules are no part of it.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl Program {
    fn matches(&self, packet: &Packet<'_>, payload: &[u8], budget: &mut Budget) -> bool {
        self.condition.rest_holds(packet, self.settled)
            && self.chains.iter().all(|chain| holds(chain, payload, 0, budget))
    }
}

const _: () = assert!(RULE_HITS_MAX <= u8::MAX as usize, "a count of hits is one byte");

fn refuse_duplicate(taken: &BTreeMap<u32, ParsedRule>, rule: &Rule) -> Result<(), Refusal> {
    let reason = if let Some(earlier) = taken.get(&rule.sid) {
        let Rule { file, line, .. } = &earlier.rule;
        format!(
            "its sid stands at {file}:{line} already; give it another, or take one of the two out"
        )
    } else if taken.len() >= RULES_MAX {
        format!("it is one too many; a set has at most {RULES_MAX}, take some out")
    } else {
        return Ok(());
    };
    Err(Refusal {
        file: rule.file.clone(),
        line: rule.line,
        sid: Some(rule.sid),
        kind: RefusalKind::Malformed,
        reason,
    })
}

fn hash(parsed: &[ParsedRule]) -> [u8; 32] {
    let mut text = String::new();
    let mut variables = BTreeMap::new();
    for rule in parsed {
        text.push_str(&rule.text);
        text.push('\n');
        // The text evens out white space, also between quotes; what is looked for is told apart here.
        for content in &rule.contents {
            for byte in &content.bytes {
                text.push_str(&format!("{byte:02x}"));
            }
            text.push('\n');
        }
        variables.extend(&rule.variables);
    }
    for (name, value) in variables {
        // Writing to a String cannot fail.
        if writeln!(text, "${name} {value}").is_err() {
            break;
        }
    }
    Sha256::digest(text).into()
}

/// The lanes, by transport.
#[derive(Debug)]
struct Lanes {
    tcp: Lane,
    udp: Lane,
    icmp: Lane,
    other: Lane,
}

impl Lanes {
    fn new(rules: &[ParsedRule]) -> Self {
        let lane = |takes: fn(Protocol) -> bool, has_flags| {
            let members: Vec<Member<'_>> = (0..=u16::MAX)
                .zip(rules)
                .filter(|(_, parsed)| takes(parsed.condition.protocol))
                .map(|(rule, parsed)| Member {
                    rule,
                    condition: &parsed.condition,
                    pattern: pattern(&parsed.contents, parsed.fast_pattern),
                    payload_least: payload_least(&parsed.condition, &parsed.contents),
                })
                .collect();
            Lane::new(&members, has_flags).expect(
                "65,535 patterns of 255 bytes need fewer than the 2^31 states that there may be",
            )
        };
        Self {
            tcp: lane(|p| p == Protocol::Tcp || is_ip(p), true),
            udp: lane(|p| p == Protocol::Udp || is_ip(p), false),
            icmp: lane(|p| p.is_icmp() || is_ip(p), false),
            other: lane(is_ip, false),
        }
    }

    const fn of(&self, transport: &Transport) -> &Lane {
        match transport {
            Transport::Tcp { .. } => &self.tcp,
            Transport::Udp { .. } => &self.udp,
            Transport::Icmp { .. } => &self.icmp,
            Transport::LaterFragment | Transport::Other => &self.other,
        }
    }
}

const fn is_ip(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Ip | Protocol::Ipv4 | Protocol::Ipv6)
}

/// What one worker needs to inspect packets, made once and used again for each. It grows to the rule set at its first packet
/// and allocates nothing afterwards.
#[derive(Debug, Default)]
pub struct Scratch {
    candidates: Vec<u16>,
    /// The payload in lower case.
    lowered: Vec<u8>,
    /// For each pattern, the search in which it was last hit.
    hit_in: Vec<u32>,
    search: u32,
    /// The inspection of this packet was cut short.
    is_cut_short: bool,
    counters: InspectionCounters,
}

/// What inspection did; sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InspectionCounters {
    /// Packets inspected.
    pub packets: u64,
    /// Payloads searched for patterns.
    pub searched: u64,
    /// Bytes of those payloads.
    pub searched_bytes: u64,
    /// Rules tried.
    pub candidates: u64,
    /// Packets whose payload was so made that looking for every rule would have cost more than is allowed: some rule may have
    /// been missed.
    pub inspection_cut_short: u64,
}

impl Scratch {
    /// One that no packet has used.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What inspection did so far.
    #[must_use]
    pub const fn counters(&self) -> InspectionCounters {
        self.counters
    }

    fn begin_packet(&mut self, rules: usize) {
        self.counters.packets += 1;
        self.is_cut_short = false;
        self.candidates.clear();
        // Each rule is proposed at most once by its bit and once by its pattern.
        self.candidates.reserve(rules);
        self.lowered.clear();
        self.lowered.reserve(PAYLOAD_BYTES_MAX);
    }

    pub(super) fn begin_search(&mut self, patterns: usize, bytes: usize) {
        self.counters.searched += 1;
        self.counters.searched_bytes += bytes as u64;
        if self.hit_in.len() < patterns {
            self.hit_in.resize(patterns, 0);
        }
        self.search = self.search.wrapping_add(1);
        if self.search == 0 {
            self.hit_in.fill(0);
            self.search = 1;
        }
    }

    /// The memory for a payload in lower case, until it is given back.
    pub(super) fn take_lowered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lowered)
    }

    pub(super) fn give_back_lowered(&mut self, lowered: Vec<u8>) {
        self.lowered = lowered;
    }

    pub(super) fn is_first_hit(&mut self, pattern: usize) -> bool {
        match self.hit_in.get_mut(pattern) {
            Some(last) if *last != self.search => {
                *last = self.search;
                true
            }
            _ => false,
        }
    }

    pub(super) fn propose(&mut self, rule: Option<u16>) {
        self.candidates.extend(rule);
    }

    pub(super) fn cut_short(&mut self) {
        self.counters.inspection_cut_short += u64::from(!self.is_cut_short);
        self.is_cut_short = true;
    }
}
