//! Reads capture files, merged in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::Path;

use super::fault::{Fault, OpenError};
use super::file::CaptureFile;
use super::stream::{Progress, is_standard_input};
use super::{Batch, FrameSource, Received};
use crate::time::Timestamp;

/// The frames of one or more capture files, as one stream.
///
/// Of the files' next frames the one with the earliest time comes first; of equal ones that of the file named first. The
/// order inside a file is never changed, so time may run backwards where a file's own does. Frames are numbered from 1,
/// turns from 0.
///
/// Read are pcap (micro- and nanoseconds, both byte orders) and pcapng, plain or packed with gzip or zstd, which their
/// first bytes tell; `-` is standard input. A file that breaks off ends there and the others go on: [`faults`](Self::faults)
/// tells. Once every file has shown its longest record, reading plain files allocates nothing.
#[derive(Debug)]
pub struct Reader {
    files: Vec<CaptureFile>,
    /// The files that have a next frame: the earliest on top.
    order: BinaryHeap<Reverse<(Timestamp, usize)>>,
    progress: Progress,
    frames: u64,
    turn: u64,
}

impl Reader {
    /// Opens all files and reads up to the first frame of each.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the first file that is missing, empty, or no capture.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, OpenError> {
        if paths.iter().filter(|path| is_standard_input(path.as_ref())).count() > 1 {
            return Err(OpenError::StandardInputTwice);
        }
        let mut progress = Progress::none_yet();
        let files = paths
            .iter()
            .map(|path| CaptureFile::open(path.as_ref(), &mut progress))
            .collect::<Result<_, _>>()?;
        Ok(Self::merging(files, progress))
    }

    pub(super) fn merging(files: Vec<CaptureFile>, progress: Progress) -> Self {
        let first =
            |(place, file): (usize, &CaptureFile)| Some(Reverse((file.next_time()?, place)));
        let order = files.iter().enumerate().filter_map(first).collect();
        Self { files, order, progress, frames: 0, turn: 0 }
    }

    /// The time of the frame that comes next, if there is one.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        self.order.peek().map(|Reverse((time, _))| *time)
    }

    /// What was wrong with the files, as far as they have been read: at most one reason to stop per file, and its link
    /// types that cannot be decoded.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        self.files.iter().flat_map(CaptureFile::faults).collect()
    }

    /// How far the files have been read; may be watched from another thread.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// How many frames have been given.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }
}

impl FrameSource for Reader {
    fn receive(&mut self, batch: &mut Batch) -> Received {
        batch.begin(self.turn, self.frames + 1);
        while let Some(mut earliest) = self.order.peek_mut() {
            let Reverse((time, place)) = &mut *earliest;
            let Some(file) = self.files.get_mut(*place) else { break };
            if !file.give(batch) {
                break;
            }
            self.frames += 1;
            match file.next_time() {
                Some(next) => *time = next,
                None => {
                    PeekMut::pop(earliest);
                }
            }
        }
        if batch.is_empty() {
            return Received::End;
        }
        self.turn += 1;
        Received::Frames
    }
}
