//! Bodies: JSON of a stated form, limited in bytes and in time.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut, Data};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::problem::{FieldError, Place, Problem};
use super::super::shared::Shared;
use super::object::Object;
use crate::event::EventId;
use crate::features::{FEATURES, FeatureVector};
use crate::store::query::{IncidentChange, IncidentState, LabelWord};

/// How long a body may take to come.
const BODY_TIME_MAX: Duration = Duration::from_secs(5);

/// Rows or names that one request may hold.
pub(super) const TABLE_ROWS_MAX: usize = 1_000;

/// Faults of one body that are listed: an answer is never much longer than what was sent.
const FAULTS_MAX: usize = 100;

/// Characters of a note.
const NOTE_CHARS_MAX: usize = 2_000;

/// A body that could be read and whose fields keep their rules.
#[derive(Debug)]
pub(in super::super) struct Body<T>(pub(in super::super) T);

/// The same for a body with many rows, which may be larger.
#[derive(Debug)]
pub(in super::super) struct Table<T>(pub(in super::super) T);

/// What a body has to be beyond its form.
pub(in super::super) trait Checked: DeserializeOwned {
    /// Everything that does not keep its rule.
    fn faults(&self) -> Vec<FieldError>;
}

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: Checked + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Data<Shared>>().map_or(0, |shared| shared.body_bytes_max);
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read(&request, payload, limit).await.map(Self) })
    }
}

impl<T: Checked + 'static> FromRequest for Table<T> {
    type Error = Problem;
    type Future = Reading<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Data<Shared>>().map_or(0, |shared| shared.table_bytes_max);
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move { read(&request, payload, limit).await.map(Self) })
    }
}

async fn read<T: Checked>(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<T, Problem> {
    // Checked before anything is read. A form of another site can't send this type without asking first, and it is never
    // answered that it may.
    if !is_json(request) {
        return Err(Problem::NotJson);
    }
    let stated = request.headers().get(header::CONTENT_LENGTH);
    let stated = stated.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if stated.is_some_and(|length| length > limit) {
        return Err(Problem::TooLarge(limit));
    }
    let bytes = tokio::time::timeout(BODY_TIME_MAX, gather(payload, limit))
        .await
        .map_err(|_elapsed| Problem::TooSlow)??;
    parse(&bytes)
}

fn is_json(request: &HttpRequest) -> bool {
    let stated = request.headers().get(header::CONTENT_TYPE);
    let stated = stated.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = stated.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn gather(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            let rule = format!("could not be read: {error}");
            Problem::invalid(whole_body(rule, "body"))
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn parse<T: Checked>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let Object(body): Object<T> = read.map_err(|error| Problem::invalid(misread(&error)))?;
    reader.end().map_err(|error| Problem::invalid(whole_body(error.to_string(), "json")))?;
    let mut faults = body.faults();
    if faults.is_empty() {
        return Ok(body);
    }
    let unlisted = faults.len().saturating_sub(FAULTS_MAX);
    if unlisted > 0 {
        faults.truncate(FAULTS_MAX);
        faults.push(whole_body(format!("has {unlisted} more faults, not listed"), "too_many"));
    }
    Err(Problem::Invalid(faults))
}

fn whole_body(rule: String, kind: &'static str) -> FieldError {
    FieldError { loc: vec![Place::Name("body".to_owned())], msg: rule, input: None, kind }
}

/// Where and why serde stopped.
fn misread(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    use serde_path_to_error::Segment;
    let kind = if error.inner().is_data() { "field" } else { "json" };
    let mut fault = whole_body(error.inner().to_string(), kind);
    fault.loc.extend(error.path().iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Place::Index(*index)),
        Segment::Map { key } => Some(Place::Name(key.clone())),
        Segment::Enum { variant } => Some(Place::Name(variant.clone())),
        Segment::Unknown => None,
    }));
    fault
}

/// Several events by name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EventIds {
    /// 1 to 1,000 different names of events.
    #[schema(min_items = 1, max_items = 1000, example = json!(["0192a3b4c5d6e7f8-17"]))]
    ids: Vec<String>,
}

