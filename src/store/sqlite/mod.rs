//! SQLite, in the program itself.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::query::{
    EpochLedger, EventFilter, IncidentChange, IncidentFilter, Label, Network, Page, PageKey,
    Profile, ProfileKey, QueryError, SessionFilter, Stats, StoredEvent, StoredIncident,
    StoredSession, TimelineBucket,
};
use super::{Committed, Maintained, RetentionParams, Store, StoreError};
use crate::event::{Batch, EventId};
use crate::time::Timestamp;

/// The writing side.
#[derive(Debug)]
pub struct SqliteStore;

impl SqliteStore {
    /// Opens the file, and checks the schema.
    ///
    /// # Errors
    ///
    /// When it can't be reached, refuses, or has another schema.
    pub fn open(_path: &Path, _retention: RetentionParams) -> Result<Self, StoreError> {
        Err(unbuilt())
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, _batch: &Batch, _now: Timestamp) -> Result<Committed, StoreError> {
        Err(unbuilt())
    }

    fn maintain(&mut self, _now: Timestamp) -> Result<Maintained, StoreError> {
        Err(unbuilt())
    }

    fn name(&self) -> String {
        "sqlite".to_owned()
    }
}

fn unbuilt() -> StoreError {
    StoreError::Refused { store: "sqlite".to_owned(), reason: "not built yet".to_owned() }
}

/// The reading side.
#[derive(Clone, Debug)]
pub struct Reader;

impl Reader {
    pub(super) fn open(_path: &Path, _connections: usize) -> Result<Self, StoreError> {
        Err(unbuilt())
    }

    pub(super) async fn version(&self) -> Result<String, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn events(
        &self,
        _filter: &EventFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn event(&self, _id: EventId) -> Result<Option<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn events_by_id(
        &self,
        _ids: &[EventId],
    ) -> Result<Vec<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn events_since(
        &self,
        _after: EventId,
        _limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn stats(
        &self,
        _from: Option<Timestamp>,
        _to: Option<Timestamp>,
    ) -> Result<Stats, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn timeline(
        &self,
        _from: Timestamp,
        _to: Timestamp,
        _bucket: Duration,
    ) -> Result<Vec<TimelineBucket>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn span(&self) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn sources(
        &self,
        _network: Option<Network>,
        _after: Option<ProfileKey>,
        _limit: u32,
    ) -> Result<Page<Profile, ProfileKey>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn source(&self, _source: IpAddr) -> Result<Vec<Profile>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn sessions(
        &self,
        _filter: &SessionFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredSession>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn incidents(
        &self,
        _filter: &IncidentFilter,
        _after: Option<PageKey>,
        _limit: u32,
    ) -> Result<Page<StoredIncident>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn change_incident(
        &self,
        _id: EventId,
        _change: &IncidentChange,
        _now: Timestamp,
    ) -> Result<Option<StoredIncident>, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn label_event(
        &self,
        _id: EventId,
        _label: &Label,
    ) -> Result<bool, QueryError> {
        Err(unbuilt().into())
    }

    pub(super) async fn ledgers(&self, _limit: u32) -> Result<Vec<EpochLedger>, QueryError> {
        Err(unbuilt().into())
    }
}
