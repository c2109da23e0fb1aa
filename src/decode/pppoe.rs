//! PPP over Ethernet, session stage (RFC 2516).

use super::ip::{Network, Version};
use super::{NotDecoded, Reason};

/// Walks a session header and the PPP protocol field behind it (RFC 1661, section 2).
pub(super) fn read(bytes: &[u8]) -> Result<Network<'_>, NotDecoded> {
    const VERSION_AND_TYPE: u8 = 0x11;
    const SESSION_DATA: u8 = 0;
    const PPP_IPV4: [u8; 2] = [0x00, 0x21];
    const PPP_IPV6: [u8; 2] = [0x00, 0x57];
    let (header, behind) = bytes.split_first_chunk::<8>().ok_or(Reason::TruncatedLink)?;
    let [version_and_type, code, _, _, _, _, protocol @ ..] = *header;
    if version_and_type != VERSION_AND_TYPE || code != SESSION_DATA {
        return Err(Reason::BadPppoeHeader.into());
    }
    match protocol {
        PPP_IPV4 => Ok(Network::new(Version::V4, behind)),
        PPP_IPV6 => Ok(Network::new(Version::V6, behind)),
        _ => Err(NotDecoded::NotIp),
    }
}
