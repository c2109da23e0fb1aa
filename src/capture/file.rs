//! One capture file: whatever its format, the next frame or the end.

use std::path::Path;

use super::fault::{Fault, OpenError, StopReason};
use super::link_number::LinkNumber;
use super::pcap::{self, Records};
use super::pcapng::{self, Blocks};
use super::record::Record;
use super::stream::{Progress, Window};
use super::{Batch, LinkType};
use crate::time::Timestamp;

/// How many undecoded link types of a file are told apart; the frames of further ones count with the last.
const FOREIGN_LINKS_MAX: usize = 16;

/// A file with its next frame at hand.
#[derive(Debug)]
pub(super) struct CaptureFile {
    name: String,
    window: Window,
    format: Format,
    next: Option<Record>,
    given: u64,
    foreign: Vec<(LinkNumber, u64)>,
    stopped: Option<StopReason>,
}

#[derive(Debug)]
enum Format {
    Pcap(Records),
    Pcapng(Blocks),
}

impl CaptureFile {
    /// Opens the file and reads up to its first frame.
    pub(super) fn open(path: &Path, progress: &mut Progress) -> Result<Self, OpenError> {
        Self::read(path.display().to_string(), Window::open(path, progress)?)
    }

    /// Reads a capture from its first byte on.
    pub(super) fn read(name: String, mut window: Window) -> Result<Self, OpenError> {
        let format = match Format::open(&mut window) {
            Ok(Ok(format)) => format,
            Ok(Err(found)) => return Err(OpenError::UnknownFormat { file: name, found }),
            Err(reason) => return Err(OpenError::BadHeader { file: name, reason }),
        };
        let mut file =
            Self { name, window, format, next: None, given: 0, foreign: Vec::new(), stopped: None };
        file.advance();
        Ok(file)
    }

    /// When the next frame passed; none at the end.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.next.map(|record| record.time)
    }

    /// Moves the next frame into `batch`. False when there is none or no room for it.
    pub(super) fn give(&mut self, batch: &mut Batch) -> bool {
        let Some(record) = self.next else { return false };
        let frame = self
            .window
            .unread()
            .get(record.begins..record.begins + record.captured)
            .unwrap_or_default();
        let link = record.link.link_type();
        if !batch.push(record.time, record.wire_length, link, frame) {
            return false;
        }
        self.given += 1;
        if link == LinkType::Unsupported {
            self.count_foreign(record.link);
        }
        self.window.consume(record.length);
        self.advance();
        true
    }

    /// What was wrong with what has been read so far.
    pub(super) fn faults(&self) -> impl Iterator<Item = Fault> {
        let stopped = self.stopped.clone().map(|reason| Fault::Stopped {
            file: self.name.clone(),
            offset: self.window.record_position(),
            compressed: self.window.is_unpacked(),
            frames: self.given,
            reason,
        });
        let foreign = self.foreign.iter().map(|(link, frames)| Fault::UnsupportedLinkType {
            file: self.name.clone(),
            number: link.0,
            frames: *frames,
        });
        stopped.into_iter().chain(foreign)
    }

    fn advance(&mut self) {
        let next = match &mut self.format {
            Format::Pcap(records) => records.next(&mut self.window),
            Format::Pcapng(blocks) => blocks.next(&mut self.window),
        };
        self.next = next.unwrap_or_else(|reason| {
            self.stopped = Some(reason);
            None
        });
    }

    fn count_foreign(&mut self, link: LinkNumber) {
        let is_full = self.foreign.len() == FOREIGN_LINKS_MAX;
        let place = self.foreign.iter().position(|(known, _)| *known == link);
        let place = place.or_else(|| is_full.then_some(FOREIGN_LINKS_MAX - 1));
        match place.and_then(|place| self.foreign.get_mut(place)) {
            Some((_, frames)) => *frames += 1,
            None => self.foreign.push((link, 1)),
        }
    }
}

impl Format {
    /// Tells the format by the first four bytes. The inner error says what else the file seems to be.
    fn open(window: &mut Window) -> Result<Result<Self, String>, StopReason> {
        window.fill(4)?;
        match window.unread().first_chunk::<4>() {
            Some(&pcapng::MAGIC) => Blocks::open(window).map(Self::Pcapng).map(Ok),
            Some(&magic) if pcap::begins_here(magic) => {
                Records::open(window).map(Self::Pcap).map(Ok)
            }
            _ => Ok(Err(seems_to_be(window.unread()))),
        }
    }
}

/// What else the first bytes tell.
fn seems_to_be(bytes: &[u8]) -> String {
    const OTHERS: [(&[u8], &str); 7] = [
        (b"BZh", "data packed with bzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "data packed with xz"),
        (&[0x04, 0x22, 0x4d, 0x18], "data packed with lz4"),
        (b"PK\x03\x04", "a zip archive"),
        (b"snoop\0\0\0", "a Solaris snoop file"),
        (&[0xa1, 0xb2, 0xcd, 0x34], "a big-endian file of a modified pcap format"),
        (&[0x1f, 0x8b], "data packed with gzip twice"),
    ];
    match OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        Some((_, found)) => (*found).to_owned(),
        None => {
            let first: Vec<String> =
                bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("a file that begins with the bytes {}", first.join(" "))
        }
    }
}
