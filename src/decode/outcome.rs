//! What becomes of a frame that gives no packet: a closed set, so that every frame ends in exactly one counter.

/// Why a frame gave no [`Packet`](super::Packet).
///
/// `taken = decoded + undecodable{reason} + not_ip`: a frame is exactly one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotDecoded {
    /// Whole, as far as it was walked, and carries something other than IP: ARP, LLDP, STP, EAPOL, PPP control, an
    /// EtherType that is not known. Nothing is wrong with it.
    NotIp,
    /// Says or begins to say that it carries IP, and no packet can be made of it.
    Undecodable(Reason),
}

impl From<Reason> for NotDecoded {
    fn from(reason: Reason) -> Self {
        Self::Undecodable(reason)
    }
}

/// Why a frame is undecodable. The sender's fault or the capture's; counted, never logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The capture's link type is not decoded.
    UnsupportedLinkType,
    /// The captured bytes end inside a header below IP: Ethernet, VLAN, LLC, MPLS, PPPoE, a cooked or loopback header.
    TruncatedLink,
    /// More VLAN tags than [`VLAN_TAGS_MAX`](super::VLAN_TAGS_MAX).
    TooManyVlanTags,
    /// More MPLS labels than [`MPLS_LABELS_MAX`](super::MPLS_LABELS_MAX).
    TooManyMplsLabels,
    /// A PPPoE session header of another version or type, or with a code (RFC 2516, section 4).
    BadPppoeHeader,
    /// The captured bytes end inside the IP header or its extension headers.
    TruncatedNetwork,
    /// The version field is not the one that the layer below announced, or neither 4 nor 6.
    BadIpVersion,
    /// An IPv4 header that says it is shorter than 20 bytes.
    BadHeaderLength,
    /// An IPv4 total length that is shorter than the header.
    BadTotalLength,
    /// An extension header that is longer than the packet around it.
    BadExtensionHeader,
    /// More extension headers than [`EXTENSION_HEADERS_MAX`](super::EXTENSION_HEADERS_MAX).
    TooManyExtensionHeaders,
}

impl Reason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: [Self; 11] = [
        Self::UnsupportedLinkType,
        Self::TruncatedLink,
        Self::TooManyVlanTags,
        Self::TooManyMplsLabels,
        Self::BadPppoeHeader,
        Self::TruncatedNetwork,
        Self::BadIpVersion,
        Self::BadHeaderLength,
        Self::BadTotalLength,
        Self::BadExtensionHeader,
        Self::TooManyExtensionHeaders,
    ];

    /// Its place in [`ALL`](Self::ALL): the slot of its counter.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its name in metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnsupportedLinkType => "unsupported_link_type",
            Self::TruncatedLink => "truncated_link",
            Self::TooManyVlanTags => "too_many_vlan_tags",
            Self::TooManyMplsLabels => "too_many_mpls_labels",
            Self::BadPppoeHeader => "bad_pppoe_header",
            Self::TruncatedNetwork => "truncated_network",
            Self::BadIpVersion => "bad_ip_version",
            Self::BadHeaderLength => "bad_header_length",
            Self::BadTotalLength => "bad_total_length",
            Self::BadExtensionHeader => "bad_extension_header",
            Self::TooManyExtensionHeaders => "too_many_extension_headers",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_slot_and_name() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place, "{}", reason.name());
            let same_name = Reason::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same_name.count(), 1, "{}", reason.name());
        }
    }
}
