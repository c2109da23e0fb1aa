//! Standard output and standard error, and files that are written.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Failure;
use crate::collect::FeatureDump;
use crate::logs::is_dangerous;

/// `--json`.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JsonArgument {
    /// One JSON object instead of a page.
    #[arg(long)]
    json: bool,
}

impl JsonArgument {
    /// Prints the same for programs or for people.
    pub(super) fn print(self, report: &impl Serialize, page: &str) -> Result<(), Failure> {
        if self.json { print(&as_json(report)?) } else { print(page) }
    }
}

/// A report as programs read it. What a terminal would obey stands in strings alone, and there as an escape: no text is changed.
pub(super) fn as_json(report: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(report).map_err(Failure::operation)?;
    let mut out = String::with_capacity(json.len() + 1);
    for char in json.chars() {
        if char != '\n' && is_dangerous(char) {
            // All of them lie in the basic plane, so that one unit is enough.
            write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes everything");
        } else {
            out.push(char);
        }
    }
    out.push('\n');
    Ok(out)
}

/// A buffered file, or standard output for `-`.
pub(super) fn create(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufWriter::new(StandardOutput { reader_left: false })));
    }
    let file = File::create(path)
        .map_err(|error| Failure::operation(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 18, file)))
}

/// The features of each packet, written to a file, or to standard output for `-`.
pub(super) fn feature_dump(path: &Path) -> Result<FeatureDump<Box<dyn Write + Send>>, Failure> {
    let name = path.display().to_string();
    FeatureDump::new(create(path)?, name.clone())
        .map_err(|error| Failure::operation(format!("{name}: {error}")))
}

/// Refuses an output that is one of the inputs, or another output: writing it would destroy what is still to be read.
pub(super) fn refuse_overwriting<P: AsRef<Path>>(
    outputs: &[&Path],
    inputs: &[P],
) -> Result<(), Failure> {
    for (nth, output) in outputs.iter().enumerate() {
        let mut others = outputs.iter().take(nth).copied().chain(inputs.iter().map(AsRef::as_ref));
        if let Some(other) = others.find(|other| is_same_file(output, other)) {
            let (output, other) = (output.display(), other.display());
            return Err(Failure::usage(format!(
                "{output}: would overwrite {other}; name another file"
            )));
        }
    }
    Ok(())
}

/// Whether both name one regular file, by whatever path. Devices and pipes may be shared.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => {
            one.is_file() && one.dev() == other.dev() && one.ino() == other.ino()
        }
        _ => {
            one.as_os_str() != "-"
                && place_of(one).is_some_and(|place| Some(place) == place_of(other))
        }
    }
}

/// Where a file stands or would stand: its folder by its true path, and its name.
fn place_of(path: &Path) -> Option<(PathBuf, &OsStr)> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((fs::canonicalize(folder).ok()?, path.file_name()?))
}

/// Prints to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = StandardOutput { reader_left: false };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::operation(format!("standard output: {error}")))
}

/// Standard output whose reader may go away before the end (`| head`): that is no failure, and nothing more is written.
struct StandardOutput {
    reader_left: bool,
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.reader_left {
            return Ok(bytes.len());
        }
        match io::stdout().lock().write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match io::stdout().lock().flush() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_left = true;
                Ok(())
            }
            flushed => flushed,
        }
    }
}

/// One line on standard error, under the program's name. Where even that fails there is nobody left to tell.
pub(super) fn complain(line: &str) {
    let visible: String = line
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    drop(writeln!(io::stderr().lock(), "phantomnet: {visible}"));
}

/// Text on standard error, as it is.
pub(super) fn print_to_stderr(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gives_back_every_text_and_hands_no_control_character_to_a_terminal() {
        let texts = ["\u{1b}[2J\u{9b}31m", "\u{202e}abc\u{7f}", "a\nb\t\"\\", "é 漢 \u{1f600}"];
        let json = as_json(&texts).unwrap();
        assert!(!json.contains(|c: char| c != '\n' && is_dangerous(c)), "{json:?}");
        let back: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(back, texts);
    }
}
