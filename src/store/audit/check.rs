//! Holds what was read of an epoch against itself.

use super::facts::{Facts, Sums};
use super::report::EpochAudit;
use crate::event::{Marker, MarkerKind, RefusedBatches};

/// How many differences are put into words; more are only counted.
const DIFFERENCES_MAX: usize = 20;

/// Checks every sum of an epoch.
pub(super) fn check(facts: &Facts) -> EpochAudit {
    let mut quarantined = Sums::default();
    for (_number, sums) in &facts.quarantine {
        quarantined += *sums;
    }
    let row = facts.row.as_ref();
    let mut checking = Checking { facts, quarantined, found: Found::default() };
    let refused = refused(facts, u64::MAX);
    checking.committed_rows();
    checking.ledger();
    checking.numbers();
    let undecidable = checking.markers();
    checking.begin_and_end();
    let last = last(facts);
    let Found { words, more } = checking.found;
    EpochAudit {
        epoch: facts.epoch,
        sensor: row.map(|row| row.sensor.clone()).unwrap_or_default(),
        started: row.map_or_else(|| facts.epoch.started(), |row| row.started),
        ended: last.is_some_and(|marker| marker.kind == MarkerKind::End),
        crashed: last.is_some_and(|marker| marker.kind == MarkerKind::Crashed),
        last: last.map(|marker| marker.totals).unwrap_or_default(),
        markers: count(facts.markers.len()) - undecidable,
        markers_undecidable: undecidable,
        batches: facts.ledger.batches,
        committed: facts.ledger.committed,
        stored: facts.rows.all,
        quarantined,
        refused,
        pruned: facts.pruned,
        doubled: total([
            facts.rows.all.rows.saturating_sub(facts.rows.distinct),
            facts.quarantined_too,
        ]),
        unrecorded: unrecorded(facts),
        open: open(facts),
        lost: lost(facts, quarantined),
        differences: words,
        differences_left_out: more,
    }
}

/// The marker of the end, or of an epoch that has none the one that tells most.
fn last(facts: &Facts) -> Option<&Marker> {
    let end = facts.markers.iter().find(|marker| marker.kind == MarkerKind::End);
    end.or_else(|| facts.markers.iter().max_by_key(|marker| marker.totals.dequeued))
}

/// What was in refused batches, as far as their events' numbers go up to `upto`.
fn refused(facts: &Facts, upto: u64) -> Sums {
    let mut sums = Sums::default();
    for refused in facts.refused.iter().filter(|refused| refused.upto <= upto) {
        let RefusedBatches { rows, packets, alerts, .. } = *refused;
        sums += Sums { rows, packets, alerts };
    }
    sums
}

/// Packets (and verdicts about victims) that the last marker says were judged and that are in no row and no count of the store.
fn lost(facts: &Facts, quarantined: Sums) -> u64 {
    let Some(last) = last(facts) else { return 0 };
    let totals = &last.totals;
    let mut there = facts.rows.all;
    there += quarantined;
    there += facts.pruned;
    let packets = totals.packets.saturating_sub(totals.sampled_out.saturating_add(there.packets));
    let missing = packets.saturating_add(totals.victims.saturating_sub(there.alerts));
    missing.saturating_sub(open(facts))
}

/// Packets (and verdicts about victims) that lie in events which the last marker calls open. As far as the store knows the epoch
/// goes on, and they will come.
fn open(facts: &Facts) -> u64 {
    match last(facts) {
        Some(Marker { kind: MarkerKind::Start | MarkerKind::Running, totals, .. }) => {
            totals.open_packets.saturating_add(totals.open_alerts)
        }
        Some(_) | None => 0,
    }
}

/// Packets and verdicts that were lost before the recorder, because a queue was full or a worker panicked: known when everything has stopped.
fn unrecorded(facts: &Facts) -> u64 {
    let Some(end) = last(facts).filter(|marker| marker.kind == MarkerKind::End) else { return 0 };
    let came = |stage| end.stages.iter().find(|sum| &*sum.stage == stage).map(|sum| sum.came);
    let (Some(decoded), Some(judged), Some(verdicts)) =
        (came("handover"), came("judge"), came("ring"))
    else {
        return 0;
    };
    let packets = decoded.saturating_sub(judged);
    packets.saturating_add(verdicts.saturating_sub(end.totals.dequeued))
}