impl EventIds {
    /// The names that are names.
    pub(in super::super) fn parsed(&self) -> Vec<EventId> {
        self.ids.iter().filter_map(|id| id.parse().ok()).collect()
    }
}

impl Checked for EventIds {
    fn faults(&self) -> Vec<FieldError> {
        if let Some(fault) = row_count("ids", self.ids.len()) {
            return vec![fault];
        }
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for (at, id) in self.ids.iter().enumerate() {
            let fault = match id.parse::<EventId>() {
                Err(error) => Some((error.to_string(), "id")),
                Ok(name) if !seen.insert(name) => {
                    Some(("must be given once".to_owned(), "repeated"))
                }
                Ok(_) => None,
            };
            faults.extend(fault.map(|(rule, kind)| {
                FieldError::new("body", "ids", Some(id), rule, kind).at(Place::Index(at))
            }));
        }
        faults
    }
}

fn row_count(name: &str, rows: usize) -> Option<FieldError> {
    let rule = format!("must hold 1 to {TABLE_ROWS_MAX}");
    (rows == 0 || rows > TABLE_ROWS_MAX)
        .then(|| FieldError::new("body", name, Some(&rows.to_string()), rule, "too_many"))
}

/// What people make of an incident; what is missing stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct IncidentPatch {
    /// Its new state.
    #[schema(value_type = Option<IncidentStateName>)]
    state: Option<String>,
    /// A new note, at most 2,000 characters; an empty one removes it.
    #[schema(max_length = 2000)]
    note: Option<String>,
}

/// What people made of an incident.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "for the document; `IncidentState` is what is used, held together by a test"
)]
pub(in super::super) enum IncidentStateName {
    Open,
    Acknowledged,
    Closed,
}

impl IncidentPatch {
    /// As the store takes it.
    pub(in super::super) fn change(self) -> IncidentChange {
        let state = self.state.as_deref().and_then(named_state);
        IncidentChange { state, note: self.note }
    }
}

fn named_state(name: &str) -> Option<IncidentState> {
    IncidentState::ALL.into_iter().find(|state| state.name() == name)
}

impl Checked for IncidentPatch {
    fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::from_iter(note_fault(self.note.as_deref()));
        if let Some(state) = self.state.as_deref()
            && named_state(state).is_none()
        {
            let rule = "must be one of open, acknowledged, closed";
            faults.push(FieldError::new("body", "state", Some(state), rule, "enum"));
        }
        if self.state.is_none() && self.note.is_none() {
            faults.push(whole_body("must hold a state, a note or both".to_owned(), "missing"));
        }
        faults
    }
}

fn note_fault(note: Option<&str>) -> Option<FieldError> {
    let note = note?;
    let (rule, kind) = if note.chars().count() > NOTE_CHARS_MAX {
        (format!("must have at most {NOTE_CHARS_MAX} characters"), "too_long")
    } else if note.contains('\0') {
        ("must not hold the character NUL".to_owned(), "character")
    } else {
        return None;
    };
    Some(FieldError::new("body", "note", Some(note), rule, kind))
}

/// What a person says of an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LabelWords {
    /// An attack, a false alarm, or neither could be told.
    #[schema(value_type = LabelName)]
    label: String,
    /// In their own words, at most 2,000 characters.
    #[schema(max_length = 2000)]
    note: Option<String>,
}

/// What a person says of an event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(
    dead_code,
    reason = "for the document; `LabelWord` is what is used, held together by a test"
)]
pub(in super::super) enum LabelName {
    Malicious,
    Benign,
    Unsure,
}

impl LabelWords {
    /// The word, and the note unless it is empty.
    pub(in super::super) fn parsed(self) -> Option<(LabelWord, Option<String>)> {
        Some((named_label(&self.label)?, self.note.filter(|note| !note.is_empty())))
    }
}

fn named_label(name: &str) -> Option<LabelWord> {
    LabelWord::ALL.into_iter().find(|word| word.name() == name)
}

impl Checked for LabelWords {
    fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::from_iter(note_fault(self.note.as_deref()));
        if named_label(&self.label).is_none() {
            let rule = "must be one of malicious, benign, unsure";
            faults.push(FieldError::new("body", "label", Some(&self.label), rule, "enum"));
        }
        faults
    }
}

