//! From the configuration as written to the one that can be used: one function for each section, in the order of the file.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::address::Address;
use crate::intel::{
    self, DECOYS_MAX, Decoy, FEEDS_MAX, FeedFormat, FeedParams, IntelParams, Prefix,
};

use crate::verdict::{Floor, Floors, PolicyParams, Thresholds, Weights};

use super::error::Broken;
use super::params::{
    CORE_MAX, DecoyParams, FeatureParams, ModelParams, Origin, PRIORITY_MAX, ReplayParams,
    RuleParams, SOURCES_MAX, SOURCES_MIN, SourceParams, Unsupported, WORKERS_MAX, WorkerParams,
};
use super::raw::{
    BUILT_IN, RawConfig, RawDecoys, RawFeatures, RawFeed, RawIntel, RawModel, RawPolicy, RawReplay,
    RawRules, RawSources, RawThresholds, RawWeights, RawWorkers,
};
use super::{Config, capture, outputs, services};

/// The longest value of a rule variable, bytes.
const VARIABLE_BYTES_MAX: usize = 4096;

/// How far from 1 the weights may sum, for the rounding of decimals to binary.
const WEIGHTS_SLACK: f64 = 1e-9;

/// Checks everything. Relative paths start from `folder`.
pub(super) fn config(raw: RawConfig, folder: &Path) -> Result<Config, Broken> {
    let settings = super::settings::settings(&raw);
    Ok(Config {
        capture: capture::capture(&raw.capture)?,
        workers: workers(&raw.workers)?,
        sources: sources(&raw.sources)?,
        features: features(&raw.features)?,
        replay: replay(&raw.replay)?,
        model: model(&raw.model, folder)?,
        rules: rules(raw.rules, folder)?,
        intel: intel(&raw.intel, folder)?,
        decoys: decoys(&raw.decoys)?,
        policy: policy(&raw.policy)?,
        sensor: services::sensor(&raw.sensor, folder)?,
        events: services::events(&raw.events)?,
        store: services::store(&raw.store, &raw.spool, folder)?,
        outputs: outputs::outputs(&raw.outputs, folder)?,
        http: services::http(&raw.http, folder)?,
        log: services::log(&raw.log)?,
        settings,
    })
}

fn workers(raw: &RawWorkers) -> Result<WorkerParams, Broken> {
    let count = usize::try_from(raw.count).ok().filter(|count| *count <= WORKERS_MAX);
    let Some(count) = count else {
        return Err(Broken::new(
            "workers.count",
            format!("be at most {WORKERS_MAX} (0 is as many as there are queues)"),
            "2",
        ));
    };
    let cores = worker_cores(raw, count)?;
    let priority = u8::try_from(raw.priority).ok();
    let Some(priority) = priority.filter(|priority| (1..=PRIORITY_MAX).contains(priority)) else {
        let rule = format!("be from 1 to {PRIORITY_MAX}, below the threads that serve interrupts");
        return Err(Broken::new("workers.priority", rule, "10"));
    };
    let fifo = match raw.scheduling.as_str() {
        "normal" => None,
        "fifo" if raw.pin => Some(priority),
        "fifo" => {
            let rule =
                "be \"normal\" where workers.pin is false: it would drive others off any core";
            return Err(Broken::new("workers.scheduling", rule, "\"normal\""));
        }
        _ => {
            let rule = "be \"normal\" or \"fifo\"";
            return Err(Broken::new("workers.scheduling", rule, "\"normal\""));
        }
    };
    let lock_memory = raw.lock_memory;
    Ok(WorkerParams { count: NonZeroUsize::new(count), pin: raw.pin, cores, fifo, lock_memory })
}

