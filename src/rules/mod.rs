//! Signatures: Suricata's rule language in a stated subset, compiled once and matched packet by packet.
//!
//! ```text
//!  rule files --> parse --> RuleSet  --inspect--> Findings (candidates) --> ThresholdTable (at the owner) --> fires
//!                 |         compiled, sorted     indices, highest risk      counts by source or destination
//!                 `--> LoadReport: loaded, refused and why
//! ```
//!
//! # What of the language is honoured
//!
//! * Action `alert`. Protocols `ip` (`ip4`, `ipv4`, `ip6`, `ipv6`), `tcp` (`tcp-pkt`), `udp`, `icmp`, `icmpv4`, `icmpv6`.
//!   Addresses and ports: `any`, single, CIDR, ranges, lists, negation, variables. Directions `->` and `<>`.
//! * `msg sid gid rev classtype priority metadata reference`, `content` with `nocase offset depth distance within
//!   startswith endswith fast_pattern rawbytes`, `dsize`, `flags`, `itype`, `icode`, `ttl`, `threshold` (limit, threshold,
//!   both), `detection_filter`, and `flow`.
//! * `flow` is judged by the packet alone, for no stream is kept. `to_server` and `to_client` follow the ports and SYN
//!   flags (see [`Direction`]); `established` means a TCP segment with ACK and neither SYN nor RST, or any datagram of
//!   another protocol; `not_established` is its opposite; `stateless` and `no_stream` always hold.
//! * Any other keyword refuses its rule, by name, in the [`LoadReport`]. So do the options of a known keyword that cannot
//!   be honoured (`flow:only_stream`, `threshold: track by_rule`).
//!
//! * `track by_src` counts by source as the sensor knows it: an IPv6 host is its /64 (`sources.ipv6_prefix`), for it can take any
//!   address of it.
//!
//! Each packet is matched by itself: a signature that is cut in two by the sender is not seen. `dsize` and contents speak
//! of the captured payload.
//!
//! # What is added, inside `metadata` so that the file stays valid elsewhere
//!
//! * `risk N`, 0 to 100: what a hit weighs. Otherwise it follows from the priority ([`risk_of_priority`]).
//! * `attack_class NAME`: one of [`AttackClass`]. Otherwise it follows from the classtype.
//! * `count_distinct dst_port` (or `dst_ip`, `src_ip`): the threshold counts different values, not packets. A port scan is
//!   twenty different destination ports of one source within a minute.

mod class;
mod condition;
mod distinct;
mod intervals;
mod lane;
mod number;
mod parse;
mod payload;
mod place;
mod report;
mod rule;
mod ruleset;
mod thresholds;
mod variables;

#[cfg(test)]
mod tests;

pub use class::{ATTACK_CLASSES, AttackClass, risk_of_priority};
pub use condition::Direction;
pub use distinct::{DISTINCT_EXACT_MAX, DISTINCT_STANDARD_ERROR};
pub use place::{Counter, Place, Sighting};
pub use report::{LoadReport, Refusal, RefusalKind};
pub use rule::{Counting, Distinct, Reference, Rule, Threshold, ThresholdKind, Track};
pub use ruleset::{
    InspectionCounters, PAYLOAD_BYTES_MAX, RULE_BYTES_MAX, RULES_MAX, RuleSet, RuleText, Scratch,
};
pub use thresholds::{Fired, THRESHOLD_ENTRY_BYTES, ThresholdTable};
pub use variables::Variables;

/// The rules that the sensor uses when no other file is named.
pub const DEFAULT_RULES: RuleText<'static> = RuleText {
    name: "phantomnet.rules",
    text: include_str!("../../configs/rules/phantomnet.rules"),
};
