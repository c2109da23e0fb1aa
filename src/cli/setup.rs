//! From a configuration to the parts that it names: detection and layout.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::SystemTime;

use rand::Rng as _;

use super::appliance::Attended;
use super::{ConfigArgument, Failure};
use crate::api::{self, ApiParams, Token};
use crate::collect::{EventParams, StorePolicy};
use crate::config::{self, Config, Origin, Unsupported};
use crate::features::{FeatureParams, SCHEMA, SCHEMA_VERSION, fingerprint};
use crate::files::read_limited;
use crate::intel::{Decoys, IntelReport, IntelSet};
use crate::logs::{self, Logs};
use crate::model::{ExpectedSchema, Model};
use crate::owner::OwnerParams;
use crate::rules::{DEFAULT_RULES, LoadReport, RuleSet, RuleText, Variables};
use crate::sensor::{Cores, Demands, SensorParams, WORKERS_MAX, Wanted};
use crate::sources::{Keyer, TableParams};
use crate::time::Timestamp;
use crate::verdict::{Detection, Policy};

/// Counts of rules that can be open at once, in all shards together.
const THRESHOLDS: usize = 1 << 18;

/// Bytes that a rule file may have.
const RULE_FILE_BYTES_MAX: u64 = 64 << 20;

pub(super) fn load_config(argument: &ConfigArgument) -> Result<Config, Failure> {
    Config::load(argument.config.as_deref()).map_err(Failure::configuration)
}

/// How a replay is laid out; `workers` of 0 takes what the configuration says.
///
/// # Errors
///
/// When more workers are asked for than there are shards.
pub fn sensor_params(config: &Config, workers: usize) -> Result<SensorParams, Failure> {
    if workers > WORKERS_MAX {
        let reason = format!(
            "--workers {workers}: must be at most {WORKERS_MAX}, one for each shard of the source table"
        );
        return Err(Failure::usage(reason));
    }
    let said = config.workers.count.map_or(1, NonZeroUsize::get);
    let workers = if workers == 0 { said } else { workers };
    Ok(laid_out(config, workers, halves(config.replay.hash_key)))
}

/// How a sensor is laid out that receives from `queues` queues (0: from no interface): under the configured key, or one that nobody
/// knows.
pub(super) fn live_params(config: &Config, queues: u32) -> SensorParams {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores = if config.workers.cores.is_empty() { cores } else { config.workers.cores.len() };
    let wanted = usize::try_from(queues).unwrap_or(WORKERS_MAX).min(cores).clamp(1, WORKERS_MAX);
    let key = config.sources.hash_key.unwrap_or_else(|| rand::thread_rng().r#gen());
    let params =
        laid_out(config, config.workers.count.map_or(wanted, NonZeroUsize::get), halves(key));
    SensorParams { fifo: config.workers.fifo, ..params }
}

/// What a sensor of this layout asks of the machine.
pub(super) fn demands<'a>(config: &Config, params: &'a SensorParams) -> Demands<'a> {
    Demands {
        cores: &params.cores,
        workers: params.workers,
        fifo: params.fifo,
        alone: !config.workers.cores.is_empty(),
        lock_memory: config.workers.lock_memory,
    }
}

fn laid_out(config: &Config, workers: usize, key: [u64; 2]) -> SensorParams {
    let wanted = match &config.workers.cores[..] {
        _ if !config.workers.pin => Wanted::Unbound,
        [] => Wanted::Any,
        these => Wanted::These(these.to_vec()),
    };
    SensorParams {
        workers,
        cores: Cores::deal(workers, &wanted),
        fifo: None,
        keyer: Keyer {
            key,
            v6_prefix: config.sources.ipv6_prefix,
            by_tenant: config.sources.by_vlan,
        },
        owner: OwnerParams {
            sources: TableParams {
                sources: config.sources.capacity,
                idle_nanos: crate::features::IDLE_NANOS,
            },
            thresholds: THRESHOLDS,
            features: FeatureParams {
                zone: config.features.time_zone.clone(),
                destination_key: key,
            },
        },
    }
}

/// Starts the log.
///
/// # Errors
///
/// When the journal is asked for and is not there.
pub(super) fn start_logs(config: &Config) -> Result<Logs, Failure> {
    logs::start(config.log).map_err(Failure::operation)
}

/// How verdicts become events. A replay and a demonstration keep all; only a sensor lets packet time go on by the clock.
pub(super) fn event_params(config: &Config, attended: Attended) -> EventParams {
    let events = &config.events;
    let live = attended == Attended::Sensor;
    EventParams {
        store: if live { events.store } else { StorePolicy::All },
        safe_one_in: events.safe_one_in,
        coalesce: events.coalesce,
        events_per_second: events.per_second,
        severe_events_per_second: events.per_second,
        batch_rows: config.store.batch_rows,
        batch_time: config.store.batch_time,
        live,
        ..EventParams::default()
    }
}

