//! The block format (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>).
//!
//! The library reads the blocks with options. Packet blocks are read here: the library collects the options of each one in
//! a `Vec`, does not know the obsolete Packet Block, and asks for more input where a damaged block lies about itself.

use pcap_parser::nom::IResult;
use pcap_parser::{
    InterfaceDescriptionBlock, OptionCode, PcapError, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_sectionheaderblock,
};

use super::FRAME_BYTES_MAX;
use super::clock::Clock;
use super::fault::StopReason;
use super::link_number::LinkNumber;
use super::record::{Record, check_frame_length};
use super::stream::Window;
use crate::time::Timestamp;

/// The first four bytes of a file: the same in both byte orders.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The longest block that is read whole: a frame and as much again of options. Blocks of other kinds are skipped at any
/// length.
const BLOCK_LENGTH_MAX: usize = 2 * FRAME_BYTES_MAX;
/// How many interfaces of one section are kept.
const INTERFACES_MAX: usize = 65_536;
/// Type and length before the contents, the length once more behind them.
const FRAMING: usize = 12;

/// How the blocks of the current section are to be read.
#[derive(Debug)]
pub(super) struct Blocks {
    is_big_endian: bool,
    interfaces: Vec<Interface>,
    /// Of the frame before: a Simple Packet Block states no time of its own.
    latest: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkNumber,
    /// 0 for no limit.
    snap_length: u32,
    clock: Clock,
}

/// Block types that are read.
mod kind {
    pub(super) const SECTION: u32 = u32::from_be_bytes(super::MAGIC);
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete; its fields lie where those of the enhanced one lie, but the first is split in two.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

impl Blocks {
    /// Reads the header of the first section.
    pub(super) fn open(window: &mut Window) -> Result<Self, StopReason> {
        let mut blocks =
            Self { is_big_endian: false, interfaces: Vec::new(), latest: Timestamp::EPOCH };
        let head = blocks.head(window)?.ok_or(StopReason::Torn)?;
        blocks.begin_section(head.read_whole(window, blocks.is_big_endian)?)?;
        window.consume(head.length);
        Ok(blocks)
    }

    /// The next frame; none at the end of the file.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Record>, StopReason> {
        while let Some(head) = self.head(window)? {
            match head.kind {
                kind::ENHANCED_PACKET | kind::PACKET => {
                    let block = head.read_whole(window, self.is_big_endian)?;
                    return self.packet(head.kind, block).map(Some);
                }
                kind::SIMPLE_PACKET => {
                    let block = head.read_whole(window, self.is_big_endian)?;
                    return self.simple_packet(block).map(Some);
                }
                kind::SECTION => {
                    self.begin_section(head.read_whole(window, self.is_big_endian)?)?;
                    window.consume(head.length);
                }
                kind::INTERFACE => {
                    self.add_interface(head.read_whole(window, self.is_big_endian)?)?;
                    window.consume(head.length);
                }
                _ => head.skip(window, self.is_big_endian)?,
            }
        }
        Ok(None)
    }

    /// Type and length of the next block; none at the end of the file. A section's own byte order counts from its header.
    fn head(&mut self, window: &mut Window) -> Result<Option<Head>, StopReason> {
        const BYTE_ORDER: [u8; 4] = 0x1a2b_3c4d_u32.to_be_bytes();
        window.begin_record();
        if !window.fill(FRAMING)? {
            let is_between_blocks = window.unread().is_empty();
            return if is_between_blocks { Ok(None) } else { Err(StopReason::Torn) };
        }
        let &[kind, length, order, ..] = words(window.unread()) else {
            return Err(StopReason::Torn);
        };
        if kind == MAGIC {
            let mut reversed = order;
            reversed.reverse();
            self.is_big_endian = order == BYTE_ORDER;
            if !self.is_big_endian && reversed != BYTE_ORDER {
                return Err(StopReason::BadBlock("a section header"));
            }
        }
        let stated = self.number(length);
        match usize::try_from(stated) {
            Ok(length) if length >= FRAMING && length.is_multiple_of(4) => {
                Ok(Some(Head { kind: self.number(kind), stated, length }))
            }
            _ => Err(StopReason::BlockLength(stated)),
        }
    }

