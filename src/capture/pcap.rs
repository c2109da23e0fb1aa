//! The classic format: one header, then records (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>).

use pcap_parser::nom::{self, IResult, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, PcapHeader, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

use super::fault::StopReason;
use super::link_number::LinkNumber;
use super::record::{Record, check_frame_length, clamped};
use super::stream::Window;

/// Bytes of the file's header.
const HEADER_LENGTH: usize = 24;
/// Bytes of a record's header, in the usual format and in the "modified" one.
const RECORD_HEADER_LENGTH: usize = 16;
const MODIFIED_RECORD_HEADER_LENGTH: usize = 24;

/// The first four bytes, in the order in which they stand in the file.
pub(super) const fn begins_here(magic: [u8; 4]) -> bool {
    matches!(
        magic,
        [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0x34, 0xcd, 0xb2, 0xa1]
    )
}

/// How the records of one file are to be read.
#[derive(Debug)]
pub(super) struct Records {
    parse: ParseRecord,
    header_length: usize,
    nanos_per_unit: i128,
    link: LinkNumber,
    /// Set for files of versions before 2.4, whose two lengths are not always in today's order.
    old: Option<OldOrder>,
}

/// In which order an old file gives the lengths of a frame, and in which byte order.
///
/// Before version 2.3 the length on the wire came first; files of 2.3 itself were written either way, and the smaller one is
/// then the captured length, for no more can be captured than was there (libpcap does the same).
#[derive(Clone, Copy, Debug)]
struct OldOrder {
    is_big_endian: bool,
    wire_length_comes_first: bool,
}

impl OldOrder {
    fn of(header: &PcapHeader) -> Option<Self> {
        let wire_length_comes_first = header.version_minor < 3;
        let is_big_endian = header.is_bigendian();
        (header.version_minor < 4).then_some(Self { is_big_endian, wire_length_comes_first })
    }

    const fn number(self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Captured length and length on the wire.
    fn lengths(self, first: u32, second: u32) -> (u32, u32) {
        if self.wire_length_comes_first || first > second {
            (second, first)
        } else {
            (first, second)
        }
    }
}

type ParseRecord = fn(&[u8]) -> IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

impl Records {
    /// Reads the file's header.
    pub(super) fn open(window: &mut Window) -> Result<Self, StopReason> {
        if !window.fill(HEADER_LENGTH)? {
            return Err(StopReason::Torn);
        }
        let (_, header) = parse_pcap_header(window.unread())
            .map_err(|_no_header| StopReason::BadBlock("a header"))?;
        if header.version_major != 2 {
            return Err(StopReason::UnknownVersion(header.version_major, header.version_minor));
        }
        window.consume(HEADER_LENGTH);
        let (parse, header_length) = record_parser(&header);
        Ok(Self {
            parse,
            header_length,
            nanos_per_unit: if header.is_nanosecond_precision() { 1 } else { 1_000 },
            link: link_number(&header),
            old: OldOrder::of(&header),
        })
    }

    /// The next frame; none at the end of the file.
    pub(super) fn next(&self, window: &mut Window) -> Result<Option<Record>, StopReason> {
        window.begin_record();
        if let Some(order) = self.old {
            return self.next_old(window, order);
        }
        loop {
            let unread = window.unread();
            let missing = match (self.parse)(unread) {
                Ok((rest, record)) => {
                    return self.record(&record, unread.len() - rest.len()).map(Some);
                }
                Err(nom::Err::Incomplete(Needed::Size(missing))) => missing.get(),
                Err(_) => return Err(StopReason::BadBlock("a record")),
            };
            let wanted = unread.len() + missing;
            check_frame_length(wanted.saturating_sub(self.header_length))?;
            if !window.fill(wanted)? {
                let is_between_records = window.unread().is_empty();
                return if is_between_records { Ok(None) } else { Err(StopReason::Torn) };
            }
        }
    }

    fn next_old(&self, window: &mut Window, order: OldOrder) -> Result<Option<Record>, StopReason> {
        if !window.fill(RECORD_HEADER_LENGTH)? {
            let is_between_records = window.unread().is_empty();
            return if is_between_records { Ok(None) } else { Err(StopReason::Torn) };
        }
        let Some(header) = window.unread().first_chunk::<RECORD_HEADER_LENGTH>() else {
            return Err(StopReason::Torn);
        };
        let (fields, _) = header.as_chunks::<4>();
        let &[seconds, fraction, first, second] = fields else { return Err(StopReason::Torn) };
        let (captured, wire_length) = order.lengths(order.number(first), order.number(second));
        let nanos = i128::from(order.number(seconds)) * 1_000_000_000
            + i128::from(order.number(fraction)) * self.nanos_per_unit;
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
        check_frame_length(captured)?;
        let length = RECORD_HEADER_LENGTH + captured;
        if !window.fill(length)? {
            return Err(StopReason::Torn);
        }
        Ok(Some(Record {
            time: clamped(nanos),
            wire_length: wire_length.max(u32::try_from(captured).unwrap_or(u32::MAX)),
            link: self.link,
            begins: RECORD_HEADER_LENGTH,
            captured,
            length,
        }))
    }

    fn record(&self, record: &LegacyPcapBlock<'_>, length: usize) -> Result<Record, StopReason> {
        let captured = record.data.len();
        check_frame_length(captured)?;
        let seconds = i128::from(record.ts_sec) * 1_000_000_000;
        Ok(Record {
            time: clamped(seconds + i128::from(record.ts_usec) * self.nanos_per_unit),
            wire_length: record.origlen.max(record.caplen),
            link: self.link,
            begins: length - captured,
            captured,
            length,
        })
    }
}

fn record_parser(header: &PcapHeader) -> (ParseRecord, usize) {
    if header.is_modified_format() {
        (parse_pcap_frame_modified, MODIFIED_RECORD_HEADER_LENGTH)
    } else if header.is_bigendian() {
        (parse_pcap_frame_be, RECORD_HEADER_LENGTH)
    } else {
        (parse_pcap_frame, RECORD_HEADER_LENGTH)
    }
}

/// The lower half of the field is the link type; the upper one speaks of the frame check sequence.
fn link_number(header: &PcapHeader) -> LinkNumber {
    let [.., high, low] = header.network.0.to_be_bytes();
    LinkNumber(u16::from_be_bytes([high, low]))
}
