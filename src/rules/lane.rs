//! Which rules a packet need be tried against: by transport, ports, TCP flags, and one search through its payload.

use std::collections::BTreeMap;
use std::ptr;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, Span, StartKind, packed};

use super::condition::{Condition, FlagsTest};
use super::intervals::Intervals;
use super::payload::{Content, Place};
use super::ruleset::Scratch;
use crate::decode::{Packet, Transport};

/// The rules for packets of one kind of transport.
///
/// A rule stands in the groups of its destination ports; in those of its source ports if it names only those; in every
/// destination group if it names neither. So a packet meets each of its rules in the two groups of its two ports. Of a group,
/// the rules with a content wait for the payload search to find their longest one, or, where that can stand in one place alone, for a look at
/// that place; the others are kept as bits, so that the TCP flags strike out most of them at once. A payload is searched for the contents of
/// its own ports' rules, and not at all where there are none.
#[derive(Debug)]
pub(super) struct Lane {
    by_destination: PortGroups,
    by_source: PortGroups,
    /// The rules without a content to look for, ascending: the meaning of the bits.
    unsearched: Box<[u16]>,
    /// For each byte of TCP flags, the bits of the unsearched rules that accept it; for other transports one row.
    accepted: Box<[u64]>,
    /// The rules whose content stands in one place or not at all.
    anchored: Box<[(u16, Anchor)]>,
    searches: Searches,
}

/// A rule while its lane is built.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub(super) rule: u16,
    pub(super) condition: &'a Condition,
    /// What is looked for in the payload; none for a rule without a content that must be there.
    pub(super) pattern: Option<&'a Content>,
    /// The fewest bytes of payload with which it can match.
    pub(super) payload_least: usize,
}

impl Lane {
    /// Builds the lane of the given rules, which stand in ascending order.
    pub(super) fn new(
        members: &[Member<'_>],
        has_flags: bool,
    ) -> Result<Self, aho_corasick::BuildError> {
        let unsearched: Box<[u16]> =
            members.iter().filter(|m| m.pattern.is_none()).map(|m| m.rule).collect();
        let words = unsearched.len().div_ceil(BITS);
        let bit_of = |rule: u16| unsearched.binary_search(&rule).ok();
        let rows: usize = if has_flags { 256 } else { 1 };
        let mut accepted = vec![0_u64; rows * words].into_boxed_slice();
        for member in members {
            let Some(bit) = bit_of(member.rule) else { continue };
            for (flags, row) in (0..=u8::MAX).zip(accepted.chunks_exact_mut(words)) {
                if !has_flags
                    || member.condition.flags.is_none_or(|test: FlagsTest| test.holds(flags))
                {
                    set_bit(row, bit);
                }
            }
        }
        let anchored: Box<[(u16, Anchor)]> = members
            .iter()
            .filter_map(|member| Some((member.rule, Anchor::of(member.pattern?)?)))
            .collect();
        let kind_of = |member: &Member<'_>| match member.pattern {
            None => bit_of(member.rule).map_or(Kind::Searched, Kind::Unsearched),
            Some(_) => {
                let place = anchored.binary_search_by_key(&member.rule, |(rule, _)| *rule);
                place
                    .ok()
                    .and_then(|at| u16::try_from(at).ok())
                    .map_or(Kind::Searched, Kind::Anchored)
            }
        };
        let mut wanted = BTreeMap::new();
        let mut build = |side: Side| {
            let placed = members.iter().filter_map(|member| {
                let (stands, ports) = placed(member.condition);
                (stands == side).then_some((member, kind_of(member), ports))
            });
            PortGroups::new(&placed.collect::<Vec<_>>(), words, &mut wanted)
        };
        let (by_destination, by_source) = (build(Side::Destination), build(Side::Source));
        let searches = Searches::new(members, wanted)?;
        Ok(Self { by_destination, by_source, accepted, anchored, searches, unsearched })
    }

