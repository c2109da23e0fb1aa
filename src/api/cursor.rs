//! Where a list goes on: an opaque text that only the server that made it, and only for the same filter, understands.
//!
//! ```text
//!  base64url( version:1  key:24 or 26  filter:8 )     key: time and name of the last row; filter: a hash of what was asked
//! ```

use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::event::{Epoch, EventId};
use crate::store::query::{PageKey, ProfileKey};
use crate::time::Timestamp;

/// The form of cursors. A cursor of another form is refused.
const VERSION: u8 = 1;

/// Characters that no cursor exceeds.
pub(super) const CURSOR_CHARS_MAX: usize = 64;

/// Bytes of the filter's hash.
const FILTER_BYTES: usize = 8;

/// What tells where a page begins.
pub(super) trait Key: Sized {
    /// As bytes, always equally many.
    fn to_bytes(&self) -> Vec<u8>;
    /// From bytes of any origin.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

/// Says where the list `list` with `filter` goes on behind `key`.
pub(super) fn write<K: Key>(list: &str, filter: &impl Debug, key: &K) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(key.to_bytes());
    bytes.extend(hash_of(list, filter));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads what [`write()`] wrote for the same list and filter; `None` for every other text.
pub(super) fn read<K: Key>(list: &str, filter: &impl Debug, text: &str) -> Option<K> {
    if text.len() > CURSOR_CHARS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (version, rest) = bytes.split_first()?;
    let (key, hash) = rest.split_at_checked(rest.len().checked_sub(FILTER_BYTES)?)?;
    if *version != VERSION || *hash != hash_of(list, filter) {
        return None;
    }
    K::from_bytes(key)
}

fn hash_of(list: &str, filter: &impl Debug) -> [u8; FILTER_BYTES] {
    let hash = Sha256::digest(format!("{list} {filter:?}"));
    std::array::from_fn(|at| hash.get(at).copied().unwrap_or_default())
}

impl Key for PageKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.time.as_nanos().to_be_bytes().to_vec();
        bytes.extend(self.id.epoch.stored().to_be_bytes());
        bytes.extend(self.id.number.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (time, rest) = bytes.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let number = i64::from_be_bytes(rest.try_into().ok()?);
        Some(Self {
            time: Timestamp::from_nanos(i64::from_be_bytes(*time)),
            id: EventId {
                epoch: Epoch::from_stored(i64::from_be_bytes(*epoch))?,
                // Stores keep the number as a signed one.
                number: u64::try_from(number).ok()?,
            },
        })
    }
}

impl Key for ProfileKey {
    fn to_bytes(&self) -> Vec<u8> {
        let source = match self.source {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut bytes = self.last.as_nanos().to_be_bytes().to_vec();
        bytes.extend(source.octets());
        bytes.extend(self.tenant.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (last, rest) = bytes.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk::<16>()?;
        Some(Self {
            last: Timestamp::from_nanos(i64::from_be_bytes(*last)),
            source: IpAddr::V6(Ipv6Addr::from(*source)).to_canonical(),
            tenant: u16::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::query::EventFilter;

    fn key(time: i64, epoch: i64, number: i64) -> PageKey {
        PageKey {
            time: Timestamp::from_nanos(time),
            id: EventId {
                epoch: Epoch::from_stored(epoch).unwrap(),
                number: u64::try_from(number).unwrap(),
            },
        }
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(time: i64, epoch in 0..i64::MAX, number in 0..i64::MAX) {
            let filter = EventFilter::default();
            let key = key(time, epoch, number);
            let text = write("events", &filter, &key);
            prop_assert!(text.len() <= CURSOR_CHARS_MAX);
            prop_assert_eq!(read("events", &filter, &text), Some(key));
            prop_assert_eq!(read::<PageKey>("sessions", &filter, &text), None);
            let other = EventFilter { port: Some(1), ..EventFilter::default() };
            prop_assert_eq!(read::<PageKey>("events", &other, &text), None);
        }

        #[test]
        fn a_cursor_of_sources_reads_back(last: i64, bytes: [u8; 16], v4: [u8; 4], tenant: u16) {
            for source in [IpAddr::from(bytes).to_canonical(), IpAddr::from(v4)] {
                let key = ProfileKey { last: Timestamp::from_nanos(last), source, tenant };
                let text = write("sources", &(), &key);
                prop_assert_eq!(read("sources", &(), &text), Some(key));
            }
        }

        #[test]
        fn any_text_is_refused_in_good_order(text in ".*", bytes: Vec<u8>) {
            prop_assert_eq!(read::<PageKey>("events", &(), &text), None);
            let text = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(read::<PageKey>("events", &(), &text), None);
            prop_assert_eq!(read::<ProfileKey>("events", &(), &text), None);
        }

        #[test]
        fn a_right_hash_does_not_make_a_key_of_any_bytes(bytes: Vec<u8>) {
            let mut whole = vec![VERSION];
            whole.extend(&bytes);
            whole.extend(hash_of("events", &()));
            let text = URL_SAFE_NO_PAD.encode(whole);
            let read: Option<PageKey> = read("events", &(), &text);
            prop_assert!(read.is_none() || bytes.len() == 24);
        }
    }
}
