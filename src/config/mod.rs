//! The configuration: one TOML file, as written and as usable.
//!
//! A [`Config`] can be made in two ways only, from a file that breaks no rule and from no file at all, so nothing
//! downstream checks again. Stages own their parameters; this module alone knows TOML.

mod capture;
mod error;
mod outputs;
mod params;
mod places;
mod raw;
mod ready;
mod services;
mod settings;
mod shape;
#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

use crate::files::read_limited;
use crate::intel::IntelParams;
use crate::outputs::OutputParams;
use crate::verdict::PolicyParams;

pub use error::{Broken, ConfigError, Fault};
pub use params::{
    Backend, CORE_MAX, CaptureParams, DecoyParams, EventSettings, FeatureParams, HttpParams,
    LogFormat, LogLevel, LogParams, ModelParams, Origin, PRIORITY_MAX, ReplayParams, RuleParams,
    SOURCES_MAX, SOURCES_MIN, SensorParams, SourceParams, StoreParams, StoreUrl, Unsupported,
    WORKERS_MAX, WorkerParams,
};
pub use settings::{SaidBy, Setting, renewed};

use places::Places;
use raw::RawConfig;

/// The longest configuration file, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Everything the sensor is told, checked. Paths in it stand on their own: they were resolved against the file's folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[capture]`
    pub capture: CaptureParams,
    /// `[workers]`
    pub workers: WorkerParams,
    /// `[sources]`
    pub sources: SourceParams,
    /// `[features]`
    pub features: FeatureParams,
    /// `[replay]`
    pub replay: ReplayParams,
    /// `[model]`
    pub model: ModelParams,
    /// `[rules]`
    pub rules: RuleParams,
    /// `[intel]`
    pub intel: IntelParams,
    /// `[decoys]`
    pub decoys: DecoyParams,
    /// `[policy]`
    pub policy: PolicyParams,
    /// `[sensor]`
    pub sensor: SensorParams,
    /// `[events]`
    pub events: EventSettings,
    /// `[store]` and `[spool]`
    pub store: StoreParams,
    /// `[outputs.eve]`, `[outputs.syslog]`, `[outputs.webhook]`
    pub outputs: OutputParams,
    /// `[http]`
    pub http: HttpParams,
    /// `[log]`
    pub log: LogParams,
    /// All of the above as it was written, for people to look at.
    pub settings: Vec<Setting>,
}

impl Config {
    /// Reads the file at `path`; the defaults without one.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let refused = |fault| ConfigError { file: path.to_owned(), fault };
        let bytes =
            read_limited(path, BYTES_MAX).map_err(|error| refused(Fault::Unreadable(error)))?;
        let text = String::from_utf8(bytes).map_err(|_outside| refused(Fault::NotText))?;
        Self::parse(&text, path)
    }

    /// An argument of the program says otherwise than the file.
    pub fn overrule(&mut self, key: &str, value: impl Into<serde_json::Value>) {
        let found = self.settings.iter_mut().find(|setting| setting.key == key);
        debug_assert!(found.is_some(), "{key} is no key");
        if let Some(setting) = found {
            (setting.value, setting.said_by) = (value.into(), SaidBy::CommandLine);
        }
    }

    /// Reads `text` as if it stood in `file`: errors name it, and relative paths start from its folder.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let folder = file.parent().unwrap_or(Path::new(""));
        understood(text, folder).map_err(|fault| ConfigError { file: file.to_owned(), fault })
    }
}

impl Default for Config {
    fn default() -> Self {
        ready::config(RawConfig::default(), Path::new("")).expect("a test proves the defaults")
    }
}

/// Text to tree, tree to raw, raw to ready; whatever breaks is given its place in the text.
fn understood(text: &str, folder: &Path) -> Result<Config, Fault> {
    let tree = DeTable::parse(text).map_err(|error| shape::syntax_fault(text, &error))?;
    let places = Places::of(text, tree.get_ref());
    shape::sections(&places)?;
    let raw = toml::from_str(text).map_err(|error| shape::fault(&places, text, &error))?;
    ready::config(raw, folder).map_err(|broken| located(&places, broken))
}

/// A broken rule with the place and the text of its value.
fn located(places: &Places<'_>, broken: Broken) -> Fault {
    let place = places.named(&broken.key);
    let (line, column) = place.map_or((1, 1), |place| places.position(place));
    let same = place.filter(|place| place.path == broken.key);
    let value = broken.value.or_else(|| same.and_then(|place| places.value(place)));
    Fault::Rule { line, column, broken: Box::new(Broken { value, ..broken }) }
}
