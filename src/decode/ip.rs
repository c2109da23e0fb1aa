//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use etherparse::err::{ipv4, ipv6};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Reason, extension};
use crate::address::Address;

/// The two versions of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

/// Bytes that are said to begin with an IP header of a version. Nothing in them is proven yet.
pub(super) struct Network<'frame> {
    version: Version,
    bytes: &'frame [u8],
}

impl<'frame> Network<'frame> {
    pub(super) const fn new(version: Version, bytes: &'frame [u8]) -> Self {
        Self { version, bytes }
    }

    /// Where nothing below tells the version, the header's own field does.
    pub(super) fn by_version(bytes: &'frame [u8]) -> Result<Self, Reason> {
        match bytes.first().ok_or(Reason::TruncatedNetwork)? >> 4 {
            4 => Ok(Self::new(Version::V4, bytes)),
            6 => Ok(Self::new(Version::V6, bytes)),
            _ => Err(Reason::BadIpVersion),
        }
    }

    /// Walks the header and its extension headers.
    ///
    /// Inlined, with what it calls for IPv4: a datagram that is handed on through memory makes `decode` half as slow again
    /// (32 against 22 ns a frame, measured over real captures).
    #[inline(always)]
    pub(super) fn read(&self) -> Result<Datagram<'frame>, Reason> {
        match self.version {
            Version::V4 => version_4(self.bytes),
            Version::V6 => version_6(self.bytes),
        }
    }
}

/// An IP header that is whole, with its extension headers, and whose lengths agree.
pub(super) struct Datagram<'frame> {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// Time to live, or hop limit.
    pub(super) ttl: u8,
    /// Bytes of the datagram as stated; as captured where it states 0, as segmentation offload does.
    pub(super) length: u32,
    /// What stands behind the extension headers.
    pub(super) protocol: u8,
    /// Not the first fragment: `payload` begins in the middle of something.
    pub(super) is_later_fragment: bool,
    /// What was captured behind the headers, and no more than belongs to the datagram.
    pub(super) payload: &'frame [u8],
}

#[inline(always)] // see `read`
fn version_4(bytes: &[u8]) -> Result<Datagram<'_>, Reason> {
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
        ipv4::HeaderSliceError::Len(_) => Reason::TruncatedNetwork,
        ipv4::HeaderSliceError::Content(ipv4::HeaderError::UnexpectedVersion { .. }) => {
            Reason::BadIpVersion
        }
        ipv4::HeaderSliceError::Content(ipv4::HeaderError::HeaderLengthSmallerThanHeader {
            ..
        }) => Reason::BadHeaderLength,
    })?;
    let header_length = header.slice().len();
    let stated = match usize::from(header.total_len()) {
        0 => bytes.len(),
        stated => stated,
    };
    if stated < header_length {
        return Err(Reason::BadTotalLength);
    }
    let behind = Behind::header(bytes, header_length, stated);
    let is_later_fragment = header.fragments_offset().value() != 0;
    let chain = if is_later_fragment {
        extension::Chain { protocol: header.protocol().0, is_later_fragment, payload: behind.bytes }
    } else {
        extension::walk(Version::V4, header.protocol().0, &behind)?
    };
    Ok(Datagram {
        source: Address::v4(header.source()),
        destination: Address::v4(header.destination()),
        ttl: header.ttl(),
        length: length(stated),
        protocol: chain.protocol,
        is_later_fragment: chain.is_later_fragment,
        payload: chain.payload,
    })
}

fn version_6(bytes: &[u8]) -> Result<Datagram<'_>, Reason> {
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
        ipv6::HeaderSliceError::Len(_) => Reason::TruncatedNetwork,
        ipv6::HeaderSliceError::Content(ipv6::HeaderError::UnexpectedVersion { .. }) => {
            Reason::BadIpVersion
        }
    })?;
    let header_length = header.slice().len();
    let stated = match usize::from(header.payload_length()) {
        0 => bytes.len(),
        payload => header_length + payload,
    };
    let behind = Behind::header(bytes, header_length, stated);
    let chain = extension::walk(Version::V6, header.next_header().0, &behind)?;
    Ok(Datagram {
        source: Address::v6(header.source()),
        destination: Address::v6(header.destination()),
        ttl: header.hop_limit(),
        length: length(stated),
        protocol: chain.protocol,
        is_later_fragment: chain.is_later_fragment,
        payload: chain.payload,
    })
}

/// What lies behind a fixed header.
pub(super) struct Behind<'frame> {
    /// As captured, without what the link appended (padding, a check sequence).
    pub(super) bytes: &'frame [u8],
    /// Whether these are all the bytes that the header states.
    pub(super) is_whole: bool,
}

impl<'frame> Behind<'frame> {
    fn header(datagram: &'frame [u8], header_length: usize, stated: usize) -> Self {
        let end = stated.min(datagram.len());
        Self {
            bytes: datagram.get(header_length..end).unwrap_or_default(),
            is_whole: stated <= datagram.len(),
        }
    }
}

/// A frame is far shorter than 2^32 bytes, and a stated length has 16 bits.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
