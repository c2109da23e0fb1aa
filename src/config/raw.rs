//! The configuration as the operator wrote it. Nothing in it is trusted yet.
//!
//! Every key has a default here, and nowhere else; `configs/phantomnet.toml` lists them all, held by a test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capture::af_xdp::Mode;
use crate::verdict::Floor;

/// What stands for the part that comes with the program, where a file could be named.
pub(super) const BUILT_IN: &str = "built-in";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    pub(super) capture: RawCapture,
    pub(super) workers: RawWorkers,
    pub(super) sources: RawSources,
    pub(super) features: RawFeatures,
    pub(super) replay: RawReplay,
    pub(super) model: RawModel,
    pub(super) rules: RawRules,
    pub(super) intel: RawIntel,
    pub(super) decoys: RawDecoys,
    pub(super) policy: RawPolicy,
    pub(super) sensor: RawSensor,
    pub(super) events: RawEvents,
    pub(super) store: RawStore,
    pub(super) spool: RawSpool,
    pub(super) outputs: RawOutputs,
    pub(super) http: RawHttp,
    pub(super) log: RawLog,
}

/// `[capture]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCapture {
    /// Empty: none.
    pub(super) interface: String,
    pub(super) backend: String,
    pub(super) modes: Vec<String>,
    /// Empty: any of the modes.
    pub(super) require: String,
    pub(super) frames: u64,
    pub(super) timestamps: String,
    pub(super) ignore: Vec<String>,
    pub(super) no_socket: String,
    /// 0: none.
    pub(super) busy_poll_us: u64,
    pub(super) patience_ms: u64,
    pub(super) force: bool,
    pub(super) replace: bool,
}

impl Default for RawCapture {
    fn default() -> Self {
        Self {
            interface: String::new(),
            backend: "auto".to_owned(),
            modes: Mode::ALL.map(|mode| mode.name().to_owned()).into(),
            require: String::new(),
            frames: 32_768,
            timestamps: "kernel".to_owned(),
            ignore: Vec::new(),
            no_socket: "drop".to_owned(),
            busy_poll_us: 0,
            patience_ms: 20,
            force: false,
            replace: false,
        }
    }
}

/// `[workers]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWorkers {
    pub(super) count: u64,
    pub(super) pin: bool,
    /// Empty: any.
    pub(super) cores: Vec<u64>,
    pub(super) scheduling: String,
    pub(super) priority: u64,
    pub(super) lock_memory: bool,
}

impl Default for RawWorkers {
    fn default() -> Self {
        Self {
            count: 0,
            pin: true,
            cores: Vec::new(),
            scheduling: "normal".to_owned(),
            priority: 10,
            lock_memory: false,
        }
    }
}

/// `[sources]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSources {
    pub(super) capacity: u64,
    pub(super) ipv6_prefix: u64,
    pub(super) by_vlan: bool,
    /// Empty: another one at each start.
    pub(super) hash_key: String,
}

impl Default for RawSources {
    fn default() -> Self {
        Self { capacity: 65_536, ipv6_prefix: 64, by_vlan: false, hash_key: String::new() }
    }
}

/// `[features]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFeatures {
    pub(super) time_zone: String,
}

impl Default for RawFeatures {
    fn default() -> Self {
        Self { time_zone: "UTC".to_owned() }
    }
}

/// `[replay]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawReplay {
    pub(super) hash_key: String,
}

impl Default for RawReplay {
    fn default() -> Self {
        Self { hash_key: "000102030405060708090a0b0c0d0e0f".to_owned() }
    }
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawModel {
    pub(super) path: String,
}

impl Default for RawModel {
    fn default() -> Self {
        Self { path: BUILT_IN.to_owned() }
    }
}

/// `[rules]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRules {
    pub(super) files: Vec<String>,
    pub(super) unsupported: String,
    pub(super) variables: BTreeMap<String, String>,
}

impl Default for RawRules {
    fn default() -> Self {
        Self {
            files: vec![BUILT_IN.to_owned()],
            unsupported: "refuse".to_owned(),
            variables: BTreeMap::new(),
        }
    }
}

/// `[intel]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawIntel {
    pub(super) own_networks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) feeds: Vec<RawFeed>,
}

/// `[[intel.feeds]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFeed {
    /// The one key without a default.
    pub(super) path: String,
    pub(super) format: String,
    /// Empty: the file's name.
    pub(super) label: String,
    pub(super) risk: u64,
}

impl Default for RawFeed {
    fn default() -> Self {
        Self {
            path: String::new(),
            format: "auto".to_owned(),
            label: String::new(),
            risk: crate::intel::RISK_DEFAULT.into(),
        }
    }
}

