//! What of the sensor's answers is shown.

use serde::{Deserialize, Serialize};

use crate::cli::client::Text;

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
