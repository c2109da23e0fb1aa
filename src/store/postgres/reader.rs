//! The reading side.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::PostgresConfig;
use super::pool::{Lent, ReadPool};
use crate::event::EventId;
use crate::store::StoreError;
use crate::store::query::answer::{self, Keyed, page_rows};
use crate::store::query::rows::{self, Columns, OddRow};
use crate::store::query::sql::{self, Best, Dialect, Last, Question, Sql, Step};
use crate::store::query::{
    EpochLedger, EventFilter, IncidentChange, IncidentFilter, Label, Network, PAGE_ROWS_MAX, Page,
    PageKey, Profile, ProfileKey, QueryError, SessionFilter, Stats, StoredEvent, StoredIncident,
    StoredSession, TimelineBucket,
};
use crate::time::Timestamp;

const DIALECT: Dialect = Dialect::Postgres;

/// The reading side. Has to be asked on a runtime of tokio's.
#[derive(Clone, Debug)]
pub struct Reader(Arc<ReadPool>);

impl Reader {
    pub(in crate::store) fn open(
        config: &PostgresConfig,
        connections: usize,
    ) -> Result<Self, StoreError> {
        ReadPool::new(config, connections).map(|pool| Self(Arc::new(pool)))
    }

    pub(in crate::store) async fn version(&self) -> Result<String, QueryError> {
        let version = self.one(sql::version(DIALECT), rows::text).await?;
        // Distributions add their own after a blank.
        Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
    }

