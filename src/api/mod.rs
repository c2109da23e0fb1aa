//! What is asked over HTTP: events, statistics, explanations, metrics, the live stream.
//!
//! | part       | what it is                                                                                       |
//! |------------|--------------------------------------------------------------------------------------------------|
//! | `params`   | what the operator sets: address, limits, token, hosts                                             |
//! | `server`   | binds at once, runs in threads of its own, ends within two seconds                                |
//! | `front`    | what every request passes: host, token, headers, latency                                          |
//! | `asked`    | what a client may ask: parameters, filters, bodies; one definition reads and documents them       |
//! | `shown`    | what is answered: the JSON shapes                                                                 |
//! | `routes`   | one file for each group of routes                                                                 |
//! | `dashboard` | the page that people look at                                                                     |
//! | `problem`  | every error answer                                                                                |
//! | `openapi`  | the contract, generated from the handlers                                                         |
//!
//! The server reads published counters and boards, and asks the store through a few connections of its own. It touches
//! nothing else of the sensor.

mod app;
mod asked;
mod cursor;
mod dashboard;
mod front;
mod openapi;
mod params;
mod problem;
mod protocol;
mod requests;
mod routes;
mod server;
mod shared;
mod shown;

pub mod metrics;
pub mod stream;

use std::sync::Arc;

use crate::capture::live::QueueStatus;
use crate::collect::{CollectorStats, Hub};
use crate::counters::Published;
use crate::doctor::Report;
use crate::event::{Board, Epoch};
use crate::latest::Publisher;
use crate::outputs::OutputStats;
use crate::store::writer::WriterStats;
use crate::time::Timestamp;
use crate::verdict::{Detection, InForce};

pub use openapi::openapi_json;
pub use params::{ApiParams, ApiParamsError, Token};
pub use requests::{REQUEST_NANOS_BOUNDS, RequestSeries, RequestStats};
pub use server::{ApiError, ApiServer};

/// What a running sensor shows of itself. The API reads it and nothing else of the sensor.
#[derive(Clone, Debug)]
pub struct Live {
    /// The sensor's name.
    pub sensor: String,
    /// This run.
    pub epoch: Epoch,
    /// When it started.
    pub started: Timestamp,
    /// Each worker's counters, as published at the end of its last turn.
    pub workers: Vec<Arc<Published>>,
    /// What judges.
    pub detection: Arc<Publisher<InForce>>,
    /// Since when it judges, and what reloads came to.
    pub reloads: Board<Reloads>,
    /// What the collector does.
    pub collector: Board<CollectorStats>,
    /// What the writer does.
    pub writer: Board<WriterStats>,
    /// New events, as they are emitted.
    pub events: Hub,
    /// What each output does, by its name.
    pub outputs: Vec<(&'static str, Board<OutputStats>)>,
    /// The source of frames.
    pub capture: Board<CaptureStatus>,
    /// The configuration in force, by its keys; nothing that may be secret.
    pub settings: Board<Vec<Setting>>,
    /// What was found wrong with machine and interface at the start.
    pub doctor: Board<Report>,
}

impl Live {
    /// What judges the packets that come.
    #[must_use]
    pub fn detection(&self) -> Arc<Detection> {
        Arc::clone(self.detection.current().newest())
    }
}

/// What was asked for while the sensor ran: to read again what judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// When what judges now was loaded.
    pub since: Timestamp,
    /// When its files were last read and not refused, whether or not anything in them had changed.
    pub read: Timestamp,
    /// How often it was replaced.
    pub replaced: u64,
    /// How often it was found to be what it had been.
    pub unchanged: u64,
    /// How often something was wrong with what was to take its place.
    pub refused: u64,
    /// What was wrong the last time; `None` if nothing was.
    pub fault: Option<String>,
}

/// A key of the configuration, and what is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// As in the file, the section before it.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Where that comes from: one of [`SAID_BY`].
    pub said_by: &'static str,
}

/// Where a value of the configuration can come from.
pub const SAID_BY: [&str; 3] = ["default", "file", "command line"];

/// How the source of frames is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureStatus {
    /// What it is: an interface, a file, the generator.
    pub source: String,
    /// Whether frames may still come.
    pub running: bool,
    /// Frames delivered, as counted by the source itself; `None` where it can't know.
    pub delivered: Option<u64>,
    /// What is wrong with it.
    pub fault: Option<String>,
    /// How long no frames could come because the interface was down or gone or its XDP program taken off, and that had ended, nanoseconds.
    pub gap_nanos: u64,
    /// What the kernel says of the interface, where it is one.
    pub interface: Option<InterfaceStatus>,
}

/// How frames of an interface are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// By which kind of socket.
    pub backend: &'static str,
    /// The mode in force.
    pub mode: &'static str,
    /// What was counted on each queue.
    pub queues: Vec<QueueStatus>,
}
