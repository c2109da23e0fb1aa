//! Where an address is counted, under which name, and what of a packet.

use super::rule::{Distinct, Threshold, Track};
use crate::address::Address;
use crate::handover::Digest;
use crate::time::{NANOS_PER_SECOND, Timestamp};

/// Where an address is counted: the keyed hash of address and tenant, which nobody outside knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// Where a packet's source is counted, the hash of whose key, network and tenant, is at hand.
    #[must_use]
    pub const fn of_source(hash: u64) -> Self {
        Self(hash)
    }

    /// Where its destination is counted, the hash of whose network and tenant is at hand: hosts of one IPv6 network are different.
    #[must_use]
    pub fn of_destination(hash: u64, destination: Address) -> Self {
        let [high, low] = halves(destination);
        Self(if high == 0 { hash } else { mixed(hash, low) })
    }

    /// Which of `sets` sets is that of the place. The hash has chosen the shard too, by its first bits: all of them are mixed.
    pub(super) fn set_among(self, sets: usize) -> usize {
        let mixed = u128::from(self.0.wrapping_mul(ODD)) * sets as u128;
        usize::try_from(mixed >> u64::BITS).unwrap_or(usize::MAX)
    }

    /// The hash of the value whose variety matters; by destination that is the source unless the rule says otherwise.
    pub(super) fn counted_value(self, threshold: &Threshold, seen: &Sighting) -> Option<u32> {
        let counted = match (threshold.distinct, threshold.track) {
            (Some(distinct), _) => distinct,
            (None, Track::ByDestination) => Distinct::SourceAddress,
            (None, Track::BySource) => return None,
        };
        let of_address = |address| {
            let [high, low] = halves(address);
            mixed(mixed(self.0, high), low)
        };
        let hash = match counted {
            Distinct::DestinationPort => mixed(self.0, u64::from(seen.destination_port)),
            Distinct::DestinationAddress => of_address(seen.destination),
            Distinct::SourceAddress => of_address(seen.source),
        };
        u32::try_from(hash >> 32).ok()
    }
}

/// The halves of an address; the first is 0 for IPv4.
fn halves(address: Address) -> [u64; 2] {
    let octets = u128::from_be_bytes(address.octets());
    let [high, low] = [octets >> 64, octets & u128::from(u64::MAX)];
    [high, low].map(|half| u64::try_from(half).unwrap_or(u64::MAX))
}

/// A word mixed into a hash that nobody outside knows. For one hash, different words stay different.
const fn mixed(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(ODD);
    let product = (product ^ product >> 32).wrapping_mul(ODD);
    product ^ product >> 29
}

/// How a rule counts: what of it a count needs.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    threshold: Threshold,
    /// The rule, and what and how it counts, mixed: two that differ count apart.
    ///
    /// So a rule that counts otherwise since a reload begins anew: what was counted before is of another kind.
    word: u64,
}

impl Counter {
    /// Of the rule numbered `sid`.
    #[must_use]
    pub fn new(sid: u32, threshold: Threshold) -> Self {
        let Threshold { kind, track, count, seconds, distinct } = threshold;
        let how = distinct.map_or(0, |distinct| distinct as u64 + 1) << 4
            | (kind as u64) << 1
            | track as u64;
        let words = [u64::from(sid) << 8 | how, u64::from(count) << 32 | u64::from(seconds)];
        Self { threshold, word: words.into_iter().fold(0, mixed) }
    }

    /// How its matches are counted.
    #[must_use]
    pub const fn threshold(&self) -> &Threshold {
        &self.threshold
    }

    /// The length of the window, nanoseconds.
    pub(super) fn window_nanos(&self) -> i64 {
        i64::from(self.threshold.seconds).saturating_mul(NANOS_PER_SECOND)
    }

    /// The name of what the rule counts at a place: two names that are equal by chance are one in 2^64, under a secret key.
    pub(super) const fn name_at(&self, Place(hash): Place) -> u64 {
        match mixed(hash, self.word) {
            // That is for free entries.
            0 => 1,
            name => name,
        }
    }
}

/// Odd, so that multiplying by it loses nothing: 2^64 divided by the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// What of a packet is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The packet's source.
    pub source: Address,
    /// The packet's destination.
    pub destination: Address,
    /// The packet's destination port; 0 without ports.
    pub destination_port: u16,
    /// Addresses of different tenants are different.
    pub tenant: u16,
    /// When it passed.
    pub time: Timestamp,
}

impl Sighting {
    /// What a digest says, for the given tenant.
    #[must_use]
    pub const fn of(digest: &Digest, tenant: u16) -> Self {
        Self {
            source: digest.source,
            destination: digest.destination,
            destination_port: digest.destination_port,
            tenant,
            time: digest.time,
        }
    }
}
