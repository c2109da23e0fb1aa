//! How far something long is, with rate and what is left of it: on standard error, where that is a terminal, and nowhere else.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::capture::Progress;
use crate::logs::harmless;

/// How often what moves by itself is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

const OF_BYTES: &str = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta} {msg}";
const OF_BYTES_WITHOUT_END: &str = "{spinner} {bytes} {bytes_per_sec} {msg}";
const OF_PACKETS: &str = "{bar:30} {human_pos}/{human_len} packets {per_sec} ETA {eta}";
const OF_TIME: &str = "{spinner} {elapsed} {msg}";

/// Shown as long as it lives.
pub(super) struct Bar {
    /// None where nobody would see it.
    bar: Option<ProgressBar>,
    /// Looks how far it is, where nobody tells.
    watching: Option<JoinHandle<()>>,
}

impl Bar {
    /// `hidden` where standard error is no terminal.
    fn styled(new: impl FnOnce() -> ProgressBar, style: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(style);
            new().with_style(style.expect("the templates are constants that were tried"))
        });
        Self { bar, watching: None }
    }

    /// Over captures that are read elsewhere.
    pub(super) fn over(progress: Progress, what: &str) -> Self {
        let mut shown = match progress.bytes_total() {
            Some(total) => Self::styled(|| ProgressBar::new(total), OF_BYTES),
            None => Self::styled(ProgressBar::new_spinner, OF_BYTES_WITHOUT_END),
        };
        shown.watching = shown.bar.clone().map(|bar| {
            bar.set_message(harmless(what));
            std::thread::spawn(move || {
                while !bar.is_finished() {
                    bar.set_position(progress.bytes_read());
                    std::thread::sleep(DRAW_EVERY);
                }
            })
        });
        shown
    }

    /// Over so many packets.
    pub(super) fn of_packets(packets: u64) -> Self {
        Self::styled(|| ProgressBar::new(packets), OF_PACKETS)
    }

    /// Over something that can't say how far it is.
    pub(super) fn waiting(what: &str) -> Self {
        let shown = Self::styled(ProgressBar::new_spinner, OF_TIME);
        if let Some(bar) = &shown.bar {
            bar.set_message(harmless(what));
            bar.enable_steady_tick(DRAW_EVERY);
        }
        shown
    }

    /// So many of them are done.
    pub(super) fn set(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(watching) = self.watching.take() {
            // It only draws; were it to fail there would be nothing to tell.
            drop(watching.join());
        }
    }
}

/// A file that is read from its beginning to its end.
pub(super) struct ReadFile {
    file: File,
    read: u64,
    bar: Bar,
}

impl ReadFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let bar = if about.is_file() {
            Bar::styled(|| ProgressBar::new(about.len()), OF_BYTES)
        } else {
            Bar::styled(ProgressBar::new_spinner, OF_BYTES_WITHOUT_END)
        };
        if let Some(shown) = &bar.bar {
            shown.set_message(harmless(&path.display().to_string()));
        }
        Ok(Self { file, read: 0, bar })
    }
}

impl Read for ReadFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let more = self.file.read(buffer)?;
        self.read += more as u64;
        self.bar.set(self.read);
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_understood() {
        for template in [OF_BYTES, OF_BYTES_WITHOUT_END, OF_PACKETS, OF_TIME] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
