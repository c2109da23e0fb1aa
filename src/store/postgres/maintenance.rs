//! Maintenance.

use tokio_postgres::Client;

use super::PostgresConfig;
use crate::store::{Maintained, RetentionParams, StoreError};
use crate::time::Timestamp;

/// Maintenance.
#[derive(Debug)]
pub(super) struct Maintenance {
    retention: RetentionParams,
}

impl Maintenance {
    pub(super) const fn new(retention: RetentionParams) -> Self {
        Self { retention }
    }

    pub(super) async fn run(
        &mut self,
        _config: &PostgresConfig,
        _client: &Client,
        _now: Timestamp,
    ) -> Result<Maintained, StoreError> {
        _ = self.retention;
        Ok(Maintained::default())
    }
}