/// Rows of features to score.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FeatureRows {
    /// 1 to 1,000 rows.
    #[schema(min_items = 1, max_items = 1000)]
    #[schema(value_type = Vec<FeatureValues>)]
    rows: Vec<Object<FeatureValues>>,
}

impl FeatureRows {
    /// In the order of the schema.
    pub(in super::super) fn vectors(&self) -> Vec<FeatureVector> {
        self.rows.iter().map(|Object(row)| row.vector()).collect()
    }
}

impl Checked for FeatureRows {
    fn faults(&self) -> Vec<FieldError> {
        if let Some(fault) = row_count("rows", self.rows.len()) {
            return vec![fault];
        }
        let mut faults = Vec::new();
        for (at, row) in self.vectors().iter().enumerate() {
            for (feature, value) in crate::features::SCHEMA.iter().zip(row.0) {
                if !value.is_finite() {
                    let rule = "must fit a 32-bit float";
                    let fault = FieldError::new("body", "rows", None, rule, "out_of_range");
                    let name = Place::Name(feature.name.to_owned());
                    faults.push(fault.at(Place::Index(at)).at(name));
                }
            }
        }
        faults
    }
}

/// The fifteen features of one packet, by name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct FeatureValues {
    packet_length: f32,
    protocol_encoding: f32,
    source_ip_event_rate: f32,
    destination_port_class: f32,
    threat_score: f32,
    malicious_flag_ratio: f32,
    attack_type_frequency: f32,
    time_of_day_deviation: f32,
    burst_rate: f32,
    packet_size_variance: f32,
    honeypot_interaction_count: f32,
    session_duration_estimate: f32,
    unique_destination_count: f32,
    rolling_average_deviation: f32,
    z_score_anomaly: f32,
}

impl FeatureValues {
    /// In the order of the schema.
    const fn vector(&self) -> FeatureVector {
        FeatureVector([
            self.packet_length,
            self.protocol_encoding,
            self.source_ip_event_rate,
            self.destination_port_class,
            self.threat_score,
            self.malicious_flag_ratio,
            self.attack_type_frequency,
            self.time_of_day_deviation,
            self.burst_rate,
            self.packet_size_variance,
            self.honeypot_interaction_count,
            self.session_duration_estimate,
            self.unique_destination_count,
            self.rolling_average_deviation,
            self.z_score_anomaly,
        ])
    }
}

impl From<&FeatureVector> for FeatureValues {
    fn from(vector: &FeatureVector) -> Self {
        let values: [f32; FEATURES] = vector.0;
        let [
            packet_length,
            protocol_encoding,
            source_ip_event_rate,
            destination_port_class,
            threat_score,
            malicious_flag_ratio,
            attack_type_frequency,
            time_of_day_deviation,
            burst_rate,
            packet_size_variance,
            honeypot_interaction_count,
            session_duration_estimate,
            unique_destination_count,
            rolling_average_deviation,
            z_score_anomaly,
        ] = values;
        Self {
            packet_length,
            protocol_encoding,
            source_ip_event_rate,
            destination_port_class,
            threat_score,
            malicious_flag_ratio,
            attack_type_frequency,
            time_of_day_deviation,
            burst_rate,
            packet_size_variance,
            honeypot_interaction_count,
            session_duration_estimate,
            unique_destination_count,
            rolling_average_deviation,
            z_score_anomaly,
        }
    }
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    fn documented<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        let words = schema["enum"].as_array().expect("an enumeration").iter();
        words.map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_words_of_the_document_are_those_that_are_understood() {
        assert_eq!(documented::<IncidentStateName>(), IncidentState::ALL.map(IncidentState::name));
        assert_eq!(documented::<LabelName>(), LabelWord::ALL.map(LabelWord::name));
    }

    #[test]
    fn a_row_is_read_and_shown_in_the_order_of_the_schema() {
        let vector = FeatureVector(std::array::from_fn(|at| f32::from(u8::try_from(at).unwrap())));
        let shown = FeatureValues::from(&vector);
        assert_eq!(shown.vector(), vector);
        let names: Vec<String> = serde_json::to_string(&shown)
            .unwrap()
            .split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(names, crate::features::SCHEMA.map(|feature| feature.name));
    }
}
