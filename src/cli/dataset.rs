//! `phantomnet dataset`: labelled traffic from a seed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Failure;
use super::output::JsonArgument;
use super::progress::Bar;
use crate::synth::{Attack, Plan, write_dataset_telling};

/// What to do with datasets.
#[derive(Debug, Subcommand)]
pub(super) enum DatasetCommand {
    /// Write a capture and the labels of its packets; the same seed gives the same bytes.
    Generate(Generate),
}

/// Arguments of `dataset generate`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/dataset-generate.txt"))]
pub(super) struct Generate {
    /// The folder to write traffic.pcap, labels.csv and sources.csv to; made if it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// How many packets, exactly.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    packets: u64,

    /// Where all chance comes from.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Which attacks take place, by name, separated by commas; "all" or "none".
    #[arg(long, value_name = "a,b,...", default_value = "all")]
    attacks: String,

    #[command(flatten)]
    json: JsonArgument,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Generated<'a> {
    folder: String,
    files: [&'static str; 3],
    packets: u64,
    first: String,
    last: String,
    /// Packets of attackers, by attack.
    attacks: BTreeMap<&'a str, u64>,
}

impl DatasetCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::Generate(generate) = self;
        generate.run()
    }
}

/// What is in the folder then.
const FILES: [&str; 3] = ["traffic.pcap", "labels.csv", "sources.csv"];

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let plan = Plan::new(self.packets, self.seed).with_attacks(&attacks(&self.attacks)?);
        plan.check().map_err(Failure::usage)?;
        let bar = Bar::of_packets(self.packets);
        let written = write_dataset_telling(&self.out, &plan, &mut |packets| bar.set(packets))
            .map_err(Failure::operation)?;
        drop(bar);
        let mut page =
            format!("{} packets, {} to {}\n", written.packets, written.first, written.last);
        for (attack, packets) in &written.attacks {
            page.push_str(&format!("  {:<18}{packets:>10}\n", attack.name()));
        }
        page.push_str(&format!("written to {}: {}\n", self.out.display(), FILES.join(" ")));
        let generated = Generated {
            folder: self.out.display().to_string(),
            files: FILES,
            packets: written.packets,
            first: written.first.to_string(),
            last: written.last.to_string(),
            attacks: written.attacks.iter().map(|(name, count)| (name.name(), *count)).collect(),
        };
        self.json.print(&generated, &page)
    }
}

fn attacks(names: &str) -> Result<Vec<Attack>, Failure> {
    match names {
        "all" => Ok(Attack::ALL.to_vec()),
        "none" => Ok(Vec::new()),
        names => names
            .split(',')
            .map(|name| name.trim().parse::<Attack>().map_err(Failure::usage))
            .collect(),
    }
}
