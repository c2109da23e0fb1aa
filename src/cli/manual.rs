//! `phantomnet manual`: a manual page for each command, as man(7) has them, of what `--help` says.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use super::{Arguments, Failure, output};

/// Arguments of `manual`.
#[derive(Debug, Args)]
#[command(after_long_help = include_str!("pages/manual.txt"))]
pub(super) struct Manual {
    /// The folder that they are written into; made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Manual {
    pub(super) fn run(self) -> Result<(), Failure> {
        let at = |path: &PathBuf, error| {
            Failure::operation(format!("{}: cannot be written: {error}", path.display()))
        };
        fs::create_dir_all(&self.out).map_err(|error| at(&self.out, error))?;
        let pages = pages();
        for (name, page) in &pages {
            let path = self.out.join(name);
            fs::write(&path, page).map_err(|error| at(&path, error))?;
        }
        output::print(&format!("{}: {} pages written\n", self.out.display(), pages.len()))
    }
}

/// Every page with the name of its file.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Arguments::command();
    // Names of subcommands and what all have in common are known from here on.
    command.build();
    let mut found = Vec::new();
    collect(&command, "phantomnet", &mut found);
    found
}

fn collect(command: &Command, name: &str, found: &mut Vec<(String, Vec<u8>)>) {
    if let Ok(page) = page(command, name) {
        found.push((format!("{name}.1"), page));
    }
    for each in command.get_subcommands().filter(|each| each.get_name() != "help") {
        collect(each, &format!("{name}-{}", each.get_name()), found);
    }
}

/// One page. What stands behind the options of `--help` becomes sections, line for line.
fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).title(name).manual("PhantomNet");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    let (description, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    sections(description).to_writer(&mut page)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut page)?;
    }
    sections(rest).to_writer(&mut page)?;
    let mut more = Roff::new();
    if command.has_subcommands() {
        more.control("SH", ["COMMANDS"]);
        for each in command.get_subcommands().filter(|each| each.get_name() != "help") {
            let about = each.get_about().map(ToString::to_string).unwrap_or_default();
            more.control("TP", []);
            more.text([bold(format!("{name}-{}(1)", each.get_name()))]);
            more.text([roman(about)]);
        }
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

/// `Heading:` at the beginning of a line begins a section; its lines stay as they are.
fn sections(text: &str) -> Roff {
    let mut sections = Roff::new();
    let mut is_open = false;
    for line in text.lines() {
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => {
                if is_open {
                    sections.control("fi", []);
                }
                sections.control("SH", [heading.to_uppercase().as_str()]);
                sections.control("nf", []);
                is_open = true;
            }
            None => {
                sections.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if is_open {
        sections.control("fi", []);
    }
    sections
}
