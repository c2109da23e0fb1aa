//! Notable events of one kind about one address, grouped.

use hashlink::LinkedHashMap;

use super::budget::{Budget, Lane};
use super::params::{EventParams, nanos};
use super::sessions::add_rule;
use crate::address::Address;
use crate::event::{Event, Incident, Side};

/// The incidents that are going on, and those that changed since the last batch.
#[derive(Debug)]
pub(super) struct Incidents {
    /// In the order of their last events.
    open: LinkedHashMap<Subject, OpenIncident>,
    open_max: usize,
    gap_nanos: u64,
    budget: Budget,
    changed: Vec<Subject>,
    /// Those that are over, as they were at their last event.
    over: Vec<Incident>,
    begun: u64,
}

/// What the events of an incident have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Subject {
    address: Option<Address>,
    side: Side,
    kind: &'static str,
}

impl Incidents {
    pub(super) fn new(params: &EventParams) -> Self {
        Self {
            open: LinkedHashMap::new(),
            open_max: params.open_incidents_max.max(1),
            gap_nanos: nanos(params.incident_gap),
            budget: Budget::new(params.incidents_per_second, params.incidents_per_second),
            changed: Vec::new(),
            over: Vec::new(),
            begun: 0,
        }
    }

    /// Puts an emitted event above SAFE into its incident. `attacker` is its source as its state is kept, where it has one
    /// to blame: neither an event about a victim has, nor one of many sources.
    pub(super) fn take(&mut self, event: &Event, kind: &'static str, attacker: Option<Address>) {
        let about_destination =
            Subject { address: event.destination, side: Side::Destination, kind };
        let whole = match attacker {
            Some(attacker) => Subject { address: Some(attacker), side: Side::Source, kind },
            None => about_destination,
        };
        if self.join(&whole, event) {
            return;
        }
        // A flood of incidents becomes few, as one of events does.
        let lane = Lane::of(event.level);
        let subject = match self.budget.used_up(event.first, lane) {
            0 => whole,
            1 => about_destination,
            _ => Subject { address: None, ..about_destination },
        };
        if subject != whole && self.join(&subject, event) {
            return;
        }
        self.budget.spend(event.first, lane);
        self.begin(subject, event);
    }

    /// How many records a batch would get now.
    pub(super) fn waiting(&self) -> usize {
        self.over.len() + self.changed.len()
    }

    /// The records of those that changed since this was last asked, each incident once.
    pub(super) fn drain(&mut self, records: &mut Vec<Incident>) {
        records.append(&mut self.over);
        for subject in self.changed.drain(..) {
            // One that ended meanwhile was written down as it ended; another may have begun in its place.
            if let Some(incident) = self.open.get_mut(&subject)
                && std::mem::take(&mut incident.changed)
            {
                records.push(incident.record.clone());
            }
        }
    }

    /// How many are going on.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many have begun.
    pub(super) const fn begun(&self) -> u64 {
        self.begun
    }

    /// Adds the event to the incident about that subject. Returns whether there is one; one that was quiet for too long ends.
    fn join(&mut self, subject: &Subject, event: &Event) -> bool {
        let Some(incident) = self.open.to_back(subject) else { return false };
        if incident.is_over(event, self.gap_nanos) {
            if let Some(ended) = self.open.remove(subject) {
                self.end(ended);
            }
            return false;
        }
        incident.add(event);
        if !std::mem::replace(&mut incident.changed, true) {
            self.changed.push(*subject);
        }
        true
    }

    fn begin(&mut self, subject: Subject, event: &Event) {
        if self.open.len() >= self.open_max
            && let Some((_, quiet)) = self.open.pop_front()
        {
            self.end(quiet);
        }
        self.begun += 1;
        let record = Incident {
            number: self.begun,
            subject: subject.address,
            side: subject.side,
            kind: subject.kind.into(),
            title: event.reason.clone(),
            first: event.first,
            last: event.last,
            count: 0,
            events: 0,
            worst: event.level,
            worst_event: event.number,
            rules: Vec::new(),
        };
        let mut incident = OpenIncident { record, changed: true };
        incident.add(event);
        self.open.insert(subject, incident);
        self.changed.push(subject);
    }

    fn end(&mut self, ended: OpenIncident) {
        if ended.changed {
            self.over.push(ended.record);
        }
    }
}

/// An incident that may go on.
#[derive(Debug)]
struct OpenIncident {
    record: Incident,
    /// Whether it changed since its record was last put into a batch.
    changed: bool,
}

impl OpenIncident {
    /// Whether the event lies too long after it to be a part of it. Or before: the times in a capture need not ascend.
    fn is_over(&self, event: &Event, gap_nanos: u64) -> bool {
        let after = event.first.nanos_since(self.record.last);
        let before = self.record.first.nanos_since(event.last);
        after.max(before).unsigned_abs() > gap_nanos
    }

    fn add(&mut self, event: &Event) {
        let record = &mut self.record;
        record.first = record.first.min(event.first);
        record.last = record.last.max(event.last);
        record.count += event.count + event.alerts;
        record.events += 1;
        for sid in &event.rules {
            add_rule(&mut record.rules, *sid);
        }
        if event.level > record.worst {
            record.worst = event.level;
            record.worst_event = event.number;
            record.title.clone_from(&event.reason);
        }
    }
}
