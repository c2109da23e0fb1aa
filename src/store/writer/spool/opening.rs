//! What lies in the folder when the spool is opened. Nothing in it is a reason not to start.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::super::backoff::random;
use super::frame::{HEAD_BYTES, PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES, SegmentHeader};
use super::position::{Found, POSITION_NAMES, Position, PositionFile};
use super::segment::{Headless, Step, Walk};
use super::storage::{Entry, Storage};
use super::{SEGMENT_BYTES_MAX, Segment};
use crate::store::writer::Tally;

/// What was found.
#[derive(Debug)]
pub(super) struct Opening {
    /// Segments with records to be delivered, oldest first.
    pub(super) segments: VecDeque<Segment>,
    /// Where the spool goes on; not written yet.
    pub(super) position: Position,
    /// The file that keeps it.
    pub(super) position_file: PositionFile,
    /// Files with nothing in them that is still wanted.
    pub(super) useless: Vec<String>,
    /// Records that are gone, as far as others tell of them.
    pub(super) lost: Tally,
    /// Damaged places.
    pub(super) damaged: u64,
    /// Files that are not the spool's.
    pub(super) foreign: Vec<String>,
    /// Bytes of segments set aside, by this start and by earlier ones.
    pub(super) bad_bytes: u64,
}

impl Opening {
    /// Looks through the folder: cuts torn ends, sets aside segments that can't be read at all.
    ///
    /// # Errors
    ///
    /// When the folder can't be listed.
    pub(super) fn of(storage: &dyn Storage) -> io::Result<Self> {
        let mut files = Files::sorted(storage.list()?);
        for name in &files.misplaced {
            // A folder, say, where the position must be written.
            drop(storage.rename(name, &format!("{name}.bad")));
        }
        let (position_file, found) = PositionFile::open(storage);
        let mut opening = Self {
            segments: VecDeque::new(),
            position: Position::default(),
            position_file,
            useless: Vec::new(),
            lost: Tally::default(),
            damaged: u64::from(matches!(found, Found::Older(_) | Found::Damaged)),
            foreign: std::mem::take(&mut files.foreign),
            bad_bytes: files.bad_bytes,
        };
        opening.position.highest = files.highest_bad;
        let candidates = opening.candidates(storage, &files.segments);
        opening.position = match found {
            Found::Whole(position) | Found::Older(position) => {
                Position { highest: position.highest.max(opening.position.highest), ..position }
            }
            Found::Nothing | Found::Damaged => {
                let life = candidates.last().map_or_else(random, |newest| newest.header.life);
                Position { life, ..opening.position }
            }
        };
        opening.follow(storage, candidates, matches!(found, Found::Whole(_)));
        Ok(opening)
    }

    /// The segments that have a header.
    fn candidates(&mut self, storage: &dyn Storage, segments: &[(u64, u64)]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for &(number, bytes) in segments {
            match storage.open(&segment_name(number)).and_then(Walk::open) {
                Ok(Ok((_, header))) if header.number != number => {
                    self.foreign.push(segment_name(number));
                    continue;
                }
                Ok(Ok((_, header))) => {
                    candidates.push(Candidate { bytes, header, until: u64::MAX });
                }
                Ok(Err(Headless { blank: true })) => self.useless.push(segment_name(number)),
                Ok(Err(Headless { blank: false })) | Err(_) => {
                    self.set_aside(storage, number, bytes);
                }
            }
            self.position.highest = self.position.highest.max(number);
        }
        // What a later segment begins with was written again there, because the disk had failed to confirm it here.
        let mut begins: BTreeMap<u64, u64> = BTreeMap::new();
        for candidate in candidates.iter_mut().rev() {
            let begins = begins.entry(candidate.header.life).or_insert(u64::MAX);
            candidate.until = *begins;
            *begins = candidate.header.sequence.min(*begins);
        }
        candidates
    }

    /// Goes through all records, and finds out where the spool goes on.
    fn follow(&mut self, storage: &dyn Storage, candidates: Vec<Candidate>, is_certain: bool) {
        let mut position = self.position;
        let mut own = Track::new(position.life, position.acknowledged_sequence);
        own.expected = is_certain.then_some(position.acknowledged);
        let mut others = Track::new(0, 0);
        for candidate in candidates {
            let life = candidate.header.life;
            if life != own.life && life != others.life {
                // What comes from elsewhere is delivered whole; the ledger knows what it has already.
                let lost = others.lost;
                others = Track { lost, ..Track::new(life, 0) };
            }
            let track = if life == own.life { &mut own } else { &mut others };
            self.segment(storage, &candidate, track);
        }
        if is_certain {
            own.reach(position.appended);
        }
        self.lost = own.lost.plus(others.lost);
        let reached = own.expected.unwrap_or_default();
        position.appended = reached.plus(position.appended.beyond(reached));
        position.next_sequence = position.next_sequence.max(own.next);
        position.acknowledged = own.first.unwrap_or(position.acknowledged);
        if !self.segments.iter().any(|segment| segment.life == position.life) {
            position.acknowledged = position.appended;
            position.acknowledged_sequence = position.next_sequence;
        }
        self.position = position;
    }

