//! The bytes of a capture: from a file or standard input, unpacked where they are packed, through a window that gives
//! whole records without copying them.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::fault::{OpenError, StopReason};
use super::zstd::ZstdFrames;

/// How many bytes a window holds before a longer record asks for more.
const WINDOW_BYTES: usize = 256 * 1024;
/// How many packed bytes are read at once.
const PACKED_BYTES: usize = 64 * 1024;

/// How far the files of a reader have been read. Cloned, it may be watched from another thread.
#[derive(Clone, Debug)]
pub struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    pub(super) fn none_yet() -> Self {
        Self { read: Arc::default(), total: Some(0) }
    }

    /// Bytes read so far from the files as they are: packed bytes of a packed file.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of all files together; unknown as soon as one of them is standard input or another pipe.
    #[must_use]
    pub const fn bytes_total(&self) -> Option<u64> {
        self.total
    }
}

/// A window over the bytes of one capture.
pub(super) struct Window {
    source: Box<dyn Read + Send>,
    /// `bytes[start..end]` was read and not yet consumed.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes consumed so far.
    position: u64,
    /// What `position` was when the current record began.
    record_position: u64,
    source_ended: bool,
    is_unpacked: bool,
}

impl Window {
    /// Opens a file, or standard input for `-`, and finds out by its first bytes whether it is packed.
    pub(super) fn open(path: &Path, progress: &mut Progress) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let unreachable = |error| OpenError::Unreachable { file: name(), error };
        let source: Box<dyn Read + Send> = if is_standard_input(path) {
            progress.total = None;
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(unreachable)?;
            let about = file.metadata().map_err(unreachable)?;
            progress.total =
                progress.total.filter(|_| about.is_file()).map(|sum| sum + about.len());
            Box::new(file)
        };
        let counted = Counted { source, read: Arc::clone(&progress.read) };
        match Self::unpacking(counted) {
            Ok(Some(window)) => Ok(window),
            Ok(None) => Err(OpenError::Empty { file: name() }),
            Err(error) => Err(unreachable(error)),
        }
    }

    /// A window over what `source` holds, unpacked if it is packed; none when it holds nothing.
    pub(super) fn unpacking(source: impl Read + Send + 'static) -> io::Result<Option<Self>> {
        let (magic, source) = peek(source)?;
        let packed = |source| BufReader::with_capacity(PACKED_BYTES, source);
        Ok(match magic.as_slice() {
            [] => None,
            [0x1f, 0x8b, ..] => Some(Self::over(MultiGzDecoder::new(packed(source)), true)),
            // A frame, or one of those that are skipped and may stand first (RFC 8878, section 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                Some(Self::over(ZstdFrames::new(packed(source)), true))
            }
            _ => Some(Self::over(source, false)),
        })
    }

    fn over(source: impl Read + Send + 'static, is_unpacked: bool) -> Self {
        Self {
            source: Box::new(source),
            bytes: vec![0; WINDOW_BYTES],
            start: 0,
            end: 0,
            position: 0,
            record_position: 0,
            source_ended: false,
            is_unpacked,
        }
    }

    /// What was read and not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until `wanted` bytes are unread. False when the capture ends before; then what is left is unread.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<bool, StopReason> {
        while self.end - self.start < wanted {
            if self.source_ended {
                return Ok(false);
            }
            self.make_room(wanted);
            let room = self.bytes.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => self.source_ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(StopReason::Torn);
                }
                Err(error) => return Err(StopReason::Unreadable(error.to_string())),
            }
        }
        Ok(true)
    }

    /// Moves past `count` bytes that are unread now.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.position += count as u64;
    }

    /// Moves past `count` bytes, however many of them have been read. False when the capture ends before.
    pub(super) fn skip(&mut self, mut count: usize) -> Result<bool, StopReason> {
        loop {
            let unread = self.end - self.start;
            self.consume(count.min(unread));
            count -= count.min(unread);
            if count == 0 {
                return Ok(true);
            }
            if !self.fill(1)? {
                return Ok(false);
            }
        }
    }

    /// Says that a record begins with the next unread byte.
    pub(super) const fn begin_record(&mut self) {
        self.record_position = self.position;
    }

    /// Where the current record begins: bytes from the start of the capture.
    pub(super) const fn record_position(&self) -> u64 {
        self.record_position
    }

    /// Whether the file holds these bytes packed.
    pub(super) const fn is_unpacked(&self) -> bool {
        self.is_unpacked
    }

    /// Makes room behind what is unread, so that it can become `wanted` bytes. Grows only for a record that is longer
    /// than any before it.
    fn make_room(&mut self, wanted: usize) {
        if self.bytes.len() - self.start < wanted || self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted.next_power_of_two(), 0);
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("position", &self.position)
            .field("unread", &(self.end - self.start))
            .finish_non_exhaustive()
    }
}

/// Whether the operator means standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Counts what passes.
struct Counted {
    source: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The first four bytes (fewer only if there are no more), and a source that gives them once more. A pipe cannot be
/// wound back.
fn peek(mut source: impl Read + Send) -> io::Result<(Vec<u8>, impl Read + Send)> {
    let mut magic = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut magic)?;
    Ok((magic.clone(), Cursor::new(magic).chain(source)))
}
