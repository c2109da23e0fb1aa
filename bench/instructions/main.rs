//! How many instructions each stage takes per packet, counted under callgrind and held against a committed baseline:
//! bench/README.md.
//!
//! ```text
//!  instructions [NAME...]        count all scenarios, or those whose name contains one of these; compare
//!  instructions --write-baseline count all scenarios; write bench/instructions.toml
//! ```
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../inputs/mod.rs"]
mod inputs;
#[path = "../work/mod.rs"]
mod work;

mod baseline;
mod callgrind;
mod gate;
mod scenarios;

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use baseline::{Baseline, Tools};
use gate::{Counts, compare, growth};
use scenarios::{Scenario, scenarios};

const USAGE: &str = "give names of scenarios, or parts of names, or --write-baseline, or nothing";

fn main() -> ExitCode {
    // Cargo itself says --bench.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match &arguments[..] {
        [run, name] if run == callgrind::RUN => run_one(name),
        [write] if write == "--write-baseline" => write_baseline(),
        names => match names.iter().find(|name| name.starts_with('-')) {
            Some(option) => Err(format!("{option}: there is no such option; {USAGE}")),
            None => check(names),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What happens under callgrind.
fn run_one(name: &str) -> Result<(), String> {
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|scenario| scenario.name == name);
    scenario.ok_or_else(|| format!("there is no scenario {name:?}"))?.run();
    Ok(())
}

fn check(names: &[String]) -> Result<(), String> {
    let Some(tools) = Tools::installed() else { return skip() };
    let chosen = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part));
    let scenarios: Vec<Scenario> =
        scenarios().into_iter().filter(|scenario| chosen(&scenario.name)).collect();
    if scenarios.is_empty() {
        return Err(format!(
            "no scenario's name contains any of {names:?}; without names, all are shown"
        ));
    }
    let Baseline { made_with, instructions_per_packet: mut baseline } = baseline::load()?;
    baseline.retain(|name, _| chosen(name));
    let counts = count(&scenarios)?;
    show(&counts, &baseline);
    let findings = compare(&baseline, &counts.into_iter().collect());
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() && made_with != tools {
        println!(
            "NOTE    the baseline was made with {made_with}, this was counted with {tools}: that alone moves counts"
        );
    }
    match findings.iter().filter(|finding| finding.fails()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} scenarios failed, see above", scenarios.len())),
    }
}

fn write_baseline() -> Result<(), String> {
    let tools = Tools::installed().ok_or("valgrind is needed: apt-get install valgrind")?;
    let counts = count(&scenarios())?;
    let before = baseline::load().map(|baseline| baseline.instructions_per_packet);
    show(&counts, &before.unwrap_or_default());
    baseline::save(&counts, &tools)
}

/// Where there is no valgrind nothing can be counted: said aloud, and not good enough where everything has to pass.
fn skip() -> Result<(), String> {
    let what =
        "valgrind is not installed (apt-get install valgrind): instructions were not counted";
    if std::env::var_os("CI").is_some() {
        return Err(format!("{what}, and CI is set"));
    }
    println!("SKIPPED: {what}");
    Ok(())
}

/// Instructions per packet, in the order of the scenarios; as many are counted at once as there are processors, for they don't disturb
/// each other.
fn count(scenarios: &[Scenario]) -> Result<Vec<(String, f64)>, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let names: Vec<&str> = scenarios.iter().map(|scenario| &scenario.name[..]).collect();
    let next = AtomicUsize::new(0);
    let take_and_count = || {
        let mut counted = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(name) = names.get(place) else { return counted };
            counted.push((place, callgrind::count(name, folder)));
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut counted: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(take_and_count)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it doesn't panic")).collect()
    });
    counted.sort_by_key(|(place, _)| *place);
    let per_packet = |(scenario, (_, counted)): (&Scenario, (usize, Result<u64, String>))| {
        let counted = counted.map_err(|why| format!("{}: {why}", scenario.name))?;
        Ok((scenario.name.clone(), counted as f64 / scenario.packets as f64))
    };
    scenarios.iter().zip(counted).map(per_packet).collect()
}

fn show(counts: &[(String, f64)], baseline: &Counts) {
    println!("{:<45} {:>12} {:>12} {:>9}", "instructions per packet", "baseline", "now", "change");
    for (name, now) in counts {
        let (old, change) = match baseline.get(name) {
            Some(old) => (format!("{old:.1}"), format!("{:+.1} %", growth(*old, *now))),
            None => ("-".to_owned(), String::new()),
        };
        println!("{name:<45} {old:>12} {now:>12.1} {change:>9}");
    }
}
