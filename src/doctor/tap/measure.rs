//! Counting what is heard: in fixed memory, whatever comes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::conversations::{Conversations, Directions};
use super::repeats::Repeats;
use crate::capture::{Frame, LinkType};
use crate::decode::{NotDecoded, decode};

/// What was heard on a tap.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Heard {
    /// For how long.
    pub seconds: f64,
    /// Whether the interface went down meanwhile.
    pub interrupted: bool,
    /// Frames that came.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Those of them that came too fast to be looked at.
    pub missed: u64,
    /// Frames by receive queue, in some order; nothing where it can't be told.
    pub by_queue: Option<Vec<u64>>,
    /// Frames to one station, rather than to a group or to all.
    pub to_one_station: u64,
    /// Frames with a VLAN tag.
    pub tagged: u64,
    /// Frames that carry no IP.
    pub not_ip: u64,
    /// Frames that say they carry IP, and no packet can be made of them.
    pub undecodable: u64,
    /// Frames that carry an IP packet.
    pub ip: u64,
    /// Those of them that end before their IP packet does.
    pub truncated: u64,
    /// Frames whose IP packet came a second time within a tenth of a second.
    pub repeated: u64,
    /// Frames whose payload is longer than the interface's MTU.
    pub too_long: u64,
    /// The longest payload of a frame, bytes.
    pub longest: u32,
    /// TCP connections.
    pub tcp: Directions,
    /// What the card counted as lost meanwhile, by its name in `/sys/class/net/IF/statistics`; only what is not 0. Nothing where
    /// the kernel does not say.
    pub lost_by_card: Option<BTreeMap<&'static str, u64>>,
}

/// Counts frames.
#[derive(Debug)]
pub(super) struct Measure {
    mtu: u32,
    heard: Heard,
    repeats: Repeats,
    conversations: Conversations,
}

impl Measure {
    /// On an interface of this MTU.
    pub(super) fn new(mtu: u32) -> Self {
        let (heard, repeats) = (Heard::default(), Repeats::new());
        Self { mtu, heard, repeats, conversations: Conversations::default() }
    }

    pub(super) fn take(&mut self, frame: &Frame<'_>) {
        let heard = &mut self.heard;
        heard.frames += 1;
        heard.bytes += u64::from(frame.wire_length);
        heard.to_one_station += u64::from(is_to_one_station(frame));
        if let Some(packet) = Network::of(frame) {
            heard.tagged += u64::from(packet.is_tagged);
            heard.longest = heard.longest.max(packet.wire_length);
            heard.too_long += u64::from(packet.wire_length > self.mtu);
            if packet.is_ip {
                heard.ip += 1;
                heard.truncated += u64::from(packet.is_truncated());
                let Network { bytes, wire_length, .. } = packet;
                let again = self.repeats.has_come_twice(bytes, wire_length, frame.time);
                heard.repeated += u64::from(again);
            }
        }
        match decode(frame) {
            Ok(packet) => self.conversations.take(&packet),
            Err(NotDecoded::NotIp) => heard.not_ip += 1,
            Err(NotDecoded::Undecodable(_)) => heard.undecodable += 1,
        }
    }

    /// What was counted, with what others know.
    pub(super) fn heard(&self, seconds: f64) -> Heard {
        Heard { seconds, tcp: self.conversations.directions(), ..self.heard.clone() }
    }
}

/// Whether a frame is addressed to one station. One without addresses is.
fn is_to_one_station(frame: &Frame<'_>) -> bool {
    frame.link != LinkType::Ethernet || frame.bytes.first().is_some_and(|first| first & 1 == 0)
}

/// What stands in a frame behind its link header and VLAN tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network<'frame> {
    /// What was captured of it.
    bytes: &'frame [u8],
    /// How much of it there was on the wire.
    wire_length: u32,
    is_tagged: bool,
    is_ip: bool,
}

impl<'frame> Network<'frame> {
    /// Of a frame with addresses and a type that are whole.
    fn of(frame: &Frame<'frame>) -> Option<Self> {
        /// Two tags are usual where there are several; more are walked, up to here.
        const TAGS_MAX: usize = 4;
        const ADDRESSES: usize = 12;
        if frame.link != LinkType::Ethernet {
            return Some(Self {
                bytes: frame.bytes,
                wire_length: frame.wire_length,
                is_tagged: false,
                is_ip: matches!(frame.link, LinkType::RawIp | LinkType::Ipv4 | LinkType::Ipv6),
            });
        }
        let kind_at =
            |at: usize| frame.bytes.get(at..)?.first_chunk().map(|kind| u16::from_be_bytes(*kind));
        let mut at = ADDRESSES;
        let mut kind = kind_at(at)?;
        while matches!(kind, 0x8100 | 0x88a8 | 0x9100) && at < ADDRESSES + 4 * TAGS_MAX {
            at += 4;
            kind = kind_at(at)?;
        }
        let is_tagged = at > ADDRESSES;
        at += 2;
        Some(Self {
            bytes: frame.bytes.get(at..)?,
            wire_length: frame.wire_length.saturating_sub(u32::try_from(at).ok()?),
            is_tagged,
            is_ip: matches!(kind, 0x0800 | 0x86dd),
        })
    }

    /// Whether it was shorter on the wire than its IP header says. Where that says nothing, it was not.
    fn is_truncated(&self) -> bool {
        self.said_length().is_some_and(|length| self.wire_length < length)
    }

    /// What the IP header says of the packet's length; 0 says nothing (a jumbogram, or a frame that a card made).
    fn said_length(&self) -> Option<u32> {
        let half_word =
            |at: usize| self.bytes.get(at..)?.first_chunk().map(|two| u16::from_be_bytes(*two));
        let length = match self.bytes.first()? >> 4 {
            4 => u32::from(half_word(2)?),
            6 => u32::from(half_word(4).filter(|payload| *payload > 0)?) + 40,
            _ => return None,
        };
        (length > 0).then_some(length)
    }
}