    pub(in crate::store) async fn events(
        &self,
        filter: &EventFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredEvent>, QueryError> {
        let limit = page_rows(limit);
        let mut lent = self.0.lend().await?;
        let mut search = sql::events(DIALECT, filter, after, limit + 1);
        let mut found = Vec::new();
        loop {
            match search.next() {
                Step::Moment(statement) => {
                    search.moment(all(&mut lent, &statement, rows::moment).await?.pop());
                }
                Step::Number(statement) => {
                    search.number(one(&mut lent, &statement, rows::count).await?);
                }
                Step::Rows(statement) => {
                    let rows = all(&mut lent, &statement, rows::event).await?;
                    if search.rows(rows.len()) {
                        found.extend(rows);
                    }
                }
                Step::Done => return Ok(answer::page(found, limit)),
            }
        }
    }

    pub(in crate::store) async fn event(
        &self,
        id: EventId,
    ) -> Result<Option<StoredEvent>, QueryError> {
        let statement = sql::event(DIALECT, id);
        Ok(self.all(statement, rows::event).await?.pop())
    }

    pub(in crate::store) async fn events_by_id(
        &self,
        ids: &[EventId],
    ) -> Result<Vec<StoredEvent>, QueryError> {
        let ids = ids.get(..PAGE_ROWS_MAX as usize).unwrap_or(ids);
        let found = self.all(sql::events_by_id(ids), rows::event).await?;
        let by_id: HashMap<EventId, StoredEvent> =
            found.into_iter().map(|event| (event.id(), event)).collect();
        Ok(ids.iter().filter_map(|id| by_id.get(id).cloned()).collect())
    }

    pub(in crate::store) async fn events_since(
        &self,
        after: EventId,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, QueryError> {
        self.all(sql::events_since(DIALECT, after, page_rows(limit)), rows::event).await
    }

    pub(in crate::store) async fn stats(
        &self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<Stats, QueryError> {
        let sums = sql::stats(DIALECT, from, to);
        let sources = sql::sources_seen(DIALECT, from, to);
        let mut lent = self.0.lend().await?;
        let sums = all(&mut lent, &sums, rows::level_sums).await?;
        let sources = one(&mut lent, &sources, rows::count).await?;
        Ok(answer::stats(&sums, sources))
    }

    pub(in crate::store) async fn timeline(
        &self,
        from: Timestamp,
        to: Timestamp,
        bucket: Duration,
    ) -> Result<Vec<TimelineBucket>, QueryError> {
        self.all(sql::timeline(DIALECT, from, to, bucket), rows::bucket).await.map(answer::timeline)
    }

    pub(in crate::store) async fn span(
        &self,
    ) -> Result<Option<(Timestamp, Timestamp)>, QueryError> {
        self.one(sql::span(DIALECT), rows::span).await
    }

    pub(in crate::store) async fn sources(
        &self,
        network: Option<Network>,
        after: Option<ProfileKey>,
        limit: u32,
    ) -> Result<Page<Profile, ProfileKey>, QueryError> {
        let limit = page_rows(limit);
        self.page(sql::profiles(DIALECT, network, after, limit + 1), limit, rows::profile).await
    }

    pub(in crate::store) async fn source(
        &self,
        source: IpAddr,
    ) -> Result<Vec<Profile>, QueryError> {
        let statement = sql::profiles_of(DIALECT, Network::of(source), PAGE_ROWS_MAX);
        self.all(statement, rows::profile).await
    }

    pub(in crate::store) async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredSession>, QueryError> {
        let limit = page_rows(limit);
        self.page(sql::sessions(DIALECT, filter, after, limit + 1), limit, rows::session).await
    }

    pub(in crate::store) async fn incidents(
        &self,
        filter: &IncidentFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredIncident>, QueryError> {
        let limit = page_rows(limit);
        self.page(sql::incidents(DIALECT, filter, after, limit + 1), limit, rows::incident).await
    }

    pub(in crate::store) async fn change_incident(
        &self,
        id: EventId,
        change: &IncidentChange,
        now: Timestamp,
    ) -> Result<Option<StoredIncident>, QueryError> {
        let change = sql::change_incident(DIALECT, id, change, now);
        let changed = sql::incident(DIALECT, id);
        let mut lent = self.0.lend().await?;
        lent.begin_change().await?;
        lent.rows(&change).await?;
        let changed = all(&mut lent, &changed, rows::incident).await?.pop();
        lent.commit().await?;
        Ok(changed)
    }

    pub(in crate::store) async fn label_event(
        &self,
        id: EventId,
        label: &Label,
    ) -> Result<bool, QueryError> {
        let exists = sql::event_exists(DIALECT, id);
        let label = sql::label_event(DIALECT, id, label);
        let mut lent = self.0.lend().await?;
        lent.begin_change().await?;
        let exists = all(&mut lent, &exists, rows::count).await?.pop().is_some();
        if exists {
            lent.rows(&label).await?;
        }
        lent.commit().await?;
        Ok(exists)
    }

    pub(in crate::store) async fn ledgers(
        &self,
        limit: u32,
    ) -> Result<Vec<EpochLedger>, QueryError> {
        self.all(sql::ledgers(DIALECT, page_rows(limit)), rows::ledger).await
    }

    /// All rows of one statement.
    async fn all<T>(&self, statement: Sql, read: Read<T>) -> Result<Vec<T>, QueryError> {
        all(&mut self.0.lend().await?, &statement, read).await
    }

    /// The only row of a statement.
    async fn one<T>(&self, statement: Sql, read: Read<T>) -> Result<T, QueryError> {
        one(&mut self.0.lend().await?, &statement, read).await
    }

    /// A page of at most `limit` rows; the question is about one more.
    async fn page<T: Keyed>(
        &self,
        question: Question,
        limit: u32,
        read: Read<T>,
    ) -> Result<Page<T, T::Key>, QueryError> {
        let mut lent = self.0.lend().await?;
        let found = rows_of(&mut lent, &question, limit, read).await?;
        Ok(answer::page(found, limit))
    }
}

/// How a row is read.
type Read<T> = fn(&dyn Columns) -> Result<T, OddRow>;

/// The rows of the first statement whose answer counts.
async fn rows_of<T>(
    lent: &mut Lent<'_>,
    question: &Question,
    limit: u32,
    read: Read<T>,
) -> Result<Vec<T>, QueryError> {
    let last = match &question.last {
        Last::Sql(statement) => statement,
        Last::Cheapest(ways) => {
            let mut best = Best::default();
            for way in ways {
                best.is_it(way, one(lent, &way.count, rows::count).await?);
            }
            let Some(way) = best.way() else { return Ok(Vec::new()) };
            if best.is_cheap() {
                return all(lent, way, read).await;
            }
            way
        }
    };
    for attempt in &question.tries {
        let rows = all(lent, attempt, read).await?;
        if rows.len() > limit as usize {
            return Ok(rows);
        }
    }
    all(lent, last, read).await
}

async fn all<T>(lent: &mut Lent<'_>, statement: &Sql, read: Read<T>) -> Result<Vec<T>, QueryError> {
    let rows = lent.rows(statement).await?;
    rows.iter().map(|row| read(row).map_err(|fault| lent.odd(&fault))).collect()
}

/// The only row of an answer.
async fn one<T>(lent: &mut Lent<'_>, statement: &Sql, read: Read<T>) -> Result<T, QueryError> {
    let found = all(lent, statement, read).await?.pop();
    found.ok_or_else(|| lent.odd(&OddRow::new(0, "is missing")))
}
