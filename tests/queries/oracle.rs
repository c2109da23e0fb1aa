//! What the answers have to be: plain lists, looked through from end to end.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phantomnet::event::{Epoch, Event, EventId, Incident, Session};
use phantomnet::store::query::{
    EventFilter, IncidentFilter, PageKey, SessionFilter, Stats, TimelineBucket,
};
use phantomnet::time::Timestamp;
use phantomnet::verdict::Level;

/// The events that a filter wants, newest first.
pub(crate) fn events<'a>(
    rows: &'a [(Epoch, Event)],
    filter: &EventFilter,
    after: Option<PageKey>,
) -> Vec<&'a (Epoch, Event)> {
    let key = |(epoch, event): &(Epoch, Event)| (event.first, *epoch, event.number);
    let mut wanted: Vec<_> = rows
        .iter()
        .filter(|(_, event)| is_wanted(event, filter))
        .filter(|row| after.is_none_or(|at| key(row) < (at.time, at.id.epoch, at.id.number)))
        .collect();
    wanted.sort_by_key(|row| Reverse(key(row)));
    wanted
}

fn is_wanted(event: &Event, filter: &EventFilter) -> bool {
    let ports = [event.source_port, event.destination_port];
    (filter.levels.is_empty() || filter.levels.contains(&event.level))
        && filter.protocol.is_none_or(|protocol| protocol == event.protocol)
        && filter.source.is_none_or(|net| event.source.is_some_and(|one| net.contains(one)))
        && filter
            .destination
            .is_none_or(|net| event.destination.is_some_and(|one| net.contains(one)))
        && filter.port.is_none_or(|port| ports.contains(&Some(port)))
        && filter.min_score.is_none_or(|least| event.total / 100.0 >= least)
        && filter.from.is_none_or(|from| event.first >= from)
        && filter.to.is_none_or(|to| event.first < to)
        && filter.rule.is_none_or(|rule| event.rules.contains(&rule))
}

/// The sessions that a filter wants, newest first.
pub(crate) fn sessions<'a>(
    rows: &'a [(Epoch, Session)],
    filter: &SessionFilter,
) -> Vec<&'a (Epoch, Session)> {
    let mut wanted: Vec<_> = rows
        .iter()
        .filter(|(_, session)| {
            filter.source.is_none_or(|net| net.contains(session.source))
                && filter.worst.is_none_or(|worst| session.worst >= worst)
                && filter.state.is_none_or(|state| session.state == state)
                && filter.from.is_none_or(|from| session.first >= from)
                && filter.to.is_none_or(|to| session.first < to)
        })
        .collect();
    wanted.sort_by_key(|(epoch, session)| Reverse((session.first, *epoch, session.number)));
    wanted
}

/// The incidents that a filter wants (all of them open), the latest to go on first.
pub(crate) fn incidents<'a>(
    rows: &'a [(Epoch, Incident)],
    filter: &IncidentFilter,
) -> Vec<&'a (Epoch, Incident)> {
    let mut wanted: Vec<_> = rows
        .iter()
        .filter(|(_, incident)| {
            filter.subject.is_none_or(|net| incident.subject.is_some_and(|one| net.contains(one)))
                && filter.kind.as_ref().is_none_or(|kind| **kind == *incident.kind)
                && filter.worst.is_none_or(|worst| incident.worst >= worst)
                && filter.state.is_none_or(|state| state == Default::default())
                && filter.from.is_none_or(|from| incident.last >= from)
                && filter.to.is_none_or(|to| incident.first < to)
        })
        .collect();
    wanted.sort_by_key(|(epoch, incident)| Reverse((incident.last, *epoch, incident.number)));
    wanted
}

/// Sums over the events of a span.
pub(crate) fn stats(
    rows: &[(Epoch, Event)],
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Stats {
    let mut stats = Stats::default();
    let mut score = 0.0;
    let inside = |event: &Event| {
        from.is_none_or(|from| event.first >= from) && to.is_none_or(|to| event.first < to)
    };
    for (_, event) in rows.iter().filter(|(_, event)| inside(event)) {
        stats.events += 1;
        stats.packets += event.weight;
        stats.levels[event.level as usize] += event.weight;
        stats.critical_events += u64::from(event.level == Level::Critical);
        score += f64::from(event.total) / 100.0 * event.weight as f64;
    }
    if stats.packets > 0 {
        stats.mean_threat_score = Some(score / stats.packets as f64);
    }
    stats
}

/// Buckets with events in them.
pub(crate) fn timeline(
    rows: &[(Epoch, Event)],
    from: Timestamp,
    to: Timestamp,
    bucket: Duration,
) -> Vec<TimelineBucket> {
    let nanos = i64::try_from(bucket.as_nanos()).unwrap();
    let mut buckets = BTreeMap::new();
    for (_, event) in rows.iter().filter(|(_, event)| event.first >= from && event.first < to) {
        let start = event.first.as_nanos().div_euclid(nanos) * nanos;
        let start = Timestamp::from_nanos(start);
        let empty = TimelineBucket { start, levels: [0; 4], events: 0 };
        let bucket = buckets.entry(start).or_insert(empty);
        bucket.events += 1;
        bucket.levels[event.level as usize] += event.weight;
    }
    buckets.into_values().collect()
}

/// Every name once?
pub(crate) fn are_different(ids: &[EventId]) -> bool {
    ids.iter().collect::<BTreeSet<_>>().len() == ids.len()
}
