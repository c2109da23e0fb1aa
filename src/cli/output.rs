//! Standard output and standard error, and files that are written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Failure;

/// A buffered file, or standard output for `-`.
pub(super) fn create(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    let file = File::create(path)
        .map_err(|error| Failure::operation(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::with_capacity(1 << 18, file)))
}

/// Prints to standard output. A reader that went away (`| head`) is no failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::operation(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// One line on standard error, under the program's name. Where even that fails there is nobody left to tell.
pub(super) fn complain(line: &str) {
    drop(writeln!(io::stderr().lock(), "phantomnet: {line}"));
}

/// Text on standard error, as it is.
pub(super) fn print_to_stderr(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}
