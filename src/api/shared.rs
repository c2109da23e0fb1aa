//! What all handlers share: the sensor's figures, the store, and what was set.

use std::time::Duration;

use tokio::sync::Semaphore;

use super::front::Routes;
use super::metrics::Metrics;
use super::params::{ApiParams, Token};
use super::problem::Problem;
use super::requests::RequestStats;
use super::routes::Documents;
use super::shown::event_line;
use super::stream::{StreamParams, Streams};
use super::{Live, openapi};
use crate::store::query::{QUERY_TIME_MAX, Queries, QueryError};

/// How long a question waits for a connection before it is told that all are taken.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How long a question may take in all, should the store not keep its own limit: a network that swallows everything.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(QUERY_TIME_MAX.as_secs() + 3);

/// One for the whole server.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) live: Live,
    pub(super) store: Store,
    pub(super) requests: RequestStats,
    pub(super) routes: Routes,
    pub(super) documents: Documents,
    pub(super) hosts: Vec<String>,
    pub(super) token: Option<Token>,
    pub(super) body_bytes_max: usize,
    pub(super) table_bytes_max: usize,
    pub(super) ipv6_prefix: u8,
    pub(super) streams: Streams<Queries>,
    pub(super) metrics: Metrics,
}

impl Shared {
    pub(super) fn new(params: &ApiParams, live: Live, queries: Queries) -> Self {
        let document = openapi::document();
        let past = Some(queries.clone());
        let streams = Streams::new(live.clone(), past, event_line, StreamParams::default());
        let requests = RequestStats::default();
        let metrics = Metrics::new(live.clone(), requests.clone());
        Self {
            live,
            store: Store { queries, places: Semaphore::new(params.query_connections) },
            requests,
            routes: Routes::of(&document),
            documents: Documents::of(&document),
            hosts: params.allowed_hosts(),
            token: params.token.clone(),
            body_bytes_max: params.body_bytes_max,
            table_bytes_max: params.table_bytes_max,
            ipv6_prefix: params.ipv6_prefix,
            streams,
            metrics,
        }
    }
}

/// The store, asked by so many at a time.
#[derive(Debug)]
pub(super) struct Store {
    queries: Queries,
    places: Semaphore,
}

impl Store {
    /// Asks, as soon as there is a place.
    ///
    /// # Errors
    ///
    /// When there was no place in time, the store is away, or the question is too expensive.
    pub(super) async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Queries) -> Result<T, QueryError>,
    ) -> Result<T, Problem> {
        let place = tokio::time::timeout(WAIT_MAX, self.places.acquire()).await;
        let _place = place.map_err(|_elapsed| Problem::Away(BUSY.to_owned()))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, question(&self.queries)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Problem::Away("the store does not answer".to_owned())),
        }
    }

    /// Asks at once; `None` when there is no place.
    pub(super) async fn ask_now<T>(
        &self,
        question: impl AsyncFnOnce(&Queries) -> Result<T, QueryError>,
    ) -> Option<Result<T, Problem>> {
        let _place = self.places.try_acquire().ok()?;
        Some(match tokio::time::timeout(WAIT_MAX, question(&self.queries)).await {
            Ok(answer) => answer.map_err(Problem::from),
            Err(_) => Err(Problem::Away("the store does not answer".to_owned())),
        })
    }
}

const BUSY: &str = "all connections to the store are taken";
