//! Extension headers: what stands between an IP header and what it carries (RFC 8200, section 4; RFC 7045).

use super::ip::{Behind, Version};
use super::{EXTENSION_HEADERS_MAX, Reason};

/// The end of a chain of extension headers.
pub(super) struct Chain<'frame> {
    pub(super) protocol: u8,
    pub(super) is_later_fragment: bool,
    pub(super) payload: &'frame [u8],
}

/// Walks the chain that begins with `protocol`.
///
/// Encrypted payload (50) and "no next header" (59) end it, as does any protocol that is no extension header. In IPv4
/// only the authentication header is one.
#[inline(always)] // see `Network::read`
pub(super) fn walk<'frame>(
    version: Version,
    protocol: u8,
    behind: &Behind<'frame>,
) -> Result<Chain<'frame>, Reason> {
    let mut chain = Chain { protocol, is_later_fragment: false, payload: behind.bytes };
    // A header that runs past the end: of the capture, or of a packet that lies about itself.
    let cut = if behind.is_whole { Reason::BadExtensionHeader } else { Reason::TruncatedNetwork };
    let mut walked = 0;
    while let Some(kind) = Kind::of(version, chain.protocol) {
        if walked == EXTENSION_HEADERS_MAX {
            return Err(Reason::TooManyExtensionHeaders);
        }
        walked += 1;
        let [next, units, high, low] = *chain.payload.first_chunk().ok_or(cut)?;
        let (_header, rest) = chain.payload.split_at_checked(kind.length(units)).ok_or(cut)?;
        chain.protocol = next;
        chain.payload = rest;
        // Thirteen bits of offset, above two reserved ones and the "more fragments" flag.
        if kind == Kind::Fragment && u16::from_be_bytes([high, low]) >> 3 != 0 {
            chain.is_later_fragment = true;
            return Ok(chain);
        }
    }
    Ok(chain)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Hop-by-hop and destination options, routing, mobility, host identity, shim6: one layout.
    Options,
    /// Fragment header (RFC 8200, section 4.5): always eight bytes.
    Fragment,
    /// Authentication header (RFC 4302, section 2.2): counts in other units.
    Authentication,
}

impl Kind {
    const fn of(version: Version, protocol: u8) -> Option<Self> {
        match (version, protocol) {
            (_, 51) => Some(Self::Authentication),
            (Version::V6, 44) => Some(Self::Fragment),
            (Version::V6, 0 | 43 | 60 | 135 | 139 | 140) => Some(Self::Options),
            _ => None,
        }
    }

    /// Bytes of a header whose length field says `units`.
    fn length(self, units: u8) -> usize {
        match self {
            Self::Options => (usize::from(units) + 1) * 8,
            Self::Fragment => 8,
            Self::Authentication => (usize::from(units) + 2) * 4,
        }
    }
}
