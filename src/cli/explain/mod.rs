//! `phantomnet explain`: why a packet or an event is what it is.

mod event;
mod row;
mod score;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::Failure;
use super::client::SensorArgument;
use super::output::JsonArgument;
use crate::event::EventId;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("../pages/explain.txt"))]
#[command(group = ArgGroup::new("what").required(true).args(["event", "row"]))]
pub(super) struct Explain {
    /// An event of a running sensor, by its name, as lists and the dashboard have it.
    #[arg(
        long,
        value_name = "EPOCH-NUMBER",
        required_unless_present = "row",
        conflicts_with = "row"
    )]
    event: Option<EventId>,

    #[command(flatten)]
    sensor: SensorArgument,

    /// A packet of a CSV file with the 15 feature columns, as --dump-features writes it.
    #[arg(long, value_name = "CSV")]
    row: Option<PathBuf>,

    /// The packet's number, as the column `packet` and every other output has it; the first row without one.
    #[arg(long, value_name = "NUMBER", conflicts_with = "event")]
    packet: Option<u64>,

    /// The model file that scores the row; the built-in model without one.
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    model: Option<PathBuf>,

    #[command(flatten)]
    json: JsonArgument,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Some(path) = &self.row {
            let explained = row::explain(path, self.packet, self.model.as_deref())?;
            return self.json.print(&explained, &explained.page());
        }
        let Some(id) = self.event else {
            return Err(Failure::usage("--event or --row: must say what is to be explained"));
        };
        let answered = event::ask(&self.sensor.client()?, id).map_err(Failure::operation)?;
        self.json.print(&answered, &answered.page())
    }
}
