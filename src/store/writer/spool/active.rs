//! The writing end of the spool: the segment that records are appended to, and what happens when the disk fails.

use std::io;
use std::time::Instant;

use super::frame::{HEAD_BYTES, RecordHeader, SegmentHeader};
use super::opening::segment_name;
use super::storage::StorageFile;
use super::{
    Refusal, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MIN, Segment, Spool, Taken,
    UNCONFIRMED_BYTES_MAX,
};
use crate::event::Batch;
use crate::store::writer::backoff::random;

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Active {
    file: Box<dyn StorageFile>,
    salt: u64,
    /// Bytes that it may have.
    size: u64,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Up to here the disk has confirmed it.
    confirmed: u64,
    /// What it has not confirmed.
    unconfirmed: Vec<Record>,
    unconfirmed_bytes: usize,
    /// Since when the first of them waits.
    since: Instant,
}

impl Active {
    /// Writes a record at the end, and does not wait for the disk.
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = record.header.encode(self.salt, self.end);
        bytes.extend_from_slice(&record.payload);
        self.file.write_at(&bytes, self.end)?;
        self.end = self.end.saturating_add(record.header.record_bytes());
        Ok(())
    }

    fn keep(&mut self, record: Record) {
        if self.unconfirmed.is_empty() {
            self.since = Instant::now();
        }
        self.unconfirmed_bytes = self.unconfirmed_bytes.saturating_add(record.payload.len());
        self.unconfirmed.push(record);
    }

    /// Asks the disk to confirm everything.
    fn confirm(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.confirmed = self.end;
        self.unconfirmed.clear();
        self.unconfirmed_bytes = 0;
        Ok(())
    }
}

/// A record in memory.
#[derive(Debug)]
struct Record {
    header: RecordHeader,
    payload: Vec<u8>,
}

impl Spool {
    /// Appends a batch; within `sync_within` the disk will have confirmed it, if [`Spool::sync`] is called when it is due.
    /// `taken` says that the batch is already where batches go when they are given out; nothing may be unread then.
    ///
    /// # Errors
    ///
    /// When it is not in the spool, and why.
    pub(in super::super) fn append(&mut self, batch: &Batch, taken: bool) -> Result<(), Refusal> {
        debug_assert!(!(taken && self.has_unread()), "what is unread would have to come first");
        let payload = postcard::to_stdvec(batch).map_err(|_unencodable| Refusal::Io)?;
        let (sequence, before) = (self.position.next_sequence, self.position.appended);
        let header = RecordHeader::of(batch, &payload, sequence, before).ok_or(Refusal::Bound)?;
        let record = Record { header, payload };
        if self.write(&record)?.is_none() {
            // The segment is given up. Once more, into another.
            self.move_unconfirmed();
            if self.write(&record)?.is_none() {
                self.move_unconfirmed();
                self.release();
                return Err(Refusal::Io);
            }
        }
        self.book(record, taken);
        if self.active.as_ref().is_some_and(|each| each.unconfirmed_bytes > UNCONFIRMED_BYTES_MAX) {
            self.sync();
        }
        Ok(())
    }

    /// When the disk must be asked to confirm what was appended; none when it has.
    pub(in super::super) fn sync_due(&self) -> Option<Instant> {
        let active = self.active.as_ref()?;
        (!active.unconfirmed.is_empty()).then(|| active.since + self.limits.sync_within)
    }

    /// Asks the disk to confirm what was appended. What it does not confirm is written elsewhere, or counted.
    pub(in super::super) fn sync(&mut self) {
        let Some(active) = &mut self.active else { return };
        if active.unconfirmed.is_empty() {
            return;
        }
        let confirmed = active.confirm();
        if self.note(confirmed).is_some() {
            self.figures.error = None;
        } else {
            self.move_unconfirmed();
            self.release();
        }
    }

    /// Ends the active segment and gives back the room that it does not need.
    pub(super) fn seal(&mut self) {
        self.sync();
        let Some(active) = self.active.take() else { return };
        let Some(segment) = self.segments.back_mut() else { return };
        // Where that fails, the room is lost until the segment is removed.
        if active.file.cut(active.end).is_ok() {
            segment.bytes = active.end;
        }
    }

    /// The active segment holds nothing that is wanted.
    pub(super) fn drop_active(&mut self) {
        self.active = None;
    }

    /// Writes a record; none when the disk failed. The sequence number is used up then: the record may be there all the same.
    fn write(&mut self, record: &Record) -> Result<Option<()>, Refusal> {
        let need = record.header.record_bytes();
        if self.active.as_ref().is_none_or(|each| each.size.saturating_sub(each.end) < need) {
            self.seal();
            self.begin(need, record.header)?;
        }
        let active = self.active.as_mut().ok_or(Refusal::Io)?;
        let written = active.write(record);
        self.position.next_sequence = record.header.sequence.saturating_add(1);
        Ok(self.note(written))
    }

    /// Counts a record that was written.
    fn book(&mut self, record: Record, taken: bool) {
        let header = record.header;
        let life = self.position.life;
        let Some((active, segment)) = self.active.as_mut().zip(self.segments.back_mut()) else {
            return;
        };
        active.keep(record);
        segment.limit = active.end;
        segment.oldest = segment.oldest.or(Some(header.begun));
        self.figures.held += header.tally;
        self.position.appended = header.before.plus(header.tally);
        self.position_is_due = true;
        if !taken {
            segment.unread += header.tally;
            return;
        }
        debug_assert_eq!(segment.life, life, "an active segment continues the spool's own life");
        segment.taken += 1;
        segment.from = header.sequence.saturating_add(1);
        self.read_next = segment.from;
        self.taken.push_back(Taken {
            segment: Some(segment.number),
            sequence: Some(header.sequence),
            tally: header.tally,
            end: self.position.appended,
            begun: header.begun,
        });
    }

