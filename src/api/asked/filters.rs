//! Which parameters each route takes, and how they fit together.

use super::super::cursor::{self, Key};
use super::super::stream::StreamFilter;
use super::fields::{Asked, Fields};
use super::kinds::{
    BUCKETS, CURSOR, DESTINATION, EPOCHS, FROM, INCIDENT_STATE, KIND, LAST_EVENT_ID, LIMIT,
    LIMIT_DEFAULT, MIN_SCORE, MOST, MOST_DEFAULT, NETWORK, PORT, PROTOCOL, RULE, SESSION_STATE,
    SOURCE, SUBJECT, THREAT, TO, Threat, VERDICT, WORST,
};
use crate::store::query::{
    EventFilter, IncidentFilter, Network, PageKey, ProfileKey, SessionFilter,
};
use crate::time::Timestamp;
use crate::verdict::Level;

/// Buckets of a timeline, where nobody says.
const BUCKETS_DEFAULT: u32 = 240;

/// Ledgers, where nobody says.
const EPOCHS_DEFAULT: u32 = 10;

/// No parameter at all.
#[derive(Debug)]
pub(in super::super) struct NoQuery;

impl Asked for NoQuery {
    fn take(_: &mut Fields) -> Self {
        Self
    }
}

/// A filter, how many rows, and where the page begins.
#[derive(Debug)]
pub(in super::super) struct List<F, K = PageKey> {
    pub(in super::super) filter: F,
    pub(in super::super) limit: u32,
    pub(in super::super) after: Option<K>,
}

/// What events are asked by.
pub(in super::super) type EventsQuery = List<EventFilter>;
/// What sessions are asked by.
pub(in super::super) type SessionsQuery = List<SessionFilter>;
/// What incidents are asked by.
pub(in super::super) type IncidentsQuery = List<IncidentFilter>;
/// What sources are asked by.
pub(in super::super) type SourcesQuery = List<Option<Network>, ProfileKey>;

impl<F: Listed> Asked for List<F, F::Key> {
    fn take(fields: &mut Fields) -> Self {
        let filter = F::take(fields);
        let limit = fields.take(&LIMIT).unwrap_or(LIMIT_DEFAULT);
        let after = fields.take(&CURSOR).and_then(|text| {
            let key = cursor::read(F::LIST, &filter, &text);
            if key.is_none() {
                let rule = "must be `next` of a page of this list, with the same filters";
                fields.refuse("cursor", rule, "cursor");
            }
            key
        });
        Self { filter, limit, after }
    }
}

impl<F: Listed> List<F, F::Key> {
    /// Where the list goes on.
    pub(in super::super) fn next(&self, key: Option<&F::Key>) -> Option<String> {
        key.map(|key| cursor::write(F::LIST, &self.filter, key))
    }
}

/// A list that is paged.
pub(in super::super) trait Listed: std::fmt::Debug + Sized {
    /// What its pages begin with.
    type Key: Key;
    /// Its name, so that the cursor of another list is refused.
    const LIST: &'static str;
    /// Takes the parameters of the filter.
    fn take(fields: &mut Fields) -> Self;
}

impl Listed for EventFilter {
    type Key = PageKey;
    const LIST: &'static str = "events";

    fn take(fields: &mut Fields) -> Self {
        let levels = take_levels(fields);
        let (protocol, source) = (fields.take(&PROTOCOL), fields.take(&SOURCE));
        let (destination, port) = (fields.take(&DESTINATION), fields.take(&PORT));
        let min_score = fields.take(&MIN_SCORE);
        let Span { from, to } = Span::take(fields);
        let rule = fields.take(&RULE);
        Self { levels, protocol, source, destination, port, min_score, from, to, rule }
    }
}

/// The verdicts that are asked for; none: all.
fn take_levels(fields: &mut Fields) -> Vec<Level> {
    let (threat, verdicts) = (fields.take(&THREAT), fields.take(&VERDICT));
    let levels = levels_of(threat, verdicts.as_deref());
    if levels.is_empty() && threat.is_some() {
        fields.refuse("verdict", "is never of this threat", "contradiction");
    }
    levels
}

