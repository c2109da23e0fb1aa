//! What the receiving worker tells the worker that owns the packet's source, and the rings between them.

use crate::address::Address;
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
    /// The number of the frame.
    pub sequence: u64,
    /// Length of the IP datagram, bytes.
    pub length: u32,
    /// Length of the frame on the wire, bytes.
    pub wire_length: u32,
    /// Source port; 0 without ports.
    pub source_port: u16,
    /// Destination port; 0 without ports.
    pub destination_port: u16,
    /// Outermost VLAN id; 0 for an untagged frame.
    pub vlan: u16,
    /// IANA protocol number.
    pub protocol: u8,
    /// What else is known of the packet.
    pub marks: Marks,
}

const _: () = assert!(size_of::<Digest>() == 64, "one digest, one cache line");

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
    /// No packet at all: the sender's turn ends here.
    pub const TURN_END: Self = Self(8);

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
    /// Whether there is nothing to tell.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rule_count == 0
            && self.intel_source == 0
            && self.intel_destination == 0
            && self.decoy == 0
    }

    /// The rules found, as indices into the loaded set.
    #[must_use]
    pub fn rules(&self) -> &[u16] {
        self.rules.get(..usize::from(self.rule_count)).unwrap_or_default()
    }
}