    /// Adds the rules that the packet must be tried against to the candidates of `scratch`, in no order, perhaps one twice.
    pub(super) fn propose(&self, packet: &Packet<'_>, payload: &[u8], scratch: &mut Scratch) {
        let (from, to) = packet.transport.ports().unwrap_or_default();
        let groups = (self.by_destination.group(to), self.by_source.group(from));
        let (Some(destination), Some(source)) = groups else { return };
        let row = match packet.transport {
            Transport::Tcp { flags, .. } => usize::from(flags),
            _ => 0,
        };
        let words = destination.unsearched.len();
        let accepted = self.accepted.get(row * words..(row + 1) * words).unwrap_or_default();
        for (word, ((&a, &b), &accepted)) in
            destination.unsearched.iter().zip(&source.unsearched).zip(accepted).enumerate()
        {
            let mut bits = (a | b) & accepted;
            while bits != 0 {
                let bit = word * BITS + bits.trailing_zeros() as usize;
                scratch.propose(self.unsearched.get(bit).copied());
                bits &= bits - 1;
            }
        }
        for group in [destination, source] {
            for &at in &group.anchored {
                if let Some((rule, anchor)) = self.anchored.get(usize::from(at))
                    && anchor.holds(payload)
                {
                    scratch.propose(Some(*rule));
                }
            }
        }
        let search_of = |group: &Group| {
            let is_long_enough = payload.len() >= group.payload_least;
            self.searches.get(group.search).filter(|_| is_long_enough)
        };
        let (first, second) = (search_of(destination), search_of(source));
        let second = second.filter(|second| !first.is_some_and(|first| ptr::eq(first, *second)));
        for search in [first, second].into_iter().flatten() {
            search.propose(payload, scratch);
        }
    }
}

/// Where a rule of a group is kept.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// As this bit.
    Unsearched(usize),
    /// At this place of the lane's anchored rules.
    Anchored(u16),
    /// In a search.
    Searched,
}

/// Bytes that stand at one place of the payload or not at all, in either case of their letters.
#[derive(Clone, Debug)]
struct Anchor {
    bytes: Box<[u8]>,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Offset(usize),
    End,
}

impl Anchor {
    /// None where the content can stand in several places.
    fn of(content: &Content) -> Option<Self> {
        let at = match content.place {
            _ if content.at_end => At::End,
            Place::Absolute { offset, depth: Some(depth) }
                if usize::try_from(depth) == Ok(content.bytes.len()) =>
            {
                At::Offset(usize::try_from(offset).ok()?)
            }
            _ => return None,
        };
        Some(Self { bytes: content.bytes.clone(), at })
    }

    fn holds(&self, payload: &[u8]) -> bool {
        let length = self.bytes.len();
        let begin = match self.at {
            At::Offset(offset) => Some(offset),
            At::End => payload.len().checked_sub(length),
        };
        let there = begin.and_then(|begin| payload.get(begin..)?.get(..length));
        there.is_some_and(|there| there.eq_ignore_ascii_case(&self.bytes))
    }
}

const BITS: usize = u64::BITS as usize;

fn set_bit(words: &mut [u64], bit: usize) {
    if let Some(word) = words.get_mut(bit / BITS) {
        *word |= 1 << (bit % BITS);
    }
}

/// The port of a packet by which a rule is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Destination,
    Source,
}

/// Where a rule stands. One that goes both ways is found by its destination port, whichever end that is.
fn placed(condition: &Condition) -> (Side, Intervals<u16>) {
    let (source, destination) = (&condition.source.ports, &condition.destination.ports);
    match (source, destination) {
        (Some(source), Some(destination)) if condition.both_ways => {
            (Side::Destination, source.union(destination))
        }
        (Some(source), None) if !condition.both_ways => (Side::Source, source.clone()),
        (_, Some(destination)) if !condition.both_ways => (Side::Destination, destination.clone()),
        _ => (Side::Destination, Intervals::all()),
    }
}

/// The groups of one side, and which of them each port has.
///
/// Ports come in pages of 256. Most pages are alike, so what a look needs stays in the cache nearest to the processor, whatever ports come.
#[derive(Debug)]
struct PortGroups {
    of_page: [u8; PAGES],
    pages: Vec<[u16; PAGE_PORTS]>,
    groups: Vec<Group>,
}

/// The rules of a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Those without a content to look for, as bits.
    unsearched: Box<[u64]>,
    /// Those whose content stands in one place or not at all: where the lane has them.
    anchored: Box<[u16]>,
    /// The search for what the others wait for.
    search: SearchNumber,
    /// The shortest payload in which one of those can match.
    payload_least: usize,
}

/// Which of a lane's searches; none has no number.
type SearchNumber = Option<u16>;

/// The sets of rules that wait for a search, ascending, each with a number.
type Wanted = BTreeMap<Vec<u16>, u16>;