/// The cores that are named for `count` workers (0: for as many as there are queues).
fn worker_cores(raw: &RawWorkers, count: usize) -> Result<Vec<usize>, Broken> {
    let mut cores = Vec::with_capacity(raw.cores.len());
    for (nth, core) in raw.cores.iter().enumerate() {
        let key = || format!("workers.cores[{nth}]");
        let Some(core) =
            usize::try_from(*core).ok().filter(|_| *core <= CORE_MAX && nth < WORKERS_MAX)
        else {
            let rule = format!("be at most {CORE_MAX}, and one of at most {WORKERS_MAX}");
            return Err(Broken::new(key(), rule, "2"));
        };
        if cores.contains(&core) {
            return Err(Broken::new(key(), "be named once", "[2, 3]"));
        }
        cores.push(core);
    }
    if !cores.is_empty() && !raw.pin {
        return Err(Broken::new("workers.cores", "be empty where workers.pin is false", "[]"));
    }
    if !cores.is_empty() && cores.len() < count {
        let rule = format!("name a core for each of the {count} workers, or none");
        return Err(Broken::new("workers.cores", rule, "[]"));
    }
    Ok(cores)
}

fn sources(raw: &RawSources) -> Result<SourceParams, Broken> {
    let fits = |capacity: &usize| {
        capacity.is_power_of_two() && (SOURCES_MIN..=SOURCES_MAX).contains(capacity)
    };
    let Some(capacity) = usize::try_from(raw.capacity).ok().filter(fits) else {
        let near = raw.capacity.clamp(SOURCES_MIN as u64, SOURCES_MAX as u64).next_power_of_two();
        return Err(Broken::new(
            "sources.capacity",
            format!("be a power of two from {SOURCES_MIN} to {SOURCES_MAX}"),
            near.to_string(),
        ));
    };
    let ipv6_prefix = u8::try_from(raw.ipv6_prefix).ok().filter(|bits| (1..=128).contains(bits));
    let Some(ipv6_prefix) = ipv6_prefix else {
        return Err(Broken::new("sources.ipv6_prefix", "be from 1 to 128", "64"));
    };
    let hash_key = match raw.hash_key.as_str() {
        "" => None,
        text => Some(hash_key("sources.hash_key", text)?),
    };
    Ok(SourceParams { capacity, ipv6_prefix, by_vlan: raw.by_vlan, hash_key })
}

fn features(raw: &RawFeatures) -> Result<FeatureParams, Broken> {
    match TimeZone::get(&raw.time_zone) {
        Ok(time_zone) => Ok(FeatureParams { time_zone }),
        Err(_) => Err(Broken::new(
            "features.time_zone",
            "be a zone of the IANA time zone database that this machine has",
            "\"UTC\" or \"Europe/Berlin\"",
        )),
    }
}

fn replay(raw: &RawReplay) -> Result<ReplayParams, Broken> {
    Ok(ReplayParams { hash_key: hash_key("replay.hash_key", &raw.hash_key)? })
}

