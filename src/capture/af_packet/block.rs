//! Walking through a block of the ring: a header, then frames, each behind a header that says where the next begins.
//!
//! ```text
//!   struct tpacket_block_desc   num_pkts, offset_to_first_pkt
//!   struct tpacket3_hdr         tp_next_offset, tp_sec, tp_nsec, tp_snaplen, tp_len, tp_status, tp_mac, tag
//!     ...                       tp_mac bytes after its start: the frame, tp_snaplen bytes of it
//!   struct tpacket3_hdr
//!     ...
//! ```
//!
//! The kernel is not suspected of lies, but a walk that left its block would be the worst of errors: no offset is followed
//! that leads out of the block or back.

use std::mem::offset_of;

use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Where the fields lie that are read; integers are in the machine's byte order.
mod field {
    use super::offset_of;
    use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket3_hdr};

    const BLOCK: usize = offset_of!(tpacket_block_desc, hdr);
    pub(super) const NUM_PKTS: usize = BLOCK + offset_of!(tpacket_hdr_v1, num_pkts);
    pub(super) const FIRST_PKT: usize = BLOCK + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);

    pub(super) const NEXT: usize = offset_of!(tpacket3_hdr, tp_next_offset);
    pub(super) const SEC: usize = offset_of!(tpacket3_hdr, tp_sec);
    pub(super) const NSEC: usize = offset_of!(tpacket3_hdr, tp_nsec);
    pub(super) const SNAPLEN: usize = offset_of!(tpacket3_hdr, tp_snaplen);
    pub(super) const LEN: usize = offset_of!(tpacket3_hdr, tp_len);
    pub(super) const STATUS: usize = offset_of!(tpacket3_hdr, tp_status);
    pub(super) const MAC: usize = offset_of!(tpacket3_hdr, tp_mac);
    pub(super) const VLAN_TCI: usize = offset_of!(tpacket3_hdr, hv1.tp_vlan_tci);
    pub(super) const VLAN_TPID: usize = offset_of!(tpacket3_hdr, hv1.tp_vlan_tpid);
    pub(super) const END: usize = size_of::<tpacket3_hdr>();
}

/// One frame, still in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'block> {
    /// What was captured of it, without the tag that was taken out.
    pub(super) bytes: &'block [u8],
    /// How long it was, without that tag; never less than was captured.
    pub(super) length: u32,
    /// When the kernel saw it.
    pub(super) time: Timestamp,
    /// The tag that was taken out of it.
    pub(super) tag: Option<VlanTag>,
}

/// A tag of IEEE 802.1Q.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VlanTag {
    /// The EtherType in front of it: 0x8100, or 0x88a8 for a provider's.
    pub(super) protocol: u16,
    /// Priority, drop eligibility and VLAN number.
    pub(super) control: u16,
}

/// The tag's EtherType where the kernel does not state it.
const CUSTOMER_TAG: u16 = 0x8100;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where the next frame's header begins.
    at: usize,
    /// How many frames have not been walked to.
    left: u32,
}

impl Place {
    /// How many frames have not been walked to.
    pub(super) const fn left(self) -> u32 {
        self.left
    }
}

/// A walk through a block.
#[derive(Debug)]
pub(super) struct Walk<'block> {
    block: &'block [u8],
    /// Longer frames the socket's filter can't have let through.
    snap_bytes: usize,
    place: Place,
}

impl<'block> Walk<'block> {
    /// A walk that begins at the first frame, or goes on where an earlier one stopped.
    pub(super) fn new(block: &'block [u8], snap_bytes: usize, from: Option<Place>) -> Self {
        let first = || Place {
            at: word(block, field::FIRST_PKT).map_or(block.len(), |at| at as usize),
            left: word(block, field::NUM_PKTS).unwrap_or(0),
        };
        Self { block, snap_bytes, place: from.unwrap_or_else(first) }
    }

    /// How far it has come.
    pub(super) const fn place(&self) -> Place {
        self.place
    }

    fn packet(&self, header: &[u8], rest: &'block [u8]) -> Option<Packet<'block>> {
        let captured = word(header, field::SNAPLEN)? as usize;
        let begins = usize::from(half_word(header, field::MAC)?);
        let bytes = rest.get(begins..)?.get(..captured)?;
        if captured > self.snap_bytes {
            return None;
        }
        let (seconds, nanos) = (word(header, field::SEC)?, word(header, field::NSEC)?);
        Some(Packet {
            bytes,
            length: word(header, field::LEN)?.max(u32::try_from(captured).ok()?),
            time: Timestamp::from_nanos(i64::from(seconds) * NANOS_PER_SECOND + i64::from(nanos)),
            tag: tag(header)?,
        })
    }
}

impl<'block> Iterator for Walk<'block> {
    type Item = Packet<'block>;

    /// The next frame. `None` at the end, and where a header makes no sense: then there are frames left.
    fn next(&mut self) -> Option<Packet<'block>> {
        let left = self.place.left.checked_sub(1)?;
        let rest = self.block.get(self.place.at..)?;
        let header = rest.get(..field::END)?;
        let packet = self.packet(header, rest)?;
        let step = word(header, field::NEXT)? as usize;
        // The last frame's is 0. Before that, one that leads back would go round for ever.
        let at =
            if step < field::END { self.block.len() } else { self.place.at.saturating_add(step) };
        self.place = Place { at, left };
        Some(packet)
    }
}

/// The tag that was taken out of the frame, if there was one.
fn tag(header: &[u8]) -> Option<Option<VlanTag>> {
    let status = word(header, field::STATUS)?;
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return Some(None);
    }
    let protocol = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 {
        CUSTOMER_TAG
    } else {
        half_word(header, field::VLAN_TPID)?
    };
    // A word that holds 16 bits.
    let control = word(header, field::VLAN_TCI)? & 0xffff;
    Some(Some(VlanTag { protocol, control: u16::try_from(control).ok()? }))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn half_word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}
