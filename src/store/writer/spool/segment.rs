//! Reading a segment from its first record to its last, whatever its bytes are.

use std::io;
use std::ops::Range;

use memchr::memmem;

use super::frame::{
    HEAD_BYTES, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader, SECTOR_BYTES, SegmentHeader,
};
use super::storage::StorageFile;

/// Where the walk through a segment stands.
#[derive(Debug)]
pub(super) struct Walk {
    file: Box<dyn StorageFile>,
    salt: u64,
    /// Where the next record is looked for.
    place: u64,
    window: Window,
}

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A record whose header is whole; its payload is still to be checked.
    Record(RecordHeader),
    /// The header of a record that reaches beyond the end.
    Torn(RecordHeader),
    /// Bytes that are no record, before one that is.
    Damage,
    /// Nothing more.
    End {
        /// Whether there were bytes that meant something once: more than the zeros of room never used.
        torn: bool,
    },
}

impl Walk {
    /// Opens a segment. None when neither copy of its header is whole.
    pub(super) fn open(
        file: Box<dyn StorageFile>,
    ) -> io::Result<Result<(Self, SegmentHeader), Headless>> {
        let mut head = [0; HEAD_BYTES];
        let read = file.read_at(&mut head, 0)?;
        let Some(header) = SegmentHeader::decode(&head) else {
            let blank = head.iter().take(read).all(|byte| *byte == 0);
            return Ok(Err(Headless { blank }));
        };
        let window = Window::default();
        Ok(Ok((Self { file, salt: header.salt, place: HEAD_BYTES as u64, window }, header)))
    }

    /// Where the next record is looked for.
    pub(super) const fn place(&self) -> u64 {
        self.place
    }

    /// The file itself.
    pub(super) fn file(&self) -> &dyn StorageFile {
        self.file.as_ref()
    }

    /// What comes next before `limit`.
    pub(super) fn step(&mut self, limit: u64) -> io::Result<Step> {
        if self.place >= limit {
            return Ok(Step::End { torn: false });
        }
        if let Some(header) = self.header_at(self.place)? {
            if self.place.saturating_add(header.record_bytes()) > limit {
                return Ok(Step::Torn(header));
            }
            self.place += header.record_bytes();
            return Ok(Step::Record(header));
        }
        if let Some(place) = self.next_header(limit)? {
            self.place = place;
            return Ok(Step::Damage);
        }
        Ok(Step::End { torn: !self.is_zero(limit)? })
    }

    /// The payload of the record that the last step found.
    pub(super) fn payload(&mut self, header: &RecordHeader) -> io::Result<&[u8]> {
        let from = self.place.saturating_sub(u64::from(header.length));
        let length = usize::try_from(header.length).map_err(io::Error::other)?;
        self.window.view(self.file.as_ref(), from, length)
    }

    fn header_at(&mut self, place: u64) -> io::Result<Option<RecordHeader>> {
        let bytes = self.window.view(self.file.as_ref(), place, RECORD_HEADER_BYTES)?;
        Ok(RecordHeader::decode(bytes, self.salt, place))
    }

    /// The first place behind this one, and before `limit`, where a header is.
    fn next_header(&mut self, limit: u64) -> io::Result<Option<u64>> {
        let mut from = self.place.saturating_add(1);
        while from < limit {
            let bytes = self.window.view(self.file.as_ref(), from, SEARCH_BYTES)?;
            let searched = bytes.len();
            match memmem::find(bytes, &RECORD_MAGIC) {
                Some(at) => {
                    let place = from.saturating_add(at as u64);
                    if place < limit && self.header_at(place)?.is_some() {
                        return Ok(Some(place));
                    }
                    from = place.saturating_add(1);
                }
                None if searched < SEARCH_BYTES => return Ok(None),
                // The first bytes of a magic may be the last ones seen.
                None => from += (SEARCH_BYTES - (RECORD_MAGIC.len() - 1)) as u64,
            }
        }
        Ok(None)
    }

    /// Whether only zeros lie between here and `limit`.
    fn is_zero(&mut self, limit: u64) -> io::Result<bool> {
        let mut from = self.place;
        while from < limit {
            let length = usize::try_from(limit - from).unwrap_or(usize::MAX).min(SEARCH_BYTES);
            let bytes = self.window.view(self.file.as_ref(), from, length)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if bytes.is_empty() {
                break;
            }
            from += bytes.len() as u64;
        }
        Ok(true)
    }
}

/// A segment without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headless {
    /// Whether there is nothing but zeros, or nothing: it was never finished, and no record was ever put into it.
    pub(super) blank: bool,
}

/// How much is read at once to find the next header.
const SEARCH_BYTES: usize = 64 << 10;

/// A part of a file in memory.
#[derive(Debug, Default)]
struct Window {
    bytes: Vec<u8>,
    at: u64,
}

impl Window {
    /// `length` bytes from `at`; fewer where the file ends.
    fn view(&mut self, file: &dyn StorageFile, at: u64, length: usize) -> io::Result<&[u8]> {
        if self.range(at, length).is_none() {
            self.bytes.resize(length.max(WINDOW_BYTES), 0);
            let read = file.read_at(&mut self.bytes, at);
            // After an error nothing in here is of the file.
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            self.at = at;
            read?;
        }
        let all = 0..self.bytes.len().min(length);
        Ok(self.bytes.get(self.range(at, length).unwrap_or(all)).unwrap_or_default())
    }

    fn range(&self, at: u64, length: usize) -> Option<Range<usize>> {
        let from = usize::try_from(at.checked_sub(self.at)?).ok()?;
        let to = from.checked_add(length)?;
        (to <= self.bytes.len()).then_some(from..to)
    }
}

/// Small enough to skip from header to header of large records, large enough to hold many small ones.
const WINDOW_BYTES: usize = 32 << 10;

const _: () = {
    assert!(RECORD_HEADER_BYTES <= WINDOW_BYTES, "a header is seen whole");
    assert!(RECORD_MAGIC.len() <= SECTOR_BYTES, "a magic is looked for in a window");
};
