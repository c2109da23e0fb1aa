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
        })
    }

    /// The next frame; none at the end of the file.
    pub(super) fn next(&self, window: &mut Window) -> Result<Option<Record>, StopReason> {
        window.begin_record();
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
