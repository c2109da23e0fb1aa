//! `phantomnet explain`: why a packet or an event is what it is.

mod row;
mod score;

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::output::JsonArgument;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("../pages/explain.txt"))]
pub(super) struct Explain {
    /// A CSV file with the 15 feature columns, as --dump-features writes it.
    #[arg(long, value_name = "CSV")]
    row: PathBuf,

    /// The packet's number, as the column `packet` and every other output has it; the first row without one.
    #[arg(long, value_name = "NUMBER")]
    packet: Option<u64>,

    /// The model file; the built-in model without one.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,

    #[command(flatten)]
    json: JsonArgument,
}

impl Explain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let explained = row::explain(&self.row, self.packet, self.model.as_deref())?;
        self.json.print(&explained, &explained.page())
    }
}