impl PortGroups {
    fn new(
        members: &[(&Member<'_>, Kind, Intervals<u16>)],
        words: usize,
        wanted: &mut Wanted,
    ) -> Self {
        let mut bounds: Vec<u16> = members
            .iter()
            .flat_map(|(_, _, ports)| ports.ranges())
            .flat_map(|&(low, high)| [Some(low), high.checked_add(1)])
            .flatten()
            .chain([0])
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut groups = Vec::new();
        let mut of_port = vec![0_u16; PORTS];
        let mut known = BTreeMap::new();
        for (nth, &low) in bounds.iter().enumerate() {
            let here = members.iter().filter(|(_, _, ports)| ports.contains(low));
            let group = Group::new(here.map(|(member, kind, _)| (*member, *kind)), words, wanted);
            let number = *known.entry(group.clone()).or_insert_with(|| {
                groups.push(group);
                u16::try_from(groups.len() - 1).unwrap_or(u16::MAX)
            });
            let high = bounds.get(nth + 1).map_or(PORTS, |&next| usize::from(next));
            if let Some(ports) = of_port.get_mut(usize::from(low)..high) {
                ports.fill(number);
            }
        }
        let (mut of_page, mut pages) = ([0; PAGES], Vec::new());
        for (page, of_page) in of_port.as_chunks::<PAGE_PORTS>().0.iter().zip(&mut of_page) {
            let known = pages.iter().position(|known| known == page);
            let at = known.unwrap_or_else(|| {
                pages.push(*page);
                pages.len() - 1
            });
            *of_page = u8::try_from(at).unwrap_or(u8::MAX);
        }
        Self { of_page, pages, groups }
    }

    fn group(&self, port: u16) -> Option<&Group> {
        let [page, within] = port.to_be_bytes();
        let page = self.pages.get(usize::from(*self.of_page.get(usize::from(page))?))?;
        self.groups.get(usize::from(*page.get(usize::from(within))?))
    }
}

/// Pages of ports, and ports of a page.
const PAGES: usize = 1 << 8;
const PAGE_PORTS: usize = 1 << 8;
const PORTS: usize = 1 << 16;

impl Group {
    fn new<'a>(
        members: impl Iterator<Item = (&'a Member<'a>, Kind)>,
        words: usize,
        wanted: &mut Wanted,
    ) -> Self {
        let (mut unsearched, mut anchored, mut searched) = (vec![0; words], vec![], vec![]);
        let mut payload_least = usize::MAX;
        for (member, kind) in members {
            match kind {
                Kind::Unsearched(bit) => set_bit(&mut unsearched, bit),
                Kind::Anchored(at) => anchored.push(at),
                Kind::Searched => {
                    searched.push(member.rule);
                    payload_least = payload_least.min(member.payload_least);
                }
            }
        }
        let next = u16::try_from(wanted.len()).ok();
        let search = next.filter(|_| !searched.is_empty());
        let search = search.map(|next| *wanted.entry(searched).or_insert(next));
        Self { unsearched: unsearched.into(), anchored: anchored.into(), search, payload_least }
    }
}

/// The searches of a lane.
#[derive(Debug)]
struct Searches {
    /// By number; where there would be too many or too large ones, a single one for all rules.
    searches: Vec<Search>,
}

impl Searches {
    fn new(members: &[Member<'_>], wanted: Wanted) -> Result<Self, aho_corasick::BuildError> {
        let patterns: BTreeMap<u16, &Content> = members
            .iter()
            .filter_map(|member| Some((member.rule, member.pattern?)))
            .filter(|(_, pattern)| Anchor::of(pattern).is_none())
            .collect();
        let bytes_of = |rule: &u16| patterns.get(rule).map_or(0, |pattern| pattern.bytes.len());
        let bytes: usize = wanted.keys().flatten().map(bytes_of).sum();
        let mut sets: Vec<(Vec<u16>, u16)> = wanted.into_iter().collect();
        if sets.len() > SEARCHES_MAX || bytes > SEARCHES_BYTES_MAX {
            sets = vec![(patterns.keys().copied().collect(), 0)];
        }
        sets.sort_by_key(|(_, number)| *number);
        let search = |(rules, _): (Vec<u16>, u16)| {
            Search::new(rules.into_iter().filter_map(|rule| Some((rule, *patterns.get(&rule)?))))
        };
        Ok(Self { searches: sets.into_iter().map(search).collect::<Result<_, _>>()? })
    }

    fn get(&self, number: SearchNumber) -> Option<&Search> {
        let number = usize::from(number?);
        self.searches.get(number).or(self.searches.first())
    }
}

/// How many searches a lane may have before one has to do for all ports.
const SEARCHES_MAX: usize = 64;
/// How many bytes of patterns they may have in all: some 32 MiB of tables.
const SEARCHES_BYTES_MAX: usize = 1 << 20;

/// One search for the patterns of several rules, blind to case.
///
/// The automaton finds all of them, and takes a byte after the other. Most payloads hold none, which vector instructions find out several
/// times as fast: first the payload, in lower case, is looked through for any.
#[derive(Debug)]
struct Search {
    /// None where there are too many patterns, or no vector instructions.
    any: Option<Vec<packed::Searcher>>,
    automaton: AhoCorasick,
    /// The bytes of the longest pattern.
    longest: usize,
    /// For each pattern, the rules that wait for it.
    owners: Vec<Box<[u16]>>,
}

impl Search {
    fn new<'a>(
        rules: impl Iterator<Item = (u16, &'a Content)>,
    ) -> Result<Self, aho_corasick::BuildError> {
        let mut owners: BTreeMap<Vec<u8>, Vec<u16>> = BTreeMap::new();
        for (rule, content) in rules {
            owners.entry(content.bytes.to_ascii_lowercase()).or_default().push(rule);
        }
        let bytes: usize = owners.keys().map(Vec::len).sum();
        let kind = if bytes <= DFA_BYTES_MAX {
            AhoCorasickKind::DFA
        } else {
            AhoCorasickKind::ContiguousNFA
        };
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .start_kind(StartKind::Unanchored)
            .kind(Some(kind))
            .build(owners.keys())?;
        let patterns: Vec<&[u8]> = owners.keys().map(Vec::as_slice).collect();
        let any = (patterns.len() <= PATTERNS_PACKED_MAX)
            .then(|| patterns.chunks(PATTERNS_TOGETHER).map(packed::Searcher::new).collect())
            .flatten();
        let longest = patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        let owners = owners.into_values().map(Vec::into_boxed_slice).collect();
        Ok(Self { any, automaton, longest, owners })
    }

