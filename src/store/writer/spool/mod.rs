//! Batches on disk while the store is away: bounded, in order, nothing lost that the disk has confirmed.
//!
//! A folder of *segments*, files that are only appended to, each a row of records, each a batch. `frame` says how they look.
//! Names are numbers and never used again. There is no index: what is in the segments is the truth, and `position`
//! says which records are acknowledged by their numbers alone. It is durable before a segment is removed.
//!
//! * What the disk has not confirmed is kept in memory. When it fails to, the segment is given up as of its last confirmed
//!   record, and the rest is written into a new one, once; `fsync` is never asked twice about the same bytes.
//! * A torn end is cut. Damage is skipped up to the next record, and counted in batches, rows, packets and alerts, because every
//!   record also tells what came before it.
//! * Room is taken when a segment is made, so that a full disk shows there, before anything depends on it.

mod active;
mod frame;
mod opening;
mod position;
mod segment;
#[cfg(test)]
mod simulated;
mod storage;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use self::active::Active;
use self::frame::{HEAD_BYTES, RecordFault, RecordHeader};
use self::opening::{Opening, segment_name, set_aside};
use self::position::{POSITION_BYTES, Position, PositionFile};
use self::segment::{Step, Walk};
use self::storage::{Folder, Storage};
use super::params::SpoolParams;
use super::stats::Tally;
use crate::event::Batch;
use crate::time::Timestamp;

/// The spool. Batches come out in the order in which they went in.
#[derive(Debug)]
pub(super) struct Spool {
    storage: Box<dyn Storage>,
    limits: Limits,
    /// Oldest first; the active one is the last.
    segments: VecDeque<Segment>,
    active: Option<Active>,
    reader: Option<Reader>,
    /// Given out and not acknowledged yet, in that order.
    taken: VecDeque<Taken>,
    /// As it is now; on disk it may be older.
    position: Position,
    position_file: PositionFile,
    position_written: Instant,
    position_is_due: bool,
    /// Records of this life below this sequence number have been read.
    read_next: u64,
    bad_bytes: u64,
    figures: Figures,
}

/// What the spool has to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Found when it was opened, what was damaged included. Damage is found again by every start until the records
    /// behind it are acknowledged.
    pub(super) found: Tally,
    /// In it, those given out and not acknowledged included.
    pub(super) held: Tally,
    /// Lost to damage.
    pub(super) corrupt: Tally,
    /// Taken, and lost because the disk failed before it had confirmed them.
    pub(super) io: Tally,
    /// Damaged places.
    pub(super) damaged: u64,
    /// Files that are not the spool's.
    pub(super) foreign: u64,
    /// What the disk said when it last failed, since it last did not.
    pub(super) error: Option<String>,
}

/// How much, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the folder.
    pub(super) bytes_max: u64,
    /// How long a record may wait for the disk's confirmation.
    pub(super) sync_within: Duration,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// There is no room for it within the bound.
    #[error("the spool is as large as it may be")]
    Bound,
    /// The disk did not take it.
    #[error("the spool's disk does not take them")]
    Io,
}

/// A segment as it is known in memory.
#[derive(Debug)]
struct Segment {
    number: u64,
    life: u64,
    /// Bytes of the disk that it has.
    bytes: u64,
    /// Where its last record ends.
    limit: u64,
    /// Records below this sequence number are not wanted from it (any more).
    from: u64,
    /// Records from this sequence number on are wanted from a later segment.
    until: u64,
    /// What is still to be read.
    unread: Tally,
    /// Records given out and not acknowledged yet.
    taken: u64,
    /// When the first of them all was begun.
    oldest: Option<Timestamp>,
    /// Whether there is something in it that is not understood: it is set aside in the end, not removed.
    keep: bool,
    /// Whether a damaged record of it was told of: one line does for all.
    is_told: bool,
}

impl Segment {
    fn new(number: u64, life: u64, from: u64) -> Self {
        Self {
            number,
            life,
            bytes: 0,
            limit: HEAD_BYTES as u64,
            from,
            until: u64::MAX,
            unread: Tally::default(),
            taken: 0,
            oldest: None,
            keep: false,
            is_told: false,
        }
    }

    const fn is_done(&self) -> bool {
        self.unread.batches == 0 && self.taken == 0
    }
}

/// A segment that is being read.
#[derive(Debug)]
struct Reader {
    number: u64,
    walk: Walk,
}

