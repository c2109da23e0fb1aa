//! `phantomnet top`: a running sensor on a terminal, or one look at it as text or JSON.

mod answers;
mod draw;
mod looker;
mod openmetrics;
mod page;
mod screen;
mod snapshot;
#[cfg(test)]
mod tests;
mod words;

use std::io::IsTerminal as _;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::client::SensorArgument;
use super::{Failure, output};
use looker::Looker;

/// Rows of each list that are asked for: a tall terminal has room for them.
const ROWS: usize = 40;

/// Rows of each list on paper.
const ROWS_ONCE: usize = 10;

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("../pages/top.txt"))]
pub(super) struct Top {
    #[command(flatten)]
    sensor: SensorArgument,

    /// Seconds between two looks, 0.1 to 3600: what a rate is measured over.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,

    /// Look twice, an interval apart, and print what was seen, instead of going on; so it is where standard output is no terminal.
    #[arg(long)]
    once: bool,

    /// The same as one JSON object.
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let rule = || "must be a number of seconds from 0.1 to 3600".to_owned();
    let seconds: f64 = text.parse().map_err(|_not_a_number| rule())?;
    let fits = (0.1..=3_600.0).contains(&seconds);
    if fits { Ok(Duration::from_secs_f64(seconds)) } else { Err(rule()) }
}

impl Top {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.sensor.client()?;
        let is_once = self.once || self.json || !std::io::stdout().is_terminal();
        let mut looker = Looker::new(client, if is_once { ROWS_ONCE } else { ROWS });
        // Before the screen is taken: who has mistyped the address is told so, and not shown an empty page.
        let first = looker.look().map_err(Failure::operation)?;
        if !is_once {
            return screen::show(looker, first, self.interval);
        }
        thread::sleep(self.interval);
        let view = looker.look().map_err(Failure::operation)?;
        output::print(&if self.json { output::as_json(&view)? } else { page::on_paper(&view) })
    }
}
