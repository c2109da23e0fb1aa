//! MPLS label stacks (RFC 3032). A label says nothing about what it carries, so the first nibble behind the stack decides,
//! as it does in routers (RFC 4928, section 3).

use super::ip::Network;
use super::link::Carried;
use super::{MPLS_LABELS_MAX, NotDecoded, Reason};

/// Walks a label stack to its bottom.
pub(super) fn read(mut bytes: &[u8]) -> Result<Carried<'_>, NotDecoded> {
    const BOTTOM_OF_STACK: u8 = 1;
    for _ in 0..MPLS_LABELS_MAX {
        let (label, behind) = bytes.split_first_chunk::<4>().ok_or(Reason::TruncatedLink)?;
        let [_, _, bottom, _ttl] = *label;
        bytes = behind;
        if bottom & BOTTOM_OF_STACK != 0 {
            return below_labels(bytes);
        }
    }
    Err(Reason::TooManyMplsLabels.into())
}

fn below_labels(bytes: &[u8]) -> Result<Carried<'_>, NotDecoded> {
    match bytes.first().ok_or(Reason::TruncatedLink)? >> 4 {
        // A pseudo-wire's control word (RFC 4385); an Ethernet frame may follow.
        0 => bytes.get(4..).map(Carried::Ethernet).ok_or_else(|| Reason::TruncatedLink.into()),
        4 | 6 => Network::by_version(bytes).map(Carried::Ip).map_err(Into::into),
        _ => Err(NotDecoded::NotIp),
    }
}
