//! Which rules a packet need be tried against: by transport, ports, TCP flags, and one search through its payload.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, StartKind};

use super::condition::{Condition, FlagsTest};
use super::intervals::Intervals;
use super::payload::{Content, Place};
use super::ruleset::Scratch;
use crate::decode::{Packet, Transport};

/// The rules for packets of one kind of transport.
///
/// A rule stands in the groups of its destination ports; in those of its source ports if it names only those; in every
/// destination group if it names neither. So a packet meets each of its rules in the two groups of its two ports. Of a group,
/// the rules with a content wait for the payload search to find their longest one; the others are kept as bits, so that the
/// TCP flags strike out most of them at once.
#[derive(Debug)]
pub(super) struct Lane {
    by_destination: PortGroups,
    by_source: PortGroups,
    /// The rules without a content to look for, ascending: the meaning of the bits.
    unsearched: Box<[u16]>,
    /// For each byte of TCP flags, the bits of the unsearched rules that accept it; for other transports one row.
    accepted: Box<[u64]>,
    search: Option<Search>,
}

/// A rule while its lane is built.
#[derive(Clone, Copy, Debug)]
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
        let build = |wanted: Side| {
            let placed = members.iter().filter_map(|member| {
                let (side, ports) = placed(member.condition);
                (side == wanted).then_some((member, ports))
            });
            PortGroups::new(&placed.collect::<Vec<_>>(), words, bit_of)
        };
        Ok(Self {
            by_destination: build(Side::Destination),
            by_source: build(Side::Source),
            accepted,
            search: Search::new(members)?,
            unsearched,
        })
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
        if payload.len() >= destination.payload_least.min(source.payload_least)
            && let Some(search) = &self.search
        {
            search.propose(payload, scratch);
        }
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
#[derive(Debug)]
struct PortGroups {
    of_port: Box<[u16]>,
    groups: Vec<Group>,
}

/// The rules of a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// Those without a content to look for, as bits.
    unsearched: Box<[u64]>,
    /// The shortest payload in which one of the others can match.
    payload_least: usize,
}

impl PortGroups {
    fn new(
        members: &[(&Member<'_>, Intervals<u16>)],
        words: usize,
        bit_of: impl Fn(u16) -> Option<usize>,
    ) -> Self {
        let mut bounds: Vec<u16> = members
            .iter()
            .flat_map(|(_, ports)| ports.ranges())
            .flat_map(|&(low, high)| [Some(low), high.checked_add(1)])
            .flatten()
            .chain([0])
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        let mut this = Self { of_port: vec![0; PORTS].into(), groups: Vec::new() };
        let mut known = BTreeMap::new();
        for (nth, &low) in bounds.iter().enumerate() {
            let mut group = Group { unsearched: vec![0; words].into(), payload_least: usize::MAX };
            for (member, _) in members.iter().filter(|(_, ports)| ports.contains(low)) {
                match bit_of(member.rule) {
                    Some(bit) => set_bit(&mut group.unsearched, bit),
                    None => group.payload_least = group.payload_least.min(member.payload_least),
                }
            }
            let number = *known.entry(group.clone()).or_insert_with(|| {
                this.groups.push(group);
                u16::try_from(this.groups.len() - 1).unwrap_or(u16::MAX)
            });
            let high = bounds.get(nth + 1).map_or(PORTS, |&next| usize::from(next));
            if let Some(ports) = this.of_port.get_mut(usize::from(low)..high) {
                ports.fill(number);
            }
        }
        this
    }

    fn group(&self, port: u16) -> Option<&Group> {
        let number = self.of_port.get(usize::from(port))?;
        self.groups.get(usize::from(*number))
    }
}

const PORTS: usize = 1 << 16;

/// One search for all patterns of a lane, blind to case.
#[derive(Debug)]
struct Search {
    automaton: AhoCorasick,
    /// For each pattern, the rules that wait for it.
    owners: Vec<Box<[u16]>>,
}

impl Search {
    fn new(members: &[Member<'_>]) -> Result<Option<Self>, aho_corasick::BuildError> {
        let mut owners: BTreeMap<Vec<u8>, Vec<u16>> = BTreeMap::new();
        for member in members {
            if let Some(content) = member.pattern {
                owners.entry(content.bytes.to_ascii_lowercase()).or_default().push(member.rule);
            }
        }
        if owners.is_empty() {
            return Ok(None);
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
        let owners = owners.into_values().map(Vec::into_boxed_slice).collect();
        Ok(Some(Self { automaton, owners }))
    }

    /// Proposes the rules whose pattern stands in the payload. Every hit is looked at, up to a bound that only a rule set with
    /// many short patterns inside each other can reach.
    fn propose(&self, payload: &[u8], scratch: &mut Scratch) {
        scratch.begin_search(self.owners.len(), payload.len());
        let most = HITS_LEAST + HITS_PER_BYTE * payload.len();
        let mut hits = self.automaton.find_overlapping_iter(payload);
        for hit in hits.by_ref().take(most) {
            let pattern = hit.pattern().as_usize();
            if scratch.is_first_hit(pattern) {
                for &rule in self.owners.get(pattern).map(|rules| &**rules).unwrap_or_default() {
                    scratch.propose(Some(rule));
                }
            }
        }
        if hits.next().is_some() {
            scratch.cut_short();
        }
    }
}

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
