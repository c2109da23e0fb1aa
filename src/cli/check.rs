//! `phantomnet check`: reads and checks everything that the configuration names; starts nothing.

use std::fmt::Write as _;

use clap::Args;

use super::{ConfigArgument, Failure, output, setup};
use crate::capture::interface::Interface;
use crate::config::Config;
use crate::intel::IntelReport;
use crate::sensor::NotGranted;
use crate::verdict::{Detection, Policy};

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/check.txt"))]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgument,
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

        let mut page = String::new();
        let mut line = |name: &str, text: String| {
            writeln!(page, "{name:<10}{text}").expect("a String takes everything");
        };
        let file = self
            .config
            .config
            .as_ref()
            .map_or("built-in defaults".to_owned(), |path| path.display().to_string());
        line("config", format!("{file}: good"));
        let pinned = if params.cores.workers.is_empty() { "" } else { ", pinned" };
        line("workers", format!("{}{pinned}", params.workers));
        if let Some(not_here) = not_granted(&config)? {
            line("", not_here);
        }
        line("model", format!("{} (sha256 {})", model.about().name, model.sha256()));
        line("rules", rule_report.to_string());
        for refusal in &rule_report.refused {
            line("", refusal.to_string());
        }
        line("intel", intel_line(&intel_report));
        line("decoys", decoys.all().len().to_string());
        let detection = Detection::new(model, rules, intel, decoys, Policy::new(config.policy));
        line("folder", config.sensor.folder.display().to_string());
        line("store", super::store::configured(&config).to_string());
        for shown in config.outputs.shown() {
            line("output", shown);
        }
        line("http", http.map_or("none".to_owned(), |http| http.address.to_string()));
        line("detection", format!("version {:08x}", detection.version()));
        output::print(&page)
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
        Err(right) => Ok(Some(format!("NOT GRANTED to who asks now: {right}"))),
    }
}

/// The sums; and each malformed line, which was skipped.
fn intel_line(report: &IntelReport) -> String {
    let mut text = format!(
        "{} entries of {} feeds, {} duplicates",
        report.entries,
        report.feeds.len(),
        report.duplicates
    );
    for feed in &report.feeds {
        let file = feed.file.display();
        write!(
            text,
            "\n          {file}: {} in force, {} expired or revoked",
            feed.in_force, feed.out_of_force
        )
        .expect("a String takes everything");
        for malformed in &feed.malformed_lines {
            write!(text, "\n          {file}:{}: skipped: {}", malformed.line, malformed.reason)
                .expect("a String takes everything");
        }
    }
    text
}