/// The verdicts that both agree to; empty when neither says anything, or when they contradict each other.
fn levels_of(threat: Option<Threat>, verdicts: Option<&[Level]>) -> Vec<Level> {
    if threat.is_none() && verdicts.is_none() {
        return Vec::new();
    }
    let agrees = |level: &Level| {
        threat.is_none_or(|threat| Threat::of(*level) == threat)
            && verdicts.is_none_or(|verdicts| verdicts.contains(level))
    };
    Level::ALL.into_iter().filter(agrees).collect()
}

impl Listed for SessionFilter {
    type Key = PageKey;
    const LIST: &'static str = "sessions";

    fn take(fields: &mut Fields) -> Self {
        let (source, worst) = (fields.take(&SOURCE), fields.take(&WORST));
        let state = fields.take(&SESSION_STATE);
        let Span { from, to } = Span::take(fields);
        Self { source, worst, state, from, to }
    }
}

impl Listed for IncidentFilter {
    type Key = PageKey;
    const LIST: &'static str = "incidents";

    fn take(fields: &mut Fields) -> Self {
        let (subject, kind) = (fields.take(&SUBJECT), fields.take(&KIND));
        let (worst, state) = (fields.take(&WORST), fields.take(&INCIDENT_STATE));
        let Span { from, to } = Span::take(fields);
        Self { subject, kind, worst, state, from, to }
    }
}

impl Listed for Option<Network> {
    type Key = ProfileKey;
    const LIST: &'static str = "sources";

    fn take(fields: &mut Fields) -> Self {
        fields.take(&NETWORK)
    }
}

/// A span of time, open on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Span {
    pub(in super::super) from: Option<Timestamp>,
    pub(in super::super) to: Option<Timestamp>,
}

impl Asked for Span {
    fn take(fields: &mut Fields) -> Self {
        let (from, to) = (fields.take(&FROM), fields.take(&TO));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            fields.refuse("to", "must be later than from", "reversed");
        }
        Self { from, to }
    }
}

/// A span of time cut into buckets.
#[derive(Debug)]
pub(in super::super) struct TimelineQuery {
    pub(in super::super) span: Span,
    /// At most this many.
    pub(in super::super) buckets: u32,
}

impl Asked for TimelineQuery {
    fn take(fields: &mut Fields) -> Self {
        let span = Span::take(fields);
        Self { span, buckets: fields.take(&BUCKETS).unwrap_or(BUCKETS_DEFAULT) }
    }
}

/// How many of the largest, of which span.
#[derive(Debug)]
pub(in super::super) struct TopQuery {
    pub(in super::super) span: Span,
    pub(in super::super) most: u32,
}

impl Asked for TopQuery {
    fn take(fields: &mut Fields) -> Self {
        Self { span: Span::take(fields), most: fields.take(&MOST).unwrap_or(MOST_DEFAULT) }
    }
}

/// Which events a client of the stream wants, and the last one that it has seen.
#[derive(Debug)]
pub(in super::super) struct StreamQuery {
    pub(in super::super) filter: StreamFilter,
    pub(in super::super) last_event_id: Option<String>,
}

impl Asked for StreamQuery {
    fn take(fields: &mut Fields) -> Self {
        let levels = take_levels(fields);
        let min_score = fields.take(&MIN_SCORE);
        let filter = StreamFilter { levels, min_score };
        Self { filter, last_event_id: fields.take(&LAST_EVENT_ID) }
    }
}

/// How many ledgers.
#[derive(Debug)]
pub(in super::super) struct AccountingQuery {
    pub(in super::super) epochs: u32,
}

impl Asked for AccountingQuery {
    fn take(fields: &mut Fields) -> Self {
        Self { epochs: fields.take(&EPOCHS).unwrap_or(EPOCHS_DEFAULT) }
    }
}
