//! What a client may ask: one definition of a parameter reads it, refuses it and documents it.

mod body;
mod fields;
mod filters;
mod kinds;
mod object;

pub(super) use body::{
    Body, EventIds, FeatureRows, FeatureValues, IncidentPatch, IncidentStateName, LabelWords, Table,
};
pub(super) use fields::Parameters;
pub(super) use filters::{
    AccountingQuery, EventsQuery, IncidentsQuery, NoQuery, SessionsQuery, SourcesQuery, Span,
    StreamQuery, TimelineQuery, TopQuery,
};
pub(super) use kinds::{EventName, SourceName, Threat, path_address, path_id, session_state_name};
