//! The writing side: one connection, used by one thread that waits for it.

use tokio::runtime::{Builder, Runtime};

use super::commit::{self, Session};
use super::maintenance::Maintenance;
use super::{PostgresConfig, Role};
use crate::event::Batch;
use crate::store::migrations::check_postgres;
use crate::store::{Committed, Expiry, Maintained, RetentionParams, Store, StoreError};
use crate::time::Timestamp;

/// The writing side.
///
/// Every wait for the server has a limit ([`PostgresConfig::answering_within`]). After any failure the connection is thrown away
/// and the next call makes a new one.
#[derive(Debug)]
pub struct PostgresStore {
    config: PostgresConfig,
    session: Option<Session>,
    maintenance: Maintenance,
    /// Drives the connection while one of the methods waits. Taken when this is dropped.
    runtime: Option<Runtime>,
}

impl PostgresStore {
    /// Connects, and checks the schema.
    ///
    /// # Errors
    ///
    /// When it can't be reached, refuses, or has another schema.
    pub fn open(config: &PostgresConfig, retention: RetentionParams) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| config.away(error.to_string()))?;
        let mut store = Self {
            config: config.clone(),
            session: None,
            maintenance: Maintenance::new(retention),
            runtime: Some(runtime),
        };
        store.with_session(async |_config, _session, _maintenance| Ok(()))?;
        Ok(store)
    }

    /// Does something on the connection, which is made if there is none and thrown away if it fails.
    fn with_session<T>(
        &mut self,
        work: impl AsyncFnOnce(&PostgresConfig, &Session, &mut Maintenance) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Self { config, session, maintenance, runtime } = self;
        let Some(runtime) = runtime else {
            return Err(config.away("it is closed".to_owned()));
        };
        runtime.block_on(async {
            let open = match session.take() {
                Some(open) => open,
                None => {
                    let link = config.connect(Role::Writer).await?;
                    check_postgres(config, &link.client).await?;
                    Session::prepare(config, link).await?
                }
            };
            let done = work(config, &open, maintenance).await?;
            *session = Some(open);
            Ok(done)
        })
    }
}

impl Store for PostgresStore {
    fn commit(&mut self, batch: &Batch, now: Timestamp) -> Result<Committed, StoreError> {
        let committed = self.commit_some(&[batch], now)?;
        Ok(committed.into_iter().next().unwrap_or_default())
    }

    fn commit_some(
        &mut self,
        batches: &[&Batch],
        now: Timestamp,
    ) -> Result<Vec<Committed>, StoreError> {
        self.with_session(async |config, session, _| {
            commit::commit(config, session, batches, now).await
        })
    }

    fn maintain_with(&mut self, now: Timestamp, expiry: Expiry) -> Result<Maintained, StoreError> {
        self.with_session(async |config, session, maintenance| {
            maintenance.run(config, session.client(), now, expiry).await
        })
    }

    fn name(&self) -> String {
        self.config.to_string()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.session = None;
        if let Some(runtime) = self.runtime.take() {
            // A name that takes long to resolve is not waited for.
            runtime.shutdown_background();
        }
    }
}
