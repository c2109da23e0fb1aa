//! The file `position`: how far the spool's records are acknowledged, and the highest number that a segment ever had.
//!
//! It has two places of one sector, written in turn, so that one is whole whatever happens, and so that it can be
//! written on a full disk. It points at no file and no byte: it can lag behind the segments, but never contradict them. Without it
//! records are delivered again, which the store's ledger finds out.

use std::io;

use super::frame::{SECTOR_BYTES, put_tally, take, take_tally, take_u64};
use super::storage::{Storage, StorageFile};
use crate::store::writer::Tally;

const NAME: &str = "position";

/// What a new file is called until it is whole.
const NEW_NAME: &str = "position.new";

/// Names that are no foreign files.
pub(super) const POSITION_NAMES: [&str; 2] = [NAME, NEW_NAME];

/// Bytes that it takes.
pub(super) const POSITION_BYTES: u64 = 2 * SECTOR_BYTES as u64;

const MAGIC: [u8; 8] = [0xf7, b'P', b'N', b'p', b'o', b's', 0xc1, 1];

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Whose sequence of records it is about.
    pub(super) life: u64,
    /// The highest number that a segment has had.
    pub(super) highest: u64,
    /// Records below this sequence number are acknowledged.
    pub(super) acknowledged_sequence: u64,
    /// Records below this sequence number have been given out; some may be newer than what is known here.
    pub(super) next_sequence: u64,
    /// What those acknowledged held, those lost before them included.
    pub(super) acknowledged: Tally,
    /// What was taken in all, at least.
    pub(super) appended: Tally,
}

/// What the file said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is none, or nothing was written into it yet.
    Nothing,
    /// All of it is whole.
    Whole(Position),
    /// One place is damaged: the newest position may be later than this.
    Older(Position),
    /// Nothing in it is whole.
    Damaged,
}

/// The file.
#[derive(Debug)]
pub(super) struct PositionFile {
    /// None when it must be made anew.
    file: Option<Box<dyn StorageFile>>,
    turn: u64,
}

impl PositionFile {
    /// Reads what is there.
    pub(super) fn open(storage: &dyn Storage) -> (Self, Found) {
        let nothing = Self { file: None, turn: 0 };
        let Ok(file) = storage.open(NAME) else { return (nothing, Found::Nothing) };
        let mut bytes = [0; 2 * SECTOR_BYTES];
        let Ok(read) = file.read_at(&mut bytes, 0) else { return (nothing, Found::Damaged) };
        let (first, second) = bytes.split_at(SECTOR_BYTES);
        let (first, second) = (decode(first), decode(second));
        let newer = match (first, second) {
            (Some(first), Some(second)) => Some(if first.0 > second.0 { first } else { second }),
            (one, other) => one.or(other),
        };
        match newer {
            Some((turn, position)) => {
                let whole = first.is_some() && second.is_some();
                let found = if whole { Found::Whole } else { Found::Older };
                // One with a damaged place is made anew: should the other go too, nothing would be left.
                (Self { file: whole.then_some(file), turn }, found(position))
            }
            None if bytes.iter().take(read).all(|byte| *byte == 0) => (nothing, Found::Nothing),
            None => (nothing, Found::Damaged),
        }
    }

    /// Makes a position durable.
    pub(super) fn write(&mut self, storage: &dyn Storage, position: &Position) -> io::Result<()> {
        self.turn = self.turn.saturating_add(1);
        let place = encode(self.turn, position);
        if let Some(file) = self.file.take() {
            let at = (self.turn % 2) * SECTOR_BYTES as u64;
            if file.write_at(&place, at).and_then(|()| file.sync()).is_ok() {
                self.file = Some(file);
                return Ok(());
            }
            // A file that failed once is not trusted again.
        }
        // Left behind by an earlier try, or it is not there.
        drop(storage.unlink(NEW_NAME));
        let file = storage.create(NEW_NAME)?;
        file.write_at(&[place.as_slice(), place.as_slice()].concat(), 0)?;
        file.sync()?;
        storage.rename(NEW_NAME, NAME)?;
        storage.sync_folder()?;
        self.file = Some(file);
        Ok(())
    }
}

fn encode(turn: u64, position: &Position) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR_BYTES);
    bytes.extend(MAGIC);
    let numbers = [
        turn,
        position.life,
        position.highest,
        position.acknowledged_sequence,
        position.next_sequence,
    ];
    for number in numbers {
        bytes.extend(number.to_le_bytes());
    }
    put_tally(&mut bytes, position.acknowledged);
    put_tally(&mut bytes, position.appended);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes.resize(SECTOR_BYTES, 0);
    bytes
}

fn decode(place: &[u8]) -> Option<(u64, Position)> {
    let mut rest = place;
    let magic: [u8; 8] = take(&mut rest)?;
    let turn = take_u64(&mut rest)?;
    let position = Position {
        life: take_u64(&mut rest)?,
        highest: take_u64(&mut rest)?,
        acknowledged_sequence: take_u64(&mut rest)?,
        next_sequence: take_u64(&mut rest)?,
        acknowledged: take_tally(&mut rest)?,
        appended: take_tally(&mut rest)?,
    };
    let summed = place.get(..place.len().checked_sub(rest.len())?)?;
    let checksum = u32::from_le_bytes(take(&mut rest)?);
    (magic == MAGIC && checksum == crc32fast::hash(summed)).then_some((turn, position))
}
