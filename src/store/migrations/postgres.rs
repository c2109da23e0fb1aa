//! The steps of PostgreSQL.

use tokio_postgres::Client;

use super::{HISTORY, SCHEMA_VERSION, Step, compare, missing};
use crate::store::StoreError;
use crate::store::postgres::{PostgresConfig, Role};

/// Numbered from 1.
pub(super) const STEPS: [Step; 2] = [
    Step {
        version: 1,
        name: "events",
        sql: include_str!("../../../migrations/postgres/V1__events.sql"),
    },
    Step {
        version: 2,
        name: "hours",
        sql: include_str!("../../../migrations/postgres/V2__hours.sql"),
    },
];

/// Names the lock that one migration at a time holds: `phantom` in ASCII.
const LOCK: i64 = 0x0070_6861_6e74_6f6d;

/// Whether the tables are those of this program.
///
/// # Errors
///
/// `Schema` when they are not.
pub(in crate::store) async fn check(
    config: &PostgresConfig,
    client: &Client,
) -> Result<(), StoreError> {
    is_utf8(config, client).await?;
    let found = config.answer(version(client)).await?;
    compare(&config.to_string(), found)
}

/// Whether the database holds any text: in another encoding a feed's label could be a row that is refused for ever.
async fn is_utf8(config: &PostgresConfig, client: &Client) -> Result<(), StoreError> {
    let question =
        "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()";
    let encoding = config.answer(client.query_one(question, &[])).await?;
    match encoding.get::<_, &str>(0) {
        "UTF8" => Ok(()),
        other => Err(config.refused(format!(
            "the database's encoding is {other}; make one with ENCODING 'UTF8' TEMPLATE template0"
        ))),
    }
}

/// Takes the steps that are missing.
pub(super) fn migrate(config: &PostgresConfig) -> Result<u32, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| config.away(error.to_string()))?;
    let migrated = runtime.block_on(async {
        let mut link = config.connect(Role::Migration).await?;
        is_utf8(config, &link.client).await?;
        // No limit of time: a step may have to go through every row.
        let found = take_steps(&mut link.client).await.map_err(|error| config.fault(&error))?;
        if found > SCHEMA_VERSION {
            compare(&config.to_string(), found).map(|()| found)
        } else {
            Ok(found)
        }
    });
    // A name that takes long to resolve is not waited for.
    runtime.shutdown_background();
    migrated
}

/// All steps or none. Returns the version found.
async fn take_steps(client: &mut Client) -> Result<u32, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    // Whoever comes second waits here, and then sees what the first has done.
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = version(transaction.client()).await?;
    if found == 0 {
        transaction
            .batch_execute(&format!(
                "CREATE TABLE {HISTORY} (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
            ))
            .await?;
    }
    for step in missing(&STEPS, found) {
        transaction.batch_execute(step.sql).await?;
        let insert = format!(
            "INSERT INTO {HISTORY} (version, name) VALUES ({}, '{}')",
            step.version, step.name
        );
        transaction.batch_execute(&insert).await?;
    }
    transaction.commit().await?;
    Ok(found)
}

/// The version of the tables that this connection sees; 0 for none.
async fn version(client: &Client) -> Result<u32, tokio_postgres::Error> {
    let known = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY]).await?;
    if !known.get::<_, bool>(0) {
        return Ok(0);
    }
    let version = format!("SELECT coalesce(max(version), 0) FROM {HISTORY}");
    let found: i32 = client.query_one(&version, &[]).await?.get(0);
    Ok(found.try_into().unwrap_or_default())
}