/// What a record held.
type ReadBatch = Result<Batch, RecordFault>;

/// What came of reading.
#[derive(Debug)]
enum Progress {
    /// A batch.
    Read(Box<Batch>),
    /// Damage: there is less unread now.
    Lost,
    /// Nothing has changed; it may later.
    Stuck,
}

/// A record given out.
#[derive(Debug)]
struct Taken {
    /// Where it is on disk; none if it is not any more.
    segment: Option<u64>,
    /// Its sequence number, in the spool's own life; none in another.
    sequence: Option<u64>,
    tally: Tally,
    /// What the spool had taken after it.
    end: Tally,
    begun: Timestamp,
}

impl Spool {
    /// The spool in a folder on disk.
    ///
    /// # Errors
    ///
    /// When the folder can't be made, read or written, or is in use.
    pub(super) fn in_folder(params: &SpoolParams) -> io::Result<Self> {
        let limits = Limits { bytes_max: params.bytes_max, sync_within: params.sync_within };
        let storage = Box::new(Folder::open(&params.folder)?);
        Self::open(storage, limits).map_err(|error| {
            io::Error::new(error.kind(), format!("spool {}: {error}", params.folder.display()))
        })
    }

    /// The spool in this storage.
    ///
    /// # Errors
    ///
    /// When the storage can't be listed, or nothing may be written.
    fn open(storage: Box<dyn Storage>, limits: Limits) -> io::Result<Self> {
        let opening = Opening::of(storage.as_ref())?;
        let held =
            opening.segments.iter().fold(Tally::default(), |sum, each| sum.plus(each.unread));
        let figures = Figures {
            found: held.plus(opening.lost),
            held,
            corrupt: opening.lost,
            damaged: opening.damaged,
            foreign: u64::try_from(opening.foreign.len()).unwrap_or(u64::MAX),
            ..Figures::default()
        };
        let mut spool = Self {
            storage,
            limits,
            read_next: opening.position.acknowledged_sequence,
            segments: opening.segments,
            active: None,
            reader: None,
            taken: VecDeque::new(),
            position: opening.position,
            position_file: opening.position_file,
            position_written: Instant::now(),
            position_is_due: true,
            bad_bytes: opening.bad_bytes,
            figures,
        };
        spool.tell(&opening.foreign);
        match spool.write_position() {
            Ok(()) => {}
            Err(error) if is_for_good(error.kind()) => return Err(error),
            Err(_) => return Ok(spool),
        }
        for name in &opening.useless {
            drop(spool.storage.unlink(name));
        }
        spool.note(spool.storage.sync_folder());
        Ok(spool)
    }

    /// What it has to tell.
    pub(super) const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Bytes of the folder that are taken.
    pub(super) fn bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        segments.saturating_add(self.bad_bytes).saturating_add(POSITION_BYTES)
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> u64 {
        u64::try_from(self.segments.len()).unwrap_or(u64::MAX)
    }

