//! Connections: how they are set up, how long the server may be silent, and whose fault it is when it refuses.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::task::AbortHandle;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Encryption, PostgresConfig};
use super::{passfile, tls};
use crate::store::StoreError;
use crate::store::query::QUERY_TIME_MAX;

/// What a connection is for: it decides how long a statement may take on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Role {
    /// Commits batches.
    Writer,
    /// Answers questions.
    Reader,
    /// Changes the tables, however long it takes.
    Migration,
}

/// A connection. Dropped, it breaks off at once, whatever the server is doing.
#[derive(Debug)]
pub(in crate::store) struct Link {
    /// Where statements go.
    pub(in crate::store) client: Client,
    task: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PostgresConfig {
    /// Connects, and gives the connection's task to the runtime that this runs on.
    ///
    /// # Errors
    ///
    /// `Away` or `Refused`, by whose fault it is.
    pub(in crate::store) async fn connect(&self, role: Role) -> Result<Link, StoreError> {
        let (config, tls) = self.settings(role)?;
        let (client, connection) = self.answer(config.connect(tls)).await?;
        // How a connection ends is told by the statements that it leaves unanswered.
        let task = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Link { client, task })
    }

    /// What a pool of connections needs to make them by itself.
    ///
    /// # Errors
    ///
    /// When the certificates of the authorities can't be read.
    pub(in crate::store) fn settings(
        &self,
        role: Role,
    ) -> Result<(Config, MakeRustlsConnect), StoreError> {
        let mut config = Config::new();
        for host in &self.hosts {
            // A name that begins with a slash is taken for the folder of a socket.
            config.host(&host.name).port(host.port);
        }
        config.user(&self.user).dbname(&self.database).application_name(&self.application);
        let looked_up = || {
            let file = self.passfile.as_deref()?;
            let of = |host| passfile::password(file, host, &self.database, &self.user);
            self.hosts.iter().find_map(of)
        };
        if let Some(password) = self.password.clone().or_else(looked_up) {
            config.password(password);
        }
        let sockets_alone = self.hosts.iter().all(super::config::Host::is_socket);
        config.ssl_mode(match self.encryption {
            _ if sockets_alone => SslMode::Disable,
            Encryption::Disable => SslMode::Disable,
            Encryption::Prefer => SslMode::Prefer,
            Encryption::Require | Encryption::VerifyAuthority | Encryption::VerifyFull => {
                SslMode::Require
            }
        });
        if self.writable {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .connect_timeout(self.connect_within)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(self.answer_within.max(Duration::from_secs(1)) * 2)
            .options(self.server_options(role));
        let tls = tls::connector(self).map_err(|reason| self.refused(reason))?;
        Ok((config, tls))
    }

    /// Settings of the session. The operator's own come last, and win.
    fn server_options(&self, role: Role) -> String {
        let statement = match role {
            Role::Writer => STATEMENT_MAX,
            Role::Reader => QUERY_TIME_MAX,
            Role::Migration => Duration::ZERO, // no limit
        };
        let lock = if role == Role::Migration { STATEMENT_MAX } else { LOCK_MAX };
        // Synchronous: a row of the ledger that a crash of the server takes back would be a batch that nobody sends again.
        format!(
            "-c statement_timeout={} -c lock_timeout={} -c synchronous_commit=on -c idle_in_transaction_session_timeout={} \
             -c jit=off -c TimeZone=UTC -c DateStyle=ISO -c client_min_messages=warning {}",
            statement.as_millis(),
            lock.as_millis(),
            IDLE_IN_TRANSACTION_MAX.as_millis(),
            self.options.as_deref().unwrap_or_default(),
        )
    }

    /// Waits for the server, but not for longer than it may be silent.
    pub(in crate::store) async fn answer<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        self.answer_by(self.answer_within, question).await
    }

    /// Waits for the server, but not for longer than `limit`.
    pub(in crate::store) async fn answer_by<T>(
        &self,
        limit: Duration,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(limit, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(&error)),
            Err(_elapsed) => Err(self.away(format!("no answer within {limit:?}"))),
        }
    }

    /// Whose fault an error is. Nothing is given up because of a class of errors: what the operator has to mend may be mended.
    pub(in crate::store) fn fault(&self, error: &tokio_postgres::Error) -> StoreError {
        let reason = reason(error);
        let refused = match error.code() {
            Some(_) if is_rows_fault(error) => true,
            Some(code) => REFUSALS.iter().any(|class| code.code().starts_with(class)),
            None => is_certificates_fault(error) || is_configurations_fault(error),
        };
        if refused { self.refused(reason) } else { self.away(reason) }
    }

    pub(in crate::store) fn away(&self, reason: String) -> StoreError {
        StoreError::Away { store: self.to_string(), reason }
    }

    pub(in crate::store) fn refused(&self, reason: String) -> StoreError {
        StoreError::Refused { store: self.to_string(), reason }
    }
}

/// What went wrong, in one line and without what is in the row that it went wrong with.
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{}{hint}, SQLSTATE {}", error.message(), error.code().code());
    }
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    reason
}

/// Prepares statements, all sent before the first is answered.
pub(super) async fn prepare_all<const N: usize>(
    client: &Client,
    statements: [&str; N],
) -> Result<[Statement; N], tokio_postgres::Error> {
    let prepared = try_join_all(statements.map(|statement| client.prepare(statement))).await?;
    Ok(prepared.try_into().expect("there is one for each"))
}

/// Whether it is a row that the server refuses, not what is done with it: such a row is refused as often as it is tried.
pub(super) fn is_rows_fault(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| ROW_REFUSALS.iter().any(|class| code.code().starts_with(class)))
}

/// Whether the server's certificate was not believed, or it speaks no TLS at all.
fn is_certificates_fault(error: &tokio_postgres::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = cause.source();
    }
    // The library tells this by words alone.
    reason(error).contains("server does not support TLS")
}

/// Whether the server wants a password that nobody has named, or this end asks for something it can't do.
fn is_configurations_fault(error: &tokio_postgres::Error) -> bool {
    let shown = error.to_string();
    shown == "invalid configuration" || shown == "authentication error"
}

/// Classes of SQLSTATE (PostgreSQL manual, appendix A) that the operator has to do something about: a login that is not valid, a
/// database or schema that is not there, a name or right that is missing.
const REFUSALS: [&str; 4] = ["28", "3D", "3F", "42"];

/// Classes that are about the values in a row: data, constraints, views' checks, limits of the program (a row too long for an index),
/// exceptions raised by triggers.
const ROW_REFUSALS: [&str; 5] = ["22", "23", "44", "54", "P0"];

/// How long a statement may take on the server.
const STATEMENT_MAX: Duration = Duration::from_secs(30);

/// How long it may wait for a lock.
const LOCK_MAX: Duration = Duration::from_secs(2);

/// How long the server keeps the locks of a sensor that has gone silent in mid-transaction.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(60);

const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
