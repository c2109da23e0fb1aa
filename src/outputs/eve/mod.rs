//! `[outputs.eve]`: EVE JSON while the sensor runs.
//!
//! | record    | one for each                                             | object of Suricata's schema |
//! |-----------|----------------------------------------------------------|-----------------------------|
//! | `alert`   | event above SAFE                                         | `alert`, `flow`             |
//! | `flow`    | session (a source, until it falls silent) that has ended | `flow`                      |
//! | `stats`   | interval                                                 | `stats`                     |
//! | `anomaly` | reason for which frames were refused in the interval     | `anomaly`                   |

mod alert;
mod counted;
mod flow;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::figures::ReadFigures;
use super::params::EveRecords;
use super::pump::Form;
use crate::counters::Counters;
use crate::decode::Reason;
use crate::eve::Origin;
use crate::event::{Batch, Event, Session, SessionState};
use crate::latest::Publisher;
use crate::time::Timestamp;
use crate::verdict::{InForce, Level};

use counted::{AnomalyRecord, StatsRecord};
use flow::FlowRecord;

/// Makes EVE lines.
pub(super) struct EveLines {
    pub(super) sensor: Box<str>,
    pub(super) records: EveRecords,
    pub(super) stats_every: Duration,
    pub(super) detection: Arc<Publisher<InForce>>,
    pub(super) figures: ReadFigures,
    pub(super) clock: fn() -> Timestamp,
    /// Alerts so far.
    pub(super) alerts: u64,
    /// What was counted at the last interval.
    pub(super) before: Counters,
}

/// Which of a batch become records, in the order in which they are written.
fn alerts(batch: &Batch, records: EveRecords) -> impl Iterator<Item = &Event> {
    batch.events.iter().filter(move |event| records.alert && event.level > Level::Safe)
}

fn flows(batch: &Batch, records: EveRecords) -> impl Iterator<Item = &Session> {
    let has_ended = |session: &&Session| session.state != SessionState::Open;
    batch.sessions.iter().filter(has_ended).filter(move |_| records.flow)
}

/// How many records a batch makes.
pub(super) fn count(batch: &Batch, records: EveRecords) -> u64 {
    let count = alerts(batch, records).count() + flows(batch, records).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Form<Arc<Batch>> for EveLines {
    fn records(&mut self, batch: &Arc<Batch>) -> Vec<Vec<u8>> {
        let in_force = self.detection.current();
        let interface = (self.figures)().kernel.map(|kernel| kernel.interface);
        let origin = Origin { host: Some(&self.sensor), in_iface: interface.as_deref() };
        let mut lines: Vec<Vec<u8>> = alerts(batch, self.records)
            .map(|event| line(&alert::record(event, batch.epoch, &in_force, origin)))
            .collect();
        self.alerts += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        lines.extend(
            flows(batch, self.records)
                .map(|session| line(&FlowRecord::of(session, batch.epoch, origin))),
        );
        lines
    }

    fn own_every(&self) -> Option<Duration> {
        (self.records.stats || self.records.anomaly).then_some(self.stats_every)
    }

    fn own(&mut self) -> Vec<Vec<u8>> {
        let figures = (self.figures)();
        let at = (self.clock)();
        let interface = figures.kernel.as_ref().map(|kernel| kernel.interface.as_str());
        let origin = Origin { host: Some(&self.sensor), in_iface: interface };
        let mut lines = Vec::new();
        if self.records.anomaly {
            let now_and_before =
                figures.counters.undecodable.into_iter().zip(self.before.undecodable);
            for (reason, (now, before)) in Reason::ALL.into_iter().zip(now_and_before) {
                if now > before {
                    lines.push(line(&AnomalyRecord::of(reason, now - before, at, origin)));
                }
            }
        }
        self.before = figures.counters;
        if self.records.stats {
            lines.push(line(&StatsRecord::of(&figures, self.alerts, at, origin)));
        }
        lines
    }
}

/// One JSON document and the end of the line.
fn line(record: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("records have string keys only");
    line.push(b'\n');
    line
}
