//! The command line: one file for each subcommand.

mod check;
mod complaints;
mod dataset;
mod evaluate;

mod explain;
mod interrupt;
mod model;
mod output;
mod replay;
pub mod setup;
mod train;

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Judges network traffic: every packet SAFE, WARNING, HIGH or CRITICAL, with the reason; nothing is lost silently.
#[derive(Debug, Parser)]
#[command(
    name = "phantomnet",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send capture files through the data path and judge every packet.
    Replay(replay::Replay),
    /// Train a model on traffic that is known to be normal.
    Train(train::Train),
    /// Look at, check, import or apply a model.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Make labelled traffic.
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Measure how well a model and the rules tell attacks from normal traffic.
    Evaluate(evaluate::Evaluate),
    /// Say why packets scored as they did, feature by feature.
    Explain(explain::Explain),
    /// Read and check the configuration, the model, the rules and the feeds; start nothing.
    Check(check::Check),
}

/// The configuration file, for every command that needs one.
#[derive(Debug, Args)]
struct ConfigArgument {
    /// The configuration file (TOML); built-in defaults without one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs what was asked for.
///
/// # Errors
///
/// What went wrong, with the exit code that says whose fault it is.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Replay(replay) => replay.run(),
        Command::Train(train) => train.run(),
        Command::Model(model) => model.run(),
        Command::Dataset(dataset) => dataset.run(),

        Command::Evaluate(evaluate) => evaluate.run(),
        Command::Explain(explain) => explain.run(),
        Command::Check(check) => check.run(),
    }
}

/// Why the program ends with another exit code than 0.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    lines: Vec<String>,
}

/// `EX_CONFIG` of sysexits.h: something is wrong with what the operator wrote.
const EXIT_CONFIGURATION: u8 = 78;
const EXIT_USAGE: u8 = 2;
const EXIT_OPERATION: u8 = 1;

impl Failure {
    /// Something failed while it was done.
    fn operation(message: impl Display) -> Self {
        Self { code: EXIT_OPERATION, lines: vec![message.to_string()] }
    }

    /// Several things failed while it was done; what could be done was done.
    const fn operations(lines: Vec<String>) -> Self {
        Self { code: EXIT_OPERATION, lines }
    }

    /// The command line asks for what can't be.
    fn usage(message: impl Display) -> Self {
        Self { code: EXIT_USAGE, lines: vec![message.to_string()] }
    }

    /// The configuration, or a file that it names, is wrong; nothing was started.
    fn configuration(message: impl Display) -> Self {
        Self { code: EXIT_CONFIGURATION, lines: vec![message.to_string()] }
    }

    /// Several things are wrong with what the operator wrote.
    const fn configurations(lines: Vec<String>) -> Self {
        Self { code: EXIT_CONFIGURATION, lines }
    }

    /// Says it on standard error, one line for each thing, and gives the exit code.
    #[must_use]
    pub fn explain(&self) -> ExitCode {
        for line in &self.lines {
            output::complain(line);
        }
        ExitCode::from(self.code)
    }
}
