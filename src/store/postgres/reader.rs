//! The reading side.

use std::net::IpAddr;
use std::time::Duration;

use super::{PostgresConfig, unbuilt};
use crate::event::EventId;
use crate::store::StoreError;
use crate::store::query::{
    EpochLedger, EventFilter, IncidentChange, IncidentFilter, Label, Network, Page, PageKey,
    Profile, ProfileKey, QueryError, SessionFilter, Stats, StoredEvent, StoredIncident,
    StoredSession, TimelineBucket,
};
use crate::time::Timestamp;

/// The reading side.
#[derive(Clone, Debug)]
pub struct Reader;

impl Reader {
    pub(in crate::store) fn open(
        _config: &PostgresConfig,
        _connections: usize,
    ) -> Result<Self, StoreError> {
        Err(unbuilt())
    }

    pub(in crate::store) async fn version(&self) -> Result<String, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn events(
        &self,
        _filter: &EventFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn event(
        &self,
        _id: EventId,
    ) -> Result<Option<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn events_by_id(
        &self,
        _ids: &[EventId],
    ) -> Result<Vec<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn events_since(
        &self,
        _after: EventId,
        _limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn stats(
        &self,
        _from: Option<Timestamp>,
        _to: Option<Timestamp>,
    ) -> Result<Stats, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn timeline(
        &self,
        _from: Timestamp,
        _to: Timestamp,
        _bucket: Duration,
    ) -> Result<Vec<TimelineBucket>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn span(
        &self,
    ) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn sources(
        &self,
        _network: Option<Network>,
        _after: Option<ProfileKey>,
        _limit: u32,
    ) -> Result<Page<Profile, ProfileKey>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn source(
        &self,
        _source: IpAddr,
    ) -> Result<Vec<Profile>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn sessions(
        &self,
        _filter: &SessionFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredSession>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn incidents(
        &self,
        _filter: &IncidentFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredIncident>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn change_incident(
        &self,
        _id: EventId,
        _change: &IncidentChange,
        _now: Timestamp,
    ) -> Result<Option<StoredIncident>, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn label_event(
        &self,
        _id: EventId,
        _label: &Label,
    ) -> Result<bool, QueryError> {
        Err(unbuilt().into())
    }

    pub(in crate::store) async fn ledgers(
        &self,
        _limit: u32,
    ) -> Result<Vec<EpochLedger>, QueryError> {
        Err(unbuilt().into())
    }
}