    /// Proposes the rules whose pattern stands in the payload. Every hit is looked at, up to a bound that only a rule set with
    /// many short patterns inside each other can reach.
    fn propose(&self, payload: &[u8], scratch: &mut Scratch) {
        scratch.begin_search(self.owners.len(), payload.len());
        let most = HITS_LEAST + HITS_PER_BYTE * payload.len();
        let is_done = self.any.as_ref().is_some_and(|any| {
            let mut lowered = scratch.take_lowered();
            lowered.clear();
            lowered.extend(payload.iter().map(u8::to_ascii_lowercase));
            let is_done = self.propose_by_place(any, &lowered, most, scratch);
            scratch.give_back_lowered(lowered);
            is_done
        });
        if !is_done && self.propose_all_of(Input::new(payload), most, scratch).is_none() {
            scratch.cut_short();
        }
    }

    /// Where vector instructions find a pattern, others can begin too, so the automaton looks at what the longest could fill. Returns
    /// false when that comes to more bytes than there are, or to too many hits: then one walk costs less.
    fn propose_by_place(
        &self,
        any: &[packed::Searcher],
        lowered: &[u8],
        most: usize,
        scratch: &mut Scratch,
    ) -> bool {
        let (mut bytes_left, mut hits_left) = (lowered.len(), most);
        for searcher in any {
            let mut rest = Span { start: 0, end: lowered.len() };
            while let Some(found) = searcher.find_in(lowered, rest) {
                let end = lowered.len().min(found.start() + self.longest);
                let there = Input::new(lowered).range(found.start()..end);
                let bytes = bytes_left.checked_sub(end - found.start());
                let hits = bytes.and_then(|_| self.propose_all_of(there, hits_left, scratch));
                let (Some(bytes), Some(hits)) = (bytes, hits) else { return false };
                (bytes_left, hits_left) = (bytes, hits_left - hits);
                rest.start = found.start() + 1;
            }
        }
        true
    }

