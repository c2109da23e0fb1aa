//! Incidents.

use std::time::Duration;

use super::*;
use crate::event::Side;

/// What the incident of an event is told by, from the event alone.
fn subject_of(event: &Event) -> (Option<Address>, Side, String) {
    let kind = match &*event.reason {
        "scan" => "port_scan",
        "odd" => "other",
        "break-in" => "exploit",
        "Behaviour that is rare for the model" => "rare",
        "Weighted evidence above the threshold" => "sum",
        intel if intel.starts_with("Threat intelligence: ") => "known-bad-address",
        decoy if decoy.starts_with("Decoy touched: ") => "decoy",
        other => panic!("{other}"),
    };
    match event.source {
        Some(source) if event.alerts == 0 => (Some(source), Side::Source, kind.to_owned()),
        _ => (event.destination, Side::Destination, kind.to_owned()),
    }
}

/// Incidents by a plain rule: each event looks through all incidents so far for the newest of its subject.
fn plain_incidents(events: &[&Event], gap: i64) -> Vec<Incident> {
    let mut incidents: Vec<Incident> = Vec::new();
    for event in events.iter().filter(|event| event.level > Level::Safe) {
        let (subject, side, kind) = subject_of(event);
        let newest = incidents.iter_mut().rev().find(|incident| {
            (incident.subject, incident.side, &*incident.kind) == (subject, side, &*kind)
        });
        let distance = |incident: &Incident| {
            (event.first.nanos_since(incident.last)).max(incident.first.nanos_since(event.last))
        };
        match newest {
            Some(going) if distance(going) <= gap => {
                going.first = going.first.min(event.first);
                going.last = going.last.max(event.last);
                going.count += event.count + event.alerts;
                going.events += 1;
                going.rules.extend(&event.rules);
                if event.level > going.worst {
                    going.worst = event.level;
                    going.worst_event = event.number;
                    going.title = event.reason.clone();
                }
            }
            _ => incidents.push(Incident {
                number: incidents.len() as u64 + 1,
                subject,
                side,
                kind: kind.into(),
                title: event.reason.clone(),
                first: event.first,
                last: event.last,
                count: event.count + event.alerts,
                events: 1,
                worst: event.level,
                worst_event: event.number,
                rules: event.rules.clone(),
            }),
        }
    }
    for incident in &mut incidents {
        incident.rules.sort_unstable();
        incident.rules.dedup();
    }
    incidents
}

proptest! {
    #[test]
    fn incidents_are_those_of_the_plain_model(
        params in coalescing::tight_params(),
        verdicts in verdicts(any_times()),
    ) {
        let gap = 2 * SECOND;
        let params = EventParams {
            incident_gap: Duration::from_secs(2),
            open_incidents_max: 1_000,
            incidents_per_second: 1_000,
            ..params
        };
        let record = record(&params, &verdicts);
        let expected = plain_incidents(&record.events(), gap);
        let incidents: Vec<Incident> = record.incidents().into_iter().cloned().collect();
        prop_assert_eq!(incidents, expected);
    }

    #[test]
    fn every_notable_event_is_in_one_incident(
        params in coalescing::tight_params(),
        verdicts in verdicts(any_times()),
    ) {
        let record = record(&params, &verdicts);
        let notable = || record.events().into_iter().filter(|event| event.level > Level::Safe);
        let incidents = record.incidents();
        prop_assert_eq!(incidents.iter().map(|i| i.events).sum::<u64>(), notable().count() as u64);
        let counted = notable().map(|event| event.count + event.alerts).sum::<u64>();
        prop_assert_eq!(incidents.iter().map(|i| i.count).sum::<u64>(), counted);
        let numbers: Vec<u64> = incidents.iter().map(|incident| incident.number).collect();
        prop_assert_eq!(numbers, (1..=incidents.len() as u64).collect::<Vec<_>>());
        for batch in &record.batches {
            let mut numbers: Vec<u64> = batch.incidents.iter().map(|i| i.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(numbers.len(), batch.incidents.len(), "once in a batch");
        }
    }
}

#[test]
fn a_flood_of_incidents_is_one_about_the_destination() {
    let params = EventParams {
        coalesce: Duration::ZERO,
        incidents_per_second: 10,
        ..EventParams::default()
    };
    let verdicts: Vec<Verdict> =
        (0..200).map(|source| bad(source, i64::from(source), Level::Warning, &[1])).collect();
    let record = record(&params, &verdicts);
    let incidents = record.incidents();
    assert_eq!(incidents.len(), 10 + 1);
    assert_eq!(incidents[10].subject, Some(Address::v4([10, 0, 1, 1])));
    assert_eq!((incidents[10].side, incidents[10].events), (Side::Destination, 190));
}

#[test]
fn an_attacker_within_one_v6_network_is_one() {
    let verdicts = [1, 2].map(|host| {
        let mut verdict = bad(1, host, Level::High, &[0]);
        let mut octets = [0x20; 16];
        octets[15] = u8::try_from(host).unwrap();
        verdict.digest.source = Address::v6(octets);
        verdict
    });
    let record = record(&EventParams::default(), &verdicts);
    assert_eq!(record.events().len(), 2);
    let [incident] = record.incidents()[..] else { panic!("one network, one incident") };
    assert_eq!(incident.subject, Some(Address::v6([0x20; 16]).v6_network(64)));
}
