//! The reading side.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::connections::{Connections, Fault};
use super::rows::bind;
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

const DIALECT: Dialect = Dialect::Sqlite;

/// The reading side. Has to be asked on a runtime of tokio's.
#[derive(Clone, Debug)]
pub struct Reader(Arc<Connections>);

impl Reader {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "as in the other store, where settings can be unusable"
    )]
    pub(in crate::store) fn open(path: &Path, connections: usize) -> Result<Self, StoreError> {
        Ok(Self(Arc::new(Connections::new(path, connections))))
    }

    pub(in crate::store) async fn version(&self) -> Result<String, QueryError> {
        let statement = sql::version(DIALECT);
        let version = self.0.ask(move |store| one(store, &statement, rows::text)).await?;
        Ok(format!("SQLite {version}"))
    }

    pub(in crate::store) async fn events(
        &self,
        filter: &EventFilter,
        after: Option<PageKey>,
        limit: u32,
    ) -> Result<Page<StoredEvent>, QueryError> {
        let limit = page_rows(limit);
        let filter = filter.clone();
        let search = move |store: &Transaction<'_>| {
            let mut search = sql::events(DIALECT, &filter, after, limit + 1);
            let mut found = Vec::new();
            loop {
                match search.next() {
                    Step::Moment(statement) => {
                        search.moment(all(store, &statement, rows::moment)?.pop());
                    }
                    Step::Number(statement) => {
                        search.number(one(store, &statement, rows::count)?);
                    }
                    Step::Rows(statement) => {
                        let rows = all(store, &statement, rows::event)?;
                        if search.rows(rows.len()) {
                            found.extend(rows);
                        }
                    }
                    Step::Done => return Ok(answer::page(found, limit)),
                }
            }
        };
        self.0.ask(search).await
    }

    pub(in crate::store) async fn event(
        &self,
        id: EventId,
    ) -> Result<Option<StoredEvent>, QueryError> {
        let statement = sql::event(DIALECT, id);
        self.0.ask(move |store| Ok(all(store, &statement, rows::event)?.pop())).await
    }

    pub(in crate::store) async fn events_by_id(
        &self,
        ids: &[EventId],
    ) -> Result<Vec<StoredEvent>, QueryError> {
        let ids = ids.iter().take(page_rows(PAGE_ROWS_MAX) as usize);
        let statements: Vec<Sql> = ids.map(|id| sql::event(DIALECT, *id)).collect();
        self.0
            .ask(move |store| {
                let mut found = Vec::with_capacity(statements.len());
                for statement in &statements {
                    found.extend(all(store, statement, rows::event)?);
                }
                Ok(found)
            })
            .await
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
        self.0
            .ask(move |store| {
                let sums = all(store, &sums, rows::level_sums)?;
                Ok(answer::stats(&sums, one(store, &sources, rows::count)?))
            })
            .await
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
        let statement = sql::span(DIALECT);
        self.0.ask(move |store| one(store, &statement, rows::span)).await
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
        self.0
            .change(move |store| {
                run(store, &change)?;
                Ok(all(store, &changed, rows::incident)?.pop())
            })
            .await
    }

    pub(in crate::store) async fn label_event(
        &self,
        id: EventId,
        label: &Label,
    ) -> Result<bool, QueryError> {
        let exists = sql::event_exists(DIALECT, id);
        let label = sql::label_event(DIALECT, id, label);
        self.0
            .change(move |store| {
                let exists = all(store, &exists, rows::count)?.pop().is_some();
                if exists {
                    run(store, &label)?;
                }
                Ok(exists)
            })
            .await
    }

    pub(in crate::store) async fn ledgers(
        &self,
        limit: u32,
    ) -> Result<Vec<EpochLedger>, QueryError> {
        self.all(sql::ledgers(DIALECT, page_rows(limit)), rows::ledger).await
    }

    /// All rows of one statement.
    async fn all<T: Send + 'static>(
        &self,
        statement: Sql,
        read: Read<T>,
    ) -> Result<Vec<T>, QueryError> {
        self.0.ask(move |store| all(store, &statement, read)).await
    }

    /// A page of at most `limit` rows; the question is about one more.
    async fn page<T: Keyed + Send + 'static>(
        &self,
        question: Question,
        limit: u32,
        read: Read<T>,
    ) -> Result<Page<T, T::Key>, QueryError> {
        let rows = self.0.ask(move |store| rows_of(store, &question, limit, read)).await?;
        Ok(answer::page(rows, limit))
    }
}

/// How a row is read.
type Read<T> = fn(&dyn Columns) -> Result<T, OddRow>;

/// The rows of the first statement whose answer counts.
fn rows_of<T>(
    store: &Connection,
    question: &Question,
    limit: u32,
    read: Read<T>,
) -> Result<Vec<T>, Fault> {
    let last = match &question.last {
        Last::Sql(statement) => statement,
        Last::Cheapest(ways) => {
            let mut best = Best::default();
            for way in ways {
                best.is_it(way, one(store, &way.count, rows::count)?);
            }
            let Some(way) = best.way() else { return Ok(Vec::new()) };
            if best.is_cheap() {
                return all(store, way, read);
            }
            way
        }
    };
    for attempt in &question.tries {
        let rows = all(store, attempt, read)?;
        if rows.len() > limit as usize {
            return Ok(rows);
        }
    }
    all(store, last, read)
}

fn all<T>(store: &Connection, statement: &Sql, read: Read<T>) -> Result<Vec<T>, Fault> {
    let mut prepared = store.prepare_cached(statement.text())?;
    bind(&mut prepared, statement.values())?;
    let mut found = Vec::new();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The only row of an answer.
fn one<T>(store: &Connection, statement: &Sql, read: Read<T>) -> Result<T, Fault> {
    all(store, statement, read)?.pop().ok_or(Fault::Sqlite(rusqlite::Error::QueryReturnedNoRows))
}

fn run(store: &Connection, statement: &Sql) -> Result<usize, Fault> {
    let mut prepared = store.prepare_cached(statement.text())?;
    bind(&mut prepared, statement.values())?;
    Ok(prepared.raw_execute()?)
}
