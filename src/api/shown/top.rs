//! Who and what stands behind most of the notable events.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use utoipa::ToSchema;

use super::explanation::message_of;
use super::{Moment, Verdict};
use crate::store::query::StoredEvent;
use crate::verdict::{Detection, Level};

/// The sources and rules of most events above SAFE, among the newest of a span.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Top {
    /// Events above SAFE that were looked at, the newest ones.
    events: u64,
    /// Whether these are all that the span has.
    is_complete: bool,
    /// When the oldest of them began; null when there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Moment>,
    /// The worst verdict first, then the most events.
    sources: Vec<TopSource>,
    /// The most events first.
    rules: Vec<TopRule>,
}

/// A source with its events.
#[derive(Debug, Serialize, ToSchema)]
struct TopSource {
    #[schema(example = "192.0.2.7")]
    ip: String,
    events: u64,
    /// Packets that they stand for.
    packets: u64,
    worst: Verdict,
}

/// A rule with the events in which it fired.
#[derive(Debug, Serialize, ToSchema)]
struct TopRule {
    /// Signature id.
    rule: u32,
    /// What it says; null when it is not loaded.
    message: Option<String>,
    events: u64,
    /// Packets that they stand for.
    packets: u64,
    worst: Verdict,
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    events: u64,
    packets: u64,
    worst: Level,
}

impl Top {
    pub(in super::super) fn of(
        events: &[StoredEvent],
        is_complete: bool,
        most: u32,
        detection: &Detection,
    ) -> Self {
        let mut sources = HashMap::new();
        let mut rules = HashMap::new();
        for StoredEvent { event, .. } in events {
            if let Some(source) = event.source.filter(|_| !event.is_of_victim()) {
                add(&mut sources, source, event.count, event.level);
            }
            for rule in &event.rules {
                add(&mut rules, *rule, event.count, event.level);
            }
        }
        let sources = largest(sources, most, |sum| (sum.worst, sum.events));
        let rules = largest(rules, most, |sum| (Level::Safe, sum.events));
        Self {
            events: events.len() as u64,
            is_complete,
            since: events.iter().map(|stored| stored.event.first).min().map(Moment),
            sources: sources
                .into_iter()
                .map(|(ip, Sum { events, packets, worst })| TopSource {
                    ip: ip.to_string(),
                    events,
                    packets,
                    worst: Verdict(worst),
                })
                .collect(),
            rules: rules
                .into_iter()
                .map(|(rule, Sum { events, packets, worst })| TopRule {
                    rule,
                    message: message_of(detection, rule),
                    events,
                    packets,
                    worst: Verdict(worst),
                })
                .collect(),
        }
    }
}

fn add<K: Hash + Eq>(sums: &mut HashMap<K, Sum>, key: K, packets: u64, level: Level) {
    let sum = sums.entry(key).or_insert(Sum { events: 0, packets: 0, worst: level });
    sum.events += 1;
    sum.packets += packets;
    sum.worst = sum.worst.max(level);
}

/// The largest by rank; at equal ranks the order is that of the keys, so that the same events give the same answer.
fn largest<K: Ord + Copy, R: Ord>(
    sums: HashMap<K, Sum>,
    most: u32,
    rank: impl Fn(&Sum) -> R,
) -> Vec<(K, Sum)> {
    let mut all: Vec<_> = sums.into_iter().collect();
    all.sort_by_key(|(key, sum)| (Reverse(rank(sum)), *key));
    all.truncate(most as usize);
    all
}