/// The HTTP server, if there is to be one.
///
/// # Errors
///
/// When the token can't be read, or is too short to be one.
pub(super) fn api_params(
    config: &Config,
    params: &SensorParams,
) -> Result<Option<ApiParams>, Failure> {
    let http = &config.http;
    let Some(address) = http.listen else { return Ok(None) };
    let token = match &http.token_file {
        Some(path) => Some(Token::load(path).map_err(Failure::configuration)?),
        None => None,
    };
    let params = ApiParams {
        address,
        threads: http.threads,
        token,
        hosts: http.hosts.clone(),
        cores: params.cores.others.clone(),
        ipv6_prefix: config.sources.ipv6_prefix,
        ..ApiParams::default()
    };
    params.check().map_err(Failure::configuration)?;
    Ok(Some(params))
}

fn halves(key: [u8; 16]) -> [u64; 2] {
    let key = u128::from_be_bytes(key);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
    [(key >> 64) as u64, key as u64]
}

/// Everything that decides a verdict, as the configuration names it, with the intelligence that had not expired at
/// `moment` (what became known later counts too: old captures are looked at with today's knowledge).
///
/// A replay takes the time of its first packet: the wall clock would make its verdicts depend on when it is run.
///
/// # Errors
///
/// The first file that can't be used, with its place and reason; nothing is half loaded.
pub fn load_detection(config: &Config, moment: Timestamp) -> Result<Detection, Failure> {
    let model = load_model(&config.model.origin)?;
    detection_with(config, model, moment)
}

/// The configured detection, but with this model.
pub(super) fn detection_with(
    config: &Config,
    model: Model,
    moment: Timestamp,
) -> Result<Detection, Failure> {
    build(config, model, None, moment).map(|(detection, _)| detection)
}

fn build(
    config: &Config,
    model: Model,
    feeds: Option<&IntelReport>,
    moment: Timestamp,
) -> Result<(Detection, IntelReport), Failure> {
    let (rules, _) = load_rules(config)?;
    let (intel, feeds) =
        IntelSet::load(&config.intel, moment, feeds).map_err(Failure::configuration)?;
    let decoys = Decoys::new(config.decoys.decoys.clone());
    Ok((Detection::new(model, rules, intel, decoys, Policy::new(config.policy)), feeds))
}

/// The configured detection, held against what the feeds in force held, and what its own hold.
pub(super) fn build_detection(
    config: &Config,
    feeds: Option<&IntelReport>,
    moment: Timestamp,
) -> Result<(Detection, IntelReport), Failure> {
    build(config, load_model(&config.model.origin)?, feeds, moment)
}

/// The rules, and what became of each of them.
pub(super) fn load_rules(config: &Config) -> Result<(RuleSet, LoadReport), Failure> {
    let mut files = Vec::new();
    for origin in &config.rules.origins {
        files.push(match origin {
            Origin::BuiltIn => (DEFAULT_RULES.name.to_owned(), DEFAULT_RULES.text.to_owned()),
            Origin::File(path) => (path.display().to_string(), read_text(path)?),
        });
    }
    let mut variables = Variables::default();
    variables
        .extend(config.rules.variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    let texts = files.iter().map(|(name, text)| RuleText { name, text });
    let (rules, report) = RuleSet::load(texts, &variables);
    if config.rules.unsupported == Unsupported::Refuse && !report.refused.is_empty() {
        return Err(Failure::configurations(
            report.refused.iter().map(ToString::to_string).collect(),
        ));
    }
    Ok((rules, report))
}

/// The intelligence in force now, and what became of each feed.
pub(super) fn load_intel(config: &Config) -> Result<(IntelSet, IntelReport), Failure> {
    IntelSet::load(&config.intel, now(), None).map_err(Failure::configuration)
}

/// The model that `origin` names.
pub(super) fn load_model(origin: &Origin) -> Result<Model, Failure> {
    match origin {
        Origin::BuiltIn => built_in_model(),
        Origin::File(path) => load_model_file(path),
    }
}

/// The model in the file `path`.
pub(super) fn load_model_file(path: &Path) -> Result<Model, Failure> {
    Model::load(path, &expected_schema()).map_err(Failure::configuration)
}

/// The model that comes with the program. It passes the same gate as any file.
pub(super) fn built_in_model() -> Result<Model, Failure> {
    const NAME: &str = "built-in models/default.json";
    const BYTES: &[u8] = include_bytes!("../../models/default.json");
    Model::from_bytes(NAME, BYTES, &expected_schema()).map_err(Failure::configuration)
}

/// The features that this program measures.
pub(super) fn expected_schema() -> ExpectedSchema {
    ExpectedSchema::new(
        SCHEMA_VERSION,
        &fingerprint(),
        &SCHEMA.each_ref().map(|feature| feature.name),
    )
}

/// The wall clock, for what is dated, and for what expires where traffic is live or only checked: never for a
/// replayed verdict.
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let bytes = read_limited(path, RULE_FILE_BYTES_MAX).map_err(|error| {
        Failure::configuration(format!(
            "{}: {error}; rules.files of the configuration names it",
            path.display()
        ))
    })?;
    // Rule files in the wild carry Latin-1 in comments and messages; a content that does is refused by the parser.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
/// The configuration as the HTTP server shows it.
pub(super) fn shown_settings(settings: &[config::Setting]) -> Vec<api::Setting> {
    let shown = |setting: &config::Setting| api::Setting {
        key: setting.key.clone(),
        value: setting.value.clone(),
        said_by: setting.said_by.name(),
    };
    settings.iter().map(shown).collect()
}
