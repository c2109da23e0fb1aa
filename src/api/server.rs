//! The server: bound at once, run in threads of its own, ended within two seconds.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use actix_web::HttpServer;
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::rt::System;
use actix_web::rt::net::TcpStream;
use actix_web::web::Data;
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::Live;
use super::app::app;
use super::params::{ApiParams, ApiParamsError};
use super::requests::RequestStats;
use super::shared::Shared;
use crate::collect::Hub;
use crate::store::query::Queries;

/// How long a client may take to send the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a connection may take to close.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);

/// Milliseconds that what was sent may stay unacknowledged or unread before the kernel drops the connection.
const UNREAD_MILLIS_MAX: u32 = 30_000;

/// Seconds that requests in hand may take to finish when the server stops.
const FINISH_SECS_MAX: u64 = 1;

/// How long stopping may take in all.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A setting can't be used.
    #[error("HTTP server: {0}")]
    Params(#[from] ApiParamsError),
    /// The address can't be had.
    #[error("HTTP server: {address} can't be listened on: {source}")]
    Address {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Its threads could not be started.
    #[error("HTTP server: can't be started: {0}")]
    Start(#[source] io::Error),
    /// It stopped by itself, or would not stop in time.
    #[error("HTTP server: {0}")]
    Stop(String),
}

/// The running server.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    handle: ServerHandle,
    requests: RequestStats,
    events: Hub,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ApiServer {
    /// Binds, and begins to answer in threads of its own.
    ///
    /// # Errors
    ///
    /// When a setting or the address can't be used, or a thread not be started.
    pub fn start(params: &ApiParams, live: Live, queries: Queries) -> Result<Self, ApiError> {
        params.check()?;
        let not_bound = |source| ApiError::Address { address: params.address, source };
        let listener = TcpListener::bind(params.address).map_err(not_bound)?;
        let address = listener.local_addr().map_err(not_bound)?;
        listener.set_nonblocking(true).map_err(not_bound)?;
        let events = live.events.clone();
        let shared = Data::new(Shared::new(params, live, queries));
        let requests = shared.requests.clone();
        let (sender, started) = mpsc::sync_channel(1);
        let params = params.clone();
        let thread = std::thread::Builder::new()
            .name("api".to_owned())
            .spawn(move || serve(&params, listener, shared, &sender))
            .map_err(ApiError::Start)?;
        // Nothing comes when the thread ends before the server runs; then its own error says why.
        match started.recv() {
            Ok(handle) => Ok(Self { address, handle, requests, events, thread: Some(thread) }),
            Err(_) => Err(ApiError::Start(match thread.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("its thread ended at once"),
            })),
        }
    }

    /// Where it listens, with the port that the system chose.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has answered.
    #[must_use]
    pub const fn requests(&self) -> &RequestStats {
        &self.requests
    }

    /// Whether it still answers.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends it: streams are closed, requests in hand may finish for a second, then connections are dropped.
    ///
    /// # Errors
    ///
    /// When it had stopped by itself, or has not stopped within two seconds.
    pub fn stop(mut self) -> Result<(), ApiError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.ask_to_stop(true);
        let deadline = Instant::now() + STOP_TIME_MAX;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                return Err(ApiError::Stop("did not stop within 2 s".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match thread.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ApiError::Stop(error.to_string())),
            Err(_) => Err(ApiError::Stop("its thread panicked".to_owned())),
        }
    }

    fn ask_to_stop(&self, gracefully: bool) {
        // Nobody else watches: streams end.
        self.events.close();
        // The command is sent at once; what comes back only says when it is done.
        drop(self.handle.stop(gracefully));
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.ask_to_stop(false);
        }
    }
}

/// The thread `api`. Threads that it starts stay on the same cores.
fn serve(
    params: &ApiParams,
    listener: TcpListener,
    shared: Data<Shared>,
    started: &mpsc::SyncSender<ServerHandle>,
) -> io::Result<()> {
    if !params.cores.is_empty() {
        let mut cores = CpuSet::new();
        params
            .cores
            .iter()
            .filter(|core| **core < CpuSet::MAX_CPU)
            .for_each(|core| cores.set(*core));
        sched_setaffinity(None, &cores)?;
    }
    System::new().block_on(async move {
        let server = HttpServer::new(move || app(shared.clone()))
            .workers(params.threads)
            // Each question to a file takes one while it lasts, and compression wants one too.
            .worker_max_blocking_threads(params.query_connections + 1)
            .max_connections(params.connections_max.div_ceil(params.threads))
            .client_request_timeout(HEAD_TIME_MAX)
            .client_disconnect_timeout(CLOSE_TIME_MAX)
            .keep_alive(KeepAlive::Timeout(params.keep_alive))
            .shutdown_timeout(FINISH_SECS_MAX)
            .on_connect(limit_unread)
            .disable_signals()
            .listen(listener)?
            .run();
        // Whoever started it may be gone; then it is stopped through the handle that was dropped.
        drop(started.send(server.handle()));
        server.await
    })
}

/// A client that does not read what it asked for is dropped by the kernel.
fn limit_unread(connection: &dyn Any, _: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        // Where the kernel can't, the number of connections is still bounded.
        set_tcp_user_timeout(stream, UNREAD_MILLIS_MAX).ok();
    }
}
