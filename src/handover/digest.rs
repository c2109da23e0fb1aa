//! What crosses from the worker that received a packet to the worker that judges it.

use crate::address::Address;
use crate::decode::{Packet, Transport};
use crate::time::Timestamp;

/// How many rule hits one packet can carry; more are counted and left out, those of the highest risk first in.
pub const RULE_HITS_MAX: usize = 12;

/// One decoded packet, without its bytes. One cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Digest {
    /// Sender, whole (the key of its state is cut from it by the owner).
    pub source: Address,
    /// Receiver.
    pub destination: Address,
    /// Packet time as stated; the owner clamps it to be monotone per source.
    pub time: Timestamp,
    /// The number of the frame; of a turn's mark, that of the newest detection that its sender has moved on to.
    pub sequence: u64,
    /// Length of the IP datagram, bytes.
    pub length: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_length: u32,
    /// Source port ([`Marks::PORTS`]), or ICMP type ([`Marks::ICMP`]), or 0.
    pub source_port: u16,
    /// Destination port, or ICMP code, or 0.
    pub destination_port: u16,
    /// Outermost VLAN id; 0 for an untagged frame.
    pub vlan: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// What else is known of the packet.
    pub marks: Marks,
}

const _: () = assert!(size_of::<Digest>() == 64, "one digest, one cache line");

impl Digest {
    /// Not a packet: the mark of a turn that was received at this time, by a sender that has moved on to the detection of this number.
    pub(super) fn turn(received: Timestamp, detection: u64) -> Self {
        Self {
            source: Address::default(),
            destination: Address::default(),
            time: received,
            sequence: detection,
            length: 0,
            wire_length: 0,
            source_port: 0,
            destination_port: 0,
            vlan: 0,
            protocol: 0,
            marks: Marks::TURN,
        }
    }

    /// What the owner needs to know of `packet`.
    #[must_use]
    #[inline]
    pub fn of(packet: &Packet<'_>) -> Self {
        let (source_port, destination_port, marks) = match packet.transport {
            Transport::Tcp { source_port, destination_port, .. }
            | Transport::Udp { source_port, destination_port } => {
                (source_port, destination_port, Marks::PORTS)
            }
            Transport::Icmp { kind, code } => (u16::from(kind), u16::from(code), Marks::ICMP),
            Transport::LaterFragment | Transport::Other => (0, 0, Marks::default()),
        };
        Self {
            source: packet.source,
            destination: packet.destination,
            time: packet.time,
            sequence: packet.sequence,
            length: packet.length,
            wire_length: packet.wire_length,
            source_port,
            destination_port,
            vlan: packet.vlan.unwrap_or(0),
            protocol: packet.protocol,
            marks,
        }
    }

    /// Source and destination port, when the packet has any.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        if self.marks.has(Marks::PORTS) {
            Some((self.source_port, self.destination_port))
        } else {
            None
        }
    }

    /// ICMP type and code, when the packet has any.
    #[must_use]
    pub const fn icmp(&self) -> Option<(u8, u8)> {
        if self.marks.has(Marks::ICMP) {
            Some((self.source_port.to_be_bytes()[1], self.destination_port.to_be_bytes()[1]))
        } else {
            None
        }
    }
}

/// Bits about a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// The ports are real: the packet carried a whole TCP or UDP port pair.
    pub const PORTS: Self = Self(1);
    /// A [`Findings`] record follows in the ring beside.
    pub const FINDINGS: Self = Self(2);
    /// Not a packet of the source: a copy for the owner of the destination, which counts by destination.
    pub const TOWARDS: Self = Self(4);
    /// No packet at all: the sender's turn ends here, or, where owners go by time, begins here.
    pub const TURN: Self = Self(8);
    /// The fields of the ports hold ICMP type and code.
    pub const ICMP: Self = Self(16);
    /// The packet was looked at with a detection of an odd number ([`InForce::number`](crate::verdict::InForce::number)).
    pub const ODD_DETECTION: Self = Self(32);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits that are set in both.
    #[must_use]
    pub const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// These without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What inspection found in one packet: identifiers only, never text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Rules whose conditions hold, as indices into the loaded set; the first `rule_count` entries. Rules that count
    /// (threshold, detection_filter) stand here too: whether they fire is for the owner to say.
    pub rules: [u16; RULE_HITS_MAX],
    /// How many entries of `rules` are set.
    pub rule_count: u8,
    /// How many matching rules found no room (saturating).
    pub rules_left_out: u8,
    /// The intelligence entry about the source, as an index + 1; 0 for none.
    pub intel_source: u32,
    /// The intelligence entry about the destination, as an index + 1; 0 for none.
    pub intel_destination: u32,
    /// The decoy that the packet touched, as an index + 1; 0 for none.
    pub decoy: u8,
}

impl Findings {
    /// Nothing.
    pub const NONE: Self = Self {
        rules: [0; RULE_HITS_MAX],
        rule_count: 0,
        rules_left_out: 0,
        intel_source: 0,
        intel_destination: 0,
        decoy: 0,
    };

    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rule_count == 0
            && self.rules_left_out == 0
            && self.intel_source == 0
            && self.intel_destination == 0
            && self.decoy == 0
    }

    /// Adds a rule; one that finds no room is counted.
    pub fn push_rule(&mut self, index: u16) {
        match self.rules.get_mut(usize::from(self.rule_count)) {
            Some(place) => {
                *place = index;
                self.rule_count += 1;
            }
            None => self.rules_left_out = self.rules_left_out.saturating_add(1),
        }
    }

    /// The rules found, as indices into the loaded set.
    #[must_use]
    pub fn rules(&self) -> &[u16] {
        self.rules.get(..usize::from(self.rule_count)).unwrap_or_default()
    }
}
