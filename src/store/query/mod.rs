//! What can be asked of a store, and the answers: the same for PostgreSQL and SQLite.
//!
//! Lists are paged by key, newest first, never by offset. Every question has a limit of rows and of time.

pub(super) mod answer;
mod network;
pub(super) mod rows;
pub(super) mod sql;

use std::net::IpAddr;
use std::time::Duration;

use crate::event::{Epoch, Event, EventId, Incident, Marker, Session, SessionState};
use crate::store::{Location, StoreError};
use crate::time::Timestamp;
use crate::verdict::Level;

/// How long a question may take before it is broken off.
pub const QUERY_TIME_MAX: Duration = Duration::from_secs(2);

/// The most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 1000;

/// The most buckets of one timeline.
pub const TIMELINE_BUCKETS_MAX: u32 = 1000;

/// The reading side of a store: a few connections of its own, which can't write (but for incidents' states and labels). Cheap to clone.
#[derive(Clone, Debug)]
pub enum Queries {
    /// PostgreSQL.
    Postgres(super::postgres::Reader),
    /// SQLite.
    Sqlite(super::sqlite::Reader),
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It took longer than [`QUERY_TIME_MAX`]: a narrower question may do.
    #[error("the question took longer than {} s; narrow it, by time for example", QUERY_TIME_MAX.as_secs())]
    TooExpensive,
    /// The store is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a page begins: behind the row with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// The time that the list is sorted by, of that row.
    pub time: Timestamp,
    /// Its name; for sources, the address and the tenant stand in `source`.
    pub id: EventId,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T, K = PageKey> {
    /// Its rows.
    pub rows: Vec<T>,
    /// The key of its last row, if there are more behind it.
    pub next: Option<K>,
}

/// Which events are wanted; what is `None` or empty asks nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventFilter {
    /// Any of these verdicts.
    pub levels: Vec<Level>,
    /// IANA protocol number.
    pub protocol: Option<u8>,
    /// The sender is in this network.
    pub source: Option<Network>,
    /// The receiver is in this network.
    pub destination: Option<Network>,
    /// Source or destination port.
    pub port: Option<u16>,
    /// The threat score, 0 to 1, is at least this.
    pub min_score: Option<f32>,
    /// The first packet passed at or after this.
    pub from: Option<Timestamp>,
    /// The first packet passed before this.
    pub to: Option<Timestamp>,
    /// This rule fired.
    pub rule: Option<u32>,
}

/// An address or a prefix, IPv4 or IPv6, without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The lowest address.
    pub address: IpAddr,
    /// How many leading bits count, of 32 or 128.
    pub length: u8,
}

/// An event as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The run that made it.
    pub epoch: Epoch,
    /// The event. Text was kept as it was; numbers to the bit.
    pub event: Event,
    /// What a person said of it.
    pub label: Option<Label>,
}

impl StoredEvent {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> EventId {
        EventId { epoch: self.epoch, number: self.event.number }
    }
}

/// What a person says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The word.
    pub label: LabelWord,
    /// In their own words.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The words that a label can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelWord {
    /// An attack.
    Malicious,
    /// A false alarm.
    Benign,
    /// Somebody looked and could not tell.
    Unsure,
}

impl LabelWord {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::Malicious, Self::Benign, Self::Unsure];

    /// As stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malicious => "malicious",
            Self::Benign => "benign",
            Self::Unsure => "unsure",
        }
    }
}

/// Sums over the events of a span of time. Packets are those represented: what sampling left out is in the weight of the
/// events that it let through.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Rows.
    pub events: u64,
    /// Packets that they represent.
    pub packets: u64,
    /// Profiles, one for each source and tenant, whose time from the first to the last packet touches the span; `None` when
    /// it would cost too much to know.
    pub sources: Option<u64>,
    /// Mean threat score over the packets represented, 0 to 1; `None` without any.
    pub mean_threat_score: Option<f64>,
    /// Packets represented by verdict, in the order of [`Level::ALL`].
    pub levels: [u64; 4],
    /// Events of CRITICAL.
    pub critical_events: u64,
}

