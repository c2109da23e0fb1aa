//! `phantomnet completions`: what a shell needs to complete commands, options and files.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, Failure, output};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/completions.txt"))]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        output::print(&script(self.shell))
    }
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "phantomnet", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