    /// Adds up the records of a segment, by their headers; cuts what follows the last.
    fn segment(&mut self, storage: &dyn Storage, candidate: &Candidate, track: &mut Track) {
        let Candidate { bytes, ref header, until } = *candidate;
        let name = segment_name(header.number);
        let Ok(Ok((mut walk, _))) = storage.open(&name).and_then(Walk::open) else {
            return self.set_aside(storage, header.number, bytes);
        };
        let mut segment = Segment::new(header.number, header.life, track.next);
        segment.until = until;
        if header.sequence >= track.next {
            track.reach(header.before);
        }
        self.records(&mut walk, &mut segment, bytes.min(SEGMENT_END_MAX), track);
        segment.bytes = bytes;
        if !segment.keep && segment.limit < bytes && walk.file().cut(segment.limit).is_ok() {
            segment.bytes = segment.limit;
        }
        // An earlier process may have written it without waiting for the disk. Records follow that rest on these.
        drop(walk.file().sync());
        if segment.unread.batches > 0 {
            self.segments.push_back(segment);
        } else {
            self.useless.push(name);
        }
    }

    fn records(&mut self, walk: &mut Walk, segment: &mut Segment, end: u64, track: &mut Track) {
        loop {
            segment.limit = walk.place();
            match walk.step(end) {
                Ok(Step::Record(record)) => {
                    if (track.next..segment.until).contains(&record.sequence) {
                        track.pass(record.sequence, record.before, record.tally);
                        segment.unread += record.tally;
                        segment.oldest = segment.oldest.or(Some(record.begun));
                    }
                }
                Ok(Step::Damage) => self.damaged += 1,
                Ok(Step::Torn(record)) => {
                    self.damaged += 1;
                    if (track.next..segment.until).contains(&record.sequence) {
                        track.pass(record.sequence, record.before, record.tally);
                        track.lost += record.tally;
                    }
                    return;
                }
                Ok(Step::End { torn }) => {
                    self.damaged += u64::from(torn);
                    return;
                }
                Err(_) => {
                    // What was read so far is good; the rest may be of use to somebody with better tools.
                    self.damaged += 1;
                    segment.keep = true;
                    return;
                }
            }
        }
    }

    /// A segment can't be read at all.
    fn set_aside(&mut self, storage: &dyn Storage, number: u64, bytes: u64) {
        self.damaged += 1;
        self.bad_bytes = self.bad_bytes.saturating_add(bytes);
        set_aside(storage, number);
    }
}

/// A segment with a header.
#[derive(Debug)]
struct Candidate {
    bytes: u64,
    header: SegmentHeader,
    /// Records from this sequence number on are in a later segment.
    until: u64,
}

/// How far one life's records have been followed.
#[derive(Debug)]
struct Track {
    life: u64,
    /// The sequence number of the next record that is wanted.
    next: u64,
    /// What all records before the next one held, once that is known.
    expected: Option<Tally>,
    /// That of the first one wanted.
    first: Option<Tally>,
    lost: Tally,
}

impl Track {
    fn new(life: u64, next: u64) -> Self {
        Self { life, next, expected: None, first: None, lost: Tally::default() }
    }

    /// `before` is what the spool took before the next record.
    fn reach(&mut self, before: Tally) {
        if let Some(expected) = self.expected {
            self.lost += before.beyond(expected);
        }
        self.first = self.first.or(self.expected).or(Some(before));
        self.expected = Some(before);
    }

    /// Here is the next record.
    fn pass(&mut self, sequence: u64, before: Tally, tally: Tally) {
        self.reach(before);
        self.expected = Some(before.plus(tally));
        self.next = sequence.saturating_add(1);
    }
}

/// The files of the folder by what they seem to be.
#[derive(Debug, Default)]
struct Files {
    /// Number and length, ascending.
    segments: Vec<(u64, u64)>,
    foreign: Vec<String>,
    misplaced: Vec<String>,
    highest_bad: u64,
    bad_bytes: u64,
}

impl Files {
    fn sorted(entries: Vec<Entry>) -> Self {
        let mut files = Self::default();
        for entry in entries {
            if POSITION_NAMES.contains(&entry.name.as_str()) {
                if !entry.is_file {
                    files.misplaced.push(entry.name);
                }
            } else if let (Some(number), true) = (number_in(&entry.name, SEGMENT), entry.is_file) {
                files.segments.push((number, entry.bytes));
            } else if let (Some(number), true) = (number_in(&entry.name, BAD), entry.is_file) {
                files.highest_bad = files.highest_bad.max(number);
                files.bad_bytes = files.bad_bytes.saturating_add(entry.bytes);
            } else {
                files.foreign.push(entry.name);
            }
        }
        files.segments.sort_unstable();
        files.foreign.sort_unstable();
        files
    }
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:020}.{SEGMENT}")
}

/// Gives a segment the name of those that are of no use.
pub(super) fn set_aside(storage: &dyn Storage, number: u64) {
    let renamed = storage
        .rename(&segment_name(number), &format!("{number:020}.{BAD}"))
        .and_then(|()| storage.sync_folder());
    if let Err(error) = renamed {
        tracing::warn!(%error, number, "a segment of the spool that can't be read can't be set aside either");
    }
}

/// The number in a name such as `00000000000000000017.seg`.
fn number_in(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Beyond half of all numbers it is none of ours, and counting on from there would come to an end.
    digits.parse().ok().filter(|number| plain && *number <= u64::MAX / 2)
}

const SEGMENT: &str = "seg";
const BAD: &str = "bad";

/// No segment is longer; what lies beyond is not looked at.
const SEGMENT_END_MAX: u64 =
    SEGMENT_BYTES_MAX + (HEAD_BYTES + RECORD_HEADER_BYTES + PAYLOAD_BYTES_MAX) as u64;
