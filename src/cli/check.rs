//! `phantomnet check`: reads and checks everything that the configuration names; starts nothing.

use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::output::JsonArgument;
use super::{ConfigArgument, Failure, setup};
use crate::capture::interface::Interface;
use crate::config::Config;
use crate::intel::{FeedReport, IntelReport};
use crate::rules::LoadReport;
use crate::sensor::NotGranted;
use crate::verdict::{Detection, Policy};

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/check.txt"))]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    json: JsonArgument,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = setup::load_config(&self.config)?;
        let params = setup::sensor_params(&config, 0)?;
        let model = setup::load_model(&config.model.origin)?;
        let (rules, rule_report) = setup::load_rules(&config)?;
        let (intel, intel_report) = setup::load_intel(&config)?;
        let http = setup::api_params(&config, &params)?;
        let decoys = crate::intel::Decoys::new(config.decoys.decoys.clone());

        let file = self.config.config.as_ref().map(|path| path.display().to_string());
        let (about, sha256) = (model.about().name.clone(), model.sha256().to_owned());
        let (workers, is_pinned) = (params.workers, !params.cores.workers.is_empty());
        let decoy_count = decoys.all().len();
        let detection = Detection::new(model, rules, intel, decoys, Policy::new(config.policy));
        let checked = Checked {
            config: file,
            workers,
            is_pinned,
            not_granted: not_granted(&config)?,
            model: CheckedModel { name: about, sha256 },
            rules: CheckedRules::of(&rule_report),
            intel: CheckedIntel::of(&intel_report),
            decoys: decoy_count,
            folder: config.sensor.folder.display().to_string(),
            store: super::store::configured(&config).to_string(),
            outputs: config.outputs.shown(),
            http: http.map(|http| http.address.to_string()),
            detection_version: format!("{:08x}", detection.version()),
        };
        self.json.print(&checked, &checked.page(&rule_report))
    }
}

/// What a sensor would start with.
#[derive(Debug, Serialize)]
struct Checked {
    /// Null: the built-in defaults.
    config: Option<String>,
    workers: usize,
    is_pinned: bool,
    /// What the sensor would not be granted, were it who asks now.
    not_granted: Option<String>,
    model: CheckedModel,
    rules: CheckedRules,
    intel: CheckedIntel,
    decoys: usize,
    folder: String,
    store: String,
    /// One line for each output.
    outputs: Vec<String>,
    /// Null: no server.
    http: Option<String>,
    detection_version: String,
}

#[derive(Debug, Serialize)]
struct CheckedModel {
    name: String,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct CheckedRules {
    loaded: usize,
    refused: Vec<RefusedRule>,
}

#[derive(Debug, Serialize)]
struct RefusedRule {
    file: String,
    line: u32,
    rule: Option<u32>,
    reason: String,
}

impl CheckedRules {
    fn of(report: &LoadReport) -> Self {
        let refused = report.refused.iter().map(|refusal| RefusedRule {
            file: refusal.file.to_string(),
            line: refusal.line,
            rule: refusal.sid,
            reason: refusal.reason.clone(),
        });
        Self { loaded: report.loaded, refused: refused.collect() }
    }
}

#[derive(Debug, Serialize)]
struct CheckedIntel {
    entries: u64,
    duplicates: u64,
    feeds: Vec<CheckedFeed>,
}

#[derive(Debug, Serialize)]
struct CheckedFeed {
    file: String,
    in_force: u64,
    /// Expired, revoked, or stated to be benign.
    out_of_force: u64,
    skipped: Vec<SkippedLine>,
}

/// A malformed line of a feed.
#[derive(Debug, Serialize)]
struct SkippedLine {
    line: u32,
    reason: String,
}

impl CheckedIntel {
    fn of(report: &IntelReport) -> Self {
        let feed = |feed: &FeedReport| CheckedFeed {
            file: feed.file.display().to_string(),
            in_force: feed.in_force,
            out_of_force: feed.out_of_force,
            skipped: feed
                .malformed_lines
                .iter()
                .map(|malformed| SkippedLine {
                    line: malformed.line,
                    reason: malformed.reason.clone(),
                })
                .collect(),
        };
        let feeds = report.feeds.iter().map(feed).collect();
        Self { entries: report.entries, duplicates: report.duplicates, feeds }
    }

    /// The sums; and each malformed line, which was skipped.
    fn lines(&self) -> Vec<String> {
        let Self { entries, duplicates, feeds } = self;
        let mut lines =
            vec![format!("{entries} entries of {} feeds, {duplicates} duplicates", feeds.len())];
        for CheckedFeed { file, in_force, out_of_force, skipped } in feeds {
            lines.push(format!("{file}: {in_force} in force, {out_of_force} expired or revoked"));
            for SkippedLine { line, reason } in skipped {
                lines.push(format!("{file}:{line}: skipped: {reason}"));
            }
        }
        lines
    }
}

impl Checked {
    fn page(&self, rules: &LoadReport) -> String {
        let mut page = String::new();
        let mut line = |name: &str, text: &str| {
            writeln!(page, "{name:<10}{text}").expect("a String takes everything");
        };
        line("config", &format!("{}: good", self.config.as_deref().unwrap_or("built-in defaults")));
        let pinned = if self.is_pinned { ", pinned" } else { "" };
        line("workers", &format!("{}{pinned}", self.workers));
        if let Some(right) = &self.not_granted {
            line("", &format!("NOT GRANTED to who asks now: {right}"));
        }
        line("model", &format!("{} (sha256 {})", self.model.name, self.model.sha256));
        line("rules", &rules.to_string());
        for refusal in &rules.refused {
            line("", &refusal.to_string());
        }
        for (nth, text) in self.intel.lines().iter().enumerate() {
            line(if nth == 0 { "intel" } else { "" }, text);
        }
        line("decoys", &self.decoys.to_string());
        line("folder", &self.folder);
        line("store", &self.store);
        for output in &self.outputs {
            line("output", output);
        }
        line("http", self.http.as_deref().unwrap_or("none"));
        line("detection", &format!("version {}", self.detection_version));
        page
    }
}

/// What the sensor would not be granted if this process were it: rights are those of a user and of a unit, so they are only told of. A core
/// that there is not is an error.
fn not_granted(config: &Config) -> Result<Option<String>, Failure> {
    let interface = config.capture.interface.as_ref().and_then(|name| Interface::find(name).ok());
    let params = setup::live_params(config, interface.map_or(0, |interface| interface.queues));
    match setup::demands(config, &params).check() {
        Ok(()) => Ok(None),
        Err(error @ (NotGranted::Core { .. } | NotGranted::NoCoreLeft { .. })) => {
            Err(Failure::configuration(error))
        }
        Err(right) => Ok(Some(right.to_string())),
    }
}
