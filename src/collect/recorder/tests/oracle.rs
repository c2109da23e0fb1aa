//! The same events by another way: plain lists, searched from end to end for every verdict.

use std::collections::BTreeMap;

use super::*;

/// What an event is told by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) source: Option<Address>,
    pub(super) destination: Option<Address>,
    pub(super) destination_port: Option<u16>,
    pub(super) protocol: u8,
    pub(super) level: Level,
    pub(super) count: u64,
    pub(super) alerts: u64,
    pub(super) weight: u64,
    pub(super) bytes: u64,
    pub(super) sources: u32,
    pub(super) merged: Merged,
    pub(super) total: f32,
    pub(super) packet: u64,
    pub(super) rules: Vec<u32>,
}

impl From<&Event> for Row {
    fn from(event: &Event) -> Self {
        Self {
            first: event.first.as_nanos(),
            last: event.last.as_nanos(),
            source: event.source,
            destination: event.destination,
            destination_port: event.destination_port,
            protocol: event.protocol,
            level: event.level,
            count: event.count,
            alerts: event.alerts,
            weight: event.weight,
            bytes: event.bytes,
            sources: event.sources,
            merged: event.merged,
            total: event.total,
            packet: event.packet,
            rules: event.rules.clone(),
        }
    }
}

/// An event as a pile of verdicts.
struct Pile {
    merged: Merged,
    verdicts: Vec<(Verdict, u64)>,
}

/// Whether both have in common what is left of the key. Compared field by field on the verdicts themselves.
fn alike(one: &Verdict, other: &Verdict, merged: Merged) -> bool {
    let (a, b) = (&one.digest, &other.digest);
    let always = a.protocol == b.protocol
        && one.level == other.level
        && one.detection == other.detection
        && one.is_of_victim() == other.is_of_victim()
        && (one.intel_source > 0) == (other.intel_source > 0)
        && (one.intel_destination > 0) == (other.intel_destination > 0)
        && (one.decoy > 0) == (other.decoy > 0)
        && one.rules().iter().min() == other.rules().iter().min();
    let source = merged >= Merged::Source
        || (a.source == b.source && a.vlan == b.vlan && one.intel_source == other.intel_source);
    let port = merged >= Merged::Port || a.ports().unzip().1 == b.ports().unzip().1;
    let destination = merged >= Merged::Destination
        || (a.destination == b.destination
            && one.intel_destination == other.intel_destination
            && one.decoy == other.decoy
            && one.rules() == other.rules());
    always && source && port && destination
}

fn row_of(pile: &Pile) -> Row {
    let of_victim = pile.verdicts[0].0.is_of_victim();
    // Of equals the earliest: `max_by` would give the last.
    let mut worst = &pile.verdicts[0].0;
    for (verdict, _) in &pile.verdicts {
        if verdict.total > worst.total {
            worst = verdict;
        }
    }
    let times = || pile.verdicts.iter().map(|(verdict, _)| verdict.digest.time.as_nanos());
    let micros = |nanos: i64| nanos.div_euclid(1_000) * 1_000;
    let number = pile.verdicts.len() as u64;
    let sids: Vec<u32> = worst.rules().iter().map(|index| [3, 1, 2][usize::from(*index)]).collect();
    let digest = &worst.digest;
    Row {
        first: micros(times().min().unwrap()),
        last: micros(times().max().unwrap()),
        source: (pile.merged < Merged::Source).then_some(digest.source),
        destination: (pile.merged < Merged::Destination).then_some(digest.destination),
        destination_port: digest.ports().unzip().1.filter(|_| pile.merged < Merged::Port),
        protocol: digest.protocol,
        level: worst.level,
        count: if of_victim { 0 } else { number },
        alerts: if of_victim { number } else { 0 },
        weight: if of_victim { 0 } else { pile.verdicts.iter().map(|(_, weight)| weight).sum() },
        bytes: if of_victim {
            0
        } else {
            pile.verdicts.iter().map(|(verdict, _)| u64::from(verdict.digest.wire_length)).sum()
        },
        sources: pile.verdicts.iter().map(|(verdict, _)| verdict.sources).max().unwrap(),
        merged: pile.merged,
        total: worst.total,
        packet: digest.sequence,
        rules: sids,
    }
}

/// The rows of these verdicts, in the order of emission.
pub(super) fn rows(params: &EventParams, verdicts: &[Verdict]) -> Vec<Row> {
    let window = params.coalesce.as_nanos();
    let is_over = |pile: &Pile, verdict: &Verdict| {
        let first = i128::from(pile.verdicts[0].0.digest.time.as_nanos());
        (i128::from(verdict.digest.time.as_nanos()) - first).unsigned_abs() >= window
    };
    let mut open: Vec<Pile> = Vec::new();
    let mut done: Vec<Pile> = Vec::new();
    let mut opened: BTreeMap<(i64, bool), u32> = BTreeMap::new();
    let mut safe_so_far = 0;
    for verdict in verdicts {
        for _ in 0..64 {
            if open.first().is_some_and(|pile| is_over(pile, verdict)) {
                done.push(open.remove(0));
            }
        }
        let mut weight = 1;
        if verdict.level == Level::Safe
            && !verdict.is_of_victim()
            && params.store == StorePolicy::Notable
        {
            safe_so_far += 1;
            if params.safe_one_in == 0 || safe_so_far % params.safe_one_in != 0 {
                continue;
            }
            weight = u64::from(params.safe_one_in);
        }
        if window == 0 {
            done.push(Pile { merged: Merged::Nothing, verdicts: vec![(*verdict, weight)] });
            continue;
        }
        let severe = verdict.level >= Level::High;
        let second = verdict.digest.time.as_nanos().div_euclid(SECOND);
        let limit = if severe { params.severe_events_per_second } else { params.events_per_second };
        let begun = opened.entry((second, severe)).or_default();
        let merging = Merged::ALL[usize::try_from(*begun / limit).unwrap().min(3)];
        let mut taken = false;
        for merged in Merged::ALL {
            if merged > merging || taken {
                break;
            }
            let found = open.iter().position(|pile| {
                pile.merged == merged && alike(&pile.verdicts[0].0, verdict, merged)
            });
            match found {
                Some(place) if is_over(&open[place], verdict) => done.push(open.remove(place)),
                Some(place) => {
                    open[place].verdicts.push((*verdict, weight));
                    taken = true;
                }
                None => {}
            }
        }
        if !taken {
            *begun += 1;
            if open.len() == params.open_events_max {
                done.push(open.remove(0));
            }
            open.push(Pile { merged: merging, verdicts: vec![(*verdict, weight)] });
        }
    }
    done.append(&mut open);
    done.iter().map(row_of).collect()
}
