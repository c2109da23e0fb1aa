//! The readers' connections: a few, made when they are wanted, which can't write unless a transaction says that it does.

use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::rows::typed;
use super::{PostgresConfig, Role};
use crate::store::StoreError;
use crate::store::query::rows::OddRow;
use crate::store::query::sql::Sql;
use crate::store::query::{QUERY_TIME_MAX, QueryError};

/// How long a question waits for a connection that others use.
const SLOT_WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a new connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// How much longer than the server's own limit a question is waited for: then the server has gone silent.
const SILENCE_MAX: Duration = Duration::from_millis(300);

/// Readers do not write by accident, and take no more than one processor each. Their statements look for few rows by key, in an order
/// that an index has: with hashes, merges, bitmaps and sequential scans to choose from the planner reads and sorts whole partitions
/// instead, where it has no statistics of the newest rows. What no index leads to it reads from end to end all the same.
const SESSION: &str = "-c default_transaction_read_only=on -c max_parallel_workers_per_gather=0 -c enable_hashjoin=off \
     -c enable_mergejoin=off -c enable_seqscan=off -c enable_bitmapscan=off";

/// A bounded set of connections to one server.
#[derive(Clone, Debug)]
pub(super) struct ReadPool {
    pool: Pool,
    config: PostgresConfig,
}

impl ReadPool {
    /// At most `most` connections, at least one. Connects to nothing yet.
    pub(super) fn new(config: &PostgresConfig, most: usize) -> Result<Self, StoreError> {
        let (mut settings, tls) = config.settings(Role::Reader)?;
        // The last word counts, whatever the operator has set.
        let options = settings.get_options().unwrap_or_default();
        settings.options(format!("{options} {SESSION}"));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(settings, tls, recycling))
            .max_size(most.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(SLOT_WAIT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .recycle_timeout(Some(CONNECT_MAX))
            .build()
            .map_err(|fault| config.refused(fault.to_string()))?;
        Ok(Self { pool, config: config.clone() })
    }

    /// A connection for one question (of one or more statements), whose time begins now.
    pub(super) async fn lend(&self) -> Result<Lent<'_>, QueryError> {
        let object = self.pool.get().await.map_err(|fault| self.no_connection(&fault))?;
        let end = Instant::now() + QUERY_TIME_MAX + SILENCE_MAX;
        Ok(Lent {
            pool: self,
            object: Some(object),
            end,
            answered: false,
            in_exchange: false,
            in_transaction: false,
        })
    }

    fn no_connection(&self, fault: &PoolError) -> StoreError {
        match fault {
            PoolError::Backend(error) => self.config.fault(error),
            PoolError::Timeout(TimeoutType::Wait) => {
                let most = self.pool.status().max_size;
                self.config.away(format!("all {most} connections for reading are busy"))
            }
            PoolError::Timeout(_) => self.config.away(format!("no answer within {CONNECT_MAX:?}")),
            other => self.config.away(other.to_string()),
        }
    }
}

/// A connection of the pool, which it goes back to. One that is in the middle of something (an answer that nobody waits for any
/// more, a transaction) is closed instead: the server would take the next question for a part of it.
pub(super) struct Lent<'a> {
    pool: &'a ReadPool,
    object: Option<Object>,
    end: Instant,
    answered: bool,
    in_exchange: bool,
    in_transaction: bool,
}

impl Lent<'_> {
    /// All rows of a statement.
    pub(super) async fn rows(&mut self, statement: &Sql) -> Result<Vec<Row>, QueryError> {
        let values = typed(statement.values());
        self.run(async |client| client.query_typed(statement.text(), &values).await).await
    }

    /// Begins a transaction that may write: connections for reading refuse to in any other.
    pub(super) async fn begin_change(&mut self) -> Result<(), QueryError> {
        self.in_transaction = true;
        self.run(async |client| client.batch_execute("BEGIN READ WRITE").await).await
    }

    /// Ends it.
    pub(super) async fn commit(&mut self) -> Result<(), QueryError> {
        self.run(async |client| client.batch_execute("COMMIT").await).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// A row that can't be understood is the operator's business.
    pub(super) fn odd(&self, fault: &OddRow) -> QueryError {
        self.pool.config.refused(fault.to_string()).into()
    }

    async fn run<T>(
        &mut self,
        ask: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, QueryError> {
        let config = &self.pool.config;
        let Some(object) = &self.object else {
            return Err(config.away("the connection is closed".to_owned()).into());
        };
        self.in_exchange = true;
        match tokio::time::timeout_at(self.end, ask(object)).await {
            Ok(answer) => {
                self.in_exchange = false;
                self.answered = true;
                answer.map_err(|error| match error.code() {
                    Some(&SqlState::QUERY_CANCELED) => QueryError::TooExpensive,
                    _ => config.fault(&error).into(),
                })
            }
            // It has answered a part of this question, so it is there.
            Err(_elapsed) if self.answered => Err(QueryError::TooExpensive),
            Err(_elapsed) => Err(config.away("no answer".to_owned()).into()),
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if self.in_exchange || self.in_transaction {
            drop(Object::take(object));
        }
    }
}
