//! How records and segments look on disk. All numbers are little-endian.
//!
//! ```text
//! segment   header, padded to 512 B | the same header again, padded to 512 B | record | record | ...
//! header    magic 8 | format 4 | number 8 | life 8 | salt 8 | sequence 8 | before 32 | CRC-32 4
//! record    magic 8 | sequence 8 | before 32 | rows 8 | packets 8 | alerts 8 | epoch 8 | number 8 | begun 8
//!           | payload schema 2 | 0 2 | payload length 4 | CRC-32 of the payload 4 | CRC-32 of the header 4 | payload
//! ```
//!
//! *before* is the tally (batches, rows, packets, alerts) of all records that the spool took before this one: where records can't
//! be read, the next one that can tells what they held. The CRC of a record's header also covers the segment's random salt
//! and the place of the record, so that bytes inside a payload, or of another segment, never pass for a record.

use crate::event::{Batch, Epoch};
use crate::store::writer::Tally;
use crate::time::Timestamp;

/// The format that this program writes and reads.
const FORMAT: u32 = 1;

/// The payload that this program writes and reads: a `Batch` in postcard's encoding. To be raised whenever that changes.
pub(super) const PAYLOAD_SCHEMA: u16 = 1;

/// Half of a segment's head, and the least that disks write at once.
pub(super) const SECTOR_BYTES: usize = 512;

/// Where a segment's first record begins.
pub(super) const HEAD_BYTES: usize = 2 * SECTOR_BYTES;

/// The length of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 112;

/// The longest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// The first bytes of a record. Some are in no UTF-8, so that no text contains them.
pub(super) const RECORD_MAGIC: [u8; 8] = [0xf7, b'P', b'N', b'r', b'e', b'c', 0xc1, 0xfe];

const SEGMENT_MAGIC: [u8; 8] = [0xf7, b'P', b'N', b's', b'e', b'g', 0xc1, 0xfe];

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Its number; the file is named after it.
    pub(super) number: u64,
    /// Whose sequence of records it continues.
    pub(super) life: u64,
    /// What the checksums of its records begin with.
    pub(super) salt: u64,
    /// The sequence number of its first record, if it has one.
    pub(super) sequence: u64,
    /// What the spool took before.
    pub(super) before: Tally,
}

impl SegmentHeader {
    /// Both copies.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(HEAD_BYTES);
        copy.extend(SEGMENT_MAGIC);
        copy.extend(FORMAT.to_le_bytes());
        for number in [self.number, self.life, self.salt, self.sequence] {
            copy.extend(number.to_le_bytes());
        }
        put_tally(&mut copy, self.before);
        copy.extend(crc32fast::hash(&copy).to_le_bytes());
        copy.resize(SECTOR_BYTES, 0);
        copy.extend_from_within(..);
        copy
    }

    /// The first copy that is whole.
    pub(super) fn decode(head: &[u8]) -> Option<Self> {
        head.chunks(SECTOR_BYTES).find_map(Self::decode_copy)
    }

    fn decode_copy(copy: &[u8]) -> Option<Self> {
        let mut rest = copy;
        let magic: [u8; 8] = take(&mut rest)?;
        let format = u32::from_le_bytes(take(&mut rest)?);
        let header = Self {
            number: take_u64(&mut rest)?,
            life: take_u64(&mut rest)?,
            salt: take_u64(&mut rest)?,
            sequence: take_u64(&mut rest)?,
            before: take_tally(&mut rest)?,
        };
        let summed = copy.get(..copy.len().checked_sub(rest.len())?)?;
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        let whole =
            magic == SEGMENT_MAGIC && format == FORMAT && checksum == crc32fast::hash(summed);
        whole.then_some(header)
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Its place among all records of the life; never given twice.
    pub(super) sequence: u64,
    /// What the spool took before.
    pub(super) before: Tally,
    /// What the record holds.
    pub(super) tally: Tally,
    /// The epoch of the batch.
    pub(super) epoch: Epoch,
    /// The batch's number in it.
    pub(super) number: u64,
    /// When the batch was begun.
    pub(super) begun: Timestamp,
    /// How the payload is written.
    pub(super) schema: u16,
    /// Bytes of the payload.
    pub(super) length: u32,
    /// Of the payload.
    pub(super) checksum: u32,
}

