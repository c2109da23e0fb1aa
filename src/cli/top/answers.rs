//! What of the sensor's answers is shown. Texts are made harmless where they come in: most were written by whoever sent the packets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::logs::harmless;

/// A text without anything that a terminal would obey.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(harmless(text))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(harmless(&text)))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Of `/health`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Health {
    pub(super) status: Text,
    pub(super) problems: Vec<Text>,
    pub(super) database: Database,
    pub(super) capture: Capture,
}

/// Of the store.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Database {
    pub(super) status: Text,
    pub(super) version: Option<Text>,
}

/// Of the source of frames.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Capture {
    pub(super) source: Text,
}

/// Of `/api/accounting`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Accounting {
    pub(super) sensor: Text,
    pub(super) epoch: Text,
    pub(super) started: Text,
    pub(super) unaccounted: u64,
}

/// Of `/api/top`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Top {
    pub(super) events: u64,
    pub(super) is_complete: bool,
    pub(super) sources: Vec<TopSource>,
    pub(super) rules: Vec<TopRule>,
}

/// A source with its events.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TopSource {
    pub(super) ip: Text,
    pub(super) worst: Text,
    pub(super) events: u64,
    pub(super) packets: u64,
}

/// A rule with the events in which it fired.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct TopRule {
    pub(super) rule: u32,
    pub(super) message: Option<Text>,
    pub(super) worst: Text,
    pub(super) events: u64,
    pub(super) packets: u64,
}

/// Of `/api/incidents`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Incidents {
    pub(super) incidents: Vec<Incident>,
}

/// Something that goes on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Incident {
    pub(super) id: Text,
    pub(super) last_time: Text,
    pub(super) worst: Text,
    pub(super) subject: Option<Text>,
    pub(super) title: Text,
    pub(super) events: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_network_wrote_can_not_speak_to_a_terminal() {
        let incident = r#"{"id": "1-2", "last_time": "2026-01-01T00:00:00Z", "worst": "HIGH", "subject": null,
            "title": "\u001b]0;owned\u0007\u009b2J\r\n\u202e", "events": 1}"#;
        let incident: Incident = serde_json::from_str(incident).unwrap();
        let title = incident.title.as_str();
        assert!(!title.contains(|c: char| c.is_control() || c == '\u{202e}'), "{title:?}");
        assert!(title.contains("]0;owned"), "{title}");
    }
}