    fn begin_section(&mut self, block: &[u8]) -> Result<(), StopReason> {
        let (_, section) = parse_sectionheaderblock(block)
            .map_err(|_not_one| StopReason::BadBlock("a section header"))?;
        // The draft calls 1.2 the same as 1.0: some programs wrote it.
        if section.major_version != 1 || !matches!(section.minor_version, 0 | 2) {
            return Err(StopReason::UnknownVersion(section.major_version, section.minor_version));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, block: &[u8]) -> Result<(), StopReason> {
        let parse: ParseInterface = if self.is_big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        let (_, description) =
            parse(block).map_err(|_not_one| StopReason::BadBlock("an interface description"))?;
        if self.interfaces.len() == INTERFACES_MAX {
            return Err(StopReason::TooManyInterfaces(INTERFACES_MAX));
        }
        self.interfaces.push(Interface {
            link: LinkNumber(u16::try_from(description.linktype.0).unwrap_or(u16::MAX)),
            snap_length: description.snaplen,
            clock: Clock::new(description.if_tsresol, self.clock_offset(&description)),
        });
        Ok(())
    }

    /// Read from the option itself: the library reads it in little-endian order in every section.
    fn clock_offset(&self, description: &InterfaceDescriptionBlock<'_>) -> i64 {
        let option =
            description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        match option.and_then(|option| option.value().first_chunk::<8>()) {
            Some(bytes) if self.is_big_endian => i64::from_be_bytes(*bytes),
            Some(bytes) => i64::from_le_bytes(*bytes),
            None => 0,
        }
    }

    fn packet(&mut self, kind: u32, block: &[u8]) -> Result<Record, StopReason> {
        const BEGINS: usize = 28;
        let &[_, _, interface, high, low, captured, original, ..] = words(block) else {
            return Err(StopReason::BadBlock("a packet block"));
        };
        let interface = match (kind, interface) {
            (kind::PACKET, [a, b, _, _]) if self.is_big_endian => u32::from_be_bytes([0, 0, a, b]),
            (kind::PACKET, [a, b, _, _]) => u32::from_le_bytes([a, b, 0, 0]),
            _ => self.number(interface),
        };
        let described = self.interface(interface)?;
        let units = u64::from(self.number(high)) << 32 | u64::from(self.number(low));
        self.latest = described.clock.time(units);
        self.record(described, block, BEGINS, self.number(captured), self.number(original))
    }

    /// A frame of the section's first interface, cut at its snap length.
    fn simple_packet(&self, block: &[u8]) -> Result<Record, StopReason> {
        const BEGINS: usize = 12;
        let &[_, _, original, ..] = words(block) else {
            return Err(StopReason::BadBlock("a simple packet block"));
        };
        let described = self.interface(0)?;
        let original = self.number(original);
        let captured = match described.snap_length {
            0 => original,
            limit => original.min(limit),
        };
        self.record(described, block, BEGINS, captured, original)
    }

    fn record(
        &self,
        interface: Interface,
        block: &[u8],
        begins: usize,
        captured: u32,
        original: u32,
    ) -> Result<Record, StopReason> {
        let wire_length = original.max(captured);
        let captured = captured as usize;
        check_frame_length(captured)?;
        // The block ends with its length once more.
        if begins + captured + 4 > block.len() {
            return Err(StopReason::BadBlock("a packet longer than its block"));
        }
        Ok(Record {
            time: self.latest,
            wire_length,
            link: interface.link,
            begins,
            captured,
            length: block.len(),
        })
    }

    fn interface(&self, number: u32) -> Result<Interface, StopReason> {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        self.interfaces.get(place).copied().ok_or(StopReason::UnknownInterface(number))
    }

    const fn number(&self, word: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }
}

type ParseInterface = fn(&[u8]) -> IResult<&[u8], InterfaceDescriptionBlock<'_>, PcapError<&[u8]>>;

/// What a block says of itself in front.
struct Head {
    kind: u32,
    stated: u32,
    length: usize,
}

impl Head {
    /// The whole block, in the window.
    fn read_whole<'window>(
        &self,
        window: &'window mut Window,
        is_big_endian: bool,
    ) -> Result<&'window [u8], StopReason> {
        if self.length > BLOCK_LENGTH_MAX {
            return Err(StopReason::BlockLength(self.stated));
        }
        if !window.fill(self.length)? {
            return Err(StopReason::Torn);
        }
        let block = window.unread().get(..self.length).unwrap_or_default();
        self.compare_with_end(block, is_big_endian)?;
        Ok(block)
    }

    fn skip(&self, window: &mut Window, is_big_endian: bool) -> Result<(), StopReason> {
        if !window.skip(self.length - 4)? || !window.fill(4)? {
            return Err(StopReason::Torn);
        }
        self.compare_with_end(window.unread().get(..4).unwrap_or_default(), is_big_endian)?;
        window.consume(4);
        Ok(())
    }

    /// The length stands behind the block too; when the two differ, the next block cannot be found.
    fn compare_with_end(&self, block: &[u8], is_big_endian: bool) -> Result<(), StopReason> {
        let end = block.last_chunk::<4>().copied().unwrap_or_default();
        let behind = if is_big_endian { u32::from_be_bytes(end) } else { u32::from_le_bytes(end) };
        if behind == self.stated {
            Ok(())
        } else {
            Err(StopReason::BlockLengthsDiffer(self.stated, behind))
        }
    }
}

fn words(block: &[u8]) -> &[[u8; 4]] {
    block.as_chunks::<4>().0
}