impl RawFeed {
    /// A feed with a path, for what needs one to show.
    pub(super) fn example() -> Self {
        Self { path: "intel/example.txt".to_owned(), ..Self::default() }
    }
}

/// `[decoys]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawDecoys {
    pub(super) addresses: Vec<String>,
}

/// `[policy]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPolicy {
    pub(super) floors: Vec<String>,
    pub(super) model_quantile: f64,
    pub(super) weights: RawWeights,
    pub(super) thresholds: RawThresholds,
}

impl Default for RawPolicy {
    fn default() -> Self {
        Self {
            floors: Floor::ALL.map(|floor| floor.name().to_owned()).into(),
            model_quantile: 0.9999,
            weights: RawWeights::default(),
            thresholds: RawThresholds::default(),
        }
    }
}

/// `[policy.weights]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWeights {
    pub(super) model: f64,
    pub(super) rule: f64,
    pub(super) intel: f64,
}

impl Default for RawWeights {
    fn default() -> Self {
        Self { model: 0.2, rule: 0.3, intel: 0.5 }
    }
}

/// `[policy.thresholds]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawThresholds {
    pub(super) warning: f64,
    pub(super) high: f64,
    pub(super) critical: f64,
}

impl Default for RawThresholds {
    fn default() -> Self {
        Self { warning: 20.0, high: 50.0, critical: 80.0 }
    }
}

/// `[sensor]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSensor {
    pub(super) name: String,
    /// Empty: `phantomnet-data` where the program was started.
    pub(super) folder: String,
}

impl Default for RawSensor {
    fn default() -> Self {
        Self { name: "phantomnet".to_owned(), folder: String::new() }
    }
}

/// `[events]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEvents {
    pub(super) store: String,
    pub(super) safe_one_in: u64,
    pub(super) coalesce_ms: u64,
    pub(super) per_second: u64,
}

impl Default for RawEvents {
    fn default() -> Self {
        Self {
            store: "notable".to_owned(),
            safe_one_in: 1_000,
            coalesce_ms: 1_000,
            per_second: 2_000,
        }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStore {
    /// Empty: SQLite in the sensor's folder.
    pub(super) url: String,
    pub(super) batch_rows: u64,
    pub(super) batch_ms: u64,
    /// 0: for ever.
    pub(super) keep_days: u64,
    /// 0: as many as there are.
    pub(super) keep_bytes: u64,
}

impl Default for RawStore {
    fn default() -> Self {
        Self { url: String::new(), batch_rows: 10_000, batch_ms: 100, keep_days: 30, keep_bytes: 0 }
    }
}

/// `[spool]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSpool {
    pub(super) bytes: u64,
}

impl Default for RawSpool {
    fn default() -> Self {
        Self { bytes: 4 << 30 }
    }
}

/// `[outputs]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOutputs {
    pub(super) eve: RawEve,
    pub(super) syslog: RawSyslog,
    pub(super) webhook: RawWebhook,
}

/// `[outputs.eve]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawEve {
    /// Empty: none.
    pub(super) path: String,
    pub(super) r#type: String,
    pub(super) rotate_bytes: u64,
    pub(super) keep: u64,
    pub(super) records: Vec<String>,
    pub(super) stats_seconds: u64,
}

impl Default for RawEve {
    fn default() -> Self {
        Self {
            path: String::new(),
            r#type: "file".to_owned(),
            rotate_bytes: 256 << 20,
            keep: 5,
            records: ["alert", "anomaly", "flow", "stats"].map(str::to_owned).into(),
            stats_seconds: 8,
        }
    }
}

/// `[outputs.syslog]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSyslog {
    /// Empty: none.
    pub(super) to: String,
    pub(super) facility: String,
    pub(super) level: String,
}

impl Default for RawSyslog {
    fn default() -> Self {
        Self { to: String::new(), facility: "local0".to_owned(), level: "HIGH".to_owned() }
    }
}

/// `[outputs.webhook]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawWebhook {
    /// Empty: none.
    pub(super) url: String,
    /// Empty: no token.
    pub(super) token_file: String,
    pub(super) level: String,
}

impl Default for RawWebhook {
    fn default() -> Self {
        Self { url: String::new(), token_file: String::new(), level: "HIGH".to_owned() }
    }
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawHttp {
    /// Empty: no server.
    pub(super) listen: String,
    pub(super) threads: u64,
    /// Empty: no token.
    pub(super) token_file: String,
    pub(super) hosts: Vec<String>,
}

impl Default for RawHttp {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".to_owned(),
            threads: 1,
            token_file: String::new(),
            hosts: Vec::new(),
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLog {
    pub(super) format: String,
    pub(super) level: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: "auto".to_owned(), level: "info".to_owned() }
    }
}