impl RecordHeader {
    /// Of this batch, whose payload this is; the spool took `before` before it. None when it is too long.
    pub(super) fn of(batch: &Batch, payload: &[u8], sequence: u64, before: Tally) -> Option<Self> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return None;
        }
        Some(Self {
            sequence,
            before,
            tally: Tally::of(batch),
            epoch: batch.epoch,
            number: batch.number,
            begun: batch.begun,
            schema: PAYLOAD_SCHEMA,
            length: u32::try_from(payload.len()).ok()?,
            checksum: crc32fast::hash(payload),
        })
    }

    /// As it is written at `place` of the segment with this salt.
    pub(super) fn encode(&self, salt: u64, place: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORD_HEADER_BYTES);
        bytes.extend(RECORD_MAGIC);
        bytes.extend(self.sequence.to_le_bytes());
        put_tally(&mut bytes, self.before);
        for number in [self.tally.rows, self.tally.packets, self.tally.alerts] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.epoch.stored().to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.begun.as_nanos().to_le_bytes());
        bytes.extend(self.schema.to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes.extend(header_checksum(&bytes, salt, place).to_le_bytes());
        debug_assert_eq!(bytes.len(), RECORD_HEADER_BYTES);
        bytes
    }

    /// What was written at `place` of the segment with this salt, if it is a header.
    pub(super) fn decode(bytes: &[u8], salt: u64, place: u64) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest)? != RECORD_MAGIC {
            return None;
        }
        let sequence = take_u64(&mut rest)?;
        let before = take_tally(&mut rest)?;
        let (rows, packets, alerts) =
            (take_u64(&mut rest)?, take_u64(&mut rest)?, take_u64(&mut rest)?);
        let epoch = Epoch::from_stored(i64::from_le_bytes(take(&mut rest)?))?;
        let number = take_u64(&mut rest)?;
        let begun = Timestamp::from_nanos(i64::from_le_bytes(take(&mut rest)?));
        let schema = u16::from_le_bytes(take(&mut rest)?);
        let _reserved: [u8; 2] = take(&mut rest)?;
        let length = u32::from_le_bytes(take(&mut rest)?);
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        let summed = bytes.get(..bytes.len().checked_sub(rest.len())?)?;
        let own = u32::from_le_bytes(take(&mut rest)?);
        let fits = usize::try_from(length).is_ok_and(|length| length <= PAYLOAD_BYTES_MAX);
        (fits && own == header_checksum(summed, salt, place)).then_some(Self {
            sequence,
            before,
            tally: Tally { batches: 1, rows, packets, alerts },
            epoch,
            number,
            begun,
            schema,
            length,
            checksum,
        })
    }

    /// Bytes of header and payload.
    pub(super) const fn record_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64 + self.length as u64
    }

    /// The batch in `payload`, if it is the one that this header was written for.
    pub(super) fn batch(&self, payload: &[u8]) -> Result<Batch, RecordFault> {
        if crc32fast::hash(payload) != self.checksum {
            return Err(RecordFault::Damaged);
        }
        if self.schema != PAYLOAD_SCHEMA {
            return Err(RecordFault::Schema);
        }
        let batch: Batch =
            postcard::from_bytes(payload).map_err(|_undecodable| RecordFault::Damaged)?;
        let same = (batch.epoch, batch.number) == (self.epoch, self.number);
        if same { Ok(batch) } else { Err(RecordFault::Damaged) }
    }
}

/// Why a record has no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordFault {
    /// Its bytes are not those that were written.
    Damaged,
    /// Another version of the program wrote it.
    Schema,
}

fn header_checksum(bytes: &[u8], salt: u64, place: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&place.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

pub(super) fn put_tally(bytes: &mut Vec<u8>, tally: Tally) {
    for number in [tally.batches, tally.rows, tally.packets, tally.alerts] {
        bytes.extend(number.to_le_bytes());
    }
}

/// The first `N` bytes, which `bytes` then no longer holds.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

pub(super) fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

pub(super) fn take_tally(bytes: &mut &[u8]) -> Option<Tally> {
    Some(Tally {
        batches: take_u64(bytes)?,
        rows: take_u64(bytes)?,
        packets: take_u64(bytes)?,
        alerts: take_u64(bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::writer::tests::sample::batch;

    const BEFORE: Tally = Tally { batches: 4, rows: 3, packets: 2, alerts: 1 };

    #[test]
    fn a_record_reads_back_at_its_own_place_only() {
        let batch = batch(17, 3);
        let payload = postcard::to_stdvec(&batch).unwrap();
        let header = RecordHeader::of(&batch, &payload, 9, BEFORE).unwrap();
        let bytes = header.encode(77, 1024);
        assert_eq!(RecordHeader::decode(&bytes, 77, 1024), Some(header));
        assert_eq!(RecordHeader::decode(&bytes, 77, 1025), None, "another place");
        assert_eq!(RecordHeader::decode(&bytes, 78, 1024), None, "another segment");
        assert_eq!(header.batch(&payload), Ok(batch));
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        let batch = batch(17, 1);
        let payload = postcard::to_stdvec(&batch).unwrap();
        let header = RecordHeader::of(&batch, &payload, 9, BEFORE).unwrap();
        let bytes = header.encode(77, 1024);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, 77, 1024), None, "bit {bit}");
        }
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(header.batch(&flipped), Err(RecordFault::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_segment_is_known_by_either_copy_of_its_header() {
        let header = SegmentHeader { number: 3, life: 5, salt: 7, sequence: 9, before: BEFORE };
        let bytes = header.encode();
        assert_eq!(bytes.len(), HEAD_BYTES);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), Some(header), "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&[0; HEAD_BYTES]), None);
        assert_eq!(SegmentHeader::decode(&bytes[..40]), None);
    }
}