    /// Proposes the rules whose pattern stands there. How many hits there were; `None` where there are more than `most`.
    fn propose_all_of(
        &self,
        there: Input<'_>,
        most: usize,
        scratch: &mut Scratch,
    ) -> Option<usize> {
        let mut hits = self.automaton.find_overlapping_iter(there);
        let mut count = 0;
        for hit in hits.by_ref().take(most) {
            count += 1;
            let pattern = hit.pattern().as_usize();
            if scratch.is_first_hit(pattern) {
                for &rule in self.owners.get(pattern).map(|rules| &**rules).unwrap_or_default() {
                    scratch.propose(Some(rule));
                }
            }
        }
        hits.next().is_none().then_some(count)
    }
}

/// Patterns that one pass of vector instructions looks for: more fill its table until it finds something everywhere.
const PATTERNS_TOGETHER: usize = 48;
/// With more patterns, so many passes cost as much as the automaton.
const PATTERNS_PACKED_MAX: usize = 4 * PATTERNS_TOGETHER;
/// Up to this many bytes of patterns the automaton is a table, which is faster and larger: about 256 KiB for 8 KiB.
const DFA_BYTES_MAX: usize = 8192;
/// How many hits any payload may have.
const HITS_LEAST: usize = 256;
/// How many more for each byte.
const HITS_PER_BYTE: usize = 8;

/// Which content of a rule is looked for first: the one its author marked, else the longest, the earlier of equals. A
/// negated content need not be there, so it cannot be looked for.
pub(super) fn pattern(contents: &[Content], marked: Option<usize>) -> Option<&Content> {
    if let Some(content) = marked.and_then(|at| contents.get(at)) {
        return Some(content);
    }
    let mut longest: Option<&Content> = None;
    for content in contents.iter().filter(|content| !content.negated) {
        if longest.is_none_or(|known| known.bytes.len() < content.bytes.len()) {
            longest = Some(content);
        }
    }
    longest
}

/// The fewest bytes of payload with which a rule can match: a bound from its contents and its `dsize`.
pub(super) fn payload_least(condition: &Condition, contents: &[Content]) -> usize {
    let by_content = contents.iter().filter(|content| !content.negated).map(|content| {
        let offset = match content.place {
            Place::Absolute { offset, .. } => usize::try_from(offset).unwrap_or(usize::MAX),
            Place::Relative { .. } => 0,
        };
        offset.saturating_add(content.bytes.len())
    });
    let by_length = condition.payload_length.map_or(0, |test| test.least());
    by_content.max().unwrap_or(0).max(usize::try_from(by_length).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::decode::Transport;
    use crate::handover::{Findings, RULE_HITS_MAX};
    use crate::rules::tests::packet;
    use crate::rules::{RuleSet, RuleText, Scratch, Variables};

    const WEB: Transport = Transport::Tcp { source_port: 40_000, destination_port: 80, flags: 24 };

    /// Of rules with a pattern each, numbered from 1: those that fire, and how many found no room among them.
    fn found(patterns: &[String], payload: &str, scratch: &mut Scratch) -> (Vec<u32>, u8) {
        let rule = |(sid, pattern)| {
            format!("alert tcp any any -> any 80 (content:\"{pattern}\"; nocase; sid:{sid};)\n")
        };
        let text: String = (1_u32..).zip(patterns).map(rule).collect();
        let (rules, _) = RuleSet::load([RuleText { name: "a", text: &text }], &Variables::none());
        let mut findings = Findings::default();
        rules.inspect(&packet(WEB, payload.as_bytes()), scratch, &mut findings);
        let fired = findings.rules().iter().filter_map(|&at| Some(rules.rule(at)?.sid)).collect();
        (fired, findings.rules_left_out)
    }

    proptest! {
        // As many patterns as one pass of vector instructions takes, and as several do; as long a payload as they need, from one that is
        // full of patterns to one with hardly any.
        #[test]
        fn every_pattern_is_found_however_they_lie_across_each_other(
            patterns in prop_oneof![
                prop::collection::btree_set("[ab]{1,7}|[abc]{2,3}|[a-d]{9,20}", 1..=12),
                prop::collection::btree_set("[a-d]{2,6}|[a-e]{9,20}", 60..=150),
            ],
            payload in "([abAB]{1,12}|[.]{1,40}|[a-eA-E]{5,25}){0,24}",
        ) {
            let patterns: Vec<String> = patterns.into_iter().collect();
            let lowered = payload.to_ascii_lowercase();
            let mut scratch = Scratch::new();
            let there = (1_u32..).zip(&patterns).filter(|(_, pattern)| lowered.contains(pattern.as_str()));
            let mut there: Vec<u32> = there.map(|(sid, _)| sid).collect();
            let left_out = u8::try_from(there.len().saturating_sub(RULE_HITS_MAX)).unwrap();
            there.truncate(RULE_HITS_MAX);
            prop_assert_eq!(found(&patterns, &payload, &mut scratch), (there, left_out), "{:?} in {}", patterns, payload);
            prop_assert_eq!(scratch.counters().inspection_cut_short, 0);
        }
    }
}
