//! The configuration in force.

use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Live, SAID_BY};
use super::{Moment, words};

/// Every key of the configuration with the value in force.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Configuration {
    /// Since when: the start, or the last reload, which reads the sections `model`, `rules`, `intel` and `policy` again.
    #[schema(value_type = String, format = DateTime)]
    read: Moment,
    /// In the order of the keys.
    settings: Vec<ShownSetting>,
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
struct ShownSetting {
    #[schema(example = "policy.weights.model")]
    key: String,
    /// Of what may be secret, `(not shown)`.
    value: serde_json::Value,
    /// Who said so; `default` also where the file says what is the default.
    #[schema(schema_with = said_by)]
    said_by: &'static str,
}

fn said_by() -> utoipa::openapi::Object {
    words(SAID_BY)
}

impl Configuration {
    pub(in super::super) fn of(live: &Live) -> Self {
        let settings = live.settings.read().into_iter().map(|setting| ShownSetting {
            key: setting.key,
            value: setting.value,
            said_by: setting.said_by,
        });
        Self { read: Moment(live.reloads.read().read), settings: settings.collect() }
    }
}
