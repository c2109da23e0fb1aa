//! What is answered: the JSON shapes. What is not known is null, never 0; an `f32` is written in its shortest form.

mod accounting;
mod configuration;
mod doctor;
mod event;
mod explanation;
mod health;
mod list;
mod model;
mod summary;
mod top;

use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::time::Timestamp;
use crate::verdict::Level;

pub(super) use accounting::Accounting;
pub(super) use configuration::Configuration;
pub(super) use doctor::Findings;
pub(super) use event::{
    EventFeatures, EventList, FeatureBatch, ShownEvent, Traffic, WholeEvent, event_line,
};
pub(super) use explanation::ShownExplanation;
pub(super) use health::{Database, Health, HealthStatus, Liveness};
pub(super) use list::{
    IncidentList, SessionList, ShownIncident, ShownSession, SourceList, SourcePage,
};
pub(super) use model::{ScoredRows, ShownModel, ShownSchema};
pub(super) use summary::{SensorStats, Timeline, bucket_width};
pub(super) use top::Top;

/// A moment as RFC 3339 in UTC with microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(pub(super) Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0.as_nanos())) {
            Ok(moment) => serializer.collect_str(&format_args!("{moment:.6}")),
            Err(_) => serializer.collect_str(&self.0),
        }
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-01-31T12:00:00.000000Z"])
            .into()
    }
}

impl ToSchema for Moment {}

/// Packets by verdict.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) struct ByVerdict {
    safe: u64,
    warning: u64,
    high: u64,
    critical: u64,
}

impl From<[u64; 4]> for ByVerdict {
    fn from([safe, warning, high, critical]: [u64; 4]) -> Self {
        Self { safe, warning, high, critical }
    }
}

/// A verdict by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict(pub(super) Level);

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl PartialSchema for Verdict {
    fn schema() -> RefOr<Schema> {
        words(Level::ALL.map(Level::name)).into()
    }
}

impl ToSchema for Verdict {}

/// One of a fixed set of words.
pub(super) fn words<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// The version of a detection, as everywhere else.
pub(super) fn version_text(version: u32) -> String {
    format!("{version:08x}")
}
