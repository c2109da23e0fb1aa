//! Which incidents somebody is to be told of: each once when it reaches the level that was asked for, and once more for each level that it
//! rises to after that.

use std::fmt::Write as _;

use hashlink::LruCache;

use crate::event::{Batch, Epoch, Incident, Side};
use crate::verdict::Level;

/// Incidents of which is remembered what was told: those that may go on, and more.
const REMEMBERED_MAX: usize = 65_536;

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct News {
    pub(super) what: What,
    pub(super) epoch: Epoch,
    pub(super) incident: Incident,
}

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// There is an incident.
    Opened,
    /// One that was told of is worse than it was.
    Raised,
}

impl What {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Opened => "incident-opened",
            Self::Raised => "incident-raised",
        }
    }
}

/// Remembers what was told.
#[derive(Debug)]
pub(super) struct NewsDesk {
    level: Level,
    told: LruCache<u64, Level>,
}

impl NewsDesk {
    /// For incidents from `level` on.
    pub(super) fn new(level: Level) -> Self {
        Self { level, told: LruCache::new(REMEMBERED_MAX) }
    }

    /// What of a batch is news.
    pub(super) fn of(&mut self, batch: &Batch) -> Vec<News> {
        let grave = batch.incidents.iter().filter(|incident| incident.worst >= self.level);
        let mut news = Vec::new();
        for incident in grave {
            let before = self.told.insert(incident.number, incident.worst);
            let what = match before {
                None => What::Opened,
                Some(before) if before < incident.worst => What::Raised,
                Some(_) => continue,
            };
            news.push(News { what, epoch: batch.epoch, incident: incident.clone() });
        }
        news
    }
}

impl News {
    /// The incident's name in the API and the dashboard.
    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.epoch, self.incident.number)
    }

    /// Whether the subject sent the packets or received them.
    pub(super) const fn role(&self) -> &'static str {
        match self.incident.side {
            Side::Source => "source",
            Side::Destination => "destination",
        }
    }

    /// In one line, for people. Without control characters: what operators call things may hold any.
    pub(super) fn text(&self) -> String {
        let Incident { subject, kind, title, count, worst, .. } = &self.incident;
        let mut text = format!("{}: {title}", worst.name());
        if let Some(subject) = subject {
            let by = if self.incident.side == Side::Source { "by" } else { "against" };
            write!(text, " {by} {subject}").expect("a String takes everything");
        }
        let packets = if *count == 1 { "packet" } else { "packets" };
        write!(text, " ({kind}, {count} {packets})").expect("a String takes everything");
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::address::Address;
    use crate::time::Timestamp;

    pub(in crate::outputs) fn incident(number: u64, worst: Level) -> Incident {
        Incident {
            number,
            subject: Some(Address::v4([192, 0, 2, 7])),
            side: Side::Source,
            kind: "network-scan".into(),
            title: "Ports \"scanned\"\n[all] \\ of them".into(),
            first: Timestamp::from_nanos(1_790_000_000_123_456_000),
            last: Timestamp::from_nanos(1_790_000_001_000_000_000),
            count: 42,
            events: 3,
            worst,
            worst_event: 9,
            rules: vec![1_000_001, 1_000_002],
        }
    }

    pub(in crate::outputs) fn batch(incidents: Vec<Incident>) -> Batch {
        Batch {
            sensor: "here".into(),
            epoch: Epoch::new(Timestamp::from_secs(1_790_000_000), 7),
            number: 1,
            begun: Timestamp::EPOCH,
            detections: vec![],
            events: vec![],
            sessions: vec![],
            incidents,
            profiles: vec![],
            markers: vec![],
            leftovers: vec![],
            refused: None,
        }
    }

    #[test]
    fn an_incident_is_told_of_once_for_each_level_that_it_reaches() {
        let mut desk = NewsDesk::new(Level::High);
        let mut told = |worst| {
            let news = desk.of(&batch(vec![incident(1, worst)]));
            news.iter().map(|news| news.what).collect::<Vec<_>>()
        };
        assert_eq!(told(Level::Warning), []);
        assert_eq!(told(Level::High), [What::Opened]);
        assert_eq!(told(Level::High), []);
        assert_eq!(told(Level::Critical), [What::Raised]);
        assert_eq!(told(Level::Critical), []);
    }

    #[test]
    fn the_line_for_people_is_one_line() {
        let news = NewsDesk::new(Level::High).of(&batch(vec![incident(1, Level::High)]));
        assert_eq!(
            news[0].text(),
            "HIGH: Ports \"scanned\" [all] \\ of them by 192.0.2.7 (network-scan, 42 packets)"
        );
    }
}
