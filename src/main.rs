//! `phantomnet`: a network threat sensor. Arguments, command, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use phantomnet::cli::{self, Arguments};

/// The worker allocates nothing after its first turn; everything else profits from a fast allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::die_of_panics();
    match cli::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.explain(),
    }
}
