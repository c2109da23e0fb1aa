//! The command line: one file for each subcommand.

mod appliance;
mod audit;
mod bench;
mod check;
mod client;
mod complaints;
mod completions;
mod counted;
mod dataset;
mod demo;
mod doctor;
mod evaluate;
mod explain;
mod hangup;
mod hints;
mod interrupt;
mod live;
mod manual;
mod migrate;
mod model;
mod output;
mod passport;
mod progress;
pub mod reloader;
mod replay;
mod run;
pub mod setup;
mod speed;
mod store;
mod top;
mod train;
mod watchdog;

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
    /// Run the sensor, with its store and its HTTP server.
    Run(run::Run),
    /// Show the whole sensor on generated traffic: no root, no other server.
    Demo(demo::Demo),
    /// Watch a running sensor on a terminal: traffic, verdicts, losses, latency, who stands out.
    Top(top::Top),
    /// Send capture files through the data path and judge every packet.
    Replay(replay::Replay),
    /// Train a model on traffic that is known to be normal.
    Train(train::Train),
    /// Look at, check, import, apply or time a model.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Make labelled traffic.
    #[command(subcommand)]
    Dataset(dataset::DatasetCommand),
    /// Measure how well a model and the rules tell attacks from normal traffic.
    Evaluate(evaluate::Evaluate),
    /// Say why packets scored as they did, feature by feature.
    Explain(explain::Explain),
    /// Say what is wrong with this machine, an interface or its tap, and the command that mends it.
    Doctor(doctor::Doctor),
    /// Make a store's tables, or bring them to this program's version.
    Migrate(migrate::Migrate),
    /// Recount a store against the sums that the sensor wrote into it.
    Audit(audit::Audit),
    /// Read and check the configuration, the model, the rules and the feeds; start nothing.
    Check(check::Check),
    /// Print what a shell needs to complete commands and options.
    Completions(completions::Completions),
    /// Write a manual page for each command.
    Manual(manual::Manual),
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
        Command::Run(run) => run.run(),
        Command::Demo(demo) => demo.run(),
        Command::Top(top) => top.run(),
        Command::Replay(replay) => replay.run(),
        Command::Train(train) => train.run(),
        Command::Model(model) => model.run(),
        Command::Dataset(dataset) => dataset.run(),
        Command::Evaluate(evaluate) => evaluate.run(),
        Command::Explain(explain) => explain.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Migrate(migrate) => migrate.run(),
        Command::Audit(audit) => audit.run(),
        Command::Check(check) => check.run(),
        Command::Completions(completions) => completions.run(),
        Command::Manual(manual) => manual.run(),
    }
}

/// Makes a panic the end of the process, unless it is in a thread of the HTTP server, where a request that hits a bug costs its
/// connection, or in one of the data path: a sensor that went on without one of its workers would be blind and look well, so it ends,
/// but in order, with what the others hold.
pub fn die_of_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if crate::sensor::will_be_caught(panic) {
            // It is logged where it is caught, without the way to it.
            if std::env::var_os("RUST_BACKTRACE").is_some() {
                tell(panic);
            }
            return;
        }
        tell(panic);
        let thread = std::thread::current();
        let serves = thread
            .name()
            .is_some_and(|name| SERVERS_THREADS.iter().any(|begin| name.starts_with(begin)));
        if !serves {
            std::process::abort();
        }
    }));
}

/// How the names of the HTTP server's threads begin: its own, those that actix starts, and those that it blocks on files and stores.
const SERVERS_THREADS: [&str; 3] = ["api", "actix-", "tokio-"];

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

    /// What is wrong, one line for each thing.
    fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Says it on standard error, one line for each thing with what to do about it, and gives the exit code.
    #[must_use]
    pub fn explain(&self) -> ExitCode {
        for line in &self.lines {
            output::complain(&hints::with_hint(line));
        }
        ExitCode::from(self.code)
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use super::Arguments;

    /// Every command that does something, with its whole name.
    fn leaves(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        let name = format!("{name} {}", command.get_name()).trim().to_owned();
        if !command.has_subcommands() {
            found.push((name, command.clone()));
            return;
        }
        for each in command.get_subcommands().filter(|each| each.get_name() != "help") {
            leaves(each, &name, found);
        }
    }

    #[test]
    fn every_command_has_a_page_with_exit_status_and_examples_that_it_understands() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "", &mut found);
        assert!(found.len() > 12, "{} commands", found.len());
        for (name, command) in found {
            let page = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            for part in ["Description:\n", "Exit status:\n  0 ", "\n  2 ", "Examples:\n"] {
                assert!(page.contains(part), "{name}: its page has no {part:?}");
            }
            assert!(page.lines().all(|line| line.chars().count() <= 115), "{name}: a line is long");
            let (_, examples) = page.split_once("Examples:\n").expect("there are examples");
            for example in examples.lines() {
                let last = example.rsplit(" | ").next().expect("at least one").trim();
                assert!(last.starts_with(&name), "{name}: an example of another command: {last}");
                let words = last.split_whitespace();
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("{last}: {error}");
                }
            }
        }
    }

    #[test]
    fn every_option_says_what_it_is_for() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "", &mut found);
        for (name, command) in found {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
            }
        }
    }
}