/// One bucket of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineBucket {
    /// Where it begins; it ends where the next one begins.
    pub start: Timestamp,
    /// Packets represented by verdict, in the order of [`Level::ALL`].
    pub levels: [u64; 4],
    /// Rows.
    pub events: u64,
}

/// A session as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSession {
    /// The run that saw it.
    pub epoch: Epoch,
    /// The session.
    pub session: Session,
}

/// Which sessions are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    /// Of sources in this network.
    pub source: Option<Network>,
    /// The worst verdict is at least this.
    pub worst: Option<Level>,
    /// In this state.
    pub state: Option<SessionState>,
    /// Began at or after this.
    pub from: Option<Timestamp>,
    /// Began before this.
    pub to: Option<Timestamp>,
}

/// An incident as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredIncident {
    /// The run that saw it.
    pub epoch: Epoch,
    /// The incident.
    pub incident: Incident,
    /// What people made of it.
    pub state: IncidentState,
    /// In their own words.
    pub note: Option<String>,
    /// When they last said so.
    pub changed_at: Option<Timestamp>,
}

/// What people made of an incident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum IncidentState {
    /// Nobody has looked, or it went on after it was closed.
    #[default]
    Open = 0,
    /// Somebody is at it.
    Acknowledged = 1,
    /// Done with.
    Closed = 2,
}

impl IncidentState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Closed];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// Which incidents are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentFilter {
    /// About addresses in this network.
    pub subject: Option<Network>,
    /// Of this kind.
    pub kind: Option<String>,
    /// The worst verdict is at least this.
    pub worst: Option<Level>,
    /// In this state.
    pub state: Option<IncidentState>,
    /// Went on at or after this.
    pub from: Option<Timestamp>,
    /// Went on before this.
    pub to: Option<Timestamp>,
}

/// The change of an incident; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentChange {
    /// Its new state.
    pub state: Option<IncidentState>,
    /// Its new note; an empty one removes it.
    pub note: Option<String>,
}

/// What is known of a source over all its sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The source as its state is kept: an IPv6 source is its network.
    pub source: IpAddr,
    /// The VLAN, where sources are told apart by it; else 0.
    pub tenant: u16,
    /// First packet ever seen.
    pub first: Timestamp,
    /// Last packet seen.
    pub last: Timestamp,
    /// Sessions.
    pub sessions: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
    /// Packets by level.
    pub levels: [u64; 4],
}

/// Where a page of profiles begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileKey {
    /// Last packet of that profile.
    pub last: Timestamp,
    /// Its source.
    pub source: IpAddr,
    /// Its tenant.
    pub tenant: u16,
}

/// What a store says of one epoch: its ledger and its last marker.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochLedger {
    /// The run.
    pub epoch: Epoch,
    /// The sensor's name.
    pub sensor: String,
    /// When it started.
    pub started: Timestamp,
    /// When it ended, if it ended in order.
    pub ended: Option<Timestamp>,
    /// The last marker.
    pub last_marker: Option<Marker>,
    /// Batches committed.
    pub batches: u64,
    /// Events in them, quarantined ones included.
    pub rows: u64,
    /// The sum of their counts.
    pub packets: u64,
    /// The sum of their alerts.
    pub alerts: u64,
    /// Rows put into quarantine.
    pub quarantined_rows: u64,
    /// Rows removed by retention.
    pub pruned_rows: u64,
    /// The sum of the removed rows' counts.
    pub pruned_packets: u64,
    /// Events in batches that found no place to wait for the store: they are lost.
    pub refused_rows: u64,
    /// The sum of their counts.
    pub refused_packets: u64,
}