/// Differences found so far.
#[derive(Default)]
struct Found {
    words: Vec<String>,
    more: u64,
}

impl Found {
    fn add(&mut self, words: impl FnOnce() -> String) {
        if self.words.len() < DIFFERENCES_MAX {
            self.words.push(words());
        } else {
            self.more += 1;
        }
    }
}

struct Checking<'a> {
    facts: &'a Facts,
    quarantined: Sums,
    found: Found,
}

impl Checking<'_> {
    /// Nothing but what was committed is there, and all of it, or it is counted where it went.
    fn committed_rows(&mut self) {
        let Facts { rows, pruned, ledger, minutes, hours, hours_astray, .. } = self.facts;
        let mut there = rows.all;
        there += self.quarantined;
        there += *pruned;
        self.equal("rows, quarantine and pruned together", there, "the ledger", ledger.committed);
        self.equal(
            "the quarantine",
            self.quarantined,
            "the ledger's quarantine",
            ledger.quarantined,
        );
        self.equal("the sums by minute", *minutes, "the rows", rows.all);
        self.equal("the sums by hour", *hours, "the rows", rows.all);
        if *hours_astray > 0 {
            self.found.add(|| {
                format!("the sums by hour: {hours_astray} have not the events of their minutes, lists may miss events")
            });
        }
    }

    fn ledger(&mut self) {
        let Facts { ledger, row, .. } = self.facts;
        let refused = total(self.facts.refused.iter().map(RefusedBatches::count));
        let known = ledger.batches.saturating_add(refused);
        if known != ledger.last {
            let missing = ledger.last.saturating_sub(known);
            self.found.add(|| {
                format!(
                    "batches: {} of {} are in the ledger, {refused} were refused, {missing} missing",
                    ledger.batches, ledger.last
                )
            });
        }
        let Some(row) = row else {
            self.found.add(|| "epochs: it has no row there".to_owned());
            return;
        };
        if row.batches != ledger.batches {
            self.found.add(|| {
                format!("batches: epochs says {}, the ledger has {}", row.batches, ledger.batches)
            });
        }
        self.equal("epochs", row.committed, "the ledger", ledger.committed);
        self.equal("the quarantine of epochs", row.quarantined, "the ledger's", ledger.quarantined);
    }

    /// Numbers run from 1 without gaps and without doubles.
    fn numbers(&mut self) {
        let Facts { rows, quarantine, quarantined_too, pruned, pruned_upto, .. } = self.facts;
        let doubled = rows.all.rows.saturating_sub(rows.distinct).saturating_add(*quarantined_too);
        if doubled > 0 {
            self.found.add(|| format!("numbers: {doubled} events are there more than once"));
        }
        let in_quarantine = quarantine.last().map_or(0, |(number, _)| *number);
        let upto = self.facts.refused.last().map_or(0, |refused| refused.upto);
        let last = rows.last.max(in_quarantine).max(*pruned_upto).max(upto);
        let refused = refused(self.facts, u64::MAX).rows;
        let accounted = total([rows.distinct, pruned.rows, count(quarantine.len()), refused])
            .saturating_sub(*quarantined_too);
        if accounted < last {
            self.found.add(|| format!("numbers: {} of 1 to {last} are nowhere", last - accounted));
        }
    }

    /// Recounts at every marker. Returns how many can't be decided.
    fn markers(&mut self) -> u64 {
        let mut undecidable = 0;
        let mut number = 0;
        let mut quarantine = self.facts.quarantine.iter().peekable();
        let mut quarantined = Sums::default();
        let mut before = 0;
        // Those that were in refused batches can't be here, and old ones are thinned out.
        let refused = total(self.facts.refused.iter().map(|refused| refused.markers));
        let mut excused = self.facts.thinned.saturating_add(refused);
        for marker in &self.facts.markers {
            // A later start does not know how far the dead one had counted.
            let gap = marker.number.abs_diff(number);
            if gap > 0 && marker.kind != MarkerKind::Crashed {
                if gap > excused {
                    self.found.add(|| {
                        format!("markers: {number} is missing, {} comes next", marker.number)
                    });
                }
                excused = excused.saturating_sub(gap);
            }
            number = marker.number.saturating_add(1);
            if marker.totals.unaccounted() != 0 {
                self.found.add(|| {
                    format!(
                        "marker {}: {} verdicts unaccounted for",
                        marker.number,
                        marker.totals.unaccounted()
                    )
                });
            }
            let upto = marker.totals.events;
            // The sums of a dead run can be older than its last marker.
            if upto < before && marker.kind != MarkerKind::Crashed {
                self.found
                    .add(|| format!("marker {}: {upto} events after {before}", marker.number));
            }
            before = before.max(upto);
            while let Some((_, sums)) = quarantine.next_if(|(number, _)| *number <= upto) {
                quarantined += *sums;
            }
            if upto < self.facts.pruned_upto {
                undecidable += 1;
            } else {
                self.recount(marker, quarantined);
            }
        }
        undecidable
    }

    fn recount(&mut self, marker: &Marker, quarantined: Sums) {
        let totals = &marker.totals;
        // No row has a number below 1.
        let mut there = self.facts.rows.upto.get(&totals.events).copied().unwrap_or_default();
        there += quarantined;
        there += refused(self.facts, totals.events);
        there += self.facts.pruned;
        let said = Sums {
            rows: totals.events,
            packets: totals.event_packets,
            alerts: totals.event_alerts,
        };
        // What a crash has taken is stated as lost.
        if marker.kind == MarkerKind::Crashed {
            if there.rows > said.rows {
                self.equal(&format!("rows up to marker {}", marker.number), there, "it", said);
            }
        } else {
            self.equal(&format!("rows up to marker {}", marker.number), there, "it", said);
        }
    }

    /// The first marker is that of the start, and `epochs` says of the end what the markers say.
    fn begin_and_end(&mut self) {
        let Facts { markers, row, ledger, .. } = self.facts;
        // One that died before it had stored anything has but what a later start found.
        let begins = match markers.first().map(|first| first.kind) {
            Some(MarkerKind::Start) => true,
            Some(MarkerKind::Crashed) => ledger.batches == 0,
            Some(MarkerKind::Running | MarkerKind::End) => {
                self.facts.refused.first().is_some_and(|refused| refused.first == 1)
            }
            None => false,
        };
        if !begins {
            self.found.add(|| "markers: the first is not that of the start".to_owned());
        }
        let end = last(self.facts).filter(|marker| marker.kind == MarkerKind::End);
        if row.as_ref().is_some_and(|row| (row.state == 2) != end.is_some()) {
            self.found.add(|| match end {
                Some(_) => "end: there is a marker of the end, and epochs says that it has not ended in order",
                None => "end: epochs says that it has ended in order, and there is no marker of the end",
            }.to_owned());
        }
        if let Some(end) = end {
            self.orderly(end);
        }
    }

    /// An epoch that ended in order has nothing open, nothing behind its end, and stages that let nothing go unseen.
    fn orderly(&mut self, end: &Marker) {
        let Facts { markers, rows, .. } = self.facts;
        let totals = &end.totals;
        if totals.open_packets > 0 || totals.open_alerts > 0 {
            self.found.add(|| {
                format!(
                    "end: {} packets and {} alerts were left open",
                    totals.open_packets, totals.open_alerts
                )
            });
        }
        if rows.last > totals.events {
            self.found.add(|| {
                format!("end: number {} comes after the last, {}", rows.last, totals.events)
            });
        }
        for stage in end.stages.iter().filter(|stage| stage.came != stage.accounted) {
            self.found.add(|| {
                format!(
                    "end: stage {}: {} came, {} are accounted for",
                    stage.stage, stage.came, stage.accounted
                )
            });
        }
        // It may have been killed just after its end, and so been taken for dead: then that start knew nothing new.
        let knows_more = |marker: &Marker| {
            marker.kind != MarkerKind::Crashed || marker.totals.packets > totals.packets
        };
        if markers.iter().any(|marker| marker.number > end.number && knows_more(marker)) {
            self.found.add(|| "markers: more come after that of the end".to_owned());
        }
    }

    /// One sum against another, in rows, packets and alerts.
    fn equal(&mut self, of_one: &str, one: Sums, of_other: &str, other: Sums) {
        let pairs = [
            ("rows", one.rows, other.rows),
            ("packets", one.packets, other.packets),
            ("alerts", one.alerts, other.alerts),
        ];
        for (what, one, other) in pairs {
            if one != other {
                self.found.add(|| format!("{what}: {of_one}: {one}, {of_other}: {other}"));
            }
        }
    }
}

/// A sum that never overflows: a store may hold numbers that somebody has made up.
fn total(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