fn hash_key(key: &str, text: &str) -> Result<[u8; 16], Broken> {
    let digits =
        Some(text).filter(|text| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
    number.map(u128::to_be_bytes).ok_or_else(|| {
        Broken::new(key, "be 32 hexadecimal digits", "\"000102030405060708090a0b0c0d0e0f\"")
    })
}

fn model(raw: &RawModel, folder: &Path) -> Result<ModelParams, Broken> {
    let origin = origin(&raw.path, folder);
    let rule = "name a model file, or be \"built-in\"";
    origin
        .map(|origin| ModelParams { origin })
        .ok_or_else(|| Broken::new("model.path", rule, "\"models/own.json\""))
}

/// What a text names: the built-in part, or a file; nothing for an empty one.
fn origin(text: &str, folder: &Path) -> Option<Origin> {
    match text {
        BUILT_IN => Some(Origin::BuiltIn),
        _ => file(text, folder).map(Origin::File),
    }
}

/// The path that a text names, from `folder` when it is relative; nothing for what can be no path.
pub(super) fn file(text: &str, folder: &Path) -> Option<PathBuf> {
    let names_something = !text.trim().is_empty() && !text.contains('\0');
    names_something.then(|| folder.join(text))
}

fn rules(raw: RawRules, folder: &Path) -> Result<RuleParams, Broken> {
    let mut origins = Vec::with_capacity(raw.files.len());
    for (nth, text) in raw.files.iter().enumerate() {
        let key = || format!("rules.files[{nth}]");
        let Some(origin) = origin(text, folder) else {
            let rule = "name a file of rules, or be \"built-in\"";
            return Err(Broken::new(key(), rule, "\"rules/local.rules\""));
        };
        if origins.contains(&origin) {
            return Err(Broken::new(key(), "be named once", "[\"built-in\"]"));
        }
        origins.push(origin);
    }
    let unsupported = match raw.unsupported.as_str() {
        "refuse" => Unsupported::Refuse,
        "skip" => Unsupported::Skip,
        _ => {
            let rule = "be \"refuse\" or \"skip\"";
            return Err(Broken::new("rules.unsupported", rule, "\"refuse\""));
        }
    };
    for (name, value) in &raw.variables {
        variable(name, value)?;
    }
    Ok(RuleParams { origins, unsupported, variables: raw.variables })
}

/// Checks a rule variable as far as it can be done without knowing rules; what it stands for is read with them.
fn variable(name: &str, value: &str) -> Result<(), Broken> {
    let key = || format!("rules.variables.{}", super::places::written(name));
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain {
        let rule = "be called by letters, digits and _ only";
        return Err(Broken::new(key(), rule, "rules.variables.HOME_NET"));
    }
    if value.trim().is_empty() || value.len() > VARIABLE_BYTES_MAX {
        let rule = format!("stand for something, in at most {VARIABLE_BYTES_MAX} bytes");
        return Err(Broken::new(key(), rule, "\"[198.51.100.0/24,2001:db8::/32]\""));
    }
    Ok(())
}

fn intel(raw: &RawIntel, folder: &Path) -> Result<IntelParams, Broken> {
    let mut own_networks = Vec::with_capacity(raw.own_networks.len());
    for (nth, text) in raw.own_networks.iter().enumerate() {
        let network = text.parse::<Prefix>().map_err(|error| {
            let key = format!("intel.own_networks[{nth}]");
            Broken::new(key, format!("be an address or a network ({error})"), "\"198.51.100.0/24\"")
        })?;
        own_networks.push(network);
    }
    if raw.feeds.len() > FEEDS_MAX {
        let rule = format!("be at most {FEEDS_MAX} feeds");
        return Err(Broken::new(format!("intel.feeds[{FEEDS_MAX}]"), rule, "one file for several"));
    }
    let mut feeds: Vec<FeedParams> = Vec::with_capacity(raw.feeds.len());
    for (nth, raw) in raw.feeds.iter().enumerate() {
        let feed = feed(raw, nth, folder)?;
        if feeds.iter().any(|earlier| earlier.file == feed.file) {
            let key = format!("intel.feeds[{nth}].path");
            return Err(Broken::new(key, "be named once", "another file"));
        }
        feeds.push(feed);
    }
    Ok(IntelParams { own_networks, feeds })
}

fn feed(raw: &RawFeed, nth: usize, folder: &Path) -> Result<FeedParams, Broken> {
    let key = |name: &str| format!("intel.feeds[{nth}].{name}");
    let Some(file) = file(&raw.path, folder) else {
        return Err(Broken::new(
            key("path"),
            "name the feed's file",
            "path = \"intel/example.txt\"",
        ));
    };
    let formats = [FeedFormat::Plain, FeedFormat::Csv, FeedFormat::Stix];
    let format = formats.into_iter().find(|format| format.name() == raw.format);
    if format.is_none() && raw.format != "auto" {
        let rule = "be \"auto\", \"plain\", \"csv\" or \"stix\"";
        return Err(Broken::new(key("format"), rule, "\"auto\""));
    }
    let risk = u8::try_from(raw.risk).ok().filter(|risk| (1..=100).contains(risk));
    let Some(risk) = risk else {
        return Err(Broken::new(key("risk"), "be from 1 to 100", "100"));
    };
    Ok(FeedParams { file, format, label: intel::label(&raw.label), risk })
}

fn decoys(raw: &RawDecoys) -> Result<DecoyParams, Broken> {
    let mut decoys: Vec<Decoy> = Vec::with_capacity(raw.addresses.len());
    for (nth, text) in raw.addresses.iter().enumerate() {
        let broken = |rule: &str| {
            Broken::new(
                format!("decoys.addresses[{nth}]"),
                rule,
                "\"198.51.100.77:22 file server\"",
            )
        };
        if nth == DECOYS_MAX {
            return Err(broken(&format!("be at most {DECOYS_MAX} decoys")));
        }
        let Some(decoy) = decoy(text) else {
            return Err(broken(
                "be an address, a port if only one is the decoy, and a name if you like",
            ));
        };
        let hides = |earlier: &Decoy| {
            earlier.address == decoy.address
                && (earlier.port.is_none() || earlier.port == decoy.port)
        };
        if decoys.iter().any(hides) {
            return Err(broken("not be hidden by an earlier decoy"));
        }
        decoys.push(decoy);
    }
    Ok(DecoyParams { decoys })
}

/// `198.51.100.77`, `198.51.100.77:22`, `[2001:db8::77]:22`, and behind white space its name, else it is called as written.
fn decoy(text: &str) -> Option<Decoy> {
    let text = text.trim();
    let (place, name) = text.split_once(char::is_whitespace).unwrap_or((text, text));
    let (ip, port) = match place.parse::<IpAddr>() {
        Ok(ip) => (ip, None),
        Err(_) => {
            let socket = place.parse::<SocketAddr>().ok()?;
            (socket.ip(), Some(socket.port()))
        }
    };
    Some(Decoy { address: Address::from(ip), port, name: intel::label(name)? })
}

fn policy(raw: &RawPolicy) -> Result<PolicyParams, Broken> {
    let mut floors = Floors::NONE;
    for (nth, name) in raw.floors.iter().enumerate() {
        let key = || format!("policy.floors[{nth}]");
        let Some(floor) = Floor::ALL.into_iter().find(|floor| floor.name() == name) else {
            let names = Floor::ALL.map(Floor::name).join(" ");
            return Err(Broken::new(key(), format!("be one of {names}"), "\"intel_hit_high\""));
        };
        if floors.has(floor) {
            return Err(Broken::new(key(), "be named once", "another floor"));
        }
        floors = floors.with(floor);
    }
    if !(raw.model_quantile > 0.0 && raw.model_quantile <= 1.0) {
        let rule = "be above 0 and at most 1";
        return Err(Broken::new("policy.model_quantile", rule, "0.9999"));
    }
    Ok(PolicyParams {
        weights: weights(&raw.weights)?,
        thresholds: thresholds(&raw.thresholds)?,
        floors,
        model_quantile: raw.model_quantile,
    })
}

fn weights(raw: &RawWeights) -> Result<Weights, Broken> {
    let RawWeights { model, rule, intel } = *raw;
    for (name, weight) in [("model", model), ("rule", rule), ("intel", intel)] {
        if !(0.0..=1.0).contains(&weight) {
            return Err(Broken::new(format!("policy.weights.{name}"), "be from 0 to 1", "0.3"));
        }
    }
    let sum = model + rule + intel;
    if (sum - 1.0).abs() > WEIGHTS_SLACK {
        let value = Some(format!("{model} + {rule} + {intel}"));
        let rule = format!("sum to 1, not {sum:.4}");
        return Err(Broken { value, ..Broken::new("policy.weights", rule, "0.2 + 0.3 + 0.5") });
    }
    Ok(Weights { model, rule, intel })
}

fn thresholds(raw: &RawThresholds) -> Result<Thresholds, Broken> {
    let RawThresholds { warning, high, critical } = *raw;
    let named = [("warning", warning, "20"), ("high", high, "50"), ("critical", critical, "80")];
    for (name, threshold, such_as) in named {
        if !(0.0..=100.0).contains(&threshold) {
            let key = format!("policy.thresholds.{name}");
            return Err(Broken::new(key, "be from 0 to 100", such_as));
        }
    }
    for [(lower, below, _), (upper, above, _)] in named.windows(2).filter_map(<[_]>::first_chunk) {
        if below >= above {
            let value = Some(format!("{lower} {below}, {upper} {above}"));
            let rule = format!("ascend: {lower} below {upper}");
            let such_as = "warning = 20, high = 50, critical = 80";
            return Err(Broken { value, ..Broken::new("policy.thresholds", rule, such_as) });
        }
    }
    Ok(Thresholds { warning, high, critical })
}
