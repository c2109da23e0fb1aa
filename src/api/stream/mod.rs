//! `GET /api/stream`: new events, figures and notices as they come, as server-sent events (WHATWG HTML, section 9.2).
//!
//! | event     | data                                                                     | id                     |
//! |-----------|--------------------------------------------------------------------------|------------------------|
//! | `verdict` | an event, in the shape of `/api/events`                                  | the event's            |
//! | `stats`   | [`StreamStats`], each second                                             | of the newest event passed on or left out by the filter |
//! | `notice`  | [`StreamNotice`]                                                         |                        |
//! | `gap`     | [`StreamGap`]: events that this client will not get here                 |                        |
//!
//! A client that names the last event it has seen gets what came after it, without loss or repetition: from the hub, and what
//! the hub has forgotten, from the store. What neither gives, a `gap` states. Every buffer is bounded: at most
//! [`CHUNK_UPDATES`] updates are rendered at a time, and only when the client's connection takes them.

mod body;
mod frames;
mod replay;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentEncoding, HeaderName};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use super::Live;
use crate::collect::{Start, SubscribeError};
use crate::event::{Epoch, Event, EventId, EventIdError};
use crate::verdict::{Detection, Level};

use body::Body;

pub use replay::{Past, Run};

/// How an event is shown: the shape of `/api/events`, one line of JSON. The detection is the one that is loaded.
pub type EventJson = fn(Epoch, &Event, &Detection) -> String;

/// How the stream behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamParams {
    /// Time between two `stats`.
    pub stats_every: Duration,
    /// After so long without a byte a comment is sent: a client that is gone is noticed only when something is sent to it.
    pub heartbeat: Duration,
    /// How long a client waits before it connects again.
    pub retry: Duration,
    /// Events that are taken from the store for a client that was away for long.
    pub replay_max: u32,
    /// A client is woken once in this time at most, however many events there are.
    pub pause: Duration,
}

impl Default for StreamParams {
    fn default() -> Self {
        Self {
            stats_every: Duration::from_secs(1),
            heartbeat: Duration::from_secs(5),
            retry: Duration::from_secs(2),
            replay_max: 1_000,
            pause: Duration::from_millis(20),
        }
    }
}

/// Updates, or rows of the store, that are rendered at a time: what bounds the memory of a client.
pub const CHUNK_UPDATES: usize = 64;

/// Which events a client wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamFilter {
    /// Any of these verdicts; none: all.
    pub levels: Vec<Level>,
    /// The threat score, 0 to 1, is at least this.
    pub min_score: Option<f32>,
}

impl StreamFilter {
    fn admits(&self, event: &Event) -> bool {
        let level = self.levels.is_empty() || self.levels.contains(&event.level);
        level && self.min_score.is_none_or(|score| event.total / 100.0 >= score)
    }
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The text is no event's name.
    #[error("last_event_id {0}")]
    NotAnId(EventIdError),
    /// No seat, or an event that does not exist yet.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// The event named was never emitted: this run has emitted nothing so far.
    #[error("last_event_id {after}: this sensor has emitted no such event")]
    Unknown {
        /// The event named.
        after: EventId,
    },
}

impl StreamError {
    /// 422 for an event that cannot be, 503 when there is no room or the sensor stops.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotAnId(_)
            | Self::Unknown { .. }
            | Self::Subscribe(SubscribeError::Ahead { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Subscribe(SubscribeError::TooMany { .. } | SubscribeError::Closed) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// The last event that a client has seen: the header `Last-Event-ID`, else the parameter `last_event_id`, which a browser's
/// first connection has to use and later ones repeat. An empty text names none.
///
/// # Errors
///
/// When it names no event.
pub fn last_event_id(
    header: Option<&str>,
    parameter: Option<&str>,
) -> Result<Option<EventId>, StreamError> {
    let named = [header, parameter].into_iter().flatten().find(|text| !text.is_empty());
    named.map(EventId::from_str).transpose().map_err(StreamError::NotAnId)
}

/// Opens streams.
#[derive(Clone, Debug)]
pub struct Streams<P> {
    live: Live,
    past: Option<P>,
    event_json: EventJson,
    params: StreamParams,
}

impl<P: Past> Streams<P> {
    /// Streams of what `live` emits; `past` is where older events are found.
    #[must_use]
    pub const fn new(
        live: Live,
        past: Option<P>,
        event_json: EventJson,
        params: StreamParams,
    ) -> Self {
        Self { live, past, event_json, params }
    }

    /// A stream for one client that has seen everything up to `after`: 200 with a body that ends when the hub is closed, or the
    /// client is gone. It must not be compressed: that would hold events back.
    ///
    /// # Errors
    ///
    /// When there is no room, or no such event.
    pub fn open(
        &self,
        after: Option<EventId>,
        filter: StreamFilter,
    ) -> Result<HttpResponse, StreamError> {
        // Of a later run than this one: the clock was set back in between, or it is another sensor's. The client can't know.
        let own = self.live.epoch;
        let (after, unknown) = match after {
            Some(after) if after.epoch > own => (None, Some(after)),
            after => (after, None),
        };
        let subscription = self.live.events.subscribe(after)?;
        if let Start::Behind { after, first: None } = subscription.start() {
            // Nothing was emitted yet, so nothing of this run can have been seen.
            let nothing_yet = EventId { epoch: self.live.epoch, number: 0 };
            if after > nothing_yet {
                return Err(StreamError::Unknown { after });
            }
        }
        let body = Body::new(Rc::new(self.clone()), subscription, filter, unknown);
        Ok(Self::answer().streaming(body.into_stream()))
    }

    /// The head of the answer.
    pub(super) fn answer() -> HttpResponseBuilder {
        let mut answer = HttpResponse::Ok();
        answer
            .content_type("text/event-stream")
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            // Said, so that a compressing middleware leaves it alone.
            .insert_header(ContentEncoding::Identity);
        answer
    }
}

/// Data of `stats`: the sensor's figures since its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStats {
    /// Packets of the last whole second.
    pub packets_per_second: u64,
    /// Packets judged.
    pub packets: u64,
    /// Packets by verdict.
    pub distribution: Distribution,
    /// Events emitted.
    pub total_events: u64,
    /// What does not add up; 0, or there is a bug.
    pub unaccounted: u64,
}

/// Packets by verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub struct Distribution {
    /// Nothing speaks against them.
    pub safe: u64,
    /// Worth a look.
    pub warning: u64,
    /// Worth acting on.
    pub high: u64,
    /// Act now.
    pub critical: u64,
}

/// Data of `notice`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StreamNotice {
    /// When, RFC 3339.
    pub time: String,
    /// What happened: `store_away`, `store_back`, `spool_full`, `capture_lost`, `capture_back`, `capture_ended`,
    /// `detection_replaced`, `reload_refused`, `stopping`.
    pub kind: String,
    /// The same in words.
    pub text: String,
}

/// Data of `gap`: events that were emitted and are not in this stream. `GET /api/events` may have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StreamGap {
    /// How many, whether the filter would have admitted them or not; null where nobody can know.
    pub missed: Option<u64>,
    /// Notices lost with them.
    pub notices: u64,
    /// The last event before the gap.
    pub after: String,
    /// `slow`: the client did not keep up; `not_stored`: the store has not got them (not yet, or no more); `too_many`: more than one
    /// connection is given; `store_away`: the store did not answer; `unknown`: nothing is known of the event named.
    pub reason: &'static str,
}