    /// When the oldest batch in it was begun; of the first of its segment, where that is not known just now.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let taken = self.taken.front().map(|taken| taken.begun);
        let first = || self.segments.iter().find(|segment| !segment.is_done())?.oldest;
        taken.or_else(first)
    }

    /// Whether there is something that has not been given out.
    pub(super) fn has_unread(&self) -> bool {
        self.segments.iter().any(|segment| segment.unread.batches > 0)
    }

    /// Gives out the oldest batch that was not given out yet. What can't be read is counted and passed. None although
    /// [`Spool::has_unread`]: a segment can't be opened just now, because there are too many open files, say; it is tried again.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let mut read = None;
        while read.is_none() {
            let Some(at) = self.segments.iter().position(|each| each.unread.batches > 0) else {
                break;
            };
            match self.read_in(at) {
                Progress::Read(batch) => read = Some(*batch),
                Progress::Lost => {}
                Progress::Stuck => return None,
            }
        }
        if read.is_none() {
            self.release();
        }
        read
    }

    /// The batch that was given out longest ago is committed: it need not be kept.
    pub(super) fn acknowledge(&mut self) {
        let Some(taken) = self.taken.pop_front() else { return };
        self.figures.held -= taken.tally;
        if let Some(sequence) = taken.sequence {
            self.position.acknowledged_sequence = sequence.saturating_add(1);
            self.position.acknowledged = taken.end;
            self.position_is_due = true;
        }
        if let Some(segment) = taken.segment.and_then(|number| self.segment_mut(number)) {
            segment.taken = segment.taken.saturating_sub(1);
        }
        self.release();
    }

    /// Ends it: everything in it is on disk, and its length is what it needs.
    pub(super) fn close(&mut self) {
        self.sync();
        for taken in self.taken.iter().filter(|taken| taken.segment.is_none()) {
            self.figures.held -= taken.tally;
            self.figures.io += taken.tally;
        }
        self.taken.retain(|taken| taken.segment.is_some());
        self.release();
        self.seal();
        if self.position_is_due {
            // If it can't be written, more is delivered again.
            drop(self.write_position());
        }
    }

    /// Reads the next batch of a segment.
    fn read_in(&mut self, at: usize) -> Progress {
        let Some(number) = self.segments.get(at).map(|segment| segment.number) else {
            return Progress::Stuck;
        };
        if self.reader.as_ref().is_none_or(|reader| reader.number != number) {
            match self.storage.open(&segment_name(number)) {
                Ok(file) => match Walk::open(file) {
                    Ok(Ok((walk, _))) => self.reader = Some(Reader { number, walk }),
                    Ok(Err(_headless)) => return self.lose_rest(at, None),
                    Err(error) => return self.lose_rest(at, Some(error)),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return self.lose_rest(at, Some(error));
                }
                Err(error) => {
                    self.note::<()>(Err(error));
                    return Progress::Stuck;
                }
            }
        }
        match self.next_record(at) {
            Ok(Some((header, batch))) => self.take(at, &header, batch),
            Ok(None) => self.lose_rest(at, None),
            Err(error) => self.lose_rest(at, Some(error)),
        }
    }

    /// The next record of the segment that is being read, if there is one that is wanted.
    fn next_record(&mut self, at: usize) -> io::Result<Option<(RecordHeader, ReadBatch)>> {
        let Some((reader, segment)) = self.reader.as_mut().zip(self.segments.get(at)) else {
            return Ok(None);
        };
        loop {
            match reader.walk.step(segment.limit)? {
                Step::Record(header) => {
                    // More than was counted when it was opened: it was counted as lost then.
                    let counted = header.tally.beyond(segment.unread) == Tally::default();
                    let wanted = (segment.from..segment.until).contains(&header.sequence);
                    if wanted && counted {
                        let batch = header.batch(reader.walk.payload(&header)?);
                        return Ok(Some((header, batch)));
                    }
                }
                // Counted when it was opened.
                Step::Damage => {}
                Step::Torn(_) | Step::End { .. } => return Ok(None),
            }
        }
    }

    /// Books a record as given out, or as damaged.
    fn take(&mut self, at: usize, header: &RecordHeader, batch: ReadBatch) -> Progress {
        let Some(segment) = self.segments.get_mut(at) else { return Progress::Stuck };
        let own = segment.life == self.position.life;
        segment.unread -= header.tally;
        segment.from = header.sequence.saturating_add(1);
        if own {
            self.read_next = segment.from;
        }
        match batch {
            Ok(batch) => {
                segment.taken += 1;
                self.taken.push_back(Taken {
                    segment: Some(segment.number),
                    sequence: own.then_some(header.sequence),
                    tally: header.tally,
                    end: header.before.plus(header.tally),
                    begun: header.begun,
                });
                Progress::Read(Box::new(batch))
            }
            Err(fault) => {
                if !std::mem::replace(&mut segment.is_told, true) {
                    tracing::warn!(
                        segment = segment.number,
                        epoch = %header.epoch,
                        batch = header.number,
                        rows = header.tally.rows,
                        packets = header.tally.packets,
                        ?fault,
                        "a batch in the spool can't be read and is lost; more of this segment may be"
                    );
                }
                segment.keep |= fault == RecordFault::Schema;
                self.figures.held -= header.tally;
                self.figures.corrupt += header.tally;
                self.figures.damaged += 1;
                Progress::Lost
            }
        }
    }

    /// Gives up what is still unread of a segment.
    fn lose_rest(&mut self, at: usize, error: Option<io::Error>) -> Progress {
        let is_active = self.active.is_some() && at + 1 == self.segments.len();
        let Some(segment) = self.segments.get_mut(at) else { return Progress::Stuck };
        let lost = std::mem::take(&mut segment.unread);
        if is_active {
            // What is appended from now on is wanted again.
            self.read_next = self.position.next_sequence;
            segment.from = self.read_next;
        }
        segment.keep |= error.is_some();
        let number = segment.number;
        tracing::warn!(
            segment = number,
            batches = lost.batches,
            rows = lost.rows,
            packets = lost.packets,
            "the rest of a segment of the spool can't be read and is lost"
        );
        if let Some(error) = error {
            self.note::<()>(Err(error));
        }
        self.reader = None;
        self.figures.held -= lost;
        self.figures.corrupt += lost;
        self.figures.damaged += 1;
        Progress::Lost
    }

    /// Removes the segments at the front that hold nothing any more; the position is durable before.
    fn release(&mut self) {
        let drained = self.figures.held.batches == 0;
        if drained {
            self.drop_active();
        }
        let kept = usize::from(self.active.is_some());
        let done = self.segments.iter().take(self.segments.len().saturating_sub(kept));
        let done = done.take_while(|segment| segment.is_done()).count();
        if done == 0 {
            if self.position_is_due && self.position_written.elapsed() >= POSITION_EVERY {
                drop(self.write_position());
            }
            return;
        }
        if drained {
            // What was lost behind the last one acknowledged is told only once.
            self.position.acknowledged = self.position.appended;
            self.position.acknowledged_sequence = self.position.next_sequence;
        }
        if self.write_position().is_err() {
            // It is tried again with the next acknowledgement.
            return;
        }
        for segment in self.segments.drain(..done) {
            if self.reader.as_ref().is_some_and(|reader| reader.number == segment.number) {
                self.reader = None;
            }
            if segment.keep {
                self.bad_bytes = self.bad_bytes.saturating_add(segment.bytes);
                set_aside(self.storage.as_ref(), segment.number);
            } else if let Err(error) = self.storage.unlink(&segment_name(segment.number)) {
                // It goes at the next start: its records are acknowledged.
                tracing::warn!(%error, segment = segment.number, "a segment of the spool can't be removed");
                self.bad_bytes = self.bad_bytes.saturating_add(segment.bytes);
            }
        }
        if self.note(self.storage.sync_folder()).is_some() {
            self.figures.error = None;
        }
    }

    fn write_position(&mut self) -> io::Result<()> {
        let written = self.position_file.write(self.storage.as_ref(), &self.position);
        self.position_written = Instant::now();
        self.position_is_due = written.is_err();
        if let Err(error) = &written {
            let told = io::Error::new(error.kind(), error.to_string());
            self.note::<()>(Err(told));
        }
        written
    }

    fn segment_mut(&mut self, number: u64) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.number == number)
    }

    /// Keeps what the disk said, and says it once until it works again.
    fn note<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                if self.figures.error.is_none() {
                    tracing::warn!(%error, "the spool's disk fails");
                }
                self.figures.error = Some(error.to_string());
                None
            }
        }
    }

    /// Says what was found.
    fn tell(&self, foreign: &[String]) {
        let Figures { found, corrupt, damaged, .. } = &self.figures;
        if found.batches > 0 {
            tracing::info!(
                batches = found.batches,
                rows = found.rows,
                packets = found.packets,
                "the spool holds batches of earlier runs"
            );
        }
        if *damaged > 0 {
            tracing::warn!(
                places = damaged,
                batches = corrupt.batches,
                rows = corrupt.rows,
                packets = corrupt.packets,
                "the spool is damaged; what is known to be lost is counted"
            );
        }
        if let Some(first) = foreign.first() {
            tracing::warn!(
                files = foreign.len(),
                first = first.escape_debug().to_string(),
                "there are files in the spool's folder that are not its own; they are left alone"
            );
        }
    }
}

/// Whether nothing can be written until somebody changes something; a full disk may have room again by itself.
fn is_for_good(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// The longest segment, unless a single record is longer.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// A small spool has so many segments, so that room comes back in parts.
const SEGMENTS_MIN: u64 = 16;

/// The shortest segment, unless there is no more room.
const SEGMENT_BYTES_MIN: u64 = 64 << 10;

/// What the disk has not confirmed is kept in memory; it is asked to when that is so much.
const UNCONFIRMED_BYTES_MAX: usize = 16 << 20;

/// The position is written with every segment removed, and at least so often while records are acknowledged: after a crash,
/// so much is delivered again.
const POSITION_EVERY: Duration = Duration::from_secs(1);