    /// Gives up the active segment behind what the disk has confirmed, and writes the rest into a new one. What that does
    /// not take either is lost and counted, but for batches given out already: they may still be committed.
    fn move_unconfirmed(&mut self) {
        let records = self.give_up_unconfirmed();
        let Some(first) = records.first().map(|record| record.header) else { return };
        let need = records.iter().map(|record| record.header.record_bytes()).sum();
        let begun = self.begin(need, first);
        let moved = match self.active.as_mut().filter(|_| begun.is_ok()) {
            Some(active) => records
                .iter()
                .try_for_each(|record| active.write(record))
                .and_then(|()| active.confirm()),
            None => Err(io::Error::other("there is no room for a new segment")),
        };
        if self.note(moved).is_some() {
            self.house(&records);
            return;
        }
        if begun.is_ok() {
            self.give_up_unconfirmed();
        }
        let lost = records.iter().filter(|record| record.header.sequence >= self.read_next);
        for record in lost {
            self.figures.held -= record.header.tally;
            self.figures.io += record.header.tally;
        }
    }

    /// The records that the disk has not confirmed and that are still wanted. They are in no segment now.
    fn give_up_unconfirmed(&mut self) -> Vec<Record> {
        let Some(active) = self.active.take() else { return Vec::new() };
        let Some(segment) = self.segments.back_mut() else { return Vec::new() };
        segment.limit = active.confirmed;
        if active.file.cut(active.confirmed).is_ok() {
            segment.bytes = active.confirmed;
        }
        let mut records = active.unconfirmed;
        records.retain(|record| {
            let sequence = Some(record.header.sequence);
            if record.header.sequence >= self.read_next {
                segment.unread -= record.header.tally;
                return true;
            }
            // Given out, acknowledged, or found to be damaged.
            let taken = self.taken.iter_mut().find(|taken| taken.sequence == sequence);
            let Some(taken) = taken else { return false };
            taken.segment = None;
            segment.taken = segment.taken.saturating_sub(1);
            true
        });
        records
    }

    /// Books records as those of the active segment.
    fn house(&mut self, records: &[Record]) {
        let Some((active, segment)) = self.active.as_ref().zip(self.segments.back_mut()) else {
            return;
        };
        segment.limit = active.end;
        segment.from = self.read_next;
        for record in records {
            let header = &record.header;
            segment.oldest = segment.oldest.or(Some(header.begun));
            if header.sequence >= self.read_next {
                segment.unread += header.tally;
                continue;
            }
            let sequence = Some(header.sequence);
            if let Some(taken) = self.taken.iter_mut().find(|taken| taken.sequence == sequence) {
                taken.segment = Some(segment.number);
                segment.taken += 1;
            }
        }
    }

    /// Makes a new active segment with room for `need` bytes of records, of which `first` is the first.
    fn begin(&mut self, need: u64, first: RecordHeader) -> Result<(), Refusal> {
        let least = need.saturating_add(HEAD_BYTES as u64);
        let room = self.limits.bytes_max.saturating_sub(self.bytes());
        if room < least {
            return Err(Refusal::Bound);
        }
        let usual =
            (self.limits.bytes_max / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let size = usual.max(least).min(room);
        let created = self.create();
        let (number, file) = self.note(created).ok_or(Refusal::Io)?;
        let header = SegmentHeader {
            number,
            life: self.position.life,
            salt: random(),
            sequence: first.sequence,
            before: first.before,
        };
        // A disk that is almost full may still have room for what is needed now.
        let size =
            file.reserve(size).map(|()| size).or_else(|_full| file.reserve(least).map(|()| least));
        let made = size.and_then(|size| {
            file.write_at(&header.encode(), 0)?;
            file.sync()?;
            self.storage.sync_folder()?;
            Ok(size)
        });
        let Some(size) = self.note(made) else {
            // It holds nothing; if it stays, the next start removes it.
            drop(file);
            drop(self.storage.unlink(&segment_name(number)));
            return Err(Refusal::Io);
        };
        let mut segment = Segment::new(number, header.life, self.read_next);
        segment.bytes = size;
        self.segments.push_back(segment);
        let end = HEAD_BYTES as u64;
        self.active = Some(Active {
            file,
            salt: header.salt,
            size,
            end,
            confirmed: end,
            unconfirmed: Vec::new(),
            unconfirmed_bytes: 0,
            since: Instant::now(),
        });
        Ok(())
    }

    /// Makes a file of a number that was never used.
    fn create(&mut self) -> io::Result<(u64, Box<dyn StorageFile>)> {
        for _ in 0..NAMES_TRIED_MAX {
            self.position.highest = self.position.highest.saturating_add(1);
            let number = self.position.highest;
            match self.storage.create(&segment_name(number)) {
                // Somebody else's.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|file| (number, file)),
            }
        }
        Err(io::Error::other(
            "the names of new segments are taken by files that are not the spool's",
        ))
    }
}

/// How many names in a row may be taken by others.
const NAMES_TRIED_MAX: u32 = 1000;
