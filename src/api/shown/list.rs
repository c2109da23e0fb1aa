//! Sources, sessions and incidents.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::asked::{IncidentStateName, session_state_name};
use super::{ByVerdict, Moment, Verdict, words};
use crate::event::{EventId, SessionState, Side};
use crate::store::query::{IncidentState, Profile, StoredIncident, StoredSession};

/// One page of sources, latest seen first.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct SourceList {
    pub(in super::super) sources: Vec<ShownProfile>,
    /// The cursor of the next page; null on the last one.
    pub(in super::super) next: Option<String>,
}

/// One page of sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct SessionList {
    pub(in super::super) sessions: Vec<ShownSession>,
    /// The cursor of the next page; null on the last one.
    pub(in super::super) next: Option<String>,
}

/// One page of incidents, the latest to go on first.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct IncidentList {
    pub(in super::super) incidents: Vec<ShownIncident>,
    /// The cursor of the next page; null on the last one.
    pub(in super::super) next: Option<String>,
}

/// What is known of one source.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct SourcePage {
    /// As it was asked for.
    pub(in super::super) ip: String,
    /// One for each tenant. An IPv6 source is known by its network.
    pub(in super::super) profiles: Vec<ShownProfile>,
    /// Its newest sessions.
    pub(in super::super) sessions: Vec<ShownSession>,
    /// Its incidents that nobody has closed.
    pub(in super::super) incidents: Vec<ShownIncident>,
}

/// What is known of a source over all its sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownProfile {
    /// The address; for IPv6 the lowest one of its network.
    #[schema(example = "192.0.2.7")]
    ip: String,
    /// The VLAN, where sources are told apart by it.
    tenant: Option<u16>,
    #[schema(value_type = String, format = DateTime)]
    first_seen: Moment,
    #[schema(value_type = String, format = DateTime)]
    last_seen: Moment,
    sessions: u64,
    packets: u64,
    /// On the wire.
    bytes: u64,
    verdicts: ByVerdict,
}

impl From<&Profile> for ShownProfile {
    fn from(profile: &Profile) -> Self {
        Self {
            ip: profile.source.to_canonical().to_string(),
            tenant: tenant(profile.tenant),
            first_seen: Moment(profile.first),
            last_seen: Moment(profile.last),
            sessions: profile.sessions,
            packets: profile.packets,
            bytes: profile.bytes,
            verdicts: profile.levels.into(),
        }
    }
}

fn tenant(vlan: u16) -> Option<u16> {
    (vlan != 0).then_some(vlan)
}

/// A source from its first packet to its silence.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownSession {
    id: String,
    /// The address; for IPv6 the lowest one of its network.
    src_ip: String,
    /// The VLAN, where sources are told apart by it.
    tenant: Option<u16>,
    /// First packet.
    #[schema(value_type = String, format = DateTime)]
    time: Moment,
    /// Last packet so far.
    #[schema(value_type = String, format = DateTime)]
    last_time: Moment,
    packets: u64,
    /// On the wire.
    bytes: u64,
    verdicts: ByVerdict,
    worst: Verdict,
    /// Rules that fired, by signature id; at most 32.
    rules: Vec<u32>,
    /// `open`: it may go on; `idle`: its source fell silent; `evicted`: its place was needed; `stopped`: the sensor stopped.
    #[schema(schema_with = session_states)]
    state: &'static str,
}

fn session_states() -> utoipa::openapi::Object {
    use SessionState::{Evicted, Idle, Open, Stopped};
    words([Open, Idle, Evicted, Stopped].map(session_state_name))
}

impl From<&StoredSession> for ShownSession {
    fn from(stored: &StoredSession) -> Self {
        let session = &stored.session;
        Self {
            id: EventId { epoch: stored.epoch, number: session.number }.to_string(),
            src_ip: session.source.to_string(),
            tenant: tenant(session.tenant),
            time: Moment(session.first),
            last_time: Moment(session.last),
            packets: session.packets,
            bytes: session.bytes,
            verdicts: session.levels.into(),
            worst: Verdict(session.worst),
            rules: session.rules.clone(),
            state: session_state_name(session.state),
        }
    }
}

/// Notable events of one kind about one address.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ShownIncident {
    id: String,
    /// Whom it is about; null when it was merged over everybody.
    subject: Option<String>,
    /// Whether the subject sent the packets or received them.
    #[schema(schema_with = roles)]
    role: &'static str,
    /// What is going on: an attack class, `known-bad-address`, `decoy`, `rare` or `sum`.
    #[schema(example = "network-scan")]
    kind: String,
    /// The reason of its worst event.
    title: String,
    /// First packet.
    #[schema(value_type = String, format = DateTime)]
    time: Moment,
    /// Last packet so far.
    #[schema(value_type = String, format = DateTime)]
    last_time: Moment,
    /// Packets and verdicts of victims so far.
    count: u64,
    /// Events so far.
    events: u64,
    worst: Verdict,
    /// The event with the worst verdict.
    worst_event: String,
    /// Rules that fired, by signature id; at most 32.
    rules: Vec<u32>,
    #[schema(value_type = IncidentStateName)]
    state: &'static str,
    note: Option<String>,
    /// When a person last changed state or note.
    #[schema(value_type = Option<String>, format = DateTime)]
    changed_at: Option<Moment>,
}

fn roles() -> utoipa::openapi::Object {
    words(["source", "destination"])
}

impl From<&StoredIncident> for ShownIncident {
    fn from(stored: &StoredIncident) -> Self {
        let incident = &stored.incident;
        let name = |number| EventId { epoch: stored.epoch, number }.to_string();
        Self {
            id: name(incident.number),
            subject: incident.subject.map(|address| address.to_string()),
            role: match incident.side {
                Side::Source => "source",
                Side::Destination => "destination",
            },
            kind: incident.kind.to_string(),
            title: incident.title.to_string(),
            time: Moment(incident.first),
            last_time: Moment(incident.last),
            count: incident.count,
            events: incident.events,
            worst: Verdict(incident.worst),
            worst_event: name(incident.worst_event),
            rules: incident.rules.clone(),
            state: IncidentState::name(stored.state),
            note: stored.note.clone(),
            changed_at: stored.changed_at.map(Moment),
        }
    }
}