/// Calls the same method of whichever store it is.
macro_rules! ask {
    ($self:ident, $reader:ident => $call:expr) => {
        match $self {
            Self::Postgres($reader) => $call.await,
            Self::Sqlite($reader) => $call.await,
        }
    };
}

impl Queries {
    /// Opens the reading side with at most `connections` connections. The store need not be there yet.
    ///
    /// # Errors
    ///
    /// When the settings can't be used.
    pub fn open(location: &Location, connections: usize) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(config) => {
                super::postgres::Reader::open(config, connections).map(Self::Postgres)
            }
            Location::Sqlite(path) => {
                super::sqlite::Reader::open(path, connections).map(Self::Sqlite)
            }
        }
    }

    /// Whether it answers, in its own words (`PostgreSQL 15.18`, `SQLite 3.50.4`).
    pub async fn version(&self) -> Result<String, QueryError> {
        ask!(self, reader => reader.version())
    }

    /// Events, newest first.
    pub async fn events(
        &self,
        filter: &EventFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredEvent>, QueryError> {
        ask!(self, reader => reader.events(filter, after, limit))
    }

    /// One event.
    pub async fn event(&self, id: EventId) -> Result<Option<StoredEvent>, QueryError> {
        ask!(self, reader => reader.event(id))
    }

    /// Several events, in the order asked for; those that do not exist are left out.
    pub async fn events_by_id(&self, ids: &[EventId]) -> Result<Vec<StoredEvent>, QueryError> {
        ask!(self, reader => reader.events_by_id(ids))
    }

    /// Events of one epoch behind this number, oldest first: what a client of the stream has missed.
    pub async fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        ask!(self, reader => reader.events_since(after, limit))
    }

    /// Sums over the events of a span of time.
    pub async fn stats(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Stats, QueryError> {
        ask!(self, reader => reader.stats(from, to))
    }

    /// Verdicts over time in buckets of `bucket`, aligned to the epoch; empty buckets are left out. At most 1,000 buckets.
    pub async fn timeline(
        &self,
        from: Timestamp,
        to: Timestamp,
        bucket: Duration,
    ) -> Result<Vec<TimelineBucket>, QueryError> {
        ask!(self, reader => reader.timeline(from, to, bucket))
    }

    /// When the first packets of the oldest and of the newest event passed.
    pub async fn span(&self) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        ask!(self, reader => reader.span())
    }

    /// Profiles of sources, latest seen first.
    pub async fn sources(
        &self,
        network: Option<Network>,
        after: Option<ProfileKey>,
        limit: u32,
    ) -> Result<Page<Profile, ProfileKey>, QueryError> {
        ask!(self, reader => reader.sources(network, after, limit))
    }

    /// The profiles of one source, one for each tenant.
    pub async fn source(&self, source: IpAddr) -> Result<Vec<Profile>, QueryError> {
        ask!(self, reader => reader.source(source))
    }

    /// Sessions, newest first.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredSession>, QueryError> {
        ask!(self, reader => reader.sessions(filter, after, limit))
    }

    /// Incidents, the latest to go on first.
    pub async fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredIncident>, QueryError> {
        ask!(self, reader => reader.incidents(filter, after, limit))
    }

    /// Changes an incident. Returns it as it is then; `None` when there is none of that name.
    pub async fn change_incident(
        &self,
        id: EventId,
        change: &IncidentChange,
        now: Timestamp,
    ) -> Result<Option<StoredIncident>, QueryError> {
        ask!(self, reader => reader.change_incident(id, change, now))
    }

    /// Labels an event. Returns whether there is one of that name.
    pub async fn label_event(&self, id: EventId, label: &Label) -> Result<bool, QueryError> {
        ask!(self, reader => reader.label_event(id, label))
    }

    /// The ledgers of the newest epochs, newest first.
    pub async fn ledgers(&self, limit: u32) -> Result<Vec<EpochLedger>, QueryError> {
        ask!(self, reader => reader.ledgers(limit))
    }
}
